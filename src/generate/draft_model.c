/* draft_model.c - drafts by a smaller model; see draft_model.h. */
#include "generate/draft_model.h"

#include "base/mem.h"
#include "base/status.h"
#include "base/sys.h"
#include "text/sampler.h"

enum rwkv7_status draft_model_open(struct draft_model *d, const struct rwkv7_model *model, int vocab,
                                   struct rwkv7_error *err)
{
    const struct rwkv7_model_info *const info = rwkv7_model_info(model);
    *d = (struct draft_model){0};
    if (info->shape.vocab != vocab)
        return fail(err, RWKV7_ERR_VOCAB, "%s: expected a draft model with a vocabulary of %d tokens, found %d",
                    info->path, vocab, info->shape.vocab);
    enum rwkv7_status status = rwkv7_session_create(model, &d->session, err);
    if (status == RWKV7_OK)
        status = rwkv7_session_create(model, &d->ahead, err);
    if (status == RWKV7_OK && !(d->logits = mem_alloc((size_t)vocab, sizeof *d->logits)))
        status = fail_memory(err, "the logits of the draft model");
    if (status != RWKV7_OK)
        draft_model_close(d);
    return status;
}

void draft_model_close(struct draft_model *d)
{
    rwkv7_session_close(d->session);
    rwkv7_session_close(d->ahead);
    mem_free(d->logits);
    *d = (struct draft_model){0};
}

/* Evaluates the tokens added to the text since the last call. */
static bool follow(struct draft_model *d, const uint32_t *text, size_t size)
{
    if (d->read >= size) { /* a different text */
        rwkv7_session_reset(d->session);
        d->read = 0;
    }
    const enum rwkv7_status status =
        rwkv7_session_eval(d->session, text + d->read, size - d->read, RWKV7_LOGITS_LAST, d->logits, NULL);
    d->read = size;
    if (status != RWKV7_OK) /* the state is undefined */
        rwkv7_session_reset(d->session);
    return status == RWKV7_OK;
}

size_t draft_model_draft(struct draft_model *d, const uint32_t *text, size_t size, struct rwkv7_sampler *sampler,
                         uint32_t *ids, size_t room)
{
    const double begin = sys_seconds();
    const bool is_first = size - d->read > RWKV7_TRY; /* includes a prompt: atypical time */
    size_t count = 0;
    if (room == 0 || size == 0 || !follow(d, text, size))
        return 0;
    rwkv7_session_copy(d->ahead, d->session);
    while (sampler_peek(sampler, d->logits, count, &ids[count]) && ++count < room)
        if (rwkv7_session_eval(d->ahead, &ids[count - 1], 1, RWKV7_LOGITS_LAST, d->logits, NULL) != RWKV7_OK)
            break;
    if (count > 0 && !is_first)
        d->seconds = (sys_seconds() - begin) / (double)count;
    return count;
}
