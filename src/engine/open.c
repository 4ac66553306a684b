/*
 * open.c - opens models from files, from memory, and with random weights: recognition, binding,
 * packing, scratch memory.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/float_env.h"
#include "base/mem.h"
#include "base/options.h"
#include "engine/engine.h"
#include "formats/snippet.h"

const char *rwkv7_type_name(enum rwkv7_type type)
{
    return (unsigned)type < MAT_TYPES ? weight_types[type].name : type == RWKV7_GGML ? "ggml" : "?";
}

const char *rwkv7_shape_name(size_t index)
{
    const struct arch *arch;
    const struct published *size = arch_published(index, &arch);
    return size ? size->name : NULL;
}

bool rwkv7_shape_named(const char *name, struct rwkv7_shape *out)
{
    const struct arch *arch;
    const struct published *size;
    size_t index = 0;
    while ((size = arch_published(index, &arch)) && strcasecmp(size->name, name) != 0)
        index++;
    if (!size)
        return false;
    *out = size->shape;
    out->arch = arch->id;
    return true;
}

/* Fills model->info from the sizes of the weights, whose data may not be loaded yet. */
static void count(struct rwkv7_model *model)
{
    struct rwkv7_model_info *info = &model->info;
    info->struct_size = sizeof *info;
    info->architecture = model->weights->model;
    info->version = model->arch->version;
    info->session_bytes = state_floats(model) * sizeof(float);
    model->needs = product_needs(model);
    info->work_bytes = scratch_bytes(model);
    model_count(model);
}

/*
 * Finishes opening a model whose weights are loaded: fills model->info and reserves scratch memory.
 */
static enum rwkv7_status complete(struct rwkv7_model *model, struct rwkv7_error *err)
{
    count(model);
    model_mark_from_memory(model);
    return scratch_reserve(runtime_of(model), model, err);
}

static void log_opened(const struct rwkv7_runtime *rt, const struct rwkv7_model *model)
{
    const struct rwkv7_model_info *info = &model->info;
    if (!rt->log)
        return;
    runtime_log(rt, RWKV7_LOG_INFO, "%s: %s, %s, %llu bytes of weights, %llu of them copied", model->path,
                info->architecture, info->container, (unsigned long long)info->weight_bytes,
                (unsigned long long)info->copied_bytes);
    const char *text;
    for (size_t i = 0; (text = rwkv7_model_note(model, i)) != NULL; i++)
        runtime_log(rt, RWKV7_LOG_WARNING, "%s", text);
}

static enum rwkv7_status read_options(struct rwkv7_model_options *opt, const struct rwkv7_model_options *given,
                                      struct rwkv7_error *err)
{
    const enum rwkv7_status status = OPTIONS_READ(rwkv7_model_options, opt, given, progress_arg, err);
    if (status != RWKV7_OK)
        return status;
    if ((unsigned)opt->weights >= RWKV7_WEIGHTS_COUNT)
        return fail(err, RWKV7_ERR_USAGE, "model: unknown weight type %d", (int)opt->weights);
    if ((unsigned)opt->sparse > RWKV7_SPARSE_OFF)
        return fail(err, RWKV7_ERR_USAGE, "model: unknown value %d of sparse", (int)opt->sparse);
    return RWKV7_OK;
}

/* Opens the model of an index. Takes ownership of the index, even on failure. */
static enum rwkv7_status open_index(struct rwkv7_runtime *rt, struct tensor_index *index, const char *path,
                                    const struct rwkv7_model_options *opt, struct rwkv7_model **out,
                                    struct rwkv7_error *err)
{
    struct rwkv7_model *model = NULL;
    struct recognized as;
    char tuned[NAME_ROOM];
    enum rwkv7_status status = model_new(&rt->compute, path, &model, err);
    if (status != RWKV7_OK) {
        tensors_close(index);
        return status;
    }
    model->index = index;
    if ((status = arch_recognize(index, path, &as, err)) ||
        (status = choose_rate_scale(&as, path, opt->rate_scale, err)) ||
        (status = model_shape(model, as.arch, as.weights, &as.shape, err)))
        goto fail;
    model->rescale_every = as.rescale_every;
    model->rate_scale = as.rate_scale;
    model->ln_eps = as.ln_eps;
    model->head_eps = as.head_eps;
    if ((status = weights_bind(model, &as, opt, err)) || (status = model_pack(model, opt, err)))
        goto fail;
    model->info.container = index->container;
    model->info.naming = names_describe(&as);
    model->info.prefix = index->prefix.text;
    model->info.tensors = index->count;
    model->info.metadata = index->metadata_count;
    model->info.chat_template = tensors_chat_template(index);
    tuned_state_name(tuned, 0);
    model->info.tuned_state = tensors_find(index, tuned) != NULL;
    if ((status = complete(model, err)) || (opt->lock && (status = model_lock(model, err))))
        goto fail;
    log_opened(rt, model);
    *out = model;
    return RWKV7_OK;
fail:
    rwkv7_model_close(model);
    return status;
}

