/*
 * weights.h - weights by expectation: tables that say which tensors a checkpoint must have, under which names and in which form, and
 * everything that walks over them (binding, packing, conversion, random models, fingerprint).
 *
 * An architecture (src/arch) provides a table; nothing here knows more of it than its table says.
 */
#ifndef WEIGHTS_WEIGHTS_H
#define WEIGHTS_WEIGHTS_H

#include "weights/model.h"

/* ----------------------------------------------------------------------------------------------------------- tables */

enum weight_kind {
    WEIGHT_VECTOR,     /* any unit axes; float32 in memory */
    WEIGHT_COMPLEMENT, /* a vector x of which 1 - x is kept: time_mix, the weight of the present token, before RWKV-6 */
    WEIGHT_EXP,        /* a vector x of which exp(x) is kept */
    WEIGHT_DECAY,      /* a vector x of which exp(-exp(x)) is kept: a decay that does not depend on the token */
    WEIGHT_HEAD,       /* one number per head, of which N copies are kept */
    WEIGHT_HEAD_EXP,   /* the same of exp(x) */
    WEIGHT_HEAD_DECAY, /* the same of exp(-exp(x)) */
    WEIGHT_MATRIX,     /* [rows][cols] */
    WEIGHT_SPARSE,     /* the same; what it is multiplied by is mostly zero, so it may be stored by column */
    WEIGHT_TABLE,      /* the same; only single rows are read, so it stays as it is, where it is */
    WEIGHT_FACTOR,     /* low-rank: [rows][cols] here, [cols][rows] in a .pth */
    WEIGHT_ORIENTED,   /* low-rank: [rows][cols] here, [cols][rows] in files, unless the shape shows the contrary */
};
static inline bool kind_is_vector(enum weight_kind kind)
{
    return kind <= WEIGHT_HEAD_DECAY;
}

enum weight_place {
    EVERYWHERE,
    NOT_FIRST,  /* not in layer 0, where a file may still hold it, unused */
    IF_PRESENT, /* where the checkpoint has it; the recognition sees to it that what is needed is there */
};

enum naming { NAMING_BLINKDL, NAMING_FLA, NAMING_HF, NAMING_GGUF, NAMINGS };

/*
 * One weight. Axes by letter: V C F N as in model.h, w a v g m for the ranks, e and E for the side of x070a's matrices and its square, h
 * for the number of heads, H for a vector of C numbers that files store as [H][N].
 */
struct weight_spec {
    /*
     * Name inside its layer ("att.x_r"), or whole for those outside, by naming; NULL: unknown in it. Other names of the same tensor follow
     * after a '|'. "name#2/5" is part 2 of 5 of a tensor: of its first axis, or of its last where the first is too short.
     */
    const char *blinkdl, *fla, *hf, *gguf;
    enum weight_kind kind;
    char rows, cols; /* cols is 0 for vectors */
    enum weight_place place;
    size_t offset; /* of the field in the struct of a layer or in struct outer: const float * or struct mat */
};

struct weight_table {
    const char *model;                /* "RWKV-7 (x070)" */
    const struct weight_spec *layers; /* [layer_count] of each layer */
    size_t layer_count;
    const struct weight_spec *outer; /* [outer_count] outside the layers */
    size_t outer_count;
    const char *layer_prefix[NAMINGS]; /* "blocks.", before the number of a layer */
    size_t layer_size;                 /* bytes of the struct of a layer */
};

/* The length of an axis. */
int shape_axis(const struct rwkv7_shape *shape, char letter);

/* One row of a table in one layer. To visit all weights of a shape, start with WEIGHT_BEFORE_FIRST. */
struct weight {
    const struct weight_spec *spec;
    int layer;     /* -1: outside the layers */
    size_t number; /* of the row in its table */
};
#define WEIGHT_BEFORE_FIRST \
    {                       \
        NULL, -1, 0         \
    }
