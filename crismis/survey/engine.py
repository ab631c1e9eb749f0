"""Map the chain over many files with Dask, and gather the rows into the catalog."""

import contextlib
import faulthandler
import logging
import os
import threading
import time
from collections import deque
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ..errors import CatalogError
from .catalog import CatalogWriter
from .chain import Settings, error_row, process_file, to_arrow
from .folder import OutputFolder
from .inputs import gather_inputs
from .products import as_text, product_names

__all__ = ["Summary", "run"]

log = logging.getLogger("crismis")

_ATTEMPTS = 3
_FLUSH_SECONDS = 30.0
_FLUSH_EXPOSURES = 500
_FLUSH_EVENTS = 500_000
_ERRORS_SHOWN = 20


@dataclass
class Summary:
    """What a run did.

    Parameters
    ----------
    output : str
        The output folder.
    inputs : int
        Files asked for.
    done : int
        Files of which every image was done, now.
    failed : int
        Files of which an image could not be done.
    resumed : int
        Files that were done before and left as they are.
    changed : int
        Files among the resumed ones that changed since, or were done with other settings.
    skipped : int
        Files found on the way that are no images.
    images, pixels, events : int
        Done now.
    seconds : float
        From start to end.
    errors : list of (str, str)
        The first failed files and why.

    Examples
    --------
    >>> from crismis.survey import Summary
    >>> summary = Summary("out", inputs=12, done=11, failed=1)
    >>> summary.inputs - summary.done - summary.failed
    0
    """

    output: str
    inputs: int = 0
    done: int = 0
    failed: int = 0
    resumed: int = 0
    changed: int = 0
    skipped: int = 0
    images: int = 0
    pixels: int = 0
    events: int = 0
    seconds: float = 0.0
    errors: list = field(default_factory=list)

    @property
    def ok(self):
        """Whether no input failed."""
        return self.failed == 0

    def to_dict(self):
        """Return everything as a dictionary, for JSON."""
        return asdict(self) | {"ok": self.ok}


def run(
    paths,
    output,
    *,
    client=None,
    workers=None,
    method="learned",
    classifier=None,
    cleaned=True,
    overlay=None,
    overwrite=False,
    update=False,
    time_limit=3600.0,
    memory_limit="auto",
    progress=False,
    on_start=None,
    **options,
):
    """Find, repair, measure and catalog the cosmic-ray hits of many files; resumable.

    Parameters
    ----------
    paths : path-like, iterable of path-like, or `~ccdproc.ImageFileCollection`
        Files, folders, patterns, or ``"@LIST"``, a text file with one of these a line.
    output : path-like
        Folder for products and catalog, made if missing. Where it holds results already,
        the run resumes: files that are done are left as they are, failed ones tried again.
    client : `distributed.Client`, optional
        Dask cluster to use; its workers must reach ``paths`` and ``output`` under the same
        names. By default workers are started on this machine.
    workers : int, optional
        Worker processes on this machine; 0 works inside this process. By default one for
        each core, but not more than files, and 0 for a single file.
    method : {"learned", "lacosmic"}
        How hits are identified.
    classifier : optional
        For `crismis.categorize_cosmicrays`.
    cleaned : bool
        Write cleaned images, with planes and events, to ``OUT/cleaned``.
    overlay : callable, optional
        Draws a picture for ``OUT/overlays``; called with the image and the file to write.
    overwrite : bool
        Do every file anew.
    update : bool
        Do those files anew whose checksum, settings or models differ from the catalog's.
    time_limit : float, optional
        Seconds that a file may take; then its worker process is ended and started again, and
        the file counts as failed. Without effect inside this process and on clusters whose
        workers have no nanny to start them again.
    memory_limit : str or int
        For each worker process on this machine, as Dask understands it (``"4 GB"``). A file
        that ends its worker three times counts as failed.
    progress : bool
        Draw a progress bar to standard error.
    on_start : callable, optional
        Called with the Dask client once the work starts.
    **options
        For `crismis.cosmicray_learned` or `crismis.cosmicray_lacosmic`.

    Returns
    -------
    `~crismis.survey.Summary`

    Raises
    ------
    CatalogError
        If the output cannot be used or another run uses it.
    ValueError
        If an argument is wrong.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import crismis
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> ccd = crismis.simulate_exposure("HST/WFPC2/PC", 600, shape=(64, 64), seed=1)
    >>> ccd.write(folder / "a.fits")
    >>> summary = crismis.run(folder, folder / "out")
    >>> summary.done, len(crismis.Catalog(folder / "out").exposures)
    (1, 1)
    """
    started = time.monotonic()
    settings = Settings(method, options, classifier, cleaned, overlay)
    _check(settings, workers, time_limit, client)
    files, skipped = gather_inputs(paths, output)
    with OutputFolder(output) as folder, _log_file(folder.path):
        writer = CatalogWriter(folder.path / "catalog")
        summary = Summary(str(folder.path), inputs=len(files), skipped=len(skipped))
        for path, reason in skipped:
            log.info("skipped %s: %s", path, reason)
        stamp = settings.stamp()
        tasks = _plan(files, writer.known, stamp["settings"], summary, overwrite, update)
        log.info("%d files, %d to do, %s", len(files), len(tasks), stamp)
        gatherer = _Gatherer(writer, folder, summary, len(tasks), started, overwrite)
        try:
            with (
                _cluster(client, workers, len(tasks), memory_limit) as pool,
                _bar(len(tasks), progress) as advance,
            ):
                settings = replace(settings, options=_with_threads(settings, pool))
                if pool is not None and on_start is not None:
                    on_start(pool)
                gatherer.link = pool.dashboard_link if pool is not None else None
                fixed = (str(folder.path), settings, stamp)
                for path, result in _results(tasks, pool, fixed, time_limit):
                    gatherer.add(path, result)
                    advance()
        except BaseException:
            gatherer.close("stopped")
            raise
        gatherer.close("finished")
        log.info("finished: %s", summary.to_dict())
    return summary


