/*
 * test_fmath.c - the project's exp, sigmoid and tanh against the system's double-precision
 * functions, over their whole range.
 */
#include <math.h>
#include <stdint.h>

#include "base/fmath.h"
#include "test.h"

/* Distance in ulps of the float32 nearest to `want`; below the normal range in units of 2^-149. */
static double ulps(float got, double want)
{
    if (got == (float)want)
        return 0;
    int exponent;
    frexp(want, &exponent);
    const double unit = ldexp(1.0, (exponent - 24 < -149 ? -149 : exponent - 24));
    return fabs((double)got - want) / unit;
}

static double wanted_sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

static double worst(float (*function)(float), double (*wanted)(double), float low, float high, float *where)
{
    double most = 0;
    /* Every float32 bit pattern with an odd stride, so that all low mantissa bits occur. */
    for (uint64_t bits = 0; bits < (uint64_t)1 << 32; bits += 4099) {
        const uint32_t pattern = (uint32_t)bits;
        float x;
        memcpy(&x, &pattern, sizeof x);
        if (!(x >= low && x <= high))
            continue;
        const double off = ulps(function(x), wanted(x));
        if (!(off <= most)) {
            most = off;
            *where = x;
        }
    }
    return most;
}

static float f_exp(float x)
{
    return fmath_exp(x);
}
static float f_sigmoid(float x)
{
    return fmath_sigmoid(x);
}
static float f_tanh(float x)
{
    return fmath_tanh(x);
}

static void test_errors(void)
{
    float where = 0;
    double most = worst(f_exp, exp, -103.0f, 88.7f, &where);
    printf("     exp: %.3f ulp at %g\n", most, (double)where);
    CHECK(most < 1.5);
    most = worst(f_sigmoid, wanted_sigmoid, -87.0f, 100.0f, &where);
    printf("     sigmoid: %.3f ulp at %g\n", most, (double)where);
    CHECK(most < 2.5);
    most = worst(f_tanh, tanh, -100.0f, 100.0f, &where);
    printf("     tanh: %.3f ulp at %g\n", most, (double)where);
    CHECK(most < 2.0);
}

static void test_edges(void)
{
    CHECK(fmath_exp(0.0f) == 1.0f && fmath_exp(-0.0f) == 1.0f);
    CHECK(fmath_exp(-200.0f) == 0.0f && fmath_exp(-INFINITY) == 0.0f);
    CHECK(isinf(fmath_exp(200.0f)) && isinf(fmath_exp(INFINITY)));
    CHECK(isnan(fmath_exp(NAN)) && isnan(fmath_sigmoid(NAN)) && isnan(fmath_tanh(NAN)));
    CHECK(fmath_sigmoid(0.0f) == 0.5f && fmath_sigmoid(40.0f) == 1.0f && fmath_sigmoid(-INFINITY) == 0.0f);
    CHECK(fmath_tanh(30.0f) == 1.0f && fmath_tanh(-30.0f) == -1.0f && fmath_tanh(1e-20f) == 1e-20f);
    for (float x = 0; x < 20; x += 0.01f)
        CHECK(fmath_tanh(-x) == -fmath_tanh(x));
}

int main(void)
{
    RUN(test_errors);
    RUN(test_edges);
    return test_end();
}
