/*
 * nearest.h - finds the tokens nearest to the best one: the shortest prefix of the order by
 * distance, and by id for equal distances, whose weights reach a sum or that has a number of
 * tokens.
 *
 * Nothing is sorted. Ranges of distances are tried from the nearest on, until the end of the prefix
 * lies in one. A sample of its tokens narrows a range with many tokens down. The few tokens that
 * are left are candidates, and a variant of quickselect finds the end of the prefix among them.
 */
#ifndef TEXT_NEAREST_H
#define TEXT_NEAREST_H

#include "text/weigh.h"

#define NEAREST_ONE 0x1p32 /* weight of the best token; sums are at most 2^52, exact in a double too */

struct candidate {
    uint64_t key; /* bits of the distance (never negative), then the id: sorts like the order of tokens */
    uint64_t weight;
};

/* The tokens nearer than `candidates`, and those. */
struct nearest {
    float from;                   /* candidates have at least this distance, all others less */
    uint64_t mass;                /* sum of the weights of the nearer ones */
    size_t count;                 /* number of them */
    struct candidate *candidates; /* [room: all tokens] */
    size_t candidate_count;
};

uint64_t nearest_key(float distance, uint32_t id);
float nearest_distance(uint64_t key);

/*
 * Finds candidates that include the end of the shortest prefix whose weights reach `wanted` or that
 * has `limit` tokens. If there is no such prefix, the candidates are the last tokens at a finite
 * distance; possibly none. They include all tokens with the distance of any of them. w: the
 * weights, whose sum is `total`. bits [b->count]: scratch.
 */
void nearest_find(const struct weigh *loops, const struct weigh_blocks *b, const float *w, double total,
                  uint64_t wanted, size_t limit, uint64_t *bits, struct nearest *n);
/*
 * Returns how many of the candidates belong to the shortest prefix, and rearranges them so that
 * these come first, the farthest of them last; all of them if none is shorter.
 */
size_t nearest_end(struct nearest *n, size_t candidates, uint64_t wanted, size_t limit);

#endif
