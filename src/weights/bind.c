/*
 * bind.c - brings the weights of a checkpoint (sources.c) into the form that the engine uses.
 * Matrices stay in the mapped file. These weights are copied:
 *
 *     vectors that are not float32 in the file, or that are transformed
 *     low-rank factors that are stored transposed
 *     matrices that are only some columns of their tensor
 *     data that are not aligned to their element size
 */
#include <math.h>
#include <string.h>

#include "base/fmath.h"
#include "base/mem.h"
#include "base/transpose.h"
#include "weights/weights.h"

/* A low-rank factor to be transposed. After all weights are bound, the threads share this work. */
struct transposition {
    const uint8_t *from; /* [cols][rows]; from_stride is the distance between rows in elements */
    size_t from_stride;
    uint8_t *to; /* [rows][cols] */
    int rows, cols;
    size_t element; /* bytes */
};

struct binding {
    struct rwkv7_model *model;
    struct transposition *transpositions; /* [count], allocated for [room] */
    int count, room;
    const struct rwkv7_model_options *opt;
    bool tied;                  /* the embedding is also the head, so all of it is read */
    uint64_t total;             /* bytes to transpose */
    _Atomic(uint64_t) finished; /* bytes transposed */
    _Atomic(bool) cancelled;    /* by the progress callback */
    struct rwkv7_error *err;
};

static bool is_aligned(const void *p, enum mat_type type)
{
    return (uintptr_t)p % (type == MAT_F32 ? 4 : type < MAT_FLOATS ? 2 : MEM_ALIGN) == 0;
}

/*
 * Makes `count` numbers at `data` available as float32: in place if they are aligned float32, else
 * converted into memory of the model.
 */
static enum rwkv7_status widen_vector(struct binding *b, const uint8_t *data, enum mat_type type, size_t count,
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
        b->model->compute->kernels.widen[type](floats, aligned, (int)count);
        b->model->info.copied_bytes += count * sizeof *floats;
    }
    mem_free(aligned);
    *out = floats;
    return floats && aligned ? RWKV7_OK : fail_memory(b->err, "the weights");
}

/* Converts a vector of float64 to float32. */
static enum rwkv7_status narrow_vector(struct binding *b, const struct weight_source *source, const float **out)
{
    const size_t count = (size_t)source->rows;
    struct tensor rows = *source->tensor; /* the tensor seen as rows of its last axis */
    float *floats = model_block(b->model, count * sizeof *floats);
    rows.rank = 1;
    rows.shape[0] = count;
    *out = floats;
    if (!floats)
        return fail_memory(b->err, "the weights");
    tensor_row(&rows, source->row, floats);
    b->model->info.copied_bytes += count * sizeof *floats;
    return RWKV7_OK;
}

static enum rwkv7_status bind_matrix(struct binding *b, const struct weight_source *source, struct mat *out)
{
    const struct tensor *t = source->tensor;
    *out = (struct mat){.rows = source->rows, .cols = source->cols};
    weight_form(t->type, out);
    const enum mat_type type = out->type;
    b->model->info.type_parameters[type] += (uint64_t)source->rows * (uint64_t)source->cols;
    if (type == MAT_GGML) {
        if (source->weight.spec->kind == WEIGHT_TABLE && !b->tied)
            file_map_sparse(t->data, (size_t)t->bytes);
        out->data = t;
        return RWKV7_OK;
    }

