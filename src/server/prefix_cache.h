/*
 * prefix_cache.h - states after prompts, in memory, so that a prompt that begins like an earlier one
 * is not read again. Results do not depend on it: the same tokens give the same bits.
 */
#ifndef SERVER_PREFIX_CACHE_H
#define SERVER_PREFIX_CACHE_H

#include "rwkv7.h"

struct prefix_cache;

/* limit: bytes of all states and tokens; 0: keeps nothing. NULL: out of memory. */
struct prefix_cache *prefix_cache_create(uint64_t limit);
void prefix_cache_close(struct prefix_cache *c);
/*
 * Copies the state after the longest known prefix of ids [count] into the session. Returns the
 * length of the prefix; 0: nothing was copied.
 */
size_t prefix_cache_find(struct prefix_cache *c, struct rwkv7_session *session, const uint32_t *ids, size_t count);
/*
 * Keeps a copy of the state of a session that has evaluated ids [count]. Removes those that were
 * not used for the longest time. Does nothing when out of memory.
 */
void prefix_cache_keep(struct prefix_cache *c, const struct rwkv7_session *session, const uint32_t *ids, size_t count);
uint64_t prefix_cache_bytes(const struct prefix_cache *c);

#endif
