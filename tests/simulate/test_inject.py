"""Putting hits into real or given images."""

import numpy as np
import pytest
from astropy.nddata import CCDData

from crismis import CosmicRayCCDData, Detector
from crismis.simulate import inject, simulate_stamps

HIT = np.array([[100.0, 200.0], [0.0, 300.0]])


def test_unit_dtype_and_input_are_kept():
    ccd = CCDData(np.full((30, 40), 50, dtype=np.uint16), unit="adu", meta={"CRGAIN": 2.0})
    out = inject(ccd, [HIT], positions=[[4, 6]], oriented=True)
    assert out.unit == "adu"
    assert out.data.dtype == np.uint16
    np.testing.assert_array_equal(out.data[4:6, 6:8], [[100, 150], [50, 200]])
    assert np.all(ccd.data == 50)
    assert out.truth["deposit"].sum() == 600


def test_random_places_keep_every_hit_whole():
    ccd = CCDData(np.zeros((12, 12)), unit="electron")
    out = inject(ccd, [HIT] * 200, seed=4)
    assert out.data.sum() == pytest.approx(200 * 600)


def test_saturation_caps_hits_but_not_the_scene():
    data = np.array([[10.0, 90.0, 150.0]])
    ccd = CCDData(data, unit="electron", meta={"CRSATUR": 100.0})
    out = inject(ccd, [np.array([[50.0, 50.0, 50.0]])], positions=[[0, 0]], oriented=True)
    np.testing.assert_array_equal(out.data, [[60.0, 100.0, 150.0]])


def test_simulated_events_keep_their_places():
    thick = Detector("thick", pitch=10.0, thickness=100.0)
    prints, _ = simulate_stamps(thick, 20, particles="muon", seed=2)
    ccd = CosmicRayCCDData(np.zeros((1024, 1024)), unit="electron")
    out = inject(ccd, prints)
    np.testing.assert_allclose(out.data, prints.image((1024, 1024)), rtol=1e-6)


def test_unknown_gain_names_the_remedy():
    with pytest.raises(ValueError, match="give gain="):
        inject(CCDData(np.zeros((9, 9)), unit="adu"), [HIT])


def test_positions_must_fit():
    with pytest.raises(ValueError, match=r"positions must have shape \(1, 2\)"):
        inject(CCDData(np.zeros((9, 9)), unit="electron"), [HIT], positions=[[1, 2], [3, 4]])
