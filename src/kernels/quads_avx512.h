/*
 * quads_avx512.h - four columns of 64 bytes to the operands of n_dot4, in zmm registers; for quants_columns.h.
 *
 * Bytes are interleaved inside the four 128-bit parts of a register, so a result holds four rows out of each sixteen: sums are made in
 * that order, and put into the order of rows once a group is complete.
 */
#ifndef KERNELS_QUADS_H
#define KERNELS_QUADS_H

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

/* 64 rows of a column of Q8, or of Q4: then the parts of the register are the sixteens 0, 2, 1, 3. */
static inline __m512i quad_column(const uint8_t *p, bool nibbles)
{
    if (!nibbles)
        return _mm512_loadu_si512(p);
    const __m256i pairs = _mm256_loadu_si256((const void *)p), low = _mm256_set1_epi8(15);
    const __m256i first = _mm256_and_si256(pairs, low), last = _mm256_and_si256(_mm256_srli_epi16(pairs, 4), low);
    const __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_unpacklo_epi64(first, last)),
                                            _mm256_unpackhi_epi64(first, last), 1);
    return _mm512_sub_epi8(both, _mm512_set1_epi8(8));
}

static inline void quad_load(w64 w[4], const uint8_t *const q[4], size_t at, bool nibbles)
{
    const __m512i a = quad_column(q[0] + at, nibbles), b = quad_column(q[1] + at, nibbles);
    const __m512i c = quad_column(q[2] + at, nibbles), d = quad_column(q[3] + at, nibbles);
    const __m512i ab_l = _mm512_unpacklo_epi8(a, b), ab_h = _mm512_unpackhi_epi8(a, b);
    const __m512i cd_l = _mm512_unpacklo_epi8(c, d), cd_h = _mm512_unpackhi_epi8(c, d);
    w[0] = w_make(_mm512_unpacklo_epi16(ab_l, cd_l));
    w[1] = w_make(_mm512_unpackhi_epi16(ab_l, cd_l));
    w[2] = w_make(_mm512_unpacklo_epi16(ab_h, cd_h));
    w[3] = w_make(_mm512_unpackhi_epi16(ab_h, cd_h));
}

static inline void quad_order(n16 sums[4], bool nibbles)
{
    const __m512i l01 = _mm512_shuffle_i32x4(sums[0], sums[1], 0x44),
                  l23 = _mm512_shuffle_i32x4(sums[2], sums[3], 0x44);
    const __m512i h01 = _mm512_shuffle_i32x4(sums[0], sums[1], 0xee),
                  h23 = _mm512_shuffle_i32x4(sums[2], sums[3], 0xee);
    sums[0] = _mm512_shuffle_i32x4(l01, l23, 0x88);
    sums[nibbles ? 2 : 1] = _mm512_shuffle_i32x4(l01, l23, 0xdd);
    sums[nibbles ? 1 : 2] = _mm512_shuffle_i32x4(h01, h23, 0x88);
    sums[3] = _mm512_shuffle_i32x4(h01, h23, 0xdd);
}

#endif