@dataclass(frozen=True)
class _Task:
    path: str
    stem: str
    expected: str | None = None


def _check(settings, workers, time_limit, client):
    if settings.method not in ("learned", "lacosmic"):
        raise ValueError(f"method must be 'learned' or 'lacosmic', got {settings.method!r}")
    if workers is not None and workers < 0:
        raise ValueError(f"workers must not be negative, got {workers}")
    if time_limit is not None and time_limit <= 0:
        raise ValueError(f"time_limit must be positive, got {time_limit}")
    if client is not None and client.asynchronous:
        raise ValueError("client must not be asynchronous")


def _plan(files, known, digest, summary, overwrite, update):
    """List the tasks that are left, and count the files that are not."""
    taken = {path: stem for path, row in known.items() if (stem := _stem(row.product))}
    stems = product_names(files, taken)
    tasks = []
    for path in files:
        row = known.get(as_text(path))
        if row is None or overwrite or not row.ok:
            tasks.append(_Task(path, stems[path]))
        elif update:
            tasks.append(_Task(path, stems[path], row.checksum if row.settings == digest else None))
        else:
            summary.resumed += 1
            summary.changed += row.settings != digest or _touched(path, row)
    return tasks


def _stem(product):
    return Path(product).name.rpartition("_crismis")[0]


def _touched(path, row):
    try:
        now = os.stat(path)
    except OSError:
        return False
    return (now.st_size, now.st_mtime_ns) != (row.size, row.modified)


