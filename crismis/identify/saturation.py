"""Saturated stars: where pixels clip, and which of these are sources rather than hits."""

import numpy as np
from scipy import sparse

from .masks import dilate
from .threads import default_threads, run_tasks

__all__ = ["clipping_level", "saturated_sources"]

_CORE = 0.1
"""Fraction of the way from the surroundings to the saturation level that the median around a
saturated source exceeds; L.A.Cosmic as implemented in astroscrappy (McCully et al. 2018) tells
stars from hits so, but by the level alone, as if every sky were dark."""

_WING = 0.005
"""The same fraction for a star's light beside its saturated core; beside a saturated hit there is
none."""

_WINGED = 0.4
"""Share of the unsaturated pixels within two of a star's core that are so lit, at least."""

_TEXTURE = 3.0
"""Light beside a core stands above the surroundings by so many times the distance of their 10th
and 30th percentiles."""

_REACH = 8
"""Pixels that the surroundings extend to all sides; every second one counts."""

_NEARLY = 0.9
_LARGEST_HIT = 2000
_SPREAD = 2
_ROWS = 256
_CHUNK = 8192
_CLIPPED = 5
_CONTRAST = 20.0
_BRIGHT = 100.0
"""Standard deviations above the median from which on levels are compared."""

_BIN = 0.05
"""Width of a level, as a natural logarithm of the light above the median."""

_PILED = 50
"""Pixels that make a pile, at least."""

_BLED = 30
"""Pixels that line up as bleeding does, at least."""


def clipping_level(image, bad, *, n_threads=None):
    """Return the level at which an image is clipped, infinity where none shows.

    A level is taken for clipping if five pixels or more share the largest value exactly and
    it stands far (20 standard deviations) above the median. Flat fields blur that value in
    calibrated images; there it is the level at which bright pixels pile up, provided that some
    of them line up as charge does that bleeds from saturated stars.

    Parameters
    ----------
    image : 2-D ndarray
    bad : ndarray of bool
        Pixels to leave out.
    n_threads : int, optional
        Threads that share the search for the largest value.

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.saturation import clipping_level
    >>> image = np.random.default_rng(1).normal(100, 10, (64, 64))
    >>> image[20:23, 30:33] = 4095
    >>> float(clipping_level(image, np.zeros(image.shape, bool)))
    4095.0
    """
    stripes = [slice(first, first + _ROWS) for first in range(0, len(image), _ROWS)]

    def largest(rows):
        if bad[rows].any():
            return np.max(image[rows], where=~bad[rows], initial=-np.inf)
        return image[rows].max()

    n_threads = n_threads or default_threads()
    tops = run_tasks(largest, stripes, n_threads)
    sample = _thinned(image)[~_thinned(bad)]
    if sample.size == 0:
        return np.inf
    low, middle = np.percentile(sample, [15.87, 50])
    noise = max(middle - low, 1e-30)
    top = max(tops)
    if top - middle > _CONTRAST * noise:
        candidates = [rows for rows, value in zip(stripes, tops, strict=True) if value == top]
        if sum(np.count_nonzero(image[rows] == top) for rows in candidates) >= _CLIPPED:
            return float(top)

    least = np.float32(middle + _BRIGHT * noise)

    def bright(rows):
        places = np.flatnonzero(image[rows] > least)
        return places[~bad[rows].reshape(-1)[places]] + rows.start * image.shape[1]

    lit = [rows for rows, value in zip(stripes, tops, strict=True) if value > least]
    if not lit:
        return np.inf
    places = np.concatenate(run_tasks(bright, lit, n_threads))
    if not _PILED <= places.size <= 0.05 * image.size:
        return np.inf
    values = image.reshape(-1)[places].astype(float)
    level = middle + _pile(values - middle)
    rows, columns = np.divmod(places[values >= level], image.shape[1])
    bleeding = _bleeds(image, level, rows, columns) or _bleeds(image.T, level, columns, rows)
    return float(level) if bleeding else np.inf


def _pile(values):
    """Lower end of the highest pile of values, infinity where there is none.

    The numbers of pixels of stars and hits fall from each level to the next. Three levels are a
    pile if they hold four times as many as fainter ones do, and four times as many as lie above.
    """
    bins = np.floor(np.log(values) / _BIN).astype(int)
    first = bins.min() - 10
    counts = np.bincount(bins - first, minlength=bins.max() - first + 6)
    near = counts[:-2] + counts[1:-1] + counts[2:]
    piles = [
        k
        for k in np.flatnonzero(near >= _PILED)
        if k >= 10
        and near[k] > 4 * max(near[k - 10 : k - 4].mean(), 1)
        and near[k] > 4 * counts[k + 5 :].sum()
    ]
    if not piles:
        return np.inf
    highest = max(piles, key=lambda k: near[k])
    pile = counts[highest : highest + 3]
    low = highest + pile.argmax()
    while counts[low - 1] > 0.1 * pile.max():
        low -= 1
    return np.exp((low + first) * _BIN)


