/* prefix_cache.c - see prefix_cache.h. */
#include "server/prefix_cache.h"

#include <string.h>

#include "base/mem.h"

struct entry {
    uint32_t *ids; /* [count] */
    size_t count;
    struct rwkv7_session *state;
    uint64_t bytes;
    struct entry *next; /* the next less recently used entry */
};

struct prefix_cache {
    uint64_t limit, bytes;
    struct entry *newest;
};

struct prefix_cache *prefix_cache_create(uint64_t limit)
{
    struct prefix_cache *const c = mem_alloc(1, sizeof *c);
    if (c)
        c->limit = limit;
    return c;
}

static void free_entry(struct entry *e)
{
    rwkv7_session_close(e->state);
    mem_free(e->ids);
    mem_free(e);
}

void prefix_cache_close(struct prefix_cache *c)
{
    if (!c)
        return;
    while (c->newest) {
        struct entry *const next = c->newest->next;
        free_entry(c->newest);
        c->newest = next;
    }
    mem_free(c);
}

/* Moves the entry *link to the front of the list. */
static struct entry *use(struct prefix_cache *c, struct entry **link)
{
    struct entry *const e = *link;
    *link = e->next;
    e->next = c->newest;
    c->newest = e;
    return e;
}

/* Returns the link to the longest entry whose ids are a prefix of ids [count]; NULL: none. */
static struct entry **longest(struct prefix_cache *c, const uint32_t *ids, size_t count)
{
    struct entry **best = NULL;
    for (struct entry **at = &c->newest; *at; at = &(*at)->next)
        if ((*at)->count <= count && (!best || (*at)->count > (*best)->count) &&
            memcmp((*at)->ids, ids, (*at)->count * sizeof *ids) == 0)
            best = at;
    return best;
}

size_t prefix_cache_find(struct prefix_cache *c, struct rwkv7_session *session, const uint32_t *ids, size_t count)
{
    struct entry **const best = longest(c, ids, count);
    if (!best)
        return 0;
    const struct entry *const e = use(c, best);
    rwkv7_session_copy(session, e->state);
    return e->count;
}

static void trim(struct prefix_cache *c)
{
    while (c->bytes > c->limit) {
        struct entry **oldest = &c->newest;
        while ((*oldest)->next)
            oldest = &(*oldest)->next;
        c->bytes -= (*oldest)->bytes;
        free_entry(*oldest);
        *oldest = NULL;
    }
}

void prefix_cache_keep(struct prefix_cache *c, const struct rwkv7_session *session, const uint32_t *ids, size_t count)
{
    const uint64_t bytes = rwkv7_model_info(rwkv7_session_model(session))->session_bytes + count * sizeof *ids;
    struct entry **const known = longest(c, ids, count);
    if (known && (*known)->count == count) {
        use(c, known);
        return;
    }
    if (bytes > c->limit || count == 0)
        return;
    struct entry *const e = mem_alloc(1, sizeof *e);
    if (!e)
        return;
    e->ids = mem_alloc(count, sizeof *ids);
    if (!e->ids || rwkv7_session_clone(session, &e->state, NULL) != RWKV7_OK) {
        free_entry(e);
        return;
    }
    memcpy(e->ids, ids, count * sizeof *ids);
    e->count = count;
    e->bytes = bytes;
    e->next = c->newest;
    c->newest = e;
    c->bytes += bytes;
    trim(c);
}

uint64_t prefix_cache_bytes(const struct prefix_cache *c)
{
    return c->bytes;
}
