# Licensed under a 3-clause BSD style license - see LICENSE.rst
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from crismis.detectors import Detector
from crismis.identify import _kernels
from crismis.identify.judge import choose_model, load_judge
from crismis.identify.sampling import CONDITIONS, _level_edges, measure_scene


def scene_of(image, **options):
    image = np.ascontiguousarray(image, dtype=np.float32)
    return measure_scene(image, np.zeros(image.shape, bool), 1.0, 5.0, **options)


@pytest.fixture
def sky():
    return np.random.default_rng(2).normal(60, 9, (512, 640))


def test_traces_and_sky_lines_make_a_spectrum(sky):
    rows = np.arange(512)[:, None]
    trace = 900 * np.exp(-0.5 * ((rows - 200) / 20) ** 2)
    assert choose_model(SimpleNamespace(detector=None), scene_of(sky + trace)) == "spectroscopy"
    turned = scene_of((sky + trace).T)
    assert choose_model(SimpleNamespace(detector=None), turned) == "spectroscopy"


def test_empty_sky_and_gradients_make_an_image(sky):
    frame = SimpleNamespace(detector=None)
    assert choose_model(frame, scene_of(sky)) == "space"
    assert choose_model(frame, scene_of(sky + np.linspace(0, 300, 640))) == "space"


def test_a_smear_through_a_disc_makes_no_spectrum(sky):
    rows, columns = np.mgrid[:512, :640]
    disc = 4000.0 * (np.hypot(rows - 250, columns - 330) < 60)
    smear = np.where(abs(columns - 330) < 14, 108.0, 0)
    assert choose_model(SimpleNamespace(detector=None), scene_of(sky + disc + smear)) == "space"


@pytest.mark.parametrize("turned", [False, True])
def test_bands_that_were_not_read_out_make_no_spectrum(sky, turned):
    image = np.round(sky + np.linspace(0, 90, 512)[:, None])
    image[:, :150] = image[:, 480:] = 0
    image = image.T if turned else image
    assert choose_model(SimpleNamespace(detector=None), scene_of(image)) == "space"


def test_structure_that_is_not_the_same_all_along_makes_no_spectrum(sky):
    rows = np.arange(512)[:, None]
    waves = 300 * np.sin(rows / 20 + np.arange(640) / 40)
    assert choose_model(SimpleNamespace(detector=None), scene_of(sky + waves)) == "terrain"


def test_a_few_boxes_that_agree_by_chance_make_no_spectrum():
    rng = np.random.default_rng(3)
    for _ in range(30):
        image = rng.normal(100, 10, (384, 384)) + gaussian_filter(
            rng.normal(0, 500, (384, 384)), 20
        )
        assert not scene_of(image).spectral


def test_the_longer_a_spectrum_the_less_its_parts_must_agree():
    rng = np.random.default_rng(4)
    profile = np.repeat(rng.normal(0, 15, 34), 32)[:, None]
    other = np.kron(rng.normal(0, 10, (34, 4)), np.ones((32, 160)))
    image = rng.normal(100, 10, (1088, 640)) + profile + other
    assert scene_of(image).spectral
    assert not scene_of(image[:384]).spectral


def hills(strength):
    texture = np.random.default_rng(5).normal(size=(512, 640))
    smooth = sum(r * gaussian_filter(texture, r) for r in (2, 5, 15, 40))
    return strength * smooth / smooth.std()


def test_structure_all_over_makes_terrain_unless_the_noise_drowns_it(sky):
    frame = SimpleNamespace(detector=None)
    assert choose_model(frame, scene_of(sky + 60 + hills(80))) == "terrain"
    assert choose_model(frame, scene_of(sky + 60 + hills(20))) == "terrain"
    assert choose_model(frame, scene_of(sky + hills(3))) == "space"
    planet = np.where(np.arange(640) < 120, 60 + hills(80), 0)
    assert choose_model(frame, scene_of(sky + planet)) == "space"  # a fifth of the image
    known = SimpleNamespace(detector=Detector("x", location="La Silla, 2400 m"))
    assert choose_model(known, scene_of(sky + 60 + hills(80))) == "ground"


@pytest.mark.parametrize("tilt", [(0, 20), (20, 0), (15, -15)])
def test_a_steep_gradient_is_no_structure(sky, tilt):
    rows, columns = np.indices(sky.shape)
    light = 1e4 + tilt[0] * rows + tilt[1] * columns
    assert not scene_of(light + (sky - 60) / 9 * np.sqrt(light)).structured


