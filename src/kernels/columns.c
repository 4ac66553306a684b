/*
 * columns.c - column-major matrices: lists the non-zero columns of a vector for sparse GEMV, and
 * transposes to row-major for GEMM. GEMM is dense: with many vectors, almost every column is active
 * for one of them.
 */
#include <string.h>

#include "base/transpose.h"
#include "kernels/columns.h"
#include "kernels/quants.h"

void active_floats(struct active *a, const float *x, int cols)
{
    int count = 0;
    for (int lane = 0; lane < 16; lane++) {
        a->first[lane] = count;
        for (int i = lane; i < cols; i += 16) {
            a->column[count] = i;
            count += x[i] != 0.0f; /* true for a NaN, too */
        }
    }
    a->first[16] = count;
}

void active_quants(struct active *a, const struct quants *x, int cols)
{
    int count = 0;
    for (int i = 0; i < cols; i++) {
        a->column[count] = i;
        count += x->q[i] != 0;
    }
    a->first[0] = 0;
    for (int lane = 1; lane <= 16; lane++)
        a->first[lane] = count;
}

size_t rows_of_columns_bytes(const struct mat *w, int rows)
{
    if (w->type >= MAT_FLOATS)
        return (size_t)quant_tiles(rows) * quant_tile_bytes(w->type, w->cols);
    return (size_t)rows * (size_t)w->cols * (size_t)weight_types[w->type].bits / 8;
}

enum { LINE = 4 * QUANT_ROWS }; /* bytes of four columns of 16 rows */

/*
 * Interleaves four columns of 16 bytes: to[4 r + c] = from[c][r]. In two steps, which compilers
 * vectorize.
 */
static void interleave(uint8_t *to, const uint8_t *const from[4])
{
    uint16_t low[QUANT_ROWS], high[QUANT_ROWS];
    uint32_t words[QUANT_ROWS];
    for (int r = 0; r < QUANT_ROWS; r++) {
        low[r] = (uint16_t)(from[0][r] | from[1][r] << 8);
        high[r] = (uint16_t)(from[2][r] | from[3][r] << 8);
    }
    for (int r = 0; r < QUANT_ROWS; r++)
        words[r] = low[r] | (uint32_t)high[r] << 16;
    memcpy(to, words, sizeof words);
}

/* transpose_group_any of columns.h, for one type. */
typedef void transpose_group_fn(uint8_t *to, size_t next, int tiles, const uint8_t *const columns[QUANT_GROUP]);

static void transpose_group_q8(uint8_t *to, size_t next, int tiles, const uint8_t *const columns[QUANT_GROUP])
{
    for (int v = 0; v < QUANT_GROUP / 4; v++)
        for (int tile = 0; tile < tiles; tile++) {
            const uint8_t *from[4];
            for (int c = 0; c < 4; c++)
                from[c] = columns[4 * v + c] + tile * QUANT_ROWS;
            interleave(to + (size_t)tile * next + LINE * v, from);
        }
}

/*
 * Interleaves 4-bit columns; 16 bytes of a column hold two tiles. The columns `low` fill the low
 * halves of the bytes of the tiles at `to` and `to + next`, the columns `high` the high halves.
 */
static void interleave_halves(uint8_t *to, size_t next, int tiles, const uint8_t *const low[4],
                              const uint8_t *const high[4])
{
    enum { HALF = LINE / 2 }; /* bytes of 8 rows */
    uint8_t l[2 * HALF], h[2 * HALF], packed[2 * HALF];
    interleave(l, low);
    interleave(h, high);
    for (int tile = 0; tile < tiles; tile++, to += next) {
        for (int i = 0; i < HALF; i++) {
            packed[i] = (uint8_t)((l[HALF * tile + i] & 0x0f) | h[HALF * tile + i] << 4);
            packed[HALF + i] = (uint8_t)(l[HALF * tile + i] >> 4 | (h[HALF * tile + i] & 0xf0));
        }
        memcpy(to, packed, sizeof packed);
    }
}

static void transpose_group_q4(uint8_t *to, size_t next, int tiles, const uint8_t *const columns[QUANT_GROUP])
{
    for (int v = 0; v < QUANT_GROUP / 8; v++)
        for (int tile = 0; tile < tiles; tile += 2) {
            const uint8_t *low[4], *high[4];
            for (int c = 0; c < 4; c++) {
                low[c] = columns[4 * v + c] + tile * (QUANT_ROWS / 2);
                high[c] = columns[QUANT_GROUP / 2 + 4 * v + c] + tile * (QUANT_ROWS / 2);
            }
            interleave_halves(to + (size_t)tile * next + LINE * v, next, tiles - tile < 2 ? 1 : 2, low, high);
        }
}

/*
 * The lower 4 bits are stored as in q4. The upper 2 bits are arranged differently: a byte of a
 * column holds those of four rows, a byte of a tile those of four lines (quants.h).
 */
