/*
 * weights.c - binding by expectation: every weight is asked for by name, type and shape, and what does not fit is an error that
 * names it. Matrices stay where the file is mapped; copied are only vectors (to float32), low-rank factors that are stored the
 * other way round, and what is not aligned to its element.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/model.h"

/* Low-rank factors to be turned round, all at once, by all threads. */
struct turn {
    const uint8_t *from; /* [cols][rows] */
    uint8_t *to;         /* [rows][cols] */
    int rows, cols;
    size_t element; /* bytes */
};

struct binding {
    struct rwkv7_model *model;
    const struct spelling *spelling;
    uint8_t *used; /* [index->count] 1: bound */
    struct turn *turns;
    int turn_count, turn_room;
    const struct rwkv7_model_options *opt;
    uint64_t total;             /* bytes to turn */
    _Atomic(uint64_t) finished; /* bytes turned */
    struct rwkv7_error *err;
};

static enum mat_type mat_type_of(enum dtype type)
{
    return type == DT_F32     ? MAT_F32
           : type == DT_F16   ? MAT_F16
           : type == DT_BF16  ? MAT_BF16
           : type >= DT_PLAIN ? MAT_GGML
                              : MAT_FLOATS;
}

static void shape_text(char *out, size_t room, const uint64_t *shape, int rank)
{
    size_t at = 0;
    out[0] = '\0';
    for (int i = 0; i < rank && at + 24 < room; i++)
        at += (size_t)snprintf(out + at, room - at, "%s%llu", i ? "," : "", (unsigned long long)shape[i]);
}

static enum rwkv7_status wrong_shape(struct binding *b, const struct tensor *t, const char *expected)
{
    char found[192];
    shape_text(found, sizeof found, t->shape, t->rank);
    return fail(b->err, RWKV7_ERR_MODEL, "%s: tensor '%s': expected shape %s, found [%s]", t->file, t->name, expected,
                found);
}

/* The tensor of that name, marked as used and of a type that the engine computes with. */
static enum rwkv7_status take(struct binding *b, const char *name, bool may_be_ggml, const struct tensor **out,
                              enum mat_type *type)
{
    const struct tensor_index *index = b->model->index;
    const struct tensor *t = tensors_find(index, name);
    if (!t)
        return fail(b->err, RWKV7_ERR_MODEL, "%s: tensor '%s' is missing", b->model->path, name);
    *type = mat_type_of(t->type);
    if (*type >= MAT_FLOATS && !(*type == MAT_GGML && may_be_ggml))
        return fail(b->err, RWKV7_ERR_MODEL, "%s: tensor '%s': expected type F32, F16 or BF16, found %s", t->file, name,
                    dtype_name(t->type));
    b->used[t - index->tensors] = 1;
    *out = t;
    return RWKV7_OK;
}

