"""What an image's header says of its exposure, in the dialects of the observatories."""

from dataclasses import dataclass

__all__ = ["Facts"]

_EXPTIME = ("CREXPTIM", "EXPTIME", "EXPOSURE", "EXP_TIME", "XPOSURE", "TEXPTIME", "ITIME")
_GAIN = ("CRGAIN", "EGAIN", "ATODGAIN", "CCDGAIN", "HIERARCH ESO DET OUT1 CONAD", "CONAD")
_READNOISE = (
    "CRRDNOIS",
    "RDNOISE",
    "READNOIS",
    "READNSE",
    "HIERARCH ESO DET OUT1 RON",
    "ENOISE",
    "RON",
)
_DATE = ("CRDATE", "DATE-OBS", "DATE_OBS", "DATE-BEG", "START_TIME", "DATE-AVG")
_INSTRUMENT = ("CRINSTR", "INSTRUME")


@dataclass(frozen=True)
class Facts:
    """Normalized facts of one exposure; `None` where the header is silent.

    Parameters
    ----------
    detector : str
        Name for `crismis.get_detector` (keyword ``CRDETEC``).
    gain : float
        Electrons per data number.
    readnoise : float
        Read noise in electrons.
    exposure_time : float
        Seconds.
    date : str
        ISO start of the exposure, UTC.
    instrument, filter, target : str
    temperature : float
        Detector temperature in kelvin (keyword ``CRTEMP``).
    saturation : float
        Saturation level in the unit of the data (keyword ``CRSATUR``).
    binning : tuple of int
        (rows, columns).
    product : str
        What earlier steps did that changes hits: ``"cleaned"``, ``"stacked"``,
        ``"resampled"`` or their combination; empty for a single exposure.
    """

    detector: str | None = None
    gain: float | None = None
    readnoise: float | None = None
    exposure_time: float | None = None
    date: str | None = None
    instrument: str | None = None
    filter: str | None = None
    target: str | None = None
    temperature: float | None = None
    saturation: float | None = None
    binning: tuple | None = None
    product: str = ""

    @classmethod
    def from_header(cls, header):
        """Read the facts from a FITS header or any mapping."""
        return cls(
            detector=_text(header, ("CRDETEC",)),
            gain=_positive(header, _GAIN) or _generic_gain(header),
            readnoise=_number(header, _READNOISE),
            exposure_time=_number(header, _EXPTIME),
            date=_text(header, _DATE),
            instrument=_text(header, _INSTRUMENT),
            filter=_text(header, ("CRFILTER", "FILTER", "FILTNAM1", "FILTER1", "FILTERS")),
            target=_text(header, ("CRTARGET", "OBJECT", "TARGNAME", "TARGET")),
            temperature=_positive(header, ("CRTEMP",)),
            saturation=_positive(header, ("CRSATUR", "SATURATE", "SATLEVEL")),
            binning=_binning(header),
            product=_text(header, ("CRPROD",)) or "",
        )


def _number(header, names):
    for name in names:
        value = header.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value == value:
            return float(value)
    return None


def _positive(header, names):
    return next((v for n in names if (v := _number(header, (n,))) and v > 0), None)


def _text(header, names):
    for name in names:
        value = header.get(name)
        if isinstance(value, str) and value.strip():
            return value.strip()
    return None


def _generic_gain(header):
    # ESO writes ADU per electron into GAIN and the inverse into CONAD.
    if "ESO" in str(header.get("ORIGIN", "")) or "ESO" in str(header.get("TELESCOP", "")):
        return None
    return _positive(header, ("GAIN",))


def _binning(header):
    rows, columns = _number(header, ("CRBIN2",)), _number(header, ("CRBIN1",))
    if rows is None or columns is None:
        return None
    return int(rows), int(columns)
