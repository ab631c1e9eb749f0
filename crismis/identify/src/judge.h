/* Kernels of the learned identification: normalize a tile, screen it, judge what remains.
 *
 * The template judge_body.h is compiled once per instruction set; the best one the processor
 * has is taken at run time. Every candidate's arithmetic is independent of its neighbours in a
 * block, so results depend neither on tiling nor on the number of threads.
 */
#ifndef CRISMIS_JUDGE_H
#define CRISMIS_JUDGE_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "words.h"

#define MOST_COLUMNS 256 /* that are judged at once, so that the planes stay in the cache */
#define CELL 16 /* side of the cells whose pixels are looked at together */
#define HALO 18   /* reach of the judge's window: 15 + 2 pixels, and one to spare */
#define UNITS 48  /* hidden units handled at once; layer widths are multiples of it */
#define MOST_UNITS 960
#define NEAR 7    /* half-width of the full-resolution window */
#define INNER 3   /* half-width of the ratio window and of the first stage's window */
#define STEP 5    /* spacing, and size, of the boxes of the context window */
#define N_NEAR ((2 * NEAR + 1) * (2 * NEAR + 1))
#define N_INNER ((2 * INNER + 1) * (2 * INNER + 1))
#define N_CONTEXT 40
#define N_FIRST (N_INNER + 1)
#define N_FULL (N_NEAR + N_INNER + N_CONTEXT + 1)
#define RINGS(half) (((half) + 1) * ((half) + 2) / 2) /* pixels that no turn makes equal */
#define N_EVEN (RINGS(NEAR) + RINGS(INNER) + 1 + RINGS(3) - RINGS(1))
#define FEW 32 /* hidden units handled at once where there are fewer */
#define RATIO_AT 64 /* of the folded inputs: 8 x 8 of the window, 4 x (4 + 4) of ratios and boxes */
#define CENTRE_AT 96
#define FOLDED 98
#define FAR_WIDTH(width) (((width) + STEP - 1) / STEP) /* columns with the same place in a box */
#define NEAR_STEPS 128.0f /* to which the large network's inputs are rounded, per unit: asinh S/N, */
#define RATIO_STEPS 512.0f /* and ratios; sums over the eight pixels of a ring fit into 16 bits */
#define MOST_STEPS 2048
#define MOST_HIDDEN 4095.0f /* steps of the greatest hidden unit */
#define N_REFINE (3 * N_INNER + 1)
#define NOTHING -16.0f /* logit of a pixel that was screened out */
#define HOPELESS -6.0f /* logit below which nothing is judged again */
#define UNLIKELY -5.0f /* logit below which trees judge nothing again */
#define MOST_LANES 8 /* pixels that any target judges at once */
#define TOGETHER 32 /* pixels that each node of a tree sees at once */
#define MOST_LEAVES 32 /* of a tree: one bit each */
#define BLOCK 16 /* pixels of a row that are made ready for refinements together */
#define BLOCKS(width) (((width) + BLOCK - 1) / BLOCK)
#define LOGIT_RANGE 10.0f
#define HIT 0.5f  /* probability from which the second look takes a pixel for a hit */
#define LOOK_REACH 4 /* how near to a hit the second look looks, in rows and columns */
#define SOURCE_SNR 12.0f /* mean S/N of the scene under hits from which they lie on a source */
#define HIDDEN(m) ((size_t)((m)->turned + (m)->even))
#define SCRATCH(m, lanes) ((lanes) * (HIDDEN(m) + (4 * FOLDED + N_EVEN + HIDDEN(m)) / 2))
#define LINE 64 /* bytes of a cache line */
#define RUN 64  /* pixels of a row that are passed over at once */

typedef struct {
    const float *electrons;
    const uint8_t *bad;
    int64_t rows, columns;
    const float *background; /* mesh, or full plane where full_background is set */
    int full_background;
    const float *inverse_sigma; /* mesh */
    int64_t mesh_rows, mesh_columns;
    float sigma_electrons; /* typical background noise in electrons */
    float saturation;      /* from which on a pixel holds less than it was lit by */
} image_t;

