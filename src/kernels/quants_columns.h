/*
 * quants_columns.h - part of lanes_quants.h: sparse GEMV with column-major quantized matrices,
 * which reads only the active columns. Parameters, defined by quads_ISA.h:
 *
 *     quad_load_q8, quad_load_q6     load 64 rows of four columns, for n_dot4 and n_dot_sixes
 *     quad_order                     restores the order of rows in the sums
 *     nibbles_start, _add, _end      multiply, sum and restore the order of rows for q4, in 16 bits
 *
 * Four active columns of a group are multiplied at a time, 64 rows of each. The sums of a group
 * stay in registers. Those of a block are integers below 2^24, exact as floats, and stay in the L1
 * cache. The hardware cannot predict which columns come next, so they are prefetched.
 */
#ifndef KERNELS_QUANTS_COLUMNS_H
#define KERNELS_QUANTS_COLUMNS_H

#include "kernels/columns.h"

/* Four active columns of one group. Missing columns repeat the last one and are multiplied by 0. */
struct quad {
    const uint8_t *q[4], *ahead[4]; /* the first row of the strip */
    int8_t x[4];
};

/*
 * Adds `count` quads of one group to totals[rows], multiplied by s. The totals are integers below
 * 2^24. s: the sub-block scales of the group, from the first row of the strip. sum: of the vector's
 * integers over the group.
 */
typedef void add_columns_fn(float *totals, const struct quad *quads, int count, const uint8_t *s, int sum, int rows);

/*
 * Prefetches a cache line of each of the next four columns, `offset` bytes from its first row of
 * the strip.
 */
ALWAYS_INLINE void prefetch_quad(const struct quad *quad, size_t offset)
{
    for (int c = 0; c < 4; c++)
        __builtin_prefetch(quad->ahead[c] + offset);
}

ALWAYS_INLINE void add_floats(float *to, v16 values)
{
    v_store(to, v_add(v_load(to, 16), values), 16);
}

ALWAYS_INLINE void add_columns_q8(float *totals, const struct quad *quads, int count, const uint8_t *s, int sum,
                                  int rows)
{
    (void)s;
    for (int row = 0; row < rows; row += QUANT_SECTION) {
        n16 sums[QUANT_SECTION / 16];
        for (int t = 0; t < QUANT_SECTION / 16; t++)
            sums[t] = n_start(sum);
        for (int i = 0; i < count; i++) {
            w64 w[QUANT_SECTION / 16];
            const x4 x = x_load(quads[i].x);
            quad_load_q8(w, quads[i].q, (size_t)row);
            for (int t = 0; t < QUANT_SECTION / 16; t++)
                sums[t] = n_dot4(sums[t], w[t], x);
            prefetch_quad(&quads[i], (size_t)row);
        }
        quad_order(sums);
        for (int t = 0; t < QUANT_SECTION / 16; t++)
            add_floats(totals + row + 16 * t, v_from_ints(sums[t]));
    }
}

ALWAYS_INLINE void add_columns_q4(float *totals, const struct quad *quads, int count, const uint8_t *s, int sum,
                                  int rows)
{
    for (int row = 0; row < rows; row += QUANT_SECTION) {
        const size_t offset = (size_t)row / 2;
        n16 sums[QUANT_SECTION / 16];
        struct nibbles pairs;
        nibbles_start(&pairs, sum);
        for (int i = 0; i < count; i++) {
            nibbles_add(&pairs, quads[i].q, offset, quads[i].x);
            if (offset % 64 == 0)
                prefetch_quad(&quads[i], offset);
        }
        nibbles_end(sums, &pairs);
        for (int t = 0; t < QUANT_SECTION / 16; t++)
            add_floats(totals + row + 16 * t,
                       v_mul(v_from_ints(sums[t]), v_load_bytes((const int8_t *)s + row + 16 * t)));
    }
}

ALWAYS_INLINE void add_columns_q6(float *totals, const struct quad *quads, int count, const uint8_t *s, int sum,
                                  int rows)
{
    for (int row = 0; row < rows; row += QUANT_SECTION) {
        const size_t offset = (size_t)row / QUANT_SECTION * 48;
        n16 sums[QUANT_SECTION / 16];
        for (int t = 0; t < QUANT_SECTION / 16; t++)
            sums[t] = n_set(-32 * sum);
        for (int i = 0; i < count; i++) {
            struct sixes w[QUANT_SECTION / 16];
            const x4 x = x_load(quads[i].x);
            quad_load_q6(w, quads[i].q, offset);
            for (int t = 0; t < QUANT_SECTION / 16; t++)
                sums[t] = n_dot_sixes(sums[t], w[t], x);
            prefetch_quad(&quads[i], offset);
        }
        quad_order(sums);
        for (int t = 0; t < QUANT_SECTION / 16; t++)
            add_floats(totals + row + 16 * t,
                       v_mul(v_from_ints(sums[t]), v_from_ints(n_load_s_q6(s + row / 4 + 4 * t))));
    }
}

ALWAYS_INLINE void quant_column_gemv(float *y, const struct mat *w, enum mat_type type, const struct quants *x,
                                     const struct active *a, int begin, int end, add_columns_fn *add_columns)
{
    const struct quant_columns columns = quant_columns(w);
    const size_t padded = quant_padded_rows(w->rows), stride = quant_column_bytes(type, w->rows);
    const int list_end = a->first[1];
    for (int row = begin; row < end; row += QUANT_STRIP) {
        _Alignas(64) float totals[QUANT_STRIP], sums[QUANT_STRIP];
        const int rows = end - row < QUANT_STRIP ? end - row : QUANT_STRIP;
        const size_t first = (size_t)row;
        const uint8_t *q = columns.q + first / 8 * (size_t)weight_types[type].bits;
        int entry = 0;
        memset(sums, 0, sizeof sums);
        for (int b = 0; b < quant_blocks(w->cols); b++) {
            memset(totals, 0, sizeof totals);
            while (entry < list_end && a->column[entry] < (b + 1) * QUANT_BLOCK) {
                const int group = a->column[entry] / QUANT_GROUP;
                struct quad quads[QUANT_GROUP / 4];
                int count = 0;
                for (; entry < list_end && a->column[entry] / QUANT_GROUP == group; count++) {
                    struct quad *quad = &quads[count];
                    for (int c = 0; c < 4; c++) {
                        const bool present = entry < list_end && a->column[entry] / QUANT_GROUP == group;
                        const size_t column = (size_t)a->column[present ? entry : entry - 1];
                        quad->q[c] = q + column * stride;
                        quad->ahead[c] = q + column_ahead(a, present ? entry : entry - 1, list_end) * stride;
                        quad->x[c] = present ? x->q[column] : 0;
                        entry += present;
                    }
                }
                add_columns(totals, quads, count,
                            columns.s + ((size_t)group * padded + first) / QUANT_ROWS * quant_s_bytes(type),
                            x->sum[group], rows);
            }
            const v16 x_scale = v_set(x->scale[b]);
            for (int i = 0; i < rows; i += 16)
                v_store(sums + i,
                        v_fma(v_load(totals + i, 16),
                              v_mul(v_load_bf16(columns.scale + (size_t)b * padded + first + (size_t)i, 16), x_scale),
                              v_load(sums + i, 16)),
                        16);
        }
        memcpy(y + row, sums, (size_t)rows * sizeof *y);
    }
}

#endif
