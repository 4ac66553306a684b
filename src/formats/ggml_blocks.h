/*
 * ggml_blocks.h - the quantized types of ggml, as they lie in GGUF files, to float32.
 *
 * A row is a sequence of blocks of 32 or 256 numbers. A number is d * q, d * s * q, d * q + m or d * s * q - m * t: d and m
 * are float16 and belong to the block, s and t are integers of a group of 16 or 32 numbers, q is the integer of the
 * number itself, or what a table has for it (IQ4). No product has more than 24 significant bits, so each is exact in float32, and only the sum or
 * difference is rounded: the result does not depend on the order of the operations or on fused ones.
 */
#ifndef FORMATS_GGML_BLOCKS_H
#define FORMATS_GGML_BLOCKS_H

#include "formats/tensors.h"

#define GGML_MAX_BLOCK 256 /* numbers */

/* out [count * dtype_block(type)]. `type` is one of those for which that is more than 1. */
void ggml_blocks_floats(enum dtype type, const uint8_t *blocks, size_t count, float *out);

#endif
