/*
 * ggml_blocks.c - see ggml_blocks.h.
 *
 * Loading a large file spends most of its time here, so compilers must be able to vectorise the
 * loops: each runs over 16 or 32 numbers with the same scales, without branches. `restrict` is
 * needed because a pointer to bytes, such as the input, may alias the output.
 */
#include "formats/ggml_blocks.h"

#include <assert.h>

#include "base/half.h"
#include "formats/little.h"

typedef void block_fn(const uint8_t *restrict block, float *restrict out);

static float half_at(const uint8_t *p)
{
    return f16_to_f32(little16(p));
}

static int nibble(uint8_t byte, int high)
{
    return high ? byte >> 4 : byte & 15;
}

/* ----------------------------------------- blocks of 32: the second half is in the high nibbles */

/* Layout: d | q 16 bytes, stored with an offset of 8 */
static void q4_0(const uint8_t *restrict b, float *restrict out)
{
    const float d = half_at(b);
    for (int i = 0; i < 16; i++)
        out[i] = d * (float)(nibble(b[2 + i], 0) - 8);
    for (int i = 0; i < 16; i++)
        out[16 + i] = d * (float)(nibble(b[2 + i], 1) - 8);
}

/* Layout: d | m | q 16 bytes */
static void q4_1(const uint8_t *restrict b, float *restrict out)
{
    const float d = half_at(b), m = half_at(b + 2);
    for (int i = 0; i < 16; i++)
        out[i] = d * (float)nibble(b[4 + i], 0) + m;
    for (int i = 0; i < 16; i++)
        out[16 + i] = d * (float)nibble(b[4 + i], 1) + m;
}

/*
 * Returns the five bits of number i of the lower (0) or upper (1) half. The low four are a nibble
 * of q; bit 4 is bit i of the 16 bits for this half.
 */
static int five_bits(const uint8_t *bits, int half, int i)
{
    return nibble(bits[4 + i], half) | (little16(bits + 2 * half) >> i & 1) << 4;
}

/* Layout: d | bits 4 bytes | q 16 bytes; q is stored with an offset of 16 */
static void q5_0(const uint8_t *restrict b, float *restrict out)
{
    const float d = half_at(b);
    for (int half = 0; half < 2; half++)
        for (int i = 0; i < 16; i++)
            out[half * 16 + i] = d * (float)(five_bits(b + 2, half, i) - 16);
}

/* Layout: d | m | bits 4 bytes | q 16 bytes */
static void q5_1(const uint8_t *restrict b, float *restrict out)
{
    const float d = half_at(b), m = half_at(b + 2);
    for (int half = 0; half < 2; half++)
        for (int i = 0; i < 16; i++)
            out[half * 16 + i] = d * (float)five_bits(b + 4, half, i) + m;
}

/* Layout: d | q 32 bytes */
static void q8_0(const uint8_t *restrict b, float *restrict out)
{
    const float d = half_at(b);
    for (int i = 0; i < 32; i++)
        out[i] = d * (float)(int8_t)b[2 + i];
}

