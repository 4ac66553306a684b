/* safetensors_write.c - see safetensors_write.h. */
#include "formats/safetensors_write.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "formats/safetensors.h"

/*
 * The growing text of the header. After a failed allocation `failed` is set and nothing more is
 * added; the caller checks it once at the end.
 */
struct header {
    char *at;
    size_t size, room;
    bool failed;
};

static void add(struct header *h, const char *text, size_t n)
{
    size_t room = h->room;
    while (!h->failed && room - h->size < n)
        h->failed = !size_mul(room > 0 ? room : 2048, 2, &room);
    if (!h->failed && room > h->room) {
        char *const grown = mem_grow(h->at, h->room, room, 1);
        h->failed = !grown;
        h->at = grown ? grown : h->at;
        h->room = grown ? room : h->room;
    }
    if (h->failed)
        return;
    memcpy(h->at + h->size, text, n);
    h->size += n;
}

static void add_text(struct header *h, const char *text)
{
    add(h, text, strlen(text));
}

static void add_number(struct header *h, uint64_t number)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRIu64, number);
    add_text(h, digits);
}

static void add_string(struct header *h, const char *text)
{
    add_text(h, "\"");
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        char escaped[8] = {*text};
        if (c < 0x20)
            snprintf(escaped, sizeof escaped, "\\u%04x", c);
        else if (c == '"' || c == '\\')
            snprintf(escaped, sizeof escaped, "\\%c", c);
        add_text(h, escaped);
    }
    add_text(h, "\"");
}

static void add_json(struct header *h, const struct tensor *tensors, size_t count, const struct tensor_pair *metadata,
                     size_t metadata_count)
{
    uint64_t at = 0;
    add_text(h, "{\"__metadata__\":{");
    for (size_t i = 0; i < metadata_count; i++) {
        add_text(h, i > 0 ? "," : "");
        add_string(h, metadata[i].key);
        add_text(h, ":");
        add_string(h, metadata[i].value);
    }
    add_text(h, "}");
    for (size_t i = 0; i < count; i++) {
        const struct tensor *t = &tensors[i];
        add_text(h, ",");
        add_string(h, t->name);
        add_text(h, ":{\"dtype\":");
        add_string(h, dtype_name(t->type));
        add_text(h, ",\"shape\":[");
        for (int axis = 0; axis < t->rank; axis++) {
            add_text(h, axis > 0 ? "," : "");
            add_number(h, t->shape[axis]);
        }
        add_text(h, "],\"data_offsets\":[");
        add_number(h, at);
        add_text(h, ",");
        add_number(h, at + t->bytes);
        add_text(h, "]}");
        at += t->bytes;
    }
    add_text(h, "}");
}

enum rwkv7_status safetensors_write_header(struct out_file *out, const struct tensor *tensors, size_t count,
                                           const struct tensor_pair *metadata, size_t metadata_count,
                                           struct rwkv7_error *err)
{
    enum rwkv7_status status = RWKV7_OK;
    uint8_t prefix[sizeof(uint64_t)];
    struct header h = {0};
    add_json(&h, tensors, count, metadata, metadata_count);
    while (!h.failed && (h.size + sizeof prefix) % SAFETENSORS_ALIGN != 0)
        add_text(&h, " ");
    if (h.failed) {
        status = fail_memory(err, "the header");
        goto done;
    }
    if (h.size > SAFETENSORS_MAX_HEADER) {
        status =
            fail(err, RWKV7_ERR_IO, "%s: expected a header of at most %u bytes, the limit of safetensors, found %zu",
                 out->path, SAFETENSORS_MAX_HEADER, h.size);
        goto done;
    }
    for (size_t i = 0; i < sizeof prefix; i++)
        prefix[i] = (uint8_t)((uint64_t)h.size >> 8 * i);
    status = out_file_write(out, prefix, sizeof prefix, err);
    if (status == RWKV7_OK)
        status = out_file_write(out, h.at, h.size, err);
done:
    mem_free(h.at);
    return status;
}
