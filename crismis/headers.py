"""What an image's header says of its exposure, in the dialects of the observatories."""

import re
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

__all__ = ["Facts"]

_ZERO_CELSIUS = 273.15
_DIALECTS = []

# Field of Facts -> the keyword that carries it once crismis has read a file.
_KEYWORDS = {
    "detector": ("CRDETEC", "detector, as crismis.get_detector knows it"),
    "gain": ("CRGAIN", "[electron] electrons per data unit"),
    "readnoise": ("CRRDNOIS", "[electron] read noise"),
    "exposure_time": ("CREXPTIM", "[s] exposure time"),
    "date": ("CRDATE", "start of the exposure, UTC"),
    "instrument": ("CRINSTR", "instrument"),
    "filter": ("CRFILTER", "filter"),
    "target": ("CRTARGET", "target"),
    "temperature": ("CRTEMP", "[K] temperature of the detector"),
    "saturation": ("CRSATUR", "saturation level in the unit of the data"),
    "product": ("CRPROD", "earlier steps that changed hits"),
    "coding": ("CRCODING", "coding that changed values: lossy, companded"),
    "counts": ("CRCOUNTS", "are the values proportional to charge?"),
}
_EXPOSURE = ("EXPTIME", "EXPOSURE", "EXP_TIME", "XPOSURE", "TEXPTIME", "ITIME")
_GAIN = ("EGAIN", "GAIN")
_READNOISE = ("RDNOISE", "READNOIS", "READNSE", "ENOISE", "RON")
_DATE = ("DATE-OBS", "DATE_OBS", "DATE-BEG", "START_TIME", "DATE-AVG")
_TIME = ("TIME-OBS", "TIME_OBS", "UTC", "UT")
_FILTER = ("FILTER", "FILTNAM1", "FILTER1", "FILTERS")
_TARGET = ("OBJECT", "TARGNAME", "TARGET", "TARGET_NAME")
_SATURATION = ("SATURATE", "SATLEVEL")
_CELSIUS = ("CCD-TEMP", "CCDTEMP", "DETTEMP")
_ELECTRON = re.compile(r"^\s*(e-?|electrons?)(\s*(/|\*\*-1|per)\s*\w+)?\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class Facts:
    """Normalized facts of one exposure; `None` where the header is silent.

    Parameters
    ----------
    detector : str
        Name for `crismis.get_detector` (keyword ``CRDETEC``).
    gain : float
        Electrons per data unit (``CRGAIN``); 1 for images in electrons.
    readnoise : float
        Read noise in electrons (``CRRDNOIS``).
    exposure_time : float
        Seconds (``CREXPTIM``).
    date : str
        ISO start of the exposure, UTC (``CRDATE``).
    instrument, filter, target : str
        Names as the header gives them (``CRINSTR``, ``CRFILTER``, ``CRTARGET``).
    temperature : float
        Detector temperature in kelvin (``CRTEMP``).
    saturation : float
        Saturation level in the unit of the data (``CRSATUR``).
    binning : tuple of int
        (rows, columns) (``CRBIN2``, ``CRBIN1``).
    product : str
        What earlier steps did that changes hits: ``"cleaned"``, ``"stacked"``,
        ``"resampled"`` or several of them joined by ``+``; empty for a single exposure
        (``CRPROD``).
    coding : str
        ``"lossy"`` or ``"companded"`` where compression changed the values for good, empty
        where it did not or was undone (``CRCODING``).
    counts : bool
        Whether the values are proportional to charge, so that a gain makes electrons of
        them; false for display values, reflectances, radiances and companded data whose
        table is unknown (``CRCOUNTS``).

    Examples
    --------
    >>> from crismis.headers import Facts
    >>> facts = Facts.from_header({"INSTRUME": "EFOSC", "GAIN": 1.1, "EXPTIME": 30})
    >>> facts.gain, facts.exposure_time, facts.readnoise
    (1.1, 30.0, None)
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
    coding: str = ""
    counts: bool = True

    @classmethod
    def from_header(cls, header):
        """Read the facts from a FITS header or any mapping of keywords.

        The normalized keywords (``CR...``) count first, then the dialect of the
        observatory, then the keywords in common use.

        Parameters
        ----------
        header : `~astropy.io.fits.Header` or mapping

        Returns
        -------
        Facts
        """
        facts = _common(header)
        for recognizes, dialect in _DIALECTS:
            if recognizes(header):
                facts |= {k: v for k, v in dialect(header).items() if v is not None}
        if _ELECTRON.match(str(header.get("BUNIT", ""))):
            facts["gain"] = 1.0
        facts |= {k: v for k, v in _normalized(header).items() if v is not None}
        return cls(**facts)

    def to_header(self, header):
        """Write the facts into a header as the normalized keywords.

        Parameters
        ----------
        header : `~astropy.io.fits.Header`
            Changed in place; facts that are unknown leave no keyword.
        """
        for name, (keyword, comment) in _KEYWORDS.items():
            value = getattr(self, name)
            if value in (None, "") or value is True:
                header.remove(keyword, ignore_missing=True)
            else:
                header[keyword] = (_printable(value), comment)
        for keyword, value in zip(("CRBIN2", "CRBIN1"), self.binning or (), strict=False):
            header[keyword] = (value, "binning of the " + ("rows", "columns")[keyword == "CRBIN1"])


def dialect(recognizes):
    """Register a function that reads an observatory's own keywords.

    Parameters
    ----------
    recognizes : callable
        Takes a header, tells whether the dialect applies.
    """

    def register(function):
        _DIALECTS.append((recognizes, function))
        return function

    return register


def _common(header):
    return {
        "gain": _positive(header, _GAIN),
        "readnoise": _positive(header, _READNOISE),
        "exposure_time": _number(header, _EXPOSURE),
        "date": _date(header),
        "instrument": _text(header, ("INSTRUME", "INSTRUMENT_ID")),
        "filter": _text(header, _FILTER),
        "target": _text(header, _TARGET),
        "temperature": _celsius(header, _CELSIUS),
        "saturation": _positive(header, _SATURATION),
        "binning": _ccdsum(header)
        or _pair(header, "YBINNING", "XBINNING")
        or _pair(header, "CCDYBIN", "CCDXBIN"),
        "product": _product(header),
    }


def _normalized(header):
    kinds = {f.name: f.type for f in fields(Facts)}
    facts = {}
    for name, (keyword, _) in _KEYWORDS.items():
        if "float" in str(kinds[name]):
            facts[name] = _number(header, (keyword,))
        elif name == "counts":
            facts[name] = header.get(keyword)
        else:
            facts[name] = _text(header, (keyword,))
    return facts | {"binning": _pair(header, "CRBIN2", "CRBIN1")}


def _number(header, names):
    for name in names:
        value = header.get(name)
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                continue
        if isinstance(value, int | float) and not isinstance(value, bool) and _finite(value):
            return float(value)
    return None


def _finite(value):
    return abs(value) < float("inf")


def _positive(header, names):
    return next((v for n in names if (v := _number(header, (n,))) and v > 0), None)


def _mean(header, names):
    values = [v for n in names if (v := _positive(header, (n,)))]
    return sum(values) / len(values) if values else None


def _celsius(header, names):
    value = _number(header, names)
    return None if value is None or value <= -_ZERO_CELSIUS else value + _ZERO_CELSIUS


def _text(header, names):
    for name in names:
        value = header.get(name)
        if isinstance(value, str) and value.strip(" ?"):
            return value.strip()
    return None


def _printable(value):
    return value.encode("ascii", "replace").decode() if isinstance(value, str) else value


def _pair(header, rows, columns):
    values = _positive(header, (rows,)), _positive(header, (columns,))
    return None if None in values else (int(values[0]), int(values[1]))


def _ccdsum(header):
    numbers = re.fullmatch(r"\s*(\d+)[\s,x]+(\d+)\s*", str(header.get("CCDSUM", "")))
    return (int(numbers[2]), int(numbers[1])) if numbers else None


def _date(header):
    date, time = _text(header, _DATE), _text(header, _TIME)
    if date is None:
        return None
    old = re.fullmatch(r"(\d\d)/(\d\d)/(\d\d)", date)
    if old:
        date = f"19{old[3]}-{old[2]}-{old[1]}"
    date = date.replace("/", "-").rstrip("Z").replace(" ", "T")
    if "T" not in date and time and ":" in time:
        date = f"{date}T{time.rstrip('Z')}"
    return date


def _earlier(date, seconds):
    try:
        moment = datetime.fromisoformat(date)
    except (TypeError, ValueError):
        return None
    return (moment - timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def _product(header):
    return "stacked" if (_positive(header, ("NCOMBINE",)) or 1) > 1 else ""


def _is(keyword, *values):
    return lambda header: str(header.get(keyword, "")).strip().upper() in values


@dialect(_is("TELESCOP", "HST"))
def _hst(header):
    amplifiers = str(header.get("CCDAMP", "")).strip()
    if header.get("DETECTOR") in ("WFC", "UVIS") and len(amplifiers) > 2:
        amplifiers = {1: "AB", 2: "CD"}[2 if _number(header, ("CCDCHIP",)) == 2 else 1]
    filters = [
        name
        for key in ("FILTNAM1", "FILTNAM2", "FILTER1", "FILTER2", "FILTER", "OPT_ELEM")
        if (name := _text(header, (key,))) and not name.upper().startswith(("CLEAR", "N/A"))
    ]
    saturation = _positive(header, ("SATURATE",))
    bias = _positive(header, ("DEZERO",))
    date = _date(header) or _date(
        {"DATE-OBS": header.get("TDATEOBS"), "TIME-OBS": header.get("TTIMEOBS")}
    )
    return {
        "gain": _mean(header, [f"ATODGN{a}" for a in amplifiers])
        or _positive(header, ("ATODGAIN", "CCDGAIN")),
        "readnoise": _mean(header, [f"READNSE{a}" for a in amplifiers])
        or _positive(header, ("READNSE",)),
        "date": date,
        "filter": "+".join(filters) or None,
        "target": _text(header, ("TARGNAME",)),
        "binning": _pair(header, "BINAXIS2", "BINAXIS1"),
        # WFPC2 states the limit of the converter; calibrated frames have lost the bias.
        "saturation": saturation - bias if saturation and bias else saturation,
        "product": _hst_product(header),
    }


def _hst_product(header):
    suffix = re.search(r"_(\w+)\.\w+$", str(header.get("FILENAME", "")).strip().lower())
    suffix = suffix[1] if suffix else ""
    done = {k for k in ("CRCORR", "DRIZCORR", "RPTCORR") if "COMPLETE" in str(header.get(k))}
    rejected, drizzled = "CRCORR" in done, "DRIZCORR" in done
    if suffix in ("crj", "crc", "crb", "sx2", "drz", "drc", "mos"):
        rejected = True
    if suffix in ("drz", "drc", "x2d", "sx2", "mos"):
        drizzled = True
    steps = []
    if rejected:
        steps += ["cleaned", "stacked"]
    elif suffix in ("sfl",) or "RPTCORR" in done:
        steps += ["stacked"]
    if drizzled:
        steps += ["resampled"]
    return "+".join(steps)


def _is_eso(header):
    return "ESO" in str(header.get("ORIGIN", "")) or "ESO" in str(header.get("TELESCOP", ""))


@dialect(_is_eso)
def _eso(header):
    def detector(name):
        keys = [f"{p}ESO DET {o}{name}" for p in ("", "HIERARCH ") for o in ("OUT1 ", "")]
        return _positive(header, keys)

    # ESO writes electrons per ADU into CONAD; its GAIN is ADU per electron.
    inverse = detector("GAIN")
    return {
        "gain": detector("CONAD") or _positive(header, ("CONAD",)) or (inverse and 1 / inverse),
        "readnoise": detector("RON"),
    }


@dialect(lambda header: str(header.get("INSTRU", "")).strip().lower() in ("lor", "lorri"))
def _lorri(header):
    exposure = _number(header, ("EXPTIME",))
    if exposure is None and (milliseconds := _number(header, ("EXPOSURE",))) is not None:
        exposure = milliseconds / 1000
    middle = _text(header, ("SPCUTCAL",))
    binning = {0: (1, 1), 1: (4, 4)}.get(header.get("FORMAT"))
    return {
        "instrument": "LORRI",
        "exposure_time": exposure,
        "date": _earlier(middle, (exposure or 0) / 2),
        "binning": binning,
    }


@dialect(_is("TELESCOP", "TRACE"))
def _trace(header):
    return {
        "exposure_time": _number(header, ("SHT_MDUR", "SHT_NOM")),
        "filter": _text(header, ("WAVE_LEN",)),
        "temperature": _celsius(header, (f"T_CCD_{header.get('AMP', 'A')}",)),
        "binning": _pair(header, "TBIN_CCD", "TBIN_CCD"),
    }


@dialect(lambda header: _is("TELESCOP", "HINODE")(header) and _is("INSTRUME", "XRT")(header))
def _xrt(header):
    filters = [_text(header, (key,)) for key in ("EC_FW1_", "EC_FW2_")]
    return {
        "filter": "+".join(f for f in filters if f and f.lower() != "open") or None,
        "binning": _pair(header, "CHIP_SUM", "CHIP_SUM"),
    }


@dialect(lambda header: _number(header, ("NEAR-010",)) is not None)
def _near(header):
    return {
        "instrument": "MSI",
        "exposure_time": _number(header, ("NEAR-010",)) / 1000,
        "filter": _text(header, ("NEAR-009",)),
        "target": _text(header, ("NEAR-047",)),
        "temperature": _celsius(header, ("NEAR-016",)),
    }


@dialect(_is("TELESCOP", "HAYABUSA2"))
def _hayabusa2(header):
    return {
        "instrument": str(header.get("NAIFNAME", "ONC")).strip().removeprefix("HAYABUSA2_"),
        "date": _text(header, ("DATE-BEG",)),
        "temperature": _celsius(header, ("CCDTSEL",)),
        "binning": _pair(header, "NPIXBIN", "NPIXBIN"),
    }


@dialect(_is("TELESCOP", "NEOSSAT"))
def _neossat(header):
    return {"exposure_time": _number(header, ("AEXPTIME", "EXPOSURE"))}


@dialect(_is("TELESCOP", "SOHO"))
def _soho(header):
    filters = [_text(header, (key,)) for key in ("FILTER", "POLAR")]
    wavelength = _positive(header, ("WAVELNTH",))
    return {
        "filter": f"{wavelength:.0f}" if wavelength else "+".join(f for f in filters if f) or None,
        "binning": _on_chip_and_after(header, "LEBYSUM", "LEBXSUM"),
    }


def _on_chip_and_after(header, rows, columns):
    """Multiply the sums on the chip (0 or 1 where there were none) and in the computer."""
    return tuple(
        int(_positive(header, (chip,)) or 1) * int(_positive(header, (computer,)) or 1)
        for chip, computer in (("SUMROW", rows), ("SUMCOL", columns))
    )


@dialect(_is("TELESCOP", "STEREO"))
def _stereo(header):
    rows, columns = _on_chip_and_after(header, "", "")
    summed = 2 ** int(max((_positive(header, ("IPSUM",)) or 1) - 1, 0))
    return {"binning": (rows * summed, columns * summed)}


@dialect(_is("INSTRUME", "DECAM"))
def _decam(header):
    return {
        "gain": _mean(header, ("GAINA", "GAINB")),
        "readnoise": _mean(header, ("RDNOISEA", "RDNOISEB")),
        "saturation": min(
            (s for k in ("SATURATA", "SATURATB") if (s := _positive(header, (k,)))), default=None
        ),
    }
