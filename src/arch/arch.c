/*
 * arch.c - the list of architectures, and the recognition of a checkpoint's architecture and sizes.
 *
 * Sizes are taken from the shapes of the tensors, not from a configuration file. One exception:
 * GGUF files of llama.cpp store r_k as a vector, so the head size is only in their metadata.
 */
#include "arch/arch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/c_numbers.h"
#include "formats/packed.h"

/*
 * Recognition calls their `claims` in this order. The last one is the default: if no architecture
 * claims a checkpoint, the error messages of the default name the missing tensor.
 */
static const struct arch *const archs[] = {&arch_x040, &arch_x050,  &arch_x051, &arch_x052,
                                           &arch_x060, &arch_x070a, &arch_x070};
#define ARCH_COUNT ((int)(sizeof archs / sizeof archs[0]))

const struct arch *arch_at(int index)
{
    return index < ARCH_COUNT ? archs[index] : NULL;
}

const struct arch *arch_of_shape(const struct rwkv7_shape *shape)
{
    for (int i = 0; i < ARCH_COUNT; i++)
        if (archs[i]->id == shape->arch && archs[i]->is_possible(shape))
            return archs[i];
    return NULL;
}

const struct published *arch_published(size_t index, const struct arch **arch)
{
    for (int i = ARCH_COUNT - 1; i >= 0; i--) {
        *arch = archs[i];
        if (index < archs[i]->published_count)
            return &archs[i]->published[index];
        index -= archs[i]->published_count;
    }
    return NULL;
}

const struct state_tensor matrix_state[STATE_TENSORS] = {
    [STATE_ATT_PREV] = {"att_prev", 'C', 0, 0.0f, false},
    [STATE_WKV] = {"wkv", 'C', 'N', 0.0f, true},
    [STATE_FFN_PREV] = {"ffn_prev", 'C', 0, 0.0f, false},
};

/* ----------------------------------------------------------------------------- measuring shapes */

const struct weight_spec *find_weight(const struct weight_table *table, const char *blinkdl, int layer)
{
    const struct weight_spec *spec = layer < 0 ? table->outer : table->layers;
    const size_t n = strlen(blinkdl);
    while (strncmp(spec->blinkdl, blinkdl, n) != 0 || !strchr("|#", spec->blinkdl[n]))
        spec++; /* strchr also finds the '\0' at the end of the name */
    return spec;
}

/* Finds the matrix whose axes are measured, or the fused tensor that contains it. */
static enum rwkv7_status find_axes(const struct candidate *c, const struct weight_table *table, const char *blinkdl,
                                   int layer, int rank, const struct tensor **out, struct weight_part *part,
                                   struct rwkv7_error *err)
{
    const struct weight_spec *spec = find_weight(table, blinkdl, layer);
    const struct tensor *t = *out = weight_tensor(c->index, table, c->naming, spec, layer, part);
    char name[NAME_ROOM] = "?";
    if (!t) {
        weight_name(name, table, c->naming, spec, layer);
        return fail(err, RWKV7_ERR_MODEL, "%s: tensor '%s' is missing", c->path, name);
    }
    if (t->rank != rank)
        return fail(err, RWKV7_ERR_MODEL, "%s: tensor '%s': expected %d axes, found %d", t->file, t->name, rank,
                    t->rank);
    for (int i = 0; i < rank; i++)
        if (t->shape[i] < 1 || t->shape[i] > MAX_AXIS)
            return fail(err, RWKV7_ERR_MODEL, "%s: tensor '%s': size of axis %d out of range: %llu", t->file, t->name,
                        i, (unsigned long long)t->shape[i]);
    return RWKV7_OK;
}

enum rwkv7_status measure_axes(const struct candidate *c, const struct weight_table *table, const char *blinkdl,
                               int layer, int *rows, int *cols, struct rwkv7_error *err)
{
    const struct tensor *t;
    struct weight_part part;
    const enum rwkv7_status status = find_axes(c, table, blinkdl, layer, 2, &t, &part, err);
    if (status != RWKV7_OK)
        return status;
    *rows = (int)t->shape[0];
    *cols = (int)t->shape[1];
    return RWKV7_OK;
}

