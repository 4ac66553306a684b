/*
 * matcher.c - the public objects: matchers, and grammars, which are shared and cached by their
 * text.
 *
 * An `engine` holds what a grammar computes on demand (automaton, masks); it is used under the
 * grammar's lock. A matcher keeps all its tokens. When its engine is full, it replays them in a new
 * one. So memory is limited, and a text fails only if it fills an engine by itself.
 */
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "base/options.h"
#include "matcher/calls.h"
#include "matcher/mask.h"
#include "matcher/source.h"

#define KEPT 16u               /* cached grammars per tokenizer */
#define KEPT_BYTES (64u << 20) /* of these together */
#define MAX_TOKENS (1u << 28)  /* of a text */

struct engine {
    struct automaton *automaton;
    struct mask_store *masks;
    uint32_t users; /* the grammar and matchers; under the grammar's lock */
};

struct rwkv7_grammar {
    atomic_uint users; /* references: of the caller, of matchers, and of the tokenizer's cache */
    struct grammar *grammar;
    const struct rwkv7_tokenizer *tokenizer;
    const struct vocab_tree *tree;
    struct part_shelf *shelf; /* the tokenizer's */
    size_t mask_bytes;
    struct fork_lock lock; /* of the engine */
    unsigned forks;        /* fork_count() of the engine: after a fork, a new engine is made */
    struct engine *engine;
    char *key; /* [key_size] kind, flags and text */
    size_t key_size;
};

struct rwkv7_matcher {
    struct rwkv7_grammar *grammar;
    struct engine *engine;    /* the grammar's current or older one, or its own; NULL: none */
    unsigned forks;           /* fork_count() when it got the engine */
    uint32_t *ids;            /* [count] tokens since the start */
    uint32_t *configurations; /* [count + 1] before each token, and the current one */
    size_t count, room;
    bool accepting;
    uint64_t *mask; /* [words] */
    size_t words;
};

/* --------------------------------------------------------------------------------------- engine */

static void engine_free(struct engine *e)
{
    if (!e)
        return;
    mask_store_free(e->masks);
    automaton_free(e->automaton);
    mem_free(e);
}

static enum rwkv7_status engine_create(const struct rwkv7_grammar *g, struct engine **out, struct rwkv7_error *err)
{
    struct engine *const e = *out = mem_alloc(1, sizeof *e);
    if (!e)
        return fail_memory(err, "the constraint");
    e->users = 1;
    enum rwkv7_status status = automaton_create(g->grammar, &e->automaton, err);
    if (status == RWKV7_OK)
        status = mask_store_create(e->automaton, g->tree, g->shelf, rwkv7_tokenizer_has_end_of_text(g->tokenizer),
                                   g->mask_bytes, &e->masks, err);
    if (status != RWKV7_OK) {
        engine_free(e);
        *out = NULL;
    }
    return status;
}

static void engine_release(struct engine *e)
{
    if (e && --e->users == 0)
        engine_free(e);
}

/* Gives the grammar a new engine. The caller holds the lock. */
static enum rwkv7_status renew(struct rwkv7_grammar *g, struct rwkv7_error *err)
{
    struct engine *fresh;
    const enum rwkv7_status status = engine_create(g, &fresh, err);
    if (status != RWKV7_OK)
        return status;
    engine_release(g->engine);
    g->engine = fresh;
    return RWKV7_OK;
}

/* -------------------------------------------------------------------------------------- grammar */

static void grammar_release(struct rwkv7_grammar *g)
{
    if (!g || atomic_fetch_sub(&g->users, 1) != 1)
        return;
    engine_release(g->engine);
    grammar_free(g->grammar);
    fork_lock_destroy(&g->lock);
    mem_free(g->key);
    mem_free(g);
}

void rwkv7_grammar_close(struct rwkv7_grammar *g)
{
    grammar_release(g);
}

/* The grammar cache of a tokenizer. */
struct kept {
    struct part_shelf *shelf;
    struct rwkv7_grammar *grammars[KEPT]; /* most recently used first; NULL: none */
};

static void kept_free(void *data)
{
    struct kept *const k = data;
    for (unsigned i = 0; i < KEPT; i++)
        grammar_release(k->grammars[i]);
    part_shelf_free(k->shelf);
    mem_free(k);
}

