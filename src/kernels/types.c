/*
 * types.c - the functions of the weight types (types.h): packing, unpacking and quantizing.
 *
 * The integers that quantization produces are part of the numeric contract, so quantize_* are
 * defined to the bit. The expensive loops are kernels (peak, round_row, fit_rows).
 */
#include "kernels/types.h"

#include <math.h>
#include <string.h>

#include "base/half.h"
#include "base/transpose.h"

enum { ROWS = QUANT_ROWS, GROUP = QUANT_GROUP, LINE = 4 * QUANT_ROWS /* bytes */ };

/* --------------------------------------------------------------------------------------- scales */

/* Returns the upper half of a float32 >= 0, rounded away from zero. */
static uint16_t scale_up(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (uint16_t)((bits + 0xffff) >> 16);
}

/* Returns the scale that maps `peak` to the integer `target`. */
static uint16_t scale_for(float peak, float target)
{
    return peak < QUANT_LEAST ? 0 : scale_up(peak / target);
}

void quant_unpack_s(enum mat_type type, int8_t s[ROWS], const uint8_t *from)
{
    const int bits = weight_types[type].s_bits, low = weight_types[type].s_low;
    for (int r = 0; r < ROWS; r++)
        s[r] = (int8_t)(bits == 0   ? 1
                        : bits == 8 ? from[r]
                                    : low + (from[r * bits / 8] >> r * bits % 8 & ((1 << bits) - 1)));
}
void quant_pack_s(enum mat_type type, uint8_t *to, const int8_t s[ROWS])
{
    const int bits = weight_types[type].s_bits, low = weight_types[type].s_low;
    memset(to, 0, (size_t)(ROWS * bits / 8));
    for (int r = 0; bits > 0 && r < ROWS; r++)
        to[r * bits / 8] |= (uint8_t)((unsigned)(bits == 8 ? s[r] : s[r] - low) << r * bits % 8);
}

/* ---------------------------------------------------------------------- q8: one byte per weight */

void unpack_group_q8(quant_group q, const uint8_t *group)
{
    memcpy(q, group, sizeof(quant_group));
}
void pack_group_q8(uint8_t *group, const quant_group q)
{
    memcpy(group, q, sizeof(quant_group));
}
void unpack_section_q8(int8_t q[QUANT_SECTION], const uint8_t *section)
{
    memcpy(q, section, QUANT_SECTION);
}
void pack_rows_q8(uint8_t *section, int part, const int8_t q[ROWS])
{
    memcpy(section + part * ROWS, q, ROWS);
}

/* The scale maps the largest magnitude of a block to 127. */
void quantize_q8(const struct kernels *k, const float *w, size_t stride, int columns, const float peaks[ROWS],
                 struct quant_block *out)
{
    for (int r = 0; r < ROWS; r++, w += stride) {
        out->scale[r] = scale_for(peaks[r], 127.0f);
        const float inverse = out->scale[r] ? 1.0f / bf16_to_f32(out->scale[r]) : 0.0f;
        k->round_row(out->q[r], w, inverse, columns, -127.0f, 127.0f);
    }
}

/* --------------------------------------------------------------------- q4: two weights per byte */

void unpack_group_q4(quant_group q, const uint8_t *group)
{
    for (int i = 0; i < 4 * LINE; i++) {
        q[i] = (int8_t)((group[i] & 15) - 8);
        q[4 * LINE + i] = (int8_t)((group[i] >> 4) - 8);
    }
}
void pack_group_q4(uint8_t *group, const quant_group q)
{
    for (int i = 0; i < 4 * LINE; i++)
        group[i] = (uint8_t)((q[i] + 8) | (q[4 * LINE + i] + 8) << 4);
}
void unpack_section_q4(int8_t q[QUANT_SECTION], const uint8_t *section)
{
    for (int part = 0; part < QUANT_SECTION / ROWS; part++)
        for (int r = 0; r < ROWS / 2; r++) {
            const uint8_t packed = section[part * (ROWS / 2) + r];
            q[part * ROWS + r] = (int8_t)((packed & 15) - 8);
            q[part * ROWS + r + ROWS / 2] = (int8_t)((packed >> 4) - 8);
        }
}
void pack_rows_q4(uint8_t *section, int part, const int8_t q[ROWS])
{
    for (int r = 0; r < ROWS / 2; r++)
        section[part * (ROWS / 2) + r] = (uint8_t)((q[r] + 8) | (q[r + ROWS / 2] + 8) << 4);
}

/* Returns x rounded to the nearest integer, ties to even, for |x| < 2^22, then clamped. */
static float round_clamped(float x, float low, float high)
{
    x = (x + 0x1.8p23f) - 0x1.8p23f;
    x = x < low ? low : x;
    return x > high ? high : x;
}

/*
 * fit_rows finds a factor for each group: it tries a few that map the largest weight close to -8,
 * computes the best factor for the resulting integers by least squares, and keeps the trial with
 * the smallest squared error. The block's scale maps the largest of these factors to s = 15; the
 * other s are rounded. Weights of about 1e36 overflow the sums; the scale is then a NaN.
 */
