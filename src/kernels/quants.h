/*
 * quants.h - matrices of integers, and the 8-bit vectors that they are multiplied by: formats and their memory.
 *
 * A row is divided into blocks of 256 columns, a block into groups of 32. With integers q and s, and one float32 number `scale` per block
 *     q8   w = scale * q            q in -127 .. 127
 *     q6   w = scale * s * q        q in -32 .. 31 per weight, s in 1 .. 4 per group
 *     q4   w = scale * s * q        q in -8 .. 7 per weight, s in -15 .. 15 per group
 *     x      = scale * q            q in -127 .. 127, the vector
 * so the products of a block are one exact integer sum (s * q fits 8 bits, the sum 24), however it is computed; only the sums of blocks
 * are added in floating point, in rising order. Files may also hold -128 in q8: it gives the same on every tier. Scales of matrices are
 * stored as the upper halves of float32 (bfloat16), rounded away from zero: a whole exponent range, and no float16 unit needed.
 *
 * Rows are interleaved so that a vector lane is a row: tiles of 16 rows, padded with zeroes, and in a tile four neighbouring
 * columns of 16 rows make a line of 64 bytes, which is what the integer dot products of x86 and Arm and the tiles of AMX take as they
 * are. Columns are padded with zeroes to a multiple of 64. One tile, in this order, without gaps except before `q`, which begins on a
 * multiple of 64 bytes:
 *     scale  uint16  [blocks][16]
 *     s      q4: int8 [groups][16]
 *            q6: uint8 [groups][4]        s - 1 in 2 bits: row r in byte r / 4, at bit 2 (r mod 4)
 *     q      q8: int8  [groups][8][16][4] line v: columns 4 v .. 4 v + 3 of the group for 16 rows
 *            q4: uint8 [groups][4][16][4] q + 8 in 4 bits: line v in the low, line 4 + v in the high halves, v = 0 .. 3
 *            q6: uint8 [groups][6][16][4] q + 32 in 6 bits: the lower 4 as in q4, then the upper 2 of lines 0 .. 3, of line v at bit 2 v,
 *                                         and those of lines 4 .. 7
 */
#ifndef KERNELS_QUANTS_H
#define KERNELS_QUANTS_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"
#include "kernels/types.h"

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
    return (size_t)(QUANT_ROWS * QUANT_GROUP / 8 * weight_types[type].bits);
}
/* Bytes of the sub-block scales of 16 rows in a group. */
static inline size_t quant_s_bytes(enum mat_type type)
{
    return (size_t)(QUANT_ROWS / 8 * weight_types[type].s_bits);
}
/* Bytes before a tile's integers. */
static inline size_t quant_head_bytes(enum mat_type type, int cols)
{
    const size_t scales = (size_t)quant_blocks(cols) * QUANT_ROWS * sizeof(uint16_t);
    return (scales + (size_t)quant_groups(cols) * quant_s_bytes(type) + 63) / 64 * 64;
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
 * Column-major (struct mat, by_column): all rows of a column lie together, padded with zeroes to a multiple of 64, so that columns that
 * are multiplied by zero need not be read. In this order, without gaps:
 *     scale  uint16  [blocks][padded rows]
 *     s      q4: int8 [groups][padded rows]; q6: uint8 [groups][padded rows / 4], as in tiles
 *     q      q8: int8 [cols][padded rows]
 *            q4: uint8 [cols][padded rows / 2]  q + 8 in 4 bits: of 16 rows the first 8 in the low, the others in the high halves
 *            q6: uint8 [cols][padded rows / 64][48]  q + 32 in 6 bits: 32 bytes with the lower 4 of 64 rows as in q4, then for each
 *                                               16 rows 4 bytes with the upper 2: row r in byte r mod 4, at bit 2 (r / 4)
 */
static inline size_t quant_padded_rows(int rows)
{
    return ((size_t)rows + QUANT_SECTION - 1) / QUANT_SECTION * QUANT_SECTION;
}
/* Bytes of one column, and of what comes before the first. */
static inline size_t quant_column_bytes(enum mat_type type, int rows)
{
    return quant_padded_rows(rows) / 8 * (size_t)weight_types[type].bits;
}
static inline size_t quant_columns_head(enum mat_type type, int rows, int cols)
{
    const size_t scales = quant_padded_rows(rows) * (size_t)quant_blocks(cols) * sizeof(uint16_t);
    return scales + (size_t)quant_groups(cols) * quant_padded_rows(rows) / QUANT_ROWS * quant_s_bytes(type);
}

struct quant_columns {
    const uint16_t *scale; /* [blocks][padded rows] */
    const uint8_t *s;      /* [groups][padded rows / 16][quant_s_bytes] */
    const uint8_t *q;      /* [cols][quant_column_bytes] */
};
static inline struct quant_columns quant_columns(const struct mat *w)
{
    const uint8_t *at = w->data;
    return (struct quant_columns){(const uint16_t *)(const void *)at,
                                  at + quant_padded_rows(w->rows) * (size_t)quant_blocks(w->cols) * sizeof(uint16_t),
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
    const uint8_t *s;      /* [groups][quant_s_bytes] */
    const uint8_t *q;      /* [groups][quant_group_bytes] */
};
static inline struct quant_tile quant_tile(const struct mat *w, int tile)
{
    const uint8_t *at = (const uint8_t *)w->data + (size_t)tile * quant_tile_bytes(w->type, w->cols);
    return (struct quant_tile){(const uint16_t *)(const void *)at,
                               at + (size_t)quant_blocks(w->cols) * QUANT_ROWS * sizeof(uint16_t),
                               at + quant_head_bytes(w->type, w->cols)};
}

#endif
