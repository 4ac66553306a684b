/*
 * prompt_cache.h - the state after the beginning of a prompt, kept in a folder, so that a beginning that was read once is not read again.
 *
 * An entry is a state file named after its content: a hash of the model, the way of calculating and the token ids, and how many ids
 * there are. It also holds these ids, so that a hash is never trusted. Nothing is locked: entries appear whole (they are renamed into
 * place), the same name means the same content whoever wrote it, and one that another process removes is merely not found.
 */
#ifndef GENERATE_PROMPT_CACHE_H
#define GENERATE_PROMPT_CACHE_H

#include "generate/reading.h"

struct prompt_cache {
    /* set by the user of the cache */
    const char *folder;
    uint64_t limit;       /* bytes of all entries */
    enum rwkv7_math math; /* of the runtime: another one gives other states */
    /* Gets one line when an entry is broken or cannot be kept, which is no reason to fail. May be NULL. */
    void (*warn)(void *arg, const char *message);
    void *warn_arg;

    uint64_t start; /* set by open: the hash of no tokens, from the model and the math */
};

/*
 * Prepares for a model; makes the folder if needed. RWKV7_ERR_IO: the folder cannot be used, belongs to another user, or others may write
 * to it: a state is trusted for being there.
 */
enum rwkv7_status prompt_cache_open(struct prompt_cache *c, const struct rwkv7_model *model, struct rwkv7_error *err);

/*
 * Brings the session, which is at the start of a document, to the longest known beginning of ids[count], which may be all of them.
 * Returns how many are read: 0 when none is known. Removes a broken entry, with a warning. An entry has no logits: who needs those after
 * the last token asks for a beginning of all but that one, and reads it.
 */
size_t prompt_cache_find(const struct prompt_cache *c, struct rwkv7_session *s, const uint32_t *ids, size_t count);

/* Keeps the state of a session that has read ids[count] from the start of a document, and nothing else; when that fails it warns, and nothing else happens. */
void prompt_cache_keep(const struct prompt_cache *c, const struct rwkv7_session *s, const uint32_t *ids, size_t count);

/* Removes the least recently used entries until the rest is within the limit. */
void prompt_cache_trim(const struct prompt_cache *c);

/*
 * After how many of `count` tokens the state is worth keeping, in rising order, all beyond `found` and below `count`: at the borders
 * of the parts that the prompt was made of (marks), as these may be combined with others; near the end, where prompts
 * begin to differ; and at distances before the end that double. Returns how many, at most `room`.
 */
size_t prompt_cache_plan(size_t found, size_t count, const size_t *marks, size_t mark_count, size_t *plan, size_t room);

/*
 * Reads a prompt with an open cache: the session, at the start of a document, starts from what is known, evaluates the rest and keeps
 * the states that are worth it. *cached: tokens that were known. logits, `how` and the result as in reading_eval.
 */
enum rwkv7_status prompt_cache_read(const struct prompt_cache *c, struct reading *how, struct rwkv7_session *s,
                                    const uint32_t *ids, size_t count, const size_t *marks, size_t mark_count,
                                    float *logits, size_t *cached, struct rwkv7_error *err);

#endif