/* Returns the tokenizer's grammar cache; the first call creates it. The caller holds the lock. */
static enum rwkv7_status kept_open(struct tokenizer_cache *cache, struct kept **out, struct rwkv7_error *err)
{
    *out = cache->data;
    if (*out)
        return RWKV7_OK;
    struct kept *const k = mem_alloc(1, sizeof *k);
    if (!k)
        return fail_memory(err, "the constraint");
    const enum rwkv7_status status = part_shelf_create(&k->shelf, err);
    if (status != RWKV7_OK) {
        mem_free(k);
        return status;
    }
    cache->data = *out = k;
    cache->free = kept_free;
    return RWKV7_OK;
}

/* Moves the grammar at `i` to the front. */
static void to_front(struct kept *k, unsigned i)
{
    struct rwkv7_grammar *const g = k->grammars[i];
    memmove(k->grammars + 1, k->grammars, i * sizeof(struct rwkv7_grammar *));
    k->grammars[0] = g;
}

static struct rwkv7_grammar *find_kept(struct kept *k, const char *key, size_t size)
{
    for (unsigned i = 0; i < KEPT && k->grammars[i]; i++) {
        struct rwkv7_grammar *const g = k->grammars[i];
        if (g->key_size != size || memcmp(g->key, key, size) != 0)
            continue;
        to_front(k, i);
        atomic_fetch_add(&g->users, 1);
        return g;
    }
    return NULL;
}

static size_t grammar_bytes(struct rwkv7_grammar *g)
{
    fork_lock_take(&g->lock);
    const size_t bytes = g->forks != fork_count()
                             ? 0
                             : automaton_bytes(g->engine->automaton) + mask_store_bytes(g->engine->masks) + g->key_size;
    fork_lock_give(&g->lock);
    return bytes;
}

/* Adds a grammar at the front; evicts grammars from the end beyond KEPT and KEPT_BYTES. */
static void keep(struct kept *k, struct rwkv7_grammar *g)
{
    size_t bytes = 0;
    grammar_release(k->grammars[KEPT - 1]);
    k->grammars[KEPT - 1] = g;
    atomic_fetch_add(&g->users, 1);
    to_front(k, KEPT - 1);
    for (unsigned i = 1; i < KEPT && k->grammars[i]; i++) {
        bytes += bytes <= KEPT_BYTES ? grammar_bytes(k->grammars[i]) : 0;
        if (bytes > KEPT_BYTES) {
            grammar_release(k->grammars[i]);
            memmove(k->grammars + i, k->grammars + i + 1, (KEPT - 1 - i) * sizeof(struct rwkv7_grammar *));
            k->grammars[KEPT - 1] = NULL;
            i--;
        }
    }
}

/* What a grammar is made of: options, checked by source_check, or calls. */
struct origin {
    struct rwkv7_grammar_options options;
    const struct call_grammar *calls; /* NULL: options */
    size_t *refused;                  /* as for calls_build */
};

static enum rwkv7_status compile(const struct origin *o, struct rwkv7_grammar *g, struct rwkv7_error *err)
{
    enum rwkv7_status status = tokenizer_tree(g->tokenizer, &g->tree, err);
    if (status == RWKV7_OK)
        status = grammar_create(&g->grammar, err);
    if (status == RWKV7_OK)
        status =
            o->calls ? calls_build(o->calls, g->grammar, o->refused, err) : source_build(&o->options, g->grammar, err);
    return status == RWKV7_OK ? engine_create(g, &g->engine, err) : status;
}

/* Finds a grammar in the cache, or compiles it. */
static enum rwkv7_status open_grammar(const struct origin *o, const struct rwkv7_tokenizer *tokenizer,
                                      struct rwkv7_grammar **out, struct rwkv7_error *err)
{
    struct tokenizer_cache *const cache = tokenizer_cache(tokenizer);
    const size_t bytes = o->options.mask_bytes;
    struct rwkv7_grammar *g = NULL;
    struct kept *kept;
    char *key = NULL;
    size_t size;
    *out = NULL;
    enum rwkv7_status status =
        o->calls ? calls_key(o->calls, &key, &size, err) : source_key(&o->options, &key, &size, err);
    if (status != RWKV7_OK)
        return status;
    fork_lock_take(&cache->lock);
    status = kept_open(cache, &kept, err);
    if (status == RWKV7_OK)
        *out = find_kept(kept, key, size);
    fork_lock_give(&cache->lock);
    if (status != RWKV7_OK || *out)
        goto end;
    g = mem_alloc(1, sizeof *g);
    if (!g) {
        status = fail_memory(err, "the constraint");
        goto end;
    }
    atomic_store(&g->users, 1);
    fork_lock_init(&g->lock);
    g->forks = fork_count();
    g->tokenizer = tokenizer;
    g->shelf = kept->shelf;
    g->mask_bytes = bytes == 0 ? MASK_BYTES_DEFAULT : bytes == RWKV7_NO_MASK_CACHE ? 0 : bytes;
    g->key = key;
    g->key_size = size;
    key = NULL;
    status = compile(o, g, err);
    if (status != RWKV7_OK) {
        grammar_release(g);
        goto end;
    }
    fork_lock_take(&cache->lock); /* duplicates of other threads are harmless */
    keep(kept, g);
    fork_lock_give(&cache->lock);
    *out = g;
end:
    mem_free(key);
    return status;
}

