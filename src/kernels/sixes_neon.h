/* sixes_neon.h - unpacks q6 and q4 in q registers, for the kernels of all aarch64 tiers. */
#ifndef KERNELS_SIXES_H
#define KERNELS_SIXES_H

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

/* Returns line v of a group (quants.h), [16 rows][4 columns], as q + 32. v is a constant. */
static inline __attribute__((always_inline)) w64 six_line(const uint8_t *q, int v)
{
    w64 line;
    for (int i = 0; i < 4; i++) {
        const uint8x16_t packed = vld1q_u8(q + 64 * (v % 4) + 16 * i), high = vld1q_u8(q + 64 * (4 + v / 4) + 16 * i);
        const uint8x16_t low = v < 4 ? vandq_u8(packed, vdupq_n_u8(15)) : vshrq_n_u8(packed, 4);
        const uint8x16_t placed = v % 4 == 0   ? vshlq_n_u8(high, 4)
                                  : v % 4 == 1 ? vshlq_n_u8(high, 2)
                                  : v % 4 == 2 ? high
                                               : vshrq_n_u8(high, 2);
        line.q[i] = vreinterpretq_s8_u8(vorrq_u8(low, vandq_u8(placed, vdupq_n_u8(48))));
    }
    return line;
}

/* Returns the sub-block scales of 16 rows. */
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

/* Unpacks a line to bytes, multiplied by s. */
static inline void six_line_bytes(int8_t *to, w64 line, n16 s)
{
    for (int i = 0; i < 4; i++) {
        /* Copies s of a row to all four bytes of its columns. */
        const int8x16_t scale = vreinterpretq_s8_s32(vmulq_n_s32(s.q[i], 0x01010101));
        vst1q_s8(to + 16 * i, vmulq_s8(vsubq_s8(line.q[i], vdupq_n_s8(32)), scale));
    }
}
/* Unpacks a group of q4 to bytes, multiplied by s. */
static inline void nibble_bytes(int8_t *to, const uint8_t *q, const uint8_t *from)
{
    for (int i = 0; i < 4; i++) { /* 4 rows */
        uint32_t word;
        memcpy(&word, from + 4 * i, sizeof word);
        const uint16x4_t rows = vget_low_u16(vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(word))));
        const int8x16_t s = vreinterpretq_s8_u32(vmulq_n_u32(vmovl_u16(rows), 0x01010101)), eight = vdupq_n_s8(8);
        for (int at = 16 * i; at < 256; at += 64) {
            const uint8x16_t packed = vld1q_u8(q + at);
            const int8x16_t low = vreinterpretq_s8_u8(vandq_u8(packed, vdupq_n_u8(15)));
            const int8x16_t high = vreinterpretq_s8_u8(vshrq_n_u8(packed, 4));
            vst1q_s8(to + at, vmulq_s8(vsubq_s8(low, eight), s));
            vst1q_s8(to + 256 + at, vmulq_s8(vsubq_s8(high, eight), s));
        }
    }
}

/* Unpacks a group of q6 to bytes, multiplied by s. */
static inline void six_bytes(int8_t *to, const uint8_t *q, const uint8_t *from)
{
    const n16 s = n_load_s_q6(from);
    six_line_bytes(to, six_line(q, 0), s);
    six_line_bytes(to + 64, six_line(q, 1), s);
    six_line_bytes(to + 128, six_line(q, 2), s);
    six_line_bytes(to + 192, six_line(q, 3), s);
    six_line_bytes(to + 256, six_line(q, 4), s);
    six_line_bytes(to + 320, six_line(q, 5), s);
    six_line_bytes(to + 384, six_line(q, 6), s);
    six_line_bytes(to + 448, six_line(q, 7), s);
}

#endif
