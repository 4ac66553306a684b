/*
 * chunk.h - building blocks of the forward passes for several tokens (prefill).
 *
 * Tokens depend on each other only through the token shifts and the state. A chunk of T tokens
 * therefore runs through the model layer by layer: the products become matrix-matrix products,
 * which read each weight once for all T tokens, and the recurrence processes the tokens in order,
 * head by head. Each token sees the same operations in the same order as in a step (step.h), so
 * with --math exact the bits are the same.
 *
 * A chunk may contain pieces of several sessions, one after the other. They share the products, but
 * each has its own token shifts and its own state. Adding a session to a chunk therefore costs
 * little.
 *
 * Activations are [T][C], one row per token, and do not fit a cache. Results that one thread can
 * produce and consume within its cache are therefore not stored as such an array. Norms are
 * computed again, shifted mixes are stored quantized if the matrix is quantized, and the results of
 * products are at once added to the residual stream or quantized.
 *
 * As in a step, a layer is a sequence of phases with barriers. Within a phase, threads take tasks:
 * rows of matrices, tokens or heads.
 */
#ifndef ARCH_CHUNK_H
#define ARCH_CHUNK_H

#include "arch/arch.h"
#include "arch/product.h"

_Static_assert(CHUNK_TASK_ROWS <= COLUMN_ROWS, "one call for a task");

/* T vectors, one after the other, as floats, quantized, or both, as the matrices need them. */
struct vectors {
    int cols;
    float *x;             /* [T][cols]; NULL if no matrix is floating-point */
    struct quants quants; /* [T]; q is NULL if no matrix is quantized */
};
/* Collects what the types of all matrices of a model need; stored as model->needs. */
struct product_needs product_needs(const struct rwkv7_model *model);
struct vectors cut_vectors(struct scratch *s, int cols, size_t tokens, bool floats, bool integers);
/*
 * Allocates `count` mixes of a layer, of C elements per token, and hidden, of F elements per token.
 * hidden overlaps all mixes but the first `kept`: when hidden is computed, only the channel mix
 * still needs mixes, and it has at most `kept`.
 */
void cut_mixes(struct scratch *s, const struct rwkv7_model *model, size_t tokens, struct vectors *mix, int count,
               int kept, struct vectors *hidden);
/* Returns the vectors from token `token` on, as the operand of a matrix of this type. */
struct operand vectors_operand(const struct vectors *v, enum mat_type type, int token);
/* Quantizes vectors [begin, end) if `type` is a quantized type. */
void vectors_quantize(const struct kernels *k, const struct vectors *v, enum mat_type type, int begin, int end);

/* Tokens of one session within a chunk. */
struct piece {
    float *state;           /* of the session */
    struct replay *replay;  /* NULL: updates the state; else only reads it and fills this */
    const uint32_t *tokens; /* [count], at least one */
    int count;
    enum rwkv7_logits which;
    /* The driver sets: */
    int first;                /* its first row in the chunk */
    int bad_layer, bad_token; /* of the first NaN or infinity, L: logits; or -1 */
};

/* Buffers private to a thread. */
struct chunk_thread {
    float *scratch;        /* for products */
    void *rows;            /* rows of a column-major matrix, transposed for a product */
    struct active active;  /* active columns of one token */
    float *part;           /* results of products, consumed at once: tuning.part_floats or C */
    float *u, *before, *m; /* [C] LN(x) of a token, of the previous token; one mix */
    float *state;          /* for chunk_state: a head, or SCAN_CHANNELS channels of RWKV-4 */
};

struct chunk {
    const struct rwkv7_model *model;
    struct piece *pieces;
    int piece_count;
    int count; /* T, the tokens of all pieces */

    float *x;                     /* [T][C] residual stream */
    int *piece;                   /* [T] the piece of each token */
    int *wanted;                  /* [wanted_count] tokens whose logits are needed, ascending */
    int *bad;                     /* [T] first layer whose output has a NaN or infinity, or -1 */
    struct chunk_thread *threads; /* [threads] */
    void *work;                   /* buffers of the architecture */
    int wanted_count;
    float *logits; /* [wanted_count][V] */
};

/*
 * Returns the first token whose time mix is needed in a layer, and the first whose channel mix is
 * needed. Both are 0, with one exception: the last layer of a chunk with one piece that updates its
 * state and wants at most one row of logits. There only the state and the output after the last
 * token matter. That needs the channel mix of the last token and the time mix of the last two,
 * because the channel mix shifts by one token.
 */
void chunk_needed(const struct chunk *c, int layer, int *time_mix, int *channel_mix);
/*
 * Returns the tokens per task. Few, so that all threads get tasks. More than one if possible,
 * because each task first recomputes the norm of the token before its own.
 */
int chunk_token_task(const struct chunk *c, const struct pool *pool);
/*
 * Sets chunk->bad of a token to `layer` if its residual stream is not finite and no earlier layer
 * is recorded.
 */
void chunk_check(const struct chunk *c, int layer, int token);

/* --------------------------------------------------------------------------------- token shifts */

#define CHUNK_MIXES 6 /* at most */

