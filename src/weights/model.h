/*
 * model.h - the three structures of the engine: runtime (the machine), model (immutable weights), session (mutable state).
 * The letters are those of the paper: V vocabulary, L layers, C = H * N channels, heads and head size, F hidden width of the
 * channel mix, R* widths of the low-rank factors.
 */
#ifndef WEIGHTS_MODEL_H
#define WEIGHTS_MODEL_H

#include <string.h>

#include "base/pool.h"
#include "formats/tensors.h"
#include "kernels/kernels.h"
#include "kernels/quants.h"
#include "rwkv7.h"

_Static_assert((int)MAT_F32 == (int)RWKV7_F32 && (int)MAT_F16 == (int)RWKV7_F16 && (int)MAT_BF16 == (int)RWKV7_BF16 &&
                   (int)MAT_Q8 == (int)RWKV7_Q8 && (int)MAT_Q4 == (int)RWKV7_Q4,
               "one is cast to the other");

struct rwkv7_runtime {
    struct pool *pool;
    struct pool *alone;   /* one thread, for work that costs less than the meetings of several */
    uint64_t alone_bytes; /* what goes through fewer bytes of weights than this is done alone */
    struct kernels kernels;
    enum rwkv7_math math;
};

/*
 * One layer. Matrices are [out][in] and applied as y = W x, the low-rank factors too (a .pth stores those the other way
 * round: they are transposed while loading). Vectors are float32, whatever the file holds.
 */
struct layer {
    const float *ln1_weight, *ln1_bias, *ln2_weight, *ln2_bias; /* [C] */
    const float *x_r, *x_w, *x_k, *x_v, *x_a, *x_g;             /* [C] token-shift weights of the time mix */
    const float *w0, *a0, *v0;                 /* [C] biases of decay, rate, value gate; v0: not in layer 0 */
    const float *k_k, *k_a, *r_k;              /* [C]; r_k is [H][N] */
    const float *ln_x_weight, *ln_x_bias;      /* [C] */
    struct mat w1, w2;                         /* [Rw][C], [C][Rw] */
    struct mat a1, a2;                         /* [Ra][C], [C][Ra] */
    struct mat v1, v2;                         /* [Rv][C], [C][Rv]; not in layer 0 */
    struct mat g1, g2;                         /* [Rg][C], [C][Rg] */
    struct mat receptance, key, value, output; /* [C][C] */
    const float *ffn_x_k;                      /* [C] token-shift weight of the channel mix */
    struct mat ffn_key, ffn_value;             /* [F][C], [C][F] */
    struct mat s_emb;                          /* [V][E*E] one row per token; this and what follows: only in x070a */
    struct mat s_emb_x;                        /* [E*E][C] */
    struct mat s1, s2;                         /* [E][C], [F][E] */
    const float *s0;                           /* [F] */
};

/* What stands outside the layers. */
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

struct rwkv7_model {
    struct rwkv7_runtime *rt;
    struct rwkv7_shape shape;
    struct rwkv7_model_info info;
    struct outer outer;
    struct layer *layers;       /* [L] */
    float ln_eps;               /* of every LayerNorm */
    float head_eps;             /* of the norm inside each head */
    struct tensor_index *index; /* what the weights point into; NULL for random models */
    struct block *blocks;       /* [block_count] converted and transposed weights */
    size_t block_count, block_room;
    char *path;
};

#define LN_EPS 1e-5f
#define LN_EPS_KEY "rwkv7.attention.layer_norm_epsilon" /* llama.cpp's */
#define HEAD_EPS_KEY "rwkv7.head_epsilon"
#define HEAD_EPS 64e-5f /* BlinkDL: this constant for every head size; fla: N * LN_EPS, the same for N = 64 */

/* --- weights by expectation: one row per tensor that a checkpoint must have (names.c) --- */

enum weight_kind {
    WEIGHT_VECTOR, /* any unit axes; float32 in memory */
    WEIGHT_MATRIX, /* [rows][cols] */
    WEIGHT_TABLE,  /* the same, of which single rows are read: it stays as it is, where it is */
    WEIGHT_FACTOR, /* low-rank: [rows][cols] here, [cols][rows] in a .pth */
    WEIGHT_TURNED, /* low-rank: [rows][cols] here, [cols][rows] in files, unless the shape shows the contrary */
};

enum weight_place {
    EVERYWHERE,
    NOT_FIRST, /* not in layer 0, where a file may still hold it, unused */
    DEEP,      /* only in x070a */
};

