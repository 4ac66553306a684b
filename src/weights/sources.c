/*
 * sources.c - finds the weights of a model in a checkpoint by name, type and shape. Anything
 * missing or different is an error that names the tensor. Only the index is read, no weights.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "formats/packed.h"
#include "formats/snippet.h"
#include "weights/weights.h"

struct search {
    const struct tensor_index *index;
    const char *path;
    const struct recognized *as;
    uint8_t *used;   /* [index->count]; 1: the tensor belongs to a weight */
    size_t narrowed; /* number of float64 vectors */
    bool may_tie;    /* the head may be missing */
    bool tied;       /* the head is missing, and the embedding is used as head */
    bool is_author;  /* the author's naming, in which ln0 exists unless it was folded into the embedding */
    struct rwkv7_error *err;
};

bool weight_form(enum dtype type, struct mat *out)
{
    out->by_column = type >= DT_PACKED && (type - DT_PACKED) % 2 == 1;
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
    default:
        out->type = type < DT_PACKED ? MAT_GGML : (enum mat_type)(MAT_FLOATS + (type - DT_PACKED) / 2);
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
    return is_float(type) || type == DT_F64; /* float64 is rounded: vectors are float32 in memory */
}

/*
 * Whether a matrix may have this type. Quantized matrices must not be stored transposed, because
 * they cannot be transposed. A table must have floats or ggml's blocks, whose rows can be read
 * singly. Only sparse matrices may be stored by column.
 */
static bool fits_matrix(const struct weight_source *source, enum dtype type)
{
    struct mat form;
    const enum weight_kind kind = source->weight.spec->kind;
    return is_float(type) ||
           (weight_form(type, &form) && !source->transposed && (kind != WEIGHT_TABLE || form.type == MAT_GGML) &&
            (kind == WEIGHT_SPARSE || !form.by_column));
}

static enum rwkv7_status missing(const struct search *s, const struct weight_source *source)
{
    char name[NAME_ROOM] = "?";
    weight_name(name, s->as->weights, s->as->spelling.naming, source->weight.spec, source->weight.layer);
    return fail(s->err, RWKV7_ERR_MODEL, "%s: tensor '%s' is missing", s->path, name);
}

/* Marks the tensor as used if its type is supported. */
static enum rwkv7_status take(struct search *s, const struct tensor *t,
                              bool (*fits)(const struct weight_source *, enum dtype), struct weight_source *out)
{
    if (!fits(out, t->type))
        return fail(s->err, RWKV7_ERR_MODEL, "%s: tensor '%s': expected type F32, F16 or BF16, found %s", t->file,
                    t->name, dtype_name(t->type));
    s->used[t - s->index->tensors] = 1;
    out->tensor = t;
    return RWKV7_OK;
}

/*
 * Collects the axes that are not 1. For a vector only these matter: [1,1,C] and [C] are equivalent.
 */
static int wide_axes(const struct tensor *t, uint64_t axes[TENSOR_MAX_RANK])
{
    int rank = 0;
    for (int i = 0; i < t->rank; i++)
        if (t->shape[i] != 1)
            axes[rank++] = t->shape[i];
    return rank;
}

static uint64_t tensor_elements(const struct tensor *t)
{
    uint64_t elements = 1;
    for (int i = 0; i < t->rank; i++)
        elements *= t->shape[i];
    return elements;
}

/*
 * Finds a vector. Its shape does not matter, as long as the number of elements is right: MLX stores
 * some as [H][N]. Only [N][H] is rejected, if H and N differ, because the order would be another.
 */
static enum rwkv7_status find_vector(struct search *s, const struct tensor *t, struct weight_part part,
                                     struct weight_source *out)
{
    const enum rwkv7_status status = take(s, t, fits_vector, out);
    if (status != RWKV7_OK)
        return status;
    s->narrowed += t->type == DT_F64 && part.number == 0;
    const struct rwkv7_shape *shape = &s->as->shape;
    const uint64_t numbers = (uint64_t)out->rows, parts = (uint64_t)part.count;
    const uint64_t heads = (uint64_t)shape->heads, size = (uint64_t)shape->head_size;
    uint64_t axes[TENSOR_MAX_RANK];
    const int wide = wide_axes(t, axes);
    if (part.count > 1) {
        const bool fits = wide > 0 && axes[0] == parts && tensor_elements(t) == parts * numbers;
        out->row = (size_t)part.number;
        return fits ? RWKV7_OK : wrong_shape(s, t, (const uint64_t[]){parts, numbers}, 2);
    }
    const bool is_heads = out->weight.spec->rows == 'H';
    const bool is_reordered = heads != size && wide == 2 && axes[0] == size && axes[1] == heads;
    if (t->rank > 0 && tensor_elements(t) == numbers && !is_reordered)
        return RWKV7_OK;
    const uint64_t expected[] = {is_heads ? heads : (uint64_t)out->rows, size};
    return wrong_shape(s, t, expected, is_heads ? 2 : 1);
}