class _Gatherer:
    """Collects rows, writes them to the catalog by batches, keeps the state up to date."""

    def __init__(self, writer, folder, summary, total, started, overwrite):
        self.writer, self.folder, self.summary = writer, folder, summary
        self.overwrite = overwrite
        self.total, self.started, self.link = total, started, None
        self._rows, self._counts, self._since = [], [0, 0], time.monotonic()
        self._state("running")

    def add(self, path, result):
        if result is None:
            self.summary.resumed += 1
            return
        exposures, events = result
        self._count(path, exposures, events)
        if self._keeps(path, exposures):
            return
        self._rows.append(result)
        self._counts[0] += exposures.num_rows
        self._counts[1] += events.num_rows
        if (
            self._counts[0] >= _FLUSH_EXPOSURES
            or self._counts[1] >= _FLUSH_EVENTS
            or time.monotonic() - self._since > _FLUSH_SECONDS
        ):
            self.flush()
        self._state("running")

    def _keeps(self, path, exposures):
        """Whether good rows stay, as their file cannot be done again."""
        known = self.writer.known.get(as_text(path))
        return (
            not self.overwrite
            and known is not None
            and known.ok
            and set(exposures["status"].to_pylist()) == {"error"}
        )

    def flush(self):
        import pyarrow as pa

        if self._rows:
            self.writer.commit(
                *(pa.concat_tables(tables) for tables in zip(*self._rows, strict=True))
            )
        self._rows, self._counts, self._since = [], [0, 0], time.monotonic()

    def close(self, phase):
        try:
            self.flush()
        except CatalogError:
            phase = "stopped"
            raise
        finally:
            self.summary.seconds = time.monotonic() - self.started
            self._state(phase, force=True)

    def _count(self, path, exposures, events):
        errors = [e for e in exposures["error"].to_pylist() if e is not None]
        self.summary.images += exposures.num_rows - len(errors)
        self.summary.events += events.num_rows
        self.summary.pixels += sum(
            r * c
            for r, c in zip(
                exposures["rows"].to_pylist(), exposures["columns"].to_pylist(), strict=True
            )
            if r is not None
        )
        for note in set(filter(None, exposures["notes"].to_pylist())):
            log.info("%s: %s", path, note.replace("\n", "; "))
        if not errors:
            self.summary.done += 1
            log.debug("%s: %d events", path, events.num_rows)
            return
        self.summary.failed += 1
        log.error("%s: %s", path, errors[0])
        if len(self.summary.errors) < _ERRORS_SHOWN:
            self.summary.errors.append((path, errors[0]))

    def _state(self, phase, *, force=False):
        state = self.summary.to_dict() | {
            "phase": phase,
            "to_do": self.total,
            "seconds": time.monotonic() - self.started,
            "dashboard": self.link,
        }
        # A full disk must not stop the run here: it shows where results are written.
        with contextlib.suppress(OSError):
            self.folder.save(state, force=force)


class _LogFile(logging.FileHandler):
    def handleError(self, record):
        """Go on without a log where the disk is full."""


