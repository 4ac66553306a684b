/* sampler_state.h - the fields of a sampler, for sampler.c and sampler_memory.c. */
#ifndef TEXT_SAMPLER_STATE_H
#define TEXT_SAMPLER_STATE_H

#include "text/sampler.h"

struct candidate {
    uint64_t key; /* bits of the distance (never negative), then the id: sorts like the order of tokens */
    uint64_t weight;
};

struct rwkv7_sampler {
    struct rwkv7_sampler_options options;
    struct rwkv7_token_bias *biases; /* copy of options.biases */
    uint64_t random;                 /* state of the random number generator */
    int vocab;
    float scale; /* 1 / temperature */

    size_t blocks;
    float *logits;     /* [blocks][BLOCK]: with bias and penalties; padded with -infinity */
    float *block_best; /* [blocks]: best logit of each block */
    float best;

    struct candidate *candidates; /* [vocab] */
    size_t candidate_count;

    float *counts;  /* [vocab]: decayed counts of occurrences */
    uint32_t *seen; /* [vocab]: tokens drawn so far */
    size_t seen_count;
    uint8_t *flags; /* [vocab] */

    uint32_t *textless; /* [textless_count]: ids without text, which are never drawn */
    size_t textless_count;
};

enum { SEEN = 1, UNCOUNTED = 2 }; /* SEEN: drawn before; UNCOUNTED: exempt from the frequency penalty */

#endif
