/*
 * prefix_cache.h - an LRU cache of states after prompt prefixes, in memory. A prefix shared with an
 * earlier prompt is not evaluated again. Results do not depend on the cache: the same tokens give
 * the same bits.
 */
#ifndef SERVER_PREFIX_CACHE_H
#define SERVER_PREFIX_CACHE_H

#include "rwkv7.h"

struct prefix_cache;

/* limit: bytes of all states and tokens; 0: stores nothing. Returns NULL if out of memory. */
struct prefix_cache *prefix_cache_create(uint64_t limit);
void prefix_cache_close(struct prefix_cache *c);
/*
 * Copies the state after the longest cached prefix of ids [count] into the session. Returns the
 * length of the prefix; 0: none, nothing was copied.
 */
size_t prefix_cache_find(struct prefix_cache *c, struct rwkv7_session *session, const uint32_t *ids, size_t count);
/*
 * Stores a copy of the state of a session that has evaluated ids [count]; evicts the least recently
 * used entries. Does nothing if out of memory.
 */
void prefix_cache_keep(struct prefix_cache *c, const struct rwkv7_session *session, const uint32_t *ids, size_t count);
uint64_t prefix_cache_bytes(const struct prefix_cache *c);

#endif
