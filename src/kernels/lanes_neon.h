/* lanes_neon.h - sixteen float lanes in four q registers: the parameters of lanes.h. */
#ifndef KERNELS_LANES_H
#define KERNELS_LANES_H

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

#include "kernels/tuning.h"

#define GEMV_ROWS 4 /* 16 accumulators of the 32 registers */
#define GEMM_ROWS 4 /* register tile of 4 x 6, one register per accumulator */
#define GEMM_TOKENS 6
#define GEMM_FEW FEW_TOKENS
#define GEMM_EACH_TOKENS(DO) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6)
#define WKV_BLOCK 2 /* vectors of value channels at a time: two chains of FMAs each */

/* One register, for gemm_tile. */
#define R_LANES 4
typedef float32x4_t reg;

static inline reg r_zero(void)
{
    return vdupq_n_f32(0.0f);
}
static inline reg r_load(const float *p)
{
    return vld1q_f32(p);
}
static inline void r_store(float *p, reg x)
{
    vst1q_f32(p, x);
}
static inline reg r_fma(reg a, reg b, reg c)
{
    return vfmaq_f32(c, a, b);
}

typedef struct {
    float32x4_t q[4];
} v16;

#define V_EACH(expression)          \
    v16 result;                     \
    for (int i = 0; i < 4; i++)     \
        result.q[i] = (expression); \
    return result

static inline v16 v_set(float x)
{
    V_EACH(vdupq_n_f32(x));
}
static inline v16 v_zero(void)
{
    return v_set(0.0f);
}
/*
 * Loads m <= 16 elements; the other lanes are 0 and their memory is not read. Tails go through a
 * buffer.
 */
static inline v16 v_load(const float *p, int m)
{
    float part[16] = {0};
    if (m < 16) {
        memcpy(part, p, (size_t)m * sizeof *p);
        p = part;
    }
    V_EACH(vld1q_f32(p + 4 * i));
}
static inline void v_store(float *p, v16 x, int m)
{
    float part[16], *to = m < 16 ? part : p;
    for (int i = 0; i < 4; i++)
        vst1q_f32(to + 4 * i, x.q[i]);
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
    V_EACH(vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p + 4 * i), 16)));
}
static inline v16 v_load_f16(const uint16_t *p, int m)
{
    uint16_t part[16] = {0};
    if (m < 16) {
        memcpy(part, p, (size_t)m * sizeof *p);
        p = part;
    }
    V_EACH(vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i))));
}
static inline v16 v_add(v16 a, v16 b)
{
    V_EACH(vaddq_f32(a.q[i], b.q[i]));
}
static inline v16 v_sub(v16 a, v16 b)
{
    V_EACH(vsubq_f32(a.q[i], b.q[i]));
}
static inline v16 v_mul(v16 a, v16 b)
{
    V_EACH(vmulq_f32(a.q[i], b.q[i]));
}
static inline v16 v_div(v16 a, v16 b)
{
    V_EACH(vdivq_f32(a.q[i], b.q[i]));
}
/* a * b + c, rounded once */
static inline v16 v_fma(v16 a, v16 b, v16 c)
{
    V_EACH(vfmaq_f32(c.q[i], a.q[i], b.q[i]));
}
/* -(a * b) + c, rounded once */
static inline v16 v_fnma(v16 a, v16 b, v16 c)
{
    V_EACH(vfmsq_f32(c.q[i], a.q[i], b.q[i]));
}
/* a > b ? a : b and a < b ? a : b; return b if either is a NaN */
static inline v16 v_max(v16 a, v16 b)
{
    V_EACH(vbslq_f32(vcgtq_f32(a.q[i], b.q[i]), a.q[i], b.q[i]));
}
static inline v16 v_min(v16 a, v16 b)
{
    V_EACH(vbslq_f32(vcltq_f32(a.q[i], b.q[i]), a.q[i], b.q[i]));
}
/* a < b ? yes : no */
static inline v16 v_if_less(v16 a, v16 b, v16 yes, v16 no)
{
    V_EACH(vbslq_f32(vcltq_f32(a.q[i], b.q[i]), yes.q[i], no.q[i]));
}
static inline v16 v_abs(v16 x)
{
    V_EACH(vabsq_f32(x.q[i]));
}
static inline v16 v_copysign(v16 magnitude, v16 sign)
{
    V_EACH(vbslq_f32(vdupq_n_u32(0x80000000u), sign.q[i], magnitude.q[i]));
}
static inline v16 v_xor(v16 a, v16 b)
{
    V_EACH(vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(a.q[i]), vreinterpretq_u32_f32(b.q[i]))));
}
static inline float32x4_t v_scale4(float32x4_t x, float32x4_t n)
{
    const int32x4_t i = vcvtnq_s32_f32(n), bias = vdupq_n_s32(127), half = vshrq_n_s32(i, 1),
                    second_half = vsubq_s32(i, half);
    x = vmulq_f32(x, vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(half, bias), 23)));
    return vmulq_f32(x, vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(second_half, bias), 23)));
}
/* x * 2^(i >> 1) * 2^(i - (i >> 1)) for the integer i nearest to n, as in fmath_exp. */
static inline v16 v_scale(v16 x, v16 n)
{
    V_EACH(v_scale4(x.q[i], n.q[i]));
}
/* Returns the largest lane; no lane may be a NaN. */
static inline float v_fold_max(v16 x)
{
    return vmaxvq_f32(vmaxq_f32(vmaxq_f32(x.q[0], x.q[1]), vmaxq_f32(x.q[2], x.q[3])));
}
/* Folds the lanes by 8, 4, 2 and 1, the order of the numeric contract (kernels.h). */
static inline float v_fold(v16 x)
{
    const float32x4_t four = vaddq_f32(vaddq_f32(x.q[0], x.q[2]), vaddq_f32(x.q[1], x.q[3]));
    const float32x2_t pairs = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(pairs, 0) + vget_lane_f32(pairs, 1);
}
/* y[r] = v_fold(acc[r]) for GEMV_ROWS accumulators at once. */
static inline void v_fold_rows(float *y, const v16 *acc)
{
    float32x4_t four[4], pairs[2];
    for (int r = 0; r < 4; r++)
        four[r] = vaddq_f32(vaddq_f32(acc[r].q[0], acc[r].q[2]), vaddq_f32(acc[r].q[1], acc[r].q[3]));
    for (int r = 0; r < 2; r++) /* [row 2r, row 2r + 1] */
        pairs[r] = vaddq_f32(vcombine_f32(vget_low_f32(four[2 * r]), vget_low_f32(four[2 * r + 1])),
                             vcombine_f32(vget_high_f32(four[2 * r]), vget_high_f32(four[2 * r + 1])));
    vst1q_f32(y, vpaddq_f32(pairs[0], pairs[1]));
}