def test_crowded_stars_are_no_structure(sky):
    stars = np.zeros(sky.shape)
    rng = np.random.default_rng(6)
    flux = 10 ** rng.uniform(2.5, 5.5, 6000)
    np.add.at(stars, tuple(rng.integers(0, n, flux.size) for n in sky.shape), flux)
    assert not scene_of(rng.poisson(gaussian_filter(stars, 0.9)) + sky).structured


def test_a_cluster_is_no_terrain_though_its_level_differs_all_over(sky):
    rng = np.random.default_rng(6)
    stars = np.zeros(sky.shape)
    np.add.at(
        stars, tuple(rng.integers(0, n, 9000) for n in sky.shape), 10 ** rng.uniform(3, 6, 9000)
    )
    light = gaussian_filter(stars, 1.2) + gaussian_filter(stars, 12)
    image = rng.poisson(light) + sky
    level = np.median(image.reshape(16, 32, 20, 32), axis=(1, 3))
    assert np.mean(abs(np.diff(level, axis=0)) > 2 * np.sqrt(level[1:])) > 0.5
    assert not scene_of(image).structured


@pytest.mark.parametrize("shape", [(1, 1), (1, 100), (47, 47), (33, 500)])
def test_small_images_have_no_structure(sky, shape):
    assert not scene_of((sky + hills(80))[: shape[0], : shape[1]]).structured


def test_detectors_on_mountains_take_the_ground_model(sky):
    frame = SimpleNamespace(detector=Detector("x", location="La Silla, 2400 m"))
    assert choose_model(frame, scene_of(sky)) == "ground"
    frame = SimpleNamespace(detector=Detector("x", location="low Earth orbit"))
    assert choose_model(frame, scene_of(sky)) == "space"


def test_the_sky_subtracted_image_gets_the_measured_noise(sky):
    assert scene_of(sky - 60).sigma == pytest.approx(9, rel=0.1)


def test_a_bias_level_that_was_not_subtracted_adds_no_noise(sky):
    image = sky + 2500
    image[:40] = 2500 + np.random.default_rng(3).normal(0, 5, (40, 640))  # overscan
    assert scene_of(image).sigma == pytest.approx(9, rel=0.1)


def test_coarse_numbers_hide_no_noise(sky):
    coarse = 20 * np.round(sky / 20)  # 20 electrons per number
    assert 8 < scene_of(coarse).sigma < 13


def test_a_given_width_changes_the_description(sky):
    image = np.ascontiguousarray(sky, dtype=np.float32)
    bad = np.zeros(image.shape, bool)
    wide = measure_scene(image, bad, 1.0, 5.0, psf_fwhm=3.5).conditions
    sharp = measure_scene(image, bad, 1.0, 5.0, psf_fwhm=1.2).conditions
    assert wide.shape == (CONDITIONS,)
    assert not np.allclose(wide, sharp)


def noisy_border(sky, width):
    """Amplify the noise of the first rows, as a flat field does where hardly any light falls."""
    image = sky.copy()
    image[:width] = 60 + 12 * (image[:width] - 60)
    return image


def test_an_image_of_one_kind_has_no_parts(sky):
    assert scene_of(sky).parts is None
    assert scene_of(noisy_border(sky, 512)).parts is None
    few = sky.copy()
    few[:64, :160] = noisy_border(sky, 64)[:64, :160]
    assert scene_of(few).parts is None
    assert scene_of(noisy_border(sky, 64), rough=None).parts is None


def test_a_noisy_border_is_a_part_of_its_own(sky):
    parts = scene_of(noisy_border(sky, 64)).parts
    rough = parts.pixels(0, 0, 512, 640)
    assert rough[:96].all()
    assert not rough[96:].any()
    np.testing.assert_array_equal(parts.pixels(90, 11, 20, 30), rough[90:110, 11:41])


def test_parts_say_nothing_of_each_other(sky):
    alone = scene_of(sky[96:]).conditions
    scene = scene_of(noisy_border(sky, 64))
    np.testing.assert_allclose(scene.parts.quiet_conditions, alone, atol=0.15)
    assert abs(scene.conditions - alone).max() > 0.5
    assert abs(scene.parts.rough_conditions - alone).max() > 1


