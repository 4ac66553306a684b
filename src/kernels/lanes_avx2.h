/* lanes_avx2.h - sixteen float lanes in two ymm registers: the parameters of lanes.h. */
#ifndef KERNELS_LANES_H
#define KERNELS_LANES_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define GEMV_ROWS 4 /* 8 accumulators of the 16 registers */
#define GEMM_ROWS 4 /* register tile of 4 x 3, one register per accumulator */
#define GEMM_TOKENS 3
/*
 * Measured, relative to one GEMV per vector: GEMM takes 1.1 to 1.5 times as long with 8 vectors,
 * and the same time with 16.
 */
#define GEMM_FEW 12
#define GEMM_EACH_TOKENS(DO) DO(1) DO(2) DO(3)
#define WKV_BLOCK 2 /* vectors of value channels at a time: two chains of FMAs each */

/* One register, for gemm_tile. */
#define R_LANES 8
typedef __m256 reg;

static inline reg r_zero(void)
{
    return _mm256_setzero_ps();
}
static inline reg r_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
static inline void r_store(float *p, reg x)
{
    _mm256_storeu_ps(p, x);
}
static inline reg r_fma(reg a, reg b, reg c)
{
    return _mm256_fmadd_ps(a, b, c);
}

typedef struct {
    __m256 l, h;
} v16;

static inline v16 v_zero(void)
{
    return (v16){_mm256_setzero_ps(), _mm256_setzero_ps()};
}
static inline v16 v_set(float x)
{
    return (v16){_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
/*
 * Loads m <= 16 elements; the other lanes are 0 and their memory is not read. Tails go through a
 * buffer: AVX2 masks only 32-bit elements, its masked stores are slow on some CPUs, and emulators
 * read the masked-out elements, too.
 */
static inline v16 v_load(const float *p, int m)
{
    float part[16] = {0};
    if (m < 16) {
        memcpy(part, p, (size_t)m * sizeof *p);
        p = part;
    }
    return (v16){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
static inline void v_store(float *p, v16 x, int m)
{
    float part[16], *to = m < 16 ? part : p;
    _mm256_storeu_ps(to, x.l);
    _mm256_storeu_ps(to + 8, x.h);
    if (m < 16)
        memcpy(p, part, (size_t)m * sizeof *p);
}
static inline v16 v_load_bf16(const uint16_t *p, int m)
{
    uint16_t part[16] = {0};
    if (m < 16) {
        memcpy(part, p, (size_t)m * sizeof *p);
        p = part;
    }
    const __m256i l = _mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)p));
    const __m256i h = _mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)(p + 8)));
    return (v16){_mm256_castsi256_ps(_mm256_slli_epi32(l, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(h, 16))};
}
static inline v16 v_load_f16(const uint16_t *p, int m)
{
    uint16_t part[16] = {0};
    if (m < 16) {
        memcpy(part, p, (size_t)m * sizeof *p);
        p = part;
    }
    return (v16){_mm256_cvtph_ps(_mm_loadu_si128((const void *)p)),
                 _mm256_cvtph_ps(_mm_loadu_si128((const void *)(p + 8)))};
}
static inline v16 v_add(v16 a, v16 b)
{
    return (v16){_mm256_add_ps(a.l, b.l), _mm256_add_ps(a.h, b.h)};
}
static inline v16 v_sub(v16 a, v16 b)
{
    return (v16){_mm256_sub_ps(a.l, b.l), _mm256_sub_ps(a.h, b.h)};
}
static inline v16 v_mul(v16 a, v16 b)
{
    return (v16){_mm256_mul_ps(a.l, b.l), _mm256_mul_ps(a.h, b.h)};
}
static inline v16 v_div(v16 a, v16 b)
{
    return (v16){_mm256_div_ps(a.l, b.l), _mm256_div_ps(a.h, b.h)};
}
/* a * b + c, rounded once */
static inline v16 v_fma(v16 a, v16 b, v16 c)
{
    return (v16){_mm256_fmadd_ps(a.l, b.l, c.l), _mm256_fmadd_ps(a.h, b.h, c.h)};
}
/* -(a * b) + c, rounded once */
static inline v16 v_fnma(v16 a, v16 b, v16 c)
{
    return (v16){_mm256_fnmadd_ps(a.l, b.l, c.l), _mm256_fnmadd_ps(a.h, b.h, c.h)};
}
/* a > b ? a : b and a < b ? a : b; return b if either is a NaN */
static inline v16 v_max(v16 a, v16 b)
{
    return (v16){_mm256_max_ps(a.l, b.l), _mm256_max_ps(a.h, b.h)};
}
static inline v16 v_min(v16 a, v16 b)
{
    return (v16){_mm256_min_ps(a.l, b.l), _mm256_min_ps(a.h, b.h)};
}
/* a < b ? yes : no */
static inline v16 v_if_less(v16 a, v16 b, v16 yes, v16 no)
{
    return (v16){_mm256_blendv_ps(no.l, yes.l, _mm256_cmp_ps(a.l, b.l, _CMP_LT_OQ)),
                 _mm256_blendv_ps(no.h, yes.h, _mm256_cmp_ps(a.h, b.h, _CMP_LT_OQ))};
}
static inline v16 v_abs(v16 x)
{
    const __m256 bit = _mm256_set1_ps(-0.0f);
    return (v16){_mm256_andnot_ps(bit, x.l), _mm256_andnot_ps(bit, x.h)};
}
static inline v16 v_copysign(v16 magnitude, v16 sign)
{
    const __m256 bit = _mm256_set1_ps(-0.0f);
    return (v16){_mm256_or_ps(_mm256_andnot_ps(bit, magnitude.l), _mm256_and_ps(bit, sign.l)),
                 _mm256_or_ps(_mm256_andnot_ps(bit, magnitude.h), _mm256_and_ps(bit, sign.h))};
}
static inline v16 v_xor(v16 a, v16 b)
{
    return (v16){_mm256_xor_ps(a.l, b.l), _mm256_xor_ps(a.h, b.h)};
}
static inline __m256 v_scale8(__m256 x, __m256 n)
{
    const __m256i i = _mm256_cvtps_epi32(n), bias = _mm256_set1_epi32(127), half = _mm256_srai_epi32(i, 1);
    const __m256i second_half = _mm256_sub_epi32(i, half);
    x = _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23)));
    return _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(second_half, bias), 23)));
}
/* x * 2^(i >> 1) * 2^(i - (i >> 1)) for the integer i nearest to n, as in fmath_exp. */
static inline v16 v_scale(v16 x, v16 n)
{
    return (v16){v_scale8(x.l, n.l), v_scale8(x.h, n.h)};
}
/* Returns the largest lane; no lane may be a NaN. */
static inline float v_fold_max(v16 x)
{
    const __m256 eight = _mm256_max_ps(x.l, x.h);
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 pairs = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(pairs, _mm_movehdup_ps(pairs)));
}
/* Folds the lanes by 8, 4, 2 and 1, the order of the numeric contract (kernels.h). */
static inline float v_fold(v16 x)
{
    const __m256 eight = _mm256_add_ps(x.l, x.h);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 pairs = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(pairs, _mm_movehdup_ps(pairs)));
}
/* y[r] = v_fold(acc[r]) for GEMV_ROWS accumulators at once. */
static inline void v_fold_rows(float *y, const v16 *acc)
{
    __m256 half[4], quarter[2];
    for (int r = 0; r < 4; r++)
        half[r] = _mm256_add_ps(acc[r].l, acc[r].h);
    for (int r = 0; r < 2; r++) /* [row r | row r + 2] */
        quarter[r] = _mm256_add_ps(_mm256_permute2f128_ps(half[r], half[r + 2], 0x20),
                                   _mm256_permute2f128_ps(half[r], half[r + 2], 0x31));
    const __m256 pairs =
        _mm256_add_ps(_mm256_shuffle_ps(quarter[0], quarter[1], 0x44), _mm256_shuffle_ps(quarter[0], quarter[1], 0xee));
    const __m256 pair = _mm256_add_ps(_mm256_shuffle_ps(pairs, pairs, 0x08), _mm256_shuffle_ps(pairs, pairs, 0x0d));
    _mm_storeu_ps(y, _mm_movelh_ps(_mm256_castps256_ps128(pair), _mm256_extractf128_ps(pair, 1)));
}

