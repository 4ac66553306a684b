/*
 * quads_avx2.h - four columns of 64 bytes to the operands of n_dot4, in ymm registers; for quants_columns.h.
 *
 * Bytes are interleaved inside the two 128-bit parts of a register, so a result holds four rows out of each sixteen: sums are made in
 * that order, and put into the order of rows once a group is complete.
 */
#ifndef KERNELS_QUADS_H
#define KERNELS_QUADS_H

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

/* 32 rows of a column. */
static inline __m256i quad_column(const uint8_t *p, bool nibbles)
{
    if (!nibbles)
        return _mm256_loadu_si256((const void *)p);
    const __m128i pairs = _mm_loadu_si128((const void *)p), low = _mm_set1_epi8(15);
    const __m128i first = _mm_and_si128(pairs, low), last = _mm_and_si128(_mm_srli_epi16(pairs, 4), low);
    const __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_unpacklo_epi64(first, last)),
                                                 _mm_unpackhi_epi64(first, last), 1);
    return _mm256_sub_epi8(both, _mm256_set1_epi8(8));
}

static inline void quad_half(__m256i w[4], const uint8_t *const q[4], size_t at, bool nibbles)
{
    const __m256i a = quad_column(q[0] + at, nibbles), b = quad_column(q[1] + at, nibbles);
    const __m256i c = quad_column(q[2] + at, nibbles), d = quad_column(q[3] + at, nibbles);
    const __m256i ab_l = _mm256_unpacklo_epi8(a, b), ab_h = _mm256_unpackhi_epi8(a, b);
    const __m256i cd_l = _mm256_unpacklo_epi8(c, d), cd_h = _mm256_unpackhi_epi8(c, d);
    w[0] = _mm256_unpacklo_epi16(ab_l, cd_l);
    w[1] = _mm256_unpackhi_epi16(ab_l, cd_l);
    w[2] = _mm256_unpacklo_epi16(ab_h, cd_h);
    w[3] = _mm256_unpackhi_epi16(ab_h, cd_h);
}

static inline void quad_load(w64 w[4], const uint8_t *const q[4], size_t at, bool nibbles)
{
    __m256i l[4], h[4];
    quad_half(l, q, at, nibbles);
    quad_half(h, q, at + (nibbles ? 16 : 32), nibbles);
    for (int i = 0; i < 4; i++)
        w[i] = w_make(l[i], h[i]);
}

static inline void quad_order(n16 sums[4], bool nibbles)
{
    const n16 a = sums[0], b = sums[1], c = sums[2], d = sums[3];
    (void)nibbles;
    sums[0] = (n16){_mm256_permute2x128_si256(a.l, b.l, 0x20), _mm256_permute2x128_si256(c.l, d.l, 0x20)};
    sums[1] = (n16){_mm256_permute2x128_si256(a.l, b.l, 0x31), _mm256_permute2x128_si256(c.l, d.l, 0x31)};
    sums[2] = (n16){_mm256_permute2x128_si256(a.h, b.h, 0x20), _mm256_permute2x128_si256(c.h, d.h, 0x20)};
    sums[3] = (n16){_mm256_permute2x128_si256(a.h, b.h, 0x31), _mm256_permute2x128_si256(c.h, d.h, 0x31)};
}

#endif
