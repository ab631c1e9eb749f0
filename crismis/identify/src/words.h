/* Eight whole numbers of 16 bits at once, for which all usual processors have registers. */
#ifndef CRISMIS_WORDS_H
#define CRISMIS_WORDS_H

#include <stdint.h>
#include <string.h>

/* PICK takes eight numbers out of two registers, of which the second one counts from 8 on. */
#if defined(__GNUC__)
typedef int16_t words_t __attribute__((vector_size(16)));
#define WORDS_INLINE static __attribute__((always_inline)) inline
#if defined(__clang__) || __GNUC__ >= 12
#define PICK(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define PICK(a, b, ...) __builtin_shuffle(a, b, (__typeof__((a) < (b))){__VA_ARGS__})
#endif
#define PLUS(a, b) ((a) + (b))
#define MINUS(a, b) ((a) - (b))
#else
typedef struct {
    int16_t of[8];
} words_t;
#define WORDS_INLINE static inline
#define PICK(a, b, ...) pick_words(a, b, (const int[8]){__VA_ARGS__})
#define PLUS(a, b) add_words(a, b, 1)
#define MINUS(a, b) add_words(a, b, -1)

WORDS_INLINE words_t pick_words(words_t a, words_t b, const int *which)
{
    words_t out;
    for (int k = 0; k < 8; k++) out.of[k] = which[k] < 8 ? a.of[which[k]] : b.of[which[k] - 8];
    return out;
}

WORDS_INLINE words_t add_words(words_t a, words_t b, int sign)
{
    for (int k = 0; k < 8; k++) a.of[k] = (int16_t)(a.of[k] + sign * b.of[k]);
    return a;
}
#endif

WORDS_INLINE words_t load_words(const int16_t *from)
{
    words_t out;
    memcpy(&out, from, sizeof out);
    return out;
}

WORDS_INLINE void store_words(int16_t *to, words_t words)
{
    memcpy(to, &words, sizeof words);
}

WORDS_INLINE void store_right_half(int16_t *to, words_t words)
{
    memcpy(to, (char *)&words + sizeof words / 2, sizeof words / 2);
}

/* Turn eight lines into columns. */
WORDS_INLINE void transpose_words(words_t *lines)
{
    for (int round = 0; round < 3; round++) {
        words_t mixed[8];
        for (int k = 0; k < 4; k++) {
            mixed[2 * k] = PICK(lines[k], lines[k + 4], 0, 8, 1, 9, 2, 10, 3, 11);
            mixed[2 * k + 1] = PICK(lines[k], lines[k + 4], 4, 12, 5, 13, 6, 14, 7, 15);
        }
        memcpy(lines, mixed, sizeof mixed);
    }
}

/* Turn the left half of four lines into columns, and the right half. */
WORDS_INLINE void transpose_halves(words_t *lines)
{
    words_t mixed[4];
    for (int k = 0; k < 2; k++) {
        mixed[k] = PICK(lines[2 * k], lines[2 * k + 1], 0, 8, 4, 12, 1, 9, 5, 13);
        mixed[k + 2] = PICK(lines[2 * k], lines[2 * k + 1], 2, 10, 6, 14, 3, 11, 7, 15);
    }
    for (int k = 0; k < 4; k += 2) {
        lines[k] = PICK(mixed[k], mixed[k + 1], 0, 1, 8, 9, 2, 3, 10, 11);
        lines[k + 1] = PICK(mixed[k], mixed[k + 1], 4, 5, 12, 13, 6, 7, 14, 15);
    }
}

#endif
