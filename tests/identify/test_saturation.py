"""Saturated and sharp stars survive, hits do not."""

import numpy as np
import pytest
from astropy.nddata import CCDData
from scipy import ndimage

from crismis import Detector, Flag, cosmicray_lacosmic, cosmicray_learned
from crismis.identify import saturation
from crismis.identify.saturation import clipping_level, saturated_sources

FULL = 60000.0


def field(fwhm=2.5, peak=(1e3, 3e4), seed=0, size=256, step=24):
    """A grid of Gaussian stars, electrons; return it with the places of the stars."""
    rng = np.random.default_rng(seed)
    image = np.full((size, size), 100.0)
    y, x = np.indices(image.shape)
    sigma = fwhm / 2.3548
    places = []
    for cy in range(step, size - step + 1, step):
        for cx in range(step, size - step + 1, step):
            py, px = cy + rng.uniform(-0.5, 0.5), cx + rng.uniform(-0.5, 0.5)
            flux = 10 ** rng.uniform(*np.log10(peak))
            near = np.s_[cy - 20 : cy + 21, cx - 20 : cx + 21]
            r2 = (y[near] - py) ** 2 + (x[near] - px) ** 2
            image[near] += flux * np.exp(-r2 / (2 * sigma**2))
            places.append((cy, cx))
    return image, places, rng


def bleed(image, rng, columns=(10, 30)):
    """Clip at full well and let the charge run along columns."""
    for column in np.unique(np.nonzero(image > FULL)[1]):
        rows = np.nonzero(image[:, column] > FULL)[0]
        length = rng.integers(*columns)
        image[max(rows[0] - length, 0) : rows[-1] + length, column] = FULL
    return np.minimum(image, FULL)


def expose(image, rng, readnoise=5.0):
    noisy = rng.poisson(image) + rng.normal(0, readnoise, image.shape)
    return np.minimum(noisy, FULL).astype(np.float32)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    "slope",
    [
        pytest.param(
            0.0,
            marks=pytest.mark.xfail(reason="exactly along a row it looks like bleeding"),
            id="along a row",
        ),
        0.1,
        1.0,
    ],
)
def test_saturated_cores_and_bleeding_are_no_hits_but_a_track_beside_them_is(known, slope):
    image, _, rng = field(3.0, (2e5, 2e6), step=60)
    image = bleed(image, rng)
    track = np.zeros(image.shape, bool)
    x = np.arange(10)
    track[35 + np.rint(slope * x).astype(int), 80 + x] = True
    image[track] += 3000
    exposure = expose(image, rng)
    exposure[bleed(image, rng) >= FULL] = FULL
    exposure[track] = np.maximum(exposure[track], 2500)
    ccd = CCDData(exposure, unit="electron")
    saturation = {"saturation": FULL} if known else {}
    out = cosmicray_learned(ccd, gain=1.0, readnoise=5.0, **saturation)
    saturated = exposure >= FULL
    assert saturated.sum() > 200
    assert not (out.hits & saturated).any()
    np.testing.assert_array_equal((out.flags & Flag.SATURATED) != 0, saturated)
    assert out.hits[track].mean() > 0.8
    assert (out.hits & ~track).sum() <= 5


@pytest.mark.parametrize("fwhm", [1.8, 2.5, 4.0])
@pytest.mark.parametrize("given", [True, False])
def test_stars_are_no_hits_whether_their_width_is_given_or_not(fwhm, given):
    image, places, rng = field(fwhm)
    ccd = CCDData(expose(image, rng), unit="electron")
    out = cosmicray_learned(ccd, readnoise=5.0, psf_fwhm=fwhm if given else None)
    lost = sum(out.hits[y - 2 : y + 3, x - 2 : x + 3].any() for y, x in places)
    assert lost <= 1


def test_lacosmic_marks_saturated_pixels_by_its_own_level():
    image, _, rng = field(3.0, (2e5, 2e6), step=60)
    exposure = expose(np.minimum(image, FULL), rng)
    out = cosmicray_lacosmic(CCDData(exposure, unit="electron"), readnoise=5.0, satlevel=FULL)
    np.testing.assert_array_equal((out.flags & Flag.SATURATED) != 0, exposure >= FULL)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 1.0])
