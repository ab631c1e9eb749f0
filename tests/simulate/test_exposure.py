"""Exposures: bookkeeping of rate and truth, reproducibility, and clear errors."""

import numpy as np
import pytest
from astropy import units as u

from crismis import Detector, simulate_exposure
from crismis.simulate import SPECIES, Beam, Footprints, along, lines

CCD = Detector("test", pitch=15.0, thickness=14.0, diffusion=4.0, gain=2.0, readnoise=4.0)


def expose(exposure=200.0, **options):
    return simulate_exposure(CCD, exposure, **({"shape": (300, 200), "seed": 5} | options))


def test_truth_adds_up():
    image = expose(n_events=400, unit="electron")
    deposit = image.truth["deposit"]
    noise = image.data - deposit
    assert abs(noise.mean()) < 0.1
    assert noise.std() == pytest.approx(4.0, rel=0.01)
    prints = Footprints.from_table(image.truth["pixels"], 400)
    np.testing.assert_allclose(prints.image(image.shape), deposit, rtol=1e-5)
    assert len(prints) == len(image.truth["events"]) == 400


def test_rate_bookkeeping_is_exact():
    area = 300 * 200 * (15e-4) ** 2
    expected = 7.0 * area * 1000.0
    counts = [
        len(expose(1000.0, rate=7.0, particles="xray", seed=seed).truth["events"])
        for seed in range(30)
    ]
    assert np.mean(counts) == pytest.approx(expected, abs=3.5 * np.sqrt(expected / 30))
    assert 0.5 < np.var(counts) / expected < 1.7


def test_rate_and_exposure_take_quantities():
    plain = expose(600.0, rate=5.0)
    other = expose(10 * u.min, rate=5.0 * 1e4 / u.m**2 / u.s)
    np.testing.assert_array_equal(plain.data, other.data)


def test_result_depends_on_the_seed_only():
    np.testing.assert_array_equal(expose().data, expose().data)
    assert np.any(expose().data != expose(seed=6).data)


def test_header_tells_the_facts():
    meta = expose().meta
    assert (meta["CRDETEC"], meta["CRGAIN"], meta["CRRDNOIS"], meta["CREXPTIM"]) == (
        "test",
        2.0,
        4.0,
        200.0,
    )


def test_given_direction_gives_the_path_length():
    beam = Beam(SPECIES["proton"], lines([5000.0]), along(1.0, 0.0, 1.0))
    events = expose(particles=beam, n_events=50).truth["events"]
    inner = events["x_entry"].value < 190
    np.testing.assert_allclose(events["path_length"].value[inner], 14 * np.sqrt(2), rtol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"exposure": 0.0}, "exposure must be positive"),
        ({"exposure": "long"}, "exposure must be a number"),
        ({"particles": "axion"}, "unknown particle 'axion'"),
        ({"rate": -1.0}, "rate must not be negative"),
        ({"rate": 1e12}, "would not fit in memory"),
        ({"n_events": 3, "rate": 1.0}, "not both"),
        ({"scene": np.zeros((2, 2))}, "scene has shape"),
        ({"scene": np.full((300, 200), np.nan)}, "scene must be finite"),
        ({"unit": "kg"}, "unit must be"),
        ({"diffusion": -1.0}, "far must not be negative"),
    ],
)
def test_bad_input_gives_a_clear_error(options, message):
    with pytest.raises(ValueError, match=message):
        expose(**options)


def test_unknown_thickness_names_the_remedy():
    thin = Detector("bare", pitch=15.0)
    with pytest.raises(ValueError, match=r"no thickness.*evolve"):
        simulate_exposure(thin, 1.0, shape=(8, 8))


def test_negative_thickness_is_refused():
    with pytest.raises(ValueError, match="thickness must be positive"):
        Detector("odd", pitch=15.0, thickness=-1.0)
