/* sixes_neon.h - the numbers of q6 in registers of Arm: what is done before products, whatever multiplies them. */
#ifndef KERNELS_SIXES_H
#define KERNELS_SIXES_H

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

/* 16 rows by 4 columns, line v of a group (quants.h), as q + 32; v is a constant. */
static inline __attribute__((always_inline)) w64 six_line(const uint8_t *q, int v)
{
    w64 line;
    for (int i = 0; i < 4; i++) {
        const uint8x16_t both = vld1q_u8(q + 64 * (v % 4) + 16 * i), high = vld1q_u8(q + 64 * (4 + v / 4) + 16 * i);
        const uint8x16_t low = v < 4 ? vandq_u8(both, vdupq_n_u8(15)) : vshrq_n_u8(both, 4);
        const uint8x16_t placed = v % 4 == 0   ? vshlq_n_u8(high, 4)
                                  : v % 4 == 1 ? vshlq_n_u8(high, 2)
                                  : v % 4 == 2 ? high
                                               : vshrq_n_u8(high, 2);
        line.q[i] = vreinterpretq_s8_u8(vorrq_u8(low, vandq_u8(placed, vdupq_n_u8(48))));
    }
    return line;
}

/* The sub-block scales of 16 rows. */
static inline n16 n_load_s_q6(const uint8_t *s)
{
    uint32_t word;
    n16 scale;
    memcpy(&word, s, sizeof word);
    for (int i = 0; i < 4; i++) {
        const int32_t at[4] = {-8 * i, -8 * i - 2, -8 * i - 4, -8 * i - 6};
        const uint32x4_t shifted = vshlq_u32(vdupq_n_u32(word), vld1q_s32(at));
        scale.q[i] = vreinterpretq_s32_u32(vaddq_u32(vandq_u32(shifted, vdupq_n_u32(3)), vdupq_n_u32(1)));
    }
    return scale;
}

#endif
