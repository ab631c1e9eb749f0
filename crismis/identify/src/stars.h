/* Stars of one image: where they are, their stamps, and fits of a point-spread function.
 *
 * The point-spread function is a sum of cubic B-splines on a grid of half pixels, so that it may
 * be undersampled and of any shape; it includes the pixel. All is in units of the sky's noise.
 */
#ifndef CRISMIS_STARS_H
#define CRISMIS_STARS_H

#include "judge.h"

#define STAR_HALF 6                       /* half-width of a star's stamp */
#define STAR_SIDE (2 * STAR_HALF + 1)
#define STAR_REACH 2                      /* half-width of the window of a pixel on a star */
#define STAR_WINDOW ((2 * STAR_REACH + 1) * (2 * STAR_REACH + 1))
#define STAR_INPUTS (2 * STAR_WINDOW + 12)
#define PSF_CENTRE (2 * STAR_HALF + 4)    /* grid line on which the centre lies */
#define PSF_SIDE (2 * PSF_CENTRE + 1)
#define PSF_SPLINES (PSF_SIDE * PSF_SIDE)
#define PSF_BAND (3 * PSF_SIDE + 3)       /* how far apart two splines of one pixel are */
#define CORE2 6.8                         /* squared radius of the pixels that are fitted */
#define MOST_OFFSET 0.8                   /* of a star from its brightest pixel */

typedef struct {
    double flux, dy, dx, chi;
} star_t;

/* Spline weights of the pixels of a stamp, for a star this far from its central pixel. */
static int psf_taps(double offset, double *weight, double *slope)
{
    double place = 2 * (-STAR_HALF - offset) + PSF_CENTRE;
    int first = (int)floor(place);
    double t = place - first, u = 1 - t;
    weight[0] = u * u * u / 6;
    weight[1] = (3 * t * t * t - 6 * t * t + 4) / 6;
    weight[2] = (-3 * t * t * t + 3 * t * t + 3 * t + 1) / 6;
    weight[3] = t * t * t / 6;
    slope[0] = u * u;
    slope[1] = 4 * t - 3 * t * t;
    slope[2] = 3 * t * t - 2 * t - 1;
    slope[3] = -t * t;
    return first - 1;
}

/* The point-spread function in one pixel, and its derivatives by the star's place. */
static double psf_at(const double *psf, const double *wy, const double *wx, const double *sy,
                     const double *sx, int row, int column, double *by_y, double *by_x)
{
    double value = 0, gy = 0, gx = 0;
    for (int a = 0; a < 4; a++) {
        const double *line = psf + (row + a) * PSF_SIDE + column;
        double along = 0, slope = 0;
        for (int b = 0; b < 4; b++) {
            along += wx[b] * line[b];
            slope += sx[b] * line[b];
        }
        value += wy[a] * along;
        gy += sy[a] * along;
        gx += wy[a] * slope;
    }
    *by_y = gy;
    *by_x = gx;
    return value;
}

/* What a star gives to the pixels of its stamp. */
static void star_model(const double *psf, const star_t *star, float *model)
{
    double wy[4], wx[4], sy[4], sx[4], gy, gx;
    int row = psf_taps(star->dy, wy, sy), column = psf_taps(star->dx, wx, sx);
    for (int i = 0; i < STAR_SIDE; i++)
        for (int j = 0; j < STAR_SIDE; j++)
            model[i * STAR_SIDE + j] =
                (float)(star->flux *
                        psf_at(psf, wy, wx, sy, sx, row + 2 * i, column + 2 * j, &gy, &gx));
}

/* What it gives to one of them. */
static double star_at(const double *psf, const star_t *star, int64_t i, int64_t j)
{
    double wy[4], wx[4], sy[4], sx[4], gy, gx;
    int row = psf_taps(star->dy, wy, sy), column = psf_taps(star->dx, wx, sx);
    return star->flux *
           psf_at(psf, wy, wx, sy, sx, row + 2 * (int)i, column + 2 * (int)j, &gy, &gx);
}

static double limited(double value, double most)
{
    return value < -most ? -most : value > most ? most : value;
}

/* Variance of a pixel to which stars give so much. */
static double star_variance(double model, double sigma_electrons, double error)
{
    return 1 + (model > 0 ? model : 0) / sigma_electrons + error * error * model * model;
}

