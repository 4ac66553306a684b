/*
 * safetensors.h - one safetensors image: bytes in, named tensors out.
 *
 * Layout: `u64 little-endian N | N bytes of JSON | data`. The JSON object maps a tensor name to {"dtype", "shape",
 * "data_offsets": [begin, end]}, offsets counted from the end of the header; "__metadata__" maps strings to strings.
 *
 * The reader is strict: it takes less than the official one and nothing that the official one refuses. The tensors must
 * tile the data exactly, without a hole, an overlap or a byte left over, so that a file that was cut, padded or
 * tampered with is refused before anything is computed from it. There is no rule about alignment. What is not
 * safetensors at all is refused with a guess at what it is.
 */
#ifndef FORMATS_SAFETENSORS_H
#define FORMATS_SAFETENSORS_H

#include "formats/reader.h"

#define SAFETENSORS_MAX_HEADER 100000000u /* bytes; the limit of the official reader */

reader_fn safetensors_read;

#endif