enum rwkv7_status rwkv7_model_open(struct rwkv7_runtime *rt, const char *path, const struct rwkv7_model_options *given,
                                   struct rwkv7_model **out, struct rwkv7_error *err)
{
    DEFAULT_FLOAT_ENV;
    struct rwkv7_model_options opt;
    struct tensor_index *index = NULL;
    *out = NULL;
    enum rwkv7_status status = read_options(&opt, given, err);
    if (status == RWKV7_OK)
        status = tensors_open(path, &index, err);
    return status == RWKV7_OK ? open_index(rt, index, path, &opt, out, err) : status;
}

enum rwkv7_status rwkv7_model_open_memory(struct rwkv7_runtime *rt, const void *data, size_t size, const char *name,
                                          const struct rwkv7_model_options *given, struct rwkv7_model **out,
                                          struct rwkv7_error *err)
{
    DEFAULT_FLOAT_ENV;
    struct rwkv7_model_options opt;
    struct tensor_index *index = NULL;
    *out = NULL;
    enum rwkv7_status status = read_options(&opt, given, err);
    if (status == RWKV7_OK)
        status = tensors_open_memory(data, size, name, &index, err);
    return status == RWKV7_OK ? open_index(rt, index, name, &opt, out, err) : status;
}

/* Receivers of the remarks of a conversion: the log, and the callback of the caller. */
struct listeners {
    const struct rwkv7_runtime *rt;
    void (*note)(void *arg, const char *text);
    void *note_arg;
};

static void tell(void *arg, const char *text)
{
    const struct listeners *l = arg;
    runtime_log(l->rt, RWKV7_LOG_WARNING, "%s", text);
    if (l->note)
        l->note(l->note_arg, text);
}

enum rwkv7_status rwkv7_convert(struct rwkv7_runtime *rt, const char *from, const char *to,
                                const struct rwkv7_convert_options *given, struct rwkv7_error *err)
{
    DEFAULT_FLOAT_ENV;
    struct rwkv7_convert_options opt;
    const enum rwkv7_status status = OPTIONS_READ(rwkv7_convert_options, &opt, given, note_arg, err);
    if (status != RWKV7_OK)
        return status;
    struct listeners listeners = {rt, opt.note, opt.note_arg};
    opt.note = tell;
    opt.note_arg = &listeners;
    return weights_convert(&rt->compute, arch_recognize, from, to, &opt, err);
}

