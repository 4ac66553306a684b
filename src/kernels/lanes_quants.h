/*
 * lanes_quants.h - template of the kernels for quantized matrices (quants.h), and of quantizing
 * vectors, over sixteen lanes. Parameters, which the including file provides by including
 * lanes_ISA.h, dots_ISA.h and quads_ISA.h first:
 *
 *     w64, x4                        64 bytes of weights, [16 rows][4 columns]; 4 vector elements
 *     w_load, x_load                 load them
 *     n_start, n_dot4                start value of a sum; adds the products of w64 and x4 to it
 *     n_add_q4, n_add_q6             add the products of one group of a tile, s included
 *     nibble_bytes, six_bytes        unpack one group to bytes, multiplied by s
 *     QUANT_STREAMS                  tiles that GEMV processes at a time
 *     QUANT_TILES x QUANT_TOKENS     register tile of GEMM, in tiles of 16 rows by vectors
 *     QUANT_EACH_TOKENS(DO)          DO(1) DO(2) ... DO(QUANT_TOKENS)
 *     QUANT_PACKED                   defined if GEMM of q4 and q6 is quant_few
 *     FEW_VECTORS, ...               see lanes_few.h
 *     quad_*, nibbles_*              see quants_columns.h
 *
 * A lane is a row of a tile. The sums of a block are exact integers in any order, so only the
 * scaling at the end of a block is part of the numeric contract.
 *
 * GEMV is limited by memory bandwidth, which is highest when several streams are read at once, so
 * QUANT_STREAMS tiles are processed side by side. A stream consists of every QUANT_STREAMS-th tile
 * and is prefetched tuning_near and tuning_far bytes ahead; a call for the following rows continues the
 * streams.
 *
 * GEMM is limited by arithmetic. It multiplies QUANT_TILES tiles by up to QUANT_TOKENS vectors with
 * the sums of a block in registers. Types below 8 bits are unpacked to bytes, multiplied by s, 64
 * rows at a time, which stay in the L2 cache. With QUANT_PACKED they are unpacked in registers
 * (lanes_few.h), which is faster where unsigned products cost less than signed ones.
 *
 * lanes_quants_type.h generates the kernels of one type from n_add_TYPE, unpack_tile_TYPE and
 * add_columns_TYPE (quants_columns.h). A type that stores bytes needs only the last.
 */
#ifndef KERNELS_LANES_QUANTS_H
#define KERNELS_LANES_QUANTS_H

#include <math.h>
#include <string.h>

#include "base/fmath.h"
#include "kernels/kernels.h"
#include "kernels/quants.h"

#ifndef ALWAYS_INLINE
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#endif

#define GROUPS (QUANT_BLOCK / QUANT_GROUP) /* per block */
#define VECTORS (QUANT_GROUP / 4)          /* of 64 bytes, per group of Q8 */

/* Stores the sums of those rows of the tile that are in [begin, end). */
ALWAYS_INLINE void store_rows(float *y, int tile, v16 sums, int begin, int end)
{
    const int first = tile * QUANT_ROWS;
    const int first_row = begin > first ? begin : first, to = end < first + QUANT_ROWS ? end : first + QUANT_ROWS;
    float rows[QUANT_ROWS];
    if (to - first_row == QUANT_ROWS) {
        v_store(y + first, sums, QUANT_ROWS);
    } else {
        v_store(rows, sums, QUANT_ROWS);
        memcpy(y + first_row, rows + (first_row - first), (size_t)(to - first_row) * sizeof *y);
    }
}

/* Returns acc + the scaled sums of one block. scale: of 16 rows. */
ALWAYS_INLINE v16 add_block(v16 acc, n16 sums, const uint16_t *scale, float x_scale)
{
    return v_fma(v_from_ints(sums), v_mul(v_load_bf16(scale, QUANT_ROWS), v_set(x_scale)), acc);
}

/* Returns the sum of the vector's integers over one block. */
ALWAYS_INLINE int block_sum(const int16_t *sum, int groups)
{
    int total = 0;
    for (int g = 0; g < groups; g++)
        total += sum[g];
    return total;
}

/* ----------------------------------------------------------------------------------------- GEMM */

/* Adjacent tiles unpacked to bytes. Tile t starts at q + t * q_stride: [groups][8][16][4]. */
struct panel {
    const int8_t *q;
    const uint16_t *scale; /* of tile t at scale + t * scale_stride */
    size_t q_stride, scale_stride;
    int cols;
};