/* Goes on to the next weight that such a model has, those outside the layers first, then layer by layer; false at the end. */
bool weight_next(const struct weight_table *table, const struct rwkv7_shape *shape, struct weight *w);
/* Where a model keeps it. NULL there (of a matrix: its data): the checkpoint may lack it and does. */
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

/* ------------------------------------------------------------------------------------------------------------ names */

struct spelling {
    enum naming naming;
    bool factors_transposed; /* low-rank factors are stored [cols][rows]: the .pth orientation */
};

/* What a checkpoint turned out to be. */
struct recognized {
    const struct arch *arch;
    const struct weight_table *weights;
    struct rwkv7_shape shape;
    struct spelling spelling;
    float ln_eps, head_eps; /* of every LayerNorm, and of the norm inside each head */
    int rescale_every;      /* as in struct rwkv7_model */
    float rate_scale;       /* the same */
};
/*
 * The scale of the in-context learning rate that somebody asks for; 0: that of the checkpoint (model.c). More than 2 would let the
 * state grow without bounds.
 */
#define RATE_SCALE_MAX 2.0f
enum rwkv7_status choose_rate_scale(struct recognized *as, const char *path, float wanted, struct rwkv7_error *err);
/* The naming, and where there are low-rank factors and the naming does not tell, how these are stored. */
const char *names_describe(const struct recognized *as);
/* Recognizes architecture, naming and sizes; refuses what is no model that can run with a sentence that says what it is (arch.c). */
typedef enum rwkv7_status recognize_fn(const struct tensor_index *index, const char *path, struct recognized *out,
                                       struct rwkv7_error *err);

#define NAME_ROOM 160
/*
 * The full name of a weight, where it has several the first that is not a part of a tensor; false: it has none in this naming. layer < 0:
 * outside the layers.
 */
bool weight_name(char out[NAME_ROOM], const struct weight_table *table, enum naming naming,
                 const struct weight_spec *spec, int layer);
/* Which part of a tensor a weight is; 0 of 1: the whole. */
struct weight_part {
    int number, count;
};
/* Its tensor under any of its names; NULL: there is none. part: may be NULL. */
const struct tensor *weight_tensor(const struct tensor_index *index, const struct weight_table *table,
                                   enum naming naming, const struct weight_spec *spec, int layer,
                                   struct weight_part *part);
/* Whether a model of this table has a tensor of that name, in any naming. */
bool weight_table_names(const struct weight_table *table, const char *name);
/* The tensors of a tuned state, which a checkpoint may hold beside its weights: the name in a layer, and back, -1 for others. */
void tuned_state_name(char out[NAME_ROOM], long layer);
long tuned_state_layer(const char *name);

/* ------------------------------------------------------------------------------------- from a checkpoint into memory */

/* One weight of a checkpoint, and where its numbers lie. */
struct weight_source {
    struct weight weight;
    const struct tensor *tensor;
    size_t row, col; /* where it begins in the tensor, seen as rows of its last axis */
    int rows, cols;  /* of the matrix as it is applied; a vector has `rows` numbers and no columns */
    bool transposed; /* the matrix is stored [cols][rows] */
};
struct weight_sources {
    struct weight_source *at; /* [count], in the order of weight_next */
    size_t count;
    size_t ignored; /* tensors that are not needed */
    bool tied;      /* the head is the tensor of the embedding */
};
/*
 * Finds every weight that a model of this shape must have (sources.c). Refuses the checkpoint when one is missing or has another
 * type or shape than expected, and when a tensor belongs to none.
 */
enum rwkv7_status weights_find(const struct tensor_index *index, const char *path, const struct recognized *as,
                               struct weight_sources *out, struct rwkv7_error *err);
/*
 * Refuses integers from which tiers would compute different numbers (validate.c), naming the tensor and the place. Reads the sub-block
 * scales of a file, all threads at work.
 */
enum rwkv7_status weights_validate(const struct weight_sources *sources, struct pool *pool, struct rwkv7_error *err);
/* Refuses low-rank factors with a NaN or an infinity, naming the tensor and the place (finite.c), all threads at work. */
enum rwkv7_status weights_check_factors(const struct weight_sources *sources, struct pool *pool,
                                        struct rwkv7_error *err);
