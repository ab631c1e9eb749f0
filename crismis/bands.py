# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Bands of rows, whose masks and tables take less memory than those of a whole image."""

__all__ = ["BAND", "bands"]

BAND = 256
"""Rows of a band where nothing else asks for more or fewer."""


def bands(rows, height=BAND):
    """Split an image into bands of rows.

    Parameters
    ----------
    rows : int
        Of the image.
    height : int
        Rows of a band; the last one may have fewer.

    Returns
    -------
    list of tuple
        First row of each band, and the one behind its last.

    Examples
    --------
    >>> from crismis.bands import bands
    >>> bands(600)
    [(0, 256), (256, 512), (512, 600)]
    """
    return [(first, min(first + height, rows)) for first in range(0, rows, height)]
