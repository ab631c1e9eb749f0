"""Parts of an image that hold no data: padding, truncated lines, what lies beyond a stop."""

import numpy as np
from scipy import ndimage

from .masks import dilate

__all__ = ["blank_parts"]

_RUN = 32
_LEAST = 1000
_ISLAND = 1000
_ALONE = 8
_EIGHT = np.ones((3, 3), bool)


def blank_parts(image):
    """Return which pixels hold no data, though they hold a number.

    These are connected pixels of exactly one value, 1000 or more, that reach the border of the
    image along 32 pixels or more. What they enclose may be a hit in a sky without noise: what is
    within eight pixels of it counts as data, and so does all the rest if a thousand pixels enclose
    more than one such island of less than 1000 pixels, as do the dark skies of 8-bit images.
    Pixels of the largest value are saturated instead.

    Parameters
    ----------
    image : 2-D ndarray

    Returns
    -------
    ndarray of bool or None
        `None` where there are none.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.blank import blank_parts
    >>> image = np.random.default_rng(1).normal(100, 10, (64, 64))
    >>> image[:20] = 0
    >>> print(blank_parts(image).sum())
    1280
    >>> image[10, 30] = 500
    >>> print(blank_parts(image).sum())
    991
    """
    values = {value for line in _borders(image) for value in _long_runs(line)}
    blank = None
    for value in sorted(v for v in values if np.isfinite(v)):
        if not (image > value).any():
            continue
        labels, count = ndimage.label(image == value)
        sizes = np.bincount(labels.ravel(), minlength=count + 1)
        for label in _on_border(labels):
            if sizes[label] >= _LEAST:
                part = _without_islands(labels == label, sizes[label])
                blank = part if blank is None else blank | part
    return blank if blank is not None and blank.any() else None


def _borders(image):
    return image[0], image[-1], image[:, 0], image[:, -1]


def _long_runs(line):
    """Values that a line holds many times in a row."""
    starts = np.flatnonzero(np.append(True, line[1:] != line[:-1]))
    lengths = np.diff(np.append(starts, line.size))
    return line[starts[lengths >= _RUN]].tolist()


def _on_border(labels):
    """Labels that hold a long run of pixels on the border; 0 stands for other values."""
    return sorted({n for line in _borders(labels) for n in _long_runs(line)} - {0})


def _without_islands(part, size):
    """The part without what surrounds islands in it, or nothing if these are many."""
    others, count = ndimage.label(~part, _EIGHT)
    small = np.bincount(others.ravel(), minlength=count + 1) < _ISLAND
    small[0] = False
    if small.sum() * _LEAST > size:
        return np.zeros_like(part)
    return part & ~dilate(small[others], _ALONE, square=True)
