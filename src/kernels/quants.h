/*
 * quants.h - quantized matrices and vectors: their formats, and where their parts are in memory.
 *
 * A row is divided into blocks of 256 columns, a block into groups of 32 columns. q and s are
 * integers; each block of a row has one float32 `scale`, each group of a row one sub-block scale s:
 *
 *     type     value                q                         s
 *     q8       w = scale * q        8 bits, -127 .. 127       none
 *     q6       w = scale * s * q    6 bits, -32 .. 31         2 bits, 1 .. 4
 *     q4       w = scale * s * q    4 bits, -8 .. 7           8 bits, -15 .. 15
 *     vector   x = scale * q        8 bits, -127 .. 127       none
 *
 * The dot product of a block is therefore an exact integer (s * q fits 8 bits, the sum 24 bits), in
 * whatever order it is computed. Only the sums of blocks are added in floating point, in ascending
 * order. A q8 file may contain -128; all tiers give the same result for it. Scales of matrices are
 * stored as bfloat16 (the upper half of a float32), rounded away from zero: they keep the exponent
 * range of float32 and need no float16 conversion.
 *
 * Row-major matrices are stored as tiles of 16 rows, so that a SIMD lane is a row. Rows are padded
 * with zeroes to whole tiles, columns to a multiple of 64. A line is 64 bytes: four adjacent
 * columns of the 16 rows. The integer dot product instructions of x86 and Arm and the tiles of AMX
 * take a line as it is. One tile:
 *
 *     +----------------------+--------------------+---------+-----------+-----------+-----
 *     | scale                | s                  | padding | group 0   | group 1   | ...
 *     | uint16 [blocks][16]  | [groups][16 rows]  | to 64 B |           |           |
 *     +----------------------+--------------------+---------+-----------+-----------+-----
 *
 * s of one group: q8 has none; q4 has one int8 per row; q6 has 2 bits per row, s - 1:
 *
 *     bits       7..6             5..4             3..2             1..0
 *     byte b   | row 4b + 3     | row 4b + 2     | row 4b + 1     | row 4b         |   b = 0 .. 3
 *
 * q8 group, 8 lines. Line v holds columns 4v .. 4v + 3, one byte per weight:
 *
 *     byte       0      1      2      3      4     ...  62     63
 *     row      | 0    | 0    | 0    | 0    | 1    | ... | 15   | 15   |
 *     column   | 4v   | 4v+1 | 4v+2 | 4v+3 | 4v   | ... | 4v+2 | 4v+3 |
 *
 * q4 group, 4 lines. A byte holds two weights of a row as q + 8. With row = byte / 4 and
 * i = byte mod 4:
 *
 *     bits       7..4                  3..0
 *     line v   | column 16 + 4v + i  | column 4v + i       |   v = 0 .. 3
 *
 * q6 group, 6 lines. Lines 0 .. 3 hold the lower 4 bits of q + 32 in the order of q4, lines 4 and
 * 5 the upper 2 bits:
 *
 *     bits       7..6             5..4             3..2             1..0
 *     line 4   | column 12 + i  | column 8 + i   | column 4 + i   | column i       |
 *     line 5   | column 28 + i  | column 24 + i  | column 20 + i  | column 16 + i  |
 */
#ifndef KERNELS_QUANTS_H
#define KERNELS_QUANTS_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"
#include "kernels/types.h"

/*
 * The values that fit_rows tries for the largest element of a Q4 group: -8 itself, slightly less in
 * magnitude, and slightly more, which is then clamped to -8.
 */
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
/* Groups of block b: 8, except in the last block. */
static inline int quant_groups_of(int cols, int b)
{
    const int remaining = quant_groups(cols) - b * (QUANT_BLOCK / QUANT_GROUP);
    return remaining < QUANT_BLOCK / QUANT_GROUP ? remaining : QUANT_BLOCK / QUANT_GROUP;
}

/* Bytes of one group of a tile. */
static inline size_t quant_group_bytes(enum mat_type type)
{
    return (size_t)(QUANT_ROWS * QUANT_GROUP / 8 * weight_types[type].bits);
}
/* Bytes of the sub-block scales of 16 rows of one group. */
static inline size_t quant_s_bytes(enum mat_type type)
{
    return (size_t)(QUANT_ROWS / 8 * weight_types[type].s_bits);
}
/* Bytes of a tile before its first group. */
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
 * Column-major matrices (mat.by_column): all rows of a column are adjacent, padded with zeroes to a
 * multiple of 64 rows. Columns that are multiplied by zero need not be read. In this order, without
 * gaps:
 *
 *     scale   uint16 [blocks][padded rows]
 *     s       q4: int8 [groups][padded rows]   q6: [groups][padded rows / 16][4], as in a tile
 *     q       [cols][padded rows], in 8, 6 or 4 bits:
 *
 *     q8      1 byte per row
 *     q4      8 bytes for 16 rows: byte i holds q + 8 of row 8 + i in bits 7..4, of row i in 3..0
 *     q6      48 bytes for 64 rows: 32 bytes with the lower 4 bits of q + 32, in the order of q4,
 *             then the upper 2 bits, 4 bytes for each 16 rows:
 *
 *     bits       7..6             5..4             3..2             1..0
 *     byte i   | row 12 + i     | row 8 + i      | row 4 + i      | row i          |   i = 0 .. 3
 */
static inline size_t quant_padded_rows(int rows)
{
    return ((size_t)rows + QUANT_SECTION - 1) / QUANT_SECTION * QUANT_SECTION;
}
/* Bytes of one column, and bytes before the first column. */
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
    const uint8_t *bytes = w->data;
    return (struct quant_columns){(const uint16_t *)(const void *)bytes,
                                  bytes + quant_padded_rows(w->rows) * (size_t)quant_blocks(w->cols) * sizeof(uint16_t),
                                  bytes + quant_columns_head(w->type, w->rows, w->cols)};
}

/* Bytes of a quantized matrix. */
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
    const uint8_t *bytes = (const uint8_t *)w->data + (size_t)tile * quant_tile_bytes(w->type, w->cols);
    return (struct quant_tile){(const uint16_t *)(const void *)bytes,
                               bytes + (size_t)quant_blocks(w->cols) * QUANT_ROWS * sizeof(uint16_t),
                               bytes + quant_head_bytes(w->type, w->cols)};
}

#endif
