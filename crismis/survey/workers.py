"""Dask workers: start them, keep them busy, outlive their deaths."""

import contextlib
import faulthandler
import functools
import logging
import os
import threading
import time
from collections import deque
from dataclasses import dataclass, replace

from .chain import error_row, process_file, to_arrow

__all__ = ["Task", "n_cores", "results", "start_workers", "with_threads"]

log = logging.getLogger("crismis")

_ATTEMPTS = 3
_QUIET = {
    # A file that ends its worker is tried again here, alone, so that no other is blamed.
    "distributed.scheduler.allowed-failures": 0,
    # What Dask does by the clock costs more than what it does by the task: it wakes up 50 times
    # a second, samples each worker's stack 100 times a second and keeps the samples. It also
    # keeps the last thousand messages of every connection.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.admin.low-level-log-length": 100,
}


@dataclass(frozen=True)
class Task:
    """A file to do.

    Parameters
    ----------
    path : str
        The input.
    stem : str
        Stem of the names of its products.
    expected : str, optional
        Checksum for which nothing needs to be done.
    """

    path: str
    stem: str
    expected: str | None = None


def n_cores():
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@contextlib.contextmanager
def start_workers(workers, memory_limit="auto"):
    """Start worker processes of one thread on this machine; a context manager.

    Parameters
    ----------
    workers : int
    memory_limit : str or int
        For each of them, as Dask understands it.

    Yields
    ------
    `distributed.Client`
    """
    import dask
    from distributed import Client, LocalCluster

    with (
        dask.config.set(_QUIET),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            memory_limit=memory_limit,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster, direct_to_workers=True) as client,
    ):
        yield client


def with_threads(settings, client):
    """Share the cores among the workers, so that their kernels do not fight over them.

    Parameters
    ----------
    settings : `~crismis.survey.chain.Settings`
    client : `distributed.Client` or None
        `None` for work inside this process.

    Returns
    -------
    `~crismis.survey.chain.Settings`
    """
    from distributed import LocalCluster

    if settings.method != "learned" or "n_threads" in settings.options:
        return settings
    if client is None:
        n_threads = n_cores()
    elif isinstance(client.cluster, LocalCluster):
        n_threads = max(n_cores() // len(client.cluster.worker_spec), 1)
    else:
        n_threads = 1
    return replace(settings, options=settings.options | {"n_threads": n_threads})


def results(tasks, client, fixed, time_limit):
    """Do tasks, on the cluster of a client or inside this process.

    Parameters
    ----------
    tasks : list of `Task`
    client : `distributed.Client` or None
    fixed : tuple
        Output folder, settings and stamp, for `~crismis.survey.chain.process_file`.
    time_limit : float or None
        Seconds for each.

    Yields
    ------
    path : str
    result
        Of `~crismis.survey.chain.process_file`; an error row if the worker did not survive.
    """
    if client is None:
        for task in tasks:
            yield task.path, _work(task, fixed, None)
    else:
        yield from _Mapping(client, fixed, time_limit).over(tasks)


def _work(task, fixed, time_limit):
    with _deadline(time_limit):
        return process_file(task.path, task.stem, *fixed, task.expected)


class _Mapping:
    """Keeps just enough tasks on the cluster; tries those alone whose worker died."""

    def __init__(self, client, fixed, time_limit):
        self.client, self.fixed, self.time_limit = client, fixed, time_limit
        if time_limit and not self._all_come_back():
            log.warning("no time limit: some workers have no nanny to start them again")
            self.time_limit = None
        self._running, self._died = {}, {}

    def over(self, tasks):
        from distributed import KilledWorker, as_completed

        waiting, suspects = deque(tasks), deque()
        # The result of a task, which Dask makes again when the worker that holds it dies;
        # scattered data would be lost with it.
        shared = self.client.submit(_same, (self.fixed, self.time_limit), pure=False)
        arriving = as_completed()
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
            try:
                answer = future.result()
            except KilledWorker:
                reason = self._guilt(task, since, alone=not waiting and not self._running)
                if reason is None:
                    log.warning("%s: its worker died, trying it alone later", task.path)
                    suspects.append(task)
                    continue
                answer = self._failed(task, reason)
            except Exception as error:
                answer = self._failed(task, f"{type(error).__name__}: {error}")
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

    def _guilt(self, task, since, alone):
        """Why a task whose worker died is given up, or `None` if it deserves another try."""
        self._died[task.path] = self._died.get(task.path, 0) + 1
        if alone and self.time_limit and time.monotonic() - since >= self.time_limit:
            return f"took longer than the time limit of {self.time_limit:g} s"
        if self._died[task.path] >= _ATTEMPTS:
            return f"its worker died {_ATTEMPTS} times, out of memory or crashed"
        return None

    def _failed(self, task, reason):
        stamp = self.fixed[-1]
        return to_arrow([error_row({"path": task.path, **stamp}, reason)], [])


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


@functools.cache
def _nowhere():
    return os.open(os.devnull, os.O_WRONLY)
