/* Boosted trees of at most 64 leaves, judged node by node for many samples at once: each node takes
   away the leaves that a sample does not reach, and the first one left is its own (Lucchese et al.
   2015, QuickScorer, doi:10.1145/2766462.2767733). */

#ifndef CRISMIS_FOREST_H
#define CRISMIS_FOREST_H

#include <stddef.h>
#include <stdint.h>
#if defined(__linux__)
#include <features.h>
#endif

/* Loops over lanes become wider where the processor can; the choice is made when the module loads. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define WIDE __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define WIDE
#endif

enum { LANES = 32, MOST_LEAVES = 64 };

typedef struct {
    float threshold;
    int32_t feature;
    uint32_t low, high; /* the leaves that stay where the value is above the threshold */
} split_t;

/* Which bit is the lowest that is set. */
static inline int lowest_bit(uint32_t word)
{
    union {
        float f;
        uint32_t i;
    } lowest; /* its exponent tells */
    lowest.f = (float)(word & -word);
    return (int)(lowest.i >> 23 & 255) - 127;
}

/* Add what each tree gives to the sums of its output, for LANES samples whose features and sums
   lie side by side. The splits of tree t end before ends[t]. */
WIDE static void add_trees(const split_t *splits, const int32_t *ends, const float *leaves,
                           const int8_t *output, ptrdiff_t trees, const float *features,
                           double *sums)
{
    const uint32_t all = ~(uint32_t)0;
    int32_t s = 0;
    for (ptrdiff_t t = 0; t < trees; t++, leaves += MOST_LEAVES) {
        uint32_t low[LANES], high[LANES];
        double *sum = sums + output[t] * LANES;
        for (int i = 0; i < LANES; i++)
            low[i] = high[i] = all;
        for (; s < ends[t]; s++) {
            const float *value = features + (ptrdiff_t)splits[s].feature * LANES;
            const float threshold = splits[s].threshold;
            const uint32_t stay_low = splits[s].low, stay_high = splits[s].high;
            if (stay_low != all)
                for (int i = 0; i < LANES; i++)
                    low[i] &= value[i] <= threshold ? all : stay_low;
            if (stay_high != all)
                for (int i = 0; i < LANES; i++)
                    high[i] &= value[i] <= threshold ? all : stay_high;
        }
        for (int i = 0; i < LANES; i++)
            sum[i] += leaves[low[i] ? lowest_bit(low[i]) : 32 + lowest_bit(high[i])];
    }
}

#endif
