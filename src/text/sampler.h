/*
 * sampler.h - the two halves of rwkv7_sampler_next: drawing a token, and updating the penalties.
 * The generator calls them separately, because a drawn end-of-text does not change the penalties.
 * The caller must have set the default floating-point environment.
 */
#ifndef TEXT_SAMPLER_H
#define TEXT_SAMPLER_H

#include "rwkv7.h"

/* Draws a token and advances the random number generator; does not change the penalties. */
enum rwkv7_status sampler_draw(struct rwkv7_sampler *s, const float *logits, uint32_t *id, struct rwkv7_error *err);
/* The same, but only tokens whose bits in mask [bits] are set may be drawn; mask NULL: all. */
enum rwkv7_status sampler_draw_masked(struct rwkv7_sampler *s, const float *logits, const uint64_t *mask, size_t bits,
                                      uint32_t *id, struct rwkv7_error *err);
/* Updates the penalties: decays all counts, then increments the count of this token. */
void sampler_count(struct rwkv7_sampler *s, uint32_t id);
/* The state of the random number generator. Restoring it repeats the same draws. */
uint64_t sampler_random(const struct rwkv7_sampler *s);
void sampler_set_random(struct rwkv7_sampler *s, uint64_t state);
/*
 * Predicts the draw that follows `skipped` others, from these logits: uses the random number of
 * that draw, but the current penalties. Changes nothing. Returns false if the logits are invalid.
 */
bool sampler_peek(struct rwkv7_sampler *s, const float *logits, size_t skipped, uint32_t *id);

#endif
