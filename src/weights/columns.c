/*
 * columns.c - stores the matrices of float models that are multiplied by sparse vectors (ffn.value)
 * by column, so that decoding skips weights that would be multiplied by zero. See enum
 * rwkv7_sparse.
 */
#include <limits.h>
#include <stdatomic.h>

#include "base/mem.h"
#include "base/transpose.h"
#include "weights/weights.h"

/* One matrix to be converted. */
struct task {
    struct mat *mat; /* the original; replaced after all threads have finished */
    struct mat made;
    int layer;
    int first; /* index of its first slice among all slices */
};

struct job {
    struct rwkv7_model *model;
    const struct rwkv7_model_options *opt;
    struct task *tasks; /* [count] */
    int count, slices;
    uint64_t total;         /* bytes */
    _Atomic(int) bad_layer; /* the lowest layer with a NaN or an infinity; L if there is none */
    _Atomic(uint64_t) finished;
    _Atomic(bool) cancelled; /* by the progress callback */
};
#define SLICE_ROWS TRANSPOSE_TILE

static size_t element(const struct mat *m)
{
    return m->type == MAT_F32 ? sizeof(uint32_t) : sizeof(uint16_t);
}

static void store_worker(void *arg, struct pool *pool, int rank)
{
    struct job *job = arg;
    int begin, end, at = 0;
    while (!job->cancelled && pool_take(pool, job->slices, 1, &begin, &end)) {
        while (at + 1 < job->count && job->tasks[at + 1].first <= begin)
            at++;
        const struct task *task = &job->tasks[at];
        const struct mat *from = task->mat;
        const size_t row = (size_t)(begin - task->first) * SLICE_ROWS, all = (size_t)from->rows;
        const size_t rows = all - row < SLICE_ROWS ? all - row : SLICE_ROWS, cols = (size_t)from->cols;
        const size_t size = element(from), bytes = rows * cols * size;
        const char *source = (const char *)from->data + row * cols * size;
        int first = job->bad_layer;
        transpose((char *)task->made.data + row * size, all, source, cols, rows, cols, size);
        if (!floats_are_finite(source, from->type,
                               rows * cols)) /* decoding skips columns, so it may never read a NaN */
            while (task->layer < first && !atomic_compare_exchange_weak(&job->bad_layer, &first, task->layer))
                ;
        model_release(job->model, source, bytes);
        job->finished += bytes;
        if (rank == 0 && job->opt->progress && !job->opt->progress(job->opt->progress_arg, job->finished, job->total))
            job->cancelled = true;
    }
}

/* Collects the sparse float matrices as tasks and allocates their memory. */
static enum rwkv7_status plan(struct job *job)
{
    struct rwkv7_model *model = job->model;
    struct weight w = WEIGHT_BEFORE_FIRST;
    while (weight_next(model->weights, &model->shape, &w)) {
        struct mat *m = weight_mat(model, &w);
        if (w.spec->kind != WEIGHT_SPARSE || m->type >= MAT_FLOATS)
            continue;
        const int slices = (m->rows + SLICE_ROWS - 1) / SLICE_ROWS;
        if (slices > INT_MAX - job->slices) /* reached only by 4096 layers with the largest allowed axis */
            return RWKV7_ERR_MEMORY;
        struct task *task = &job->tasks[job->count++];
        *task = (struct task){m, *m, w.layer, job->slices};
        task->made.by_column = true;
        if (!(task->made.data = model_block(model, mat_bytes(m))))
            return RWKV7_ERR_MEMORY;
        job->slices += slices;
        job->total += mat_bytes(m);
    }
    return RWKV7_OK;
}

enum rwkv7_status model_store_columns(struct rwkv7_model *model, const struct rwkv7_model_options *opt,
                                      struct rwkv7_error *err)
{
    const int layers = model->shape.layers;
    struct job job = {.model = model, .opt = opt, .bad_layer = layers};
    enum rwkv7_status status = RWKV7_OK;
    job.tasks = mem_alloc((size_t)layers * model->weights->layer_count, sizeof *job.tasks);
    if (!job.tasks || plan(&job) != RWKV7_OK) {
        status = fail_memory(err, "ffn.value by column");
        goto done;
    }
    pool_run(model->compute->pool, store_worker, &job);
    if (job.cancelled) {
        status = fail(err, RWKV7_ERR_STOPPED, "%s: loading was cancelled", model->path);
        goto done;
    }
    if (job.bad_layer < layers) {
        status = fail(err, RWKV7_ERR_MODEL,
                      "%s: ffn.value of layer %d: expected finite numbers, required for storage by column; found a NaN "
                      "or an infinity",
                      model->path, job.bad_layer);
        goto done;
    }
    for (int i = 0; i < job.count; i++) {
        struct task *task = &job.tasks[i];
        model->info.copied_bytes += mat_bytes(task->mat);
        if (model_block_free(model, task->mat->data))
            model->info.copied_bytes -= mat_bytes(task->mat);
        *task->mat = task->made;
    }
done:
    mem_free(job.tasks);
    return status;
}
