/*
 * shards.h - the index of a checkpoint in several files: *.safetensors.index.json or pytorch_model.bin.index.json, as Hugging Face
 * writes them.
 *
 * Its "weight_map" says for every tensor which file of the same folder holds it.
 */
#ifndef FORMATS_SHARDS_H
#define FORMATS_SHARDS_H

#include <cjson/cJSON.h>
#include <stddef.h>

#include "base/status.h"
#include "base/sys.h"

struct placed_tensor {
    const char *file; /* a name without a folder */
    const char *tensor;
};

struct shard_map {
    struct placed_tensor *tensors; /* [count], sorted by file, then by tensor; at least one, no tensor twice */
    size_t count;
    size_t files; /* how many different ones */
    cJSON *tree;  /* the strings */
    struct file_map file;
};

enum rwkv7_status shard_map_open(const char *path, struct shard_map *out, struct rwkv7_error *err);
void shard_map_close(struct shard_map *map); /* harmless on a zeroed struct */

#endif
