/*
 * shards.h - reads the index of a checkpoint in several files: *.safetensors.index.json or
 * pytorch_model.bin.index.json, as written by Hugging Face.
 *
 * Its "weight_map" maps each tensor to the file, in the same folder, that contains it.
 */
#ifndef FORMATS_SHARDS_H
#define FORMATS_SHARDS_H

#include <cjson/cJSON.h>
#include <stddef.h>

#include "base/status.h"
#include "base/sys.h"

struct placed_tensor {
    const char *file; /* file name without a folder */
    const char *tensor;
};

struct shard_map {
    struct placed_tensor *tensors; /* [count], sorted by file, then by tensor; at least one; names are unique */
    size_t count;
    size_t files; /* number of different files */
    cJSON *tree;  /* owns the strings */
    struct file_map file;
};

enum rwkv7_status shard_map_open(const char *path, struct shard_map *out, struct rwkv7_error *err);
void shard_map_close(struct shard_map *map); /* harmless on a zeroed struct */

#endif
