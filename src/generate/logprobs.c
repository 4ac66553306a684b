/*
 * logprobs.c - log probabilities from logits; see logprobs.h.
 *
 * All logits are read in blocks, by the vectorised loops of text/weigh.h. Exponentials are those of
 * base/fmath.h, and every sum has one order, so the results are the same on every CPU. Within a
 * block the sum is float32, at most 16 additions to a lane; blocks are added in double.
 */
#include "generate/logprobs.h"

#include <math.h>

#include "base/fmath.h"
#include "text/weigh.h"

enum { BLOCK = WEIGH_PART };
#define FAR WEIGH_PART_FAR

static uint32_t find_best(const struct weigh *loops, const float *logits, uint32_t count)
{
    const uint32_t whole = count / BLOCK * BLOCK;
    uint32_t best = 0, first = whole;
    float most = logits[0];
    for (uint32_t i = 0; i < whole; i += BLOCK) {
        const float found = loops->part_best(logits + i);
        if (found > most || i == 0) {
            most = found;
            first = i;
        }
    }
    for (uint32_t i = first; i < whole && i < first + BLOCK; i++)
        if (logits[i] > logits[best])
            best = i;
    for (uint32_t i = whole; i < count; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

struct distribution distribution_of(const float *logits, int count)
{
    struct distribution d = {.logits = logits, .count = (uint32_t)count};
    const struct weigh *const loops = weigh_loops();
    d.best = find_best(loops, logits, d.count);
    const float best = logits[d.best];
    double sum = 0;
    uint32_t i = 0;
    for (; i + BLOCK <= d.count; i += BLOCK)
        sum += (double)loops->part_sum(logits + i, best);
    for (; i < d.count; i++)
        sum += (double)fmath_exp_minus(best - logits[i] < FAR ? best - logits[i] : FAR);
    d.log_sum = (double)best + log(sum);
    return d;
}

double log_probability(const struct distribution *d, uint32_t id)
{
    return (double)d->logits[id] - d->log_sum;
}

size_t distribution_top(const struct distribution *d, size_t count, struct rwkv7_logprob *top)
{
    const struct weigh *const loops = weigh_loops();
    const float *const logits = d->logits;
    size_t n = 0;
    for (uint32_t id = 0; id < d->count && count > 0; id++) {
        if (n == count && id % BLOCK == 0)
            while (id + BLOCK <= d->count && loops->part_best(logits + id) <= logits[top[n - 1].id])
                id += BLOCK; /* no id of this block is among the best */
        if (id == d->count)
            break;
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
