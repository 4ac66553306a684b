/*
 * weigh.h - the loops of the sampler and of log probabilities over all logits, for several
 * instruction sets.
 *
 * Logits are in blocks of WEIGH_BLOCK, padded with -infinity. The distance of a logit is (best -
 * logit), its weight e^(-distance * scale), rounded to a multiple of 2^-32. A float holds such a
 * weight exactly, and a double the sum of all of them, so neither the order of additions nor the
 * instruction set matters: all tiers give the same bits.
 *
 * The loops are written once (weigh_loops.h) and compiled for each instruction set.
 */
#ifndef TEXT_WEIGH_H
#define TEXT_WEIGH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/target.h"

enum { WEIGH_BLOCK = 64 };
#define WEIGH_FAR 24.0f /* weights of tokens at this distance or farther are 0: e^-24 < 2^-33 */

enum { WEIGH_PART = 256 };
#define WEIGH_PART_FAR 80.0f /* maximum distance from the best logit: e^-80 is lost in a sum >= 1 */

/* Blocks of logits. */
struct weigh_blocks {
    const float *x;    /* [count][WEIGH_BLOCK] */
    float *block_best; /* [count] */
    size_t count;
    float best;
};

/* The tokens nearer than a range of distances, and those in it. */
struct weigh_range {
    double nearer, mass; /* sums of their weights */
    size_t nearer_count, count;
};

struct weigh {
    const char *name;
    /* Finds block_best and best. Returns whether no logit is NaN or +infinity. */
    bool (*find_best)(struct weigh_blocks *b);
    /* Stores the weights w [count][WEIGH_BLOCK]; returns their sum. */
    double (*weights)(const struct weigh_blocks *b, float scale, float *w);
    /* Finds the tokens with distances in [from, to): stores a bit for each in bits [count]. */
    struct weigh_range (*range)(const struct weigh_blocks *b, const float *w, float from, float to, uint64_t *bits);
    /* For log probabilities: the largest of WEIGH_PART logits. */
    float (*part_best)(const float *x);
    /* The sum of e^(x - best) over WEIGH_PART logits, in float32 and in one order. */
    float (*part_sum)(const float *x, float best);
};

/* Returns the loops for this CPU. */
const struct weigh *weigh_loops(void);
/* Returns those of tier `i`, slowest first; NULL: no more, or this CPU lacks it. For tests. */
const struct weigh *weigh_tier(size_t i);

extern const struct weigh weigh_avx2, weigh_avx512;

#endif
