"""Masks and data-quality arrays: growing hits, reading DQ bits, writing hits into them."""

import numpy as np

__all__ = ["DQ_BITS", "dilate", "dq_from_hits", "mask_from_dq"]

DQ_BITS = {"ACS": 4096, "WFC3": 4096, "STIS": 8192}
"""Bit that marks a cosmic ray in the DQ arrays of HST's instruments (their data handbooks)."""


def dilate(mask, radius, *, square=False):
    """Grow a mask by a radius.

    Parameters
    ----------
    mask : 2-D ndarray of bool
    radius : float
        In pixels: a pixel is set if the centre of a set one is no farther away than this.
    square : bool, optional
        Measure the distance along the axes instead, so that the neighbourhood is a square.

    Returns
    -------
    ndarray of bool
        A new mask.

    Raises
    ------
    ValueError
        If the radius is negative or not a number.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.masks import dilate
    >>> mask = np.zeros((5, 5), bool)
    >>> mask[2, 2] = True
    >>> dilate(mask, 1).astype(int)
    array([[0, 0, 0, 0, 0],
           [0, 0, 1, 0, 0],
           [0, 1, 1, 1, 0],
           [0, 0, 1, 0, 0],
           [0, 0, 0, 0, 0]])
    >>> int(dilate(mask, 1.5).sum()), int(dilate(mask, 2, square=True).sum())
    (9, 25)
    """
    if not radius >= 0:
        raise ValueError(f"radius must not be negative, got {radius}")
    reach = int(radius)
    if square:
        return _spread(_spread(mask, reach, 1), reach, 0)
    grown = mask.copy()
    rows = mask.shape[0]
    for offset in range(-min(reach, rows - 1), min(reach, rows - 1) + 1):
        half = int(np.sqrt(radius**2 - offset**2) + 1e-9)
        wide = _spread(mask, half, 1)
        grown[max(offset, 0) : rows + min(offset, 0)] |= wide[
            max(-offset, 0) : rows + min(-offset, 0)
        ]
    return grown


def _spread(mask, reach, axis):
    """Set everything within ``reach`` of a set pixel along one axis, doubling the window."""
    grown = mask.copy()
    length = mask.shape[axis]
    for sign in (1, -1):
        done, left = 1, min(reach, length - 1)
        run = mask.copy()
        while left > 0:
            step = min(done, left)
            target, source = _shift(run, step * sign, axis)
            target |= source
            done, left = done + step, left - step
        grown |= run
    return grown


def _shift(array, step, axis):
    to, origin = [slice(None)] * 2, [slice(None)] * 2
    if step > 0:
        to[axis], origin[axis] = slice(step, None), slice(None, -step)
    else:
        to[axis], origin[axis] = slice(None, step), slice(-step, None)
    return array[tuple(to)], array[tuple(origin)]


def mask_from_dq(dq, *, ignore=None, names=None):
    """Turn a data-quality array into a mask.

    Parameters
    ----------
    dq : array of int
        Bit flags, 0 for a good pixel.
    ignore : int, str or list, optional
        Bits that do not make a pixel bad, as
        `~astropy.nddata.bitmask.bitfield_to_boolean_mask` takes them, e.g. ``"~4096"``.
    names : `~astropy.nddata.bitmask.BitFlagNameMap`, optional
        Names of bits.

    Returns
    -------
    ndarray of bool

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.masks import mask_from_dq
    >>> mask_from_dq(np.array([[0, 16, 4096]]), ignore=16)
    array([[False, False,  True]])
    """
    from astropy.nddata.bitmask import bitfield_to_boolean_mask

    return bitfield_to_boolean_mask(
        np.asarray(dq), ignore_flags=0 if ignore is None else ignore, flag_name_map=names
    )


def dq_from_hits(hits, dq=None, *, bit=4096):
    """Write hits into a data-quality array.

    Parameters
    ----------
    hits : ndarray of bool or `crismis.CosmicRayCCDData`
        The hit pixels; of a CosmicRayCCDData its hits, not its other masked pixels.
    dq : array of int, optional
        The array to start from; it is not modified. By default all pixels are good.
    bit : int, optional
        Value of the bit to set.

    Returns
    -------
    ndarray of int
        In the dtype of ``dq``, or int16 without one.

    Raises
    ------
    ValueError
        If ``bit`` is not a power of two, does not fit the dtype, or shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.masks import dq_from_hits
    >>> dq_from_hits(np.array([[True, False]]), np.array([[16, 16]], np.int16))
    array([[4112,   16]], dtype=int16)
    """
    hits = np.asarray(getattr(hits, "hits", hits), dtype=bool)
    out = np.zeros(hits.shape, np.int16) if dq is None else np.array(dq)
    if out.shape != hits.shape:
        raise ValueError(f"dq has shape {out.shape}, but the hits have shape {hits.shape}")
    if out.dtype.kind not in "iu":
        raise ValueError(f"dq must hold integers, got {out.dtype}")
    if bit <= 0 or bit & (bit - 1) or bit > np.iinfo(out.dtype).max:
        raise ValueError(f"bit must be a power of two that fits {out.dtype}, got {bit}")
    out[hits] |= out.dtype.type(bit)
    return out
