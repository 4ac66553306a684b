/* sampling.c - see sampling.h. */
#include "cli/sampling.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

uint64_t random_seed(void)
{
    uint32_t seed;
    FILE *const f = fopen("/dev/urandom", "rb");
    if (!f || fread(&seed, sizeof seed, 1, f) != 1) {
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        seed = (uint32_t)t.tv_nsec ^ (uint32_t)t.tv_sec;
    }
    if (f)
        fclose(f);
    return seed;
}

int sampling_create(const struct args *args, const struct engine *engine, uint64_t seed, struct rwkv7_sampler **out)
{
    const struct rwkv7_tokenizer *const tokenizer = engine->tokenizer;
    const int vocab = rwkv7_model_info(engine->model)->shape.vocab;
    const size_t given = args->biases.count;
    struct rwkv7_token_bias *const biases = malloc((given + (size_t)vocab) * sizeof *biases);
    if (!biases)
        return complain(FAILED, "out of memory for the sampler");
    if (given > 0)
        memcpy(biases, args->biases.at, given * sizeof *biases);

    struct rwkv7_sampler_options options;
    rwkv7_sampler_defaults(&options);
    options.temperature = args->temperature;
    options.top_p = args->top_p;
    options.top_k = args->top_k;
    options.min_p = args->min_p;
    options.presence_penalty = args->presence;
    options.frequency_penalty = args->frequency;
    options.penalty_decay = args->penalty_decay;
    options.seed = seed;
    options.biases = biases;
    options.bias_count = given;
    for (uint32_t id = 0; id < (uint32_t)vocab; id++) {
        size_t length;
        rwkv7_tokenizer_bytes(tokenizer, id, &length);
        if (length == 0 && (id != RWKV7_END_OF_TEXT || args->ignore_eos))
            biases[options.bias_count++] = (struct rwkv7_token_bias){id, -INFINITY};
    }
    struct rwkv7_error err;
    const enum rwkv7_status status = rwkv7_sampler_create(&options, vocab, tokenizer, out, &err);
    free(biases);
    return status == RWKV7_OK ? DONE : report(&err);
}
