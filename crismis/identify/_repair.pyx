# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Compiled kernels of repair: each hit from its nearest usable neighbours."""

from libc.math cimport INFINITY, asinh, cosh, exp, log, sinh, sqrt

cdef enum:
    NEAR = 24
    MANY = 48

cdef double STRETCH = 8.0
cdef double[4] UNIT_X = [1.0, 0.7071067811865476, 0.0, -0.7071067811865476]
cdef double[4] UNIT_Y = [0.0, 0.7071067811865476, 1.0, 0.7071067811865476]


cdef int gather(
    const float[:, ::1] data,
    const unsigned char[:, ::1] unusable,
    const short[:, ::1] offsets,
    Py_ssize_t row,
    Py_ssize_t column,
    double* value,
    int* place,
) noexcept nogil:
    """Take the nearest usable neighbours, at most MANY, in order of distance."""
    cdef Py_ssize_t y, x, k
    cdef int n = 0
    for k in range(offsets.shape[0]):
        y = row + offsets[k, 0]
        x = column + offsets[k, 1]
        if y < 0 or x < 0 or y >= data.shape[0] or x >= data.shape[1] or unusable[y, x]:
            continue
        value[n] = data[y, x]
        place[n] = k
        n += 1
        if n == MANY:
            break
    return n


