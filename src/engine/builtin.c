/* builtin.c - the model and the vocabulary that are compiled in (cmake/Embed.cmake). */
#include "rwkv7.h"

/* Defined in embed.S. A region is empty if the build embedded no file. */
extern const unsigned char rwkv7_embedded_model[];
extern const uint64_t rwkv7_embedded_model_size;
extern const char rwkv7_embedded_vocab[];
extern const uint64_t rwkv7_embedded_vocab_size;

const void *rwkv7_builtin_model(size_t *size)
{
    *size = (size_t)rwkv7_embedded_model_size;
    return *size != 0 ? rwkv7_embedded_model : NULL;
}

const char *rwkv7_builtin_vocab(size_t *size)
{
    *size = (size_t)rwkv7_embedded_vocab_size;
    return *size != 0 ? rwkv7_embedded_vocab : NULL;
}
