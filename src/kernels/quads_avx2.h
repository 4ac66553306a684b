/*
 * quads_avx2.h - four columns of 64 rows times four vector elements in ymm registers, for
 * quants_columns.h.
 *
 * AVX2 interleaves bytes within 128-bit halves. Sums are therefore in another order of rows;
 * quad_order restores the order once per group.
 */
#ifndef KERNELS_QUADS_H
#define KERNELS_QUADS_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

/* Interleaves 32 rows of four columns. */
static inline void quad_half(__m256i w[4], __m256i a, __m256i b, __m256i c, __m256i d)
{
    const __m256i ab_l = _mm256_unpacklo_epi8(a, b), ab_h = _mm256_unpackhi_epi8(a, b);
    const __m256i cd_l = _mm256_unpacklo_epi8(c, d), cd_h = _mm256_unpackhi_epi8(c, d);
    w[0] = _mm256_unpacklo_epi16(ab_l, cd_l);
    w[1] = _mm256_unpackhi_epi16(ab_l, cd_l);
    w[2] = _mm256_unpacklo_epi16(ab_h, cd_h);
    w[3] = _mm256_unpackhi_epi16(ab_h, cd_h);
}
static inline void quad_half_q8(__m256i w[4], const uint8_t *const q[4], size_t offset)
{
    quad_half(w, _mm256_loadu_si256((const void *)(q[0] + offset)), _mm256_loadu_si256((const void *)(q[1] + offset)),
              _mm256_loadu_si256((const void *)(q[2] + offset)), _mm256_loadu_si256((const void *)(q[3] + offset)));
}

/*
 * Loads 64 rows of four columns as operands of n_dot4. Each operand holds four rows of every
 * sixteen.
 */
static inline void quad_load_q8(w64 w[4], const uint8_t *const q[4], size_t offset)
{
    __m256i l[4], h[4];
    quad_half_q8(l, q, offset);
    quad_half_q8(h, q, offset + 32);
    for (int i = 0; i < 4; i++)
        w[i] = w_make(l[i], h[i]);
}
static inline void quad_load_q6(struct sixes w[4], const uint8_t *const q[4], size_t offset)
{
    __m256i rows[4][2], l[4], h[4];
    for (int c = 0; c < 4; c++)
        six_section(rows[c], q[c] + offset);
    quad_half(l, rows[0][0], rows[1][0], rows[2][0], rows[3][0]);
    quad_half(h, rows[0][1], rows[1][1], rows[2][1], rows[3][1]);
    for (int i = 0; i < 4; i++)
        w[i] = (struct sixes){l[i], h[i]};
}

static inline void quad_order(n16 sums[4])
{
    const n16 a = sums[0], b = sums[1], c = sums[2], d = sums[3];
    sums[0] = (n16){_mm256_permute2x128_si256(a.l, b.l, 0x20), _mm256_permute2x128_si256(c.l, d.l, 0x20)};
    sums[1] = (n16){_mm256_permute2x128_si256(a.l, b.l, 0x31), _mm256_permute2x128_si256(c.l, d.l, 0x31)};
    sums[2] = (n16){_mm256_permute2x128_si256(a.h, b.h, 0x20), _mm256_permute2x128_si256(c.h, d.h, 0x20)};
    sums[3] = (n16){_mm256_permute2x128_si256(a.h, b.h, 0x31), _mm256_permute2x128_si256(c.h, d.h, 0x31)};
}

/*
 * 16-bit sums of Q4. The sum of a group fits (8 * 127 * 32 = 32512); until then it may wrap around.
 * The two 128-bit halves of sum[i] hold 8 rows each: those from 8 i and from 32 + 8 i on.
 */
struct nibbles {
    __m256i sum[4];
};

/* The weights are stored as q + 8. */
static inline void nibbles_start(struct nibbles *n, int sum)
{
    for (int i = 0; i < 4; i++)
        n->sum[i] = _mm256_set1_epi16((int16_t)(-8 * sum));
}
static inline void nibbles_two(struct nibbles *n, const uint8_t *first, const uint8_t *second, __m256i x)
{
    const __m256i low = _mm256_set1_epi8(15);
    const __m256i a = _mm256_loadu_si256((const void *)first), b = _mm256_loadu_si256((const void *)second);
    const __m256i l = _mm256_unpacklo_epi8(a, b), h = _mm256_unpackhi_epi8(a, b);
    const __m256i w[4] = {_mm256_and_si256(l, low), _mm256_and_si256(_mm256_srli_epi16(l, 4), low),
                          _mm256_and_si256(h, low), _mm256_and_si256(_mm256_srli_epi16(h, 4), low)};
    for (int i = 0; i < 4; i++)
        n->sum[i] = _mm256_add_epi16(n->sum[i], _mm256_maddubs_epi16(w[i], x));
}
static inline void nibbles_add(struct nibbles *n, const uint8_t *const q[4], size_t offset, const int8_t x[4])
{
    int16_t pairs[2];
    memcpy(pairs, x, sizeof pairs);
    nibbles_two(n, q[0] + offset, q[1] + offset, _mm256_set1_epi16(pairs[0]));
    nibbles_two(n, q[2] + offset, q[3] + offset, _mm256_set1_epi16(pairs[1]));
}
static inline void nibbles_end(n16 sums[4], const struct nibbles *n)
{
    for (int i = 0; i < 4; i++) {
        const __m256i l = n->sum[i % 2 * 2], h = n->sum[i % 2 * 2 + 1];
        const __m256i rows = i < 2 ? _mm256_permute2x128_si256(l, h, 0x20) : _mm256_permute2x128_si256(l, h, 0x31);
        sums[i] = (n16){_mm256_cvtepi16_epi32(_mm256_castsi256_si128(rows)),
                        _mm256_cvtepi16_epi32(_mm256_extracti128_si256(rows, 1))};
    }
}

#endif
