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

TARGET static float NAME(asinh)(float x)
{
    float a = fabsf(x);
    float t = a + sqrtf(a * a + 1.0f);
    union { float f; uint32_t i; } u;
    u.f = t;
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
    float log_t = (float)exponent * 0.69314718f + (m + m * m * p);
    return x < 0 ? -log_t : log_t;
}

TARGET static int NAME(make_planes)(const image_t *im, int64_t row, int64_t column, planes_t *p)
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
        source[j] = reflect(column - HALO + j, im->columns);
        mesh_weights(source[j], im->columns, im->mesh_columns, &low[j], &fraction[j]);
    }
    int64_t right = im->mesh_columns > 1 ? 1 : 0;
    int64_t inside = column - HALO >= 0 && column - HALO + width <= im->columns;
    for (int64_t i = 0; i < height; i++) {
        int64_t y = reflect(row - HALO + i, im->rows), my;
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
            int64_t first = column - HALO;
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
    /* Means of 5 x 5 boxes; direct sums, so that they do not depend on the tile. */
    float *column_sum = background;
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
    free(source);
    free(scratch);
    return 0;
}

/* Candidates: above the floor, and not alone in the noise. */
TARGET static int64_t NAME(screen)(const image_t *im, const model_t *m, const planes_t *p,
                                   int64_t row, int64_t column, int32_t *found)
{
    int64_t width = p->width, n = 0;
    float floor_snr = m->floor_snr, floor_peak = m->floor_peak;
    for (int64_t i = HALO; i < p->height - HALO; i++) {
        const float *s = p->snr + i * width;
        const uint8_t *bad = im->bad + (row + i - HALO) * im->columns + column - HALO;
        for (int64_t j = HALO; j < width - HALO; j++) {
            if (!(s[j] > floor_snr) || bad[j]) continue;
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

TARGET static void NAME(judge_block)(const image_t *im, const model_t *m, const planes_t *p,
                                     const int32_t *places, const int32_t *near_offset,
                                     const int32_t *context_offset, const int32_t *count,
                                     float *scratch, float *logit)
{
    const float *near[LANES], *context[LANES], *extra[LANES], *hidden[LANES];
    float *extras = scratch, *layer = scratch + LANES * 64;
    int width = m->hidden;
    float second[LANES * UNITS];
    for (int l = 0; l < LANES; l++) {
        int32_t at = places[l];
        const float *s = p->snr + at;
        float centre = s[0], inverse = 1.0f / (centre > 1.0f ? centre : 1.0f);
        float *e = extras + l * 64;
        int k = 0;
        for (int dy = -INNER; dy <= INNER; dy++)
            for (int dx = -INNER; dx <= INNER; dx++) {
                float r = s[dy * p->width + dx] * inverse;
                e[k++] = r < -1.0f ? -1.0f : (r > 4.0f ? 4.0f : r);
            }
        e[k] = log1pf((centre > 0 ? centre : 0) / im->sigma_electrons);
        near[l] = p->compressed + at;
        context[l] = p->context + at;
        extra[l] = e;
        hidden[l] = layer + (int64_t)l * width;
    }
    for (int u = 0; u < width; u += UNITS) {
        float part[LANES * UNITS];
        const float *w = m->weights1 + u;
        NAME(dense)(near, near_offset, N_NEAR, w, width, m->bias1 + u, 0, part, UNITS);
        w += (int64_t)N_NEAR * width;
        NAME(dense)(extra, count, N_INNER + 1, w, width, part, UNITS, part, UNITS);
        w += (int64_t)(N_INNER + 1) * width;
        NAME(dense)(context, context_offset, N_CONTEXT, w, width, part, UNITS, part, UNITS);
        for (int l = 0; l < LANES; l++)
            for (int v = 0; v < UNITS; v++) {
                float value = part[l * UNITS + v];
                layer[(int64_t)l * width + u + v] = value > 0 ? value : 0;
            }
    }
    NAME(dense)(hidden, count, width, m->weights2, UNITS, m->bias2, 0, second, UNITS);
    for (int l = 0; l < LANES; l++) {
        float sum = m->weights3[UNITS];
        for (int v = 0; v < UNITS; v++) {
            float value = second[l * UNITS + v];
            sum += (value > 0 ? value : 0) * m->weights3[v];
        }
        logit[l] = sum;
    }
}

/* The small networks: windows of one or two planes and the centre's brightness. */
TARGET static void NAME(small_block)(const image_t *im, const planes_t *p, const int32_t *places,
                                     const int32_t *offset, const float *second,
                                     const float *weights, const float *bias,
                                     const float *out_weights, float *logit)
{
    const float *first_window[LANES], *second_window[LANES], *extra[LANES];
    float brightness[LANES], part[LANES * UNITS];
    const int32_t none[1] = {0};
    for (int l = 0; l < LANES; l++) {
        float centre = p->snr[places[l]];
        first_window[l] = p->compressed + places[l];
        second_window[l] = second ? second + places[l] : NULL;
        brightness[l] = log1pf((centre > 0 ? centre : 0) / im->sigma_electrons);
        extra[l] = brightness + l;
    }
    NAME(dense)(first_window, offset, N_INNER, weights, UNITS, bias, 0, part, UNITS);
    weights += N_INNER * UNITS;
    if (second) {
        NAME(dense)(second_window, offset, N_INNER, weights, UNITS, part, UNITS, part, UNITS);
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

/* Offsets of a square window. */
static void NAME(window)(int half, int64_t step, int64_t width, int32_t *offset)
{
    for (int64_t dy = -half; dy <= half; dy++)
        for (int64_t dx = -half; dx <= half; dx++) *offset++ = (int32_t)(step * (dy * width + dx));
}

TARGET static int NAME(judge_planes)(const image_t *im, const model_t *m, const planes_t *p,
                                     int64_t row, int64_t column, float *out)
{
    int64_t rows = p->height - 2 * HALO, columns = p->width - 2 * HALO;
    int32_t *found = malloc((rows * columns + LANES) * sizeof(int32_t));
    float *scratch = malloc(LANES * (64 + (size_t)m->hidden) * sizeof(float));
    if (!found || !scratch) {
        free(found);
        free(scratch);
        return -1;
    }
    int32_t near_offset[N_NEAR], inner_offset[N_INNER], context_offset[N_CONTEXT], count[1024];
    int k = 0;
    NAME(window)(NEAR, 1, p->width, near_offset);
    NAME(window)(INNER, 1, p->width, inner_offset);
    for (int dy = -3; dy <= 3; dy++)
        for (int dx = -3; dx <= 3; dx++)
            if (abs(dy) > 1 || abs(dx) > 1)
                context_offset[k++] = (int32_t)(STEP * (dy * p->width + dx));
    for (k = 0; k < 1024; k++) count[k] = k;

    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) out[(row + i) * im->columns + column + j] = NOTHING;
    float logit[LANES];
    int64_t n = NAME(screen)(im, m, p, row, column, found), kept = 0;
    for (int64_t i = 0; i < n; i += LANES) {
        int32_t places[LANES];
        int64_t here = n - i < LANES ? n - i : LANES;
        for (int l = 0; l < LANES; l++) places[l] = found[i + (l < here ? l : 0)];
        NAME(small_block)(im, p, places, inner_offset, NULL, m->first_weights, m->first_bias,
                          m->first_out, logit);
        for (int l = 0; l < here; l++)
            if (logit[l] > m->first_cut) found[kept++] = places[l];
    }
    for (int64_t i = 0; i < kept; i += LANES) {
        int32_t places[LANES];
        int64_t here = kept - i < LANES ? kept - i : LANES;
        for (int l = 0; l < LANES; l++) places[l] = found[i + (l < here ? l : 0)];
        NAME(judge_block)(im, m, p, places, near_offset, context_offset, count, scratch, logit);
        for (int l = 0; l < here; l++) {
            int64_t y = places[l] / p->width - HALO + row;
            int64_t x = places[l] % p->width - HALO + column;
            out[y * im->columns + x] = logit[l] > NOTHING + 1 ? logit[l] : NOTHING + 1;
        }
    }
    free(found);
    free(scratch);
    return 0;
}

TARGET static int NAME(refine_planes)(const image_t *im, const model_t *m, planes_t *p,
                                      int64_t row, int64_t column, const float *logits, float *out)
{
    int64_t rows = p->height - 2 * HALO, columns = p->width - 2 * HALO, n = 0;
    int32_t *found = malloc((rows * columns + LANES) * sizeof(int32_t));
    if (!found) return -1;
    float *near = p->context; /* the context is not needed here */
    for (int64_t i = HALO - INNER; i < p->height - HALO + INNER; i++) {
        const float *source = logits + reflect(row - HALO + i, im->rows) * im->columns;
        for (int64_t j = HALO - INNER; j < p->width - HALO + INNER; j++) {
            float value = source[reflect(column - HALO + j, im->columns)];
            near[i * p->width + j] = value < -LOGIT_RANGE  ? -LOGIT_RANGE
                                     : value > LOGIT_RANGE ? LOGIT_RANGE
                                                           : value;
        }
    }
    for (int64_t i = 0; i < rows; i++) {
        int64_t at = (row + i) * im->columns + column;
        for (int64_t j = 0; j < columns; j++) {
            out[at + j] = 0;
            if (logits[at + j] > NOTHING)
                found[n++] = (int32_t)((i + HALO) * p->width + j + HALO);
        }
    }
    int32_t offset[N_INNER];
    float logit[LANES];
    NAME(window)(INNER, 1, p->width, offset);
    for (int64_t i = 0; i < n; i += LANES) {
        int32_t places[LANES];
        int64_t here = n - i < LANES ? n - i : LANES;
        for (int l = 0; l < LANES; l++) places[l] = found[i + (l < here ? l : 0)];
        NAME(small_block)(im, p, places, offset, near, m->refine_weights, m->refine_bias,
                          m->refine_out, logit);
        for (int l = 0; l < here; l++) {
            int64_t y = places[l] / p->width - HALO + row;
            int64_t x = places[l] % p->width - HALO + column;
            out[y * im->columns + x] = calibrated(near[places[l]] + logit[l], m->table);
        }
    }
    free(found);
    return 0;
}
#undef NV
