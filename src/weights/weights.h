/*
 * weights.h - tables of the weights of each architecture, and everything that iterates over them:
 * binding, packing, conversion, random models, fingerprint. A table lists the tensors that a
 * checkpoint must have, with their names and forms.
 *
 * Each architecture (src/arch) provides a table; this layer knows nothing else about it.
 */
#ifndef WEIGHTS_WEIGHTS_H
#define WEIGHTS_WEIGHTS_H

#include "weights/model.h"

/* --------------------------------------------------------------------------------------- tables */

enum weight_kind {
    WEIGHT_VECTOR,     /* a vector; axes of size 1 are ignored; float32 in memory */
    WEIGHT_COMPLEMENT, /* a vector x, stored in memory as 1 - x: time_mix before RWKV-6 */
    WEIGHT_EXP,        /* a vector x, stored in memory as exp(x) */
    WEIGHT_DECAY,      /* a vector x, stored in memory as exp(-exp(x)): a decay independent of the token */
    WEIGHT_HEAD,       /* one number per head, repeated N times in memory */
    WEIGHT_HEAD_EXP,   /* the same, as exp(x) */
    WEIGHT_HEAD_DECAY, /* the same, as exp(-exp(x)) */
    WEIGHT_MATRIX,     /* [rows][cols] */
    WEIGHT_SPARSE,     /* a matrix multiplied by a mostly zero vector, so it may be stored by column */
    WEIGHT_TABLE,      /* a matrix of which only single rows are read; it stays in the file unchanged */
    WEIGHT_FACTOR,     /* low-rank factor: [rows][cols] in memory, [cols][rows] in a .pth */
    WEIGHT_ORIENTED,   /* low-rank factor: the same, but in files [cols][rows] unless the shape shows otherwise */
};
static inline bool kind_is_vector(enum weight_kind kind)
{
    return kind <= WEIGHT_HEAD_DECAY;
}

enum weight_place {
    EVERYWHERE,
    NOT_FIRST,  /* in all layers but 0; a file may contain it in layer 0, unused */
    IF_PRESENT, /* optional; recognition ensures that required weights exist */
};

enum naming { NAMING_BLINKDL, NAMING_FLA, NAMING_HF, NAMING_GGUF, NAMINGS };

/*
 * One weight. The axes are letters: V C F N as in model.h; w a v g m for the ranks; e for the side
 * of x070a's matrices and E for its square; h for the number of heads; H for a vector of C numbers
 * that files store as [H][N].
 */
struct weight_spec {
    /*
     * The name in each naming scheme; NULL if the scheme does not have it. Inside a layer the name
     * excludes the layer prefix ("att.x_r"). Alternatives follow after '|'. "name#2/5" is part 2 of
     * 5 of a tensor, along its first axis, or along its last if the first is too short.
     */
    const char *blinkdl, *fla, *hf, *gguf;
    enum weight_kind kind;
    char rows, cols; /* cols is 0 for vectors */
    enum weight_place place;
    size_t offset; /* of the field (const float * or struct mat) in the struct of a layer or in struct outer */
};

struct weight_table {
    const char *model;                /* "RWKV-7 (x070)" */
    const struct weight_spec *layers; /* [layer_count]: the weights of each layer */
    size_t layer_count;
    const struct weight_spec *outer; /* [outer_count]: the weights outside the layers */
    size_t outer_count;
    const char *layer_prefix[NAMINGS]; /* for example "blocks.", followed by the number of the layer */
    size_t layer_size;                 /* bytes of the struct of one layer */
};

/* Returns the length of an axis. */
int shape_axis(const struct rwkv7_shape *shape, char letter);

/* A position in the iteration over all weights of a shape; start with WEIGHT_BEFORE_FIRST. */
struct weight {
    const struct weight_spec *spec;
    int layer;     /* -1 outside the layers */
    size_t number; /* index of the row in its table */
};
#define WEIGHT_BEFORE_FIRST \
    {                       \
        NULL, -1, 0         \
    }
/*
 * Advances to the next weight of a model: first those outside the layers, then layer by layer.
 * Returns false at the end.
 */
bool weight_next(const struct weight_table *table, const struct rwkv7_shape *shape, struct weight *w);
/*
 * Returns the field where a model keeps the weight. The field is NULL (for a matrix: its data) if
 * the weight is optional and missing.
 */
