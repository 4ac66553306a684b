/*
 * gguf_writer.h - GGUF files as llama.cpp writes them, so that the tests need no model of gigabytes: any tensors, or an RWKV-7 model with
 * the names, the orientations and the merged tensors that its converter makes.
 */
#ifndef GGUF_WRITER_H
#define GGUF_WRITER_H

#include <stdbool.h>

#include "formats/tensors.h"

struct gguf_value {
    const char *key;
    const char *string;         /* a string; NULL: one of the others */
    const char *const *strings; /* [count]; NULL: a number */
    size_t count;
    uint32_t number; /* u32, or, if `real` is not 0, f32 */
    float real;
};

/* False when the file cannot be written. Of struct tensor, `file` is not used. */
bool gguf_write(const char *path, const struct gguf_value *values, size_t value_count, const struct tensor *tensors,
                size_t count);

/*
 * The same for the tensors of a model under BlinkDL's names in the orientation of a .pth. Vectors become float32. `tokens`, of which
 * there are `token_count`, may be NULL.
 */
bool gguf_write_model(const char *path, const struct tensor_index *model, const char *const *tokens,
                      size_t token_count);

#endif
