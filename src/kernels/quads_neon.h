/*
 * quads_neon.h - built on n_dot4 of dots_neon.h or dots_dotprod.h: the products of a group of q6,
 * and, for quants_columns.h, four columns of 64 rows times four vector elements. ST4 interleaves
 * the columns.
 */
#ifndef KERNELS_QUADS_H
#define KERNELS_QUADS_H

#include <arm_neon.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Load 16 rows of a column. Q4 stores them in eight bytes: the first 8 rows in the low halves. */
static inline uint8x16_t quad_column_q8(const uint8_t *p)
{
    return vld1q_u8(p);
}
static inline uint8x16_t quad_column_q4(const uint8_t *p)
{
    const uint8x8_t pairs = vld1_u8(p);
    return vsubq_u8(vcombine_u8(vand_u8(pairs, vdup_n_u8(15)), vshr_n_u8(pairs, 4)), vdupq_n_u8(8));
}
/* Q6, as q + 32: the lower 4 bits as in Q4, the upper 2 bits in four bytes. */
static inline uint8x16_t quad_column_q6(const uint8_t *pairs, const uint8_t *upper)
{
    static const int32_t shift[4] = {0, -2, -4, -6};
    uint32_t word;
    memcpy(&word, upper, sizeof word);
    const uint8x8_t packed = vld1_u8(pairs);
    const uint8x16_t low = vcombine_u8(vand_u8(packed, vdup_n_u8(15)), vshr_n_u8(packed, 4));
    const uint8x16_t high = vreinterpretq_u8_u32(vshlq_u32(vdupq_n_u32(word), vld1q_s32(shift)));
    return vorrq_u8(low, vshlq_n_u8(vandq_u8(high, vdupq_n_u8(3)), 4));
}

/* Interleaves 16 rows of four columns to an operand of n_dot4. */
static inline w64 quad_interleave(uint8x16_t a, uint8x16_t b, uint8x16_t c, uint8x16_t d)
{
    uint8_t bytes[64];
    const uint8x16x4_t columns = {{a, b, c, d}};
    vst4q_u8(bytes, columns);
    return w_load(bytes);
}

/* 64 weights of q6, an operand of n_dot_sixes: [16 rows][4 columns], as q + 32. */
struct sixes {
    w64 q;
};
static inline n16 n_dot_sixes(n16 acc, struct sixes w, x4 x)
{
    return n_dot4(acc, w.q, x);
}

/* Load 64 rows of four columns as operands of n_dot4. */
static inline void quad_load_q8(w64 w[4], const uint8_t *const q[4], size_t offset)
{
    for (size_t i = 0; i < 4; i++, offset += 16)
        w[i] = quad_interleave(quad_column_q8(q[0] + offset), quad_column_q8(q[1] + offset),
                               quad_column_q8(q[2] + offset), quad_column_q8(q[3] + offset));
}
static inline void quad_load_q4(w64 w[4], const uint8_t *const q[4], size_t offset)
{
    for (size_t i = 0; i < 4; i++, offset += 8)
        w[i] = quad_interleave(quad_column_q4(q[0] + offset), quad_column_q4(q[1] + offset),
                               quad_column_q4(q[2] + offset), quad_column_q4(q[3] + offset));
}
static inline void quad_load_q6(struct sixes w[4], const uint8_t *const q[4], size_t offset)
{
    for (size_t i = 0; i < 4; i++) {
        const size_t pairs = offset + 8 * i, upper = offset + 32 + 4 * i;
        w[i].q =
            quad_interleave(quad_column_q6(q[0] + pairs, q[0] + upper), quad_column_q6(q[1] + pairs, q[1] + upper),
                            quad_column_q6(q[2] + pairs, q[2] + upper), quad_column_q6(q[3] + pairs, q[3] + upper));
    }
}
static inline void quad_order(n16 sums[4])
{
    (void)sums;
}

/* Sums of Q4. */
struct nibbles {
    n16 sum[4];
};
static inline void nibbles_start(struct nibbles *n, int sum)
{
    for (int i = 0; i < 4; i++)
        n->sum[i] = n_start(sum);
}
static inline void nibbles_add(struct nibbles *n, const uint8_t *const q[4], size_t offset, const int8_t x[4])
{
    w64 w[4];
    const x4 v = x_load(x);
    quad_load_q4(w, q, offset);
    for (int i = 0; i < 4; i++)
        n->sum[i] = n_dot4(n->sum[i], w[i], v);
}
static inline void nibbles_end(n16 sums[4], const struct nibbles *n)
{
    memcpy(sums, n->sum, sizeof n->sum);
}

/*
 * Returns acc + s * (one group of Q6). The weights are stored as q + 32, so the sum starts at -32
 * times that of x.
 */
static inline n16 n_add_q6(n16 acc, const uint8_t *q, const uint8_t *s, const int8_t *x, int sum)
{
    const n16 scale = n_load_s_q6(s);
    n16 sums = n_set(-32 * sum);
    sums = n_dot4(sums, six_line(q, 0), x_load(x));
    sums = n_dot4(sums, six_line(q, 1), x_load(x + 4));
    sums = n_dot4(sums, six_line(q, 2), x_load(x + 8));
    sums = n_dot4(sums, six_line(q, 3), x_load(x + 12));
    sums = n_dot4(sums, six_line(q, 4), x_load(x + 16));
    sums = n_dot4(sums, six_line(q, 5), x_load(x + 20));
    sums = n_dot4(sums, six_line(q, 6), x_load(x + 24));
    sums = n_dot4(sums, six_line(q, 7), x_load(x + 28));
    return (n16){{vmlaq_s32(acc.q[0], sums.q[0], scale.q[0]), vmlaq_s32(acc.q[1], sums.q[1], scale.q[1]),
                  vmlaq_s32(acc.q[2], sums.q[2], scale.q[2]), vmlaq_s32(acc.q[3], sums.q[3], scale.q[3])}};
}

static inline int32_t start_q6(int sum)
{
    return -32 * sum;
}
/* Adds the products of line v of a group of Q6 to the sums of all vectors. */
static inline __attribute__((always_inline)) void add_line_of_q6(n16 *sum, const uint8_t *q, int v, const int8_t *x,
                                                                 int tokens)
{
    const w64 w = six_line(q, v);
    for (int n = 0; n < tokens; n++)
        sum[n] = n_dot4(sum[n], w, x_load(x + (size_t)n * FEW_STRIDE + 4 * v));
}
/* As add_group_of_q4, for Q6. */
static inline __attribute__((always_inline)) void add_group_of_q6(n16 *acc, const uint8_t *q, const uint8_t *s,
                                                                  const int8_t *x, const int32_t *start, int tokens)
{
    const n16 scale = n_load_s_q6(s);
    n16 sum[FEW_VECTORS];
    for (int n = 0; n < tokens; n++)
        sum[n] = n_set(start[(size_t)n * FEW_STARTS]);
    add_line_of_q6(sum, q, 0, x, tokens);
    add_line_of_q6(sum, q, 1, x, tokens);
    add_line_of_q6(sum, q, 2, x, tokens);
    add_line_of_q6(sum, q, 3, x, tokens);
    add_line_of_q6(sum, q, 4, x, tokens);
    add_line_of_q6(sum, q, 5, x, tokens);
    add_line_of_q6(sum, q, 6, x, tokens);
    add_line_of_q6(sum, q, 7, x, tokens);
    for (int n = 0; n < tokens; n++)
        for (int i = 0; i < 4; i++)
            acc[n].q[i] = vmlaq_s32(acc[n].q[i], sum[n].q[i], scale.q[i]);
}

#endif
