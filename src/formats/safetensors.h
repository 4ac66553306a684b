/*
 * safetensors.h - reads one safetensors image.
 *
 * Layout: `u64 little-endian N | N bytes of JSON | data`. The JSON object maps a tensor name to
 * {"dtype", "shape", "data_offsets": [begin, end]}, with offsets relative to the end of the header.
 * "__metadata__" maps strings to strings.
 *
 * The reader is strict: it rejects everything that the official reader rejects, and more. The
 * tensors must cover the data section exactly, without gaps, overlaps or trailing bytes, so
 * truncated, padded and manipulated files are rejected before use. Any alignment is accepted. For
 * files of another format the message says what they seem to be.
 */
#ifndef FORMATS_SAFETENSORS_H
#define FORMATS_SAFETENSORS_H

#include "formats/reader.h"

#define SAFETENSORS_MAX_HEADER 100000000u /* bytes; the limit of the official reader */

reader_fn safetensors_read;

#endif
