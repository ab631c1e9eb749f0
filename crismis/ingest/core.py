"""The registry of formats and the functions that read: recognize, choose, build a CCDData."""

import os
import pkgutil
import stat
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path

import numpy as np
from astropy.io import registry
from astropy.nddata import CCDData
from astropy.utils.exceptions import AstropyUserWarning

from ..errors import IngestError

__all__ = [
    "Image",
    "Plane",
    "Source",
    "adapts",
    "list_images",
    "read",
    "read_all",
    "register_format",
]

_HEAD = 65536
_GZIP = b"\x1f\x8b"
# Deflate cannot do better, so a header that promises more than this lies.
MAX_EXPANSION = 1032
_FORMATS = []
_ADAPTERS = []
_HOMES = ("build", "core", "describe", "discover", "labels", "odl", "raster")
_LABELS = (".lbl", ".LBL", ".xml", ".XML", ".lblx")


@dataclass(frozen=True)
class Source:
    """A file about to be read.

    Parameters
    ----------
    path : `~pathlib.Path`
        The file.
    allow_truncated : bool
        Whether a file that holds less than it promises may still be read.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from crismis.ingest import Source
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "label.lbl"
    >>> _ = path.write_text("PDS_VERSION_ID = PDS3")
    >>> Source(path).head[:6]
    b'PDS_VE'
    """

    path: Path
    allow_truncated: bool = False

    @cached_property
    def size(self):
        """Size in bytes."""
        return self.path.stat().st_size

    @cached_property
    def zipped(self):
        """Whether the file is gzipped."""
        with self.path.open("rb") as file:
            return file.read(2) == _GZIP

    @cached_property
    def head(self):
        """The first bytes (64 KiB), decompressed if the file is gzipped."""
        with self.path.open("rb") as file:
            head = file.read(_HEAD)
        if not self.zipped:
            return head
        try:
            return zlib.decompressobj(wbits=31).decompress(head, _HEAD)
        except zlib.error as error:
            raise self.error(f"damaged gzip data ({error})", "fetch the file again") from None

    def error(self, reason, remedy=""):
        """Make the `crismis.IngestError` of this file."""
        return IngestError(self.path, reason, remedy)


@dataclass
class Plane:
    """One 2-D image as a format found it, before it becomes a CCDData.

    Parameters
    ----------
    data : ndarray
        The pixels, 2-D.
    header : `~astropy.io.fits.Header`
        The metadata.
    unit : `~astropy.units.Unit` or str, optional
        Unit of the data; a string is read the way ``BUNIT`` is, `None` means data numbers.
    mask : ndarray of bool, optional
        True where the value is no measurement.
    uncertainty : `~astropy.nddata.NDUncertainty`, optional
        Of the data, in their unit.
    flags : ndarray of int, optional
        Data-quality bits as the mission defines them.
    wcs : `~astropy.wcs.WCS`, optional
        World coordinates.
    facts : dict
        Fields of `crismis.headers.Facts` that the format knows better than the header.
    label : dict
        Keyword -> value of a planetary label, without units and uncut.
    index : int, optional
        Place in the cube that it was cut from.
    warning : str
        What the user must be told about the values.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from crismis.ingest import Plane
    >>> plane = Plane(np.ones((20, 30)), fits.Header({"INSTRUME": "MYCAM"}), unit="DN")
    >>> plane.data.shape, plane.unit
    ((20, 30), 'DN')
    """

    data: np.ndarray
    header: object
    unit: object = None
    mask: np.ndarray | None = None
    uncertainty: object = None
    flags: np.ndarray | None = None
    wcs: object = None
    facts: dict = field(default_factory=dict)
    label: dict = field(default_factory=dict)
    index: int | None = None
    warning: str = ""

    def note(self, step):
        """Add an earlier step to the fact ``product``."""
        steps = [s for s in self.facts.get("product", "").split("+") if s]
        self.facts["product"] = "+".join(steps + [step] * (step not in steps))

    def recode(self, coding):
        """Say that lossy compression or companding spoiled the values as measures of charge."""
        self.facts |= {"coding": coding, "counts": False}

    def hide(self, bad):
        """Add pixels to the mask."""
        if np.any(bad):
            self.mask = bad if self.mask is None else self.mask | bad


@dataclass(frozen=True)
class Format:
    """A format: its name and the functions given to `register_format`."""

    name: str
    recognizes: Callable
    images: Callable
    data_files: Callable


@dataclass(frozen=True)
class Image:
    """One image of a file, not yet loaded.

    Parameters
    ----------
    names : tuple
        What ``hdu=`` may be to choose it; the first one is shown to users.
    shape : tuple of int
        Shape of the array; three numbers for a cube, its planes first.
    load : callable
        Takes the index of a plane (`None` for a 2-D array), returns a `Plane`.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from crismis.ingest import list_images
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "image.fits"
    >>> fits.PrimaryHDU(np.ones((20, 30), "f4")).writeto(path)
    >>> [image] = list_images(path)
    >>> image.shape
    (20, 30)
    """

    names: tuple
    shape: tuple
    load: Callable