/* Sixteen int32 lanes. */
typedef struct {
    __m256i l, h;
} n16;

static inline n16 n_set(int x)
{
    return (n16){_mm256_set1_epi32(x), _mm256_set1_epi32(x)};
}
static inline n16 n_zero(void)
{
    return n_set(0);
}
static inline v16 v_from_ints(n16 x)
{
    return (v16){_mm256_cvtepi32_ps(x.l), _mm256_cvtepi32_ps(x.h)};
}
/* Converts sixteen int8 to float. */
static inline v16 v_load_bytes(const int8_t *p)
{
    const __m128i bytes = _mm_loadu_si128((const void *)p);
    return v_from_ints((n16){_mm256_cvtepi8_epi32(bytes), _mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8))});
}
/* Stores 32 integers in -128 .. 127, given as floats, as bytes. */
static inline void v_store_bytes(int8_t *p, v16 l, v16 h)
{
    const __m256i a = _mm256_packs_epi32(_mm256_cvtps_epi32(l.l), _mm256_cvtps_epi32(l.h));
    const __m256i b = _mm256_packs_epi32(_mm256_cvtps_epi32(h.l), _mm256_cvtps_epi32(h.h));
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7); /* VPACK* works per half */
    _mm256_storeu_si256((void *)p, _mm256_permutevar8x32_epi32(_mm256_packs_epi16(a, b), order));
}

#endif
