# Licensed under a 3-clause BSD style license - see LICENSE.rst
import numpy as np
import pytest

from crismis.identify import _kernels
from crismis.identify.judge import load_judge
from crismis.learning.boosting import fit_star_trees
from crismis.learning.dataset import Samples
from crismis.learning.fields import Field
from crismis.learning.stars import orientations_star, sample_stars


def star_field(seed=1):
    """Gaussian stars in rows, every fourth of which has a hit on its flank."""
    rng = np.random.default_rng(seed)
    scene = np.full((256, 256), 60.0)
    labels = np.zeros(scene.shape, np.uint8)
    y, x = np.mgrid[:21, :21] - 10.0
    for k, (row, column) in enumerate(np.argwhere(np.ones((11, 11), bool)) * 22 + 4):
        dy, dx = rng.uniform(-0.5, 0.5, 2)
        star = 10 ** rng.uniform(2.5, 4) * np.exp(-((y - dy) ** 2 + (x - dx) ** 2) / 2.4)
        scene[row : row + 21, column : column + 21] += star
        if k % 4 == 0:
            labels[row + 10, column + 11 : column + 13] = 1
    image = rng.poisson(scene) + rng.normal(0, 5, scene.shape) + 12 * np.sqrt(scene) * labels
    return Field(image.astype(np.float32), labels, 1.0, 5.0, np.inf, "stars", 1, labels > 1)


@pytest.fixture(scope="module")
def samples():
    return sample_stars(star_field(), np.random.default_rng(1), load_judge("space"))


def test_samples_hold_hits_and_stars_with_their_weights(samples):
    assert samples.inputs.shape == (len(samples.labels), _kernels.STAR_INPUTS)
    assert 20 < np.count_nonzero(samples.labels == 1) < len(samples.labels) / 2
    assert set(np.unique(samples.weights)) == {1, 4}
    assert np.all(samples.weights[samples.labels == 1] == 1)


def test_undecided_pixels_are_no_samples():
    field = star_field()
    field.labels[field.labels == 1] = 2
    samples = sample_stars(field, np.random.default_rng(1), load_judge("space"))
    assert len(samples.labels) > 20
    assert not samples.labels.any()


def test_orientations_turn_both_windows_and_nothing_else():
    inputs = np.random.default_rng(2).normal(size=_kernels.STAR_INPUTS)
    windows = inputs[:50].reshape(2, 5, 5)
    turned = inputs[orientations_star()]
    assert np.array_equal(turned[0], inputs)
    assert np.array_equal(turned[1][:50].reshape(2, 5, 5), np.rot90(windows, 1, (1, 2)))
    assert np.array_equal(turned[4][:50].reshape(2, 5, 5), windows[:, :, ::-1])
    assert np.array_equal(turned[:, 50:], np.tile(inputs[50:], (8, 1)))


def test_trees_learn_which_pixels_of_stars_are_hit():
    rng, judge = np.random.default_rng(1), load_judge("space")
    samples = Samples.join([sample_stars(star_field(seed), rng, judge) for seed in range(3, 11)])
    arrays = fit_star_trees(samples, trees=20, seed=1)
    del arrays["output"]
    trees = _kernels.Trees(**arrays, inputs=_kernels.STAR_INPUTS)
    other = sample_stars(star_field(2), np.random.default_rng(2), load_judge("space"))
    logits = trees.logits(np.ascontiguousarray(other.inputs))
    assert np.median(logits[other.labels == 1]) > np.median(logits[other.labels == 0]) + 2
