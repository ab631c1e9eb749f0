"""Repair comes close to the undisturbed image, says how close, and touches nothing else."""

import runpy
from pathlib import Path

import astroscrappy
import numpy as np
import pytest
from astropy.nddata import CCDData, StdDevUncertainty

from crismis import cosmicray_lacosmic, cosmicray_learned
from crismis.identify.repair import METHODS, Noise, repair

READNOISE = 5.0
NOISE = Noise(1.0, READNOISE**2)
BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "repair.py"


@pytest.fixture(scope="module")
def bench():
    return runpy.run_path(str(BENCHMARK))


def exposed(bench, name, seed=0, size=220):
    """Return scene, exposure and all pixels with charge of particles."""
    rng = np.random.default_rng(seed)
    scene = bench["SKY"] + bench["SCENES"][name](rng, size)
    deposit = bench["tracks"](rng, size)
    image = rng.poisson(scene + deposit) + rng.normal(0, READNOISE, scene.shape)
    return scene, image.astype(np.float32), deposit > 0


@pytest.mark.parametrize("name", ["stars", "galaxies", "spectra"])
def test_closer_to_the_scene_than_astroscrappys_ways(bench, name):
    scene, image, _ = exposed(bench, name)
    sigma = np.sqrt(scene + READNOISE**2)
    bad = np.zeros(image.shape, bool)
    for cleantype in ("meanmask", "medmask", "idw"):
        flagged, cleaned = astroscrappy.detect_cosmics(
            image, gain=1.0, readnoise=READNOISE, satlevel=np.inf, cleantype=cleantype
        )
        inside = np.zeros(flagged.shape, bool)
        inside[4:-4, 4:-4] = flagged[4:-4, 4:-4]
        theirs = np.mean(((cleaned - scene) / sigma)[inside] ** 2)
        values, _ = repair(image, flagged, bad, NOISE)
        ours = np.mean(((values - scene[flagged]) / sigma[flagged])[inside[flagged]] ** 2)
        assert ours < theirs


@pytest.mark.parametrize("angle", [0, 90])
def test_the_median_follows_a_line_along_rows_or_columns(angle):
    y, x = np.indices((41, 41)) - 20
    across = y * np.cos(np.deg2rad(angle)) - x * np.sin(np.deg2rad(angle))
    scene = 100 + 5000 * np.exp(-(across**2) / 2)
    hits = (np.abs(y) <= 1) & (np.abs(x) <= 1)
    image = np.where(hits, 9e4, scene).astype(np.float32)
    values, _ = repair(image, hits, np.zeros(hits.shape, bool), NOISE, "median")
    assert values[4] == pytest.approx(5100, rel=0.25)  # the flanks that touch the hole hold 780


@pytest.mark.parametrize("name", ["stars", "galaxies", "spectra"])
@pytest.mark.parametrize("method", ["interpolate", "noise"])
def test_pulls_have_unit_width(bench, name, method):
    pulls = []
    for seed in range(3):
        scene, image, hits = exposed(bench, name, seed)
        values, variance = repair(image, hits, np.zeros(hits.shape, bool), NOISE, method)
        pulls.append((values - scene[hits]) / np.sqrt(variance))
    pulls = np.concatenate(pulls)
    assert pulls.std() == pytest.approx(1, abs=0.15)
    assert abs(pulls.mean()) < 0.2
    assert np.mean(np.abs(pulls) < 1) == pytest.approx(0.683, abs=0.1)


@pytest.mark.parametrize("method", METHODS)
def test_on_flat_ground_the_variance_is_that_of_the_error(method):
    rng = np.random.default_rng(3)
    image = (rng.poisson(200, (300, 300)) + rng.normal(0, READNOISE, (300, 300))).astype("f4")
    hits = rng.random(image.shape) < 0.02
    image[hits] += 3000
    values, variance = repair(image, hits, np.zeros(hits.shape, bool), NOISE, method)
    error = values - 200
    assert abs(error.mean()) < 0.5
    assert np.mean(error**2 / variance) == pytest.approx(1, abs=0.2)
    if method == "noise":
        assert error.std() == pytest.approx(np.sqrt(225 * (1 + 1 / 48)), rel=0.1)
    else:
        assert error.std() < 4.5


def test_repaired_pixels_get_the_uncertainty_of_the_repair(bench):
    scene, image, _ = exposed(bench, "galaxies", 5)
    sigma = StdDevUncertainty(np.sqrt(np.maximum(image, 0) + READNOISE**2))
    ccd = CCDData(image / 2, unit="adu", uncertainty=StdDevUncertainty(sigma.array / 2))
    for identify in (cosmicray_learned, cosmicray_lacosmic):
        out = identify(ccd, gain=2.0, readnoise=READNOISE)
        hits = out.hits
        pull = ((out.data - scene / 2) / out.uncertainty.array)[hits]
        assert 1.4826 * np.median(np.abs(pull)) == pytest.approx(1, abs=0.35)
        np.testing.assert_array_equal(out.uncertainty.array[~hits], ccd.uncertainty.array[~hits])


@pytest.mark.parametrize("method", METHODS)
def test_bad_pixels_are_not_used(method):
    image = np.full((30, 30), 100.0, np.float32)
    hits, bad = np.zeros((2, 30, 30), bool)
    hits[15, 15] = True
    bad[14, 10:20], bad[16, 10:20] = True, True
    image[bad], image[hits] = np.nan, 9999
    values, variance = repair(image, hits, bad, Noise(0.0, 1e-6), method)
    assert values[0] == pytest.approx(100, abs=0.01)
    assert np.isfinite(variance).all()


def test_no_good_pixel_within_reach():
    image = np.full((60, 60), 50.0, np.float32)
    hits = np.ones((60, 60), bool)
    hits[0, 0] = False
    values, variance = repair(image, hits, np.zeros_like(hits), NOISE)
    np.testing.assert_allclose(values, 50)
    assert np.isfinite(variance).all()


def test_no_hits_no_work():
    none = np.zeros((5, 5), bool)
    values, variance = repair(np.ones((5, 5), np.float32), none, none, NOISE)
    assert values.size == variance.size == 0


@pytest.mark.parametrize("identify", [cosmicray_learned, cosmicray_lacosmic])
def test_every_method_through_the_public_functions(bench, identify):
    _, image, _ = exposed(bench, "galaxies", 6)
    ccd = CCDData(image, unit="electron")
    results = {m: identify(ccd, readnoise=READNOISE, repair=m) for m in (*METHODS, None, True)}
    hits = results[None].hits
    for method, out in results.items():
        np.testing.assert_array_equal(out.hits, hits)
        np.testing.assert_array_equal(out.data[~hits], image[~hits])
        assert (out.data[hits] == image[hits]).all() == (method is None)
    again = identify(ccd, readnoise=READNOISE, repair="noise")
    np.testing.assert_array_equal(again.data, results["noise"].data)


def test_integers_are_rounded_into_their_range():
    image = np.full((40, 40), 10, np.uint16)
    image[20, 20:23] = 4000
    cleaned, mask = cosmicray_learned(image, gain=1.0, readnoise=3.0, repair="noise")
    assert cleaned.dtype == np.uint16
    assert mask[20, 20:23].all()
    assert cleaned.max() < 60
