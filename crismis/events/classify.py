"""From morphology to a category per event."""

import numpy as np

from ..taxonomy import Category

__all__ = ["classify_by_shape"]


def classify_by_shape(columns):
    """Name events spot, track, worm or blend by their geometry alone.

    Parameters
    ----------
    columns : dict of str to ndarray
        Result of `measure`.

    Returns
    -------
    ndarray of str
        Values of `~crismis.taxonomy.Category`.
    """
    length, width = columns["length"], columns["width"]
    sagitta = columns["curvature"] / 2 * (length / 2) ** 2
    compact = (columns["elongation"] < 1.7) & (length < 6)
    sparse = columns["n_pixels"] < 0.35 * length * width
    bent = sagitta > np.maximum(0.8, 0.08 * length)
    category = np.full(len(length), Category.TRACK.value, dtype="<U15")
    category[bent] = Category.WORM.value
    category[sparse & (width > 6) & ~bent] = Category.BLEND.value
    category[compact | (columns["n_pixels"] <= 2)] = Category.SPOT.value
    return category
