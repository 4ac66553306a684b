/*
 * prefix.h - removes from tensor names the prefixes that training frameworks add.
 *
 * Modules that wrap a model add their name to the names of all its tensors. Wrappers can be nested:
 * "module._orig_mod.blocks.0.ln1.weight". The layers above src/formats see only
 * "blocks.0.ln1.weight".
 */
#ifndef FORMATS_PREFIX_H
#define FORMATS_PREFIX_H

#include "formats/tensors.h"

/*
 * Removes the prefix that the tensors of all layers share, whatever its words. If the layers have
 * different prefixes, no prefix is removed. If there are no layers, PEFT's prefix
 * "base_model.model." is removed if all tensors have it. From a tensor outside the layers, the
 * words of the prefix that its name starts with are removed: "head.weight" beside
 * "model.blocks.0...." stays as it is. The names of wrappers of single modules (_orig_mod and the
 * others in prefix.c) are removed at any position. index->prefix is the prefix that was removed.
 *
 * RWKV7_ERR_MODEL if two tensors end up with the same name. Called once by tensors.c, for a
 * complete and sorted index that owns the memory of its names.
 */
enum rwkv7_status prefix_strip(struct tensor_index *index, struct rwkv7_error *err);

#endif
