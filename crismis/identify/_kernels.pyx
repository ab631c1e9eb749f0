# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Compiled kernels of the learned identification; every loop runs without the GIL."""

import numpy as np

from libc.math cimport sqrt
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t
from libc.stdlib cimport free

__all__ = [
    "Image",
    "Network",
    "Trees",
    "best_target",
    "box_statistics",
    "corrected_psf",
    "doubtful",
    "fit_stars",
    "star_inputs",
    "star_models",
    "subtract_neighbours",
]

cdef extern from "measure.h" nogil:
    const float NOTHING, HIT, UNLIKELY
    int HALO, UNITS, MOST_UNITS, FEW, FOLDED, MOST_STEPS
    float NEAR_STEPS, RATIO_STEPS, MOST_HIDDEN
    int N_FIRST, N_FULL, N_EVEN, N_REFINE, N_TABLE, N_COUNTS
    int CELL, REACH_OF_LOOK "LOOK_REACH"

    ctypedef struct image_t:
        const float *electrons
        const uint8_t *bad
        int64_t rows, columns
        const float *background
        int full_background
        const float *inverse_sigma
        int64_t mesh_rows, mesh_columns
        float sigma_electrons
        float saturation

    ctypedef struct node_t:
        int32_t input
        float value
        int32_t right

    ctypedef struct trees_t:
        int64_t n
        const node_t *nodes
        const int64_t *ends
        const float *leaves
        float start

    ctypedef struct model_t:
        int turned, even
        float floor_snr, floor_peak
        const float *first_weights
        const float *first_bias
        const float *first_out
        float first_cut
        int filters
        const int16_t *turned_weights
        const int16_t *even_weights
        const int16_t *turned_weights2
        const int16_t *even_weights2
        const int32_t *shared2
        const float *turned_step
        const float *even_step
        const float *step2
        const float *turned_bias
        const float *even_bias
        const float *bias2
        const float *weights3
        int refinements
        const float *refine_weights
        const float *refine_bias
        const float *refine_out
        trees_t trees
        const float *table

    ctypedef struct planes_t:
        float *snr
        float *compressed
        float *context
        int16_t *near_steps
        int16_t *far_steps
        int64_t width, height, border

    int best_target_c "best_target"()
    int TOGETHER, MAX_LEAVES "MOST_LEAVES"
    int later_judgements(const model_t *)
    void sum_rows(const trees_t *, const float *, int64_t, int64_t, float *, float *, int)
    size_t planes_size(int64_t, int64_t, int64_t)
    void set_planes(planes_t *, float *, int64_t, int64_t, int64_t)
    int allocate_planes(planes_t *, int64_t, int64_t, int64_t)
    int make_planes(const image_t *, int64_t, int64_t, planes_t *, int)
    int judge_tile(const image_t *, const model_t *, int, int, int64_t, int64_t, int64_t, int64_t,
                   const float *, float *, int)
    int64_t find_doubtful(const float *, int64_t, int64_t, int64_t, int64_t, float, int64_t,
                          int64_t *)
    int look_again(const image_t *, const model_t **, int, const model_t *, const float *,
                   const int64_t *, int64_t, float *, int)
    void box_row(const float *, const uint8_t *, int64_t, int64_t, int64_t, int64_t, int64_t,
                 float *, float *, float *, int)
    int depth_row(const image_t *, int64_t, int64_t, int64_t, float *, int)
    int64_t find_maxima(const image_t *, const planes_t *, int64_t, int64_t, float, int64_t,
                        float *, int64_t *)

cdef extern from "stars.h" nogil:
    int STAR_HALF, STAR_SIDE, STAR_REACH, STAR_WINDOW, PSF_SIDE, PSF_SPLINES, PSF_CENTRE, PSF_BAND
    int STAR_INPUTS_C "STAR_INPUTS"

    ctypedef struct star_t:
        double flux, dy, dx, chi

    int64_t find_peaks(const image_t *, const float *, int64_t, int64_t, float, int64_t, int64_t *,
                       float *)
    int64_t find_touching(const image_t *, const float *, int64_t, int64_t, int64_t, int32_t *, float *,
                          float *)
    void star_stamp(const image_t *, const float *, int64_t, float *, float *)
    double star_variance(double, double, double)
    void star_model(const double *, const star_t *, float *)
    double star_at(const double *, const star_t *, int64_t, int64_t)
    void fit_star(const double *, const float *, const float *, double, double, int, star_t *)
    void add_star(const double *, const float *, const float *, double, double, const star_t *,
                  double *, double *)
    void solve_band(double *, double *)

