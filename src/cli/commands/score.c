/* score.c - see score.h. */
#include "cli/commands/score.h"

#include <math.h>

double divergence(const struct distribution *p, const struct distribution *q)
{
    /*
     * Recompute both sums in double: the divergence of almost equal distributions is far smaller
     * than the error of log_sum.
     */
    const double best_p = (double)p->logits[p->best], best_q = (double)q->logits[q->best];
    double sum = 0, sum_p = 0, sum_q = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        const double above_p = (double)p->logits[i] - best_p, above_q = (double)q->logits[i] - best_q;
        const double weight = exp(above_p);
        sum += weight * (above_p - above_q);
        sum_p += weight;
        sum_q += exp(above_q);
    }
    const double result = sum / sum_p - log(sum_p) + log(sum_q);
    return result > 0 ? result : 0;
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
