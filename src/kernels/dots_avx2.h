/*
 * dots_avx2.h - dot products of bytes in ymm registers, for lanes_quants.h: pairs of products in 16
 * bits, then pairs of those in 32 bits.
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
#include "kernels/sixes_avx2.h"

#define QUANT_STREAMS 2
#define QUANT_TILES 1 /* 8 accumulators of the 16 registers */
#define QUANT_TOKENS 4
#define QUANT_EACH_TOKENS(DO) DO(1) DO(2) DO(3) DO(4)
/* Uses quant_few for any number of vectors: unsigned products cost less than n_dot4. */
#define QUANT_PACKED 1
/* Measured with a model of 1.5b: 0.74 times as long as quant_gemm with 8 vectors, 0.92 with 32. */
enum { few_q8 = 32 };
#define FEW_VECTORS 6 /* 12 accumulators */
#define FEW_EACH(DO) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6)

typedef struct {
    __m256i l, h, size_l, size_h; /* the weights and |w| */
} w64;
typedef __m256i x4;

static inline w64 w_make(__m256i l, __m256i h)
{
    return (w64){l, h, _mm256_abs_epi8(l), _mm256_abs_epi8(h)};
}
static inline w64 w_load(const void *p)
{
    const __m256i *from = p;
    return w_make(_mm256_load_si256(from), _mm256_load_si256(from + 1));
}
static inline x4 x_load(const int8_t *p)
{
    int32_t four;
    memcpy(&four, p, sizeof four);
    return _mm256_set1_epi32(four);
}
static inline n16 n_start(int sum)
{
    (void)sum;
    return n_zero();
}
static inline n16 n_dot4(n16 acc, w64 w, x4 x)
{
    const __m256i ones = _mm256_set1_epi16(1);
    const __m256i l = _mm256_maddubs_epi16(w.size_l, _mm256_sign_epi8(x, w.l));
    const __m256i h = _mm256_maddubs_epi16(w.size_h, _mm256_sign_epi8(x, w.h));
    return (n16){_mm256_add_epi32(acc.l, _mm256_madd_epi16(l, ones)),
                 _mm256_add_epi32(acc.h, _mm256_madd_epi16(h, ones))};
}
static inline int32_t start_q4(int sum)
{
    return -8 * sum & 0xffff;
}
/*
 * acc[n] += s * (one group of Q4), for vector n of few_vector. tokens is a constant where inlined.
 *
 * The weights are stored as q + 8, so each sum starts at -8 times the sum of x. Each row has two
 * 16-bit sums: columns 0 and 1 of every four, from that start value, and columns 2 and 3, from 0.
 * At the end, the first is within 8 * 127 * 32 = 32512 and the second within 15 * 127 * 16 = 30480;
 * until then they may wrap around.
 */
static inline __attribute__((always_inline)) void add_group_of_q4(n16 *acc, const uint8_t *q, const uint8_t *s,
                                                                  const int8_t *x, const int32_t *start, int tokens)
{
    const __m256i low = _mm256_set1_epi8(15);
    const __m256i order = _mm256_setr_epi8(0, 1, 0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13, 0, 1, 0, 1, 4, 5, 4, 5,
                                           8, 9, 8, 9, 12, 13, 12, 13);
    __m256i l[FEW_VECTORS], h[FEW_VECTORS];
    for (int n = 0; n < tokens; n++)
        l[n] = h[n] = _mm256_set1_epi32(start[(size_t)n * FEW_STARTS]);
    for (int i = 0; i < 4; i++) {
        const __m256i *pair = (const __m256i *)(const void *)(q + 64 * i);
        __m256i p = _mm256_load_si256(pair), r = _mm256_load_si256(pair + 1);
        for (int half = 0; half < 2; half++) {
            const __m256i w_l = _mm256_and_si256(p, low), w_h = _mm256_and_si256(r, low);
            for (int n = 0; n < tokens; n++) {
                const x4 four = x_load(x + (size_t)n * FEW_STRIDE + 16 * half + 4 * i);
                l[n] = _mm256_add_epi16(l[n], _mm256_maddubs_epi16(w_l, four));
                h[n] = _mm256_add_epi16(h[n], _mm256_maddubs_epi16(w_h, four));
            }
            p = _mm256_srli_epi16(p, 4);
            r = _mm256_srli_epi16(r, 4);
        }
    }
    const __m256i s_l = _mm256_shuffle_epi8(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)s)), order);
    const __m256i s_h = _mm256_shuffle_epi8(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)(s + 8))), order);
    for (int n = 0; n < tokens; n++)
        acc[n] = (n16){_mm256_add_epi32(acc[n].l, _mm256_madd_epi16(l[n], s_l)),
                       _mm256_add_epi32(acc[n].h, _mm256_madd_epi16(h[n], s_h))};
}
static inline n16 n_add_q4(n16 acc, const uint8_t *q, const uint8_t *s, const int8_t *x, int sum)
{
    const int32_t start = start_q4(sum);
    add_group_of_q4(&acc, q, s, x, &start, 1);
    return acc;
}

