/* Template of judge.h: needs NAME, TARGET, VECTOR (floats per vector) and LANES. */

#define NV (UNITS / VECTOR)

#if GNU_VECTORS
typedef float NAME(vec) __attribute__((vector_size(VECTOR * 4), aligned(4)));
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

/* Means of 5 x 5 boxes; direct sums, so that they do not depend on the tile. */
TARGET static int NAME(boxes)(planes_t *p)
{
    int64_t height = p->height, width = p->width;
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
    free(column_sum);
    return 0;
}

/* S/N and its asinh, without the boxes. */
TARGET static int NAME(scale)(const image_t *im, int64_t row, int64_t column, planes_t *p)
{
    int64_t height = p->height, width = p->width;
    int64_t *source = malloc(width * 2 * sizeof(int64_t));
    float *scratch = malloc((3 * width + 2 * im->mesh_columns) * sizeof(float));
    if (!source || !scratch) {
        free(source);
        free(scratch);
        return -1;
    }
    int64_t *low = source + width;
    float *fraction = scratch, *background = scratch + width, *inverse = scratch + 2 * width;
    float *mesh_background = scratch + 3 * width;
    float *mesh_inverse = mesh_background + im->mesh_columns;
    for (int64_t j = 0; j < width; j++) {
        source[j] = reflect(column - p->border + j, im->columns);
        mesh_weights(source[j], im->columns, im->mesh_columns, &low[j], &fraction[j]);
    }
    int64_t right = im->mesh_columns > 1 ? 1 : 0;
    int64_t inside = column - p->border >= 0 && column - p->border + width <= im->columns;
    for (int64_t i = 0; i < height; i++) {
        int64_t y = reflect(row - p->border + i, im->rows), my;
        float f;
        mesh_weights(y, im->rows, im->mesh_rows, &my, &f);
        const float *b0, *s0;
        s0 = im->inverse_sigma + my * im->mesh_columns;
        int64_t below = im->mesh_rows > 1 ? im->mesh_columns : 0;
        for (int64_t m = 0; m < im->mesh_columns; m++)
            mesh_inverse[m] = s0[m] + f * (s0[m + below] - s0[m]);
        for (int64_t j = 0; j < width; j++)
            inverse[j] = mesh_inverse[low[j]] +
                         fraction[j] * (mesh_inverse[low[j] + right] - mesh_inverse[low[j]]);
        if (im->full_background) {
            b0 = im->background + y * im->columns;
            for (int64_t j = 0; j < width; j++) background[j] = b0[source[j]];
        } else {
            b0 = im->background + my * im->mesh_columns;
            for (int64_t m = 0; m < im->mesh_columns; m++)
                mesh_background[m] = b0[m] + f * (b0[m + below] - b0[m]);
            for (int64_t j = 0; j < width; j++)
                background[j] =
                    mesh_background[low[j]] +
                    fraction[j] * (mesh_background[low[j] + right] - mesh_background[low[j]]);
        }
        const float *data = im->electrons + y * im->columns;
        const uint8_t *bad = im->bad + y * im->columns;
        float *snr = p->snr + i * width, *compressed = p->compressed + i * width;
        if (inside) {
            int64_t first = column - p->border;
            for (int64_t j = 0; j < width; j++) {
                float s = (data[first + j] - background[j]) * inverse[j];
                snr[j] = bad[first + j] ? 0.0f : s;
            }
        } else
            for (int64_t j = 0; j < width; j++) {
                float s = (data[source[j]] - background[j]) * inverse[j];
                snr[j] = bad[source[j]] ? 0.0f : s;
            }
        for (int64_t j = 0; j < width; j++) compressed[j] = NAME(asinh)(snr[j]);
    }
    free(source);
    free(scratch);
    return 0;
}

TARGET static int NAME(make_planes)(const image_t *im, int64_t row, int64_t column, planes_t *p)
{
    int status = NAME(scale)(im, row, column, p);
    if (status || p->border != HALO) return status;
    return NAME(boxes)(p);
}

