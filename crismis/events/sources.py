"""Where stars, galaxies and other sources are, so that events on them can say so."""

import warnings

import numpy as np
from scipy import ndimage

__all__ = ["find_sources"]

SIGNIFICANCE = 3.0
"""Signal-to-noise ratio of a smoothed, twice binned pixel of a source."""
SMALLEST = 3
"""Connected binned pixels of a source."""
MESH = 32
"""Binned pixels along the boxes in which background and noise are estimated."""


def find_sources(image, hits, bad=None):
    """Find the sources of an image with photutils, leaving out what was hit.

    The image is binned twice and smoothed with hits, the pixels beside them and bad pixels
    left out; what then stands three sigma above the background in three connected pixels is a
    source.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
    hits : ndarray of bool, shape (ny, nx)
    bad : ndarray of bool, shape (ny, nx), optional
        Other pixels without meaning; non-finite pixels never have one.

    Returns
    -------
    ndarray of bool, shape (ny, nx)
        True on and within one binned pixel of a source; all false for images under 16 pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.events import find_sources
    >>> image = np.random.default_rng(1).normal(0, 1, (80, 80))
    >>> image[38:43, 38:43] += 30
    >>> sources = find_sources(image, np.zeros((80, 80), bool))
    >>> bool(sources[40, 40]), bool(sources[10, 60])
    (True, False)
    """
    from photutils.background import Background2D, MADStdBackgroundRMS, MedianBackground
    from photutils.segmentation import detect_sources
    from photutils.utils.exceptions import NoDetectionsWarning

    if min(image.shape) < 16:
        return np.zeros(image.shape, bool)
    unused = ndimage.binary_dilation(hits, structure=np.ones((3, 3))) | ~np.isfinite(image)
    if bad is not None:
        unused |= bad
    binned, empty = _bin(np.where(unused, 0, image), ~unused)
    if empty.all():
        return np.zeros(image.shape, bool)
    box = tuple(min(MESH, n) for n in binned.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        background = Background2D(
            binned,
            box,
            mask=empty,
            exclude_percentile=90,
            sigma_clip=None,
            bkg_estimator=MedianBackground(),
            bkg_rms_estimator=MADStdBackgroundRMS(),
        )
        level = background.background + SIGNIFICANCE * background.background_rms
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoDetectionsWarning)
        found = detect_sources(binned, level, SMALLEST, mask=empty)
    if found is None:
        return np.zeros(image.shape, bool)
    near = ndimage.binary_dilation(found.data > 0, structure=np.ones((3, 3)))
    return np.repeat(np.repeat(near, 2, axis=0), 2, axis=1)[: image.shape[0], : image.shape[1]]


def _bin(values, used):
    """Mean of the used pixels in blocks of 2 x 2, smoothed; and the blocks without any."""
    ny, nx = (-(-n // 2) * 2 for n in values.shape)
    grow = ((0, ny - values.shape[0]), (0, nx - values.shape[1]))
    blocks = []
    for plane in (values.astype(np.float32), used.astype(np.float32)):
        padded = np.pad(plane, grow)
        blocks.append(padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2])
    total, weight = (ndimage.gaussian_filter(block, 0.7) for block in blocks)
    empty = blocks[1] == 0
    return total / np.where(weight > 0, weight, 1), empty