cdef double middle(double* value, int n) noexcept nogil:
    cdef double held
    cdef int i, j
    for i in range(1, n):
        held = value[i]
        j = i - 1
        while j >= 0 and value[j] > held:
            value[j + 1] = value[j]
            j -= 1
        value[j + 1] = held
    if n % 2:
        return value[n // 2]
    return 0.5 * (value[n // 2 - 1] + value[n // 2])


cdef double weighted_middle(double* value, double* weight, int n) noexcept nogil:
    """Median of weighted values, interpolated between those beside it; sorts both in place."""
    cdef double held, heavy, total = 0.0, below = 0.0, last = 0.0, place
    cdef int i, j
    for i in range(n):
        total += weight[i]
    for i in range(1, n):
        held = value[i]
        heavy = weight[i]
        j = i - 1
        while j >= 0 and value[j] > held:
            value[j + 1] = value[j]
            weight[j + 1] = weight[j]
            j -= 1
        value[j + 1] = held
        weight[j + 1] = heavy
    for i in range(n):
        place = below + 0.5 * weight[i]
        if place >= 0.5 * total:
            if i == 0:
                return value[0]
            return value[i - 1] + (value[i] - value[i - 1]) * (0.5 * total - last) / (place - last)
        last = place
        below += weight[i]
    return value[n - 1]


cdef bint along_lines(
    int n,
    const double* value,
    const int* place,
    const short[:, ::1] offsets,
    double slope,
    double floor,
    double* result,
) noexcept nogil:
    """Mean of medians along row, column and diagonals, by how well the neighbours there agree.

    Fill the estimate and its variance into ``result``; false without neighbours on both sides.
    """
    cdef double[NEAR] line, weight
    cdef double dy, dx, along, across, centre, scatter, total, squares, own
    cdef double share, shares = 0.0, mean = 0.0, error = 0.0
    cdef int direction, i, m, before
    for direction in range(4):
        m = before = 0
        total = squares = 0.0
        for i in range(n):
            dy = offsets[place[i], 0]
            dx = offsets[place[i], 1]
            along = dx * UNIT_X[direction] + dy * UNIT_Y[direction]
            across = dy * UNIT_X[direction] - dx * UNIT_Y[direction]
            if -0.75 < across < 0.75 and (along > 0.001 or along < -0.001):
                line[m] = value[i]
                weight[m] = 1.0 / (dy * dy + dx * dx) ** 2
                total += weight[m]
                squares += weight[m] * weight[m]
                before += along < 0.0
                m += 1
        if m < 3 or before == 0 or before == m:
            continue
        centre = weighted_middle(line, weight, m)
        scatter = 0.0
        for i in range(m):
            scatter += weight[i] * (line[i] - centre) ** 2
        scatter /= total * (1.0 - 1.0 / m)
        own = max(scatter, floor + slope * max(centre, 0.0))
        share = 1.0 / own
        shares += share
        mean += share * centre
        error += share * 1.5707963 * own * squares / total**2
    if shares > 0.0:
        result[0] = mean / shares
        result[1] = error / shares
    return shares > 0.0


def median(
    const float[:, ::1] data,
    const unsigned char[:, ::1] unusable,
    const long long[::1] rows,
    const long long[::1] columns,
    const short[:, ::1] offsets,
    double flat_limit,
    double slope,
    double floor,
    double[::1] estimate,
    double[::1] variance,
    double[::1] noise,
):
    """Median of the NEAR nearest usable neighbours; along lines on uneven ground."""
    cdef double[MANY] value
    cdef int[MANY] place
    cdef double[2] result
    cdef double mean, spread, level
    cdef Py_ssize_t k
    cdef int i, n
    with nogil:
        for k in range(rows.shape[0]):
            n = gather(data, unusable, offsets, rows[k], columns[k], value, place)
            if n > NEAR:
                n = NEAR
            if n == 0:
                continue
            mean = 0.0
            for i in range(n):
                mean += value[i] / n
            spread = 0.0
            for i in range(n):
                spread += (value[i] - mean) ** 2
            level = floor + slope * max(mean, 0.0)
            if spread > level * (n - 1 + flat_limit * sqrt(2.0 * (n - 1))) and along_lines(
                n, value, place, offsets, slope, floor, result
            ):
                estimate[k] = result[0]
                variance[k] = result[1]
                noise[k] = floor + slope * max(estimate[k], 0.0)
                continue
            estimate[k] = middle(value, n)
            noise[k] = floor + slope * max(estimate[k], 0.0)
            variance[k] = 1.5707963 * max(spread / n, noise[k]) / n


cdef bint predict(
    int n,
    const double* value,
    const double* own,
    const int* place,
    const short[:, ::1] offsets,
    const double[:, ::1] correlation,
    double signal,
    double* matrix,
    double* result,
) noexcept nogil:
    """Ordinary kriging of one pixel: fill mean, variance and log likelihood into ``result``."""
    cdef double[NEAR] a, b, c
    cdef double total, logdet = 0.0, bb = 0.0, ab = 0.0, cb = 0.0, aa = 0.0, ac = 0.0, cc = 0.0
    cdef double centre
    cdef int i, j, k, dy, dx
    for i in range(n):
        for j in range(i + 1):
            dy = offsets[place[i], 0] - offsets[place[j], 0]
            dx = offsets[place[i], 1] - offsets[place[j], 1]
            total = signal * correlation[dy if dy >= 0 else -dy, dx if dx >= 0 else -dx]
            if i == j:
                total += own[i]
            for k in range(j):
                total -= matrix[i * NEAR + k] * matrix[j * NEAR + k]
            if i == j:
                if total <= 0.0:
                    return False
                matrix[i * NEAR + i] = sqrt(total)
                logdet += log(total)
            else:
                matrix[i * NEAR + j] = total / matrix[j * NEAR + j]
    for i in range(n):
        dy = offsets[place[i], 0]
        dx = offsets[place[i], 1]
        a[i] = value[i]
        b[i] = 1.0
        c[i] = signal * correlation[dy if dy >= 0 else -dy, dx if dx >= 0 else -dx]
        for k in range(i):
            a[i] -= matrix[i * NEAR + k] * a[k]
            b[i] -= matrix[i * NEAR + k] * b[k]
            c[i] -= matrix[i * NEAR + k] * c[k]
        total = 1.0 / matrix[i * NEAR + i]
        a[i] *= total
        b[i] *= total
        c[i] *= total
        aa += a[i] * a[i]
        ab += a[i] * b[i]
        ac += a[i] * c[i]
        bb += b[i] * b[i]
        cb += c[i] * b[i]
        cc += c[i] * c[i]
    centre = ab / bb
    result[0] = centre + ac - centre * cb
    result[1] = max(signal - cc + (1.0 - cb) ** 2 / bb, 0.0)
    result[2] = -0.5 * (logdet + log(bb) + aa - ab * ab / bb)
    return True


def interpolate(
    const float[:, ::1] data,
    const unsigned char[:, ::1] unusable,
    const long long[::1] rows,
    const long long[::1] columns,
    const short[:, ::1] offsets,
    const double[:, :, ::1] correlations,
    const double[::1] factors,
    double flat_limit,
    double slope,
    double floor,
    double[::1] estimate,
    double[::1] variance,
    double[::1] noise,
):
    """Mean of the neighbours on smooth ground, else kriging averaged over ``correlations``.

    Kriging works on asinh((value - base) / (STRETCH sigma)): profiles of stars and galaxies are
    nearly stationary on a logarithmic scale, noise is Gaussian on a linear one.
    """
    cdef double[MANY] value
    cdef double[NEAR] own
    cdef int[MANY] place
    cdef double[NEAR * NEAR] matrix
    cdef double[3] result
    cdef double base, unit, high, top, centre
    cdef double mean, spread, level, excess, weight, total, first, second, best
    cdef Py_ssize_t k, h, f
    cdef int i, n, near
    with nogil:
        for k in range(rows.shape[0]):
            n = gather(data, unusable, offsets, rows[k], columns[k], value, place)
            if n == 0:
                continue
            mean = 0.0
            for i in range(n):
                mean += value[i] / n
            spread = 0.0
            for i in range(n):
                spread += (value[i] - mean) ** 2
            level = floor + slope * max(mean, 0.0)
            noise[k] = level
            estimate[k] = mean
            variance[k] = max(level, spread / max(n - 1, 1)) / n
            if n < 4 or spread <= level * (n - 1 + flat_limit * sqrt(2.0 * (n - 1))):
                continue
            near = min(n, NEAR)
            mean = 0.0
            for i in range(near):
                mean += value[i] / near
            base = value[0]
            for i in range(near):
                base = min(base, value[i])
            high = mean + 3.0 * sqrt(floor + slope * max(mean, 0.0))
            unit = STRETCH * sqrt(floor + slope * max(base, 0.0))
            centre = level = spread = 0.0
            for i in range(near):
                top = value[i] if value[i] > high else mean
                own[i] = (floor + slope * max(top, 0.0)) / (unit * unit + (top - base) ** 2)
                value[i] = asinh((value[i] - base) / unit)
                centre += value[i] / near
                level += own[i] / near
            for i in range(near):
                spread += (value[i] - centre) ** 2 / (near - 1)
            excess = max(spread - level, 0.05 * level)
            total = first = second = 0.0
            best = -1e300
            for h in range(correlations.shape[0]):
                for f in range(factors.shape[0]):
                    if not predict(
                        near, value, own, place, offsets, correlations[h],
                        excess * factors[f], matrix, result,
                    ):
                        continue
                    if result[2] > best:
                        weight = exp(best - result[2])
                        total *= weight
                        first *= weight
                        second *= weight
                        best = result[2]
                    weight = exp(result[2] - best)
                    total += weight
                    first += weight * result[0]
                    second += weight * (result[1] + result[0] * result[0])
            if total > 0.0:
                first /= total
                second = max(second / total - first * first, level / MANY)
                estimate[k] = base + unit * sinh(first)
                variance[k] = second * (unit * cosh(first)) ** 2
            noise[k] = floor + slope * max(estimate[k], 0.0)