enum rwkv7_status measure_rank(const struct candidate *c, struct recognized *out, bool *is_known, const char *factor,
                               int layer, int *rank, struct rwkv7_error *err)
{
    const int channels = out->shape.channels;
    struct weight_part part;
    const struct tensor *t;
    const enum rwkv7_status status = find_axes(c, out->weights, factor, layer, 2, &t, &part, err);
    if (status != RWKV7_OK)
        return status;
    const int rows = (int)t->shape[0], cols = (int)t->shape[1], width = rows == channels ? cols : rows;
    if ((rows != channels && cols != channels) || width % part.count != 0)
        return fail(err, RWKV7_ERR_MODEL,
                    "%s: low-rank factors of layer %d: found shape [%d,%d], expected an axis of %d channels", c->path,
                    layer, rows, cols, channels);
    if (!*is_known && rows != cols) {
        out->spelling.factors_transposed = rows == channels;
        *is_known = true;
    }
    *rank = width / part.count;
    return RWKV7_OK;
}

bool factors_known(const struct candidate *c)
{
    return c->naming == NAMING_FLA || c->naming == NAMING_GGUF || tensors_metadata(c->index, PACKED_LAYOUT_KEY);
}

enum rwkv7_status fail_orientation(const struct candidate *c, const struct rwkv7_shape *shape, struct rwkv7_error *err)
{
    return fail(err, RWKV7_ERR_MODEL,
                "%s: all low-rank factors are square [%d,%d], so whether they are transposed cannot be detected",
                c->path, shape->channels, shape->channels);
}

const struct tensor *time_mix_tensor(const struct candidate *c, const char *end)
{
    char name[NAME_ROOM];
    if (c->naming != NAMING_BLINKDL && c->naming != NAMING_HF)
        return NULL;
    snprintf(name, sizeof name, "%s%s", c->naming == NAMING_HF ? "rwkv.blocks.0.attention." : "blocks.0.att.", end);
    return tensors_find(c->index, name);
}

const char *metadata_key(char out[KEY_ROOM], const struct tensor_index *index, const char *key)
{
    const char *architecture = tensors_metadata(index, "general.architecture");
    snprintf(out, KEY_ROOM, "%.32s.%s", architecture ? architecture : "rwkv7", key);
    return out;
}

long metadata_whole(const struct tensor_index *index, const char *key)
{
    const char *text = tensors_metadata(index, key);
    char *end;
    if (!text || text[0] < '0' || text[0] > '9')
        return -1;
    const long value = strtol(text, &end, 10);
    return *end == '\0' ? value : -1;
}

static int count_layers(const struct tensor_index *index, const char *prefix)
{
    const size_t n = strlen(prefix);
    long last_layer = -1;
    for (size_t i = 0; i < index->count; i++) {
        const char *name = index->tensors[i].name;
        if (strncmp(name, prefix, n) != 0 || name[n] < '0' || name[n] > '9')
            continue;
        const long layer = strtol(name + n, NULL, 10);
        if (layer > last_layer)
            last_layer = layer;
    }
    return last_layer >= MAX_LAYERS ? MAX_LAYERS + 1 : (int)last_layer + 1;
}

enum rwkv7_status measure_common(const struct candidate *c, const struct weight_table *table, struct rwkv7_shape *shape,
                                 struct rwkv7_error *err)
{
    int cols;
    enum rwkv7_status status;
    if ((status = measure_axes(c, table, "emb.weight", -1, &shape->vocab, &shape->channels, err)) ||
        (status = measure_axes(c, table, "ffn.key.weight", 0, &shape->ffn, &cols, err)))
        return status;
    shape->layers = count_layers(c->index, table->layer_prefix[c->naming]);
    if (shape->layers > MAX_LAYERS)
        return fail(err, RWKV7_ERR_MODEL, "%s: expected at most %d layers, found more", c->path, MAX_LAYERS);
    char key[KEY_ROOM];
    const char *blocks = tensors_metadata(c->index, metadata_key(key, c->index, "block_count"));
    if (blocks && metadata_whole(c->index, key) != shape->layers)
        return fail(err, RWKV7_ERR_MODEL, "%s: metadata '%s': found %.40s, expected %d as in the tensors", c->path, key,
                    blocks, shape->layers);
    return RWKV7_OK;
}

enum rwkv7_status check_heads(const struct candidate *c, const char *name, const struct rwkv7_shape *shape,
                              struct rwkv7_error *err)
{
    if ((int64_t)shape->heads * shape->head_size != shape->channels)
        return fail(err, RWKV7_ERR_MODEL,
                    "%s: %s of layer 0: found %d heads of size %d, expected a product of %d channels", c->path, name,
                    shape->heads, shape->head_size, shape->channels);
    if (shape->head_size > WKV_MAX_N)
        return fail(err, RWKV7_ERR_MODEL, "%s: head size: found %d, expected at most %d", c->path, shape->head_size,
                    WKV_MAX_N);
    return RWKV7_OK;
}

/*
 * Reads a number from the metadata, above 0 and at most `limit`. *out stays unchanged if the key is
 * missing. expected: describes a valid number, for the message.
 */
