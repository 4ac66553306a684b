/*
 * model.h - the model: immutable weights, which all layers above share.
 *
 * The letters are those of the paper: V vocabulary, L layers, C = H * N channels, heads and head size, F hidden width of the channel
 * mix, R* widths of the low-rank factors.
 */
#ifndef WEIGHTS_MODEL_H
#define WEIGHTS_MODEL_H

#include "formats/tensors.h"
#include "kernels/compute.h"
#include "kernels/quants.h"
#include "rwkv7.h"

/* rwkv7.h has enumerators of its own for the types of integers, in the order of base/integer_types.h. */
#define SAME_NUMBERS(NAME, ...) \
    &&(int)MAT_##NAME == (int)RWKV7_##NAME && (int)MAT_##NAME - (int)MAT_FLOATS + 1 == (int)RWKV7_WEIGHTS_##NAME
_Static_assert((int)MAT_F32 == (int)RWKV7_F32 && (int)MAT_F16 == (int)RWKV7_F16 && (int)MAT_BF16 == (int)RWKV7_BF16 &&
                   (int)MAT_TYPES == (int)RWKV7_GGML &&
                   (int)MAT_TYPES - (int)MAT_FLOATS + 1 == (int)RWKV7_WEIGHTS_COUNT INTEGER_TYPES(SAME_NUMBERS),
               "one is cast to the other");
#undef SAME_NUMBERS
_Static_assert((int)DT_COUNT - (int)DT_PACKED == 2 * ((int)MAT_TYPES - (int)MAT_FLOATS),
               "the types of files are those of matrices, each in tiles and by column");
/* The type that matrices are quantized to; not for RWKV7_WEIGHTS_STORED. */
static inline enum mat_type weights_type(enum rwkv7_weights weights)
{
    return (enum mat_type)((int)MAT_FLOATS + (int)weights - 1);
}
static inline enum rwkv7_weights weights_of_type(enum mat_type type)
{
    return (enum rwkv7_weights)((int)type - (int)MAT_FLOATS + 1);
}

/* The weights outside the layers, the same in every architecture. */
struct outer {
    struct mat emb;                           /* [V][C], one row per token */
    const float *ln0_weight, *ln0_bias;       /* [C]; NULL in files without a norm on the embedding */
    const float *ln_out_weight, *ln_out_bias; /* [C] */
    struct mat head;                          /* [V][C] */
};

/*
 * The type of a matrix that lies in the file in blocks of ggml's integers (formats/ggml_blocks.h): data is its struct tensor. The
 * embedding stays so, of which rows are read; no product takes it, and model_pack makes integers of the others.
 */
#define MAT_GGML MAT_TYPES

/* A piece of memory that a model owns. */
struct block {
    void *data;
    size_t size, used;
};

/* What products with the weights of a model need, of all its matrices; known once they are packed (arch/chunk.h). */
struct product_needs {
    bool floats, integers; /* in which forms their vectors come: whether any matrix is of floats, and of integers */
    size_t scratch;        /* floats that a product uses */
    size_t rows;           /* bytes of COLUMN_ROWS rows of a matrix by column, as a matrix by row */
};

struct arch;
struct weight_table;
struct identity; /* the fingerprint, once it is known (fingerprint.c) */

struct rwkv7_model {
    struct compute *compute;            /* of the runtime that opened it */
    const struct arch *arch;            /* its forward pass and state (arch/arch.h) */
    const struct weight_table *weights; /* its weights (weights/weights.h) */
    struct rwkv7_shape shape;
    struct rwkv7_model_info info;
    struct outer outer;
    struct product_needs needs;
    void *layers;      /* [L] structs of the architecture, weights->layer_size bytes each */
    float ln_eps;      /* of every LayerNorm */
    float head_eps;    /* of the norm inside each head */
    float rate_scale;  /* RWKV-7: the in-context learning rate a is multiplied by it; 1, or 2 with the extended range */
    int rescale_every; /* n: matrices that write to the residual stream are stored divided by 2^(layer / n); 0: not */
    struct tensor_index *index; /* what the weights point into; NULL for random models */
    struct block *blocks;       /* [block_count] converted and transposed weights */
    size_t block_count, block_room;
    char *path;
    struct identity *identity;
};

/* Sizes beyond these are no model but a mistake, and products of two of them fit 64 bits easily. */
#define MAX_AXIS (1 << 24)
#define MAX_LAYERS 4096

#define LN_EPS 1e-5f
#define LN_EPS_NAME "attention.layer_norm_epsilon" /* llama.cpp's, behind the name of the architecture */
#define LN_EPS_KEY "rwkv7." LN_EPS_NAME
#define HEAD_EPS_KEY "rwkv7.head_epsilon"
#define RATE_SCALE_KEY "rwkv7.rate_scale"
#define HEAD_EPS 64e-5f /* BlinkDL: for every version and head size; what differs is in the file of the architecture */

/* A model without layers and weights; on failure nothing is left. */
enum rwkv7_status model_new(struct compute *compute, const char *path, struct rwkv7_model **out,
                            struct rwkv7_error *err);
/* Makes it one of this architecture and shape, with empty layers. */
enum rwkv7_status model_shape(struct rwkv7_model *model, const struct arch *arch, const struct weight_table *weights,
                              const struct rwkv7_shape *shape, struct rwkv7_error *err);
/* Zeroed memory that the model owns and frees, aligned to MEM_ALIGN; NULL when out of memory. */
void *model_block(struct rwkv7_model *model, size_t size);
/* Gives back memory of model_block, if it has a block to itself; else it is kept, and the answer is false. */
bool model_block_free(struct rwkv7_model *model, const void *p);
/* Whether this memory is part of a file that the model maps. */
bool model_maps(const struct rwkv7_model *model, const void *data);
/* The pages of weights that now stand elsewhere leave the resident memory, if they are of a mapped file or of the model's own. */
void model_release(const struct rwkv7_model *model, const void *data, size_t size);
/* Fills the fields of info that follow from the weights (parameters, bytes), once all are there and packed. */
void model_count(struct rwkv7_model *model);
/* Keeps every weight in memory, wherever it lies: in blocks of the model or in the file. */
enum rwkv7_status model_lock(const struct rwkv7_model *model, struct rwkv7_error *err);

static inline size_t mat_bytes(const struct mat *m)
{
    if (m->type == MAT_GGML)
        return (size_t)((const struct tensor *)m->data)->bytes;
    if (m->type >= MAT_FLOATS)
        return quant_bytes(m);
    return (size_t)m->rows * (size_t)m->cols * (size_t)weight_types[m->type].bits / 8;
}

/* Rows [first, first + count) as float32, exactly; out [count][cols]. For rows of floats and of ggml. */
static inline void mat_rows(const struct kernels *k, const struct mat *m, size_t first, int count, float *out)
{
    if (m->type == MAT_GGML)
        for (size_t i = 0; i < (size_t)count; i++)
            tensor_row(m->data, first + i, out + i * (size_t)m->cols);
    else
        k->widen[m->type](out, (const char *)m->data + first * (mat_bytes(m) / (size_t)m->rows), count * m->cols);
}

#endif
