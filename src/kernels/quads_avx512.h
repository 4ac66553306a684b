/*
 * quads_avx512.h - four columns of 64 rows times four vector elements in zmm registers, for
 * quants_columns.h.
 *
 * AVX-512 interleaves bytes within 128-bit parts. Sums are therefore in another order of rows;
 * quad_order restores the order once per group.
 */
#ifndef KERNELS_QUADS_H
#define KERNELS_QUADS_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

/*
 * Interleaves 64 rows of four columns to [16 rows][4 columns]. Each operand holds four rows of
 * every sixteen.
 */
static inline void quad_interleave(__m512i w[4], __m512i a, __m512i b, __m512i c, __m512i d)
{
    const __m512i ab_l = _mm512_unpacklo_epi8(a, b), ab_h = _mm512_unpackhi_epi8(a, b);
    const __m512i cd_l = _mm512_unpacklo_epi8(c, d), cd_h = _mm512_unpackhi_epi8(c, d);
    w[0] = _mm512_unpacklo_epi16(ab_l, cd_l);
    w[1] = _mm512_unpackhi_epi16(ab_l, cd_l);
    w[2] = _mm512_unpacklo_epi16(ab_h, cd_h);
    w[3] = _mm512_unpackhi_epi16(ab_h, cd_h);
}
static inline void quad_load_q8(w64 w[4], const uint8_t *const q[4], size_t offset)
{
    __m512i bytes[4];
    quad_interleave(bytes, _mm512_loadu_si512(q[0] + offset), _mm512_loadu_si512(q[1] + offset),
                    _mm512_loadu_si512(q[2] + offset), _mm512_loadu_si512(q[3] + offset));
    for (int i = 0; i < 4; i++)
        w[i] = w_make(bytes[i]);
}
static inline void quad_load_q6(struct sixes w[4], const uint8_t *const q[4], size_t offset)
{
    __m512i bytes[4];
    quad_interleave(bytes, six_section(q[0] + offset), six_section(q[1] + offset), six_section(q[2] + offset),
                    six_section(q[3] + offset));
    for (int i = 0; i < 4; i++)
        w[i].q = bytes[i];
}

static inline void quad_order(n16 sums[4])
{
    const __m512i l01 = _mm512_shuffle_i32x4(sums[0], sums[1], 0x44),
                  l23 = _mm512_shuffle_i32x4(sums[2], sums[3], 0x44);
    const __m512i h01 = _mm512_shuffle_i32x4(sums[0], sums[1], 0xee),
                  h23 = _mm512_shuffle_i32x4(sums[2], sums[3], 0xee);
    sums[0] = _mm512_shuffle_i32x4(l01, l23, 0x88);
    sums[1] = _mm512_shuffle_i32x4(l01, l23, 0xdd);
    sums[2] = _mm512_shuffle_i32x4(h01, h23, 0x88);
    sums[3] = _mm512_shuffle_i32x4(h01, h23, 0xdd);
}

/*
 * 16-bit sums of Q4. The sum of a group fits (8 * 127 * 32 = 32512); until then it may wrap around.
 * The lower 256 bits hold the sums of the first two columns, the upper 256 bits those of the other
 * two. Each half of sum[i] has two 128-bit parts of 8 rows: those from 8 i and from 32 + 8 i on.
 */
struct nibbles {
    __m512i sum[4];
};

/* The weights are stored as q + 8. */
static inline void nibbles_start(struct nibbles *n, int sum)
{
    const __m512i start = _mm512_zextsi256_si512(_mm256_set1_epi16((int16_t)(-8 * sum)));
    for (int i = 0; i < 4; i++)
        n->sum[i] = start;
}
static inline void nibbles_add(struct nibbles *n, const uint8_t *const q[4], size_t offset, const int8_t x[4])
{
    const __m512i low = _mm512_set1_epi8(15);
    const __m512i pairs = _mm512_inserti64x4(_mm512_set1_epi16(0x0100), _mm256_set1_epi16(0x0302), 1);
    int32_t four;
    memcpy(&four, x, sizeof four);
    const __m512i v = _mm512_shuffle_epi8(_mm512_set1_epi32(four), pairs);
    const __m512i a = _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256((const void *)(q[0] + offset))),
                                         _mm256_loadu_si256((const void *)(q[2] + offset)), 1);
    const __m512i b = _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256((const void *)(q[1] + offset))),
                                         _mm256_loadu_si256((const void *)(q[3] + offset)), 1);
    const __m512i l = _mm512_unpacklo_epi8(a, b), h = _mm512_unpackhi_epi8(a, b);
    const __m512i w[4] = {_mm512_and_si512(l, low), _mm512_and_si512(_mm512_srli_epi16(l, 4), low),
                          _mm512_and_si512(h, low), _mm512_and_si512(_mm512_srli_epi16(h, 4), low)};
    for (int i = 0; i < 4; i++)
        n->sum[i] = _mm512_add_epi16(n->sum[i], _mm512_maddubs_epi16(w[i], v));
}
static inline void nibbles_end(n16 sums[4], const struct nibbles *n)
{
    __m256i s[4];
    for (int i = 0; i < 4; i++)
        s[i] = _mm256_add_epi16(_mm512_castsi512_si256(n->sum[i]), _mm512_extracti64x4_epi64(n->sum[i], 1));
    sums[0] = _mm512_cvtepi16_epi32(_mm256_permute2x128_si256(s[0], s[1], 0x20));
    sums[1] = _mm512_cvtepi16_epi32(_mm256_permute2x128_si256(s[2], s[3], 0x20));
    sums[2] = _mm512_cvtepi16_epi32(_mm256_permute2x128_si256(s[0], s[1], 0x31));
    sums[3] = _mm512_cvtepi16_epi32(_mm256_permute2x128_si256(s[2], s[3], 0x31));
}

#endif
