/*
 * step.h - building blocks of the forward passes for one token (decode).
 *
 * All threads run through the layers together. A layer is a few phases with a barrier after each.
 * Within a phase, threads take chunks of matrix rows, or heads. Small operations (norms, token
 * shifts, activations of low-rank products) are repeated by every thread, which is cheaper than one
 * more barrier. There is no allocation, no lock and no system call, unless a thread waits longer
 * than it spins (base/pool.c).
 *
 * A phase never writes what another thread may still read in the same phase. For example, the
 * token-shift vectors of the state are replaced one phase after they are read.
 */
#ifndef ARCH_STEP_H
#define ARCH_STEP_H

#include "arch/arch.h"
#include "arch/product.h"

/* Buffers private to a thread. */
struct step_thread {
    float *u;             /* [C] LN(x) */
    struct quants quants; /* a quantized vector of C or F elements */
    struct active active; /* active columns for a vector of F elements */
};

struct step {
    const struct rwkv7_model *model;
    float *state; /* of the session */
    uint32_t token;
    float *logits; /* [V] or NULL */

    float *x;                    /* [C] residual stream */
    float *y;                    /* [C] results that are added to x */
    struct step_thread *threads; /* [threads] */
    void *work;                  /* buffers of the architecture */

    /* Written by rank 0, for the caller: */
    int bad_layer;                  /* first layer with a NaN or infinity, L: logits, -1: none */
    uint64_t columns, columns_read; /* of sparse matrices */
};

/*
 * y = W x, one of the products of a phase. The threads divide the rows of all products of a phase
 * as one range.
 */
struct step_product {
    float *y;
    const struct mat *w;
    const struct operand *x;
};
void step_products(const struct step *step, struct pool *pool, int rank, const struct step_product *products,
                   int count);

/*
 * Rows per chunk: small enough to balance the threads, and a multiple of the rows that GEMV
 * processes at a time.
 */
int step_chunk_rows(int rows, const struct pool *pool);
/*
 * Returns the part of [0, total) that belongs to a thread. Unlike with pool_share, a thread always
 * gets the same part.
 */
void step_share(int total, int rank, const struct pool *pool, int *begin, int *end);

/* x += W v, or x += gate * W v if gate [C] is not NULL. All threads pass the same v. */
void step_add_product(const struct step *step, struct pool *pool, int rank, const struct mat *w, const float *v,
                      const float *gate);
/*
 * As step_add_product, for a sparse matrix. If it is column-major, skips columns that are
 * multiplied by zero.
 */
void step_add_sparse(struct step *step, struct pool *pool, int rank, const struct mat *w, const float *v,
                     const float *gate);

#endif
