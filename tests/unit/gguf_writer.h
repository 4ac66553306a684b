/*
 * gguf_writer.h - writes small GGUF files in llama.cpp's form, so that tests need no model of
 * gigabytes: arbitrary tensors, or an RWKV-7 model with the names, orientations and merged tensors
 * of llama.cpp's converter.
 */
#ifndef GGUF_WRITER_H
#define GGUF_WRITER_H

#include <stdbool.h>

#include "formats/tensors.h"

struct gguf_value {
    const char *key;
    const char *string;         /* a string; NULL: another type */
    const char *const *strings; /* [count]; NULL: a number */
    size_t count;
    uint32_t number; /* u32; f32 if `real` is not 0 */
    float real;
};

/* Returns false if the file cannot be written. tensors[].file is not used. */
bool gguf_write(const char *path, const struct gguf_value *values, size_t value_count, const struct tensor *tensors,
                size_t count);

/*
 * The same for a model with BlinkDL's names in the .pth orientation. Vectors become float32.
 * `tokens` [token_count] may be NULL.
 */
bool gguf_write_model(const char *path, const struct tensor_index *model, const char *const *tokens,
                      size_t token_count);

#endif
