/* safetensors.c - see safetensors.h. */
#include "formats/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/json.h"
#include "formats/sniff.h"
#include "formats/snippet.h"

#define PREFIX sizeof(uint64_t) /* bytes of the length field before the header */

/* Byte range of a tensor, relative to the end of the header. */
struct span {
    uint64_t begin, end;
    struct tensor *tensor;
};

struct reader {
    const struct file_image *in;
    size_t header; /* bytes of JSON and trailing spaces */
    struct span *spans;
    struct tensor_list *out;
};

/* ---------------------------------------------------------- length and first byte of the header */

static enum rwkv7_status read_prefix(struct reader *r)
{
    uint64_t length = 0;
    const bool has_prefix = r->in->size > PREFIX;
    if (has_prefix)
        for (size_t i = PREFIX; i-- > 0;)
            length = length << 8 | r->in->bytes[i];
    /* No other known format starts with eight bytes that are a small number, followed by '{'. */
    if (!has_prefix || length > SAFETENSORS_MAX_HEADER || r->in->bytes[PREFIX] != '{') {
        const enum rwkv7_status status = sniff(r->in->bytes, r->in->size, r->in->file, r->in->err);
        if (status != RWKV7_OK)
            return status;
    }
    if (!has_prefix)
        return refuse(r->in, "expected safetensors, found a file of %zu bytes, too small for a header", r->in->size);
    if (length == 0)
        return refuse(r->in, "expected safetensors, found a header of 0 bytes");
    if (length > SAFETENSORS_MAX_HEADER)
        return refuse(r->in, "expected a safetensors header of at most %u bytes, found a length of %llu",
                      SAFETENSORS_MAX_HEADER, (unsigned long long)length);
    if (r->in->bytes[PREFIX] != '{')
        return refuse(r->in, "expected a header that starts with '{', found '%s'",
                      snippet_text(r->in->bytes + PREFIX, 1, 1).text);
    if (length > r->in->size - PREFIX)
        return refuse(r->in, "truncated file: expected a header of %llu bytes, found %zu", (unsigned long long)length,
                      r->in->size - PREFIX);
    r->header = (size_t)length;
    return RWKV7_OK;
}

static enum rwkv7_status parse_header(const struct reader *r, cJSON **out)
{
    struct json_text text = {
        .file = r->in->file, .bytes = r->in->bytes + PREFIX, .size = r->header, .offset = PREFIX, .integers = true};
    while (text.size > 1 &&
           text.bytes[text.size - 1] == ' ') /* the first byte was '{', but another process may change the file */
        text.size--;
    const uint8_t last = text.bytes[text.size - 1];
    if (last != '}')
        return refuse(r->in, "expected a header that ends with '}' and spaces, found '%s'",
                      snippet_text(&last, 1, 1).text);
    return json_parse(&text, out, r->in->err);
}

/* -------------------------------------------------------------------------------------- entries */

static enum rwkv7_status read_dtype(const struct reader *r, const cJSON *value, struct tensor *t)
{
    if (!cJSON_IsString(value))
        return refuse_tensor(r->in, t->name, "dtype: expected a string, found %s", json_kind(value));
    for (int i = 0; i < DT_PLAIN; i++) {
        if (strcmp(value->valuestring, dtype_name((enum dtype)i)) == 0) {
            t->type = (enum dtype)i;
            return RWKV7_OK;
        }
    }
    return refuse_tensor(r->in, t->name, "dtype: unknown type '%s'", snippet_name(value->valuestring).text);
}

static enum rwkv7_status read_shape(const struct reader *r, const cJSON *value, struct tensor *t)
{
    if (!cJSON_IsArray(value))
        return refuse_tensor(r->in, t->name, "shape: expected an array, found %s", json_kind(value));
    for (const cJSON *size = value->child; size; size = size->next) {
        if (!cJSON_IsNumber(size))
            return refuse_tensor(r->in, t->name, "shape: expected integers, found %s", json_kind(size));
        if (t->rank == TENSOR_MAX_RANK)
            return refuse_tensor(r->in, t->name, "shape: expected at most %d axes, found more", TENSOR_MAX_RANK);
        t->shape[t->rank++] = json_integer(size);
    }
    return RWKV7_OK;
}

