/* safetensors_write.h - the header of a safetensors file; whoever writes it lets the tensors follow. */
#ifndef FORMATS_SAFETENSORS_WRITE_H
#define FORMATS_SAFETENSORS_WRITE_H

#include "base/out_file.h"
#include "formats/tensors.h"

#define SAFETENSORS_ALIGN 64 /* the data begin on a multiple of this in the file */

/*
 * The tensors will lie one behind the other in this order; of each, the name, the type, the shape and the number of bytes count.
 * Names and metadata are UTF-8.
 */
enum rwkv7_status safetensors_write_header(struct out_file *out, const struct tensor *tensors, size_t count,
                                           const struct tensor_pair *metadata, size_t metadata_count,
                                           struct rwkv7_error *err);

#endif
