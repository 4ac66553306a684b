/*
 * gguf.h - reads one GGUF image (version 3, little-endian), as written by llama.cpp.
 *
 * Layout:
 *
 *     "GGUF" | u32 version | u64 tensors | u64 pairs | pairs | descriptions of tensors | zeros | data
 *
 *     string        u64 length, then the bytes
 *     pair          a key, a type and a value: a number, a string, or an array of either
 *     description   name, axes (innermost first; reversed here), type, offset in the data
 *
 * The data section starts at the next multiple of general.alignment (default 32). The tensors
 * follow each other without gaps other than the padding to such a multiple.
 *
 * Metadata are converted to text: numbers in decimal, arrays as "[65536 strings]". The token list
 * of an RWKV model is converted to a vocabulary (gguf_vocab.h). The reader rejects every file that
 * llama.cpp rejects, and some that it would misread.
 */
#ifndef FORMATS_GGUF_H
#define FORMATS_GGUF_H

#include "formats/reader.h"

reader_fn gguf_read;

#endif