/* Candidates: above the floor, and not alone in the noise. */
TARGET static int64_t NAME(screen)(const model_t *m, const planes_t *p, const uint8_t *bad,
                                   int64_t stride, int32_t *found)
{
    int64_t width = p->width, n = 0;
    float floor_snr = m->floor_snr, floor_peak = m->floor_peak;
    for (int64_t i = HALO; i < p->height - HALO; i++) {
        const float *s = p->snr + i * width;
        const uint8_t *line = bad + (i - HALO) * stride - HALO;
        for (int64_t j = HALO; j < width - HALO; j++) {
            if (!(s[j] > floor_snr) || line[j]) continue;
            float peak = s[j];
            for (int64_t d = -1; d <= 1; d++) {
                const float *t = s + d * width + j;
                float a = t[-1] > t[1] ? t[-1] : t[1];
                if (t[0] > a) a = t[0];
                if (a > peak) peak = a;
            }
            if (peak > floor_peak) found[n++] = (int32_t)(i * width + j);
        }
    }
    return n;
}

/* out[lane][ring] = sum of x[lane][offset] over the offsets of a ring. */
TARGET static void NAME(sum_rings)(const float *const *x, const int32_t *offset,
                                   const int16_t *end, int n_rings, float *out)
{
    for (int k = 0, r = 0; r < n_rings; r++) {
        float sum[LANES] = {0};
        for (; k < end[r]; k++)
            for (int l = 0; l < LANES; l++) sum[l] += x[l][offset[k]];
        for (int l = 0; l < LANES; l++) out[l * 64 + r] = sum[l];
    }
}

TARGET static void NAME(rectify)(const float *part, float *layer, int64_t width)
{
    for (int l = 0; l < LANES; l++)
        for (int v = 0; v < UNITS; v++) {
            float value = part[l * UNITS + v];
            layer[l * width + v] = value > 0 ? value : 0;
        }
}

