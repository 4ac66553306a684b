/*
 * strided.h - copies tensors that are not row-major, such as transposed matrices, into row-major
 * order.
 */
#ifndef FORMATS_STRIDED_H
#define FORMATS_STRIDED_H

#include "formats/tensors.h"

/*
 * Copies a tensor with at least one axis into row-major order. t->data points to its first element;
 * t->bytes is the size of the copy. Element [i][j]... is i * strides[0] + j * strides[1] + ...
 * elements after the first. The caller guarantees that all elements are inside the storage.
 */
void strided_copy(uint8_t *to, const struct tensor *t, const uint64_t *strides);

#endif