/*
 * sums[tile][token][16] = the exact sums of `count` > 0 lines of weights at q and vectors at x,
 * which are `cols` bytes apart. totals: the sum of the integers of each vector. If prefetch (a
 * constant) is true, each line that is multiplied prefetches the cache line at `ahead` in each
 * tile, and `ahead` advances by `step` bytes.
 */
ALWAYS_INLINE void multiply_block(float *sums, const int *totals, const int8_t *q, size_t q_stride, bool prefetch,
                                  const uint8_t *ahead, size_t step, const int8_t *x, size_t cols, int count, int tiles,
                                  int tokens)
{
    n16 acc[QUANT_TILES][QUANT_TOKENS];
    for (int t = 0; t < tiles; t++)
        for (int n = 0; n < tokens; n++)
            acc[t][n] = n_start(totals[n]);
    int i = 0;
    do {
        w64 w[QUANT_TILES];
        for (int t = 0; t < tiles; t++)
            w[t] = w_load(q + (size_t)t * q_stride + 64 * i);
        for (int t = 0; prefetch && t < tiles; t++)
            __builtin_prefetch(ahead + (size_t)t * q_stride + step * (size_t)i);
        for (int n = 0; n < tokens; n++) {
            const x4 v = x_load(x + (size_t)n * cols + 4 * i);
            for (int t = 0; t < tiles; t++)
                acc[t][n] = n_dot4(acc[t][n], w[t], v);
        }
    } while (++i < count);
    for (int t = 0; t < tiles; t++)
        for (int n = 0; n < tokens; n++)
            v_store(sums + 16 * (t * tokens + n), v_from_ints(acc[t][n]), 16);
}

/*
 * y[tile][token][16] = W x for adjacent tiles and vectors. tiles and tokens are constants where
 * inlined.
 */
ALWAYS_INLINE void multiply(float *y, const struct panel *p, const struct quants *x, int tiles, int tokens)
{
    const size_t cols = (size_t)quant_cols(p->cols), blocks = (size_t)quant_blocks(p->cols),
                 groups_per_vector = cols / QUANT_GROUP;
    for (size_t b = 0; b < blocks; b++) {
        const int groups = quant_groups_of(p->cols, (int)b);
        int totals[QUANT_TOKENS];
        float sums[16 * QUANT_TILES * QUANT_TOKENS];
        for (int n = 0; n < tokens; n++)
            totals[n] = block_sum(x->sum + (size_t)n * groups_per_vector + b * GROUPS, groups);
        multiply_block(sums, totals, p->q + b * QUANT_BLOCK * QUANT_ROWS, p->q_stride, false, NULL, 0,
                       x->q + b * QUANT_BLOCK, cols, groups * VECTORS, tiles, tokens);
        for (int t = 0; t < tiles; t++) {
            const v16 rows = v_load_bf16(p->scale + (size_t)t * p->scale_stride + b * QUANT_ROWS, QUANT_ROWS);
            for (int n = 0; n < tokens; n++) {
                const int offset = 16 * (t * tokens + n);
                const v16 scale = v_mul(rows, v_set(x->scale[(size_t)n * blocks + b]));
                v_store(y + offset, v_fma(v_load(sums + offset, 16), scale, b == 0 ? v_zero() : v_load(y + offset, 16)),
                        16);
            }
        }
    }
}

typedef void multiply_fn(float *y, const struct panel *p, const struct quants *x);
#define DEFINE_MULTIPLY(tokens)                                                                 \
    static void multiply_one_##tokens(float *y, const struct panel *p, const struct quants *x)  \
    {                                                                                           \
        multiply(y, p, x, 1, tokens);                                                           \
    }                                                                                           \
    static void multiply_many_##tokens(float *y, const struct panel *p, const struct quants *x) \
    {                                                                                           \
        multiply(y, p, x, QUANT_TILES, tokens);                                                 \
    }
QUANT_EACH_TOKENS(DEFINE_MULTIPLY)
#define NAME_ONE(tokens) [tokens] = multiply_one_##tokens,
#define NAME_MANY(tokens) [tokens] = multiply_many_##tokens,
static multiply_fn *const multiply_one[QUANT_TOKENS + 1] = {QUANT_EACH_TOKENS(NAME_ONE)};
static multiply_fn *const multiply_many[QUANT_TOKENS + 1] = {QUANT_EACH_TOKENS(NAME_MANY)};

typedef void unpack_tile_fn(int8_t *to, const struct quant_tile *tile, int cols);

