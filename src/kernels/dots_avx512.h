/*
 * dots_avx512.h - dot products of bytes in zmm registers without VNNI, for lanes_quants.h: pairs of
 * products in 16 bits, then pairs of those in 32 bits.
 *
 * VPMADDUBSW multiplies unsigned by signed bytes and saturates at 16 bits. The sign of a weight is
 * therefore moved to the vector: |w| * (sign(w) * x), at most 128 * 127 * 2 = 32512.
 */
#ifndef KERNELS_DOTS_H
#define KERNELS_DOTS_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "kernels/few.h"
#include "kernels/sixes_avx512.h"

#define QUANT_STREAMS 4
#define QUANT_TILES 4 /* 24 accumulators of the 32 registers */
#define QUANT_TOKENS 6
#define QUANT_EACH_TOKENS(DO) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6)
/*
 * Uses quant_few in place of quant_gemm for any number of vectors. Measured with 64 vectors: it
 * takes 0.6 times (q4) and 0.7 times (q6) as long as unpacking to bytes first.
 */
#define QUANT_PACKED 1
/* Taken from AVX2, which uses the same arithmetic. */
enum { few_q8 = 32 };
#define FEW_VECTORS 8 /* accumulators; 8 registers of weights */
#define FEW_EACH(DO) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8)

typedef struct {
    __m512i size; /* |w| */
    __mmask64 minus;
} w64;
typedef __m512i x4;

