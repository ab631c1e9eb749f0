# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Boosted trees that judge last, or what lies on stars: from simulated fields, and real labels."""

from dataclasses import dataclass

import numpy as np

from ..identify import _kernels
from .dataset import CENTRE_LOGIT, Samples, orientations_refine, sample_decided
from .stars import orientations_star
from .trees import flatten_trees

__all__ = ["LabelledPixels", "fit_star_trees", "fit_trees", "tree_logits"]
__doctest_requires__ = {("LabelledPixels",): ["torch"]}

_PARTS = 2
_LARGEST_WEIGHT = 25


@dataclass(frozen=True)
class LabelledPixels:
    """What the trees see of whole frames with labels, and which part of its frame a pixel is in.

    Parts are bands of rows, the same ones in all frames: exposures of one scene share its warm
    pixels, so that trees fitted to a band of one would know that of the other.

    Parameters
    ----------
    samples : `crismis.learning.dataset.Samples`
    row, rows : ndarray
        The row of each pixel, and how many its frame has.
    area : int
        Pixels of all frames, decided or not.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning.boosting import LabelledPixels
    >>> from crismis.learning.dataset import sample_field
    >>> from crismis.learning.fields import random_field
    >>> from crismis.learning.identification import FIRST_COLUMNS
    >>> from crismis.learning.training import fit_network
    >>> field = random_field(1, "dark", shape=(128, 128), density=(-2.5, -2.4))
    >>> samples = sample_field(field, np.random.default_rng(1), hits=200, others=200)
    >>> networks = {"first": fit_network(samples, [(24, 24)], columns=FIRST_COLUMNS, epochs=1),
    ...             "full": fit_network(samples, [(48, 48), (24, 24)], epochs=1), "cut": -9.0}
    >>> pixels = LabelledPixels.gather([field], networks)
    >>> (inside, far), _ = pixels.parts()
    >>> bool((pixels.row[inside] < 64).all()), bool((pixels.row[far] >= 64 + 18).all())
    (True, True)
    """

    samples: Samples
    row: np.ndarray
    rows: np.ndarray
    area: int

    @classmethod
    def gather(cls, fields, networks):
        """Judge whole frames, as `crismis.learning.dataset.sample_decided` does."""
        samples, places = zip(*(sample_decided(field, networks) for field in fields), strict=True)
        shapes = [field.labels.shape for field in fields]
        row = [place // columns for place, (_, columns) in zip(places, shapes, strict=True)]
        rows = [np.full(len(place), n) for place, (n, _) in zip(places, shapes, strict=True)]
        area = sum(field.labels.size for field in fields)
        return cls(Samples.join(samples), np.concatenate(row), np.concatenate(rows), area)

    def parts(self):
        """Which pixels lie in each part, and which ones so far from it that no window joins them.

        Returns
        -------
        list of (ndarray, ndarray)
        """
        found = []
        for k in range(_PARTS):
            low, high = (edge * self.rows / _PARTS for edge in (k, k + 1))
            inside = (self.row >= low) & (self.row < high)
            reach = _kernels.REACH
            found.append((inside, (self.row < low - reach) | (self.row >= high + reach)))
        return found


def fit_trees(simulated, labelled=None, *, trees, leaves=31, rate=0.15, seed=1):
    """Fit boosted trees to what refinements left likely to be hits.

    Labelled pixels, in all eight orientations, and simulated ones, in one of them each, weigh the
    same in total. Trees from labelled frames alone know no other scene, those from simulated ones
    alone no real frame.

    Parameters
    ----------
    simulated : `crismis.learning.dataset.Samples`
        As `crismis.learning.dataset.sample_judged` draws them.
    labelled : Samples, optional
        All decided pixels of real frames.
    trees, leaves : int
        How many trees, each of how many leaves at most.
    rate : float
        How much of a tree's correction is applied.
    seed : int

    Returns
    -------
    dict of str to ndarray
        As `crismis.learning.trees.flatten_trees` makes them.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning.boosting import fit_trees, tree_logits
    >>> from crismis.learning.dataset import Samples
    >>> inputs = np.random.default_rng(1).normal(size=(2000, 148)).astype("f2")
    >>> labels = (inputs[:, 147] > 0).astype("u1")
    >>> samples = Samples(inputs, np.zeros((1, 2), "f4"), np.zeros(2000, int), labels,
    ...                   np.ones(2000, "f4"))
    >>> arrays = fit_trees(samples, trees=10)
    >>> logits = tree_logits(arrays, samples)
    >>> bool(((logits > 0) == labels).mean() > 0.9)
    True
    """
    turns = orientations_refine()
    simulated = simulated.reorder(_likely(simulated))
    weights = np.minimum(simulated.weights, _LARGEST_WEIGHT)
    turned = [_turned(simulated, weights, turns, 1)]
    if labelled is not None:
        labelled = labelled.reorder(_likely(labelled))
        equal = weights.sum() / (8 * max(len(labelled.labels), 1))
        turned.append(_turned(labelled, np.full(len(labelled.labels), equal), turns, 8))
    joined = (np.concatenate(part) for part in zip(*turned, strict=True))
    return _boosted(*joined, trees, leaves, rate, seed)


def fit_star_trees(samples, *, trees, leaves=31, rate=0.15, seed=1):
    """Fit the boosted trees that judge what lies on stars, each sample in one orientation.

    Parameters
    ----------
    samples : `crismis.learning.dataset.Samples`
        As `crismis.learning.stars.sample_stars` takes them.
    trees, leaves, rate, seed
        As for `fit_trees`.

    Returns
    -------
    dict of str to ndarray
        As `crismis.learning.trees.flatten_trees` makes them.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning.boosting import fit_star_trees
    >>> from crismis.learning.dataset import Samples
    >>> inputs = np.random.default_rng(1).normal(size=(2000, 62)).astype("f4")
    >>> labels = (inputs[:, 12] > 0).astype("u1")
    >>> samples = Samples(inputs, np.zeros((1, 2), "f4"), np.zeros(2000, int), labels,
    ...                   np.ones(2000, "f4"))
    >>> len(fit_star_trees(samples, trees=3)["roots"])
    3
    """
    turned = _turned(samples, samples.weights, orientations_star(), 1)
    return _boosted(*turned, trees, leaves, rate, seed)


def _boosted(inputs, labels, weights, trees, leaves, rate, seed):
    from sklearn.ensemble import HistGradientBoostingClassifier

    boosting = HistGradientBoostingClassifier(
        max_iter=trees,
        learning_rate=rate,
        max_leaf_nodes=leaves,
        l2_regularization=10,
        min_samples_leaf=100,
        early_stopping=False,
        random_state=seed,
    )
    boosting.fit(inputs, labels, sample_weight=weights / weights.mean())
    return flatten_trees(boosting)[0]


def tree_logits(arrays, samples):
    """Logits of a last judgement: of the trees, or of the judgement before where that is unlikely.

    Parameters
    ----------
    arrays : dict of str to ndarray
        What `fit_trees` returned.
    samples : `crismis.learning.dataset.Samples`

    Returns
    -------
    ndarray
        float32.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning.boosting import fit_trees, tree_logits
    >>> from crismis.learning.dataset import CENTRE_LOGIT, Samples
    >>> inputs = np.random.default_rng(1).normal(size=(500, 148)).astype("f2")
    >>> inputs[:100, CENTRE_LOGIT] = -7
    >>> samples = Samples(inputs, np.zeros((1, 2), "f4"), np.zeros(500, int),
    ...                   np.arange(500) % 2, np.ones(500, "f4"))
    >>> logits = tree_logits(fit_trees(samples, trees=2), samples)
    >>> bool((logits[:100] == -7).all()), bool((logits[100:] > -5).all())
    (True, True)
    """
    logits = samples.inputs[:, CENTRE_LOGIT].astype(np.float32)
    likely = np.flatnonzero(_likely(samples))
    inputs = np.ascontiguousarray(samples.inputs[likely], dtype=np.float32)
    trees = _kernels.Trees(**{name: a for name, a in arrays.items() if name != "output"})
    logits[likely] = trees.logits(inputs)
    return logits


def _likely(samples):
    return samples.inputs[:, CENTRE_LOGIT] > _kernels.TREES_FROM


def _turned(samples, weights, turns, times):
    """Inputs, labels and weights, each sample in so many of the eight orientations."""
    number = np.arange(len(samples.labels))
    inputs, chosen = [], []
    for k, turn in enumerate(turns):
        some = (number + k) % 8 < times
        inputs.append(samples.inputs[some][:, turn].astype(np.float32))
        chosen.append(number[some])
    chosen = np.concatenate(chosen)
    return np.concatenate(inputs), samples.labels[chosen], weights[chosen]