/* Sixteen int32 lanes. */
typedef struct {
    int32x4_t q[4];
} n16;

static inline n16 n_set(int x)
{
    const int32x4_t four = vdupq_n_s32(x);
    return (n16){{four, four, four, four}};
}
static inline n16 n_zero(void)
{
    return n_set(0);
}
static inline v16 v_from_ints(n16 x)
{
    V_EACH(vcvtq_f32_s32(x.q[i]));
}
static inline int8x16_t v_bytes(v16 x)
{
    const int16x8_t l = vcombine_s16(vmovn_s32(vcvtnq_s32_f32(x.q[0])), vmovn_s32(vcvtnq_s32_f32(x.q[1])));
    const int16x8_t h = vcombine_s16(vmovn_s32(vcvtnq_s32_f32(x.q[2])), vmovn_s32(vcvtnq_s32_f32(x.q[3])));
    return vcombine_s8(vmovn_s16(l), vmovn_s16(h));
}
/* Converts sixteen int8 to float. */
static inline v16 v_load_bytes(const int8_t *p)
{
    const int8x16_t bytes = vld1q_s8(p);
    const int16x8_t l = vmovl_s8(vget_low_s8(bytes)), h = vmovl_s8(vget_high_s8(bytes));
    return v_from_ints((n16){{vmovl_s16(vget_low_s16(l)), vmovl_s16(vget_high_s16(l)), vmovl_s16(vget_low_s16(h)),
                              vmovl_s16(vget_high_s16(h))}});
}
/* Stores 32 integers in -128 .. 127, given as floats, as bytes. */
static inline void v_store_bytes(int8_t *p, v16 l, v16 h)
{
    vst1q_s8(p, v_bytes(l));
    vst1q_s8(p + 16, v_bytes(h));
}

/* Converts sixteen int8 to int32. */
static inline n16 n_load_bytes(const int8_t *p)
{
    const int8x16_t x = vld1q_s8(p);
    const int16x8_t l = vmovl_s8(vget_low_s8(x)), h = vmovl_high_s8(x);
    return (n16){{vmovl_s16(vget_low_s16(l)), vmovl_high_s16(l), vmovl_s16(vget_low_s16(h)), vmovl_high_s16(h)}};
}

/*
 * Operands of n_dot4, common to dots_neon.h and dots_dotprod.h: 64 bytes of weights, and 4 bytes of
 * a vector repeated 4 times. Weights are signed, so sums start at 0.
 */
typedef struct {
    int8x16_t q[4]; /* 4 rows each */
} w64;
typedef int8x16_t x4;

static inline w64 w_load(const void *p)
{
    const int8_t *from = p;
    return (w64){{vld1q_s8(from), vld1q_s8(from + 16), vld1q_s8(from + 32), vld1q_s8(from + 48)}};
}
static inline x4 x_load(const int8_t *p)
{
    return vreinterpretq_s8_s32(vld1q_dup_s32((const void *)p));
}
static inline n16 n_start(int sum)
{
    (void)sum;
    return n_zero();
}

#endif
