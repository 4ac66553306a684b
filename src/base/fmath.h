/*
 * fmath.h - exp, sigmoid and tanh in float32, defined by this project: the same bits on every
 * machine.
 *
 * The last bits of libm's results differ between systems. So these functions use only operations
 * that IEEE 754 defines exactly. SIMD kernels perform the same operations in each lane.
 *
 * fmath_exp:
 *
 *     1. clamp x to [-104, 89]
 *     2. n = round(x / ln 2), by adding 1.5 * 2^23
 *     3. r = x - n ln 2 in two fused steps (Cody and Waite); |r| <= 0.3466
 *     4. e^r by a minimax polynomial 1 + r + r^2 P(r) of degree 7 (coefficients of Cephes expf)
 *     5. multiply by 2^n as two powers of two, so that a denormal result is rounded only once
 *
 * tests/unit/test_fmath.c measures and bounds the largest errors.
 */
#ifndef BASE_FMATH_H
#define BASE_FMATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/target.h"

#define FMATH_EXP_MIN (-104.0f)
#define FMATH_EXP_MAX 89.0f
#define FMATH_LOG2E 1.44269504088896341f
#define FMATH_LN2_HI 0.693359375f /* 355/512: n * this is exact for |n| < 2^15 */
#define FMATH_LN2_LO (-2.12194440054690583e-4f)
#define FMATH_ROUND 12582912.0f /* 1.5 * 2^23 */
#define FMATH_C2 5.0000001201e-1f
#define FMATH_C3 1.6666665459e-1f
#define FMATH_C4 4.1665795894e-2f
#define FMATH_C5 8.3334519073e-3f
#define FMATH_C6 1.3981999507e-3f
#define FMATH_C7 1.9875691500e-4f

/* 2^n for -126 <= n <= 127 */
static inline float fmath_pow2(int32_t n)
{
    const uint32_t bits = (uint32_t)(n + 127) << 23;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Computes e^x. NaN gives NaN; large x gives +infinity; very negative x gives 0. */
static inline float fmath_exp(float x)
{
    float c = x < FMATH_EXP_MIN ? FMATH_EXP_MIN : x; /* written so that NaN passes through unchanged */
    c = c > FMATH_EXP_MAX ? FMATH_EXP_MAX : c;
    const float n = fmaf(c, FMATH_LOG2E, FMATH_ROUND) - FMATH_ROUND;
    float r = fmaf(n, -FMATH_LN2_HI, c);
    r = fmaf(n, -FMATH_LN2_LO, r);
    float p = fmaf(FMATH_C7, r, FMATH_C6);
    p = fmaf(p, r, FMATH_C5);
    p = fmaf(p, r, FMATH_C4);
    p = fmaf(p, r, FMATH_C3);
    p = fmaf(p, r, FMATH_C2);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    if (!(n == n))
        return p;                 /* NaN */
    const int32_t i = (int32_t)n; /* -150 .. 129 */
    const int32_t half = i >> 1;  /* two factors, each a normal number */
    return p * fmath_pow2(half) * fmath_pow2(i - half);
}

/*
 * Computes e^-d for d in [0, 87] like fmath_exp, but with separate multiplications and additions;
 * relative error below 1e-7. On CPUs without FMA a fused operation is a function call, which cannot
 * be vectorised. A loop over this function can, on every CPU, and the bits are the same.
 */
static inline float fmath_exp_minus(float d)
{
    const float n = d * -FMATH_LOG2E + FMATH_ROUND - FMATH_ROUND;
    const float r = -d - n * FMATH_LN2_HI - n * FMATH_LN2_LO;
    const float q = ((((FMATH_C7 * r + FMATH_C6) * r + FMATH_C5) * r + FMATH_C4) * r + FMATH_C3) * r + FMATH_C2;
    return ((q * r + 1.0f) * r + 1.0f) * fmath_pow2((int32_t)n);
}

/* 1 / (1 + e^-x) */
static inline float fmath_sigmoid(float x)
{
    return 1.0f / (1.0f + fmath_exp(-x));
}

/*
 * For |x| < 0.625 an odd polynomial x + x^3 P(x^2) (Cephes tanhf); else 1 - 2 / (e^2|x| + 1) with
 * the sign of x. Both are computed and one is selected, as in the SIMD versions.
 */
#define FMATH_TANH_SMALL 0.625f
#define FMATH_T0 (-5.70498872745e-3f)
#define FMATH_T1 2.06390887954e-2f
#define FMATH_T2 (-5.37397155531e-2f)
#define FMATH_T3 1.33314422036e-1f
#define FMATH_T4 (-3.33332819422e-1f)

static inline float fmath_tanh(float x)
{
    const float a = fabsf(x);
    const float z = x * x;
    float p = fmaf(FMATH_T0, z, FMATH_T1);
    p = fmaf(p, z, FMATH_T2);
    p = fmaf(p, z, FMATH_T3);
    p = fmaf(p, z, FMATH_T4);
    const float small = fmaf(p * z, x, x);
    const float large = 1.0f - 2.0f / (fmath_exp(a + a) + 1.0f);
    return a < FMATH_TANH_SMALL ? small : copysignf(large, x);
}

#endif
