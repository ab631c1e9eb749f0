/* Template of measure.h: needs NAME and TARGET. Its loops are written for the compiler to vectorize. */

/* Integers in the order of the values, and higher ones up to a multiple of SUMS. */
TARGET static void NAME(keys)(float *a, int64_t n, int32_t *key)
{
    for (int64_t i = n; i % SUMS; i++) {
        a[i] = 0;
        key[i] = INT32_MAX;
    }
    for (int64_t i = 0; i < n; i++) {
        int32_t bits;
        memcpy(&bits, a + i, sizeof bits);
        key[i] = bits < 0 ? bits ^ 0x7fffffff : bits;
    }
}

/* Key of the k-th smallest value, bit by bit from the first in which keys differ: counting takes no
   branch that could be guessed wrong. */
TARGET static int32_t NAME(kth)(const int32_t *key, int64_t n, int64_t k)
{
    uint32_t found = 0x80000000u, differ = 0;
    int bit = 31;
    for (int64_t i = 0; i < n; i++) differ |= (uint32_t)(key[i] ^ key[0]);
    if (!(differ >> 31)) {
        while (bit >= 0 && !(differ >> bit)) bit--;
        found = bit < 0 ? (uint32_t)key[0] : (uint32_t)key[0] >> (bit + 1) << (bit + 1);
    }
    for (; bit >= 0; bit--) {
        int32_t trial = (int32_t)(found + (1u << bit)), below = 0;
        for (int64_t i = 0; i < n; i++) below += key[i] < trial;
        if (below <= k) found = (uint32_t)trial;
    }
    return (int32_t)found;
}

/* Mean of the values between two ranks, so that coarse quantization does no harm; both arrays go on
   to a multiple of SUMS, the keys with the highest there is. */
TARGET static float NAME(middle_mean)(const float *a, const int32_t *key, int64_t n, double from,
                                      double to)
{
    int32_t high = NAME(kth)(key, n, (int64_t)(to * (n - 1)));
    int32_t low = from > 0 ? NAME(kth)(key, n, (int64_t)(from * (n - 1))) : INT32_MIN;
    float kept[BOX_SAMPLES];
    int32_t count = 0;
    int64_t whole = (n + SUMS - 1) / SUMS * SUMS;
    for (int64_t i = 0; i < whole; i++) {
        int32_t within = (key[i] >= low) & (key[i] <= high);
        kept[i] = within ? a[i] : 0.0f;
        count += within;
    }
    for (int64_t i = SUMS; i < whole; i += SUMS)
        for (int64_t j = 0; j < SUMS; j++) kept[j] += kept[i + j];
    double sum = 0;
    for (int j = 0; j < SUMS; j++) sum += kept[j];
    return (float)(sum / count);
}

/* Second differences, so that a slope does not count as noise; along either axis in turn, so that
   neither counts for more. */
TARGET static void NAME(steps_of_good_row)(const float *a, int64_t stride, int64_t n, int64_t odd,
                                           float *steps)
{
    for (int64_t i = 0; i < n; i++) {
        float across = fabsf(2 * a[i] - a[i - 1] - a[i + 1]);
        float down = fabsf(2 * a[i] - a[i - stride] - a[i + stride]);
        steps[i] = (i + odd) & 1 ? down : across;
    }
}

/* Whether all pixels from the row before to the row after are good. */
TARGET static int NAME(all_good)(const uint8_t *bad, int64_t stride, int64_t n)
{
    int any = 0;
    for (int64_t i = 0; i < n; i++) any |= bad[i - stride] | bad[i] | bad[i + stride];
    return !any;
}

