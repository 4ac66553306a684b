/* model.c - opening and closing a model, and what is known about it. */
#include "weights/model.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "formats/snippet.h"

const char *rwkv7_type_name(enum rwkv7_type type)
{
    static const char *const names[RWKV7_TYPES] = {"f32", "f16", "bf16", "q8", "q4", "ggml"};
    return (unsigned)type < RWKV7_TYPES ? names[type] : "?";
}

bool rwkv7_shape_named(const char *name, struct rwkv7_shape *out)
{
    static const struct {
        const char *name;
        int layers, channels, rank_w, rank_a, rank_v, rank_g;
    } published[] = {
        {"0.1b", 12, 768, 64, 64, 32, 128},  {"0.4b", 24, 1024, 64, 64, 32, 128},   {"1.5b", 24, 2048, 96, 96, 64, 256},
        {"2.9b", 32, 2560, 96, 96, 64, 320}, {"7.2b", 32, 4096, 128, 128, 96, 480},
    };
    for (size_t i = 0; i < sizeof published / sizeof published[0]; i++) {
        if (strcasecmp(published[i].name, name) != 0)
            continue;
        *out = (struct rwkv7_shape){
            .vocab = 65536,
            .layers = published[i].layers,
            .channels = published[i].channels,
            .heads = published[i].channels / 64,
            .head_size = 64,
            .ffn = 4 * published[i].channels,
            .rank_w = published[i].rank_w,
            .rank_a = published[i].rank_a,
            .rank_v = published[i].rank_v,
            .rank_g = published[i].rank_g,
        };
        return true;
    }
    return false;
}

/* Small requests share blocks of this size; larger ones get their own. */
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

void model_release(const struct rwkv7_model *model, const void *data, size_t size)
{
    const struct tensor_index *index = model->index;
    bool ours = !index; /* random: everything is in blocks; else an image in memory belongs to the caller */
    for (size_t i = 0; index && i < index->file_count && !ours; i++) {
        const struct file_map *map = &index->files[i];
        ours = (uintptr_t)data >= (uintptr_t)map->data && (uintptr_t)data < (uintptr_t)map->data + map->size;
    }
    if (ours)
        file_map_release(data, size);
}

enum rwkv7_status model_new(struct rwkv7_runtime *rt, const char *path, struct rwkv7_model **out,
                            struct rwkv7_error *err)
{
    *out = NULL;
    struct rwkv7_model *model = mem_alloc(1, sizeof *model);
    if (!model)
        return fail_memory(err, "the model");
    model->rt = rt;
    model->path = mem_string(path, strlen(path));
    if (!model->path) {
        rwkv7_model_close(model);
        return fail_memory(err, "the model");
    }
    model->ln_eps = LN_EPS;
    model->head_eps = HEAD_EPS;
    model->info.path = model->path;
    *out = model;
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
    mem_free(model);
}

/* Every weight stays in memory, wherever it lies: in blocks of the model or in the file. */
static enum rwkv7_status lock_weights(const struct rwkv7_model *model, struct rwkv7_error *err)
{
    for (int layer = -1; layer < model->shape.layers; layer++) {
        const struct weight_spec *specs = layer < 0 ? outer_weights : layer_weights;
        const size_t count = layer < 0 ? outer_weight_count : layer_weight_count;
        const char *record = layer < 0 ? (const char *)&model->outer : (const char *)&model->layers[layer];
        for (size_t i = 0; i < count; i++) {
            const void *field = record + specs[i].offset, *data = *(const void *const *)field;
            size_t size = (size_t)shape_axis(&model->shape, specs[i].rows) * sizeof(float);
            if (specs[i].kind != WEIGHT_VECTOR) {
                const struct mat *m = field;
                size = m->data ? mat_bytes(m) : 0;
                data = m->type == MAT_GGML ? ((const struct tensor *)m->data)->data : m->data;
            }
            if (!data || sys_lock(data, size))
                continue;
            return fail(err, RWKV7_ERR_MEMORY,
                        "%s: its weights of %.1f MB cannot be locked in memory: %s; see ulimit -l", model->path,
                        1e-6 * (double)model->info.weight_bytes, strerror(errno));
        }
    }
    return RWKV7_OK;
}

/* The model of an opened index, which it owns from now on, whatever happens. */
static enum rwkv7_status open_index(struct rwkv7_runtime *rt, struct tensor_index *index, const char *path,
                                    const struct rwkv7_model_options *opt, struct rwkv7_model **out,
                                    struct rwkv7_error *err)
{
    struct rwkv7_model *model = NULL;
    struct spelling spelling;
    enum rwkv7_status status = model_new(rt, path, &model, err);
    if (status != RWKV7_OK) {
        tensors_close(index);
        return status;
    }
    model->index = index;
    if ((status = names_recognise(index, path, &spelling, &model->shape, err)) != RWKV7_OK ||
        (status = names_epsilons(index, path, &spelling, &model->shape, &model->ln_eps, &model->head_eps, err)) !=
            RWKV7_OK)
        goto fail;
    model->layers = mem_alloc((size_t)model->shape.layers, sizeof *model->layers);
    if (!model->layers) {
        status = fail_memory(err, "the model");
        goto fail;
    }
    if ((status = weights_bind(model, &spelling, opt, err)) != RWKV7_OK)
        goto fail;
    if ((status = model_pack(model, opt, err)) != RWKV7_OK)
        goto fail;
    model->info.container = index->container;
    model->info.naming = names_describe(&spelling);
    model->info.tensors = index->count;
    model->info.metadata = index->metadata_count;
    model->info.tuned_state = tensors_find(index, "blocks.0.att.time_state") != NULL;
    model_count(model);
    if (opt && opt->lock && (status = lock_weights(model, err)) != RWKV7_OK)
        goto fail;
    *out = model;
    return RWKV7_OK;
fail:
    rwkv7_model_close(model);
    return status;
}