def register_format(name, recognizes, data_files=None):
    """Register a function that lists the images of a file.

    Parameters
    ----------
    name : str
        Name of the format, for messages.
    recognizes : callable
        Takes a `Source`, tells by its content whether the format is this one.
    data_files : callable, optional
        Takes a `Source`, lists the other files that hold the pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from crismis.ingest import Image, Plane, register_format
    >>> @register_format("square bytes", lambda source: source.head.startswith(b"SQUARE"))
    ... def square_images(source):
    ...     def load(index):
    ...         return Plane(np.fromfile(source.path, "u1", offset=6).reshape(8, 8), fits.Header())
    ...     return [Image((0,), (8, 8), load)]
    ...
    """

    def register(function):
        _FORMATS.append(Format(name, recognizes, function, data_files or (lambda source: [])))
        return function

    return register


def adapts(recognizes):
    """Register a function that completes the planes of one mission in place.

    Parameters
    ----------
    recognizes : callable
        Takes a `Plane`, tells whether the function applies. The function takes the plane
        and its `Source`.

    Examples
    --------
    >>> from crismis.ingest import adapts
    >>> @adapts(lambda plane: plane.header.get("INSTRUME") == "MYCAM")
    ... def my_camera(plane, source):
    ...     plane.hide(plane.data == 0)
    ...
    """

    def register(function):
        _ADAPTERS.append((recognizes, function))
        return function

    return register


def read(path, *, hdu=None, plane=None, unit=None, allow_truncated=False):
    """Read one 2-D image.

    Parameters
    ----------
    path : path-like
        The file, or the label of a pair of label and data.
    hdu : int, str or tuple, optional
        Which image of the file: the index, the name, or (name, version) of a FITS
        extension, or the name of a PDS object. The first science image by default.
    plane : int, optional
        Which plane of a cube, counted from 0. Needed where the image is a cube.
    unit : `~astropy.units.Unit` or str, optional
        Unit of the data where the file does not say it, or says it wrongly.
    allow_truncated : bool, optional
        Read what there is of a file that holds less than it promises; what is missing
        is masked.

    Returns
    -------
    `~astropy.nddata.CCDData`
        With mask, uncertainty, flags (data quality) and world coordinates where the file
        has them, and the facts of the exposure as ``CR...`` keywords (see
        `crismis.headers.Facts`).

    Raises
    ------
    crismis.IngestError
        If the file is no image, is damaged, or leaves a choice open.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> import crismis
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "dark.fits"
    >>> header = fits.Header({"BUNIT": "electron", "EXPTIME": 1000.0})
    >>> fits.writeto(path, np.zeros((4, 5), "f4"), header)
    >>> ccd = crismis.read(path)
    >>> ccd.unit, ccd.shape, ccd.meta["CREXPTIM"]
    (Unit("electron"), (4, 5), 1000.0)
    """
    source = _open(path, allow_truncated)
    image = _choose(source, _images(source), hdu)
    if len(image.shape) == 3 and plane is None and image.shape[0] > 1:
        raise source.error(
            f"{image.names[0]} is a cube of {image.shape[0]} planes",
            f"choose one with plane=0 ... {image.shape[0] - 1}, or use crismis.read_all",
        )
    if len(image.shape) == 2 and plane not in (None, 0):
        raise source.error(f"{image.names[0]} is a single image, it has no plane {plane}")
    if len(image.shape) == 3 and not 0 <= (plane or 0) < image.shape[0]:
        raise source.error(f"{image.names[0]} has planes 0 ... {image.shape[0] - 1}, not {plane}")
    return _load(source, image, plane, unit)


def read_all(path, *, unit=None, allow_truncated=False):
    """Read every science image of a file, each plane of a cube by itself.

    Parameters
    ----------
    path : path-like
        The file, or the label of a pair of label and data.
    unit, allow_truncated
        As for `read`.

    Returns
    -------
    list of `~astropy.nddata.CCDData`
        Each knows its place in the file by the keywords ``CRHDU`` and ``CRPLANE``.

    Raises
    ------
    crismis.IngestError
        If the file holds no image or is damaged.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> import crismis
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "cube.fits"
    >>> fits.PrimaryHDU(np.ones((3, 20, 30), "f4")).writeto(path)
    >>> [ccd.shape for ccd in crismis.read_all(path)]
    [(20, 30), (20, 30), (20, 30)]
    """
    source = _open(path, allow_truncated)
    found = []
    for image in _images(source):
        planes = range(image.shape[0]) if len(image.shape) == 3 else [None]
        found += [_load(source, image, plane, unit) for plane in planes]
    return found


