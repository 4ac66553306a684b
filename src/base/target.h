/*
 * target.h - requirements on the machine and the compiler options. Included by the headers that
 * define arithmetic (base/fmath.h, kernels/kernels.h). cmake/Target.cmake checks the same at
 * configure time, where possible.
 */
#ifndef BASE_TARGET_H
#define BASE_TARGET_H

#include <float.h>

/*
 * Every sum has one defined order and every operation follows IEEE 754. Options such as -ffast-math
 * would allow deviations. Some compilers define macros for them, which are checked here.
 */
#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__ > 0) || \
    defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || defined(__NO_SIGNED_ZEROS__)
#error "compiled with -ffast-math, -Ofast or a part of them: results would differ from those of other builds"
#endif

/* 16 is equivalent to 0 on machines with native float16 arithmetic. */
#if FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 16
#error "float is computed with excess precision (-mfpmath=387): results would differ from those of other builds"
#endif

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "big-endian machines are not supported: weights are used directly from little-endian files"
#endif

/* Model files are mapped as a whole, and sizes of their parts are computed in size_t. */
_Static_assert(sizeof(void *) >= 8, "32-bit systems are not supported");

#endif
