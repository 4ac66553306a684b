/*
 * sources.c - weights by expectation: every weight is asked for by name, type and shape, and what does not fit is an error that
 * names it. Nothing is read here but the index.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "formats/packed.h"
#include "formats/snippet.h"
#include "weights/model.h"

struct search {
    const struct tensor_index *index;
    const char *path;
    const struct spelling *spelling;
    const struct rwkv7_shape *shape;
    uint8_t *used; /* [index->count] 1: found */
    struct rwkv7_error *err;
};

bool weight_form(enum dtype type, struct mat *out)
{
    out->by_column = type == DT_COLUMNS_Q8 || type == DT_COLUMNS_Q4;
    switch (type) {
    case DT_F32:
        out->type = MAT_F32;
        return true;
    case DT_F16:
        out->type = MAT_F16;
        return true;
    case DT_BF16:
        out->type = MAT_BF16;
        return true;
    case DT_TILES_Q8:
    case DT_COLUMNS_Q8:
        out->type = MAT_Q8;
        return true;
    case DT_TILES_Q4:
    case DT_COLUMNS_Q4:
        out->type = MAT_Q4;
        return true;
    default:
        out->type = MAT_GGML;
        return type >= DT_PLAIN;
    }
}

static enum rwkv7_status wrong_shape(const struct search *s, const struct tensor *t, const uint64_t *axes, int rank)
{
    return fail(s->err, RWKV7_ERR_MODEL, "%s: tensor '%s': expected shape %s, found %s", t->file, t->name,
                snippet_axes(axes, rank).text, snippet_axes(t->shape, t->rank).text);
}

static bool is_float(enum dtype type)
{
    return type == DT_F32 || type == DT_F16 || type == DT_BF16;
}

static bool fits_vector(const struct weight_source *source, enum dtype type)
{
    (void)source;
    return is_float(type);
}

/* Integers are never turned round; only rows of floats and of ggml can be read one by one, and only ffn.value by column. */
static bool fits_matrix(const struct weight_source *source, enum dtype type)
{
    struct mat form;
    const bool is_table = source->spec->kind == WEIGHT_TABLE;
    const bool is_value = source->layer >= 0 && source->spec->offset == offsetof(struct layer, ffn_value);
    return is_float(type) || (weight_form(type, &form) && !source->turned && (!is_table || form.type == MAT_GGML) &&
                              (is_value || !form.by_column));
}

/* The tensor of that name, marked as used and of a type that will do. */
static enum rwkv7_status take(struct search *s, const char *name,
                              bool (*fits)(const struct weight_source *, enum dtype), struct weight_source *out)
{
    const struct tensor *t = tensors_find(s->index, name);
    if (!t)
        return fail(s->err, RWKV7_ERR_MODEL, "%s: tensor '%s' is missing", s->path, name);
    if (!fits(out, t->type))
        return fail(s->err, RWKV7_ERR_MODEL, "%s: tensor '%s': expected type F32, F16 or BF16, found %s", t->file, name,
                    dtype_name(t->type));
    s->used[t - s->index->tensors] = 1;
    out->tensor = t;
    return RWKV7_OK;
}

static enum rwkv7_status find_vector(struct search *s, const char *name, struct weight_source *out)
{
    const enum rwkv7_status status = take(s, name, fits_vector, out);
    if (status != RWKV7_OK)
        return status;
    const struct tensor *t = out->tensor;
    const bool is_heads = out->spec->rows == 'H' && s->spelling->naming != NAMING_GGUF; /* r_k alone has two axes */
    uint64_t elements = 1;
    int wide = 0; /* axes other than 1: [1,1,C] and [C] are the same vector */
    for (int i = 0; i < t->rank; i++) {
        elements *= t->shape[i];
        wide += t->shape[i] != 1;
    }
    const bool counted = t->rank > 0 && elements == (uint64_t)out->rows;
    if (counted && (is_heads ? t->rank == 2 && t->shape[0] == (uint64_t)s->shape->heads : wide <= 1))
        return RWKV7_OK;
    const uint64_t expected[] = {(uint64_t)(is_heads ? s->shape->heads : out->rows), (uint64_t)s->shape->head_size};
    return wrong_shape(s, t, expected, is_heads ? 2 : 1);
}

