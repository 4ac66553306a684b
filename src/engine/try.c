/*
 * try.c - tentative evaluation: rwkv7_session_try and rwkv7_session_keep.
 *
 * A try runs the forward pass for several tokens (prefill.c) without writing the state: the
 * recurrences work on private copies, and the architecture records what each token would do to the
 * state (struct replay). Keeping the first tokens then repeats only the recurrence: from the same
 * inputs, with the same kernels, in the same order. The state has therefore the same bits as if
 * only these tokens had been evaluated. Keeping reads the state once and no weight matrices.
 * Cancelling a try is free, because nothing has to be undone.
 */
#include <string.h>

#include "base/float_env.h"
#include "base/mem.h"
#include "engine/engine.h"

enum rwkv7_status check_no_try(const struct rwkv7_session *s, const char *what, struct rwkv7_error *err)
{
    if (s->replay.count == 0)
        return RWKV7_OK;
    return fail(err, RWKV7_ERR_USAGE,
                "cannot %s a session with an open try of %d tokens; call rwkv7_session_keep first", what,
                s->replay.count);
}

enum rwkv7_status try_reserve(struct rwkv7_session *s, size_t count, struct rwkv7_error *err)
{
    const size_t floats = replay_floats(s->model, count); /* no overflow: count <= RWKV7_TRY */
    if (floats <= s->replay_room)
        return RWKV7_OK;
    float *const larger = mem_alloc(floats, sizeof *larger);
    if (!larger)
        return fail_memory(err, "the records of a try");
    mem_free(s->replay.records);
    s->replay.records = larger;
    s->replay_room = floats;
    return RWKV7_OK;
}

enum rwkv7_status try_open(struct rwkv7_session *s, const struct piece *p, struct rwkv7_error *err)
{
    s->bad_layer = p->bad_layer;
    s->tried = p->bad_layer < 0 ? p->count : p->bad_token;
    if (s->tried > 0)
        return RWKV7_OK;
    s->replay.count = 0;
    return fail_numeric(s->model, p->bad_layer, s->tokens, err);
}

void try_cancel(struct rwkv7_session *s)
{
    s->replay.count = 0;
}

enum rwkv7_status rwkv7_session_try(struct rwkv7_session *s, const uint32_t *tokens, size_t count, float *logits,
                                    struct rwkv7_error *err)
{
    DEFAULT_FLOAT_ENV;
    enum rwkv7_status status = check_no_try(s, "try tokens with", err);
    if (status == RWKV7_OK && (count < 1 || count > RWKV7_TRY))
        status = fail(err, RWKV7_ERR_USAGE, "try: expected 1 to %d tokens, found %zu", RWKV7_TRY, count);
    if (status == RWKV7_OK)
        status = check_ids(s->model, tokens, count, err);
    if (status == RWKV7_OK)
        status = try_reserve(s, count, err);
    if (status != RWKV7_OK)
        return status;
    s->replay.count = (int)count;
    struct piece p = {.state = s->state,
                      .replay = &s->replay,
                      .tokens = tokens,
                      .count = (int)count,
                      .which = logits ? RWKV7_LOGITS_ALL : RWKV7_LOGITS_NONE};
    status = prefill_pieces(s->model, &p, 1, logits, err);
    if (status == RWKV7_OK)
        return try_open(s, &p, err);
    try_cancel(s);
    return status;
}

size_t rwkv7_session_tried(const struct rwkv7_session *s)
{
    return s->replay.count > 0 ? (size_t)s->tried : 0;
}

/* -------------------------------------------------------------------------------------- keeping */

/* A state, and the number of recorded tokens to apply to it. */
struct keeping {
    const struct rwkv7_model *model;
    float *state;
    const struct replay *replay;
    int count;
};

/*
 * Applies the records to the state. A task is the recurrence of one head, or of SCAN_CHANNELS
 * channels, in one layer.
 */
static void keep_worker(void *arg, struct pool *pool, int rank)
{
    const struct keeping *k = arg;
    const struct rwkv7_model *model = k->model;
    const int channels = model->shape.channels, width = model->shape.head_size ? model->shape.head_size : SCAN_CHANNELS,
              parts = (channels + width - 1) / width, last = model->arch->state_count - 1;
    const size_t bytes = (size_t)channels * sizeof *k->state;
    int begin, end;
    for (int layer = 0; rank == 0 && layer < model->shape.layers; layer++) {
        memcpy(state_at(model, k->state, layer, STATE_ATT_PREV),
               replay_at(model, k->replay, layer, k->count - 1, RECORD_ATT, 0), bytes);
        memcpy(state_at(model, k->state, layer, last), replay_at(model, k->replay, layer, k->count - 1, RECORD_FFN, 0),
               bytes);
    }
    while (pool_share(pool, rank, model->shape.layers * parts, 1, &begin, &end)) {
        const int layer = begin / parts, from = begin % parts * width;
        model->arch->forward->replay(model, k->state, k->replay, layer, from,
                                     from + width < channels ? from + width : channels, k->count);
    }
}

/* Checks that the first `count` tokens of the open try can be kept. */
static enum rwkv7_status check_keep(const struct rwkv7_session *s, size_t count, struct rwkv7_error *err)
{
    if (count > (size_t)s->replay.count)
        return fail(err, RWKV7_ERR_USAGE, "keep: expected at most the %d tokens of the open try, found %zu",
                    s->replay.count, count);
    if (count > (size_t)s->tried && s->replay.count > 0)
        return fail_numeric(s->model, s->bad_layer, s->tokens + (uint64_t)s->tried, err);
    return RWKV7_OK;
}

static void keep(const struct rwkv7_session *s, float *state, size_t count)
{
    struct keeping k = {s->model, state, &s->replay, (int)count};
    if (count > 0)
        pool_run(pool_for(s->model, 1), keep_worker, &k);
}

enum rwkv7_status rwkv7_session_keep(struct rwkv7_session *s, size_t count, struct rwkv7_error *err)
{
    DEFAULT_FLOAT_ENV;
    const enum rwkv7_status status = check_keep(s, count, err);
    if (status == RWKV7_OK) {
        keep(s, s->state, count);
        s->tokens += count;
    }
    if (status != RWKV7_ERR_USAGE)
        try_cancel(s);
    return status;
}

enum rwkv7_status rwkv7_session_copy_tried(struct rwkv7_session *dst, const struct rwkv7_session *src, size_t count,
                                           struct rwkv7_error *err)
{
    DEFAULT_FLOAT_ENV;
    const enum rwkv7_status status = check_keep(src, count, err);
    if (status != RWKV7_OK)
        return status;
    rwkv7_session_copy(dst, src);
    keep(src, dst->state, count);
    dst->tokens += count;
    return RWKV7_OK;
}
