/*
 * gguf_vocab.h - converts the token list in the metadata of an RWKV GGUF file to a vocabulary in
 * the World format.
 *
 * llama.cpp's converter stores each token as the text that Python's repr gives for its bytes,
 * without the b and the quotes: printable ASCII as it is, \\ \t \n \r, \xNN, and \' only in a token
 * that contains both kinds of quotes. Two kinds of ids are not text: id 0, stored as "<s>", and ids
 * past the end of the vocabulary, stored as "[PAD65535]". token_type distinguishes them from text.
 */
#ifndef FORMATS_GGUF_VOCAB_H
#define FORMATS_GGUF_VOCAB_H

#include "base/status.h"

struct gguf_tokens {
    uint64_t count;
    const uint8_t *strings; /* [bytes]; `count` strings, each a u64 length and its bytes */
    size_t bytes;
    const uint8_t *types; /* [count] i32; NULL: all ids but 0 are text */
};

/*
 * Writes a line `ID b'...' LENGTH` for every token that is text; the caller frees *text with
 * mem_free. The literals are not checked here: the vocabulary reader does that. A malformed token
 * invalidates its own line but cannot forge another one.
 *
 * RWKV7_ERR_MODEL if a length exceeds `bytes`. gguf.c has checked the lengths, but another process
 * can change a mapped file.
 */
enum rwkv7_status gguf_vocab(const struct gguf_tokens *tokens, char **text, size_t *size, struct rwkv7_error *err);

#endif