/* Flux and place of a star by Gauss-Newton steps that trust outliers less, bright ones least. */
static void fit_star(const double *psf, const float *stamp, const float *weight,
                     double sigma_electrons, double error, int steps, star_t *star)
{
    double wy[4], wx[4], sy[4], sx[4];
    for (int step = 0; step <= steps; step++) {
        int row = psf_taps(star->dy, wy, sy), column = psf_taps(star->dx, wx, sx);
        double m[6] = {0}, r[3] = {0}, chi = 0, total = 0;
        for (int i = STAR_HALF - 2; i <= STAR_HALF + 2; i++)
            for (int j = STAR_HALF - 2; j <= STAR_HALF + 2; j++) {
                int k = i * STAR_SIDE + j;
                double y = i - STAR_HALF, x = j - STAR_HALF, gy, gx;
                if (y * y + x * x > CORE2 || !(weight[k] > 0)) continue;
                double value =
                    psf_at(psf, wy, wx, sy, sx, row + 2 * i, column + 2 * j, &gy, &gx);
                double model = star->flux * value;
                double variance = star_variance(model, sigma_electrons, error);
                double rest = stamp[k] - model, z2 = rest * rest / variance;
                double scale = rest > 0 ? 9 : 25;
                double w = weight[k] / variance / (1 + z2 * z2 / (scale * scale));
                chi += weight[k] * z2 / (1 + z2 / 25);
                total += weight[k];
                gy *= star->flux;
                gx *= star->flux;
                m[0] += w * value * value;
                m[1] += w * value * gy;
                m[2] += w * value * gx;
                m[3] += w * gy * gy;
                m[4] += w * gy * gx;
                m[5] += w * gx * gx;
                r[0] += w * rest * value;
                r[1] += w * rest * gy;
                r[2] += w * rest * gx;
            }
        star->chi = chi / (total > 4 ? total - 3 : 1);
        if (step == steps) return;
        /* A star's place is its brightest pixel, give or take half a pixel. */
        m[3] += 4;
        m[5] += 4;
        r[1] -= 4 * star->dy;
        r[2] -= 4 * star->dx;
        m[0] = m[0] * 1.001 + 1e-12;
        double a = m[3] * m[5] - m[4] * m[4], b = m[2] * m[4] - m[1] * m[5],
               c = m[1] * m[4] - m[2] * m[3];
        double determinant = m[0] * a + m[1] * b + m[2] * c;
        if (!(fabs(determinant) > 1e-30)) return;
        double flux = (a * r[0] + b * r[1] + c * r[2]) / determinant;
        double dy = (b * r[0] + (m[0] * m[5] - m[2] * m[2]) * r[1] +
                     (m[1] * m[2] - m[0] * m[4]) * r[2]) / determinant;
        double dx = (c * r[0] + (m[1] * m[2] - m[0] * m[4]) * r[1] +
                     (m[0] * m[3] - m[1] * m[1]) * r[2]) / determinant;
        star->flux += flux;
        if (!(star->flux > 1)) star->flux = 1;
        star->dy = limited(star->dy + limited(dy, 0.3), MOST_OFFSET);
        star->dx = limited(star->dx + limited(dx, 0.3), MOST_OFFSET);
    }
}

/* Add what one star says of the splines' coefficients to the normal equations: of each spline the
   products with those from it on. */
static void add_star(const double *psf, const float *stamp, const float *weight,
                     double sigma_electrons, double error, const star_t *star, double *band,
                     double *right)
{
    double wy[4], wx[4], sy[4], sx[4], gy, gx;
    int row = psf_taps(star->dy, wy, sy), column = psf_taps(star->dx, wx, sx);
    for (int i = 0; i < STAR_SIDE; i++)
        for (int j = 0; j < STAR_SIDE; j++) {
            int k = i * STAR_SIDE + j, at[16];
            double y = i - STAR_HALF, x = j - STAR_HALF, tap[16];
            if (y * y + x * x > (STAR_HALF + 0.3) * (STAR_HALF + 0.3) || !(weight[k] > 0)) continue;
            double value = psf_at(psf, wy, wx, sy, sx, row + 2 * i, column + 2 * j, &gy, &gx);
            double model = star->flux * value;
            double rest = stamp[k] - model;
            double z2 = rest * rest / star_variance(model, sigma_electrons, error) / 16;
            double w = weight[k] * star->flux * star->flux /
                       star_variance(model, sigma_electrons, 0.01) / (1 + z2 * z2);
            for (int a = 0; a < 4; a++)
                for (int b = 0; b < 4; b++) {
                    at[4 * a + b] = (row + 2 * i + a) * PSF_SIDE + column + 2 * j + b;
                    tap[4 * a + b] = wy[a] * wx[b];
                }
            rest *= w / star->flux;
            for (int a = 0; a < 16; a++) {
                right[at[a]] += tap[a] * rest;
                for (int b = 0; b <= a; b++)
                    band[at[b] * (PSF_BAND + 1) + at[a] - at[b]] += w * tap[a] * tap[b];
            }
        }
}

