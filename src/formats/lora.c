/* lora.c - see lora.h. */
#include "formats/lora.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/c_numbers.h"
#include "base/mem.h"
#include "base/sys.h"
#include "formats/folder.h"
#include "formats/json.h"
#include "formats/snippet.h"

#define ALPHA_KEY "lora_alpha" /* key in the metadata and in PEFT's configuration */
#define CONFIG "adapter_config.json"

struct lora {
    struct tensor_index *index;
    struct tensor_index *init; /* PiSSA's factors before training; NULL: none, or they are in `index` */
    char *path;
    char *config; /* path of PEFT's configuration; NULL if there is none */
    struct file_map config_map;
    double alpha;
    bool by_root;    /* rsLoRA: the factors are scaled by alpha / sqrt(r) */
    bool unscaled;   /* RWKV-PEFT's PiSSA: the scale is 1 */
    bool is_shifted; /* training did not start from the checkpoint's weights: the initial factors are needed */
};

/* --------------------------------------------------------------------------------- tensor names */

enum factor { FACTOR_A, FACTOR_B, FACTOR_INIT_A, FACTOR_INIT_B, NO_FACTOR };

#define SPELLINGS 4
/*
 * Suffixes after the name of the changed tensor: RWKV-PEFT, PEFT, and PEFT with the name of the
 * adapter.
 */
static const char *const spellings[NO_FACTOR][SPELLINGS] = {
    {".lora_A", ".lora_A.weight", ".lora_A.default.weight", ".lora_A.default"},
    {".lora_B", ".lora_B.weight", ".lora_B.default.weight", ".lora_B.default"},
    {".init_lora_A"},
    {".init_lora_B"},
};

/*
 * Returns the factor that a tensor name denotes. *stem is the length of the name without the
 * suffix.
 */
static enum factor factor_of(const char *name, size_t *stem)
{
    for (int factor = 0; factor < NO_FACTOR; factor++)
        for (int i = 0; i < SPELLINGS && spellings[factor][i]; i++)
            if (path_ends_with(name, spellings[factor][i])) {
                *stem = strlen(name) - strlen(spellings[factor][i]);
                return (enum factor)factor;
            }
    return NO_FACTOR;
}

/*
 * Finds the tensor whose name is the first `length` bytes of `name` followed by `end`; NULL if
 * there is none.
 */
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

/*
 * Finds the tensor that a factor changes: X.weight or X, where X is the first `stem` bytes of
 * `name`.
 */
static const struct tensor *find_base(const struct tensor_index *base, const char *name, size_t stem)
{
    const struct tensor *t = find(base, name, stem, ".weight");
    return t ? t : find(base, name, stem, "");
}

/*
 * Finds a factor of a tensor of the checkpoint; NULL if there is none. *other is a duplicate in
 * another spelling, or NULL.
 */
static const struct tensor *find_factor(const struct tensor_index *index, const struct tensor *base, enum factor factor,
                                        const struct tensor **other)
{
    const size_t n = strlen(base->name), shorter = path_ends_with(base->name, ".weight") ? n - strlen(".weight") : n;
    const struct tensor *found = NULL;
    *other = NULL;
    for (size_t length = shorter; length <= n; length += shorter < n ? n - shorter : 1)
        for (int i = 0; i < SPELLINGS && spellings[factor][i]; i++) {
            const struct tensor *t = find(index, base->name, length, spellings[factor][i]);
            *other = found && t ? t : *other;
            found = found ? found : t;
        }
    return found;
}

/*
 * Finds factor A or B as it was before training. A separate file may use the names of the trained
 * factors for them.
 */
static const struct tensor *find_init(const struct lora *l, const struct tensor *base, enum factor trained,
                                      const struct tensor **other)
{
    const struct tensor_index *index = l->init ? l->init : l->index;
    const struct tensor *t = find_factor(index, base, FACTOR_INIT_A + (trained - FACTOR_A), other);
    return t || !l->init ? t : find_factor(index, base, trained, other);
}

/* ------------------------------------------------------------------------- PEFT's configuration */

static bool is_true(const cJSON *config, const char *key)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(config, key));
}

static enum rwkv7_status refuse_config(const struct lora *l, const char *key, const char *what, struct rwkv7_error *err)
{
    return fail(err, RWKV7_ERR_MODEL, "%s: '%s': %s", snippet_path(l->config).text, key, what);
}