TARGET static void NAME(judge_block)(const image_t *im, const model_t *m, const planes_t *p,
                                     const int32_t *places, const windows_t *window,
                                     float *scratch, float *logit)
{
    const float *near[LANES], *context[LANES], *ratio[LANES], *even[LANES], *hidden[LANES];
    float *ratios = scratch, *sums = scratch + LANES * 64, *layer = scratch + LANES * 128;
    int width = m->turned + m->even;
    float part[LANES * UNITS];
    for (int l = 0; l < LANES; l++) {
        int32_t at = places[l];
        const float *s = p->snr + at;
        float centre = s[0], inverse = 1.0f / (centre > 1.0f ? centre : 1.0f);
        float *e = ratios + l * 64;
        int k = 0;
        for (int dy = -INNER; dy <= INNER; dy++)
            for (int dx = -INNER; dx <= INNER; dx++) {
                float r = s[dy * p->width + dx] * inverse;
                e[k++] = r < -1.0f ? -1.0f : (r > 4.0f ? 4.0f : r);
            }
        e[k] = NAME(brightness)(centre, im->sigma_electrons);
        near[l] = p->compressed + at;
        context[l] = p->context + at;
        ratio[l] = e;
        even[l] = sums + l * 64;
        hidden[l] = layer + (int64_t)l * width;
        sums[l * 64 + RINGS(NEAR) + RINGS(INNER)] = e[k];
    }
    for (int u = 0; u < m->turned; u += UNITS) {
        const float *w = m->turned_weights + u;
        NAME(dense)(near, window->near, N_NEAR, w, m->turned, m->turned_bias + u, 0, part, UNITS);
        w += (int64_t)N_NEAR * m->turned;
        NAME(dense)(ratio, window->count, N_INNER + 1, w, m->turned, part, UNITS, part, UNITS);
        w += (int64_t)(N_INNER + 1) * m->turned;
        NAME(dense)(context, window->context, N_CONTEXT, w, m->turned, part, UNITS, part, UNITS);
        NAME(rectify)(part, layer + u, width);
    }
    if (m->even) {
        NAME(sum_rings)(near, window->near_rings, window->near_ends, RINGS(NEAR), sums);
        NAME(sum_rings)(ratio, window->ratio_rings, window->ratio_ends, RINGS(INNER),
                        sums + RINGS(NEAR));
        NAME(sum_rings)(context, window->context_rings, window->context_ends,
                        RINGS(3) - RINGS(1), sums + RINGS(NEAR) + RINGS(INNER) + 1);
    }
    for (int u = 0; u < m->even; u += UNITS) {
        NAME(dense)(even, window->count, N_EVEN, m->even_weights + u, m->even, m->even_bias + u, 0,
                    part, UNITS);
        NAME(rectify)(part, layer + m->turned + u, width);
    }
    NAME(dense)(hidden, window->count, width, m->weights2, UNITS, m->bias2, 0, part, UNITS);
    for (int l = 0; l < LANES; l++) {
        float sum = m->weights3[UNITS];
        for (int v = 0; v < UNITS; v++) {
            float value = part[l * UNITS + v];
            sum += (value > 0 ? value : 0) * m->weights3[v];
        }
        logit[l] = sum;
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
    for (int l = 0; l < LANES; l++) {
        float sum = out_weights[UNITS];
        for (int v = 0; v < UNITS; v++) {
            float value = part[l * UNITS + v];
            sum += (value > 0 ? value : 0) * out_weights[v];
        }
        logit[l] = sum;
    }
}

/* First logits of what the screen found; places that the small network drops are dropped. */
TARGET static int64_t NAME(judge_found)(const image_t *im, const model_t *m, const planes_t *p,
                                        const windows_t *window, float *scratch, int32_t *found,
                                        int64_t n, float *logits)
{
    float logit[LANES];
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i += LANES) {
        int32_t places[LANES];
        int64_t here = n - i < LANES ? n - i : LANES;
        for (int l = 0; l < LANES; l++) places[l] = found[i + (l < here ? l : 0)];
        NAME(small_block)(im, p, places, window->inner, NULL, 0, m->first_weights,
                          m->first_bias, m->first_out, logit);
        for (int l = 0; l < here; l++)
            if (logit[l] > m->first_cut) found[kept++] = places[l];
    }
    for (int64_t i = 0; i < kept; i += LANES) {
        int32_t places[LANES];
        int64_t here = kept - i < LANES ? kept - i : LANES;
        for (int l = 0; l < LANES; l++) places[l] = found[i + (l < here ? l : 0)];
        NAME(judge_block)(im, m, p, places, window, scratch, logit);
        for (int l = 0; l < here; l++)
            logits[i + l] = logit[l] > NOTHING + 1 ? logit[l] : NOTHING + 1;
    }
    return kept;
}

TARGET static int NAME(judge_planes)(const image_t *im, const model_t *m, const planes_t *p,
                                     int64_t row, int64_t column, float *out)
{
    int64_t rows = p->height - 2 * HALO, columns = p->width - 2 * HALO;
    int32_t *found = malloc((rows * columns + LANES) * sizeof(int32_t));
    float *logits = malloc(rows * columns * sizeof(float));
    float *scratch = malloc(SCRATCH(m, LANES) * sizeof(float));
    windows_t *window = malloc(sizeof(windows_t));
    int status = found && logits && scratch && window ? 0 : -1;
    if (status == 0) {
        make_windows(p->width, window);
        out += row * im->columns + column;
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < columns; j++) out[i * im->columns + j] = NOTHING;
        const uint8_t *bad = im->bad + row * im->columns + column;
        int64_t n = NAME(screen)(m, p, bad, im->columns, found);
        n = NAME(judge_found)(im, m, p, window, scratch, found, n, logits);
        for (int64_t k = 0; k < n; k++) {
            int64_t y = found[k] / p->width - HALO, x = found[k] % p->width - HALO;
            out[y * im->columns + x] = logits[k];
        }
    }
    free(found);
    free(logits);
    free(scratch);
    free(window);
    return status;
}

