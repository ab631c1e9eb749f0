"""ISIS cubes of the USGS: band-sequential or tiled, with their special pixels masked.

No maintained Python package reads them (planetaryimage is left, pdr reads only the label).
"""

import numpy as np

from .build import native
from .core import Image, register_format
from .labels import labelled
from .odl import MAX_LABEL, parse_label
from .pds3 import beside
from .raster import Raster

__all__ = ["isis_images"]

_TYPES = {
    "UNSIGNEDBYTE": "u1",
    "SIGNEDBYTE": "i1",
    "UNSIGNEDWORD": "u2",
    "SIGNEDWORD": "i2",
    "UNSIGNEDINTEGER": "u4",
    "SIGNEDINTEGER": "i4",
    "REAL": "f4",
    "DOUBLE": "f8",
}
# Special pixels (null, and saturation of instrument or representation at either end), from
# SpecialPixel.h of ISIS: the ends of the integer ranges, and the lowest reals.
_SPECIAL = {
    "u1": (0, 255),
    "i2": (-32768, -32767, -32766, -32765, -32764),
    "u2": (0, 1, 2, 65534, 65535),
    "i4": (-8388614, -8388613, -8388612, -8388611, -8388610),
}
_LOWEST_REAL = np.uint32(0xFF7FFFFA).view(np.float32)
_LOWEST_DOUBLE = np.uint64(0xFFEFFFFFFFFFFFFA).view(np.float64)
# Keywords that PDS labels spell with a line between the words.
_AS_PDS = {
    "INSTRUMENTID": "INSTRUMENT_ID",
    "INSTRUMENTNAME": "INSTRUMENT_NAME",
    "SPACECRAFTNAME": "SPACECRAFT_NAME",
    "DATASETID": "DATA_SET_ID",
    "FRAMEID": "FRAME_ID",
}
_SKIPPED = ("CORE", "LABEL", "HISTORY", "ORIGINALLABEL", "TABLE", "KERNELS", "RESEAUS", "POLYGON")


@register_format("ISIS cube", lambda source: b"=isiscube" in _squeezed(source.head[:256]))
def isis_images(source):
    """List the image of an ISIS cube."""
    with source.path.open("rb") as file:
        label = parse_label(file.read(MAX_LABEL).decode("latin-1"))
    core, sizes, pixels = (label.find(kind) for kind in ("CORE", "DIMENSIONS", "PIXELS"))
    if None in (core, sizes, pixels):
        raise source.error("the label describes no image (Core, Dimensions or Pixels are missing)")
    path = source.path
    if isinstance(core.get("^CORE"), str):
        path = beside(source.path.parent, core.get("^CORE"))
        if path is None:
            raise source.error(f"its pixels are in {core.get('^CORE')}, which is not beside it")
    raster, tile = _layout(source, core, sizes, pixels)
    raster.check(source, path.stat().st_size, "Core")

    def load(plane):
        data, missing = raster.read(path, plane or 0)
        if tile:
            lines, samples = sizes.get("LINES"), sizes.get("SAMPLES")
            data = _untile(data, tile, lines, samples)
            missing = None if missing is None else _untile(missing, tile, lines, samples)
        return _plane(label, pixels, data, missing)

    bands = sizes.get("BANDS", 1)
    shape = (sizes.get("LINES"), sizes.get("SAMPLES"))
    return [Image(("Core",), shape if bands == 1 else (bands, *shape), load)]


def _squeezed(head):
    return b"".join(head.split()).lower()


def _layout(source, core, sizes, pixels):
    name = str(pixels.get("TYPE", "")).upper()
    if name not in _TYPES:
        raise source.error(f"pixels of type {pixels.get('TYPE')!r} are not known")
    order = ">" if str(pixels.get("BYTEORDER", "Lsb")).upper() == "MSB" else "<"
    dtype = np.dtype(order + _TYPES[name])
    numbers = [sizes.get("LINES"), sizes.get("SAMPLES"), sizes.get("BANDS", 1)]
    start = core.get("STARTBYTE", 1)
    tiled = str(core.get("FORMAT", "BandSequential")).upper() == "TILE"
    tile = (core.get("TILELINES"), core.get("TILESAMPLES")) if tiled else None
    if not all(isinstance(n, int) and n > 0 for n in (*numbers, start, *(tile or ()))):
        raise source.error(f"its sizes {numbers} are no whole numbers above zero")
    lines, samples, bands = numbers
    if tiled:
        # A tile is stored as one line of the raster.
        lines = -(-lines // tile[0]) * -(-samples // tile[1])
        samples = tile[0] * tile[1]
        if samples * dtype.itemsize > source.size:
            raise source.error(
                f"truncated: one tile has {samples} pixels, the file holds {source.size} bytes"
            )
        raster = Raster(start - 1, dtype, lines, samples, bands, limit=samples)
    else:
        raster = Raster(start - 1, dtype, lines, samples, bands)
    return raster, tile


def _untile(tiles, tile, lines, samples):
    height, width = tile
    down, across = -(-lines // height), -(-samples // width)
    whole = tiles.reshape(down, across, height, width).swapaxes(1, 2)
    return np.ascontiguousarray(whole.reshape(down * height, across * width)[:lines, :samples])


def _plane(label, pixels, data, missing):
    values = {_AS_PDS.get(k, k): v for k, v in label.flat(_SKIPPED).items()}
    found = labelled(data, values, default_unit="S")
    kind = data.dtype.str[1:]
    if kind == "f4":
        _hide_reals(found, ~(data >= _LOWEST_REAL))
    elif kind == "f8":
        _hide_reals(found, ~(data >= _LOWEST_DOUBLE))
    else:
        found.hide(np.isin(data, _SPECIAL.get(kind, ())))
    if missing is not None:
        found.hide(missing)
    base, multiplier = pixels.get("BASE", 0.0), pixels.get("MULTIPLIER", 1.0)
    if (base, multiplier) != (0.0, 1.0):
        found.data = native((data * float(multiplier) + float(base)).astype(np.float32))
    if label.find("MAPPING") is not None:
        found.note("resampled")
    return found


def _hide_reals(plane, bad):
    plane.hide(bad)
    plane.data[bad] = np.nan
