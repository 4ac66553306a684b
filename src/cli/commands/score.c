/* score.c - see score.h. */
#include "cli/commands/score.h"

#include <math.h>

double divergence(const struct distribution *p, const struct distribution *q)
{
    double sum = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        const double log_p = log_probability(p, i);
        sum += exp(log_p) * (log_p - log_probability(q, i));
    }
    return sum > 0 ? sum : 0;
}

void spread_add(struct spread_of *s, double x)
{
    const int last = (SPREAD_MOST - SPREAD_LEAST) * SPREAD_OCTAVE - 1;
    s->count++;
    s->max = fmax(s->max, x);
    if (!(x >= exp2(SPREAD_LEAST))) {
        s->zeroes++;
        return;
    }
    const double bin = SPREAD_OCTAVE * (log2(x) - SPREAD_LEAST);
    s->bins[bin < last ? (int)bin : last]++;
}

double spread_quantile(const struct spread_of *s, double part)
{
    const double wanted = part * (double)s->count;
    uint64_t below = s->zeroes;
    int bin = -1;
    while ((double)below < wanted && bin + 1 < (SPREAD_MOST - SPREAD_LEAST) * SPREAD_OCTAVE)
        below += s->bins[++bin];
    return bin < 0 ? 0 : fmin(exp2((bin + 0.5) / SPREAD_OCTAVE + SPREAD_LEAST), s->max);
}
