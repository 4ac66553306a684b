/*
 * bind.c - the weights of a checkpoint (sources.c) in the form that the engine computes with. Matrices stay where the file is
 * mapped; copied are only vectors (to float32), low-rank factors that are stored transposed, and what is not aligned
 * to its element.
 */
#include <math.h>
#include <string.h>

#include "base/fmath.h"
#include "base/mem.h"
#include "base/transpose.h"
#include "weights/weights.h"

/* A low-rank factor to be transposed; all of them at once, by all threads. */
struct transposition {
    const uint8_t *from; /* [cols][rows] */
    uint8_t *to;         /* [rows][cols] */
    int rows, cols;
    size_t element; /* bytes */
};

struct binding {
    struct rwkv7_model *model;
    struct transposition *transpositions; /* [count], memory for [room] */
    int count, room;
    const struct rwkv7_model_options *opt;
    uint64_t total;             /* bytes to transpose */
    _Atomic(uint64_t) finished; /* bytes transposed */
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
    if (type == MAT_GGML || (!source->transposed && is_aligned(t->data, type))) {
        if (source->weight.spec->kind == WEIGHT_TABLE)
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
    if (!source->transposed) {
        memcpy(copy, t->data, (size_t)t->bytes);
        model_release(b->model, t->data, (size_t)t->bytes);
        return RWKV7_OK;
    }
    if (b->count == b->room) {
        const int room = b->room ? 2 * b->room : 64;
        struct transposition *grown = mem_grow(b->transpositions, (size_t)b->room, (size_t)room, sizeof *grown);
        if (!grown)
            return fail_memory(b->err, "the weights");
        b->transpositions = grown;
        b->room = room;
    }
    b->transpositions[b->count++] =
        (struct transposition){t->data, copy, source->rows, source->cols, type == MAT_F32 ? 4 : 2};
    b->total += t->bytes;
    return RWKV7_OK;
}

static void transpose_worker(void *arg, struct pool *pool, int rank)
{
    struct binding *b = arg;
    int begin, end;
    while (pool_take(pool, b->count, 1, &begin, &end)) {
        const struct transposition *t = &b->transpositions[begin];
        const size_t rows = (size_t)t->rows, cols = (size_t)t->cols, bytes = rows * cols * t->element;
        transpose(t->to, cols, t->from, rows, cols, rows, t->element);
        model_release(b->model, t->from, bytes);
        b->finished += bytes;
        if (rank == 0 && b->opt && b->opt->progress)
            b->opt->progress(b->opt->progress_arg, b->finished, b->total);
    }
}

void weight_transform(enum weight_kind kind, float *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        x[i] = kind == WEIGHT_COMPLEMENT ? 1.0f - x[i] : kind == WEIGHT_DECAY ? fmath_exp(-fmath_exp(x[i])) : x[i];
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

static enum rwkv7_status bind_vector(struct binding *b, const struct weight_source *source, const float **vector)
{
    const size_t count = (size_t)source->rows;
    const enum weight_kind kind = source->weight.spec->kind;
    struct mat form;
    weight_form(source->tensor->type, &form);
    const uint8_t *data = source->tensor->data + source->row * count * (form.type == MAT_F32 ? 4 : 2);
    b->model->info.type_parameters[form.type] += count;
    enum rwkv7_status status = vector_floats(b, data, form.type, count, vector);
    if (status == RWKV7_OK)
        status = check_vector(b, source, *vector);
    if (status != RWKV7_OK || kind == WEIGHT_VECTOR)
        return status;
    float *own = (float *)*vector; /* widened: memory of the model */
    if ((const void *)own == data) {
        if (!(own = model_block(b->model, count * sizeof *own)))
            return fail_memory(b->err, "the weights");
        memcpy(own, *vector, count * sizeof *own);
        b->model->info.copied_bytes += count * sizeof *own;
    }
    weight_transform(kind, own, count);
    *vector = own;
    return RWKV7_OK;
}

enum rwkv7_status weights_bind(struct rwkv7_model *model, const struct recognized *as,
                               const struct rwkv7_model_options *opt, struct rwkv7_error *err)
{
    struct binding b = {.model = model, .opt = opt, .err = err};
    struct weight_sources sources;
    enum rwkv7_status status = weights_find(model->index, model->path, as, &sources, err);
    if (status != RWKV7_OK)
        return status;
    model->info.ignored_tensors = sources.ignored;
    for (size_t i = 0; i < sources.count && status == RWKV7_OK; i++) {
        const struct weight_source *source = &sources.at[i];
        if (kind_is_vector(source->weight.spec->kind))
            status = bind_vector(&b, source, weight_vector(model, &source->weight));
        else
            status = bind_matrix(&b, source, weight_mat(model, &source->weight));
    }
    if (status == RWKV7_OK && b.count > 0)
        pool_run(model->rt->pool, transpose_worker, &b);
    mem_free(b.transpositions);
    weight_sources_free(&sources);
    return status;
}
