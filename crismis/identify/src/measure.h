/* Image statistics that come before judging: level and noise in boxes, and the widths of maxima. */
#ifndef CRISMIS_MEASURE_H
#define CRISMIS_MEASURE_H

#include "judge.h"

#define BOX_SAMPLES 512

/* k-th smallest value, byte by byte: branches on the values would be guessed wrong. */
static float kth(const float *a, int64_t n, int64_t k)
{
    uint32_t key[BOX_SAMPLES];
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, a + i, sizeof bits);
        key[i] = bits >> 31 ? ~bits : bits | 0x80000000u; /* in the order of the values */
    }
    for (int shift = 24; shift >= 0 && n > 1; shift -= 8) {
        int32_t count[256] = {0}, odd[256] = {0}; /* two, as one would wait for itself */
        int64_t kept = 0;
        uint32_t digit = 0;
        for (int64_t i = 0; i + 1 < n; i += 2) {
            count[key[i] >> shift & 255]++;
            odd[key[i + 1] >> shift & 255]++;
        }
        if (n & 1) count[key[n - 1] >> shift & 255]++;
        for (int i = 0; i < 256; i++) count[i] += odd[i];
        while (k >= count[digit]) k -= count[digit++];
        for (int64_t i = 0; i < n; i++) {
            uint32_t here = key[i];
            key[kept] = here;
            kept += (here >> shift & 255) == digit;
        }
        n = kept;
    }
    uint32_t bits = key[0] >> 31 ? key[0] & 0x7fffffffu : ~key[0];
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Mean of the values between two ranks, so that coarse quantization does no harm. */
static float middle_mean(const float *a, int64_t n, double from, double to)
{
    float high = kth(a, n, (int64_t)(to * (n - 1)));
    float low = from > 0 ? kth(a, n, (int64_t)(from * (n - 1))) : -INFINITY;
    double sum = 0;
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        int within = (a[i] >= low) & (a[i] <= high);
        sum += within ? a[i] : 0.0f;
        count += within;
    }
    return (float)(sum / count);
}

/* Level and pixel noise of the boxes of one mesh row; NaN where too few pixels are good. */
static void box_row(const float *data, const uint8_t *bad, int64_t rows, int64_t columns,
                    int64_t mesh_rows, int64_t mesh_columns, int64_t box, float *level,
                    float *noise, float *core)
{
    float values[BOX_SAMPLES], steps[BOX_SAMPLES];
    int64_t top = box * rows / mesh_rows, bottom = (box + 1) * rows / mesh_rows;
    for (int64_t m = 0; m < mesh_columns; m++) {
        int64_t left = m * columns / mesh_columns, right = (m + 1) * columns / mesh_columns;
        int64_t height = bottom - top, width = right - left, skip = 1, n = 0, d = 0;
        while (((height + skip - 1) / skip) * width > BOX_SAMPLES) skip++;
        for (int64_t y = top; y < bottom; y += skip)
            for (int64_t x = left; x < right && n < BOX_SAMPLES; x++) {
                int64_t at = y * columns + x;
                if (bad[at]) continue;
                values[n++] = data[at];
                /* Second differences, so that a slope does not count as noise; along either
                   axis in turn, so that neither counts for more. */
                int down = columns < 3 || (rows >= 3 && ((x + y) & 1));
                int64_t stride = down ? columns : 1, place = down ? y : x;
                int64_t last = (down ? rows : columns) - 1;
                if (place > 0 && place < last && !bad[at - stride] && !bad[at + stride])
                    steps[d++] = fabsf(2 * data[at] - data[at - stride] - data[at + stride]);
                else if (last == 1 && place == 0 && !bad[at + stride])
                    steps[d++] = 1.7320508f * fabsf(data[at + stride] - data[at]);
            }
        int enough = 4 * n * skip > height * width && d > 0;
        level[m] = enough ? middle_mean(values, n, 0.35, 0.65) : NAN;
        /* 0.5586 = mean of a half-normal below its 80th percentile. */
        noise[m] = enough ? middle_mean(steps, d, 0.0, 0.8) / (0.5586f * 2.4494897f) : NAN;
        /* The same of the quietest 40 %, which hits and warm pixels hardly reach. */
        core[m] = enough ? middle_mean(steps, d, 0.0, 0.4) / (0.2562f * 2.4494897f) : NAN;
    }
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
                           float least, float saturation, int64_t room, float *out,
                           int64_t *counts)
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
            if (!(im->electrons[y * im->columns + x] < saturation)) continue;
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