/* Axes by letter: V C F as above, w a v g for the ranks, e and E for the side of x070a's matrices and its square, H for a vector of C numbers that files store as [H][N]. */
struct weight_spec {
    const char *blinkdl, *fla, *hf, *gguf; /* name inside its layer ("att.x_r"), or whole for the outer ones */
    enum weight_kind kind;
    char rows, cols; /* cols is 0 for vectors */
    enum weight_place place;
    size_t offset; /* of the field in struct layer or struct outer */
};
extern const struct weight_spec layer_weights[], outer_weights[];
extern const size_t layer_weight_count, outer_weight_count;
int shape_axis(const struct rwkv7_shape *shape, char letter);
bool weight_exists(const struct rwkv7_shape *shape, const struct weight_spec *spec, int layer);
/* Sizes beyond these are no model but a mistake, and products of two of them fit 64 bits easily. */
#define MAX_AXIS (1 << 24)
#define MAX_LAYERS 4096
#define DEEP_MAX 256 /* side of x070a's matrices, of which a thread holds two */

enum naming { NAMING_BLINKDL, NAMING_FLA, NAMING_HF, NAMING_GGUF, NAMINGS };
struct spelling {
    enum naming naming;
    bool factors_transposed; /* low-rank factors are stored [cols][rows]: the .pth orientation */
};
/* Recognises the naming and all sizes; refuses what is not an RWKV-7 (x070, x070a) model with a sentence that says what it is. */
enum rwkv7_status names_recognise(const struct tensor_index *index, const char *path, struct spelling *spelling,
                                  struct rwkv7_shape *shape, struct rwkv7_error *err);
/* The full name of a weight in this spelling; layer < 0 for the outer ones. */
void names_full(char *out, size_t room, const struct spelling *spelling, const struct weight_spec *spec, int layer);
const char *names_describe(const struct spelling *spelling);
/* Whether a model has a tensor of that name, in any spelling (checkpoint.c). */
bool name_belongs(const char *name);
/* Of every LayerNorm and of the norm inside each head: what the metadata state, or else what belongs to the spelling. */
enum rwkv7_status names_epsilons(const struct tensor_index *index, const char *path, const struct spelling *spelling,
                                 const struct rwkv7_shape *shape, float *ln_eps, float *head_eps,
                                 struct rwkv7_error *err);
/* Whether it is a part of a tuned state (tuned_state.c), which a checkpoint may hold beside its weights. */
bool name_is_state(const char *name);

/* One weight of a checkpoint, and where its numbers lie. */
struct weight_source {
    const struct weight_spec *spec;
    int layer; /* -1: outside the layers */
    const struct tensor *tensor;
    size_t row;     /* of the tensor: several vectors may lie in one */
    int rows, cols; /* of the matrix as it is applied; a vector has `rows` numbers and no columns */
    bool turned;    /* the matrix is stored [cols][rows] */
};
struct weight_sources {
    struct weight_source *at; /* [count], those outside the layers first, then layer by layer */
    size_t count;
    size_t ignored; /* tensors that are known and not needed */
};
/*
 * Finds every weight that a model of this shape must have (sources.c). Refuses the checkpoint when one is missing or has another
 * type or shape than expected, and when a tensor belongs to none.
 */
enum rwkv7_status weights_find(const struct tensor_index *index, const char *path, const struct spelling *spelling,
                               const struct rwkv7_shape *shape, struct weight_sources *out, struct rwkv7_error *err);
void weight_sources_free(struct weight_sources *sources); /* harmless on a zeroed struct */
/* The type of matrix that a tensor is, and whether by column; false: none. */
bool weight_form(enum dtype type, struct mat *out);

/* Finds and prepares every weight of the index (bind.c). */
enum rwkv7_status weights_bind(struct rwkv7_model *model, const struct spelling *spelling,
                               const struct rwkv7_model_options *opt, struct rwkv7_error *err);
/* Zeroed memory that the model owns and frees, aligned to MEM_ALIGN; NULL when out of memory. */
void *model_block(struct rwkv7_model *model, size_t size);
/* Gives back memory of model_block, if it has a block to itself; else it is kept, and the answer is false. */
bool model_block_free(struct rwkv7_model *model, const void *p);
/* The pages of weights that now stand elsewhere leave the resident memory, if they are of a mapped file or of the model's own. */
void model_release(const struct rwkv7_model *model, const void *data, size_t size);
/* Fills the derived fields of info (parameters, bytes) once all weights are bound. */
void model_count(struct rwkv7_model *model);
/* A model without weights; on failure nothing is left. */
enum rwkv7_status model_new(struct rwkv7_runtime *rt, const char *path, struct rwkv7_model **out,
                            struct rwkv7_error *err);

/*
 * Replaces matrices by integers (quantize.c), all threads at work: `type` for the large ones of the layers, Q8 for the low-rank
 * factors and the head; the embedding, of which a token reads one row, stays. `type` MAT_GGML: only what lies in blocks of ggml, by Q8.
 * opt: whether ffn.value is stored by column.
 */
enum rwkv7_status model_quantise(struct rwkv7_model *model, enum mat_type type, const struct rwkv7_model_options *opt,
                                 struct rwkv7_error *err);
