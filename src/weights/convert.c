/*
 * convert.c - converts a checkpoint of any format to one safetensors file, tensor by tensor.
 *
 * Only the slice being written is in memory: some rows of a matrix, or a whole matrix if it is
 * stored by column.
 *
 * The output has the form that a model uses, so it can be used directly from its mapping: BlinkDL's
 * names, low-rank factors in the .st orientation (as they are applied), float32 vectors, and
 * integers in the layouts of kernels/quants.h. Quantization uses the same functions as loading
 * (quantize_form, quantize_tile), so the logits are the same, bit for bit.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <utf8proc.h>

#include "base/c_numbers.h"
#include "base/half.h"
#include "base/mem.h"
#include "base/out_file.h"
#include "base/sys.h"
#include "base/transpose.h"
#include "formats/lora.h"
#include "formats/packed.h"
#include "formats/safetensors_write.h"
#include "formats/snippet.h"
#include "weights/weights.h"

enum { ROWS = QUANT_ROWS };
#define SLICE_BYTES ((size_t)8 << 20)

/* One tensor of the output. */
struct target {
    const struct weight_source *source;
    struct mat form; /* its form in the output; a vector is one row of float32 */
    enum dtype type; /* the dtype that corresponds to form */
};

/* The slice that the threads are converting. */
struct slice {
    const struct target *target;
    const struct kernels *kernels;
    const struct lora_merge *merge; /* source of the rows, with the LoRA merged */
    const float *stored;            /* the whole matrix as stored, [cols][rows], if it must be transposed; else NULL */
    float **rows;                   /* [threads] -> [17][columns of the widest matrix], see read_rows */
    int first, count;               /* rows */
    uint8_t *to;                    /* output: the bytes of these rows, or of the whole matrix */
    _Atomic(bool) bad;              /* a number is not finite or exceeds the range of the type */
};

struct conversion {
    const struct compute *compute;
    const struct rwkv7_convert_options *opt;
    enum rwkv7_type type; /* of the matrices; RWKV7_TYPES: as stored */
    const char *from;
    struct rwkv7_error *err;

    struct tensor_index *index;
    struct lora *lora; /* NULL if there is none */
    struct recognized as;
    struct weight_sources sources;

    struct target *targets;   /* [count], in file order */
    struct tensor *tensors;   /* [count], as described in the header */
    char (*names)[NAME_ROOM]; /* [count] */
    size_t count;

    struct tensor_pair *pairs; /* [pair_count]: the metadata */
    size_t pair_count;
    char *texts; /* metadata of packed matrices: key and value, TEXT_ROOM bytes each */
    char numbers[3][32];
    char summary[160];

    const char *vocab; /* [vocab_size]; NULL if there is none */
    size_t vocab_size;

    struct out_file out;
    float **rows; /* [threads], as in struct slice */
    int threads;
    uint8_t *buffer;      /* the output of a slice */
    float *stored;        /* as in struct slice */
    uint64_t done, total; /* bytes of the output */
};
#define TEXT_ROOM 128

/* --------------------------------------------------------------------------- plan of the output */

static enum dtype float_dtype(enum mat_type type)
{
    return type == MAT_F32 ? DT_F32 : type == MAT_F16 ? DT_F16 : DT_BF16;
}

static enum dtype packed_dtype(const struct mat *form)
{
    return (enum dtype)((int)DT_PACKED + 2 * ((int)form->type - (int)MAT_FLOATS) + form->by_column);
}

/* Chooses the form of a matrix whose rows and cols are set. */
static enum rwkv7_status choose_form(const struct conversion *c, const struct weight_source *source, struct mat *form)
{
    const enum rwkv7_type type = c->type;
    const bool integers = (int)type >= (int)MAT_FLOATS && (int)type < (int)MAT_TYPES, stored = type == RWKV7_TYPES;
    struct mat has = *form;
    weight_form(source->tensor->type, &has);
    if (integers || (stored && has.type == MAT_GGML)) {
        if (!quantize_form(&source->weight, stored ? MAT_GGML : (enum mat_type)type, form))
            form->type = has.type == MAT_GGML ? MAT_F16 : has.type; /* the embedding */
    } else {
        form->type = stored ? has.type : (enum mat_type)type;
    }
    if (source->tensor->type < DT_PACKED)
        return RWKV7_OK;
    if (form->type == has.type) {
        *form = has;
        return RWKV7_OK;
    }
    return fail(c->err, RWKV7_ERR_USAGE, "%s: already quantized; convert from the original",
                snippet_path(c->from).text);
}

