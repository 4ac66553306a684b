/*
 * prefix.h - plain tensor names: without what training frameworks put in front of them.
 *
 * Modules that wrap a model add their own name to those of all its tensors, and they are stacked: "module._orig_mod.blocks.0.ln1.weight".
 * Everything above src/formats sees "blocks.0.ln1.weight".
 */
#ifndef FORMATS_PREFIX_H
#define FORMATS_PREFIX_H

#include "formats/tensors.h"

/*
 * Strips the prefix that all tensors of layers share; any words will do. Tensors outside the layers lose as many of its words as they
 * begin with: "head.weight" beside "model.blocks.0...." stays as it is. Names under different prefixes stay, all of them. The words of
 * wrappers of single modules (_orig_mod and the like) are removed wherever they are. index->prefix says what was stripped.
 * RWKV7_ERR_MODEL when two tensors would have the same name. Called once, by tensors.c, for an index that is complete and sorted;
 * names must be memory of the index.
 */
enum rwkv7_status prefix_strip(struct tensor_index *index, struct rwkv7_error *err);

#endif
