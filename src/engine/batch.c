/*
 * batch.c - rwkv7_batch: evaluates several sessions at once. Checks the arguments and calls
 * prefill.c.
 */
#include "base/float_env.h"
#include "base/mem.h"
#include "engine/engine.h"

struct rwkv7_batch {
    const struct rwkv7_model *model;
    struct piece pieces[RWKV7_CHUNK];
};

enum rwkv7_status rwkv7_batch_create(const struct rwkv7_model *model, struct rwkv7_batch **out, struct rwkv7_error *err)
{
    *out = mem_alloc(1, sizeof **out);
    if (!*out)
        return fail_memory(err, "a batch");
    (*out)->model = model;
    return RWKV7_OK;
}

void rwkv7_batch_close(struct rwkv7_batch *b)
{
    if (!b)
        return;
    mem_free(b);
}

/* Checks the arguments; *total receives the number of tokens of all feeds. */
static enum rwkv7_status check(const struct rwkv7_batch *b, const struct rwkv7_feed *feeds, size_t count, size_t *total,
                               struct rwkv7_error *err)
{
    *total = 0;
    for (size_t i = 0; i < count; i++) {
        const struct rwkv7_feed *f = &feeds[i];
        if (f->count < 1 || f->count > RWKV7_CHUNK - *total)
            return fail(err, RWKV7_ERR_USAGE, "batch: expected 1 to %d tokens in all, found %zu more after %zu",
                        RWKV7_CHUNK, f->count, *total);
        if (f->session->model != b->model)
            return fail(err, RWKV7_ERR_USAGE, "batch: session %zu is of another model", i);
        for (size_t j = 0; j < i; j++)
            if (feeds[j].session == f->session)
                return fail(err, RWKV7_ERR_USAGE, "batch: sessions %zu and %zu are the same", j, i);
        if (f->tentative && f->count > RWKV7_TRY)
            return fail(err, RWKV7_ERR_USAGE, "batch: expected at most %d tokens to try, found %zu", RWKV7_TRY,
                        f->count);
        enum rwkv7_status status = check_no_try(f->session, "evaluate", err);
        if (status == RWKV7_OK)
            status = check_ids(b->model, f->tokens, f->count, err);
        if (status != RWKV7_OK)
            return status;
        *total += f->count;
    }
    return RWKV7_OK;
}

/* Makes room for the records of the tentative feeds. */
static enum rwkv7_status reserve(const struct rwkv7_feed *feeds, size_t count, struct rwkv7_error *err)
{
    enum rwkv7_status status = RWKV7_OK;
    for (size_t i = 0; i < count && status == RWKV7_OK; i++)
        if (feeds[i].tentative)
            status = try_reserve(feeds[i].session, feeds[i].count, err);
    return status;
}

static struct piece piece_of(const struct rwkv7_feed *f)
{
    struct piece p = {.state = f->session->state, .tokens = f->tokens, .count = (int)f->count};
    if (f->logits)
        p.which = f->tentative ? RWKV7_LOGITS_ALL : RWKV7_LOGITS_LAST;
    if (f->tentative) {
        f->session->replay.count = p.count;
        p.replay = &f->session->replay;
    }
    return p;
}

/* Updates the session of a feed after its evaluation. */
static void finish(struct rwkv7_feed *f, const struct piece *p)
{
    struct rwkv7_session *session = f->session;
    f->err.status = RWKV7_OK;
    if (f->tentative)
        try_open(session, p, &f->err);
    else if (p->bad_layer >= 0)
        fail_numeric(session->model, p->bad_layer, session->tokens + (uint64_t)p->bad_token, &f->err);
    else
        session->tokens += f->count;
}

enum rwkv7_status rwkv7_batch_eval(struct rwkv7_batch *b, struct rwkv7_feed *feeds, size_t count, float *logits,
                                   struct rwkv7_error *err)
{
    DEFAULT_FLOAT_ENV;
    size_t total;
    enum rwkv7_status status = check(b, feeds, count, &total, err);
    if (status == RWKV7_OK)
        status = reserve(feeds, count, err);
    if (status != RWKV7_OK || count == 0)
        return status;
    for (size_t i = 0; i < count; i++)
        b->pieces[i] = piece_of(&feeds[i]);
    status = prefill_pieces(b->model, b->pieces, (int)count, logits, err);
    for (size_t i = 0; i < count; i++)
        if (status == RWKV7_OK)
            finish(&feeds[i], &b->pieces[i]);
        else if (feeds[i].tentative)
            try_cancel(feeds[i].session);
    return status;
}
