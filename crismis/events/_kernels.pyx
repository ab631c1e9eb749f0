# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Loops over the pixels of events that no combination of array operations expresses."""

import numpy as np

from libc.math cimport atan2, cos, fabs, log, sin, sqrt
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset

cdef extern from "src/forest.h" nogil:
    int LANES, MOST_LEAVES

    ctypedef struct split_t:
        float threshold
        int feature
        unsigned int low, high

    void add_trees(const split_t*, const int*, const float*, const signed char*, Py_ssize_t,
                   const float*, double*)

__all__ = [
    "CROSSING_FEATURES",
    "LEVELS",
    "LEVEL_FEATURES",
    "Forest",
    "level_descriptors",
    "ring_statistics",
]

LEVELS = (0.0, 0.15, 0.35)
"""Fractions of the peak above which the pixels of an event are described."""

LEVEL_FEATURES = (
    "extent", "thickness", "flatness", "parabola_rest", "cubic_rest", "sagitta", "bend",
    "significant_bend", "parabola_gain", "cubic_gain", "density",
    "even_thickness", "even_parabola_rest", "even_cubic_rest", "even_sagitta", "even_bend",
    "even_parabola_gain", "even_cubic_gain",
    "detour", "straightness", "deviation", "relative_deviation", "turn", "path",
    "branch_1", "branch_2", "branch_3", "branch_place", "branch_angle", "half_width",
    "imbalance", "unevenness", "root_charge",
    "breadth", "branch_margin_1", "branch_margin_2", "through", "through_deviation", "spare_arm",
    "spare_distance", "stem", "spare_contrast", "root_gap", "cross_deviation",
    "second_distance", "ridge_peak", "ridge_floor", "solidity", "holes",
    "parts", "second_part",
)
"""Names of what `level_descriptors` measures at each level."""

CROSSING_FEATURES = (
    "root_prongs", "root_core", "root_prong", "root_opposite", "root_unequal",
    "root_second_opposite", "root_other_prongs",
    "peak_prongs", "peak_core", "peak_prong", "peak_opposite", "peak_unequal",
    "peak_second_opposite", "peak_other_prongs",
    "outer_pieces", "outer_first", "outer_second", "outer_deviation", "outer_unequal",
    "outer_contrast", "outer_distance",
    "peaks", "second_peak", "second_peak_distance",
    "ends_unequal", "core_height", "short_stub", "long_stub", "stub_deviation",
)
"""Names of what `level_descriptors` measures of whole events: does a particle pass another?"""

DEF N_FEATURES = 51
DEF N_CROSSING = 29
DEF MOST_PRONGS = 8
DEF SHORTEST_PIECE = 3
DEF STEP = 12
DEF DIAGONAL = 17
DEF MAX_LAYERS = 512
DEF BLOCK = 256
DEF ABREAST = 8
DEF FLAT = 0.0833333333333333
DEF SOFT = 0.02
DEF ROUGHNESS = 2.0
DEF MAIN = 1

