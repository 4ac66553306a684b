/*
 * validate.c - checks a quantized file for values that would give different results on different
 * kernel tiers.
 *
 * Kernels multiply sub-block scales into the integers, in 8 or 16 bits depending on the instruction
 * set. A scale outside its range overflows 8 bits in some kernels and not in others. Only types
 * whose bit fields can express such a scale are checked. All other bytes mean the same on every
 * tier: any integer is valid, and a scale that is NaN or infinite ends the evaluation, as in a
 * float matrix.
 */
#include <limits.h>
#include <stdatomic.h>

#include "base/mem.h"
#include "weights/weights.h"

/* A matrix to check. Its parts are tiles, or groups of columns if it is column-major. */
struct task {
    const struct weight_source *source;
    struct mat mat;
    int first; /* index of its first part among all parts */
};

struct job {
    struct task *tasks;
    int count, parts;
    _Atomic(int) bad; /* the first part with an invalid scale; `parts` if there is none */
};

static int parts_of(const struct mat *m)
{
    return m->by_column ? quant_groups(m->cols) : quant_tiles(m->rows);
}

/*
 * Returns the sub-block scales of a part: *count vectors of 16 rows. For a tile, one vector per
 * group; for a group of columns, one per tile.
 */
static const uint8_t *scales_of(const struct mat *m, int part, int *count)
{
    if (!m->by_column) {
        *count = quant_groups(m->cols);
        return quant_tile(m, part).s;
    }
    *count = (int)(quant_padded_rows(m->rows) / QUANT_ROWS);
    return quant_columns(m).s + (size_t)part * (size_t)*count * quant_s_bytes(m->type);
}

/* Returns the index of the first invalid scale of a part; -1 if all are valid. */
static int find_invalid(const struct mat *m, int part, int8_t *found)
{
    const struct weight_type *const type = &weight_types[m->type];
    int count;
    const uint8_t *at = scales_of(m, part, &count);
    for (int i = 0; i < count; i++, at += quant_s_bytes(m->type)) {
        int8_t s[QUANT_ROWS];
        quant_unpack_s(m->type, s, at);
        for (int r = 0; r < QUANT_ROWS; r++)
            if (s[r] < type->s_low || s[r] > type->s_high) {
                *found = s[r];
                return i * QUANT_ROWS + r;
            }
    }
    return -1;
}

static const struct task *task_of(const struct job *job, int part)
{
    int at = 0;
    while (at + 1 < job->count && job->tasks[at + 1].first <= part)
        at++;
    return &job->tasks[at];
}

static void validate_worker(void *arg, struct pool *pool, int rank)
{
    struct job *job = arg;
    int begin, end;
    int8_t found;
    (void)rank;
    while (pool_take(pool, job->parts, VALIDATE_TASK_PARTS, &begin, &end))
        for (int part = begin; part < end && part < job->bad; part++) {
            const struct task *task = task_of(job, part);
            int first = job->bad;
            if (find_invalid(&task->mat, part - task->first, &found) >= 0)
                while (part < first && !atomic_compare_exchange_weak(&job->bad, &first, part))
                    ;
        }
}

static enum rwkv7_status refuse_scale(const struct task *task, int part, struct rwkv7_error *err)
{
    const struct mat *m = &task->mat;
    const struct weight_type *const type = &weight_types[m->type];
    int8_t found = 0;
    const int at = find_invalid(m, part, &found);
    const int row = m->by_column ? at : part * QUANT_ROWS + at % QUANT_ROWS;
    const int group = m->by_column ? part : at / QUANT_ROWS;
    return fail(err, RWKV7_ERR_MODEL,
                "%s: tensor '%s': expected sub-block scales from %d to %d, found %d in row %d, column %d",
                task->source->tensor->file, task->source->tensor->name, type->s_low, type->s_high, found, row,
                group * QUANT_GROUP);
}

enum rwkv7_status weights_validate(const struct weight_sources *sources, struct pool *pool, struct rwkv7_error *err)
{
    struct job job = {.tasks = mem_alloc(sources->count, sizeof *job.tasks)};
    enum rwkv7_status status = RWKV7_OK;
    if (!job.tasks)
        return fail_memory(err, "the list of matrices");
    for (size_t i = 0; i < sources->count; i++) {
        const struct weight_source *source = &sources->at[i];
        struct mat m = {.rows = source->rows, .cols = source->cols, .data = source->tensor->data};
        if (source->tensor->type < DT_PACKED || !weight_form(source->tensor->type, &m) || !type_has_invalid_s(m.type))
            continue;
        job.tasks[job.count++] = (struct task){source, m, job.parts};
        if (parts_of(&m) > INT_MAX - job.parts) {
            mem_free(job.tasks);
            return fail(err, RWKV7_ERR_MODEL, "%s: the quantized matrices are too large to check",
                        source->tensor->file);
        }
        job.parts += parts_of(&m);
    }
    job.bad = job.parts;
    if (job.count > 0)
        pool_run(pool, validate_worker, &job);
    if (job.bad < job.parts) {
        const struct task *task = task_of(&job, job.bad);
        status = refuse_scale(task, job.bad - task->first, err);
    }
    mem_free(job.tasks);
    return status;
}
