/*
 * bench_sampler.c - prints microseconds per draw and per log probability from 65,536 logits, from
 * peaked to nearly flat: the least of many, since other programs only make it longer. Not a test.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/splitmix.h"
#include "base/sys.h"
#include "generate/logprobs.h"
#include "rwkv7.h"

enum { VOCAB = 65536, DRAWS = 200 };

static double microseconds(const float *logits, float temperature, float top_p)
{
    const struct rwkv7_sampler_options opt = {.temperature = temperature, .top_p = top_p};
    struct rwkv7_sampler *sampler;
    struct rwkv7_error err;
    double least = 1;
    if (rwkv7_sampler_create(&opt, VOCAB, NULL, &sampler, &err) != RWKV7_OK) {
        fprintf(stderr, "bench_sampler: %s\n", err.message);
        exit(1);
    }
    for (int i = 0; i < DRAWS; i++) {
        uint32_t id;
        const double begin = sys_seconds();
        if (rwkv7_sampler_next(sampler, logits, &id, &err) != RWKV7_OK) {
            fprintf(stderr, "bench_sampler: %s\n", err.message);
            exit(1);
        }
        const double seconds = sys_seconds() - begin;
        least = seconds < least ? seconds : least;
    }
    rwkv7_sampler_close(sampler);
    return 1e6 * least;
}

static double microseconds_of_logprob(const float *logits)
{
    double least = 1;
    for (int i = 0; i < DRAWS; i++) {
        const double begin = sys_seconds();
        const struct distribution d = distribution_of(logits, VOCAB);
        const double seconds = sys_seconds() - begin;
        least = seconds < least && log_probability(&d, 0) <= 0 ? seconds : least;
    }
    return 1e6 * least;
}

int main(void)
{
    static const double steepness[] = {4, 1, 0.2}; /* of an exponential distribution of the logits */
    static const double cuts[] = {0.5, 0.85, 0.95, 1};
    static float logits[VOCAB];
    for (size_t k = 0; k < sizeof steepness / sizeof steepness[0]; k++) {
        uint64_t random = 1;
        for (int i = 0; i < VOCAB; i++)
            logits[i] = (float)(-steepness[k] * log((double)((splitmix_next(&random) >> 11) + 1) * 0x1p-53));
        printf("steepness %4g:", steepness[k]);
        for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++)
            printf(" top-p %g %.0f us,", cuts[i], microseconds(logits, 1, (float)cuts[i]));
        printf(" temperature 0.7 %.0f us, greedy %.0f us, log probability %.0f us\n", microseconds(logits, 0.7f, 0),
               microseconds(logits, RWKV7_ZERO, 0), microseconds_of_logprob(logits));
    }
    return 0;
}
