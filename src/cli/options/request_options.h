/* request_options.h - what the command line asks of the generator. */
#ifndef CLI_REQUEST_OPTIONS_H
#define CLI_REQUEST_OPTIONS_H

#include "cli/common.h"
#include "generate/prompt_cache.h"

/* Short enough to be typed again. */
uint64_t random_seed(void);

enum rwkv7_bos bos_option(const struct args *args);
/* --tokens, of which -1 is no limit and 0 no token at all, as generator_set_limit takes it. */
uint64_t limit_option(const struct args *args);

/* "stop", "end", "length", "interrupted": why a text ended, as JSON and summaries say it. */
const char *end_name(enum rwkv7_end end);

/* Options of a generator; `generate` points to `sampling` here, and both to strings and arrays of the arguments. */
struct request_options {
    struct rwkv7_generator_options generate;
    struct rwkv7_sampler_options sampling;
};
void request_options_fill(struct request_options *options, const struct args *args, uint64_t seed);

/* The cache of the options, whose warnings are printed. false: none is asked for. */
bool prompt_cache_option(struct prompt_cache *cache, const struct args *args);

#endif