static void transpose_group_q6(uint8_t *to, size_t next, int tiles, const uint8_t *const columns[QUANT_GROUP])
{
    transpose_group_q4(to, next, tiles, columns);
    for (int tile = 0; tile < tiles; tile++, to += next)
        for (int half = 0; half < 2; half++) {
            /* in [line][column], out [row / 4][column]; one byte per row modulo 4 */
            uint32_t in[4][4], out[4][4];
            uint8_t rows[4][QUANT_ROWS];
            for (int v = 0; v < 4; v++)
                for (int c = 0; c < 4; c++)
                    memcpy(&in[v][c], columns[16 * half + 4 * v + c] + QUANT_SECTION / 2 + 4 * tile, sizeof in[v][c]);
            for (int k = 0; k < 4; k++)
                for (int c = 0; c < 4; c++)
                    out[k][c] = (in[0][c] >> 2 * k & 0x03030303) | (in[1][c] >> 2 * k & 0x03030303) << 2 |
                                (in[2][c] >> 2 * k & 0x03030303) << 4 | (in[3][c] >> 2 * k & 0x03030303) << 6;
            for (int c = 0; c < 4; c++)
                for (int k = 0; k < 4; k++)
                    memcpy(rows[c] + 4 * k, &out[k][c], sizeof out[k][c]);
            interleave(to + (size_t)(4 + half) * LINE, (const uint8_t *const[4]){rows[0], rows[1], rows[2], rows[3]});
        }
}

void transpose_group_any(enum mat_type type, uint8_t *to, size_t next, int tiles,
                         const uint8_t *const columns[QUANT_GROUP])
{
    int8_t rows[QUANT_GROUP][QUANT_SECTION];
    quant_group q;
    for (int c = 0; c < QUANT_GROUP; c++)
        weight_types[type].unpack_section(rows[c], columns[c]);
    for (int tile = 0; tile < tiles; tile++, to += next) {
        for (int r = 0; r < QUANT_ROWS; r++)
            for (int c = 0; c < QUANT_GROUP; c++)
                q[quant_group_at(r, c)] = rows[c][tile * QUANT_ROWS + r];
        weight_types[type].pack_group(to, q);
    }
}

/* The fast functions, one per type. A type without one uses transpose_group_any. */
static transpose_group_fn *const transpose_groups[MAT_TYPES] = {
    [MAT_Q8] = transpose_group_q8, [MAT_Q4] = transpose_group_q4, [MAT_Q6] = transpose_group_q6};

/*
 * Transposes at most QUANT_SECTION rows, from `row` on, to `tiles` tiles. Reads at most one cache
 * line of each column.
 */
static void tiles_of_columns(const struct mat *w, int row, int tiles, uint8_t *to)
{
    const struct weight_type *const type = &weight_types[w->type];
    const struct quant_columns columns = quant_columns(w);
    const size_t padded = quant_padded_rows(w->rows), stride = quant_column_bytes(w->type, w->rows);
    const size_t first = (size_t)row, tile_bytes = quant_tile_bytes(w->type, w->cols);
    const size_t s_bytes = quant_s_bytes(w->type), group_bytes = quant_group_bytes(w->type);
    const int blocks = quant_blocks(w->cols), groups = quant_groups(w->cols);
    uint8_t zeroes[QUANT_SECTION];
    for (int part = 0; part < QUANT_SECTION / QUANT_ROWS; part++)
        type->pack_rows(zeroes, part, (const int8_t[QUANT_ROWS]){0});

    for (int tile = 0; tile < tiles; tile++) {
        const size_t from = first + (size_t)tile * QUANT_ROWS;
        uint8_t *at = to + (size_t)tile * tile_bytes;
        for (int b = 0; b < blocks; b++, at += QUANT_ROWS * sizeof(uint16_t))
            memcpy(at, columns.scale + (size_t)b * padded + from, QUANT_ROWS * sizeof(uint16_t));
        for (int g = 0; s_bytes > 0 && g < groups; g++, at += s_bytes)
            memcpy(at, columns.s + ((size_t)g * padded + from) / QUANT_ROWS * s_bytes, s_bytes);
    }

    to += quant_head_bytes(w->type, w->cols);
    for (int g = 0; g < groups; g++, to += group_bytes) {
        const uint8_t *group[QUANT_GROUP];
        for (int c = 0; c < QUANT_GROUP; c++) {
            const int column = g * QUANT_GROUP + c;
            group[c] = column < w->cols ? columns.q + (size_t)column * stride + first / 8 * (size_t)type->bits : zeroes;
        }
        if (transpose_groups[w->type])
            transpose_groups[w->type](to, tile_bytes, tiles, group);
        else
            transpose_group_any(w->type, to, tile_bytes, tiles, group);
    }
}

struct mat rows_of_columns(const struct mat *w, int begin, int end, void *memory)
{
    const struct mat row_major = {.type = w->type, .rows = end - begin, .cols = w->cols, .data = memory};
    const size_t rows = (size_t)w->rows, cols = (size_t)w->cols, element = w->type == MAT_F32 ? 4 : 2;
    if (w->type < MAT_FLOATS)
        transpose(memory, cols, (const uint8_t *)w->data + (size_t)begin * element, rows, cols, (size_t)row_major.rows,
                  element);
    else
        for (int tile = 0, per_section = QUANT_SECTION / QUANT_ROWS; tile < quant_tiles(row_major.rows);
             tile += per_section) {
            const int remaining = quant_tiles(row_major.rows) - tile;
            tiles_of_columns(w, begin + tile * QUANT_ROWS, remaining < per_section ? remaining : per_section,
                             (uint8_t *)memory + (size_t)tile * quant_tile_bytes(w->type, w->cols));
        }
    return row_major;
}
