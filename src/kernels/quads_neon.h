/* quads_neon.h - four columns of 64 rows times four numbers of the vector, interleaved by a store of Arm; for quants_columns.h. */
#ifndef KERNELS_QUADS_H
#define KERNELS_QUADS_H

#include <arm_neon.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* 16 rows of a column of Q8; of Q4, eight bytes that hold the first eight in their low halves, the others in the high ones. */
static inline uint8x16_t quad_column(const uint8_t *p, bool nibbles)
{
    if (!nibbles)
        return vld1q_u8(p);
    const uint8x8_t pairs = vld1_u8(p);
    return vsubq_u8(vcombine_u8(vand_u8(pairs, vdup_n_u8(15)), vshr_n_u8(pairs, 4)), vdupq_n_u8(8));
}

static inline void quad_rows(w64 w[4], const uint8_t *const q[4], size_t at, bool nibbles)
{
    for (size_t i = 0; i < 4; i++) {
        uint8_t bytes[64];
        const size_t from = at + i * (nibbles ? 8 : 16);
        uint8x16x4_t columns; /* a variable: vst4q_u8 is a macro in clang */
        for (int j = 0; j < 4; j++)
            columns.val[j] = quad_column(q[j] + from, nibbles);
        vst4q_u8(bytes, columns);
        w[i] = w_load(bytes);
    }
}

/* Q8: the operands of n_dot4. */
static inline void quad_load(w64 w[4], const uint8_t *const q[4], size_t at)
{
    quad_rows(w, q, at, false);
}
static inline void quad_order(n16 sums[4])
{
    (void)sums;
}

/* Q4 */
struct nibbles {
    n16 sum[4];
};
static inline void nibbles_start(struct nibbles *n, int sum)
{
    for (int i = 0; i < 4; i++)
        n->sum[i] = n_start(sum);
}
static inline void nibbles_add(struct nibbles *n, const uint8_t *const q[4], size_t at, const int8_t x[4])
{
    w64 w[4];
    const x4 v = x_load(x);
    quad_rows(w, q, at, true);
    for (int i = 0; i < 4; i++)
        n->sum[i] = n_dot4(n->sum[i], w[i], v);
}
static inline void nibbles_end(n16 sums[4], const struct nibbles *n)
{
    memcpy(sums, n->sum, sizeof n->sum);
}

#endif