REACH = HALO
STEPS_NEAR, STEPS_RATIO = NEAR_STEPS, RATIO_STEPS
LARGEST_INPUT, LARGEST_HIDDEN = MOST_STEPS, int(MOST_HIDDEN)
STAMP_HALF = STAR_HALF
STAR_INPUTS = STAR_INPUTS_C
STAR_WINDOW_PIXELS = STAR_WINDOW
PSF_SHAPE = PSF_SIDE, PSF_SIDE
PSF_MIDDLE = PSF_CENTRE
HIDDEN_STEP, FEW_UNITS = UNITS, FEW
INPUTS = N_FULL
INPUTS_EVEN = N_EVEN
INPUTS_FIRST = N_FIRST
INPUTS_REFINE = N_REFINE
KNOTS = N_TABLE
SCREENED_OUT = NOTHING
HIT_FROM = HIT
TREES_FROM = UNLIKELY
MOST_LEAVES = MAX_LEAVES
LOOK_REACH = REACH_OF_LOOK
LOOK_CELL = CELL


def best_target():
    """Return the instruction set in use: 0 plain, 1 AVX2, 2 AVX-512, 3 AVX-512 with VNNI."""
    return best_target_c()


def box_statistics(const float[:, ::1] data, const uint8_t[:, ::1] bad, float[:, ::1] level,
                   float[:, ::1] noise, float[:, ::1] core, int64_t first, int64_t last):
    """Fill rows ``first`` to ``last`` of the meshes of level, pixel noise and its core."""
    cdef int64_t i
    cdef int target = best_target_c()
    with nogil:
        for i in range(first, last):
            box_row(&data[0, 0], &bad[0, 0], data.shape[0], data.shape[1], level.shape[0],
                    level.shape[1], i, &level[i, 0], &noise[i, 0], &core[i, 0], target)


STAR = np.dtype([("flux", "f8"), ("dy", "f8"), ("dx", "f8"), ("chi", "f8")])


def fit_stars(const double[:, ::1] psf, const float[:, :, ::1] stamps,
              const float[:, :, ::1] weights, double sigma_electrons, double error, int steps,
              star_t[::1] stars):
    """Fit flux and place of each star to its stamp, in place, from where they are.

    ``error`` is the relative error of the point-spread function; ``steps`` are those of Gauss and
    Newton. ``chi`` becomes the reduced chi square of the core.
    """
    cdef int64_t i
    with nogil:
        for i in range(stars.shape[0]):
            fit_star(&psf[0, 0], &stamps[i, 0, 0], &weights[i, 0, 0], sigma_electrons, error, steps,
                     &stars[i])


def star_models(const double[:, ::1] psf, const star_t[::1] stars):
    """What each star gives to the pixels of its stamp."""
    cdef int64_t i
    out = np.empty((len(stars), STAR_SIDE, STAR_SIDE), dtype=np.float32)
    cdef float[:, :, ::1] view = out
    with nogil:
        for i in range(stars.shape[0]):
            star_model(&psf[0, 0], &stars[i], &view[i, 0, 0])
    return out


def subtract_neighbours(float[:, :, ::1] stamps, const float[:, :, ::1] models,
                        const int64_t[:, ::1] centres, const int64_t[:, ::1] pairs):
    """Take from the stamps what neighbours give to them; a pair is a star and a neighbour."""
    cdef int64_t k, y, x, dy, dx, own, other, side = STAR_SIDE
    with nogil:
        for k in range(pairs.shape[0]):
            own, other = pairs[k, 0], pairs[k, 1]
            dy = centres[own, 0] - centres[other, 0]
            dx = centres[own, 1] - centres[other, 1]
            for y in range(max(0, -dy), min(side, side - dy)):
                for x in range(max(0, -dx), min(side, side - dx)):
                    stamps[own, y, x] -= models[other, y + dy, x + dx]