/* The older fla layout and GGUF keep the six shift weights in one tensor [6][C], rows in the order r w k v a g. */
static enum rwkv7_status find_fused_shift(struct search *s, bool *found, struct weight_source *out)
{
    static const char order[] = "rwkvag";
    const enum naming naming = s->spelling->naming;
    char name[64];
    snprintf(name, sizeof name,
             naming == NAMING_GGUF ? "blk.%d.time_mix_lerp_fused.weight" : "model.layers.%d.attn.x_x", out->layer);
    *found = (naming == NAMING_FLA || naming == NAMING_GGUF) && tensors_find(s->index, name) != NULL;
    if (!*found)
        return RWKV7_OK;
    const enum rwkv7_status status = take(s, name, fits_vector, out);
    if (status != RWKV7_OK)
        return status;
    const struct tensor *t = out->tensor;
    const uint64_t channels = (uint64_t)s->shape->channels;
    uint64_t axes[TENSOR_MAX_RANK];
    int rank = 0;
    for (int i = 0; i < t->rank; i++)
        if (t->shape[i] != 1)
            axes[rank++] = t->shape[i];
    const bool fits = channels == 1 ? rank == 1 && axes[0] == 6 : rank == 2 && axes[0] == 6 && axes[1] == channels;
    if (!fits)
        return wrong_shape(s, t, (const uint64_t[]){6, channels}, 2);
    const char letter = strrchr(out->spec->blinkdl, '_')[1];
    out->row = (size_t)(strchr(order, letter) - order);
    return RWKV7_OK;
}

/* Of all low-rank factors the recognition knows it; of x070a's each tells for itself, and a square one is as its author
 * stores it, unless this program has written it. */
static bool stored_turned(const struct search *s, const char *name, const struct weight_source *source)
{
    const struct tensor *t = tensors_find(s->index, name);
    if (source->spec->kind != WEIGHT_TURNED)
        return source->spec->kind == WEIGHT_FACTOR && s->spelling->factors_transposed;
    const bool square_turned = source->rows == source->cols && !tensors_metadata(s->index, PACKED_LAYOUT_KEY);
    return !t || t->shape[0] != (uint64_t)source->rows || square_turned;
}

static enum rwkv7_status find_matrix(struct search *s, const char *name, struct weight_source *out)
{
    out->turned = stored_turned(s, name, out);
    const enum rwkv7_status status = take(s, name, fits_matrix, out);
    if (status != RWKV7_OK)
        return status;
    const struct tensor *t = out->tensor;
    const uint64_t expected[] = {(uint64_t)(out->turned ? out->cols : out->rows),
                                 (uint64_t)(out->turned ? out->rows : out->cols)};
    if (t->rank != 2 || t->shape[0] != expected[0] || t->shape[1] != expected[1])
        return wrong_shape(s, t, expected, 2);
    struct mat form = {.rows = out->rows, .cols = out->cols};
    weight_form(t->type, &form);
    if (t->type >= DT_PACKED && t->bytes != quant_bytes(&form))
        return fail(s->err, RWKV7_ERR_MODEL, "%s: tensor '%s': expected %zu bytes of %s for shape [%d,%d], found %llu",
                    t->file, t->name, quant_bytes(&form), dtype_name(t->type), out->rows, out->cols,
                    (unsigned long long)t->bytes);
    return RWKV7_OK;
}

