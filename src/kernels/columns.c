/*
 * columns.c - matrices by column: which columns count, and the way back to rows for the products with many vectors, which use every
 * column for one vector or another.
 */
#include <string.h>

#include "kernels/quants.h"

#if defined(__AVX__)
#error "compiled with the flags of an instruction set: this file runs on every CPU"
#endif

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

/* Four columns of 16 bytes, interleaved: to[4 r + c] = from[c][r]. */
static void interleave(uint8_t *to, const uint8_t *const from[4])
{
    for (int r = 0; r < 16; r++)
        for (int c = 0; c < 4; c++)
            to[4 * r + c] = from[c][r];
}

static void tile_of_columns(const struct mat *w, int row, uint8_t *to)
{
    static const uint8_t zeroes[QUANT_ROWS];
    uint8_t eights[QUANT_ROWS];
    const struct quant_columns columns = quant_columns(w);
    const size_t padded = quant_padded_rows(w->rows), stride = quant_column_bytes(w->type, w->rows);
    const int blocks = quant_blocks(w->cols), groups = quant_groups(w->cols), vectors = QUANT_GROUP / 4;
    uint8_t *at = to;
    memset(eights, 8, sizeof eights);
    for (int b = 0; b < blocks; b++, at += QUANT_ROWS * sizeof(uint16_t))
        memcpy(at, columns.scale + (size_t)b * padded + (size_t)row, QUANT_ROWS * sizeof(uint16_t));
    for (int g = 0; w->type == MAT_Q4 && g < groups; g++, at += QUANT_ROWS)
        memcpy(at, columns.s + (size_t)g * padded + (size_t)row, QUANT_ROWS);

    at = to + quant_head_bytes(w->type, w->cols);
    for (int g = 0; g < groups; g++, at += quant_group_bytes(w->type))
        for (int v = 0; v < vectors; v++) {
            const uint8_t *from[4];
            uint8_t numbers[4][QUANT_ROWS], vector[4 * QUANT_ROWS];
            for (int c = 0; c < 4; c++) {
                const int column = g * QUANT_GROUP + 4 * v + c;
                const uint8_t *q = columns.q + (size_t)column * stride;
                if (column >= w->cols) {
                    from[c] = w->type == MAT_Q8 ? zeroes : eights;
                } else if (w->type == MAT_Q8) {
                    from[c] = q + row;
                } else {
                    for (int r = 0; r < QUANT_ROWS / 2; r++) {
                        numbers[c][r] = q[row / 2 + r] & 15;
                        numbers[c][r + QUANT_ROWS / 2] = q[row / 2 + r] >> 4;
                    }
                    from[c] = numbers[c];
                }
            }
            if (w->type == MAT_Q8 || v < vectors / 2) {
                interleave(at + 64 * v, from);
            } else {
                interleave(vector, from);
                for (int i = 0; i < 64; i++)
                    at[64 * (v - vectors / 2) + i] |= (uint8_t)(vector[i] << 4);
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
        for (int tile = 0; tile < quant_tiles(made.rows); tile++)
            tile_of_columns(w, begin + tile * QUANT_ROWS,
                            (uint8_t *)memory + (size_t)tile * quant_tile_bytes(w->type, w->cols));
    return made;
}
