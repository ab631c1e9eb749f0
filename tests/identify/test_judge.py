# Licensed under a 3-clause BSD style license - see LICENSE.rst
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.ndimage import convolve, gaussian_filter, maximum_filter
from scipy.special import logit

from crismis.errors import ModelError
from crismis.identify import _kernels
from crismis.identify.judge import (
    Judge,
    hit_probability,
    judge_scene,
    load_judge,
    look_again,
    reweight,
)
from crismis.identify.sampling import measure_scene
from crismis.learning.dataset import gather_refine
from crismis.learning.trees import flatten_trees
from crismis.network import save_model


def make_frame(electrons, bad=None, gain=1.0, readnoise=5.0):
    electrons = np.ascontiguousarray(electrons, dtype=np.float32)
    bad = ~np.isfinite(electrons) | (False if bad is None else bad)
    return SimpleNamespace(
        electrons=electrons,
        bad=bad,
        gain=gain,
        readnoise=readnoise,
        background=None,
        variance=None,
        saturation=np.inf,
    )


@pytest.fixture
def sky():
    rng = np.random.default_rng(7)
    return rng.poisson(60, (600, 530)) + rng.normal(0, 5, (600, 530))


def add_track(image, row, column, charge=700.0):
    for k in range(6):
        image[row + k // 2, column + k] += charge
    return image


def test_track_in_an_empty_field_is_found_and_nothing_else(sky):
    image = add_track(sky, 300, 200)
    probability = hit_probability(make_frame(image))
    on_track = [probability[300 + k // 2, 200 + k] for k in range(6)]
    assert min(on_track) > 0.9
    assert (probability > 0.5).sum() <= 12


def test_the_number_of_threads_changes_no_bit(sky):
    frame = make_frame(add_track(sky, 255, 253))
    one, two, five = (hit_probability(frame, n_threads=n) for n in (1, 2, 5))
    assert np.array_equal(one, two)
    assert np.array_equal(one, five)


@pytest.fixture
def hits_beside_terrain(sky):
    """Hits in the sky, and rough ground beside it."""
    rng = np.random.default_rng(8)
    places = rng.integers([0, 150], [520, 590], (300, 2)).T
    image = np.zeros((530, 600))
    for k in range(3):
        image[places[0], places[1] + k] += 60
    image += sky.T
    image[:, :120] += 3000 + 2000 * gaussian_filter(rng.normal(size=(530, 120)), 0.8)
    hit = np.zeros(image.shape, bool)
    for k in range(3):
        hit[places[0], places[1] + k] = True
    return image, hit


def test_rough_ground_does_not_hide_hits_elsewhere(hits_beside_terrain):
    image, hit = hits_beside_terrain
    together = hit_probability(make_frame(image)) > 0.5
    alone = hit_probability(make_frame(image[:, 160:])) > 0.5
    found = together[:, 160:][hit[:, 160:]].mean()
    assert found == pytest.approx(alone[hit[:, 160:]].mean(), abs=0.03)
    assert together[:, 160:][~hit[:, 160:]].mean() < 1e-3
    assert together[:, :120].mean() < 1e-3


def test_threads_change_no_bit_of_an_image_with_rough_parts(hits_beside_terrain):
    frame = make_frame(hits_beside_terrain[0])
    one, three = (hit_probability(frame, n_threads=n) for n in (1, 3))
    assert np.array_equal(one, three)


@pytest.mark.parametrize("model", ["space", "terrain"])
def test_who_has_learned_from_rough_parts_judges_them_by_their_own_numbers(
    hits_beside_terrain, model
):
    image = hits_beside_terrain[0].astype(np.float32)
    scene = measure_scene(image, np.zeros(image.shape, bool), 1.0, 5.0)
    judge, parts = load_judge(model), scene.parts
    known = scene.conditions, parts.quiet_conditions, parts.rough_conditions
    whole, quiet, rough = (np.empty(image.shape, np.float32) for _ in known)
    for numbers, logits in zip(known, (whole, quiet, rough), strict=True):
        judge.network(numbers).judge(scene.image, 0, 0, *image.shape, logits)
    assert judge.card.get("parts", False) == (model == "terrain")
    expected = rough if model == "terrain" else np.minimum(whole, rough)
    expected = np.where(parts.pixels(0, 0, *image.shape), expected, quiet)
    np.testing.assert_array_equal(judge_scene(scene, judge, 0), expected)
    assert (whole != rough).any()


@pytest.fixture
def crowded(sky):
    """Tracks of all brightnesses, many across others, also on the border."""
    rng = np.random.default_rng(10)
    image = sky.astype(np.float32)
    for length in rng.integers(3, 60, 500):
        row, column = rng.integers([0, 0], image.shape)
        angle, charge = rng.uniform(0, 2 * np.pi), np.exp(rng.uniform(3, 8))
        for k in range(length):
            y, x = round(row + k * np.sin(angle)), round(column + k * np.cos(angle))
            if 0 <= y < image.shape[0] and 0 <= x < image.shape[1]:
                image[y, x] += rng.gamma(2, charge / 2)
    return image


@pytest.fixture(params=["alike", "with rough parts"])
def judged(request, crowded):
    """A scene, its model and what was judged at the first look."""
    if request.param != "alike":
        rng = np.random.default_rng(8)
        crowded[:, :120] += 3000 + 2000 * gaussian_filter(rng.normal(size=(600, 120)), 0.8)
    scene = measure_scene(crowded, np.zeros(crowded.shape, bool), 1.0, 5.0)
    assert (scene.parts is not None) == (request.param != "alike")
    judge = load_judge("space")
    return scene, judge, judge_scene(scene, judge, judge.refinements)


def test_a_second_look_adds_only_doubtful_pixels_near_hits(judged):
    scene, judge, first = judged
    again = first.copy()
    look_again(scene, judge, again)
    assert (again >= first).all()
    new = (again >= 0.5) & (first < 0.5)
    assert 0 < new.sum() < 0.05 * (first >= 0.5).sum()
    raised = again > first
    near = maximum_filter(again, 9) >= 0.5
    assert not (raised & ~near).any()
    assert first[raised].min() > 0.01


def test_threads_change_no_bit_of_a_second_look(judged):
    scene, judge, first = judged
    one, three = first.copy(), first.copy()
    look_again(scene, judge, one, n_threads=1)
    look_again(scene, judge, three, n_threads=3)
    assert np.array_equal(one, three)


def test_a_second_look_sees_what_a_pass_over_the_repaired_image_sees(crowded):
    good = np.zeros(crowded.shape, bool)
    scene = measure_scene(crowded, good, 1.0, 5.0)
    judge = load_judge("space")
    first = judge_scene(scene, judge, judge.refinements)
    hits = first >= 0.5
    distance = np.hypot(*np.mgrid[-2:3, -2:3])
    weight = np.where(distance > 0, np.maximum(distance, 1) ** -4, 0)
    around = convolve(np.where(hits, 0, crowded), weight) / convolve(1.0 * ~hits, weight)
    repaired = np.where(hits, around, crowded).astype(np.float32)
    alike = replace(measure_scene(repaired, good, 1.0, 5.0), conditions=scene.conditions)
    second = judge_scene(alike, judge, judge.refinements)
    places = np.flatnonzero((first > 0.05) & ~hits & (maximum_filter(first, 9) >= 0.5))
    network = judge.network(scene.conditions)
    seen = network.look_again(scene.image, first, places, network)
    difference = abs(seen - second.ravel()[places])
    assert len(places) > 100
    assert np.median(difference) < 0.01
    assert np.mean(difference < 0.2) > 0.95


@pytest.fixture
def trees_judge(crowded):
    """A scene, a judge whose last judgement is one of trees, and the fitted trees."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    scene = measure_scene(crowded, np.zeros(crowded.shape, bool), 1.0, 5.0)
    judge = load_judge("space")
    logits = judge_scene(scene, judge, judge.refinements - 1)
    seen = gather(scene, logits, np.flatnonzero(logits > _kernels.TREES_FROM))
    rng = np.random.default_rng(11)
    centre, brightness = seen[:, 73], seen[:, 147]
    label = centre + brightness + rng.normal(size=len(seen)) > 2
    boosting = HistGradientBoostingClassifier(max_iter=20, max_leaf_nodes=15, random_state=0)
    boosting.fit(seen, label)
    arrays, _ = flatten_trees(boosting)
    return scene, with_trees(judge, arrays), boosting


def with_trees(judge, arrays):
    trees = {f"trees_{k}": v for k, v in arrays.items() if k != "output"}
    same = np.linspace(-16, 16, _kernels.KNOTS, dtype=np.float32)
    return Judge(judge.arrays | trees | {"table": same}, judge.card)


def gather(scene, logits, places):
    planes = scene.image.planes(0, 0, *logits.shape)
    y, x = np.divmod(places, logits.shape[1])
    places = (y + _kernels.REACH) * planes.shape[2] + x + _kernels.REACH
    return gather_refine(planes, logits, places, scene.sigma_electrons)


def test_trees_give_the_sums_of_scikit_learn_and_leave_the_unlikely(trees_judge):
    scene, judge, boosting = trees_judge
    assert judge.refinements == load_judge("space").refinements + 1
    logits = judge_scene(scene, judge, judge.refinements - 1)
    probability = judge_scene(scene, judge, judge.refinements)
    likely = np.flatnonzero(logits > _kernels.TREES_FROM)
    expected = boosting.predict_proba(gather(scene, logits, likely))[:, 1]
    # Sums of float32 inputs may fall on the other side of a threshold.
    assert np.mean(abs(probability.ravel()[likely] - expected) < 1e-5) > 0.999
    assert len(likely) > 5000
    rest = (logits <= _kernels.TREES_FROM) & (logits > _kernels.SCREENED_OUT)
    np.testing.assert_allclose(probability[rest], 1 / (1 + np.exp(-logits[rest])), rtol=1e-4)
    assert (probability[logits == _kernels.SCREENED_OUT] == 0).all()


def test_threads_change_no_bit_of_the_trees_judgement(trees_judge):
    scene, judge, _ = trees_judge
    one, three = (judge_scene(scene, judge, judge.refinements, n) for n in (1, 3))
    assert np.array_equal(one, three)
    first = one.copy()
    look_again(scene, judge, one, n_threads=1)
    look_again(scene, judge, three, n_threads=3)
    assert np.array_equal(one, three)
    assert (one > first).any()


def test_tiles_change_no_bit_of_the_trees_judgement(trees_judge):
    scene, judge, _ = trees_judge
    logits = judge_scene(scene, judge, judge.refinements - 1)
    network = judge.network(scene.conditions)
    rows, columns = logits.shape
    whole, parts = np.zeros_like(logits), np.zeros_like(logits)
    network.refine(scene.image, 2, 1, 0, 0, rows, columns, logits, whole)
    for row in range(0, rows, 50):
        for column in range(0, columns, 53):
            network.refine(scene.image, 2, 1, row, column, 50, 53, logits, parts)
    assert np.array_equal(whole, parts)


def test_instruction_sets_agree_on_the_trees_judgement(trees_judge):
    scene, judge, _ = trees_judge
    logits = judge_scene(scene, judge, judge.refinements - 1)
    network = judge.network(scene.conditions)
    results = []
    for target in range(_kernels.best_target() + 1):
        scene.image.target = target
        results.append(np.zeros_like(logits))
        network.refine(scene.image, 2, 1, 0, 0, *logits.shape, logits, results[-1])
    for other in results[1:]:
        assert np.mean(abs(other - results[0]) < 1e-5) > 0.9999


def test_a_second_look_reaches_as_far_as_the_trees_do(trees_judge):
    scene, judge, _ = trees_judge
    first = judge_scene(scene, judge, judge.refinements)
    places = np.flatnonzero((first > 0.1) & (first < 0.5))[:300]
    network = judge.network(scene.conditions)
    # Where nothing counts as a hit, the second look sees what the first saw.
    low = np.minimum(first, np.float32(0.4))
    assert np.array_equal(network.look_again(scene.image, low, places, network), first.flat[places])


@pytest.mark.parametrize(
    ("name", "place", "value", "message"),
    [
        ("feature", 0, 148, "input 148"),
        ("feature", 0, -1, "input -1"),
        ("left", 0, 0, "do not lie behind"),
        ("right", 0, 30_000, "do not lie behind"),
        ("left", -1, 30_000, "leaf 30000"),
        ("roots", 0, 30_000, "begins at node 30000"),
        ("roots", -1, -1, "begins at node -1"),
    ],
)
def test_damaged_trees_are_refused(trees_judge, tmp_path, name, place, value, message):
    _, judge, _ = trees_judge
    trees = {k: v.copy() for k, v in judge.arrays.items()}
    trees[f"trees_{name}"][place] = value
    save_model(tmp_path / "damaged.crm", trees, judge.card)
    with pytest.raises(ModelError, match=message):
        load_judge(tmp_path / "damaged.crm")


@pytest.mark.parametrize("name", ["feature", "left", "leaves", "start", "roots"])
def test_trees_of_wrong_shapes_are_refused(trees_judge, tmp_path, name):
    _, judge, _ = trees_judge
    damaged = judge.arrays | {f"trees_{name}": judge.arrays[f"trees_{name}"][:0]}
    save_model(tmp_path / "damaged.crm", damaged, judge.card)
    with pytest.raises(ModelError, match="arrays"):
        load_judge(tmp_path / "damaged.crm")


def test_trees_without_an_array_are_refused(trees_judge, tmp_path):
    _, judge, _ = trees_judge
    damaged = {k: v for k, v in judge.arrays.items() if k != "trees_left"}
    save_model(tmp_path / "damaged.crm", damaged, judge.card)
    with pytest.raises(ModelError, match="arrays"):
        load_judge(tmp_path / "damaged.crm")


@pytest.mark.parametrize(
    ("sigma", "core"), [(0.7, np.s_[300:301, 200:201]), (1, np.s_[299:302, 199:202])]
)
def test_beside_the_core_of_a_star_nothing_is_judged_again(sky, sigma, core):
    y, x = np.mgrid[:600, :530]
    star = 30_000 * np.exp(-((y - 300) ** 2 + (x - 200) ** 2) / (2 * sigma**2))
    scene = measure_scene((sky + star).astype(np.float32), np.zeros(sky.shape, bool), 1.0, 5.0)
    first = np.where(star > 100, np.float32(0.3), np.float32(0))
    first[core] = 0.9
    again = first.copy()
    look_again(scene, load_judge("space"), again)
    assert np.array_equal(again, first)


def test_without_hits_there_is_nothing_to_look_at_again(sky):
    scene = measure_scene(sky.astype(np.float32), np.zeros(sky.shape, bool), 1.0, 5.0)
    probability = np.full(sky.shape, 0.3, np.float32)
    look_again(scene, load_judge("space"), probability)
    assert (probability == np.float32(0.3)).all()


@pytest.mark.parametrize("row", [0, 1, 597])
def test_tracks_at_edges_are_found(sky, row):
    image = sky.copy()
    image[row, 100:106] += 900
    assert hit_probability(make_frame(image))[row, 100:106].min() > 0.5


def test_tracks_beside_bad_pixels_are_found(sky):
    image = add_track(sky, 300, 200)
    image[299, 195:210] = np.nan
    probability = hit_probability(make_frame(image))
    assert min(probability[300 + k // 2, 200 + k] for k in range(6)) > 0.5
    assert (probability[299, 195:210] == 0).all()


@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (5, 5), (1, 1), (0, 4)])
def test_tiny_images_work(shape):
    assert hit_probability(make_frame(np.full(shape, 100.0))).shape == shape


def test_a_constant_image_has_no_hits():
    assert (hit_probability(make_frame(np.full((80, 70), 100.0))) < 0.5).all()


def test_unknown_models_are_named():
    with pytest.raises(ModelError, match="moon"):
        load_judge("moon")


@pytest.mark.parametrize("factor", [0.95, 1.0, 1.1])
def test_told_a_fraction_of_hits_the_mean_probability_is_that_fraction(sky, factor):
    rng = np.random.default_rng(9)
    image = sky.copy()
    for _ in range(200):
        add_track(image, *rng.integers(10, 500, 2), charge=np.exp(rng.uniform(2, 5)))
    frame = make_frame(image)
    untold = hit_probability(frame)
    expected = factor * untold.mean(dtype=float)
    told = hit_probability(frame, hit_fraction=expected)
    assert told.mean(dtype=float) == pytest.approx(expected, rel=0.01)
    seen = untold > 0
    order = np.argsort(untold[seen], kind="stable")
    assert (np.diff(told[seen][order]) >= 0).all()


def test_a_fraction_far_from_what_the_image_shows_changes_odds_by_20_at_most():
    probability = np.array([0, 0.5, 0.01], dtype=np.float32)
    reweight(probability, 0.99, 3)
    np.testing.assert_allclose(probability, [0, 20 / 21, 20 / 119], rtol=1e-4)


def test_odds_are_stretched_after_they_were_shifted():
    probability = np.array([0, 0.5, 1 / 121], dtype=np.float32)
    reweight(probability, 0.9, 1_000_000, 2.0)
    np.testing.assert_allclose(probability, [0, 400 / 401, 1 / 37], rtol=1e-4)


def test_told_a_fraction_log_odds_within_the_image_are_stretched_by_what_the_card_says():
    probability = np.linspace(0.01, 0.99, 99, dtype=np.float32)
    told = probability.copy()
    reweight(told, 0.3, 99, 1.5)
    assert told.mean() == pytest.approx(0.3, rel=1e-3)
    np.testing.assert_allclose(np.diff(logit(told)), 1.5 * np.diff(logit(probability)), rtol=1e-3)


def test_the_slope_of_a_model_is_that_of_its_card():
    judge = load_judge("space")
    assert 1 < judge.told_slope < 2
    card = {name: value for name, value in judge.card.items() if name != "told_slope"}
    assert Judge(judge.arrays, card).told_slope == 1


@pytest.mark.parametrize("fraction", [0, 1, -0.1, np.nan])
def test_a_fraction_that_is_none_is_refused(sky, fraction):
    with pytest.raises(ValueError, match="hit_fraction must lie between 0 and 1"):
        hit_probability(make_frame(sky), hit_fraction=fraction)


def test_turned_and_mirrored_images_are_judged_alike():
    rng = np.random.default_rng(3)
    image = rng.poisson(60, (512, 512)) + rng.normal(0, 5, (512, 512))
    for _ in range(60):
        add_track(image, *rng.integers(20, 480, 2), charge=np.exp(rng.uniform(3.5, 8)))
    first = hit_probability(make_frame(image)) > 0.5
    for turned, back in (
        (image.T, lambda mask: mask.T),
        (image[::-1], lambda mask: mask[::-1]),
        (np.rot90(image), lambda mask: np.rot90(mask, -1)),
    ):
        other = back(hit_probability(make_frame(turned)) > 0.5)
        assert (first != other).sum() <= 0.01 * first.sum()