enum rwkv7_status rwkv7_grammar_create(const struct rwkv7_grammar_options *given,
                                       const struct rwkv7_tokenizer *tokenizer, struct rwkv7_grammar **out,
                                       struct rwkv7_error *err)
{
    struct origin o = {0};
    *out = NULL;
    enum rwkv7_status status = OPTIONS_READ(rwkv7_grammar_options, &o.options, given, mask_bytes, err);
    if (status == RWKV7_OK)
        status = source_check(&o.options, err);
    return status == RWKV7_OK ? open_grammar(&o, tokenizer, out, err) : status;
}

enum rwkv7_status grammar_of_calls(const struct call_grammar *c, const struct rwkv7_tokenizer *tokenizer,
                                   struct rwkv7_grammar **out, size_t *refused, struct rwkv7_error *err)
{
    const struct origin o = {.calls = c, .refused = refused};
    *refused = SIZE_MAX;
    return open_grammar(&o, tokenizer, out, err);
}

/* -------------------------------------------------------------------------------------- matcher */

static bool reserve(struct rwkv7_matcher *m, size_t count)
{
    if (count < m->room)
        return true;
    const size_t room = m->room * 2 > count + 1 ? m->room * 2 : count + 64;
    if (room > MAX_TOKENS)
        return false;
    uint32_t *const ids = mem_grow(m->ids, m->count, room, sizeof *ids);
    if (ids)
        m->ids = ids;
    uint32_t *const configurations =
        mem_grow(m->configurations, m->room ? m->count + 1 : 0, room + 1, sizeof *configurations);
    if (configurations)
        m->configurations = configurations;
    if (!ids || !configurations)
        return false;
    m->room = room;
    return true;
}

static void update(struct rwkv7_matcher *m)
{
    m->accepting = automaton_configuration(m->engine->automaton, m->configurations[m->count]).accepts;
}

/* The configuration after the bytes of a token; AUTOMATON_DEAD: not allowed. */
static enum rwkv7_status read_token(const struct rwkv7_matcher *m, uint32_t configuration, uint32_t id, uint32_t *next,
                                    struct rwkv7_error *err)
{
    size_t length;
    const uint8_t *const bytes = rwkv7_tokenizer_bytes(m->grammar->tokenizer, id, &length);
    enum rwkv7_status status = RWKV7_OK;
    *next = length > 0 ? configuration : AUTOMATON_DEAD;
    for (size_t i = 0; i < length && *next != AUTOMATON_DEAD && status == RWKV7_OK; i++)
        status = automaton_step(m->engine->automaton, *next, bytes[i], next, err);
    return status;
}

/*
 * Moves the matcher to another engine: replays its tokens there. On failure nothing is changed. The
 * caller holds the lock.
 */
static enum rwkv7_status move(struct rwkv7_matcher *m, struct engine *to, struct rwkv7_error *err)
{
    struct engine *const from = m->engine;
    uint32_t *const old = m->configurations, *const fresh = mem_alloc(m->room + 1, sizeof *fresh);
    if (!fresh)
        return fail_memory(err, "the matcher");
    enum rwkv7_status status = RWKV7_OK;
    m->engine = to;
    fresh[0] = automaton_start(to->automaton);
    for (size_t i = 0; i < m->count && status == RWKV7_OK; i++)
        status = read_token(m, fresh[i], m->ids[i], &fresh[i + 1], err);
    if (status != RWKV7_OK) {
        m->engine = from;
        mem_free(fresh);
        return status;
    }
    to->users++;
    engine_release(from);
    m->configurations = fresh;
    mem_free(old);
    return RWKV7_OK;
}

/*
 * Gives a matcher without an engine of this process the grammar's engine. The caller holds the
 * lock.
 */
