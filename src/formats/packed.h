/*
 * packed.h - what this program adds to safetensors: matrices of integers that are used where they lie, and the vocabulary.
 *
 * A file with the metadata "rwkv7.layout": "1" may hold
 *     a tensor of U8 named NAME with the metadata "packed.NAME": "FORM ROWS COLS"
 *         a matrix [ROWS][COLS] in one of the layouts of kernels/quants.h: in tiles (q8), or by column (q8_columns), and so on for each
 *         type of base/integer_types.h
 *     a tensor of U8 [bytes] named "rwkv7.vocab"
 *         the vocabulary, text in the World format
 * To any other reader these are bytes. Here the former get their own type and the shape of the matrix, and the latter is taken out.
 */
#ifndef FORMATS_PACKED_H
#define FORMATS_PACKED_H

#include "formats/reader.h"

#define PACKED_LAYOUT_KEY "rwkv7.layout"
#define PACKED_LAYOUT "1"
#define PACKED_PREFIX "packed."
#define PACKED_VOCAB "rwkv7.vocab"
#define PACKED_VOCAB_MAX (16u << 20) /* bytes; as much as a vocabulary may have (text/vocab.h) */

/* Applies the above to what was read from a file. `list` is sorted by name, and stays so. */
enum rwkv7_status packed_resolve(const struct file_image *in, struct tensor_list *list);
/* The value that "packed.NAME" has for a matrix of such a type. */
void packed_describe(char *out, size_t room, enum dtype type, uint64_t rows, uint64_t cols);

#endif
