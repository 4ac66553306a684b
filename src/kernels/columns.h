/* columns.h - what the kernels for matrices by column share: how far ahead they prefetch, and how groups become tiles. */
#ifndef KERNELS_COLUMNS_H
#define KERNELS_COLUMNS_H

#include "kernels/quants.h"

/* The column that is wanted COLUMNS_AHEAD places behind `at` in the lists, of which `last` is the end. */
static inline size_t column_ahead(const struct active *a, int at, int last)
{
    return (size_t)a->column[at + COLUMNS_AHEAD < last ? at + COLUMNS_AHEAD : last - 1];
}

/*
 * A group of `tiles` <= 4 neighbouring tiles, `next` bytes apart, of their rows in 32 columns; of all 64 rows there is memory. By the
 * table of types alone: rows_of_columns calls it for types that have no faster one.
 */
void transpose_group_any(enum mat_type type, uint8_t *to, size_t next, int tiles,
                         const uint8_t *const columns[QUANT_GROUP]);

#endif
