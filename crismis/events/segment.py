"""From pixels to events: hysteresis, connected labels, broken and crossing tracks."""

import numpy as np
from scipy import ndimage

__all__ = ["segment"]

EIGHT = np.ones((3, 3), dtype=bool)
"""Pixels that touch at a side or a corner belong together."""


def segment(probability, *, seed=0.5, grow=0.2, within=None):
    """Join hit pixels to events.

    An event is an 8-connected set of pixels with a probability of at least ``grow`` that
    holds at least one pixel with a probability of at least ``seed``.

    Parameters
    ----------
    probability : ndarray, shape (ny, nx)
        Probability that a pixel was hit; a boolean image of hits is accepted.
    seed, grow : float
        Thresholds of the hysteresis, ``0 < grow <= seed <= 1``.
    within : ndarray of bool, shape (ny, nx), optional
        Pixels that may belong to events at all; by default every pixel.

    Returns
    -------
    ndarray of int32, shape (ny, nx)
        Label of the event of each pixel, 1 to the number of events, 0 for none.

    Raises
    ------
    ValueError
        If the image is not two-dimensional or the thresholds are in disorder.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.events import segment
    >>> segment(np.array([[0.9, 0.3, 0.0, 0.4]]))
    array([[1, 1, 0, 0]], dtype=int32)
    """
    probability = np.asarray(probability)
    if probability.ndim != 2:
        raise ValueError(f"events are found in 2-D images, got {probability.ndim} dimensions")
    if not 0 < grow <= seed <= 1:
        raise ValueError(f"wanted 0 < grow <= seed <= 1, got grow={grow}, seed={seed}")
    candidates = probability >= grow
    if within is not None:
        candidates &= within
    labels, count = ndimage.label(candidates, structure=EIGHT, output=np.int32)
    kept = np.zeros(count + 1, dtype=bool)
    kept[labels[candidates & (probability >= seed)]] = True
    return _renumber(labels, kept)


def _renumber(labels, kept):
    kept[0] = False
    numbers = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    return numbers[labels]
