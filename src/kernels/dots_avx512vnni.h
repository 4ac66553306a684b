/*
 * dots_avx512vnni.h - dot products of bytes in zmm registers with VNNI, for lanes_quants.h:
 * VPDPBUSD adds four products of unsigned weights and signed vector elements per 32-bit lane.
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
 * Measured with models of 1.5b: time of quant_few relative to quant_gemm (or to one GEMV per
 * vector, below 5 vectors) for 8, 16, 24 and 32 vectors: q4 0.67, 0.79, 0.93, 0.98; q6 0.68, 0.84,
 * 0.98, 1.06; q8 0.8, 0.7, 0.8, 0.9.
 */
enum { few_q4 = 32, few_q6 = 24, few_q8 = 32 };
#define FEW_VECTORS 8 /* accumulators; 8 registers of weights */
#define FEW_EACH(DO) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8)

typedef __m512i w64; /* weights + 128, unsigned */
typedef __m512i x4;

static inline w64 w_make(__m512i w)
{
    return _mm512_xor_si512(w, _mm512_set1_epi8(-128));
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
/*
 * Start value that cancels the 128 added to the weights. sum: of the vector's integers, |sum| <
 * 2^15.
 */
static inline n16 n_start(int sum)
{
    return n_set(-128 * sum);
}
static inline n16 n_dot4(n16 acc, w64 w, x4 x)
{
    return _mm512_dpbusd_epi32(acc, w, x);
}
/*
 * Returns acc + s * (one group of Q4). The weights are stored as q + 8, so the sum starts at -8
 * times that of x. The final sum fits 16 bits (32 * 8 * 127), so one instruction for pairs of
 * 16-bit products, with s and 0 as the pair, multiplies it by s.
 */
static inline n16 n_add_q4(n16 acc, const uint8_t *q, const uint8_t *s, const int8_t *x, int sum)
{
    const __m512i low = _mm512_set1_epi8(15);
    n16 l = n_set(-8 * sum), h = n_zero();
    for (int i = 0; i < 4; i++) {
        const __m512i pair = _mm512_load_si512(q + 64 * i);
        l = _mm512_dpbusd_epi32(l, _mm512_and_si512(pair, low), x_load(x + 4 * i));
        h = _mm512_dpbusd_epi32(h, _mm512_and_si512(_mm512_srli_epi16(pair, 4), low), x_load(x + 16 + 4 * i));
    }
    const __m512i scale = _mm512_cvtepi8_epi32(_mm_load_si128((const void *)s));
    return _mm512_dpwssd_epi32(acc, _mm512_add_epi32(l, h), _mm512_and_si512(scale, _mm512_set1_epi32(0xffff)));
}

/*
 * Returns start plus the products of 8 lines of weights and one vector. Two chains of dependent
 * instructions per vector: with one, the hardware looks ahead too few instructions to overlap the
 * vectors.
 */
static inline n16 dot_lines(const __m512i w[8], const int8_t *x, const int32_t *start)
{
    n16 l = n_set(*start), h = n_zero();
    l = _mm512_dpbusd_epi32(l, w[0], x_load(x));
    h = _mm512_dpbusd_epi32(h, w[4], x_load(x + 16));
    l = _mm512_dpbusd_epi32(l, w[1], x_load(x + 4));
    h = _mm512_dpbusd_epi32(h, w[5], x_load(x + 20));
    l = _mm512_dpbusd_epi32(l, w[2], x_load(x + 8));
    h = _mm512_dpbusd_epi32(h, w[6], x_load(x + 24));
    l = _mm512_dpbusd_epi32(l, w[3], x_load(x + 12));
    h = _mm512_dpbusd_epi32(h, w[7], x_load(x + 28));
    return _mm512_add_epi32(l, h);
}
static inline int32_t start_q4(int sum)
{
    return -8 * sum;
}
/* acc[n] += s * (one group of Q4), for vector n of few_vector. */
static inline __attribute__((always_inline)) void add_group_of_q4(n16 *acc, const uint8_t *q, const uint8_t *s,
                                                                  const int8_t *x, const int32_t *start, int tokens)
{
    const __m512i low = _mm512_set1_epi8(15);
    const __m512i scale =
        _mm512_and_si512(_mm512_cvtepi8_epi32(_mm_load_si128((const void *)s)), _mm512_set1_epi32(0xffff));
    __m512i w[8];
    for (int i = 0; i < 4; i++) {
        const __m512i pair = _mm512_load_si512(q + 64 * i);
        w[i] = _mm512_and_si512(pair, low);
        w[4 + i] = _mm512_and_si512(_mm512_srli_epi16(pair, 4), low);
    }
    for (int n = 0; n < tokens; n++)
        acc[n] = _mm512_dpwssd_epi32(acc[n], dot_lines(w, x + (size_t)n * FEW_STRIDE, start + (size_t)n * FEW_STARTS),
                                     scale);
}

static inline n16 n_dot_sixes(n16 acc, struct sixes w, x4 x)
{
    return _mm512_dpbusd_epi32(acc, w.q, x);
}
/* As n_add_q4, for Q6 with weights stored as q + 32. */
static inline n16 n_add_q6(n16 acc, const uint8_t *q, const uint8_t *s, const int8_t *x, int sum)
{
    n16 l = n_set(-32 * sum), h = n_zero();
    l = _mm512_dpbusd_epi32(l, six_line(q, 0), x_load(x));
    h = _mm512_dpbusd_epi32(h, six_line(q, 4), x_load(x + 16));
    l = _mm512_dpbusd_epi32(l, six_line(q, 1), x_load(x + 4));
    h = _mm512_dpbusd_epi32(h, six_line(q, 5), x_load(x + 20));
    l = _mm512_dpbusd_epi32(l, six_line(q, 2), x_load(x + 8));
    h = _mm512_dpbusd_epi32(h, six_line(q, 6), x_load(x + 24));
    l = _mm512_dpbusd_epi32(l, six_line(q, 3), x_load(x + 12));
    h = _mm512_dpbusd_epi32(h, six_line(q, 7), x_load(x + 28));
    return _mm512_add_epi32(acc, _mm512_mullo_epi32(_mm512_add_epi32(l, h), n_load_s_q6(s)));
}

static inline int32_t start_q6(int sum)
{
    return -32 * sum;
}
/* As add_group_of_q4, for Q6. */
static inline __attribute__((always_inline)) void add_group_of_q6(n16 *acc, const uint8_t *q, const uint8_t *s,
                                                                  const int8_t *x, const int32_t *start, int tokens)
{
    const __m512i w[8] = {six_line(q, 0), six_line(q, 1), six_line(q, 2), six_line(q, 3),
                          six_line(q, 4), six_line(q, 5), six_line(q, 6), six_line(q, 7)};
    const n16 scale = n_load_s_q6(s);
    for (int n = 0; n < tokens; n++)
        acc[n] = _mm512_add_epi32(
            acc[n],
            _mm512_mullo_epi32(dot_lines(w, x + (size_t)n * FEW_STRIDE, start + (size_t)n * FEW_STARTS), scale));
}

#endif