/* Whether floats of that type, at any address, are all finite. */
bool floats_are_finite(const void *data, enum mat_type type, size_t count);
void weight_sources_free(struct weight_sources *sources); /* harmless on a zeroed struct */
/* The type of matrix that a tensor is, and whether by column; false: none. */
bool weight_form(enum dtype type, struct mat *out);

/* Finds and prepares every weight of model->index (bind.c). */
enum rwkv7_status weights_bind(struct rwkv7_model *model, const struct recognized *as,
                               const struct rwkv7_model_options *opt, struct rwkv7_error *err);
/* The numbers of a vector in memory. */
static inline size_t vector_floats(const struct rwkv7_shape *shape, const struct weight_spec *spec)
{
    const size_t numbers = (size_t)shape_axis(shape, spec->rows);
    return spec->kind >= WEIGHT_HEAD ? numbers * (size_t)shape->head_size : numbers;
}
/* What is kept of the numbers of a vector (bind.c). x [vector_floats]: the numbers as they are stored, and then what is kept. */
void weight_transform(const struct rwkv7_shape *shape, const struct weight_spec *spec, float *x);
/* Gives every weight of a shaped model random numbers (random.c). opt->type: floats. */
enum rwkv7_status weights_random(struct rwkv7_model *model, const struct rwkv7_random_options *opt,
                                 struct rwkv7_error *err);
/*
 * Gives every weight of a shaped model the type, size and order that weights_random and model_pack would, and no memory: their data
 * must not be read. For model_count and what else needs sizes only.
 */
void weights_random_outline(struct rwkv7_model *model, enum rwkv7_type type, const struct rwkv7_model_options *opt);
/* Whether the memory of this machine can hold them. */
enum rwkv7_status weights_random_fit(const struct weight_table *table, const struct rwkv7_shape *shape,
                                     enum rwkv7_type type, struct rwkv7_error *err);
/* rwkv7_convert, of checkpoints that `recognize` knows (convert.c). */
enum rwkv7_status weights_convert(const struct compute *compute, recognize_fn *recognize, const char *from,
                                  const char *to, const struct rwkv7_convert_options *opt, struct rwkv7_error *err);

/* ---------------------------------------------------------------------------------------------------------- packing */

/* Makes of the matrices what the options ask for, after binding or filling (quantize.c). */
enum rwkv7_status model_pack(struct rwkv7_model *model, const struct rwkv7_model_options *opt, struct rwkv7_error *err);
/*
 * Replaces matrices by integers (quantize.c), all threads at work: `type` for the large ones of the layers, Q8 for the low-rank
 * factors and the head; the embedding, of which a token reads one row, stays. `type` MAT_GGML: only what lies in blocks of ggml, by Q8.
 * opt: whether sparse matrices are stored by column.
 */
enum rwkv7_status model_quantize(struct rwkv7_model *model, enum mat_type type, const struct rwkv7_model_options *opt,
                                 struct rwkv7_error *err);
/* What becomes of a matrix then: its type, and whether by column if it may be. false: it stays as it is. */
bool quantize_form(const struct weight *w, enum mat_type type, struct mat *out);
/* One tile of a matrix of integers whose memory was zero. rows: floats [16][cols], of which `count` exist. */
void quantize_tile(const struct kernels *k, const struct mat *to, int tile, const float *rows, int count);
/* Stores sparse matrices of floats by column (columns.c). */
enum rwkv7_status model_store_columns(struct rwkv7_model *model, const struct rwkv7_model_options *opt,
                                      struct rwkv7_error *err);

/* ------------------------------------------------------------------------------------------------------ fingerprint */

/* What a model remembers of its fingerprint (fingerprint.c); NULL when out of memory. */
struct identity *identity_new(void);
void identity_free(struct identity *identity); /* NULL is allowed */

#endif
