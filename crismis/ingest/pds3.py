"""PDS3: labels attached to the image or in a file of their own, and what they describe."""

import os
import re
from functools import partial
from pathlib import Path

import numpy as np

from .build import native
from .core import Image, Source, register_format
from .labels import labelled
from .odl import MAX_LABEL, Measure, parse_label
from .raster import Raster, pds3_dtype

__all__ = ["beside", "data_files", "hide_constants", "pds3_images", "read_label"]

_MARKS = (b"PDS_VERSION_ID", b"CCSD3ZF", b"NJPL1I00PDS")
_IMAGES = re.compile(r"\^((\w+_)?(IMAGE|QUBE|SPECTRAL_QUBE))$")
_NO_IMAGES = re.compile(r"BROWSE|THUMBNAIL|BACKPLANE|INDEX|DESC")
_ORDERS = {
    "BAND_SEQUENTIAL": "BSQ",
    "BAND SEQUENTIAL": "BSQ",
    "LINE_INTERLEAVED": "BIL",
    "LINE INTERLEAVED": "BIL",
    "SAMPLE_INTERLEAVED": "BIP",
    "SAMPLE INTERLEAVED": "BIP",
}
# Values that are no measurement. Saturation is among them: labels give it as a constant
# that stands for "out of range", not as a level.
_CONSTANTS = (
    "MISSING_CONSTANT",
    "MISSING",
    "INVALID_CONSTANT",
    "NULL",
    "CORE_NULL",
    "NOT_APPLICABLE_CONSTANT",
    "HIGH_INSTR_SATURATION",
    "HIGH_REPR_SATURATION",
    "LOW_INSTR_SATURATION",
    "LOW_REPR_SATURATION",
    "CORE_HIGH_INSTR_SATURATION",
    "CORE_HIGH_REPR_SATURATION",
    "CORE_LOW_INSTR_SATURATION",
    "CORE_LOW_REPR_SATURATION",
)
# Values of SAMPLE_BIT_MODE_ID by which rovers and orbiters squeeze twelve bits into eight;
# their labels do not give the tables.
_COMPANDED = ("LUT", "SQROOT")
_NO_UNIT = {"", "N/A", "UNK", "NULL", "RAW_INSTRUMENT_COUNT"}


def _is_pds3(source):
    head = source.head[:4096]
    return any(mark in head for mark in _MARKS) and not head.startswith(b"SIMPLE  =")


@register_format(
    "PDS3",
    lambda source: _is_pds3(source) and not is_compressed_voyager(source),
    lambda source: data_files(read_label(source), source.path.parent),
)
def pds3_images(source):
    """List the images that a PDS3 label describes."""
    label = read_label(source)
    images = []
    for name, pointer in pointers(label).items():
        path, offset = _place(source, label, pointer)
        data = Source(path, source.allow_truncated)
        if data.head.startswith(b"SIMPLE  ="):
            images += _fits_behind(data, label)
            continue
        block = label.find(name)
        if block is not None:
            images.append(_raster_image(source, label, name, block, path, offset))
    return images


def is_compressed_voyager(source):
    """Tell whether lines are stored as Huffman codes of first differences."""
    return b"HUFFMAN_FIRST_DIFFERENCE" in source.head


def read_label(source):
    """Read the PDS3 label at the start of a file.

    Returns
    -------
    crismis.ingest.odl.Block
    """
    with source.path.open("rb") as file:
        text = file.read(MAX_LABEL).decode("latin-1")
    return parse_label(text)


def pointers(label):
    """Map the names of a label's images to their pointers."""
    return {
        name[1:]: value
        for name, value in label.values.items()
        if _IMAGES.match(name) and not _NO_IMAGES.search(name)
    }


def data_files(label, folder):
    """List the files that the pointers of a detached label name, those that exist."""
    found = []
    for name, value in label.values.items():
        first = value[0] if isinstance(value, list) and value else value
        if name.startswith("^") and isinstance(first, str):
            path = beside(folder, first)
            if path is not None:
                found.append(path)
    return found


