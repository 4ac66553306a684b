/*
 * chunk.h - what forward passes for several tokens at once are made of.
 *
 * Only the token shifts and the state couple neighbouring tokens, so a chunk of T tokens goes through layer by layer: the products
 * become matrix-matrix products in which each weight is read once for all T tokens, and the recurrence is scanned over the chunk head
 * by head. The operations on a token and their order are those of the step; in exact math the bits are the same.
 *
 * The tokens may be pieces of several sessions, one after the other: then the products are shared, and shifts and states are of each
 * piece its own. So a conversation costs little more while others are decoded with it.
 *
 * Activations are [T][C], one row per token, and do not fit into a cache. So what one thread can make and use up within its cache never
 * becomes such an array: the norm is recomputed rather than kept, shifted mixes leave as the integers that the products take, and
 * results of products join the residual stream or become integers of their own at once.
 *
 * Like a step, a layer is a sequence of phases with barriers, whose work (rows of matrices, tokens or heads) is taken in tasks.
 */
#ifndef ARCH_CHUNK_H
#define ARCH_CHUNK_H

#include "arch/arch.h"
#include "arch/product.h"

_Static_assert(CHUNK_TASK_ROWS <= COLUMN_ROWS, "one call for a task");

/* T vectors one after the other, in the forms that the matrices of the model ask for. */
struct vectors {
    int cols;
    float *x;             /* [T][cols]; NULL if no matrix is of floats */
    struct quants quants; /* [T]; q is NULL if none is of integers */
};
/* Looks through all matrices of a model; its `needs` from then on. */
struct product_needs product_needs(const struct rwkv7_model *model);
struct vectors cut_vectors(struct scratch *s, int cols, size_t tokens, bool floats, bool integers);
/*
 * The mixes of a layer, [count] of C numbers, and hidden, of F numbers. hidden takes the place of all mixes but the first `kept`: those
 * the channel mix does not have, and they have been used up when hidden is made.
 */
void cut_mixes(struct scratch *s, const struct rwkv7_model *model, size_t tokens, struct vectors *mix, int count,
               int kept, struct vectors *hidden);
/* From token `token` on, for matrices of a type. */
struct operand vectors_operand(const struct vectors *v, enum mat_type type, int token);
/* Makes the integers of vectors [begin, end), if `type` asks for them. */
void vectors_quantize(const struct kernels *k, const struct vectors *v, enum mat_type type, int begin, int end);

/* Tokens of one session that are evaluated together with those of others. */
struct piece {
    float *state;           /* of the session */
    const uint32_t *tokens; /* [count], at least one */
    int count;
    enum rwkv7_logits which;
    /* Set by the driver: */
    int first;                /* its first row among those of all pieces */
    int bad_layer, bad_token; /* where a NaN or an infinity came up (L: the logits), or -1 */
};

/* Private to a thread. */
struct chunk_thread {
    float *scratch;        /* of products */
    void *rows;            /* of a matrix by column, made for a product */
    struct active active;  /* its columns that count for one token */
    float *part;           /* results of products that are used up at once: tuning.part_floats or C */
    float *u, *before, *m; /* [C] normalized, the same of the token before, a shifted mix */
};

struct chunk {
    const struct rwkv7_model *model;
    struct piece *pieces;
    int piece_count;
    int count; /* T, tokens of all pieces */

    float *x;                     /* [T][C] residual stream */
    int *piece;                   /* [T] which piece a token belongs to */
    int *wanted;                  /* [wanted_count] tokens of which the logits are wanted, rising */
    int *bad;                     /* [T] first layer with a NaN or an infinity after it, -1 if none */
    struct chunk_thread *threads; /* [threads] */
    void *work;                   /* buffers of the architecture */
    int wanted_count;
    float *logits; /* [wanted_count][V] */
};

/*
 * The first tokens whose time mix and channel mix are needed in a layer. Of a piece that has no company and of which not all logits are
 * wanted, the last layer gives its state, which needs the time mix of the last token, and the output of the last token, whose channel
 * mix also needs that of the token before.
 */
void chunk_needed(const struct chunk *c, int layer, int *time_mix, int *channel_mix);
/* Tokens per task: enough to spread, and few norms computed twice. */
int chunk_token_task(const struct chunk *c, const struct pool *pool);
/* Whether the residual stream of a token is finite after a layer. */
void chunk_check(const struct chunk *c, int layer, int token);

