/* session.c - the recurrent state: creates, copies, reads and writes it, and evaluates tokens. */
#include <string.h>

#include "base/float_env.h"
#include "base/mem.h"
#include "base/transpose.h"
#include "engine/engine.h"

enum rwkv7_status rwkv7_session_create(const struct rwkv7_model *model, struct rwkv7_session **out,
                                       struct rwkv7_error *err)
{
    *out = NULL;
    struct rwkv7_session *s = mem_alloc(1, sizeof *s);
    if (!s)
        return fail_memory(err, "a session");
    s->model = model;
    s->state = mem_alloc(state_floats(model), sizeof *s->state);
    if (!s->state) {
        rwkv7_session_close(s);
        return fail_memory(err, "the state of a session");
    }
    state_reset(model, s->state);
    *out = s;
    return RWKV7_OK;
}

void rwkv7_session_close(struct rwkv7_session *s)
{
    if (!s)
        return;
    mem_free(s->replay.records);
    mem_free(s->state);
    mem_free(s);
}

void state_reset(const struct rwkv7_model *model, float *state)
{
    const struct arch *arch = model->arch;
    for (int layer = 0; layer < model->shape.layers; layer++)
        for (int i = 0; i < arch->state_count; i++) {
            const size_t floats = state_tensor_floats(&model->shape, &arch->state[i]);
            for (size_t j = 0; j < floats; j++)
                *state++ = arch->state[i].initial;
        }
}

void rwkv7_session_reset(struct rwkv7_session *s)
{
    try_cancel(s);
    state_reset(s->model, s->state);
    s->tokens = 0;
}

enum rwkv7_status rwkv7_session_clone(const struct rwkv7_session *s, struct rwkv7_session **out,
                                      struct rwkv7_error *err)
{
    *out = NULL;
    enum rwkv7_status status = check_no_try(s, "clone", err);
    if (status == RWKV7_OK)
        status = rwkv7_session_create(s->model, out, err);
    if (status == RWKV7_OK)
        rwkv7_session_copy(*out, s);
    return status;
}

void rwkv7_session_copy(struct rwkv7_session *dst, const struct rwkv7_session *src)
{
    try_cancel(dst);
    memcpy(dst->state, src->state, state_floats(src->model) * sizeof *src->state);
    dst->tokens = src->tokens;
}

const struct rwkv7_model *rwkv7_session_model(const struct rwkv7_session *s)
{
    return s->model;
}

uint64_t rwkv7_session_tokens(const struct rwkv7_session *s)
{
    return s->tokens;
}

void rwkv7_session_set_progress(struct rwkv7_session *s, rwkv7_progress *progress, void *progress_arg)
{
    s->progress = progress;
    s->progress_arg = progress_arg;
}

double rwkv7_session_density(struct rwkv7_session *s)
{
    DEFAULT_FLOAT_ENV;
    const double density = s->columns ? (double)s->columns_read / (double)s->columns : 1.0;
    s->columns = s->columns_read = 0;
    return density;
}

/*
 * Copies one state tensor of one layer between the session and an array in the order of files, in
 * either direction.
 */
static void copy_tensor(const struct rwkv7_model *model, const struct state_tensor *t, float *to, const float *from)
{
    const size_t floats = state_tensor_floats(&model->shape, t), n = (size_t)model->shape.head_size;
    if (!t->is_transposed)
        memcpy(to, from, floats * sizeof *to);
    else
        for (size_t at = 0; at < floats; at += n * n)
            transpose(to + at, n, from + at, n, n, n, sizeof *to);
}

/*
 * The three arrays of the public API: the first state tensor of every layer, the tensors in the
 * middle, and the last. A NULL array is skipped.
 */
