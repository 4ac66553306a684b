/* request_options.c - see request_options.h. */
#include "cli/options/request_options.h"

#include <stdio.h>
#include <time.h>

#include "cli/io/messages.h"
#include "cli/options/args.h"

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

enum rwkv7_bos bos_option(const struct bos_args *args)
{
    return args->bos ? RWKV7_BOS_ALWAYS : args->no_bos ? RWKV7_BOS_NEVER : RWKV7_BOS_AUTO;
}

uint64_t limit_option(const struct request_args *args)
{
    return args->tokens < 0 ? UINT64_MAX : (uint64_t)args->tokens;
}

/*
 * Converts an option to a field of the library's options, where 0 means the default and RWKV7_ZERO
 * means 0.
 */
static float number_option(float x)
{
    return x == 0.0f ? RWKV7_ZERO : x;
}

void request_options_fill(struct request_options *options, const struct request_args *args, uint64_t seed)
{
    const struct sampling_args *const sampling = &args->sampling;
    options->sampling = (struct rwkv7_sampler_options){.temperature = number_option(sampling->temperature),
                                                       .top_p = number_option(sampling->top_p),
                                                       .top_k = sampling->top_k,
                                                       .min_p = sampling->min_p,
                                                       .presence_penalty = sampling->presence,
                                                       .frequency_penalty = sampling->frequency,
                                                       .penalty_decay = number_option(sampling->penalty_decay),
                                                       .seed = seed,
                                                       .biases = sampling->biases.at,
                                                       .bias_count = sampling->biases.count};
    options->generate = (struct rwkv7_generator_options){.struct_size = sizeof options->generate,
                                                         .sampling = &options->sampling,
                                                         .stops = args->stops.at,
                                                         .stop_count = args->stops.count,
                                                         .logprobs = args->logprobs,
                                                         .bos = bos_option(&args->bos),
                                                         .ignore_end = args->ignore_eos};
}

const char *end_name(enum rwkv7_end end)
{
    static const char *const names[] = {[RWKV7_END_NONE] = "",
                                        [RWKV7_END_STOP] = "stop",
                                        [RWKV7_END_TOKEN] = "end",
                                        [RWKV7_END_LENGTH] = "length",
                                        [RWKV7_END_CANCELLED] = "interrupted"};
    return names[end];
}

static void print_warning(void *arg, const char *message)
{
    (void)arg;
    complain(DONE, "%s", message);
}

bool prompt_cache_option(struct prompt_cache *cache, const struct saved_args *args, int math)
{
    *cache = (struct prompt_cache){.folder = args->prompt_cache,
                                   .limit = (uint64_t)args->prompt_cache_size * 1000000,
                                   .math = (enum rwkv7_math)math,
                                   .warn = print_warning};
    return args->prompt_cache != NULL;
}
