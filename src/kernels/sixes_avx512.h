/* sixes_avx512.h - unpacks q6 and q4 in zmm registers, for the kernels of the AVX-512 tiers. */
#ifndef KERNELS_SIXES_H
#define KERNELS_SIXES_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

/* Combines the lower 4 bits of `low` with bits 4 and 5 of `high`. */
static inline __m512i six_join(__m512i low, __m512i high)
{
    const __m512i lower = _mm512_and_si512(low, _mm512_set1_epi8(15));
    return _mm512_ternarylogic_epi32(lower, high, _mm512_set1_epi8(48), 0xf8); /* a | (b & c) */
}

/* Returns line v of a group (quants.h), as q + 32. v is a constant. */
static inline __attribute__((always_inline)) __m512i six_line(const uint8_t *q, int v)
{
    const __m512i packed = _mm512_loadu_si512(q + 64 * (v % 4)), high = _mm512_loadu_si512(q + 64 * (4 + v / 4));
    return six_join(v < 4 ? packed : _mm512_srli_epi16(packed, 4), v % 4 == 0   ? _mm512_slli_epi16(high, 4)
                                                                   : v % 4 == 1 ? _mm512_slli_epi16(high, 2)
                                                                   : v % 4 == 2 ? high
                                                                                : _mm512_srli_epi16(high, 2));
}

/* Returns the sub-block scales of 16 rows. */
static inline __m512i n_load_s_q6(const uint8_t *s)
{
    int32_t word;
    memcpy(&word, s, sizeof word);
    const __m512i at = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    return _mm512_add_epi32(_mm512_and_si512(_mm512_srlv_epi32(_mm512_set1_epi32(word), at), _mm512_set1_epi32(3)),
                            _mm512_set1_epi32(1));
}

/* Copies each sub-block scale to both 16-bit halves of its 32 bits. */
static inline __m512i twice(__m512i s)
{
    return _mm512_or_si512(_mm512_slli_epi32(s, 16), _mm512_and_si512(s, _mm512_set1_epi32(0xffff)));
}

/*
 * Returns s * (q - zero) in bytes. q is unsigned; each 16-bit element of s holds s; each byte of
 * zero_s holds s * zero.
 */
static inline __m512i scale_bytes(__m512i q, __m512i s, __m512i zero_s)
{
    /*
     * Multiply in 16 bits and keep the lower byte. The bytes at odd positions are multiplied in
     * place, as 256 times their value.
     */
    const __m512i low = _mm512_set1_epi16(0x00ff);
    const __m512i first = _mm512_mullo_epi16(_mm512_and_si512(q, low), s);
    const __m512i second = _mm512_mullo_epi16(_mm512_and_si512(q, _mm512_set1_epi16((short)0xff00)), s);
    return _mm512_sub_epi8(_mm512_or_si512(_mm512_and_si512(first, low), second), zero_s);
}

/* Copies the lower byte of every 16 bits to the upper byte. */
static inline __m512i both_bytes(__m512i x)
{
    return _mm512_or_si512(_mm512_slli_epi16(x, 8), _mm512_and_si512(x, _mm512_set1_epi16(0x00ff)));
}

/* Unpacks a group of q4 to bytes, multiplied by s. */
static inline void nibble_bytes(int8_t *to, const uint8_t *q, const uint8_t *from)
{
    const __m512i s = twice(_mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)from)));
    const __m512i zero_s = both_bytes(_mm512_slli_epi16(s, 3)), low = _mm512_set1_epi8(15);
    for (int i = 0; i < 256; i += 64) {
        const __m512i packed = _mm512_loadu_si512(q + i);
        _mm512_storeu_si512(to + i, scale_bytes(_mm512_and_si512(packed, low), s, zero_s));
        _mm512_storeu_si512(to + 256 + i, scale_bytes(_mm512_and_si512(_mm512_srli_epi16(packed, 4), low), s, zero_s));
    }
}

/* Unpacks a group of q6 to bytes, multiplied by s. */
static inline void six_bytes(int8_t *to, const uint8_t *q, const uint8_t *from)
{
    const __m512i s = twice(n_load_s_q6(from)), zero_s = both_bytes(_mm512_slli_epi16(s, 5));
    _mm512_storeu_si512(to, scale_bytes(six_line(q, 0), s, zero_s));
    _mm512_storeu_si512(to + 64, scale_bytes(six_line(q, 1), s, zero_s));
    _mm512_storeu_si512(to + 128, scale_bytes(six_line(q, 2), s, zero_s));
    _mm512_storeu_si512(to + 192, scale_bytes(six_line(q, 3), s, zero_s));
    _mm512_storeu_si512(to + 256, scale_bytes(six_line(q, 4), s, zero_s));
    _mm512_storeu_si512(to + 320, scale_bytes(six_line(q, 5), s, zero_s));
    _mm512_storeu_si512(to + 384, scale_bytes(six_line(q, 6), s, zero_s));
    _mm512_storeu_si512(to + 448, scale_bytes(six_line(q, 7), s, zero_s));
}

/* 64 weights of q6, an operand of n_dot_sixes (dots_*.h): [16 rows][4 columns], as q + 32. */
struct sixes {
    __m512i q;
};

/* Loads 64 rows of a q6 column, as q + 32. */
static inline __m512i six_section(const uint8_t *p)
{
    const __m256i pairs = _mm256_loadu_si256((const void *)p); /* 8 bytes per 16 rows */
    const __m128i upper_bits = _mm_loadu_si128((const void *)(p + 32));
    const __m512i twice =
        _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3), _mm512_castsi256_si512(pairs));
    const __m512i high = _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3),
                                                  _mm512_castsi128_si512(upper_bits));
    return six_join(_mm512_srlv_epi64(twice, _mm512_setr_epi64(0, 4, 0, 4, 0, 4, 0, 4)),
                    _mm512_rorv_epi32(high, _mm512_setr_epi32(28, 30, 0, 2, 28, 30, 0, 2, 28, 30, 0, 2, 28, 30, 0, 2)));
}

#endif
