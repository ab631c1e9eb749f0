"""What a step writes into the metadata, so that its result can be read, trusted and repeated."""

import sys

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.nddata import NDData

from ..detectors import get_detector

__all__ = ["log_step"]


def log_step(out, step, frame, hits, arguments, add_keyword=True, **facts):
    """Write what a step did into the metadata of its result.

    Parameters
    ----------
    out : `crismis.CosmicRayCCDData` or other
        The result; nothing happens if it has no metadata.
    step : str
        Name of the public function.
    frame : `crismis.identify.inputs.Frame`
    hits : ndarray of bool
    arguments : dict
        What the function was called with; arrays are named by their type.
    add_keyword : bool, str, `~ccdproc.Keyword` or dict
        As for the steps of ccdproc: `True` logs the arguments, anything else that is not
        empty replaces them, `False` or `None` disables logging altogether.
    **facts
        Keyword -> (value, comment), added to the counts of hits.
    """
    if not add_keyword or not isinstance(out, NDData):
        return
    meta = out.meta
    for key, (value, comment) in (_counts(frame, hits) | _calibration(frame) | facts).items():
        if value is not None and value == value:
            _put(meta, key, value, comment)
    if add_keyword is not True:
        for key, value in _as_dict(add_keyword).items():
            meta[key] = value
    elif _auto_logging():
        short = {"cosmicray_learned": "CRLEARN", "cosmicray_lacosmic": "CRLACOSM"}[step]
        text = ", ".join(f"{name}={_show(value)}" for name, value in arguments.items())
        if isinstance(meta, fits.Header):
            step = f"HIERARCH {step.upper()}"
        _put(meta, step, short, "keyword with the arguments")
        _put(meta, short, text, "")


def _counts(frame, hits):
    n_hits, n_good = int(np.count_nonzero(hits)), int(hits.size - np.count_nonzero(frame.bad))
    from .. import __version__

    return {
        "CRVERS": (f"crismis {__version__}", "found the cosmic-ray hits"),
        "CRNHIT": (n_hits, "pixels hit by cosmic rays"),
        "CRFRAC": (n_hits / n_good, "fraction of the good pixels that was hit"),
        "CRRATE": (1e6 * n_hits / n_good / frame.exposure_time, "hit pixels per s and 1e6 pixels"),
    }


def _calibration(frame):
    from .inputs import gain_of_data_number

    facts = {
        "CRGAIN": (gain_of_data_number(frame), "electrons per data number"),
        "CRRDNOIS": (frame.readnoise, "read noise in electrons"),
    }
    if frame.detector is not None and _known(frame.detector.name):
        facts["CRDETEC"] = (frame.detector.name, "detector")
    return facts


def _known(name):
    try:
        return get_detector(name) is not None
    except KeyError:
        return False


def _put(meta, key, value, comment):
    meta[key] = (value, comment) if isinstance(meta, fits.Header) and comment else value


def _as_dict(keyword):
    if isinstance(keyword, str):
        return {keyword: None}
    if hasattr(keyword, "value_from"):
        return {keyword.name: keyword.value}
    return dict(keyword)


def _auto_logging():
    ccdproc = sys.modules.get("ccdproc")
    return ccdproc is None or bool(ccdproc.conf.auto_logging)


def _show(value):
    if isinstance(value, NDData | np.ndarray) and not (
        isinstance(value, u.Quantity) and value.isscalar
    ):
        return f"<{type(value).__name__}>"
    text = str(value).encode("ascii", "replace").decode()
    return "".join(c if c.isprintable() else " " for c in text)
