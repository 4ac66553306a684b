/*
 * hash.h - a fast 128-bit hash: XXH3, in its variant for long inputs.
 *
 * The value is that of XXH3_128bits (xxh128sum) for inputs of more than 240 bytes. Shorter inputs
 * are padded with zeros to 241 bytes. The value is the same on every CPU. It detects accidental
 * changes; it does not resist deliberate collisions.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_STRIPE 64 /* bytes processed at a time */

struct hash {
    uint64_t lanes[8];
    uint64_t size;  /* total bytes so far */
    int stripe;     /* stripes since the last scramble */
    size_t waiting; /* bytes in `last` after the first HASH_STRIPE: 1 to HASH_STRIPE, or 0 before any input */
    uint8_t last[2 * HASH_STRIPE]; /* the previous stripe, then buffered bytes */
};

struct hash_value {
    uint64_t low, high;
};

void hash_begin(struct hash *h);
void hash_add(struct hash *h, const void *data, size_t size);
struct hash_value hash_end(struct hash *h);

#endif