static enum rwkv7_status read_offsets(const struct reader *r, const cJSON *value, const struct tensor *t,
                                      struct span *span)
{
    if (!cJSON_IsArray(value))
        return refuse_tensor(r->in, t->name, "data_offsets: expected an array, found %s", json_kind(value));
    const cJSON *begin = value->child, *end = begin ? begin->next : NULL;
    if (!end || end->next || !cJSON_IsNumber(begin) || !cJSON_IsNumber(end))
        return refuse_tensor(r->in, t->name, "data_offsets: expected two integers, found something else");
    span->begin = json_integer(begin);
    span->end = json_integer(end);
    if (span->end < span->begin)
        return refuse_tensor(r->in, t->name, "data_offsets [%llu, %llu]: the end is before the beginning",
                             (unsigned long long)span->begin, (unsigned long long)span->end);
    return RWKV7_OK;
}

/* Checks that type and shape give exactly the size of the byte range. */
static enum rwkv7_status check_size(const struct reader *r, struct tensor *t, const struct span *span)
{
    size_t bits = dtype_bits(t->type);
    for (int i = 0; i < t->rank; i++)
        if (!size_mul(bits, t->shape[i], &bits))
            return refuse_tensor(r->in, t->name, "shape %s of %s is too large", snippet_axes(t->shape, t->rank).text,
                                 dtype_name(t->type));
    if (bits % 8 != 0)
        return refuse_tensor(r->in, t->name, "shape %s of %s is not a multiple of 8 bits",
                             snippet_axes(t->shape, t->rank).text, dtype_name(t->type));
    t->bytes = bits / 8;
    if (t->bytes != span->end - span->begin)
        return refuse_tensor(r->in, t->name, "data_offsets [%llu, %llu] hold %llu bytes, but shape %s of %s needs %llu",
                             (unsigned long long)span->begin, (unsigned long long)span->end,
                             (unsigned long long)(span->end - span->begin), snippet_axes(t->shape, t->rank).text,
                             dtype_name(t->type), (unsigned long long)t->bytes);
    return RWKV7_OK;
}

/* Reads everything except `data`, which place_tensors sets after checking the layout. */
static enum rwkv7_status read_tensor(const struct reader *r, const cJSON *entry, struct tensor *t, struct span *span)
{
    const cJSON *dtype = NULL, *shape = NULL, *offsets = NULL;
    enum rwkv7_status status;

    if (!cJSON_IsObject(entry))
        return refuse_tensor(r->in, t->name, "expected an object, found %s", json_kind(entry));
    for (const cJSON *field = entry->child; field; field = field->next) {
        const cJSON **known = strcmp(field->string, "dtype") == 0          ? &dtype
                              : strcmp(field->string, "shape") == 0        ? &shape
                              : strcmp(field->string, "data_offsets") == 0 ? &offsets
                                                                           : NULL;
        if (!known)
            return refuse_tensor(r->in, t->name, "unknown field '%s'", snippet_name(field->string).text);
        *known = field;
    }
    if (!dtype || !shape || !offsets)
        return refuse_tensor(r->in, t->name, "expected dtype, shape and data_offsets; %s is missing",
                             !dtype   ? "dtype"
                             : !shape ? "shape"
                                      : "data_offsets");
    if ((status = read_dtype(r, dtype, t)) != RWKV7_OK || (status = read_shape(r, shape, t)) != RWKV7_OK ||
        (status = read_offsets(r, offsets, t, span)) != RWKV7_OK)
        return status;
    return check_size(r, t, span);
}

static bool is_metadata(const cJSON *entry)
{
    return strcmp(entry->string, "__metadata__") == 0;
}

static enum rwkv7_status check_metadata(const struct reader *r, const cJSON *metadata)
{
    if (!cJSON_IsObject(metadata))
        return refuse(r->in, "__metadata__: expected an object, found %s", json_kind(metadata));
    for (const cJSON *pair = metadata->child; pair; pair = pair->next)
        if (!cJSON_IsString(pair))
            return refuse(r->in, "__metadata__: '%s': expected a string, found %s", snippet_name(pair->string).text,
                          json_kind(pair));
    return RWKV7_OK;
}

/* Appends a copy at *at and advances *at. */
static const char *keep(char **at, const char *string)
{
    char *copy = *at;
    const size_t n = strlen(string) + 1;
    memcpy(copy, string, n);
    *at += n;
    return copy;
}

