# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Samples of what lies on stars, for the trees that judge it by what the fitted stars leave."""

import numpy as np

from ..identify import _kernels
from ..identify.judge import judge_scene, look_again
from ..identify.stars import fit_stars_of, star_inputs
from .dataset import Samples, clipped, measure_field, turned_grids

__all__ = ["orientations_star", "sample_stars"]

_EASY = 0.01
_SHARE = 0.25


def sample_stars(field, rng, judge):
    """Take what is seen of the pixels on the stars of a field, if they have one shape.

    Of clean pixels that the judge takes for clean a quarter, each of which counts four times.

    Parameters
    ----------
    field : `crismis.learning.fields.Field`
    rng : `numpy.random.Generator`
    judge : `crismis.identify.judge.Judge`

    Returns
    -------
    `crismis.learning.dataset.Samples`

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.judge import load_judge
    >>> from crismis.learning.fields import random_field
    >>> from crismis.learning.stars import sample_stars
    >>> field = random_field(1, "dark", shape=(128, 128))
    >>> len(sample_stars(field, np.random.default_rng(1), load_judge("space")).labels)
    0
    """
    scene = measure_field(clipped(field))
    probability = judge_scene(scene, judge, judge.refinements)
    look_again(scene, judge, probability)
    stars = fit_stars_of(scene.image, probability)
    inputs = np.empty((0, _kernels.STAR_INPUTS), np.float32)
    places = np.empty(0, np.int64)
    if stars is not None:
        places, inputs = star_inputs(stars, probability)
    labels = field.labels.reshape(-1)[places]
    easy = (probability.reshape(-1)[places] < _EASY) & (labels == 0)
    taken = (labels != 2) & (~easy | (rng.random(len(places)) < _SHARE))
    return Samples(
        inputs[taken],
        scene.conditions[None],
        np.zeros(np.count_nonzero(taken), np.int32),
        labels[taken],
        np.where(easy, 1 / _SHARE, 1)[taken].astype(np.float32),
    )


def orientations_star():
    """Return the eight permutations of the inputs under turns and reflections.

    Returns
    -------
    ndarray
        Integers, shape ``(8, inputs)``; the first row changes nothing.

    Examples
    --------
    >>> from crismis.learning.stars import orientations_star
    >>> orientations_star().shape
    (8, 62)
    """
    return turned_grids(2, round(_kernels.STAR_WINDOW_PIXELS**0.5), _kernels.STAR_INPUTS)
