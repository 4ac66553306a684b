/*
 * safetensors.h - one safetensors image: bytes in, named tensors out.
 *
 * Layout: `u64 little-endian N | N bytes of JSON | data`. The JSON object maps a tensor name to {"dtype", "shape",
 * "data_offsets": [begin, end]}, offsets counted from the end of the header; "__metadata__" maps strings to strings.
 *
 * The reader is strict: it takes less than the official one and nothing that the official one refuses. The tensors must
 * tile the data exactly, without a hole, an overlap or a byte left over, so that a file that was cut, padded or
 * tampered with is refused before anything is computed from it. There is no rule about alignment.
 */
#ifndef FORMATS_SAFETENSORS_H
#define FORMATS_SAFETENSORS_H

#include "formats/tensors.h"

#define SAFETENSORS_MAX_HEADER 100000000u /* bytes; the limit of the official reader */

struct safetensors {
    struct tensor *tensors; /* [count], in the order of the header */
    size_t count;
    struct tensor_pair *metadata; /* [metadata_count], likewise */
    size_t metadata_count;
    char *strings; /* the names and the metadata */
};

/*
 * `file` is the path for messages and for tensor.file; it and the image must outlive the result, which is empty after
 * an error. What is not safetensors is RWKV7_ERR_MODEL, with a guess at what it is.
 */
enum rwkv7_status safetensors_read(const uint8_t *image, size_t size, const char *file, struct safetensors *out,
                                   struct rwkv7_error *err);
void safetensors_free(struct safetensors *s); /* harmless on a zeroed struct */

#endif
