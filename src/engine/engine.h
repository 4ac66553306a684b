/*
 * engine.h - the runtime with its scratch memory, sessions, and the drivers of the forward passes.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "arch/arch.h"
#include "arch/chunk.h"
#include "base/fork_lock.h"

struct rwkv7_runtime {
    struct compute compute; /* must be first, see runtime_of */
    struct pool *alone;     /* one thread, for work that costs less than the barriers of several */
    uint64_t alone_bytes;   /* evaluations that read fewer bytes of weights use `alone` */
    enum rwkv7_math math;
    struct fork_lock turn; /* held while an evaluation uses the scratch memory */
    void *scratch;         /* [scratch_size] bytes, enough for every opened model */
    size_t scratch_size;
    void (*log)(void *arg, enum rwkv7_log_level level, const char *text); /* NULL: none */
    void *log_arg;
};

/* Passes a line to the program's log callback, if there is one. */
void runtime_log(const struct rwkv7_runtime *rt, enum rwkv7_log_level level, const char *fmt, ...) RWKV7_PRINTF(3, 4);

/* Returns the runtime that opened a model. The model stores only its compute part. */
static inline struct rwkv7_runtime *runtime_of(const struct rwkv7_model *model)
{
    return (struct rwkv7_runtime *)model->compute;
}

struct rwkv7_session {
    const struct rwkv7_model *model;
    float *state; /* [L] the state tensors of each layer, in the order of model->arch->state */
    uint64_t tokens;
    uint64_t columns, columns_read; /* of sparse matrices, for rwkv7_session_density */
    rwkv7_progress *progress;       /* of rwkv7_session_eval; NULL: none */
    void *progress_arg;

    struct replay replay; /* of the open try; its count is 0 if none is open */
    size_t replay_room;   /* capacity of replay.records, in floats */
    int tried;            /* tokens of the try before the first NaN or infinity, or all */
    int bad_layer;        /* of that NaN or infinity; L: the logits */
};

/* Sets a state to its initial values, those of the start of a document. */
void state_reset(const struct rwkv7_model *model, float *state);

/*
 * Makes the scratch memory large enough for all evaluations of this model. Called when a model is
 * opened. The models of a runtime share the memory, because evaluations take turns.
 */
enum rwkv7_status scratch_reserve(struct rwkv7_runtime *rt, const struct rwkv7_model *model, struct rwkv7_error *err);
/* Returns the scratch bytes that evaluations of this model need at most. */
size_t scratch_bytes(const struct rwkv7_model *model);

/*
 * Evaluates one token (step.c). logits: [V] or NULL. Fails with RWKV7_ERR_NUMERIC if the output of
 * a layer or the logits have a NaN or an infinity; the message names the layer.
 */
enum rwkv7_status step_token(struct rwkv7_session *s, uint32_t token, float *logits, struct rwkv7_error *err);
size_t step_scratch(const struct rwkv7_model *model);

/*
 * Evaluates at most RWKV7_CHUNK tokens of one or more sessions of a model (prefill.c). logits: the
 * wanted rows of all pieces, one after the other. A NaN or infinity is no failure of the call: it
 * is reported in its piece (bad_layer).
 */
enum rwkv7_status prefill_pieces(const struct rwkv7_model *model, struct piece *pieces, int piece_count, float *logits,
                                 struct rwkv7_error *err);
/* Evaluates 1 to RWKV7_CHUNK tokens of one session. */
enum rwkv7_status prefill_tokens(struct rwkv7_session *s, const uint32_t *tokens, int count, enum rwkv7_logits which,
                                 float *logits, struct rwkv7_error *err);
size_t prefill_scratch(const struct rwkv7_model *model);

/*
 * try.c. try_reserve makes room for the records of `count` tokens. try_open opens the try that an
 * evaluation of `p` has recorded in s->replay, or fails with RWKV7_ERR_NUMERIC if its first token
 * has a NaN or an infinity. try_cancel closes the try, if one is open; the state is as before it.
 */
enum rwkv7_status try_reserve(struct rwkv7_session *s, size_t count, struct rwkv7_error *err);
enum rwkv7_status try_open(struct rwkv7_session *s, const struct piece *p, struct rwkv7_error *err);
void try_cancel(struct rwkv7_session *s);
/* Fails with RWKV7_ERR_USAGE if a try is open. what: the refused call, "evaluate". */
enum rwkv7_status check_no_try(const struct rwkv7_session *s, const char *what, struct rwkv7_error *err);

/* Fails with RWKV7_ERR_USAGE if an id is outside the model's vocabulary. */
enum rwkv7_status check_ids(const struct rwkv7_model *model, const uint32_t *tokens, size_t count,
                            struct rwkv7_error *err);
/*
 * Returns the pool for evaluating `count` tokens: all threads, or one if the barriers between
 * several would cost more than they save.
 */
struct pool *pool_for(const struct rwkv7_model *model, size_t count);
/*
 * Returns RWKV7_ERR_NUMERIC, with a message that names `layer` (L: the logits) and the token at
 * `position` of the session.
 */
enum rwkv7_status fail_numeric(const struct rwkv7_model *model, int layer, uint64_t position, struct rwkv7_error *err);

#endif
