"""Scenes: light is conserved, lies where it should, and has the stated width."""

import numpy as np
import pytest
from scipy import integrate, ndimage

from crismis.simulate.scenes import (
    Psf,
    bad_columns,
    bias_pattern,
    corona,
    galaxies,
    hot_pixels,
    long_slit,
    planet,
    random_field,
    satellite_trail,
    sersic,
    sky,
    star_trails,
    stars,
)

SHAPE = (128, 160)


def rng():
    return np.random.default_rng(11)


def moffat_in_pixel(x, y, fwhm, beta):
    core = fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1))
    norm = (beta - 1) / (np.pi * core**2)
    value, _ = integrate.dblquad(
        lambda v, u: norm * (1 + (u * u + v * v) / core**2) ** -beta,
        x - 0.5,
        x + 0.5,
        y - 0.5,
        y + 0.5,
    )
    return value


@pytest.mark.parametrize("fwhm", [1.2, 3.5])
def test_moffat_is_integrated_over_pixels(fwhm):
    stamp = Psf.moffat(fwhm, 2.5).stamp(0.3, -0.2)
    middle = stamp.shape[0] // 2
    for row, column in [(0, 0), (1, 0), (0, -1), (2, 1)]:
        expected = moffat_in_pixel(column - 0.3, row + 0.2, fwhm, 2.5)
        found = stamp[middle + row, middle + column]
        assert found == pytest.approx(expected, rel=0.03, abs=2e-4)


@pytest.mark.parametrize(
    "psf",
    [Psf.moffat(1.2), Psf.airy(2.0, obstruction=0.3), Psf.airy(2.0, spikes=0.05)],
    ids=["moffat", "airy", "spikes"],
)
@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.45, -0.3)])
def test_star_centroid_follows_the_shift(psf, shift):
    stamp = psf.stamp(*shift)
    middle = stamp.shape[0] // 2
    core = stamp[middle - 4 : middle + 5, middle - 4 : middle + 5]
    row, column = ndimage.center_of_mass(core)
    assert (column - 4, row - 4) == pytest.approx(shift, abs=0.06)
    assert stamp.sum() == pytest.approx(1, abs=0.02)


def test_real_psf_is_kept():
    image = Psf.moffat(2.0).stamp(0, 0)
    again = Psf.from_image(image).stamp(0.0, 0.0)
    middle, half = image.shape[0] // 2, 8
    inner = np.s_[middle - half : middle + half + 1, middle - half : middle + half + 1]
    trim = (image.shape[0] - again.shape[0]) // 2
    np.testing.assert_allclose(
        again[tuple(slice(s.start - trim, s.stop - trim) for s in inner)], image[inner], atol=2e-3
    )


def test_hst_psfs_make_stars(real_data):
    with np.load(real_data / "psf" / "hst_psfs.npz") as data:
        psf = Psf.from_image(data["acs_wfc_f606w"])
    image = stars(SHAPE, [80.4], [60.1], [1e4], psf)
    assert np.unravel_index(image.argmax(), SHAPE) == (60, 80)
    assert image.sum() == pytest.approx(1e4, rel=0.03)


def test_stars_at_the_edge_are_cut():
    image = stars(SHAPE, [-0.5, 159.4], [127.0, 3.0], [1000.0, 1000.0], Psf.moffat(2.0))
    assert 700 < image.sum() < 1400


@pytest.mark.parametrize(("index", "tolerance"), [(1.0, 0.01), (4.0, 0.12)])
def test_sersic_has_its_flux_and_half_light_radius(index, tolerance):
    image = sersic(301, 1000.0, 6.0, index, axis_ratio=0.6, angle=30.0)
    assert image.sum() == pytest.approx(1000, rel=tolerance)
    round_one = sersic(301, 1000.0, 6.0, index)
    distance = np.hypot(*np.indices((301, 301)) - 150)
    assert round_one[distance <= 6].sum() == pytest.approx(500, rel=0.06)


def test_galaxies_keep_their_light_when_blurred():
    sharp = galaxies(SHAPE, [80.0], [60.0], [1000.0], 3.0, 1.0)
    blurred = galaxies(SHAPE, [80.0], [60.0], [1000.0], 3.0, 1.0, psf=Psf.moffat(2.0))
    assert blurred.sum() == pytest.approx(sharp.sum(), rel=0.02)
    assert blurred.max() < sharp.max()


@pytest.mark.parametrize(
    "scene",
    [
        lambda: random_field(SHAPE, rng()),
        lambda: long_slit(SHAPE, rng()),
        lambda: planet(SHAPE, rng()),
        lambda: planet(SHAPE, rng(), radius=400, centre=(300, 100)),
        lambda: corona(SHAPE, rng()),
        lambda: star_trails(SHAPE, [30.0], [40.0], [500.0], Psf.moffat(1.5), 20.0, 10.0),
        lambda: hot_pixels(SHAPE, rng()),
        lambda: bad_columns(sky(SHAPE, 50.0), rng()),
        lambda: bias_pattern(SHAPE, rng()),
    ],
)
def test_scenes_are_electrons_that_an_exposure_accepts(scene):
    image = scene()
    assert image.shape == SHAPE
    assert image.dtype == np.float32
    assert np.all(np.isfinite(image))
    assert image.min() >= 0
    np.testing.assert_array_equal(image, scene())


def test_planet_has_a_dark_sky_and_a_night_side():
    image = planet((201, 201), rng(), radius=80, phase=90.0, azimuth=0.0)
    assert image[5, 5] == 0
    assert image[100, 40] < 0.05 * image[100, 160]


def test_corona_is_dark_behind_the_occulter():
    image = corona((201, 201), rng(), pylon=False)
    assert image[100, 100] < 0.01 * image[100, 125]


def test_satellite_trail_has_its_brightness_at_any_angle():
    for angle in (0.0, 20.0, 45.0):
        image = satellite_trail((201, 201), 100.0, 3.0, angle=angle)
        c = np.cos(np.deg2rad(angle))
        assert image.sum() == pytest.approx(100 * 201 / c, rel=0.01)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Psf.moffat(-1.0), "fwhm must be positive"),
        (lambda: Psf.moffat(2.0, 1.0), "beta must be above 1"),
        (lambda: Psf.from_image(np.ones((3, 4))), "image must be square"),
        (lambda: sky(SHAPE, -1.0), "level must not be negative"),
        (lambda: sersic(11, 1.0, -1.0, 1.0), "radius and index must be positive"),
        (lambda: planet(SHAPE, rng(), radius=0.0), "radius must be positive"),
        (lambda: corona(SHAPE, rng(), occulter=2.0), "occulter must be between"),
        (lambda: hot_pixels(SHAPE, rng(), share=2.0), "share must be from 0 to 1"),
    ],
)
def test_bad_input_gives_a_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
