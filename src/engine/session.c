/* session.c - the recurrent state: making, copying, reading and writing it, and feeding tokens. */
#include <string.h>

#include "base/mem.h"
#include "weights/model.h"

enum rwkv7_status rwkv7_session_create(struct rwkv7_model *model, struct rwkv7_session **out, struct rwkv7_error *err)
{
    *out = NULL;
    struct rwkv7_session *s = mem_alloc(1, sizeof *s);
    if (!s)
        return fail_memory(err, "a session");
    s->model = model;
    s->state = mem_alloc(state_floats(&model->shape), sizeof *s->state);
    if (!s->state) {
        rwkv7_session_close(s);
        return fail_memory(err, "the state of a session");
    }
    *out = s;
    return RWKV7_OK;
}

void rwkv7_session_close(struct rwkv7_session *s)
{
    if (!s)
        return;
    step_work_free(s->step);
    prefill_work_free(s->prefill);
    mem_free(s->state);
    mem_free(s);
}

void rwkv7_session_reset(struct rwkv7_session *s)
{
    memset(s->state, 0, state_floats(&s->model->shape) * sizeof *s->state);
    s->tokens = 0;
}

enum rwkv7_status rwkv7_session_clone(const struct rwkv7_session *s, struct rwkv7_session **out,
                                      struct rwkv7_error *err)
{
    const enum rwkv7_status status = rwkv7_session_create(s->model, out, err);
    if (status == RWKV7_OK)
        rwkv7_session_copy(*out, s);
    return status;
}

void rwkv7_session_copy(struct rwkv7_session *dst, const struct rwkv7_session *src)
{
    memcpy(dst->state, src->state, state_floats(&src->model->shape) * sizeof *src->state);
    dst->tokens = src->tokens;
}

uint64_t rwkv7_session_tokens(const struct rwkv7_session *s)
{
    return s->tokens;
}

double rwkv7_session_density(struct rwkv7_session *s)
{
    const double density = s->columns ? (double)s->columns_read / (double)s->columns : 1.0;
    s->columns = s->columns_read = 0;
    return density;
}

/* [H][a][b] to [H][b][a]: between the key-first order of the kernels and the value-first order of the world. */
static void turn_heads(float *to, const float *from, int heads, int n)
{
    const size_t size = (size_t)n;
    for (int h = 0; h < heads; h++, to += size * size, from += size * size)
        for (size_t a = 0; a < size; a++)
            for (size_t b = 0; b < size; b++)
                to[b * size + a] = from[a * size + b];
}

void rwkv7_session_get_state(const struct rwkv7_session *s, float *att_prev, float *wkv, float *ffn_prev)
{
    const struct rwkv7_shape *shape = &s->model->shape;
    const size_t channels = (size_t)shape->channels, matrix = channels * (size_t)shape->head_size;
    for (int i = 0; i < shape->layers; i++) {
        const struct layer_state state = layer_state(s, i);
        const size_t at = (size_t)i;
        if (att_prev)
            memcpy(att_prev + at * channels, state.att_prev, channels * sizeof *att_prev);
        if (ffn_prev)
            memcpy(ffn_prev + at * channels, state.ffn_prev, channels * sizeof *ffn_prev);
        if (wkv)
            turn_heads(wkv + at * matrix, state.wkv, shape->heads, shape->head_size);
    }
}

void rwkv7_session_set_state(struct rwkv7_session *s, const float *att_prev, const float *wkv, const float *ffn_prev)
{
    const struct rwkv7_shape *shape = &s->model->shape;
    const size_t channels = (size_t)shape->channels, matrix = channels * (size_t)shape->head_size;
    for (int i = 0; i < shape->layers; i++) {
        const struct layer_state state = layer_state(s, i);
        const size_t at = (size_t)i;
        if (att_prev)
            memcpy(state.att_prev, att_prev + at * channels, channels * sizeof *att_prev);
        if (ffn_prev)
            memcpy(state.ffn_prev, ffn_prev + at * channels, channels * sizeof *ffn_prev);
        if (wkv)
            turn_heads(state.wkv, wkv + at * matrix, shape->heads, shape->head_size);
    }
}

enum rwkv7_status fail_numeric(const struct rwkv7_session *s, int layer, uint64_t position, struct rwkv7_error *err)
{
    if (layer < s->model->shape.layers)
        return fail(err, RWKV7_ERR_NUMERIC, "%s: layer %d gave a NaN or an infinity at token %llu", s->model->path,
                    layer, (unsigned long long)position);
    return fail(err, RWKV7_ERR_NUMERIC, "%s: the logits hold a NaN or an infinity at token %llu", s->model->path,
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
    const struct rwkv7_runtime *rt = model->rt;
    return model->info.step_bytes * count < rt->alone_bytes ? rt->alone : rt->pool;
}

enum rwkv7_status rwkv7_session_eval(struct rwkv7_session *s, const uint32_t *tokens, size_t count,
                                     enum rwkv7_logits which, float *logits, struct rwkv7_error *err)
{
    const size_t vocab = (size_t)s->model->shape.vocab;
    if (count == 0 && which == RWKV7_LOGITS_LAST)
        return fail(err, RWKV7_ERR_USAGE, "logits of the last token were asked for, but no token was given");
    enum rwkv7_status status = check_ids(s->model, tokens, count, err);
    if (status != RWKV7_OK)
        return status;

    for (size_t done = 0; done < count;) {
        const size_t chunk = count - done < RWKV7_CHUNK ? count - done : RWKV7_CHUNK;
        const bool last = done + chunk == count;
        const enum rwkv7_logits now = which == RWKV7_LOGITS_LAST && !last ? RWKV7_LOGITS_NONE : which;
        float *out = now == RWKV7_LOGITS_ALL ? logits + done * vocab : now == RWKV7_LOGITS_LAST ? logits : NULL;
        struct pool *pool = pool_for(s->model, chunk);
        status = chunk == 1 ? step_token(s, pool, tokens[done], out, err)
                            : prefill_tokens(s, pool, tokens + done, (int)chunk, now, out, err);
        if (status != RWKV7_OK)
            return status;
        done += chunk;
        s->tokens += chunk;
    }
    return RWKV7_OK;
}
