/*
 * lanes_few.h - part of lanes_quants.h: products of a quantized matrix with a few vectors, about 2
 * to 32. Speculation, small batches and short prompts use it. Parameters, defined by dots_ISA.h:
 *
 *     FEW_VECTORS                    vectors that one pass over a block of a tile multiplies
 *     FEW_EACH(DO)                   DO(1) DO(2) ... DO(FEW_VECTORS)
 *     few_q4, few_q6, few_q8         values of few_tokens in the kernel table
 *     start_q4, start_q6             return the start value of a group's sum, 32 bits. Argument:
 *                                    the sum of the vector's integers over the group
 *     add_group_of_q4, _q6           add the products of one group and up to FEW_VECTORS vectors
 *
 * Types that store bytes use the register tile of GEMM, QUANT_TILES x QUANT_TOKENS.
 *
 * A product with one vector is limited by memory, with many vectors by arithmetic. With a few it is
 * close to both limits, so reading and arithmetic must overlap. Each weight is read from memory
 * once. As in GEMV, FEW_STREAMS tiles are read side by side, but a whole block of a tile at a time,
 * so that its sums stay in registers. While a block is multiplied, the next block of the same tile
 * is prefetched. Weights are unpacked in registers, once for FEW_VECTORS vectors, and never stored;
 * the passes for further vectors find the block in the L1 cache.
 */
#ifndef KERNELS_LANES_FEW_H
#define KERNELS_LANES_FEW_H

#include "kernels/few.h"

#define FEW_STREAMS 4
/* Vectors whose sums are kept in memory at a time: FEW_STREAMS * 4 KB at most. */
#define FEW_SUMS 32
_Static_assert(FEW_SUMS * sizeof(struct few_vector) <= QUANT_PANEL * QUANT_BLOCK, "quant_scratch is large enough");

/* Tiles and vectors that one pass over a block multiplies. */
#define FEW_TILES(type) ((type) == MAT_Q8 ? QUANT_TILES : 1)
#define FEW_BATCH(type) ((type) == MAT_Q8 ? 4 : FEW_VECTORS)

/* One block of adjacent tiles, tile_bytes apart. */
struct few_block {
    size_t tile_bytes;
    const uint8_t *q, *s;  /* the groups and their sub-block scales */
    const uint16_t *scale; /* [16] */
    const uint8_t *ahead;  /* to prefetch: `step` bytes of each tile per 64 bytes read */
    size_t step;
    int groups; /* of the block */
    bool first; /* the sums start here */
};

/* y[tile][FEW_SUMS][16] += the scaled sums of one block. */
typedef void few_fn(float *y, const struct few_block *block, const struct few_vector *x);

/* Copies a block of `tokens` vectors from vector `token` and block b on. */
ALWAYS_INLINE void few_copy(struct few_vector *to, const struct quants *x, int cols, size_t token, int b, int tokens,
                            enum mat_type type)
{
    const size_t groups = (size_t)quant_groups(cols), blocks = (size_t)quant_blocks(cols), first = (size_t)b * GROUPS;
    const int count = quant_groups_of(cols, b);
    for (int n = 0; n < tokens; n++, to++, token++) {
        const int16_t *const sum = x->sum + token * groups + first;
        memcpy(to->q, x->q + (token * groups + first) * QUANT_GROUP, (size_t)count * QUANT_GROUP);
        to->scale = x->scale[token * blocks + (size_t)b];
        if (type == MAT_Q8)
            to->start[0] = block_sum(sum, count);
        else
            for (int g = 0; g < count; g++)
                to->start[g] = type == MAT_Q4 ? start_q4(sum[g]) : start_q6(sum[g]);
    }
}

/*
 * Multiplies one block by all vectors, `batch` at a time. Each pass prefetches its part of the next
 * block, so that the memory is busy all the time.
 */
