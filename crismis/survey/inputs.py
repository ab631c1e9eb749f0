"""From what the user names (files, folders, patterns, lists, collections) to a list of files."""

import os
from pathlib import Path

from ..errors import IngestError

__all__ = ["gather_inputs"]


def gather_inputs(paths, output):
    """List the files to work on, each once, what earlier runs wrote into the output left out.

    Parameters
    ----------
    paths : path-like, iterable of path-like, or `~ccdproc.ImageFileCollection`
        Files, folders, patterns; ``"@LIST"`` names a text file with one of these a line
        (relative to where the program runs; lines that start with ``#`` are comments).
    output : path-like
        The output folder.

    Returns
    -------
    files : list of str
        Absolute paths.
    skipped : list of (`~pathlib.Path`, str)
        Files that are no images, with the reason.
    """
    from ..ingest import find_images

    if not hasattr(paths, "files_filtered"):
        paths = [paths] if isinstance(paths, str | os.PathLike) else paths
        paths = [entry for path in paths for entry in _expand(path)]
    found, skipped = find_images(paths)
    own = [os.path.join(os.path.realpath(output), name) + os.sep for name in _OWN]
    files = [os.path.abspath(path) for path in found]
    return [f for f in files if not os.path.realpath(f).startswith(tuple(own))], skipped


_OWN = ("catalog", "cleaned", "overlays")


def _expand(path):
    if not os.fspath(path).startswith("@") or os.path.exists(path):
        return [path]
    listing = Path(os.fspath(path)[1:])
    try:
        lines = listing.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise IngestError(listing, f"is no readable list of files: {error}") from error
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]
