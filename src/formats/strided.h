/* strided.h - tensors whose elements are not in row-major order: a transposed matrix, every second number of a vector. */
#ifndef FORMATS_STRIDED_H
#define FORMATS_STRIDED_H

#include "formats/tensors.h"

/*
 * Copies a tensor into row-major order. Of `t`, data is its first element and bytes the size of the copy; the element [i][j]... lies
 * i strides[0] + j strides[1] + ... elements behind the first, within memory that the caller has checked. At least one axis.
 */
void strided_copy(uint8_t *to, const struct tensor *t, const uint64_t *strides);

#endif
