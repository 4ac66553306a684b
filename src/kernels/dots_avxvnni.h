/*
 * dots_avxvnni.h - dot products of bytes in ymm registers with AVX-VNNI, for lanes_quants.h:
 * VPDPBUSD adds four products of unsigned weights and signed vector elements per 32-bit lane.
 */
#ifndef KERNELS_DOTS_H
#define KERNELS_DOTS_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "kernels/few.h"
#include "kernels/sixes_avx2.h"

#define QUANT_STREAMS 4
#define QUANT_TILES 1 /* 12 accumulators of the 16 registers */
#define QUANT_TOKENS 6
#define QUANT_EACH_TOKENS(DO) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6)
/*
 * Measured with models of 1.5b: time of quant_few relative to quant_gemm for 8, 16, 24 and 32
 * vectors: q4 0.58, 0.75, 0.76, 0.88; q8 0.6, 0.8, 1.16, 1.05. q6 was measured only with weights in
 * the cache, where prefetching gains nothing: 0.9 with 8 vectors, 1.2 with 16.
 */
enum { few_q4 = 32, few_q6 = 16, few_q8 = 20 };
#define FEW_VECTORS 6 /* 12 accumulators */
#define FEW_EACH(DO) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6)

typedef n16 w64; /* weights + 128, unsigned */
typedef __m256i x4;

static inline w64 w_make(__m256i l, __m256i h)
{
    const __m256i top = _mm256_set1_epi8(-128);
    return (w64){_mm256_xor_si256(l, top), _mm256_xor_si256(h, top)};
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
/* Start value that cancels the 128 added to the weights. sum: of the vector's integers. */
static inline n16 n_start(int sum)
{
    return n_set(-128 * sum);
}
static inline n16 n_dot4(n16 acc, w64 w, x4 x)
{
    return (n16){_mm256_dpbusd_avx_epi32(acc.l, w.l, x), _mm256_dpbusd_avx_epi32(acc.h, w.h, x)};
}
/*
 * Returns acc + s * (one group of Q4). The weights are stored as q + 8, so the sum starts at -8
 * times that of x. The final sum fits 16 bits (32 * 8 * 127), so one instruction for pairs of
 * 16-bit products, with s and 0 as the pair, multiplies it by s.
 */
static inline n16 n_add_q4(n16 acc, const uint8_t *q, const uint8_t *s, const int8_t *x, int sum)
{
    const __m256i low = _mm256_set1_epi8(15), mask = _mm256_set1_epi32(0xffff);
    __m256i l = _mm256_set1_epi32(-8 * sum), h = l;
    for (int i = 0; i < 4; i++) {
        const __m256i *pair = (const __m256i *)(const void *)(q + 64 * i);
        const __m256i p = _mm256_load_si256(pair), r = _mm256_load_si256(pair + 1);
        const x4 first = x_load(x + 4 * i), second = x_load(x + 16 + 4 * i);
        l = _mm256_dpbusd_avx_epi32(l, _mm256_and_si256(p, low), first);
        h = _mm256_dpbusd_avx_epi32(h, _mm256_and_si256(r, low), first);
        l = _mm256_dpbusd_avx_epi32(l, _mm256_and_si256(_mm256_srli_epi16(p, 4), low), second);
        h = _mm256_dpbusd_avx_epi32(h, _mm256_and_si256(_mm256_srli_epi16(r, 4), low), second);
    }
    const __m256i s_l = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)s));
    const __m256i s_h = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)(s + 8)));
    return (n16){_mm256_dpwssd_avx_epi32(acc.l, l, _mm256_and_si256(s_l, mask)),
                 _mm256_dpwssd_avx_epi32(acc.h, h, _mm256_and_si256(s_h, mask))};
}