static enum rwkv7_status attach(struct rwkv7_matcher *m, struct rwkv7_error *err)
{
    struct rwkv7_grammar *const g = m->grammar;
    if (g->forks != fork_count()) { /* may be inconsistent after a fork: leak it */
        g->engine = NULL;
        const enum rwkv7_status status = renew(g, err);
        if (status != RWKV7_OK)
            return status;
        g->forks = fork_count();
    }
    if (m->forks != fork_count()) {
        m->engine = NULL;
        m->forks = fork_count();
    }
    return m->engine ? RWKV7_OK : move(m, g->engine, err);
}

/* An operation on a matcher with its engine, under the lock. */
typedef enum rwkv7_status operation(struct rwkv7_matcher *m, void *arg, struct rwkv7_error *err);

/* Moves the matcher to an engine and runs the operation. *full: the engine was full. */
static enum rwkv7_status run_with(struct rwkv7_matcher *m, struct engine *e, operation *op, void *arg, bool *full,
                                  struct rwkv7_error *err)
{
    enum rwkv7_status status = m->engine == e ? RWKV7_OK : move(m, e, err);
    if (status == RWKV7_OK)
        status = op(m, arg, err);
    *full = automaton_recover(e->automaton);
    return status;
}

/*
 * Runs an operation. If the matcher's engine is full, the matcher moves to the grammar's engine; if
 * that is the full one, the grammar gets a new one first. If other long texts fill this one too,
 * the matcher gets an engine of its own.
 */
static enum rwkv7_status run(struct rwkv7_matcher *m, operation *op, void *arg, struct rwkv7_error *err)
{
    struct rwkv7_grammar *const g = m->grammar;
    struct engine *own = NULL;
    bool full = false;
    fork_lock_take(&g->lock);
    enum rwkv7_status status = attach(m, err);
    if (status == RWKV7_OK)
        status = run_with(m, m->engine, op, arg, &full, err);
    if (full && (m->engine != g->engine || renew(g, err) == RWKV7_OK))
        status = run_with(m, g->engine, op, arg, &full, err);
    if (full && engine_create(g, &own, err) == RWKV7_OK) {
        status = run_with(m, own, op, arg, &full, err);
        engine_release(own);
    }
    if (status == RWKV7_OK)
        update(m);
    fork_lock_give(&g->lock);
    return status;
}

static enum rwkv7_status do_nothing(struct rwkv7_matcher *m, void *arg, struct rwkv7_error *err)
{
    (void)m, (void)arg, (void)err;
    return RWKV7_OK;
}

enum rwkv7_status rwkv7_matcher_create(struct rwkv7_grammar *grammar, struct rwkv7_matcher **out,
                                       struct rwkv7_error *err)
{
    struct rwkv7_matcher *const m = *out = mem_alloc(1, sizeof *m);
    if (!m)
        return fail_memory(err, "the matcher");
    m->grammar = grammar;
    m->forks = fork_count();
    atomic_fetch_add(&grammar->users, 1);
    m->words = ((size_t)grammar->tree->vocab + 63) / 64;
    m->mask = mem_alloc(m->words, sizeof *m->mask);
    enum rwkv7_status status =
        m->mask && reserve(m, 0) ? run(m, do_nothing, NULL, err) : fail_memory(err, "the matcher");
    if (status != RWKV7_OK) {
        rwkv7_matcher_close(m);
        *out = NULL;
    }
    return status;
}

void rwkv7_matcher_close(struct rwkv7_matcher *m)
{
    if (!m)
        return;
    struct rwkv7_grammar *const g = m->grammar;
    fork_lock_take(&g->lock);
    if (m->forks == fork_count()) /* an engine of the parent process may be inconsistent */
        engine_release(m->engine);
    fork_lock_give(&g->lock);
    mem_free(m->ids);
    mem_free(m->configurations);
    mem_free(m->mask);
    mem_free(m);
    grammar_release(g);
}

enum rwkv7_status rwkv7_matcher_copy(struct rwkv7_matcher *to, const struct rwkv7_matcher *from,
                                     struct rwkv7_error *err)
{
    if (to->grammar != from->grammar)
        return fail(err, RWKV7_ERR_USAGE, "a matcher can be copied only to a matcher of the same grammar");
    if (to == from)
        return RWKV7_OK;
    if (!reserve(to, from->count))
        return fail_memory(err, "the matcher");
    fork_lock_take(&to->grammar->lock);
    if (from->engine && from->forks == fork_count())
        from->engine->users++;
    if (to->forks == fork_count())
        engine_release(to->engine);
    to->engine = from->engine;
    to->forks = from->forks;
    fork_lock_give(&to->grammar->lock);
    if (from->count > 0)
        memcpy(to->ids, from->ids, from->count * sizeof *to->ids);
    memcpy(to->configurations, from->configurations, (from->count + 1) * sizeof *to->configurations);
    to->count = from->count;
    to->accepting = from->accepting;
    return RWKV7_OK;
}

