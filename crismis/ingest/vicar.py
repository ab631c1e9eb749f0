"""VICAR files without a PDS label; rms-vicar reads the label."""

import re
import warnings

import numpy as np

from .build import native
from .core import Image, register_format
from .labels import labelled
from .raster import Raster

__all__ = ["vicar_images"]

_LARGEST_LABEL = 1 << 20
_TYPES = {
    "BYTE": "u1",
    "HALF": "i2",
    "WORD": "i2",
    "FULL": "i4",
    "LONG": "i4",
    "REAL": "f4",
    "DOUB": "f8",
}
# What describes the file, not the picture.
_LAYOUT = {
    *("LBLSIZE", "FORMAT", "TYPE", "BUFSIZ", "DIM", "EOL", "RECSIZE", "ORG", "NL", "NS", "NB"),
    *("N1", "N2", "N3", "N4", "NBB", "NLB", "HOST", "INTFMT", "REALFMT"),
    *("BHOST", "BINTFMT", "BREALFMT", "BLTYPE"),
}


@register_format("VICAR", lambda source: source.head.lstrip().startswith(b"LBLSIZE="))
def vicar_images(source):
    """List the image of a VICAR file."""
    values = _label(source)
    numbers = {key: values.get(key, 0) for key in ("NL", "NS", "NB", "NBB", "NLB", "RECSIZE")}
    for key, number in numbers.items():
        if not isinstance(number, int) or number < 0:
            raise source.error(f"its label has {key}={number!r}, no whole number")
    code = _TYPES.get(str(values.get("FORMAT")))
    if code is None:
        raise source.error(f"samples of FORMAT {values.get('FORMAT')!r} are no real numbers")
    vax = code[0] == "f" and str(values.get("REALFMT", "VAX")).upper() == "VAX"
    big = str(values.get("REALFMT" if code[0] == "f" else "INTFMT", "LOW")).upper()
    dtype = np.dtype((">" if big in ("HIGH", "IEEE") else "<") + code)
    raster = Raster(
        values["LBLSIZE"] + numbers["NLB"] * numbers["RECSIZE"],
        dtype,
        numbers["NL"],
        numbers["NS"],
        max(numbers["NB"], 1),
        prefix=numbers["NBB"],
        order=str(values.get("ORG", "BSQ")),
    )
    raster.check(source, source.size, "the label")

    def load(plane):
        data, missing = _from_vax(source, plane) if vax else raster.read(source.path, plane or 0)
        shown = {k: v for k, v in values.items() if k not in _LAYOUT}
        found = labelled(data, shown)
        if missing is not None:
            found.hide(missing)
        return found

    return [Image(("IMAGE",), raster.shape, load)]


def _label(source):
    vicar = _package(source)
    size = re.match(rb"\s*LBLSIZE\s*=\s*(\d{1,9})\b", source.head)
    if not size or not 0 < int(size[1]) <= min(_LARGEST_LABEL, source.size):
        raise source.error(
            f"truncated: its label promises {int(size[1]) if size else '?'} bytes of label, "
            f"the file holds {source.size} bytes in all"
        )
    with source.path.open("rb") as file:
        text = file.read(int(size[1])).split(b"\0")[0].decode("latin-1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        label = vicar.VicarLabel(text, strict=False)
    values = {}
    for key, value in label.as_dict().items():
        name = key[0] if isinstance(key, tuple) else key
        values.setdefault(name, value)
    # The package writes its own machine's byte order where the label is silent about it.
    values |= {k: v for k, v in _stated(text).items() if k in ("INTFMT", "REALFMT", "LBLSIZE")}
    values["LBLSIZE"] = int(size[1])
    return values


def _stated(text):
    return dict(re.findall(r"\b(INTFMT|REALFMT)\s*=\s*'([^']*)'", text))


def _package(source):
    try:
        import vicar
    except ImportError:
        raise source.error(
            "VICAR labels need the package rms-vicar", 'pip install "crismis[missions]"'
        ) from None
    return vicar


def _from_vax(source, plane):
    image = _package(source).VicarImage.from_file(str(source.path), strict=False)
    array = np.asarray(image.data_3d)
    return native(np.array(array[plane or 0], np.float32)), None
