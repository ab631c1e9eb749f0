"""Map the chain over many files with Dask, and gather the rows into the catalog."""

import contextlib
import inspect
import logging
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ..errors import CatalogError
from .chain import Settings
from .folder import OutputFolder
from .inputs import gather_inputs
from .products import as_text, product_names
from .workers import Task, n_cores, results, start_workers, with_threads
from .writer import CatalogWriter

__all__ = ["Summary", "run"]

log = logging.getLogger("crismis")

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
                settings = with_threads(settings, pool)
                if pool is not None and on_start is not None:
                    on_start(pool)
                gatherer.link = pool.dashboard_link if pool is not None else None
                fixed = (str(folder.path), settings, stamp)
                for path, result in results(tasks, pool, fixed, time_limit):
                    gatherer.add(path, result)
                    advance()
        except BaseException:
            gatherer.close("stopped")
            raise
        gatherer.close("finished")
        log.info("finished: %s", summary.to_dict())
    return summary


def _check(settings, workers, time_limit, client):
    if settings.method not in ("learned", "lacosmic"):
        raise ValueError(f"method must be 'learned' or 'lacosmic', got {settings.method!r}")
    unknown = sorted(set(settings.options) - _options_of(settings.method))
    if unknown:
        raise ValueError(f"method {settings.method!r} has no option {', '.join(unknown)}")
    if workers is not None and workers < 0:
        raise ValueError(f"workers must not be negative, got {workers}")
    if time_limit is not None and time_limit <= 0:
        raise ValueError(f"time_limit must be positive, got {time_limit}")
    if client is not None and client.asynchronous:
        raise ValueError("client must not be asynchronous")


def _options_of(method):
    """What a method of identification takes besides the image."""
    from .. import identify

    names = inspect.signature(getattr(identify, f"cosmicray_{method}")).parameters
    return set(names) | {"detector"}


def _plan(files, known, digest, summary, overwrite, update):
    """List the tasks that are left, and count the files that are not."""
    taken = {path: stem for path, row in known.items() if (stem := _stem(row.product))}
    stems = product_names(files, taken)
    tasks = []
    for path in files:
        row = known.get(as_text(path))
        if row is None or overwrite or not row.ok:
            tasks.append(Task(path, stems[path]))
        elif update:
            tasks.append(Task(path, stems[path], row.checksum if row.settings == digest else None))
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
        import pyarrow.compute as pc

        errors = [e for e in exposures["error"].to_pylist() if e is not None]
        self.summary.images += exposures.num_rows - len(errors)
        self.summary.events += events.num_rows
        pixels = pc.multiply(exposures["rows"].cast("int64"), exposures["columns"])
        self.summary.pixels += pc.sum(pixels).as_py() or 0
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


def _cluster(client, workers, n_tasks, memory_limit):
    """The Dask client to use, or None to work inside this process, as a context manager."""
    if client is None and workers is None:
        workers = min(n_cores(), n_tasks) if n_tasks > 1 else 0
    if client is not None or workers == 0 or n_tasks == 0:
        return contextlib.nullcontext(client)
    return start_workers(workers, memory_limit)
