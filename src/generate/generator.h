/* generator.h - what the program and the other files here may ask of a generator beside rwkv7.h. */
#ifndef GENERATE_GENERATOR_H
#define GENERATE_GENERATOR_H

#include "generate/prompt_cache.h"
#include "generate/request.h"

/* The prompt goes through the cache, which must outlive the generator and is opened when the prompt is complete. Before feeding. */
void generator_use_cache(struct rwkv7_generator *g, struct prompt_cache *cache);
/* The text that was fed so far is a part that prompts may have in common: worth a place in the cache. False: too many of them. */
bool generator_mark_border(struct rwkv7_generator *g);
/* In place of options.max_tokens; 0 is no token at all, UINT64_MAX no limit. */
void generator_set_limit(struct rwkv7_generator *g, uint64_t limit);
/* rwkv7_generator_sync, but the logits after the last token are not evaluated: for a prompt that is not continued. */
enum rwkv7_status generator_read_only(struct rwkv7_generator *g, struct rwkv7_error *err);
/* The session has read all there is, and these [V] are the logits after the last token. */
void generator_start_with(struct rwkv7_generator *g, const float *logits);
/* The session's logits are there: the text can be continued. */
bool generator_is_ready(const struct rwkv7_generator *g);
/* The way back is kept in `session`, which must outlive the generator. Newlines at the end of the text count as not shown. */
void generator_lend_mark(struct rwkv7_generator *g, struct rwkv7_session *session);
/*
 * The text has ended: the session goes back in front of the tokens that were not shown as a whole. *back: how many of those that were drawn, 0 if
 * there are none and nothing was done; *text [*length]: what was shown of them, valid until the generator is closed.
 */
enum rwkv7_status generator_go_back(struct rwkv7_generator *g, size_t *back, const char **text, size_t *length,
                                    struct rwkv7_error *err);

#endif