static enum rwkv7_status take_config(struct lora *l, const cJSON *config, struct rwkv7_error *err)
{
    static const char *const unsupported[] = {"use_dora", "fan_in_fan_out", "use_qalora", "alora_invocation_tokens"};
    /* With these, training starts from W minus the product of the initial factors. */
    static const char *const shifting[] = {"pissa", "olora", "corda"};
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(config, "peft_type"),
                *alpha = cJSON_GetObjectItemCaseSensitive(config, ALPHA_KEY),
                *pattern = cJSON_GetObjectItemCaseSensitive(config, "alpha_pattern"),
                *start = cJSON_GetObjectItemCaseSensitive(config, "init_lora_weights");
    char what[160];
    if (!cJSON_IsString(type) || strcmp(type->valuestring, "LORA") != 0) {
        snprintf(what, sizeof what, "expected LORA, found %s; other adapters are not supported",
                 cJSON_IsString(type) ? snippet_name(type->valuestring).text : "no string");
        return refuse_config(l, "peft_type", what, err);
    }
    for (size_t i = 0; i < sizeof unsupported / sizeof unsupported[0]; i++)
        if (is_true(config, unsupported[i]) || cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(config, unsupported[i])))
            return refuse_config(l, unsupported[i], "adapters with this option are not supported", err);
    if (pattern && pattern->child)
        return refuse_config(l, "alpha_pattern", "a different alpha per module is not supported", err);
    if (cJSON_IsString(start)) {
        if (strcmp(start->valuestring, "loftq") == 0)
            return refuse_config(l, "init_lora_weights",
                                 "loftq adapters are not supported: they were trained on quantized weights", err);
        for (size_t i = 0; i < sizeof shifting / sizeof shifting[0]; i++)
            l->is_shifted |= strncmp(start->valuestring, shifting[i], strlen(shifting[i])) == 0;
    }
    l->by_root = is_true(config, "use_rslora");
    if (l->alpha == 0 && alpha) {
        if (!cJSON_IsNumber(alpha) || !(alpha->valuedouble > 0) || !isfinite(alpha->valuedouble))
            return refuse_config(l, ALPHA_KEY, "expected a number above 0", err);
        l->alpha = alpha->valuedouble;
    }
    return RWKV7_OK;
}

static enum rwkv7_status read_config(struct lora *l, struct rwkv7_error *err)
{
    const struct file_map *const map = &l->config_map;
    cJSON *config = NULL;
    enum rwkv7_status status = file_map_open(l->config, &l->config_map, err);
    if (status != RWKV7_OK)
        return status;
    const struct json_text text = {.file = l->config, .bytes = map->data, .size = map->size};
    if (map->size > 1 << 20)
        status = fail(err, RWKV7_ERR_MODEL, "%s: expected a configuration of at most 1 MiB, found %zu bytes",
                      snippet_path(l->config).text, map->size);
    if (status == RWKV7_OK)
        status = json_parse(&text, &config, err);
    if (status == RWKV7_OK)
        status = take_config(l, config, err);
    cJSON_Delete(config);
    return status;
}

/*
 * Finds the tensor file and, if it exists, PEFT's configuration. A PEFT folder holds
 * adapter_config.json and adapter_model.safetensors or adapter_model.bin.
 */
static enum rwkv7_status find_files(struct lora *l, const char *path, struct rwkv7_error *err)
{
    static const char *const names[] = {"adapter_model.safetensors", "adapter_model.bin"};
    const char *slash = strrchr(path, '/');
    const bool is_folder = path_is_folder(path);
    bool is_peft = false;
    for (size_t i = 0; i < 2 && is_folder && !is_peft; i++) {
        mem_free(l->path);
        if (!(l->path = folder_join(path, strlen(path), names[i])))
            return fail_memory(err, "a path");
        is_peft = path_exists(l->path);
    }
    if (!is_peft) {
        mem_free(l->path);
        if (!(l->path = mem_string(path, strlen(path))))
            return fail_memory(err, "a path");
    }
    for (size_t i = 0; i < 2 && !is_folder; i++)
        is_peft |= strcmp(slash ? slash + 1 : path, names[i]) == 0;
    if (!is_peft)
        return RWKV7_OK;
    const size_t length = is_folder ? strlen(path) : slash ? (size_t)(slash - path) + 1 : 0;
    l->config = folder_join(path, length, CONFIG);
    if (!l->config)
        return fail_memory(err, "a path");
    if (path_exists(l->config))
        return read_config(l, err);
    mem_free(l->config);
    l->config = NULL;
    return RWKV7_OK;
}

