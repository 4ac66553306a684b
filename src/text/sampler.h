/*
 * sampler.h - the two halves of rwkv7_sampler_next, for the generator: it looks at a token before the token counts. Called in the default
 * floating-point environment.
 */
#ifndef TEXT_SAMPLER_H
#define TEXT_SAMPLER_H

#include "rwkv7.h"

/* Draws a token and advances the random numbers; the penalties do not change. */
enum rwkv7_status sampler_draw(struct rwkv7_sampler *s, const float *logits, uint32_t *id, struct rwkv7_error *err);
/* Updates the penalties: decays all counts, then increments that of this token. */
void sampler_count(struct rwkv7_sampler *s, uint32_t id);
/* The state of the random number generator: a seed from which the same numbers follow. */
uint64_t sampler_random(const struct rwkv7_sampler *s);
void sampler_set_random(struct rwkv7_sampler *s, uint64_t state);

#endif
