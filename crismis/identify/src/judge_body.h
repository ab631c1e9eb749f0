/* Template of judge.h: needs NAME, TARGET, VECTOR (floats per vector) and LANES. */

#define NV (UNITS / VECTOR)

#if GNU_VECTORS
typedef float NAME(vec) __attribute__((vector_size(VECTOR * 4), aligned(4)));
typedef int32_t NAME(ivec) __attribute__((vector_size(VECTOR * 4), aligned(4)));
#endif

/* out[lane][unit] = bias + sum_k x[lane][offset[k]] * weights[k][unit] for 48 units. */
TARGET static void NAME(dense)(const float *const *x, const int32_t *offset, int inputs,
                               const float *weights, int64_t stride, const float *start,
                               int64_t start_stride, float *out, int64_t out_stride)
{
#if GNU_VECTORS
    NAME(vec) sum[LANES][NV];
    for (int l = 0; l < LANES; l++)
        for (int v = 0; v < NV; v++)
            sum[l][v] = *(const NAME(vec) *)(start + l * start_stride + v * VECTOR);
    for (int k = 0; k < inputs; k++) {
        const NAME(vec) *w = (const NAME(vec) *)(weights + k * stride);
        int32_t o = offset[k];
        for (int l = 0; l < LANES; l++) {
            float value = x[l][o];
            for (int v = 0; v < NV; v++) sum[l][v] += value * w[v];
        }
    }
    for (int l = 0; l < LANES; l++)
        for (int v = 0; v < NV; v++)
            *(NAME(vec) *)(out + l * out_stride + v * VECTOR) = sum[l][v];
#else
    for (int l = 0; l < LANES; l++) {
        float sum[UNITS];
        for (int u = 0; u < UNITS; u++) sum[u] = start[l * start_stride + u];
        for (int k = 0; k < inputs; k++) {
            float value = x[l][offset[k]];
            for (int u = 0; u < UNITS; u++) sum[u] += value * weights[k * stride + u];
        }
        for (int u = 0; u < UNITS; u++) out[l * out_stride + u] = sum[u];
    }
#endif
}

/* sum[lane][unit] = the products of pairs of inputs with their weights, [pair][unit][2]. */
TARGET INLINE static void NAME(add_some)(const int16_t *const *x, int pairs, const int16_t *weights,
                                         int64_t stride, const int units, int32_t *sum)
{
#ifdef ADD_PRODUCTS
    NAME(ivec) part[LANES][NV] = {{{0}}};
    const int vectors = units / VECTOR;
    for (int k = 0; k < pairs; k++) {
        NAME(ivec) w[NV];
        for (int v = 0; v < vectors; v++)
            memcpy(w + v, weights + k * stride + 2 * v * VECTOR, sizeof w[v]);
        for (int l = 0; l < LANES; l++) {
            int32_t pair;
            memcpy(&pair, x[l] + 2 * k, sizeof pair);
            NAME(ivec) both = (NAME(ivec)){0} + pair;
            for (int v = 0; v < vectors; v++) part[l][v] = ADD_PRODUCTS(part[l][v], w[v], both);
        }
    }
    for (int l = 0; l < LANES; l++)
        for (int v = 0; v < vectors; v++)
            *(NAME(ivec) *)(sum + l * UNITS + v * VECTOR) = part[l][v];
#else
    memset(sum, 0, LANES * UNITS * sizeof(int32_t));
    for (int k = 0; k < pairs; k++) {
        const int16_t *w = weights + k * stride;
        for (int l = 0; l < LANES; l++) {
            int32_t a = x[l][2 * k], b = x[l][2 * k + 1];
            for (int u = 0; u < units; u++)
                sum[l * UNITS + u] += a * w[2 * u] + b * w[2 * u + 1];
        }
    }
#endif
}

TARGET ALONE static void NAME(add_pairs)(const int16_t *const *x, int pairs,
                                         const int16_t *weights, int64_t stride, int32_t *sum)
{
    NAME(add_some)(x, pairs, weights, stride, UNITS, sum);
}

TARGET ALONE static void NAME(add_pairs_few)(const int16_t *const *x, int pairs,
                                             const int16_t *weights, int64_t stride, int32_t *sum)
{
    NAME(add_some)(x, pairs, weights, stride, FEW, sum);
}

/* The nearest whole number of steps. */
TARGET static int16_t NAME(to_steps)(float value, float steps)
{
    value *= steps;
    value = value < -MOST_STEPS ? -MOST_STEPS : (value > MOST_STEPS ? MOST_STEPS : value);
    return (int16_t)((int32_t)(value + (MOST_STEPS + 0.5f)) - MOST_STEPS);
}

/* Natural logarithm of a positive number. */
TARGET static float NAME(log)(float x)
{
    union { float f; uint32_t i; } u;
    u.f = x;
    int32_t exponent = (int32_t)((u.i - 0x3f2aaaabu) >> 23);
    u.i -= (uint32_t)exponent << 23;
    float m = u.f - 1.0f; /* in (-1/3, 1/3) */
    float p = 0.08720420f;
    p = p * m - 0.13870000f;
    p = p * m + 0.14962342f;
    p = p * m - 0.16638870f;
    p = p * m + 0.19993453f;
    p = p * m - 0.25000535f;
    p = p * m + 0.33333400f;
    p = p * m - 0.49999990f;
    return (float)exponent * 0.69314718f + (m + m * m * p);
}

TARGET static float NAME(asinh)(float x)
{
    float a = fabsf(x);
    float log_t = NAME(log)(a + sqrtf(a * a + 1.0f));
    return x < 0 ? -log_t : log_t;
}

TARGET static float NAME(brightness)(float snr, float sigma_electrons)
{
    return NAME(log)(1.0f + (snr > 0 ? snr : 0) / sigma_electrons);
}

/* Means of 5 x 5 boxes; direct sums, so that they do not depend on the tile. And whole steps of both
   planes; those of the boxes in an order in which the boxes of a window lie side by side. */