/*
 * Sort key for the output: types with the largest alignment first (integers, float32, 16 bits).
 * Within a group the order of the model is kept.
 */
static int rank_of_type(enum dtype type)
{
    return type >= DT_PACKED ? 0 : type == DT_F32 ? 1 : 2;
}

static enum rwkv7_status choose_targets(struct conversion *c)
{
    struct target *unsorted = mem_alloc(c->sources.count, sizeof *unsorted);
    enum rwkv7_status status = RWKV7_OK;
    c->targets = mem_alloc(c->sources.count, sizeof *c->targets);
    c->tensors = mem_alloc(c->sources.count + 1, sizeof *c->tensors);
    c->names = mem_alloc(c->sources.count, sizeof *c->names);
    if (!unsorted || !c->targets || !c->tensors || !c->names) {
        status = fail_memory(c->err, "the list of tensors");
        goto done;
    }
    for (size_t i = 0; i < c->sources.count; i++) {
        struct target *p = &unsorted[i];
        p->source = &c->sources.at[i];
        if (kind_is_vector(p->source->weight.spec->kind)) {
            p->form = (struct mat){.type = MAT_F32, .rows = 1, .cols = p->source->rows};
        } else {
            p->form = (struct mat){.rows = p->source->rows, .cols = p->source->cols};
            if ((status = choose_form(c, p->source, &p->form)) != RWKV7_OK)
                goto done;
        }
        p->type = p->form.type < MAT_FLOATS ? float_dtype(p->form.type) : packed_dtype(&p->form);
    }
    for (int rank = 0; rank < 3; rank++)
        for (size_t i = 0; i < c->sources.count; i++) {
            const struct target *p = &unsorted[i];
            if (rank_of_type(p->type) != rank)
                continue;
            struct tensor *t = &c->tensors[c->count];
            weight_name(c->names[c->count], c->as.weights, NAMING_BLINKDL, p->source->weight.spec,
                        p->source->weight.layer);
            t->name = c->names[c->count];
            t->bytes = mat_bytes(&p->form);
            t->type = p->type < DT_PACKED ? p->type : DT_U8;
            if (p->type >= DT_PACKED) {
                t->rank = 1;
                t->shape[0] = t->bytes;
            } else if (p->source->weight.spec->rows == 'H') {
                t->rank = 2;
                t->shape[0] = (uint64_t)c->as.shape.heads;
                t->shape[1] = (uint64_t)c->as.shape.head_size;
            } else {
                t->rank = kind_is_vector(p->source->weight.spec->kind) ? 1 : 2;
                t->shape[0] = (uint64_t)(t->rank == 1 ? p->form.cols : p->form.rows);
                t->shape[1] = (uint64_t)p->form.cols;
            }
            c->total += t->bytes;
            c->targets[c->count++] = *p;
        }
done:
    mem_free(unsorted);
    return status;
}

/* ------------------------------------------------------------------------------------- metadata */

static void add_pair(struct conversion *c, const char *key, const char *value)
{
    c->pairs[c->pair_count++] = (struct tensor_pair){key, value};
}

/* Adds a number to the metadata, unless it has its default value. */
static void add_number(struct conversion *c, const char *key, float value, float usual, char text[32])
{
    C_NUMBERS;
    if (value == usual)
        return;
    snprintf(text, 32, "%.9g", (double)value);
    add_pair(c, key, text);
}

static bool is_utf8(const char *text)
{
    const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)text;
    for (utf8proc_ssize_t n, left = (utf8proc_ssize_t)strlen(text); left > 0; at += n, left -= n) {
        utf8proc_int32_t character;
        if ((n = utf8proc_iterate(at, left, &character)) <= 0)
            return false;
    }
    return true;
}

