/*
 * gguf.h - one GGUF image (version 3, little-endian), as llama.cpp writes it: bytes in, named tensors and metadata out.
 *
 * Layout: `"GGUF" | u32 version | u64 tensors | u64 pairs | pairs | descriptions of tensors | zeros | data`. A string is a
 * u64 length and its bytes. A pair is a key, a type and a value: a number, a string, or an array of either. A tensor is
 * described by name, axes (innermost first: they are turned round here), type, and offset in the data, which begins at the
 * next multiple of general.alignment, 32 if not given. The tensors follow each other, each on such a multiple.
 *
 * Metadata become text: numbers in decimal, arrays as "[65536 strings]". A list of tokens as RWKV models have it becomes
 * the vocabulary (gguf_vocab.h). What llama.cpp itself would refuse is refused, and some of what it would read wrongly.
 */
#ifndef FORMATS_GGUF_H
#define FORMATS_GGUF_H

#include "formats/reader.h"

reader_fn gguf_read;

#endif
