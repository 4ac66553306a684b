/*
 * dots_neon.h - dot products of bytes on every 64-bit Arm, for lanes_quants.h: products in 16 bits,
 * added in pairs in 16 bits, then in 32 bits.
 *
 * The four groups of 4 rows are unrolled by hand: clang would keep the sums of a loop in memory.
 */
#ifndef KERNELS_DOTS_H
#define KERNELS_DOTS_H

#include "kernels/few.h"
#include "kernels/lanes_neon.h"

#define QUANT_STREAMS 4
#define QUANT_TILES 1 /* 16 accumulators of the 32 registers, 4 for weights */
#define QUANT_TOKENS 4
#define QUANT_EACH_TOKENS(DO) DO(1) DO(2) DO(3) DO(4)
/* Estimates, not measured. */
enum { few_q4 = 12, few_q6 = 8, few_q8 = 4 };
#define FEW_VECTORS 4
#define FEW_EACH(DO) DO(1) DO(2) DO(3) DO(4)

/*
 * Adds the products of 4 rows. Two products fit 16 bits, even with a weight of -128 from a file: 2
 * * 128 * 127 = 32512.
 */
static inline int32x4_t dot_rows(int32x4_t acc, int8x16_t w, x4 x)
{
    const int16x8_t l = vmull_s8(vget_low_s8(w), vget_low_s8(x)), h = vmull_high_s8(w, x);
    return vpadalq_s16(acc, vpaddq_s16(l, h));
}
static inline n16 n_dot4(n16 acc, w64 w, x4 x)
{
    return (n16){{dot_rows(acc.q[0], w.q[0], x), dot_rows(acc.q[1], w.q[1], x), dot_rows(acc.q[2], w.q[2], x),
                  dot_rows(acc.q[3], w.q[3], x)}};
}

/* 16-bit sums of 2 rows each: [row][column modulo 4] */
struct pairs {
    int16x8_t l, h;
};

static inline struct pairs add_products(struct pairs sum, uint8x16_t w, x4 x)
{
    const int8x16_t q = vreinterpretq_s8_u8(w);
    return (struct pairs){vmlal_s8(sum.l, vget_low_s8(q), vget_low_s8(x)), vmlal_high_s8(sum.h, q, x)};
}
static inline struct pairs add_nibbles(struct pairs sum, const uint8_t *q, const int8_t *x)
{
    const uint8x16_t packed = vld1q_u8(q);
    sum = add_products(sum, vandq_u8(packed, vdupq_n_u8(15)), x_load(x));
    return add_products(sum, vshrq_n_u8(packed, 4), x_load(x + 16));
}
/*
 * Adds 4 rows of a group of Q4. The weights are stored as q + 8, so the sum starts at -8 times that
 * of x. Up to 8 products per column, and the sums of two columns, fit 16 bits: 2 * 8 * 15 * 127 =
 * 30480.
 */
static inline int32x4_t dot_nibbles(const uint8_t *q, const int8_t *x, int32x4_t start)
{
    struct pairs sum = {vdupq_n_s16(0), vdupq_n_s16(0)};
    sum = add_nibbles(sum, q, x);
    sum = add_nibbles(sum, q + 64, x + 4);
    sum = add_nibbles(sum, q + 128, x + 8);
    sum = add_nibbles(sum, q + 192, x + 12);
    return vpadalq_s16(start, vpaddq_s16(sum.l, sum.h));
}
/* Returns acc + s * (one group of Q4). */
static inline n16 n_add_q4(n16 acc, const uint8_t *q, const uint8_t *s, const int8_t *x, int sum)
{
    const n16 scale = n_load_bytes((const int8_t *)s);
    const int32x4_t start = vdupq_n_s32(-8 * sum);
    return (n16){{vmlaq_s32(acc.q[0], dot_nibbles(q, x, start), scale.q[0]),
                  vmlaq_s32(acc.q[1], dot_nibbles(q + 16, x, start), scale.q[1]),
                  vmlaq_s32(acc.q[2], dot_nibbles(q + 32, x, start), scale.q[2]),
                  vmlaq_s32(acc.q[3], dot_nibbles(q + 48, x, start), scale.q[3])}};
}

static inline int32_t start_q4(int sum)
{
    return -8 * sum;
}
/*
 * acc[n] += s * (one group of Q4), for vector n of few_vector. tokens is a constant where inlined,
 * here and in quads_neon.h.
 */
static inline __attribute__((always_inline)) void add_group_of_q4(n16 *acc, const uint8_t *q, const uint8_t *s,
                                                                  const int8_t *x, const int32_t *start, int tokens)
{
    const n16 scale = n_load_bytes((const int8_t *)s);
    for (int i = 0; i < 4; i++)
        for (int n = 0; n < tokens; n++) {
            const int32x4_t sum =
                dot_nibbles(q + 16 * i, x + (size_t)n * FEW_STRIDE, vdupq_n_s32(start[(size_t)n * FEW_STARTS]));
            acc[n].q[i] = vmlaq_s32(acc[n].q[i], sum, scale.q[i]);
        }
}

#include "kernels/sixes_neon.h"

#include "kernels/quads_neon.h"

#endif
