"""Solar missions: LASCO, EIT, TRACE, Hinode XRT, SECCHI; units, missing blocks, despiking."""

import re

from astropy import units as u

from .core import adapts

__all__ = []

_DESPIKED = re.compile(
    r"\b(unspike|despik|cosmic.?ray.{0,20}remov|cosmics?\.pro|trace_unspike)", re.I
)


def _mission(*names):
    return lambda plane: str(plane.header.get("TELESCOP", "")).strip().upper() in names


def _history(plane):
    return " ".join(str(line) for line in plane.header.get("HISTORY", []))


@adapts(_mission("SOHO", "TRACE", "HINODE", "STEREO"))
def _all(plane, source):
    if plane.unit is None and not str(plane.header.get("BUNIT", "")).strip():
        plane.unit = u.DN
    if _DESPIKED.search(_history(plane)):
        plane.note("cleaned")


@adapts(_mission("SOHO"))
def _soho(plane, source):
    # Blocks of 32 x 32 pixels lost in telemetry are zero in raw LASCO and EIT images.
    if plane.data.dtype.kind in "iu":
        plane.hide(plane.data == 0)


@adapts(_mission("HINODE"))
def _hinode(plane, source):
    history = " ".join(_history(plane).split())
    if "XRT_RENORMALIZE" in history and "Normalized from" in history and plane.unit == u.DN:
        plane.unit = u.DN / u.s
    if "XRT_MISSING_PIXELS" in history:
        plane.hide(plane.data == -999)
    saturated = re.search(r"saturated pixels with value = ([\d.]+)", history)
    if saturated and plane.unit == u.DN:
        plane.facts["saturation"] = float(saturated[1])


@adapts(_mission("STEREO"))
def _stereo(plane, source):
    if (plane.header.get("COSMICS") or 0) > 0:
        plane.note("cleaned")
    if (plane.header.get("N_IMAGES") or 1) > 1:
        plane.note("stacked")
