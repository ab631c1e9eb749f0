"""Find the images below folders and patterns: each once, and why the rest is left out."""

import glob
import os
from pathlib import Path

from ..errors import IngestError
from .core import _images, _open, data_of, recognize

__all__ = ["find_images"]

_PATTERN = frozenset("*?[")
# A file with such a name was meant to be an image: it is handed on, so that reading it
# reports what is wrong.
_SUFFIXES = {
    *(".fits", ".fit", ".fts", ".fz", ".img", ".imq", ".cub", ".lbl", ".vic", ".vicar"),
    *(".tif", ".tiff", ".png", ".jpg", ".jpeg"),
}


def find_images(paths):
    """Find images in files, folders and patterns.

    Parameters
    ----------
    paths : path-like, iterable of path-like, or `~ccdproc.ImageFileCollection`
        Files, folders (walked, links to folders not followed), or patterns such as
        ``"night?/*.fits"``.

    Returns
    -------
    images : list of `~pathlib.Path`
        Files to read, in sorted order within each argument, each file once. A pair of label
        and data is listed by its label. A file named by the user stays in the list whatever
        it holds, as does one whose name promises an image: reading it tells what is wrong.
    skipped : list of (`~pathlib.Path`, str)
        The others, each with the reason.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from crismis.ingest import find_images
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> fits.writeto(folder / "a.fits", np.zeros((4, 5)))
    >>> _ = (folder / "notes.txt").write_text("clouds after midnight")
    >>> images, skipped = find_images(folder)
    >>> [p.name for p in images], [(p.name, why) for p, why in skipped]
    (['a.fits'], [('notes.txt', 'unknown format')])
    """
    images, skipped, seen = [], [], {}
    for path, named in _candidates(paths):
        real = os.path.realpath(path)
        if real in seen:
            continue
        seen[real] = path
        reason = None if named else _unfit(path)
        if reason is None:
            images.append(path)
        else:
            skipped.append((path, reason))
    return _pair(images, skipped)


def _candidates(paths):
    if hasattr(paths, "files_filtered"):
        paths = paths.files_filtered(include_path=True)
    elif isinstance(paths, str | os.PathLike):
        paths = [paths]
    for given in paths:
        path = Path(given)
        if path.is_dir():
            yield from ((p, False) for p in _walk(path))
        elif not path.exists() and _PATTERN & set(str(given)):
            matches = sorted(map(Path, glob.glob(str(given), recursive=True)))
            for match in matches or [path]:
                if match.is_dir():
                    yield from ((p, False) for p in _walk(match))
                else:
                    yield match, not matches
        else:
            yield path, True


def _walk(folder):
    for root, folders, files in os.walk(folder):
        folders.sort()
        yield from (Path(root, name) for name in sorted(files))


def _unfit(path):
    """Return why a file found on the way is no image, or None."""
    if not path.is_file():
        return "is no regular file"
    try:
        source = _open(path, False)
        if recognize(source) is None:
            return None if path.suffix.lower() in _SUFFIXES else "unknown format"
        _images(source)
    except IngestError as error:
        return error.reason if error.reason.startswith("there is no image") else None
    return None


def _pair(images, skipped):
    """Leave out the data files of labels that are in the list too."""
    owners = {}
    for path in images:
        for data in data_of(path):
            if os.path.realpath(data) != os.path.realpath(path):
                owners[os.path.realpath(data)] = path
    owned = {p for p in [*images, *(p for p, _ in skipped)] if os.path.realpath(p) in owners}
    kept = [path for path in images if path not in owned]
    left = [(path, why) for path, why in skipped if path not in owned]
    pairs = [(p, f"belongs to {owners[os.path.realpath(p)].name}") for p in sorted(owned)]
    return kept, left + pairs