/* ----------------------------------------------------------------------------------------- open */

static enum rwkv7_status find_alpha(struct lora *l, double given, struct rwkv7_error *err)
{
    const struct snippet path = snippet_path(l->path);
    if (l->unscaled && given == 0)
        return RWKV7_OK;
    if (l->unscaled)
        return fail(err, RWKV7_ERR_USAGE, "%s: PiSSA adapters of RWKV-PEFT have a fixed scale; remove the alpha",
                    path.text);
    if (l->alpha != 0)
        return l->alpha > 0 && isfinite(l->alpha)
                   ? RWKV7_OK
                   : fail(err, RWKV7_ERR_USAGE, "expected a LoRA alpha above 0, found %g", l->alpha);
    const char *const text = tensors_metadata(l->index, ALPHA_KEY);
    char *end = NULL;
    if (!text)
        return fail(err, RWKV7_ERR_USAGE, "%s: the file does not state the alpha of its training; it must be given",
                    path.text);
    C_NUMBERS;
    l->alpha = strtod(text, &end);
    if (*text == '\0' || *end != '\0' || !(l->alpha > 0) || !isfinite(l->alpha))
        return fail(err, RWKV7_ERR_MODEL, "%s: metadata '%s': expected a number above 0, found '%s'", path.text,
                    ALPHA_KEY, snippet_name(text).text);
    return RWKV7_OK;
}

static bool has_factor(const struct tensor_index *index, enum factor factor)
{
    size_t stem;
    for (size_t i = 0; i < index->count; i++)
        if (factor_of(index->tensors[i].name, &stem) == factor)
            return true;
    return false;
}

/* Rejects other kinds of adapters, whose factors are combined differently. */
static enum rwkv7_status check_kind(const struct lora *l, struct rwkv7_error *err)
{
    static const struct {
        const char *end, *what;
    } others[] = {{".lora_magnitude_vector", "DoRA"},
                  {".lora_magnitude_vector.weight", "DoRA"},
                  {".disha", "Bone (DiSHA)"},
                  {".bone", "Bone (DiSHA)"}};
    const struct snippet path = snippet_path(l->path);
    for (size_t i = 0; i < l->index->count; i++)
        for (size_t k = 0; k < sizeof others / sizeof others[0]; k++)
            if (path_ends_with(l->index->tensors[i].name, others[k].end))
                return fail(err, RWKV7_ERR_MODEL, "%s: tensor '%s': %s adapters are not supported", path.text,
                            snippet_name(l->index->tensors[i].name).text, others[k].what);
    if (!has_factor(l->index, FACTOR_A))
        return fail(err, RWKV7_ERR_MODEL, "%s: not a LoRA file: found no tensor whose name ends in %s", path.text,
                    spellings[FACTOR_A][0]);
    return RWKV7_OK;
}

enum rwkv7_status lora_open(const char *path, const char *init, double alpha, struct lora **out,
                            struct rwkv7_error *err)
{
    enum rwkv7_status status;
    *out = NULL;
    struct lora *l = mem_alloc(1, sizeof *l);
    if (!l)
        return fail_memory(err, "a LoRA file");
    l->alpha = alpha;
    if ((status = find_files(l, path, err)) || (status = tensors_open(l->path, &l->index, err)) ||
        (init && (status = tensors_open(init, &l->init, err))) || (status = check_kind(l, err)))
        goto fail;
    const struct tensor_index *first = l->init ? l->init : l->index;
    l->unscaled = has_factor(first, FACTOR_INIT_A);
    if (l->init && !l->unscaled && !has_factor(first, FACTOR_A)) {
        status = fail(err, RWKV7_ERR_MODEL,
                      "%s: expected factors before training, found no tensor whose name ends in %s or %s",
                      snippet_path(init).text, spellings[FACTOR_INIT_A][0], spellings[FACTOR_A][0]);
        goto fail;
    }
    if (l->is_shifted && !l->init && !l->unscaled) {
        status = fail(
            err, RWKV7_ERR_USAGE,
            "%s: 'init_lora_weights': training changed the base weights first; the factors before training are needed",
            snippet_path(l->config).text);
        goto fail;
    }
    if ((status = find_alpha(l, alpha, err)) != RWKV7_OK)
        goto fail;
    *out = l;
    return RWKV7_OK;
fail:
    lora_close(l);
    return status;
}

