/* strided.c - see strided.h. */
#include "formats/strided.h"

#include <string.h>

void strided_copy(uint8_t *to, const struct tensor *t, const uint64_t *strides)
{
    const size_t element = dtype_bits(t->type) / 8, cols = (size_t)t->shape[t->rank - 1],
                 step = (size_t)strides[t->rank - 1] * element;
    uint64_t at[TENSOR_MAX_RANK] = {0}; /* index of the row along the outer axes */
    for (const uint8_t *const end = to + t->bytes; to < end;) {
        size_t first = 0;
        for (int i = 0; i < t->rank - 1; i++)
            first += (size_t)(at[i] * strides[i]);
        for (size_t i = 0; i < cols; i++, to += element)
            memcpy(to, t->data + first * element + i * step, element);
        for (int i = t->rank - 1; i-- > 0 && ++at[i] == t->shape[i];)
            at[i] = 0;
    }
}
