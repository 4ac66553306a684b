/* logprobs.c - log probabilities from logits; see logprobs.h. */
#include "generate/logprobs.h"

#include <math.h>

struct distribution distribution_of(const float *logits, int count)
{
    struct distribution d = {.logits = logits, .count = (uint32_t)count};
    for (uint32_t i = 1; i < d.count; i++)
        if (logits[i] > logits[d.best])
            d.best = i;
    const double maximum = (double)logits[d.best];
    double sum = 0;
    for (uint32_t i = 0; i < d.count; i++)
        sum += exp((double)logits[i] - maximum);
    d.log_sum = maximum + log(sum);
    return d;
}

double log_probability(const struct distribution *d, uint32_t id)
{
    return (double)d->logits[id] - d->log_sum;
}

size_t distribution_top(const struct distribution *d, size_t count, struct rwkv7_logprob *top)
{
    const float *const logits = d->logits;
    size_t n = 0;
    for (uint32_t id = 0; id < d->count && count > 0; id++) {
        if (n == count && logits[id] <= logits[top[n - 1].id])
            continue;
        size_t at = n < count ? n++ : n - 1;
        for (; at > 0 && logits[top[at - 1].id] < logits[id]; at--)
            top[at] = top[at - 1];
        top[at].id = id;
    }
    for (size_t i = 0; i < n; i++)
        top[i].logprob = log_probability(d, top[i].id);
    return n;
}