void quantize_q4(const struct kernels *k, const float *w, size_t stride, int columns, const float peaks[ROWS],
                 struct quant_block *out)
{
    float factor[QUANT_BLOCK / GROUP][ROWS], interleaved[GROUP][ROWS];
    const int groups = columns / GROUP;
    (void)peaks; /* not used: fit_rows finds the scales */
    for (int g = 0; g < groups; g++) {
        transpose(interleaved, ROWS, w + g * GROUP, stride, ROWS, GROUP, sizeof(float));
        k->fit_rows(factor[g], interleaved[0]);
    }
    for (int r = 0; r < ROWS; r++, w += stride) {
        float peak = 0.0f;
        for (int g = 0; g < groups; g++)
            peak = fabsf(factor[g][r]) > peak ? fabsf(factor[g][r]) : peak;
        out->scale[r] = peak < INFINITY ? scale_for(peak, 15.0f) : QUANT_SCALE_NAN;
        const float unit = bf16_to_f32(out->scale[r]);
        const bool usable = out->scale[r] != 0 && out->scale[r] != QUANT_SCALE_NAN;
        for (int g = 0; g < groups; g++) {
            const float s = usable ? round_clamped(factor[g][r] / unit, -15.0f, 15.0f) : 0.0f;
            out->s[g][r] = (int8_t)s;
            k->round_row(out->q[r] + g * GROUP, w + g * GROUP, s == 0.0f ? 0.0f : 1.0f / (s * unit), GROUP, -8.0f,
                         7.0f);
        }
    }
}

/* -------------------------------------------------------------------- q6: 4 + 2 bits per weight */

void unpack_group_q6(quant_group q, const uint8_t *group)
{
    for (int half = 0; half < 2; half++)
        for (int v = 0; v < 4; v++)
            for (int i = 0; i < LINE; i++) {
                const int low = group[v * LINE + i] >> 4 * half & 15, high = group[(4 + half) * LINE + i] >> 2 * v & 3;
                q[(4 * half + v) * LINE + i] = (int8_t)((low | high << 4) - 32);
            }
}
void pack_group_q6(uint8_t *group, const quant_group q)
{
    for (int i = 0; i < 4 * LINE; i++)
        group[i] = (uint8_t)(((q[i] + 32) & 15) | ((q[4 * LINE + i] + 32) & 15) << 4);
    for (int half = 0; half < 2; half++)
        for (int i = 0; i < LINE; i++) {
            int high = 0;
            for (int v = 0; v < 4; v++)
                high |= (q[(4 * half + v) * LINE + i] + 32) >> 4 << 2 * v;
            group[(4 + half) * LINE + i] = (uint8_t)high;
        }
}
/*
 * A section is 32 bytes as in q4, then 4 bytes for each 16 rows; byte i holds the upper bits of
 * rows i, 4 + i, 8 + i and 12 + i, from bit 0 upwards.
 */
void unpack_section_q6(int8_t q[QUANT_SECTION], const uint8_t *section)
{
    for (int part = 0; part < QUANT_SECTION / ROWS; part++)
        for (int r = 0; r < ROWS; r++) {
            const int low = section[part * 8 + r % 8] >> 4 * (r / 8) & 15;
            const int high = section[QUANT_SECTION / 2 + part * 4 + r % 4] >> 2 * (r / 4) & 3;
            q[part * ROWS + r] = (int8_t)((low | high << 4) - 32);
        }
}
void pack_rows_q6(uint8_t *section, int part, const int8_t q[ROWS])
{
    for (int r = 0; r < ROWS / 2; r++)
        section[part * 8 + r] = (uint8_t)(((q[r] + 32) & 15) | ((q[r + ROWS / 2] + 32) & 15) << 4);
    for (int i = 0; i < 4; i++)
        section[QUANT_SECTION / 2 + part * 4 + i] = (uint8_t)((q[i] + 32) >> 4 | (q[4 + i] + 32) >> 4 << 2 |
                                                              (q[8 + i] + 32) >> 4 << 4 | (q[12 + i] + 32) >> 4 << 6);
}

/*
 * The scale maps the largest magnitude of a block to 4 * 31. Each group takes the smallest s for
 * which its largest magnitude is at most 32 before rounding; then q is clamped to -32 .. 31.
 */
void quantize_q6(const struct kernels *k, const float *w, size_t stride, int columns, const float peaks[ROWS],
                 struct quant_block *out)
{
    for (int r = 0; r < ROWS; r++, w += stride) {
        const uint16_t scale = out->scale[r] = scale_for(peaks[r], 124.0f);
        const float unit = bf16_to_f32(scale);
        for (int c = 0; c < columns; c += GROUP) {
            const float peak = k->peak(w + c, GROUP);
            const int s = 1 + (peak > 32.0f * unit) + (peak > 64.0f * unit) + (peak > 96.0f * unit);
            out->s[c / GROUP][r] = (int8_t)(scale ? s : 1);
            k->round_row(out->q[r] + c, w + c, scale ? 1.0f / ((float)s * unit) : 0.0f, GROUP, -32.0f, 31.0f);
        }
    }
}
