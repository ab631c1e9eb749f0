# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The point-spread function of an image, its stars, and hits on them."""

import numpy as np
import pytest
from astropy.nddata import CCDData

from crismis import cosmicray_learned
from crismis.identify import _kernels
from crismis.identify.sampling import measure_scene
from crismis.identify.stars import fit_stars_of, star_inputs

SKY, READNOISE = 60.0, 5.0


def moffat(y, x, fwhm, shape):
    """A star of unit flux, the mean of 5 x 5 points in each pixel."""
    alpha2 = (fwhm / 2) ** 2 / (2 ** (1 / 2.5) - 1)
    fine = (np.arange(5) - 2) / 5
    rows = (np.arange(shape[0])[:, None] + fine - y).reshape(-1, 1)
    columns = (np.arange(shape[1])[:, None] + fine - x).reshape(1, -1)
    profile = 1.5 / np.pi / alpha2 * (1 + (rows**2 + columns**2) / alpha2) ** -2.5
    return profile.reshape(shape[0], 5, shape[1], 5).mean(axis=(1, 3))


def star_image(fwhm=2.2, seed=1, side=320, spacing=32):
    """Stars near a grid; the image, the scene, their rows, columns and fluxes."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[20 : side - 12 : spacing, 20 : side - 12 : spacing].reshape(2, -1)
    rows, columns = (p + rng.uniform(-0.5, 0.5, p.size) for p in (rows, columns))
    flux = 10 ** rng.uniform(3, 5, rows.size)
    scene = np.full((side, side), SKY)
    for y, x, f in zip(rows, columns, flux, strict=True):
        top, left = int(y) - 15, int(x) - 15
        window = np.s_[max(top, 0) : top + 31, max(left, 0) : left + 31]
        part = scene[window]
        part += f * moffat(y - window[0].start, x - window[1].start, fwhm, part.shape)
    image = rng.poisson(scene) + rng.normal(0, READNOISE, scene.shape)
    return image.astype(np.float32), scene, rows, columns, flux


def fitted(image, probability=None, bad=None, n_threads=1, saturation=np.inf):
    bad = np.zeros(image.shape, bool) if bad is None else bad
    if probability is None:
        probability = np.zeros(image.shape, np.float32)
    scene = measure_scene(image, bad, 1.0, READNOISE, saturation=saturation)
    return fit_stars_of(scene.image, probability, n_threads)


@pytest.mark.parametrize("fwhm", [1.6, 2.2, 3.5])
def test_stars_leave_no_more_than_noise(fwhm):
    image, *_ = star_image(fwhm)
    field = fitted(image)
    core = np.s_[:, 4:9, 4:9]
    variance = 1 + field.models[core] / field.sigma_electrons
    rest = (field.stamps[core] - field.models[core]) / np.sqrt(variance)
    assert field.error < 0.02
    assert 0.8 < 1.48 * np.median(abs(rest)) < 1.2
    assert np.mean(abs(rest) > 5) < 0.005


def test_places_and_fluxes_are_those_of_the_stars():
    image, _, rows, columns, flux = star_image()
    field = fitted(image)
    bright = np.flatnonzero(flux > 2e4)
    y = field.centres[:, 0] + field.stars["dy"]
    x = field.centres[:, 1] + field.stars["dx"]
    nearest = [np.argmin(np.hypot(y - rows[i], x - columns[i])) for i in bright]
    shift = np.stack([y[nearest] - rows[bright], x[nearest] - columns[bright]])
    assert np.all(abs(shift - np.median(shift, axis=1, keepdims=True)) < 0.06)
    ratio = field.stars["flux"][nearest] / flux[bright]
    assert np.std(ratio) / np.mean(ratio) < 0.03


def test_a_hit_on_a_core_stands_out_of_what_the_stars_leave():
    image, scene, rows, columns, flux = star_image()
    chosen = np.argsort(flux)[60:64]
    places = [(round(rows[i]), round(columns[i])) for i in chosen]
    probability = np.full(image.shape, 0.001, np.float32)
    for y, x in places:
        image[y, x + 1] += 12 * np.sqrt(scene[y, x + 1] + READNOISE**2)
        probability[y, x + 1] = 0.2
    where, inputs = star_inputs(fitted(image, probability), probability)
    hits = [y * image.shape[1] + x + 1 for y, x in places]
    central = _kernels.STAR_WINDOW_PIXELS // 2
    rest = inputs[:, central]
    assert np.all(rest[np.isin(where, hits)] > 6)
    assert np.mean(rest[~np.isin(where, hits)] > 5) < 0.02


def test_pixels_come_once_each_and_only_from_suspect_stars():
    image, _, rows, columns, _ = star_image()
    probability = np.full(image.shape, 0.001, np.float32)
    y, x = round(rows[40]), round(columns[40])
    probability[y, x] = 0.3
    where, inputs = star_inputs(fitted(image, probability), probability)
    assert len(np.unique(where)) == len(where) == len(inputs) > 9
    row, column = np.divmod(where, image.shape[1])
    assert abs(row - y).max() <= 3
    assert abs(column - x).max() <= 3


@pytest.mark.parametrize("kind", ["noise", "few", "rough"])
def test_no_stars_of_one_shape(kind):
    rng = np.random.default_rng(3)
    image = rng.normal(SKY, 9, (256, 256)).astype(np.float32)
    if kind == "few":
        image[:64, :64] = star_image(side=64)[0]
    if kind == "rough":
        image += 3000 * rng.random((256, 256)).astype(np.float32) ** 8
    assert fitted(image) is None


def test_bad_pixels_do_not_spoil_stars():
    image, _, rows, columns, _ = star_image()
    bad = np.zeros(image.shape, bool)
    for y, x in zip(rows[::3], columns[::3], strict=True):
        bad[round(y) + 1, round(x)] = True
    image[bad] = np.nan
    field = fitted(np.where(bad, 0, image).astype(np.float32), bad=bad)
    assert np.median(field.stars["chi"]) < 1.4


@pytest.mark.parametrize("saturation", [np.inf, 3000.0])
def test_saturated_stars_do_not_spoil_the_common_shape(saturation):
    image = np.minimum(star_image()[0], 3000)  # of 100 stars the brightest third or so
    clear = fitted(image, saturation=saturation)
    assert clear.error < 0.04
    faint = clear.stars["flux"] < np.percentile(clear.stars["flux"], 60)
    assert np.median(clear.stars["chi"][faint]) < 1.4


def test_stars_below_many_saturated_ones_tell_the_common_shape():
    image = np.minimum(star_image(side=960)[0], 400)  # of 841 stars the brightest 600 or so
    field = fitted(image, saturation=400.0)
    assert field.error < 0.05
    faint = field.stars["flux"] < np.percentile(field.stars["flux"], 20)
    assert np.median(field.stars["chi"][faint]) < 1.4


def test_stars_may_differ_a_little_across_the_image():
    narrow, wide = (star_image(fwhm)[1] for fwhm in (2.2, 2.8))
    across = np.linspace(0, 1, 320)
    rng = np.random.default_rng(2)
    image = rng.poisson(narrow * (1 - across) + wide * across) + rng.normal(
        0, READNOISE, wide.shape
    )
    assert 0.02 < fitted(image.astype(np.float32)).error < 0.08


def test_the_same_for_any_number_of_threads():
    image, *_ = star_image()
    one, three = fitted(image), fitted(image, n_threads=3)
    assert np.array_equal(one.models, three.models)
    assert np.array_equal(one.stamps, three.stamps)


def boosted(leaves):
    from sklearn.ensemble import HistGradientBoostingClassifier

    from crismis.learning.trees import flatten_trees

    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(500, _kernels.STAR_INPUTS)).astype(np.float32)
    boosting = HistGradientBoostingClassifier(
        max_iter=20, max_leaf_nodes=leaves, min_samples_leaf=1, random_state=1
    )
    boosting.fit(inputs, inputs[:, 3] + inputs[:, 50] + rng.normal(size=500) > 0)
    arrays, _ = flatten_trees(boosting)
    del arrays["output"]
    return boosting, arrays, inputs


@pytest.mark.parametrize("leaves", [2, 31, _kernels.MOST_LEAVES])
@pytest.mark.parametrize("target", range(_kernels.best_target() + 1))
def test_trees_sum_what_scikit_learn_sums(leaves, target):
    boosting, arrays, inputs = boosted(leaves)
    trees = _kernels.Trees(**arrays, inputs=_kernels.STAR_INPUTS)
    sums = trees.logits(inputs, target)
    np.testing.assert_allclose(sums, boosting.decision_function(inputs), atol=1e-4)
    assert np.array_equal(sums[:37], trees.logits(inputs[:37]))


def test_trees_that_do_not_suit_the_kernels_are_refused():
    _, arrays, _ = boosted(_kernels.MOST_LEAVES + 1)
    with pytest.raises(ValueError, match="more than 32 leaves"):
        _kernels.Trees(**arrays, inputs=_kernels.STAR_INPUTS)
    _, arrays, _ = boosted(8)
    trees = _kernels.Trees(**arrays, inputs=_kernels.STAR_INPUTS)
    with pytest.raises(ValueError, match=f"need {_kernels.STAR_INPUTS} inputs, got 5"):
        trees.logits(np.ones((2, 5), np.float32))


def hits_on_stars(fwhm=2.2, seed=5):
    """An image of stars with a short track across every third core, and where the tracks are."""
    image, scene, rows, columns, _ = star_image(fwhm, seed)
    hit = np.zeros(image.shape, bool)
    for y, x in zip(rows[::3], columns[::3], strict=True):
        for k in range(3):
            at = round(y) + k - 1, round(x) + k
            image[at] += 20 * np.sqrt(scene[at] + READNOISE**2)
            hit[at] = True
    return image, hit


def found(image, **options):
    ccd = CCDData(image, unit="electron")
    return cosmicray_learned(ccd, readnoise=READNOISE, repair=False, **options)


def test_more_hits_on_stars_are_found_and_hardly_more_of_the_stars():
    plain, fitted, clean = 0, 0, 0
    for seed in range(5, 9):
        image, hit = hits_on_stars(seed=seed)
        before, after = (found(image, fit_stars=fit).hits for fit in (False, True))
        plain += np.count_nonzero(before & hit)
        fitted += np.count_nonzero(after & hit)
        clean += np.count_nonzero(after & ~hit) - np.count_nonzero(before & ~hit)
    assert fitted > 1.3 * plain > 0
    assert clean < 0.1 * (fitted - plain)


def test_fitted_stars_are_the_same_for_any_number_of_threads():
    image, _ = hits_on_stars()
    one, three = (found(image, n_threads=n).probability for n in (1, 3))
    assert np.array_equal(one, three)
    assert not np.array_equal(one, found(image, fit_stars=False).probability)


def test_bands_change_nothing_where_stars_stand_apart(monkeypatch):
    image = np.full((900, 330), SKY, np.float32)
    image += np.random.default_rng(3).normal(0, 9, image.shape).astype(np.float32)
    image[:320, :320] = hits_on_stars()[0]
    plain, one = (found(image, fit_stars=fit).probability for fit in (False, True))
    monkeypatch.setattr("crismis.identify.stars._BAND", 90)
    assert np.array_equal(found(image).probability, one)
    assert not np.array_equal(one, plain)


def test_nothing_changes_where_there_are_no_stars():
    image = np.random.default_rng(2).normal(SKY, 9, (200, 200)).astype(np.float32)
    image[50, 60:70] += 400
    plain, fitted = (found(image, fit_stars=fit).probability for fit in (False, True))
    assert np.array_equal(plain, fitted)


def test_a_model_that_has_not_learned_of_stars_leaves_them_as_they_are():
    image, _ = hits_on_stars()
    plain, fitted = (found(image, model="ground", fit_stars=fit) for fit in (False, True))
    assert np.array_equal(plain.probability, fitted.probability)