TARGET static int NAME(boxes)(planes_t *p)
{
    int64_t height = p->height, width = p->width;
    for (int64_t k = 0; k < height * width; k++)
        p->near_steps[k] = NAME(to_steps)(p->compressed[k], NEAR_STEPS);
    float *column_sum = malloc(width * sizeof(float));
    if (!column_sum) return -1;
    memset(p->context, 0, height * width * sizeof(float));
    for (int64_t i = 2; i < height - 2; i++) {
        const float *a = p->compressed + (i - 2) * width;
        float *context = p->context + i * width;
        for (int64_t j = 0; j < width; j++)
            column_sum[j] =
                a[j] + a[j + width] + a[j + 2 * width] + a[j + 3 * width] + a[j + 4 * width];
        for (int64_t j = 2; j < width - 2; j++)
            context[j] = (column_sum[j - 2] + column_sum[j - 1] + column_sum[j] +
                          column_sum[j + 1] + column_sum[j + 2]) * 0.04f;
    }
    int16_t *steps = (int16_t *)column_sum, *far = p->far_steps;
    for (int64_t i = 0; i < height; i++) {
        for (int64_t j = 0; j < width; j++)
            steps[j] = NAME(to_steps)(p->context[i * width + j], NEAR_STEPS);
        for (int64_t first = 0; first < STEP; first++, far += FAR_WIDTH(width))
            for (int64_t j = first, k = 0; j < width; j += STEP) far[k++] = steps[j];
    }
    free(column_sum);
    return 0;
}

/* Values of a mesh row along an image row: from[k] + fraction (from[k + right] - from[k]), where k is
   the same in each of the runs. */
TARGET static void NAME(interpolate)(const float *mesh, int64_t right, const run_t *run,
                                     const float *fraction, float *out)
{
    for (int64_t j = 0; run->end; j = run->end, run++) {
        float a = mesh[run->low], step = mesh[run->low + right] - a;
        for (int64_t k = j; k < run->end; k++) out[k] = a + fraction[k] * step;
    }
}

/* S/N and, where asked for, its asinh, without the boxes. */
TARGET static int NAME(scale)(const image_t *im, int64_t row, int64_t column, planes_t *p,
                              int compress)
{
    int64_t height = p->height, width = p->width, meshes = im->mesh_columns;
    run_t *runs = malloc((width + 1) * sizeof(run_t) + width * sizeof(int64_t) +
                         (3 * width + 2 * meshes) * sizeof(float));
    if (!runs) return -1;
    int64_t *source = (int64_t *)(runs + width + 1), n = 0;
    float *fraction = (float *)(source + width), *background = fraction + width;
    float *inverse = background + width;
    float *mesh_background = inverse + width, *mesh_inverse = mesh_background + meshes;
    for (int64_t j = 0; j < width; j++) {
        int64_t low;
        source[j] = reflect(column - p->border + j, im->columns);
        mesh_weights(source[j], im->columns, meshes, &low, &fraction[j]);
        if (!n || low != runs[n - 1].low) runs[n++].low = low;
        runs[n - 1].end = j + 1;
    }
    runs[n].end = 0;
    int64_t right = meshes > 1, below = im->mesh_rows > 1 ? meshes : 0;
    int64_t inside = column - p->border >= 0 && column - p->border + width <= im->columns;
    int64_t first = runs[0].low, last = first;
    for (int64_t r = 1; r < n; r++) {
        first = runs[r].low < first ? runs[r].low : first;
        last = runs[r].low > last ? runs[r].low : last;
    }
    last += right;
    for (int64_t i = 0; i < height; i++) {
        int64_t y = reflect(row - p->border + i, im->rows), my;
        float f;
        mesh_weights(y, im->rows, im->mesh_rows, &my, &f);
        const float *b0, *s0 = im->inverse_sigma + my * meshes;
        for (int64_t m = first; m <= last; m++)
            mesh_inverse[m] = s0[m] + f * (s0[m + below] - s0[m]);
        NAME(interpolate)(mesh_inverse, right, runs, fraction, inverse);
        if (im->full_background) {
            b0 = im->background + y * im->columns;
            for (int64_t j = 0; j < width; j++) background[j] = b0[source[j]];
        } else {
            b0 = im->background + my * meshes;
            for (int64_t m = first; m <= last; m++)
                mesh_background[m] = b0[m] + f * (b0[m + below] - b0[m]);
            NAME(interpolate)(mesh_background, right, runs, fraction, background);
        }
        const float *data = im->electrons + y * im->columns;
        const uint8_t *bad = im->bad + y * im->columns;
        float *snr = p->snr + i * width, *compressed = p->compressed + i * width;
        if (inside) {
            data += column - p->border;
            bad += column - p->border;
            for (int64_t j = 0; j < width; j++) {
                float s = (data[j] - background[j]) * inverse[j];
                snr[j] = bad[j] ? 0.0f : s;
            }
        } else
            for (int64_t j = 0; j < width; j++) {
                float s = (data[source[j]] - background[j]) * inverse[j];
                snr[j] = bad[source[j]] ? 0.0f : s;
            }
        if (compress)
            for (int64_t j = 0; j < width; j++) compressed[j] = NAME(asinh)(snr[j]);
    }
    free(runs);
    return 0;
}

TARGET static int NAME(make_planes)(const image_t *im, int64_t row, int64_t column, planes_t *p)
{
    int status = NAME(scale)(im, row, column, p, 1);
    if (status || p->border != HALO) return status;
    return NAME(boxes)(p);
}

/* Numbers of the places of a row that pass, of which the first one's is given, and how many they are;
   there is room for eight more in `passes`. */
TARGET static int64_t NAME(list_passing)(uint8_t *passes, int64_t n, int32_t first, int32_t *found)
{
    int64_t count = 0;
    if (n <= 0) return 0;
    memset(passes + n, 0, 8); /* whole words */
    for (int64_t j = 0; j < n; j += 8) {
        uint64_t word;
        memcpy(&word, passes + j, sizeof word);
        if (!word) continue;
        for (int64_t k = j; k < j + 8; k++)
            if (passes[k]) found[count++] = first + (int32_t)k;
    }
    return count;
}

