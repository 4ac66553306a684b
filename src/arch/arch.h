/*
 * arch.h - what the engine knows of an architecture: tables of its weights and of its state, how to recognize it, and its forward
 * pass.
 *
 * An architecture is one row in the list of arch.c and one file (or a few, rwkv7*.c) with everything else: the struct of a layer, the
 * tables, the recognition, and the equations beside the code that computes them. The drivers (src/engine) embed tokens, call it layer
 * by layer, and make logits; the shared parts of forward passes are in step.h and chunk.h.
 */
#ifndef ARCH_ARCH_H
#define ARCH_ARCH_H

#include "base/scratch.h"
#include "weights/weights.h"

struct step;
struct chunk;

/* One tensor of the state of a layer. In memory they lie layer by layer in the order of the table, as in files. */
struct state_tensor {
    const char *name;
    char rows, cols;    /* letters of shape_axis; cols is 0 for vectors */
    float initial;      /* the value of all numbers at the start of a document */
    bool is_transposed; /* [H][N key][N value] in memory, [H][N value][N key] in files and in the public interface */
};

/* A checkpoint on its way to being recognized. */
struct candidate {
    const struct tensor_index *index;
    const char *path;
    enum naming naming;
};

/* A forward pass. All threads of the pool call `step` or `chunk` together, and it ends with a barrier. */
struct forward {
    /* One token: cuts the buffers of a step for so many threads (step->work until the next step); takes step->x through a layer. */
    void *(*cut_step)(struct scratch *s, const struct rwkv7_model *model, int threads);
    void (*step)(struct step *step, struct pool *pool, int rank, int layer);
    /* The same for several tokens, of one session or more. */
    void *(*cut_chunk)(struct scratch *s, const struct rwkv7_model *model, int tokens, int threads);
    void (*chunk)(struct chunk *chunk, struct pool *pool, int rank, int layer);
};

/* A size of which weights were published. */
struct published {
    const char *name;         /* "rwkv6-1.6b" */
    struct rwkv7_shape shape; /* without arch */
};

struct arch {
    enum rwkv7_arch id;
    const char *version; /* of rwkv7_model_info: "x070" */
    const char *gguf;    /* its name in the metadata of GGUF files; NULL: there are none */
    const struct weight_table *weights;
    const struct state_tensor *state; /* [state_count] */
    int state_count;

    /* Whether the checkpoint is of this architecture; asked in the order of the list, NULL: if of no other. */
    bool (*claims)(const struct candidate *c);
    /*
     * Fills out->shape and out->spelling.factors_transposed from the shapes of the tensors. Of the rest, out has its architecture, the
     * naming, and the usual epsilons, which may be replaced; metadata that tell another one are read afterwards.
     */
    enum rwkv7_status (*measure)(const struct candidate *c, struct recognized *out, struct rwkv7_error *err);
    /* Whether a shape is one of this architecture: heads, ranks and side, all of them from 0 to the limits. */
    bool (*is_possible)(const struct rwkv7_shape *shape);

    const struct published *published; /* [published_count] */
    size_t published_count;

    const struct forward *forward;
};

extern const struct arch arch_x070, arch_x070a, arch_x060, arch_x052, arch_x051, arch_x050, arch_x040;
/* All of them, NULL past the end. */
const struct arch *arch_at(int index);
/* Published size `index`, those of the newest version first, and its architecture; NULL past the end. */
const struct published *arch_published(size_t index, const struct arch **arch);
/* That of a shape; NULL: there is none. */
const struct arch *arch_of_shape(const struct rwkv7_shape *shape);
/* Recognizes a checkpoint; see recognize_fn. */
recognize_fn arch_recognize;
/* RWKV7_ERR_MODEL that says what it is, for checkpoints that are known and not supported (unsupported.c). */
enum rwkv7_status refuse_unsupported(const struct tensor_index *index, const char *path, struct rwkv7_error *err);
/* Whether a tensor has this in its name. */
bool any_tensor_with(const struct tensor_index *index, const char *part);

/* ------------------------------------------------------------------------------------------------------------ state */

/* The state of RWKV-5 to 7: two shift vectors and a matrix per head. */
enum { STATE_ATT_PREV, STATE_WKV, STATE_FFN_PREV, STATE_TENSORS };
extern const struct state_tensor matrix_state[STATE_TENSORS];

struct layer_state {
    float *att_prev; /* [C] the normalized input of the time mix for the token before */
    float *wkv;      /* [H][N key][N value] */
    float *ffn_prev; /* [C] the same as att_prev for the channel mix */
};

static inline size_t state_tensor_floats(const struct rwkv7_shape *s, const struct state_tensor *t)
{
    return (size_t)shape_axis(s, t->rows) * (size_t)shape_axis(s, t->cols);
}

