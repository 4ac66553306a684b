/* config.c - see config.h. */
#include "formats/config.h"

#include <string.h>

#include "base/mem.h"
#include "formats/folder.h"
#include "formats/json.h"

static bool is_named_by_transformers(const char *name)
{
    return strcmp(name, "model.safetensors") == 0 || strcmp(name, "pytorch_model.bin") == 0 ||
           path_ends_with(name, ".index.json");
}

/*
 * Finds a file in the folder of `checkpoint`. *path stays NULL if it does not exist; the caller
 * frees it with mem_free.
 */
static enum rwkv7_status find_beside(const char *checkpoint, const char *name, char **path, struct rwkv7_error *err)
{
    const char *const slash = strrchr(checkpoint, '/');
    *path = folder_join(checkpoint, slash ? (size_t)(slash - checkpoint) + 1 : 0, name);
    if (!*path)
        return fail_memory(err, "a path");
    /* A dangling link counts as present: opening it fails, and the user sees why. */
    if (!path_is_named(*path)) {
        mem_free(*path);
        *path = NULL;
    }
    return RWKV7_OK;
}

static enum rwkv7_status read_json(const char *path, cJSON **out, struct rwkv7_error *err)
{
    struct file_map map;
    enum rwkv7_status status = file_map_open(path, &map, err);
    if (status != RWKV7_OK)
        return status;
    const struct json_text text = {.file = path, .bytes = map.data, .size = map.size};
    status = json_parse(&text, out, err);
    file_map_close(&map);
    return status;
}

/*
 * Returns "chat_template" of tokenizer_config.json; NULL if there is none. It is a string, or an
 * array of named templates; then the one named "default" is returned.
 */
static const char *template_of(const cJSON *root)
{
    const cJSON *const value = cJSON_GetObjectItemCaseSensitive(root, "chat_template");
    if (!cJSON_IsArray(value))
        return cJSON_GetStringValue(value);
    for (const cJSON *one = value->child; one; one = one->next) {
        const char *const name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(one, "name"));
        if (name && strcmp(name, "default") == 0)
            return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(one, "template"));
    }
    return NULL;
}

/* Reads the chat template. A separate file, which newer folders have, takes precedence. */
static enum rwkv7_status read_template(struct tensor_index *index, const char *file, struct rwkv7_error *err)
{
    char *path = NULL;
    cJSON *root = NULL;
    struct file_map map = {0};
    const char *text = NULL;
    size_t size = 0;
    enum rwkv7_status status = find_beside(file, "chat_template.jinja", &path, err);
    if (status == RWKV7_OK && path) {
        status = file_map_open(path, &map, err);
        text = (const char *)map.data;
        size = map.size;
    } else if (status == RWKV7_OK && (status = find_beside(file, "tokenizer_config.json", &path, err)) == RWKV7_OK &&
               path) {
        status = read_json(path, &root, err);
        text = status == RWKV7_OK ? template_of(root) : NULL;
        size = text ? strlen(text) : 0;
    }
    if (status == RWKV7_OK && text && !(index->chat_template = mem_string(text, size)))
        status = fail_memory(err, "the chat template");
    file_map_close(&map);
    cJSON_Delete(root);
    mem_free(path);
    return status;
}

enum rwkv7_status config_read(struct tensor_index *index, const char *file, bool in_folder, struct rwkv7_error *err)
{
    const char *const slash = strrchr(file, '/');
    if (!in_folder && !is_named_by_transformers(slash ? slash + 1 : file))
        return RWKV7_OK;
    enum rwkv7_status status = find_beside(file, "config.json", &index->config_path, err);
    if (status == RWKV7_OK && index->config_path)
        status = read_json(index->config_path, &index->config, err);
    return status == RWKV7_OK ? read_template(index, file, err) : status;
}

void config_free(struct tensor_index *index)
{
    cJSON_Delete(index->config);
    mem_free(index->config_path);
    mem_free(index->chat_template);
}
