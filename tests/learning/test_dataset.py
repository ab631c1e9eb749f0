# Licensed under a 3-clause BSD style license - see LICENSE.rst
import itertools

import numpy as np
import pytest

from crismis.identify import _kernels
from crismis.identify.judge import Judge, load_judge
from crismis.identify.sampling import CONDITIONS, measure_scene, tiles
from crismis.learning import dataset
from crismis.learning.fields import random_field
from crismis.learning.identification import FIRST_COLUMNS
from crismis.learning.training import network_logits


@pytest.fixture(scope="module")
def field():
    return random_field(11, "stars", shape=(150, 170))


@pytest.fixture(scope="module")
def scene(field):
    return measure_scene(field.electrons, field.bad, field.gain, field.readnoise)


EVEN = list(range(10, 50))
MIRRORED = [*range(10), *range(50, 96)]


def random_networks(seed=0):
    """Networks of the symmetries that those have which training makes."""
    rng = np.random.default_rng(seed)

    def layer(a, b):
        return (rng.normal(size=(a, b)) / np.sqrt(a)).astype(np.float32)

    def network(inputs, *hidden):
        sizes = [inputs + CONDITIONS, *hidden, 1]
        pairs = list(itertools.pairwise(sizes))
        return {f"weights{i}": layer(a, b) for i, (a, b) in enumerate(pairs, 1)} | {
            f"bias{i}": layer(1, b)[0] for i, (_, b) in enumerate(pairs, 1)
        }

    full = network(_kernels.INPUTS, 96, 48)
    inside = full["weights1"][: _kernels.INPUTS]
    inside[:, EVEN] = np.mean([inside[turn][:, EVEN] for turn in dataset.orientations()], axis=0)
    first, *copies = np.reshape(MIRRORED, (4, -1))
    for units, turn in zip(copies, dataset.orientations()[2::2], strict=True):
        full["weights1"][:, units] = full["weights1"][:, first]
        inside[:, units] = inside[turn][:, first]
        full["bias1"][units] = full["bias1"][first]
    full["weights2"][EVEN, 24:] = full["weights2"][EVEN, :24]
    return (
        network(_kernels.INPUTS_FIRST, 48),
        full,
        [network(_kernels.INPUTS_REFINE, 48) for _ in range(2)],
    )


def as_judge(first, full, refine):
    arrays = full | {f"first_{k}": v for k, v in first.items()}
    for i, again in enumerate(refine):
        arrays |= {f"refine{i}_{k}": v for k, v in again.items()}
    arrays["table"] = np.linspace(-16, 16, _kernels.KNOTS, dtype=np.float32)
    screen = {"floor_snr": dataset.FLOOR_SNR, "floor_peak": dataset.FLOOR_PEAK, "first_cut": -0.2}
    return Judge(arrays, {"screen": screen})


def test_symmetric_units_are_told_from_the_others():
    large = as_judge(*random_networks()).large
    filters = large.filters
    assert large.even.tolist() == EVEN
    assert sorted(filters.ravel()) == MIRRORED
    first = np.reshape(MIRRORED, (4, -1))
    assert {frozenset(group) for group in filters.tolist()} == set(map(frozenset, first.T.tolist()))


def test_a_unit_without_its_mirrored_copies_is_an_error():
    first, full, refine = random_networks()
    full["weights1"][3, 60] += 1
    with pytest.raises(ValueError, match="no mirrored copy"):
        as_judge(first, full, refine).network(np.zeros(CONDITIONS, np.float32))


def test_second_layers_that_do_not_share_their_even_weights_are_an_error():
    first, full, refine = random_networks()
    full["weights2"][EVEN, 24:] += 0.1
    with pytest.raises(ValueError, match="differ in even weights"):
        as_judge(first, full, refine).network(np.zeros(CONDITIONS, np.float32))


@pytest.mark.parametrize("target", [0, 1, 2, 3])
def test_kernels_agree_with_numpy(field, scene, target):
    if target > _kernels.best_target():
        pytest.skip("this processor lacks the instruction set")
    first, full, refine = random_networks()
    network = as_judge(first, full, refine).network(scene.conditions)
    shape = field.electrons.shape
    logits, refined, out = np.empty((3, *shape), np.float32)
    scene.image.target = target
    network.judge(scene.image, 0, 0, *shape, logits)
    network.refine(scene.image, 0, 1, 0, 0, *shape, logits, refined)
    network.refine(scene.image, 1, 1, 0, 0, *shape, refined, out)
    planes = scene.image.planes(0, 0, *shape)
    places = dataset.candidates(planes, field.bad)

    def samples(inputs):
        n = len(inputs)
        return dataset.Samples(inputs, scene.conditions[None], np.zeros(n, int), n, n)

    seen = samples(dataset.gather(planes, places, scene.sigma_electrons))
    passed = network_logits(first, seen, FIRST_COLUMNS)
    y, x = np.divmod(places, planes.shape[2])
    y, x = y - _kernels.REACH, x - _kernels.REACH
    judged = logits[y, x] > _kernels.SCREENED_OUT
    clear = abs(passed + 0.2) > 1e-3
    assert np.array_equal(judged[clear], (passed > -0.2)[clear])
    assert 0 < judged.sum() < len(places)
    expected = np.clip(network_logits(full, seen), -15, None)
    np.testing.assert_allclose(logits[y, x][judged], expected[judged], rtol=6e-3, atol=6e-3)

    def again(network, last):
        inputs = dataset.gather_refine(planes, last, places[judged], scene.sigma_electrons)
        return network_logits(network, samples(inputs), residual=dataset.CENTRE_LOGIT)

    expected = again(refine[0], logits)
    np.testing.assert_allclose(refined[y, x][judged], expected, rtol=3e-3, atol=3e-3)
    expected = 1 / (1 + np.exp(-np.clip(again(refine[1], refined), -16, 16)))
    np.testing.assert_allclose(out[y, x][judged], expected, rtol=3e-3, atol=3e-3)
    unjudged = np.ones(shape, bool)
    unjudged[y[judged], x[judged]] = False
    assert (refined[unjudged] == _kernels.SCREENED_OUT).all()
    assert (out[unjudged] == 0).all()


