"""Hayabusa2 ONC: lossy compression on board."""

from .core import adapts

__all__ = []


@adapts(lambda plane: str(plane.header.get("TELESCOP")).strip().upper() == "HAYABUSA2")
def _onc(plane, source):
    if str(plane.header.get("IMGCMPRV", "")).strip().upper() == "LOSSY":
        plane.recode("lossy")
    limit = plane.header.get("DYNRNG")
    if isinstance(limit, int | float) and limit > 0:
        plane.facts["saturation"] = float(limit) - 1
