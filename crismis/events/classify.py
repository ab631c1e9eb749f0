"""From the description of an event to a probability per category and a name."""

from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path

import numpy as np

from ..errors import ModelError
from ..network import load_model, save_model
from ..taxonomy import Category
from ._kernels import Forest
from .features import FEATURES

__all__ = ["EventClassifier", "decide", "get_classifier"]

TASK = "categorize"
SHIPPED = "models/categorize-1.crm"
THRESHOLD = 0.4
"""Probability below which an event is left unknown, for classifiers without their own."""


class EventClassifier:
    """Trees that were fitted with scikit-learn and are kept as arrays.

    Parameters
    ----------
    arrays : dict of str to ndarray
        ``feature``, ``threshold``, ``left``, ``right`` per node, ``roots`` and ``output`` per
        tree, ``leaves`` per leaf and ``start`` per category, as
        `crismis.learning.trees.flatten_trees` makes them.
    card : dict
        ``classes``, ``features``, ``link`` (``"mean"`` of probabilities or ``"softmax"`` of
        scores), ``temperature`` of the calibration and ``unknown_below``, the probability
        below which an event is left unknown.

    Raises
    ------
    ModelError
        If the model was made for other features or names categories that crismis lacks.

    Examples
    --------
    >>> from crismis.events import EventClassifier
    >>> model = EventClassifier.load()
    >>> "spallation_star" in model.classes_
    True
    """

    def __init__(self, arrays, card):
        if tuple(card["features"]) != FEATURES:
            raise ModelError(
                f"model {card.get('name')!r} describes events by other features; train it anew"
            )
        _check_classes(card["classes"])
        self.arrays = arrays
        self.card = card
        self.classes_ = np.array(card["classes"])
        self.unknown_below = card["unknown_below"]

    @cached_property
    def _forest(self):
        return Forest(self.arrays)

    @classmethod
    def load(cls, path=None):
        """Read a classifier from a model file, by default the one shipped with crismis."""
        path = files("crismis").joinpath(SHIPPED) if path is None else Path(path)
        return cls(*load_model(path, TASK))

    def save(self, path):
        """Write a model file."""
        save_model(path, self.arrays, self.card)

    def predict_proba(self, features):
        """Calibrated probability of each of ``classes_``.

        Parameters
        ----------
        features : ndarray, shape (n_events, n_features)
            Result of `crismis.events.describe`.

        Returns
        -------
        ndarray, shape (n_events, n_classes)
        """
        features = np.ascontiguousarray(features, dtype=np.float32)
        scores = self._forest.scores(features, len(self.classes_))
        if self.card["link"] == "mean":
            scores = np.log(scores / len(self.arrays["roots"]) + 1e-4)
        scores = (scores + self.arrays["start"]) / self.card["temperature"]
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        return scores / scores.sum(axis=1, keepdims=True)

    def predict(self, features):
        """Most probable category, ``"unknown"`` where none is probable enough."""
        return decide(self.predict_proba(features), self.classes_, self.unknown_below)[0]


@cache
def _shipped():
    return EventClassifier.load()


def get_classifier(classifier=None):
    """Coerce what the user gives as a classifier.

    Parameters
    ----------
    classifier : `None`, path-like, `EventClassifier` or fitted estimator
        `None` for the shipped model; a path to a model file; anything with
        ``predict_proba`` and ``classes_`` that was fitted on `crismis.events.describe`.

    Returns
    -------
    object with ``predict_proba`` and ``classes_``

    Raises
    ------
    TypeError
        If it cannot give probabilities.
    ValueError
        If it names categories that are not in the taxonomy.

    Examples
    --------
    >>> from crismis.events import get_classifier
    >>> "track" in get_classifier().classes_
    True
    """
    if classifier is None:
        return _shipped()
    if isinstance(classifier, str | Path):
        return EventClassifier.load(classifier)
    if not hasattr(classifier, "predict_proba") or not hasattr(classifier, "classes_"):
        raise TypeError(
            f"classifier must be a model file or have predict_proba and classes_, got "
            f"{type(classifier).__name__}; fit it first"
        )
    _check_classes(classifier.classes_)
    return classifier


def decide(probability, classes, unknown_below=THRESHOLD):
    """Name the most probable category, or abstain.

    Parameters
    ----------
    probability : ndarray, shape (n_events, n_classes)
    classes : sequence of str
    unknown_below : float
        Smallest probability that earns a name.

    Returns
    -------
    category : ndarray of str
        Values of `~crismis.taxonomy.Category`.
    category_probability : ndarray of float
        Probability of the most probable category, also where it is too small for a name.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.events import decide
    >>> names, _ = decide(np.array([[0.9, 0.1], [0.55, 0.45]]), ["track", "worm"], 0.6)
    >>> print(names)
    ['track' 'unknown']
    """
    probability = np.asarray(probability, dtype=float)
    if len(probability) == 0:
        return np.zeros(0, dtype="<U15"), np.zeros(0)
    best = probability.argmax(axis=1)
    most = probability[np.arange(len(best)), best]
    names = np.asarray(classes).astype("<U15")[best]
    names[~(most >= unknown_below)] = Category.UNKNOWN.value
    return names, most


def _check_classes(classes):
    strange = sorted(set(map(str, classes)) - {str(c) for c in Category})
    if strange:
        raise ModelError(
            f"categories {', '.join(strange)} are not in the taxonomy; "
            f"known are {', '.join(map(str, Category))}"
        )
