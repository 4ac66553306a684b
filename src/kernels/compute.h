/*
 * compute.h - the kernel table and the thread pool in one struct. The runtime (src/engine) owns it;
 * models keep a pointer to it.
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