/* A layer norm and the shifted mixes of its output u. */
struct shifts {
    const float *weight, *bias; /* [C], of the layer norm */
    int state;                  /* number of the state tensor that holds u of the previous token */
    const float *mix[CHUNK_MIXES];
    const struct vectors *to; /* [count], where the mixes are stored */
    int count;
};
/*
 * For tokens t from `first` on: u[t] = LN(x[t]); mix i of t = u[t] + (u[t - 1] - u[t]) mix[i]. Ends
 * with a barrier.
 */
void chunk_shift(const struct chunk *c, struct pool *pool, int rank, int layer, const struct shifts *s, int first);

/*
 * Stores u of the last token of each piece in its state, or u of every token in its records. Call
 * it after a barrier: until then, other threads may read the old u.
 */
void chunk_remember(const struct chunk *c, int rank, int layer, const struct shifts *s);
/* Computes u of one token. */
void chunk_normalize(const struct chunk *c, const struct shifts *s, int token, float *u);
/* Stores a mix m [C] of one token in `to`, as floats, quantized, or both. */
void chunk_store_mix(const struct chunk *c, const struct vectors *to, int token, const float *m);

/* ----------------------------------------------------------------------------------- recurrence */

/*
 * Returns the memory in which a recurrence updates `floats` floats of the state of a piece: the
 * state itself, or a private copy at `copy` if the piece is tentative.
 */
float *chunk_state(const struct piece *p, float *state, size_t floats, float *copy);
/* chunk_state for the matrix of a head, in architectures whose state table is matrix_state. */
float *chunk_head_state(const struct chunk *c, int rank, const struct piece *p, int layer, int head);
/*
 * Records the inputs of the recurrence of `n` channels of a token, from `channel` on. Does nothing
 * unless the piece is tentative. inputs: [forward->inputs].
 */
void chunk_record(const struct chunk *c, const struct piece *p, int layer, int token, int channel, int n,
                  const float *const inputs[]);
/* forward->replay of RWKV-5 and RWKV-6, which record w, k and v. */
void chunk_replay_wkv6(const struct rwkv7_model *model, float *state, const struct replay *replay, int layer, int begin,
                       int end, int count);

/* ------------------------------------------------------------------------------------- products */

struct chunk_product;
/*
 * Consumes results of a product while they are in the cache: those of `tokens` vectors from `token`
 * on, for rows [begin, end) of the matrix. y is [tokens][ldy]; its first column is row `begin`.
 */
typedef void chunk_finish(const struct chunk *c, const struct chunk_product *p, float *y, size_t ldy, int token,
                          int tokens, int begin, int end);

/* Y = X W^T, one of the products of a phase. Y and X have one row per token. */
struct chunk_product {
    const struct mat *w;
    const struct vectors *x;
    float *y;             /* [T][rows]; NULL: the results only go to `finish` */
    int first;            /* first token; results of earlier ones are not needed */
    int rows;             /* rows of the matrix per task; 0: default */
    chunk_finish *finish; /* may be NULL */
    struct vectors *next; /* for `finish`: its results, for a matrix of next_type */
    enum mat_type next_type;
    const float *gate; /* [T][rows] for chunk_finish_residual; NULL: no gate */
    float scale;       /* for chunk_finish_sigmoid; 0: no factor */
};
/* Computes all products of a phase for tokens [first, tokens) of each. Ends with a barrier. */
void chunk_products(const struct chunk *c, struct pool *pool, int rank, const struct chunk_product *products, int count,
                    int tokens);
/* x += y, or x += gate * y. */
chunk_finish chunk_finish_residual;
/*
 * Returns the first product of a low-rank pair. `finish` activates its results, which become the
 * vectors z for the second factor `next`. A task computes all rows, so `finish` gets y
 * [tokens][rows] without gaps. `finish` must be chunk_finish_low, or call it at its end.
 */
struct chunk_product chunk_low_product(const struct mat *w, const struct vectors *x, struct vectors *z,
                                       const struct mat *next, chunk_finish *finish, int first);
chunk_finish chunk_finish_low;
/* x += W out, from token `first` on. out: [T][C], not yet quantized. Ends with a barrier. */
void chunk_add_output(const struct chunk *c, struct pool *pool, int rank, const struct mat *w,
                      const struct vectors *out, int first);
/*
 * y = relu(y)^2. If the next matrix is quantized, quantizes these rows to p->next; a task then has
 * whole blocks of rows.
 */
chunk_finish chunk_finish_relu_square;
void chunk_quantize_rows(const struct chunk *c, const struct chunk_product *p, const float *y, int token, int begin,
                         int end);
/* y = sigmoid(y), or sigmoid(y) * scale. */
chunk_finish chunk_finish_sigmoid;
/*
 * Returns the product with ffn.key from token `first` on. Its results become `hidden`, the input of
 * `value`.
 */
struct chunk_product chunk_hidden_product(const struct mat *key, const struct vectors *x, int first,
                                          struct vectors *hidden, const struct mat *value);
/*
 * x += W v, as chunk_finish_residual. For few tokens and a column-major matrix, reads only the
 * active columns of each token if that is faster.
 */
void chunk_add_sparse(const struct chunk *c, struct pool *pool, int rank, const struct chunk_product *p);

#endif
