/* score.h - what is measured of probabilities. All sums are in double; logarithms are natural. */
#ifndef CLI_SCORE_H
#define CLI_SCORE_H

#include <stdint.h>

#include "generate/logprobs.h"

/* The Kullback-Leibler divergence of q from p, of the same count: sum p (log p - log q), at least 0. */
double divergence(const struct distribution *p, const struct distribution *q);

/* Numbers >= 0 in bins whose widths grow with them, so that memory does not grow with their count. */
#define SPREAD_OCTAVE 64   /* bins per factor of two: a quantile is true to 0.6% */
#define SPREAD_LEAST (-40) /* what is below 2^-40 counts as 0 */
#define SPREAD_MOST 10
struct spread_of {
    uint64_t count, zeroes;
    double most;
    uint64_t bins[(SPREAD_MOST - SPREAD_LEAST) * SPREAD_OCTAVE];
};
void spread_add(struct spread_of *s, double x);
/* The least number that is not below `part`, 0 to 1, of the numbers; 0 when there is none. */
double spread_quantile(const struct spread_of *s, double part);

#endif
