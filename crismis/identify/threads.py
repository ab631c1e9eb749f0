# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Small tasks on a few threads; the kernels release the GIL, so plain threads suffice."""

import os
from concurrent.futures import ThreadPoolExecutor

__all__ = ["default_threads", "run_tasks"]


def default_threads():
    """Return ``OMP_NUM_THREADS`` where it is set, else the processors this process may use.

    Examples
    --------
    >>> from crismis.identify.threads import default_threads
    >>> default_threads() >= 1
    True
    """
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdigit() and int(wanted) > 0:
        return int(wanted)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_tasks(function, items, n_threads):
    """Call a function for every item, on ``n_threads`` threads; results in the items' order.

    Examples
    --------
    >>> from crismis.identify.threads import run_tasks
    >>> run_tasks(abs, [-1, 2, -3], 2)
    [1, 2, 3]
    """
    items = list(items)
    if n_threads <= 1 or len(items) <= 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(function, items))
