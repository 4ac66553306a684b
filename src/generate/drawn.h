/*
 * drawn.h - evaluates the drawn tokens of one text, together with guesses of the next ones if that
 * is faster.
 */
#ifndef GENERATE_DRAWN_H
#define GENERATE_DRAWN_H

#include "generate/speculation.h"

/* A zeroed struct is empty. */
struct drawn {
    float *rows; /* [room][V] logits of a try */
    size_t room;
};
void drawn_clear(struct drawn *d);
/*
 * Evaluates the drawn token `id`, unless it was guessed and evaluated before, and up to `ahead`
 * guesses after it. *row: the logits [V] after `id`, stored in `logits` [V] or `d`, valid until the
 * next call. Afterwards the session may have an open try, see speculation_settle.
 */
enum rwkv7_status drawn_eval(struct drawn *d, struct speculation *s, struct rwkv7_sampler *sampler,
                             struct rwkv7_session *session, uint32_t id, uint64_t ahead, float *logits,
                             const float **row, struct rwkv7_error *err);

#endif