/*
 * Whether an entry of the input's metadata is copied. Entries that are written anew, that describe
 * only the old file, that repeat a key, or that are not UTF-8 are left out.
 */
static bool is_carried(const struct conversion *c, size_t number)
{
    static const char *const dropped[] = {"rwkv7.",
                                          PACKED_PREFIX,
                                          "tokenizer.",
                                          "general.architecture",
                                          "general.file_type",
                                          "general.quantization_version"};
    const struct tensor_pair *pair = &c->index->metadata[number];
    for (size_t i = 0; i < sizeof dropped / sizeof dropped[0]; i++)
        if (strncmp(pair->key, dropped[i], strlen(dropped[i])) == 0)
            return false;
    for (size_t i = 0; i < number; i++)
        if (strcmp(c->index->metadata[i].key, pair->key) == 0)
            return false;
    return is_utf8(pair->key) && is_utf8(pair->value);
}

/* Writes a summary: "matrices q4, low-rank factors q8, head q8, embedding bf16, vectors f32". */
static void summarise(struct conversion *c)
{
    static const struct {
        const char *what, *name;
    } kinds[] = {{"matrices", "att.key.weight"},
                 {"low-rank factors", "att.w1"},
                 {"head", "head.weight"},
                 {"embedding", "emb.weight"}};
    size_t at = 0;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
        for (size_t i = 0; i < c->count; i++) {
            const struct target *p = &c->targets[i];
            if (p->source->weight.layer > 0 || strcmp(p->source->weight.spec->blinkdl, kinds[k].name) != 0)
                continue;
            at += (size_t)snprintf(c->summary + at, sizeof c->summary - at, "%s %s, ", kinds[k].what,
                                   rwkv7_type_name((enum rwkv7_type)p->form.type));
        }
    snprintf(c->summary + at, sizeof c->summary - at, "vectors f32");
}

static enum rwkv7_status choose_metadata(struct conversion *c)
{
    c->pairs = mem_alloc(c->index->metadata_count + c->count + 6, sizeof *c->pairs);
    c->texts = mem_alloc(c->count, 2 * TEXT_ROOM);
    if (!c->pairs || !c->texts)
        return fail_memory(c->err, "the metadata");
    summarise(c);
    add_pair(c, PACKED_LAYOUT_KEY, PACKED_LAYOUT);
    add_pair(c, "rwkv7.types", c->summary);
    add_number(c, LN_EPS_KEY, c->as.ln_eps, LN_EPS, c->numbers[0]);
    add_number(c, HEAD_EPS_KEY, c->as.head_eps, HEAD_EPS, c->numbers[1]);
    if (tensors_chat_template(c->index) && is_utf8(tensors_chat_template(c->index)))
        add_pair(c, CHAT_TEMPLATE_KEY, tensors_chat_template(c->index));
    add_number(c, RATE_SCALE_KEY, c->as.rate_scale, 1.0f, c->numbers[2]);
    for (size_t i = 0; i < c->index->metadata_count; i++)
        if (is_carried(c, i))
            add_pair(c, c->index->metadata[i].key, c->index->metadata[i].value);
    for (size_t i = 0; i < c->count; i++) {
        const struct target *p = &c->targets[i];
        char *key = c->texts + 2 * TEXT_ROOM * i, *value = key + TEXT_ROOM;
        if (p->type < DT_PACKED)
            continue;
        snprintf(key, TEXT_ROOM, "%s%s", PACKED_PREFIX, c->tensors[i].name);
        packed_describe(value, TEXT_ROOM, p->type, (uint64_t)p->form.rows, (uint64_t)p->form.cols);
        add_pair(c, key, value);
    }
    return RWKV7_OK;
}

/* -------------------------------------------------------------------------------------- writing */

static bool any_bad(const float *x, size_t count, enum mat_type type)
{
    const float limit = type == MAT_F16 ? 65520.0f : INFINITY; /* float16 rounds numbers from here on to infinity */
    bool bad = false;
    for (size_t i = 0; i < count; i++)
        bad |= !(fabsf(x[i]) < limit);
    return bad;
}