/* The same of those above a number. */
TARGET static int64_t NAME(list_above)(const float *value, int64_t n, float least, int32_t first,
                                       int32_t *found)
{
    uint8_t passes[MOST_COLUMNS + 8];
    int64_t count = 0;
    for (int64_t done = 0; done < n; done += MOST_COLUMNS) {
        int64_t here = n - done < MOST_COLUMNS ? n - done : MOST_COLUMNS;
        for (int64_t j = 0; j < here; j++) passes[j] = value[done + j] > least;
        count += NAME(list_passing)(passes, here, first + (int32_t)done, found + count);
    }
    return count;
}

/* Candidates: above the floor, and not alone in the noise. */
TARGET static int64_t NAME(screen)(const model_t *m, const planes_t *p, const uint8_t *bad,
                                   int64_t stride, int32_t *found)
{
    int64_t width = p->width, first = p->border, last = width - first, n = 0;
    float floor_snr = m->floor_snr, floor_peak = m->floor_peak;
    uint8_t passes[MOST_COLUMNS + 8];
    for (int64_t i = p->border; i < p->height - p->border; i++) {
        const float *s = p->snr + i * width + first, *above = s - width, *below = s + width;
        const uint8_t *line = bad + (i - p->border) * stride;
        for (int64_t j = 0; j < last - first; j++) {
            float peak = s[j];
            peak = s[j - 1] > peak ? s[j - 1] : peak;
            peak = s[j + 1] > peak ? s[j + 1] : peak;
            for (int64_t d = -1; d <= 1; d++) {
                peak = above[j + d] > peak ? above[j + d] : peak;
                peak = below[j + d] > peak ? below[j + d] : peak;
            }
            passes[j] = (s[j] > floor_snr) & (peak > floor_peak) & !line[j];
        }
        n += NAME(list_passing)(passes, last - first, (int32_t)(i * width + first), found + n);
    }
    return n;
}

/* Fold a window along its middle row and column: sums of the four pixels that these mirror into one
   another, with all four parities. Of each row there are eight numbers from the middle column to the
   right, and eight to the left; the rows begin with the middle one of `half` on either side. */
TARGET INLINE static void NAME(fold)(const words_t *right, const words_t *left, const int half,
                                     int16_t *out)
{
    for (int i = 0; i <= half; i++, out += 8) {
        words_t even = PLUS(right[half + i], right[half - i]);
        words_t odd = MINUS(right[half + i], right[half - i]);
        words_t even_left = PLUS(left[half + i], left[half - i]);
        words_t odd_left = MINUS(left[half + i], left[half - i]);
        store_words(out, PLUS(even, even_left));
        store_words(out + FOLDED, MINUS(even, even_left));
        store_words(out + 2 * FOLDED, PLUS(odd, odd_left));
        store_words(out + 3 * FOLDED, MINUS(odd, odd_left));
    }
}

/* Sums over the eight turned and mirrored copies of what is folded, of each ring of pixels that these
   make equal. Only the first `far + 1` numbers of a line count: the next line is written over the
   others. */
TARGET INLINE static void NAME(sum_copies)(const int16_t *folded, int16_t *out)
{
    words_t near[NEAR + 1], turned[NEAR + 1];
    for (int far = 0; far <= NEAR; far++) near[far] = turned[far] = load_words(folded + 8 * far);
    transpose_words(turned);
    for (int far = 0; far <= NEAR; out += ++far) store_words(out, PLUS(near[far], turned[far]));
    folded += RATIO_AT;
    for (int far = 0; far <= INNER; far++) near[far] = turned[far] = load_words(folded + 8 * far);
    transpose_halves(turned);
    for (int far = 0; far <= INNER; far++) near[far] = PLUS(near[far], turned[far]);
    for (int far = 0; far <= INNER; out += ++far) store_words(out, near[far]);
    *out++ = 2 * folded[CENTRE_AT - RATIO_AT];
    for (int far = 2; far <= INNER; out += ++far) store_right_half(out, near[far]);
}

/* Nothing below 0; as whole numbers, of which processors find the greater one at once. */
TARGET INLINE static float NAME(positive)(float value)
{
    int32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits = bits > 0 ? bits : 0;
    memcpy(&value, &bits, sizeof bits);
    return value;
}

#if GNU_VECTORS
TARGET INLINE static void NAME(keep_positive)(eight_t *value)
{
    *value = (eight_t)((whole_eight_t)*value & (*value > 0));
}
#endif

/* What one step of the sums is worth, the bias, and nothing below 0. */
TARGET INLINE static void NAME(activate)(const int32_t *sum, const float *step, const float *bias,
                                         const int units, float *layer)
{
    for (int v = 0; v < units; v++) layer[v] = NAME(positive)(sum[v] * step[v] + bias[v]);
}

/* The same of a filter's four mirrored copies, from its sums of each parity. */
TARGET static void NAME(activate_copies)(const int32_t *ee, int64_t apart, const float *step,
                                         const float *bias, int units, float *layer)
{
    const int32_t *eo = ee + apart, *oe = eo + apart, *oo = oe + apart;
    int v = 0;
#if GNU_VECTORS
    for (; v + 8 <= units; v += 8) {
        whole_eight_t even = *(const whole_eight_t *)(ee + v), odd = *(const whole_eight_t *)(eo + v);
        whole_eight_t even_odd = *(const whole_eight_t *)(oe + v);
        whole_eight_t odd_odd = *(const whole_eight_t *)(oo + v);
        whole_eight_t a = even + even_odd, b = odd + odd_odd, c = even - even_odd, d = odd - odd_odd;
        whole_eight_t sum[4] = {a + b, a - b, c + d, c - d};
        for (int k = 0; k < 4; k++) {
            eight_t value = __builtin_convertvector(sum[k], eight_t);
            value = value * *(const eight_t *)(step + v) + *(const eight_t *)(bias + v);
            NAME(keep_positive)(&value);
            memcpy(layer + k * units + v, &value, sizeof value);
        }
    }
#endif
    for (; v < units; v++) {
        int32_t a = ee[v] + oe[v], b = eo[v] + oo[v], c = ee[v] - oe[v], d = eo[v] - oo[v];
        int32_t sum[4] = {a + b, a - b, c + d, c - d};
        for (int k = 0; k < 4; k++)
            NAME(activate)(sum + k, step + v, bias + v, 1, layer + k * units + v);
    }
}