static bool is_aligned(const void *p, enum mat_type type)
{
    return (uintptr_t)p % (type == MAT_F32 ? 4 : 2) == 0;
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

static enum rwkv7_status bind_vector(struct binding *b, const char *name, char rows, const float **out)
{
    const struct tensor *t = NULL;
    enum mat_type type;
    const enum rwkv7_status status = take(b, name, false, &t, &type);
    if (status != RWKV7_OK)
        return status;
    const struct rwkv7_shape *shape = &b->model->shape;
    const bool is_heads = rows == 'H' && b->spelling->naming != NAMING_GGUF; /* r_k, the only one with two axes */
    uint64_t elements = 1;
    int wide = 0; /* axes other than 1: [1,1,C] and [C] are the same vector */
    for (int i = 0; i < t->rank; i++) {
        elements *= t->shape[i];
        wide += t->shape[i] != 1;
    }
    const int count = is_heads ? shape->channels : shape_axis(shape, rows);
    const bool fits = is_heads ? t->rank == 2 && t->shape[0] == (uint64_t)shape->heads && elements == (uint64_t)count
                               : wide <= 1 && elements == (uint64_t)count;
    if (!fits) {
        char expected[64];
        snprintf(expected, sizeof expected, is_heads ? "[%d,%d]" : "[%d]", is_heads ? shape->heads : count,
                 shape->head_size);
        return wrong_shape(b, t, expected);
    }
    b->model->info.type_parameters[type] += (uint64_t)count;
    return vector_floats(b, t->data, type, (size_t)count, out);
}

/* The older fla layout and GGUF keep the six shift weights in one tensor [6][C], rows in the order r w k v a g. */
static enum rwkv7_status bind_fused_shift(struct binding *b, int layer, char letter, bool *found, const float **out)
{
    static const char order[] = "rwkvag";
    const enum naming naming = b->spelling->naming;
    char name[64];
    snprintf(name, sizeof name,
             naming == NAMING_GGUF ? "blk.%d.time_mix_lerp_fused.weight" : "model.layers.%d.attn.x_x", layer);
    *found = (naming == NAMING_FLA || naming == NAMING_GGUF) && tensors_find(b->model->index, name) != NULL;
    if (!*found)
        return RWKV7_OK;
    const struct tensor *t = NULL;
    enum mat_type type;
    const enum rwkv7_status status = take(b, name, false, &t, &type);
    if (status != RWKV7_OK)
        return status;
    const size_t channels = (size_t)b->model->shape.channels;
    uint64_t axes[TENSOR_MAX_RANK];
    int rank = 0;
    for (int i = 0; i < t->rank; i++)
        if (t->shape[i] != 1)
            axes[rank++] = t->shape[i];
    const bool fits = channels == 1 ? rank == 1 && axes[0] == 6 : rank == 2 && axes[0] == 6 && axes[1] == channels;
    if (!fits) {
        char expected[32];
        snprintf(expected, sizeof expected, "[6,%zu]", channels);
        return wrong_shape(b, t, expected);
    }
    const size_t row = (size_t)(strchr(order, letter) - order);
    b->model->info.type_parameters[type] += channels;
    return vector_floats(b, t->data + row * (t->bytes / 6), type, channels, out);
}

static enum rwkv7_status bind_matrix(struct binding *b, const char *name, int rows, int cols, bool turned,
                                     struct mat *out)
{
    const struct tensor *t = NULL;
    enum mat_type type;
    const enum rwkv7_status status = take(b, name, !turned, &t, &type);
    if (status != RWKV7_OK)
        return status;
    const uint64_t first = (uint64_t)(turned ? cols : rows), second = (uint64_t)(turned ? rows : cols);
    if (t->rank != 2 || t->shape[0] != first || t->shape[1] != second) {
        char expected[64];
        snprintf(expected, sizeof expected, "[%llu,%llu]", (unsigned long long)first, (unsigned long long)second);
        return wrong_shape(b, t, expected);
    }
    *out = (struct mat){.type = type, .rows = rows, .cols = cols, .data = t->data};
    b->model->info.type_parameters[type] += (uint64_t)rows * (uint64_t)cols;
    if (type == MAT_GGML) {
        out->data = t;
        return RWKV7_OK;
    }
    if (!turned && is_aligned(t->data, type))
        return RWKV7_OK;

    void *copy = model_block(b->model, (size_t)t->bytes);
    if (!copy)
        return fail_memory(b->err, "the weights");
    out->data = copy;
    b->model->info.copied_bytes += t->bytes;
    if (!turned) {
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
    b->turns[b->turn_count++] = (struct turn){t->data, copy, rows, cols, type == MAT_F32 ? 4 : 2};
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

static enum rwkv7_status bind_one(struct binding *b, const struct weight_spec *spec, int layer, void *record)
{
    struct rwkv7_model *model = b->model;
    char name[160];
    void *field = (char *)record + spec->offset;
    names_full(name, sizeof name, b->spelling, spec, layer);
    const int rows = shape_axis(&model->shape, spec->rows), cols = shape_axis(&model->shape, spec->cols);

    if (spec->kind == WEIGHT_VECTOR) {
        const char *dot = strrchr(spec->blinkdl, '.');
        bool fused = false;
        if (strncmp(spec->blinkdl, "att.x_", 6) == 0) {
            const enum rwkv7_status status = bind_fused_shift(b, layer, dot[3], &fused, field);
            if (status != RWKV7_OK || fused)
                return status;
        }
        return bind_vector(b, name, spec->rows, field);
    }
    return bind_matrix(b, name, rows, cols, spec->kind == WEIGHT_FACTOR && b->spelling->factors_transposed, field);
}

/* A tensor that nobody asked for: layer 0's value gate is known to be unused; anything else would be silently ignored weights. */
static enum rwkv7_status refuse_extra(struct binding *b)
{
    const struct tensor_index *index = b->model->index;
    for (size_t i = 0; i < index->count; i++) {
        if (b->used[i])
            continue;
        bool known = false;
        for (size_t j = 0; j < layer_weight_count && !known; j++) {
            char name[160];
            names_full(name, sizeof name, b->spelling, &layer_weights[j], 0);
            known = layer_weights[j].not_first && strcmp(name, index->tensors[i].name) == 0;
        }
        if (!known)
            return fail(b->err, RWKV7_ERR_MODEL, "%s: tensor '%s' does not belong to an RWKV-7 (x070) model",
                        index->tensors[i].file, index->tensors[i].name);
        b->model->info.ignored_tensors++;
    }
    return RWKV7_OK;
}

enum rwkv7_status weights_bind(struct rwkv7_model *model, const struct spelling *spelling,
                               const struct rwkv7_model_options *opt, struct rwkv7_error *err)
{
    enum rwkv7_status status = RWKV7_OK;
    struct binding b = {.model = model, .spelling = spelling, .opt = opt, .err = err};
    b.used = mem_alloc(model->index->count, 1);
    if (!b.used)
        return fail_memory(err, "the weights");

    for (size_t i = 0; i < outer_weight_count; i++) {
        const struct weight_spec *spec = &outer_weights[i];
        const bool ln0 =
            spec->offset == offsetof(struct outer, ln0_weight) || spec->offset == offsetof(struct outer, ln0_bias);
        char name[160];
        names_full(name, sizeof name, spelling, spec, -1);
        if (ln0 && spelling->naming != NAMING_BLINKDL && !tensors_find(model->index, name))
            continue; /* a configuration with norm_first = false */
        if ((status = bind_one(&b, spec, -1, &model->outer)) != RWKV7_OK)
            goto done;
    }
    if (!model->outer.ln0_weight != !model->outer.ln0_bias) {
        status =
            fail(err, RWKV7_ERR_MODEL, "%s: the norm of the embedding has only one of weight and bias", model->path);
        goto done;
    }
    for (int layer = 0; layer < model->shape.layers; layer++)
        for (size_t i = 0; i < layer_weight_count; i++)
            if (layer > 0 || !layer_weights[i].not_first)
                if ((status = bind_one(&b, &layer_weights[i], layer, &model->layers[layer])) != RWKV7_OK)
                    goto done;
    if ((status = refuse_extra(&b)) != RWKV7_OK)
        goto done;
    if (b.turn_count > 0)
        pool_run(model->rt->pool, turn_worker, &b);
done:
    mem_free(b.turns);
    mem_free(b.used);
    return status;
}
