"""The output folder of a run: its mark, its lock, its state, and nobody else's files."""

import contextlib
import json
import os
import socket
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import CatalogError

__all__ = ["OutputFolder", "status"]

_MARK = "crismis.json"
_LOCK = "crismis.lock"
_OURS = ("catalog", "cleaned", "overlays")
_FORMAT = 1
_PULSE = 20.0
_SILENT = 120.0
_OVER = ("finished", "stopped")


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
        self._lock = FileLock(self.path / _LOCK, timeout=0, thread_local=False)
        self._state = {}
        self._saved = 0.0
        self._end = threading.Event()

    def __enter__(self):
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            mark = self._read_mark()
            self._take_lock(mark)
            self._state = mark or {"format": _FORMAT, "created": _now()}
            # First the mark: a run killed in between must not find its own folders foreign.
            self.save({"phase": "starting"}, force=True)
            for name in _OURS:
                (self.path / name).mkdir(exist_ok=True)
            self._drop_partial()
        except OSError as error:
            self._lock.release()
            raise CatalogError(
                f"{self.path}: cannot write there ({error.strerror or error}); "
                "choose another output folder or permit writing"
            ) from error
        threading.Thread(target=self._give_signs_of_life, daemon=True).start()
        return self

    def __exit__(self, *exception):
        self._end.set()
        self._lock.release()

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
        self._saved = time.monotonic()

    def _read_mark(self):
        mark = _read_mark(self.path)
        if mark is None:
            foreign = [name for name in (*_OURS, _MARK, _LOCK) if (self.path / name).exists()]
            # A run that was killed while it marked the folder leaves a lock only.
            if foreign and foreign != [_LOCK]:
                raise CatalogError(
                    f"{self.path}: holds {', '.join(foreign)} that crismis did not make; "
                    "choose another output folder"
                )
        return mark

    def _take_lock(self, mark):
        try:
            self._lock.acquire()
        except Timeout:
            free = False
        else:
            free = not _lives_elsewhere(self.path, mark)
        if not free:
            self._lock.release()
            run = (mark or {}).get("run", {})
            raise CatalogError(
                f"{self.path}: process {run.get('pid', '?')} on {run.get('host', '?')} is writing "
                "there; wait for it, stop it, or choose another output folder"
            )

    def _give_signs_of_life(self):
        while not self._end.wait(_PULSE):
            with contextlib.suppress(OSError):
                os.utime(self.path / _MARK)

    def _drop_partial(self):
        for name in ("cleaned", "overlays", "."):
            for left in (self.path / name).glob(".*.part"):
                left.unlink(missing_ok=True)


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
        "running": _is_running(path, mark),
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


def _is_running(path, mark):
    if not (path / _LOCK).exists():
        return False
    try:
        with FileLock(path / _LOCK, timeout=0):
            return _lives_elsewhere(path, mark)
    except Timeout:
        return True
    except OSError:  # somebody else's folder, which we may only read
        return _gave_sign_of_life(path, mark)


def _lives_elsewhere(path, mark):
    """Whether another machine uses the folder, on file systems that do not share locks."""
    host = (mark or {}).get("run", {}).get("host", socket.gethostname())
    return host != socket.gethostname() and _gave_sign_of_life(path, mark)


def _gave_sign_of_life(path, mark):
    age = time.time() - (path / _MARK).stat().st_mtime
    return mark.get("run", {}).get("phase") not in _OVER and age < _SILENT