enum rwkv7_status rwkv7_model_open(struct rwkv7_runtime *rt, const char *path, const struct rwkv7_model_options *opt,
                                   struct rwkv7_model **out, struct rwkv7_error *err)
{
    struct tensor_index *index = NULL;
    *out = NULL;
    const enum rwkv7_status status = tensors_open(path, &index, err);
    return status == RWKV7_OK ? open_index(rt, index, path, opt, out, err) : status;
}

enum rwkv7_status rwkv7_model_open_memory(struct rwkv7_runtime *rt, const void *data, size_t size, const char *name,
                                          const struct rwkv7_model_options *opt, struct rwkv7_model **out,
                                          struct rwkv7_error *err)
{
    struct tensor_index *index = NULL;
    *out = NULL;
    const enum rwkv7_status status = tensors_open_memory(data, size, name, &index, err);
    return status == RWKV7_OK ? open_index(rt, index, name, opt, out, err) : status;
}

enum rwkv7_status rwkv7_tokenizer_open_model(const char *path, struct rwkv7_tokenizer **out, struct rwkv7_error *err)
{
    struct tensor_index *index = NULL;
    char name[128];
    *out = NULL;
    enum rwkv7_status status = tensors_open(path, &index, err);
    snprintf(name, sizeof name, "%s, its tokens", snippet_path(path).text);
    if (status == RWKV7_OK && index->vocab)
        status = rwkv7_tokenizer_open_memory(index->vocab, index->vocab_size, name, out, err);
    tensors_close(index);
    return status;
}

enum rwkv7_status model_pack(struct rwkv7_model *model, const struct rwkv7_model_options *opt, struct rwkv7_error *err)
{
    static const struct rwkv7_model_options defaults;
    if (!opt)
        opt = &defaults;
    const uint64_t q8 = model->info.type_parameters[RWKV7_Q8], q4 = model->info.type_parameters[RWKV7_Q4];
    if ((opt->weights == RWKV7_WEIGHTS_Q8 && q4 > 0) || (opt->weights == RWKV7_WEIGHTS_Q4 && q8 > 0 && q4 == 0))
        return fail(err, RWKV7_ERR_USAGE, "%s: its weights are %s already; others are made of the original",
                    model->path, q4 > 0 ? "q4" : "q8");
    if (opt->weights != RWKV7_WEIGHTS_STORED)
        return model_quantise(model, opt->weights == RWKV7_WEIGHTS_Q8 ? MAT_Q8 : MAT_Q4, opt, err);
    enum rwkv7_status status = RWKV7_OK;
    if (model->info.type_parameters[MAT_GGML] > 0)
        status = model_quantise(model, MAT_GGML, opt, err);
    if (status == RWKV7_OK && opt->sparse == RWKV7_SPARSE_ON)
        status = model_turn_values(model, opt, err);
    return status;
}

void model_count(struct rwkv7_model *model)
{
    const struct rwkv7_shape *s = &model->shape;
    struct rwkv7_model_info *info = &model->info;
    uint64_t vectors = 0, matrices = 0, parameters = 0, columns = 0, unread = 0;

    for (int layer = -1; layer < s->layers; layer++) {
        const struct weight_spec *specs = layer < 0 ? outer_weights : layer_weights;
        const size_t count = layer < 0 ? outer_weight_count : layer_weight_count;
        const char *record = layer < 0 ? (const char *)&model->outer : (const char *)&model->layers[layer];
        for (size_t i = 0; i < count; i++) {
            if (specs[i].kind == WEIGHT_VECTOR) {
                const float *vector = *(const float *const *)(const void *)(record + specs[i].offset);
                const uint64_t n = vector ? (uint64_t)shape_axis(s, specs[i].rows) : 0;
                parameters += n;
                vectors += n * sizeof(float);
            } else {
                const struct mat *m = (const struct mat *)(const void *)(record + specs[i].offset);
                parameters += (uint64_t)m->rows * (uint64_t)m->cols;
                matrices += mat_bytes(m);
                columns += m->by_column ? mat_bytes(m) : 0;
                if (specs[i].kind == WEIGHT_TABLE && m->rows > 0)
                    unread += mat_bytes(m) - mat_bytes(m) / (uint64_t)m->rows;
            }
        }
    }
    info->shape = *s;
    info->version = s->deep > 0 ? "x070a" : "x070";
    info->parameters = parameters;
    info->weight_bytes = matrices + vectors;
    info->session_bytes = state_floats(s) * sizeof(float);
    const int threads = pool_threads(model->rt->pool);
    info->work_bytes = step_work_bytes(s, threads) + prefill_work_bytes(model, RWKV7_CHUNK, threads);
    info->skipped_bytes = columns;
    info->step_bytes = info->weight_bytes - unread + info->session_bytes;
}

const struct rwkv7_model_info *rwkv7_model_info(const struct rwkv7_model *model)
{
    return &model->info;
}

bool rwkv7_model_metadata(const struct rwkv7_model *model, size_t index, const char **key, const char **value)
{
    if (!model->index || index >= model->index->metadata_count)
        return false;
    *key = model->index->metadata[index].key;
    *value = model->index->metadata[index].value;
    return true;
}
