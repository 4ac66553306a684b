/* sampler_state.h - the fields of a sampler, for sampler.c and sampler_memory.c. */
#ifndef TEXT_SAMPLER_STATE_H
#define TEXT_SAMPLER_STATE_H

#include "text/nearest.h"
#include "text/sampler.h"

struct rwkv7_sampler {
    struct rwkv7_sampler_options options;
    struct rwkv7_token_bias *biases; /* copy of options.biases */
    uint64_t random;                 /* state of the random number generator */
    int vocab;
    float scale; /* 1 / temperature */

    const struct weigh *loops;
    struct weigh_blocks blocks; /* of `logits` */
    float *logits;              /* [blocks][BLOCK]: with bias and penalties; padded with -infinity */
    float *weights;             /* [blocks][BLOCK]: at temperature 1 */
    float *scaled;              /* [blocks][BLOCK]: at another temperature, of the kept tokens */
    uint64_t *bits;             /* [blocks] */
    struct nearest nearest;     /* candidates [vocab] */

    float *counts;  /* [vocab]: decayed counts of occurrences */
    uint32_t *seen; /* [vocab]: tokens drawn so far */
    size_t seen_count;
    uint8_t *flags; /* [vocab] */

    uint32_t *textless; /* [textless_count]: ids without text, which are never drawn */
    size_t textless_count;
};

enum { SEEN = 1, UNCOUNTED = 2 }; /* SEEN: drawn before; UNCOUNTED: exempt from the frequency penalty */

#endif
