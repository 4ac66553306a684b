/*
 * logprobs.c - log probabilities from logits; see logprobs.h.
 *
 * All logits are read in blocks, in 16 lanes: loops without branches that compilers vectorise.
 * Exponentials are those of base/fmath.h, and every sum has one order, so the results are the same
 * on every CPU. Within a block the sum is float32, at most 16 additions to a lane; blocks are added
 * in double.
 */
#include "generate/logprobs.h"

#include <math.h>

#include "base/fmath.h"

enum { LANES = 16, BLOCK = 16 * LANES };
#define FAR 80.0f /* maximum distance from the best logit: e^-80 is lost in a sum >= 1 */

/*
 * Returns the largest of BLOCK logits. With fewer lanes gcc unrolls the inner loop instead of
 * vectorising it.
 */
static float block_best(const float *x)
{
    enum { WIDE = 64 };
    float best[WIDE];
    for (int lane = 0; lane < WIDE; lane++)
        best[lane] = x[lane];
    for (int i = WIDE; i < BLOCK; i += WIDE)
        for (int lane = 0; lane < WIDE; lane++) {
            const float found = x[i + lane];
            best[lane] = found > best[lane] ? found : best[lane];
        }
    for (int half = WIDE / 2; half > 0; half /= 2)
        for (int lane = 0; lane < half; lane++)
            best[lane] = best[lane + half] > best[lane] ? best[lane + half] : best[lane];
    return best[0];
}

static uint32_t find_best(const float *logits, uint32_t count)
{
    const uint32_t whole = count / BLOCK * BLOCK;
    uint32_t best = 0, first = whole;
    float most = logits[0];
    for (uint32_t i = 0; i < whole; i += BLOCK) {
        const float found = block_best(logits + i);
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

/* Returns the sum of exp(x - best) over BLOCK logits. */
static float block_sum(const float *x, float best)
{
    float w[BLOCK], sum[LANES] = {0};
    for (int i = 0; i < BLOCK; i++) {
        const float d = best - x[i];
        w[i] = d < FAR ? d : FAR;
    }
    for (int i = 0; i < BLOCK; i++) /* its own loop: in that above, gcc would emit branches */
        w[i] = fmath_exp_minus(w[i]);
    for (int i = 0; i < BLOCK; i += LANES)
        for (int lane = 0; lane < LANES; lane++)
            sum[lane] += w[i + lane];
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int lane = 0; lane < half; lane++)
            sum[lane] += sum[lane + half];
    return sum[0];
}

struct distribution distribution_of(const float *logits, int count)
{
    struct distribution d = {.logits = logits, .count = (uint32_t)count};
    d.best = find_best(logits, d.count);
    const float best = logits[d.best];
    double sum = 0;
    uint32_t i = 0;
    for (; i + BLOCK <= d.count; i += BLOCK)
        sum += (double)block_sum(logits + i, best);
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
    const float *const logits = d->logits;
    size_t n = 0;
    for (uint32_t id = 0; id < d->count && count > 0; id++) {
        if (n == count && id % BLOCK == 0)
            while (id + BLOCK <= d->count && block_best(logits + id) <= logits[top[n - 1].id])
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