static inline int32_t start_q4(int sum)
{
    return -8 * sum;
}
/* acc[n] += s * (one group of Q4), for vector n of few_vector. */
static inline __attribute__((always_inline)) void add_group_of_q4(n16 *acc, const uint8_t *q, const uint8_t *s,
                                                                  const int8_t *x, const int32_t *start, int tokens)
{
    const __m256i low = _mm256_set1_epi8(15), mask = _mm256_set1_epi32(0xffff);
    n16 sum[FEW_VECTORS];
    for (int n = 0; n < tokens; n++)
        sum[n] = n_set(start[(size_t)n * FEW_STARTS]);
    for (int i = 0; i < 4; i++) {
        const __m256i *pair = (const __m256i *)(const void *)(q + 64 * i);
        __m256i p = _mm256_load_si256(pair), r = _mm256_load_si256(pair + 1);
        for (int half = 0; half < 2; half++) {
            const w64 w = {_mm256_and_si256(p, low), _mm256_and_si256(r, low)};
            for (int n = 0; n < tokens; n++)
                sum[n] = n_dot4(sum[n], w, x_load(x + (size_t)n * FEW_STRIDE + 16 * half + 4 * i));
            p = _mm256_srli_epi16(p, 4);
            r = _mm256_srli_epi16(r, 4);
        }
    }
    const __m256i s_l = _mm256_and_si256(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)s)), mask);
    const __m256i s_h = _mm256_and_si256(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)(s + 8))), mask);
    for (int n = 0; n < tokens; n++)
        acc[n] =
            (n16){_mm256_dpwssd_avx_epi32(acc[n].l, sum[n].l, s_l), _mm256_dpwssd_avx_epi32(acc[n].h, sum[n].h, s_h)};
}

static inline n16 n_dot_sixes(n16 acc, struct sixes w, x4 x)
{
    return (n16){_mm256_dpbusd_avx_epi32(acc.l, w.l, x), _mm256_dpbusd_avx_epi32(acc.h, w.h, x)};
}
/*
 * Adds the products of line v of a group of Q6, with weights as q + 32, to *l (rows 0 to 7) and *h
 * (rows 8 to 15).
 */
static inline __attribute__((always_inline)) void add_line_q6(__m256i *l, __m256i *h, const uint8_t *q, int v,
                                                              const int8_t *x)
{
    const x4 four = x_load(x + 4 * v);
    *l = _mm256_dpbusd_avx_epi32(*l, six_line(q, v, 0), four);
    *h = _mm256_dpbusd_avx_epi32(*h, six_line(q, v, 1), four);
}
/* As n_add_q4, for Q6 with weights stored as q + 32. */
static inline n16 n_add_q6(n16 acc, const uint8_t *q, const uint8_t *s, const int8_t *x, int sum)
{
    const n16 scale = n_load_s_q6(s);
    __m256i l = _mm256_set1_epi32(-32 * sum), h = l;
    add_line_q6(&l, &h, q, 0, x);
    add_line_q6(&l, &h, q, 1, x);
    add_line_q6(&l, &h, q, 2, x);
    add_line_q6(&l, &h, q, 3, x);
    add_line_q6(&l, &h, q, 4, x);
    add_line_q6(&l, &h, q, 5, x);
    add_line_q6(&l, &h, q, 6, x);
    add_line_q6(&l, &h, q, 7, x);
    return (n16){_mm256_add_epi32(acc.l, _mm256_mullo_epi32(l, scale.l)),
                 _mm256_add_epi32(acc.h, _mm256_mullo_epi32(h, scale.h))};
}

/* Adds the products of line v of a group of Q6 to the sums of all vectors. */
static inline __attribute__((always_inline)) void add_line_of_q6(n16 *sum, const uint8_t *q, int v, const int8_t *x,
                                                                 int tokens)
{
    const w64 w = {six_line(q, v, 0), six_line(q, v, 1)};
    for (int n = 0; n < tokens; n++)
        sum[n] = n_dot4(sum[n], w, x_load(x + (size_t)n * FEW_STRIDE + 4 * v));
}
static inline int32_t start_q6(int sum)
{
    return -32 * sum;
}
/* As add_group_of_q4, for Q6. */
static inline __attribute__((always_inline)) void add_group_of_q6(n16 *acc, const uint8_t *q, const uint8_t *s,
                                                                  const int8_t *x, const int32_t *start, int tokens)
{
    n16 sum[FEW_VECTORS];
    for (int n = 0; n < tokens; n++)
        sum[n] = n_set(start[(size_t)n * FEW_STARTS]);
    add_line_of_q6(sum, q, 0, x, tokens);
    add_line_of_q6(sum, q, 1, x, tokens);
    add_line_of_q6(sum, q, 2, x, tokens);
    add_line_of_q6(sum, q, 3, x, tokens);
    add_line_of_q6(sum, q, 4, x, tokens);
    add_line_of_q6(sum, q, 5, x, tokens);
    add_line_of_q6(sum, q, 6, x, tokens);
    add_line_of_q6(sum, q, 7, x, tokens);
    const n16 scale = n_load_s_q6(s);
    for (int n = 0; n < tokens; n++)
        acc[n] = (n16){_mm256_add_epi32(acc[n].l, _mm256_mullo_epi32(sum[n].l, scale.l)),
                       _mm256_add_epi32(acc[n].h, _mm256_mullo_epi32(sum[n].h, scale.h))};
}

#endif
