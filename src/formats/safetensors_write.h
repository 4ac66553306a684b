/*
 * safetensors_write.h - writes the header of a safetensors file. The caller writes the tensors
 * after it.
 */
#ifndef FORMATS_SAFETENSORS_WRITE_H
#define FORMATS_SAFETENSORS_WRITE_H

#include "base/out_file.h"
#include "formats/tensors.h"

#define SAFETENSORS_ALIGN 64 /* the data section starts at a multiple of this file offset */

/*
 * Writes the header for tensors that will follow contiguously in this order. Uses only the name,
 * type, shape and byte size of each. Names and metadata must be UTF-8.
 */
enum rwkv7_status safetensors_write_header(struct out_file *out, const struct tensor *tensors, size_t count,
                                           const struct tensor_pair *metadata, size_t metadata_count,
                                           struct rwkv7_error *err);

#endif
