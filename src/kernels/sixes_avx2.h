/* sixes_avx2.h - unpacks q6 and q4 in ymm registers, for the kernels of all x86-64 tiers. */
#ifndef KERNELS_SIXES_H
#define KERNELS_SIXES_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

/* Combines the lower 4 bits of `low` with bits 4 and 5 of `high`. */
static inline __m256i six_join(__m256i low, __m256i high)
{
    return _mm256_or_si256(_mm256_and_si256(low, _mm256_set1_epi8(15)), _mm256_and_si256(high, _mm256_set1_epi8(48)));
}

/*
 * Returns rows 8 * half onwards of line v of a group (quants.h), as q + 32. v and half are
 * constants.
 */
static inline __attribute__((always_inline)) __m256i six_line(const uint8_t *q, int v, int half)
{
    const __m256i packed = _mm256_loadu_si256((const void *)(q + 64 * (v % 4) + 32 * half));
    const __m256i high = _mm256_loadu_si256((const void *)(q + 64 * (4 + v / 4) + 32 * half));
    return six_join(v < 4 ? packed : _mm256_srli_epi16(packed, 4), v % 4 == 0   ? _mm256_slli_epi16(high, 4)
                                                                   : v % 4 == 1 ? _mm256_slli_epi16(high, 2)
                                                                   : v % 4 == 2 ? high
                                                                                : _mm256_srli_epi16(high, 2));
}

/* Returns the sub-block scales of 16 rows. */
static inline n16 n_load_s_q6(const uint8_t *s)
{
    int32_t word;
    memcpy(&word, s, sizeof word);
    const __m256i words = _mm256_set1_epi32(word), three = _mm256_set1_epi32(3), scales = _mm256_set1_epi32(1);
    const __m256i l = _mm256_srlv_epi32(words, _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14));
    const __m256i h = _mm256_srlv_epi32(words, _mm256_setr_epi32(16, 18, 20, 22, 24, 26, 28, 30));
    return (n16){_mm256_add_epi32(_mm256_and_si256(l, three), scales),
                 _mm256_add_epi32(_mm256_and_si256(h, three), scales)};
}

/*
 * Returns s * (q - zero) in bytes. q is unsigned; each 16-bit element of s holds s; each byte of
 * zero_s holds s * zero.
 */
static inline __m256i scale_bytes(__m256i q, __m256i s, __m256i zero_s)
{
    /*
     * Multiply in 16 bits and keep the lower byte. The bytes at odd positions are multiplied in
     * place, as 256 times their value.
     */
    const __m256i low = _mm256_set1_epi16(0x00ff);
    const __m256i first = _mm256_mullo_epi16(_mm256_and_si256(q, low), s);
    const __m256i second = _mm256_mullo_epi16(_mm256_andnot_si256(low, q), s);
    return _mm256_sub_epi8(_mm256_or_si256(_mm256_and_si256(first, low), second), zero_s);
}
static inline __attribute__((always_inline)) void six_line_bytes(int8_t *to, const uint8_t *q, int v, n16 s, n16 zero_s)
{
    _mm256_storeu_si256((void *)(to + 64 * v), scale_bytes(six_line(q, v, 0), s.l, zero_s.l));
    _mm256_storeu_si256((void *)(to + 64 * v + 32), scale_bytes(six_line(q, v, 1), s.h, zero_s.h));
}
/* Copies each sub-block scale to both 16-bit halves of its 32 bits. */
static inline __m256i twice(__m256i s)
{
    return _mm256_or_si256(_mm256_slli_epi32(s, 16), _mm256_and_si256(s, _mm256_set1_epi32(0xffff)));
}
/* Copies the lower byte of every 16 bits to the upper byte. */
static inline __m256i both_bytes(__m256i x)
{
    return _mm256_or_si256(_mm256_slli_epi16(x, 8), _mm256_and_si256(x, _mm256_set1_epi16(0x00ff)));
}
/* Unpacks a group of q4 to bytes, multiplied by s. */
static inline void nibble_bytes(int8_t *to, const uint8_t *q, const uint8_t *from)
{
    const __m256i low = _mm256_set1_epi8(15);
    for (int half = 0; half < 2; half++, q += 32, to += 32, from += 8) {
        const __m256i s = twice(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)from)));
        const __m256i zero_s = both_bytes(_mm256_slli_epi16(s, 3));
        for (int i = 0; i < 256; i += 64) {
            const __m256i packed = _mm256_loadu_si256((const void *)(q + i));
            _mm256_storeu_si256((void *)(to + i), scale_bytes(_mm256_and_si256(packed, low), s, zero_s));
            _mm256_storeu_si256((void *)(to + 256 + i),
                                scale_bytes(_mm256_and_si256(_mm256_srli_epi16(packed, 4), low), s, zero_s));
        }
    }
}

/* Unpacks a group of q6 to bytes, multiplied by s. */
static inline void six_bytes(int8_t *to, const uint8_t *q, const uint8_t *from)
{
    const n16 scales = n_load_s_q6(from), s = {twice(scales.l), twice(scales.h)};
    const n16 zero_s = {both_bytes(_mm256_slli_epi16(s.l, 5)), both_bytes(_mm256_slli_epi16(s.h, 5))};
    six_line_bytes(to, q, 0, s, zero_s);
    six_line_bytes(to, q, 1, s, zero_s);
    six_line_bytes(to, q, 2, s, zero_s);
    six_line_bytes(to, q, 3, s, zero_s);
    six_line_bytes(to, q, 4, s, zero_s);
    six_line_bytes(to, q, 5, s, zero_s);
    six_line_bytes(to, q, 6, s, zero_s);
    six_line_bytes(to, q, 7, s, zero_s);
}

/* 64 weights of q6, an operand of n_dot_sixes (dots_*.h): [16 rows][4 columns], as q + 32. */
struct sixes {
    __m256i l, h;
};

/* Loads 64 rows of a q6 column, as q + 32. */
static inline void six_section(__m256i rows[2], const uint8_t *p)
{
    const __m256i pairs = _mm256_loadu_si256((const void *)p); /* 8 bytes per 16 rows */
    const __m256i upper_bits = _mm256_castsi128_si256(_mm_loadu_si128((const void *)(p + 32)));
    const __m256i halves = _mm256_setr_epi64x(0, 4, 0, 4), shifts = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
    const __m256i three = _mm256_set1_epi8(3);
    for (int i = 0; i < 2; i++) {
        const __m256i twice = i ? _mm256_permute4x64_epi64(pairs, 0xfa) : _mm256_permute4x64_epi64(pairs, 0x50);
        const __m256i high = _mm256_permutevar8x32_epi32(
            upper_bits, _mm256_add_epi32(_mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1), _mm256_set1_epi32(2 * i)));
        const __m256i upper = _mm256_slli_epi16(_mm256_and_si256(_mm256_srlv_epi32(high, shifts), three), 4);
        rows[i] = _mm256_or_si256(_mm256_and_si256(_mm256_srlv_epi64(twice, halves), _mm256_set1_epi8(15)), upper);
    }
}

#endif
