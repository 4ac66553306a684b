/*
 * columns.c - matrices by column: which columns count, and the way back to rows for the products with many vectors, which use every
 * column for one vector or another.
 */
#include <string.h>

#include "kernels/quants.h"

void active_floats(struct active *a, const float *x, int cols)
{
    int count = 0;
    for (int lane = 0; lane < 16; lane++) {
        a->first[lane] = count;
        for (int i = lane; i < cols; i += 16) {
            a->column[count] = i;
            count += x[i] != 0.0f; /* a NaN counts */
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
    return (size_t)rows * (size_t)w->cols * (w->type == MAT_F32 ? sizeof(float) : sizeof(uint16_t));
}

/* Four columns of 16 bytes, interleaved: to[4 r + c] = from[c][r]. In two steps, of which compilers make vectors. */
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

/* The same for Q4, where 16 bytes are two tiles: `low` and `high` become the halves of the bytes of tiles `to` and `to + next`. */
static void interleave_halves(uint8_t *to, size_t next, int tiles, const uint8_t *const low[4],
                              const uint8_t *const high[4])
{
    enum { HALF = 4 * QUANT_ROWS / 2 }; /* bytes of 8 rows */
    uint8_t l[2 * HALF], h[2 * HALF], made[2 * HALF];
    interleave(l, low);
    interleave(h, high);
    for (int tile = 0; tile < tiles; tile++, to += next) {
        for (int i = 0; i < HALF; i++) {
            made[i] = (uint8_t)((l[HALF * tile + i] & 0x0f) | h[HALF * tile + i] << 4);
            made[HALF + i] = (uint8_t)(l[HALF * tile + i] >> 4 | (h[HALF * tile + i] & 0xf0));
        }
        memcpy(to, made, sizeof made);
    }
}

/* Tiles of at most QUANT_SECTION rows from `row` on: what is read of a column is a cache line or half of one. */
static void tiles_of_columns(const struct mat *w, int row, int tiles, uint8_t *to)
{
    uint8_t none[QUANT_SECTION];
    const bool whole = w->type == MAT_Q8;
    const struct quant_columns columns = quant_columns(w);
    const size_t padded = quant_padded_rows(w->rows), stride = quant_column_bytes(w->type, w->rows);
    const size_t first = (size_t)row, tile_bytes = quant_tile_bytes(w->type, w->cols);
    const int blocks = quant_blocks(w->cols), groups = quant_groups(w->cols);
    memset(none, whole ? 0 : 0x88, sizeof none); /* zeroes as integers */

    for (int tile = 0; tile < tiles; tile++) {
        const size_t from = first + (size_t)tile * QUANT_ROWS;
        uint8_t *at = to + (size_t)tile * tile_bytes;
        for (int b = 0; b < blocks; b++, at += QUANT_ROWS * sizeof(uint16_t))
            memcpy(at, columns.scale + (size_t)b * padded + from, QUANT_ROWS * sizeof(uint16_t));
        for (int g = 0; !whole && g < groups; g++, at += QUANT_ROWS)
            memcpy(at, columns.s + (size_t)g * padded + from, QUANT_ROWS);
    }

    to += quant_head_bytes(w->type, w->cols);
    const int vectors = (int)quant_group_bytes(w->type) / 64;
    const int together = whole ? 1 : 2; /* tiles in 16 bytes of a column */
    for (int i = 0; i < groups * vectors; i++, to += 64) {
        const int column = i / vectors * QUANT_GROUP + i % vectors * 4;
        const uint8_t *low[4], *high[4];
        for (int c = 0; c < 4; c++) {
            const int here = column + c, there = here + QUANT_GROUP / 2;
            low[c] = here < w->cols ? columns.q + (size_t)here * stride + first / (size_t)together : none;
            high[c] = there < w->cols ? columns.q + (size_t)there * stride + first / (size_t)together : none;
        }
        for (int tile = 0; tile < tiles; tile += together) {
            uint8_t *const at = to + (size_t)tile * tile_bytes;
            if (whole)
                interleave(at, low);
            else
                interleave_halves(at, tile_bytes, tiles - tile < 2 ? 1 : 2, low, high);
            for (int c = 0; c < 4; c++)
                low[c] += 16, high[c] += 16;
        }
    }
}

/* Square tiles keep both the rows written and the columns read in the cache. */
#define DEFINE_TURN(name, element)                                                               \
    static void name(element *to, const element *from, size_t ld, int rows, int cols)            \
    {                                                                                            \
        enum { TILE = 32 };                                                                      \
        for (int c0 = 0; c0 < cols; c0 += TILE)                                                  \
            for (int r = 0; r < rows; r++)                                                       \
                for (int c = c0; c < cols && c < c0 + TILE; c++)                                 \
                    to[(size_t)r * (size_t)cols + (size_t)c] = from[(size_t)c * ld + (size_t)r]; \
    }
DEFINE_TURN(turn_32, float)
DEFINE_TURN(turn_16, uint16_t)

struct mat rows_of_columns(const struct mat *w, int begin, int end, void *memory)
{
    const struct mat made = {.type = w->type, .rows = end - begin, .cols = w->cols, .data = memory};
    const size_t first = (size_t)begin, ld = (size_t)w->rows;
    if (w->type == MAT_F32)
        turn_32(memory, (const float *)w->data + first, ld, made.rows, w->cols);
    else if (w->type < MAT_FLOATS)
        turn_16(memory, (const uint16_t *)w->data + first, ld, made.rows, w->cols);
    else
        for (int tile = 0, most = QUANT_SECTION / QUANT_ROWS; tile < quant_tiles(made.rows); tile += most) {
            const int left = quant_tiles(made.rows) - tile;
            tiles_of_columns(w, begin + tile * QUANT_ROWS, left < most ? left : most,
                             (uint8_t *)memory + (size_t)tile * quant_tile_bytes(w->type, w->cols));
        }
    return made;
}
