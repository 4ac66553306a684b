/*
 * step.h - what forward passes for one token are made of.
 *
 * All threads run through the layers together. A layer is a few phases with a barrier after each; inside a phase, rows of matrices or
 * whole heads are taken in chunks. What is small (norms, token shifts, activations of the low-rank products) every thread computes for
 * itself: that is cheaper than one more barrier. Nothing allocates, locks or calls the system, but for a thread that waits longer than
 * it spins (base/pool.c).
 *
 * A phase never writes what another thread may still read in it: the shift vectors of the state, for instance, are replaced in the
 * phase after the one that reads them.
 */
#ifndef ARCH_STEP_H
#define ARCH_STEP_H

#include "arch/arch.h"
#include "arch/product.h"

/* Private to a thread. */
struct step_thread {
    float *u;             /* [C] a normalized vector */
    struct quants quants; /* integers of a vector of C or F numbers */
    struct active active; /* columns of a vector of F numbers that are not zero */
};

struct step {
    const struct rwkv7_model *model;
    float *state; /* of the session */
    uint32_t token;
    float *logits; /* [V] or NULL */

    float *x;                    /* [C] residual stream */
    float *y;                    /* [C] results on their way to it */
    struct step_thread *threads; /* [threads] */
    void *work;                  /* buffers of the architecture */

    /* Written by rank 0 for the caller: */
    int bad_layer; /* the first after which x holds a NaN or an infinity, L for the logits, -1 if none */
    uint64_t columns, columns_read; /* of sparse matrices */
};

/* y = W x as one of several products of a phase that share their rows out together. */
struct step_product {
    float *y;
    const struct mat *w;
    const struct operand *x;
};
void step_products(const struct step *step, struct pool *pool, int rank, const struct step_product *products,
                   int count);

/* Rows per chunk: few enough to share evenly, and a multiple of what the products walk side by side. */
int step_chunk_rows(int rows, const struct pool *pool);
/* The part of [0, total) that belongs to a thread where it must always be the same part. */
void step_share(int total, int rank, const struct pool *pool, int *begin, int *end);

/* x += W v, or x += gate * W v where gate [C] is not NULL; v is given to all threads. */
void step_add_product(const struct step *step, struct pool *pool, int rank, const struct mat *w, const float *v,
                      const float *gate);
/* The same for a sparse matrix: where it is stored by column, columns that v multiplies by zero are not read. */
void step_add_sparse(struct step *step, struct pool *pool, int rank, const struct mat *w, const float *v,
                     const float *gate);

#endif