def _bleeds(image, level, rows, columns):
    """Whether saturated pixels line up along columns, dark ground on both sides."""
    if not rows.size:
        return False
    order = np.lexsort((rows, columns))
    rows, columns = rows[order], columns[order]
    breaks = (np.diff(rows) != 1) | (np.diff(columns) != 0)
    run = np.append(0, np.cumsum(breaks))
    length = np.bincount(run)
    inside = (columns >= 3) & (columns < image.shape[1] - 3)
    rows, columns, run = rows[inside], columns[inside], run[inside]
    beside = np.maximum(image[rows, columns - 3], image[rows, columns + 3])
    narrow = np.bincount(run[beside < 0.5 * level], minlength=length.size)
    bled = (length >= 7) & (length <= image.shape[0] // 2) & (narrow >= 5)
    return np.count_nonzero(bled) >= 3 and narrow[bled].sum() >= _BLED


def saturated_sources(image, saturation):
    """Mark saturated sources with their bleeding, but not saturated hits.

    Parameters
    ----------
    image : 2-D ndarray
    saturation : float
        Level from which on a pixel is saturated.

    Returns
    -------
    ndarray of bool or None
        Connected saturated pixels, grown by two, wherever the 5 x 5 median at one of them
        exceeds the surroundings by a tenth of what these lack to the level and, unless there are
        more than any hit leaves, there is light beside it; `None` if there are none.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.saturation import saturated_sources
    >>> y, x = np.mgrid[:20, :40]
    >>> image = np.minimum(1e6 / (1 + (y - 10)**2 + (x - 7)**2) ** 2, 60000)  # a star
    >>> image[10, 20:28] = 60000  # a track
    >>> image[6:12, 32:36] = 60000  # a heavy ion
    >>> sources = saturated_sources(image, 60000)
    >>> bool(sources[10, 7]), bool(sources[10, 24]), bool(sources[8, 33])
    (True, False, False)
    """
    rows, columns = np.nonzero(image >= np.float32(saturation))
    if not rows.size:
        return None
    middle = _by_chunks(lambda *at: _middle(image, *at, saturation), rows, columns)
    core = middle > _CORE * saturation
    if not core.any():
        return None
    group = _groups(rows, columns)
    source = core & (np.bincount(group)[group] > _LARGEST_HIT)
    tested = core & ~source
    source[tested] = _by_chunks(
        lambda *at: _shines(image, *at, saturation), rows[tested], columns[tested], middle[tested]
    )
    if not source.any():
        return None
    chosen = np.isin(group, group[source])
    sources = np.zeros(image.shape, bool)
    sources[rows[chosen], columns[chosen]] = True
    return dilate(sources, _SPREAD, square=True)


def _groups(rows, columns):
    """Number of the group of touching places to which each belongs; places are in order."""
    width = columns.max() + 2  # so that no place touches one in the line before
    place = rows * width + columns
    first = np.flatnonzero(np.diff(place, prepend=-2) != 1)  # of each run along a row
    length = np.diff(np.append(first, place.size))
    start, end = place[first], place[first] + length - 1
    low = np.searchsorted(end, start + width - 1)  # of the runs in the next row that touch it
    count = np.searchsorted(start, end + width + 1, side="right") - low
    own = np.repeat(np.arange(first.size), count)
    other = np.arange(own.size) + np.repeat(low - np.cumsum(count) + count, count)
    links = sparse.coo_array((np.ones(own.size, bool), (own, other)), shape=2 * (first.size,))
    return np.repeat(sparse.csgraph.connected_components(links, directed=False)[1], length)


def _by_chunks(function, *places):
    """What a function gives for all places, of which it sees a few at once."""
    starts = range(0, len(places[0]), _CHUNK)
    parts = [function(*(p[k : k + _CHUNK] for p in places)) for k in starts]
    return np.concatenate(parts) if parts else np.empty(0, bool)


def _middle(image, rows, columns, saturation):
    """The 5 x 5 medians around places."""
    return np.median(_windows(image, rows, columns, _SPREAD, saturation), axis=1)


def _shines(image, rows, columns, middle, saturation):
    """Whether saturated pixels with these medians around stand out of their surroundings."""
    wide = _windows(image, rows, columns, _REACH, saturation, step=2)
    dark, level = np.percentile(wide, [10, 30], axis=1)
    least = level + np.maximum(_WING * (saturation - level), _TEXTURE * (level - dark))
    around = _windows(image, rows, columns, _SPREAD, saturation)
    return (middle - level > _CORE * (saturation - level)) & _winged(around, least, saturation)


def _windows(image, rows, columns, reach, saturation, step=1):
    """The square of pixels around each place, one row each."""
    window = np.arange(-reach, reach + 1, step)
    y = (rows[:, None, None] + window[:, None]).clip(0, image.shape[0] - 1)
    x = (columns[:, None, None] + window).clip(0, image.shape[1] - 1)
    return np.nan_to_num(image[y, x].reshape(rows.size, -1), posinf=saturation)


def _winged(around, least, saturation):
    """Whether a good part of the pixels around that are not saturated are lit."""
    free = around < _NEARLY * saturation  # noise is added to what saturates
    lit = free & (around > least[:, None])
    count = free.sum(axis=1)
    return (count >= 6) & (lit.sum(axis=1) >= _WINGED * count)


def _thinned(image):
    """About 1e5 pixels from all over an image."""
    step = max(1, int(np.sqrt(image.size / 1e5)))
    return image[::step, ::step]