@pytest.mark.parametrize("name", ["space", "terrain", "spectroscopy", "ground"])
def test_whole_numbers_hardly_change_the_log_odds(field, scene, name):
    judge = load_judge(name)
    logits = np.empty(field.electrons.shape, np.float32)
    judge.network(scene.conditions).judge(scene.image, 0, 0, *logits.shape, logits)
    planes = scene.image.planes(0, 0, *logits.shape)
    places = dataset.candidates(planes, field.bad)
    y, x = np.divmod(places, planes.shape[2])
    judged = logits[y - _kernels.REACH, x - _kernels.REACH]
    clear = judged > -10
    inputs = dataset.gather(planes, places[clear], scene.sigma_electrons)
    n = len(inputs)
    seen = dataset.Samples(inputs, scene.conditions[None], np.zeros(n, int), n, n)
    layers = {f"{kind}{k}" for kind in ("weights", "bias") for k in (1, 2, 3)}
    expected = network_logits({k: judge.arrays[k] for k in layers}, seen)
    assert n > 1000
    assert np.std(judged[clear] - expected) < 0.025
    assert abs(judged[clear] - expected).max() < 0.15


@pytest.mark.parametrize("size", [17, 64, 256])
def test_tiling_changes_no_bit(field, scene, size):
    network = as_judge(*random_networks(3)).network(scene.conditions)
    shape = field.electrons.shape
    results = []
    for split in (tiles(shape, 1000), tiles(shape, size)):
        logits, refined, out = np.empty((3, *shape), np.float32)
        for tile in split:
            network.judge(scene.image, *tile, logits)
        for tile in split:
            network.refine(scene.image, 0, 2, *tile, logits, out)
        results.append(out)
    assert np.array_equal(*results)
    for tile in split:
        network.refine(scene.image, 0, 1, *tile, logits, refined)
    for tile in split:
        network.refine(scene.image, 1, 1, *tile, refined, out)
    assert np.array_equal(out, results[0])


@pytest.mark.parametrize(
    ("turns", "wide"), [(dataset.orientations, True), (dataset.orientations_refine, False)]
)
def test_orientations_are_those_of_the_image(field, turns, wide):
    image = field.electrons
    bad = np.zeros(image.shape, bool)
    seen = {}
    for flip in (False, True):
        for k in range(4):
            turned = np.rot90(image[:, ::-1] if flip else image, k)
            place = np.zeros(image.shape, bool)
            place[70, 81] = True
            y, x = np.argwhere(np.rot90(place[:, ::-1] if flip else place, k))[0]
            turned = np.ascontiguousarray(turned)
            scene = measure_scene(turned, bad.reshape(turned.shape), 1.0, 5.0)
            planes = scene.image.planes(0, 0, *turned.shape)
            at = np.array([(y + _kernels.REACH) * planes.shape[2] + x + _kernels.REACH])
            if wide:
                seen[flip, k] = dataset.gather(planes, at, 5.0)[0]
            else:
                seen[flip, k] = dataset.gather_refine(planes, turned, at, 5.0)[0]
    for row, (key, inputs) in zip(turns(), seen.items(), strict=True):
        np.testing.assert_allclose(
            seen[False, 0][row], inputs, rtol=0.02, atol=0.1, err_msg=str(key)
        )


def test_rough_parts_of_a_field_are_told_what_they_are_like():
    field = random_field(5, "terrain", shape=(192, 192))
    field.gain, field.readnoise, field.saturation = 1.0, 5.0, np.inf
    rng = np.random.default_rng(3)
    field.electrons = rng.normal(100, 11, (192, 192)).astype(np.float32)
    field.electrons[:80] += 300 * rng.normal(size=(80, 192)).astype(np.float32)
    field.bad, field.labels = np.zeros((192, 192), bool), np.zeros((192, 192), np.uint8)
    alike = dataset.sample_field(field, np.random.default_rng(1))
    assert len(alike.conditions) == 1
    field.rough = 4.0
    parts = dataset.measure_field(field).parts
    sample = dataset.sample_field(field, np.random.default_rng(1), others=4000)
    np.testing.assert_array_equal(
        sample.conditions, [parts.quiet_conditions, parts.rough_conditions]
    )
    bright = sample.inputs[:, 7 * 15 + 7] > np.arcsinh(20)
    assert bright.any()
    assert (sample.field[bright] == 1).all()
    assert (sample.field == 0).any()


def test_weights_of_samples_stand_for_all_candidates(field, scene):
    planes = scene.image.planes(0, 0, *field.electrons.shape)
    n = len(dataset.candidates(planes, field.bad)) - np.sum(
        np.pad(field.labels, _kernels.REACH).ravel()[dataset.candidates(planes, field.bad)] == 2
    )
    drawn = [
        dataset.sample_field(field, np.random.default_rng(s), hits=50, others=100).weights.sum()
        for s in range(20)
    ]
    assert np.mean(drawn) == pytest.approx(n, rel=0.1)
