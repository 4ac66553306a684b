/* generator.h - functions of a generator for src/cli and src/generate, in addition to rwkv7.h. */
#ifndef GENERATE_GENERATOR_H
#define GENERATE_GENERATOR_H

#include "generate/prompt_cache.h"
#include "generate/request.h"

/*
 * Evaluates the prompt with the help of the cache. Call it before feeding. The cache must outlive
 * the generator and is opened when the prompt is complete.
 */
void generator_use_cache(struct rwkv7_generator *g, struct prompt_cache *cache);
/*
 * Marks the end of the text fed so far as the end of a part that other prompts may share, so that
 * the cache keeps its state. False: too many marks.
 */
bool generator_mark_border(struct rwkv7_generator *g);
/* Returns where its drafts come from, to change that before anything is fed, and its counts. */
struct speculation *generator_speculation(struct rwkv7_generator *g);
/* Replaces options.max_tokens; 0: no tokens, UINT64_MAX: no limit. */
void generator_set_limit(struct rwkv7_generator *g, uint64_t limit);
/*
 * As rwkv7_generator_sync, without the logits after the last token: for a prompt that is not
 * continued.
 */
enum rwkv7_status generator_read_only(struct rwkv7_generator *g, struct rwkv7_error *err);
/* Sets the logits [V] after the last token of a session that has evaluated everything. */
void generator_start_with(struct rwkv7_generator *g, const float *logits);
/* Returns whether the logits are available, so that the text can be continued. */
bool generator_is_ready(const struct rwkv7_generator *g);
/*
 * Makes generator_go_back possible: `session` stores the state, and must outlive the generator.
 * Newlines at the end of the text count as not shown.
 */
void generator_lend_mark(struct rwkv7_generator *g, struct rwkv7_session *session);
/*
 * Reports that the text of the last step was shown. The next call does so itself; this one only
 * reports a lack of memory earlier.
 */
enum rwkv7_status generator_shown(struct rwkv7_generator *g, struct rwkv7_error *err);
/*
 * Reports that the last `bytes` bytes of the last step's text did not reach the reader. Call it
 * before any other function. A state saved then ends before them, and they come first when the text
 * is continued.
 */
void generator_unshow(struct rwkv7_generator *g, size_t bytes);
/*
 * After the end of the text: returns the session to the state before the tokens that were not shown
 * completely. *back: the number of those tokens that were drawn; 0 if there are none and nothing
 * was done. *text [*length]: the shown part of their text, valid until the generator is closed.
 */
enum rwkv7_status generator_go_back(struct rwkv7_generator *g, size_t *back, const char **text, size_t *length,
                                    struct rwkv7_error *err);

#endif