/* Solve the normal equations by Cholesky's way, in place: `band` becomes columns of the factor, the
   right side the solution. A library's threads would wait for one another where others are at work. */
static void solve_band(double *band, double *right)
{
    for (int64_t j = 0; j < PSF_SPLINES; j++) {
        double *column = band + j * (PSF_BAND + 1);
        for (int64_t k = j < PSF_BAND ? 0 : j - PSF_BAND; k < j; k++) {
            const double *before = band + k * (PSF_BAND + 1), *from = before + j - k;
            double share = from[0] / before[0];
            if (share == 0) continue;
            for (int64_t i = 0; i <= PSF_BAND - (j - k); i++) column[i] -= share * from[i];
            right[j] -= share * right[k];
        }
    }
    for (int64_t j = PSF_SPLINES - 1; j >= 0; j--) {
        const double *column = band + j * (PSF_BAND + 1);
        int64_t below = PSF_SPLINES - 1 - j < PSF_BAND ? PSF_SPLINES - 1 - j : PSF_BAND;
        double sum = right[j];
        for (int64_t k = 1; k <= below; k++) sum -= column[k] * right[j + k];
        right[j] = sum / column[0];
    }
}

/* S/N that a pixel with so many electrons has, as `scale` has it. */
static float snr_of(const image_t *im, int64_t row, int64_t column, float electrons)
{
    int64_t y, x, below = im->mesh_rows > 1 ? im->mesh_columns : 0;
    int64_t right = im->mesh_columns > 1 ? 1 : 0;
    float fy, fx;
    mesh_weights(row, im->rows, im->mesh_rows, &y, &fy);
    mesh_weights(column, im->columns, im->mesh_columns, &x, &fx);
    int64_t at = y * im->mesh_columns + x;
    const float *s = im->inverse_sigma + at, *b = im->background + at;
    float left = s[0] + fy * (s[below] - s[0]);
    float inverse = left + fx * (s[right] + fy * (s[below + right] - s[right]) - left), level;
    if (im->full_background)
        level = im->background[row * im->columns + column];
    else {
        left = b[0] + fy * (b[below] - b[0]);
        level = left + fx * (b[right] + fy * (b[below + right] - b[right]) - left);
    }
    return (electrons - level) * inverse;
}

static float snr_at(const image_t *im, int64_t row, int64_t column)
{
    return snr_of(im, row, column, im->electrons[row * im->columns + column]);
}

static int inside(const image_t *im, int64_t row, int64_t column)
{
    return row >= 0 && row < im->rows && column >= 0 && column < im->columns;
}

/* S/N of a pixel; under a hit that of the pixels around, weighted by distance to the power -4. */
static float filled_at(const image_t *im, const float *judged, int64_t row, int64_t column)
{
    int64_t at = row * im->columns + column;
    if (im->bad[at]) return NOTHING;
    if (judged[at] < HIT) return snr_at(im, row, column);
    float sum = 0, total = 0;
    for (int64_t dy = -2; dy <= 2; dy++)
        for (int64_t dx = -2; dx <= 2; dx++) {
            if (!inside(im, row + dy, column + dx)) continue;
            int64_t k = at + dy * im->columns + dx;
            if (im->bad[k] || judged[k] >= HIT) continue;
            float distance2 = (float)(dy * dy + dx * dx), w = 1 / (distance2 * distance2);
            sum += w * snr_at(im, row + dy, column + dx);
            total += w;
        }
    return total > 0 ? sum / total : NOTHING;
}

/* Whether a pixel is the brightest of its neighbours, and not alone, once hits are filled. */
static int is_peak(const image_t *im, const float *judged, int64_t row, int64_t column, float value)
{
    float sum = value;
    for (int64_t dy = -1; dy <= 1; dy++)
        for (int64_t dx = -1; dx <= 1; dx++) {
            if ((!dy && !dx) || !inside(im, row + dy, column + dx)) continue;
            float other = filled_at(im, judged, row + dy, column + dx);
            int before = dy < 0 || (dy == 0 && dx < 0);
            if (other > value || (before && other == value)) return 0;
            if (other > NOTHING) sum += other;
        }
    return sum > 18;
}