/* Steps of one pixel's hidden units, of which the greatest has the most; what a step is worth. */
TARGET static float NAME(layer_steps)(const float *layer, int width, int16_t *out)
{
    int32_t most = 0; /* no number here is negative, so that their bits have their order */
    for (int k = 0; k < width; k++) {
        int32_t bits;
        memcpy(&bits, layer + k, sizeof bits);
        most = bits > most ? bits : most;
    }
    float greatest;
    memcpy(&greatest, &most, sizeof greatest);
    float steps = greatest > 0 ? MOST_HIDDEN / greatest : 0;
    for (int k = 0; k < width; k++) out[k] = (int16_t)(int32_t)(layer[k] * steps + 0.5f);
    return greatest / MOST_HIDDEN;
}

/* Whole steps of eight ratios between -1 and 4. */
TARGET INLINE static words_t NAME(ratio_steps)(const float *line, float inverse)
{
#if GNU_VECTORS
    const whole_eight_t low = (whole_eight_t)((eight_t){0} - 1.0f);
    const whole_eight_t high = (whole_eight_t)((eight_t){0} + 4.0f);
    eight_t ratio = *(const eight_t *)line * inverse;
    whole_eight_t bits = (whole_eight_t)ratio, under = ratio < -1.0f, over = ratio > 4.0f;
    ratio = (eight_t)((under & low) | (over & high) | (~(under | over) & bits));
    ratio = ratio * RATIO_STEPS + (MOST_STEPS + 0.5f);
    return __builtin_convertvector(__builtin_convertvector(ratio, whole_eight_t) - MOST_STEPS,
                                   words_t);
#else
    int16_t steps[8];
    for (int j = 0; j < 8; j++) {
        float ratio = line[j] * inverse;
        ratio = ratio < -1.0f ? -1.0f : (ratio > 4.0f ? 4.0f : ratio);
        steps[j] = NAME(to_steps)(ratio, RATIO_STEPS);
    }
    return load_words(steps);
#endif
}

/* What the large network sees of a pixel, folded: four times FOLDED numbers. The windows of ratios
   and of boxes are folded together. */
TARGET static void NAME(see)(const image_t *im, const planes_t *p, int32_t at, int16_t *out)
{
    const float *s = p->snr + at;
    float centre = s[0], inverse = 1.0f / (centre > 1.0f ? centre : 1.0f);
    int32_t width = (int32_t)p->width, row = at / width, column = at % width;
    words_t right[2 * NEAR + 1], left[2 * NEAR + 1];
    for (int i = 0; i <= 2 * NEAR; i++) {
        const int16_t *middle = p->near_steps + at + (i - NEAR) * width;
        words_t before = load_words(middle - 7);
        right[i] = load_words(middle);
        left[i] = PICK(before, before, 7, 6, 5, 4, 3, 2, 1, 0);
    }
    NAME(fold)(right, left, NEAR, out);
    for (int i = 0; i <= 2 * INNER; i++) {
        const float *line = s + (i - INNER) * width - INNER;
        int32_t line_of_boxes = (row + (i - INNER) * STEP) * STEP + column % STEP;
        words_t ratios = NAME(ratio_steps)(line, inverse);
        words_t boxes = load_words(p->far_steps + (int64_t)line_of_boxes * FAR_WIDTH(width) +
                                   column / STEP - INNER);
        right[i] = PICK(ratios, boxes, 3, 4, 5, 6, 11, 12, 13, 14);
        left[i] = PICK(ratios, boxes, 3, 2, 1, 0, 11, 10, 9, 8);
    }
    NAME(fold)(right, left, INNER, out + RATIO_AT);
    int16_t brightness = NAME(to_steps)(NAME(brightness)(centre, im->sigma_electrons), NEAR_STEPS);
    for (int parity = 0; parity < 4; parity++) {
        out[parity * FOLDED + CENTRE_AT] = parity ? 0 : 4 * brightness;
        out[parity * FOLDED + CENTRE_AT + 1] = 0;
    }
}

/* The last layer: the bias, and what the hidden units add, in an order that suits all registers. */
TARGET INLINE static float NAME(add_up)(const float *hidden, const float *weights)
{
#if GNU_VECTORS
    eight_t sum[2];
    for (int u = 0; u < UNITS; u += 8) {
        eight_t value = *(const eight_t *)(hidden + u), weight = *(const eight_t *)(weights + u);
        NAME(keep_positive)(&value);
        if (u < 16)
            sum[u / 8] = value * weight;
        else
            sum[u / 8 % 2] += value * weight;
    }
    eight_t all = sum[0] + sum[1];
    all += PICK(all, all, 4, 5, 6, 7, 0, 1, 2, 3);
    all += PICK(all, all, 2, 3, 0, 1, 6, 7, 4, 5);
    return weights[UNITS] + (all[0] + all[1]);
#else
    float sum[16];
    for (int v = 0; v < 16; v++) sum[v] = (hidden[v] > 0 ? hidden[v] : 0) * weights[v];
    for (int u = 16; u < UNITS; u += 16)
        for (int v = 0; v < 16; v++)
            sum[v] += (hidden[u + v] > 0 ? hidden[u + v] : 0) * weights[u + v];
    for (int n = 8; n; n /= 2)
        for (int v = 0; v < n; v++) sum[v] += sum[v + n];
    return weights[UNITS] + sum[0];
#endif
}

/* Of FEW sums, those that each unit takes. */
TARGET INLINE static void NAME(share)(const int32_t *sums, const int32_t *which, int32_t *out)
{
#ifdef PICK_SUMS
    NAME(ivec) low, high, place;
    memcpy(&low, sums, sizeof low);
    memcpy(&high, sums + VECTOR, sizeof high);
    for (int v = 0; v < UNITS; v += VECTOR) {
        memcpy(&place, which + v, sizeof place);
        place = PICK_SUMS(low, place, high);
        memcpy(out + v, &place, sizeof place);
    }
#else
    for (int v = 0; v < UNITS; v++) out[v] = sums[which[v]];
#endif
}