/* The values of a nibble in IQ4_NL and IQ4_XS. They are non-linear: denser around zero. */
static const int8_t curve[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

/* Layout: d | q 16 bytes */
static void iq4_nl(const uint8_t *restrict b, float *restrict out)
{
    const float d = half_at(b);
    for (int i = 0; i < 16; i++) {
        out[i] = d * (float)curve[nibble(b[2 + i], 0)];
        out[16 + i] = d * (float)curve[nibble(b[2 + i], 1)];
    }
}

/* -------------------------------------------------------------------------------- blocks of 256 */

/*
 * Reads the 2-bit field of number i of group g of 16 in Q2_K and Q3_K. 64 bytes hold 256 numbers:
 * each half of 128 numbers has 32 bytes, and byte k holds numbers k, k + 32, k + 64 and k + 96 of
 * its half, the first in the lowest bits.
 */
static int pair_of_bits(const uint8_t *q, int g, int i)
{
    return q[g / 8 * 32 + g % 2 * 16 + i] >> g / 2 % 4 * 2 & 3;
}

/*
 * Layout:
 *
 *     16 bytes   one for each 16 numbers: s in the low nibble, t in the high nibble
 *     64 bytes   q, see pair_of_bits
 *      2 bytes   d
 *      2 bytes   m
 */
static void q2_k(const uint8_t *restrict b, float *restrict out)
{
    const float d = half_at(b + 80), m = half_at(b + 82);
    for (int g = 0; g < 16; g++) {
        const float scale = d * (float)nibble(b[g], 0), offset = m * (float)nibble(b[g], 1);
        for (int i = 0; i < 16; i++)
            out[g * 16 + i] = scale * (float)pair_of_bits(b + 16, g, i) - offset;
    }
}

/*
 * Layout:
 *
 *     32 bytes   high bits: bit g of byte k belongs to number k of group g of 32
 *     64 bytes   q, see pair_of_bits
 *     12 bytes   s of each 16 numbers, 6 bits each
 *                low four bits of s 0-7: low nibbles of bytes 0-7
 *                low four bits of s 8-15: high nibbles of bytes 0-7
 *                high two bits of s 4 j + k: bits 2 j and 2 j + 1 of byte 8 + k
 *      2 bytes   d
 *
 * s is stored with an offset of 32. If the high bit of a number is 0, 4 is subtracted from q.
 */
static void q3_k(const uint8_t *restrict b, float *restrict out)
{
    const uint8_t *scales = b + 96;
    const float d = half_at(b + 108);
    for (int g = 0; g < 16; g++) {
        const int s = nibble(scales[g % 8], g / 8) | (scales[8 + g % 4] >> g / 4 * 2 & 3) << 4;
        const float scale = d * (float)(s - 32);
        for (int i = 0; i < 16; i++) {
            const int q = pair_of_bits(b + 32, g, i) | (b[g % 2 * 16 + i] >> g / 2 & 1) << 2;
            out[g * 16 + i] = scale * (float)(q - 4);
        }
    }
}

/*
 * Layout:
 *
 *       2 bytes   d
 *       2 bytes   the high two bits of s of 8 groups
 *       4 bytes   the low four bits of s
 *     128 bytes   q, 16 bytes per group; its second half is in the high nibbles
 *
 * s is stored with an offset of 32.
 */
static void iq4_xs(const uint8_t *restrict b, float *restrict out)
{
    const float d = half_at(b);
    for (int g = 0; g < 8; g++) {
        const int s = nibble(b[4 + g / 2], g % 2) | (little16(b + 2) >> 2 * g & 3) << 4;
        const float scale = d * (float)(s - 32);
        for (int i = 0; i < 16; i++) {
            out[g * 32 + i] = scale * (float)curve[nibble(b[8 + g * 16 + i], 0)];
            out[g * 32 + 16 + i] = scale * (float)curve[nibble(b[8 + g * 16 + i], 1)];
        }
    }
}

/*
 * Reads the scale s and the offset t of one of 8 groups, 6 bits each, from 12 bytes:
 *
 *     bytes 0-3    low six bits: s of groups 0-3; top two bits: high bits of s of groups 4-7
 *     bytes 4-7    low six bits: t of groups 0-3; top two bits: high bits of t of groups 4-7
 *     bytes 8-11   low nibble: low bits of s of groups 4-7; high nibble: low bits of t
 */
static void scale_and_offset(const uint8_t *p, int group, float *s, float *t)
{
    if (group < 4) {
        *s = (float)(p[group] & 63);
        *t = (float)(p[group + 4] & 63);
    } else {
        *s = (float)((p[group + 4] & 15) | p[group - 4] >> 6 << 4);
        *t = (float)(p[group + 4] >> 4 | p[group] >> 6 << 4);
    }
}

/*
 * The common part of Q4_K and Q5_K. Layout: d | m | 12 bytes, see scale_and_offset | `high` | q
 *
 * Each 32 bytes of q hold group 2 p in their low nibbles and group 2 p + 1 in their high nibbles.
 * Bit g of byte i of `high` [32] is bit 4 of number i of group g; Q4_K has no such bits (NULL).
 */
static void scaled_groups(const uint8_t *b, const uint8_t *high, const uint8_t *q, float *restrict out)
{
    const float d = half_at(b), m = half_at(b + 2);
    for (int g = 0; g < 8; g++, out += 32) {
        float s, t;
        scale_and_offset(b + 4, g, &s, &t);
        const float scale = d * s, offset = m * t;
        const uint8_t *const low = q + g / 2 * 32;
        const int shift = g % 2 * 4;
        for (int i = 0; i < 32 && !high; i++)
            out[i] = scale * (float)(low[i] >> shift & 15) - offset;
        for (int i = 0; i < 32 && high; i++)
            out[i] = scale * (float)((low[i] >> shift & 15) | (high[i] >> g & 1) << 4) - offset;
    }
}

static void q4_k(const uint8_t *restrict b, float *restrict out)
{
    scaled_groups(b, NULL, b + 16, out);
}

static void q5_k(const uint8_t *restrict b, float *restrict out)
{
    scaled_groups(b, b + 16, b + 48, out);
}

/*
 * Layout:
 *
 *     128 bytes   low nibbles
 *      64 bytes   high two bits
 *      16 bytes   signed scales, one for each 16 numbers
 *       2 bytes   d
 *
 * Each half of 128 numbers has four quarters k of 32. Quarters 0 and 2 share 32 bytes of low
 * nibbles, 1 and 3 the next 32; all four share 32 bytes of high bits. q is stored with an offset of
 * 32.
 */
static void q6_k(const uint8_t *restrict b, float *restrict out)
{
    const uint8_t *scales = b + 192;
    const float d = half_at(b + 208);
    for (int g = 0; g < 16; g++) {
        const int half = g / 8, k = g / 2 % 4, at = g % 2 * 16;
        const uint8_t *const low = b + half * 64 + k % 2 * 32 + at, *const high = b + 128 + half * 32 + at;
        const float scale = d * (float)(int8_t)scales[g];
        const int low_shift = k / 2 * 4, high_shift = 2 * k;
        for (int i = 0; i < 16; i++)
            out[g * 16 + i] = scale * (float)(((low[i] >> low_shift & 15) | (high[i] >> high_shift & 3) << 4) - 32);
    }
}

void ggml_blocks_floats(enum dtype type, const uint8_t *blocks, size_t count, float *out)
{
    static block_fn *const functions[DT_COUNT] = {
        [DT_Q4_0] = q4_0, [DT_Q4_1] = q4_1, [DT_Q5_0] = q5_0, [DT_Q5_1] = q5_1, [DT_Q8_0] = q8_0, [DT_IQ4_NL] = iq4_nl,
        [DT_Q2_K] = q2_k, [DT_Q3_K] = q3_k, [DT_Q4_K] = q4_k, [DT_Q5_K] = q5_k, [DT_Q6_K] = q6_k, [DT_IQ4_XS] = iq4_xs,
    };
    assert(functions[type]);
    const size_t bytes = dtype_bits(type) / 8, elements = dtype_block(type);
    for (size_t i = 0; i < count; i++)
        functions[type](blocks + i * bytes, out + i * elements);
}
