/* reading.h - evaluates tokens in chunks, with progress and cancellation. */
#ifndef GENERATE_READING_H
#define GENERATE_READING_H

#include "rwkv7.h"

struct reading {
    size_t chunk;             /* tokens evaluated between checks for cancellation */
    rwkv7_progress *progress; /* called before each chunk; in tokens. May be NULL */
    void *arg;
    uint64_t done; /* tokens evaluated so far with this struct */
};

/*
 * Evaluates tokens [count]. waiting: number of tokens that will follow, for the progress. logits:
 * [V] after the last token, or NULL. RWKV7_ERR_STOPPED: cancelled after r->done tokens.
 */
enum rwkv7_status reading_eval(struct reading *r, struct rwkv7_session *session, const uint32_t *tokens, size_t count,
                               size_t waiting, float *logits, struct rwkv7_error *err);

#endif