def snr_of(image, **options):
    reach = _kernels.REACH
    planes = scene_of(image, **options).image.planes(0, 0, *image.shape)
    return planes[0, reach:-reach, reach:-reach]


def test_hardly_any_of_a_structured_scene_lies_below_its_background(sky):
    rows, columns = np.mgrid[:512, :640]
    ridges = 900 * (1 + np.sin(rows / 3 + columns / 5))
    assert np.mean(snr_of(sky + ridges) < -3.5) < 0.1
    assert np.mean(snr_of(sky + ridges, rough=None) < -3.5) > 0.3


@pytest.mark.parametrize("width", range(2, 13))
def test_the_level_beside_a_narrow_stop_stays_that_of_the_sky(sky, width):
    image = 360 + 2.2 * (sky - 60)
    image[:, -width:] = np.random.default_rng(5).normal(0, 5, (512, width))
    lit = snr_of(image)[:, : -width - 1]
    assert np.percentile(lit, 99.99) < 6


@pytest.mark.parametrize("turned", [False, True])
def test_the_level_beside_a_limb_is_that_of_the_sky(sky, turned):
    rows, columns = np.mgrid[:512, :640]
    away = 300 - np.hypot(rows - 256, columns - 650)
    terrain = 3000 + 900 * np.sin(rows / 3 + columns / 5)
    glow = 100 * np.exp(np.minimum(away, 0) / 20)
    image = sky + np.where(away > 0, terrain, glow)
    snr = snr_of(image.T).T if turned else snr_of(image)
    assert abs(np.median(snr[(away < -4) & (away > -12)])) < 4
    assert abs(np.median(snr[(away < -12) & (away > -40)])) < 2


def test_the_screen_sees_hits_in_shadow(sky):
    rows, columns = np.mgrid[:512, :640]
    image = sky + 900 * (1 + np.sin(rows / 3 + columns / 5))
    dark = np.argwhere(np.sin(rows / 3 + columns / 5) < -0.9)[::500]
    image[tuple(dark.T)] += 200
    floor = load_judge("space").card["screen"]["floor_snr"]
    assert np.mean(snr_of(image)[tuple(dark.T)] > floor) > 0.99


def test_stars_noise_and_dead_lines_do_not_lower_the_background(sky):
    rng = np.random.default_rng(3)
    sky[::29, ::31] += 10 ** rng.uniform(2, 4, sky[::29, ::31].shape)
    before = np.median(snr_of(sky))
    sky[:, 100], sky[300] = 0, 0
    assert np.median(snr_of(sky)) == pytest.approx(before, abs=0.01)
    assert before == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("turn", range(4))
def test_a_bright_outermost_line_is_levelled_and_its_hits_stand_out(sky, turn):
    image = np.rot90(sky, turn).copy()
    width = image.shape[1]
    image[0] += np.linspace(150, 300, width)
    image[0, 100:103] += 400
    before = image.copy()
    snr = snr_of(image)
    np.testing.assert_array_equal(image, before)
    assert np.median(snr[0]) == pytest.approx(0, abs=0.3)
    assert np.std(np.delete(snr[0], slice(98, 105))) < 2
    assert (snr[0, 100:103] > 20).all()


def test_slopes_faint_dark_and_short_edges_are_left_as_they_are(sky):
    slope = sky + 30.0 * np.arange(512)[::-1, None]
    faint, dark, short = sky.copy(), sky.copy(), sky[:, :20].copy()
    faint[0] += 5
    dark[0] -= 500
    short[0] += 500
    for image in (sky, slope, faint, dark, short):
        assert _level_edges(image, np.zeros(image.shape, bool), 9.0) is image


@pytest.mark.parametrize("shape", [(1, 1), (1, 100), (5, 5), (47, 47), (33, 500)])
def test_the_share_below_is_found_in_boxes_of_any_size(shape):
    image = np.random.default_rng(4).normal(0, 100, shape).astype(np.float32)
    image[0, :] = np.nan
    bad = np.isnan(image)
    scene = measure_scene(np.nan_to_num(image), bad, 1.0, 1.0)
    assert np.isfinite(scene.image.planes(0, 0, *shape)).all()


@pytest.mark.parametrize("name", ["space", "terrain", "spectroscopy", "ground"])
def test_shipped_models_load_and_tell_of_themselves(name):
    card = load_judge(name).card
    assert card["name"] == name
    assert card["data"]
    assert card["limits"]
    assert 0 < card["hit_fraction"] < 0.2
