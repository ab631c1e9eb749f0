"""New Horizons LORRI: which bits of the quality plane make a pixel unusable."""

from astropy import units as u

from .core import adapts

__all__ = ["MASKED_BITS"]

# Defects in the reference bias (1) and flat field (2), permanently bad (4) and hot pixels (8),
# missing data (32); saturation (16) stays, its value is a lower limit. From the New Horizons
# SOC to Instrument Interface Control Document, section on LORRI's quality image.
MASKED_BITS = 1 | 2 | 4 | 8 | 32


@adapts(lambda plane: str(plane.header.get("INSTRU", "")).strip().lower() == "lor")
def _lorri(plane, source):
    if plane.unit is None and not str(plane.header.get("BUNIT", "")).strip():
        plane.unit = u.DN
    if plane.flags is not None:
        plane.hide((plane.flags & MASKED_BITS) != 0)
