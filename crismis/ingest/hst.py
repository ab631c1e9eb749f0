"""Hubble: which data-quality bits make a pixel unusable."""

from astropy import units as u

from .core import adapts

__all__ = ["MASKED_BITS"]

# Bits of DQ that go into the mask: lost or replaced data, defective and hot pixels. Not in it:
# warm pixels, small blemishes, saturation (the value is still a lower limit, and bright hits
# saturate too) and bits set by earlier cosmic-ray rejection. Meanings from the ACS, WFC3, STIS
# and WFPC2 Data Handbooks, tables of data-quality flags.
MASKED_BITS = {
    "ACS": 1 | 2 | 4 | 8 | 16 | 128 | 512,
    "WFC3": 1 | 2 | 4 | 8 | 16 | 128 | 512,
    "STIS": 1 | 2 | 4 | 8 | 16 | 128 | 512,
    "WFPC2": 1 | 2 | 4 | 16 | 32 | 128,
}


@adapts(lambda header: header.get("TELESCOP") == "HST")
def _hst(plane):
    if plane.unit is None and "BUNIT" not in plane.header:
        plane.unit = u.DN
    instrument = str(plane.header.get("INSTRUME", "")).strip()
    if plane.flags is not None and instrument in MASKED_BITS:
        plane.hide((plane.flags & MASKED_BITS[instrument]) != 0)
