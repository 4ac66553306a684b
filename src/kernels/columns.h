/* columns.h - what the kernels for matrices by column share: how far ahead they prefetch. */
#ifndef KERNELS_COLUMNS_H
#define KERNELS_COLUMNS_H

#include "kernels/kernels.h"

/* The column that is wanted COLUMNS_AHEAD places behind `at` in the lists, of which `last` is the end. */
static inline size_t column_ahead(const struct active *a, int at, int last)
{
    return (size_t)a->column[at + COLUMNS_AHEAD < last ? at + COLUMNS_AHEAD : last - 1];
}

#endif