ALWAYS_INLINE void few_passes(float (*sums)[QUANT_ROWS], struct few_block *block, const struct few_vector *x, int count,
                              int batch, size_t bytes, few_fn *const *few)
{
    for (int n = 0; n < count; n += batch, block->ahead += bytes / 64 * block->step)
        few[count - n < batch ? count - n : batch](sums[n], block, x + n);
}

/*
 * Returns block b of `tiles` tiles. Also prefetches scales and sub-block scales: the part for one
 * block of those of the tiles FEW_STREAMS further on.
 */
ALWAYS_INLINE struct few_block few_block(const struct mat *w, enum mat_type type, int tile, int b, int tiles)
{
    const size_t at = (size_t)b, blocks = (size_t)quant_blocks(w->cols), tile_bytes = quant_tile_bytes(type, w->cols);
    const size_t block_bytes = GROUPS * quant_group_bytes(type), head_lines = quant_head_bytes(type, w->cols) / 64;
    const size_t share = (head_lines + blocks - 1) / blocks, end = (at + 1) * share;
    const struct quant_tile first = quant_tile(w, tile);
    const uint8_t *const next = (const uint8_t *)first.scale + FEW_STREAMS * tile_bytes;
    for (size_t t = 0; t < (size_t)tiles; t++)
        for (size_t line = at * share; line < (end < head_lines ? end : head_lines); line++)
            __builtin_prefetch(next + t * tile_bytes + 64 * line);
    return (struct few_block){
        .tile_bytes = tile_bytes,
        .q = first.q + at * block_bytes,
        .s = first.s + at * GROUPS * quant_s_bytes(type),
        .scale = first.scale + at * QUANT_ROWS,
        .ahead = at + 1 < blocks ? first.q + (at + 1) * block_bytes : next + 64 * head_lines,
        .groups = quant_groups_of(w->cols, b),
        .first = b == 0,
    };
}

/*
 * quant_few of the table for one type, a constant where inlined. one[n] multiplies one tile by n
 * vectors, many[n] multiplies FEW_TILES.
 */
ALWAYS_INLINE void quant_few(float *y, size_t ldy, const struct mat *w, enum mat_type type, const struct quants *x,
                             int tokens, int begin, int end, void *scratch, few_fn *const *one, few_fn *const *many)
{
    const int blocks = quant_blocks(w->cols), last = quant_tiles(end);
    struct few_vector *const vectors = scratch; /* [blocks][count] */
    if (begin >= end)
        return;
    for (int first = 0, count; first < tokens; first += count) {
        count = tokens - first < FEW_SUMS ? tokens - first : FEW_SUMS;
        const int passes = (count + FEW_BATCH(type) - 1) / FEW_BATCH(type), batch = (count + passes - 1) / passes;
        const size_t step = (size_t)((64 + passes - 1) / passes);
        for (int b = 0; b < blocks; b++)
            few_copy(vectors + (size_t)b * (size_t)count, x, w->cols, (size_t)first, b, count, type);
        for (int i = begin / QUANT_ROWS, tiles; i < last; i += tiles) {
            _Alignas(64) float sums[FEW_STREAMS][FEW_SUMS][QUANT_ROWS];
            tiles = last - i < FEW_STREAMS ? last - i : FEW_STREAMS;
            const bool together = tiles == FEW_STREAMS && FEW_STREAMS % FEW_TILES(type) == 0;
            for (int b = 0; b < blocks; b++)
                for (int t = 0; t < tiles; t += together ? FEW_TILES(type) : 1) {
                    struct few_block block = few_block(w, type, i + t, b, together ? FEW_TILES(type) : 1);
                    block.step = step;
                    few_passes(sums[t], &block, vectors + (size_t)b * (size_t)count, count, batch,
                               (size_t)block.groups * quant_group_bytes(type), together ? many : one);
                }
            for (int t = 0; t < tiles; t++)
                for (int n = 0; n < count; n++)
                    store_rows(y + (size_t)(first + n) * ldy, i + t, v_load(sums[t][n], 16), begin, end);
        }
    }
}

#endif
