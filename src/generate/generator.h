/* generator.h - functions of a generator for src/cli and src/generate, in addition to rwkv7.h. */
#ifndef GENERATE_GENERATOR_H
#define GENERATE_GENERATOR_H

#include "generate/prompt_cache.h"
#include "generate/request.h"

/*
 * Lets the generator evaluate its prompt with a cache. Call it before feeding. The cache must
 * outlive the generator; it is opened when the prompt is complete.
 */
void generator_use_cache(struct rwkv7_generator *g, struct prompt_cache *cache);
/*
 * Declares that other prompts may share the text fed so far, so the cache stores the state after
 * it. Returns false if there are too many such borders.
 */
bool generator_mark_border(struct rwkv7_generator *g);
/*
 * Returns the generator's speculation, to read its counts or, before feeding, to change the source
 * of drafts.
 */
struct speculation *generator_speculation(struct rwkv7_generator *g);
/* Replaces options.max_tokens; 0: no tokens, UINT64_MAX: no limit. */
void generator_set_limit(struct rwkv7_generator *g, uint64_t limit);
/* Like rwkv7_generator_sync, but without computing logits: for a prompt that is not continued. */
enum rwkv7_status generator_read_only(struct rwkv7_generator *g, struct rwkv7_error *err);
/* Call it before the first token is drawn: see request_follow. */
enum rwkv7_status generator_follow(struct rwkv7_generator *g, const char *text, size_t size, struct rwkv7_error *err);
/* Sets the logits [V] after the last token. The session must have evaluated all tokens. */
void generator_start_with(struct rwkv7_generator *g, const float *logits);
/* Returns whether the logits are available, so that the text can be continued. */
bool generator_is_ready(const struct rwkv7_generator *g);
/*
 * Enables generator_go_back. `session` stores the state to go back to; it must outlive the
 * generator. Trailing newlines then count as not shown.
 */
void generator_lend_mark(struct rwkv7_generator *g, struct rwkv7_session *session);
/*
 * Reports that the text of the last step was shown. The next call to the generator does this
 * anyway; call this to learn earlier of a lack of memory.
 */
enum rwkv7_status generator_shown(struct rwkv7_generator *g, struct rwkv7_error *err);
/*
 * Reports that the last `bytes` bytes of the last step's text did not reach the reader. Call it
 * before any other function. A state saved afterwards ends before these bytes, and a continued text
 * starts with them.
 */
void generator_unshow(struct rwkv7_generator *g, size_t bytes);
/*
 * After the end of the text: sets the session back to the state before the tokens that were not
 * shown completely. *back: how many drawn tokens this removed; 0: none, nothing was done. *text
 * [*length]: the shown part of their text, valid until the generator is closed.
 */
enum rwkv7_status generator_go_back(struct rwkv7_generator *g, size_t *back, const char **text, size_t *length,
                                    struct rwkv7_error *err);

#endif