static enum rwkv7_status read_entries(struct reader *r, const cJSON *header)
{
    struct tensor_list *out = r->out;
    enum rwkv7_status status;
    size_t count = 0, pairs = 0, length = 0;

    for (const cJSON *entry = header->child; entry; entry = entry->next) {
        if (!is_metadata(entry)) {
            count++;
            length += strlen(entry->string) + 1;
            continue;
        }
        if ((status = check_metadata(r, entry)) != RWKV7_OK)
            return status;
        for (const cJSON *pair = entry->child; pair; pair = pair->next) {
            pairs++;
            length += strlen(pair->string) + strlen(pair->valuestring) + 2;
        }
    }
    out->tensors = mem_alloc(count, sizeof *out->tensors);
    out->metadata = mem_alloc(pairs, sizeof *out->metadata);
    out->strings = mem_alloc(length, 1);
    r->spans = mem_alloc(count, sizeof *r->spans);
    if (!out->tensors || !out->metadata || !out->strings || !r->spans)
        return fail_memory(r->in->err, "the index of tensors");

    char *at = out->strings;
    for (const cJSON *entry = header->child; entry; entry = entry->next) {
        if (is_metadata(entry)) {
            for (const cJSON *pair = entry->child; pair; pair = pair->next) {
                struct tensor_pair *kept = &out->metadata[out->metadata_count++];
                kept->key = keep(&at, pair->string);
                kept->value = keep(&at, pair->valuestring);
            }
            continue;
        }
        struct tensor *t = &out->tensors[out->count];
        struct span *span = &r->spans[out->count++];
        t->name = keep(&at, entry->string);
        t->file = r->in->file;
        span->tensor = t;
        if ((status = read_tensor(r, entry, t, span)) != RWKV7_OK)
            return status;
    }
    return RWKV7_OK;
}

/* --------------------------------------------------------------------------------------- layout */

static int compare_spans(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end)
        return x->end < y->end ? -1 : 1;
    return (x->tensor > y->tensor) - (x->tensor < y->tensor);
}

/*
 * Checks that the tensors, sorted by offset, cover the data section without gap or overlap, and
 * sets their `data`.
 */
static enum rwkv7_status place_tensors(struct reader *r)
{
    const uint8_t *data = r->in->bytes + PREFIX + r->header;
    const uint64_t size = r->in->size - PREFIX - r->header;
    const size_t count = r->out->count;
    uint64_t at = 0;

    qsort(r->spans, count, sizeof *r->spans, compare_spans);
    for (size_t i = 0; i < count; i++) {
        const struct span *span = &r->spans[i];
        if (span->begin > at)
            return refuse_tensor(r->in, span->tensor->name,
                                 "data begins at %llu, after %llu bytes that belong to no tensor",
                                 (unsigned long long)span->begin, (unsigned long long)(span->begin - at));
        if (span->begin < at)
            return refuse_tensor(
                r->in, span->tensor->name, "data begins at %llu, inside tensor '%s', which ends at %llu",
                (unsigned long long)span->begin, snippet_name(span[-1].tensor->name).text, (unsigned long long)at);
        at = span->end;
    }
    if (at > size)
        return refuse(r->in, "truncated file: expected %llu bytes of data, found %llu", (unsigned long long)at,
                      (unsigned long long)size);
    if (at < size)
        return refuse(r->in, "expected %llu bytes of data, found %llu: the last %llu bytes belong to no tensor",
                      (unsigned long long)at, (unsigned long long)size, (unsigned long long)(size - at));
    for (size_t i = 0; i < count; i++)
        r->spans[i].tensor->data = data + r->spans[i].begin;
    return RWKV7_OK;
}

/* ---------------------------------------------------------------------------------- entry point */

enum rwkv7_status safetensors_read(const struct file_image *in, struct tensor_list *out)
{
    struct reader r = {.in = in, .out = out};
    cJSON *header = NULL;
    enum rwkv7_status status;

    memset(out, 0, sizeof *out);
    if ((status = read_prefix(&r)) != RWKV7_OK || (status = parse_header(&r, &header)) != RWKV7_OK ||
        (status = read_entries(&r, header)) != RWKV7_OK || (status = place_tensors(&r)) != RWKV7_OK)
        tensor_list_free(out);
    mem_free(r.spans);
    cJSON_Delete(header);
    return status;
}
