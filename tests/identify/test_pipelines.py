"""In the scripts that people have: ccdproc's steps, collections of files, combination."""

import runpy
import sys
from pathlib import Path

import ccdproc
import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty
from ccdproc import Combiner

from crismis import CosmicRayCCDData, cosmicray_lacosmic, cosmicray_learned

GAIN, READNOISE, BIAS, DARK = 1.6, 5.0, 500.0, 0.2
SCRIPT = Path(__file__).parents[2] / "docs" / "scripts" / "reduction.py"


def stars(rng, shape=(128, 144)):
    """A field of stars of FWHM 2.4 on a sky of 80 electrons."""
    y, x = np.indices(shape)
    scene = np.full(shape, 80.0)
    for _ in range(25):
        cy, cx = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        scene += 10 ** rng.uniform(1.5, 4) * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 2)
    return scene


def tracks(rng, shape, number=40):
    """Deposits of straight tracks, electrons."""
    deposit = np.zeros(shape)
    for _ in range(number):
        row, column, angle = *rng.uniform(0, shape), rng.uniform(0, np.pi)
        charge = 10 ** rng.uniform(2.5, 3.5)
        for step in range(rng.integers(2, 15)):
            y, x = int(row + step * np.sin(angle)), int(column + step * np.cos(angle))
            if 0 <= y < shape[0] and 0 <= x < shape[1]:
                deposit[y, x] += charge
    return deposit


def write_night(folder, scenes, rng):
    """Write raw frames whose lights show the given scenes (electrons) and return the hits."""
    shape = scenes[0].shape
    response = 1 + 0.1 * np.linspace(-1, 1, shape[1]) + 0.01 * rng.normal(size=shape)
    folder.mkdir()

    def write(name, kind, seconds, electrons):
        noisy = rng.poisson(electrons + DARK * seconds) + rng.normal(0, READNOISE, shape)
        header = fits.Header({"IMAGETYP": kind, "EXPTIME": seconds})
        header.update({"EGAIN": GAIN, "RDNOISE": READNOISE})
        data = np.clip(noisy / GAIN + BIAS, 0, 65535).astype(np.uint16)
        fits.writeto(folder / f"{name}.fits", data, header)

    for i in range(5):
        write(f"bias{i}", "bias", 0.0, np.zeros(shape))
        write(f"dark{i}", "dark", 100.0, np.zeros(shape))
        write(f"flat{i}", "flat", 5.0, 30000 * response)
    hits = []
    for i, scene in enumerate(scenes):
        deposit = tracks(rng, shape)
        write(f"light{i}", "light", 60.0, scene * response + deposit)
        hits.append(deposit > 0)
    return hits


def run_script(raw, reduced, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["reduction.py", str(raw), str(reduced)])
    runpy.run_path(str(SCRIPT))


def test_the_documented_script_on_simulated_frames(tmp_path, monkeypatch):
    rng = np.random.default_rng(1)
    scene = stars(rng)
    hits = write_night(tmp_path / "raw", [scene] * 3, rng)
    run_script(tmp_path / "raw", tmp_path / "reduced", monkeypatch)
    for i, hit in enumerate(hits):
        out = CosmicRayCCDData.read(tmp_path / "reduced" / f"light{i}.fits")
        assert out.unit == u.adu
        assert out.hits[hit].mean() > 0.85
        assert (out.hits & ~hit).sum() < 0.002 * hit.size
        assert "subtract_dark" in out.meta
        assert "cosmicray_learned" in out.meta
    stack = CCDData.read(tmp_path / "reduced" / "stack.fits")
    error = stack.data * GAIN - scene
    noise = np.sqrt((scene + READNOISE**2) / 3)
    assert np.median(np.abs(error / noise)) < 1.0
    assert np.mean(np.abs(error / noise) > 6) < 0.002


