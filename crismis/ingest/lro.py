"""LRO Camera: values expanded by the line segments that the label of a raw image names."""

import numpy as np

from .core import adapts

__all__ = ["expand"]

_TWELVE_BITS = 4096


@adapts(lambda plane: plane.label.get("INSTRUMENT_ID") == "LROC")
def _lroc(plane, source):
    terms = [_numbers(plane.label.get(f"LRO:{name}TERM")) for name in "XMB"]
    if plane.data.dtype != np.uint8 or "EDR" not in str(plane.label.get("DATA_SET_ID")):
        return
    if not terms[0] or len({len(t) for t in terms}) != 1 or 0 in terms[1]:
        plane.recode("companded")
        return
    plane.data = expand(*terms)[plane.data]
    plane.header["CRDECOMP"] = ("label's XTERM, MTERM, BTERM", "how values were expanded")


def _numbers(values):
    whole = isinstance(values, list) and all(isinstance(v, int | float) for v in values)
    return values if whole else []


def expand(start, slope, intercept):
    """Make the table that undoes a companding by line segments.

    Parameters
    ----------
    start : list of float
        First twelve-bit value of each segment (``XTERM``).
    slope, intercept : list of float
        Code = slope * value + intercept (``MTERM``, ``BTERM``), rounded down; below the
        first segment the code is the value.

    Returns
    -------
    ndarray of float32
        For each of the 256 codes the mean of the values that it stands for.

    References
    ----------
    Robinson et al. 2010, Space Science Reviews 150, 81 (figure 16).
    """
    values = np.arange(_TWELVE_BITS)
    segment = np.searchsorted(start, values, side="right") - 1
    lines = np.asarray(slope)[segment] * values + np.asarray(intercept)[segment]
    codes = np.clip(np.floor(np.where(segment < 0, values, lines)), 0, 255).astype(int)
    sums = np.bincount(codes, values, 256)
    return (sums / np.maximum(np.bincount(codes, minlength=256), 1)).astype(np.float32)