static inline w64 w_make(__m512i w)
{
    return (w64){_mm512_abs_epi8(w), _mm512_movepi8_mask(w)};
}
static inline w64 w_load(const void *p)
{
    return w_make(_mm512_load_si512(p));
}
static inline x4 x_load(const int8_t *p)
{
    int32_t four;
    memcpy(&four, p, sizeof four);
    return _mm512_set1_epi32(four);
}
static inline n16 n_start(int sum)
{
    (void)sum;
    return n_zero();
}
static inline n16 n_dot4(n16 acc, w64 w, x4 x)
{
    const __m512i signed_x = _mm512_mask_sub_epi8(x, w.minus, _mm512_setzero_si512(), x);
    const __m512i pairs = _mm512_maddubs_epi16(w.size, signed_x);
    return _mm512_add_epi32(acc, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}
/*
 * Returns acc + s * (one group of Q4). The weights are stored as q + 8, so the sum of a row starts
 * at -8 times the sum of x. Each row has two 16-bit sums: columns 0 and 1 of every four, from that
 * start value, and columns 2 and 3, from 0. At the end, the first is within 8 * 127 * 32 = 32512
 * and the second within 15 * 127 * 16 = 30480; until then they may wrap around.
 */
static inline n16 n_add_q4(n16 acc, const uint8_t *q, const uint8_t *s, const int8_t *x, int sum)
{
    const __m512i low = _mm512_set1_epi8(15);
    __m512i l = _mm512_set1_epi32(-8 * sum & 0xffff), h = _mm512_setzero_si512();
    for (int i = 0; i < 4; i++) {
        const __m512i pair = _mm512_load_si512(q + 64 * i);
        l = _mm512_add_epi16(l, _mm512_maddubs_epi16(_mm512_and_si512(pair, low), x_load(x + 4 * i)));
        h = _mm512_add_epi16(
            h, _mm512_maddubs_epi16(_mm512_and_si512(_mm512_srli_epi16(pair, 4), low), x_load(x + 16 + 4 * i)));
    }
    const __m512i twice = _mm512_shuffle_epi8(_mm512_cvtepi8_epi32(_mm_load_si128((const void *)s)),
                                              _mm512_set4_epi32(0x0d0c0d0c, 0x09080908, 0x05040504, 0x01000100));
    return _mm512_add_epi32(acc, _mm512_madd_epi16(_mm512_add_epi16(l, h), twice));
}

static inline int32_t start_q4(int sum)
{
    return -8 * sum & 0xffff;
}
/* acc[n] += s * (one group of Q4), for vector n of few_vector. */
static inline __attribute__((always_inline)) void add_group_of_q4(n16 *acc, const uint8_t *q, const uint8_t *s,
                                                                  const int8_t *x, const int32_t *start, int tokens)
{
    const __m512i low = _mm512_set1_epi8(15);
    const __m512i scale = _mm512_shuffle_epi8(_mm512_cvtepi8_epi32(_mm_load_si128((const void *)s)),
                                              _mm512_set4_epi32(0x0d0c0d0c, 0x09080908, 0x05040504, 0x01000100));
    __m512i w[8];
    for (int i = 0; i < 4; i++) {
        const __m512i pair = _mm512_load_si512(q + 64 * i);
        w[i] = _mm512_and_si512(pair, low);
        w[4 + i] = _mm512_and_si512(_mm512_srli_epi16(pair, 4), low);
    }
    for (int n = 0; n < tokens; n++) {
        const int8_t *const from = x + (size_t)n * FEW_STRIDE;
        __m512i sum = _mm512_set1_epi32(start[(size_t)n * FEW_STARTS]);
        for (int i = 0; i < 8; i++)
            sum = _mm512_add_epi16(sum, _mm512_maddubs_epi16(w[i], x_load(from + 4 * i)));
        acc[n] = _mm512_add_epi32(acc[n], _mm512_madd_epi16(sum, scale));
    }
}

/*
 * Returns 16-bit sums of lines v and v + 1 of a group of Q6, weights as q + 32. Four products fit:
 * 4 * 63 * 127 = 32004.
 */
static inline __m512i pairs_q6(const uint8_t *q, int v, const int8_t *x)
{
    return _mm512_add_epi16(_mm512_maddubs_epi16(six_line(q, v), x_load(x + 4 * v)),
                            _mm512_maddubs_epi16(six_line(q, v + 1), x_load(x + 4 * v + 4)));
}
static inline n16 n_dot_sixes(n16 acc, struct sixes w, x4 x)
{
    return _mm512_add_epi32(acc, _mm512_madd_epi16(_mm512_maddubs_epi16(w.q, x), _mm512_set1_epi16(1)));
}
/*
 * As n_add_q4, for Q6 with weights stored as q + 32. 32 * s * (sum of x) does not fit 16-bit
 * operands, so it is subtracted as the sum of two products (2 * s) * (8 * sum of x). 8 * sum is
 * within 8 * 127 * 32 = 32512.
 */
static inline n16 n_add_q6(n16 acc, const uint8_t *q, const uint8_t *s, const int8_t *x, int sum)
{
    const __m512i words = n_load_s_q6(s), twice = _mm512_or_si512(words, _mm512_slli_epi32(words, 16));
    acc = _mm512_add_epi32(acc,
                           _mm512_madd_epi16(_mm512_add_epi16(twice, twice), _mm512_set1_epi16((int16_t)(-8 * sum))));
    acc = _mm512_add_epi32(acc, _mm512_madd_epi16(pairs_q6(q, 0, x), twice));
    acc = _mm512_add_epi32(acc, _mm512_madd_epi16(pairs_q6(q, 2, x), twice));
    acc = _mm512_add_epi32(acc, _mm512_madd_epi16(pairs_q6(q, 4, x), twice));
    return _mm512_add_epi32(acc, _mm512_madd_epi16(pairs_q6(q, 6, x), twice));
}

/* Start value for add_group_of_q6: -8 * sum in both 16-bit halves. */
static inline int32_t start_q6(int sum)
{
    return (int32_t)((uint32_t)(-8 * sum & 0xffff) * 0x10001u);
}
/* As add_group_of_q4, for Q6: see n_add_q6. */
static inline __attribute__((always_inline)) void add_group_of_q6(n16 *acc, const uint8_t *q, const uint8_t *s,
                                                                  const int8_t *x, const int32_t *start, int tokens)
{
    const __m512i w[8] = {six_line(q, 0), six_line(q, 1), six_line(q, 2), six_line(q, 3),
                          six_line(q, 4), six_line(q, 5), six_line(q, 6), six_line(q, 7)};
    const __m512i words = n_load_s_q6(s), scale = _mm512_or_si512(words, _mm512_slli_epi32(words, 16));
    const __m512i double_scale = _mm512_add_epi16(scale, scale);
    for (int n = 0; n < tokens; n++) {
        const int8_t *const from = x + (size_t)n * FEW_STRIDE;
        n16 sum =
            _mm512_add_epi32(acc[n], _mm512_madd_epi16(double_scale, _mm512_set1_epi32(start[(size_t)n * FEW_STARTS])));
        for (int i = 0; i < 8; i += 2) {
            const __m512i pairs = _mm512_add_epi16(_mm512_maddubs_epi16(w[i], x_load(from + 4 * i)),
                                                   _mm512_maddubs_epi16(w[i + 1], x_load(from + 4 * i + 4)));
            sum = _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, scale));
        }
        acc[n] = sum;
    }
}

#endif
