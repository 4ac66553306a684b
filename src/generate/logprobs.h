/* logprobs.h - logits as probabilities. Sums are in double; logarithms are natural. */
#ifndef GENERATE_LOGPROBS_H
#define GENERATE_LOGPROBS_H

#include "rwkv7.h"

/* The softmax of logits [count]. */
struct distribution {
    const float *logits;
    uint32_t count;
    uint32_t best;  /* the likeliest id, the lowest among equals */
    double log_sum; /* log p(id) = logits[id] - log_sum */
};
struct distribution distribution_of(const float *logits, int count);
double log_probability(const struct distribution *d, uint32_t id);
/* The `count` likeliest ids, at most as many as there are, the likeliest first, of equals the lowest id first; returns how many. */
size_t distribution_top(const struct distribution *d, size_t count, struct rwkv7_logprob *top);

#endif