SHORTEST_BRANCH = ROUGHNESS
"""Pixels by which a branch must end outside the edge of the event, or it is roughness."""


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
    cdef Py_ssize_t i
    if n % 2:
        return upper
    lower = values[0]
    for i in range(1, n // 2):
        lower = max(lower, values[i])
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
    """Median, robust spread, upper tail and slope of the pixels around each event; its halo.

    The ring holds the pixels farther than ``inner`` and not farther than ``outer``
    (chessboard distance) from the event that belong to no event and are not bad; the
    halo is the median of such pixels not farther than ``inner``. The tail is the ninth
    decile less the median, the slope the length of the mean of value times direction as
    seen from the middle of the event.
    """
    cdef Py_ssize_t n_events = starts.shape[0] - 1, e, p, n, m, size, capacity = 0, cell
    cdef int ny = data.shape[0], nx = data.shape[1]
    cdef int y0, y1, x0, x1, width, i, j, yy, xx, reach
    cdef unsigned char* grid = NULL
    cdef float* ring = NULL
    cdef Py_ssize_t* places = NULL
    cdef float centre, middle_y, middle_x
    cdef double slope_y, slope_x, dy, dx, away
    result = np.full((n_events, 5), np.nan, dtype=np.float32)
    cdef float[:, ::1] out = result
    with nogil:
        for e in range(n_events):
            y0, y1, x0, x1 = ny, -1, nx, -1
            for p in range(starts[e], starts[e + 1]):
                y0, y1 = min(y0, y[p]), max(y1, y[p])
                x0, x1 = min(x0, x[p]), max(x1, x[p])
            middle_y, middle_x = (y0 + y1) / 2.0, (x0 + x1) / 2.0
            y0, y1 = max(y0 - outer, 0), min(y1 + outer, ny - 1)
            x0, x1 = max(x0 - outer, 0), min(x1 + outer, nx - 1)
            width = x1 - x0 + 1
            size = <Py_ssize_t>(y1 - y0 + 1) * width
            if size > capacity:
                capacity = 2 * size
                grid = <unsigned char*>realloc(grid, capacity)
                ring = <float*>realloc(ring, capacity * sizeof(float))
                places = <Py_ssize_t*>realloc(places, capacity * sizeof(Py_ssize_t))
                if grid == NULL or ring == NULL or places == NULL:
                    with gil:
                        free(grid)
                        free(ring)
                        free(places)
                        raise MemoryError("no memory for the surroundings of an event")
            memset(grid, 0, size)
            for reach in range(2):
                i = inner if reach else outer
                for p in range(starts[e], starts[e + 1]):
                    xx = max(x[p] - i, x0)
                    m = min(x[p] + i, x1) - xx + 1
                    for yy in range(max(y[p] - i, y0), min(y[p] + i, y1) + 1):
                        memset(&grid[<Py_ssize_t>(yy - y0) * width + xx - x0], 1 + reach, m)
            for reach in range(1, -1, -1):
                n = 0
                slope_y = slope_x = 0.0
                cell = 0
                for yy in range(y0, y1 + 1):
                    for xx in range(x0, x1 + 1):
                        if grid[cell] == 1 + reach and labels[yy, xx] == 0 and bad[yy, xx] == 0:
                            ring[n] = data[yy, xx]
                            places[n] = cell
                            n += 1
                        cell += 1
                if n == 0:
                    continue
                centre = median(ring, n)
                if reach:
                    out[e, 2] = centre
                    continue
                out[e, 0] = centre
                m = n // 2
                out[e, 3] = select(ring + m, n - m, (9 * n) // 10 - m) - centre
                for m in range(n):
                    yy, xx = <int>(places[m] // width) + y0, <int>(places[m] % width) + x0
                    dy, dx = yy - middle_y, xx - middle_x
                    away = sqrt(dy * dy + dx * dx)
                    if away > 0:
                        slope_y += (data[yy, xx] - centre) * dy / away
                        slope_x += (data[yy, xx] - centre) * dx / away
                    ring[m] = <float>fabs(data[yy, xx] - centre)
                out[e, 4] = sqrt(slope_y * slope_y + slope_x * slope_x) / n
                out[e, 1] = 1.4826 * median(ring, n)
    free(grid)
    free(ring)
    free(places)
    return result


cdef struct Scratch:
    int* grid
    int width
    int height
    int* cell
    int* y
    int* x
    double* q
    double* glow
    double* ridge_y
    double* ridge_x
    float* values
    int n
    int* queue
    unsigned char* queued
    int* from_start
    int* from_end
    int* from_path
    unsigned char* on_path
    int* component


cdef struct Arm:
    int end
    int root


cdef void spread_distance(Scratch* s, int* distance, int n_sources) noexcept nogil:
    """Shortest way inside the event from the sources that already stand in the queue."""
    cdef int head = 0, waiting = n_sources, i, j, k, dy, dx, candidate
    for i in range(s.n):
        s.queued[i] = 0
    for k in range(n_sources):
        s.queued[s.queue[k]] = 1
    while waiting:
        i = s.queue[head]
        head = head + 1 if head + 1 < s.n else 0
        waiting -= 1
        s.queued[i] = 0
        for dy in range(-1, 2):
            for dx in range(-1, 2):
                j = s.grid[s.cell[i] + dy * s.width + dx] - 1
                if j < 0 or j == i:
                    continue
                candidate = distance[i] + (DIAGONAL if dy != 0 and dx != 0 else STEP)
                if distance[j] < 0 or candidate < distance[j]:
                    distance[j] = candidate
                    if not s.queued[j]:
                        s.queued[j] = 1
                        k = head + waiting
                        s.queue[k if k < s.n else k - s.n] = j
                        waiting += 1


cdef int distances_from(Scratch* s, int source, int* distance) noexcept nogil:
    """Fill the distances from one pixel; return the farthest, the brighter of equals."""
    cdef int i, best = source
    for i in range(s.n):
        distance[i] = -1
    distance[source] = 0
    s.queue[0] = source
    spread_distance(s, distance, 1)
    for i in range(s.n):
        if distance[i] > distance[best] or (
            distance[i] == distance[best] and s.glow[i] > s.glow[best]
        ):
            best = i
    return best


cdef int walk_back(Scratch* s, int end, int* distance, unsigned char mark) noexcept nogil:
    """Mark the brightest shortest way from a pixel down to distance 0; return where it ends."""
    cdef int i = end, j, dy, dx, best
    while True:
        if s.on_path[i] == 0:
            s.on_path[i] = mark
        if distance[i] <= 0:
            return i
        best = -1
        for dy in range(-1, 2):
            for dx in range(-1, 2):
                j = s.grid[s.cell[i] + dy * s.width + dx] - 1
                if j < 0 or j == i or distance[j] < 0:
                    continue
                if distance[j] + (DIAGONAL if dy != 0 and dx != 0 else STEP) == distance[i]:
                    if best < 0 or s.glow[j] > s.glow[best]:
                        best = j
        i = best


cdef int start_from_ways(Scratch* s) noexcept nogil:
    """Put the pixels of the ways found so far into the queue, at distance 0; return how many."""
    cdef int i, n_path = 0
    for i in range(s.n):
        s.from_path[i] = -1
        if s.on_path[i]:
            s.from_path[i] = 0
            s.queue[n_path] = i
            n_path += 1
    return n_path


cdef int collect_piece(Scratch* s, int first, int name) noexcept nogil:
    """Rename what is 8-connected to a pixel and has its name; put it into the queue, return how many."""
    cdef int head = 0, tail = 1, k, j, dy, dx, before = s.component[first]
    s.queue[0] = first
    s.component[first] = name
    while head < tail:
        k = s.queue[head]
        head += 1
        for dy in range(-1, 2):
            for dx in range(-1, 2):
                j = s.grid[s.cell[k] + dy * s.width + dx] - 1
                if j >= 0 and s.component[j] == before:
                    s.component[j] = name
                    s.queue[tail] = j
                    tail += 1
    return tail


cdef int brightest_component(Scratch* s, float* out) noexcept nogil:
    """Keep only the 8-connected part that holds most charge; return its number of pixels."""
    cdef int i, k, n_components = 0, best = 0
    cdef double charge, most = -1.0, next_most = 0.0
    for i in range(s.n):
        s.component[i] = 0
    for i in range(s.n):
        if s.component[i]:
            continue
        n_components += 1
        charge = 0.0
        for k in range(collect_piece(s, i, n_components)):
            charge += s.q[s.queue[k]]
        if charge > most:
            next_most = most
            most, best = charge, n_components
        elif charge > next_most:
            next_most = charge
    out[0] = log(<double>n_components)
    out[1] = max(next_most, 0.0) / most
    if n_components == 1:
        return s.n
    k = 0
    for i in range(s.n):
        if s.component[i] != best:
            s.grid[s.cell[i]] = 0
            continue
        s.cell[k], s.y[k], s.x[k], s.q[k] = s.cell[i], s.y[i], s.x[i], s.q[i]
        s.grid[s.cell[k]] = k + 1
        k += 1
    return k


cdef inline int pixel_at(Scratch* s, int row, int column) noexcept nogil:
    """Number of the pixel at a place, below 0 where there is none."""
    if row < 0 or row >= s.height or column < 0 or column >= s.width:
        return -1
    return s.grid[row * s.width + column] - 1


cdef void set_glow(Scratch* s) noexcept nogil:
    """Charge around each pixel: breaks ties so that a turned event is walked the same way."""
    cdef int i, j, dy, dx
    for i in range(s.n):
        s.glow[i] = 0.0
        for dy in range(-2, 3):
            for dx in range(-2, 3):
                j = pixel_at(s, s.y[i] + dy, s.x[i] + dx)
                if j >= 0:
                    s.glow[i] += s.q[j] / (1.0 + dy * dy + dx * dx)


cdef double rest_of_fit(double* m, double* b, int order, double scatter, double* solution) noexcept nogil:
    """Weighted scatter left by a polynomial, from moments of the place along the event."""
    cdef double a[4][5]
    cdef double factor, rest = scatter
    cdef int i, j, k
    for i in range(order):
        for j in range(order):
            a[i][j] = m[i + j]
        a[i][i] += 1e-9 * m[2 * i] + 1e-12
        a[i][order] = b[i]
    for k in range(order):
        for i in range(order):
            if i == k:
                continue
            factor = a[i][k] / a[k][k]
            for j in range(k, order + 1):
                a[i][j] -= factor * a[k][j]
    for i in range(order):
        solution[i] = a[i][order] / a[i][i]
        rest -= solution[i] * b[i]
    return rest if rest > 0 else 0.0


cdef void fit_shape(Scratch* s, bint even, float* out) noexcept nogil:
    """Line, parabola and cubic through the pixels, weighted by charge or evenly."""
    cdef int i, k
    cdef double total = 0.0, x0 = 0.0, y0 = 0.0, xx = FLAT, yy = FLAT, xy = 0.0
    cdef double w, dx, dy, angle, c, sn, u, v, low = 0.0, high = 0.0, half, power
    cdef double m[7]
    cdef double b[4]
    cdef double solution[4]
    cdef double across = 0.0, along, thickness, rest_2, rest_3, sagitta, length
    for i in range(s.n):
        w = 1.0 if even else s.q[i]
        total += w
        x0 += w * s.x[i]
        y0 += w * s.y[i]
    x0 /= total
    y0 /= total
    for i in range(s.n):
        w = (1.0 if even else s.q[i]) / total
        dx, dy = s.x[i] - x0, s.y[i] - y0
        xx += w * dx * dx
        yy += w * dy * dy
        xy += w * dx * dy
    angle = 0.5 * atan2(2 * xy, xx - yy)
    c, sn = cos(angle), sin(angle)
    for i in range(s.n):
        u = (s.x[i] - x0) * c + (s.y[i] - y0) * sn
        low, high = min(low, u), max(high, u)
    length = high - low + 1
    half = length / 2
    for k in range(7):
        m[k] = 0.0
    for k in range(4):
        b[k] = 0.0
    for i in range(s.n):
        w = (1.0 if even else s.q[i]) / total
        u = ((s.x[i] - x0) * c + (s.y[i] - y0) * sn) / half
        v = (s.y[i] - y0) * c - (s.x[i] - x0) * sn
        across += w * v * v
        power = w
        for k in range(7):
            m[k] += power
            if k < 4:
                b[k] += power * v
            power *= u
    along = m[2] * half * half + FLAT
    thickness = across + FLAT
    rest_2 = rest_of_fit(m, b, 3, across, solution)
    sagitta = fabs(solution[2])
    rest_3 = rest_of_fit(m, b, 4, across, solution)
    if even:
        out[0] = log(across + SOFT)
        out[1] = log(rest_2 + SOFT)
        out[2] = log(rest_3 + SOFT)
        out[3] = sagitta
        out[4] = sagitta / length
        out[5] = log(thickness / (rest_2 + FLAT))
        out[6] = log((rest_2 + FLAT) / (rest_3 + FLAT))
        return
    out[0] = log(length)
    out[1] = log(across + SOFT)
    out[2] = along / (along + thickness)
    out[3] = log(rest_2 + SOFT)
    out[4] = log(rest_3 + SOFT)
    out[5] = sagitta
    out[6] = sagitta / length
    out[7] = sagitta / sqrt(rest_2 + FLAT)
    out[8] = log(thickness / (rest_2 + FLAT))
    out[9] = log((rest_2 + FLAT) / (rest_3 + FLAT))
    out[10] = s.n / length


cdef void trace_curve(Scratch* s, float* out, float* crossing) noexcept nogil:
    """The way from end to end of the event: how straight, how branched, how even.

    What tells a crossing goes to another place, NULL if it is not wanted.
    """
    cdef double layer_w[MAX_LAYERS]
    cdef double layer_y[MAX_LAYERS]
    cdef double layer_x[MAX_LAYERS]
    cdef double total = 0.0, x0 = 0.0, y0 = 0.0, near = 1e30, d, straight, arc, chord, deviation
    cdef double ay, ax, by, bx, turn, head, tail, mean, square, path_q, vy, vx, wy, wx, norm
    cdef int i, k, source = 0, a, b, c, dy, dx, n_layers, used, length, n_path, branch, root
    cdef int n_arms = 0
    cdef Arm arms[3]
    cdef long long t
    cdef double floor, highest
    cdef double peak[2]
    for i in range(s.n):
        total += s.q[i]
        x0 += s.q[i] * s.x[i]
        y0 += s.q[i] * s.y[i]
    x0 /= total
    y0 /= total
    for i in range(s.n):
        d = (s.x[i] - x0) * (s.x[i] - x0) + (s.y[i] - y0) * (s.y[i] - y0)
        if d < near - 1e-9 or (d < near + 1e-9 and s.glow[i] > s.glow[source]):
            near, source = d, i
    a = distances_from(s, source, s.from_start)
    b = distances_from(s, a, s.from_start)
    distances_from(s, b, s.from_end)
    length = s.from_start[b]
    dy, dx = abs(s.y[a] - s.y[b]), abs(s.x[a] - s.x[b])
    straight = STEP * max(dy, dx) + (DIAGONAL - STEP) * min(dy, dx)
    out[0] = straight / length if length else 1.0
    out[5] = log(1.0 + <double>length / STEP)

    n_layers = min(max(<int>(length / (1.5 * STEP) + 0.5), 1), MAX_LAYERS)
    for k in range(n_layers):
        layer_w[k] = layer_y[k] = layer_x[k] = 0.0
    head = tail = 0.0
    for i in range(s.n):
        t = s.from_start[i] - s.from_end[i] + length
        k = <int>(t * n_layers // (2 * length + 1))
        k = min(max(k, 0), n_layers - 1)
        layer_w[k] += s.q[i]
        layer_y[k] += s.q[i] * s.y[i]
        layer_x[k] += s.q[i] * s.x[i]
        if t < length:
            head += s.q[i]
        elif t > length:
            tail += s.q[i]
    out[12] = fabs(head - tail) / (head + tail) if head + tail > 0 else 0.0
    used = 0
    for k in range(n_layers):
        if layer_w[k] > 0:
            layer_y[used] = layer_y[k] / layer_w[k]
            layer_x[used] = layer_x[k] / layer_w[k]
            used += 1
    out[1], out[2], out[3], out[4] = 1.0, 0.0, 0.0, 0.0
    if used >= 3:
        vy, vx = layer_y[used - 1] - layer_y[0], layer_x[used - 1] - layer_x[0]
        chord = sqrt(vy * vy + vx * vx)
        arc = deviation = 0.0
        for k in range(1, used):
            wy, wx = layer_y[k] - layer_y[k - 1], layer_x[k] - layer_x[k - 1]
            arc += sqrt(wy * wy + wx * wx)
            wy, wx = layer_y[k] - layer_y[0], layer_x[k] - layer_x[0]
            deviation = max(deviation, fabs(wx * vy - wy * vx) / max(chord, 0.5))
        k = used // 2
        ay, ax = layer_y[k] - layer_y[0], layer_x[k] - layer_x[0]
        by = layer_y[used - 1] - layer_y[used - 1 - k]
        bx = layer_x[used - 1] - layer_x[used - 1 - k]
        turn = fabs(atan2(ay * bx - ax * by, ay * by + ax * bx))
        out[1] = chord / max(arc, 0.1)
        out[2] = deviation
        out[3] = deviation / max(chord, 1.0)
        out[4] = turn

    memset(s.on_path, 0, s.n)
    walk_back(s, b, s.from_start, MAIN)
    n_path = start_from_ways(s)
    mean = square = 0.0
    for k in range(n_path):
        mean += s.q[s.queue[k]]
        square += s.q[s.queue[k]] * s.q[s.queue[k]]
    mean /= n_path
    out[13] = sqrt(max(square / n_path - mean * mean, 0.0)) / mean if mean > 0 else 0.0
    out[15] = <double>s.n / n_path
    floor = compare_ridge(s, n_path, out + 27)
    out[6] = out[7] = out[8] = out[9] = out[10] = out[14] = 0.0
    for branch in range(3):
        spread_distance(s, s.from_path, n_path)
        c = 0
        d = 0.0
        for i in range(s.n):
            d += s.from_path[i]
            if s.from_path[i] > s.from_path[c] or (
                s.from_path[i] == s.from_path[c] and s.glow[i] > s.glow[c]
            ):
                c = i
        if branch == 0:
            out[11] = d / STEP / s.n
        out[6 + branch] = <double>s.from_path[c] / STEP
        if s.from_path[c] == 0:
            break
        root = walk_back(s, c, s.from_path, MAIN + 1 + branch)
        arms[branch].end, arms[branch].root = c, root
        n_arms += 1
        if branch == 0:
            out[14] = log(s.q[root] / max(mean, 1e-30))
            out[9] = <double>min(s.from_start[root], s.from_end[root]) / length if length else 0.0
            vy, vx = s.y[b] - s.y[a], s.x[b] - s.x[a]
            wy, wx = s.y[c] - s.y[root], s.x[c] - s.x[root]
            norm = sqrt((vy * vy + vx * vx) * (wy * wy + wx * wx))
            out[10] = fabs(vy * wx - vx * wy) / norm if norm > 0 else 0.0
        n_path = start_from_ways(s)
    out[16] = out[6] - ROUGHNESS - out[15] / 2
    out[17] = out[7] - ROUGHNESS - out[15] / 2
    compare_arms(s, a, b, arms, n_arms, out + 18)
    if crossing == NULL:
        return
    highest = find_peak(s, peak)
    cross_vertex(s, peak[0], peak[1], out[15], crossing + 7)
    if n_arms:
        cross_vertex(s, s.ridge_y[arms[0].root], s.ridge_x[arms[0].root], out[15], crossing)
    else:
        memcpy(crossing, crossing + 7, 7 * sizeof(float))
    compare_sides(s, 3.0 * floor, crossing + 14)
    count_peaks(s, highest, peak, length, crossing + 21)
    compare_ends(s, length, crossing + 24)


cdef double compare_ridge(Scratch* s, int n, float* out) noexcept nogil:
    """Brightest and faintest part of the way, as logarithms of the ratio to its median.

    Returns the lower quartile.
    """
    cdef int k
    cdef float middle, highest = 0.0
    for k in range(n):
        s.values[k] = <float>s.glow[s.queue[k]]
        highest = max(highest, s.values[k])
    middle = select(s.values, n, n // 2)
    out[0] = log(highest / middle)
    out[1] = log(middle / select(s.values, n, n // 10))
    return select(s.values, n, n // 4)


cdef void set_ridge(Scratch* s) noexcept nogil:
    """Centre of charge around each pixel of the ways: where the ridge is between pixels."""
    cdef int i, j, dy, dx
    cdef double total
    for i in range(s.n):
        if s.on_path[i] == 0:
            continue
        total = 0.0
        s.ridge_y[i] = s.ridge_x[i] = 0.0
        for dy in range(-1, 2):
            for dx in range(-1, 2):
                j = s.grid[s.cell[i] + dy * s.width + dx] - 1
                if j >= 0:
                    total += s.q[j]
                    s.ridge_y[i] += s.q[j] * dy
                    s.ridge_x[i] += s.q[j] * dx
        s.ridge_y[i] = s.y[i] + s.ridge_y[i] / total
        s.ridge_x[i] = s.x[i] + s.ridge_x[i] / total


cdef double apart(Scratch* s, int i, int j) noexcept nogil:
    """Distance of two ridge points."""
    cdef double dy = s.ridge_y[i] - s.ridge_y[j], dx = s.ridge_x[i] - s.ridge_x[j]
    return sqrt(dy * dy + dx * dx)


cdef double beside(Scratch* s, int i, int p, int q) noexcept nogil:
    """Signed distance of a ridge point from the line through two others."""
    cdef double vy = s.ridge_y[q] - s.ridge_y[p], vx = s.ridge_x[q] - s.ridge_x[p]
    cdef double wy = s.ridge_y[i] - s.ridge_y[p], wx = s.ridge_x[i] - s.ridge_x[p]
    return (wx * vy - wy * vx) / max(sqrt(vy * vy + vx * vx), 0.5)


cdef void add_point(double* moments, double y, double x) noexcept nogil:
    """Count a point in the sums of which `rms_beside_line` tells a line."""
    moments[0] += 1.0
    moments[1] += y
    moments[2] += x
    moments[3] += y * y
    moments[4] += x * x
    moments[5] += y * x


cdef double rms_beside_line(double* first, double* second) noexcept nogil:
    """Root mean square distance of the points of two arms from the line that fits them best."""
    cdef double m[6]
    cdef double yy, xx, xy
    cdef int k
    for k in range(6):
        m[k] = first[k] + second[k]
    for k in range(1, 6):
        m[k] /= m[0]
    yy, xx, xy = m[3] - m[1] * m[1], m[4] - m[2] * m[2], m[5] - m[1] * m[2]
    return sqrt(max(0.5 * (yy + xx - sqrt((yy - xx) * (yy - xx) + 4 * xy * xy)), 0.0))


cdef void compare_arms(Scratch* s, int a, int b, Arm* arms, int n_arms, float* out) noexcept nogil:
    """Which two of three arms go straight through, and how the others leave them.

    Of the main way's two parts and its longest branch, the pair with the best length less
    sixteen times its deviation (rms) is the way through, the third arm is spare.
    """
    cdef int ends[3]
    cdef double moments[3][6]
    cdef double charge[3]
    cdef double score, best = -1e30, chord, d, straying, gap, deviation = 0.0
    cdef int i, k, side, p, q, root, spare = 2
    set_ridge(s)
    for k in range(9):
        out[k] = 0.0
    ends[0], ends[1] = a, b
    ends[2] = arms[0].end if n_arms else b
    root = arms[0].root if n_arms else b
    for side in range(3):
        charge[side] = 0.0
        for k in range(6):
            moments[side][k] = 0.0
    for i in range(s.n):
        if s.on_path[i] == MAIN:
            side = 0 if s.from_start[i] <= s.from_start[root] else 1
        elif s.on_path[i] == MAIN + 1:
            side = 2
        else:
            continue
        charge[side] += s.q[i]
        add_point(moments[side], s.ridge_y[i], s.ridge_x[i])
    for k in range(0 if n_arms else 2, 3):
        p, q = (k + 1) % 3, (k + 2) % 3
        d = rms_beside_line(moments[p], moments[q])
        score = apart(s, ends[p], ends[q]) - 16 * d
        if score > best + 1e-6:
            best, spare, deviation = score, k, d
    p, q = ends[(spare + 1) % 3], ends[(spare + 2) % 3]
    chord = apart(s, p, q)
    out[0] = log(1.0 + chord)
    out[1] = deviation
    if n_arms == 0:
        return
    gap = beside(s, ends[spare], p, q)
    out[2] = apart(s, ends[spare], root)
    out[3] = fabs(gap)
    out[4] = min(apart(s, root, p), apart(s, root, q))
    k, side = (spare + 1) % 3, (spare + 2) % 3
    d = (charge[k] + charge[side]) / (moments[k][0] + moments[side][0])
    out[5] = log(charge[spare] / moments[spare][0] / d) if moments[spare][0] else 0.0
    if n_arms == 1:
        return
    out[6] = apart(s, root, arms[1].root)
    straying = fabs(beside(s, root, arms[0].end, arms[1].end))
    out[7] = max(straying, fabs(beside(s, arms[1].root, arms[0].end, arms[1].end)))
    d = beside(s, arms[1].end, p, q)
    # A spare arm that ends on the line has no side.
    out[8] = 0.0 if fabs(gap) < 1e-3 else d if gap > 0 else -d


cdef double find_peak(Scratch* s, double* place) noexcept nogil:
    """Most charge around a pixel; mean place of those pixels that have nearly as much."""
    cdef int i, n = 0
    cdef double highest = 0.0
    for i in range(s.n):
        highest = max(highest, s.glow[i])
    place[0] = place[1] = 0.0
    for i in range(s.n):
        if s.glow[i] > 0.95 * highest:
            place[0] += s.y[i]
            place[1] += s.x[i]
            n += 1
    place[0] /= n
    place[1] /= n
    return highest


cdef double bent(double* first, double* second) noexcept nogil:
    """Angle by which two prongs fail to be opposite."""
    return fabs(atan2(
        first[0] * second[1] - first[1] * second[0], -first[0] * second[0] - first[1] * second[1]
    ))


cdef void cross_vertex(Scratch* s, double y, double x, double breadth, float* out) noexcept nogil:
    """Prongs on a circle round a place: how many, how strong, and which ones are opposite.

    The radius is that of the rule of spallation stars. Two opposite prongs of like charge are
    a particle that passes, two such pairs a crossing.
    """
    cdef double prong[MOST_PRONGS][3]
    cdef double radius = 4 + breadth / 2, q, dy, dx, d, inside = 0.0
    cdef double total = 0.0, ring = 0.0, angle, strongest = 0.0
    cdef double opposite = 3.15, second = 3.15
    cdef int i, j, k, n, n_pieces = 0, n_prongs = 0, p = -1, r = -1
    for i in range(s.n):
        dy, dx = s.y[i] - y, s.x[i] - x
        d = sqrt(dy * dy + dx * dx) - radius
        s.component[i] = 1 if fabs(d) < 0.8 else 0
        total += s.q[i]
        if d < 0:
            inside += s.q[i]
    for i in range(s.n):
        if s.component[i] != 1:
            continue
        n = collect_piece(s, i, 2)
        n_pieces += 1
        q = dy = dx = 0.0
        for k in range(n):
            j = s.queue[k]
            q += s.q[j]
            dy += s.q[j] * (s.y[j] - y)
            dx += s.q[j] * (s.x[j] - x)
        ring += q
        strongest = max(strongest, q)
        # Kept in order of charge.
        k = min(n_prongs, MOST_PRONGS - 1)
        if n_prongs == MOST_PRONGS and prong[k][2] >= q:
            continue
        while k > 0 and prong[k - 1][2] < q:
            prong[k] = prong[k - 1]
            k -= 1
        prong[k][0], prong[k][1], prong[k][2] = dy, dx, q
        n_prongs = min(n_prongs + 1, MOST_PRONGS)
    out[0], out[1] = n_pieces, inside / total
    out[2] = strongest / ring if ring > 0 else 0.0
    for i in range(n_prongs):
        for j in range(i):
            angle = bent(prong[i], prong[j])
            if angle < opposite - 1e-6:
                opposite, p, r = angle, i, j
    out[3], out[4], out[5], out[6] = opposite, 0.0, second, 0.0
    if p < 0:
        return
    out[4] = fabs(log(prong[p][2] / prong[r][2]))
    out[6] = log((ring + 1e-6 * total) / (prong[p][2] + prong[r][2]))
    for i in range(n_prongs):
        for j in range(i):
            if i != p and i != r and j != p and j != r:
                second = min(second, bent(prong[i], prong[j]))
    out[5] = second


cdef void compare_sides(Scratch* s, double ceiling, float* out) noexcept nogil:
    """The faint pieces that a bright core leaves: a particle that goes on at both its sides?

    Two pieces on one line, alike in brightness, are one; the core is the other particle.
    """
    cdef double moments[2][6]
    cdef double piece[6]
    cdef double charge[2]
    cdef double core[3]
    cdef double q, dy, dx
    cdef int i, j, k, n, n_pieces = 0
    core[0] = core[1] = core[2] = 0.0
    charge[0] = charge[1] = 0.0
    for k in range(6):
        moments[0][k] = moments[1][k] = 0.0
    n = 0
    for i in range(s.n):
        s.component[i] = 1
        if s.glow[i] > ceiling:
            s.component[i] = 0
            n += 1
            core[0] += s.q[i]
            core[1] += s.y[i]
            core[2] += s.x[i]
    for k in range(7):
        out[k] = 0.0
    if n == 0:
        return
    core[0] /= n
    core[1] /= n
    core[2] /= n
    for i in range(s.n):
        if s.component[i] != 1:
            continue
        n = collect_piece(s, i, 2)
        if n < SHORTEST_PIECE:
            continue
        n_pieces += 1
        q = 0.0
        for k in range(6):
            piece[k] = 0.0
        for k in range(n):
            j = s.queue[k]
            q += s.q[j]
            add_point(piece, s.y[j], s.x[j])
        if n > moments[0][0] or (n == moments[0][0] and q > charge[0]):
            moments[1], charge[1] = moments[0], charge[0]
            moments[0], charge[0] = piece, q
        elif n > moments[1][0] or (n == moments[1][0] and q > charge[1]):
            moments[1], charge[1] = piece, q
    out[0], out[1], out[2] = n_pieces, log(1 + moments[0][0]), log(1 + moments[1][0])
    if n_pieces == 0:
        return
    out[5] = log(core[0] * moments[0][0] / charge[0])
    dy = core[1] - moments[0][1] / moments[0][0]
    dx = core[2] - moments[0][2] / moments[0][0]
    out[6] = log(1 + sqrt(dy * dy + dx * dx))
    if n_pieces == 1:
        return
    out[3] = rms_beside_line(moments[0], moments[1])
    out[4] = fabs(log(charge[0] * moments[1][0] / (charge[1] * moments[0][0])))


cdef void compare_ends(Scratch* s, int length, float* out) noexcept nogil:
    """Both ends of the way up to a bright core between them: alike, and on one line?"""
    cdef double moments[2][6]
    cdef double glow[2]
    cdef double ceiling, highest = 0.0
    cdef int reach[2]
    cdef int count[2]
    cdef int i, k, side, near = min(4 * STEP, length // 3)
    for side in range(2):
        glow[side] = 0.0
        count[side] = 0
        reach[side] = length
        for k in range(6):
            moments[side][k] = 0.0
    for i in range(s.n):
        if s.on_path[i] != MAIN:
            continue
        highest = max(highest, s.glow[i])
        for side in range(2):
            if (length - s.from_start[i] if side else s.from_start[i]) <= near:
                glow[side] += s.glow[i]
                count[side] += 1
    for side in range(2):
        glow[side] /= count[side]
    ceiling = 3 * max(glow[0], glow[1])
    out[0] = fabs(log(glow[0] / glow[1]))
    out[1] = log(3 * highest / ceiling)
    out[2] = out[3] = out[4] = 0.0
    if highest <= ceiling:
        return
    for i in range(s.n):
        if s.on_path[i] == MAIN and s.glow[i] > ceiling:
            reach[0] = min(reach[0], s.from_start[i])
            reach[1] = min(reach[1], length - s.from_start[i])
    for i in range(s.n):
        if s.on_path[i] != MAIN:
            continue
        for side in range(2):
            if (length - s.from_start[i] if side else s.from_start[i]) < reach[side]:
                add_point(moments[side], s.ridge_y[i], s.ridge_x[i])
    out[2] = log(1 + <double>min(reach[0], reach[1]) / STEP)
    out[3] = log(1 + <double>max(reach[0], reach[1]) / STEP)
    out[4] = rms_beside_line(moments[0], moments[1])


cdef void count_peaks(Scratch* s, double highest, double* peak, double length, float* out) noexcept nogil:
    """Pixels brighter than all around within two; the second highest and how far it is."""
    cdef int i, j, dy, dx, n = 0
    cdef double far = 0.0, second = 0.0, y, x, d
    cdef bint high
    for i in range(s.n):
        if s.glow[i] < 0.05 * highest:
            continue
        high = True
        for dy in range(-2, 3):
            for dx in range(-2, 3):
                j = pixel_at(s, s.y[i] + dy, s.x[i] + dx)
                high = high and not (j >= 0 and s.glow[j] > s.glow[i] * (1 + 1e-9))
        if not high:
            continue
        n += 1
        y, x = s.y[i] - peak[0], s.x[i] - peak[1]
        d = sqrt(y * y + x * x)
        # Near the highest peak it is that peak itself.
        if d <= 2 or s.glow[i] < second * (1 - 1e-9):
            continue
        if s.glow[i] > second * (1 + 1e-9):
            far = 0.0
        second, far = max(second, s.glow[i]), max(far, d)
    out[0], out[1] = log(<double>max(n, 1)), second / highest
    out[2] = far * STEP / length if length > 0 else 0.0


cdef double turned(int oy, int ox, int ay, int ax, int by, int bx) noexcept nogil:
    return <double>(ax - ox) * (by - oy) - <double>(ay - oy) * (bx - ox)


cdef void measure_hull(Scratch* s, float* out) noexcept nogil:
    """Share of its convex hull that the event fills, and its holes.

    Corners of pixels are joined by Andrew's monotone chain, rows first; the pixels are in
    order of rows. Components less holes are vertices less edges plus faces of the pixels.
    """
    cdef int side, i, k, y, n = 0, dy, dx, corner, shared
    cdef int* hull_y = s.queue
    cdef int* hull_x = s.component
    cdef double area = 0.0, euler = 0.0
    for side in range(2):
        n = 0
        for i in range(s.n):
            y = s.y[i]
            # The leftmost (rightmost) pixel of a row has the corners that matter.
            if side == 0 and i and s.y[i - 1] == y:
                continue
            if side and i + 1 < s.n and s.y[i + 1] == y:
                continue
            for corner in range(2):
                hull_y[n], hull_x[n] = y + corner, s.x[i] + side
                n += 1
                while n > 2 and (
                    turned(hull_y[n - 3], hull_x[n - 3], hull_y[n - 2], hull_x[n - 2],
                           hull_y[n - 1], hull_x[n - 1]) * (1 if side else -1) <= 0
                ):
                    hull_y[n - 2], hull_x[n - 2] = hull_y[n - 1], hull_x[n - 1]
                    n -= 1
        for k in range(1, n):
            area += (
                (1 if side else -1)
                * 0.5 * (hull_x[k] + hull_x[k - 1]) * (hull_y[k] - hull_y[k - 1])
            )
    out[0] = s.n / area
    for i in range(s.n):
        euler += 1.0
        for dy in range(-1, 2):
            for dx in range(-1, 2):
                if (dy == 0) == (dx == 0):
                    continue
                # An edge belongs to one or two pixels.
                euler -= 0.5 if s.grid[s.cell[i] + dy * s.width + dx] else 1.0
        for dy in range(-1, 2, 2):
            for dx in range(-1, 2, 2):
                shared = 1
                shared += s.grid[s.cell[i] + dy * s.width] != 0
                shared += s.grid[s.cell[i] + dx] != 0
                shared += s.grid[s.cell[i] + dy * s.width + dx] != 0
                euler += 1.0 / shared
    out[1] = log(2.0 - euler)


cdef void describe_level(Scratch* s, float* out, float* crossing) noexcept nogil:
    s.n = brightest_component(s, out + N_FEATURES - 2)
    set_glow(s)
    fit_shape(s, False, out)
    fit_shape(s, True, out + 11)
    trace_curve(s, out + 18, crossing)
    measure_hull(s, out + 47)


def level_descriptors(
    const float[::1] excess,
    const int[::1] y,
    const int[::1] x,
    const long long[::1] starts,
    int n_levels,
):
    """Describe the brightest connected part of each event above the first of `LEVELS`.

    The pixels of an event must be in order of rows. Returns an array of shape (n_events,
    n_levels, n_features), see `LEVEL_FEATURES`, and one of shape (n_events, n_features) for
    the lowest level, see `CROSSING_FEATURES`; zeros unless all levels are wanted, as only who
    describes an event fully needs them.
    """
    cdef Py_ssize_t n_events = starts.shape[0] - 1, e, p, area = 0, most = 0
    cdef int level, before = 0, i, y0, y1, x0, x1
    cdef double peak
    cdef double[::1] levels = np.array(LEVELS)
    cdef bint full = n_levels == len(LEVELS)
    result = np.zeros((n_events, n_levels, N_FEATURES), dtype=np.float32)
    cdef float[:, :, ::1] out = result
    crossings = np.zeros((n_events, N_CROSSING), dtype=np.float32)
    cdef float[:, ::1] crossing = crossings
    corners = np.empty((n_events, 4), dtype=np.int32)
    cdef int[:, ::1] box = corners
    for e in range(n_events):
        y0 = y1 = y[starts[e]]
        x0 = x1 = x[starts[e]]
        for p in range(starts[e], starts[e + 1]):
            y0, y1 = min(y0, y[p]), max(y1, y[p])
            x0, x1 = min(x0, x[p]), max(x1, x[p])
        box[e, 0], box[e, 1], box[e, 2], box[e, 3] = y0, y1, x0, x1
        area = max(area, <Py_ssize_t>(y1 - y0 + 3) * (x1 - x0 + 3))
        most = max(most, starts[e + 1] - starts[e])
    cdef int[::1] grid = np.zeros(max(area, 1), dtype=np.int32)
    # The hull has at most two corners per pixel.
    cdef int[:, ::1] whole = np.empty((8, 2 * max(most, 1) + 2), dtype=np.int32)
    cdef double[:, ::1] charge = np.empty((4, max(most, 1)))
    cdef float[::1] values = np.empty(max(most, 1), dtype=np.float32)
    cdef unsigned char[:, ::1] marks = np.empty((2, max(most, 1)), dtype=np.uint8)
    cdef Scratch s
    s.grid = &grid[0]
    s.cell, s.y, s.x, s.queue = &whole[0, 0], &whole[1, 0], &whole[2, 0], &whole[3, 0]
    s.from_start, s.from_end, s.from_path = &whole[4, 0], &whole[5, 0], &whole[6, 0]
    s.component = &whole[7, 0]
    s.q, s.glow, s.ridge_y, s.ridge_x = &charge[0, 0], &charge[1, 0], &charge[2, 0], &charge[3, 0]
    s.values = &values[0]
    s.queued, s.on_path = &marks[0, 0], &marks[1, 0]
    with nogil:
        for e in range(n_events):
            s.width = box[e, 3] - box[e, 2] + 3
            s.height = box[e, 1] - box[e, 0] + 3
            peak = 0.0
            for p in range(starts[e], starts[e + 1]):
                peak = max(peak, excess[p])
            for level in range(n_levels):
                s.n = 0
                for p in range(starts[e], starts[e + 1]):
                    if peak > 0 and level and excess[p] < levels[level] * peak:
                        continue
                    i = s.n
                    s.y[i], s.x[i] = y[p] - box[e, 0] + 1, x[p] - box[e, 2] + 1
                    s.cell[i] = s.y[i] * s.width + s.x[i]
                    s.q[i] = max(excess[p], 1e-3 * peak) if peak > 0 else 1.0
                    s.grid[s.cell[i]] = i + 1
                    s.n += 1
                if level and s.n == before:
                    out[e, level] = out[e, level - 1]
                else:
                    before = s.n
                    describe_level(&s, &out[e, level, 0], &crossing[e, 0] if full and not level else NULL)
                memset(s.grid, 0, <Py_ssize_t>s.height * s.width * sizeof(int))
    return result, crossings


cdef struct Node:
    float threshold
    int feature
    int child[2]


cdef class Forest:
    """Trees in the order that judging by them needs, made by `flatten_trees`.

    A node sends a sample to its left child if the value of its feature is not above the threshold;
    a node with feature -1 is a leaf and its left child the row of its values. A tree with an
    output of its own (not -1) has one value per leaf, else a leaf has one per output.

    Where each tree has an output and at most 64 leaves, their nodes are judged for many samples at
    once. Else samples walk, a few side by side.
    """

    cdef const int[::1] roots, left
    cdef const signed char[::1] output
    cdef const float[:, ::1] leaves
    cdef Node[::1] nodes
    cdef split_t[::1] splits
    cdef int[::1] ends
    cdef float[:, ::1] values
    cdef object arrays
    cdef bint small

    def __init__(self, arrays):
        cdef const short[::1] feature = arrays["feature"]
        cdef const float[::1] threshold = arrays["threshold"]
        cdef const int[::1] left = arrays["left"], right = arrays["right"]
        cdef int i, n = <int>feature.shape[0]
        cdef bint ordered = bool(np.all(np.diff(arrays["roots"]) > 0))
        self.arrays = arrays
        self.roots, self.left, self.output = arrays["roots"], left, arrays["output"]
        self.leaves = arrays["leaves"]
        below = np.ones(n, dtype=np.int32)  # how many leaves a node leads to
        cdef int[::1] count = below
        for i in range(n - 1, -1, -1):
            if feature[i] >= 0:
                ordered = ordered and left[i] > i and right[i] > i
                count[i] = count[left[i]] + count[right[i]]
        single = np.min(self.output) >= 0
        self.small = ordered and single and below[self.roots].max() <= MOST_LEAVES
        if self.small:
            self.order_splits(feature, threshold, right, count)
            return
        fields = [("threshold", "f4"), ("feature", "i4"), ("child", "i4", 2)]
        self.nodes = np.empty(n, dtype=fields)
        for i in range(n):
            if feature[i] < 0:  # it leads to itself for ever
                self.nodes[i] = Node(0.0, 0, [i, i])
            else:
                self.nodes[i] = Node(threshold[i], feature[i], [left[i], right[i]])

    cdef order_splits(self, const short[::1] feature, const float[::1] threshold,
                      const int[::1] right, const int[::1] below):
        """Put the splits of each tree in a row, with the leaves that stay where one is not left."""
        cdef int n = <int>feature.shape[0], trees = <int>self.roots.shape[0], t, i, end, last, k = 0
        cdef unsigned long long gone
        cdef int[::1] first = np.zeros(n, dtype=np.int32)  # of the leaves that a node leads to
        fields = [("threshold", "f4"), ("feature", "i4"), ("low", "u4"), ("high", "u4")]
        self.splits = np.empty(n, dtype=fields)
        self.ends = np.empty(trees, dtype=np.int32)
        self.values = np.zeros((trees, MOST_LEAVES), dtype=np.float32)
        for t in range(trees):
            end = self.roots[t + 1] if t + 1 < trees else n
            for i in range(self.roots[t], end):
                if feature[i] < 0:
                    self.values[t, first[i]] = self.leaves[self.left[i], 0]
                    continue
                last = first[i] + below[self.left[i]]
                gone = (<unsigned long long>1 << last) - (<unsigned long long>1 << first[i])
                self.splits[k] = split_t(
                    threshold[i], feature[i], <unsigned int>~gone, <unsigned int>(~gone >> 32)
                )
                k += 1
                first[self.left[i]], first[right[i]] = first[i], last
            self.ends[t] = k

    def __reduce__(self):
        return Forest, (self.arrays,)

    def scores(self, const float[:, ::1] features, int n_outputs):
        """Sum the leaves that each sample reaches in every tree, shape (n_samples, n_outputs)."""
        result = np.zeros((features.shape[0], n_outputs))
        if self.small:
            self.take_away(features, result)
        else:
            self.walk(features, result)
        return result

    cdef take_away(self, const float[:, ::1] features, double[:, ::1] out):
        cdef Py_ssize_t n = features.shape[0], width = features.shape[1], first = 0, i, k
        cdef int abreast
        cdef float[:, ::1] block = np.zeros((width, LANES), dtype=np.float32)
        cdef double[:, ::1] sums = np.empty((out.shape[1], LANES))
        with nogil:
            while first < n:
                abreast = <int>min(LANES, n - first)
                for i in range(abreast):
                    for k in range(width):
                        block[k, i] = features[first + i, k]
                sums[:, :] = 0.0
                add_trees(&self.splits[0], &self.ends[0], &self.values[0, 0], &self.output[0],
                          self.roots.shape[0], &block[0, 0], &sums[0, 0])
                for i in range(abreast):
                    for k in range(out.shape[1]):
                        out[first + i, k] = sums[k, i]
                first += LANES

    cdef walk(self, const float[:, ::1] features, double[:, ::1] out):
        cdef Py_ssize_t n = features.shape[0], first, last, i, t
        cdef int at[ABREAST]
        cdef int k, row, after, abreast, moved
        cdef const Node* step
        with nogil:
            for first in range(0, n, BLOCK):
                last = min(first + BLOCK, n)
                for t in range(self.roots.shape[0]):
                    for i in range(first, last, ABREAST):
                        abreast = <int>min(ABREAST, last - i)
                        for k in range(abreast):
                            at[k] = self.roots[t]
                        moved = 1
                        while moved:
                            moved = 0
                            for k in range(abreast):
                                step = &self.nodes[at[k]]
                                after = step.child[not features[i + k, step.feature] <= step.threshold]
                                moved |= after ^ at[k]
                                at[k] = after
                        for k in range(abreast):
                            row = self.left[at[k]]
                            if self.output[t] >= 0:
                                out[i + k, self.output[t]] += self.leaves[row, 0]
                            else:
                                add_row(&out[i + k, 0], &self.leaves[row, 0], out.shape[1])


cdef void add_row(double* out, const float* row, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t k
    for k in range(n):
        out[k] += row[k]
