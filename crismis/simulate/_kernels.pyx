# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Compiled transport: particles step through silicon, their charge spreads into pixels."""

import numpy as np
from libc.math cimport cos, exp, fabs, floor, fmax, fmin, log, pow, sin, sqrt
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, malloc, realloc

cdef enum:
    NORMAL_STEPS = 2048
    NORMAL_REACH = 4
    STACK = 4096
    RECORD = 8
    GRAINS = 64

cdef double ELECTRON = 0.51099895
cdef double RUTHERFORD = 17.82
cdef double HARD = 1e4
cdef double ATOMIC_NUMBER = 14.0
cdef double ATOMS_PER_UM3 = 4.994e10
cdef double PI = 3.141592653589793

cdef struct Generator:
    uint64_t a
    uint64_t b
    uint64_t c
    uint64_t d

cdef struct Particle:
    double x
    double y
    double z
    double ux
    double uy
    double uz
    double energy
    double mass
    double charge

cdef struct Cloud:
    double x
    double y
    double z
    double along
    double before
    double charge

cdef struct Pixels:
    int64_t* index
    float* charge
    int64_t size
    int64_t room

cdef struct World:
    int64_t rows
    int64_t columns
    double row_pitch
    double column_pitch
    double thickness
    double* spread
    double* drift
    int64_t n_spread
    double repulsion
    Cloud* clouds
    int64_t n_clouds
    int64_t room_clouds
    double pair_energy
    double fano
    double* normal
    float* canvas
    int64_t* touched
    int64_t n_touched
    int64_t room_touched
    double* frequency
    double* stopping
    double* soft
    double* log_transfer
    int64_t n_momenta
    int64_t n_transfers
    double first_momentum
    double momentum_step
    double first_exceedance
    double exceedance_step
    double longest_step
    double cut
    Particle* stack
    int64_t n_stack
    int failed

cdef struct Trace:
    double way
    double deposited
    double path
    double arc
    double end_x
    double end_y
    double end_z
    double left
    double delta_reach
    double origin_x
    double origin_y
    double line_x
    double line_y


