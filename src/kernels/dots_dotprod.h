/*
 * dots_dotprod.h - dot products of bytes with SDOT, for lanes_quants.h: four columns of four rows
 * per instruction.
 */
#ifndef KERNELS_DOTS_H
#define KERNELS_DOTS_H

#include "kernels/few.h"
#include "kernels/lanes_neon.h"

#define QUANT_STREAMS 4
#define QUANT_TILES 1 /* 16 accumulators of the 32 registers, 4 for vectors, the rest for weights */
#define QUANT_TOKENS 4
#define QUANT_EACH_TOKENS(DO) DO(1) DO(2) DO(3) DO(4)
/* Estimates, not measured. */
enum { few_q4 = 12, few_q6 = 8, few_q8 = 4 };
#define FEW_VECTORS 4
#define FEW_EACH(DO) DO(1) DO(2) DO(3) DO(4)

static inline n16 n_dot4(n16 acc, w64 w, x4 x)
{
    return (n16){{vdotq_s32(acc.q[0], w.q[0], x), vdotq_s32(acc.q[1], w.q[1], x), vdotq_s32(acc.q[2], w.q[2], x),
                  vdotq_s32(acc.q[3], w.q[3], x)}};
}

/*
 * Adds the products of 4 rows of a group of Q4, with weights as q + 8. l: the elements for the 16
 * columns in the low halves of bytes. h: those for the high halves.
 */
static inline int32x4_t dot_nibbles(const uint8_t *q, int8x16_t l, int8x16_t h, int32x4_t sum)
{
    const uint8x16_t low = vdupq_n_u8(15);
    const uint8x16_t pair[4] = {vld1q_u8(q), vld1q_u8(q + 64), vld1q_u8(q + 128), vld1q_u8(q + 192)};
    sum = vdotq_laneq_s32(sum, vreinterpretq_s8_u8(vandq_u8(pair[0], low)), l, 0);
    sum = vdotq_laneq_s32(sum, vreinterpretq_s8_u8(vandq_u8(pair[1], low)), l, 1);
    sum = vdotq_laneq_s32(sum, vreinterpretq_s8_u8(vandq_u8(pair[2], low)), l, 2);
    sum = vdotq_laneq_s32(sum, vreinterpretq_s8_u8(vandq_u8(pair[3], low)), l, 3);
    sum = vdotq_laneq_s32(sum, vreinterpretq_s8_u8(vshrq_n_u8(pair[0], 4)), h, 0);
    sum = vdotq_laneq_s32(sum, vreinterpretq_s8_u8(vshrq_n_u8(pair[1], 4)), h, 1);
    sum = vdotq_laneq_s32(sum, vreinterpretq_s8_u8(vshrq_n_u8(pair[2], 4)), h, 2);
    return vdotq_laneq_s32(sum, vreinterpretq_s8_u8(vshrq_n_u8(pair[3], 4)), h, 3);
}
/*
 * Returns acc + s * (one group of Q4). The weights are stored as q + 8, so the sum starts at -8
 * times that of x.
 */
static inline n16 n_add_q4(n16 acc, const uint8_t *q, const uint8_t *s, const int8_t *x, int sum)
{
    const int8x16_t l = vld1q_s8(x), h = vld1q_s8(x + 16);
    const int32x4_t start = vdupq_n_s32(-8 * sum);
    const n16 scale = n_load_bytes((const int8_t *)s);
    return (n16){{vmlaq_s32(acc.q[0], dot_nibbles(q, l, h, start), scale.q[0]),
                  vmlaq_s32(acc.q[1], dot_nibbles(q + 16, l, h, start), scale.q[1]),
                  vmlaq_s32(acc.q[2], dot_nibbles(q + 32, l, h, start), scale.q[2]),
                  vmlaq_s32(acc.q[3], dot_nibbles(q + 48, l, h, start), scale.q[3])}};
}

static inline int32_t start_q4(int sum)
{
    return -8 * sum;
}
/* Adds the products of four lines of 4 rows and one vector, with weights as q + 8. */
static inline int32x4_t dot_four(int32x4_t sum, const uint8x16_t w[4], int8x16_t x)
{
    sum = vdotq_laneq_s32(sum, vreinterpretq_s8_u8(w[0]), x, 0);
    sum = vdotq_laneq_s32(sum, vreinterpretq_s8_u8(w[1]), x, 1);
    sum = vdotq_laneq_s32(sum, vreinterpretq_s8_u8(w[2]), x, 2);
    return vdotq_laneq_s32(sum, vreinterpretq_s8_u8(w[3]), x, 3);
}
/*
 * acc[n] += s * (one group of Q4), for vector n of few_vector. tokens is a constant where inlined,
 * here and in quads_neon.h.
 */
static inline __attribute__((always_inline)) void add_group_of_q4(n16 *acc, const uint8_t *q, const uint8_t *s,
                                                                  const int8_t *x, const int32_t *start, int tokens)
{
    const uint8x16_t low = vdupq_n_u8(15);
    const n16 scale = n_load_bytes((const int8_t *)s);
    for (int i = 0; i < 4; i++) {
        uint8x16_t l[4], h[4];
        for (int v = 0; v < 4; v++) {
            const uint8x16_t pair = vld1q_u8(q + 64 * v + 16 * i);
            l[v] = vandq_u8(pair, low);
            h[v] = vshrq_n_u8(pair, 4);
        }
        for (int n = 0; n < tokens; n++) {
            const int8_t *const from = x + (size_t)n * FEW_STRIDE;
            int32x4_t sum = dot_four(vdupq_n_s32(start[(size_t)n * FEW_STARTS]), l, vld1q_s8(from));
            sum = dot_four(sum, h, vld1q_s8(from + 16));
            acc[n].q[i] = vmlaq_s32(acc[n].q[i], sum, scale.q[i]);
        }
    }
}

#include "kernels/sixes_neon.h"

#include "kernels/quads_neon.h"

#endif
