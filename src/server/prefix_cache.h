/*
 * prefix_cache.h - an LRU cache of states after prompt prefixes, in memory. A prefix shared with an
 * earlier prompt is not evaluated again. Results do not depend on the cache: the same tokens give
 * the same bits. But the time to an answer tells whether somebody has sent the same prefix. So a
 * request finds only the states of requests with the same salt, a text that clients choose.
 *
 * Behind it may be a folder of states that is shared with other processes (generate/prompt_cache.h),
 * for prompts without a salt.
 */
#ifndef SERVER_PREFIX_CACHE_H
#define SERVER_PREFIX_CACHE_H

#include "generate/prompt_cache.h"

struct prefix_cache;

/*
 * limit: bytes of all states and tokens; 0: stores nothing. folder: an open cache, or NULL. Returns
 * NULL if out of memory.
 */
struct prefix_cache *prefix_cache_create(uint64_t limit, struct prompt_cache *folder);
void prefix_cache_close(struct prefix_cache *c);
/*
 * Copies the state after the longest cached prefix of ids [count] into the session. Returns the
 * length of the prefix; 0: none, nothing was copied.
 */
size_t prefix_cache_find(struct prefix_cache *c, const char *salt, struct rwkv7_session *session, const uint32_t *ids,
                         size_t count);
/*
 * Stores a copy of the state of a session that has evaluated ids [count]; evicts the least recently
 * used entries. Does nothing if out of memory.
 */
void prefix_cache_keep(struct prefix_cache *c, const char *salt, const struct rwkv7_session *session,
                       const uint32_t *ids, size_t count);
/* Stores it in the folder, too. */
void prefix_cache_share(struct prefix_cache *c, const char *salt, const struct rwkv7_session *session,
                        const uint32_t *ids, size_t count);
bool prefix_cache_is_on(const struct prefix_cache *c);
/*
 * Plans at which token counts of a prompt to store the state, in ascending order, above `found`: at
 * the marks, at the end, and every 512 tokens (or twice, four times, ... as many, so that
 * they are at most eight). Returns their number, at most `room`.
 */
size_t prefix_cache_plan(size_t found, size_t count, const size_t *marks, size_t mark_count, size_t *plan, size_t room);
uint64_t prefix_cache_bytes(const struct prefix_cache *c);

#endif
