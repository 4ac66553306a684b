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

enum rwkv7_status config_read(struct tensor_index *index, const char *file, bool in_folder, struct rwkv7_error *err)
{
    const char *const slash = strrchr(file, '/');
    struct file_map map;
    if (!in_folder && !is_named_by_transformers(slash ? slash + 1 : file))
        return RWKV7_OK;
    char *const path = folder_join(file, slash ? (size_t)(slash - file) + 1 : 0, "config.json");
    if (!path)
        return fail_memory(err, "a path");
    if (!path_exists(path)) {
        mem_free(path);
        return RWKV7_OK;
    }
    index->config_path = path;
    enum rwkv7_status status = file_map_open(path, &map, err);
    if (status != RWKV7_OK)
        return status;
    const struct json_text text = {.file = path, .bytes = map.data, .size = map.size};
    status = json_parse(&text, &index->config, err);
    file_map_close(&map);
    return status;
}

void config_free(struct tensor_index *index)
{
    cJSON_Delete(index->config);
    mem_free(index->config_path);
}
