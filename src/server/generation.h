/*
 * generation.h - the fields common to all requests for generated text: sampling, limits, stop
 * strings.
 */
#ifndef SERVER_GENERATION_H
#define SERVER_GENERATION_H

#include "server/fields.h"
#include "server/state.h"

enum { GENERATION_STOPS = 16, GENERATION_CHOICES = 16, GENERATION_TOP = 20, GENERATION_SALT = 64 };

struct generation {
    struct rwkv7_sampler_options sampling;
    struct rwkv7_token_bias *biases; /* of sampling */
    uint64_t seed;                   /* of the first choice; each further one adds 1 */
    char *stops[GENERATION_STOPS + 4];
    size_t stop_count;
    size_t client_stops; /* how many of them, the first ones, are the client's */
    size_t choices;      /* per prompt */
    uint64_t max_tokens;
    bool ignore_end;
    struct rwkv7_grammar *grammar; /* of all texts; NULL: they are not constrained */
    int top;                       /* number of top log probabilities to report; -1: report none */
    bool stream, include_usage, cache;
    char salt[GENERATION_SALT + 1]; /* only prompts with the same one share cached states */
};

/*
 * Reads the fields. default_tokens: the default of max_tokens. The caller sets `top` and adds the
 * stop strings of a chat template. Call generation_free after a failure, too.
 */
bool generation_read(struct generation *g, const struct server *s, const struct fields *f, int64_t default_tokens);
/* Adds a stop string; false: out of memory. */
bool generation_add_stop(struct generation *g, const char *text, struct api_error *e);
void generation_free(struct generation *g);

/*
 * Returns the generator options for choice `index` of a prompt; they point into *g and *sampling.
 */
struct rwkv7_generator_options generation_options(const struct generation *g, size_t index,
                                                  struct rwkv7_sampler_options *sampling);

#endif