static enum rwkv7_status find_one(struct search *s, struct weight_source *out)
{
    const struct weight_spec *spec = out->spec;
    char name[160];
    names_full(name, sizeof name, s->spelling, spec, out->layer);
    out->rows = shape_axis(s->shape, spec->rows);
    if (spec->kind != WEIGHT_VECTOR) {
        out->cols = shape_axis(s->shape, spec->cols);
        return find_matrix(s, name, out);
    }
    if (strncmp(spec->blinkdl, "att.x_", 6) == 0) {
        bool fused;
        const enum rwkv7_status status = find_fused_shift(s, &fused, out);
        if (status != RWKV7_OK || fused)
            return status;
    }
    return find_vector(s, name, out);
}

/* A tensor that nobody asked for. Layer 0's value gate and a tuned state are known; anything else would be weights ignored silently. */
static enum rwkv7_status refuse_extra(const struct search *s, size_t *ignored)
{
    for (size_t i = 0; i < s->index->count; i++) {
        if (s->used[i])
            continue;
        const struct tensor *t = &s->index->tensors[i];
        bool known = name_is_state(t->name);
        for (size_t j = 0; j < layer_weight_count && !known; j++) {
            char name[160];
            names_full(name, sizeof name, s->spelling, &layer_weights[j], 0);
            known = layer_weights[j].place == NOT_FIRST && strcmp(name, t->name) == 0;
        }
        if (!known)
            return fail(s->err, RWKV7_ERR_MODEL, "%s: tensor '%s' does not belong to an RWKV-7 (%s) model", t->file,
                        snippet_name(t->name).text, s->shape->deep ? "x070a" : "x070");
        ++*ignored;
    }
    return RWKV7_OK;
}

static bool is_ln0(const struct weight_spec *spec)
{
    return spec->offset == offsetof(struct outer, ln0_weight) || spec->offset == offsetof(struct outer, ln0_bias);
}

/* The norm of the embedding, which a configuration with norm_first = false lacks. Some of it is not enough. */
static bool lacks_ln0(const struct search *s)
{
    for (size_t i = 0; i < outer_weight_count; i++) {
        char name[160];
        names_full(name, sizeof name, s->spelling, &outer_weights[i], -1);
        if (is_ln0(&outer_weights[i]) && tensors_find(s->index, name))
            return false;
    }
    return s->spelling->naming != NAMING_BLINKDL || tensors_metadata(s->index, PACKED_LAYOUT_KEY);
}

enum rwkv7_status weights_find(const struct tensor_index *index, const char *path, const struct spelling *spelling,
                               const struct rwkv7_shape *shape, struct weight_sources *out, struct rwkv7_error *err)
{
    struct search s = {index, path, spelling, shape, mem_alloc(index->count, 1), err};
    enum rwkv7_status status = RWKV7_OK;
    *out = (struct weight_sources){
        .at = mem_alloc(outer_weight_count + (size_t)shape->layers * layer_weight_count, sizeof *out->at)};
    if (!s.used || !out->at) {
        status = fail_memory(err, "the weights");
        goto done;
    }
    const bool no_ln0 = lacks_ln0(&s);
    for (int layer = -1; layer < shape->layers; layer++) {
        const struct weight_spec *specs = layer < 0 ? outer_weights : layer_weights;
        const size_t count = layer < 0 ? outer_weight_count : layer_weight_count;
        for (size_t i = 0; i < count; i++) {
            struct weight_source *source = &out->at[out->count];
            if (layer < 0 ? no_ln0 && is_ln0(&specs[i]) : !weight_exists(shape, &specs[i], layer))
                continue;
            source->spec = &specs[i];
            source->layer = layer;
            if ((status = find_one(&s, source)) != RWKV7_OK)
                goto done;
            out->count++;
        }
    }
    status = refuse_extra(&s, &out->ignored);
done:
    mem_free(s.used);
    if (status != RWKV7_OK)
        weight_sources_free(out);
    return status;
}

void weight_sources_free(struct weight_sources *sources)
{
    mem_free(sources->at);
    *sources = (struct weight_sources){0};
}