/*
 * Whether a low-rank factor is stored transposed. For WEIGHT_FACTOR, recognition has determined
 * this for the whole file. For WEIGHT_ORIENTED (x070a), the shape of the matrix shows it; a square
 * matrix is assumed to be transposed, as the author stores it, unless this program wrote the file.
 */
static bool stored_transposed(const struct search *s, const struct tensor *t, const struct weight_source *source)
{
    if (source->weight.spec->kind != WEIGHT_ORIENTED)
        return source->weight.spec->kind == WEIGHT_FACTOR && s->as->spelling.factors_transposed;
    const bool square = source->rows == source->cols && !tensors_metadata(s->index, PACKED_LAYOUT_KEY);
    return t->shape[0] != (uint64_t)source->rows || square;
}

/*
 * Whether part `part` of the tensor is a matrix [rows][cols] as stored. Sets its position in `out`.
 */
static bool place_part(const struct tensor *t, struct weight_part part, uint64_t rows, uint64_t cols,
                       struct weight_source *out)
{
    const uint64_t number = (uint64_t)part.number, count = (uint64_t)part.count;
    const uint64_t *shape = t->shape;
    const bool first_of_three = t->rank == 3 && shape[0] == count && shape[1] == rows && shape[2] == cols;
    const bool first_of_two = t->rank == 2 && shape[0] == count * rows && shape[1] == cols;
    const bool last_of_two = t->rank == 2 && shape[0] == rows && shape[1] == count * cols;
    if (first_of_three || first_of_two)
        out->row = (size_t)(number * rows);
    else if (last_of_two)
        out->col = (size_t)(number * cols);
    else
        return false;
    return t->type < DT_PLAIN; /* blocks cannot be divided */
}

static enum rwkv7_status find_matrix(struct search *s, const struct tensor *t, struct weight_part part,
                                     struct weight_source *out)
{
    out->transposed = stored_transposed(s, t, out);
    const enum rwkv7_status status = take(s, t, fits_matrix, out);
    if (status != RWKV7_OK)
        return status;
    const uint64_t expected[] = {(uint64_t)(out->transposed ? out->cols : out->rows),
                                 (uint64_t)(out->transposed ? out->rows : out->cols)};
    const bool fits = part.count > 1 ? place_part(t, part, expected[0], expected[1], out)
                                     : t->rank == 2 && t->shape[0] == expected[0] && t->shape[1] == expected[1];
    if (!fits)
        return wrong_shape(s, t, (const uint64_t[]){(uint64_t)part.count, expected[0], expected[1]} + (part.count == 1),
                           part.count == 1 ? 2 : 3);
    struct mat form = {.rows = out->rows, .cols = out->cols};
    weight_form(t->type, &form);
    if (t->type >= DT_PACKED && t->bytes != quant_bytes(&form))
        return fail(s->err, RWKV7_ERR_MODEL, "%s: tensor '%s': expected %zu bytes of %s for shape [%d,%d], found %llu",
                    t->file, t->name, quant_bytes(&form), dtype_name(t->type), out->rows, out->cols,
                    (unsigned long long)t->bytes);
    return RWKV7_OK;
}

static const struct tensor *find_embedding(const struct search *s)
{
    const struct weight_table *table = s->as->weights;
    for (size_t i = 0; i < table->outer_count; i++)
        if (table->outer[i].offset == offsetof(struct outer, emb))
            return weight_tensor(s->index, table, s->as->spelling.naming, &table->outer[i], -1, NULL);
    return NULL;
}

/* Finds the tensor of one weight. *is_there is false if the weight is optional and missing. */
static enum rwkv7_status find_one(struct search *s, struct weight_source *out, bool *is_there)
{
    const struct weight_spec *spec = out->weight.spec;
    const bool is_vector = kind_is_vector(spec->kind);
    struct weight_part part = {.count = 1};
    const struct tensor *t =
        weight_tensor(s->index, s->as->weights, s->as->spelling.naming, spec, out->weight.layer, &part);
    *is_there = t || spec->place != IF_PRESENT;
    if (!*is_there)
        return RWKV7_OK;
    if (!t && spec->offset == offsetof(struct outer, head) && out->weight.layer < 0 && s->may_tie) {
        t = find_embedding(s);
        s->tied = t != NULL;
        part = (struct weight_part){.count = 1};
    }
    if (!t)
        return missing(s, out);
    out->rows = shape_axis(&s->as->shape, spec->rows);
    out->cols = is_vector ? 0 : shape_axis(&s->as->shape, spec->cols);
    return is_vector ? find_vector(s, t, part, out) : find_matrix(s, t, part, out);
}

