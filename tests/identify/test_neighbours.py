# Licensed under a 3-clause BSD style license - see LICENSE.rst
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.ndimage import maximum_filter

from crismis.identify.judge import load_judge
from crismis.identify.neighbours import (
    DARK,
    LARGEST,
    raise_neighbours,
    spread_of_hits,
)
from crismis.identify.sampling import measure_scene

BESIDE = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)
SIGMA = 10.0


def image_of(shape, light=0.0, bad=None):
    """A dark image with some light, in electrons."""
    data = np.random.default_rng(7).normal(100, SIGMA, shape) + light
    bad = np.zeros(shape, bool) if bad is None else bad
    return measure_scene(data.astype(np.float32), bad, 1.0, 0.0).image


def hits(rng, shape=(600, 90), number=150, skirt=0.3):
    """Sure hits of one pixel, in the midst of pixels of the given probability."""
    probability = np.where(rng.uniform(size=shape) < 0.1, rng.uniform(0, 0.04, shape), 0)
    places = rng.integers(0, np.array(shape)[:, None], (2, number))
    core = np.zeros(shape, bool)
    core[tuple(places)] = True
    probability[maximum_filter(core, footprint=BESIDE)] = skirt
    probability[core] = 0.999
    return probability.astype(np.float32)


@pytest.fixture(scope="module")
def dark():
    return image_of((600, 90))


@pytest.fixture
def undecided():
    return hits(np.random.default_rng(1))


def highest_beside(probability):
    return maximum_filter(probability, footprint=BESIDE, mode="constant")


def raised(probability, power):
    """Probabilities whose odds are multiplied by exp(power)."""
    odds = np.exp(np.asarray(power, dtype=float))
    return probability * odds / (1 - probability + probability * odds)


def test_what_touches_hits_rises_by_the_power_of_the_highest_probability_beside(dark, undecided):
    before, near = undecided.copy(), highest_beside(undecided)
    raise_neighbours(dark, undecided)
    power = np.where(near >= 0.5, LARGEST * near.astype(float) ** 8, 0)
    assert_allclose(undecided, raised(before, power), rtol=1e-4)


def test_what_touches_no_hit_stays(dark, undecided):
    before = undecided.copy()
    raise_neighbours(dark, undecided)
    alone = highest_beside(before) < 0.5
    assert_array_equal(undecided[alone], before[alone])


def test_nothing_falls_and_nothing_exceeds_one(dark, undecided):
    before = undecided.copy()
    raise_neighbours(dark, undecided)
    assert (undecided >= before).all()
    assert undecided.max() <= 1


def test_pixels_that_cannot_be_hits_stay_at_zero(dark):
    probability = hits(np.random.default_rng(2))
    bad = np.random.default_rng(3).uniform(size=probability.shape) < 0.2
    probability[bad] = 0
    raise_neighbours(dark, probability)
    assert not probability[bad].any()


def test_hits_that_end_sharply_change_nothing(dark):
    probability = hits(np.random.default_rng(4), number=600, skirt=0.001)
    before = probability.copy()
    raise_neighbours(dark, probability)
    assert_array_equal(probability, before)


def test_a_source_is_raised_by_as_much_less_as_it_is_bright():
    y, x = np.indices((200, 200)) - 100
    image = image_of((200, 200), 100 * SIGMA * np.exp(-(x**2 + y**2) / (2 * 8.0**2)))
    probability = np.zeros((200, 200), np.float32)
    probability[100, [20, 100]], probability[101, [20, 100]] = 1.0, 0.3
    raise_neighbours(image, probability)
    after = probability[101, [20, 100]]
    free, on_source = np.log(after / (1 - after) / 0.3 * 0.7)
    assert free == pytest.approx(spread_of_hits(1, 8), abs=1e-3)
    assert 0 < on_source < 3 * DARK / 90 * LARGEST


def test_on_fitted_stars_the_ground_must_be_darker():
    image = image_of((60, 60))
    probability = hits(np.random.default_rng(5), (60, 60), 20)
    everywhere, on_stars = probability.copy(), probability.copy()
    raise_neighbours(image, everywhere)
    raise_neighbours(image, on_stars, np.arange(60 * 30))
    assert (on_stars[:30] <= everywhere[:30]).all()
    assert (on_stars[:30] < everywhere[:30]).any()
    assert_array_equal(on_stars[30:], everywhere[30:])


def test_surroundings_leave_out_hits_and_bad_pixels():
    bad = np.zeros((40, 40), bool)
    bad[8:20, 8:20] = True
    bad[13, 13:15] = False
    probability = np.zeros((40, 40), np.float32)
    probability[13, 13] = probability[30, 30] = 1.0
    image = image_of((40, 40), 50 * SIGMA * (probability > 0.5), bad)
    places, near, around = image.touching(probability, 0, 40)
    assert len(places) == 16
    assert (near == 1).all()
    assert np.isinf(around[places == 13 * 40 + 14])
    assert (around[places >= 25 * 40] < 3).all()


@pytest.mark.parametrize("n_threads", [2, 5])
def test_any_number_of_threads_gives_the_same(dark, undecided, n_threads):
    alone = undecided.copy()
    raise_neighbours(dark, alone)
    raise_neighbours(dark, undecided, n_threads=n_threads)
    assert_array_equal(undecided, alone)


@pytest.mark.parametrize("shape", [(2, 3), (3, 40), (40, 2)])
def test_images_of_few_pixels(shape):
    probability = np.full(shape, 0.9, np.float32)
    raise_neighbours(image_of(shape), probability)
    assert (probability >= np.float32(0.9)).all()
    assert probability.max() <= 1


def test_no_hits_at_all(dark):
    probability = np.full((600, 90), 0.4, np.float32)
    raise_neighbours(dark, probability)
    assert_array_equal(probability, np.float32(0.4))


def test_the_rise_grows_with_the_share_of_undecided_pixels():
    rises = [spread_of_hits(share * 10_000, 10_000) for share in (0.02, 0.08, 0.1, 0.4)]
    assert rises[0] == 0
    assert rises == sorted(rises)
    assert rises[-1] == LARGEST


def test_few_pixels_count_for_little():
    assert spread_of_hits(0, 0) == spread_of_hits(12, 100)
    assert 0 < spread_of_hits(0, 10) < spread_of_hits(0, 0)


@pytest.mark.parametrize(
    ("model", "parts"),
    [("space", True), ("terrain", True), ("ground", True), ("spectroscopy", False)],
)
def test_models_that_take_skirts_for_hits_need_no_rise(model, parts):
    assert load_judge(model).parts_skirts is parts
