/* folder.h - finds the checkpoint in a folder. */
#ifndef FORMATS_FOLDER_H
#define FORMATS_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

/*
 * Finds the checkpoint in a folder. Candidates in order of precedence:
 *
 * 1. model.safetensors
 * 2. model.safetensors.index.json
 * 3. the only *.safetensors.index.json
 * 4. the only *.safetensors or *.st
 * 5. pytorch_model.bin
 * 6. pytorch_model.bin.index.json
 * 7. the only *.pth
 * 8. the only *.gguf
 *
 * The caller frees *path with mem_free. If there is no candidate, or several of the same
 * precedence, returns RWKV7_ERR_MODEL with a message that lists the files.
 */
enum rwkv7_status folder_checkpoint(const char *folder, char **path, struct rwkv7_error *err);

/*
 * Joins `folder` [length] and `name` with a '/' if needed. The caller frees the path with mem_free;
 * NULL when out of memory.
 */
char *folder_join(const char *folder, size_t length, const char *name);

/*
 * Whether `path` ends with `end` and has something before it. For `end` ".st": true for "model.st",
 * false for ".st".
 */
bool path_ends_with(const char *path, const char *end);

#endif
