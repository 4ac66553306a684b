/*
 * quants.h - matrices of 8- and 4-bit integers, and the 8-bit vectors that they are multiplied by: formats and their memory.
 *
 * A row is cut into blocks of 256 columns, a block into groups of 32. With integers q and one float32 number `scale` per block
 *     Q8   w = scale * q            q in -127 .. 127
 *     Q4   w = scale * s * q        q in -8 .. 7 per weight, s in -15 .. 15 per group
 *     x      = scale * q            q in -127 .. 127, the vector
 * so the products of a block are one exact integer sum (s * q fits into 8 bits, the sum into 24), however it is computed; only
 * the sums of blocks are added in floating point, in rising order. Scales of matrices are stored as the upper halves of float32
 * (bfloat16), rounded away from zero: a whole exponent range, and no float16 unit needed.
 *
 * Rows are interleaved so that a vector lane is a row: tiles of 16 rows, padded with zeroes, and in a tile four neighbouring
 * columns of 16 rows make 64 bytes, which is what the integer dot products of x86 and Arm and the tiles of AMX take as they are.
 * Columns are padded with zeroes to a multiple of 64. One tile, in this order, without gaps except before `q`, which begins on a
 * multiple of 64 bytes:
 *     scale  uint16  [blocks][16]
 *     s      int8    [groups][16]         Q4 only
 *     q      Q8: int8  [groups][8][16][4] columns 4 i .. 4 i + 3 of the group for 16 rows, i = 0 .. 7
 *            Q4: uint8 [groups][4][16][4] q + 8 in 4 bits: columns 4 i .. 4 i + 3 in the low, 16 + 4 i .. in the high halves, i = 0 .. 3
 */
#ifndef KERNELS_QUANTS_H
#define KERNELS_QUANTS_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"

#define QUANT_ROWS 16   /* rows of a tile */
#define QUANT_GROUP 32  /* columns that share s, and a sum of the vector */
#define QUANT_BLOCK 256 /* columns that share a scale */
#define QUANT_PAD 64    /* columns are padded to a multiple of this */

/* What the largest number of a group of Q4 is mapped to, in trials: -8 itself, a little less, and a little more, to be cut off. */
#define QUANT_TRIALS        \
    {                       \
        -7.3f, -8.0f, -8.7f \
    }

static inline int quant_cols(int cols)
{
    return (cols + QUANT_PAD - 1) / QUANT_PAD * QUANT_PAD;
}
static inline int quant_groups(int cols)
{
    return quant_cols(cols) / QUANT_GROUP;
}
static inline int quant_blocks(int cols)
{
    return (cols + QUANT_BLOCK - 1) / QUANT_BLOCK;
}
/* Groups of block b: 8 but for the last. */
static inline int quant_groups_of(int cols, int b)
{
    const int left = quant_groups(cols) - b * (QUANT_BLOCK / QUANT_GROUP);
    return left < QUANT_BLOCK / QUANT_GROUP ? left : QUANT_BLOCK / QUANT_GROUP;
}

/* Bytes of a group's integers in a tile. */
static inline size_t quant_group_bytes(enum mat_type type)
{
    return type == MAT_Q8 ? QUANT_ROWS * QUANT_GROUP : QUANT_ROWS * QUANT_GROUP / 2;
}
/* Bytes before a tile's integers. */
static inline size_t quant_head_bytes(enum mat_type type, int cols)
{
    const size_t scales = (size_t)quant_blocks(cols) * QUANT_ROWS * sizeof(uint16_t);
    const size_t s = type == MAT_Q4 ? (size_t)quant_groups(cols) * QUANT_ROWS : 0;
    return (scales + s + 63) / 64 * 64;
}
static inline size_t quant_tile_bytes(enum mat_type type, int cols)
{
    return quant_head_bytes(type, cols) + (size_t)quant_groups(cols) * quant_group_bytes(type);
}
static inline int quant_tiles(int rows)
{
    return (rows + QUANT_ROWS - 1) / QUANT_ROWS;
}

/*
 * By column (struct mat, by_column): all rows of a column lie together, padded with zeroes to a multiple of 64, so that columns that
 * are multiplied by zero need not be read. In this order, all on multiples of 64 bytes but for the last in Q4, on 32:
 *     scale  uint16  [blocks][padded rows]
 *     s      int8    [groups][padded rows]   Q4 only
 *     q      Q8: int8 [cols][padded rows]
 *            Q4: uint8 [cols][padded rows / 2]  q + 8 in 4 bits: of 16 rows the first 8 in the low, the others in the high halves
 */
#define QUANT_SECTION 64

static inline size_t quant_padded_rows(int rows)
{
    return ((size_t)rows + QUANT_SECTION - 1) / QUANT_SECTION * QUANT_SECTION;
}
/* Bytes of one column, and of what comes before the first. */
static inline size_t quant_column_bytes(enum mat_type type, int rows)
{
    return quant_padded_rows(rows) / (type == MAT_Q8 ? 1 : 2);
}
static inline size_t quant_columns_head(enum mat_type type, int rows, int cols)
{
    const size_t s = type == MAT_Q4 ? (size_t)quant_groups(cols) : 0;
    return quant_padded_rows(rows) * ((size_t)quant_blocks(cols) * sizeof(uint16_t) + s);
}

struct quant_columns {
    const uint16_t *scale; /* [blocks][padded rows] */
    const int8_t *s;       /* [groups][padded rows]; Q4 */
    const uint8_t *q;      /* [cols][quant_column_bytes] */
};
static inline struct quant_columns quant_columns(const struct mat *w)
{
    const uint8_t *at = w->data;
    return (struct quant_columns){(const uint16_t *)(const void *)at,
                                  (const int8_t *)at +
                                      quant_padded_rows(w->rows) * (size_t)quant_blocks(w->cols) * sizeof(uint16_t),
                                  at + quant_columns_head(w->type, w->rows, w->cols)};
}

/* Bytes of a matrix of integers. */
static inline size_t quant_bytes(const struct mat *w)
{
    if (w->by_column)
        return quant_columns_head(w->type, w->rows, w->cols) + (size_t)w->cols * quant_column_bytes(w->type, w->rows);
    return (size_t)quant_tiles(w->rows) * quant_tile_bytes(w->type, w->cols);
}

struct quant_tile {
    const uint16_t *scale; /* [blocks][16] */
    const int8_t *s;       /* [groups][16]; Q4 */
    const uint8_t *q;      /* [groups][quant_group_bytes] */
};
static inline struct quant_tile quant_tile(const struct mat *w, int tile)
{
    const uint8_t *at = (const uint8_t *)w->data + (size_t)tile * quant_tile_bytes(w->type, w->cols);
    return (struct quant_tile){(const uint16_t *)(const void *)at,
                               (const int8_t *)at + (size_t)quant_blocks(w->cols) * QUANT_ROWS * sizeof(uint16_t),
                               at + quant_head_bytes(w->type, w->cols)};
}

#endif