const struct notes *lora_notes(const struct lora *l)
{
    return l->index->notes;
}

void lora_close(struct lora *l)
{
    if (!l)
        return;
    tensors_close(l->index);
    tensors_close(l->init);
    mem_free(l->path);
    mem_free(l->config);
    file_map_close(&l->config_map);
    mem_free(l);
}

/* ----------------------------------------------------------------- check against the checkpoint */

static enum rwkv7_status refuse_change(const struct tensor *t, const char *what, struct rwkv7_error *err)
{
    return fail(err, RWKV7_ERR_MODEL, "%s: tensor '%s': %s", snippet_path(t->file).text, snippet_name(t->name).text,
                what);
}

static enum rwkv7_status wrong_shape(const struct tensor *t, const uint64_t *expected, int rank,
                                     struct rwkv7_error *err)
{
    char what[200];
    snprintf(what, sizeof what, "expected shape %s, found %s", snippet_axes(expected, rank).text,
             snippet_axes(t->shape, t->rank).text);
    return refuse_change(t, what, err);
}

static enum rwkv7_status check_shape(const struct tensor *t, const struct tensor *w, bool is_a, uint64_t rank,
                                     struct rwkv7_error *err)
{
    const uint64_t expected[2] = {is_a ? rank : w->shape[0], is_a ? w->shape[1] : rank};
    if (t->rank != 2 || memcmp(t->shape, expected, sizeof expected) != 0)
        return wrong_shape(t, expected, 2, err);
    return RWKV7_OK;
}

/*
 * Checks both factors of `w`. `t` is one of them, trained or initial (`is_init`), and is named in
 * messages.
 */
static enum rwkv7_status check_factor(const struct lora *l, const struct tensor *t, const struct tensor *w,
                                      bool is_init, struct rwkv7_error *err)
{
    const struct tensor *factors[2], *others[2];
    for (int i = 0; i < 2; i++)
        factors[i] = is_init ? find_init(l, w, (enum factor)i, &others[i])
                             : find_factor(l->index, w, (enum factor)i, &others[i]);
    if (!factors[0] || !factors[1])
        return refuse_change(t, "the other factor (.lora_A or .lora_B) is missing", err);
    for (int i = 0; i < 2; i++)
        if (others[i]) {
            char what[160];
            snprintf(what, sizeof what, "duplicate of '%s'", snippet_name(factors[i]->name).text);
            return refuse_change(others[i], what, err);
        }
    if (w->rank != 2)
        return refuse_change(t, "the checkpoint's tensor of this name is not a matrix", err);
    if (tensors_find(l->index, w->name))
        return refuse_change(t, "the file contains both a factor and a replacement of the same tensor", err);
    const uint64_t rank = factors[0]->rank == 2 && factors[0]->shape[0] > 0 ? factors[0]->shape[0] : 1;
    enum rwkv7_status status = RWKV7_OK;
    for (int i = 0; i < 2 && status == RWKV7_OK; i++)
        status = dtype_has_rows(factors[i]->type) ? check_shape(factors[i], w, i == 0, rank, err)
                                                  : refuse_change(factors[i], "expected type F32, F16 or BF16", err);
    return status;
}

/* Checks that the initial factors of `w` exist if and only if they are needed. */
static enum rwkv7_status check_init(const struct lora *l, const struct tensor *t, const struct tensor *w,
                                    struct rwkv7_error *err)
{
    const struct tensor *other;
    if (!l->init && !l->unscaled)
        return RWKV7_OK;
    if (!find_init(l, w, FACTOR_A, &other))
        return refuse_change(t, "the factors before training are missing", err);
    return check_factor(l, t, w, true, err);
}

