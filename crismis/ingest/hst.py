"""Hubble: data-quality bits that make a pixel unusable, and WFPC2's files that hold them."""

from astropy import units as u

from .core import Source, adapts

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


@adapts(lambda plane: plane.header.get("TELESCOP") == "HST")
def _hst(plane, source):
    if plane.unit is None and "BUNIT" not in plane.header:
        plane.unit = u.DN
    instrument = str(plane.header.get("INSTRUME", "")).strip()
    if str(plane.header.get("FILETYPE", "")).strip() == "SDQ":
        plane.unit, plane.facts["counts"] = u.dimensionless_unscaled, False
        return
    if instrument == "WFPC2" and plane.flags is None:
        plane.flags = _twin_flags(plane, source)
    if plane.flags is not None and instrument in MASKED_BITS:
        plane.hide((plane.flags & MASKED_BITS[instrument]) != 0)


def quality_twin(path):
    """Return the file with the data quality of a WFPC2 image (c1f of c0f, q0f of d0f), or None."""
    for image, quality in (("_c0f", "_c1f"), ("_c0m", "_c1m"), ("_d0f", "_q0f"), ("_d0m", "_q0m")):
        stem = path.stem.lower()
        if stem.endswith(image):
            twin = path.with_name(path.stem[: -len(image)] + quality + path.suffix)
            return twin if twin.is_file() else None
    return None


def _twin_flags(plane, source):
    twin = quality_twin(source.path)
    if twin is None:
        return None
    from .fits import fits_images

    images = fits_images(Source(twin, source.allow_truncated))
    index = plane.index or 0
    wanted = [i for i in images if i.shape[-2:] == plane.data.shape]
    if not wanted or (len(wanted[0].shape) == 3 and index >= wanted[0].shape[0]):
        return None
    return wanted[0].load(index if len(wanted[0].shape) == 3 else None).data
