/* request_options.h - converts the command line to options of the generator. */
#ifndef CLI_REQUEST_OPTIONS_H
#define CLI_REQUEST_OPTIONS_H

#include "cli/options/args.h"
#include "generate/prompt_cache.h"

/* Returns a random seed of at most 10 digits, so that it is easy to type again. */
uint64_t random_seed(void);

enum rwkv7_bos bos_option(const struct bos_args *args);
/*
 * Returns the limit of --tokens as generator_set_limit takes it: -1 on the command line is no
 * limit.
 */
uint64_t limit_option(const struct request_args *args);

/*
 * Returns why a text ended, as shown in JSON and summaries: "stop", "end", "length" or
 * "interrupted".
 */
const char *end_name(enum rwkv7_end end);

/*
 * Options of a generator. generate.sampling points to `sampling`; both point to strings and arrays
 * of the arguments, which must outlive this struct. Do not copy it.
 */
struct request_options {
    struct rwkv7_generator_options generate;
    struct rwkv7_sampler_options sampling;
};
void request_options_fill(struct request_options *options, const struct request_args *args, uint64_t seed);

/*
 * Fills *cache from the options and --math; its warnings are printed. Returns false if no cache is
 * requested.
 */
bool prompt_cache_option(struct prompt_cache *cache, const struct saved_args *args, int math);

#endif