/* What a refinement sees beside the image: the logits before, and the scene without its hits. */
TARGET static void NAME(refine_inputs)(const float *seen, float *logit, float *rest, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        logit[j] = logit[j] < -LOGIT_RANGE  ? -LOGIT_RANGE
                   : logit[j] > LOGIT_RANGE ? LOGIT_RANGE
                                            : logit[j];
    for (int64_t j = 0; j < n; j++)
        rest[j] = logit[j] > -LOGIT_RANGE ? seen[j] / (1.0f + expf(logit[j])) : seen[j];
}

/* Logits of places by the sum of trees, from the same inputs as a refinement's. */
TARGET static void NAME(trees_found)(const image_t *im, const trees_t *t, const planes_t *p,
                                     const float *near, const float *rest, const int32_t *offset,
                                     const int32_t *found, int64_t n, float *logits)
{
    const float *plane[3] = {p->compressed, near, rest};
    float x[N_REFINE * TOGETHER];
    for (int64_t i = 0; i < n; i += TOGETHER) {
        int here = (int)(n - i < TOGETHER ? n - i : TOGETHER);
        for (int l = 0; l < here; l++) {
            const int32_t place = found[i + l];
            float *feature = x + l * N_REFINE;
            for (int k = 0; k < 3; k++)
                for (int o = 0; o < N_INNER; o++) *feature++ = plane[k][place + offset[o]];
            *feature = NAME(brightness)(p->snr[place], im->sigma_electrons);
        }
        sum_trees(t, x, N_REFINE, here, logits + i);
    }
}

/* Logits of places from the planes of `refine_inputs`. */
TARGET static void NAME(refine_found)(const image_t *im, const model_t *m, int which,
                                      const planes_t *p, const float *near, const float *rest,
                                      const int32_t *offset, const int32_t *found, int64_t n,
                                      float *logits)
{
    if (which == m->refinements) {
        NAME(trees_found)(im, &m->trees, p, near, rest, offset, found, n, logits);
        return;
    }
    const float *weights = m->refine_weights + (int64_t)which * N_REFINE * UNITS;
    const float *bias = m->refine_bias + which * UNITS;
    const float *out_weights = m->refine_out + which * (UNITS + 1);
    const float *more[2] = {near, rest};
    float logit[LANES];
    for (int64_t i = 0; i < n; i += LANES) {
        int32_t places[LANES];
        int64_t here = n - i < LANES ? n - i : LANES;
        for (int l = 0; l < LANES; l++) places[l] = found[i + (l < here ? l : 0)];
        NAME(small_block)(im, p, places, offset, more, 2, weights, bias, out_weights, logit);
        for (int l = 0; l < here; l++) {
            float sum = near[places[l]] + logit[l];
            logits[i + l] = sum > NOTHING + 1 ? sum : NOTHING + 1;
        }
    }
}

