"""cosmicray_lacosmic equals ccdproc where ccdproc is right, and is right where it is not."""

import astroscrappy
import ccdproc
import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData

from crismis import cosmicray_lacosmic

GAIN, READNOISE = 1.5, 5.0


def field(shape=(200, 180), seed=1, n_hits=120):
    """Sky, stars and single-pixel hits, in data numbers."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape)
    image = np.full(shape, 60.0)
    for _ in range(shape[0] * shape[1] // 1200):
        cy, cx = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        image += 10 ** rng.uniform(2, 4) * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 4)
    image = rng.poisson(image) + rng.normal(0, READNOISE, shape)
    rows, columns = rng.integers(0, shape[0], n_hits), rng.integers(0, shape[1], n_hits)
    image[rows, columns] += 10 ** rng.uniform(2.5, 4, n_hits)
    return (image / GAIN).astype(np.float32), (rows, columns)


def interior(mask):
    return mask[17:-17, 17:-17]


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "u2", ">f4", ">i2"])
def test_equals_ccdproc_in_the_interior_bit_for_bit(dtype):
    image = np.clip(field()[0], 0, 30000).astype(dtype)
    theirs = ccdproc.cosmicray_lacosmic(image, gain=GAIN, readnoise=READNOISE)[1]
    cleaned, ours = cosmicray_lacosmic(image, gain=GAIN, readnoise=READNOISE)
    assert interior(theirs).sum() > 50
    np.testing.assert_array_equal(interior(ours), interior(theirs))
    assert cleaned.dtype == np.dtype(dtype).newbyteorder("=")


@pytest.mark.parametrize(
    "options",
    [
        {"sepmed": False, "niter": 1},
        {"fsmode": "convolve", "psffwhm": 3.0},
        {"cleantype": "medmask", "objlim": 3.0, "sigclip": 6.0, "sigfrac": 0.5},
        {"satlevel": 4000.0},
    ],
)
def test_equals_ccdproc_with_its_keywords(options):
    image = field(seed=2)[0]
    theirs = ccdproc.cosmicray_lacosmic(image, gain=GAIN, readnoise=READNOISE, **options)[1]
    ours = cosmicray_lacosmic(image, gain=GAIN, readnoise=READNOISE, **options)[1]
    np.testing.assert_array_equal(interior(ours), interior(theirs))


def test_equals_ccdproc_with_background_and_variance():
    image = field(seed=3)[0]
    background = np.full_like(image, 40.0)
    variance = np.maximum(image, 1) / GAIN + (READNOISE / GAIN) ** 2
    planes = {"inbkg": background, "invar": variance.astype(np.float32)}
    theirs = ccdproc.cosmicray_lacosmic(image, gain=GAIN, readnoise=READNOISE, **planes)[1]
    ours = cosmicray_lacosmic(image, gain=GAIN, readnoise=READNOISE, **planes)[1]
    np.testing.assert_array_equal(interior(ours), interior(theirs))


def test_cleaned_values_are_astroscrappys():
    image = field(seed=4)[0]
    theirs, mask = ccdproc.cosmicray_lacosmic(
        image, gain=GAIN, readnoise=READNOISE, gain_apply=False
    )
    cleaned, ours = cosmicray_lacosmic(image, gain=GAIN, readnoise=READNOISE)
    both = interior(ours & mask)
    np.testing.assert_allclose(interior(cleaned)[both], interior(theirs)[both], rtol=1e-5)


@pytest.mark.parametrize("place", [(0, 50), (1, 60), (2, 70), (90, 0), (99, 79), (0, 0), (99, 40)])
def test_hits_at_edges_and_corners_are_found_where_astroscrappy_finds_none(place):
    image = np.random.default_rng(5).normal(100, 5, (100, 80)).astype(np.float32)
    image[place] += 5000
    theirs = astroscrappy.detect_cosmics(image, gain=1.0, readnoise=5.0)[0]
    ours = cosmicray_lacosmic(image, readnoise=5.0)[1]
    assert not theirs[place]
    assert ours[place]
    assert ours.sum() <= 5


def test_a_hit_beside_a_masked_pixel_is_found_where_astroscrappy_finds_none():
    image = np.random.default_rng(6).normal(100, 5, (80, 80)).astype(np.float32)
    image[40, 40] += 5000
    mask = np.zeros(image.shape, bool)
    mask[40, 41] = mask[:, 60] = True
    image[:, 60] = 60000
    image[30, 59] += 3000
    theirs = astroscrappy.detect_cosmics(image, inmask=mask, gain=1.0, readnoise=5.0)[0]
    out = cosmicray_lacosmic(CCDData(image, unit="electron", mask=mask), readnoise=5.0)
    assert not theirs[40, 40]
    assert out.hits[40, 40]
    assert out.hits[30, 59]
    assert not (out.hits & mask).any()
    assert (out.mask & mask).sum() == mask.sum()
    assert out.hits.sum() <= 8


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_pixels_spoil_nothing(value):
    image, _ = field(seed=7)
    clean = cosmicray_lacosmic(image, gain=GAIN, readnoise=READNOISE)[1]
    image[60, 50], image[100:110, 100:104] = value, value
    cleaned, ours = cosmicray_lacosmic(image, gain=GAIN, readnoise=READNOISE)
    bad = ~np.isfinite(image)
    near = np.zeros(image.shape, bool)
    near[50:70, 40:60] = near[90:120, 90:114] = True
    np.testing.assert_array_equal(ours[~near], clean[~near])
    assert not (ours & bad).any()
    np.testing.assert_array_equal(cleaned[bad], image[bad])


@pytest.mark.parametrize("unit", ["adu", "DN", "ct", "electron", "electron/s", "adu/s", ""])
def test_every_unit_works_where_ccdproc_refuses_most(unit):
    image, _ = field(seed=8)
    meta = {"EXPTIME": 100.0}
    per_second = 100.0 if unit.endswith("/s") else 1.0
    gain = {"electron": None, "electron/s": None}.get(unit, GAIN)
    scale = (GAIN if gain is None else 1.0) / per_second
    ccd = CCDData((image * scale).astype(np.float64), unit=unit, meta=meta)
    out = cosmicray_lacosmic(ccd, gain=gain, readnoise=READNOISE)
    reference = cosmicray_lacosmic(image.astype(float), gain=GAIN, readnoise=READNOISE)[1]
    assert out.unit == u.Unit(unit)
    assert (out.hits != reference).sum() <= 2
    if unit in ("DN", "ct", "electron/s"):
        with pytest.raises(ValueError, match="Inconsistent units"):
            ccdproc.cosmicray_lacosmic(ccd, gain=gain or 1.0, readnoise=READNOISE)


@pytest.mark.parametrize("shape", [(1, 60), (60, 1), (5, 5), (33, 20)])
def test_strips_and_tiny_images(shape):
    image = np.random.default_rng(9).normal(100, 5, shape).astype(np.float32)
    image.flat[image.size // 2] += 3000
    hits = cosmicray_lacosmic(image, readnoise=5.0)[1]
    assert hits.shape == shape
    assert hits.flat[image.size // 2]
    assert hits.sum() <= 3
