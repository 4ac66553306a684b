/*
 * bind.c - the weights of a checkpoint (sources.c) in the form that the engine computes with. Matrices stay where the file is
 * mapped; copied are only vectors (to float32), low-rank factors that are stored the other way round, and what is not aligned
 * to its element.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "weights/model.h"

/* Low-rank factors to be turned round, all at once, by all threads. */
struct turn {
    const uint8_t *from; /* [cols][rows] */
    uint8_t *to;         /* [rows][cols] */
    int rows, cols;
    size_t element; /* bytes */
};

struct binding {
    struct rwkv7_model *model;
    struct turn *turns;
    int turn_count, turn_room;
    const struct rwkv7_model_options *opt;
    uint64_t total;             /* bytes to turn */
    _Atomic(uint64_t) finished; /* bytes turned */
    struct rwkv7_error *err;
};

static bool is_aligned(const void *p, enum mat_type type)
{
    return (uintptr_t)p % (type == MAT_F32 ? 4 : type < MAT_FLOATS ? 2 : MEM_ALIGN) == 0;
}

/* `count` numbers at `data` as float32: in place if they are, else widened into memory of the model. */
static enum rwkv7_status vector_floats(struct binding *b, const uint8_t *data, enum mat_type type, size_t count,
                                       const float **out)
{
    if (type == MAT_F32 && is_aligned(data, MAT_F32)) {
        *out = (const float *)(const void *)data;
        return RWKV7_OK;
    }
    const size_t bytes = count * (type == MAT_F32 ? 4 : 2);
    float *floats = model_block(b->model, count * sizeof *floats);
    void *aligned = mem_alloc(bytes, 1);
    if (floats && aligned) {
        memcpy(aligned, data, bytes);
        b->model->rt->kernels.widen[type](floats, aligned, (int)count);
        b->model->info.copied_bytes += count * sizeof *floats;
    }
    mem_free(aligned);
    *out = floats;
    return floats && aligned ? RWKV7_OK : fail_memory(b->err, "the weights");
}

static enum rwkv7_status bind_matrix(struct binding *b, const struct weight_source *source, struct mat *out)
{
    const struct tensor *t = source->tensor;
    *out = (struct mat){.rows = source->rows, .cols = source->cols, .data = t->data};
    weight_form(t->type, out);
    const enum mat_type type = out->type;
    b->model->info.type_parameters[type] += (uint64_t)source->rows * (uint64_t)source->cols;
    if (type == MAT_GGML || (!source->turned && is_aligned(t->data, type))) {
        if (source->spec->kind == WEIGHT_TABLE)
            file_map_sparse(t->data, (size_t)t->bytes);
        if (type == MAT_GGML)
            out->data = t;
        return RWKV7_OK;
    }

    void *copy = model_block(b->model, (size_t)t->bytes);
    if (!copy)
        return fail_memory(b->err, "the weights");
    out->data = copy;
    b->model->info.copied_bytes += t->bytes;
    if (!source->turned) {
        memcpy(copy, t->data, (size_t)t->bytes);
        model_release(b->model, t->data, (size_t)t->bytes);
        return RWKV7_OK;
    }
    if (b->turn_count == b->turn_room) {
        const int room = b->turn_room ? 2 * b->turn_room : 64;
        struct turn *grown = mem_grow(b->turns, (size_t)b->turn_room, (size_t)room, sizeof *grown);
        if (!grown)
            return fail_memory(b->err, "the weights");
        b->turns = grown;
        b->turn_room = room;
    }
    b->turns[b->turn_count++] = (struct turn){t->data, copy, source->rows, source->cols, type == MAT_F32 ? 4 : 2};
    b->total += t->bytes;
    return RWKV7_OK;
}

/* Square tiles keep both the rows read and the rows written in the cache. */
static void turn_matrix(const struct turn *t)
{
    enum { TILE = 32 };
    const size_t e = t->element, rows = (size_t)t->rows, cols = (size_t)t->cols;
    for (size_t r0 = 0; r0 < rows; r0 += TILE)
        for (size_t c0 = 0; c0 < cols; c0 += TILE)
            for (size_t r = r0; r < rows && r < r0 + TILE; r++)
                for (size_t c = c0; c < cols && c < c0 + TILE; c++)
                    memcpy(t->to + (r * cols + c) * e, t->from + (c * rows + r) * e, e);
}

static void turn_worker(void *arg, struct pool *pool, int rank)
{
    struct binding *b = arg;
    int begin, end;
    while (pool_take(pool, b->turn_count, 1, &begin, &end)) {
        const struct turn *t = &b->turns[begin];
        const size_t bytes = (size_t)t->rows * (size_t)t->cols * t->element;
        turn_matrix(t);
        model_release(b->model, t->from, bytes);
        b->finished += bytes;
        if (rank == 0 && b->opt && b->opt->progress)
            b->opt->progress(b->opt->progress_arg, b->finished, b->total);
    }
}

/* Vectors are few, and read with the first token anyway. What is wrong in a matrix shows in what is computed with it. */
static enum rwkv7_status check_vector(const struct binding *b, const struct weight_source *source, const float *x)
{
    const struct tensor *t = source->tensor;
    size_t i = 0, count = (size_t)source->rows;
    while (i < count && isfinite(x[i]))
        i++;
    return i == count ? RWKV7_OK
                      : fail(b->err, RWKV7_ERR_MODEL,
                             "%s: tensor '%s': expected finite numbers, found a NaN or an infinity at %zu", t->file,
                             t->name, source->row * count + i);
}

static enum rwkv7_status bind_one(struct binding *b, const struct weight_source *source)
{
    struct rwkv7_model *model = b->model;
    void *record = source->layer < 0 ? (void *)&model->outer : (void *)&model->layers[source->layer];
    void *field = (char *)record + source->spec->offset;
    if (source->spec->kind != WEIGHT_VECTOR)
        return bind_matrix(b, source, field);
    const size_t count = (size_t)source->rows;
    struct mat form;
    weight_form(source->tensor->type, &form);
    const enum mat_type type = form.type;
    model->info.type_parameters[type] += count;
    const float **const vector = field;
    const uint8_t *data = source->tensor->data + source->row * count * (type == MAT_F32 ? 4 : 2);
    const enum rwkv7_status status = vector_floats(b, data, type, count, vector);
    return status == RWKV7_OK ? check_vector(b, source, *vector) : status;
}

enum rwkv7_status weights_bind(struct rwkv7_model *model, const struct spelling *spelling,
                               const struct rwkv7_model_options *opt, struct rwkv7_error *err)
{
    struct binding b = {.model = model, .opt = opt, .err = err};
    struct weight_sources sources;
    enum rwkv7_status status = weights_find(model->index, model->path, spelling, &model->shape, &sources, err);
    if (status != RWKV7_OK)
        return status;
    model->info.ignored_tensors = sources.ignored;
    for (size_t i = 0; i < sources.count && status == RWKV7_OK; i++)
        status = bind_one(&b, &sources.at[i]);
    if (status == RWKV7_OK && b.turn_count > 0)
        pool_run(model->rt->pool, turn_worker, &b);
    mem_free(b.turns);
    weight_sources_free(&sources);
    return status;
}
