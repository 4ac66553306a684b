/*
 * product.h - the vectors that matrices are multiplied by: float32, or 8-bit integers if the matrix
 * is quantized (kernels/quants.h).
 */
#ifndef ARCH_PRODUCT_H
#define ARCH_PRODUCT_H

#include "base/scratch.h"
#include "kernels/quants.h"

/* `tokens` vectors of equal length, one after the other. */
struct operand {
    const float *x;
    struct quants quants; /* valid after operand_quantize */
};

/* Allocates memory for `tokens` quantized vectors of `cols` elements. */
static inline struct quants cut_quants(struct scratch *s, int cols, size_t tokens)
{
    struct quants q;
    q.q = scratch_cut(s, tokens * (size_t)quant_cols(cols));
    q.scale = scratch_cut(s, tokens * (size_t)quant_blocks(cols) * sizeof *q.scale);
    q.sum = scratch_cut(s, tokens * (size_t)quant_groups(cols) * sizeof *q.sum);
    return q;
}

/*
 * Returns the type to pass to operand_quantize for a vector that both matrices are multiplied by: a
 * quantized type, if one of them has it.
 */
static inline enum mat_type operand_type(const struct mat *a, const struct mat *b)
{
    return a->type > b->type ? a->type : b->type;
}

/* Returns the same vectors from vector `token` on. */
static inline struct quants quants_from(struct quants q, int cols, size_t token)
{
    return (struct quants){q.q + token * (size_t)quant_cols(cols), q.scale + token * (size_t)quant_blocks(cols),
                           q.sum + token * (size_t)quant_groups(cols)};
}

/* Quantizes vectors [begin, end) if `type` is a quantized type. */
static inline void operand_quantize(const struct kernels *k, const struct operand *o, enum mat_type type, int cols,
                                    int begin, int end)
{
    if (type < MAT_FLOATS)
        return;
    for (size_t t = (size_t)begin; t < (size_t)end; t++) {
        const struct quants to = quants_from(o->quants, cols, t);
        k->quantize(to.q, to.scale, to.sum, o->x + t * (size_t)cols, cols);
    }
}

/* Computes rows [begin, end) of y = W x for one vector. */
static inline void product_gemv(const struct kernels *k, float *y, const struct mat *w, const struct operand *o,
                                int begin, int end)
{
    if (w->type < MAT_FLOATS)
        k->gemv[w->type](y, w, o->x, begin, end, &k->tuning);
    else
        k->quant_gemv[w->type](y, w, &o->quants, begin, end, &k->tuning);
}

/* Lists the active columns of a column-major matrix for a vector. */
static inline void product_active(struct active *active, const struct mat *w, const struct operand *o)
{
    if (w->type < MAT_FLOATS)
        active_floats(active, o->x, w->cols);
    else
        active_quants(active, &o->quants, w->cols);
}

/* As product_gemv, for a column-major matrix; reads only its active columns. */
static inline void product_columns(const struct kernels *k, float *y, const struct mat *w, const struct operand *o,
                                   const struct active *active, int begin, int end)
{
    if (w->type < MAT_FLOATS)
        k->column_gemv[w->type](y, w, o->x, active, begin, end);
    else
        k->quant_column_gemv[w->type](y, w, &o->quants, active, begin, end);
}

/*
 * Rows per task of a sparse product: one task per thread, which reads one part of every active
 * column.
 */
static inline int product_column_rows(const struct mat *w, int threads)
{
    const int sections = (w->rows + QUANT_SECTION - 1) / QUANT_SECTION;
    return (sections + threads - 1) / threads * QUANT_SECTION;
}

/*
 * y[t * ldy + i] = W x for all rows of a row-major matrix and several vectors. scratch:
 * product_scratch(cols) floats. For few vectors, uses quant_few, or with floats one GEMV per
 * vector: reading the matrix again from the cache then costs less than widening it.
 */
static inline void product_gemm(const struct kernels *k, float *y, size_t ldy, const struct mat *w,
                                const struct operand *o, int tokens, float *scratch)
{
    const size_t cols = (size_t)w->cols;
    const bool few = tokens <= k->few_tokens[w->type];
    if (w->type >= MAT_FLOATS) {
        (few ? k->quant_few : k->quant_gemm)[w->type](y, ldy, w, &o->quants, tokens, 0, w->rows, scratch);
    } else if (few) {
        struct mat rows = *w;
        for (size_t t = 0; t < (size_t)tokens; t++, rows.from_memory = false)
            k->gemv[w->type](y + t * ldy, &rows, o->x + t * cols, 0, w->rows, &k->tuning);
    } else {
        k->gemm[w->type](y, ldy, w, o->x, cols, tokens, 0, w->rows, &k->tuning, scratch);
    }
}

/* Floats of scratch memory for product_gemm with matrices of `cols` columns. */
static inline size_t product_scratch(int cols)
{
    const size_t floats = gemm_scratch(cols), bytes = quant_scratch(cols);
    return (floats * sizeof(float) > bytes ? floats * sizeof(float) : bytes) / sizeof(float) / 16 * 16 + 16;
}

/*
 * Returns rows [begin, end) as a row-major matrix. begin must be a multiple of 16.
 *
 * A column-major matrix is transposed into the memory `transposed`: rows_of_columns_bytes(w,
 * COLUMN_ROWS) bytes, aligned to a cache line. begin must then be a multiple of COLUMN_ROWS, and
 * end at most begin + COLUMN_ROWS.
 */
#define COLUMN_ROWS QUANT_SECTION
static inline struct mat product_rows(const struct mat *w, int begin, int end, void *transposed)
{
    if (w->by_column)
        return rows_of_columns(w, begin, end, transposed);
    const size_t row_bytes = (size_t)w->cols * (w->type == MAT_F32 ? sizeof(float) : sizeof(uint16_t));
    const size_t offset = w->type < MAT_FLOATS ? (size_t)begin * row_bytes
                                               : (size_t)(begin / QUANT_ROWS) * quant_tile_bytes(w->type, w->cols);
    return (struct mat){.type = w->type,
                        .rows = end - begin,
                        .cols = w->cols,
                        .from_memory = w->from_memory,
                        .data = (const char *)w->data + offset};
}

#endif
