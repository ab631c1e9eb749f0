"""From a plane as a format found it to a CCDData: unit, world coordinates, facts."""

import re

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData

from ..detectors import get_detector
from ..errors import IngestError
from ..headers import Facts

__all__ = ["build", "clean_header", "native", "parse_unit", "split_wcs"]

_COUNTED = {
    "ADU": u.adu,
    "ADUS": u.adu,
    "DN": u.DN,
    "DNS": u.DN,
    "DATA NUMBER": u.DN,
    "DATANUMBER": u.DN,
    "DATA VALUE": u.DN,
    "CORRECTED DN": u.DN,
    "CT": u.ct,
    "CTS": u.ct,
    "COUNT": u.ct,
    "COUNTS": u.ct,
    "ELECTRON": u.electron,
    "ELECTRONS": u.electron,
    "E-": u.electron,
    "E": u.electron,
    "EL": u.electron,
    "PHOTOELECTRON": u.electron,
    "PHOTOELECTRONS": u.electron,
    "DETECTED ELECTRON": u.electron,
    "DETECTED ELECTRONS": u.electron,
    "": u.dimensionless_unscaled,
    "INTENSITY": u.dimensionless_unscaled,
    "UNITLESS": u.dimensionless_unscaled,
    "DIMENSIONLESS": u.dimensionless_unscaled,
}
# Light, or its ratio to that of the Sun: no counts, so no gain applies.
_LIGHT = {
    **dict.fromkeys(("I/F", "REFLECTANCE", "RADIANCE FACTOR"), u.dimensionless_unscaled),
    **dict.fromkeys(("MSB", "MEAN SOLAR BRIGHTNESS"), u.dimensionless_unscaled),
    "PHOT/CM^2/S/NM/STER": u.ph / (u.cm**2 * u.s * u.nm * u.sr),
}
_PER_SECOND = re.compile(
    r"^(?P<what>.*?)\s*((/|\bPER\b)\s*(S|SEC|SECS|SECOND|SECONDS)\.?|\bS\s?(\*\*|\^)?-1)$"
)
_PER_PIXEL = re.compile(r"\s*(/|\bPER\b)\s*(PIX|PIXEL)\b")
_COUNT_UNITS = (u.adu, u.DN, u.ct, u.electron, u.dimensionless_unscaled)
_WCS_KEYWORD = re.compile(
    r"(WCSAXES|CTYPE\d|CUNIT\d|CRVAL\d|CRPIX\d|CDELT\d|CROTA\d|CD\d_\d|PC\d_\d|PV\d_\d+|PS\d_\d+"
    r"|LONPOLE|LATPOLE|(A|B|AP|BP)_(ORDER|DMAX|\d_\d)|[AB]P?_ORDER|CPDIS\d|DP\d.*|D2IM\w*"
    r"|CPERR\d|WCSNAME)[A-Z]?"
)
# What describes the array in the file, and would be wrong in any other.
_STRUCTURE = re.compile(
    r"(SIMPLE|XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|GROUPS|EXTEND|BSCALE|BZERO|BLANK|CHECKSUM"
    r"|DATASUM|END|LONGSTRN|CONTINUE|NEXTEND|NPIX\d|PIXVALUE)"
)


def parse_unit(text):
    """Understand the unit of an image as observatories write it.

    Parameters
    ----------
    text : str
        Value of ``BUNIT`` or of a label's ``UNIT``.

    Returns
    -------
    unit : `~astropy.units.UnitBase`
    counts : bool
        Whether values in this unit are proportional to charge.

    Raises
    ------
    ValueError
        If nothing is known by that name.

    Examples
    --------
    >>> from crismis.ingest.build import parse_unit
    >>> parse_unit("COUNTS/S")
    (Unit("ct / s"), True)
    >>> parse_unit("I/F")
    (Unit(dimensionless), False)
    """
    name = " ".join(text.replace("_", " ").split()).upper()
    if name in _LIGHT:
        return _LIGHT[name], False
    name = _PER_PIXEL.sub("", name)
    if name in _COUNTED:
        return _COUNTED[name], True
    rate = _PER_SECOND.match(name)
    if rate and rate["what"].strip() in _COUNTED:
        return _COUNTED[rate["what"].strip()] / u.s, True
    unit = u.Unit(text.strip())
    return unit, unit in _COUNT_UNITS or unit * u.s in _COUNT_UNITS


def clean_header(header):
    """Copy a header without the cards that are damaged or describe the array on disk.

    Parameters
    ----------
    header : `~astropy.io.fits.Header`

    Returns
    -------
    `~astropy.io.fits.Header`

    Examples
    --------
    >>> from astropy.io import fits
    >>> from crismis.ingest.build import clean_header
    >>> header = fits.Header({"NAXIS": 2, "BZERO": 32768, "OBJECT": "Io"})
    >>> list(clean_header(header))
    ['OBJECT']
    """
    clean = fits.Header()
    for card in header.cards:
        try:
            card.verify("silentfix")
            keyword, value, comment = card.keyword, card.value, card.comment
            if _STRUCTURE.fullmatch(keyword):
                continue
            if isinstance(value, fits.card.Undefined):
                value = None
            clean.append((keyword, value, comment), end=True)
        except (fits.VerifyError, ValueError, TypeError):
            continue
    return clean