/* What becomes of a matrix then: its type, and whether by column if it may be. false: it stays as it is. */
bool quantise_form(const struct weight_spec *spec, int layer, enum mat_type type, struct mat *out);
/* One tile of a matrix of integers whose memory was zero. rows: floats [16][cols], of which `count` exist. */
void quantise_tile(const struct kernels *k, const struct mat *to, int tile, const float *rows, int count);
/* Stores ffn.value by column where it is of floats. */
enum rwkv7_status model_turn_values(struct rwkv7_model *model, const struct rwkv7_model_options *opt,
                                    struct rwkv7_error *err);
/* What the options ask for, after binding or filling: one of the two above, or nothing. */
enum rwkv7_status model_pack(struct rwkv7_model *model, const struct rwkv7_model_options *opt, struct rwkv7_error *err);

/* The lengths of the vectors that matrices are multiplied by, in no order. */
#define SHAPE_LENGTHS 7
static inline void shape_lengths(const struct rwkv7_shape *s, int lengths[SHAPE_LENGTHS])
{
    const int all[] = {s->channels, s->ffn, s->rank_w, s->rank_a, s->rank_v, s->rank_g, s->deep};
    memcpy(lengths, all, sizeof all);
}

static inline size_t mat_bytes(const struct mat *m)
{
    if (m->type == MAT_GGML)
        return (size_t)((const struct tensor *)m->data)->bytes;
    if (m->type >= MAT_FLOATS)
        return quant_bytes(m);
    return (size_t)m->rows * (size_t)m->cols * (m->type == MAT_F32 ? 4 : 2);
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

/* --- session --- */

/*
 * State of one layer inside session->state, `layer_floats(shape)` floats each: att_prev [C], ffn_prev [C], S [H][N key][N value].
 * S is kept key-first for the wkv kernel; files and the public interface have it value-first.
 */
struct rwkv7_session {
    struct rwkv7_model *model;
    float *state;
    uint64_t tokens;
    uint64_t columns, columns_read; /* of ffn.value in single tokens, since rwkv7_session_density */
    struct step_work *step;         /* buffers, made when first needed */
    struct prefill_work *prefill;
};

static inline size_t layer_floats(const struct rwkv7_shape *s)
{
    return (size_t)s->channels * (size_t)(2 + s->head_size);
}

static inline size_t state_floats(const struct rwkv7_shape *s)
{
    return (size_t)s->layers * layer_floats(s);
}

struct layer_state {
    float *att_prev, *ffn_prev; /* [C] */
    float *wkv;                 /* [H][N key][N value] */
};

static inline struct layer_state layer_state(const struct rwkv7_session *s, int layer)
{
    const size_t channels = (size_t)s->model->shape.channels;
    float *at = s->state + (size_t)layer * layer_floats(&s->model->shape);
    return (struct layer_state){at, at + channels, at + 2 * channels};
}

/* One token; logits [V] or NULL (step.c). Either is run by `pool`, one of the two of the runtime. */
enum rwkv7_status step_token(struct rwkv7_session *s, struct pool *pool, uint32_t token, float *logits,
                             struct rwkv7_error *err);
void step_work_free(struct step_work *work);
size_t step_work_bytes(const struct rwkv7_shape *s, int threads);
/* Tokens of one session that are evaluated together with those of others. */
struct piece {
    struct rwkv7_session *session;
    const uint32_t *tokens; /* [count], at least one */
    int count;
    enum rwkv7_logits which;
    int first;                /* set by prefill_pieces: its first row among those of all pieces */
    int bad_layer, bad_token; /* the same: where a NaN or an infinity came up (L: the logits), or -1 */
};
/*
 * At most RWKV7_CHUNK tokens in all, of different sessions of one model. logits: the wanted rows of all pieces, one after the other.
 * *own: buffers, made and grown when needed (prefill.c).
 */
enum rwkv7_status prefill_pieces(struct prefill_work **own, struct pool *pool, struct piece *pieces, int piece_count,
                                 float *logits, struct rwkv7_error *err);
/* The same for one session: 1 <= count <= RWKV7_CHUNK tokens. */
enum rwkv7_status prefill_tokens(struct rwkv7_session *s, struct pool *pool, const uint32_t *tokens, int count,
                                 enum rwkv7_logits which, float *logits, struct rwkv7_error *err);
void prefill_work_free(struct prefill_work *work);
size_t prefill_work_bytes(const struct rwkv7_model *model, int room, int threads);
/* RWKV7_ERR_USAGE for an id that the model does not have. */
enum rwkv7_status check_ids(const struct rwkv7_model *model, const uint32_t *tokens, size_t count,
                            struct rwkv7_error *err);
/* The threads for `count` tokens: all, unless that is less work than their meetings. */
struct pool *pool_for(const struct rwkv7_model *model, size_t count);
/* RWKV7_ERR_NUMERIC for layer `layer` (L: the logits) at token `position` of the session. */
enum rwkv7_status fail_numeric(const struct rwkv7_session *s, int layer, uint64_t position, struct rwkv7_error *err);

#endif
