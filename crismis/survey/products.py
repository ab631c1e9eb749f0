"""The files made for each image: where they go, how they are written, whose they are."""

import os
import re
import struct
import zlib
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

from astropy.io import fits

from .. import __version__

__all__ = ["as_text", "identity", "product_names", "write_cleaned", "write_overlay"]

_SUFFIX = re.compile(
    r"\.(fits?|fts|imq|img|lbl|xml|cub|vic|vicar|tiff?|png|jpe?g)(\.(gz|fz|bz2|xz|z))?$|\.(gz|fz)$",
    re.IGNORECASE,
)
_PNG = b"\x89PNG\r\n\x1a\n"
_LONGEST = 120


def identity(*parts):
    """Return 63 bits that name something by its parts, the same on every machine."""
    digest = blake2b("\0".join(map(str, parts)).encode("utf-8", "surrogateescape"), digest_size=8)
    return int.from_bytes(digest.digest(), "big") >> 1


def as_text(path):
    """Return a path as the catalog holds it: valid text, whatever bytes the path is made of."""
    return os.fspath(path).encode("utf-8", "backslashreplace").decode()


def product_names(paths, taken):
    """Choose the stem of the products of each input: its own name, made safe and unique.

    Parameters
    ----------
    paths : iterable of str
        Absolute paths of the inputs.
    taken : dict of str to str
        Path -> stem of inputs that have products already.

    Returns
    -------
    dict of str to str
        Path -> stem: letters, digits and ``._+-`` only, no leading dot, at most 140
        characters. Inputs whose names would collide get a digest of their path.
    """
    owners = {stem.casefold(): path for path, stem in taken.items()}
    names = {}
    for path in paths:
        stem = taken.get(as_text(path)) or _safe(Path(path).name)
        if owners.setdefault(stem.casefold(), as_text(path)) != as_text(path):
            stem = f"{stem}-{identity(path):016x}"
            owners[stem.casefold()] = as_text(path)
        names[path] = stem
    return names


def write_cleaned(ccd, file, source):
    """Write an image with all its planes and events as FITS.

    Parameters
    ----------
    ccd : `~crismis.CosmicRayCCDData`
    file : pathlib.Path
    source : str
        Path of the input, for the header.

    Raises
    ------
    OSError
        If the file exists and crismis did not write it, or it cannot be written.
    """
    hdus = ccd.to_hdu()
    hdus[0].header["CRISMIS"] = (__version__, "version of crismis that wrote this")
    hdus[0].header["CRSOURCE"] = (_ascii(Path(source).name), "input file")
    with _replacing(file, _is_our_fits) as partial:
        hdus.writeto(partial, overwrite=True)


def write_overlay(function, ccd, file):
    """Let a function draw a picture of the result, and mark it as ours.

    Parameters
    ----------
    function : callable
        Called with the image and the file to write, a PNG.
    ccd : `~crismis.CosmicRayCCDData`
    file : pathlib.Path

    Raises
    ------
    OSError
        If the file exists and crismis did not write it, or it cannot be written.
    """
    with _replacing(file, _is_our_png) as partial:
        function(ccd, partial)
        partial.write_bytes(_stamped(partial.read_bytes()))


@contextmanager
def _replacing(file, is_ours):
    """Give a file to write, which takes its place only when it is complete."""
    if file.exists() and not is_ours(file):
        raise FileExistsError(
            f"{file} exists and was not written by crismis; move it or choose another output folder"
        )
    partial = file.with_name(f".{file.stem}.{os.getpid()}{file.suffix}.part")
    try:
        yield partial
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def _is_our_fits(file):
    try:
        return "CRISMIS" in fits.getheader(file)
    except OSError:
        return False


def _is_our_png(file):
    with file.open("rb") as stream:
        return b"Software\0crismis" in stream.read(256)


def _stamped(png):
    """Insert a text chunk behind the header chunk of a PNG."""
    if not png.startswith(_PNG):
        raise ValueError("the overlay function wrote no PNG")
    end = len(_PNG) + 25
    body = b"tEXt" + b"Software\0crismis " + __version__.encode("ascii", "replace")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:end] + chunk + png[end:]


def _safe(name):
    stem = _SUFFIX.sub("", name)
    stem = re.sub(r"[^A-Za-z0-9._+-]", "_", stem).lstrip(".")[:_LONGEST]
    return stem or "image"


def _ascii(text):
    return text.encode("ascii", "replace").decode()[:60]