static void narrow(uint8_t *to, const float *x, size_t count, enum mat_type type)
{
    uint16_t *half = (uint16_t *)(void *)to;
    if (type == MAT_F32)
        memcpy(to, x, count * sizeof *x);
    else if (type == MAT_F16)
        for (size_t i = 0; i < count; i++)
            half[i] = f32_to_f16(x[i]);
    else
        for (size_t i = 0; i < count; i++)
            half[i] = f32_to_bf16(x[i]);
}

/*
 * Reads rows [first, first + count) of a weight as stored, [..][cols]. The weight may be only a
 * part of each row of its tensor. wide: scratch for one row of the tensor.
 */
static void read_stored(const struct lora_merge *merge, const struct weight_source *source, size_t first, size_t count,
                        size_t cols, float *out, float *wide)
{
    const size_t width = (size_t)merge->from->shape[merge->from->rank - 1];
    if (source->col == 0 && (cols % width == 0 || kind_is_vector(source->weight.spec->kind))) {
        for (size_t i = 0; i < count * cols; i += width) /* a row of the weight may span several rows of the tensor */
            lora_row(merge, ((first + source->row) * cols + i) / width, out + i);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        lora_row(merge, source->row + first + i, wide);
        memcpy(out + i * cols, wide + source->col, cols * sizeof *out);
    }
}

/*
 * Reads rows of a weight in the orientation in which it is applied. rows [17][columns of the widest
 * matrix]: at most 16 rows, and one row of scratch for read_stored.
 */
static void read_rows(const struct slice *p, int first, int count, float *rows)
{
    const struct weight_source *source = p->target->source;
    const size_t cols = (size_t)p->target->form.cols, ld = (size_t)p->target->form.rows;
    if (p->stored)
        transpose(rows, cols, p->stored + first, ld, cols, (size_t)count, sizeof *rows);
    else
        read_stored(p->merge, source, (size_t)first, (size_t)count, cols, rows, rows + ROWS * cols);
}

static void slice_worker(void *arg, struct pool *pool, int rank)
{
    struct slice *p = arg;
    struct mat to = p->target->form;
    int begin, end;
    to.data = p->to;
    while (pool_take(pool, quant_tiles(p->count), 1, &begin, &end)) {
        const int row = begin * ROWS, count = p->count - row < ROWS ? p->count - row : ROWS;
        const size_t numbers = (size_t)count * (size_t)to.cols;
        float *rows = p->rows[rank];
        read_rows(p, p->first + row, count, rows);
        if (any_bad(rows, numbers, to.type))
            p->bad = true;
        else if (to.type >= MAT_FLOATS)
            quantize_tile(p->kernels, &to, begin, rows, count);
        else
            narrow(p->to + (size_t)row * (size_t)to.cols * (to.type == MAT_F32 ? 4 : 2), rows, numbers, to.type);
    }
}

static enum rwkv7_status write_bytes(struct conversion *c, const void *data, size_t size)
{
    for (size_t at = 0; at < size;) {
        const size_t part = size - at < SLICE_BYTES ? size - at : SLICE_BYTES;
        const enum rwkv7_status status = out_file_write(&c->out, (const uint8_t *)data + at, part, c->err);
        if (status != RWKV7_OK)
            return status;
        at += part;
        c->done += part;
        if (c->opt->progress && !c->opt->progress(c->opt->progress_arg, c->done, c->total))
            return fail(c->err, RWKV7_ERR_STOPPED, "%s: conversion cancelled by the progress callback", c->out.path);
    }
    return RWKV7_OK;
}

/*
 * Returns the number of rows per slice: whole tiles, or all rows if the layout needs them at once.
 */
static int rows_of_slice(const struct mat *form)
{
    const size_t bytes = mat_bytes(form) / (size_t)form->rows + 1, fitting = SLICE_BYTES / bytes / ROWS * ROWS;
    if (form->by_column || fitting >= (size_t)form->rows)
        return form->rows;
    return fitting < ROWS ? ROWS : (int)fitting;
}

static size_t slice_bytes(const struct mat *form)
{
    struct mat slice = *form;
    slice.rows = rows_of_slice(form);
    return mat_bytes(&slice);
}