/* ----------------------------------------------------------------------------------------------------- token shifts */

#define CHUNK_MIXES 6 /* at most */

/* A norm, and the shifted mixes that start from it. */
struct shifts {
    const float *weight, *bias; /* of the norm */
    int state;                  /* number of the state tensor that is the normalized vector of the token before */
    const float *mix[CHUNK_MIXES];
    const struct vectors *to; /* [count] */
    int count;
};
/* For tokens from `first` on, u[t] = LN(x[t]); mix i of t = u[t] + (u[t - 1] - u[t]) mix[i]. Ends with a barrier. */
void chunk_shift(const struct chunk *c, struct pool *pool, int rank, int layer, const struct shifts *s, int first);

/* Replaces the state tensor by the u of the last token of each piece, once no thread reads it any more: after a barrier. */
void chunk_remember(const struct chunk *c, int rank, int layer, const struct shifts *s);
/* u of one token. */
void chunk_normalize(const struct chunk *c, const struct shifts *s, int token, float *u);
/* Stores a mix m [C] of one token, as float32 and as integers as far as `to` has them. */
void chunk_store_mix(const struct chunk *c, const struct vectors *to, int token, const float *m);

/* --------------------------------------------------------------------------------------------------------- products */

struct chunk_product;
/* What becomes of the results of `tokens` vectors from `token` on with rows [begin, end): y [tokens][ldy], its first column is `begin`. */
typedef void chunk_finish(const struct chunk *c, const struct chunk_product *p, float *y, size_t ldy, int token,
                          int tokens, int begin, int end);

/* Y = X W^T as one of several products of a phase. Rows of Y and X belong to tokens. */
struct chunk_product {
    const struct mat *w;
    const struct vectors *x;
    float *y;             /* [T][rows]; NULL: only `finish` sees the results */
    int first;            /* token; those before are not wanted */
    int rows;             /* of the matrix, per task; 0: what suits it */
    chunk_finish *finish; /* may be NULL */
    struct vectors *next; /* for `finish`: the results as vectors, which are multiplied by a matrix of type next_type */
    enum mat_type next_type;
    const float *gate; /* [T][rows] for chunk_finish_residual; NULL: none */
    float scale;       /* for chunk_finish_sigmoid; 0: none */
};
/* All products of a phase for tokens [first, tokens) of each; ends with a barrier. */
void chunk_products(const struct chunk *c, struct pool *pool, int rank, const struct chunk_product *products, int count,
                    int tokens);
/* x += y, or x += gate * y */
chunk_finish chunk_finish_residual;
/*
 * The first of two low-rank products, whose results, changed by `finish`, become the vectors z, which are multiplied by `next`. A task has
 * all rows, so that `finish` sees y [tokens][rows] without gaps; it ends with chunk_finish_low, or is that.
 */
struct chunk_product chunk_low_product(const struct mat *w, const struct vectors *x, struct vectors *z,
                                       const struct mat *next, chunk_finish *finish, int first);
chunk_finish chunk_finish_low;
/* x += W out from token `first` on, where out [T][C] has no integers yet; ends with a barrier. */
void chunk_add_output(const struct chunk *c, struct pool *pool, int rank, const struct mat *w,
                      const struct vectors *out, int first);
/* y = relu(y)^2, and the integers of these rows of p->next, if a matrix of integers takes it: then a task has whole blocks of rows. */
chunk_finish chunk_finish_relu_square;
void chunk_quantize_rows(const struct chunk *c, const struct chunk_product *p, const float *y, int token, int begin,
                         int end);
/* y = sigmoid(y), or sigmoid(y) scale */
chunk_finish chunk_finish_sigmoid;
/* The product with ffn.key from `first` on, whose results become `hidden`, which is multiplied by `value`. */
struct chunk_product chunk_hidden_product(const struct mat *key, const struct vectors *x, int first,
                                          struct vectors *hidden, const struct mat *value);
/* x += W v as chunk_finish_residual does it, where a few tokens do not read the columns of a sparse matrix that none needs. */
void chunk_add_sparse(const struct chunk *c, struct pool *pool, int rank, const struct chunk_product *p);

#endif
