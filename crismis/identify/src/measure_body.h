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

/* The k-th smallest of some numbers, bit by bit from the first in which they differ: counting takes no
   branch that could be guessed wrong. */
TARGET static int16_t NAME(kth_half)(const int16_t *half, int64_t n, int64_t k)
{
    uint16_t found = 0x8000u, differ = 0;
    int bit = 15;
    for (int64_t i = 0; i < n; i++) differ |= (uint16_t)(half[i] ^ half[0]);
    if (!(differ >> 15)) {
        while (bit >= 0 && !(differ >> bit)) bit--;
        found = (uint16_t)((uint16_t)half[0] >> (bit + 1) << (bit + 1));
    }
    for (; bit >= 0; bit--) {
        int16_t trial = (int16_t)(found + (1u << bit)), below = 0;
        for (int64_t i = 0; i < n; i++) below += half[i] < trial;
        if (below <= k) found = (uint16_t)trial;
    }
    return (int16_t)found;
}

/* Key of the k-th smallest value: first its upper half, then its lower one among those that share
   the upper, since registers hold twice as many halves. */
TARGET static int32_t NAME(kth)(const int32_t *key, int64_t n, int64_t k)
{
    int16_t half[BOX_SAMPLES] = {0}, below = 0;
    for (int64_t i = 0; i < n; i++) half[i] = (int16_t)(key[i] >> 16);
    int16_t high = NAME(kth_half)(half, n, k);
    for (int64_t i = 0; i < n; i++) {
        below += half[i] < high;
        half[i] = half[i] == high ? (int16_t)((key[i] & 0xffff) - 0x8000) : INT16_MAX;
    }
    int32_t low = NAME(kth_half)(half, n, k - below) + 0x8000;
    return (int32_t)((uint32_t)high << 16) | low;
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
   shows; NaN of fewer than 16. Gives -1 when memory runs out. */
TARGET static int NAME(depth_row)(const image_t *im, int64_t box, int64_t skip, int64_t share,
                                  float *depth)
{
    int32_t key[BOX_SAMPLES];
    int64_t columns = im->columns, boxes = im->mesh_columns;
    int64_t top = box * im->rows / im->mesh_rows, bottom = (box + 1) * im->rows / im->mesh_rows;
    int64_t below = im->mesh_rows > 1 ? boxes : 0, right = boxes > 1;
    int64_t *low = malloc(columns * (sizeof(int64_t) + sizeof(float)) +
                          boxes * (2 * sizeof(int64_t) + (BOX_SAMPLES + 2) * sizeof(float)));
    if (!low) return -1;
    int64_t *count = low + columns, *apart = count + boxes;
    float *fraction = (float *)(apart + boxes), *values = fraction + columns;
    float *level = values + boxes * BOX_SAMPLES, *inverse = level + boxes;
    for (int64_t x = 0; x < columns; x++) mesh_weights(x, columns, boxes, low + x, fraction + x);
    for (int64_t m = 0; m < boxes; m++) {
        int64_t width = (m + 1) * columns / boxes - m * columns / boxes;
        count[m] = 0;
        apart[m] = skip;
        while ((bottom - top) * ((width + apart[m] - 1) / apart[m]) > BOX_SAMPLES) apart[m]++;
    }
    /* Row by row through all boxes, as the image lies in memory. */
    for (int64_t y = top; y < bottom; y++) {
        int64_t my;
        float fy;
        mesh_weights(y, im->rows, im->mesh_rows, &my, &fy);
        const float *b = im->background + my * boxes, *s = im->inverse_sigma + my * boxes;
        const float *data = im->electrons + y * columns;
        const uint8_t *bad = im->bad + y * columns;
        for (int64_t m = 0; m < boxes; m++) {
            level[m] = b[m] + fy * (b[m + below] - b[m]);
            inverse[m] = s[m] + fy * (s[m + below] - s[m]);
        }
        for (int64_t m = 0; m < boxes; m++) {
            int64_t first = m * columns / boxes, last = (m + 1) * columns / boxes, n = count[m];
            /* Along diagonals, so that no row or column counts for more than its share. */
            for (int64_t x = first + y % apart[m]; x < last; x += apart[m]) {
                float b0 = level[low[x]], b1 = level[low[x] + right];
                float s0 = inverse[low[x]], s1 = inverse[low[x] + right];
                values[m * BOX_SAMPLES + n] =
                    (data[x] - b0 - fraction[x] * (b1 - b0)) * (s0 + fraction[x] * (s1 - s0));
                n += !bad[x];
            }
            count[m] = n;
        }
    }
    for (int64_t m = 0; m < boxes; m++) {
        int64_t n = count[m];
        depth[m] = NAN;
        if (n < 16) continue;
        NAME(keys)(values + m * BOX_SAMPLES, n, key);
        int32_t found = NAME(kth)(key, n, n * share / 100);
        int32_t bits = found < 0 ? found ^ 0x7fffffff : found;
        memcpy(depth + m, &bits, sizeof bits);
    }
    free(low);
    return 0;
}
