/*
 * logprobs.h - log probabilities from logits, with an error below 2e-7 and the same bits on every
 * CPU. Logarithms are natural.
 */
#ifndef GENERATE_LOGPROBS_H
#define GENERATE_LOGPROBS_H

#include "rwkv7.h"

/* The softmax of logits [count]. */
struct distribution {
    const float *logits;
    uint32_t count;
    uint32_t best;  /* the most probable id; ties: the lowest */
    double log_sum; /* log p(id) = logits[id] - log_sum */
};
struct distribution distribution_of(const float *logits, int count);
double log_probability(const struct distribution *d, uint32_t id);
/*
 * Stores the `count` most probable ids, most probable first; ties: lower ids first. Returns their
 * number, at most the vocabulary size.
 */
size_t distribution_top(const struct distribution *d, size_t count, struct rwkv7_logprob *top);

#endif
