/* step.c - products and sums shared by the forward passes for one token; see step.h. */
#include "arch/step.h"

int step_chunk_rows(int rows, const struct pool *pool)
{
    const int chunk = rows / (pool_threads(pool) * 16) / STEP_ROWS_LEAST * STEP_ROWS_LEAST;
    return chunk < STEP_ROWS_LEAST ? STEP_ROWS_LEAST : chunk > STEP_ROWS_MOST ? STEP_ROWS_MOST : chunk;
}

void step_share(int total, int rank, const struct pool *pool, int *begin, int *end)
{
    const int threads = pool_threads(pool);
    *begin = (int)((int64_t)total * rank / threads);
    *end = (int)((int64_t)total * (rank + 1) / threads);
}

void step_products(const struct step *step, struct pool *pool, int rank, const struct step_product *products, int count)
{
    const struct kernels *k = &step->model->compute->kernels;
    int total = 0, begin, end;
    for (int i = 0; i < count; i++)
        total += products[i].w->rows;
    const int chunk = step_chunk_rows(total, pool);
    while (pool_share(pool, rank, total, chunk, &begin, &end)) {
        int base = 0; /* first row of the product in the common numbering of all rows */
        for (int i = 0; i < count && base < end; base += products[i++].w->rows) {
            const struct step_product *p = &products[i];
            const int from = begin > base ? begin - base : 0;
            const int to = end - base < p->w->rows ? end - base : p->w->rows;
            if (from < to)
                product_gemv(k, p->y, p->w, p->x, from, to);
        }
    }
}

/* Adds rows [begin, end) of step->y to the residual stream. */
static void add_rows(const struct step *step, const float *gate, int begin, int end)
{
    const struct kernels *k = &step->model->compute->kernels;
    if (gate)
        k->multiply(step->y + begin, gate + begin, end - begin);
    k->add(step->x + begin, step->y + begin, end - begin);
}

void step_add_product(const struct step *step, struct pool *pool, int rank, const struct mat *w, const float *v,
                      const float *gate)
{
    const struct kernels *k = &step->model->compute->kernels;
    const struct operand o = {v, step->threads[rank].quants};
    const int chunk = step_chunk_rows(w->rows, pool);
    int begin, end;
    operand_quantize(k, &o, w->type, w->cols, 0, 1);
    while (pool_share(pool, rank, w->rows, chunk, &begin, &end)) {
        product_gemv(k, step->y, w, &o, begin, end);
        add_rows(step, gate, begin, end);
    }
}

void step_add_sparse(struct step *step, struct pool *pool, int rank, const struct mat *w, const float *v,
                     const float *gate)
{
    if (!w->by_column) {
        step_add_product(step, pool, rank, w, v, gate);
        return;
    }
    const struct kernels *k = &step->model->compute->kernels;
    struct step_thread *local = &step->threads[rank];
    const struct operand o = {v, local->quants};
    int begin, end;
    operand_quantize(k, &o, w->type, w->cols, 0, 1);
    product_active(&local->active, w, &o);
    if (rank == 0) {
        step->columns += (uint64_t)w->cols;
        step->columns_read += (uint64_t)local->active.first[16];
    }
    /* Each thread takes one part of every column: long parts use the memory bandwidth better. */
    while (pool_share(pool, rank, w->rows, product_column_rows(w, pool_threads(pool)), &begin, &end)) {
        product_columns(k, step->y, w, &o, &local->active, begin, end);
        add_rows(step, gate, begin, end);
    }
}