/* Level and pixel noise of the boxes of one mesh row; NaN where too few pixels are good. */
TARGET static void NAME(box_row)(const float *data, const uint8_t *bad, int64_t rows,
                                 int64_t columns, int64_t mesh_rows, int64_t mesh_columns,
                                 int64_t box, float *level, float *noise, float *core)
{
    float values[BOX_SAMPLES], steps[BOX_SAMPLES];
    int32_t key[BOX_SAMPLES];
    int64_t top = box * rows / mesh_rows, bottom = (box + 1) * rows / mesh_rows;
    for (int64_t m = 0; m < mesh_columns; m++) {
        int64_t left = m * columns / mesh_columns, right = (m + 1) * columns / mesh_columns;
        int64_t height = bottom - top, width = right - left, skip = 1, n = 0, d = 0;
        while (((height + skip - 1) / skip) * width > BOX_SAMPLES) skip++;
        for (int64_t y = top; y < bottom; y += skip) {
            int64_t start = y * columns + left;
            if (y > 0 && y < rows - 1 && left > 0 && right < columns && n + width <= BOX_SAMPLES &&
                NAME(all_good)(bad + start - 1, columns, width + 2)) {
                memcpy(values + n, data + start, width * sizeof(float));
                NAME(steps_of_good_row)(data + start, columns, width, left + y, steps + d);
                n += width;
                d += width;
                continue;
            }
            for (int64_t x = left; x < right && n < BOX_SAMPLES; x++) {
                int64_t at = y * columns + x;
                if (bad[at]) continue;
                values[n++] = data[at];
                int down = columns < 3 || (rows >= 3 && ((x + y) & 1));
                int64_t stride = down ? columns : 1, place = down ? y : x;
                int64_t last = (down ? rows : columns) - 1;
                if (place > 0 && place < last && !bad[at - stride] && !bad[at + stride])
                    steps[d++] = fabsf(2 * data[at] - data[at - stride] - data[at + stride]);
                else if (last == 1 && place == 0 && !bad[at + stride])
                    steps[d++] = 1.7320508f * fabsf(data[at + stride] - data[at]);
            }
        }
        level[m] = noise[m] = core[m] = NAN;
        if (4 * n * skip <= height * width || d == 0) continue;
        NAME(keys)(values, n, key);
        level[m] = NAME(middle_mean)(values, key, n, 0.35, 0.65);
        NAME(keys)(steps, d, key);
        /* 0.5586 = mean of a half-normal below its 80th percentile. */
        noise[m] = NAME(middle_mean)(steps, key, d, 0.0, 0.8) / (0.5586f * 2.4494897f);
        /* The same of the quietest 40 %, which hits and warm pixels hardly reach. */
        core[m] = NAME(middle_mean)(steps, key, d, 0.0, 0.4) / (0.2562f * 2.4494897f);
    }
}

/* S/N below which a share (percent) of each box of one mesh row lies, as one of `skip` pixels
   shows; NaN of fewer than 16. */
TARGET static void NAME(depth_row)(const image_t *im, int64_t box, int64_t skip, int64_t share,
                                   float *depth)
{
    float values[BOX_SAMPLES], fraction[BOX_SAMPLES];
    int32_t key[BOX_SAMPLES], low[BOX_SAMPLES];
    int64_t top = box * im->rows / im->mesh_rows, bottom = (box + 1) * im->rows / im->mesh_rows;
    int64_t below = im->mesh_rows > 1 ? im->mesh_columns : 0, right = im->mesh_columns > 1;
    for (int64_t m = 0; m < im->mesh_columns; m++) {
        int64_t first = m * im->columns / im->mesh_columns;
        int64_t last = (m + 1) * im->columns / im->mesh_columns;
        int64_t height = bottom - top, width = last - first, n = 0;
        while (height * ((width + skip - 1) / skip) > BOX_SAMPLES) skip++;
        for (int64_t x = 0; x < width; x++) {
            int64_t mx;
            mesh_weights(first + x, im->columns, im->mesh_columns, &mx, fraction + x);
            low[x] = (int32_t)mx;
        }
        for (int64_t y = top; y < bottom; y++) {
            int64_t my;
            float fy;
            mesh_weights(y, im->rows, im->mesh_rows, &my, &fy);
            const float *background = im->background + my * im->mesh_columns;
            const float *inverse = im->inverse_sigma + my * im->mesh_columns;
            const float *data = im->electrons + y * im->columns + first;
            const uint8_t *bad = im->bad + y * im->columns + first;
            /* Along diagonals, so that no row or column counts for more than its share. */
            for (int64_t x = y % skip; x < width; x += skip) {
                if (bad[x]) continue;
                const float *b = background + low[x], *s = inverse + low[x];
                float b0 = b[0] + fy * (b[below] - b[0]);
                float b1 = b[right] + fy * (b[below + right] - b[right]);
                float s0 = s[0] + fy * (s[below] - s[0]);
                float s1 = s[right] + fy * (s[below + right] - s[right]);
                values[n++] =
                    (data[x] - b0 - fraction[x] * (b1 - b0)) * (s0 + fraction[x] * (s1 - s0));
            }
        }
        depth[m] = NAN;
        if (n < 16) continue;
        NAME(keys)(values, n, key);
        int32_t found = NAME(kth)(key, n, n * share / 100);
        int32_t bits = found < 0 ? found ^ 0x7fffffff : found;
        memcpy(depth + m, &bits, sizeof bits);
    }
}
