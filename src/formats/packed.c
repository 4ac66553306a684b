/* packed.c - see packed.h. */
#include "formats/packed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/snippet.h"

/* Names of the packed types, in the order of enum dtype: "q8", "q8_columns" and so on. */
#define FORMS(NAME, name, ...) \
    [DT_TILES_##NAME - DT_PACKED] = #name, [DT_COLUMNS_##NAME - DT_PACKED] = #name "_columns",
static const char *const forms[DT_COUNT - DT_PACKED] = {INTEGER_TYPES(FORMS)};
#undef FORMS

static const char *find_value(const struct tensor_list *list, const char *key)
{
    for (size_t i = 0; i < list->metadata_count; i++)
        if (strcmp(list->metadata[i].key, key) == 0)
            return list->metadata[i].value;
    return NULL;
}

static struct tensor *find_tensor(const struct tensor_list *list, const char *name)
{
    size_t low = 0, high = list->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(name, list->tensors[middle].name);
        if (order == 0)
            return &list->tensors[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

void packed_describe(char *out, size_t room, enum dtype type, uint64_t rows, uint64_t cols)
{
    snprintf(out, room, "%s %" PRIu64 " %" PRIu64, forms[type - DT_PACKED], rows, cols);
}

/*
 * Parses a text that packed_describe wrote; rejects all others. weights/sources.c, which knows the
 * layouts, compares the size with the tensor's bytes.
 */
static bool parse(const char *text, struct tensor *t)
{
    for (int i = 0; i < DT_COUNT - DT_PACKED; i++) {
        const size_t n = strlen(forms[i]);
        char same[64], *end = NULL;
        if (strncmp(text, forms[i], n) != 0 || text[n] != ' ')
            continue;
        const uint64_t rows = strtoull(text + n, &end, 10), cols = *end == ' ' ? strtoull(end, &end, 10) : 0;
        const enum dtype type = (enum dtype)(DT_PACKED + i);
        packed_describe(same, sizeof same, type, rows, cols);
        if (strcmp(same, text) != 0 || rows == 0 || cols == 0)
            return false;
        t->type = type;
        t->rank = 2;
        t->shape[0] = rows;
        t->shape[1] = cols;
        return true;
    }
    return false;
}

static enum rwkv7_status resolve_one(const struct file_image *in, const struct tensor_list *list,
                                     const struct tensor_pair *pair)
{
    const char *name = pair->key + strlen(PACKED_PREFIX);
    struct tensor *t = find_tensor(list, name);
    if (!t)
        return refuse_tensor(in, name, "the metadata describe its packing, but the tensor does not exist");
    if (t->type != DT_U8)
        return refuse_tensor(in, name, "expected packed bytes (U8), found %s", dtype_name(t->type));
    if (!parse(pair->value, t))
        return refuse_tensor(in, name, "expected packing metadata such as 'q8 ROWS COLS', found '%s'",
                             snippet_text(pair->value, strlen(pair->value), 40).text);
    return RWKV7_OK;
}

static enum rwkv7_status take_vocab(const struct file_image *in, struct tensor_list *list)
{
    struct tensor *t = find_tensor(list, PACKED_VOCAB);
    if (!t)
        return RWKV7_OK;
    if (t->type != DT_U8 || t->rank != 1)
        return refuse_tensor(in, PACKED_VOCAB, "expected text: one axis of type U8");
    if (t->bytes > PACKED_VOCAB_MAX)
        return refuse_tensor(in, PACKED_VOCAB, "expected a vocabulary of at most %u bytes, found %" PRIu64,
                             PACKED_VOCAB_MAX, t->bytes);
    list->vocab = mem_string((const char *)t->data, (size_t)t->bytes);
    if (!list->vocab)
        return fail_memory(in->err, "the vocabulary");
    list->vocab_size = (size_t)t->bytes;
    memmove(t, t + 1, (size_t)(list->tensors + list->count - (t + 1)) * sizeof *t);
    list->count--;
    return RWKV7_OK;
}

enum rwkv7_status packed_resolve(const struct file_image *in, struct tensor_list *list)
{
    const char *layout = find_value(list, PACKED_LAYOUT_KEY);
    if (!layout)
        return RWKV7_OK;
    if (strcmp(layout, PACKED_LAYOUT) != 0)
        return refuse(
            in, "expected layout %s (" PACKED_LAYOUT_KEY "), found '%s' of another version; convert the model again",
            PACKED_LAYOUT, snippet_text(layout, strlen(layout), 20).text);
    for (size_t i = 0; i < list->metadata_count; i++)
        if (strncmp(list->metadata[i].key, PACKED_PREFIX, strlen(PACKED_PREFIX)) == 0) {
            const enum rwkv7_status status = resolve_one(in, list, &list->metadata[i]);
            if (status != RWKV7_OK)
                return status;
        }
    return take_vocab(in, list);
}
