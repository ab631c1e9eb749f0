"""What planetary labels (PDS3, VICAR, ISIS) say of the exposure, as header and facts."""

import re
from datetime import datetime, timedelta

from astropy.io import fits

from .core import Plane
from .odl import Measure

__all__ = ["iso_date", "label_facts", "label_header", "labelled", "seconds"]

_SECONDS = {
    **dict.fromkeys(("S", "SEC", "SECOND", "SECONDS"), 1.0),
    **dict.fromkeys(("MS", "MSEC", "MILLISECOND", "MILLISECONDS"), 1e-3),
    **dict.fromkeys(("US", "MICROSECOND", "MICROSECONDS"), 1e-6),
    **dict.fromkeys(("MIN", "MINUTE", "MINUTES"), 60.0),
}
_EXPOSURE = ("EXPOSURE_DURATION", "EXPOSUREDURATION", "LINE_EXPOSURE_DURATION", "EXPOSURETIME")
_TARGET = ("TARGET_NAME", "TARGETNAME", "TARGET")
_FILTER = ("FILTER_NAME", "FILTERNAME", "FILTER_NUMBER", "FILTER")
_DATE = ("START_TIME", "STARTTIME", "IMAGE_TIME")
_INSTRUMENT = ("INSTRUMENT_ID", "INSTRUMENTID", "INSTRUMENT_NAME", "SENSOR")
_TEMPERATURE = ("DETECTOR_TEMPERATURE", "FOCAL_PLANE_TEMPERATURE", "MESS:CCD_TEMP")
_UNKNOWN = {"", "N/A", "NULL", "UNK", "NONE", "UNKNOWN"}


def labelled(data, values, default_unit="MS"):
    """Make a `Plane` with the header and the facts of a label.

    Parameters
    ----------
    data : ndarray
        The pixels.
    values : dict
        Keyword -> value as `crismis.ingest.odl.parse_label` gives them.
    default_unit : str
        As for `label_facts`.

    Returns
    -------
    Plane
    """
    plain = {k: v.value if isinstance(v, Measure) else v for k, v in values.items()}
    facts = label_facts(values, default_unit)
    return Plane(data, label_header(values), facts=facts, label=plain)


def label_header(values):
    """Put the values of a label into a FITS header, as far as a card can hold them.

    Each keyword becomes ``HIERARCH LABEL keyword``, apart from the keywords of FITS: a
    camera's ``GAIN`` in a label is often the number of a switch.

    Parameters
    ----------
    values : dict
        Keyword -> value as `crismis.ingest.odl.parse_label` gives them.

    Returns
    -------
    `~astropy.io.fits.Header`
        Lists become text; what does not fit on one card is cut.
    """
    header = fits.Header()
    for keyword, value in values.items():
        keyword = "LABEL " + re.sub(r"[^A-Z0-9_-]", "_", keyword.upper().lstrip("^"))[:40]
        unit = ""
        if isinstance(value, Measure):
            value, unit = value
        if isinstance(value, list):
            value = ", ".join(str(v.value if isinstance(v, Measure) else v) for v in value)
        if isinstance(value, str):
            value = "".join(c if " " <= c <= "~" else " " for c in value)
            value = value.replace("'", "")[: max(1, 80 - len("HIERARCH  = ''") - len(keyword))]
        if keyword not in header:
            header.append(_card(f"HIERARCH {keyword}", value, unit))
    return header


def _card(name, value, unit):
    card = fits.Card(name, value, f"[{unit}]" if unit and unit.isprintable() else "")
    return card if len(str(card)) == 80 and unit.isascii() else fits.Card(name, value)


def label_facts(values, default_unit="MS"):
    """Read the facts of the exposure from the common keywords of planetary labels.

    Parameters
    ----------
    values : dict
        Keyword -> value as `crismis.ingest.odl.parse_label` gives them.
    default_unit : str
        Unit of an exposure duration that has none; the PDS data dictionary defines
        milliseconds.

    Returns
    -------
    dict
        Fields of `crismis.headers.Facts`.
    """
    facts = {
        "exposure_time": seconds(_first(values, _EXPOSURE), default_unit),
        "target": _text(_first(values, _TARGET)),
        "filter": _text(_first(values, _FILTER)),
        "date": iso_date(_text(_first(values, _DATE))),
        "instrument": _text(_first(values, _INSTRUMENT)),
        "temperature": _kelvin(_first(values, _TEMPERATURE)),
    }
    return {k: v for k, v in facts.items() if v is not None}


def seconds(value, default_unit):
    """Turn a duration of a label into seconds, `None` where it is no number."""
    unit = default_unit
    if isinstance(value, Measure):
        value, unit = value
    if isinstance(value, list):
        value = value[0] if value else None
        return seconds(value, unit)
    factor = _SECONDS.get(unit.upper().strip())
    if factor is None or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value * factor if value >= 0 else None


def iso_date(text):
    """Turn a PDS time, by month or by day of the year, into ISO form."""
    if not text:
        return None
    text = text.strip().rstrip("Z")
    by_day = re.fullmatch(r"(\d{4})-(\d{3})(T[\d:.]+)?", text)
    if by_day:
        day = datetime(int(by_day[1]), 1, 1) + timedelta(days=int(by_day[2]) - 1)
        return f"{day:%Y-%m-%d}{by_day[3] or ''}"
    return text if re.match(r"\d{4}-\d\d-\d\d", text) else None


def _first(values, keywords):
    for keyword in keywords:
        if keyword in values:
            value = values[keyword]
            plain = value.value if isinstance(value, Measure) else value
            if not (isinstance(plain, str) and plain.strip().upper() in _UNKNOWN):
                return value
    return None


def _text(value):
    if isinstance(value, Measure):
        value = value.value
    if isinstance(value, list):
        return "+".join(str(v).strip() for v in value) or None
    return None if value is None else str(value).strip()


def _kelvin(value):
    unit = ""
    if isinstance(value, Measure):
        value, unit = value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    kelvin = value if unit.upper() in ("K", "KELVIN") else value + 273.15
    return kelvin if 0 < kelvin < 1000 else None
