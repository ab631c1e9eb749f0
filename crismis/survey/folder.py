"""The output folder of a run: its mark, its lock, its state, and nobody else's files."""

import json
import os
import socket
import time
from datetime import UTC, datetime
from pathlib import Path

from ..errors import CatalogError

__all__ = ["OutputFolder", "status"]

_MARK = "crismis.json"
_LOCK = "crismis.lock"
_OURS = ("catalog", "cleaned", "overlays")
_FORMAT = 1
_SILENT = 120.0


class OutputFolder:
    """A folder that this process alone writes results into; a context manager holds the lock.

    Parameters
    ----------
    path : path-like
        Made if missing. Files in it that crismis did not make are left alone.

    Raises
    ------
    CatalogError
        If it cannot be written, if our place in it is taken by somebody else's files, or if
        another run is using it.
    """

    def __init__(self, path):
        self.path = Path(path).resolve()
        self._lock = None
        self._state = {}
        self._saved = 0.0

    def __enter__(self):
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._refuse_foreign()
            self._lock = _take_lock(self.path / _LOCK)
            self._state = _read_mark(self.path) or {
                "format": _FORMAT,
                "created": _now(),
            }
            # First the mark: a run killed in between must not find its own folders foreign.
            self.save({}, force=True)
            for name in _OURS:
                (self.path / name).mkdir(exist_ok=True)
            self._drop_partial()
        except OSError as error:
            self._release()
            raise CatalogError(
                f"{self.path}: cannot write there ({error.strerror or error}); "
                "choose another output folder or permit writing"
            ) from error
        except CatalogError:
            self._release()
            raise
        return self

    def __exit__(self, *exception):
        self._release()

    def save(self, state, *, force=False):
        """Record the state of the run for `status`, at most every two seconds.

        Parameters
        ----------
        state : dict
            JSON-able.
        force : bool
            Now, whenever the last time was.
        """
        if not force and time.monotonic() - self._saved < 2:
            return
        self._state["run"] = dict(state, updated=_now(), pid=os.getpid(), host=socket.gethostname())
        partial = self.path / f".{_MARK}.part"
        partial.write_text(json.dumps(self._state, indent=1))
        partial.replace(self.path / _MARK)
        os.utime(self.path / _LOCK)
        self._saved = time.monotonic()

    def _refuse_foreign(self):
        if _read_mark(self.path) is None:
            foreign = [name for name in (*_OURS, _MARK, _LOCK) if (self.path / name).exists()]
            # A run that was killed while it marked the folder leaves a lock only.
            if foreign and foreign != [_LOCK]:
                raise CatalogError(
                    f"{self.path}: holds {', '.join(foreign)} that crismis did not make; "
                    "choose another output folder"
                )

    def _drop_partial(self):
        for name in ("cleaned", "overlays", "."):
            for left in (self.path / name).glob(".*.part"):
                left.unlink(missing_ok=True)

    def _release(self):
        if self._lock is not None:
            (self.path / _LOCK).unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None


def status(output):
    """Return what is known of an output folder, while a run writes to it or afterwards.

    Parameters
    ----------
    output : path-like
        Output folder of `crismis.run`.

    Returns
    -------
    dict
        ``running`` (bool), ``run`` (state of the last or present run), ``exposures`` and
        ``events`` (rows in the catalog), ``failed`` (rows with an error).

    Raises
    ------
    CatalogError
        If crismis did not make the folder.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import crismis
    >>> from crismis.survey import status
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> ccd = crismis.simulate_exposure("HST/WFPC2/PC", 300, shape=(64, 64), seed=1)
    >>> ccd.write(folder / "a.fits")
    >>> _ = crismis.run([folder / "a.fits"], folder / "out")
    >>> known = status(folder / "out")
    >>> known["running"], known["exposures"]
    (False, 1)
    """
    import pyarrow.compute as pc

    from .catalog import Catalog

    path = Path(output)
    mark = _read_mark(path)
    if mark is None:
        raise CatalogError(f"{path}: no output of crismis; make one with crismis run -o {path}")
    catalog = Catalog(path)
    return {
        "output": str(path.resolve()),
        "created": mark.get("created"),
        "running": _is_locked(path / _LOCK),
        "run": mark.get("run", {}),
        "exposures": catalog.dataset("exposures").count_rows(),
        "failed": catalog.dataset("exposures").count_rows(filter=pc.field("status") == "error"),
        "events": catalog.dataset("events").count_rows(),
    }


def _now():
    return datetime.now(UTC).isoformat(timespec="seconds")


def _read_mark(path):
    try:
        mark = json.loads((path / _MARK).read_text())
    except FileNotFoundError:
        return None
    except (ValueError, UnicodeDecodeError):
        mark = None
    if not isinstance(mark, dict) or "format" not in mark:
        return None
    if mark["format"] != _FORMAT:
        raise CatalogError(
            f"{path}: output format {mark['format']!r}, this crismis knows {_FORMAT}; "
            "use the version of crismis that made it"
        )
    return mark


def _take_lock(file):
    """Return the descriptor of the lock file that this process now holds."""
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        if not _flock(descriptor):
            holder = _holder(file)
            os.close(descriptor)
            raise _in_use(file, holder)
        if _same_file(descriptor, file):
            break
        os.close(descriptor)
    holder = _holder(file)
    if holder and holder.get("host") != socket.gethostname() and _age(file) < _SILENT:
        # On file systems that do not share locks between machines, a fresh sign of life counts.
        os.close(descriptor)
        raise _in_use(file, holder)
    os.ftruncate(descriptor, 0)
    content = {"pid": os.getpid(), "host": socket.gethostname(), "since": _now()}
    os.write(descriptor, json.dumps(content).encode())
    return descriptor


def _flock(descriptor):
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_locked(file):
    try:
        descriptor = os.open(file, os.O_RDWR)
    except OSError:
        return False
    try:
        if not _flock(descriptor):
            return True
        holder = _holder(file)
        return bool(holder) and holder.get("host") != socket.gethostname() and _age(file) < _SILENT
    finally:
        os.close(descriptor)


def _same_file(descriptor, file):
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(file))
    except FileNotFoundError:
        return False


def _holder(file):
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):
        return {}


def _age(file):
    return time.time() - file.stat().st_mtime


def _in_use(file, holder):
    who = f"process {holder.get('pid', '?')} on {holder.get('host', '?')}"
    return CatalogError(
        f"{file.parent}: {who} is writing there since {holder.get('since', '?')}; "
        "wait for it, stop it, or choose another output folder"
    )
