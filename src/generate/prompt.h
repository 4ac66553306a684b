/*
 * prompt.h - the pending tokens of a request: fed but not evaluated yet. It tokenizes text that is
 * added in pieces of any size.
 *
 * The tokens do not depend on how the text is divided: the end of a piece is tokenized only when
 * the following bytes are known.
 */
#ifndef GENERATE_PROMPT_H
#define GENERATE_PROMPT_H

#include "rwkv7.h"

struct prompt {
    const struct rwkv7_tokenizer *tokenizer;
    uint8_t *text; /* [text_size] text whose tokens may still change */
    size_t text_size, text_room;
    uint32_t *ids; /* [begin, end) not yet evaluated */
    size_t begin, end, room;
};

/*
 * Returns whether a prompt starts with token 0. Everything that starts a prompt uses this function.
 * at_start: the session has evaluated nothing.
 */
bool prompt_begins_with_bos(const struct rwkv7_tokenizer *tokenizer, enum rwkv7_bos bos, bool at_start);

void prompt_free(struct prompt *p);
/* The tokenizer accepts at most `size` bytes at a time; divide longer texts. */
enum rwkv7_status prompt_add_text(struct prompt *p, const void *text, size_t size, struct rwkv7_error *err);
/* Tokenizes the rest; no text follows. */
enum rwkv7_status prompt_end_text(struct prompt *p, struct rwkv7_error *err);
enum rwkv7_status prompt_add_tokens(struct prompt *p, const uint32_t *ids, size_t count, struct rwkv7_error *err);
/* Reserves room for `count` more tokens, so that adding them cannot fail. */
enum rwkv7_status prompt_reserve(struct prompt *p, size_t count, struct rwkv7_error *err);
/* Removes the first `count` tokens, which were evaluated. */
void prompt_drop(struct prompt *p, size_t count);

#endif
