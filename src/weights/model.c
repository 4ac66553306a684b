/* model.c - owns the memory of a model and computes its statistics after loading. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "weights/weights.h"

/* Small requests share blocks of this size; larger ones get their own block. */
#define BLOCK_SIZE ((size_t)1 << 20)

void *model_block(struct rwkv7_model *model, size_t size)
{
    const size_t aligned = (size + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN;
    if (aligned < size)
        return NULL;
    struct block *last = model->block_count ? &model->blocks[model->block_count - 1] : NULL;
    if (!last || last->size - last->used < aligned) {
        if (model->block_count == model->block_room) {
            const size_t room = model->block_room ? 2 * model->block_room : 16;
            struct block *grown = mem_grow(model->blocks, model->block_room, room, sizeof *grown);
            if (!grown)
                return NULL;
            model->blocks = grown;
            model->block_room = room;
        }
        last = &model->blocks[model->block_count];
        last->size = aligned > BLOCK_SIZE ? aligned : BLOCK_SIZE;
        last->used = 0;
        last->data = sys_pages_alloc(last->size);
        if (!last->data)
            return NULL;
        model->block_count++;
    }
    void *p = (char *)last->data + last->used;
    last->used += aligned;
    return p;
}

bool model_block_free(struct rwkv7_model *model, const void *p)
{
    for (size_t i = 0; i < model->block_count; i++) {
        struct block *b = &model->blocks[i];
        if (b->data != p || b->size <= BLOCK_SIZE)
            continue;
        sys_pages_free(b->data, b->size);
        *b = model->blocks[--model->block_count];
        return true;
    }
    return false;
}

bool model_maps(const struct rwkv7_model *model, const void *data)
{
    const struct tensor_index *index = model->index;
    for (size_t i = 0; index && i < index->file_count; i++) {
        const struct file_map *map = &index->files[i];
        if ((uintptr_t)data >= (uintptr_t)map->data && (uintptr_t)data < (uintptr_t)map->data + map->size)
            return true;
    }
    return false;
}

void model_release(const struct rwkv7_model *model, const void *data, size_t size)
{
    /*
     * Only blocks of the model and mapped files may be released; an image in memory belongs to the
     * caller. Random models, which have no index, have all weights in blocks.
     */
    if (!model->index || model_maps(model, data))
        file_map_release(data, size);
}

enum rwkv7_status model_new(struct compute *compute, const char *path, struct rwkv7_model **out,
                            struct rwkv7_error *err)
{
    *out = NULL;
    struct rwkv7_model *model = mem_alloc(1, sizeof *model);
    if (!model)
        return fail_memory(err, "the model");
    model->compute = compute;
    model->path = mem_string(path, strlen(path));
    model->identity = identity_new();
    if (!model->path || !model->identity) {
        rwkv7_model_close(model);
        return fail_memory(err, "the model");
    }
    model->ln_eps = LN_EPS;
    model->rate_scale = 1.0f;
    model->head_eps = HEAD_EPS;
    model->info.path = model->path;
    *out = model;
    return RWKV7_OK;
}

enum rwkv7_status choose_rate_scale(struct recognized *as, const char *path, float wanted, struct rwkv7_error *err)
{
    if (wanted == 0)
        return RWKV7_OK;
    if (!(wanted > 0 && wanted <= RATE_SCALE_MAX))
        return fail(err, RWKV7_ERR_USAGE, "rate scale: expected above 0 and at most %g, found %g",
                    (double)RATE_SCALE_MAX, (double)wanted);
    if (as->shape.rank_a == 0 && wanted != 1)
        return fail(err, RWKV7_ERR_USAGE, "%s: rate scale: %s has no in-context learning rate", path,
                    as->weights->model);
    as->rate_scale = wanted;
    return RWKV7_OK;
}

void rwkv7_model_close(struct rwkv7_model *model)
{
    if (!model)
        return;
    for (size_t i = 0; i < model->block_count; i++)
        sys_pages_free(model->blocks[i].data, model->blocks[i].size);
    mem_free(model->blocks);
    mem_free(model->layers);
    tensors_close(model->index);
    mem_free(model->path);
    identity_free(model->identity);
    mem_free(model);
}

enum rwkv7_status model_shape(struct rwkv7_model *model, const struct arch *arch, const struct weight_table *weights,
                              const struct rwkv7_shape *shape, struct rwkv7_error *err)
{
    model->arch = arch;
    model->weights = weights;
    model->shape = *shape;
    model->layers = mem_alloc((size_t)shape->layers, weights->layer_size);
    return model->layers ? RWKV7_OK : fail_memory(err, "the model");
}

/* Returns the bytes of a weight and their address; 0 if the checkpoint does not have it. */
static size_t weight_bytes(const struct rwkv7_model *model, const struct weight *w, const void **data)
{
    if (kind_is_vector(w->spec->kind)) {
        *data = *weight_vector(model, w);
        return *data ? vector_floats(&model->shape, w->spec) * sizeof(float) : 0;
    }
    const struct mat *m = weight_mat(model, w);
    *data = m->type == MAT_GGML ? ((const struct tensor *)m->data)->data : m->data;
    return m->data ? mat_bytes(m) : 0;
}

enum rwkv7_status model_lock(const struct rwkv7_model *model, struct rwkv7_error *err)
{
    struct weight w = WEIGHT_BEFORE_FIRST;
    while (weight_next(model->weights, &model->shape, &w)) {
        const void *data;
        const size_t size = weight_bytes(model, &w, &data);
        if (size > 0 && !sys_lock(data, size))
            return fail(err, RWKV7_ERR_MEMORY, "%s: cannot lock %.1f MB of weights in memory: %s; see ulimit -l",
                        model->path, 1e-6 * (double)model->info.weight_bytes, strerror(errno));
    }
    return RWKV7_OK;
}

void model_count(struct rwkv7_model *model)
{
    struct rwkv7_model_info *info = &model->info;
    struct weight w = WEIGHT_BEFORE_FIRST;
    uint64_t unread = 0;
    /* Whether the embedding and the head share one matrix; not if the head was quantized. */
    const bool is_tied = model->outer.emb.data && model->outer.head.data == model->outer.emb.data;
    info->shape = model->shape;
    info->rate_scale = model->rate_scale;
    info->parameters = info->weight_bytes = info->skipped_bytes = 0;
    while (weight_next(model->weights, &model->shape, &w)) {
        const void *data;
        const uint64_t bytes = weight_bytes(model, &w, &data);
        if (is_tied && weight_field(model, &w) == (const void *)&model->outer.head) {
            info->type_parameters[model->outer.head.type] -=
                (uint64_t)model->outer.head.rows * (uint64_t)model->outer.head.cols;
            continue;
        }
        info->weight_bytes += bytes;
        if (kind_is_vector(w.spec->kind)) {
            info->parameters += bytes > 0 ? (uint64_t)shape_axis(&model->shape, w.spec->rows) : 0;
            continue;
        }
        const struct mat *m = weight_mat(model, &w);
        info->parameters += (uint64_t)m->rows * (uint64_t)m->cols;
        info->skipped_bytes += m->by_column ? bytes : 0;
        if (w.spec->kind == WEIGHT_TABLE && m->rows > 0 &&
            !(is_tied && m == &model->outer.emb)) /* the head reads all rows */
            unread += bytes - bytes / (uint64_t)m->rows;
    }
    info->step_bytes = info->weight_bytes - unread + info->session_bytes;
}

void model_mark_from_memory(struct rwkv7_model *model)
{
    const struct compute *compute = model->compute;
    const uint64_t caches = (uint64_t)compute->kernels.tuning.last_cache * (uint64_t)pool_threads(compute->pool);
    struct weight w = WEIGHT_BEFORE_FIRST;
    while (weight_next(model->weights, &model->shape, &w))
        if (!kind_is_vector(w.spec->kind))
            weight_mat(model, &w)->from_memory = model->info.step_bytes > caches;
}