def test_the_documented_script_on_real_frames(real_data, tmp_path, monkeypatch):
    scenes, truths = [], []
    for path in sorted((real_data / "truth").glob("efosc2_image_*.fits.gz")):
        with fits.open(path) as hdus:
            part = np.s_[300:550, 300:550]
            scenes.append(np.clip(np.nan_to_num(hdus["SCI"].data[part]), 0, 1e5))
            truths.append(hdus["TRUTH"].data[part])
    write_night(tmp_path / "raw", scenes, np.random.default_rng(2))
    run_script(tmp_path / "raw", tmp_path / "reduced", monkeypatch)
    for i, truth in enumerate(truths):
        out = CosmicRayCCDData.read(tmp_path / "reduced" / f"light{i}.fits")
        assert 10 < out.hits.sum() < 1500
        if (truth == 1).sum() > 10:
            assert out.hits[truth == 1].mean() > 0.4


def night(rng, number, shape=(128, 144)):
    """Return scene and exposures of it, electrons, with uncertainty."""
    scene = stars(rng, shape)
    exposures = []
    for _ in range(number):
        image = rng.poisson(scene + tracks(rng, shape)) + rng.normal(0, READNOISE, shape)
        exposures.append(CCDData(image.astype(np.float32), unit="electron"))
    return scene, exposures


def error_of(stack, scene):
    """Root mean squared error in units of the noise of one exposure."""
    data = np.ma.MaskedArray(stack.data, stack.mask)
    return np.sqrt(np.ma.mean((data - scene) ** 2 / (scene + READNOISE**2)))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, at pixels hit in all exposures
@pytest.mark.parametrize("number", [2, 3])
def test_combining_with_our_masks_beats_sigma_clipping(number):
    rng = np.random.default_rng(number)
    scene, exposures = night(rng, number)
    ours = Combiner([cosmicray_learned(ccd, readnoise=READNOISE) for ccd in exposures])
    best = min(error_of(_clipped(exposures, limit), scene) for limit in (1.0, 1.3, 2.0, 3.0))
    assert error_of(ours.average_combine(), scene) < best / 2


def _clipped(exposures, limit):
    combiner = Combiner(exposures)
    combiner.sigma_clipping(low_thresh=limit, high_thresh=limit, func=np.ma.median)
    return combiner.average_combine()


@pytest.mark.parametrize("identify", [cosmicray_learned, cosmicray_lacosmic])
def test_the_result_goes_through_ccdprocs_steps(identify):
    _, (ccd,) = night(np.random.default_rng(5), 1)
    ccd.uncertainty = StdDevUncertainty(np.sqrt(np.maximum(ccd.data, 1)))
    out = identify(ccd, readnoise=READNOISE)
    for result in (
        ccdproc.trim_image(out, fits_section="[1:100, 1:90]"),
        ccdproc.flat_correct(out, CCDData(np.ones(out.shape), unit="")),
        ccdproc.gain_correct(out, 1.0 * u.one),
        ccdproc.subtract_bias(out, CCDData(np.zeros(out.shape), unit="electron")),
    ):
        assert isinstance(result, CosmicRayCCDData)
        assert result.hits.any()


def test_a_loop_over_a_collection_writes_what_can_be_read_back(tmp_path):
    rng = np.random.default_rng(6)
    _, exposures = night(rng, 2)
    for i, ccd in enumerate(exposures):
        ccd.meta["EXPTIME"] = 60.0
        ccd.write(tmp_path / f"image{i}.fits")
    collection = ccdproc.ImageFileCollection(tmp_path, glob_include="image*.fits")
    for ccd, name in collection.ccds(return_fname=True):
        out = cosmicray_learned(ccd, readnoise=READNOISE)
        out.write(tmp_path / f"clean_{name}")
        back = CosmicRayCCDData.read(tmp_path / f"clean_{name}")
        np.testing.assert_array_equal(back.flags, out.flags)
        np.testing.assert_array_equal(back.probability, out.probability)
        assert back.meta["CRRATE"] == pytest.approx(1e6 * out.hits.mean() / 60.0)
