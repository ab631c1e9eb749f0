"""Voyager ISS: what the lines of text in VICAR labels say. Its sensors are vidicons, no CCDs."""

import re

from .core import adapts
from .labels import iso_date

__all__ = []


@adapts(lambda plane: str(plane.label.get("LAB02")).startswith("VGR-"))
def _voyager(plane, source):
    text = " ".join(str(plane.label.get(f"LAB{n:02d}", "")) for n in range(1, 11))
    exposure = re.search(r"\bEXP\s+([\d.]+)\s+MSEC", text)
    if exposure:
        plane.facts["exposure_time"] = float(exposure[1]) / 1000
    chosen = re.search(r"\bFILT\s+\d+\s*\(\s*(\w+)", text)
    if chosen:
        plane.facts["filter"] = chosen[1]
    camera = re.search(r"\b([NW])A CAMERA", text)
    if camera:
        plane.facts["instrument"] = f"ISS {camera[1]}AC"
        plane.facts["detector"] = f"Voyager/ISS/{camera[1]}AC"
    time = re.search(r"\bSCET\s+(\d\d)\.(\d{3})\s+(\d\d:\d\d:\d\d)", text)
    if time:
        plane.facts["date"] = iso_date(f"19{time[1]}-{time[2]}T{time[3]}")
