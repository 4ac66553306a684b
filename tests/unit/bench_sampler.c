/*
 * bench_sampler.c - prints microseconds per draw from 65,536 logits, from peaked to nearly flat.
 * Not a test.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/splitmix.h"
#include "base/sys.h"
#include "rwkv7.h"

enum { VOCAB = 65536, DRAWS = 200 };

static double microseconds(const float *logits, float temperature)
{
    const struct rwkv7_sampler_options opt = {.temperature = temperature};
    struct rwkv7_sampler *sampler;
    struct rwkv7_error err;
    if (rwkv7_sampler_create(&opt, VOCAB, NULL, &sampler, &err) != RWKV7_OK) {
        fprintf(stderr, "bench_sampler: %s\n", err.message);
        exit(1);
    }
    const double begin = sys_seconds();
    for (int i = 0; i < DRAWS; i++) {
        uint32_t id;
        if (rwkv7_sampler_next(sampler, logits, &id, &err) != RWKV7_OK) {
            fprintf(stderr, "bench_sampler: %s\n", err.message);
            exit(1);
        }
    }
    const double seconds = sys_seconds() - begin;
    rwkv7_sampler_close(sampler);
    return 1e6 * seconds / (int)DRAWS;
}

int main(void)
{
    static const double steepness[] = {4, 1, 0.2}; /* of an exponential distribution of the logits */
    static float logits[VOCAB];
    for (size_t k = 0; k < sizeof steepness / sizeof steepness[0]; k++) {
        uint64_t random = 1;
        for (int i = 0; i < VOCAB; i++)
            logits[i] = (float)(-steepness[k] * log((double)((splitmix_next(&random) >> 11) + 1) * 0x1p-53));
        printf("steepness %g: top-p 0.85 %.0f us, greedy %.0f us\n", steepness[k], microseconds(logits, 1),
               microseconds(logits, RWKV7_ZERO));
    }
    return 0;
}
