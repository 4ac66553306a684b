/*
 * prompt.h - the tokens of a request that are not evaluated yet. Text is added in pieces of any
 * size; tokens come out.
 *
 * The tokens do not depend on the pieces: the end of a piece waits until the following bytes are
 * known.
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
 * Returns whether token 0 comes first. All code that starts a prompt uses this rule. at_start: the
 * session has evaluated nothing.
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
