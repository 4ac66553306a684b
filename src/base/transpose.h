/*
 * transpose.h - transposes matrices with elements of 2 or 4 bytes, in square tiles that keep the
 * rows read and the rows written in the first-level cache. All transposes of the program use it.
 */
#ifndef BASE_TRANSPOSE_H
#define BASE_TRANSPOSE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define TRANSPOSE_TILE 32

/* memcpy of a constant size compiles to one load and one store, at any alignment. */
#define TRANSPOSE_LOOPS(bytes)                                                \
    for (size_t r0 = 0; r0 < rows; r0 += TRANSPOSE_TILE)                      \
        for (size_t c0 = 0; c0 < cols; c0 += TRANSPOSE_TILE)                  \
            for (size_t c = c0; c < cols && c < c0 + TRANSPOSE_TILE; c++)     \
                for (size_t r = r0; r < rows && r < r0 + TRANSPOSE_TILE; r++) \
    memcpy((char *)to + (c * to_stride + r) * (bytes), (const char *)from + (r * from_stride + c) * (bytes), bytes)

/*
 * to[c][r] = from[r][c] for r < rows and c < cols. The strides are distances between rows in
 * elements; element: 2 or 4 bytes. Any alignment; the matrices must not overlap.
 */
static inline void transpose(void *to, size_t to_stride, const void *from, size_t from_stride, size_t rows, size_t cols,
                             size_t element)
{
    if (element == sizeof(uint16_t))
        TRANSPOSE_LOOPS(sizeof(uint16_t));
    else
        TRANSPOSE_LOOPS(sizeof(uint32_t));
}

#undef TRANSPOSE_LOOPS

#endif