/* A node of a tree. */
typedef struct {
    int32_t input;
    float value; /* where the input is beyond it, the way goes to the right: */
    int32_t right; /* one bit less for each leaf on the left, the first leaf being the lowest bit */
} node_t;

typedef struct {
    int64_t n; /* trees; 0 where the last refinement is the last judgement */
    const node_t *nodes; /* of one tree after the other, in any order */
    const int64_t *ends; /* where the nodes of each tree end */
    const float *leaves; /* MOST_LEAVES of each tree */
    float start;
} trees_t;

typedef struct {
    int turned, even; /* hidden units, multiples of UNITS; even ones see sums over turned pixels */
    float floor_snr, floor_peak; /* numeric screen */
    const float *first_weights, *first_bias, *first_out; /* N_FIRST x UNITS, UNITS, UNITS + 1 */
    float first_cut;
    /* The large network in pairs of inputs, [pair][unit][2]; what a step of a unit's sum is worth.
       Turned units are mirrored copies of filters, whose weights are folded, of one parity after the
       other; what even units add to the second layer is the same for several of its units. */
    int filters; /* turned / 4, filled up to a multiple of FEW */
    const int16_t *turned_weights, *even_weights, *turned_weights2, *even_weights2;
    const int32_t *shared2; /* UNITS: which of the FEW sums of even units each one takes */
    const float *turned_step, *even_step, *step2;
    const float *turned_bias, *even_bias, *bias2;
    const float *weights3;         /* UNITS + 1, the last one the bias */
    int refinements;
    /* of each refinement: N_REFINE x UNITS, UNITS, UNITS + 1 */
    const float *refine_weights, *refine_bias, *refine_out;
    trees_t trees;                 /* the last judgement, after the refinements */
    const float *table;            /* calibrated logit at logits -16, -15.5 ... 16 */
} model_t;

#define N_TABLE 65

typedef struct {
    float *snr, *compressed;
    float *context; /* this and the steps only where the border is as wide as HALO */
    int16_t *near_steps; /* of the asinh */
    int16_t *far_steps;  /* of the boxes, in each row first of columns 0, STEP, 2 STEP ... */
    int64_t width, height, border;
} planes_t;

static int64_t reflect(int64_t i, int64_t n)
{
    if (n == 1) return 0;
    int64_t period = 2 * (n - 1);
    i %= period;
    if (i < 0) i += period;
    return i < n ? i : period - i;
}

/* Linear interpolation in a mesh whose boxes evenly divide the axis. */
static void mesh_weights(int64_t i, int64_t size, int64_t boxes, int64_t *low, float *fraction)
{
    double x = (i + 0.5) * boxes / size - 0.5;
    if (x < 0) x = 0;
    if (x > boxes - 1) x = boxes - 1;
    *low = (int64_t)x;
    if (*low > boxes - 2) *low = boxes > 1 ? boxes - 2 : 0;
    *fraction = boxes > 1 ? (float)(x - *low) : 0.0f;
}

/* Columns before `end` that lie beyond the same box of a mesh; the end is 0 after the last run. */
typedef struct {
    int64_t low, end;
} run_t;

/* What judging a tile takes: planes of its size with its border, and lists of its pixels. */
typedef struct {
    planes_t planes;
    int32_t inner[N_INNER]; /* offsets of the small windows */
    float *near, *rest, *last, *logits, *scratch;
    int32_t *found;
    int64_t *from_column, *from_row; /* rows and columns of the image that the planes show */
    uint8_t *unusable, *distance; /* of a look */
    uint8_t *needed;              /* of refinements, blocks of a row after another; the same memory */
    void *memory;
} work_t;

/* Offsets of a square window, row by row. */
static void fill_window(int half, int64_t width, int32_t *offset)
{
    for (int dy = -half; dy <= half; dy++)
        for (int dx = -half; dx <= half; dx++) *offset++ = (int32_t)(dy * width + dx);
}

