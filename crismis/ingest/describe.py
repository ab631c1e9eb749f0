"""What the reader understood of files, as plain rows for people and scripts."""

import math
import warnings

from ..detectors import get_detector
from ..errors import IngestError
from ..headers import Facts
from .core import read_all
from .discover import find_images

__all__ = ["describe"]


def describe(paths, *, allow_truncated=False):
    """Describe every image below the given paths.

    Parameters
    ----------
    paths : path-like or iterable of path-like
        As for `find_images`.
    allow_truncated : bool, optional
        As for `crismis.read`.

    Yields
    ------
    dict
        With ``path`` and either ``error``, or ``skipped`` (the reason), or the facts of one
        image: ``hdu, plane, shape, dtype, unit, detector, instrument, filter, target, date,
        exposure_time, gain, readnoise, temperature, saturation, binning, masked`` (fraction),
        ``product, coding, counts, uncertainty, flags, wcs``; unknown ones are `None`.
    """
    images, skipped = find_images(paths)
    for path in images:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = read_all(path, allow_truncated=allow_truncated)
        except IngestError as error:
            remedy = f" ({error.remedy})" if error.remedy else ""
            yield {"path": str(path), "error": error.reason + remedy}
            continue
        yield from (_row(path, ccd) for ccd in found)
    for path, reason in skipped:
        yield {"path": str(path), "skipped": reason}


def _row(path, ccd):
    facts = Facts.from_header(ccd.meta)
    detector = get_detector(ccd)
    row = {
        "path": str(path),
        "hdu": ccd.meta["CRHDU"],
        "plane": ccd.meta.get("CRPLANE"),
        "shape": list(ccd.shape),
        "dtype": str(ccd.data.dtype),
        "unit": str(ccd.unit) or "dimensionless",
    }
    row |= vars(facts)
    row["binning"] = None if facts.binning is None else list(facts.binning)
    row["detector"] = None if detector is None else detector.name
    for name in ("gain", "readnoise"):
        if row[name] is None and detector is not None:
            value = getattr(detector, name)
            row[name] = None if math.isnan(value) else value
    row["masked"] = 0.0 if ccd.mask is None else float(ccd.mask.mean())
    row["uncertainty"] = ccd.uncertainty is not None
    row["flags"] = ccd.flags is not None
    row["wcs"] = ccd.wcs is not None
    return row