TARGET static int NAME(refine_planes)(const image_t *im, const model_t *m, int which, planes_t *p,
                                      int64_t row, int64_t column, const float *logits, float *out)
{
    int64_t rows = p->height - 2 * INNER, columns = p->width - 2 * INNER, n = 0;
    int last = which == later_judgements(m) - 1;
    float least = least_judged(m, which);
    int32_t *found = malloc((rows * columns + LANES) * sizeof(int32_t));
    float *refined = malloc(rows * columns * sizeof(float));
    int64_t *from = malloc(p->width * sizeof(int64_t));
    float *rest = malloc(p->width * p->height * sizeof(float));
    if (!found || !refined || !from || !rest) {
        free(found);
        free(refined);
        free(from);
        free(rest);
        return -1;
    }
    for (int64_t j = 0; j < p->width; j++) from[j] = reflect(column - INNER + j, im->columns);
    float *near = p->context;
    int inside = column >= INNER && column - INNER + p->width <= im->columns;
    for (int64_t i = 0; i < p->height; i++) {
        const float *source = logits + reflect(row - INNER + i, im->rows) * im->columns;
        float *line = near + i * p->width;
        if (inside)
            memcpy(line, source + column - INNER, p->width * sizeof(float));
        else
            for (int64_t j = 0; j < p->width; j++) line[j] = source[from[j]];
        NAME(refine_inputs)(p->compressed + i * p->width, line, rest + i * p->width, p->width);
    }
    for (int64_t i = 0; i < rows; i++) {
        int64_t at = (row + i) * im->columns + column;
        for (int64_t j = 0; j < columns; j++) {
            float value = logits[at + j];
            if (value > least)
                found[n++] = (int32_t)((i + INNER) * p->width + j + INNER);
            else
                out[at + j] = last ? probability(value, m->table) : value;
        }
    }
    int32_t offset[N_INNER];
    fill_window(INNER, 0, 1, p->width, offset);
    NAME(refine_found)(im, m, which, p, near, rest, offset, found, n, refined);
    for (int64_t k = 0; k < n; k++) {
        int64_t y = found[k] / p->width - INNER + row, x = found[k] % p->width - INNER + column;
        out[y * im->columns + x] = last ? probability(refined[k], m->table) : refined[k];
    }
    free(found);
    free(refined);
    free(from);
    free(rest);
    return 0;
}

