/*
 * arch.h - the interface of an architecture: tables of its weights and its state, its recognition,
 * and its forward pass.
 *
 * An architecture is one entry in the list of arch.c and one file (rwkv7*.c: several) with
 * everything else: the struct of a layer, the tables, the recognition, and the equations next to
 * the code that computes them. The drivers (src/engine) look up embeddings, call the forward pass
 * layer by layer, and compute the logits. step.h and chunk.h hold what the forward passes share.
 */
#ifndef ARCH_ARCH_H
#define ARCH_ARCH_H

#include "base/scratch.h"
#include "weights/weights.h"

struct step;
struct chunk;
struct replay;

/*
 * One tensor of the state of a layer. The state is stored layer by layer, in the order of the
 * table, in memory and in files.
 */
struct state_tensor {
    const char *name;
    char rows, cols;    /* letters of shape_axis(); cols is 0 for a vector */
    float initial;      /* value of all elements at the start of a document */
    bool is_transposed; /* [H][N key][N value] in memory; in files and the API [H][value][key] */
};

/* A checkpoint whose architecture is being recognized. */
struct candidate {
    const struct tensor_index *index;
    const char *path;
    enum naming naming;
};

/*
 * A forward pass. All threads of the pool call `step` or `chunk` at once; both end with a barrier.
 */
struct forward {
    /*
     * One token. cut_step allocates the buffers of a step for `threads` threads; the driver stores
     * them in step->work. step runs step->x through one layer.
     */
    void *(*cut_step)(struct scratch *s, const struct rwkv7_model *model, int threads);
    void (*step)(struct step *step, struct pool *pool, int rank, int layer);
    /* The same for several tokens, of one session or more. */
    void *(*cut_chunk)(struct scratch *s, const struct rwkv7_model *model, int tokens, int threads);
    void (*chunk)(struct chunk *chunk, struct pool *pool, int rank, int layer);
    /*
     * Updates the state of channels [begin, end) of a layer, one head or at most SCAN_CHANNELS
     * channels, with the first `count` recorded tokens. Uses the arithmetic of `chunk`, without its
     * outputs.
     */
    void (*replay)(const struct rwkv7_model *model, float *state, const struct replay *replay, int layer, int begin,
                   int end, int count);
    int inputs; /* number of inputs of the recurrence in a record; at most RECORD_INPUTS */
};

/* A published model size. */
struct published {
    const char *name;         /* "rwkv6-1.6b" */
    struct rwkv7_shape shape; /* without arch */
};

struct arch {
    enum rwkv7_arch id;
    const char *version; /* as in rwkv7_model_info: "x070" */
    const char *gguf;    /* name in the metadata of GGUF files; NULL: none */
    const struct weight_table *weights;
    const struct state_tensor *state; /* [state_count] */
    int state_count;

    /*
     * Returns whether the checkpoint has this architecture. Called in the order of the list. NULL:
     * this architecture is the default.
     */
    bool (*claims)(const struct candidate *c);
    /*
     * Fills out->shape and out->spelling.factors_transposed from the shapes of the tensors. The
     * caller has set the architecture, the naming, and the usual epsilons, which measure may
     * replace. Epsilons in the metadata are read afterwards.
     */
    enum rwkv7_status (*measure)(const struct candidate *c, struct recognized *out, struct rwkv7_error *err);
    /*
     * Returns whether the architecture allows the heads, ranks and DeepEmbed side of this shape.
     * The caller has checked the limits of each size.
     */
    bool (*is_possible)(const struct rwkv7_shape *shape);

    const struct published *published; /* [published_count] */
    size_t published_count;

    const struct forward *forward;
};

