"""Padding, truncated lines and stops: what holds a number, but no data."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData

from crismis import cosmicray_lacosmic, cosmicray_learned, get_detector
from crismis.identify.blank import blank_parts
from crismis.identify.inputs import prepare


def sky(shape=(128, 160), seed=1):
    return np.random.default_rng(seed).normal(100, 10, shape).astype("f4")


def test_an_image_without_them_has_none():
    assert blank_parts(sky()) is None


@pytest.mark.parametrize("dtype", ["f4", "u1", ">i2"])
def test_padding_is_one(dtype):
    image = sky().astype(dtype)
    image[:, 140:] = 0
    assert blank_parts(image).sum() == 128 * 20
    assert blank_parts(image)[:, 140:].all()


def test_several_parts_may_have_several_values():
    image = sky()
    image[:20], image[100:] = 0, -1
    assert np.array_equal(
        np.flatnonzero(blank_parts(image).any(axis=1)), [*range(20), *range(100, 128)]
    )


def test_few_pixels_are_none():
    image = sky()
    image[:6, :160] = 0
    assert blank_parts(image) is None


def test_what_does_not_reach_the_border_is_none():
    image = sky()
    image[20:80, 20:80] = 0
    assert blank_parts(image) is None


def test_saturated_pixels_are_none():
    image = sky()
    image[:40] = 60000
    assert blank_parts(image) is None


def test_a_constant_image_has_none():
    assert blank_parts(np.full((64, 64), 7.0)) is None


def test_not_a_number_is_none():
    image = sky()
    image[:40] = np.nan
    assert blank_parts(image) is None


def test_what_surrounds_a_hit_in_a_sky_without_noise_holds_data():
    image = sky()
    image[:60] = 0
    image[30, 40:45] = 500
    blank = blank_parts(image)
    assert not blank[22:39, 32:53].any()
    assert blank[:21].all()


def test_a_dark_sky_with_many_hits_is_none():
    image = sky()
    image[40:] = 0
    image[45:125:10, 5:150:10] = 300
    assert blank_parts(image) is None


def test_hits_in_a_sky_without_noise_are_found_whether_few_or_many():
    for step in (10, 40):
        image = np.random.default_rng(2).poisson(np.full((128, 160), 400.0)).astype("f4")
        image[40:] = 0
        image[45:125:step, 5:150:step] = 3000
        _, hits = cosmicray_learned(image, gain=1.0, readnoise=5.0)
        assert hits[image == 3000].mean() > 0.8


def test_they_are_bad_and_never_flagged():
    image = sky()
    image[:, 140:] = 0
    frame = prepare(image, gain=1.0, readnoise=5.0)
    assert frame.bad[:, 140:].all()
    assert not frame.bad[:, :140].any()
    for identify in (cosmicray_learned, cosmicray_lacosmic):
        cleaned, hits = identify(image, gain=1.0, readnoise=5.0)
        assert not hits[:, 140:].any()
        assert (cleaned[:, 140:] == 0).all()


@pytest.mark.parametrize(("identify", "most"), [(cosmicray_learned, 2), (cosmicray_lacosmic, 20)])
@pytest.mark.parametrize("rim", [1.0, 1.15])
def test_the_rim_beside_them_is_not_flagged(identify, most, rim):
    """A curved stop, whose rim a flat field may have made brighter.

    With what lies beyond taken for data, up to 77 and 519 pixels were flagged.
    """
    y, x = np.mgrid[:200, :200]
    radius = np.hypot(y - 80, x - 80)
    image = np.random.default_rng(3).poisson(np.full(radius.shape, 350.0)).astype("f4") + 0.25
    image[(radius >= 109) & (radius < 110)] *= rim
    image[radius >= 110] = 0
    _, hits = identify(image, gain=1.0, readnoise=8.0)
    assert hits.sum() <= most


def test_a_frame_with_a_stop_has_some(real_data):
    image = fits.getdata(real_data / "truth" / "efosc2_image_Q1010_1.fits.gz", "SCI")
    blank = blank_parts(image)
    assert 0.015 < blank.mean() < 0.025
    assert (image[blank] == 0).all()


@pytest.mark.parametrize("identify", [cosmicray_learned, cosmicray_lacosmic])
def test_the_overscan_of_a_raw_image_holds_no_hits(identify):
    hrc = get_detector("HST/ACS/HRC")
    image = sky(hrc.raw_shape)
    image += np.where(hrc.live(hrc.raw_shape), 300, 0)
    image[[400, 400, 400, 1040], [400, 420, 10, 400]] += 5000  # the last two in the overscan
    header = fits.Header({"TELESCOP": "HST", "INSTRUME": "ACS", "DETECTOR": "HRC"})
    out = identify(CCDData(image, unit="adu", meta=header), readnoise=4.7, gain=2.0)
    assert out.hits[400, [400, 420]].all()
    assert not out.hits[~hrc.live(hrc.raw_shape)].any()