enum rwkv7_status rwkv7_tokenizer_open_model(const char *path, struct rwkv7_tokenizer **out, struct rwkv7_error *err)
{
    DEFAULT_FLOAT_ENV;
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

/* -------------------------------------------------------------------------------- random models */

/*
 * Returns the architecture that can have this shape, or NULL. The limits of the sizes are the same
 * as for files.
 */
static const struct arch *possible_arch(const struct rwkv7_shape *s)
{
    const int axes[] = {s->vocab, s->channels, s->ffn};
    const int others[] = {s->heads, s->head_size, s->rank_w, s->rank_a, s->rank_v, s->rank_g, s->rank_m, s->deep};
    bool possible = s->layers >= 1 && s->layers <= MAX_LAYERS;
    for (size_t i = 0; i < sizeof s->reserved / sizeof s->reserved[0]; i++)
        possible = possible && s->reserved[i] == 0;
    for (size_t i = 0; i < sizeof axes / sizeof axes[0]; i++)
        possible = possible && axes[i] >= 1 && axes[i] <= MAX_AXIS;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        possible = possible && others[i] >= 0 && others[i] <= MAX_AXIS;
    return possible ? arch_of_shape(s) : NULL;
}

/*
 * Creates a random model without weights. *filling and *packing receive how to fill and pack them.
 * The caller closes *out; on failure there is nothing to close.
 */
static enum rwkv7_status begin_random(struct rwkv7_runtime *rt, const struct rwkv7_shape *shape,
                                      const struct rwkv7_random_options *given, struct rwkv7_model **out,
                                      struct rwkv7_random_options *filling, struct rwkv7_model_options *packing,
                                      struct rwkv7_error *err)
{
    struct rwkv7_model *model = NULL;
    struct rwkv7_random_options opt;
    enum rwkv7_status status = OPTIONS_READ(rwkv7_random_options, &opt, given, seed, err);
    if (status != RWKV7_OK)
        return status;
    if ((unsigned)opt.type >= MAT_TYPES)
        return fail(err, RWKV7_ERR_USAGE, "random model: unknown weight type %d", (int)opt.type);
    if ((unsigned)opt.sparse > RWKV7_SPARSE_OFF)
        return fail(err, RWKV7_ERR_USAGE, "random model: unknown value %d of sparse", (int)opt.sparse);
    if (!(opt.ffn_density >= 0 && opt.ffn_density <= 1))
        return fail(err, RWKV7_ERR_USAGE, "random model: density: expected 0 to 1, found %g", (double)opt.ffn_density);
    const struct arch *arch = possible_arch(shape);
    if (!arch)
        return fail(err, RWKV7_ERR_USAGE, "random model: impossible shape");
    *filling = opt;
    *packing = (struct rwkv7_model_options){.sparse = opt.sparse};
    if ((int)opt.type >= (int)MAT_FLOATS) {
        packing->weights = weights_of_type((enum mat_type)opt.type);
        filling->type = RWKV7_BF16; /* random in bfloat16 first, quantized afterwards */
    }
    if (opt.sparse == RWKV7_SPARSE_AUTO)
        packing->sparse = opt.ffn_density > 0 && opt.ffn_density < SPARSE_DENSITY ? RWKV7_SPARSE_ON : RWKV7_SPARSE_OFF;
    if ((status = model_new(&rt->compute, "(random)", &model, err)))
        return status;
    model->info.container = "memory";
    model->info.naming = "none";
    model->info.prefix = "";
    if ((status = model_shape(model, arch, arch->weights, shape, err))) {
        rwkv7_model_close(model);
        return status;
    }
    *out = model;
    return RWKV7_OK;
}

enum rwkv7_status rwkv7_model_random(struct rwkv7_runtime *rt, const struct rwkv7_shape *shape,
                                     const struct rwkv7_random_options *given, struct rwkv7_model **out,
                                     struct rwkv7_error *err)
{
    DEFAULT_FLOAT_ENV;
    struct rwkv7_model *model = NULL;
    struct rwkv7_random_options filling = {0};
    struct rwkv7_model_options packing = {0};
    *out = NULL;
    enum rwkv7_status status = begin_random(rt, shape, given, &model, &filling, &packing, err);
    if (status != RWKV7_OK)
        return status;
    if ((status = weights_random_fit(model->weights, shape, filling.type, err)) ||
        (status = weights_random(model, &filling, err)) || (status = model_pack(model, &packing, err)) ||
        (status = complete(model, err))) {
        rwkv7_model_close(model);
        return status;
    }
    model->info.copied_bytes = model->info.weight_bytes;
    *out = model;
    return RWKV7_OK;
}

enum rwkv7_status rwkv7_model_random_info(struct rwkv7_runtime *rt, const struct rwkv7_shape *shape,
                                          const struct rwkv7_random_options *given, struct rwkv7_model_info *out,
                                          struct rwkv7_error *err)
{
    DEFAULT_FLOAT_ENV;
    struct rwkv7_model *model = NULL;
    struct rwkv7_random_options filling = {0};
    struct rwkv7_model_options packing = {0};
    size_t room = out->struct_size;
    if (room == 0)
        room = SIZE_THROUGH(struct rwkv7_model_info, chat_template);
    if (room < SIZE_THROUGH(struct rwkv7_model_info, chat_template))
        return fail(err, RWKV7_ERR_USAGE, "struct rwkv7_model_info: struct_size: expected at least %zu, found %zu",
                    SIZE_THROUGH(struct rwkv7_model_info, chat_template), room);
    const enum rwkv7_status status = begin_random(rt, shape, given, &model, &filling, &packing, err);
    if (status != RWKV7_OK)
        return status;
    weights_random_outline(model, filling.type, &packing);
    count(model);
    model->info.copied_bytes = model->info.weight_bytes;
    model->info.path = NULL; /* points into the model */
    room = room < sizeof *out ? room : sizeof *out;
    memcpy(out, &model->info, room);
    out->struct_size = room; /* tells the caller which members are set: RWKV7_HAS */
    rwkv7_model_close(model);
    return RWKV7_OK;
}

/* ---------------------------------------------------------------------------- model information */

const struct rwkv7_model_info *rwkv7_model_info(const struct rwkv7_model *model)
{
    return &model->info;
}

const char *rwkv7_model_note(const struct rwkv7_model *model, size_t index)
{
    return model->index && index < model->index->notes->count ? model->index->notes->lines[index] : NULL;
}

bool rwkv7_model_metadata(const struct rwkv7_model *model, size_t index, const char **key, const char **value)
{
    if (!model->index || index >= model->index->metadata_count)
        return false;
    *key = model->index->metadata[index].key;
    *value = model->index->metadata[index].value;
    return true;
}