/* Number of the cell in which a pixel lies. */
static int64_t cell_of(int64_t place, int64_t columns)
{
    return place / columns / CELL * columns + place % columns / CELL;
}

/* How many judgements follow the first one. */
static int later_judgements(const model_t *m)
{
    return m->refinements + (m->trees.n > 0);
}

/* Logit above which one of them judges a pixel again. */
static float least_judged(const model_t *m, int which)
{
    return which < m->refinements ? HOPELESS : UNLIKELY;
}

static float probability(float logit, const float *table)
{
    if (!(logit > NOTHING)) return 0;
    float x = (logit + 16.0f) * 2.0f;
    if (!(x > 0)) x = 0;
    if (x > N_TABLE - 1.001f) x = N_TABLE - 1.001f;
    int i = (int)x;
    float value = table[i] + (x - i) * (table[i + 1] - table[i]);
    return 1.0f / (1.0f + expf(-value));
}

/* Numbers that planes take; loads of whole registers reach beyond the last one. */
static size_t planes_size(int64_t rows, int64_t columns, int64_t border)
{
    size_t height = (size_t)(rows + 2 * border), width = (size_t)(columns + 2 * border);
    return height * (3 * width + (width + STEP * FAR_WIDTH(width) + 1) / 2) + 4;
}

static void set_planes(planes_t *p, float *memory, int64_t rows, int64_t columns, int64_t border)
{
    p->border = border;
    p->height = rows + 2 * border;
    p->width = columns + 2 * border;
    size_t n = (size_t)(p->height * p->width);
    p->snr = memory;
    p->compressed = p->snr + n;
    p->context = p->snr + 2 * n;
    p->near_steps = (int16_t *)(p->snr + 3 * n);
    p->far_steps = p->near_steps + n;
}

static int allocate_planes(planes_t *p, int64_t rows, int64_t columns, int64_t border)
{
    float *memory = malloc(planes_size(rows, columns, border) * sizeof(float));
    if (memory) set_planes(p, memory, rows, columns, border);
    return memory != NULL;
}

/* A smaller tile may take the place of that which the memory is for. */
static void set_tile(work_t *w, const image_t *im, int64_t row, int64_t column, int64_t rows,
                     int64_t columns)
{
    planes_t *p = &w->planes;
    set_planes(p, p->snr, rows, columns, p->border);
    fill_window(INNER, p->width, w->inner);
    for (int64_t j = 0; j < p->width; j++)
        w->from_column[j] = reflect(column - p->border + j, im->columns);
    for (int64_t i = 0; i < p->height; i++)
        w->from_row[i] = reflect(row - p->border + i, im->rows);
}

static int allocate_work(work_t *w, int64_t rows, int64_t columns, int64_t border, size_t scratch)
{
    int64_t height = rows + 2 * border, width = columns + 2 * border;
    size_t n = (size_t)(height * width), wide = (size_t)(height + width) * sizeof(int64_t);
    size_t shown = planes_size(rows, columns, border);
    size_t floats = (shown + 4 * n) * sizeof(float), whole = (n + MOST_LANES) * sizeof(int32_t);
    size_t lines = (scratch * sizeof(float) / LINE + 1) * LINE;
    char *memory = malloc(LINE + lines + wide + floats + whole + 2 * n);
    w->memory = memory;
    if (!memory) return 0;
    memory += LINE - (uintptr_t)memory % LINE;
    w->scratch = (float *)memory;
    memory += lines;
    w->from_column = (int64_t *)memory;
    w->from_row = w->from_column + width;
    float *planes = (float *)(memory + wide);
    set_planes(&w->planes, planes, rows, columns, border);
    w->near = planes + shown;
    w->rest = w->near + n;
    w->last = w->rest + n;
    w->logits = w->last + n;
    w->found = (int32_t *)(memory + wide + floats);
    w->unusable = (uint8_t *)(memory + wide + floats + whole);
    w->distance = w->unusable + n;
    w->needed = w->unusable;
    return 1;
}