TARGET static void NAME(judge_block)(const image_t *im, const model_t *m, const planes_t *p,
                                     const int32_t *places, float *layer, float *logit)
{
    const int16_t *seen[4][LANES], *even[LANES], *hidden[LANES], *hidden_even[LANES];
    int width = m->turned + m->even, filters = m->turned / 4;
    int16_t *folded = (int16_t *)(layer + LANES * width), *sums = folded + 4 * LANES * FOLDED;
    int16_t *active = sums + LANES * N_EVEN;
    ALIGNED int32_t sum[4][LANES * UNITS];
    float worth[LANES];
    for (int l = 0; l < LANES; l++) {
        int16_t *out = folded + 4 * l * FOLDED, *rings = sums + l * N_EVEN;
        for (int parity = 0; parity < 4; parity++) seen[parity][l] = out + parity * FOLDED;
        even[l] = rings;
        hidden[l] = active + (int64_t)l * width;
        hidden_even[l] = hidden[l] + m->turned;
        NAME(see)(im, p, places[l], out);
        NAME(sum_copies)(out, rings);
    }
    for (int f = 0; f < filters; f += FEW) {
        int here = filters - f < FEW ? filters - f : FEW;
        for (int parity = 0; parity < 4; parity++)
            NAME(add_pairs_few)(seen[parity], FOLDED / 2,
                                m->turned_weights + ((int64_t)parity * FOLDED * m->filters + 2 * f),
                                2 * m->filters, sum[parity]);
        for (int l = 0; l < LANES; l++)
            NAME(activate_copies)(sum[0] + l * UNITS, LANES * UNITS, m->turned_step + f,
                                  m->turned_bias + f, here, layer + l * width + 4 * f);
    }
    for (int u = 0; u < m->even; u += UNITS) {
        NAME(add_pairs)(even, N_EVEN / 2, m->even_weights + 2 * u, 2 * m->even, sum[0]);
        for (int l = 0; l < LANES; l++)
            NAME(activate)(sum[0] + l * UNITS, m->even_step + u, m->even_bias + u, UNITS,
                           layer + l * width + m->turned + u);
    }
    for (int l = 0; l < LANES; l++)
        worth[l] = NAME(layer_steps)(layer + l * width, width, active + (int64_t)l * width);
    NAME(add_pairs)(hidden, m->turned / 2, m->turned_weights2, 2 * UNITS, sum[0]);
    NAME(add_pairs_few)(hidden_even, m->even / 2, m->even_weights2, 2 * FEW, sum[1]);
    for (int l = 0; l < LANES; l++) {
        ALIGNED float second[UNITS];
        ALIGNED int32_t shared[UNITS];
        NAME(share)(sum[1] + l * UNITS, m->shared2, shared);
        for (int v = 0; v < UNITS; v++) {
            int32_t total = sum[0][l * UNITS + v] + shared[v];
            second[v] = total * (m->step2[v] * worth[l]) + m->bias2[v];
        }
        logit[l] = NAME(add_up)(second, m->weights3);
    }
}

/* The small networks: windows of one or more planes and the centre's brightness. */
TARGET static void NAME(small_block)(const image_t *im, const planes_t *p, const int32_t *places,
                                     const int32_t *offset, const float *const *more, int n_more,
                                     const float *weights, const float *bias,
                                     const float *out_weights, float *logit)
{
    const float *window[LANES], *extra[LANES];
    float brightness[LANES], part[LANES * UNITS];
    const int32_t none[1] = {0};
    for (int l = 0; l < LANES; l++) {
        window[l] = p->compressed + places[l];
        brightness[l] = NAME(brightness)(p->snr[places[l]], im->sigma_electrons);
        extra[l] = brightness + l;
    }
    NAME(dense)(window, offset, N_INNER, weights, UNITS, bias, 0, part, UNITS);
    weights += N_INNER * UNITS;
    for (int k = 0; k < n_more; k++) {
        for (int l = 0; l < LANES; l++) window[l] = more[k] + places[l];
        NAME(dense)(window, offset, N_INNER, weights, UNITS, part, UNITS, part, UNITS);
        weights += N_INNER * UNITS;
    }
    NAME(dense)(extra, none, 1, weights, UNITS, part, UNITS, part, UNITS);
    for (int l = 0; l < LANES; l++) logit[l] = NAME(add_up)(part + l * UNITS, out_weights);
}

/* First logits of what the screen found; while models are trained, a small network drops the clear
   cases. */
TARGET static int64_t NAME(judge_found)(const image_t *im, const model_t *m, work_t *w, int64_t n)
{
    const planes_t *p = &w->planes;
    int32_t *found = w->found;
    float logit[LANES];
    int drops = m->first_cut > NOTHING;
    int64_t kept = drops ? 0 : n;
    for (int64_t i = 0; drops && i < n; i += LANES) {
        int32_t places[LANES];
        int64_t here = n - i < LANES ? n - i : LANES;
        for (int l = 0; l < LANES; l++) places[l] = found[i + (l < here ? l : 0)];
        NAME(small_block)(im, p, places, w->inner, NULL, 0, m->first_weights,
                          m->first_bias, m->first_out, logit);
        for (int l = 0; l < here; l++)
            if (logit[l] > m->first_cut) found[kept++] = places[l];
    }
    for (int64_t i = 0; i < kept; i += LANES) {
        int32_t places[LANES];
        int64_t here = kept - i < LANES ? kept - i : LANES;
        for (int l = 0; l < LANES; l++) places[l] = found[i + (l < here ? l : 0)];
        NAME(judge_block)(im, m, p, places, w->scratch, logit);
        for (int l = 0; l < here; l++)
            w->logits[i + l] = logit[l] > NOTHING + 1 ? logit[l] : NOTHING + 1;
    }
    return kept;
}

TARGET static void NAME(judge_planes)(const image_t *im, const model_t *m, work_t *w, int64_t row,
                                      int64_t column, float *out)
{
    const planes_t *p = &w->planes;
    int64_t rows = p->height - 2 * HALO, columns = p->width - 2 * HALO;
    out += row * im->columns + column;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) out[i * im->columns + j] = NOTHING;
    const uint8_t *bad = im->bad + row * im->columns + column;
    int64_t n = NAME(judge_found)(im, m, w, NAME(screen)(m, p, bad, im->columns, w->found));
    for (int64_t k = 0; k < n; k++) {
        int64_t y = w->found[k] / p->width - HALO, x = w->found[k] % p->width - HALO;
        out[y * im->columns + x] = w->logits[k];
    }
}