/* Above which values of a row there may be peaks, box by box of the mesh. */
static void least_of_row(const image_t *im, int64_t row, float least, float *limit)
{
    int64_t y, below = im->mesh_rows > 1 ? im->mesh_columns : 0;
    int64_t right = im->mesh_columns > 1 ? 1 : 0;
    float fraction, level[2], inverse[2];
    mesh_weights(row, im->rows, im->mesh_rows, &y, &fraction);
    for (int64_t x = 0; x < im->mesh_columns; x++) {
        for (int64_t k = 0; k < 2; k++) {
            int64_t at = y * im->mesh_columns + (x + right < im->mesh_columns ? x + k * right : x);
            const float *b = im->background + at, *s = im->inverse_sigma + at;
            level[k] = im->full_background ? -INFINITY : b[0] + fraction * (b[below] - b[0]);
            inverse[k] = s[0] + fraction * (s[below] - s[0]);
        }
        float noise = 1 / (inverse[0] > inverse[1] ? inverse[0] : inverse[1]);
        limit[x] = (level[0] < level[1] ? level[0] : level[1]) + 0.99f * least * noise;
    }
}

/* Which pixels of a row are bright, and which of these are hits; `box` is where columns' own end. */
static void mark_bright(const image_t *im, const float *judged, int64_t row, float least,
                        const int64_t *box, float *limit, uint8_t *bright)
{
    const float *line = im->electrons + row * im->columns;
    judged += row * im->columns;
    least_of_row(im, row, least, limit);
    for (int64_t k = 0, j = 0; k < im->mesh_columns; k++) {
        float own = limit[k];
        int64_t end = box[k];
        for (; j < end; j++) {
            int above = line[j] > own, hit = judged[j] >= HIT;
            bright[j] = (uint8_t)(above + (above & hit));
        }
    }
}

/* Whether any byte of some is set. */
static int any_set(const uint8_t *bytes, int64_t n)
{
    uint8_t found = 0;
    for (int64_t j = 0; j < n; j++) found |= bytes[j];
    return found;
}

/* Peaks above a S/N in some rows; their number, which may exceed the room; -1 without memory. What
   is no hit must be bright itself, a hit must have something bright around it, which fills it. */
static int64_t find_peaks(const image_t *im, const float *judged, int64_t first, int64_t last,
                          float least, int64_t room, int64_t *places, float *snr)
{
    int64_t n = 0, columns = im->columns, y;
    int64_t *box = malloc(im->mesh_columns * (sizeof(int64_t) + sizeof(float)) + 6 * columns + 4);
    if (!box) return -1;
    float *limit = (float *)(box + im->mesh_columns), fraction;
    uint8_t *around = (uint8_t *)(limit + im->mesh_columns) + 2, *rows = around + columns + 2;
    memset(around - 2, 0, 6 * columns + 4);
    int64_t boxes = 0;
    for (int64_t j = 0; j < columns; j++) {
        mesh_weights(j, columns, im->mesh_columns, &y, &fraction);
        while (boxes < y) box[boxes++] = j;
    }
    while (boxes < im->mesh_columns) box[boxes++] = columns;
    for (int64_t i = first - 4; i < last; i++) {
        uint8_t *next = rows + (i + 7) % 5 * columns;
        if (i + 2 >= 0 && i + 2 < im->rows)
            mark_bright(im, judged, i + 2, least, box, limit, next);
        else
            memset(next, 0, columns);
        if (i < first) continue;
        const uint8_t *bright = rows + (i + 5) % 5 * columns;
        for (int64_t start = 0, end; start < columns; start = end) {
            end = start + RUN < columns ? start + RUN : columns;
            if (!any_set(bright + start, end - start)) continue;
            int64_t from = start < 2 ? 0 : start - 2, to = end + 2 < columns ? end + 2 : columns;
            for (int64_t j = from; j < to; j++)
                around[j] = rows[j] | rows[columns + j] | rows[2 * columns + j] |
                            rows[3 * columns + j] | rows[4 * columns + j];
            for (int64_t j = start; j < end; j++) {
                const uint8_t *a = around + j;
                if (!bright[j] ||
                    (bright[j] == 2 && !((a[-2] | a[-1] | a[0] | a[1] | a[2]) & 1)))
                    continue;
                float value = filled_at(im, judged, i, j);
                if (!(value > least) || !is_peak(im, judged, i, j, value)) continue;
                if (n < room) {
                    places[n] = i * columns + j;
                    snr[n] = value;
                }
                n++;
            }
        }
    }
    free(box);
    return n;
}

