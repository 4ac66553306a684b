/* lanes_avx512.h - sixteen float lanes in one zmm register: the parameters of lanes.h. */
#ifndef KERNELS_LANES_H
#define KERNELS_LANES_H

#include <immintrin.h>
#include <stdint.h>

#define GEMV_ROWS 8 /* rows at a time, one stream of memory each */
#define GEMM_ROWS 4 /* register tile of 4 x 6, one register per accumulator */
#define GEMM_TOKENS 6
/*
 * Measured, relative to one GEMV per vector: GEMM takes 1.3 to 1.6 times as long with 3 vectors,
 * and slightly less time with 5.
 */
#define GEMM_FEW 4
#define GEMM_EACH_TOKENS(DO) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6)
#define WKV_BLOCK 4 /* vectors of value channels at a time: two chains of FMAs each */

/* One register, for gemm_tile. */
#define R_LANES 16
typedef __m512 reg;

static inline reg r_zero(void)
{
    return _mm512_setzero_ps();
}
static inline reg r_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
static inline void r_store(float *p, reg x)
{
    _mm512_storeu_ps(p, x);
}
static inline reg r_fma(reg a, reg b, reg c)
{
    return _mm512_fmadd_ps(a, b, c);
}

typedef __m512 v16;

static inline v16 v_zero(void)
{
    return _mm512_setzero_ps();
}
static inline v16 v_set(float x)
{
    return _mm512_set1_ps(x);
}
static inline __mmask16 v_mask(int m)
{
    return (__mmask16)((1u << m) - 1u);
}
/* Loads m <= 16 elements; the other lanes are 0 and their memory is not read. */
static inline v16 v_load(const float *p, int m)
{
    return m == 16 ? _mm512_loadu_ps(p) : _mm512_maskz_loadu_ps(v_mask(m), p);
}
static inline void v_store(float *p, v16 x, int m)
{
    if (m == 16)
        _mm512_storeu_ps(p, x);
    else
        _mm512_mask_storeu_ps(p, v_mask(m), x);
}
static inline v16 v_load_bf16(const uint16_t *p, int m)
{
    const __m256i h = m == 16 ? _mm256_loadu_si256((const void *)p) : _mm256_maskz_loadu_epi16(v_mask(m), p);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}
static inline v16 v_load_f16(const uint16_t *p, int m)
{
    const __m256i h = m == 16 ? _mm256_loadu_si256((const void *)p) : _mm256_maskz_loadu_epi16(v_mask(m), p);
    return _mm512_cvtph_ps(h);
}
static inline v16 v_add(v16 a, v16 b)
{
    return _mm512_add_ps(a, b);
}
static inline v16 v_sub(v16 a, v16 b)
{
    return _mm512_sub_ps(a, b);
}
static inline v16 v_mul(v16 a, v16 b)
{
    return _mm512_mul_ps(a, b);
}
static inline v16 v_div(v16 a, v16 b)
{
    return _mm512_div_ps(a, b);
}
/* a * b + c, rounded once */
static inline v16 v_fma(v16 a, v16 b, v16 c)
{
    return _mm512_fmadd_ps(a, b, c);
}
/* -(a * b) + c, rounded once */
static inline v16 v_fnma(v16 a, v16 b, v16 c)
{
    return _mm512_fnmadd_ps(a, b, c);
}
/* a > b ? a : b and a < b ? a : b; return b if either is a NaN */
static inline v16 v_max(v16 a, v16 b)
{
    return _mm512_max_ps(a, b);
}
static inline v16 v_min(v16 a, v16 b)
{
    return _mm512_min_ps(a, b);
}
/* a < b ? yes : no */
static inline v16 v_if_less(v16 a, v16 b, v16 yes, v16 no)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes);
}
static inline v16 v_abs(v16 x)
{
    return _mm512_abs_ps(x);
}
static inline v16 v_copysign(v16 magnitude, v16 sign)
{
    const __m512 bit = _mm512_set1_ps(-0.0f);
    return _mm512_or_ps(_mm512_andnot_ps(bit, magnitude), _mm512_and_ps(bit, sign));
}
static inline v16 v_xor(v16 a, v16 b)
{
    return _mm512_xor_ps(a, b);
}
/* x * 2^(i >> 1) * 2^(i - (i >> 1)) for the integer i nearest to n, as in fmath_exp. */
static inline v16 v_scale(v16 x, v16 n)
{
    const __m512i i = _mm512_cvtps_epi32(n), bias = _mm512_set1_epi32(127), half = _mm512_srai_epi32(i, 1);
    const __m512i second_half = _mm512_sub_epi32(i, half);
    x = _mm512_mul_ps(x, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(half, bias), 23)));
    return _mm512_mul_ps(x, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(second_half, bias), 23)));
}
/* Returns the largest lane; no lane may be a NaN. */
static inline float v_fold_max(v16 x)
{
    return _mm512_reduce_max_ps(x);
}
/* Folds the lanes by 8, 4, 2 and 1, the order of the numeric contract (kernels.h). */
static inline float v_fold(v16 x)
{
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 pairs = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(pairs, _mm_movehdup_ps(pairs)));
}
/*
 * y[r] = v_fold(acc[r]) for GEMV_ROWS accumulators at once. First the halves of two rows share a
 * register, then the quarters of four rows.
 */
static inline void v_fold_rows(float *y, const v16 *acc)
{
    __m512 half[4], quarter[2];
    for (int r = 0; r < 4; r++) /* [row r | row r + 4] */
        half[r] = _mm512_add_ps(_mm512_shuffle_f32x4(acc[r], acc[r + 4], 0x44),
                                _mm512_shuffle_f32x4(acc[r], acc[r + 4], 0xee));
    for (int r = 0; r < 2; r++) /* [r | r + 4 | r + 2 | r + 6] */
        quarter[r] = _mm512_add_ps(_mm512_shuffle_f32x4(half[r], half[r + 2], 0x88),
                                   _mm512_shuffle_f32x4(half[r], half[r + 2], 0xdd));
    const __m512 pairs =
        _mm512_add_ps(_mm512_shuffle_ps(quarter[0], quarter[1], 0x44), _mm512_shuffle_ps(quarter[0], quarter[1], 0xee));
    const __m512 quads = _mm512_add_ps(_mm512_shuffle_ps(pairs, pairs, 0x08), _mm512_shuffle_ps(pairs, pairs, 0x0d));
    const __m512i order = _mm512_setr_epi32(0, 1, 8, 9, 4, 5, 12, 13, 0, 0, 0, 0, 0, 0, 0, 0);
    _mm256_storeu_ps(y, _mm512_castps512_ps256(_mm512_permutexvar_ps(order, quads)));
}

/* Sixteen int32 lanes. */
typedef __m512i n16;

static inline n16 n_zero(void)
{
    return _mm512_setzero_si512();
}
static inline n16 n_set(int x)
{
    return _mm512_set1_epi32(x);
}
static inline v16 v_from_ints(n16 x)
{
    return _mm512_cvtepi32_ps(x);
}
/* Converts sixteen int8 to float. */
static inline v16 v_load_bytes(const int8_t *p)
{
    return v_from_ints(_mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)p)));
}
/* Stores 32 integers in -128 .. 127, given as floats, as bytes. */
static inline void v_store_bytes(int8_t *p, v16 l, v16 h)
{
    _mm_storeu_si128((void *)p, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(l)));
    _mm_storeu_si128((void *)(p + 16), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(h)));
}

#endif
