/*
 * transpose.c - ffn.value by column, for models of floats: decoding then skips the columns that meet a zero. See enum rwkv7_sparse.
 */
#include <stdatomic.h>

#include "base/mem.h"
#include "weights/model.h"

/* Square tiles keep both the rows read and the columns written in the cache. */
#define TILE 32

struct job {
    struct rwkv7_model *model;
    const struct rwkv7_model_options *opt;
    struct mat *made;       /* [L] */
    uint64_t total;         /* bytes */
    _Atomic(int) bad_layer; /* the first with a NaN or an infinity, or L */
    _Atomic(uint64_t) finished;
};

/* Rows [begin, end) of the source. False: a NaN or an infinity is among them, of which skipped columns would say nothing. */
static bool turn_rows(const struct mat *from, const struct mat *to, int begin, int end)
{
    const size_t rows = (size_t)from->rows, cols = (size_t)from->cols, last = (size_t)end;
    const uint32_t exponent = from->type == MAT_F16 ? 0x7c00 : from->type == MAT_BF16 ? 0x7f80 : 0x7f800000;
    bool finite = true;
    for (size_t r0 = (size_t)begin; r0 < last; r0 += TILE)
        for (size_t c0 = 0; c0 < cols; c0 += TILE)
            for (size_t c = c0; c < cols && c < c0 + TILE; c++)
                for (size_t r = r0; r < last && r < r0 + TILE; r++) {
                    uint32_t bits;
                    if (from->type == MAT_F32)
                        ((uint32_t *)to->data)[c * rows + r] = bits = ((const uint32_t *)from->data)[r * cols + c];
                    else
                        ((uint16_t *)to->data)[c * rows + r] =
                            (uint16_t)(bits = ((const uint16_t *)from->data)[r * cols + c]);
                    finite = finite && (bits & exponent) != exponent;
                }
    return finite;
}

static void turn_worker(void *arg, struct pool *pool, int rank)
{
    struct job *job = arg;
    const struct rwkv7_shape *s = &job->model->shape;
    const int per_layer = (s->channels + TILE - 1) / TILE;
    int begin, end;
    while (pool_take(pool, s->layers * per_layer, 1, &begin, &end)) {
        const int layer = begin / per_layer, row = begin % per_layer * TILE;
        const struct mat *from = &job->model->layers[layer].ffn_value;
        if (from->type >= MAT_FLOATS)
            continue;
        const int last = from->rows - row < TILE ? from->rows : row + TILE;
        const size_t bytes = mat_bytes(from) / (size_t)from->rows;
        int first = job->bad_layer;
        if (!turn_rows(from, &job->made[layer], row, last))
            while (layer < first && !atomic_compare_exchange_weak(&job->bad_layer, &first, layer))
                ;
        model_release(job->model, (const char *)from->data + (size_t)row * bytes, (size_t)(last - row) * bytes);
        job->finished += (uint64_t)(last - row) * bytes;
        if (rank == 0 && job->opt->progress)
            job->opt->progress(job->opt->progress_arg, job->finished, job->total);
    }
}

enum rwkv7_status model_turn_values(struct rwkv7_model *model, const struct rwkv7_model_options *opt,
                                    struct rwkv7_error *err)
{
    const int layers = model->shape.layers;
    enum rwkv7_status status = RWKV7_OK;
    struct job job = {
        .model = model, .opt = opt, .made = mem_alloc((size_t)layers, sizeof *job.made), .bad_layer = layers};
    for (int i = 0; job.made && i < layers; i++) {
        job.made[i] = model->layers[i].ffn_value;
        if (job.made[i].type >= MAT_FLOATS)
            continue;
        job.made[i].by_column = true;
        if (!(job.made[i].data = model_block(model, mat_bytes(&job.made[i]))))
            status = RWKV7_ERR_MEMORY;
        job.total += mat_bytes(&job.made[i]);
    }
    if (!job.made || status != RWKV7_OK) {
        mem_free(job.made);
        return fail_memory(err, "ffn.value by column");
    }
    pool_run(model->rt->pool, turn_worker, &job);
    if (job.bad_layer < layers) {
        mem_free(job.made);
        return fail(
            err, RWKV7_ERR_MODEL,
            "%s: ffn.value of layer %d: expected finite numbers to store it by column, found a NaN or an infinity",
            model->path, job.bad_layer);
    }
    for (int i = 0; i < layers; i++) {
        struct mat *m = &model->layers[i].ffn_value;
        if (m->type >= MAT_FLOATS)
            continue;
        model->info.copied_bytes += mat_bytes(m);
        if (model_block_free(model, m->data))
            model->info.copied_bytes -= mat_bytes(m);
        *m = job.made[i];
    }
    mem_free(job.made);
    return RWKV7_OK;
}
