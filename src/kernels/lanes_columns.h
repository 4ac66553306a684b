/*
 * lanes_columns.h - part of lanes.h: sparse GEMV with column-major matrices of floats, which reads
 * only the active columns. Uses the parameters of lanes.h.
 *
 * A lane is a row. All threads walk the same lists of columns, each for its own rows. The sums of
 * one list over a strip of rows stay in the L1 cache. The hardware cannot predict which columns
 * come next, so they are prefetched.
 */
#ifndef KERNELS_LANES_COLUMNS_H
#define KERNELS_LANES_COLUMNS_H

#include "kernels/columns.h"

/* Folds the 16 lanes of dot16, for sixteen rows at a time. */
ALWAYS_INLINE void fold_columns(float *y, float (*sums)[COLUMN_STRIP], int rows)
{
    for (int i = 0; i < rows; i += 16) {
        v16 lane[16];
        for (int l = 0; l < 16; l++)
            lane[l] = v_load(sums[l] + i, 16);
        for (int half = 8; half > 0; half /= 2)
            for (int l = 0; l < half; l++)
                lane[l] = v_add(lane[l], lane[l + half]);
        v_store(y + i, lane[0], rows - i < 16 ? rows - i : 16);
    }
}

/* add_columns adds `count` (1 or 2) columns, from entry `at` of the list, to sums[rows]. */
#define DEFINE_COLUMN_GEMV(type, element)                                                                            \
    ALWAYS_INLINE void add_columns_##type(float *sums, const struct mat *w, const float *x, const struct active *a,  \
                                          int entry, int row, int rows, int count)                                   \
    {                                                                                                                \
        const element *data = (const element *)w->data + row;                                                        \
        const size_t ld = (size_t)w->rows, c0 = (size_t)a->column[entry], c1 = (size_t)a->column[entry + count - 1]; \
        const element *ahead0 = data + column_ahead(a, entry, a->first[16]) * ld;                                    \
        const element *ahead1 = data + column_ahead(a, entry + count - 1, a->first[16]) * ld;                        \
        const element *w0 = data + c0 * ld, *w1 = data + c1 * ld;                                                    \
        const v16 x0 = v_set(x[c0]), x1 = v_set(x[c1]);                                                              \
        for (int i = 0; i < rows; i += 16) {                                                                         \
            const int m = rows - i < 16 ? rows - i : 16;                                                             \
            v16 sum = v_fma(v_load_##type(w0 + i, m), x0, v_load(sums + i, 16));                                     \
            if (count == 2)                                                                                          \
                sum = v_fma(v_load_##type(w1 + i, m), x1, sum);                                                      \
            v_store(sums + i, sum, 16);                                                                              \
            if (i * (int)sizeof(element) % 64 == 0) {                                                                \
                __builtin_prefetch(ahead0 + i);                                                                      \
                if (count == 2)                                                                                      \
                    __builtin_prefetch(ahead1 + i);                                                                  \
            }                                                                                                        \
        }                                                                                                            \
    }                                                                                                                \
                                                                                                                     \
    static void column_gemv_##type(float *y, const struct mat *w, const float *x, const struct active *a, int begin, \
                                   int end)                                                                          \
    {                                                                                                                \
        for (int row = begin; row < end; row += COLUMN_STRIP) {                                                      \
            _Alignas(64) float sums[16][COLUMN_STRIP];                                                               \
            const int rows = end - row < COLUMN_STRIP ? end - row : COLUMN_STRIP;                                    \
            for (int lane = 0; lane < 16; lane++) {                                                                  \
                int entry = a->first[lane];                                                                          \
                memset(sums[lane], 0, sizeof sums[lane]);                                                            \
                for (; entry + 2 <= a->first[lane + 1]; entry += 2)                                                  \
                    add_columns_##type(sums[lane], w, x, a, entry, row, rows, 2);                                    \
                if (entry < a->first[lane + 1])                                                                      \
                    add_columns_##type(sums[lane], w, x, a, entry, row, rows, 1);                                    \
            }                                                                                                        \
            fold_columns(y + row, sums, rows);                                                                       \
        }                                                                                                            \
    }

DEFINE_COLUMN_GEMV(f32, float)
DEFINE_COLUMN_GEMV(f16, uint16_t)
DEFINE_COLUMN_GEMV(bf16, uint16_t)

#endif