def split_wcs(header, hdus=None):
    """Take the world coordinates out of a header.

    Parameters
    ----------
    header : `~astropy.io.fits.Header`
        Loses the keywords that the returned object carries.
    hdus : `~astropy.io.fits.HDUList`, optional
        The file, for distortions kept in other extensions.

    Returns
    -------
    `~astropy.wcs.WCS` or None
        `None` where there are none, or where they cannot be understood.

    Examples
    --------
    >>> from astropy.io import fits
    >>> from crismis.ingest.build import split_wcs
    >>> header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0,
    ...                       "CRVAL2": 20.0, "CDELT1": 0.1, "CDELT2": 0.1, "OBJECT": "M31"})
    >>> wcs = split_wcs(header)
    >>> print(wcs.wcs.ctype[0], list(header))
    RA---TAN ['OBJECT']
    """
    from astropy.wcs import WCS

    if not any(str(header.get(f"CTYPE{axis}", "")).strip() for axis in (1, 2)):
        return None
    try:
        wcs = WCS(header, fobj=hdus)
        wcs = wcs.sub([1, 2]) if wcs.naxis > 2 else wcs
        if wcs.naxis != 2:
            return None
        wcs.wcs.set()
    except Exception:  # astropy.wcs raises its own and C-level errors of many kinds
        return None
    for keyword in set(header):
        if _WCS_KEYWORD.fullmatch(keyword):
            header.remove(keyword, ignore_missing=True, remove_all=True)
    return wcs


def build(source, plane, name, index, unit):
    """Make the CCDData of a plane, with the facts of the exposure in its header.

    Parameters
    ----------
    source : Source
        The file.
    plane : Plane
        What the format found.
    name : str or int
        Name of the image in the file.
    index : int or None
        Plane of a cube.
    unit : `~astropy.units.Unit` or str or None
        The user's choice.

    Returns
    -------
    `~astropy.nddata.CCDData`

    Examples
    --------
    >>> import pathlib
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from crismis.ingest import Plane, Source
    >>> from crismis.ingest.build import build
    >>> plane = Plane(np.ones((4, 5)), fits.Header({"EXPTIME": 30.0}), unit="adu")
    >>> ccd = build(Source(pathlib.Path("image.fits")), plane, 0, None, None)
    >>> ccd.unit, ccd.meta["CREXPTIM"]
    (Unit("adu"), 30.0)
    """
    unit, counts = _unit(source, plane, unit)
    header = plane.header
    facts = Facts.from_header(header)
    known = {k: v for k, v in plane.facts.items() if v is not None}
    if unit in (u.electron, u.electron / u.s):
        known.setdefault("gain", 1.0)
    known["counts"] = counts and known.get("counts", facts.counts)
    product = [s for s in (facts.product, known.get("product", "")) if s]
    facts = Facts(**(vars(facts) | known | {"product": "+".join(dict.fromkeys(product))}))
    facts.to_header(header)
    said = plane.unit if isinstance(plane.unit, str) else header.get("BUNIT")
    header.remove("BUNIT", ignore_missing=True, remove_all=True)
    if said is not None:
        header["CRBUNIT"] = (said, "unit as the file names it")
    header["CRHDU"] = (str(name), "image of the file that was read")
    if index is not None:
        header["CRPLANE"] = (index, "plane of the cube that was read")
    ccd = CCDData(
        plane.data,
        unit=unit,
        mask=plane.mask,
        uncertainty=plane.uncertainty,
        flags=plane.flags,
        wcs=plane.wcs,
        meta=header,
    )
    detector = get_detector(ccd)
    if detector is not None:
        ccd.meta["CRDETEC"] = (detector.name, "detector, as crismis.get_detector knows it")
    return ccd


def _unit(source, plane, chosen):
    if chosen is not None:
        if not isinstance(chosen, str):
            return u.Unit(chosen), True
        try:
            return parse_unit(chosen)
        except ValueError:
            raise ValueError(f"unit {chosen!r} is not known to astropy.units") from None
    # astropy writes no BUNIT for dimensionless images, so ours may have CRBUNIT alone.
    said = plane.unit
    if said is None:
        said = plane.header.get("BUNIT", plane.header.get("CRBUNIT"))
    if said is None or (isinstance(said, str) and not said.strip()):
        return u.adu, True
    if not isinstance(said, str):
        return u.Unit(said), True
    try:
        return parse_unit(said)
    except ValueError:
        raise IngestError(
            source.path, f"unit {said!r} is not known", 'say it with unit=, for example unit="adu"'
        ) from None


def native(data):
    """Return an array in the machine's byte order; foreign order is swapped in place if it can.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.ingest.build import native
    >>> native(np.array([1.0, 2.0], ">f4")).dtype.isnative
    True
    """
    if data.dtype.isnative:
        return np.ascontiguousarray(data)
    if data.flags.writeable and data.flags.c_contiguous:
        return data.byteswap(inplace=True).view(data.dtype.newbyteorder("="))
    return np.ascontiguousarray(data, dtype=data.dtype.newbyteorder("="))