extern const struct arch arch_x070, arch_x070a, arch_x060, arch_x052, arch_x051, arch_x050, arch_x040;
/* Returns architecture `index` of the list, NULL past the end. */
const struct arch *arch_at(int index);
/* Returns published size `index`, newest version first, and its architecture; NULL past the end. */
const struct published *arch_published(size_t index, const struct arch **arch);
/* Returns the architecture of a shape, or NULL. */
const struct arch *arch_of_shape(const struct rwkv7_shape *shape);
/* Recognizes a checkpoint: its architecture, sizes and naming. See recognize_fn. */
recognize_fn arch_recognize;
/*
 * Fails with RWKV7_ERR_MODEL and the name of the format if the checkpoint is of a known but
 * unsupported kind (unsupported.c).
 */
enum rwkv7_status refuse_unsupported(const struct tensor_index *index, const char *path, struct rwkv7_error *err);
/* Returns whether the name of any tensor contains `part`. */
bool any_tensor_with(const struct tensor_index *index, const char *part);

/* ---------------------------------------------------------------------------------------- state */

/* The state of a layer of RWKV-5 to RWKV-7: two token-shift vectors and one matrix per head. */
enum { STATE_ATT_PREV, STATE_WKV, STATE_FFN_PREV, STATE_TENSORS };
extern const struct state_tensor matrix_state[STATE_TENSORS];

struct layer_state {
    float *att_prev; /* [C] LN1(x) of the previous token */
    float *wkv;      /* [H][N key][N value] */
    float *ffn_prev; /* [C] LN2(x) of the previous token */
};

static inline size_t state_tensor_floats(const struct rwkv7_shape *s, const struct state_tensor *t)
{
    return (size_t)shape_axis(s, t->rows) * (size_t)shape_axis(s, t->cols);
}

/* Floats of the state of one layer. */
static inline size_t layer_state_floats(const struct rwkv7_model *model)
{
    size_t floats = 0;
    for (int i = 0; i < model->arch->state_count; i++)
        floats += state_tensor_floats(&model->shape, &model->arch->state[i]);
    return floats;
}

/* Floats of the state of a session. */
static inline size_t state_floats(const struct rwkv7_model *model)
{
    return (size_t)model->shape.layers * layer_state_floats(model);
}

/*
 * Floats between the first tensor of a layer's state, att_prev, and the last one, ffn_prev, which
 * all architectures have.
 */
static inline size_t state_middle_floats(const struct rwkv7_model *model)
{
    return layer_state_floats(model) - 2 * (size_t)model->shape.channels;
}

/* Returns tensor `number` of the state of a layer. */
static inline float *state_at(const struct rwkv7_model *model, float *state, int layer, int number)
{
    state += (size_t)layer * layer_state_floats(model);
    for (int i = 0; i < number; i++)
        state += state_tensor_floats(&model->shape, &model->arch->state[i]);
    return state;
}

/* Returns whether heads * head_size is the hidden size. */
static inline bool heads_fit(const struct rwkv7_shape *s)
{
    return s->heads > 0 && s->head_size > 0 && s->head_size <= WKV_MAX_N &&
           (int64_t)s->heads * s->head_size == s->channels;
}

/*
 * Returns the factor that undoes the scaling of a layer's output matrices (model->rescale_every).
 */
static inline float layer_scale(const struct rwkv7_model *model, int layer)
{
    float scale = 1.0f;
    for (int i = model->rescale_every > 0 ? layer / model->rescale_every : 0; i > 0; i--)
        scale *= 2.0f;
    return scale;
}

/* Returns the state of a layer, for architectures whose state table is matrix_state. */
static inline struct layer_state layer_state(const struct rwkv7_model *model, float *state, int layer)
{
    const size_t channels = (size_t)model->shape.channels, matrix = channels * (size_t)model->shape.head_size;
    float *first = state + (size_t)layer * (2 * channels + matrix);
    return (struct layer_state){first, first + channels, first + channels + matrix};
}

/*
 * The records of a tentative evaluation (rwkv7_session_try), which only reads the state and records
 * what each token would do to it. There is one record for each token and layer. It consists of
 * vectors of C floats: LN1(x) and LN2(x), which the token shifts store, and the inputs of the
 * recurrence. In RWKV-7 a record is N / 7 times smaller than the matrices of a layer's state.
 */