cdef inline uint64_t scramble(uint64_t* state) noexcept nogil:
    cdef uint64_t value
    state[0] += <uint64_t>0x9E3779B97F4A7C15
    value = state[0]
    value = (value ^ (value >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    value = (value ^ (value >> 27)) * <uint64_t>0x94D049BB133111EB
    return value ^ (value >> 31)


cdef inline void start(Generator* rng, uint64_t seed) noexcept nogil:
    rng.a = scramble(&seed)
    rng.b = scramble(&seed)
    rng.c = scramble(&seed)
    rng.d = scramble(&seed)


cdef inline double uniform(Generator* rng) noexcept nogil:
    """Open interval (0, 1); xoshiro256+ of Blackman and Vigna."""
    cdef uint64_t result = rng.a + rng.d
    cdef uint64_t shifted = rng.b << 17
    rng.c ^= rng.a
    rng.d ^= rng.b
    rng.b ^= rng.c
    rng.a ^= rng.d
    rng.c ^= shifted
    rng.d = (rng.d << 45) | (rng.d >> 19)
    return ((result >> 11) + 0.5) * (1.0 / 9007199254740992.0)


cdef inline double gauss(Generator* rng) noexcept nogil:
    cdef double u, v, s
    while True:
        u = 2 * uniform(rng) - 1
        v = 2 * uniform(rng) - 1
        s = u * u + v * v
        if 0 < s < 1:
            return u * sqrt(-2 * log(s) / s)


cdef inline int64_t poisson(Generator* rng, double mean) noexcept nogil:
    cdef double limit, product
    cdef int64_t count = 0
    if mean > 60:
        return <int64_t>fmax(0.0, floor(mean + sqrt(mean) * gauss(rng) + 0.5))
    limit = exp(-mean)
    product = uniform(rng)
    while product > limit:
        count += 1
        product *= uniform(rng)
    return count


cdef inline double normal_cdf(World* w, double t) noexcept nogil:
    cdef double place
    cdef int64_t k
    if t <= -NORMAL_REACH:
        return 0.0
    if t >= NORMAL_REACH:
        return 1.0
    place = (t + NORMAL_REACH) * (NORMAL_STEPS / (2.0 * NORMAL_REACH))
    k = <int64_t>place
    return w.normal[k] + (place - k) * (w.normal[k + 1] - w.normal[k])


cdef inline void touch(World* w, int64_t row, int64_t column, double charge) noexcept nogil:
    cdef int64_t place = row * w.columns + column
    cdef int64_t* grown
    if w.canvas[place] == 0:
        if w.n_touched == w.room_touched:
            grown = <int64_t*>realloc(w.touched, 2 * w.room_touched * sizeof(int64_t))
            if grown == NULL:
                w.failed = 1
                return
            w.touched = grown
            w.room_touched *= 2
        w.touched[w.n_touched] = place
        w.n_touched += 1
    w.canvas[place] += <float>charge


cdef inline double width(World* w, double* table, double z) noexcept nogil:
    cdef double place = fmin(fmax(z / w.thickness, 0.0), 1.0) * (w.n_spread - 1)
    cdef int64_t k = <int64_t>fmin(place, w.n_spread - 2)
    return fmax(table[k] + (place - k) * (table[k + 1] - table[k]), 1e-3)


cdef void spread(World* w, double x, double y, double sigma, double charge) noexcept nogil:
    """Share a cloud of electrons among the pixels under its Gaussian."""
    cdef double low, high, before, share
    cdef double row_share[64]
    cdef double column_share[64]
    cdef int64_t row, column, first_row, last_row, first_column, last_column
    if charge <= 0:
        return
    first_column = <int64_t>floor((x - NORMAL_REACH * sigma) / w.column_pitch)
    last_column = <int64_t>floor((x + NORMAL_REACH * sigma) / w.column_pitch)
    first_row = <int64_t>floor((y - NORMAL_REACH * sigma) / w.row_pitch)
    last_row = <int64_t>floor((y + NORMAL_REACH * sigma) / w.row_pitch)
    last_column = min(last_column, first_column + 63)
    last_row = min(last_row, first_row + 63)
    before = 0.0
    for column in range(first_column, last_column + 1):
        high = normal_cdf(w, ((column + 1) * w.column_pitch - x) / sigma)
        column_share[column - first_column] = high - before
        before = high
    before = 0.0
    for row in range(first_row, last_row + 1):
        high = normal_cdf(w, ((row + 1) * w.row_pitch - y) / sigma)
        row_share[row - first_row] = high - before
        before = high
    for row in range(max(first_row, 0), min(last_row, w.rows - 1) + 1):
        share = charge * row_share[row - first_row]
        if share <= 0:
            continue
        for column in range(max(first_column, 0), min(last_column, w.columns - 1) + 1):
            low = share * column_share[column - first_column]
            if low > 0.01:
                touch(w, row, column, low)


cdef inline void release(World* w, Generator* rng, Trace* trace, double x, double y, double z,
                         double along, double energy) noexcept nogil:
    """Turn energy (eV) into electrons at a place, a distance along the particle's way."""
    cdef double pairs
    cdef Cloud* grown
    cdef Cloud* cloud
    if energy <= 0:
        return
    trace.deposited += energy
    pairs = energy / w.pair_energy
    pairs = fmax(pairs + sqrt(w.fano * pairs) * gauss(rng), 0.0)
    if w.n_clouds == w.room_clouds:
        grown = <Cloud*>realloc(w.clouds, 2 * w.room_clouds * sizeof(Cloud))
        if grown == NULL:
            w.failed = 1
            return
        w.clouds = grown
        w.room_clouds *= 2
    cloud = w.clouds + w.n_clouds
    cloud.x = x
    cloud.y = y
    cloud.z = z
    cloud.along = along
    cloud.charge = pairs
    cloud.before = 0.0
    if w.n_clouds > 0:
        cloud.before = w.clouds[w.n_clouds - 1].before + w.clouds[w.n_clouds - 1].charge
    w.n_clouds += 1


cdef inline double neighbourhood(World* w, int64_t i, double reach, int64_t* low, int64_t* high
                                 ) noexcept nogil:
    """Charge within a distance along the way; the bounds move on from the last call's."""
    cdef double here = w.clouds[i].along
    while low[0] > 0 and w.clouds[low[0] - 1].along >= here - reach:
        low[0] -= 1
    while w.clouds[low[0]].along < here - reach:
        low[0] += 1
    while high[0] > i and w.clouds[high[0]].along > here + reach:
        high[0] -= 1
    while high[0] + 1 < w.n_clouds and w.clouds[high[0] + 1].along <= here + reach:
        high[0] += 1
    return w.clouds[high[0]].before + w.clouds[high[0]].charge - w.clouds[low[0]].before


cdef void drift_out(World* w) noexcept nogil:
    """Bring one particle's charge to the gates: it diffuses, and dense charge drives itself apart.

    A Gaussian ball of N electrons that drifts while diffusion gives it the variance v grows to
    the width (v**1.5 + 1.5 g v)**(1/3) with g = N times the repulsion length over 6 sqrt(pi).
    What charge belongs to the ball follows from the width itself, hence the second round.
    """
    cdef int64_t i, k, low = 0, high = 0, again
    cdef double sigma, drift, variance, ball, total, radius, charge, angle, far
    cdef Cloud* cloud
    for i in range(w.n_clouds):
        cloud = w.clouds + i
        if cloud.charge <= 0:
            continue
        sigma = width(w, w.spread, cloud.z)
        drift = width(w, w.drift, cloud.z)
        variance = drift * drift
        ball = drift
        low = min(low, i)
        high = max(high, i)
        for again in range(2):
            total = neighbourhood(w, i, 2 * ball, &low, &high)
            ball = total * w.repulsion / 10.634723105433096
            ball = pow(variance * drift + 1.5 * ball * variance, 1.0 / 3)
        variance = ball * ball - variance
        if variance < 2 * sigma * sigma:
            spread(w, cloud.x, cloud.y, sqrt(sigma * sigma + variance), cloud.charge)
            continue
        # Far beyond diffusion the ball is an even one, drawn as grains on its projection.
        radius = sqrt(5 * variance)
        charge = cloud.charge / GRAINS
        for k in range(GRAINS):
            far = radius * sqrt(1 - pow(1 - (k + 0.5) / GRAINS, 2.0 / 3))
            angle = 2.399963229728653 * k + i
            spread(w, cloud.x + far * cos(angle), cloud.y + far * sin(angle),
                   fmax(sigma, 0.15 * radius), charge)
    w.n_clouds = 0


cdef inline double transfer(World* w, Generator* rng, int64_t row, double log_q) noexcept nogil:
    """Energy (eV) of a collision whose exceedance probability is exp(log_q)."""
    cdef double place = (log_q - w.first_exceedance) / w.exceedance_step
    cdef int64_t k
    cdef double* values = w.log_transfer + row * w.n_transfers
    if place <= 0:
        return exp(values[0])
    k = <int64_t>fmin(place, w.n_transfers - 2)
    return exp(values[k] + (place - k) * (values[k + 1] - values[k]))


cdef double soft_loss(World* w, Generator* rng, int64_t row, double strength, double step,
                      double largest) noexcept nogil:
    """Summed loss (eV) to collisions below HARD in one step."""
    cdef double mean = w.frequency[row] * strength * step
    cdef double loss = 0.0, hard, one
    cdef int64_t count, i
    if mean < 40:
        count = poisson(rng, mean)
        hard = 0.0
    else:
        loss = w.soft[3 * row + 1] * strength * step
        loss = fmax(0.0, loss + sqrt(w.soft[3 * row + 2] * strength * step) * gauss(rng))
        hard = 1 - w.soft[3 * row]
        count = poisson(rng, mean * hard)
        hard = log(fmax(hard, 1e-12))
    for i in range(count):
        one = transfer(w, rng, row, hard + log(uniform(rng)))
        if one <= largest:
            loss += one
    return loss


cdef inline void turn(Particle* p, double cosine, double angle) noexcept nogil:
    """Rotate the direction by a polar angle, given by its cosine, and an azimuth."""
    cdef double sine = sqrt(fmax(0.0, 1 - cosine * cosine))
    cdef double across = sqrt(p.ux * p.ux + p.uy * p.uy)
    cdef double c = cos(angle) * sine, s = sin(angle) * sine
    cdef double ux = p.ux, uy = p.uy, uz = p.uz, norm
    if across < 1e-9:
        p.ux, p.uy, p.uz = c, s, cosine * (1.0 if uz > 0 else -1.0)
        return
    p.ux = ux * cosine + (ux * uz * c - uy * s) / across
    p.uy = uy * cosine + (uy * uz * c + ux * s) / across
    p.uz = uz * cosine - across * c
    norm = 1 / sqrt(p.ux * p.ux + p.uy * p.uy + p.uz * p.uz)
    p.ux *= norm
    p.uy *= norm
    p.uz *= norm


cdef inline double scattering_strength(Particle* p, double momentum, double beta) noexcept nogil:
    """Rutherford's factor times atom density: per micrometre of d(mu)/(mu + A)**2."""
    cdef double amplitude = ATOMIC_NUMBER * p.charge * 1.43996 / (2 * momentum * beta)
    cdef double strength = 4 * PI * amplitude * amplitude * 1e-18 * ATOMS_PER_UM3
    if p.mass < 1:  # electrons are also deflected by the atoms' electrons
        strength *= 1 + 1 / ATOMIC_NUMBER
    return strength


cdef inline double screening(Particle* p, double momentum, double beta) noexcept nogil:
    """Moliere's screening parameter for mu = (1 - cos theta) / 2."""
    cdef double radius = 0.885 * 5.29177e4 * pow(ATOMIC_NUMBER, -1.0 / 3)
    cdef double coupling = ATOMIC_NUMBER * p.charge / 137.036 / beta
    cdef double angle = 197.327 / (2 * momentum * radius)
    return angle * angle * (1.13 + 3.76 * coupling * coupling)


cdef void scatter(Particle* p, Generator* rng, double strength, double screen, double step
                  ) noexcept nogil:
    """Many gentle deflections as one, plus the rare hard one (Wentzel's cross-section)."""
    cdef double limit, mean, top, u, mu
    limit = fmin(fmax(strength * step - screen, 0.0), 1.0)
    mean = 2 * strength * step * (log((limit + screen) / screen) - limit / (limit + screen))
    if mean > 1e-14:
        mu = -mean * log(uniform(rng))
        if mu > 2 or mean > 1:
            mu = 2 * uniform(rng)
        turn(p, 1 - mu, 2 * PI * uniform(rng))
    if limit < 1:
        top = strength * (1 / (limit + screen) - 1 / (1 + screen))
        if uniform(rng) > exp(-top * step):
            u = uniform(rng)
            mu = 1 / (u / (limit + screen) + (1 - u) / (1 + screen)) - screen
            turn(p, 1 - 2 * mu, 2 * PI * uniform(rng))


cdef inline double exit_distance(World* w, Particle* p) noexcept nogil:
    cdef double reach = 1e30
    if p.uz > 1e-12:
        reach = (w.thickness - p.z) / p.uz
    elif p.uz < -1e-12:
        reach = -p.z / p.uz
    if p.ux > 1e-12:
        reach = fmin(reach, (w.columns * w.column_pitch - p.x) / p.ux)
    elif p.ux < -1e-12:
        reach = fmin(reach, -p.x / p.ux)
    if p.uy > 1e-12:
        reach = fmin(reach, (w.rows * w.row_pitch - p.y) / p.uy)
    elif p.uy < -1e-12:
        reach = fmin(reach, -p.y / p.uy)
    return fmax(reach, 0.0)


cdef void knock_on(World* w, Generator* rng, Trace* trace, Particle* parent, double energy,
                   double along) noexcept nogil:
    """Send the struck electron on its way, or absorb it where it is too slow to travel."""
    cdef Particle child = parent[0]
    cdef double mev = energy * 1e-6
    cdef double parent_momentum = sqrt(parent.energy * (parent.energy + 2 * parent.mass))
    cdef double momentum = sqrt(mev * (mev + 2 * ELECTRON))
    cdef double cosine
    child.x += child.ux * along
    child.y += child.uy * along
    child.z += child.uz * along
    if mev < w.cut or w.n_stack >= STACK:
        release(w, rng, trace, child.x, child.y, child.z, trace.way, energy)
        return
    cosine = mev * (parent.energy + parent.mass + ELECTRON) / (momentum * parent_momentum)
    child.energy = mev
    child.mass = ELECTRON
    child.charge = 1
    turn(&child, fmin(cosine, 1.0), 2 * PI * uniform(rng))
    w.stack[w.n_stack] = child
    w.n_stack += 1


cdef void fly(World* w, Generator* rng, Particle* p, Trace* trace, bint primary) noexcept nogil:
    """Step one particle until it leaves the silicon or stops."""
    cdef double momentum, beta, beta_gamma, strength, largest, rate, stop, step, reach, loss
    cdef double place, scattering, screen, one, across, cut, start_x, start_y, q, projected
    cdef int64_t row, i, count
    cdef bint electron = p.mass < 1, leaving
    trace.way = 0
    while True:
        cut = w.cut if electron else 0.02 * p.mass / 938.0
        if p.energy < cut:
            release(w, rng, trace, p.x, p.y, p.z, trace.way, p.energy * 1e6)
            break
        momentum = sqrt(p.energy * (p.energy + 2 * p.mass))
        beta = momentum / (p.energy + p.mass)
        beta_gamma = momentum / p.mass
        q = p.charge
        if not electron:
            q *= 1 - exp(-125 * beta * pow(p.charge, -2.0 / 3))
        strength = q * q
        place = (log(beta_gamma) - w.first_momentum) / w.momentum_step
        place = fmin(fmax(place, 0.0), w.n_momenta - 1.001)
        row = <int64_t>place
        if uniform(rng) < place - row:
            row += 1
        if electron:
            largest = 0.5e6 * p.energy
        else:
            largest = 2e6 * ELECTRON * beta_gamma * beta_gamma / (
                1 + 2 * (p.energy + p.mass) / p.mass * ELECTRON / p.mass
                + (ELECTRON / p.mass) * (ELECTRON / p.mass))
        rate = 0.0
        stop = w.stopping[row] * strength
        if largest > HARD:
            rate = RUTHERFORD * strength / (beta * beta) * (1 / HARD - 1 / largest)
            stop += RUTHERFORD * strength / (beta * beta) * log(largest / HARD)
        scattering = scattering_strength(p, momentum, beta)
        screen = screening(p, momentum, beta)
        step = fmin(w.longest_step, 0.08e6 * p.energy / stop)
        if electron:
            step = fmin(step, 0.1 / (scattering * (log((1 + screen) / screen) - 1)))
        step = fmax(step, 0.02)
        reach = exit_distance(w, p)
        leaving = reach <= step
        step = fmin(step, reach)
        loss = soft_loss(w, rng, row, strength, step, largest)
        loss = fmin(loss, p.energy * 1e6)
        release(w, rng, trace, p.x + 0.5 * step * p.ux, p.y + 0.5 * step * p.uy,
                p.z + 0.5 * step * p.uz, trace.way + 0.5 * step, loss)
        trace.way += step
        if rate > 0:
            count = poisson(rng, rate * step)
            for i in range(count):
                one = 1 / (1 / HARD - uniform(rng) * (1 / HARD - 1 / largest))
                if uniform(rng) < 1 - beta * beta * one / largest and one + loss < p.energy * 1e6:
                    knock_on(w, rng, trace, p, one, uniform(rng) * step)
                    loss += one
        p.x += step * p.ux
        p.y += step * p.uy
        p.z += step * p.uz
        p.energy -= loss * 1e-6
        if primary:
            trace.path += step
            trace.arc += step * sqrt(p.ux * p.ux + p.uy * p.uy)
        else:
            across = fabs((p.x - trace.origin_x) * trace.line_y
                          - (p.y - trace.origin_y) * trace.line_x)
            trace.delta_reach = fmax(trace.delta_reach, across)
        if leaving:
            break
        scatter(p, rng, scattering, screen, step)
    drift_out(w)
    if primary:
        trace.end_x = p.x
        trace.end_y = p.y
        trace.end_z = p.z
        trace.left = p.energy if leaving else 0.0


cdef void collect(World* w, Pixels* out) noexcept nogil:
    """Move the canvas's charge to the list of pixels and clear the canvas."""
    cdef int64_t i, place, room
    cdef int64_t* index
    cdef float* charge
    if out.size + w.n_touched > out.room:
        room = 2 * (out.size + w.n_touched)
        index = <int64_t*>realloc(out.index, room * sizeof(int64_t))
        if index != NULL:
            out.index = index
        charge = <float*>realloc(out.charge, room * sizeof(float))
        if charge != NULL:
            out.charge = charge
        if index == NULL or charge == NULL:
            w.failed = 1
            return
        out.room = room
    for i in range(w.n_touched):
        place = w.touched[i]
        out.index[out.size + i] = place
        out.charge[out.size + i] = w.canvas[place]
        w.canvas[place] = 0
    out.size += w.n_touched
    w.n_touched = 0


def transport(double[:, ::1] primaries, int64_t[::1] first, uint64_t[::1] seeds, shape, pitch,
              double thickness, double[::1] spread_table, double[::1] drift_table,
              double repulsion, double pair_energy, double fano, double longest_step, double cut,
              table):
    """Fly every event's particles; return pixel offsets, flat indices, charges and traces.

    ``primaries`` has columns x, y, z, ux, uy, uz, energy, mass, charge (um, MeV); event ``i``
    owns rows ``first[i]`` to ``first[i + 1]`` and the random numbers of ``seeds[i]``. A
    particle without charge leaves all its energy where it is.
    """
    cdef World w
    cdef Pixels out
    cdef Generator rng
    cdef Trace trace
    cdef Particle particle
    cdef int64_t n_events = seeds.shape[0], event, k
    cdef double[::1] frequency = table.frequency
    cdef double[::1] stopping = table.stopping
    cdef double[:, ::1] soft = np.ascontiguousarray(table.soft)
    cdef double[:, ::1] log_transfer = np.ascontiguousarray(table.log_transfer)
    cdef double[::1] normal = _normal_table()
    canvas_array = np.zeros(shape, dtype=np.float32)
    offsets_array = np.zeros(n_events + 1, dtype=np.int64)
    traces_array = np.zeros((primaries.shape[0], RECORD))
    cdef float[:, ::1] canvas = canvas_array
    cdef int64_t[::1] offsets = offsets_array
    cdef double[:, ::1] traces = traces_array
    w.rows, w.columns = shape
    w.row_pitch, w.column_pitch = pitch
    w.thickness = thickness
    w.spread = &spread_table[0]
    w.drift = &drift_table[0]
    w.n_spread = spread_table.shape[0]
    w.repulsion = repulsion
    w.n_clouds = 0
    w.room_clouds = 4096
    w.pair_energy = pair_energy
    w.fano = fano
    w.normal = &normal[0]
    w.canvas = &canvas[0, 0]
    w.frequency = &frequency[0]
    w.stopping = &stopping[0]
    w.soft = &soft[0, 0]
    w.log_transfer = &log_transfer[0, 0]
    w.n_momenta, w.n_transfers = table.log_transfer.shape
    w.first_momentum = table.log_momentum[0]
    w.momentum_step = table.log_momentum[1] - table.log_momentum[0]
    w.first_exceedance = table.log_exceedance[0]
    w.exceedance_step = table.log_exceedance[1] - table.log_exceedance[0]
    w.longest_step = longest_step
    w.cut = cut
    w.failed = 0
    w.n_touched = 0
    w.n_stack = 0
    w.room_touched = 4096
    out.size = 0
    out.room = 1 << 16
    w.touched = <int64_t*>malloc(w.room_touched * sizeof(int64_t))
    w.stack = <Particle*>malloc(STACK * sizeof(Particle))
    w.clouds = <Cloud*>malloc(w.room_clouds * sizeof(Cloud))
    out.index = <int64_t*>malloc(out.room * sizeof(int64_t))
    out.charge = <float*>malloc(out.room * sizeof(float))
    try:
        if (w.touched == NULL or w.stack == NULL or w.clouds == NULL or out.index == NULL
                or out.charge == NULL):
            raise MemoryError("no memory for the pixels of the events")
        with nogil:
            for event in range(n_events):
                start(&rng, seeds[event])
                for k in range(first[event], first[event + 1]):
                    particle.x = primaries[k, 0]
                    particle.y = primaries[k, 1]
                    particle.z = primaries[k, 2]
                    particle.ux = primaries[k, 3]
                    particle.uy = primaries[k, 4]
                    particle.uz = primaries[k, 5]
                    particle.energy = primaries[k, 6]
                    particle.mass = primaries[k, 7]
                    particle.charge = primaries[k, 8]
                    _follow(&w, &rng, &particle, &trace)
                    traces[k, 0] = trace.deposited
                    traces[k, 1] = trace.path
                    traces[k, 2] = trace.arc
                    traces[k, 3] = trace.end_x
                    traces[k, 4] = trace.end_y
                    traces[k, 5] = trace.end_z
                    traces[k, 6] = trace.left
                    traces[k, 7] = trace.delta_reach
                collect(&w, &out)
                offsets[event + 1] = out.size
                if w.failed:
                    break
        if w.failed:
            raise MemoryError("no memory for the pixels of the events")
        index_array = np.empty(out.size, dtype=np.int64)
        charge_array = np.empty(out.size, dtype=np.float32)
        if out.size:
            index_array[:] = <int64_t[:out.size]>out.index
            charge_array[:] = <float[:out.size]>out.charge
    finally:
        free(w.touched)
        free(w.stack)
        free(w.clouds)
        free(out.index)
        free(out.charge)
    return offsets_array, index_array, charge_array, traces_array


cdef void _follow(World* w, Generator* rng, Particle* particle, Trace* trace) noexcept nogil:
    """One primary and everything it knocks loose."""
    cdef Particle child
    cdef double across = sqrt(particle.ux * particle.ux + particle.uy * particle.uy)
    trace.deposited = 0
    trace.path = 0
    trace.arc = 0
    trace.left = 0
    trace.delta_reach = 0
    trace.origin_x = particle.x
    trace.origin_y = particle.y
    trace.line_x = particle.ux / across if across > 1e-9 else 1.0
    trace.line_y = particle.uy / across if across > 1e-9 else 0.0
    if particle.charge == 0:
        release(w, rng, trace, particle.x, particle.y, particle.z, 0.0, particle.energy * 1e6)
        drift_out(w)
        trace.end_x = particle.x
        trace.end_y = particle.y
        trace.end_z = particle.z
        return
    fly(w, rng, particle, trace, True)
    while w.n_stack > 0:
        w.n_stack -= 1
        child = w.stack[w.n_stack]
        fly(w, rng, &child, trace, False)


def _normal_table():
    from scipy.special import ndtr

    return ndtr(np.linspace(-NORMAL_REACH, NORMAL_REACH, NORMAL_STEPS + 1))