/* Of one layer. */
static inline size_t layer_state_floats(const struct rwkv7_model *model)
{
    size_t floats = 0;
    for (int i = 0; i < model->arch->state_count; i++)
        floats += state_tensor_floats(&model->shape, &model->arch->state[i]);
    return floats;
}

/* Of a session. */
static inline size_t state_floats(const struct rwkv7_model *model)
{
    return (size_t)model->shape.layers * layer_state_floats(model);
}

/* Floats of one layer between the first tensor of the state, att_prev, and the last, ffn_prev, which all architectures have. */
static inline size_t state_middle_floats(const struct rwkv7_model *model)
{
    return layer_state_floats(model) - 2 * (size_t)model->shape.channels;
}

/* State tensor `number` of a layer. */
static inline float *state_at(const struct rwkv7_model *model, float *state, int layer, int number)
{
    state += (size_t)layer * layer_state_floats(model);
    for (int i = 0; i < number; i++)
        state += state_tensor_floats(&model->shape, &model->arch->state[i]);
    return state;
}

/* Whether the heads make up the channels, in architectures that have heads. */
static inline bool heads_fit(const struct rwkv7_shape *s)
{
    return s->heads > 0 && s->head_size > 0 && s->head_size <= WKV_MAX_N &&
           (int64_t)s->heads * s->head_size == s->channels;
}

/* What the results of matrices that write to the residual stream are multiplied by; see rescale_every. */
static inline float layer_scale(const struct rwkv7_model *model, int layer)
{
    float scale = 1.0f;
    for (int i = model->rescale_every > 0 ? layer / model->rescale_every : 0; i > 0; i--)
        scale *= 2.0f;
    return scale;
}

/* For architectures whose table is matrix_state. */
static inline struct layer_state layer_state(const struct rwkv7_model *model, float *state, int layer)
{
    const size_t channels = (size_t)model->shape.channels, matrix = channels * (size_t)model->shape.head_size;
    float *at = state + (size_t)layer * (2 * channels + matrix);
    return (struct layer_state){at, at + channels, at + channels + matrix};
}

/* ------------------------------------------------------------------------------------------------------ recognition */

/* Facts of a config.json, once the sizes are known: into `out`, or RWKV7_ERR_MODEL naming what cannot be obeyed (config.c). */
enum rwkv7_status config_obey(const struct candidate *c, struct recognized *out, struct rwkv7_error *err);
/* A row of a table by BlinkDL's name, which must be there. */
const struct weight_spec *find_weight(const struct weight_table *table, const char *blinkdl, int layer);
/* A length of an axis that no table explains: RWKV7_ERR_MODEL naming the tensor. */
enum rwkv7_status measure_axes(const struct candidate *c, const struct weight_table *table, const char *blinkdl,
                               int layer, int *rows, int *cols, struct rwkv7_error *err);
/* Vocabulary, channels, hidden width and number of layers, which every architecture reads from the same tensors. */
enum rwkv7_status measure_common(const struct candidate *c, const struct weight_table *table, struct rwkv7_shape *shape,
                                 struct rwkv7_error *err);
/* RWKV7_ERR_MODEL unless heads * head_size is the number of channels; `name`: the tensor that says so. */
enum rwkv7_status check_heads(const struct candidate *c, const char *name, const struct rwkv7_shape *shape,
                              struct rwkv7_error *err);
/*
 * Rank of a low-rank pair from its first factor, and with the first unambiguous one the orientation of all, unless that *is_known
 * already.
 */
enum rwkv7_status measure_rank(const struct candidate *c, struct recognized *out, bool *is_known, const char *factor,
                               int layer, int *rank, struct rwkv7_error *err);
/* Whether low-rank factors are stored as they are applied, whatever their shapes: by these programs, and by this one. */
bool factors_known(const struct candidate *c);
/* RWKV7_ERR_MODEL: all factors are square. */
enum rwkv7_status fail_orientation(const struct candidate *c, const struct rwkv7_shape *shape, struct rwkv7_error *err);
/*
 * A tensor of the time mix of layer 0 under the names of RWKV-4 and 5, BlinkDL's or those of the older Hugging Face folders; NULL: there
 * is none, or the naming is another.
 */
const struct tensor *time_mix_tensor(const struct candidate *c, const char *end);
/* The name of a metadata key under which GGUF files keep it: behind the name of the architecture, "rwkv7" in files that have none. */
#define KEY_ROOM 96
const char *metadata_key(char out[KEY_ROOM], const struct tensor_index *index, const char *key);
/* A whole number in the metadata; -1: there is none, or it is something else. */
long metadata_whole(const struct tensor_index *index, const char *key);

#endif