TARGET static float NAME(limited)(float logit)
{
    return logit < -LOGIT_RANGE ? -LOGIT_RANGE : (logit > LOGIT_RANGE ? LOGIT_RANGE : logit);
}

TARGET static float NAME(without_hit)(float seen, float logit)
{
    return logit > -LOGIT_RANGE ? seen / (1.0f + expf(logit)) : seen;
}

/* What a refinement sees beside the image: the logits before, and the scene without its hits. */
TARGET static void NAME(refine_inputs)(const float *seen, float *logit, float *rest, int64_t n)
{
    for (int64_t j = 0; j < n; j++) logit[j] = NAME(limited)(logit[j]);
    for (int64_t j = 0; j < n; j++) rest[j] = NAME(without_hit)(seen[j], logit[j]);
}

/* The same where only the places found have been judged since. */
TARGET static void NAME(renew_inputs)(work_t *w, int64_t n)
{
    for (int64_t l = 0; l < n; l++) {
        int32_t at = w->found[l];
        w->near[at] = NAME(limited)(w->last[at]);
        w->rest[at] = NAME(without_hit)(w->planes.compressed[at], w->near[at]);
    }
}

/* Sums of trees for TOGETHER pixels, from x[input][pixel]. Every node takes from the pixels that it
   sends to the right the leaves on its left; the first leaf that is left is where a pixel ends
   (Lucchese et al. 2015, QuickScorer), so that no pixel goes a way of its own. */
TARGET static void NAME(sum_trees)(const trees_t *t, const float *x, float *sum)
{
    const node_t *node = t->nodes;
    for (int l = 0; l < TOGETHER; l++) sum[l] = t->start;
    for (int64_t tree = 0; tree < t->n; tree++) {
        const float *leaves = t->leaves + tree * MOST_LEAVES;
        const node_t *end = t->nodes + t->ends[tree];
        int32_t left[TOGETHER];
#if GNU_VECTORS
        NAME(ivec) some[TOGETHER / VECTOR];
        for (int v = 0; v < TOGETHER / VECTOR; v++) some[v] = (NAME(ivec)){0} - 1;
        for (; node < end; node++) {
            const NAME(vec) *value = (const NAME(vec) *)(x + (int64_t)node->input * TOGETHER);
            for (int v = 0; v < TOGETHER / VECTOR; v++)
                some[v] &= ~(value[v] > node->value) | node->right;
        }
        memcpy(left, some, sizeof left);
#else
        for (int l = 0; l < TOGETHER; l++) left[l] = -1;
        for (; node < end; node++) {
            const float *value = x + (int64_t)node->input * TOGETHER;
            for (int l = 0; l < TOGETHER; l++)
                left[l] &= value[l] > node->value ? node->right : -1;
        }
#endif
        for (int l = 0; l < TOGETHER; l++) {
            union { float f; uint32_t i; } lowest; /* its exponent tells which bit it is */
            lowest.f = (float)(left[l] & -left[l]);
            sum[l] += leaves[(lowest.i >> 23 & 255) - 127];
        }
    }
    for (int l = 0; l < TOGETHER; l++) sum[l] = sum[l] > NOTHING + 1 ? sum[l] : NOTHING + 1;
}

/* Logits of places by the sum of trees, from the same inputs as a refinement's. */
TARGET static void NAME(trees_found)(const image_t *im, const trees_t *t, work_t *w, int64_t n)
{
    const planes_t *p = &w->planes;
    const float *plane[3] = {p->compressed, w->near, w->rest};
    const int32_t *offset = w->inner;
    float x[N_REFINE * TOGETHER], sum[TOGETHER];
    for (int64_t i = 0; i < n; i += TOGETHER) {
        int here = (int)(n - i < TOGETHER ? n - i : TOGETHER);
        for (int l = 0; l < TOGETHER; l++) {
            const int32_t place = w->found[i + (l < here ? l : 0)];
            float *input = x + l;
            for (int k = 0; k < 3; k++)
                for (int o = 0; o < N_INNER; o++, input += TOGETHER)
                    *input = plane[k][place + offset[o]];
            *input = NAME(brightness)(p->snr[place], im->sigma_electrons);
        }
        NAME(sum_trees)(t, x, sum);
        memcpy(w->logits + i, sum, here * sizeof(float));
    }
}

/* Logits of the places found, from the planes of `refine_inputs`. */
TARGET static void NAME(refine_found)(const image_t *im, const model_t *m, int which, work_t *w,
                                      int64_t n)
{
    if (which == m->refinements) {
        NAME(trees_found)(im, &m->trees, w, n);
        return;
    }
    const float *weights = m->refine_weights + (int64_t)which * N_REFINE * UNITS;
    const float *bias = m->refine_bias + which * UNITS;
    const float *out_weights = m->refine_out + which * (UNITS + 1);
    const float *more[2] = {w->near, w->rest};
    float logit[LANES];
    for (int64_t i = 0; i < n; i += LANES) {
        int32_t places[LANES];
        int64_t here = n - i < LANES ? n - i : LANES;
        for (int l = 0; l < LANES; l++) places[l] = w->found[i + (l < here ? l : 0)];
        NAME(small_block)(im, &w->planes, places, w->inner, more, 2, weights, bias,
                          out_weights, logit);
        for (int l = 0; l < here; l++) {
            float sum = w->near[places[l]] + logit[l];
            w->logits[i + l] = sum > NOTHING + 1 ? sum : NOTHING + 1;
        }
    }
}