#if !defined(QUANT_PACKED)
/* Unpack a tile to bytes, multiplied by s. */
static void unpack_tile_q4(int8_t *to, const struct quant_tile *tile, int cols)
{
    for (size_t g = 0; g < (size_t)quant_groups(cols); g++, to += sizeof(quant_group))
        nibble_bytes(to, tile->q + g * quant_group_bytes(MAT_Q4), tile->s + g * quant_s_bytes(MAT_Q4));
}
static void unpack_tile_q6(int8_t *to, const struct quant_tile *tile, int cols)
{
    for (size_t g = 0; g < (size_t)quant_groups(cols); g++, to += sizeof(quant_group))
        six_bytes(to, tile->q + g * quant_group_bytes(MAT_Q6), tile->s + g * quant_s_bytes(MAT_Q6));
}
#endif

/* GEMM with a matrix as bytes. unpack: converts a tile to bytes; NULL if the type stores bytes. */
ALWAYS_INLINE void quant_gemm(float *y, size_t ldy, const struct mat *w, enum mat_type type, const struct quants *x,
                              int tokens, int begin, int end, void *scratch, unpack_tile_fn *unpack)
{
    enum { TILES = QUANT_PANEL / QUANT_ROWS };
    const size_t cols = (size_t)quant_cols(w->cols), bytes = quant_tile_bytes(type, w->cols);
    if (begin >= end)
        return;
    for (int tile = begin / QUANT_ROWS, last = quant_tiles(end), count; tile < last; tile += count) {
        const struct quant_tile first = quant_tile(w, tile);
        struct panel panel = {(const int8_t *)first.q, first.scale, bytes, bytes / sizeof(uint16_t), w->cols};
        count = last - tile < TILES ? last - tile : TILES;
        if (unpack) {
            panel.q = scratch;
            panel.q_stride = cols * QUANT_ROWS;
            for (int t = 0; t < count; t++) {
                const struct quant_tile from = quant_tile(w, tile + t);
                unpack((int8_t *)scratch + (size_t)t * panel.q_stride, &from, w->cols);
            }
        }
        for (int n = 0, batch; n < tokens; n += batch) {
            const size_t first_token = (size_t)n;
            const struct quants vectors = {x->q + first_token * cols,
                                           x->scale + first_token * (size_t)quant_blocks(w->cols),
                                           x->sum + first_token * (cols / QUANT_GROUP)};
            batch = tokens - n < QUANT_TOKENS ? tokens - n : QUANT_TOKENS;
            for (int t = 0, tiles; t < count; t += tiles) {
                float sums[QUANT_TILES * QUANT_TOKENS * 16];
                struct panel part = panel;
                /* Both branches are equal where QUANT_TILES is 1. */
                tiles = t + QUANT_TILES <= count ? QUANT_TILES : 1; /* NOLINT(bugprone-branch-clone) */
                part.q += (size_t)t * panel.q_stride;
                part.scale += (size_t)t * panel.scale_stride;
                (tiles == 1 ? multiply_one : multiply_many)[batch](sums, &part, &vectors);
                for (int i = 0; i < tiles; i++)
                    for (int j = 0; j < batch; j++)
                        store_rows(y + (first_token + (size_t)j) * ldy, tile + t + i,
                                   v_load(sums + (i * batch + j) * 16, 16), begin, end);
            }
        }
    }
}

/* --------------------------------------------------------------------------- quantizing vectors */

/* Quantizes one block of `groups` groups. */
ALWAYS_INLINE void quantize_block(int8_t *q, float *scale, int16_t *sum, const float *x, int groups)
{
    v16 peaks = v_zero(), bad = v_zero();
    for (int i = 0; i < groups * QUANT_GROUP; i += 16) {
        const v16 v = v_load(x + i, 16);
        peaks = v_max(v_abs(v), peaks); /* ignores a NaN */
        bad = v_fma(v, v_zero(), bad);  /* a NaN or an infinity times 0 is a NaN */
    }
    const float largest = v_fold_max(peaks), invalid = v_fold(bad);
    float sums[GROUPS] = {0};
    if (invalid == 0.0f && largest >= QUANT_LEAST) {
        const v16 inverse = v_set(127.0f / largest), round = v_set(FMATH_ROUND);
        v16 pairs[GROUPS];
        *scale = largest / 127.0f;
        for (int g = 0; g < groups; g++) {
            const float *from = x + g * QUANT_GROUP;
            const v16 l = v_sub(v_add(v_mul(v_load(from, 16), inverse), round), round);
            const v16 h = v_sub(v_add(v_mul(v_load(from + 16, 16), inverse), round), round);
            v_store_bytes(q + g * QUANT_GROUP, l, h);
            pairs[g] = v_add(l, h);
        }
        for (int g = groups; g < GROUPS; g++)
            pairs[g] = v_zero();
        for (int g = 0; g < GROUPS; g += GEMV_ROWS)
            v_fold_rows(sums + g, pairs + g);
    } else {
        *scale = invalid == 0.0f ? 0.0f : NAN;
        memset(q, 0, (size_t)groups * QUANT_GROUP);
    }
    for (int g = 0; g < groups; g++)
        sum[g] = (int16_t)sums[g];
}

