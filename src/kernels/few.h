/* few.h - the copy of vectors that lanes_few.h multiplies by; shared with dots_*.h. */
#ifndef KERNELS_FEW_H
#define KERNELS_FEW_H

#include <stdalign.h>
#include <stdint.h>

#include "kernels/types.h"

/*
 * One block of one vector. Copies of all vectors are adjacent, so that they lie in different sets
 * of the L1 cache; the vectors themselves, a power of two apart, often do not.
 */
struct few_vector {
    alignas(64) int8_t q[QUANT_BLOCK];
    int32_t start[QUANT_BLOCK / QUANT_GROUP]; /* what the sum of a group starts with (start_q4, start_q6) */
    float scale;
};

/* From one vector to the next, in bytes and in numbers of 32 bits. */
#define FEW_STRIDE sizeof(struct few_vector)
#define FEW_STARTS (sizeof(struct few_vector) / sizeof(int32_t))

#endif