static inline n16 n_dot_sixes(n16 acc, struct sixes w, x4 x)
{
    const __m256i ones = _mm256_set1_epi16(1);
    return (n16){_mm256_add_epi32(acc.l, _mm256_madd_epi16(_mm256_maddubs_epi16(w.l, x), ones)),
                 _mm256_add_epi32(acc.h, _mm256_madd_epi16(_mm256_maddubs_epi16(w.h, x), ones))};
}
/*
 * acc[n] += s * (lines v and v + 1 of a group of Q6), weights as q + 32. Four products fit 16 bits:
 * 4 * 63 * 127 = 32004.
 */
static inline __attribute__((always_inline)) void add_lines_of_q6(n16 *acc, const uint8_t *q, int v, __m256i s_l,
                                                                  __m256i s_h, const int8_t *x, int tokens)
{
    const __m256i l0 = six_line(q, v, 0), h0 = six_line(q, v, 1);
    const __m256i l1 = six_line(q, v + 1, 0), h1 = six_line(q, v + 1, 1);
    for (int n = 0; n < tokens; n++) {
        const x4 first = x_load(x + (size_t)n * FEW_STRIDE + 4 * v),
                 second = x_load(x + (size_t)n * FEW_STRIDE + 4 * v + 4);
        const __m256i l = _mm256_add_epi16(_mm256_maddubs_epi16(l0, first), _mm256_maddubs_epi16(l1, second));
        const __m256i h = _mm256_add_epi16(_mm256_maddubs_epi16(h0, first), _mm256_maddubs_epi16(h1, second));
        acc[n].l = _mm256_add_epi32(acc[n].l, _mm256_madd_epi16(l, s_l));
        acc[n].h = _mm256_add_epi32(acc[n].h, _mm256_madd_epi16(h, s_h));
    }
}
/* Start value for add_group_of_q6: -8 * sum in both 16-bit halves. */
static inline int32_t start_q6(int sum)
{
    return (int32_t)((uint32_t)(-8 * sum & 0xffff) * 0x10001u);
}
/*
 * As add_group_of_q4, for Q6 with weights stored as q + 32. 32 * s * (sum of x) does not fit 16-bit
 * operands, so it is subtracted as the sum of two products (2 * s) * (8 * sum of x). 8 * sum is
 * within 8 * 127 * 32 = 32512.
 */
static inline __attribute__((always_inline)) void add_group_of_q6(n16 *acc, const uint8_t *q, const uint8_t *s,
                                                                  const int8_t *x, const int32_t *start, int tokens)
{
    const n16 words = n_load_s_q6(s);
    const __m256i s_l = _mm256_or_si256(words.l, _mm256_slli_epi32(words.l, 16));
    const __m256i s_h = _mm256_or_si256(words.h, _mm256_slli_epi32(words.h, 16));
    for (int n = 0; n < tokens; n++) {
        const __m256i zero_term = _mm256_set1_epi32(start[(size_t)n * FEW_STARTS]);
        acc[n].l = _mm256_add_epi32(acc[n].l, _mm256_madd_epi16(_mm256_add_epi16(s_l, s_l), zero_term));
        acc[n].h = _mm256_add_epi32(acc[n].h, _mm256_madd_epi16(_mm256_add_epi16(s_h, s_h), zero_term));
    }
    add_lines_of_q6(acc, q, 0, s_l, s_h, x, tokens);
    add_lines_of_q6(acc, q, 2, s_l, s_h, x, tokens);
    add_lines_of_q6(acc, q, 4, s_l, s_h, x, tokens);
    add_lines_of_q6(acc, q, 6, s_l, s_h, x, tokens);
}
static inline n16 n_add_q6(n16 acc, const uint8_t *q, const uint8_t *s, const int8_t *x, int sum)
{
    const int32_t start = start_q6(sum);
    add_group_of_q6(&acc, q, s, x, &start, 1);
    return acc;
}

#endif
