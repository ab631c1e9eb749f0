"""PDS4: XML labels and the arrays they describe.

pds4-tools refuses labels that lack an attribute, as early CaSSIS ones do; here an offset that
is not given counts as 0, and a data file may lack its ending.
"""

import xml.etree.ElementTree as ElementTree

import numpy as np
from astropy.io import fits

from .build import native
from .core import Image, Plane, register_format
from .labels import iso_date, seconds
from .pds3 import beside, hide_constants
from .raster import Raster

__all__ = ["pds4_data_files", "pds4_images"]

_LARGEST_LABEL = 16 << 20
_ARRAYS = ("Array_2D_Image", "Array_3D_Image", "Array_2D", "Array_3D", "Array_2D_Map", "Array")
_TYPES = {
    "UnsignedByte": "u1",
    "SignedByte": "i1",
    "UnsignedMSB2": ">u2",
    "UnsignedMSB4": ">u4",
    "UnsignedLSB2": "<u2",
    "UnsignedLSB4": "<u4",
    "SignedMSB2": ">i2",
    "SignedMSB4": ">i4",
    "SignedLSB2": "<i2",
    "SignedLSB4": "<i4",
    "IEEE754MSBSingle": ">f4",
    "IEEE754MSBDouble": ">f8",
    "IEEE754LSBSingle": "<f4",
    "IEEE754LSBDouble": "<f8",
}
_CONSTANTS = (
    "missing_constant",
    "invalid_constant",
    "not_applicable_constant",
    "unknown_constant",
    "error_constant",
    "saturated_constant",
    "high_instrument_saturation",
    "high_representation_saturation",
    "low_instrument_saturation",
    "low_representation_saturation",
)


def _is_pds4(source):
    head = source.head[:8192]
    return b"<" in head[:100] and b"<Product_" in head and b"<?xml" in head[:200]


@register_format("PDS4", _is_pds4, lambda source: pds4_data_files(source))
def pds4_images(source):
    """List the images that a PDS4 label describes."""
    root = _tree(source)
    images = []
    for area in _all(root, "File_Area_Observational"):
        path = _data_file(source, area)
        for array in area:
            if _tag(array) in _ARRAYS:
                images.append(_image(source, root, array, path, len(images)))
    return images


def pds4_data_files(source):
    """List the data files of a PDS4 label, those that exist."""
    areas = list(_all(_tree(source), "File_Area_Observational"))
    return [p for p in (_find_file(source, area) for area in areas) if p is not None]


def _tree(source):
    if source.size > _LARGEST_LABEL:
        raise source.error(f"{source.size} bytes are too many for a PDS4 label")
    text = source.path.read_bytes()
    if b"<!ENTITY" in text:
        raise source.error("labels that define entities are not read", "PDS4 has no use for them")
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise source.error(f"its label is no well-formed XML ({error})") from None


def _tag(element):
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _all(root, name):
    return (e for e in root.iter() if _tag(e) == name)


def _first(root, *names):
    for name in names:
        for element in _all(root, name):
            if element.text and element.text.strip():
                return element
    return None


def _value(root, *names):
    element = _first(root, *names)
    return None if element is None else element.text.strip()


def _find_file(source, area):
    name = _value(area, "file_name") or ""
    # Early labels leave out the ending of the file's name.
    for ending in ("", ".dat", ".img", ".fits"):
        path = beside(source.path.parent, name + ending) if name else None
        if path is not None:
            return path
    return None


def _data_file(source, area):
    path = _find_file(source, area)
    if path is None:
        raise source.error(
            f"the label points to {_value(area, 'file_name')!r}, which is not beside it",
            "put label and data into one folder",
        )
    return path


