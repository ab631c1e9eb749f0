"""MESSENGER MDIS: binning, the eight 12-to-8-bit tables, wavelet compression."""

import numpy as np

from .core import adapts
from .pds3 import beside

__all__ = []

_SIDE = 1024
_TABLES = "MDISLUTINV_0.TAB"


@adapts(lambda plane: str(plane.label.get("INSTRUMENT_ID")).startswith("MDIS-"))
def _mdis(plane, source):
    label = plane.label
    side = _SIDE // plane.data.shape[0]
    if not _whole(label, "SUBFRAME") and plane.data.shape == (_SIDE // max(side, 1),) * 2:
        plane.facts["binning"] = (side, side)
    if "EDR" not in str(label.get("DATA_SET_ID")):
        return
    if _whole(label, "WVLRATIO") > 1:
        plane.recode("lossy")
    if _whole(label, "COMP12_8") and plane.data.dtype == np.uint8:
        _expand(plane, source, _whole(label, "COMP_ALG"))


def _whole(label, name):
    value = label.get(f"MESS:{name}", 0)
    return value if isinstance(value, int) and 0 <= value < 64 else 0


def _expand(plane, source, algorithm):
    """Expand by the mission's table if it lies beside the image; the label only numbers it."""
    path = beside(source.path.parent, _TABLES)
    table = _table(path, algorithm) if path is not None else None
    if table is None:
        plane.recode("companded")
        plane.warning = (
            f"values are companded from 12 to 8 bits (algorithm {algorithm}); put the mission's "
            f"{_TABLES} (folder CALIB/LUT_INVERT of the archive) beside the image to expand them"
        )
    else:
        plane.data = table[plane.data]
        plane.header["CRDECOMP"] = (f"{_TABLES}, column {algorithm}", "how values were expanded")


def _table(path, algorithm):
    try:
        rows = np.loadtxt(path, delimiter=",", max_rows=256)
    except (ValueError, OSError):
        return None
    fits = rows.shape[0] == 256 and rows.ndim == 2 and rows.shape[1] > algorithm + 1
    return rows[:, algorithm + 1].astype(np.float32) if fits else None
