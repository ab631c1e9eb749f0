# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Loops over the pixels of events that no combination of array operations expresses."""

import numpy as np

from libc.math cimport fabs
from libc.stdlib cimport free, realloc
from libc.string cimport memset

__all__ = ["ring_statistics"]


cdef float select(float* values, Py_ssize_t n, Py_ssize_t k) noexcept nogil:
    """Return the k-th smallest value; reorders the values."""
    cdef Py_ssize_t low = 0, high = n - 1, i, j
    cdef float pivot, swap
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                swap = values[i]
                values[i] = values[j]
                values[j] = swap
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            break
    return values[k]


cdef float median(float* values, Py_ssize_t n) noexcept nogil:
    cdef float upper = select(values, n, n // 2), lower
    if n % 2:
        return upper
    lower = select(values, n, n // 2 - 1)
    return (lower + upper) / 2


def ring_statistics(
    const float[:, ::1] data,
    const int[:, ::1] labels,
    const unsigned char[:, ::1] bad,
    const int[::1] y,
    const int[::1] x,
    const long long[::1] starts,
    int inner,
    int outer,
):
    """Median, robust spread and number of the pixels around each event, and its halo.

    The ring holds the pixels farther than ``inner`` and not farther than ``outer``
    (chessboard distance) from the event that belong to no event and are not bad; the
    halo is the median of such pixels not farther than ``inner``.
    """
    cdef Py_ssize_t n_events = starts.shape[0] - 1, e, p, n, m, size, capacity = 0, cell
    cdef int ny = data.shape[0], nx = data.shape[1]
    cdef int y0, y1, x0, x1, width, i, j, yy, xx, reach
    cdef unsigned char* grid = NULL
    cdef float* ring = NULL
    cdef float centre
    result = np.full((n_events, 4), np.nan, dtype=np.float32)
    cdef float[:, ::1] out = result
    with nogil:
        for e in range(n_events):
            y0, y1, x0, x1 = ny, -1, nx, -1
            for p in range(starts[e], starts[e + 1]):
                y0, y1 = min(y0, y[p]), max(y1, y[p])
                x0, x1 = min(x0, x[p]), max(x1, x[p])
            y0, y1 = max(y0 - outer, 0), min(y1 + outer, ny - 1)
            x0, x1 = max(x0 - outer, 0), min(x1 + outer, nx - 1)
            width = x1 - x0 + 1
            size = <Py_ssize_t>(y1 - y0 + 1) * width
            if size > capacity:
                capacity = 2 * size
                grid = <unsigned char*>realloc(grid, capacity)
                ring = <float*>realloc(ring, capacity * sizeof(float))
                if grid == NULL or ring == NULL:
                    with gil:
                        free(grid)
                        free(ring)
                        raise MemoryError("no memory for the surroundings of an event")
            memset(grid, 0, size)
            for reach in range(2):
                n = 0
                for p in range(starts[e], starts[e + 1]):
                    i = inner if reach == 0 else outer
                    for yy in range(max(y[p] - i, y0), min(y[p] + i, y1) + 1):
                        for xx in range(max(x[p] - i, x0), min(x[p] + i, x1) + 1):
                            cell = <Py_ssize_t>(yy - y0) * width + xx - x0
                            if grid[cell]:
                                continue
                            grid[cell] = 1
                            if labels[yy, xx] == 0 and bad[yy, xx] == 0:
                                ring[n] = data[yy, xx]
                                n += 1
                if n == 0:
                    continue
                centre = median(ring, n)
                if reach == 0:
                    out[e, 3] = centre
                    continue
                out[e, 0] = centre
                for m in range(n):
                    ring[m] = <float>fabs(ring[m] - centre)
                out[e, 1] = 1.4826 * median(ring, n)
                out[e, 2] = n
    free(grid)
    free(ring)
    return result