def test_saturated_pixels_that_touch_belong_together(share):
    saturated = np.random.default_rng(4).random((60, 47)) < share
    places = np.nonzero(saturated)
    group, label = saturation._groups(*places), ndimage.label(saturated, np.ones((3, 3)))[0][places]
    pairs = np.unique([group, label], axis=1)
    assert pairs.shape[1] == len(np.unique(group)) == len(np.unique(label))


def test_a_saturated_track_is_no_source():
    image = np.full((50, 50), 100.0)
    image[25, 10:20] = FULL
    assert saturated_sources(image, FULL) is None
    y, x = np.indices(image.shape)
    star = 1e7 / (1 + ((y - 38) ** 2 + (x - 33) ** 2) / 2) ** 2.5
    image = np.minimum(image + star, FULL)
    image[5:50, 33] = FULL
    sources = saturated_sources(image, FULL)
    assert sources[10, 33]
    assert sources[38, 33]
    assert not sources[25, 12]


def test_a_spallation_star_that_saturates_is_a_hit():
    rng = np.random.default_rng(3)
    image, _, _ = field(2.5, seed=3, size=192)
    y, x = np.indices(image.shape) - np.array([61.2, 59.6])[:, None, None]
    star = np.hypot(y, x) < 2.5
    for angle, length in ((0.4, 9), (2.3, 7), (4.2, 8)):
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        star |= (along > 0) & (along < length) & (abs(across) < 0.9)
    image[star] += 3 * FULL
    image[45:80, 60] = 2 * FULL
    exposure = expose(image, rng)
    assert saturated_sources(exposure, FULL) is None
    ccd = CCDData(exposure, unit="electron")
    out = cosmicray_learned(ccd, readnoise=5.0, gain=1.0, saturation=FULL)
    assert out.hits[star].mean() > 0.25


def ground(level, roughness, rng, size=200):
    """Lit ground in data numbers of 8 bits, rougher on large scales than on small ones."""
    texture = ndimage.gaussian_filter(rng.normal(size=(size, size)), 3)
    return level * (1 + roughness * texture / texture.std()) + rng.normal(0, 1, texture.shape)


@pytest.mark.parametrize("level", [30, 60, 120])
@pytest.mark.parametrize("roughness", [0.02, 0.2])
def test_a_hit_that_clips_on_lit_ground_is_no_source(level, roughness):
    rng = np.random.default_rng(6)
    image = ground(level, roughness, rng)
    for row in range(20, 200, 20):
        image[row, 20:180:20] += 300  # single pixels
        image[row, 31:180:20] += 300  # two of them
        image[row + 1, 32:180:20] += 300
    image = np.minimum(np.rint(image), 255).astype(np.float32)
    sources = saturated_sources(image, 255)
    assert sources is None or sources[image == 255].mean() < 0.05


@pytest.mark.parametrize("fwhm", [1.8, 3.0])
def test_a_saturated_star_over_lit_ground_is_a_source(fwhm):
    rng = np.random.default_rng(7)
    image = ground(40, 0.02, rng)
    y, x = np.indices(image.shape) - 100
    core = fwhm / 2 / np.sqrt(2 ** (1 / 3.5) - 1)
    image += 3000 * (1 + (y**2 + x**2) / core**2) ** -3.5
    image = np.minimum(np.rint(image), 255).astype(np.float32)
    assert saturated_sources(image, 255)[image == 255].all()


@pytest.mark.parametrize("fwhm", [1.5, 2.5, 5.0])
@pytest.mark.parametrize("peak", [10.0, 300.0, 1e4])
def test_saturated_stars_have_wings(fwhm, peak):
    """Moffat profiles with an index of 3.5, steeper than the wings of real ones."""
    rng = np.random.default_rng(4)
    y, x = np.indices((160, 160)) - 80.3
    core = fwhm / 2 / np.sqrt(2 ** (1 / 3.5) - 1)
    star = peak * FULL * (1 + (y**2 + x**2) / core**2) ** -3.5
    star[40:120, 80] += 2 * FULL
    sources = saturated_sources(expose(100 + star, rng), FULL)
    assert sources[80, 80]
    assert sources[42, 80]


