/* gguf.c - see gguf.h. */
#include "formats/gguf.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "base/c_numbers.h"
#include "base/mem.h"
#include "formats/gguf_vocab.h"
#include "formats/little.h"
#include "formats/snippet.h"

enum { VERSION = 3, MAX_AXES = 4, DEFAULT_ALIGNMENT = 32 };
#define MAX_STRINGS (1u << 22) /* in an array; the largest known arrays (merges of a tokenizer) have under a million */
#define MAX_TOKENS (1u << 20)  /* no vocabulary has larger ids (text/vocab.h) */
#define MAX_TOKEN_BYTES (64u << 20)

/* Types of metadata values, numbered as in the file. */
enum value_type {
    VALUE_U8,
    VALUE_I8,
    VALUE_U16,
    VALUE_I16,
    VALUE_U32,
    VALUE_I32,
    VALUE_F32,
    VALUE_BOOL,
    VALUE_STRING,
    VALUE_ARRAY,
    VALUE_U64,
    VALUE_I64,
    VALUE_F64,
    VALUE_TYPES
};

/* Size in bytes of each type; 0 for strings and arrays, whose size varies. */
static const uint8_t value_size[VALUE_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

#define NUMBER_TEXT 32 /* room for any number, and for the summary of an array */

/* Tensor types, indexed by their number in the file. */
static const struct {
    const char *name; /* NULL: ggml no longer uses this number */
    bool known;
    enum dtype type;
} tensor_types[] = {
    [0] = {"F32", true, DT_F32},
    [1] = {"F16", true, DT_F16},
    [2] = {"Q4_0", true, DT_Q4_0},
    [3] = {"Q4_1", true, DT_Q4_1},
    [6] = {"Q5_0", true, DT_Q5_0},
    [7] = {"Q5_1", true, DT_Q5_1},
    [8] = {"Q8_0", true, DT_Q8_0},
    [9] = {.name = "Q8_1"},
    [10] = {"Q2_K", true, DT_Q2_K},
    [11] = {"Q3_K", true, DT_Q3_K},
    [12] = {"Q4_K", true, DT_Q4_K},
    [13] = {"Q5_K", true, DT_Q5_K},
    [14] = {"Q6_K", true, DT_Q6_K},
    [15] = {.name = "Q8_K"},
    [16] = {.name = "IQ2_XXS"},
    [17] = {.name = "IQ2_XS"},
    [18] = {.name = "IQ3_XXS"},
    [19] = {.name = "IQ1_S"},
    [20] = {"IQ4_NL", true, DT_IQ4_NL},
    [21] = {.name = "IQ3_S"},
    [22] = {.name = "IQ2_S"},
    [23] = {"IQ4_XS", true, DT_IQ4_XS},
    [24] = {"I8", true, DT_I8},
    [25] = {"I16", true, DT_I16},
    [26] = {"I32", true, DT_I32},
    [27] = {"I64", true, DT_I64},
    [28] = {"F64", true, DT_F64},
    [29] = {.name = "IQ1_M"},
    [30] = {"BF16", true, DT_BF16},
    [34] = {.name = "TQ1_0"},
    [35] = {.name = "TQ2_0"},
    [39] = {.name = "MXFP4"},
    [40] = {.name = "NVFP4"},
    [41] = {.name = "Q1_0"},
    [42] = {.name = "Q2_0"},
};

/* Bytes in the image; not NUL-terminated. */
struct span {
    const uint8_t *bytes;
    size_t size;
};

struct pair {
    struct span key;
    enum value_type type, item; /* item: type of the array's items */
    uint64_t count;             /* of items in an array */
    struct span value;          /* the bytes of a number or a string, or all items of an array */
};

struct reader {
    const struct file_image *in;
    size_t at;          /* offset of the next byte to read */
    struct pair *pairs; /* [pair_count] */
    struct span *names; /* [out->count] */
    uint64_t *offsets;  /* [out->count], relative to the data section */
    size_t pair_count;
    const char *section; /* the part being read, for messages */
    struct tensor_list *out;
};

/* ------------------------------------------------------------------------------ primitive reads */

static enum rwkv7_status read_bytes(struct reader *r, uint64_t size, struct span *out)
{
    if (size > r->in->size - r->at)
        return refuse(r->in, "truncated GGUF file: %s continue past the end of the file (%zu bytes)", r->section,
                      r->in->size);
    *out = (struct span){r->in->bytes + r->at, (size_t)size};
    r->at += (size_t)size;
    return RWKV7_OK;
}

static enum rwkv7_status read_u32(struct reader *r, uint32_t *out)
{
    struct span s = {0};
    const enum rwkv7_status status = read_bytes(r, sizeof *out, &s);
    if (status == RWKV7_OK)
        *out = little32(s.bytes);
    return status;
}

static enum rwkv7_status read_u64(struct reader *r, uint64_t *out)
{
    struct span s = {0};
    const enum rwkv7_status status = read_bytes(r, sizeof *out, &s);
    if (status == RWKV7_OK)
        *out = little64(s.bytes);
    return status;
}

static enum rwkv7_status read_string(struct reader *r, struct span *out)
{
    uint64_t size = 0;
    const enum rwkv7_status status = read_u64(r, &size);
    return status == RWKV7_OK ? read_bytes(r, size, out) : status;
}

/* Checks a string that is shown or compared later: it must be UTF-8 without NUL. */
static enum rwkv7_status check_text(const struct reader *r, struct span text, const char *what)
{
    for (size_t at = 0; at < text.size;) {
        utf8proc_int32_t point;
        const utf8proc_ssize_t n = utf8proc_iterate(text.bytes + at, (utf8proc_ssize_t)(text.size - at), &point);
        if (n <= 0 || point == 0)
            return refuse(r->in, "%s '%s': expected UTF-8 text without NUL", what,
                          snippet_text(text.bytes, text.size, 48).text);
        at += (size_t)n;
    }
    return RWKV7_OK;
}

/* ------------------------------------------------------------------------------------- metadata */

static struct snippet key_snippet(const struct pair *p)
{
    return snippet_text(p->key.bytes, p->key.size, 64);
}

static enum rwkv7_status read_array(struct reader *r, struct pair *p)
{
    uint32_t item = 0;
    enum rwkv7_status status;
    if ((status = read_u32(r, &item)) != RWKV7_OK || (status = read_u64(r, &p->count)) != RWKV7_OK)
        return status;
    if (item >= VALUE_TYPES || item == VALUE_ARRAY)
        return refuse(r->in, "metadata '%s': expected an array of numbers or strings, found one of %s",
                      key_snippet(p).text, item == VALUE_ARRAY ? "arrays" : "an unknown type");
    p->item = (enum value_type)item;
    const size_t begin = r->at, min_size = item == VALUE_STRING ? sizeof(uint64_t) : value_size[item];
    if (p->count > (r->in->size - r->at) / min_size)
        return refuse(r->in,
                      "truncated GGUF file: metadata '%s' is an array of %" PRIu64 ", more than %zu bytes can hold",
                      key_snippet(p).text, p->count, r->in->size);
    if (item == VALUE_STRING && p->count > MAX_STRINGS)
        return refuse(r->in, "metadata '%s': expected at most %u strings, found %" PRIu64, key_snippet(p).text,
                      MAX_STRINGS, p->count);
    if (item == VALUE_STRING) {
        struct span string;
        for (uint64_t i = 0; i < p->count; i++)
            if ((status = read_string(r, &string)) != RWKV7_OK)
                return status;
    } else {
        r->at += (size_t)p->count * value_size[item];
    }
    p->value = (struct span){r->in->bytes + begin, r->at - begin};
    return RWKV7_OK;
}

static enum rwkv7_status read_pair(struct reader *r, struct pair *p)
{
    uint32_t type = 0;
    enum rwkv7_status status;
    if ((status = read_string(r, &p->key)) != RWKV7_OK ||
        (status = check_text(r, p->key, "metadata key")) != RWKV7_OK || (status = read_u32(r, &type)) != RWKV7_OK)
        return status;
    if (type >= VALUE_TYPES)
        return refuse(r->in, "metadata '%s': unknown type %" PRIu32, key_snippet(p).text, type);
    p->type = (enum value_type)type;
    if (type == VALUE_ARRAY)
        return read_array(r, p);
    if (type != VALUE_STRING)
        return read_bytes(r, value_size[type], &p->value);
    if ((status = read_string(r, &p->value)) != RWKV7_OK)
        return status;
    return check_text(r, p->value, "metadata");
}

static const struct pair *find_pair(const struct reader *r, const char *key, enum value_type type)
{
    const size_t n = strlen(key);
    for (size_t i = 0; i < r->pair_count; i++) {
        const struct pair *p = &r->pairs[i];
        if (p->type == type && p->key.size == n && memcmp(p->key.bytes, key, n) == 0)
            return p;
    }
    return NULL;
}

/* Returns the value of a string; an empty span if the key does not exist. */
static struct span find_string(const struct reader *r, const char *key)
{
    const struct pair *p = find_pair(r, key, VALUE_STRING);
    return p ? p->value : (struct span){r->in->bytes, 0};
}

static bool is_text(struct span s, const char *text)
{
    return s.size == strlen(text) && memcmp(s.bytes, text, s.size) == 0;
}

/*
 * Writes a metadata value as text and returns its length: at most NUMBER_TEXT bytes, or the size of
 * the string.
 */
static size_t write_value(const struct pair *p, char *to)
{
    C_NUMBERS;
    const uint8_t *v = p->value.bytes;
    float single;
    double real;
    int n = 0;
    switch (p->type) {
    case VALUE_U8:
        n = snprintf(to, NUMBER_TEXT, "%u", *v);
        break;
    case VALUE_I8:
        n = snprintf(to, NUMBER_TEXT, "%d", (int8_t)*v);
        break;
    case VALUE_U16:
        n = snprintf(to, NUMBER_TEXT, "%u", little16(v));
        break;
    case VALUE_I16:
        n = snprintf(to, NUMBER_TEXT, "%d", (int16_t)little16(v));
        break;
    case VALUE_U32:
        n = snprintf(to, NUMBER_TEXT, "%" PRIu32, little32(v));
        break;
    case VALUE_I32:
        n = snprintf(to, NUMBER_TEXT, "%" PRId32, (int32_t)little32(v));
        break;
    case VALUE_U64:
        n = snprintf(to, NUMBER_TEXT, "%" PRIu64, little64(v));
        break;
    case VALUE_I64:
        n = snprintf(to, NUMBER_TEXT, "%" PRId64, (int64_t)little64(v));
        break;
    case VALUE_F32: {
        const uint32_t bits = little32(v);
        memcpy(&single, &bits, sizeof single);
        n = snprintf(to, NUMBER_TEXT, "%.9g", (double)single);
        break;
    }
    case VALUE_F64: {
        const uint64_t bits = little64(v);
        memcpy(&real, &bits, sizeof real);
        n = snprintf(to, NUMBER_TEXT, "%.17g", real);
        break;
    }
    case VALUE_BOOL:
        n = snprintf(to, NUMBER_TEXT, "%s", *v ? "true" : "false");
        break;
    case VALUE_STRING:
        memcpy(to, v, p->value.size);
        return p->value.size;
    case VALUE_ARRAY:
    case VALUE_TYPES:
        n = snprintf(to, NUMBER_TEXT, "[%" PRIu64 " %s]", p->count, p->item == VALUE_STRING ? "strings" : "numbers");
        break;
    }
    return (size_t)n;
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum rwkv7_status check_keys(const struct reader *r)
{
    enum rwkv7_status status = RWKV7_OK;
    const size_t count = r->pair_count;
    const char **sorted = mem_alloc(count, sizeof *sorted);
    if (!sorted)
        return fail_memory(r->in->err, "the metadata");
    for (size_t i = 0; i < count; i++)
        sorted[i] = r->out->metadata[i].key;
    qsort(sorted, count, sizeof *sorted, compare_strings);
    for (size_t i = 1; i < count && status == RWKV7_OK; i++)
        if (strcmp(sorted[i - 1], sorted[i]) == 0)
            status = refuse(r->in, "metadata '%s': duplicate key", snippet_name(sorted[i]).text);
    mem_free(sorted);
    return status;
}

/* -------------------------------------------------------------------------------------- tensors */

static enum rwkv7_status read_shape(struct reader *r, struct tensor *t, struct span name)
{
    uint32_t axes = 0;
    enum rwkv7_status status = read_u32(r, &axes);
    if (status != RWKV7_OK)
        return status;
    if (axes > MAX_AXES)
        return refuse(r->in, "tensor '%s': expected at most %d axes, found %" PRIu32,
                      snippet_text(name.bytes, name.size, 64).text, MAX_AXES, axes);
    t->rank = (int)axes;
    for (int i = t->rank; i-- > 0;)
        if ((status = read_u64(r, &t->shape[i])) != RWKV7_OK)
            return status;
    return RWKV7_OK;
}

static enum rwkv7_status read_type(struct reader *r, struct tensor *t, struct span name)
{
    uint32_t type = 0;
    const enum rwkv7_status status = read_u32(r, &type);
    if (status != RWKV7_OK)
        return status;
    const struct snippet shown = snippet_text(name.bytes, name.size, 64);
    if (type >= sizeof tensor_types / sizeof tensor_types[0] || !tensor_types[type].name)
        return refuse(r->in, "tensor '%s': unknown type %" PRIu32, shown.text, type);
    if (!tensor_types[type].known) {
        const struct span model = find_string(r, "general.architecture");
        return refuse(r->in, "tensor '%s': type %s is not supported (architecture '%s')", shown.text,
                      tensor_types[type].name, snippet_text(model.bytes, model.size, 24).text);
    }
    t->type = tensor_types[type].type;
    return RWKV7_OK;
}

static enum rwkv7_status check_size(const struct reader *r, struct tensor *t, struct span name)
{
    const size_t block = dtype_block(t->type), row = t->rank ? (size_t)t->shape[t->rank - 1] : 1;
    size_t elements = 1, bits;
    bool fits = true;
    for (int i = 0; i < t->rank && fits; i++)
        fits = size_mul(elements, t->shape[i], &elements);
    if (!fits || !size_mul(elements / block, dtype_bits(t->type), &bits))
        return refuse(r->in, "tensor '%s': shape %s of %s is too large", snippet_text(name.bytes, name.size, 64).text,
                      snippet_axes(t->shape, t->rank).text, dtype_name(t->type));
    if (row % block != 0)
        return refuse(r->in, "tensor '%s': shape %s of %s: expected rows that are a multiple of %zu elements",
                      snippet_text(name.bytes, name.size, 64).text, snippet_axes(t->shape, t->rank).text,
                      dtype_name(t->type), block);
    t->bytes = bits / 8;
    return RWKV7_OK;
}

static enum rwkv7_status read_tensor(struct reader *r, struct tensor *t, struct span *name, uint64_t *offset)
{
    enum rwkv7_status status;
    t->file = r->in->file;
    if ((status = read_string(r, name)) != RWKV7_OK || (status = check_text(r, *name, "tensor")) != RWKV7_OK ||
        (status = read_shape(r, t, *name)) != RWKV7_OK || (status = read_type(r, t, *name)) != RWKV7_OK ||
        (status = read_u64(r, offset)) != RWKV7_OK)
        return status;
    return check_size(r, t, *name);
}

/* Rounds *n up to a multiple of `alignment`, a power of two. Returns false on overflow. */
static bool align(uint64_t *n, uint64_t alignment)
{
    const uint64_t aligned = (*n + alignment - 1) & ~(alignment - 1);
    const bool fits = aligned >= *n;
    *n = aligned;
    return fits;
}

static enum rwkv7_status place_tensors(struct reader *r)
{
    uint64_t alignment = DEFAULT_ALIGNMENT, begin = r->at, at = 0;
    const struct pair *given = find_pair(r, "general.alignment", VALUE_U32);
    if (given)
        alignment = little32(given->value.bytes);
    if (alignment == 0 || (alignment & (alignment - 1)) != 0)
        return refuse(r->in, "general.alignment: expected a power of two, found %" PRIu64, alignment);
    align(&begin, alignment);
    if (begin > r->in->size) /* a file without data need not be padded */
        begin = r->in->size;
    const uint64_t size = r->in->size - begin;
    for (size_t i = 0; i < r->out->count; i++) {
        struct tensor *t = &r->out->tensors[i];
        if (r->offsets[i] != at)
            return refuse_tensor(r->in, t->name, "expected data at offset %" PRIu64 ", found %" PRIu64, at,
                                 r->offsets[i]);
        if (at > size || t->bytes > size - at)
            return refuse_tensor(r->in, t->name,
                                 "truncated GGUF file: needs %" PRIu64 " bytes at offset %" PRIu64 " of %" PRIu64
                                 " bytes of data",
                                 t->bytes, at, size);
        t->data = r->in->bytes + begin + at;
        at += t->bytes;
        if (!align(&at, alignment))
            return refuse_tensor(r->in, t->name, "the end of its data cannot be aligned to %" PRIu64 " bytes",
                                 alignment);
    }
    if (size > at)
        return refuse(r->in, "expected %" PRIu64 " bytes of data, found %" PRIu64, at, size);
    return RWKV7_OK;
}

/* ---------------------------------------------------------------------------------- entry point */

static enum rwkv7_status read_counts(struct reader *r, uint64_t *tensors, uint64_t *pairs)
{
    /*
     * Smallest possible sizes: of a pair with an empty key and a value of one byte, and of a
     * description of a tensor without name and axes.
     */
    const size_t min_pair = 8 + 4 + 1, min_tensor = 8 + 4 + 4 + 8;
    struct span magic = {0};
    uint32_t version = 0;
    enum rwkv7_status status;

    r->section = "the counts";
    if ((status = read_bytes(r, 4, &magic)) != RWKV7_OK || (status = read_u32(r, &version)) != RWKV7_OK)
        return status;
    if (version != VERSION && (version & 0xffff) == 0)
        return refuse(r->in, "expected a little-endian GGUF file, found a big-endian one");
    if (version != VERSION)
        return refuse(r->in, "expected a GGUF file of version %d, found version %" PRIu32, VERSION, version);
    if ((status = read_u64(r, tensors)) != RWKV7_OK || (status = read_u64(r, pairs)) != RWKV7_OK)
        return status;
    const size_t left = r->in->size - r->at;
    if (*pairs > left / min_pair || *tensors > left / min_tensor)
        return refuse(
            r->in, "truncated GGUF file: %" PRIu64 " tensors and %" PRIu64 " metadata entries need more than %zu bytes",
            *tensors, *pairs, r->in->size);
    return RWKV7_OK;
}

static enum rwkv7_status read_header(struct reader *r)
{
    uint64_t tensors = 0, pairs = 0;
    enum rwkv7_status status = read_counts(r, &tensors, &pairs);
    if (status != RWKV7_OK)
        return status;
    struct tensor_list *out = r->out;
    r->pairs = mem_alloc((size_t)pairs, sizeof *r->pairs);
    r->names = mem_alloc((size_t)tensors, sizeof *r->names);
    r->offsets = mem_alloc((size_t)tensors, sizeof *r->offsets);
    out->tensors = mem_alloc((size_t)tensors, sizeof *out->tensors);
    out->metadata = mem_alloc((size_t)pairs, sizeof *out->metadata);
    if (!r->pairs || !r->names || !r->offsets || !out->tensors || !out->metadata)
        return fail_memory(r->in->err, "the index of tensors");

    r->section = "the metadata";
    while (r->pair_count < pairs) {
        if ((status = read_pair(r, &r->pairs[r->pair_count])) != RWKV7_OK)
            return status;
        r->pair_count++;
    }
    const struct pair *split = find_pair(r, "split.count", VALUE_U16);
    if (split && little16(split->value.bytes) > 1)
        return refuse(r->in,
                      "found one of the %u parts of a split GGUF file; join them with `llama-gguf-split --merge`",
                      little16(split->value.bytes));
    r->section = "the tensor descriptions";
    while (out->count < tensors) {
        if ((status = read_tensor(r, &out->tensors[out->count], &r->names[out->count], &r->offsets[out->count])) !=
            RWKV7_OK)
            return status;
        out->count++;
    }
    return RWKV7_OK;
}

/* Appends a NUL-terminated copy at *at and advances *at. */
static const char *keep(char **at, struct span s)
{
    char *copy = *at;
    memcpy(copy, s.bytes, s.size);
    *at += s.size + 1;
    return copy;
}

static enum rwkv7_status keep_strings(struct reader *r)
{
    struct tensor_list *out = r->out;
    uint64_t length = 0; /* cannot overflow: disjoint parts of the image, plus at most 33 bytes each */
    for (size_t i = 0; i < r->pair_count; i++)
        length += (uint64_t)r->pairs[i].key.size + 1 +
                  (r->pairs[i].type == VALUE_STRING ? (uint64_t)r->pairs[i].value.size + 1 : NUMBER_TEXT);
    for (size_t i = 0; i < out->count; i++)
        length += (uint64_t)r->names[i].size + 1;
    char *at = out->strings = length <= SIZE_MAX ? mem_alloc((size_t)length, 1) : NULL;
    if (!at)
        return fail_memory(r->in->err, "the index of tensors");
    for (size_t i = 0; i < r->pair_count; i++) {
        struct tensor_pair *kept = &out->metadata[out->metadata_count++];
        kept->key = keep(&at, r->pairs[i].key);
        kept->value = at;
        at += write_value(&r->pairs[i], at) + 1;
    }
    for (size_t i = 0; i < out->count; i++)
        out->tensors[i].name = keep(&at, r->names[i]);
    return RWKV7_OK;
}

static enum rwkv7_status read_vocab(const struct reader *r)
{
    const struct pair *tokens = find_pair(r, "tokenizer.ggml.tokens", VALUE_ARRAY),
                      *types = find_pair(r, "tokenizer.ggml.token_type", VALUE_ARRAY);
    if (!is_text(find_string(r, "tokenizer.ggml.model"), "rwkv") || !tokens)
        return RWKV7_OK;
    if (tokens->item != VALUE_STRING || (types && types->item != VALUE_I32))
        return refuse(r->in, "expected strings in tokenizer.ggml.tokens and i32 in tokenizer.ggml.token_type");
    if (types && types->count != tokens->count)
        return refuse(r->in,
                      "%" PRIu64 " entries in tokenizer.ggml.tokens, but %" PRIu64 " in tokenizer.ggml.token_type",
                      tokens->count, types->count);
    if (tokens->count > MAX_TOKENS || tokens->value.size > MAX_TOKEN_BYTES)
        return refuse(r->in, "tokenizer.ggml.tokens: expected at most %u tokens in %u bytes, found %" PRIu64 " in %zu",
                      MAX_TOKENS, MAX_TOKEN_BYTES, tokens->count, tokens->value.size);
    const struct gguf_tokens list = {tokens->count, tokens->value.bytes, tokens->value.size,
                                     types ? types->value.bytes : NULL};
    const enum rwkv7_status status = gguf_vocab(&list, &r->out->vocab, &r->out->vocab_size, r->in->err);
    if (status == RWKV7_ERR_MODEL)
        fail_where(r->in->err, "%s: ", snippet_path(r->in->file).text);
    return status;
}

enum rwkv7_status gguf_read(const struct file_image *in, struct tensor_list *out)
{
    struct reader r = {.in = in, .out = out};
    enum rwkv7_status status;

    memset(out, 0, sizeof *out);
    if ((status = read_header(&r)) != RWKV7_OK || (status = keep_strings(&r)) != RWKV7_OK ||
        (status = check_keys(&r)) != RWKV7_OK || (status = place_tensors(&r)) != RWKV7_OK ||
        (status = read_vocab(&r)) != RWKV7_OK)
        tensor_list_free(out);
    mem_free(r.pairs);
    mem_free(r.names);
    mem_free(r.offsets);
    return status;
}
