/*
 * target.h - what the code demands of a machine and of a compiler's options. Included by the headers that define numbers
 * (base/fmath.h, kernels/kernels.h). cmake/Target.cmake refuses the same when configuring, where it can be seen there.
 */
#ifndef BASE_TARGET_H
#define BASE_TARGET_H

#include <float.h>

/* Every sum has one defined order and every operation is that of IEEE 754; these options allow others. Compilers tell of some. */
#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__ > 0) || \
    defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || defined(__NO_SIGNED_ZEROS__)
#error "compiled with -ffast-math, -Ofast or a part of them: the text would differ from that of other builds"
#endif

/* 16: like 0, on machines that compute with 16 bits, too. */
#if FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 16
#error \
    "float is computed with more precision than it has (-mfpmath=387): the text would differ from that of other builds"
#endif

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "weights are used as they lie in their files, which are little-endian: big-endian machines are not supported"
#endif

/* Model files are mapped whole, and sizes of their parts are multiplied as size_t. */
_Static_assert(sizeof(void *) >= 8, "32-bit systems are not supported");

#endif