void rwkv7_matcher_undo(struct rwkv7_matcher *m, size_t count)
{
    m->count -= count < m->count ? count : m->count;
    (void)run(m, do_nothing, NULL, NULL); /* a failure shows in the next call */
}

void rwkv7_matcher_reset(struct rwkv7_matcher *m)
{
    rwkv7_matcher_undo(m, m->count);
}

size_t rwkv7_matcher_tokens(const struct rwkv7_matcher *m)
{
    return m->count;
}

bool rwkv7_matcher_is_accepting(const struct rwkv7_matcher *m)
{
    return m->accepting;
}

/* What the user gave, for messages. */
static const char *given(const struct rwkv7_matcher *m)
{
    return m->engine->automaton->grammar->given;
}

static enum rwkv7_status advance(struct rwkv7_matcher *m, void *arg, struct rwkv7_error *err)
{
    const uint32_t id = *(const uint32_t *)arg;
    uint32_t next;
    size_t length;
    rwkv7_tokenizer_bytes(m->grammar->tokenizer, id, &length);
    if (id == RWKV7_END_OF_TEXT && length == 0) {
        const bool accepts = automaton_configuration(m->engine->automaton, m->configurations[m->count]).accepts;
        return accepts ? RWKV7_OK : fail(err, RWKV7_ERR_USAGE, "%s does not allow the text to end here", given(m));
    }
    const enum rwkv7_status status = read_token(m, m->configurations[m->count], id, &next, err);
    if (status != RWKV7_OK)
        return status;
    if (next == AUTOMATON_DEAD)
        return fail(err, RWKV7_ERR_USAGE, "%s does not allow token %u here", given(m), id);
    m->ids[m->count++] = id;
    m->configurations[m->count] = next;
    return RWKV7_OK;
}

enum rwkv7_status rwkv7_matcher_advance(struct rwkv7_matcher *m, uint32_t id, struct rwkv7_error *err)
{
    return reserve(m, m->count + 1) ? run(m, advance, &id, err) : fail_memory(err, "the matcher");
}

static enum rwkv7_status copy_mask(struct rwkv7_matcher *m, void *arg, struct rwkv7_error *err)
{
    struct mask mask;
    const enum rwkv7_status status = mask_find(m->engine->masks, m->configurations[m->count], &mask, err);
    if (status != RWKV7_OK)
        return status;
    memcpy(m->mask, mask.bits, m->words * sizeof *m->mask);
    *(size_t *)arg = mask.allowed;
    return RWKV7_OK;
}

enum rwkv7_status rwkv7_matcher_mask(struct rwkv7_matcher *m, const uint64_t **mask, size_t *allowed,
                                     struct rwkv7_error *err)
{
    const enum rwkv7_status status = run(m, copy_mask, allowed, err);
    *mask = m->mask;
    if (status == RWKV7_OK && *allowed == 0 && !m->accepting)
        return fail(err, RWKV7_ERR_USAGE, "no token of the vocabulary can continue this text as %s requires", given(m));
    return status;
}

struct forced {
    uint32_t *ids;
    size_t room, count;
};

static enum rwkv7_status find_forced(struct rwkv7_matcher *m, void *arg, struct rwkv7_error *err)
{
    struct forced *const f = arg;
    uint32_t at = m->configurations[m->count];
    f->count = 0;
    while (f->count < f->room && !automaton_configuration(m->engine->automaton, at).accepts) {
        struct mask mask;
        enum rwkv7_status status = mask_find(m->engine->masks, at, &mask, err);
        if (status != RWKV7_OK)
            return status;
        if (mask.allowed != 1)
            break;
        f->ids[f->count++] = mask.only;
        status = read_token(m, at, mask.only, &at, err);
        if (status != RWKV7_OK)
            return status;
    }
    return RWKV7_OK;
}

enum rwkv7_status rwkv7_matcher_forced(struct rwkv7_matcher *m, uint32_t *ids, size_t room, size_t *count,
                                       struct rwkv7_error *err)
{
    struct forced f = {ids, room, 0};
    const enum rwkv7_status status = run(m, find_forced, &f, err);
    *count = status == RWKV7_OK ? f.count : 0;
    return status;
}
