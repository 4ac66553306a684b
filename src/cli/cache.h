/*
 * cache.h - the state after the beginning of a prompt, kept in a folder, so that a beginning that was read once is not read again.
 *
 * An entry is a state file named after its content: a hash of the model, the way of calculating and the token ids, and how many ids
 * there are. It also holds these ids, so that a hash is never trusted. Nothing is locked: entries appear whole (they are renamed into
 * place), the same name means the same content whoever wrote it, and one that another process removes is merely not found.
 */
#ifndef CLI_CACHE_H
#define CLI_CACHE_H

#include "cli/common.h"

struct cache {
    const char *folder;
    uint64_t limit; /* bytes of all entries */
    uint64_t start; /* the hash of no tokens: the model and the math */
};

/* The cache of the options; makes the folder if needed. */
int cache_open(struct cache *c, const struct args *args, const struct rwkv7_model *model);

/*
 * Brings the session, which is at the start of a document, to the longest known beginning of ids[count] that leaves at least one of
 * them to read. Returns how many are read: 0 when none is known. A broken entry is removed, with a word about it.
 */
size_t cache_find(const struct cache *c, struct rwkv7_session *s, const uint32_t *ids, size_t count);

/* Keeps the state after ids[count]; when that fails it says so, and nothing else happens. */
void cache_keep(const struct cache *c, const struct rwkv7_session *s, const uint32_t *ids, size_t count);

/* Removes the entries that were not used for the longest time until the rest is within the limit. */
void cache_trim(const struct cache *c);

/*
 * After how many of `count` tokens the state is worth keeping, in rising order, all beyond `found` and below `count`: at the borders
 * of the parts that the prompt was made of (marks), as these may be combined with others; near the end, where prompts
 * begin to differ; and at distances before the end that double. Returns how many, at most `room`.
 */
size_t cache_plan(size_t found, size_t count, const size_t *marks, size_t mark_count, size_t *plan, size_t room);

#endif