def beside(folder, name):
    """Find a file by its bare name in a folder, in any case; pointers lead nowhere else."""
    name = Path(name.replace("\\", "/")).name
    if not name or name in (".", ".."):
        return None
    if (folder / name).is_file():
        return folder / name
    for entry in os.scandir(folder):
        if entry.name.lower() == name.lower() and entry.is_file():
            return Path(entry.path)
    return None


def _place(source, label, pointer):
    """Return the file and the byte where an object starts."""
    path = source.path
    parts = list(pointer) if isinstance(pointer, list) else [pointer]
    if parts and isinstance(parts[0], str):
        path = beside(source.path.parent, parts[0])
        if path is None:
            raise source.error(
                f"the label points to {parts[0]!r}, which is not beside it",
                "put label and data into one folder",
            )
        parts = parts[1:]
    where = parts[0] if parts else 1
    if isinstance(where, Measure) and where.unit.upper().startswith("BYTE"):
        return path, int(where.value) - 1
    if isinstance(where, Measure):
        where = where.value
    record = label.get("RECORD_BYTES", 1)
    if not isinstance(where, int) or not isinstance(record, int):
        raise source.error(f"the label's pointer {pointer!r} names no place in a file")
    return path, (where - 1) * record


def _fits_behind(data, label):
    """Read the FITS file that a label describes, with the label's facts added."""
    from .fits import fits_images

    values = label.flat(("COLUMN",))

    def load(image, plane):
        found = image.load(plane)
        said = labelled(found.data, values)
        found.header.extend(said.header)
        found.facts, found.label = said.facts | found.facts, said.label
        return found

    return [Image(i.names, i.shape, partial(load, i)) for i in fits_images(data)]


def _raster_image(source, label, name, block, path, offset):
    size = path.stat().st_size
    _check_records(source, label, size, path)
    raster = _raster(source, block, name, offset)
    if raster is not None:
        raster.check(source, size, name)
    if raster is None or raster.dtype.kind == "V":
        return _by_pdr(source, label, name, block)

    def load(plane):
        data, missing = raster.read(path, plane or 0)
        return _plane(label, block, data, missing)

    return Image((name,), raster.shape, load)


def _raster(source, block, name, offset):
    kinds = {"LINES": 0, "LINE_SAMPLES": 0, "SAMPLE_BITS": 0, "BANDS": 1}
    kinds |= {"LINE_PREFIX_BYTES": 0, "LINE_SUFFIX_BYTES": 0}
    sizes = {key: block.get(key, default) for key, default in kinds.items()}
    if "LINES" not in block.values and "CORE_ITEMS" in block.values:
        return None
    for key, value in sizes.items():
        if not isinstance(value, int):
            raise source.error(f"{name} has {key} = {value!r}, no whole number")
    bits = sizes["SAMPLE_BITS"]
    if bits not in (8, 16, 32, 64):
        raise source.error(f"{name} has samples of {bits} bits")
    dtype = pds3_dtype(str(block.get("SAMPLE_TYPE", "UNSIGNED_INTEGER")), bits)
    order = _ORDERS.get(str(block.get("BAND_STORAGE_TYPE", "BAND_SEQUENTIAL")).upper())
    encoded = str(block.get("ENCODING_TYPE", "N/A")).upper() not in ("N/A", "NONE", "")
    if order is None or encoded:
        return None
    return Raster(
        offset,
        np.dtype(f"V{bits // 8}") if dtype is None else dtype,
        sizes["LINES"],
        sizes["LINE_SAMPLES"],
        sizes["BANDS"],
        sizes["LINE_PREFIX_BYTES"],
        sizes["LINE_SUFFIX_BYTES"],
        order,
    )


def _check_records(source, label, size, path):
    """Compare the size that the label gives the file with what there is."""
    records, length = label.get("FILE_RECORDS"), label.get("RECORD_BYTES")
    fixed = str(label.get("RECORD_TYPE", "")).upper() == "FIXED_LENGTH"
    if not fixed or not isinstance(records, int) or not isinstance(length, int):
        return
    # A detached label counts the records of its data; the last one may lack its padding.
    if size <= (records - 1) * length and not source.allow_truncated:
        raise source.error(
            f"truncated: the label promises {records} records of {length} bytes "
            f"({records * length} bytes), {path.name} holds {size}",
            "fetch the file again, or read what is there with allow_truncated=True",
        )