static void quantize(int8_t *q, float *scale, int16_t *sum, const float *x, int n)
{
    int i = 0;
    for (; i + QUANT_BLOCK <= n; i += QUANT_BLOCK, q += QUANT_BLOCK, sum += GROUPS)
        quantize_block(q, scale++, sum, x + i, GROUPS);
    if (i < n) {
        float last[QUANT_BLOCK] = {0};
        memcpy(last, x + i, (size_t)(n - i) * sizeof *x);
        quantize_block(q, scale, sum, last, quant_groups(n - i));
    }
}

/* -------------------------------------------------------------------------- quantizing matrices */

ALWAYS_INLINE v16 v_round_clamped(v16 x, v16 low, v16 high)
{
    const v16 round = v_set(FMATH_ROUND);
    return v_min(v_max(v_sub(v_add(x, round), round), low), high);
}

static void fit_rows(float *factor, const float *w)
{
    static const float trials[] = QUANT_TRIALS;
    const v16 low = v_set(-8.0f), high = v_set(7.0f);
    v16 peak = v_zero(), gain = v_zero(), fit = v_zero();
    for (int c = 0; c < QUANT_GROUP; c++) {
        const v16 x = v_load(w + c * QUANT_ROWS, 16);
        peak = v_if_less(v_abs(peak), v_abs(x), x, peak);
    }
    for (size_t i = 0; i < sizeof trials / sizeof trials[0]; i++) {
        const v16 inverse = v_if_less(v_abs(peak), v_set(QUANT_LEAST), v_zero(), v_div(v_set(trials[i]), peak));
        v16 wq = v_zero(), qq = v_zero();
        for (int c = 0; c < QUANT_GROUP; c++) {
            const v16 x = v_load(w + c * QUANT_ROWS, 16), q = v_round_clamped(v_mul(x, inverse), low, high);
            wq = v_add(wq, v_mul(x, q));
            qq = v_add(qq, v_mul(q, q));
        }
        const v16 best = v_if_less(v_zero(), qq, v_div(wq, qq), v_zero()), reduction = v_mul(best, wq);
        fit = v_if_less(gain, reduction, best, fit);
        gain = v_if_less(gain, reduction, reduction, gain);
    }
    v_store(factor, fit, 16);
}

static float peak(const float *x, int n)
{
    v16 largest = v_zero(), bad = v_zero();
    for (int i = 0; i < n; i += 16) {
        const v16 v = v_load(x + i, 16);
        largest = v_max(v_abs(v), largest); /* ignores a NaN */
        bad = v_fma(v, v_zero(), bad);      /* a NaN or an infinity times 0 is a NaN */
    }
    return v_fold(bad) == 0.0f ? v_fold_max(largest) : INFINITY;
}

static void round_row(int8_t *q, const float *x, float inverse, int n, float low, float high)
{
    const v16 scale = v_set(inverse), minimum = v_set(low), maximum = v_set(high);
    for (int i = 0; i < n; i += 32) {
        const v16 l = v_round_clamped(v_mul(v_load(x + i, 16), scale), minimum, maximum);
        const v16 h = v_round_clamped(v_mul(v_load(x + i + 16, 16), scale), minimum, maximum);
        v_store_bytes(q + i, l, h);
    }
}

#include "kernels/quants_columns.h"

#include "kernels/lanes_few.h"

/* Instantiate the kernels of each type. */
#define TYPE MAT_Q8
#define NAME(function) function##_q8
#define BYTES
#include "kernels/lanes_quants_type.h"
#define TYPE MAT_Q4
#define NAME(function) function##_q4
#include "kernels/lanes_quants_type.h"
#define TYPE MAT_Q6
#define NAME(function) function##_q6
#include "kernels/lanes_quants_type.h"

static void quants_init(struct kernels *k)
{
    init_q8(k);
    init_q4(k);
    init_q6(k);
    k->quantize = quantize;
    k->fit_rows = fit_rows;
    k->peak = peak;
    k->round_row = round_row;
}

#endif
