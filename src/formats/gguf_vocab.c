/* gguf_vocab.c - see gguf_vocab.h. */
#include "formats/gguf_vocab.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "formats/little.h"

/*
 * Values of token_type that mean text. The other values are control tokens, unknown and unused ids.
 */
enum { TYPE_NORMAL = 1, TYPE_USER_DEFINED = 4 };

#define ID_AND_LENGTH 48 /* most bytes of a line besides the literal */

static bool is_text(const struct gguf_tokens *tokens, uint64_t id)
{
    if (!tokens->types)
        return id != 0;
    const uint32_t type = little32(tokens->types + 4 * id);
    return type == TYPE_NORMAL || type == TYPE_USER_DEFINED;
}

/*
 * Copies the literal and escapes single quotes, because the line puts it between single quotes.
 * Writes at most 2 * size bytes and returns the end. *length is the number of bytes of the token if
 * the literal is well-formed.
 */
static char *write_literal(char *to, const uint8_t *token, size_t size, size_t *length)
{
    *length = 0;
    for (size_t i = 0; i < size; i++, ++*length) {
        if (token[i] == '\'')
            *to++ = '\\';
        size_t n = 1;
        if (token[i] == '\\')
            n = i + 1 < size && token[i + 1] == 'x' ? 4 : 2;
        if (n > size - i)
            n = size - i;
        memcpy(to, token + i, n);
        to += n;
        i += n - 1;
    }
    return to;
}

enum rwkv7_status gguf_vocab(const struct gguf_tokens *tokens, char **text, size_t *size, struct rwkv7_error *err)
{
    size_t room, frames;
    char *to = NULL;
    *text = NULL;
    if (size_mul(ID_AND_LENGTH, tokens->count, &frames) && size_mul(2, tokens->bytes, &room) &&
        size_add(room, frames, &room))
        to = *text = mem_alloc(room, 1);
    if (!to)
        return fail_memory(err, "the vocabulary");
    const uint8_t *at = tokens->strings, *const end = at + tokens->bytes;
    for (uint64_t id = 0; id < tokens->count; id++) {
        const uint64_t stated = (size_t)(end - at) < sizeof stated ? UINT64_MAX : little64(at);
        size_t length;
        if (stated > (size_t)(end - at) - sizeof stated) {
            mem_free(*text);
            *text = NULL;
            return fail(err, RWKV7_ERR_MODEL,
                        "token %" PRIu64 ": length exceeds the token list; the file changed while it was read", id);
        }
        const size_t bytes = (size_t)stated;
        at += sizeof(uint64_t);
        if (is_text(tokens, id)) {
            to += snprintf(to, ID_AND_LENGTH, "%" PRIu64 " b'", id);
            to = write_literal(to, at, bytes, &length);
            to += snprintf(to, ID_AND_LENGTH, "' %zu\n", length);
        }
        at += bytes;
    }
    *size = (size_t)(to - *text);
    return RWKV7_OK;
}