def star_inputs(const double[:, ::1] psf, const float[:, :, ::1] stamps,
                const float[:, :, ::1] models, const star_t[::1] stars, const star_t[::1] whole,
                double sigma_electrons, double error, const float[:, ::1] probability,
                const int64_t[:, ::1] pixels):
    """What is seen of pixels on stars, in rows of `STAR_INPUTS` numbers.

    Each of the ``pixels`` is a number of a star, and row and column in its stamp and in the image.
    """
    cdef int64_t k, star, i, j, row, column, dy, dx, y, x
    cdef int64_t last_row = probability.shape[0] - 1, last_column = probability.shape[1] - 1
    cdef float model, greatest
    cdef double far_y, far_x, all_star
    cdef float *out
    cdef double sharpness = star_models(psf, np.array([(1, 0, 0, 0)], STAR))[0, STAR_HALF, STAR_HALF]
    inputs = np.empty((len(pixels), STAR_INPUTS_C), dtype=np.float32)
    cdef float[:, ::1] view = inputs
    with nogil:
        for k in range(pixels.shape[0]):
            star, i, j = pixels[k, 0], pixels[k, 1], pixels[k, 2]
            row, column = pixels[k, 3], pixels[k, 4]
            out = &view[k, 0]
            greatest = 0
            for dy in range(-STAR_REACH, STAR_REACH + 1):
                for dx in range(-STAR_REACH, STAR_REACH + 1):
                    model = models[star, i + dy, j + dx]
                    out[0] = (stamps[star, i + dy, j + dx] - model) / sqrt(
                        star_variance(model, sigma_electrons, error))
                    y = min(max(row + dy, 0), last_row)
                    x = min(max(column + dx, 0), last_column)
                    out[STAR_WINDOW] = probability[y, x]
                    out += 1
                    if -1 <= dy <= 1 and -1 <= dx <= 1 and model > greatest:
                        greatest = model
            out += STAR_WINDOW
            far_y = i - STAR_HALF - stars[star].dy
            far_x = j - STAR_HALF - stars[star].dx
            out[0] = stamps[star, i, j]
            out[1] = models[star, i, j]
            out[2] = greatest
            out[3] = sqrt(far_y * far_y + far_x * far_x)
            out[4] = stars[star].chi
            out[5] = stars[star].flux * sharpness
            out[6] = sharpness
            out[7] = error
            out[8] = sigma_electrons
            all_star = star_at(&psf[0, 0], &whole[star], i, j)
            out[9] = (stamps[star, i, j] - all_star) / sqrt(
                star_variance(all_star, sigma_electrons, error))
            out[10] = whole[star].chi
            out[11] = whole[star].flux / stars[star].flux
    return inputs


def corrected_psf(const double[:, ::1] psf, const float[:, :, ::1] stamps,
                  const float[:, :, ::1] weights, double sigma_electrons, double error,
                  const star_t[::1] stars, const double[:, ::1] roughness, double smooth):
    """The splines' coefficients that suit the stars better, by least squares.

    ``roughness`` is the lower band of a matrix, a row for each spline, of which ``smooth`` times the
    median of what the stars say of one spline is added to the normal equations.
    """
    cdef int64_t i, k
    band = np.zeros((PSF_SPLINES, PSF_BAND + 1))
    right = np.zeros(PSF_SPLINES)
    cdef double[:, ::1] band_view = band
    cdef double[::1] right_view = right
    with nogil:
        for i in range(stars.shape[0]):
            add_star(&psf[0, 0], &stamps[i, 0, 0], &weights[i, 0, 0], sigma_electrons, error,
                     &stars[i], &band_view[0, 0], &right_view[0])
    own = band[:, 0]
    if not own.any():
        return np.array(psf)
    cdef double share = smooth * np.median(own[own > 0])
    with nogil:
        for i in range(roughness.shape[0]):
            for k in range(roughness.shape[1]):
                band_view[i, k] += share * roughness[i, k]
        solve_band(&band_view[0, 0], &right_view[0])
    return psf + right.reshape(np.shape(psf))


def doubtful(const float[:, ::1] probability, int64_t first, int64_t last, float least):
    """Flat indices of what in rows ``first`` to ``last`` may be part of a hit near it.

    These are pixels above ``least`` that are no hits, at most `LOOK_REACH` rows and columns from one.
    """
    cdef int64_t n, rows = probability.shape[0], columns = probability.shape[1]
    cdef int64_t room = 256 + (last - first) * columns // 500
    cdef int64_t[::1] view
    while True:
        places = np.empty(room, dtype=np.int64)
        view = places
        with nogil:
            n = find_doubtful(&probability[0, 0], rows, columns, first, last, least, room, &view[0])
        if n <= room:
            return places[:n].copy()
        room = n