def _image(source, root, array, path, number):
    name = _value(array, "local_identifier", "name") or f"{_tag(array)} {number}"
    code = _TYPES.get(_value(array, "data_type") or "")
    if code is None:
        raise source.error(f"{name} has the data type {_value(array, 'data_type')!r}")
    axes = sorted(_all(array, "Axis_Array"), key=lambda a: _whole(source, a, "sequence_number"))
    sizes = [_whole(source, axis, "elements") for axis in axes]
    names = [(_value(axis, "axis_name") or "").lower() for axis in axes]
    if len(sizes) not in (2, 3):
        raise source.error(f"{name} has {len(sizes)} axes, no image")
    bands, lines, samples = _layout(sizes, names)
    offset = next((e for e in array if _tag(e) == "offset"), None)
    start = int(offset.text) if offset is not None and offset.text else 0
    raster = Raster(start, np.dtype(code), lines, samples, bands)
    raster.check(source, path.stat().st_size, name)

    def load(plane):
        data, missing = raster.read(path, plane or 0)
        return _plane(root, array, data, missing)

    return Image((name, _tag(array)), raster.shape, load)


def _layout(sizes, names):
    """Sort the sizes into bands, lines, samples; the last axis varies fastest."""
    if len(sizes) == 3:
        return sizes
    # Some early labels count the axes the other way round, yet store lines of samples.
    swapped = names[0].startswith("sample") and names[1].startswith("line")
    return (1, sizes[1], sizes[0]) if swapped else (1, *sizes)


def _whole(source, element, name):
    text = _value(element, name)
    if text is None or not text.isdecimal() or len(text) > 15:
        raise source.error(f"its label has {name} = {text!r}, no whole number")
    return int(text)


def _plane(root, array, data, missing):
    found = Plane(data, _header(root), facts=_facts(root))
    constants = next(_all(array, "Special_Constants"), None)
    if constants is not None:
        values = [_number(e.text) for e in constants if _tag(e) in _CONSTANTS]
        hide_constants(found, [v for v in values if v is not None])
    if missing is not None:
        found.hide(missing)
    element = next(_all(array, "Element_Array"), array)
    factor = _number(_value(element, "scaling_factor")) or 1.0
    offset = _number(_value(element, "value_offset")) or 0.0
    if (factor, offset) != (1.0, 0.0):
        found.data = native((data * factor + offset).astype(np.float32))
        found.facts["counts"] = False
    unit = _value(element, "unit")
    description = (_value(array, "description") or "").lower()
    if unit:
        found.unit = unit
    elif "i/f" in description:
        found.unit = "I/F"
    return found


def _number(text):
    if not text:
        return None
    text = text.strip()
    try:
        return int(text, 16) if text[:2].lower() == "0x" else float(text)
    except ValueError:
        return None


def _facts(root):
    element = _first(root, "exposure_time", "exposure_duration", "Exposure_Time")
    exposure = None
    if element is not None:
        exposure = seconds(_number(element.text), element.get("unit", "s"))
    else:
        header = next(_all(root, "PEHK_HEADER"), None)
        if header is not None:
            exposure = _number(header.get("Exposure_Time"))
    system = next(_all(root, "Observing_System"), root)
    instrument = None
    for component in _all(system, "Observing_System_Component"):
        if (_value(component, "type", "observing_system_component_type") or "") == "Instrument":
            instrument = _value(component, "name")
    target = next(_all(root, "Target_Identification"), None)
    return {
        "exposure_time": exposure,
        "date": iso_date(_value(root, "start_date_time")),
        "instrument": instrument,
        "filter": _value(root, "filter_name", "filter_id", "Filter"),
        "target": None if target is None else _value(target, "name"),
    }


def _header(root):
    header = fits.Header()
    for keyword, name in (("LID", "logical_identifier"), ("TITLE", "title")):
        text = _value(root, name)
        if text and text.isascii():
            header[keyword] = " ".join(text.split())[:60]
    for component in _all(root, "Observing_System_Component"):
        kind = _value(component, "type", "observing_system_component_type")
        name = (_value(component, "name") or "")[:60]
        if kind in ("Instrument", "Spacecraft", "Host") and name.isascii():
            header["INSTRUME" if kind == "Instrument" else "SPACECFT"] = name
    return header