/*
 * Rejects tensors that belong to no weight, because ignoring them silently could give wrong
 * results. Exceptions: weights that layer 0 does not use (NOT_FIRST), a tuned state, and tensors
 * that are empty or hold integers.
 */
static enum rwkv7_status refuse_extra(const struct search *s, size_t *ignored)
{
    const struct weight_table *table = s->as->weights;
    const struct tensor *incidental = NULL; /* the first of them */
    size_t incidentals = 0;
    for (size_t i = 0; i < s->index->count; i++) {
        if (s->used[i])
            continue;
        const struct tensor *t = &s->index->tensors[i];
        bool known = tuned_state_layer(t->name) >= 0;
        for (size_t j = 0; j < table->layer_count && !known; j++)
            known = table->layers[j].place == NOT_FIRST &&
                    weight_tensor(s->index, table, s->as->spelling.naming, &table->layers[j], 0, NULL) == t;
        if (!known && tensor_is_incidental(t)) {
            incidental = incidental ? incidental : t;
            incidentals++;
        } else if (!known)
            return fail(s->err, RWKV7_ERR_MODEL, "%s: tensor '%s' does not belong to an %s model", t->file,
                        snippet_name(t->name).text, table->model);
        ++*ignored;
    }
    return incidentals == 0 ? RWKV7_OK
                            : note(s->index->notes, s->err, "%s: skipped %zu empty or integer tensor%s%s '%s'",
                                   snippet_path(s->path).text, incidentals, incidentals == 1 ? "" : "s",
                                   incidentals == 1 ? ":" : ", the first is", snippet_name(incidental->name).text);
}

/* Adds notes about assumptions and about rounded vectors. */
static enum rwkv7_status note_all(const struct search *s, bool no_ln0)
{
    const struct snippet path = snippet_path(s->path);
    enum rwkv7_status status = RWKV7_OK;
    if (s->tied)
        status = note(s->index->notes, s->err, "%s: no head found; the embedding is used as head", path.text);
    if (status == RWKV7_OK && no_ln0 && s->is_author)
        status =
            note(s->index->notes, s->err, "%s: no ln0 found; the embedding is assumed to be normalized", path.text);
    if (status == RWKV7_OK && s->narrowed > 0)
        status = note(s->index->notes, s->err, "%s: %zu vector%s of type F64 %s rounded to F32", path.text, s->narrowed,
                      s->narrowed == 1 ? "" : "s", s->narrowed == 1 ? "is" : "are");
    return status;
}

static bool is_ln0(const struct weight *w)
{
    return w->layer < 0 && (w->spec->offset == offsetof(struct outer, ln0_weight) ||
                            w->spec->offset == offsetof(struct outer, ln0_bias));
}

/*
 * Whether the norm of the embedding (ln0) is missing completely. This is valid for configurations
 * of fla with norm_first = false and for files where it was folded into the embedding. If only its
 * weight or only its bias is missing, that is an error.
 */
static bool lacks_ln0(const struct search *s)
{
    const struct weight_table *table = s->as->weights;
    struct weight w = WEIGHT_BEFORE_FIRST;
    while (weight_next(table, &s->as->shape, &w) && w.layer < 0)
        if (is_ln0(&w) && weight_tensor(s->index, table, s->as->spelling.naming, w.spec, -1, NULL))
            return false;
    return true;
}

enum rwkv7_status weights_find(const struct tensor_index *index, const char *path, const struct recognized *as,
                               struct weight_sources *out, struct rwkv7_error *err)
{
    const struct weight_table *table = as->weights;
    const bool is_own =
        tensors_metadata(index, PACKED_LAYOUT_KEY) != NULL; /* this program wrote the file, so nothing may be missing */
    struct search s = {.index = index,
                       .path = path,
                       .as = as,
                       .used = mem_alloc(index->count, 1),
                       .may_tie = !is_own,
                       .is_author = as->spelling.naming == NAMING_BLINKDL && !is_own,
                       .err = err};
    struct weight w = WEIGHT_BEFORE_FIRST;
    enum rwkv7_status status = RWKV7_OK;
    *out = (struct weight_sources){
        .at = mem_alloc(table->outer_count + (size_t)as->shape.layers * table->layer_count, sizeof *out->at)};
    if (!s.used || !out->at) {
        status = fail_memory(err, "the weights");
        goto done;
    }
    const bool no_ln0 = lacks_ln0(&s);
    while (status == RWKV7_OK && weight_next(table, &as->shape, &w)) {
        if (no_ln0 && is_ln0(&w))
            continue;
        bool is_there;
        out->at[out->count] = (struct weight_source){.weight = w};
        status = find_one(&s, &out->at[out->count], &is_there);
        out->count += is_there;
    }
    if (status == RWKV7_OK)
        status = refuse_extra(&s, &out->ignored);
    if (status == RWKV7_OK)
        status = note_all(&s, no_ln0);
    out->tied = s.tied;
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