static inline void *weight_field(const struct rwkv7_model *model, const struct weight *w)
{
    char *record =
        w->layer < 0 ? (char *)&model->outer : (char *)model->layers + (size_t)w->layer * model->weights->layer_size;
    return record + w->spec->offset;
}
static inline struct mat *weight_mat(const struct rwkv7_model *model, const struct weight *w)
{
    return weight_field(model, w);
}
static inline const float **weight_vector(const struct rwkv7_model *model, const struct weight *w)
{
    return weight_field(model, w);
}

/* ---------------------------------------------------------------------------------------- names */

struct spelling {
    enum naming naming;
    bool factors_transposed; /* low-rank factors are stored [cols][rows]: the .pth orientation */
};

/* What a checkpoint was recognized as. */
struct recognized {
    const struct arch *arch;
    const struct weight_table *weights;
    struct rwkv7_shape shape;
    struct spelling spelling;
    float ln_eps, head_eps; /* epsilon of every LayerNorm, and of the norm inside each head */
    int rescale_every;      /* as in struct rwkv7_model */
    float rate_scale;       /* as in struct rwkv7_model */
};
/*
 * choose_rate_scale sets the scale of the in-context learning rate to `wanted`, which the user
 * asked for; 0 keeps that of the checkpoint. A scale above 2 is an error: the state could grow
 * without bounds.
 */
#define RATE_SCALE_MAX 2.0f
enum rwkv7_status choose_rate_scale(struct recognized *as, const char *path, float wanted, struct rwkv7_error *err);
/*
 * Describes the naming scheme and, if it has low-rank factors of either orientation, how they are
 * stored.
 */
const char *names_describe(const struct recognized *as);
/*
 * Recognizes architecture, naming scheme and sizes (arch.c). For a checkpoint that cannot run, the
 * message says what it is.
 */
typedef enum rwkv7_status recognize_fn(const struct tensor_index *index, const char *path, struct recognized *out,
                                       struct rwkv7_error *err);

#define NAME_ROOM 160
/*
 * Builds the full name of a weight. Of several alternatives, takes the first that is a whole
 * tensor; if none is, the first. Returns false if it has no name in this scheme. layer < 0: outside
 * the layers.
 */
bool weight_name(char out[NAME_ROOM], const struct weight_table *table, enum naming naming,
                 const struct weight_spec *spec, int layer);
/* Part `number` of `count` equal parts of a tensor; {0, 1} is the whole tensor. */
struct weight_part {
    int number, count;
};
/* Finds the tensor of a weight under any of its names; NULL if there is none. part may be NULL. */
const struct tensor *weight_tensor(const struct tensor_index *index, const struct weight_table *table,
                                   enum naming naming, const struct weight_spec *spec, int layer,
                                   struct weight_part *part);
/* Whether a model of this table has a tensor of that name in any naming scheme. */
bool weight_table_names(const struct weight_table *table, const char *name);
/*
 * Names of the tensors of a tuned state, which a checkpoint may contain besides its weights.
 * tuned_state_layer returns the layer of a name, -1 for other names.
 */
void tuned_state_name(char out[NAME_ROOM], long layer);
long tuned_state_layer(const char *name);

/* ---------------------------------------------------------------- from a checkpoint into memory */

/* One weight and the position of its numbers in a checkpoint. */
struct weight_source {
    struct weight weight;
    const struct tensor *tensor;
    size_t row, col; /* its first element in the tensor, seen as rows of the last axis */
    int rows, cols;  /* size as applied; a vector has `rows` numbers and cols = 0 */
    bool transposed; /* stored as [cols][rows] */
};
struct weight_sources {
    struct weight_source *at; /* [count], in the order of weight_next */
    size_t count;
    size_t ignored; /* number of tensors that are not needed */
    bool tied;      /* the head is the tensor of the embedding */
};
/*
 * Finds every weight that a model of this shape must have (sources.c). Fails if a weight is missing
 * or has another type or shape than expected, or if a tensor belongs to no weight.
 */
enum rwkv7_status weights_find(const struct tensor_index *index, const char *path, const struct recognized *as,
                               struct weight_sources *out, struct rwkv7_error *err);
/*
 * Rejects integers that would give different results on different tiers (validate.c); the message
 * names the tensor and the position. Reads the sub-block scales of the file, with all threads.
 */
