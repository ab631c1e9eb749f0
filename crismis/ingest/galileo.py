"""Galileo SSI: VICAR labels with times in pieces, despiking and lossy compression."""

from datetime import datetime, timedelta

from .core import adapts

__all__ = []

# On-board compressions; only the first two return what went in.
_LOSSLESS = ("NONE", "HUFFMAN")


@adapts(lambda p: p.label.get("MISSION") == "GALILEO" and p.label.get("SENSOR") == "SSI")
def _galileo(plane, source):
    label = plane.label
    exposure = label.get("EXP")
    if isinstance(exposure, int | float):
        plane.facts["exposure_time"] = exposure / 1000
    plane.facts["date"] = _start(label)
    if str(label.get("TLMFMT", "")).startswith(("HIS", "HMA")):
        plane.facts["binning"] = (2, 2)
    encoding = str(label.get("ENCODING_TYPE", "NONE")).strip().upper()
    if not encoding.startswith(_LOSSLESS):
        plane.recode("lossy")
    # At 255 no pixel of eight bits differs enough from its neighbours to be replaced.
    threshold = label.get("ICT_DESPIKE_THRESHOLD", 255)
    if isinstance(threshold, int) and 0 < threshold < 255:
        plane.note("cleaned")


def _start(label):
    numbers = [label.get(f"SCET{unit}") for unit in ("YEAR", "DAY", "HOUR", "MIN", "SEC")]
    if not all(isinstance(n, int) for n in numbers) or not 1970 < numbers[0] < 2100:
        return None
    year, day, hour, minute, second = numbers
    moment = datetime(year, 1, 1) + timedelta(days=day - 1, hours=hour, minutes=minute)
    return (moment + timedelta(seconds=second)).isoformat()
