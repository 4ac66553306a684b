/* lora.c - see lora.h. */
#include "formats/lora.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/folder.h"
#include "formats/snippet.h"

#define END_A ".lora_A"
#define END_B ".lora_B"
#define ALPHA_KEY "lora_alpha" /* in the metadata */
#define END_SIZE (sizeof END_A - 1)

struct lora {
    struct tensor_index *index;
    char *path;
    double alpha;
};

/* ------------------------------------------------------------------------------------------------------------ names */

/* The tensor that is called like the first `length` bytes of `name` and then `end`; NULL when there is none. */
static const struct tensor *find(const struct tensor_index *index, const char *name, size_t length, const char *end)
{
    size_t low = 0, high = index->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const struct tensor *const t = &index->tensors[middle];
        int order = strncmp(name, t->name, length);
        if (order == 0)
            order = strcmp(end, t->name + length);
        if (order == 0)
            return t;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* What `X.lora_A` or `X.lora_B` changes. */
static const struct tensor *find_base(const struct tensor_index *base, const char *name)
{
    const size_t x = strlen(name) - END_SIZE;
    const struct tensor *t = find(base, name, x, ".weight");
    return t ? t : find(base, name, x, "");
}

/* `X.lora_A` or `X.lora_B` of the tensor X or X.weight. */
static const struct tensor *find_factor(const struct lora *l, const struct tensor *base, const char *end)
{
    const size_t n = strlen(base->name);
    const struct tensor *t =
        path_ends_with(base->name, ".weight") ? find(l->index, base->name, n - strlen(".weight"), end) : NULL;
    return t ? t : find(l->index, base->name, n, end);
}

/* ------------------------------------------------------------------------------------------------------------- open */

static enum rwkv7_status find_alpha(struct lora *l, struct rwkv7_error *err)
{
    const struct snippet path = snippet_path(l->path);
    if (l->alpha != 0)
        return l->alpha > 0 && isfinite(l->alpha)
                   ? RWKV7_OK
                   : fail(err, RWKV7_ERR_USAGE, "the alpha of a LoRA file is a number above 0, not %g", l->alpha);
    const char *const text = tensors_metadata(l->index, ALPHA_KEY);
    char *end = NULL;
    if (!text)
        return fail(err, RWKV7_ERR_USAGE, "%s: does not state the alpha that it was trained with, which must be given",
                    path.text);
    l->alpha = strtod(text, &end);
    if (*text == '\0' || *end != '\0' || !(l->alpha > 0) || !isfinite(l->alpha))
        return fail(err, RWKV7_ERR_MODEL, "%s: metadata '%s': expected a number above 0, found '%s'", path.text,
                    ALPHA_KEY, snippet_name(text).text);
    return RWKV7_OK;
}

static bool is_lora(const struct tensor_index *index)
{
    for (size_t i = 0; i < index->count; i++)
        if (path_ends_with(index->tensors[i].name, END_A))
            return true;
    return false;
}

enum rwkv7_status lora_open(const char *path, double alpha, struct lora **out, struct rwkv7_error *err)
{
    enum rwkv7_status status;
    *out = NULL;
    struct lora *l = mem_alloc(1, sizeof *l);
    if (l)
        l->path = mem_string(path, strlen(path));
    if (!l || !l->path) {
        status = fail_memory(err, "a LoRA file");
        goto fail;
    }
    l->alpha = alpha;
    if ((status = tensors_open(path, &l->index, err)) != RWKV7_OK)
        goto fail;
    if (!is_lora(l->index)) {
        status = fail(err, RWKV7_ERR_MODEL, "%s: not a LoRA file: the name of no tensor ends in %s",
                      snippet_path(path).text, END_A);
        goto fail;
    }
    if ((status = find_alpha(l, err)) != RWKV7_OK)
        goto fail;
    *out = l;
    return RWKV7_OK;
fail:
    lora_close(l);
    return status;
}

const char *lora_file(const struct lora *l, const char *path)
{
    return tensors_file(l->index, path);
}

void lora_close(struct lora *l)
{
    if (!l)
        return;
    tensors_close(l->index);
    mem_free(l->path);
    mem_free(l);
}

/* ------------------------------------------------------------------------------------------------------------ check */

static enum rwkv7_status refuse_change(const struct lora *l, const struct tensor *t, const char *what,
                                       struct rwkv7_error *err)
{
    return fail(err, RWKV7_ERR_MODEL, "%s: tensor '%s': %s", snippet_path(l->path).text, snippet_name(t->name).text,
                what);
}

static enum rwkv7_status wrong_shape(const struct lora *l, const struct tensor *t, const uint64_t *expected, int rank,
                                     struct rwkv7_error *err)
{
    char what[200];
    snprintf(what, sizeof what, "expected shape %s, found %s", snippet_axes(expected, rank).text,
             snippet_axes(t->shape, t->rank).text);
    return refuse_change(l, t, what, err);
}

/* A or B of `w`, with the other one. */
static enum rwkv7_status check_factor(const struct lora *l, const struct tensor *t, const struct tensor *w,
                                      struct rwkv7_error *err)
{
    const bool is_a = path_ends_with(t->name, END_A);
    const size_t x = strlen(t->name) - END_SIZE;
    const struct tensor *const a = is_a ? t : find(l->index, t->name, x, END_A), *const b =
                                                                                     is_a ? find(l->index, t->name, x,
                                                                                                 END_B)
                                                                                          : t;
    if (!a || !b)
        return refuse_change(l, t, "has no counterpart in " END_A " or " END_B, err);
    if (w->rank != 2)
        return refuse_change(l, t, "what it changes is not a matrix", err);
    if (tensors_find(l->index, w->name))
        return refuse_change(l, t, "the file also replaces what it changes", err);
    const uint64_t r = a->rank == 2 && a->shape[0] > 0 ? a->shape[0] : 1;
    const uint64_t expected[2] = {is_a ? r : w->shape[0], is_a ? w->shape[1] : r};
    if (t->rank != 2 || memcmp(t->shape, expected, sizeof expected) != 0)
        return wrong_shape(l, t, expected, 2, err);
    return RWKV7_OK;
}

enum rwkv7_status lora_check(const struct lora *l, const struct tensor_index *base, struct rwkv7_error *err)
{
    for (size_t i = 0; i < l->index->count; i++) {
        const struct tensor *const t = &l->index->tensors[i];
        const bool factor = path_ends_with(t->name, END_A) || path_ends_with(t->name, END_B);
        const struct tensor *const w = factor ? find_base(base, t->name) : tensors_find(base, t->name);
        enum rwkv7_status status = RWKV7_OK;
        if (!w)
            return refuse_change(l, t, "the checkpoint has no tensor that it changes", err);
        if (!dtype_has_rows(t->type))
            return refuse_change(l, t, "expected type F32, F16 or BF16", err);
        if (!dtype_has_rows(w->type))
            return refuse_change(l, t, "what it changes are integers already; they must be made anew", err);
        if (factor)
            status = check_factor(l, t, w, err);
        else if (t->rank != w->rank || memcmp(t->shape, w->shape, (size_t)w->rank * sizeof *w->shape) != 0)
            status = wrong_shape(l, t, w->shape, w->rank, err);
        if (status != RWKV7_OK)
            return status;
    }
    return RWKV7_OK;
}

/* ------------------------------------------------------------------------------------------------------------ merge */

/* All rows of a factor. */
static float *factor_floats(const struct tensor *t)
{
    const size_t rows = (size_t)t->shape[0], cols = (size_t)t->shape[1];
    size_t bytes; /* of a row */
    float *floats = size_mul(cols, sizeof *floats, &bytes) ? mem_alloc(rows, bytes) : NULL;
    for (size_t i = 0; floats && i < rows; i++)
        tensor_row(t, i, floats + i * cols);
    return floats;
}

enum rwkv7_status lora_begin(const struct lora *l, const struct tensor *base, struct lora_merge *out,
                             struct rwkv7_error *err)
{
    const struct tensor *const replacement = l ? tensors_find(l->index, base->name) : NULL, *const a =
                                                                                                l ? find_factor(l, base,
                                                                                                                END_A)
                                                                                                  : NULL;
    *out = (struct lora_merge){.from = replacement ? replacement : base};
    if (!a)
        return RWKV7_OK;
    out->rank = (size_t)a->shape[0];
    out->cols = (size_t)a->shape[1];
    out->a = factor_floats(a);
    out->b = factor_floats(find_factor(l, base, END_B));
    if (!out->a || !out->b) {
        lora_end(out);
        return fail_memory(err, "a LoRA tensor");
    }
    const float scale = (float)(l->alpha / (double)out->rank);
    for (size_t i = 0; i < out->rank * out->cols; i++)
        out->a[i] *= scale;
    return RWKV7_OK;
}

void lora_row(const struct lora_merge *merge, uint64_t row, float *out)
{
    tensor_row(merge->from, row, out);
    for (size_t k = 0; k < merge->rank; k++) {
        const float b = merge->b[(size_t)row * merge->rank + k], *const a = merge->a + k * merge->cols;
        for (size_t i = 0; i < merge->cols; i++)
            out[i] += b * a[i];
    }
}

void lora_end(struct lora_merge *merge)
{
    mem_free(merge->a);
    mem_free(merge->b);
    memset(merge, 0, sizeof *merge);
}
