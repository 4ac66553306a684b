/*
 * compute.h - the kernels and the threads, as one object. The runtime (src/engine) owns it; weights
 * and architectures borrow it.
 */
#ifndef KERNELS_COMPUTE_H
#define KERNELS_COMPUTE_H

#include "base/pool.h"
#include "kernels/kernels.h"

struct compute {
    struct pool *pool;
    struct kernels kernels;
};

#endif