/* Which blocks of a row the windows of the pixels above a logit reach. */
TARGET static void NAME(mark_needed)(work_t *w, float least)
{
    int64_t width = w->planes.width, height = w->planes.height, blocks = BLOCKS(width);
    memset(w->needed, 0, height * blocks);
    for (int64_t i = 0; i < height; i++)
        for (int64_t b = 0; b < blocks; b++) {
            const float *value = w->last + i * width + b * BLOCK;
            int64_t here = width - b * BLOCK < BLOCK ? width - b * BLOCK : BLOCK;
            int32_t any = 0, left = 0, right = 0;
            if (here == BLOCK) /* a number that the compiler knows fits its registers */
                for (int64_t j = 0; j < BLOCK; j++) any |= value[j] > least;
            else
                for (int64_t j = 0; j < here; j++) any |= value[j] > least;
            if (!any) continue;
            for (int64_t j = 0; j < here && j < INNER; j++) {
                left |= value[j] > least;
                right |= value[here - 1 - j] > least;
            }
            int64_t last = i + INNER < height ? i + INNER : height - 1;
            for (int64_t y = i < INNER ? 0 : i - INNER; y <= last; y++) {
                uint8_t *needed = w->needed + y * blocks + b;
                needed[0] = 1;
                if (left && b > 0) needed[-1] = 1;
                if (right && b + 1 < blocks) needed[1] = 1;
            }
        }
}

/* What the refinements see, in the blocks that they need. */
TARGET static void NAME(fill_needed)(work_t *w)
{
    const planes_t *p = &w->planes;
    int64_t width = p->width, blocks = BLOCKS(width);
    for (int64_t k = 0; k < p->height * blocks; k++) {
        if (!w->needed[k]) continue;
        int64_t column = k % blocks * BLOCK, at = k / blocks * width + column;
        int64_t here = width - column < BLOCK ? width - column : BLOCK;
        for (int64_t j = at; j < at + here; j++) p->compressed[j] = NAME(asinh)(p->snr[j]);
        memcpy(w->near + at, w->last + at, here * sizeof(float));
        NAME(refine_inputs)(p->compressed + at, w->near + at, w->rest + at, here);
    }
}

/* One judgement after the other of a tile with so many times INNER pixels around it, from `which` on;
   each takes away INNER pixels of its border. What lies outside of the image mirrors what is inside. */
TARGET static int NAME(refine_planes)(const image_t *im, const model_t *m, int which, int count,
                                      work_t *w, int64_t row, int64_t column,
                                      const float *logits, float *out)
{
    const planes_t *p = &w->planes;
    const int64_t *from = w->from_column, *from_row = w->from_row;
    int64_t width = p->width, height = p->height, border = p->border;
    int64_t rows = height - 2 * border, columns = width - 2 * border;
    int64_t top = row - border, left = column - border; /* of the planes in the image */
    int mirrored = top < 0 || top + height > im->rows || left < 0 || left + width > im->columns;
    float *last = w->last;
    for (int64_t i = 0; i < height; i++) {
        const float *source = logits + from_row[i] * im->columns;
        if (!mirrored)
            memcpy(last + i * width, source + left, width * sizeof(float));
        else
            for (int64_t j = 0; j < width; j++) last[i * width + j] = source[from[j]];
    }
    if (NAME(scale)(im, row, column, &w->planes, 0)) return -1;
    NAME(mark_needed)(w, least_judged(m, which));
    int64_t n = 0;
    for (int k = 0; k < count; k++) {
        int64_t edge = INNER * (k + 1);
        float least = least_judged(m, which + k);
        if (k == 0 || mirrored)
            NAME(fill_needed)(w);
        else
            NAME(renew_inputs)(w, n);
        n = 0;
        int64_t first = edge > -left ? edge : -left;
        int64_t end = edge > left + width - im->columns ? width - edge : im->columns - left;
        for (int64_t i = edge; i < height - edge; i++)
            if (from_row[i] == top + i)
                n += NAME(list_above)(last + i * width + first, end - first, least,
                                      (int32_t)(i * width + first), w->found + n);
        NAME(refine_found)(im, m, which + k, w, n);
        for (int64_t l = 0; l < n; l++) last[w->found[l]] = w->logits[l];
        for (int64_t i = 0; mirrored && i < height; i++)
            for (int64_t j = 0; j < width; j++)
                if (from_row[i] != top + i || from[j] != left + j)
                    last[i * width + j] = last[(from_row[i] - top) * width + from[j] - left];
    }
    int final = which + count == later_judgements(m);
    for (int64_t i = 0; i < rows; i++) {
        const float *line = last + (i + border) * width + border;
        float *to = out + (row + i) * im->columns + column;
        if (!final) {
            memcpy(to, line, columns * sizeof(float));
            continue;
        }
        memset(to, 0, columns * sizeof(float));
        n = NAME(list_above)(line, columns, NOTHING, 0, w->found);
        for (int64_t k = 0; k < n; k++)
            to[w->found[k]] = probability(line[w->found[k]], m->table);
    }
    return 0;
}

/* Fill hits from the pixels around them, each with the weight of its distance to the power -4. */
TARGET static void NAME(fill_hits)(const image_t *im, const float *judged, work_t *w)
{
    static const float weight[9] = {0, 1, 1 / 4.0f, 0, 1 / 16.0f, 1 / 25.0f, 0, 0, 1 / 64.0f};
    const planes_t *p = &w->planes;
    uint8_t *unusable = w->unusable;
    int64_t width = p->width, left = w->from_column[0];
    int inside = w->from_column[width - 1] - left == width - 1;
    for (int64_t i = 0; i < p->height; i++) {
        const float *value = judged + w->from_row[i] * im->columns;
        const uint8_t *bad = im->bad + w->from_row[i] * im->columns;
        uint8_t *to = unusable + i * width;
        if (inside)
            for (int64_t j = 0; j < width; j++)
                to[j] = value[left + j] >= HIT ? 2 : bad[left + j] != 0;
        else
            for (int64_t j = 0; j < width; j++) {
                int64_t at = w->from_column[j];
                to[j] = value[at] >= HIT ? 2 : bad[at] != 0;
            }
    }
    for (int64_t i = 0; i < p->height; i++)
        for (int64_t j = 0; j < width; j++) {
            if (unusable[i * width + j] != 2) continue;
            float sum = 0, total = 0;
            for (int64_t y = i < 2 ? 0 : i - 2; y <= i + 2 && y < p->height; y++)
                for (int64_t x = j < 2 ? 0 : j - 2; x <= j + 2 && x < width; x++) {
                    if (unusable[y * width + x]) continue;
                    float share = weight[(y - i) * (y - i) + (x - j) * (x - j)];
                    sum += share * p->snr[y * width + x];
                    total += share;
                }
            float value = total > 0 ? sum / total : 0.0f;
            p->snr[i * width + j] = value;
            p->compressed[i * width + j] = NAME(asinh)(value);
        }
}

