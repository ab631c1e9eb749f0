"""Fill bad pixels from their good neighbours, so that they do not disturb those."""

import numpy as np

from .masks import dilate

__all__ = ["filled"]

_DEPTH = 8
_CHUNK = 1 << 18


def filled(image, bad):
    """Return the image with bad pixels replaced, layer by layer from the rim inwards.

    A pixel takes the median of the usable ones among its eight neighbours; deeper than
    eight pixels inside a bad region all pixels take the median of the good ones.

    Parameters
    ----------
    image : 2-D ndarray
    bad : ndarray of bool

    Returns
    -------
    ndarray
        The image itself if no pixel is bad, else a copy of floating-point numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.fill import filled
    >>> image = np.full((3, 3), 7.0)
    >>> image[1, 1] = np.nan
    >>> float(filled(image, np.isnan(image))[1, 1])
    7.0
    """
    if not bad.any():
        return image
    kind = image.dtype if image.dtype.kind == "f" else np.float32
    out = image.astype(np.dtype(kind).newbyteorder("="))
    out[bad] = np.nan
    left = np.flatnonzero(bad & dilate(~bad, _DEPTH, square=True))
    for _ in range(_DEPTH):
        if left.size == 0:
            break
        values = np.concatenate(
            [_median_of_neighbours(out, left[i : i + _CHUNK]) for i in range(0, left.size, _CHUNK)]
        )
        out.reshape(-1)[left] = values
        left = left[np.isnan(values)]
    rest = np.isnan(out)
    if rest.any():
        out[rest] = np.median(image[~bad])
    return out


def _median_of_neighbours(image, where):
    rows, columns = np.divmod(where, image.shape[1])
    around = np.full((8, where.size), np.nan, image.dtype)
    offsets = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]
    for values, (dy, dx) in zip(around, offsets, strict=True):
        y, x = rows + dy, columns + dx
        inside = (y >= 0) & (y < image.shape[0]) & (x >= 0) & (x < image.shape[1])
        values[inside] = image[y[inside], x[inside]]
    around.sort(axis=0)
    count = np.isfinite(around).sum(axis=0)
    column = np.arange(where.size)
    low, high = np.maximum(count - 1, 0) // 2, count // 2
    return np.where(
        count > 0, (around[low, column] + around[np.minimum(high, 7), column]) / 2, np.nan
    )
