# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Let what touches a hit profit from it, as far as the image itself shows that charge spreads."""

import numpy as np

from ..bands import bands
from .odds import shift_odds
from .threads import run_tasks

__all__ = ["raise_neighbours", "spread_of_hits"]

LARGEST = 3.0
"""Most by which log odds rise."""

DARK = 5.0
"""Mean S/N around a pixel and its neighbours up to which it can be no part of a source."""

VERY_DARK = 0.5
"""The same where a star was fitted: a star shines there, a hit that passed for one does not."""

_UNDECIDED = 0.05, 0.95
_SHARP, _STEEP = 0.06, 40.0  # share of undecided pixels where hits end sharply; rise beyond it
_USUAL, _WORTH = 0.12, 50  # share that is supposed, as if seen in so many pixels


def spread_of_hits(undecided, touching):
    """By how much the log odds of a pixel rise that touches a certain hit on dark ground.

    Where hits end sharply, the networks are sure of what touches them. Where charge diffuses,
    scatters or trails behind, many of these pixels hold some, and the networks cannot decide; then
    most of them belong to the hit.

    Parameters
    ----------
    undecided : int
        How many pixels that touch a hit on dark ground have a probability between 0.05 and 0.95.
    touching : int
        How many touch one there.

    Returns
    -------
    float

    Examples
    --------
    >>> from crismis.identify.neighbours import spread_of_hits
    >>> spread_of_hits(300, 10_000), round(spread_of_hits(1200, 10_000), 2)
    (0.0, 2.4)
    """
    share = (undecided + _USUAL * _WORTH) / (touching + _WORTH)
    return float(np.clip(_STEEP * (share - _SHARP), 0.0, LARGEST))


def raise_neighbours(image, probability, on_stars=None, n_threads=1):
    """Raise, in place, the probabilities of pixels that touch hits.

    Their log odds rise by what `spread_of_hits` says, times the eighth power of the highest
    probability among the eight neighbours. On sources, whose light may be what is seen beside a
    hit, they rise by as much less as the surroundings are brighter than ``DARK``.

    Parameters
    ----------
    image : ``crismis.identify._kernels.Image``
    probability : ndarray
        float32, of the shape of the image.
    on_stars : ndarray of int, optional
        Flat indices, ascending, of pixels that were judged by what a fitted star leaves; there the
        surroundings must not be brighter than ``VERY_DARK``.
    n_threads : int
        The result is the same for any number.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.neighbours import raise_neighbours
    >>> from crismis.identify.sampling import measure_scene
    >>> data = np.random.default_rng(1).normal(100, 10, (64, 64)).astype("f4")
    >>> scene = measure_scene(data, np.zeros(data.shape, bool), 1.0, 0.0)
    >>> probability = np.zeros(data.shape, "f4")
    >>> probability[4, 3:6] = [0.3, 1.0, 0.3]
    >>> raise_neighbours(scene.image, probability)
    >>> bool(probability[4, 3] > 0.5), float(probability[3, 4])
    (True, 0.0)
    """
    on_stars = np.empty(0, dtype=np.int64) if on_stars is None else on_stars
    parts = bands(len(probability))
    columns = probability.shape[1]

    def look(band):
        first, last = (row * columns for row in band)
        places, near, around = image.touching(probability, *band)
        dark = np.full(len(places), DARK, dtype=np.float32)
        here = slice(*np.searchsorted(on_stars, (first, last)))
        dark[_among(places, on_stars[here] - first)] = VERY_DARK
        on_dark = probability.reshape(-1)[first:last][places[around < DARK]]
        undecided = np.count_nonzero((on_dark > _UNDECIDED[0]) & (on_dark < _UNDECIDED[1]))
        weight = ((near**2) ** 2) ** 2 * (dark / np.maximum(around, dark))
        return places, weight, (undecided, len(on_dark))

    # All is seen before anything changes.
    places, weight, counts = zip(*run_tasks(look, parts, n_threads), strict=True)
    rise = np.float32(spread_of_hits(*np.sum(counts, axis=0)))

    def lift(k):
        part = probability[slice(*parts[k])].reshape(-1)
        part[places[k]] = shift_odds(part[places[k]], rise * weight[k])

    run_tasks(lift, range(len(parts)), n_threads)


def _among(places, few):
    """Where in ascending places a few others are; those that are not among them are left out."""
    at = np.searchsorted(places, few)
    at, few = at[at < len(places)], few[at < len(places)]
    return at[places[at] == few]