static enum rwkv7_status write_slices(struct conversion *c, const struct target *target, const struct lora_merge *merge)
{
    const struct weight_source *source = target->source;
    const struct tensor *t = source->tensor;
    const int step = rows_of_slice(&target->form);
    struct slice p = {
        .target = target, .kernels = &c->compute->kernels, .rows = c->rows, .merge = merge, .to = c->buffer};
    if (source->transposed) {
        read_stored(merge, source, 0, (size_t)target->form.cols, (size_t)target->form.rows, c->stored, c->rows[0]);
        p.stored = c->stored;
    }
    for (p.first = 0; p.first < target->form.rows; p.first += step) {
        struct mat slice = target->form;
        p.count = slice.rows - p.first < step ? slice.rows - p.first : step;
        slice.rows = p.count;
        memset(c->buffer, 0, mat_bytes(&slice));
        pool_run(c->compute->pool, slice_worker, &p);
        if (p.bad)
            return fail(c->err, RWKV7_ERR_MODEL,
                        target->form.type == MAT_F16
                            ? "%s: tensor '%s': expected numbers below 65520, the limit of f16"
                            : "%s: tensor '%s': expected finite numbers, found a NaN or an infinity",
                        t->file, t->name);
        if (!source->transposed) {
            const size_t row =
                (size_t)t->bytes /
                (size_t)target->form.rows; /* an upper bound if the weight is only a part of the tensor */
            file_map_release(t->data + (size_t)p.first * row, (size_t)p.count * row);
        }
        const enum rwkv7_status status = write_bytes(c, c->buffer, mat_bytes(&slice));
        if (status != RWKV7_OK)
            return status;
    }
    return RWKV7_OK;
}

static enum rwkv7_status write_target(struct conversion *c, const struct target *target)
{
    const struct tensor *t = target->source->tensor;
    struct lora_merge merge;
    if (t->type >= DT_PACKED)
        return write_bytes(c, t->data, (size_t)t->bytes);
    enum rwkv7_status status = lora_begin(c->lora, t, &merge, c->err);
    if (status == RWKV7_OK)
        status = write_slices(c, target, &merge);
    lora_end(&merge);
    return status;
}

/* Allocates the buffers for the largest slice. */
static enum rwkv7_status allocate(struct conversion *c)
{
    const int threads = c->threads = pool_threads(c->compute->pool);
    size_t cols = 0, bytes = 0, stored = 0;
    for (size_t i = 0; i < c->count; i++) {
        const struct mat *form = &c->targets[i].form;
        const struct tensor *t = c->targets[i].source->tensor;
        const size_t numbers = c->targets[i].source->transposed ? (size_t)form->rows * (size_t)form->cols : 0;
        const size_t width = t->rank > 0 && t->type < DT_PACKED ? (size_t)t->shape[t->rank - 1] : 1;
        cols = (size_t)form->cols > cols ? (size_t)form->cols : cols;
        cols = width > cols ? width : cols;
        stored = numbers > stored ? numbers : stored;
        bytes = slice_bytes(form) > bytes ? slice_bytes(form) : bytes;
    }
    c->buffer = mem_alloc(bytes, 1);
    c->stored = mem_alloc(stored, sizeof *c->stored);
    c->rows = mem_alloc((size_t)threads, sizeof *c->rows);
    for (int i = 0; c->rows && i < threads; i++)
        if (!(c->rows[i] = mem_alloc(cols, (ROWS + 1) * sizeof(float))))
            return fail_memory(c->err, "a slice of a tensor");
    return c->buffer && c->stored && c->rows ? RWKV7_OK : fail_memory(c->err, "a slice of a tensor");
}

static enum rwkv7_status write_file(struct conversion *c, const char *path)
{
    enum rwkv7_status status = out_file_open(path, &c->out, c->err);
    if (status == RWKV7_OK)
        status = safetensors_write_header(&c->out, c->tensors, c->count + (c->vocab != NULL), c->pairs, c->pair_count,
                                          c->err);
    for (size_t i = 0; i < c->count && status == RWKV7_OK; i++)
        status = write_target(c, &c->targets[i]);
    if (status == RWKV7_OK && c->vocab)
        status = write_bytes(c, c->vocab, c->vocab_size);
    return status == RWKV7_OK ? out_file_commit(&c->out, c->err) : status;
}

