/* few.h - struct few_vector, the copies of vectors that lanes_few.h and dots_*.h multiply by. */
#ifndef KERNELS_FEW_H
#define KERNELS_FEW_H

#include <stdalign.h>
#include <stdint.h>

#include "kernels/types.h"

/*
 * One block of one vector. The copies are adjacent, so they use different sets of the L1 cache. The
 * originals are often a power of two apart, so they would compete for the same sets.
 */
struct few_vector {
    alignas(64) int8_t q[QUANT_BLOCK];
    int32_t start[QUANT_BLOCK / QUANT_GROUP]; /* sums of groups start here (start_q4, _q6) */
    float scale;
};

/* From one vector to the next, in bytes and in numbers of 32 bits. */
#define FEW_STRIDE sizeof(struct few_vector)
#define FEW_STARTS (sizeof(struct few_vector) / sizeof(int32_t))

#endif