def test_the_clipping_level_shows_only_where_values_pile_up():
    rng = np.random.default_rng(1)
    noise = rng.normal(1000, 30, (200, 200)).astype(np.float32)
    none = np.zeros(noise.shape, bool)
    assert clipping_level(noise, none) == np.inf
    assert clipping_level(np.rint(noise), none) == np.inf
    assert clipping_level(np.full((20, 20), 7.0), none[:20, :20]) == np.inf
    noise[50:54, 60:64] = 65535
    assert clipping_level(noise, none) == 65535
    masked = noise == 65535
    assert clipping_level(noise, masked) == np.inf


def test_a_converter_may_clip_below_the_full_well():
    image, _, rng = field(3.0, (2e5, 2e6), step=60)
    image = expose(bleed(image, rng), rng)
    detector = Detector("x", gain=1.0, readnoise=5.0, full_well=80000.0)
    out = cosmicray_learned(CCDData(image, unit="electron"), detector=detector)
    assert np.array_equal((out.flags & Flag.SATURATED) > 0, image >= FULL)
    told = cosmicray_learned(CCDData(image, unit="electron"), detector=detector, saturation=70000)
    assert not np.any(told.flags & Flag.SATURATED)


def bleeding_stars(seed=5):
    """Saturated stars, seen through a flat field that the image was divided by."""
    image, _, rng = field(2.5, (3e2, 3e3), seed=seed)
    y, x = np.indices(image.shape)
    for _ in range(8):
        cy, cx = rng.uniform(30, 226, 2)
        core = ((y - cy) ** 2 + (x - cx) ** 2) / 3
        image += 10 ** rng.uniform(5.3, 6.3) / (1 + core) ** 2.5
    flat = 1 + 0.03 * np.sin(x / 40) + 0.01 * rng.normal(size=image.shape)
    full = bleed(image, rng)
    saturated = full >= FULL
    return (expose(full, rng) / flat).astype(np.float32), saturated


@pytest.mark.parametrize("turns", [0, 1])
def test_bleeding_tells_the_clipping_level_of_a_calibrated_image(turns):
    image, saturated = bleeding_stars()
    image = np.ascontiguousarray(np.rot90(image, turns))
    level = clipping_level(image, np.zeros(image.shape, bool))
    assert 0.8 * FULL < level < FULL
    assert (image >= level)[np.rot90(saturated, turns)].mean() > 0.97
    mirrored = np.ascontiguousarray(image[:, ::-1])
    assert clipping_level(mirrored, np.zeros(image.shape, bool)) == pytest.approx(level)


@pytest.mark.parametrize("seed", [5, 6, 7])
def test_bleeding_in_a_calibrated_image_is_no_hit_but_a_track_is(seed):
    image, saturated = bleeding_stars(seed)
    track = np.arange(20)
    image[200 + track // 3, 5 + track] += 3000
    ccd = CCDData(image, unit="electron")
    out = cosmicray_learned(ccd, gain=1.0, readnoise=5.0)
    assert out.hits[saturated].mean() < 0.005
    assert out.hits[200 + track // 3, 5 + track].mean() > 0.8
    assert (out.flags[saturated] & Flag.SATURATED).astype(bool).mean() > 0.97


def test_what_is_merely_bright_has_no_clipping_level():
    rng = np.random.default_rng(2)
    y, x = np.indices((256, 256))
    disc = np.where(np.hypot(y - 128, x - 120) < 60, 20000.0, 50.0)
    trace = 50 + 20000 * np.exp(-((x - 90 - y / 60) ** 2) / 4)
    lines = 50 + 20000 * np.exp(-((x % 40 - 20) ** 2) / 3) * (abs(y - 128) < 90)
    stars, _, _ = field(2.0, (1e3, 5e4))
    for scene in (disc, trace, lines, stars):
        image = expose(scene, rng)
        assert clipping_level(image, np.zeros(image.shape, bool)) == np.inf
