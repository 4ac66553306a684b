/*
 * test_logprobs.c - log probabilities, the best tokens and the KL divergence, against naive loops
 * over the logits: all lengths around a block, flat and steep distributions, equal logits.
 */
#include <math.h>
#include <stdlib.h>

#include "base/splitmix.h"
#include "cli/commands/score.h"
#include "generate/logprobs.h"
#include "test.h"

enum { MOST = 65536 + 77, MOST_TOP = 40 };
static float logits[MOST], others[MOST];

/* kind 0: all different; 1: many equal; 2: steep, most far below the best; 3: some are -infinity */
static void fill(float *x, int count, int kind, uint64_t seed)
{
    for (int i = 0; i < count; i++) {
        const float unit = (float)(splitmix_next(&seed) >> 40) * 0x1p-24f;
        x[i] = kind == 0 ? 20.0f * unit - 10.0f : kind == 1 ? floorf(unit * 5.0f) : 30.0f * logf(unit + 1e-7f);
        if (kind == 3 && unit < 0.1f)
            x[i] = -INFINITY;
    }
}

static int naive_best(const float *x, int count)
{
    int best = 0;
    for (int i = 1; i < count; i++)
        best = x[i] > x[best] ? i : best;
    return best;
}

static double naive_log_sum(const float *x, int count)
{
    const double most = (double)x[naive_best(x, count)];
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += exp((double)x[i] - most);
    return most + log(sum);
}

/* Whether token a comes before token b. */
static bool before(const float *x, uint32_t a, uint32_t b)
{
    return x[a] > x[b] || (x[a] == x[b] && a < b);
}

/* Checks that `top` is sorted and has the n best tokens. */
static void check_top(const struct distribution *d, size_t room)
{
    struct rwkv7_logprob top[MOST_TOP];
    const size_t n = distribution_top(d, room, top);
    CHECK(n == (room < d->count ? room : d->count));
    for (size_t i = 1; i < n; i++)
        CHECK_MSG(before(d->logits, top[i - 1].id, top[i].id), "%zu of %zu: %u, %u", i, n, top[i - 1].id, top[i].id);
    size_t not_behind = 0;
    for (uint32_t id = 0; id < d->count && n > 0; id++)
        not_behind += !before(d->logits, top[n - 1].id, id);
    CHECK_MSG(not_behind == n, "%zu of %u tokens: %zu are not behind the last", n, d->count, not_behind);
    for (size_t i = 0; i < n; i++)
        CHECK(top[i].logprob == log_probability(d, top[i].id));
}

static void test_distributions(void)
{
    static const int counts[] = {1, 2, 255, 256, 257, 511, 512, 1000, 65536, MOST};
    static const size_t rooms[] = {0, 1, 2, 5, 20, MOST_TOP};
    double worst = 0;
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++)
        for (int kind = 0; kind < 4; kind++)
            for (uint64_t seed = 0; seed < 3; seed++) {
                fill(logits, counts[c], kind, seed);
                if (kind == 3)
                    logits[seed * 97 % (uint64_t)counts[c]] = 1.0f;
                const struct distribution d = distribution_of(logits, counts[c]);
                const double error = fabs(d.log_sum - naive_log_sum(logits, counts[c]));
                worst = error > worst ? error : worst;
                CHECK_MSG(error < 2e-7, "%d logits of kind %d: error %g", counts[c], kind, error);
                CHECK_MSG((int)d.best == naive_best(logits, counts[c]), "%d logits of kind %d", counts[c], kind);
                for (size_t i = 0; i < sizeof rooms / sizeof rooms[0]; i++)
                    check_top(&d, rooms[i]);
            }
    printf("largest error of a log probability: %.2g\n", worst);
}

/* The best logit at every position of a block, and one of the next block equal to it. */
static void test_positions(void)
{
    for (int at = 0; at < 600; at++) {
        fill(logits, 700, 0, 5);
        logits[at] = logits[at + 100] = 11.0f;
        const struct distribution d = distribution_of(logits, 700);
        CHECK_MSG((int)d.best == at, "at %d: %u", at, d.best);
    }
}

static void test_divergence(void)
{
    enum { COUNT = 3000 };
    for (int exponent = 0; exponent < 20; exponent += 4) {
        fill(logits, COUNT, 0, 1);
        fill(others, COUNT, 0, 2);
        for (int i = 0; i < COUNT; i++)
            others[i] = logits[i] + ldexpf(others[i], -exponent);
        const struct distribution p = distribution_of(logits, COUNT), q = distribution_of(others, COUNT);
        const double sum_p = naive_log_sum(logits, COUNT), sum_q = naive_log_sum(others, COUNT);
        double want = 0;
        for (int i = 0; i < COUNT; i++) {
            const double log_p = (double)logits[i] - sum_p;
            want += exp(log_p) * (log_p - ((double)others[i] - sum_q));
        }
        const double found = divergence(&p, &q);
        CHECK_MSG(fabs(found - want) < 1e-12 + 1e-9 * want, "differences of 2^-%d: %g, expected %g", exponent, found,
                  want);
        CHECK(divergence(&p, &p) == 0);
    }
}

int main(void)
{
    RUN(test_distributions);
    RUN(test_positions);
    RUN(test_divergence);
    return test_end();
}