static void copy_state(const struct rwkv7_session *s, float *const arrays[3], bool to_session)
{
    const struct rwkv7_model *model = s->model;
    const struct arch *arch = model->arch;
    float *at[3] = {arrays[0], arrays[1], arrays[2]}, *state = s->state;
    for (int layer = 0; layer < model->shape.layers; layer++)
        for (int i = 0; i < arch->state_count; i++) {
            const size_t floats = state_tensor_floats(&model->shape, &arch->state[i]);
            float **const array = &at[i == 0 ? 0 : i < arch->state_count - 1 ? 1 : 2];
            if (*array && to_session)
                copy_tensor(model, &arch->state[i], state, *array);
            else if (*array)
                copy_tensor(model, &arch->state[i], *array, state);
            *array = *array ? *array + floats : NULL;
            state += floats;
        }
}

void rwkv7_session_get_state(const struct rwkv7_session *s, float *att_prev, float *wkv, float *ffn_prev)
{
    float *const arrays[3] = {att_prev, wkv, ffn_prev};
    copy_state(s, arrays, false);
}

void rwkv7_session_set_state(struct rwkv7_session *s, const float *att_prev, const float *wkv, const float *ffn_prev)
{
    float *const arrays[3] = {(float *)att_prev, (float *)wkv, (float *)ffn_prev}; /* only read */
    try_cancel(s);
    copy_state(s, arrays, true);
}

enum rwkv7_status fail_numeric(const struct rwkv7_model *model, int layer, uint64_t position, struct rwkv7_error *err)
{
    if (layer < model->shape.layers)
        return fail(err, RWKV7_ERR_NUMERIC, "%s: layer %d gave a NaN or an infinity at token %llu", model->path, layer,
                    (unsigned long long)position);
    return fail(err, RWKV7_ERR_NUMERIC, "%s: the logits hold a NaN or an infinity at token %llu", model->path,
                (unsigned long long)position);
}

enum rwkv7_status check_ids(const struct rwkv7_model *model, const uint32_t *tokens, size_t count,
                            struct rwkv7_error *err)
{
    const size_t vocab = (size_t)model->shape.vocab;
    for (size_t i = 0; i < count; i++)
        if (tokens[i] >= vocab)
            return fail(err, RWKV7_ERR_USAGE, "token id %u at position %zu is not below the vocabulary size %zu",
                        tokens[i], i, vocab);
    return RWKV7_OK;
}

struct pool *pool_for(const struct rwkv7_model *model, size_t count)
{
    const struct rwkv7_runtime *rt = runtime_of(model);
    return model->info.step_bytes * count < rt->alone_bytes ? rt->alone : rt->compute.pool;
}

enum rwkv7_status rwkv7_session_eval(struct rwkv7_session *s, const uint32_t *tokens, size_t count,
                                     enum rwkv7_logits which, float *logits, struct rwkv7_error *err)
{
    DEFAULT_FLOAT_ENV;
    const size_t vocab = (size_t)s->model->shape.vocab;
    if (count == 0 && which == RWKV7_LOGITS_LAST)
        return fail(err, RWKV7_ERR_USAGE, "logits of the last token were asked for, but no token was given");
    enum rwkv7_status status = check_no_try(s, "evaluate", err);
    if (status == RWKV7_OK)
        status = check_ids(s->model, tokens, count, err);
    if (status != RWKV7_OK)
        return status;

    for (size_t done = 0; done < count;) {
        const size_t chunk = count - done < RWKV7_CHUNK ? count - done : RWKV7_CHUNK;
        const bool last = done + chunk == count;
        if (s->progress && !s->progress(s->progress_arg, done, count))
            return fail(err, RWKV7_ERR_STOPPED, "%s: cancelled after %zu of %zu tokens", s->model->path, done, count);
        const enum rwkv7_logits now = which == RWKV7_LOGITS_LAST && !last ? RWKV7_LOGITS_NONE : which;
        float *out = now == RWKV7_LOGITS_ALL ? logits + done * vocab : now == RWKV7_LOGITS_LAST ? logits : NULL;
        status = chunk == 1 ? step_token(s, tokens[done], out, err)
                            : prefill_tokens(s, tokens + done, (int)chunk, now, out, err);
        if (status != RWKV7_OK)
            return status;
        done += chunk;
        s->tokens += chunk;
    }
    return RWKV7_OK;
}
