/*
 * prefill_work.h - the buffers of prefill.c: what the tokens of a chunk are at each stage of a layer, and what each thread has for
 * itself. They belong to a session or a batch, are made when first needed (prefill_work.c), and bounded by the chunk.
 */
#ifndef ARCH_PREFILL_WORK_H
#define ARCH_PREFILL_WORK_H

#include "weights/model.h"
#include "arch/product.h"

#define PART_FLOATS (32 * 1024) /* of results that are used up at once: a piece of the second-level cache */
#define SCAN_TOKENS 96 /* of a head, that are made ready for the recurrence at a time: whole tiles of every gemm */

/* T vectors one after the other, in the forms that the matrices of the model ask for. */
struct vectors {
    int cols;
    float *x;             /* [T][cols]; NULL if no matrix is of floats */
    struct quants quants; /* [T]; q is NULL if none is of integers */
};

enum { MIX_R, MIX_W, MIX_K, MIX_V, MIX_A, MIX_G, MIXES };
enum { LOW_W, LOW_A, LOW_V, LOW_G, LOWS };

/* Private to a thread. */
struct own {
    float *scratch;              /* of products */
    void *turned;                /* rows of ffn.value, if that is by column */
    struct active active;        /* or its columns that count for one token */
    float *part;                 /* results of products that are used up at once */
    float *deep;                 /* deep_floats(E) */
    float *u, *before, *m;       /* [C] normalised, the same of the token before, a shifted mix */
    float *k, *v, *kk, *b, *out; /* [N] of one head and token */
};

struct prefill_work {
    int room; /* tokens that fit */
    float *memory;
    float *x;                  /* [T][C] residual stream */
    float *r, *k, *v;          /* [T][C]; out (the gated heads) takes the place of r */
    float *v_first;            /* [T][C] values of layer 0 */
    struct vectors mix[MIXES]; /* of C numbers; that of the channel mix takes the place of the first */
    struct vectors low[LOWS];  /* of Rw, Ra, Rv, Rg numbers; these have floats always */
    struct vectors out;        /* r as floats; integers in the place of a mix */
    struct vectors hidden;     /* of F numbers; in the place of mixes but the first */
    /* For x070a (deep.h): */
    struct vectors e;          /* the embeddings behind their norm, of C numbers */
    float *s_row, *s_low;      /* [T][E*E], [T][E] */
    struct vectors s_turned;   /* of E numbers */
    float *no_shift;           /* [C] zeroes: the weights of the mix that is u itself */
    const struct layer *gated; /* the layer at hand; NULL: x070 */
    int *piece;                /* [T] which piece a token belongs to */
    int *wanted;               /* [T] tokens of which the logits are wanted, rising */
    int *bad;                  /* [T] first layer with a NaN or infinity after it, -1 if none */
    struct own *own;           /* [threads] */
};

/* For `room` tokens; NULL when out of memory. */
struct prefill_work *prefill_work_new(const struct rwkv7_model *model, int room, int threads);

#endif