#if defined(__GNUC__)
#define GNU_VECTORS 1
typedef float eight_t __attribute__((vector_size(32), aligned(4)));
typedef int32_t whole_eight_t __attribute__((vector_size(32), aligned(4)));
#define ALONE __attribute__((noinline)) /* needs all registers for itself */
#define ALIGNED __attribute__((aligned(LINE))) /* no register's content lies across two cache lines */
#define INLINE __attribute__((always_inline)) inline
#else
#define GNU_VECTORS 0
#define ALONE
#define ALIGNED
#define INLINE
#endif

#define JOIN2(a, b) a##b
#define JOIN(a, b) JOIN2(a, b)

#define NAME(x) JOIN(x, _any)
#define TARGET
#define VECTOR 4
#define LANES 1
#include "judge_body.h"
#undef NAME
#undef TARGET
#undef VECTOR
#undef LANES

#if GNU_VECTORS && defined(__x86_64__)
#define MANY_TARGETS 1
#include <immintrin.h>
#define AVX2 __attribute__((target("avx2,fma")))
#define AVX512 __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")))
#define AVX512_VNNI __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,avx2,fma")))
#define NAME(x) JOIN(x, _avx2)
#define TARGET AVX2
#define VECTOR 8
#define LANES 2
#define ADD_PRODUCTS(sum, a, b) \
    (sum + (NAME(ivec))_mm256_madd_epi16((__m256i)(a), (__m256i)(b)))
#include "judge_body.h"
#undef NAME
#undef TARGET
#undef VECTOR
#undef LANES
#undef ADD_PRODUCTS
#define NAME(x) JOIN(x, _avx512)
#define TARGET AVX512
#define VECTOR 16
#define LANES 8
#define ADD_PRODUCTS(sum, a, b) \
    (sum + (NAME(ivec))_mm512_madd_epi16((__m512i)(a), (__m512i)(b)))
#define PICK_SUMS(low, which, high) \
    ((NAME(ivec))_mm512_permutex2var_epi32((__m512i)(low), (__m512i)(which), (__m512i)(high)))
#include "judge_body.h"
#undef NAME
#undef TARGET
#undef ADD_PRODUCTS
/* GCC keeps the sums of the intrinsic function in memory, of its own instruction in registers. */
AVX512_VNNI static inline __m512i add_products_vnni(__m512i sum, __m512i a, __m512i b)
{
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
}
#define NAME(x) JOIN(x, _vnni)
#define TARGET AVX512_VNNI
#define ADD_PRODUCTS(sum, a, b) \
    ((NAME(ivec))add_products_vnni((__m512i)(sum), (__m512i)(a), (__m512i)(b)))
#include "judge_body.h"
#undef NAME
#undef TARGET
#undef VECTOR
#undef LANES
#undef ADD_PRODUCTS
#undef PICK_SUMS
#else
#define MANY_TARGETS 0
#endif

/* 0 plain, 1 AVX2, 2 AVX-512, 3 the same with products of pairs (VNNI) */
static int best_target(void)
{
#if MANY_TARGETS
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        return __builtin_cpu_supports("avx512vnni") ? 3 : 2;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 1;
#endif
    return 0;
}

/* Call a function of the template for an instruction set. */
#if MANY_TARGETS
#define CALL(function, target, ...)                         \
    ((target) == 3   ? JOIN(function, _vnni)(__VA_ARGS__)   \
     : (target) == 2 ? JOIN(function, _avx512)(__VA_ARGS__) \
     : (target) == 1 ? JOIN(function, _avx2)(__VA_ARGS__)   \
                     : JOIN(function, _any)(__VA_ARGS__))
#else
#define CALL(function, target, ...) JOIN(function, _any)(__VA_ARGS__)
#endif

