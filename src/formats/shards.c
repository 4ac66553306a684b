/* shards.c - see shards.h. */
#include "formats/shards.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/json.h"
#include "formats/sniff.h"
#include "formats/snippet.h"

#define INDEX_MAX_SIZE 100000000u /* bytes; the limit of a safetensors header */

static int compare_places(const void *a, const void *b)
{
    const struct placed_tensor *x = a, *y = b;
    const int by_file = strcmp(x->file, y->file);
    return by_file ? by_file : strcmp(x->tensor, y->tensor);
}

/*
 * Whether a name is a file name without a folder. Others are rejected, so that a downloaded index
 * cannot make the program read a file outside its folder.
 */
static bool is_plain_name(const char *name)
{
    return *name && !strpbrk(name, "/\\") && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static enum rwkv7_status read_map(const char *path, const cJSON *map, struct shard_map *out, struct rwkv7_error *err)
{
    const struct snippet shown = snippet_path(path);
    size_t count = 0;

    if (!cJSON_IsObject(map))
        return fail(err, RWKV7_ERR_MODEL, "%s: expected an object \"weight_map\", found %s", shown.text,
                    map ? json_kind(map) : "none");
    if (!map->child)
        return fail(err, RWKV7_ERR_MODEL, "%s: weight_map: expected at least one tensor, found none", shown.text);
    for (const cJSON *entry = map->child; entry; entry = entry->next)
        count++;
    out->tensors = mem_alloc(count, sizeof *out->tensors);
    if (!out->tensors)
        return fail_memory(err, "the index of tensors");
    for (const cJSON *entry = map->child; entry; entry = entry->next) {
        if (!cJSON_IsString(entry))
            return fail(err, RWKV7_ERR_MODEL, "%s: tensor '%s': expected a file name, found %s", shown.text,
                        snippet_name(entry->string).text, json_kind(entry));
        if (!is_plain_name(entry->valuestring))
            return fail(err, RWKV7_ERR_MODEL, "%s: tensor '%s': expected a file in the same folder, found '%s'",
                        shown.text, snippet_name(entry->string).text, snippet_name(entry->valuestring).text);
        out->tensors[out->count++] = (struct placed_tensor){.file = entry->valuestring, .tensor = entry->string};
    }
    qsort(out->tensors, count, sizeof *out->tensors, compare_places);
    for (size_t i = 0; i < count; i++)
        out->files += i == 0 || strcmp(out->tensors[i - 1].file, out->tensors[i].file) != 0;
    return RWKV7_OK;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Whether the text begins with '{', after an optional byte order mark and white space. */
static bool begins_object(const struct json_text *text)
{
    size_t at = text->size >= 3 && memcmp(text->bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    while (at < text->size && is_space(text->bytes[at]))
        at++;
    return at < text->size && text->bytes[at] == '{';
}

enum rwkv7_status shard_map_open(const char *path, struct shard_map *out, struct rwkv7_error *err)
{
    enum rwkv7_status status;

    memset(out, 0, sizeof *out);
    if ((status = file_map_open(path, &out->file, err)) != RWKV7_OK)
        return status;
    const struct json_text text = {.file = path, .bytes = out->file.data, .size = out->file.size};
    if (text.size > INDEX_MAX_SIZE)
        status = fail(err, RWKV7_ERR_MODEL, "%s: expected an index of at most %u bytes, found %zu",
                      snippet_path(path).text, INDEX_MAX_SIZE, text.size);
    else if (!begins_object(&text))
        status = sniff(text.bytes, text.size, path, err);
    if (status == RWKV7_OK)
        status = json_parse(&text, &out->tree, err);
    if (status == RWKV7_OK)
        status = read_map(path, cJSON_GetObjectItemCaseSensitive(out->tree, "weight_map"), out, err);
    if (status != RWKV7_OK)
        shard_map_close(out);
    return status;
}

void shard_map_close(struct shard_map *map)
{
    mem_free(map->tensors);
    cJSON_Delete(map->tree);
    file_map_close(&map->file);
    memset(map, 0, sizeof *map);
}
