"""Model files that load without running code: named arrays plus a JSON card, checksummed."""

import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np

from .errors import ModelError

__all__ = ["FORMAT_VERSION", "load_model", "save_model"]

FORMAT_VERSION = 1
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)


def save_model(path, arrays, card):
    """Write a model file: a zip of ``.npy`` arrays and ``card.json``; same input, same bytes.

    Parameters
    ----------
    path : path-like
        The file, by convention ``*.crm``.
    arrays : dict of str to ndarray
        Numeric arrays only.
    card : dict
        JSON-able model card with at least ``task`` and ``name``.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from crismis.network import save_model
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "small.crm"
    >>> save_model(path, {"weights": np.eye(2)}, {"task": "example", "name": "small"})
    >>> path.exists()
    True
    """
    card = dict(card, format_version=FORMAT_VERSION, checksum=_checksum(arrays))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, "card.json", json.dumps(card, indent=1, sort_keys=True).encode())
        for name in sorted(arrays):
            member = io.BytesIO()
            np.save(member, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            _add(archive, f"{name}.npy", member.getvalue())
    path = Path(path)
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(buffer.getvalue())
    partial.replace(path)


def load_model(path, task=None):
    """Read a model file.

    Parameters
    ----------
    path : path-like
        File written by `save_model`.
    task : str, optional
        Refuse models made for another task.

    Returns
    -------
    arrays : dict of str to ndarray
    card : dict

    Raises
    ------
    ModelError
        If the file is no model, is damaged, of an unknown version or for another task.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from crismis.network import load_model, save_model
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "small.crm"
    >>> save_model(path, {"weights": np.eye(2)}, {"task": "example", "name": "small"})
    >>> arrays, card = load_model(path, task="example")
    >>> arrays["weights"].shape, card["name"]
    ((2, 2), 'small')
    """
    try:
        with zipfile.ZipFile(path) as archive:
            card = json.loads(archive.read("card.json"))
            arrays = {
                name.removesuffix(".npy"): np.load(
                    io.BytesIO(archive.read(name)), allow_pickle=False
                )
                for name in archive.namelist()
                if name.endswith(".npy")
            }
    except FileNotFoundError:
        raise ModelError(f"{path}: there is no such model file") from None
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path}: no readable model file ({error}); train it anew") from error
    if card.get("format_version") != FORMAT_VERSION:
        raise ModelError(
            f"{path}: model format {card.get('format_version')!r}, this crismis reads "
            f"{FORMAT_VERSION}; train it anew or change the version of crismis"
        )
    if card.get("checksum") != _checksum(arrays):
        raise ModelError(f"{path}: arrays do not match their checksum; the file is damaged")
    if task is not None and card.get("task") != task:
        raise ModelError(f"{path}: made for {card.get('task')!r}, wanted {task!r}")
    return arrays, card


def _add(archive, name, content):
    archive.writestr(zipfile.ZipInfo(name, _ZIP_DATE), content, zipfile.ZIP_DEFLATED)


def _checksum(arrays):
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
