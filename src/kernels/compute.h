/*
 * compute.h - what everything that computes with weights needs of the machine: the kernels and the threads. The runtime (src/engine) owns
 * it; weights and architectures only use it.
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
