/* score.h - KL divergence and quantiles. Sums are in double; logarithms are natural. */
#ifndef CLI_SCORE_H
#define CLI_SCORE_H

#include <stdint.h>

#include "generate/logprobs.h"

/* The KL divergence of q from p, sum p (log p - log q), at least 0. Both have the same count. */
double divergence(const struct distribution *p, const struct distribution *q);

/* A histogram of numbers >= 0 with logarithmic bins, in constant memory. */
#define SPREAD_OCTAVE 64   /* bins per factor of two: quantiles are accurate to 0.6% */
#define SPREAD_LEAST (-40) /* numbers below 2^-40 count as 0 */
#define SPREAD_MOST 10     /* numbers of 2^10 and more are in the last bin */
struct spread_of {
    uint64_t count, zeroes;
    double max;
    uint64_t bins[(SPREAD_MOST - SPREAD_LEAST) * SPREAD_OCTAVE];
};
void spread_add(struct spread_of *s, double x);
/* The quantile of `part`, 0 to 1: 0.5 is the median. 0 if there are no numbers. */
double spread_quantile(const struct spread_of *s, double part);

#endif