@contextlib.contextmanager
def _log_file(folder):
    handler = _LogFile(folder / "crismis.log", encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    level = log.level
    log.addHandler(handler)
    log.setLevel(min(level or logging.INFO, logging.INFO))
    try:
        yield
    finally:
        log.setLevel(level)
        log.removeHandler(handler)
        handler.close()


@contextlib.contextmanager
def _bar(total, wanted):
    if not wanted or not total:
        yield lambda: None
        return
    from rich import progress
    from rich.console import Console

    with progress.Progress(
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TaskProgressColumn(show_speed=True),
        progress.TimeElapsedColumn(),
        progress.TextColumn("remaining"),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as bar:
        task = bar.add_task("", total=total)
        yield lambda: bar.advance(task)


@contextlib.contextmanager
def _cluster(client, workers, n_tasks, memory_limit):
    """Give the Dask client to use, or None to work inside this process."""
    if client is not None:
        yield client
        return
    if workers is None:
        workers = min(_cores(), n_tasks) if n_tasks > 1 else 0
    if workers == 0 or n_tasks == 0:
        yield None
        return
    import dask
    from distributed import Client, LocalCluster

    # A file that ends its worker is tried again here, alone, so that no other is blamed.
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            memory_limit=memory_limit,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as local,
    ):
        yield local


def _cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _with_threads(settings, pool):
    """Share the cores among the workers, so that their kernels do not fight over them."""
    from distributed import LocalCluster

    if settings.method != "learned" or "n_threads" in settings.options:
        return settings.options
    if pool is None:
        n_threads = _cores()
    elif isinstance(pool.cluster, LocalCluster):
        n_threads = max(_cores() // len(pool.cluster.worker_spec), 1)
    else:
        n_threads = 1
    return settings.options | {"n_threads": n_threads}


def _results(tasks, pool, fixed, time_limit):
    if pool is None:
        for task in tasks:
            yield task.path, _work(task, fixed, None)
    else:
        yield from _Mapping(pool, fixed, time_limit).over(tasks)


def _work(task, fixed, time_limit):
    with _deadline(time_limit):
        return process_file(task.path, task.stem, *fixed, task.expected)


class _Mapping:
    """Keeps just enough tasks on the cluster; tries those alone whose worker died."""

    def __init__(self, client, fixed, time_limit):
        self.client, self.time_limit = client, time_limit
        if time_limit and not self._all_come_back():
            log.warning("no time limit: some workers have no nanny to start them again")
            self.time_limit = None
        self._fixed = (fixed, self.time_limit)
        self._running, self._died = {}, {}

    def over(self, tasks):
        from distributed import as_completed

        waiting, suspects = deque(tasks), deque()
        # The result of a task, which Dask makes again when the worker that holds it dies;
        # scattered data would be lost with it.
        shared = self.client.submit(_same, self._fixed, pure=False)
        arriving = as_completed(with_results=False)
        width, checked = self._width(), time.monotonic()
        while waiting or suspects or self._running:
            if time.monotonic() - checked > 10:
                width, checked = self._width(), time.monotonic()
            while waiting and len(self._running) < width:
                arriving.add(self._submit(waiting.popleft(), shared))
            if not self._running:
                arriving.add(self._submit(suspects.popleft(), shared))
            future = next(arriving)
            task, since = self._running.pop(future)
            answer = self._answer(future, task, since, alone=not waiting and not self._running)
            if answer is _AGAIN:
                suspects.append(task)
            else:
                yield task.path, answer

    def _all_come_back(self):
        workers = self.client.scheduler_info(n_workers=-1)["workers"].values()
        return all(worker.get("nanny") for worker in workers)

    def _width(self):
        return 2 * max(sum(self.client.nthreads().values()), 1)

    def _submit(self, task, shared):
        future = self.client.submit(_remote_work, task, shared, pure=False, retries=0)
        self._running[future] = (task, time.monotonic())
        return future

    def _answer(self, future, task, since, alone):
        from distributed import KilledWorker

        try:
            return future.result()
        except KilledWorker:
            self._died[task.path] = self._died.get(task.path, 0) + 1
            late = self.time_limit and time.monotonic() - since >= self.time_limit
            if alone and late:
                reason = f"took longer than the time limit of {self.time_limit:g} s"
            elif self._died[task.path] >= _ATTEMPTS:
                reason = f"its worker died {_ATTEMPTS} times, out of memory or crashed"
            else:
                log.warning("%s: its worker died, trying it alone later", task.path)
                return _AGAIN
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
        stamp = self._fixed[0][-1]
        return to_arrow([error_row({"path": task.path, **stamp}, reason)], [])


_AGAIN = object()


def _same(fixed):
    return fixed


def _remote_work(task, fixed):
    return _work(task, *fixed)


_deadlines = {}
_deadlines_lock = threading.Lock()


@contextlib.contextmanager
def _deadline(seconds):
    """End this process if the block takes longer; works even where code holds on to Python."""
    if not seconds:
        yield
        return
    key = threading.get_ident()
    with _deadlines_lock:
        _deadlines[key] = time.monotonic() + seconds
        _arm()
    try:
        yield
    finally:
        with _deadlines_lock:
            del _deadlines[key]
            _arm()


def _arm():
    if not _deadlines:
        faulthandler.cancel_dump_traceback_later()
        return
    left = max(min(_deadlines.values()) - time.monotonic(), 0.01)
    faulthandler.dump_traceback_later(left, exit=True, file=_nowhere())


_devnull = []


def _nowhere():
    if not _devnull:
        _devnull.append(open(os.devnull, "w"))  # noqa: SIM115
    return _devnull[0]