    /* Stored as rows of `width` elements; the matrix may be only a part of them. */
    const size_t element = type == MAT_F32 ? 4 : 2, bytes = mat_bytes(out);
    const size_t width = type < MAT_FLOATS ? (size_t)t->shape[t->rank - 1] : (size_t)source->cols;
    const size_t taken = (size_t)(source->transposed ? source->rows : source->cols);
    const uint8_t *from = t->data + (type < MAT_FLOATS ? (source->row * width + source->col) * element : 0);
    if (!source->transposed && taken == width && is_aligned(from, type)) {
        if (source->weight.spec->kind == WEIGHT_TABLE && !b->tied)
            file_map_sparse(t->data, (size_t)t->bytes);
        out->data = from;
        return RWKV7_OK;
    }
    uint8_t *copy = model_block(b->model, bytes);
    if (!copy)
        return fail_memory(b->err, "the weights");
    out->data = copy;
    b->model->info.copied_bytes += bytes;
    if (!source->transposed && taken == width) {
        memcpy(copy, from, bytes);
        model_release(b->model, from, bytes);
        return RWKV7_OK;
    }
    if (!source->transposed) {
        for (size_t row = 0; row < (size_t)source->rows; row++)
            memcpy(copy + row * taken * element, from + row * width * element, taken * element);
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
    b->transpositions[b->count++] = (struct transposition){from, width, copy, source->rows, source->cols, element};
    b->total += bytes;
    return RWKV7_OK;
}

static void transpose_worker(void *arg, struct pool *pool, int rank)
{
    struct binding *b = arg;
    int begin, end;
    while (!b->cancelled && pool_take(pool, b->count, 1, &begin, &end)) {
        const struct transposition *t = &b->transpositions[begin];
        const size_t rows = (size_t)t->rows, cols = (size_t)t->cols, bytes = rows * cols * t->element;
        transpose(t->to, cols, t->from, t->from_stride, cols, rows, t->element);
        if (t->from_stride == rows)
            model_release(b->model, t->from, bytes);
        b->finished += bytes;
        if (rank == 0 && b->opt->progress && !b->opt->progress(b->opt->progress_arg, b->finished, b->total))
            b->cancelled = true;
    }
}

void weight_transform(const struct rwkv7_shape *shape, const struct weight_spec *spec, float *x)
{
    const enum weight_kind kind = spec->kind;
    const size_t count = (size_t)shape_axis(shape, spec->rows), copies = (size_t)shape->head_size;
    for (size_t i = 0; i < count; i++) {
        if (kind == WEIGHT_COMPLEMENT)
            x[i] = 1.0f - x[i];
        if (kind == WEIGHT_EXP || kind == WEIGHT_HEAD_EXP)
            x[i] = fmath_exp(x[i]);
        if (kind == WEIGHT_DECAY || kind == WEIGHT_HEAD_DECAY)
            x[i] = fmath_exp(-fmath_exp(x[i]));
    }
    for (size_t i = kind >= WEIGHT_HEAD ? count * copies : 0;
         i-- > 0;) /* in place and backwards, so that no unread value is overwritten */
        x[i] = x[i / copies];
}

/*
 * Checks that a vector is finite. Vectors are small, and the first token reads them anyway.
 * finite.c checks low-rank factors. Large matrices are not checked, because a NaN ends the first
 * evaluation with an error. So does an infinity, unless it passes through a bounded function such
 * as sigmoid (docs/FORMATS.md).
 */
static enum rwkv7_status check_vector(const struct binding *b, const struct weight_source *source, const float *x)
{
    const struct tensor *t = source->tensor;
    size_t i = 0, count = (size_t)source->rows;
    while (i < count && isfinite(x[i]))
        i++;
    return i == count ? RWKV7_OK
                      : fail(b->err, RWKV7_ERR_MODEL,
                             "%s: tensor '%s': expected finite numbers, found a NaN or an infinity at index %zu",
                             t->file, t->name, source->row * count + i);
}

static enum rwkv7_status bind_vector(struct binding *b, const struct weight_source *source, const float **vector)
{
    const struct rwkv7_shape *shape = &b->model->shape;
    const struct weight_spec *spec = source->weight.spec;
    const size_t count = (size_t)source->rows, floats = vector_floats(shape, spec);
    struct mat form = {.type = MAT_F32};
    enum rwkv7_status status;
    if (source->tensor->type == DT_F64) {
        status = narrow_vector(b, source, vector);
    } else {
        weight_form(source->tensor->type, &form);
        const uint8_t *data = source->tensor->data + source->row * count * (form.type == MAT_F32 ? 4 : 2);
        status = widen_vector(b, data, form.type, count, vector);
    }
    b->model->info.type_parameters[form.type] += count;
    if (status == RWKV7_OK)
        status = check_vector(b, source, *vector);
    if (status != RWKV7_OK || spec->kind == WEIGHT_VECTOR)
        return status;
    float *own = model_block(b->model, floats * sizeof *own);
    if (!own)
        return fail_memory(b->err, "the weights");
    memcpy(own, *vector, count * sizeof *own);
    b->model->info.copied_bytes += floats * sizeof *own;
    weight_transform(shape, spec, own);
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
    b.tied = sources.tied;
    for (size_t i = 0; i < sources.count && status == RWKV7_OK; i++) {
        const struct weight_source *source = &sources.at[i];
        if (kind_is_vector(source->weight.spec->kind))
            status = bind_vector(&b, source, weight_vector(model, &source->weight));
        else
            status = bind_matrix(&b, source, weight_mat(model, &source->weight));
    }
    if (status == RWKV7_OK)
        status = weights_validate(&sources, model->compute->pool, err);
    if (status == RWKV7_OK)
        status = weights_check_factors(&sources, model->compute->pool, err);
    if (status == RWKV7_OK && b.count > 0)
        pool_run(model->compute->pool, transpose_worker, &b);
    if (b.cancelled)
        status = fail(err, RWKV7_ERR_STOPPED, "%s: loading was cancelled", model->path);
    mem_free(b.transpositions);
    weight_sources_free(&sources);
    return status;
}