static enum rwkv7_status read_number(const struct candidate *c, const char *key, float limit, const char *expected,
                                     float *out, struct rwkv7_error *err)
{
    C_NUMBERS;
    const char *text = tensors_metadata(c->index, key);
    char *end;
    if (!text)
        return RWKV7_OK;
    *out = strtof(text, &end);
    if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && *out > 0.0f && *out <= limit)
        return RWKV7_OK;
    return fail(err, RWKV7_ERR_MODEL, "%s: metadata '%s': expected %s, found %.40s", c->path, key, expected, text);
}

/*
 * Reads the numbers that do not follow from shapes: the epsilons and rate_scale. Files without
 * metadata keep the defaults.
 */
static enum rwkv7_status read_numbers(const struct candidate *c, struct recognized *out, struct rwkv7_error *err)
{
    static const char epsilon[] = "a number between 0 and 1";
    const float below_1 = nextafterf(1.0f, 0.0f);
    char key[KEY_ROOM];
    enum rwkv7_status status;
    if ((status = read_number(c, metadata_key(key, c->index, LN_EPS_NAME), below_1, epsilon, &out->ln_eps, err)) ||
        (status = read_number(c, HEAD_EPS_KEY, below_1, epsilon, &out->head_eps, err)) ||
        (status =
             read_number(c, RATE_SCALE_KEY, RATE_SCALE_MAX, "a number above 0 and at most 2", &out->rate_scale, err)))
        return status;
    return config_obey(c, out, err);
}

/* ---------------------------------------------------------------------------------- recognition */

/*
 * Chooses the architecture: the first that claims the checkpoint; else the one that a GGUF file
 * names; else the last of the list. measure() then reports what is missing.
 */
static enum rwkv7_status choose_arch(const struct candidate *c, const struct arch **out, struct rwkv7_error *err)
{
    const char *declared = tensors_metadata(c->index, "general.architecture");
    const struct arch *claiming = NULL, *named = NULL;
    for (int i = 0; i < ARCH_COUNT; i++) {
        if (!claiming && archs[i]->claims && archs[i]->claims(c))
            claiming = archs[i];
        if (declared && archs[i]->gguf && strcmp(archs[i]->gguf, declared) == 0)
            named = archs[i];
    }
    if (declared && !named)
        return fail(err, RWKV7_ERR_MODEL, "%s: architecture '%.40s' is not supported", c->path, declared);
    if (named && claiming && named != claiming)
        return fail(err, RWKV7_ERR_MODEL,
                    "%s: metadata 'general.architecture': found %s, but the tensors are those of %s", c->path, declared,
                    claiming->weights->model);
    *out = claiming ? claiming : named ? named : archs[ARCH_COUNT - 1];
    return RWKV7_OK;
}

/* Finds the naming by the name of the embedding; false if there is none. */
static bool find_naming(const struct tensor_index *index, enum naming *naming)
{
    if (tensors_find(index, "emb.weight"))
        *naming = NAMING_BLINKDL;
    else if (tensors_find(index, "rwkv.embeddings.weight"))
        *naming = NAMING_HF;
    else if (tensors_find(index, "model.embeddings.weight"))
        *naming = any_tensor_with(index, ".attention.") ? NAMING_HF : NAMING_FLA;
    else if (tensors_find(index, "token_embd.weight"))
        *naming = NAMING_GGUF;
    else
        return false;
    return true;
}

enum rwkv7_status arch_recognize(const struct tensor_index *index, const char *path, struct recognized *out,
                                 struct rwkv7_error *err)
{
    struct candidate c = {.index = index, .path = path};
    const struct arch *arch = NULL;
    enum rwkv7_status status;
    const bool is_named = find_naming(index, &c.naming);
    if ((status = refuse_unsupported(index, path, err)) || (status = choose_arch(&c, &arch, err)))
        return status;
    if (!is_named)
        return fail(
            err, RWKV7_ERR_MODEL,
            "%s: not an RWKV model: none of 'emb.weight', 'model.embeddings.weight', 'rwkv.embeddings.weight' and "
            "'token_embd.weight' is among its %zu tensors",
            path, index->count);
    *out = (struct recognized){.arch = arch,
                               .weights = arch->weights,
                               .spelling.naming = c.naming,
                               .ln_eps = LN_EPS,
                               .head_eps = HEAD_EPS,
                               .rate_scale = 1.0f};
    out->shape.arch = arch->id;
    if ((status = arch->measure(&c, out, err)) != RWKV7_OK)
        return status;
    return read_numbers(&c, out, err);
}