/* ---------------------------------------------------------------------------------- entry point */

static enum rwkv7_status open_source(struct conversion *c, recognize_fn *recognize)
{
    enum rwkv7_status status;
    if ((status = tensors_open(c->from, &c->index, c->err)) ||
        (status = recognize(c->index, c->from, &c->as, c->err)) ||
        (status = choose_rate_scale(&c->as, c->from, c->opt->rate_scale, c->err)) ||
        (status = weights_find(c->index, c->from, &c->as, &c->sources, c->err)) ||
        (status = weights_validate(&c->sources, c->compute->pool, c->err)) || !c->opt->lora)
        return status;
    status = lora_open(c->opt->lora, c->opt->lora_init, c->opt->lora_alpha, &c->lora, c->err);
    return status == RWKV7_OK ? lora_check(c->lora, c->index, c->err) : status;
}

/* Chooses the vocabulary for the output and checks that it fits the model. */
static enum rwkv7_status choose_vocab(struct conversion *c)
{
    struct rwkv7_tokenizer *tokenizer = NULL;
    c->vocab = c->opt->vocab ? c->opt->vocab : c->index->vocab;
    c->vocab_size = c->opt->vocab ? c->opt->vocab_size : c->index->vocab_size;
    if (!c->vocab)
        return RWKV7_OK;
    enum rwkv7_status status =
        rwkv7_tokenizer_open_memory(c->vocab, c->vocab_size, "the vocabulary", &tokenizer, c->err);
    if (status == RWKV7_OK)
        status = rwkv7_tokenizer_check(tokenizer, c->as.shape.vocab, c->err);
    rwkv7_tokenizer_close(tokenizer);
    c->tensors[c->count] = (struct tensor){
        .name = PACKED_VOCAB, .type = DT_U8, .rank = 1, .shape = {c->vocab_size}, .bytes = c->vocab_size};
    c->total += c->vocab_size;
    return status;
}

static enum rwkv7_status choose_type(const char *name, enum rwkv7_type *out, struct rwkv7_error *err)
{
    char names[128] = "";
    *out = RWKV7_TYPES;
    if (!name)
        return RWKV7_OK;
    for (int type = 0; type < MAT_TYPES; type++) {
        if (strcmp(weight_types[type].name, name) == 0) {
            *out = (enum rwkv7_type)type;
            return RWKV7_OK;
        }
        const size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", type > 0 ? ", " : "", weight_types[type].name);
    }
    return fail(err, RWKV7_ERR_USAGE, "conversion: type: expected one of %s, found '%s'", names, name);
}

enum rwkv7_status weights_convert(const struct compute *compute, recognize_fn *recognize, const char *from,
                                  const char *to, const struct rwkv7_convert_options *opt, struct rwkv7_error *err)
{
    struct conversion c = {.compute = compute, .opt = opt, .from = from, .err = err};
    enum rwkv7_status status;
    if ((status = choose_type(opt->type, &c.type, err)) || (status = open_source(&c, recognize)) ||
        (status = choose_targets(&c)) || (status = choose_vocab(&c)) || (status = choose_metadata(&c)) ||
        (status = allocate(&c)) || (status = write_file(&c, to)))
        goto done;
    for (size_t i = 0; opt->note && i < c.index->notes->count; i++)
        opt->note(opt->note_arg, c.index->notes->lines[i]);
    for (size_t i = 0; opt->note && c.lora && i < lora_notes(c.lora)->count; i++)
        opt->note(opt->note_arg, lora_notes(c.lora)->lines[i]);
done:
    out_file_abort(&c.out);
    for (int i = 0; c.rows && i < c.threads; i++)
        mem_free(c.rows[i]);
    mem_free(c.rows);
    mem_free(c.buffer);
    mem_free(c.stored);
    mem_free(c.texts);
    mem_free(c.pairs);
    mem_free(c.names);
    mem_free(c.tensors);
    mem_free(c.targets);
    weight_sources_free(&c.sources);
    lora_close(c.lora);
    tensors_close(c.index);
    return status;
}
