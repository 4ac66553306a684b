/* reading.c - evaluates tokens in chunks; see reading.h. */
#include "generate/reading.h"

#include "base/status.h"

enum rwkv7_status reading_eval(struct reading *r, struct rwkv7_session *session, const uint32_t *tokens, size_t count,
                               size_t waiting, float *logits, struct rwkv7_error *err)
{
    for (size_t at = 0, step; at < count; at += step) {
        step = count - at < r->chunk ? count - at : r->chunk;
        if (r->progress && !r->progress(r->arg, r->done, r->done + (count - at) + waiting))
            return fail(err, RWKV7_ERR_STOPPED, "cancelled while reading the prompt");
        float *const out = at + step == count ? logits : NULL;
        const enum rwkv7_status status =
            rwkv7_session_eval(session, tokens + at, step, out ? RWKV7_LOGITS_LAST : RWKV7_LOGITS_NONE, out, err);
        if (status != RWKV7_OK)
            return status;
        r->done += step;
    }
    return RWKV7_OK;
}
