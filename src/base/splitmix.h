/*
 * splitmix.h - the random number generator SplitMix64 (Steele, Lea, Flood 2014): the n-th output is
 * a hash of seed + n * constant.
 */
#ifndef BASE_SPLITMIX_H
#define BASE_SPLITMIX_H

#include <stdint.h>

#define SPLITMIX_STEP 0x9e3779b97f4a7c15u

static inline uint64_t splitmix_hash(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static inline uint64_t splitmix_next(uint64_t *state)
{
    return splitmix_hash(*state += SPLITMIX_STEP);
}

#endif