enum { RECORD_ATT, RECORD_FFN, RECORD_INPUT, RECORD_INPUTS = 5 };
struct replay {
    float *records; /* [L][count][RECORD_INPUT + forward->inputs][C] */
    int count;      /* tokens */
};

/* Floats of the records of `count` tokens. */
static inline size_t replay_floats(const struct rwkv7_model *model, size_t count)
{
    return (size_t)model->shape.layers * count * (RECORD_INPUT + (size_t)model->arch->forward->inputs) *
           (size_t)model->shape.channels;
}

/* Returns vector `number` of a record, from `channel` on. */
static inline float *replay_at(const struct rwkv7_model *model, const struct replay *r, int layer, int token,
                               int number, int channel)
{
    const size_t vectors = RECORD_INPUT + (size_t)model->arch->forward->inputs;
    const size_t record = (size_t)layer * (size_t)r->count + (size_t)token;
    return r->records + (record * vectors + (size_t)number) * (size_t)model->shape.channels + channel;
}

/* ---------------------------------------------------------------------------------- recognition */

/*
 * Applies the settings of a config.json to `out`, once the sizes are known. Fails with
 * RWKV7_ERR_MODEL and the key if a setting is not supported (config.c).
 */
enum rwkv7_status config_obey(const struct candidate *c, struct recognized *out, struct rwkv7_error *err);
/* Returns the row of a weight table that has this name in BlinkDL's naming. The row must exist. */
const struct weight_spec *find_weight(const struct weight_table *table, const char *blinkdl, int layer);
/*
 * Reads the two axes of a tensor of the table. Fails with RWKV7_ERR_MODEL and its name if it is
 * missing or an axis has an impossible length.
 */
enum rwkv7_status measure_axes(const struct candidate *c, const struct weight_table *table, const char *blinkdl,
                               int layer, int *rows, int *cols, struct rwkv7_error *err);
/*
 * Reads vocabulary size, hidden size, FFN size and number of layers. All architectures have them in
 * the same tensors.
 */
enum rwkv7_status measure_common(const struct candidate *c, const struct weight_table *table, struct rwkv7_shape *shape,
                                 struct rwkv7_error *err);
/*
 * Fails with RWKV7_ERR_MODEL unless heads * head_size is the hidden size. name: the tensor that
 * they were read from.
 */
enum rwkv7_status check_heads(const struct candidate *c, const char *name, const struct rwkv7_shape *shape,
                              struct rwkv7_error *err);
/*
 * Reads the rank of a low-rank pair from its first factor. The first factor that is not square also
 * decides whether factors are transposed, unless *is_known already.
 */
enum rwkv7_status measure_rank(const struct candidate *c, struct recognized *out, bool *is_known, const char *factor,
                               int layer, int *rank, struct rwkv7_error *err);
/*
 * Returns whether the program that wrote the file is known to store low-rank factors as [out][in].
 * Their shapes are then not examined.
 */
bool factors_known(const struct candidate *c);
/*
 * Fails with RWKV7_ERR_MODEL. Called if all low-rank factors are square, so that their shapes
 * cannot show whether they are transposed.
 */
enum rwkv7_status fail_orientation(const struct candidate *c, const struct rwkv7_shape *shape, struct rwkv7_error *err);
/*
 * Returns the tensor of layer 0's time mix whose name ends with `end`, in BlinkDL's naming or that
 * of the older Hugging Face folders. NULL if there is none, or for other namings. For RWKV-4 and
 * RWKV-5.
 */
const struct tensor *time_mix_tensor(const struct candidate *c, const char *end);
/*
 * metadata_key writes the GGUF key of `key`, with the prefix that the file uses: its architecture,
 * or "rwkv7" if it names none.
 */
#define KEY_ROOM 96
const char *metadata_key(char out[KEY_ROOM], const struct tensor_index *index, const char *key);
/* Returns an integer from the metadata; -1 if it is missing or not an integer. */
long metadata_whole(const struct tensor_index *index, const char *key);

#endif