cdef class Image:
    """One image with its meshes of background and noise, ready for the kernels."""

    cdef image_t c
    cdef object keep
    cdef public int target

    def __init__(self, const float[:, ::1] electrons, const uint8_t[:, ::1] bad,
                 const float[:, ::1] background, const float[:, ::1] inverse_sigma,
                 float sigma_electrons, float saturation, int full_background):
        self.keep = (electrons, bad, background, inverse_sigma)
        self.target = best_target_c()
        self.c.electrons = &electrons[0, 0]
        self.c.bad = &bad[0, 0]
        self.c.rows = electrons.shape[0]
        self.c.columns = electrons.shape[1]
        self.c.background = &background[0, 0]
        self.c.full_background = full_background
        self.c.inverse_sigma = &inverse_sigma[0, 0]
        self.c.mesh_rows = inverse_sigma.shape[0]
        self.c.mesh_columns = inverse_sigma.shape[1]
        self.c.sigma_electrons = sigma_electrons
        self.c.saturation = saturation

    @property
    def shape(self):
        """Rows and columns."""
        return self.c.rows, self.c.columns

    def depths(self, float[:, ::1] depth, int64_t first, int64_t last, int64_t skip,
               int64_t share):
        """Fill rows ``first`` to ``last`` of the mesh of the S/N below which a share lies.

        One of ``skip`` pixels is looked at; the share is in percent.
        """
        if (depth.shape[0], depth.shape[1]) != (self.c.mesh_rows, self.c.mesh_columns):
            raise ValueError("a mesh of another shape than that of the noise")
        cdef int64_t i
        cdef int status = 0
        with nogil:
            for i in range(first, last):
                status |= depth_row(&self.c, i, skip, share, &depth[i, 0], self.target)
        if status:
            raise MemoryError

    @property
    def sigma_electrons(self):
        """Typical background noise in electrons."""
        return self.c.sigma_electrons

    def peaks(self, const float[:, ::1] probability, float least, int64_t first, int64_t last):
        """Flat indices and S/N of the peaks in rows ``first`` to ``last`` once hits are filled."""
        cdef int64_t n, room = 256 + (last - first) * self.c.columns // 100
        while True:
            places, snr = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.float32)
            n = self._peaks(probability, least, first, last, places, snr)
            if n <= room:
                return places[:n].copy(), snr[:n].copy()
            room = n

    cdef int64_t _peaks(self, const float[:, ::1] probability, float least, int64_t first,
                        int64_t last, int64_t[::1] places, float[::1] snr) except -1:
        cdef int64_t n
        with nogil:
            n = find_peaks(&self.c, &probability[0, 0], first, last, least, places.shape[0],
                           &places[0], &snr[0])
        if n < 0:
            raise MemoryError
        return n

    def stamps(self, const float[:, ::1] probability, const int64_t[::1] places):
        """S/N around each place, and how far each pixel can be trusted to hold no hit, from 0 to 1;
        below 0 where it is bad or saturated or there is none."""
        cdef int64_t i
        out = np.empty((2, len(places), STAR_SIDE, STAR_SIDE), dtype=np.float32)
        cdef float[:, :, :, ::1] view = out
        with nogil:
            for i in range(places.shape[0]):
                star_stamp(&self.c, &probability[0, 0], places[i], &view[0, i, 0, 0],
                           &view[1, i, 0, 0])
        return out[0], out[1]

    def planes(self, int64_t row, int64_t column, int64_t rows, int64_t columns):
        """Return S/N, its asinh and the 5 x 5 means of that, with a border of `REACH`."""
        cdef planes_t planes
        memory = np.empty(planes_size(rows, columns, HALO), dtype=np.float32)
        cdef float[::1] view = memory
        cdef int status
        with nogil:
            set_planes(&planes, &view[0], rows, columns, HALO)
            status = make_planes(&self.c, row, column, &planes, self.target)
        if status:
            raise MemoryError
        shape = 3, planes.height, planes.width
        return memory[: np.prod(shape)].reshape(shape)

    def touching(self, const float[:, ::1] probability, int64_t first, int64_t last):
        """What in rows ``first`` to ``last`` touches hits.

        Flat indices within these rows, the highest probability of the eight pixels around each,
        and S/N of the mean of the sixteen around these, hits left out; infinite where none is left.
        """
        cdef int64_t n, room = 256 + (last - first) * self.c.columns // 20
        while True:
            places, seen = np.empty(room, np.int32), np.empty((2, room), np.float32)
            n = self._touching(probability, first, last, places, seen)
            if n <= room:
                return places[:n].copy(), *seen[:, :n].copy()
            room = n

    cdef int64_t _touching(self, const float[:, ::1] probability, int64_t first, int64_t last,
                           int32_t[::1] places, float[:, ::1] seen) except -1:
        cdef int64_t n
        with nogil:
            n = find_touching(&self.c, &probability[0, 0], first, last, places.shape[0],
                              &places[0], &seen[0, 0], &seen[1, 0])
        if n < 0:
            raise MemoryError
        return n

    def maxima(self, int64_t row, int64_t column, int64_t rows, int64_t columns,
               float least, int64_t room):
        """Return ``(n, 4)`` of the maxima (horizontal and vertical sharpness, S/N, ring) and
        numbers of pixels: above 3, 10 and 100 sigma, and of those that stand alone, with a S/N
        of 4 to 5.5, to 8, to 15, to 40 and above."""
        cdef planes_t planes
        out = np.empty((room, 4), dtype=np.float32)
        cdef float[:, ::1] view = out
        counts = np.zeros(N_COUNTS, dtype=np.int64)
        cdef int64_t[::1] count = counts
        cdef int64_t n = 0
        cdef int status = -1
        with nogil:
            if allocate_planes(&planes, rows, columns, 2):
                status = make_planes(&self.c, row, column, &planes, self.target)
                if status == 0:
                    n = find_maxima(&self.c, &planes, row, column, least, room, &view[0, 0],
                                    &count[0])
                free(planes.snr)
        if status:
            raise MemoryError
        return out[:n].copy(), counts


