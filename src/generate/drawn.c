/* drawn.c - evaluates the drawn tokens of one text; see drawn.h. */
#include "generate/drawn.h"

#include "base/mem.h"
#include "base/sys.h"

void drawn_clear(struct drawn *d)
{
    mem_free(d->rows);
    *d = (struct drawn){0};
}

static bool reserve(struct drawn *d, size_t count, size_t vocab)
{
    if (count <= d->room)
        return true;
    float *const rows = mem_alloc(count, vocab * sizeof *rows);
    if (!rows)
        return false;
    drawn_clear(d);
    d->rows = rows;
    d->room = count;
    return true;
}

/*
 * Opens a try with the drawn token and the draft, `count` tokens. False: out of memory; the text
 * continues without a draft.
 */
static bool try_draft(struct drawn *d, struct speculation *s, struct rwkv7_session *session, size_t count,
                      enum rwkv7_status *status, struct rwkv7_error *err)
{
    if (count == 1 || !reserve(d, count, s->vocab))
        return false;
    *status = rwkv7_session_try(session, s->ids, count, d->rows, err);
    if (*status == RWKV7_OK)
        speculation_opened(s, session, d->rows);
    return *status != RWKV7_ERR_MEMORY;
}

enum rwkv7_status drawn_eval(struct drawn *d, struct speculation *s, struct rwkv7_sampler *sampler,
                             struct rwkv7_session *session, uint32_t id, uint64_t ahead, float *logits,
                             const float **row, struct rwkv7_error *err)
{
    struct step_costs *const costs = &speculation_text(s)->costs;
    *row = speculation_take(s, id);
    if (*row)
        return RWKV7_OK;
    double begin = sys_seconds();
    enum rwkv7_status status = speculation_settle(s, session, err);
    if (status != RWKV7_OK)
        return status;
    speculation_draft(s, ahead < RWKV7_TRY ? 1 + (size_t)ahead : RWKV7_TRY);
    speculation_plan(costs, &s, 1);
    const double drafting = sys_seconds();
    size_t count = speculation_fill(s, sampler);
    begin += sys_seconds() - drafting; /* measure the evaluation only */
    if (try_draft(d, s, session, count, &status, err)) {
        *row = d->rows;
    } else {
        count = 1;
        *row = logits;
        s->total_steps++;
        status = rwkv7_session_eval(session, &id, 1, RWKV7_LOGITS_LAST, logits, err);
    }
    step_costs_add(costs, count, count == 1, sys_seconds() - begin);
    return status;
}
