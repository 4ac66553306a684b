/* prefix_cache.c - see prefix_cache.h. */
#include "server/prefix_cache.h"

#include <string.h>

#include "base/mem.h"

enum { GRID = 512, GRID_PLACES = 8 };

struct entry {
    char *salt;
    uint32_t *ids; /* [count] */
    size_t count;
    struct rwkv7_session *state;
    uint64_t bytes;
    struct entry *next; /* the next less recently used entry */
};

struct prefix_cache {
    uint64_t limit, bytes;
    struct prompt_cache *folder; /* NULL: none */
    struct entry *newest;
};

struct prefix_cache *prefix_cache_create(uint64_t limit, struct prompt_cache *folder)
{
    struct prefix_cache *const c = mem_alloc(1, sizeof *c);
    if (c) {
        c->limit = limit;
        c->folder = folder;
    }
    return c;
}

static void free_entry(struct entry *e)
{
    rwkv7_session_close(e->state);
    mem_free(e->salt);
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

/* Returns the link to the longest entry of this salt whose ids are a prefix of ids [count]; NULL: none. */
static struct entry **longest(struct prefix_cache *c, const char *salt, const uint32_t *ids, size_t count)
{
    struct entry **best = NULL;
    for (struct entry **at = &c->newest; *at; at = &(*at)->next)
        if ((*at)->count <= count && (!best || (*at)->count > (*best)->count) &&
            memcmp((*at)->ids, ids, (*at)->count * sizeof *ids) == 0 && strcmp((*at)->salt, salt) == 0)
            best = at;
    return best;
}

size_t prefix_cache_find(struct prefix_cache *c, const char *salt, struct rwkv7_session *session, const uint32_t *ids,
                         size_t count)
{
    struct entry **const best = longest(c, salt, ids, count);
    const size_t known = best ? (*best)->count : 0;
    if (c->folder && !*salt && known + PROMPT_CACHE_GAP < count) {
        const size_t found = prompt_cache_find(c->folder, session, ids, count);
        if (found > known) {
            prefix_cache_keep(c, salt, session, ids, found);
            return found;
        }
    }
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

void prefix_cache_keep(struct prefix_cache *c, const char *salt, const struct rwkv7_session *session,
                       const uint32_t *ids, size_t count)
{
    const uint64_t bytes = rwkv7_model_info(rwkv7_session_model(session))->session_bytes + count * sizeof *ids;
    struct entry **const known = longest(c, salt, ids, count);
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
    e->salt = mem_string(salt, strlen(salt));
    if (!e->ids || !e->salt || rwkv7_session_clone(session, &e->state, NULL) != RWKV7_OK) {
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

void prefix_cache_share(struct prefix_cache *c, const char *salt, const struct rwkv7_session *session,
                        const uint32_t *ids, size_t count)
{
    prefix_cache_keep(c, salt, session, ids, count);
    if (!c->folder || *salt)
        return;
    prompt_cache_keep(c->folder, session, ids, count);
    prompt_cache_trim(c->folder);
}

bool prefix_cache_is_on(const struct prefix_cache *c)
{
    return c->limit > 0 || c->folder;
}

size_t prefix_cache_plan(size_t found, size_t count, const size_t *marks, size_t mark_count, size_t *plan, size_t room)
{
    const size_t most = count - 1; /* the last token is always evaluated, for its logits */
    size_t n = 0, step = GRID;
    for (size_t i = 0; i < mark_count && n + 1 + GRID_PLACES < room; i++)
        if (marks[i] < most)
            prompt_cache_consider(marks[i], found, plan, &n, room);
    prompt_cache_consider(most, found, plan, &n, room);
    while (most > found && (most - found) / step > GRID_PLACES)
        step *= 2;
    for (size_t place = found / step * step + step; place < most; place += step)
        prompt_cache_consider(place, found, plan, &n, room);
    return n;
}

uint64_t prefix_cache_bytes(const struct prefix_cache *c)
{
    return c->bytes;
}