def _by_pdr(source, label, name, block):
    """Leave encodings that are no plain raster to pdr."""
    try:
        import pdr
    except ImportError:
        raise source.error(
            f"{name} is stored as {block.get('ENCODING_TYPE') or block.get('SAMPLE_TYPE')}, "
            "which needs the package pdr",
            'pip install "crismis[missions]"',
        ) from None
    data = pdr.read(str(source.path))
    array = np.asarray(data[name]) if name in data else None
    if array is None or array.dtype.kind not in "iuf" or array.ndim not in (2, 3):
        raise source.error(f"{name} is stored in a way that neither crismis nor pdr reads")

    def load(plane):
        chosen = array if array.ndim == 2 else array[plane or 0]
        return _plane(label, block, native(chosen.copy()), None)

    shape = array.shape[1:] if array.ndim == 3 and array.shape[0] == 1 else array.shape
    return Image((name,), shape, load)


def _plane(label, block, data, missing):
    values = label.flat(("COLUMN", "CONTAINER")) | block.values
    found = labelled(data, values)
    if missing is not None:
        found.hide(missing)
    hide_constants(found, [block.get(key) for key in _CONSTANTS if key in block.values])
    bits = block.get("SAMPLE_BIT_MASK")
    if isinstance(bits, int) and data.dtype.kind in "iu" and 0 < bits < 1 << 62:
        found.hide((data.astype(np.int64) & ~bits) != 0)
    mode = str(found.label.get("SAMPLE_BIT_MODE_ID", "")).upper()
    if mode.startswith(_COMPANDED) and data.dtype == np.uint8:
        found.recode("companded")
    if label.find("IMAGE_MAP_PROJECTION") is not None:
        found.note("resampled")
    unit = str(block.get("UNIT", "")).strip()
    offset, factor = block.get("OFFSET", 0), block.get("SCALING_FACTOR", 1)
    numbers = isinstance(offset, int | float) and isinstance(factor, int | float)
    if numbers and (offset, factor) != (0, 1):
        found.data = (data * float(factor) + float(offset)).astype(np.float32)
        found.facts["counts"] = unit.upper() in _NO_UNIT and offset == 0
    if unit.upper() not in _NO_UNIT:
        found.unit = unit
    return found


def hide_constants(plane, constants):
    """Mask the pixels that hold special constants; reals become NaN there.

    Parameters
    ----------
    plane : Plane
        Changed in place.
    constants : list
        As for `constant_mask`.
    """
    bad = constant_mask(plane.data, constants)
    plane.hide(bad)
    if plane.data.dtype.kind == "f":
        plane.data[bad] = np.nan


def constant_mask(data, constants):
    """Mark the pixels that hold one of a label's special constants.

    Parameters
    ----------
    data : ndarray
        The image as it is stored.
    constants : list
        Numbers; hexadecimal bit patterns (``16#FF7FFFFB#``) of reals arrive as integers.

    Returns
    -------
    ndarray of bool
    """
    bad = np.zeros(data.shape, bool)
    for constant in constants:
        if isinstance(constant, bool) or not isinstance(constant, int | float):
            continue
        if data.dtype.kind == "f":
            if isinstance(constant, int) and abs(constant) >= 1 << 31:
                bits = np.uint32(constant & 0xFFFFFFFF)
                bad |= data.astype(np.float32).view(np.uint32) == bits
            elif np.isfinite(constant):
                with np.errstate(over="ignore"):
                    bad |= data == data.dtype.type(constant)
        elif float(constant).is_integer():
            bad |= data == int(constant) if _fits(int(constant), data.dtype) else False
    return bad


def _fits(number, dtype):
    limits = np.iinfo(dtype)
    return limits.min <= number <= limits.max