/* Sums of trees for rows of inputs; there is room for TOGETHER of them in x. */
static void sum_rows(const trees_t *t, const float *rows, int64_t inputs, int64_t n, float *x,
                     float *sums, int target)
{
    float sum[TOGETHER];
    for (int64_t i = 0; i < n; i += TOGETHER) {
        int64_t here = n - i < TOGETHER ? n - i : TOGETHER;
        for (int64_t l = 0; l < TOGETHER; l++)
            for (int64_t k = 0; k < inputs; k++)
                x[k * TOGETHER + l] = rows[(i + (l < here ? l : 0)) * inputs + k];
        CALL(sum_trees, target, t, x, sum);
        memcpy(sums + i, sum, here * sizeof(float));
    }
}

static int make_planes(const image_t *image, int64_t row, int64_t column, planes_t *planes, int target)
{
    return CALL(make_planes, target, image, row, column, planes);
}

/* Judge every pixel of some rows and columns: where `count` is 0 for the first time, else that many
   times anew, starting with the later judgement `which`, from the `logits` before. Gives logits, or
   probabilities after the last judgement there is; -1 when memory runs out. */
static int judge_tile(const image_t *image, const model_t *model, int which, int count, int64_t row,
                      int64_t column, int64_t rows, int64_t columns, const float *logits,
                      float *out, int target)
{
    work_t work;
    int status = 0;
    int64_t most = columns < MOST_COLUMNS ? columns : MOST_COLUMNS;
    int64_t border = count ? INNER * count : HALO;
    if (!allocate_work(&work, rows, most, border, SCRATCH(model, MOST_LANES))) return -1;
    for (int64_t end = column + columns; column < end && status == 0; column += most) {
        set_tile(&work, image, row, column, rows, end - column < most ? end - column : most);
        if (count)
            status = CALL(refine_planes, target, image, model, which, count, &work, row, column,
                          logits, out);
        else if (!(status = make_planes(image, row, column, &work.planes, target)))
            CALL(judge_planes, target, image, model, &work, row, column, out);
    }
    free(work.memory);
    return status;
}

/* Whether a hit lies near a pixel. */
static int hit_near(const float *judged, int64_t rows, int64_t columns, int64_t row, int64_t column)
{
    int64_t top = row < LOOK_REACH ? 0 : row - LOOK_REACH;
    int64_t left = column < LOOK_REACH ? 0 : column - LOOK_REACH;
    for (int64_t y = top; y <= row + LOOK_REACH && y < rows; y++)
        for (int64_t x = left; x <= column + LOOK_REACH && x < columns; x++)
            if (judged[y * columns + x] >= HIT) return 1;
    return 0;
}

/* Pixels that are no hits but may be some, near a hit; their number, which may exceed the room. */
static int64_t find_doubtful(const float *judged, int64_t rows, int64_t columns, int64_t first,
                             int64_t last, float least, int64_t room, int64_t *places)
{
    int64_t n = 0;
    for (int64_t i = first; i < last; i++) {
        const float *line = judged + i * columns;
        for (int64_t start = 0, end; start < columns; start = end) {
            int32_t any = 0;
            end = start + RUN < columns ? start + RUN : columns;
            for (int64_t j = start; j < end; j++) any |= line[j] > least;
            for (int64_t j = start; any && j < end; j++)
                if (line[j] > least && line[j] < HIT && hit_near(judged, rows, columns, i, j) &&
                    n++ < room)
                    places[n - 1] = i * columns + j;
        }
    }
    return n;
}

/* Probabilities of a few pixels in a scene whose hits are filled from what surrounds them; of
   several first judgements the lowest holds. Beside hits on a source nothing is judged anew. Pixels
   of the same cell that follow one another are looked at together, which changes no bit. */
static int look_again(const image_t *image, const model_t *const *first, int n_first,
                      const model_t *model, const float *judged, const int64_t *places,
                      int64_t n, float *out, int target)
{
    return CALL(look_again, target, image, first, n_first, model, judged, places, n, out);
}

#endif
