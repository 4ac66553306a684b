/*
 * hash.c - see hash.h.
 *
 * XXH3 has eight 64-bit lanes. The input is processed in stripes of 64 bytes, 8 for each lane.
 * These eight bytes are added to the neighbouring lane unchanged. They are also XORed with eight
 * bytes of a constant called the secret, and the product of the two 32-bit halves of the result is
 * added to the lane itself. The next stripe starts 8 bytes later in the secret. After 16 stripes
 * the secret is used up and the lanes are scrambled. At the end, the last 64 bytes of the input are
 * processed once more with an unaligned part of the secret, and the lanes are folded to 128 bits.
 */
#include "base/hash.h"

#include <string.h>

#define PRIME32_1 0x9e3779b1u
#define PRIME32_2 0x85ebca77u
#define PRIME32_3 0xc2b2ae3du
#define PRIME64_1 0x9e3779b185ebca87u
#define PRIME64_2 0xc2b2ae3d27d4eb4fu
#define PRIME64_3 0x165667b19e3779f9u
#define PRIME64_4 0x85ebca77c2b2ae63u
#define PRIME64_5 0x27d4eb2f165667c5u
#define PRIME_MIX 0x165667919e3779f9u

enum { LANES = 8, STRIPES = 16, SECRET = 192, LEAST = 241 };

/* The default secret of XXH3: random bytes. */
static const uint8_t secret[SECRET] = {
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c, 0xde, 0xd4,
    0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f, 0xcb, 0x79, 0xe6, 0x4e,
    0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21, 0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43,
    0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c, 0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb,
    0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3, 0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19,
    0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8, 0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7,
    0xc7, 0x0b, 0x4f, 0x1d, 0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78,
    0x73, 0x64, 0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
    0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e, 0x2b, 0x16,
    0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce, 0x45, 0xcb, 0x3a, 0x8f,
    0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
};

/* Little-endian, like all supported machines (cmake/Target.cmake). */
static inline uint64_t word(const uint8_t *from)
{
    uint64_t x;
    memcpy(&x, from, sizeof x);
    return x;
}

static inline void take_in(uint64_t lanes[LANES], const uint8_t *stripe, const uint8_t *key)
{
    for (int i = 0; i < LANES; i++) {
        const uint64_t x = word(stripe + 8 * i), mixed = x ^ word(key + 8 * i);
        lanes[i ^ 1] += x;
        lanes[i] += (uint64_t)(uint32_t)mixed * (mixed >> 32);
    }
}

static void scramble(uint64_t lanes[LANES])
{
    for (int i = 0; i < LANES; i++)
        lanes[i] = (lanes[i] ^ lanes[i] >> 47 ^ word(secret + SECRET - HASH_STRIPE + 8 * i)) * PRIME32_1;
}

/* Processes stripes that are not the end of the input. */
static void take_stripes(struct hash *h, const uint8_t *data, size_t stripes)
{
    uint64_t lanes[LANES]; /* in registers */
    int stripe = h->stripe;
    memcpy(lanes, h->lanes, sizeof lanes);
    for (; stripes > 0; stripes--, data += HASH_STRIPE) {
        take_in(lanes, data, secret + 8 * stripe);
        if (++stripe == STRIPES) {
            scramble(lanes);
            stripe = 0;
        }
    }
    memcpy(h->lanes, lanes, sizeof lanes);
    h->stripe = stripe;
}

void hash_begin(struct hash *h)
{
    *h = (struct hash){
        .lanes = {PRIME32_3, PRIME64_1, PRIME64_2, PRIME64_3, PRIME64_4, PRIME32_2, PRIME64_5, PRIME32_1}};
}

void hash_add(struct hash *h, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    uint8_t *const held = h->last + HASH_STRIPE;
    h->size += size;
    if (h->waiting + size >
        HASH_STRIPE) { /* more data follows the buffered bytes, so they are not the end of the input */
        if (h->waiting > 0) {
            const size_t missing = HASH_STRIPE - h->waiting;
            memcpy(held + h->waiting, bytes, missing);
            take_stripes(h, held, 1);
            memcpy(h->last, held, HASH_STRIPE);
            h->waiting = 0;
            bytes += missing;
            size -= missing;
        }
        const size_t stripes = (size - 1) / HASH_STRIPE;
        if (stripes > 0) {
            take_stripes(h, bytes, stripes);
            bytes += stripes * HASH_STRIPE;
            size -= stripes * HASH_STRIPE;
            memcpy(h->last, bytes - HASH_STRIPE, HASH_STRIPE);
        }
    }
    if (size > 0)
        memcpy(held + h->waiting, bytes, size);
    h->waiting += size;
}

/* Returns the XOR of the two halves of the 128-bit product. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    const uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    const uint64_t low = a0 * b0, cross = (low >> 32) + (uint32_t)(a1 * b0) + a0 * b1;
    const uint64_t high = (cross >> 32) + (a1 * b0 >> 32) + a1 * b1;
    return (cross << 32 | (uint32_t)low) ^ high;
}

static uint64_t merge(const uint64_t lanes[LANES], const uint8_t *key, uint64_t start)
{
    uint64_t x = start;
    for (int i = 0; i < LANES; i += 2)
        x += fold(lanes[i] ^ word(key + 8 * i), lanes[i + 1] ^ word(key + 8 * i + 8));
    x = (x ^ x >> 37) * PRIME_MIX;
    return x ^ x >> 32;
}

struct hash_value hash_end(struct hash *h)
{
    static const uint8_t zeroes[LEAST];
    if (h->size < LEAST)
        hash_add(h, zeroes, LEAST - (size_t)h->size);
    take_in(h->lanes, h->last + h->waiting, secret + SECRET - HASH_STRIPE - 7);
    return (struct hash_value){
        merge(h->lanes, secret + 11, h->size * PRIME64_1),
        merge(h->lanes, secret + SECRET - HASH_STRIPE - 11, ~(h->size * PRIME64_2)),
    };
}
