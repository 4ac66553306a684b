/*
 * packed.h - this program's additions to safetensors: packed matrices of integers, which are used
 * in place, and the vocabulary.
 *
 * A file with the metadata "rwkv7.layout": "1" may contain
 *
 *     a tensor of U8 named NAME with the metadata "packed.NAME": "FORM ROWS COLS"
 *         a matrix [ROWS][COLS] in one of the layouts of kernels/quants.h: tiles (q8) or columns
 *         (q8_columns), and so on for each type of base/integer_types.h
 *     a tensor of U8 [bytes] named "rwkv7.vocab"
 *         the vocabulary, text in the World format
 *
 * Other readers see plain bytes. packed_resolve gives the matrices their type and shape and removes
 * the vocabulary from the list of tensors.
 */
#ifndef FORMATS_PACKED_H
#define FORMATS_PACKED_H

#include "formats/reader.h"

#define PACKED_LAYOUT_KEY "rwkv7.layout"
#define PACKED_LAYOUT "1"
#define PACKED_PREFIX "packed."
#define PACKED_VOCAB "rwkv7.vocab"
#define PACKED_VOCAB_MAX (16u << 20) /* bytes; the limit of text/vocab.h */

/*
 * Resolves the packed matrices and the vocabulary of a file just read. `list` must be sorted by
 * name, and stays sorted.
 */
enum rwkv7_status packed_resolve(const struct file_image *in, struct tensor_list *list);
/* Writes the value of "packed.NAME" for a matrix of a packed type. */
void packed_describe(char *out, size_t room, enum dtype type, uint64_t rows, uint64_t cols);

#endif