/* Fill hits from the pixels around them, each with the weight of its distance to the power -4. */
TARGET static void NAME(fill_hits)(const image_t *im, int64_t row, int64_t column,
                                   const float *judged, planes_t *p, int64_t *from,
                                   uint8_t *unusable)
{
    static const float weight[9] = {0, 1, 1 / 4.0f, 0, 1 / 16.0f, 1 / 25.0f, 0, 0, 1 / 64.0f};
    int64_t width = p->width, hits = 0;
    for (int64_t j = 0; j < width; j++) from[j] = reflect(column - p->border + j, im->columns);
    for (int64_t i = 0; i < p->height; i++) {
        int64_t y = reflect(row - p->border + i, im->rows) * im->columns;
        for (int64_t j = 0; j < width; j++) {
            int64_t at = y + from[j];
            int hit = judged[at] >= HIT;
            unusable[i * width + j] = hit ? 2 : im->bad[at] != 0;
            hits += hit;
        }
    }
    if (!hits) return;
    for (int64_t i = 0; i < p->height; i++)
        for (int64_t j = 0; j < width; j++) {
            if (unusable[i * width + j] != 2) continue;
            float sum = 0, total = 0;
            for (int64_t y = i < 2 ? 0 : i - 2; y <= i + 2 && y < p->height; y++)
                for (int64_t x = j < 2 ? 0 : j - 2; x <= j + 2 && x < width; x++) {
                    if (unusable[y * width + x]) continue;
                    float w = weight[(y - i) * (y - i) + (x - j) * (x - j)];
                    sum += w * p->snr[y * width + x];
                    total += w;
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

typedef struct {
    planes_t planes;
    windows_t *window;
    float *near, *last, *rest, *logits, *scratch;
    uint8_t *unusable;
    int32_t *found;
    int64_t *from;
} NAME(look_t);

/* The probability of one pixel, in a scene whose hits are filled. */
TARGET static int NAME(look)(const image_t *im, const model_t *const *first, int n_first,
                             const model_t *m, const float *judged, int64_t row, int64_t column,
                             NAME(look_t) *t, float *out)
{
    planes_t *p = &t->planes;
    int judgements = later_judgements(m);
    int64_t width = p->width, reach = INNER * judgements, n;
    int64_t corner = HALO * width + HALO, centre = (HALO + reach) * (width + 1);
    if (NAME(scale)(im, row - reach, column - reach, p)) return -1;
    NAME(fill_hits)(im, row - reach, column - reach, judged, p, t->from, t->unusable);
    if (NAME(beside_source)(p, t->unusable, centre)) {
        *out = judged[row * im->columns + column];
        return 0;
    }
    if (NAME(boxes)(p)) return -1;
    for (int64_t k = 0; k < width * width; k++) {
        if (t->unusable[k] == 2) t->unusable[k] = 0;
        t->last[k] = NOTHING;
    }
    for (int f = 0; f < n_first; f++) {
        for (int64_t k = 0; k < width * width; k++) t->near[k] = NOTHING;
        n = NAME(screen)(first[f], p, t->unusable + corner, width, t->found);
        n = NAME(judge_found)(im, first[f], p, t->window, t->scratch, t->found, n, t->logits);
        for (int64_t k = 0; k < n; k++) t->near[t->found[k]] = t->logits[k];
        for (int64_t k = 0; k < width * width; k++)
            if (f == 0 || t->near[k] < t->last[k]) t->last[k] = t->near[k];
    }
    for (int which = 0; which < judgements; which++) {
        int64_t half = INNER * (judgements - 1 - which);
        float least = least_judged(m, which);
        if (!(t->last[centre] > least)) break;
        memcpy(t->near, t->last, width * width * sizeof(float));
        for (int64_t i = -half - INNER; i <= half + INNER; i++) {
            int64_t at = centre + i * width - half - INNER;
            NAME(refine_inputs)(p->compressed + at, t->near + at, t->rest + at,
                                2 * (half + INNER) + 1);
        }
        n = 0;
        for (int64_t i = centre - half * width; i <= centre + half * width; i += width)
            for (int64_t k = i - half; k <= i + half; k++)
                if (t->last[k] > least) t->found[n++] = (int32_t)k;
        NAME(refine_found)(im, m, which, p, t->near, t->rest, t->window->inner, t->found, n,
                           t->logits);
        for (int64_t k = 0; k < n; k++) t->last[t->found[k]] = t->logits[k];
    }
    *out = probability(t->last[centre], m->table);
    return 0;
}

TARGET static int NAME(look_again)(const image_t *im, const model_t *const *first, int n_first,
                                   const model_t *m, const float *judged, const int64_t *places,
                                   int64_t n, float *out)
{
    int64_t side = 2 * INNER * later_judgements(m) + 1;
    int64_t size = (side + 2 * HALO) * (side + 2 * HALO);
    size_t scratch = 0;
    for (int f = 0; f < n_first; f++)
        if (SCRATCH(first[f], LANES) > scratch) scratch = SCRATCH(first[f], LANES);
    NAME(look_t) t = {{0}};
    t.window = malloc(sizeof(windows_t));
    t.near = malloc(4 * size * sizeof(float));
    t.scratch = malloc(scratch * sizeof(float));
    t.unusable = malloc(size);
    t.found = malloc((size + LANES) * sizeof(int32_t));
    t.from = malloc((side + 2 * HALO) * sizeof(int64_t));
    int status = -1;
    if (allocate_planes(&t.planes, side, side, HALO) && t.window && t.near && t.scratch &&
        t.unusable && t.found && t.from) {
        t.last = t.near + size;
        t.rest = t.near + 2 * size;
        t.logits = t.near + 3 * size;
        make_windows(t.planes.width, t.window);
        status = 0;
        for (int64_t k = 0; k < n && status == 0; k++)
            status = NAME(look)(im, first, n_first, m, judged, places[k] / im->columns,
                                places[k] % im->columns, &t, out + k);
    }
    free(t.planes.snr);
    free(t.window);
    free(t.near);
    free(t.scratch);
    free(t.unusable);
    free(t.found);
    free(t.from);
    return status;
}
#undef NV
