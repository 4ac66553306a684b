/* folder.h - which file of a folder is the checkpoint. */
#ifndef FORMATS_FOLDER_H
#define FORMATS_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

/*
 * The path of model.safetensors, else of model.safetensors.index.json, else of the only *.safetensors.index.json, else
 * of the only *.safetensors or *.st, else of pytorch_model.bin, else of pytorch_model.bin.index.json, else of the only *.pth, else of the
 * only *.gguf. To be freed with mem_free. RWKV7_ERR_MODEL lists what is there instead.
 */
enum rwkv7_status folder_checkpoint(const char *folder, char **path, struct rwkv7_error *err);

/* The path of `name` in the folder of `length` bytes `folder`. To be freed with mem_free; NULL when out of memory. */
char *folder_join(const char *folder, size_t length, const char *name);

/* "model.st" ends with ".st"; ".st" alone does not. */
bool path_ends_with(const char *path, const char *end);

#endif
