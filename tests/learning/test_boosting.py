# Licensed under a 3-clause BSD style license - see LICENSE.rst
import numpy as np
import pytest

from crismis.identify import _kernels
from crismis.learning.boosting import LabelledPixels, fit_trees, tree_logits
from crismis.learning.dataset import CENTRE_LOGIT, Samples, orientations_refine

CORNER = 49  # of the judgement before


def samples_of(inputs, labels, weights=1.0):
    n = len(labels)
    weights = np.full(n, weights, np.float32)
    return Samples(
        inputs.astype(np.float16),
        np.zeros((1, 2), np.float32),
        np.zeros(n, int),
        labels.astype(np.uint8),
        weights,
    )


@pytest.fixture
def inputs():
    return np.random.default_rng(3).normal(size=(3000, _kernels.INPUTS_REFINE))


def test_trees_learn_from_all_orientations(inputs):
    labelled = samples_of(inputs, inputs[:, CORNER] > 0)
    simulated = samples_of(np.zeros_like(inputs[:600]), np.arange(600) % 2)
    arrays = fit_trees(simulated, labelled, trees=30)
    logits = tree_logits(arrays, labelled)
    assert ((logits > 0) == labelled.labels).mean() > 0.6
    for turn in orientations_refine():
        shown = samples_of(inputs[:, turn], labelled.labels)
        assert np.corrcoef(tree_logits(arrays, shown), logits)[0, 1] > 0.5


def test_simulated_and_labelled_samples_weigh_the_same(inputs):
    few, many = inputs[:300], inputs[300:]
    simulated = samples_of(np.zeros_like(many), np.ones(len(many)), weights=20)
    labelled = samples_of(np.zeros_like(few), np.zeros(len(few)))
    logits = tree_logits(fit_trees(simulated, labelled, trees=5), labelled)
    np.testing.assert_allclose(logits, 0, atol=0.05)


def test_the_unlikely_keep_their_logits_and_teach_nothing(inputs):
    inputs[:1500, CENTRE_LOGIT] = -7
    labels = np.arange(3000) < 1500
    labels[1500::2] = True
    samples = samples_of(inputs, labels)
    logits = tree_logits(fit_trees(samples, trees=5), samples)
    assert (logits[:1500] == -7).all()
    assert abs(logits[1500:].mean()) < 0.2


def test_parts_cover_frames_and_keep_far_from_what_is_fitted():
    rows = np.repeat([100, 60], [100, 60])
    row = np.concatenate([np.arange(100), np.arange(60)])
    pixels = LabelledPixels(samples_of(np.zeros((160, 148)), np.zeros(160)), row, rows, 160)
    inside, far = map(np.array, zip(*pixels.parts(), strict=True))
    assert (inside.sum(axis=0) == 1).all()
    for here, there in zip(inside, far, strict=True):
        for size in (100, 60):
            a, b = row[here & (rows == size)], row[there & (rows == size)]
            assert abs(a[:, None] - b).min() >= _kernels.REACH
