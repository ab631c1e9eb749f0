/* Image statistics that come before judging: level and noise in boxes, and the widths of maxima. */
#ifndef CRISMIS_MEASURE_H
#define CRISMIS_MEASURE_H

#include "judge.h"

#define BOX_SAMPLES 512
#define SUMS 16 /* partial sums, so that the order of adding is the same on every processor */

#define NAME(x) JOIN(x, _any)
#define TARGET
#include "measure_body.h"
#undef NAME
#undef TARGET

#if MANY_TARGETS
#define NAME(x) JOIN(x, _avx2)
#define TARGET AVX2
#include "measure_body.h"
#undef NAME
#undef TARGET
#define NAME(x) JOIN(x, _avx512)
#define TARGET AVX512
#include "measure_body.h"
#undef NAME
#undef TARGET
#endif

static void box_row(const float *data, const uint8_t *bad, int64_t rows, int64_t columns,
                    int64_t mesh_rows, int64_t mesh_columns, int64_t box, float *level,
                    float *noise, float *core, int target)
{
#if MANY_TARGETS
    if (target >= 2)
        box_row_avx512(data, bad, rows, columns, mesh_rows, mesh_columns, box, level, noise, core);
    else if (target == 1)
        box_row_avx2(data, bad, rows, columns, mesh_rows, mesh_columns, box, level, noise, core);
    else
#endif
        box_row_any(data, bad, rows, columns, mesh_rows, mesh_columns, box, level, noise, core);
}

static int depth_row(const image_t *im, int64_t box, int64_t skip, int64_t share, float *depth,
                     int target)
{
#if MANY_TARGETS
    if (target >= 2) return depth_row_avx512(im, box, skip, share, depth);
    if (target == 1) return depth_row_avx2(im, box, skip, share, depth);
#endif
    return depth_row_any(im, box, skip, share, depth);
}

#define N_COUNTS 8

/* Whether a pixel stands alone: no neighbour rises above the noise. */
static int is_single(const float *s, int64_t width)
{
    const float quiet = 2.5f;
    return s[-1] < quiet && s[1] < quiet && s[-width] < quiet && s[width] < quiet &&
           s[-width - 1] < quiet && s[-width + 1] < quiet && s[width - 1] < quiet &&
           s[width + 1] < quiet;
}

/* Of every bright local maximum of a tile: -ln(left right / centre^2), the same vertically,
   its signal to noise and its ring; returns how many were found (at most `room`). Counts the
   pixels above 3, 10 and 100 sigma, and those that stand alone, by signal to noise. */
static int64_t find_maxima(const image_t *im, const planes_t *p, int64_t row, int64_t column,
                           float least, int64_t room, float *out, int64_t *counts)
{
    int64_t n = 0, width = p->width;
    for (int64_t i = p->border; i < p->height - p->border; i++) {
        int64_t y = row + i - p->border;
        if (y < 1 || y >= im->rows - 1) continue;
        for (int64_t j = p->border; j < width - p->border; j++) {
            const float *s = p->snr + i * width + j;
            float c = s[0];
            counts[0] += c > 3;
            counts[1] += c > 10;
            counts[2] += c > 100;
            if (c > 4 && is_single(s, width))
                counts[c < 5.5f ? 3 : c < 8 ? 4 : c < 15 ? 5 : c < 40 ? 6 : 7]++;
            if (!(c > least)) continue;
            int64_t x = column + j - p->border;
            if (x < 1 || x >= im->columns - 1 || n >= room) continue;
            if (c <= s[-1] || c < s[1] || c <= s[-width] || c < s[width] || c <= s[-width - 1] ||
                c <= s[-width + 1] || c < s[width - 1] || c < s[width + 1])
                continue;
            if (!(im->electrons[y * im->columns + x] < im->saturation)) continue;
            float ends[2][2] = {{s[-1], s[1]}, {s[-width], s[width]}};
            for (int axis = 0; axis < 2; axis++) {
                float a = ends[axis][0] > 0.5f ? ends[axis][0] : 0.5f;
                float b = ends[axis][1] > 0.5f ? ends[axis][1] : 0.5f;
                out[4 * n + axis] = 2 * logf(c) - logf(a) - logf(b);
            }
            /* Contrast against the ring two pixels away. */
            float ring = 0;
            for (int k = -2; k <= 2; k++)
                ring += s[-2 * width + k] + s[2 * width + k] +
                        (abs(k) < 2 ? s[k * width - 2] + s[k * width + 2] : 0);
            out[4 * n + 2] = c;
            out[4 * n + 3] = ring / (16.0f * c);
            n++;
        }
    }
    return n;
}

#endif