cdef class Trees:
    """Boosted trees in the kernels' layout, from what `crismis.learning.trees` makes of them.

    Every child must lie behind its parent, so that no path has an end that is none. A tree has at
    most `MOST_LEAVES` leaves.
    """

    cdef trees_t c
    cdef int64_t inputs
    cdef object keep

    def __init__(self, const int16_t[::1] feature, const float[::1] threshold,
                 const int32_t[::1] left, const int32_t[::1] right, const int32_t[::1] roots,
                 const float[:, ::1] leaves, const float[::1] start, int64_t inputs=N_REFINE):
        cdef int64_t n = feature.shape[0], i, nodes = 0, trees = roots.shape[0], first, last
        if not n or not trees:
            raise ValueError("there are no trees")
        wanted = [
            ("threshold", threshold, (n,)),
            ("left", left, (n,)),
            ("right", right, (n,)),
            ("leaves", leaves, (leaves.shape[0], 1)),
            ("start", start, (2,)),
        ]
        for name, array, shape in wanted:
            if np.shape(array) != shape:
                raise ValueError(f"{name} has shape {np.shape(array)}, the trees need {shape}")
        cdef int64_t[::1] below = np.zeros(n, dtype=np.int64)  # how many leaves a node leads to
        for i in range(n - 1, -1, -1):
            if right[i] < 0:
                if not 0 <= left[i] < leaves.shape[0]:
                    raise ValueError(f"node {i} of the trees names leaf {left[i]}, which is none")
                below[i] = 1
            elif not 0 <= feature[i] < inputs:
                raise ValueError(f"node {i} of the trees looks at input {feature[i]}, which is none")
            elif not (i < left[i] < n and i < right[i] < n):
                raise ValueError(f"the children of node {i} of the trees do not lie behind it")
            else:
                below[i] = min(below[left[i]] + below[right[i]], MAX_LEAVES + 1)
        for i in range(trees):
            if not 0 <= roots[i] < n:
                raise ValueError(f"tree {i} begins at node {roots[i]}, which is none")
            if below[roots[i]] > MAX_LEAVES:
                raise ValueError(f"tree {i} has more than {MAX_LEAVES} leaves")
            nodes += below[roots[i]] - 1
        fields = [("input", "i4"), ("value", "f4"), ("right", "i4")]
        kept, ends = np.empty(nodes + 1, dtype=fields), np.empty(trees, dtype=np.int64)
        values = np.zeros((trees, MAX_LEAVES), dtype=np.float32)
        cdef node_t[::1] node = kept
        cdef int64_t[::1] end = ends
        cdef float[:, ::1] value = values
        cdef list ways
        nodes = 0
        for tree in range(trees):
            ways = [(roots[tree], 0)]
            while ways:
                i, first = ways.pop()
                if right[i] < 0:
                    value[tree, first] = leaves[left[i], 0]
                    continue
                last = first + below[left[i]]
                node[nodes] = node_t(feature[i], threshold[i],
                                     <int32_t>~((<int64_t>1 << last) - (<int64_t>1 << first)))
                nodes += 1
                ways += [(left[i], first), (right[i], last)]
            end[tree] = nodes
        self.keep = (kept, ends, values)
        self.c = trees_t(trees, &node[0], &end[0], &value[0, 0], start[1])
        self.inputs = inputs

    def logits(self, const float[:, ::1] inputs, target=None):
        """Return the sum of the trees for each row of inputs."""
        cdef int64_t n = inputs.shape[0]
        cdef int chosen = best_target_c() if target is None else target
        if inputs.shape[1] != self.inputs:
            raise ValueError(f"the trees need {self.inputs} inputs, got {inputs.shape[1]}")
        out = np.empty(n, dtype=np.float32)
        cdef float[::1] view = out
        cdef float[::1] memory = np.empty(self.inputs * TOGETHER, dtype=np.float32)
        if n:
            with nogil:
                sum_rows(&self.c, &inputs[0, 0], self.inputs, n, &memory[0], &view[0], chosen)
        return out