/* The highest probability of the eight pixels around one, and the sum and number of the sixteen
   around these that are no hits; `in` if all lie in the image. */
static inline int64_t look_around(const image_t *im, const float *judged, int64_t row,
                                  int64_t column, int in, float *highest, float *sum)
{
    int64_t used = 0;
    float most = 0, total = 0;
    for (int64_t dy = -2; dy <= 2; dy++)
        for (int64_t dx = -2; dx <= 2; dx++) {
            int64_t k = (row + dy) * im->columns + column + dx;
            if (!in && !inside(im, row + dy, column + dx)) continue;
            if (dy * dy == 4 || dx * dx == 4) {
                int counts = (judged[k] < HIT) & !im->bad[k];
                total += counts ? im->electrons[k] : 0.0f;
                used += counts;
            } else if (dy || dx)
                most = judged[k] > most ? judged[k] : most;
        }
    *highest = most;
    *sum = total;
    return used;
}

/* What touches hits in some rows: places within these, the highest probability around each, and S/N
   of the mean of the sixteen pixels around these, infinite where all are hits; their number, which
   may exceed the room; -1 without memory. */
static int64_t find_touching(const image_t *im, const float *judged, int64_t first, int64_t last,
                             int64_t room, int32_t *places, float *highest, float *around)
{
    int64_t n = 0, columns = im->columns, width = columns + 2;
    uint8_t *memory = calloc(3 * width + columns, 1), *touch = memory + 3 * width;
    if (!memory) return -1;
    for (int64_t i = first - 2; i < last; i++) {
        uint8_t *below = memory + (i + 3) % 3 * width + 1; /* of hits in row i + 1 */
        const float *line = judged + (i + 1) * columns;
        int exists = i + 1 >= 0 && i + 1 < im->rows;
        for (int64_t j = 0; j < columns; j++) below[j] = exists ? line[j] >= HIT : 0;
        if (i < first) continue;
        const uint8_t *above = memory + (i + 1) % 3 * width + 1, *own = memory + (i + 2) % 3 * width + 1;
        for (int64_t j = 0; j < columns; j++)
            touch[j] = above[j - 1] | above[j] | above[j + 1] | own[j - 1] | own[j + 1] |
                       below[j - 1] | below[j] | below[j + 1];
        int within = i > 1 && i < im->rows - 2;
        for (int64_t start = 0, end; start < columns; start = end) {
            end = start + RUN < columns ? start + RUN : columns;
            if (!any_set(touch + start, end - start)) continue;
            for (int64_t j = start; j < end; j++) {
                if (!touch[j] || n++ >= room) continue;
                float most, sum;
                int64_t used = within && j > 1 && j < columns - 2
                                   ? look_around(im, judged, i, j, 1, &most, &sum)
                                   : look_around(im, judged, i, j, 0, &most, &sum);
                places[n - 1] = (int32_t)((i - first) * columns + j);
                highest[n - 1] = most;
                around[n - 1] = used ? snr_of(im, i, j, sum / used) : INFINITY;
            }
        }
    }
    free(memory);
    return n;
}

/* S/N around a peak, and how far each pixel can be trusted; below 0 where there is none, or where
   it is saturated. */
static void star_stamp(const image_t *im, const float *judged, int64_t place, float *stamp,
                       float *weight)
{
    int64_t row = place / im->columns, column = place % im->columns;
    for (int64_t i = 0; i < STAR_SIDE; i++)
        for (int64_t j = 0; j < STAR_SIDE; j++) {
            int64_t y = row + i - STAR_HALF, x = column + j - STAR_HALF, k = i * STAR_SIDE + j;
            stamp[k] = 0;
            weight[k] = -1;
            int64_t at = y * im->columns + x;
            if (!inside(im, y, x) || im->bad[at] || !(im->electrons[at] < im->saturation))
                continue;
            float doubt = 4 * (judged[at] - 0.1f);
            stamp[k] = snr_at(im, y, x);
            weight[k] = doubt <= 0 ? 1 : doubt >= 1 ? 0 : 1 - doubt;
        }
}

#endif