enum rwkv7_status weights_validate(const struct weight_sources *sources, struct pool *pool, struct rwkv7_error *err);
/*
 * Rejects low-rank factors with a NaN or an infinity (finite.c); the message names the tensor and
 * the position. Uses all threads.
 */
enum rwkv7_status weights_check_factors(const struct weight_sources *sources, struct pool *pool,
                                        struct rwkv7_error *err);
/* Whether all floats are finite; any alignment. */
bool floats_are_finite(const void *data, enum mat_type type, size_t count);
void weight_sources_free(struct weight_sources *sources); /* harmless on a zeroed struct */
/*
 * Returns the matrix type of a dtype and whether it is column-major; false if it is not a matrix
 * type.
 */
bool weight_form(enum dtype type, struct mat *out);

/* Finds and prepares all weights of model->index (bind.c). */
enum rwkv7_status weights_bind(struct rwkv7_model *model, const struct recognized *as,
                               const struct rwkv7_model_options *opt, struct rwkv7_error *err);
/* Returns the number of floats of a vector in memory. */
static inline size_t vector_floats(const struct rwkv7_shape *shape, const struct weight_spec *spec)
{
    const size_t numbers = (size_t)shape_axis(shape, spec->rows);
    return spec->kind >= WEIGHT_HEAD ? numbers * (size_t)shape->head_size : numbers;
}
/*
 * Converts a vector from its stored form to its form in memory, in place (bind.c). x
 * [vector_floats].
 */
void weight_transform(const struct rwkv7_shape *shape, const struct weight_spec *spec, float *x);
/*
 * Fills all weights of a shaped model with random numbers (random.c). opt->type must be a float
 * type.
 */
enum rwkv7_status weights_random(struct rwkv7_model *model, const struct rwkv7_random_options *opt,
                                 struct rwkv7_error *err);
/*
 * Sets the type, size and layout of every weight as weights_random and model_pack would, without
 * allocating memory. The data must not be read. For model_count and others that need only sizes.
 */
void weights_random_outline(struct rwkv7_model *model, enum rwkv7_type type, const struct rwkv7_model_options *opt);
/* Fails if the machine does not have enough memory for the weights. */
enum rwkv7_status weights_random_fit(const struct weight_table *table, const struct rwkv7_shape *shape,
                                     enum rwkv7_type type, struct rwkv7_error *err);
/* Implements rwkv7_convert for checkpoints that `recognize` supports (convert.c). */
enum rwkv7_status weights_convert(const struct compute *compute, recognize_fn *recognize, const char *from,
                                  const char *to, const struct rwkv7_convert_options *opt, struct rwkv7_error *err);

/* -------------------------------------------------------------------------------------- packing */

/*
 * Converts the matrices to the form that the options ask for, after binding or random filling
 * (quantize.c).
 */
enum rwkv7_status model_pack(struct rwkv7_model *model, const struct rwkv7_model_options *opt, struct rwkv7_error *err);
/*
 * Quantizes matrices with all threads (quantize.c): the large ones of the layers to `type`, the
 * low-rank factors and the head to Q8. The embedding is not quantized, since each token reads only
 * one row. `type` MAT_GGML: quantizes only ggml's blocks, to Q8. opt: whether sparse matrices are
 * stored by column.
 */
enum rwkv7_status model_quantize(struct rwkv7_model *model, enum mat_type type, const struct rwkv7_model_options *opt,
                                 struct rwkv7_error *err);
/*
 * Chooses the quantized form of a matrix: its type, and column-major if allowed. Returns false if
 * it is not quantized.
 */
bool quantize_form(const struct weight *w, enum mat_type type, struct mat *out);
/*
 * Quantizes one tile of a matrix whose memory was zeroed. rows: floats [16][cols]; only `count`
 * rows exist.
 */
void quantize_tile(const struct kernels *k, const struct mat *to, int tile, const float *rows, int count);
/* Stores sparse float matrices by column (columns.c). */
enum rwkv7_status model_store_columns(struct rwkv7_model *model, const struct rwkv7_model_options *opt,
                                      struct rwkv7_error *err);

/* ---------------------------------------------------------------------------------- fingerprint */

/* The cached fingerprint of a model (fingerprint.c); NULL when out of memory. */
struct identity *identity_new(void);
void identity_free(struct identity *identity); /* NULL is allowed */

#endif
