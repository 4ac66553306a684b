/* sixes_avx512.h - the numbers of q6 in zmm registers: what is done before products, whatever multiplies them. */
#ifndef KERNELS_SIXES_H
#define KERNELS_SIXES_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

/* The lower 4 bits of `low`, and bits 4 and 5 of `high`. */
static inline __m512i six_join(__m512i low, __m512i high)
{
    const __m512i lower = _mm512_and_si512(low, _mm512_set1_epi8(15));
    return _mm512_ternarylogic_epi32(lower, high, _mm512_set1_epi8(48), 0xf8); /* a | (b & c) */
}

/* Line v of a group (quants.h), as q + 32; v is a constant. */
static inline __attribute__((always_inline)) __m512i six_line(const uint8_t *q, int v)
{
    const __m512i both = _mm512_loadu_si512(q + 64 * (v % 4)), high = _mm512_loadu_si512(q + 64 * (4 + v / 4));
    return six_join(v < 4 ? both : _mm512_srli_epi16(both, 4), v % 4 == 0   ? _mm512_slli_epi16(high, 4)
                                                               : v % 4 == 1 ? _mm512_slli_epi16(high, 2)
                                                               : v % 4 == 2 ? high
                                                                            : _mm512_srli_epi16(high, 2));
}

/* The sub-block scales of 16 rows. */
static inline __m512i n_load_s_q6(const uint8_t *s)
{
    int32_t word;
    memcpy(&word, s, sizeof word);
    const __m512i at = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    return _mm512_add_epi32(_mm512_and_si512(_mm512_srlv_epi32(_mm512_set1_epi32(word), at), _mm512_set1_epi32(3)),
                            _mm512_set1_epi32(1));
}

/* 64 rows of a column, as q + 32. */
static inline __m512i six_section(const uint8_t *p)
{
    const __m256i pairs = _mm256_loadu_si256((const void *)p); /* 8 bytes for 16 rows */
    const __m128i rest = _mm_loadu_si128((const void *)(p + 32));
    const __m512i twice =
        _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3), _mm512_castsi256_si512(pairs));
    const __m512i high = _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3),
                                                  _mm512_castsi128_si512(rest));
    return six_join(_mm512_srlv_epi64(twice, _mm512_setr_epi64(0, 4, 0, 4, 0, 4, 0, 4)),
                    _mm512_rorv_epi32(high, _mm512_setr_epi32(28, 30, 0, 2, 28, 30, 0, 2, 28, 30, 0, 2, 28, 30, 0, 2)));
}

#endif