static enum rwkv7_status check_index(const struct lora *l, const struct tensor_index *index,
                                     const struct tensor_index *base, struct rwkv7_error *err)
{
    const bool is_init = index == l->init;
    size_t skipped = 0;
    for (size_t i = 0; i < index->count; i++) {
        const struct tensor *const t = &index->tensors[i];
        size_t stem = 0;
        const enum factor factor = factor_of(t->name, &stem);
        const struct tensor *const w =
            factor != NO_FACTOR ? find_base(base, t->name, stem) : tensors_find(base, t->name);
        enum rwkv7_status status = RWKV7_OK;
        if (!w && tensor_is_incidental(t)) {
            skipped++;
            continue;
        }
        if (!w)
            return refuse_change(t, "the checkpoint has no tensor of this name", err);
        if (!dtype_has_rows(t->type))
            return refuse_change(t, "expected type F32, F16 or BF16", err);
        if (!dtype_has_rows(w->type))
            return refuse_change(t, "the checkpoint's tensor is already quantized; convert from the original", err);
        if (factor != NO_FACTOR && (status = check_factor(l, t, w, false, err)) == RWKV7_OK)
            status = check_init(l, t, w, err);
        else if (factor == NO_FACTOR && is_init)
            status = refuse_change(t, "expected only factors before training in this file", err);
        else if (factor == NO_FACTOR &&
                 (t->rank != w->rank || memcmp(t->shape, w->shape, (size_t)w->rank * sizeof *w->shape) != 0))
            status = wrong_shape(t, w->shape, w->rank, err);
        if (status != RWKV7_OK)
            return status;
    }
    return skipped == 0 ? RWKV7_OK
                        : note(l->index->notes, err, "%s: skipped %zu empty or integer tensor%s",
                               snippet_path(l->path).text, skipped, skipped == 1 ? "" : "s");
}

enum rwkv7_status lora_check(const struct lora *l, const struct tensor_index *base, struct rwkv7_error *err)
{
    const enum rwkv7_status status = check_index(l, l->index, base, err);
    return status == RWKV7_OK && l->init ? check_index(l, l->init, base, err) : status;
}

/* ---------------------------------------------------------------------------------------- merge */

/*
 * Copies A into rows `at`... of merge->a, multiplied by `scale`, and B into columns `at`... of
 * merge->b.
 */
static void take_factors(struct lora_merge *merge, const struct tensor *a, const struct tensor *b, size_t at,
                         float scale, float *row)
{
    const size_t rank = (size_t)a->shape[0];
    for (size_t k = 0; k < rank; k++) {
        float *to = merge->a + (at + k) * merge->cols;
        tensor_row(a, k, to);
        for (size_t i = 0; i < merge->cols; i++)
            to[i] *= scale;
    }
    for (size_t i = 0; i < (size_t)b->shape[0]; i++) {
        tensor_row(b, i, row);
        memcpy(merge->b + i * merge->rank + at, row, rank * sizeof *row);
    }
}

enum rwkv7_status lora_begin(const struct lora *l, const struct tensor *base, struct lora_merge *out,
                             struct rwkv7_error *err)
{
    const struct tensor *other, *const replacement = l ? tensors_find(l->index, base->name) : NULL,
                                       *const a = l ? find_factor(l->index, base, FACTOR_A, &other) : NULL,
                                       *const first =
                                           a && (l->init || l->unscaled) ? find_init(l, base, FACTOR_A, &other) : NULL;
    *out = (struct lora_merge){.from = replacement ? replacement : base};
    if (!a)
        return RWKV7_OK;
    const size_t rank = (size_t)a->shape[0], first_rank = first ? (size_t)first->shape[0] : 0;
    out->rank = rank + first_rank;
    out->cols = (size_t)a->shape[1];
    out->a = mem_alloc(out->rank, out->cols * sizeof *out->a);
    out->b = mem_alloc((size_t)base->shape[0], out->rank * sizeof *out->b);
    float *const row = mem_alloc(out->rank, sizeof *row);
    if (!out->a || !out->b || !row) {
        mem_free(row);
        lora_end(out);
        return fail_memory(err, "a LoRA tensor");
    }
    const double divisor = l->by_root ? sqrt((double)rank) : (double)rank;
    const float scale = l->unscaled ? 1.0f : (float)(l->alpha / divisor);
    take_factors(out, a, find_factor(l->index, base, FACTOR_B, &other), 0, scale, row);
    if (first)
        take_factors(out, first, find_init(l, base, FACTOR_B, &other), rank, -scale, row);
    mem_free(row);
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