/* Whether the scene is bright where the hits around a pixel were. */
TARGET static int NAME(beside_source)(const planes_t *p, const uint8_t *unusable, int64_t centre)
{
    float sum = 0;
    int hits = 0;
    for (int64_t i = -LOOK_REACH; i <= LOOK_REACH; i++)
        for (int64_t k = centre + i * p->width - LOOK_REACH;
             k <= centre + i * p->width + LOOK_REACH; k++)
            if (unusable[k] == 2) {
                sum += p->snr[k];
                hits++;
            }
    return sum > SOURCE_SNR * hits;
}

/* Chebyshev distance of each pixel to the nearest of some places, as far as it matters. */
TARGET static void NAME(measure_distance)(const int32_t *at, int64_t n, int64_t reach, work_t *w)
{
    int64_t width = w->planes.width;
    memset(w->distance, 255, width * w->planes.height);
    for (int64_t k = 0; k < n; k++)
        for (int64_t y = -reach; y <= reach; y++)
            for (int64_t x = -reach; x <= reach; x++) {
                int64_t far = llabs(y) > llabs(x) ? llabs(y) : llabs(x);
                uint8_t *distance = w->distance + at[k] + y * width + x;
                if (far < *distance) *distance = (uint8_t)far;
            }
}

/* The probabilities of a few places near one another, in a scene whose hits are filled. */
TARGET static int NAME(look)(const image_t *im, const model_t *const *first, int n_first,
                             const model_t *m, const float *judged, const int64_t *places,
                             int64_t n, work_t *w, float *out)
{
    planes_t *p = &w->planes;
    int32_t at[CELL * CELL];
    int judgements = later_judgements(m);
    int64_t reach = INNER * judgements, top = im->rows, left = im->columns, bottom = 0, right = 0;
    for (int64_t k = 0; k < n; k++) {
        int64_t y = places[k] / im->columns, x = places[k] % im->columns;
        top = y < top ? y : top;
        left = x < left ? x : left;
        bottom = y > bottom ? y : bottom;
        right = x > right ? x : right;
    }
    int64_t row = top - reach, column = left - reach;
    set_tile(w, im, row, column, bottom - top + 1 + 2 * reach, right - left + 1 + 2 * reach);
    if (NAME(scale)(im, row, column, p, 1)) return -1;
    NAME(fill_hits)(im, judged, w);
    int64_t width = p->width, size = width * p->height, beside = 0, found;
    for (int64_t k = 0; k < n; k++) {
        int64_t y = places[k] / im->columns - row, x = places[k] % im->columns - column;
        at[k] = (int32_t)((y + p->border) * width + x + p->border);
        out[k] = -1;
        if (NAME(beside_source)(p, w->unusable, at[k])) {
            out[k] = judged[places[k]];
            beside++;
        }
    }
    if (beside == n) return 0;
    if (NAME(boxes)(p)) return -1;
    NAME(measure_distance)(at, n, reach, w);
    for (int64_t k = 0; k < size; k++) {
        w->unusable[k] = w->unusable[k] == 1 || w->distance[k] > reach;
        w->last[k] = NOTHING;
    }
    const uint8_t *unusable = w->unusable + p->border * (width + 1);
    for (int f = 0; f < n_first; f++) {
        for (int64_t k = 0; k < size; k++) w->near[k] = NOTHING;
        found = NAME(screen)(first[f], p, unusable, width, w->found);
        found = NAME(judge_found)(im, first[f], w, found);
        for (int64_t k = 0; k < found; k++) w->near[w->found[k]] = w->logits[k];
        for (int64_t k = 0; k < size; k++)
            if (f == 0 || w->near[k] < w->last[k]) w->last[k] = w->near[k];
    }
    int64_t start = p->border * width, end = size - start;
    memcpy(w->near + start, w->last + start, (end - start) * sizeof(float));
    NAME(refine_inputs)(p->compressed + start, w->near + start, w->rest + start, end - start);
    for (int which = 0; which < judgements; which++) {
        int64_t half = INNER * (judgements - 1 - which);
        float least = least_judged(m, which);
        if (which) NAME(renew_inputs)(w, found);
        found = 0;
        for (int64_t k = start; k < end; k++)
            if (w->distance[k] <= half && w->last[k] > least) w->found[found++] = (int32_t)k;
        NAME(refine_found)(im, m, which, w, found);
        for (int64_t k = 0; k < found; k++) w->last[w->found[k]] = w->logits[k];
    }
    for (int64_t k = 0; k < n; k++)
        if (out[k] < 0) out[k] = probability(w->last[at[k]], m->table);
    return 0;
}

TARGET static int NAME(look_again)(const image_t *im, const model_t *const *first, int n_first,
                                   const model_t *m, const float *judged, const int64_t *places,
                                   int64_t n, float *out)
{
    int64_t side = CELL + 2 * INNER * later_judgements(m);
    size_t scratch = 0;
    for (int f = 0; f < n_first; f++)
        if (SCRATCH(first[f], LANES) > scratch) scratch = SCRATCH(first[f], LANES);
    work_t work;
    /* Two pixels more, so that hits are filled the same wherever the border lies. */
    if (!allocate_work(&work, side, side, HALO + 2, scratch)) return -1;
    int status = 0;
    for (int64_t k = 0, end; k < n && status == 0; k = end) {
        int64_t cell = cell_of(places[k], im->columns);
        for (end = k; end < n && cell_of(places[end], im->columns) == cell; end++)
            if (end == k + CELL * CELL) break;
        status = NAME(look)(im, first, n_first, m, judged, places + k, end - k, &work, out + k);
    }
    free(work.memory);
    return status;
}
#undef NV
