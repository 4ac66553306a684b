/*
 * columns.h - shared by the kernels for column-major matrices: prefetching of active columns, and
 * transposition of a group.
 */
#ifndef KERNELS_COLUMNS_H
#define KERNELS_COLUMNS_H

#include "kernels/quants.h"

/*
 * Returns the column to prefetch while list entry `entry` is used: the one COLUMNS_AHEAD entries
 * later, at most that of entry end - 1.
 */
static inline size_t column_ahead(const struct active *a, int entry, int end)
{
    return (size_t)a->column[entry + COLUMNS_AHEAD < end ? entry + COLUMNS_AHEAD : end - 1];
}

/*
 * Transposes 32 columns (one group) to `tiles` <= 4 adjacent tiles, `next` bytes apart. Each column
 * has 64 rows in memory, used or not. Slow but generic: works for every type through the type
 * table. rows_of_columns calls it for types without a faster function.
 */
void transpose_group_any(enum mat_type type, uint8_t *to, size_t next, int tiles,
                         const uint8_t *const columns[QUANT_GROUP]);

#endif
