"""Categorization of images: contract, flags, units and bad input."""

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData

from crismis import CosmicRayCCDData, Flag, categorize_cosmicrays
from crismis.events import EventFlag


def image_with_line(unit="electron", **meta):
    rng = np.random.default_rng(1)
    data = 50 + rng.normal(0, 3, (40, 50)).astype(np.float32)
    hits = np.zeros(data.shape, bool)
    hits[20, 10:30] = True
    data[hits] += 500
    return CCDData(data, unit=unit, meta=meta), hits


def test_charge_energy_and_position_of_a_line():
    ccd, hits = image_with_line()
    event = categorize_cosmicrays(ccd, crmask=hits).events[0]
    assert event["charge"].to_value("electron") == pytest.approx(20 * 500, rel=0.01)
    assert event["energy"].to_value("keV") == pytest.approx(10 * 3.65, rel=0.02)
    assert event["x_centroid"].to_value("pix") == pytest.approx(19.5, abs=0.1)
    assert event["length"].to_value("pix") == pytest.approx(20, abs=0.1)
    assert event["category"] == "track"


def test_adu_become_electrons_by_the_header():
    ccd, hits = image_with_line("adu", CRGAIN=2.0)
    charge = categorize_cosmicrays(ccd, crmask=hits).events["charge"]
    assert charge.unit == u.electron
    assert charge[0].value == pytest.approx(2 * 20 * 500, rel=0.01)


def test_unknown_gain_leaves_the_unit_and_no_energy():
    ccd, hits = image_with_line("DN")
    events = categorize_cosmicrays(ccd, crmask=hits).events
    assert events["charge"].unit == u.DN
    assert np.isnan(events["energy"][0].value)


def test_only_hits_are_segmented_not_other_masked_pixels():
    ccd, hits = image_with_line()
    flags = np.where(hits, np.uint8(Flag.HIT), np.uint8(0))
    mask = hits.copy()
    mask[5, 5] = True
    out = categorize_cosmicrays(CosmicRayCCDData(ccd, flags=flags, mask=mask))
    assert len(out.events) == 1
    assert out.segmentation.n_labels == 1


def test_input_is_untouched():
    ccd, hits = image_with_line()
    before = ccd.data.copy()
    categorize_cosmicrays(ccd, crmask=hits)
    np.testing.assert_array_equal(ccd.data, before)


def test_no_hits_give_an_empty_table_with_units():
    ccd, hits = image_with_line()
    out = categorize_cosmicrays(ccd, crmask=np.zeros_like(hits))
    assert len(out.events) == 0
    assert out.events["length"].unit == u.pix
    assert out.segmentation is None


def test_plain_ccddata_needs_crmask():
    ccd, _ = image_with_line()
    with pytest.raises(ValueError, match="crmask"):
        categorize_cosmicrays(ccd)


def test_array_is_refused():
    with pytest.raises(TypeError, match="CCDData"):
        categorize_cosmicrays(np.zeros((4, 4)))


def test_flags_tell_edges_masked_neighbours_and_saturation():
    ccd, _ = image_with_line()
    flags = np.zeros(ccd.data.shape, np.uint8)
    flags[0, 3] = flags[10, 10] = Flag.HIT
    flags[30, 30] = Flag.HIT | Flag.SATURATED
    mask = flags > 0
    mask[11, 11] = True
    events = categorize_cosmicrays(CosmicRayCCDData(ccd, flags=flags, mask=mask)).events
    assert list(events["flags"]) == [
        EventFlag.EDGE,
        EventFlag.BESIDE_MASKED,
        EventFlag.SATURATED,
    ]


def test_event_covering_the_whole_image():
    ccd, hits = image_with_line()
    events = categorize_cosmicrays(ccd, crmask=np.ones_like(hits)).events
    assert len(events) == 1
    assert events["n_pixels"][0] == hits.size
