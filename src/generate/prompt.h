/*
 * prompt.h - the tokens of a request that are not evaluated yet: text comes in, in pieces of any size, tokens go out.
 *
 * The tokens are those of the whole text, however it was cut: the end of a piece waits until the bytes after it are known.
 */
#ifndef GENERATE_PROMPT_H
#define GENERATE_PROMPT_H

#include "rwkv7.h"

struct prompt {
    const struct rwkv7_tokenizer *tokenizer;
    uint8_t *text; /* [text_size] whose tokens could still change */
    size_t text_size, text_room;
    uint32_t *ids; /* [begin, end) not evaluated yet */
    size_t begin, end, room;
};

/* The rule of how a prompt begins, for all that reads prompts: does token 0 come first? `at_start`: nothing was read before it. */
bool prompt_begins_with_bos(const struct rwkv7_tokenizer *tokenizer, enum rwkv7_bos bos, bool at_start);

void prompt_free(struct prompt *p);
/* At most `size` bytes at once go through the tokenizer: cut longer texts. */
enum rwkv7_status prompt_add_text(struct prompt *p, const void *text, size_t size, struct rwkv7_error *err);
/* No text follows what was added: it becomes tokens, all of it. */
enum rwkv7_status prompt_end_text(struct prompt *p, struct rwkv7_error *err);
enum rwkv7_status prompt_add_tokens(struct prompt *p, const uint32_t *ids, size_t count, struct rwkv7_error *err);
/* Room for `count` more tokens, so that adding them cannot fail. */
enum rwkv7_status prompt_reserve(struct prompt *p, size_t count, struct rwkv7_error *err);
/* The first `count` tokens were evaluated. */
void prompt_drop(struct prompt *p, size_t count);

#endif
