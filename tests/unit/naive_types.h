/*
 * naive_types.h - naive implementations of the integer types, straight from docs/FORMATS.md: one
 * block of one row at a time. test_quantize.c compares the library with them, bit for bit. A new
 * type adds three functions and a row.
 */
#ifndef TESTS_NAIVE_TYPES_H
#define TESTS_NAIVE_TYPES_H

#include <math.h>

#include "kernels/quants.h"
#include "test.h"

enum { GROUPS = QUANT_BLOCK / QUANT_GROUP }; /* groups per block */

static float half_float(uint16_t half)
{
    const uint32_t bits = (uint32_t)half << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Returns the smallest bfloat16 that is >= x, for x >= 0. */
static uint16_t bf16_not_below(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint16_t below = (uint16_t)(bits >> 16);
    return half_float(below) < x ? (uint16_t)(below + 1) : below;
}

static int rounded(float x, int low, int high)
{
    const int nearest = (int)rintf(x); /* ties to even */
    return nearest < low ? low : nearest > high ? high : nearest;
}

static float largest(const float *w, int n)
{
    float most = 0;
    for (int i = 0; i < n; i++)
        most = fabsf(w[i]) > most ? fabsf(w[i]) : most;
    return most;
}

/* w: a block of complete groups, padded with zeros. */
static void naive_q8(const float *w, int groups, uint16_t *scale, int *s, int *q)
{
    const float most = largest(w, groups * QUANT_GROUP);
    *scale = most < 0x1p-100f ? 0 : bf16_not_below(most / 127);
    for (int g = 0; g < groups; g++)
        s[g] = 1;
    for (int i = 0; i < groups * QUANT_GROUP; i++)
        q[i] = *scale ? rounded(w[i] * (1 / half_float(*scale)), -127, 127) : 0;
}

static void naive_q6(const float *w, int groups, uint16_t *scale, int *s, int *q)
{
    const float most = largest(w, groups * QUANT_GROUP);
    *scale = most < 0x1p-100f ? 0 : bf16_not_below(most / 124);
    for (int g = 0; g < groups; g++) {
        s[g] = 1;
        while (*scale && largest(w + g * QUANT_GROUP, QUANT_GROUP) > 32 * (float)s[g] * half_float(*scale))
            s[g]++;
        for (int i = g * QUANT_GROUP; i < (g + 1) * QUANT_GROUP; i++)
            q[i] = *scale ? rounded(w[i] * (1 / ((float)s[g] * half_float(*scale))), -32, 31) : 0;
    }
}

/* Returns the factor whose integers approximate the group best, out of three trials. */
static float naive_factor(const float *w)
{
    static const float trials[] = {-7.3f, -8.0f, -8.7f};
    float most = 0, factor = 0, gain = 0;
    for (int i = 0; i < QUANT_GROUP; i++)
        if (fabsf(w[i]) > fabsf(most))
            most = w[i];
    for (int t = 0; t < 3 && fabsf(most) >= 0x1p-100f; t++) {
        float wq = 0, qq = 0;
        for (int i = 0; i < QUANT_GROUP; i++) {
            const float q = (float)rounded(w[i] * (trials[t] / most), -8, 7);
            wq += w[i] * q;
            qq += q * q;
        }
        if (qq > 0 && wq / qq * wq > gain) {
            factor = wq / qq;
            gain = factor * wq;
        }
    }
    return factor;
}

static void naive_q4(const float *w, int groups, uint16_t *scale, int *s, int *q)
{
    float factor[GROUPS];
    for (int g = 0; g < groups; g++)
        factor[g] = naive_factor(w + g * QUANT_GROUP);
    const float most = largest(factor, groups);
    *scale = isinf(most) ? 0x7fc0 : most < 0x1p-100f ? 0 : bf16_not_below(most / 15);
    for (int g = 0; g < groups; g++) {
        const bool usable = *scale != 0 && *scale != 0x7fc0;
        s[g] = usable ? rounded(factor[g] / half_float(*scale), -15, 15) : 0;
        for (int i = g * QUANT_GROUP; i < (g + 1) * QUANT_GROUP; i++)
            q[i] = s[g] ? rounded(w[i] * (1 / ((float)s[g] * half_float(*scale))), -8, 7) : 0;
    }
}

/*
 * Read the integers of a type from a tile, and from a column of P rows, as docs/FORMATS.md defines
 * the layouts.
 */
static int tile_q8(const uint8_t *q, int lane, int col)
{
    return (int8_t)q[512 * (col / 32) + 64 * (col % 32 / 4) + 4 * lane + col % 4];
}
static int column_q8(const uint8_t *q, int row)
{
    return (int8_t)q[row];
}

static int tile_q4(const uint8_t *q, int lane, int col)
{
    const int line = col % 32 / 4;
    return (q[256 * (col / 32) + 64 * (line % 4) + 4 * lane + col % 4] >> (line < 4 ? 0 : 4) & 15) - 8;
}
static int column_q4(const uint8_t *q, int row)
{
    return (q[row / 16 * 8 + row % 8] >> (row % 16 < 8 ? 0 : 4) & 15) - 8;
}

static int tile_q6(const uint8_t *q, int lane, int col)
{
    const int line = col % 32 / 4, at = 384 * (col / 32) + 4 * lane + col % 4;
    return (q[at + 64 * (line % 4)] >> (line < 4 ? 0 : 4) & 15) +
           (q[at + 256 + 64 * (line / 4)] >> line % 4 * 2 & 3) * 16 - 32;
}
static int column_q6(const uint8_t *q, int row)
{
    const int lane = row % 16;
    q += row / 64 * 48;
    return (q[row % 64 / 16 * 8 + lane % 8] >> (lane < 8 ? 0 : 4) & 15) +
           (q[32 + row % 64 / 16 * 4 + lane % 4] >> lane / 4 * 2 & 3) * 16 - 32;
}

static const struct {
    void (*quantize)(const float *w, int groups, uint16_t *scale, int *s, int *q);
    int (*tile)(const uint8_t *q, int lane, int col);
    int (*column)(const uint8_t *q, int row);
} naive[MAT_TYPES] = {[MAT_Q8] = {naive_q8, tile_q8, column_q8},
                      [MAT_Q4] = {naive_q4, tile_q4, column_q4},
                      [MAT_Q6] = {naive_q6, tile_q6, column_q6}};

#endif
