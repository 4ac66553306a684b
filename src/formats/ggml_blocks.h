/*
 * ggml_blocks.h - converts the quantized types of ggml, as stored in GGUF files, to float32.
 *
 * A row is a sequence of blocks of 32 or 256 numbers. A number is d * q, d * s * q, d * q + m or
 * d * s * q - m * t, where
 *
 *     d, m   float16, one per block
 *     s, t   integers, one per group of 16 or 32 numbers
 *     q      the integer of the number itself, or its entry in a table (IQ4)
 *
 * No product has more than 24 significant bits, so each is exact in float32. Only the sum or
 * difference is rounded. So the result depends neither on the order of operations nor on fused
 * multiply-add.
 */
#ifndef FORMATS_GGML_BLOCKS_H
#define FORMATS_GGML_BLOCKS_H

#include "formats/tensors.h"

#define GGML_MAX_BLOCK 256 /* elements */

/*
 * Converts `count` blocks; out [count * dtype_block(type)]. `type` must be a block type of ggml,
 * that is, dtype_block(type) > 1.
 */
void ggml_blocks_floats(enum dtype type, const uint8_t *blocks, size_t count, float *out);

#endif
