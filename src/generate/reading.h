/* reading.h - tokens that are there already go through a session, chunk by chunk, with progress, until cancelled. */
#ifndef GENERATE_READING_H
#define GENERATE_READING_H

#include "rwkv7.h"

struct reading {
    size_t chunk;             /* tokens that are evaluated at once; between chunks cancelling is possible */
    rwkv7_progress *progress; /* called before each chunk; in tokens. May be NULL */
    void *arg;
    uint64_t done; /* tokens read so far, through this struct */
};

/*
 * The session reads tokens [count], behind which `waiting` more wait. logits: [V] those after the last token, unless NULL.
 * RWKV7_ERR_STOPPED: cancelled, after r->done tokens.
 */
enum rwkv7_status reading_eval(struct reading *r, struct rwkv7_session *session, const uint32_t *tokens, size_t count,
                               size_t waiting, float *logits, struct rwkv7_error *err);

#endif