cdef class Network:
    """A screen, the networks and, where there are any, trees in the kernels' layout.

    Of the large network the weights are whole numbers, in pairs ``[pair][unit][2]``, and the steps
    say what one is worth of the sum of a unit.
    """

    cdef model_t c
    cdef object keep

    def __init__(self, float floor_snr, float floor_peak,
                 const float[:, ::1] first_weights, const float[::1] first_bias,
                 const float[::1] first_out, float first_cut,
                 int turned, const int16_t[:, :, ::1] turned_weights,
                 const float[::1] turned_step, const float[::1] turned_bias,
                 const int16_t[:, :, ::1] even_weights, const float[::1] even_step,
                 const float[::1] even_bias,
                 const int16_t[:, :, ::1] turned_weights2, const int16_t[:, :, ::1] even_weights2,
                 const int32_t[::1] shared2, const float[::1] step2, const float[::1] bias2,
                 const float[::1] weights3, const float[:, :, ::1] refine_weights,
                 const float[:, ::1] refine_bias, const float[:, ::1] refine_out,
                 const float[::1] table, Trees trees=None):
        cdef int64_t filters = turned_weights.shape[1], even = even_weights.shape[1]
        cdef int64_t refinements = refine_weights.shape[0]
        wanted = [
            ("first_weights", first_weights, (N_FIRST, UNITS)),
            ("first_bias", first_bias, (UNITS,)),
            ("first_out", first_out, (UNITS + 1,)),
            ("turned_weights", turned_weights, (2 * FOLDED, filters, 2)),
            ("turned_step", turned_step, (filters,)),
            ("turned_bias", turned_bias, (filters,)),
            ("even_weights", even_weights, (N_EVEN // 2, even, 2)),
            ("even_step", even_step, (even,)),
            ("even_bias", even_bias, (even,)),
            ("turned_weights2", turned_weights2, (turned // 2, UNITS, 2)),
            ("even_weights2", even_weights2, (even // 2, FEW, 2)),
            ("shared2", shared2, (UNITS,)),
            ("step2", step2, (UNITS,)),
            ("bias2", bias2, (UNITS,)),
            ("weights3", weights3, (UNITS + 1,)),
            ("refine_weights", refine_weights, (max(refinements, 1), N_REFINE, UNITS)),
            ("refine_bias", refine_bias, (refinements, UNITS)),
            ("refine_out", refine_out, (refinements, UNITS + 1)),
            ("table", table, (N_TABLE,)),
        ]
        for name, array, shape in wanted:
            if np.shape(array) != shape:
                raise ValueError(f"{name} has shape {np.shape(array)}, the kernels need {shape}")
        if even % UNITS or filters % FEW or turned % 4 or turned > 4 * filters or (
                not 0 < turned + even <= MOST_UNITS):
            raise ValueError(
                f"{turned} turned units of {filters} filters and {even} even ones: the kernels need "
                f"multiples of 4, {FEW} and {UNITS}, {MOST_UNITS} units at most"
            )
        if np.min(shared2) < 0 or np.max(shared2) >= FEW:
            raise ValueError(f"shared2 names a sum of even units beyond {FEW}")
        self.keep = (first_weights, first_bias, first_out, turned_weights, turned_step,
                     turned_bias, even_weights, even_step, even_bias, turned_weights2,
                     even_weights2, shared2, step2, bias2, weights3, refine_weights, refine_bias, refine_out, table, trees)
        self.c.turned = turned
        self.c.filters = filters
        self.c.even = even
        self.c.floor_snr = floor_snr
        self.c.floor_peak = floor_peak
        self.c.first_weights = &first_weights[0, 0]
        self.c.first_bias = &first_bias[0]
        self.c.first_out = &first_out[0]
        self.c.first_cut = first_cut
        if turned:
            self.c.turned_weights2 = &turned_weights2[0, 0, 0]
            self.c.turned_weights = &turned_weights[0, 0, 0]
            self.c.turned_step = &turned_step[0]
            self.c.turned_bias = &turned_bias[0]
        if even:
            self.c.even_weights2 = &even_weights2[0, 0, 0]
            self.c.even_weights = &even_weights[0, 0, 0]
            self.c.even_step = &even_step[0]
            self.c.even_bias = &even_bias[0]
        self.c.shared2 = &shared2[0]
        self.c.step2 = &step2[0]
        self.c.bias2 = &bias2[0]
        self.c.weights3 = &weights3[0]
        self.c.refinements = refinements
        self.c.refine_weights = &refine_weights[0, 0, 0]
        self.c.refine_bias = &refine_bias[0, 0]
        self.c.refine_out = &refine_out[0, 0]
        if trees is not None:
            self.c.trees = trees.c
        self.c.table = &table[0]

    def judge(self, Image image, int64_t row, int64_t column, int64_t rows, int64_t columns,
              float[:, ::1] logits):
        """Write the first logit of every pixel of one tile into the whole image's ``logits``."""
        cdef int status
        with nogil:
            status = judge_tile(&image.c, &self.c, 0, 0, row, column, rows, columns, NULL,
                                &logits[0, 0], image.target)
        if status:
            raise MemoryError

    @property
    def refinements(self):
        """How many judgements follow the first one."""
        return later_judgements(&self.c)

    def refine(self, Image image, int which, int count, int64_t row, int64_t column, int64_t rows,
               int64_t columns, const float[:, ::1] logits, float[:, ::1] out):
        """Judge every pixel of one tile again, once the logits of the judgement before are there.

        ``which`` counts the judgements after the first one from 0; ``count`` of them follow one
        another. The last one that there is writes probabilities, the others logits.
        """
        cdef int status
        if which < 0 or count < 1 or which + count > later_judgements(&self.c):
            raise ValueError(f"there are no {count} judgements from number {which} on")
        with nogil:
            status = judge_tile(&image.c, &self.c, which, count, row, column, rows, columns,
                                &logits[0, 0], &out[0, 0], image.target)
        if status:
            raise MemoryError

    def look_again(self, Image image, const float[:, ::1] probability, const int64_t[::1] places,
                   Network first, Network other=None):
        """Return the probabilities of a few pixels in a scene whose hits are filled.

        ``places`` are flat indices. The refinements are this network's; the first judgement is
        that of ``first``, or the lower of two.
        """
        cdef const model_t *firsts[2]
        cdef int n_first = 1
        cdef int status
        firsts[0] = &first.c
        if other is not None:
            firsts[1] = &other.c
            n_first = 2
        out = np.empty(len(places), dtype=np.float32)
        if not len(places):
            return out
        cdef float[::1] view = out
        with nogil:
            status = look_again(&image.c, firsts, n_first, &self.c, &probability[0, 0],
                                &places[0], places.shape[0], &view[0], image.target)
        if status:
            raise MemoryError
        return out
