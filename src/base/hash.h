/*
 * hash.h - a fast hash of 128 bits: XXH3, the form for long inputs.
 *
 * The value is that of XXH3_128bits (xxh128sum) for more than 240 bytes. Shorter inputs count as if zeroes followed, up to 241 bytes. It
 * is the same on every CPU. Good against accidents; not against somebody who looks for two inputs with one hash.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_STRIPE 64 /* bytes taken in at a time */

struct hash {
    uint64_t lanes[8];
    uint64_t size;  /* bytes so far */
    int stripe;     /* stripes since the lanes were scrambled */
    size_t waiting; /* bytes in `last` behind the first HASH_STRIPE: 1 to HASH_STRIPE once there are any */
    uint8_t last[2 * HASH_STRIPE]; /* the stripe that was taken in last, and what waits for more bytes or for the end */
};

struct hash_value {
    uint64_t low, high;
};

void hash_begin(struct hash *h);
void hash_add(struct hash *h, const void *data, size_t size);
struct hash_value hash_end(struct hash *h);

#endif