def list_images(path, *, allow_truncated=False):
    """List the images of a file without loading pixels.

    Parameters
    ----------
    path : path-like
        The file.
    allow_truncated : bool, optional
        As for `read`.

    Returns
    -------
    list of Image

    Raises
    ------
    crismis.IngestError
        If the file holds no image or is damaged.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from crismis.ingest import list_images
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "two.fits"
    >>> image = np.ones((20, 30), "f4")
    >>> hdus = [fits.PrimaryHDU(), fits.ImageHDU(image, name="SCI"), fits.ImageHDU(image[:9])]
    >>> fits.HDUList(hdus).writeto(path)
    >>> [image.shape for image in list_images(path)]
    [(20, 30), (9, 30)]
    """
    return _images(_open(path, allow_truncated))


def recognize(source):
    """Name the format of a file by its content.

    Returns
    -------
    str or None
        `None` for no known format.
    """
    found = _format(source)
    return found and found.name


def data_of(path):
    """List the other files that hold the pixels of an image: the data of a detached label.

    Returns
    -------
    list of `~pathlib.Path`
    """
    try:
        source = _open(path, False)
        with _foreign(source, "cannot be recognized"):
            found = _format(source)
            return found.data_files(source) if found else []
    except IngestError:
        return []


def _format(source):
    return next((f for f in _formats() if f.recognizes(source)), None)


def _label_beside(path):
    """Find the detached label of a data file: same name, and it points here."""
    for suffix in _LABELS:
        label = path.with_suffix(suffix)
        if label != path and label.is_file() and any(_same(path, d) for d in data_of(label)):
            return label
    return None


def _same(one, other):
    return os.path.realpath(one) == os.path.realpath(other)


@cache
def _formats():
    package = __package__
    for module in pkgutil.iter_modules(import_module(package).__path__):
        if module.name not in _HOMES:
            import_module(f"{package}.{module.name}")
    return tuple(_FORMATS)


def _open(path, allow_truncated):
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise IngestError(path, "there is no such file") from None
    except OSError as error:
        raise IngestError(path, f"cannot be opened ({error.strerror})") from None
    if stat.S_ISDIR(mode):
        raise IngestError(path, "is a folder", "give a file, or use crismis.run for folders")
    if not stat.S_ISREG(mode):
        raise IngestError(path, "is no regular file")
    if not os.access(path, os.R_OK):
        raise IngestError(path, "may not be read", "check its permissions")
    source = Source(path, allow_truncated)
    if source.size == 0:
        raise source.error("is empty (0 bytes)", "fetch the file again")
    return source


def _images(source):
    with _foreign(source, "cannot be recognized"):
        found = _format(source)
    if found is None:
        label = _label_beside(source.path)
        if label is not None:
            return _images(Source(label, source.allow_truncated))
        readable = sorted({f.name for f in _formats()})
        raise source.error("unknown format", "readable are " + ", ".join(readable))
    with _foreign(source, f"is no readable {found.name} file"):
        images = found.images(source)
    if not images:
        raise source.error(f"there is no image in this {found.name} file")
    return images


class _foreign:
    """Turn what a foreign library raises or warns into one `IngestError`."""

    def __init__(self, source, what):
        self.source, self.what = source, what

    def __enter__(self):
        self.catcher = warnings.catch_warnings()
        self.catcher.__enter__()
        warnings.simplefilter("ignore")
        return self

    def __exit__(self, kind, error, traceback):
        self.catcher.__exit__(kind, error, traceback)
        if error is None or isinstance(error, IngestError) or not isinstance(error, Exception):
            return
        text = " ".join(str(error).split())[:200] or kind.__name__
        raise self.source.error(
            f"{self.what}: {text}", "fetch the file again, or check it with its own tools"
        ) from error


def _choose(source, images, hdu):
    if hdu is None:
        return images[0]
    wanted = hdu
    if isinstance(hdu, str):
        wanted = hdu.upper()
    elif isinstance(hdu, tuple | list):
        wanted = (str(hdu[0]).upper(), *hdu[1:])
    for image in images:
        if wanted in image.names:
            return image
    raise source.error(
        f"there is no image {hdu!r}", "there are " + ", ".join(str(i.names[0]) for i in images)
    )


def _load(source, image, plane, unit):
    from .build import build

    with _foreign(source, f"{image.names[0]} cannot be read"):
        found = image.load(plane)
        found.index = plane
        for recognizes, adapt in _ADAPTERS:
            if recognizes(found):
                adapt(found, source)
        ccd = build(source, found, image.names[0], plane, unit)
    if found.warning:
        warnings.warn(f"{source.path}: {found.warning}", AstropyUserWarning, stacklevel=3)
    return ccd


registry.register_reader("crismis", CCDData, read)
