/* quads_neon.h - four columns of 64 bytes to the operands of n_dot4, by the interleaving store of Arm; for quants_columns.h. */
#ifndef KERNELS_QUADS_H
#define KERNELS_QUADS_H

#include <arm_neon.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 16 rows of a column of Q8; of Q4, eight bytes that hold the first eight in their low halves, the others in the high ones. */
static inline uint8x16_t quad_column(const uint8_t *p, bool nibbles)
{
    if (!nibbles)
        return vld1q_u8(p);
    const uint8x8_t pairs = vld1_u8(p);
    return vsubq_u8(vcombine_u8(vand_u8(pairs, vdup_n_u8(15)), vshr_n_u8(pairs, 4)), vdupq_n_u8(8));
}

static inline void quad_load(w64 w[4], const uint8_t *const q[4], size_t at, bool nibbles)
{
    for (size_t i = 0; i < 4; i++) {
        uint8_t bytes[64];
        const size_t from = at + i * (nibbles ? 8 : 16);
        vst4q_u8(bytes, (uint8x16x4_t){{quad_column(q[0] + from, nibbles), quad_column(q[1] + from, nibbles),
                                        quad_column(q[2] + from, nibbles), quad_column(q[3] + from, nibbles)}});
        w[i] = w_load(bytes);
    }
}

static inline void quad_order(n16 sums[4], bool nibbles)
{
    (void)sums;
    (void)nibbles;
}

#endif
