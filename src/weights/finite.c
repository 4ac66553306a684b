/*
 * finite.c - checks, when a model is opened, that its low-rank factors are finite; bind.c checks
 * the vectors. No evaluation would notice an infinity in these factors, because their outputs pass
 * through tanh or sigmoid, which turn it into an ordinary number. The check is cheap: the factors
 * are one thirtieth of the weights.
 */
#include <limits.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "weights/weights.h"

enum { RUN = 1 << 15 /* numbers checked in one piece */ };

bool floats_are_finite(const void *data, enum mat_type type, size_t count)
{
    const uint8_t *at = data; /* any alignment */
    bool is_finite = true;
    if (type == MAT_F32) {
        for (size_t i = 0; i < count; i++) {
            uint32_t bits;
            memcpy(&bits, at + i * sizeof bits, sizeof bits);
            is_finite = is_finite && (bits & 0x7f800000) != 0x7f800000;
        }
        return is_finite;
    }
    const unsigned exponent = type == MAT_F16 ? 0x7c00 : 0x7f80;
    for (size_t i = 0; i < count; i++) {
        uint16_t bits;
        memcpy(&bits, at + i * sizeof bits, sizeof bits);
        is_finite = is_finite && (bits & exponent) != exponent;
    }
    return is_finite;
}

/*
 * A factor to check: its numbers, or the scales of its tiles. A tensor that contains several
 * factors is checked once, as a whole.
 */
struct task {
    const struct tensor *tensor;
    struct mat mat;
    int first; /* index of its first piece among all pieces */
};

struct job {
    struct task *tasks; /* [count] */
    int count, pieces;
    _Atomic(int) bad; /* the first piece that is not finite; `pieces` if there is none */
};

static bool is_packed(const struct task *task)
{
    return task->mat.type >= MAT_FLOATS;
}

static size_t numbers_of(const struct tensor *t)
{
    return (size_t)t->bytes / (dtype_bits(t->type) / 8);
}

/* Returns the numbers of a piece. */
static const uint8_t *piece_of(const struct task *task, int piece, enum mat_type *type, size_t *count)
{
    if (is_packed(task)) {
        *type = MAT_BF16;
        *count = (size_t)quant_blocks(task->mat.cols) * QUANT_ROWS;
        return (const uint8_t *)quant_tile(&task->mat, piece).scale;
    }
    const size_t first = (size_t)piece * RUN, total = numbers_of(task->tensor);
    *type = task->mat.type;
    *count = total - first < RUN ? total - first : RUN;
    return task->tensor->data + first * (size_t)weight_types[*type].bits / 8;
}

static const struct task *task_of(const struct job *job, int piece)
{
    int at = 0;
    while (at + 1 < job->count && job->tasks[at + 1].first <= piece)
        at++;
    return &job->tasks[at];
}

static void check_worker(void *arg, struct pool *pool, int rank)
{
    struct job *job = arg;
    int begin, end;
    (void)rank;
    while (pool_take(pool, job->pieces, 1, &begin, &end)) {
        const struct task *task = task_of(job, begin);
        enum mat_type type;
        size_t count;
        const uint8_t *const data = piece_of(task, begin - task->first, &type, &count);
        int first = job->bad;
        if (begin < first && !floats_are_finite(data, type, count))
            while (begin < first && !atomic_compare_exchange_weak(&job->bad, &first, begin))
                ;
    }
}

static enum rwkv7_status refuse_piece(const struct task *task, int piece, struct rwkv7_error *err)
{
    enum mat_type type;
    size_t count, at = 0;
    const uint8_t *const data = piece_of(task, piece, &type, &count);
    const size_t element = type == MAT_F32 ? 4 : 2;
    while (at < count && floats_are_finite(data + at * element, type, 1))
        at++;
    if (is_packed(task))
        return fail(err, RWKV7_ERR_MODEL,
                    "%s: tensor '%s': expected finite scales, found a NaN or an infinity in row %zu",
                    task->tensor->file, task->tensor->name, (size_t)piece * QUANT_ROWS + at % QUANT_ROWS);
    return fail(err, RWKV7_ERR_MODEL,
                "%s: tensor '%s': expected finite numbers, found a NaN or an infinity at index %zu", task->tensor->file,
                task->tensor->name, (size_t)piece * RUN + at);
}

/* Collects the factors as tasks. Returns false if there are too many pieces for an int. */
static bool plan(struct job *job, const struct weight_sources *sources)
{
    for (size_t i = 0; i < sources->count; i++) {
        const struct weight_source *source = &sources->at[i];
        const enum weight_kind kind = source->weight.spec->kind;
        struct task task = {.tensor = source->tensor,
                            .mat = {.rows = source->rows, .cols = source->cols, .data = source->tensor->data},
                            .first = job->pieces};
        if ((kind != WEIGHT_FACTOR && kind != WEIGHT_ORIENTED) || source->row > 0 || source->col > 0 ||
            !weight_form(source->tensor->type, &task.mat) || task.mat.type == MAT_GGML || task.mat.by_column)
            continue;
        const size_t pieces =
            is_packed(&task) ? (size_t)quant_tiles(task.mat.rows) : (numbers_of(source->tensor) + RUN - 1) / RUN;
        if (pieces > (size_t)(INT_MAX - job->pieces))
            return false;
        job->pieces += (int)pieces;
        job->tasks[job->count++] = task;
    }
    return true;
}

enum rwkv7_status weights_check_factors(const struct weight_sources *sources, struct pool *pool,
                                        struct rwkv7_error *err)
{
    struct job job = {.tasks = mem_alloc(sources->count, sizeof *job.tasks)};
    enum rwkv7_status status = RWKV7_OK;
    if (!job.tasks)
        return fail_memory(err, "the list of low-rank factors");
    if (!plan(&job, sources)) {
        mem_free(job.tasks);
        return fail(err, RWKV7_ERR_MODEL, "the low-rank factors are too large to check");
    }
    job.bad = job.pieces;
    if (job.pieces > 0)
        pool_run(pool, check_worker, &job);
    if (job.bad < job.pieces) {
        const struct task *task = task_of(&job, job.bad);
        status = refuse_piece(task, job.bad - task->first, err);
    }
    mem_free(job.tasks);
    return status;
}
