/*
 * model.h - the model: immutable weights, shared by all higher layers.
 *
 * The letters are those of the paper: V vocabulary, L layers, C = H * N channels, H heads of size
 * N, F hidden size of the channel mix, R* ranks of the low-rank factors.
 */
#ifndef WEIGHTS_MODEL_H
#define WEIGHTS_MODEL_H

#include "formats/tensors.h"
#include "kernels/compute.h"
#include "kernels/quants.h"
#include "rwkv7.h"

/* rwkv7.h has its own enumerators for the integer types, in the order of base/integer_types.h. */
#define SAME_NUMBERS(NAME, ...) \
    &&(int)MAT_##NAME == (int)RWKV7_##NAME && (int)MAT_##NAME - (int)MAT_FLOATS + 1 == (int)RWKV7_WEIGHTS_##NAME
_Static_assert((int)MAT_F32 == (int)RWKV7_F32 && (int)MAT_F16 == (int)RWKV7_F16 && (int)MAT_BF16 == (int)RWKV7_BF16 &&
                   (int)MAT_TYPES == (int)RWKV7_GGML &&
                   (int)MAT_TYPES - (int)MAT_FLOATS + 1 == (int)RWKV7_WEIGHTS_COUNT INTEGER_TYPES(SAME_NUMBERS),
               "the enumerators must have the same values, as they are cast");
#undef SAME_NUMBERS
_Static_assert((int)DT_COUNT - (int)DT_PACKED == 2 * ((int)MAT_TYPES - (int)MAT_FLOATS),
               "the packed dtypes must be the matrix types, each in tiles and by column");
/* Returns the matrix type that weights are quantized to; not for RWKV7_WEIGHTS_STORED. */
static inline enum mat_type weights_type(enum rwkv7_weights weights)
{
    return (enum mat_type)((int)MAT_FLOATS + (int)weights - 1);
}
static inline enum rwkv7_weights weights_of_type(enum mat_type type)
{
    return (enum rwkv7_weights)((int)type - (int)MAT_FLOATS + 1);
}

/* The weights outside the layers, common to all architectures. */
struct outer {
    struct mat emb;                           /* [V][C], one row per token */
    const float *ln0_weight, *ln0_bias;       /* [C]; NULL if the file has no norm after the embedding */
    const float *ln_out_weight, *ln_out_bias; /* [C] */
    struct mat head;                          /* [V][C] */
};

/*
 * The type of a matrix that is stored in ggml's quantized blocks (formats/ggml_blocks.h); `data` is
 * its struct tensor. No matrix product supports this type, so model_pack quantizes such matrices.
 * Only the embedding keeps the type, because only single rows of it are read.
 */
#define MAT_GGML MAT_TYPES

/* A block of memory owned by a model. */
struct block {
    void *data;
    size_t size, used;
};

/*
 * What matrix products with any of the model's weights require. Known after packing. arch/chunk.h
 * sizes the workspace by it.
 */
struct product_needs {
    bool floats, integers; /* the vectors are needed as floats, as integers */
    size_t scratch;        /* floats of scratch for one product */
    size_t rows;           /* bytes to transpose COLUMN_ROWS rows of a column-major matrix */
};

struct arch;
struct weight_table;
struct identity; /* the fingerprint, once computed (fingerprint.c) */

struct rwkv7_model {
    struct compute *compute;            /* of the runtime that opened the model */
    const struct arch *arch;            /* forward pass and state (arch/arch.h) */
    const struct weight_table *weights; /* the table of its weights (weights/weights.h) */
    struct rwkv7_shape shape;
    struct rwkv7_model_info info;
    struct outer outer;
    struct product_needs needs;
    void *layers;               /* [L] structs of the architecture, weights->layer_size bytes each */
    float ln_eps;               /* of every LayerNorm */
    float head_eps;             /* of the norm inside each head */
    float rate_scale;           /* RWKV-7: factor of the in-context learning rate a; 1, or 2 with the extended range */
    int rescale_every;          /* n: output matrices of a layer are stored divided by 2^(layer / n); 0: they are not */
    struct tensor_index *index; /* the mapped files; NULL for random models */
    struct block *blocks;       /* [block_count]: converted and transposed weights */
    size_t block_count, block_room;
    char *path;
    struct identity *identity;
};

/* A file with a larger axis is damaged. The product of two axes is far below 2^64. */
#define MAX_AXIS (1 << 24)
#define MAX_LAYERS 4096

#define LN_EPS 1e-5f
#define LN_EPS_NAME "attention.layer_norm_epsilon" /* llama.cpp's key, after the name of the architecture */
#define LN_EPS_KEY "rwkv7." LN_EPS_NAME
#define HEAD_EPS_KEY "rwkv7.head_epsilon"
#define RATE_SCALE_KEY "rwkv7.rate_scale"
#define HEAD_EPS \
    64e-5f /* BlinkDL's value for every version and head size; exceptions are in the file of the architecture */

/* Creates a model without layers and weights. *out is NULL on failure. */
enum rwkv7_status model_new(struct compute *compute, const char *path, struct rwkv7_model **out,
                            struct rwkv7_error *err);
/* Sets architecture and shape; the layers are zeroed. */
enum rwkv7_status model_shape(struct rwkv7_model *model, const struct arch *arch, const struct weight_table *weights,
                              const struct rwkv7_shape *shape, struct rwkv7_error *err);
/* Returns zeroed memory owned by the model, aligned to MEM_ALIGN; NULL when out of memory. */
void *model_block(struct rwkv7_model *model, size_t size);
/*
 * Frees memory of model_block if it has a block of its own. Otherwise returns false and keeps it.
 */
bool model_block_free(struct rwkv7_model *model, const void *p);
/* Whether the memory is part of a file that the model maps. */
bool model_maps(const struct rwkv7_model *model, const void *data);
/*
 * Releases the pages of weights that were copied elsewhere, if they belong to a mapped file or to
 * the model.
 */
void model_release(const struct rwkv7_model *model, const void *data, size_t size);
/*
 * Computes the fields of info that depend on the weights (parameters, bytes). Called after packing.
 */
void model_count(struct rwkv7_model *model);
/*
 * Sets mat.from_memory of all matrices, if the bytes that a token reads exceed the caches of the
 * threads. Called after model_count.
 */
void model_mark_from_memory(struct rwkv7_model *model);
/* Locks all weights in memory, both in blocks of the model and in the mapped file. */
enum rwkv7_status model_lock(const struct rwkv7_model *model, struct rwkv7_error *err);

static inline size_t mat_bytes(const struct mat *m)
{
    if (m->type == MAT_GGML)
        return (size_t)((const struct tensor *)m->data)->bytes;
    if (m->type >= MAT_FLOATS)
        return quant_bytes(m);
    return (size_t)m->rows * (size_t)m->cols * (size_t)weight_types[m->type].bits / 8;
}

/*
 * Converts rows [first, first + count) to float32, exactly; out [count][cols]. For floats and
 * MAT_GGML.
 */
static inline void mat_rows(const struct kernels *k, const struct mat *m, size_t first, int count, float *out)
{
    if (m->type == MAT_GGML)
        for (size_t i = 0; i < (size_t)count; i++)
            tensor_row(m->data, first + i, out + i * (size_t)m->cols);
    else
        k->widen[m->type](out, (const char *)m->data + first * (mat_bytes(m) / (size_t)m->rows), count * m->cols);
}

#endif
