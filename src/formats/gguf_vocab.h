/*
 * gguf_vocab.h - the tokens in the metadata of a GGUF file of an RWKV model, as a vocabulary in the World format.
 *
 * llama.cpp's converter stores of every token what Python's repr prints of its bytes, without the b and the quotes:
 * printable ASCII as it is, \\ \t \n \r, \xNN, and \' only in a token that holds both kinds of quotes. Id 0, which has no
 * text, is there as "<s>" and ids past the end of the vocabulary as "[PAD65535]"; token_type tells these from text.
 */
#ifndef FORMATS_GGUF_VOCAB_H
#define FORMATS_GGUF_VOCAB_H

#include "base/status.h"

struct gguf_tokens {
    uint64_t count;
    const uint8_t *strings; /* [bytes]; `count` times a u64 length and so many bytes */
    size_t bytes;
    const uint8_t *types; /* `count` times an i32; NULL: all but id 0 are text */
};

/*
 * *text is a line `ID b'...' LENGTH` for every token that is text, to be freed with mem_free. Whether they are sound is
 * seen when the text is read as a vocabulary: a token can spoil its own line but not forge another. RWKV7_ERR_MODEL when the
 * tokens go on beyond their bytes: that was checked before, but a file that is mapped can change.
 */
enum rwkv7_status gguf_vocab(const struct gguf_tokens *tokens, char **text, size_t *size, struct rwkv7_error *err);

#endif
