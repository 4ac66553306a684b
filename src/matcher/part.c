/* part.c - see part.h. */
#include "matcher/part.h"

#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "matcher/regex_node.h"

#define KEEP_FROM 4096u  /* nodes of a walk; shorter walks are repeated */
#define HELD 256u        /* cached parts per automaton; 8 KB each for the World vocabulary */
#define SHELF_PARTS 128u /* cached parts per tokenizer */
#define KEY_ROOM 8192u   /* bytes of an expression in serial form; longer ones are not shared */

/* A reference-counted part; automata and the shelf hold references. */
struct shared_part {
    struct part part; /* first */
    atomic_uint users;
};

static void part_release(struct part *p)
{
    struct shared_part *const s = (struct shared_part *)p;
    if (!s || atomic_fetch_sub(&s->users, 1) != 1)
        return;
    mem_free(p->bits);
    mem_free(p->exits);
    mem_free(s);
}

/* ---------------------------------------------------------------------------------------- shelf */

struct shelved {
    uint8_t *key;
    size_t size;
    struct part *part;
    uint64_t used; /* time of the last use */
};

struct part_shelf {
    struct fork_lock lock;
    unsigned forks; /* fork_count(); a forked child does not touch the parent's contents */
    struct shelved items[SHELF_PARTS];
    uint64_t time;
};

enum rwkv7_status part_shelf_create(struct part_shelf **out, struct rwkv7_error *err)
{
    *out = mem_alloc(1, sizeof **out);
    if (!*out)
        return fail_memory(err, "the constraint");
    fork_lock_init(&(*out)->lock);
    (*out)->forks = fork_count();
    return RWKV7_OK;
}

void part_shelf_free(struct part_shelf *shelf)
{
    if (!shelf)
        return;
    for (unsigned i = 0; i < SHELF_PARTS; i++) {
        mem_free(shelf->items[i].key);
        part_release(shelf->items[i].part);
    }
    fork_lock_destroy(&shelf->lock);
    mem_free(shelf);
}

static struct part *shelf_find(struct part_shelf *shelf, const uint8_t *key, size_t size)
{
    struct part *found = NULL;
    fork_lock_take(&shelf->lock);
    for (unsigned i = 0; i < SHELF_PARTS && shelf->forks == fork_count(); i++) {
        struct shelved *const s = &shelf->items[i];
        if (s->part && s->size == size && memcmp(s->key, key, size) == 0) {
            s->used = ++shelf->time;
            found = s->part;
            atomic_fetch_add(&((struct shared_part *)found)->users, 1);
            break;
        }
    }
    fork_lock_give(&shelf->lock);
    return found;
}

/* Adds a part and evicts the least recently used one. Does nothing if out of memory. */
static void shelf_add(struct part_shelf *shelf, const uint8_t *key, size_t size, struct part *part)
{
    uint8_t *const copy = mem_alloc(size, 1);
    if (!copy)
        return;
    memcpy(copy, key, size);
    fork_lock_take(&shelf->lock);
    if (shelf->forks == fork_count()) {
        struct shelved *oldest = &shelf->items[0];
        for (unsigned i = 1; i < SHELF_PARTS && oldest->part; i++)
            if (!shelf->items[i].part || shelf->items[i].used < oldest->used)
                oldest = &shelf->items[i];
        mem_free(oldest->key);
        part_release(oldest->part);
        atomic_fetch_add(&((struct shared_part *)part)->users, 1);
        *oldest = (struct shelved){copy, size, part, ++shelf->time};
    } else {
        mem_free(copy);
    }
    fork_lock_give(&shelf->lock);
}

/* ---------------------------------------------------------------------------------- serial form */

struct key {
    uint8_t bytes[KEY_ROOM];
    size_t size;
    bool complete;
};

static void key_add(struct key *k, const void *data, size_t size)
{
    if (size > KEY_ROOM - k->size) {
        k->complete = false;
        return;
    }
    memcpy(k->bytes + k->size, data, size);
    k->size += size;
}

/* Serializes an expression as a tree. Equal expressions of different arenas have equal bytes. */
static void key_of(const struct regex *r, uint32_t node, unsigned depth, struct key *k)
{
    const struct regex_node *n = &r->nodes[node];
    if (depth > 200)
        k->complete = false;
    for (; k->complete && n->kind == NODE_CONCAT; n = &r->nodes[n->b]) {
        key_add(k, &n->kind, 1);
        key_of(r, n->a, depth + 1, k);
    }
    if (!k->complete)
        return;
    key_add(k, &n->kind, 1);
    switch ((enum regex_kind)n->kind) {
    case NODE_SET:
        key_add(k, &r->sets[n->a], sizeof *r->sets);
        break;
    case NODE_UNION:
    case NODE_AND:
        key_add(k, &n->b, sizeof n->b);
        for (uint32_t i = 0; i < n->b && k->complete; i++)
            key_of(r, r->members[n->a + i], depth + 1, k);
        break;
    case NODE_REPEAT:
        key_add(k, &n->min, sizeof n->min);
        key_add(k, &n->max, sizeof n->max);
        key_of(r, n->a, depth + 1, k);
        break;
    case NODE_NOT:
        key_of(r, n->a, depth + 1, k);
        break;
    default:
        break;
    }
}

/* --------------------------------------------------------------------------------------- walks */

enum rwkv7_status part_finder_open(struct part_finder *f, struct automaton *a, const struct vocab_tree *tree,
                                   struct part_shelf *shelf, struct rwkv7_error *err)
{
    *f = (struct part_finder){.automaton = a, .tree = tree, .shelf = shelf, .words = (tree->vocab + 63) / 64};
    f->path = mem_alloc((size_t)tree->depth + 1, sizeof *f->path);
    f->ids = mem_alloc(tree->count, sizeof *f->ids);
    f->exits = mem_alloc(tree->count, sizeof *f->exits);
    if (f->path && f->ids && f->exits)
        return RWKV7_OK;
    part_finder_close(f);
    return fail_memory(err, "the constraint");
}

static void drop_parts(struct part_finder *f)
{
    for (uint32_t i = 0; i < f->part_room && f->held > 0; i++) {
        f->held -= f->parts[i] != NULL;
        part_release(f->parts[i]);
        f->parts[i] = NULL;
    }
}

void part_finder_close(struct part_finder *f)
{
    drop_parts(f);
    mem_free(f->parts);
    mem_free(f->near_tokens);
    mem_free(f->path);
    mem_free(f->ids);
    mem_free(f->exits);
    *f = (struct part_finder){0};
}

size_t part_finder_bytes(const struct part_finder *f)
{
    size_t bytes = f->part_room * sizeof *f->parts + 2 * (size_t)f->tree->count * sizeof *f->ids;
    for (uint32_t i = 0; i < f->part_room; i++)
        if (f->parts[i])
            bytes += f->words * sizeof(uint64_t) + f->parts[i]->exit_count * sizeof(uint32_t);
    return bytes;
}

/*
 * Walks the vocabulary tree with the DFA from `state`. Collects the tokens and exits longer than
 * `beyond` bytes. Returns the number of nodes visited.
 */
static uint32_t walk(struct part_finder *f, uint32_t state, unsigned beyond)
{
    struct automaton *const a = f->automaton;
    const struct vocab_node *const nodes = f->tree->nodes;
    uint32_t *const path = f->path, visited = 0;
    uint32_t ids = 0, exits = 0;
    path[0] = state;
    for (uint32_t i = 0; i < f->tree->count; visited++) {
        const struct vocab_node n = nodes[i];
        if (n.reach <= beyond) {
            i += n.skip;
            continue;
        }
        const struct dfa_state *const from = &a->states[path[n.depth - 1]];
        uint32_t next = a->rows[from->row + a->alphabets[from->alphabet].class_of[n.byte]];
        if (next == ROW_UNKNOWN)
            next = automaton_next_state(a, path[n.depth - 1], n.byte);
        if (next == AUTOMATON_DEAD) {
            i += n.skip;
            continue;
        }
        path[n.depth] = next;
        f->ids[ids] = n.id;
        ids += n.id != VOCAB_TREE_NONE && n.depth > beyond;
        f->exits[exits] = i;
        exits += a->states[next].nullable && n.skip > 1 && n.depth > beyond;
        i++;
    }
    f->id_count = ids;
    f->exit_count = exits;
    f->visited += visited;
    return visited;
}

/* Adds the tokens of the last walk. */
static void add_ids(const struct part_finder *f, uint64_t *bits)
{
    for (uint32_t i = 0; i < f->id_count; i++)
        for (uint32_t id = f->ids[i]; id != VOCAB_TREE_NONE; id = f->tree->same[id])
            bit_set(bits, id);
}

/* Creates a part from the last walk. */
static struct part *part_of_walk(const struct part_finder *f)
{
    struct shared_part *const s = mem_alloc(1, sizeof *s);
    if (!s)
        return NULL;
    atomic_store(&s->users, 1);
    s->part.bits = mem_alloc(f->words, sizeof *s->part.bits);
    s->part.exits = mem_alloc(f->exit_count, sizeof *s->part.exits);
    s->part.exit_count = f->exit_count;
    if (!s->part.bits || !s->part.exits) {
        part_release(&s->part);
        return NULL;
    }
    add_ids(f, s->part.bits);
    memcpy(s->part.exits, f->exits, f->exit_count * sizeof *f->exits);
    return &s->part;
}

/* Caches a part for the state; takes over the caller's reference. */
static bool hold(struct part_finder *f, uint32_t state, struct part *part)
{
    if (f->held == HELD)
        drop_parts(f);
    if (state >= f->part_room) {
        const uint32_t room = f->automaton->state_room;
        struct part **const grown = mem_grow(f->parts, f->part_room, room, sizeof(struct part *));
        if (!grown) {
            part_release(part);
            return false;
        }
        f->parts = grown;
        f->part_room = room;
    }
    f->parts[state] = part;
    f->held++;
    return true;
}

static enum rwkv7_status make_part(struct part_finder *f, uint32_t state, struct part **part, struct rwkv7_error *err);

/* Finds the part of another state; NULL if its walk is short. */
static enum rwkv7_status part_of_node(struct part_finder *f, uint32_t node, uint32_t alphabet, struct part **part,
                                      struct rwkv7_error *err)
{
    const uint32_t state = state_of_node(f->automaton, node, alphabet);
    *part = state < f->part_room ? f->parts[state] : NULL;
    if (automaton_status(f->automaton, NULL) != RWKV7_OK)
        return automaton_status(f->automaton, err);
    return *part ? RWKV7_OK : make_part(f, state, part, err);
}

static bool find_near_tokens(struct part_finder *f)
{
    const struct vocab_tree *const tree = f->tree;
    if (f->near_tokens)
        return true;
    f->near_tokens = mem_alloc(f->words, sizeof *f->near_tokens);
    for (uint32_t i = 0; f->near_tokens && i < tree->count; i++)
        if (tree->nodes[i].depth <= PART_NEAR)
            for (uint32_t id = tree->nodes[i].id; id != VOCAB_TREE_NONE; id = tree->same[id])
                bit_set(f->near_tokens, id);
    return f->near_tokens != NULL;
}

/*
 * Avoids a full walk for counted repetitions. In a bounded string, each character changes the
 * expression: x{0,90} becomes x{0,89}. But a token of n bytes cannot tell more than n repetitions
 * from an unlimited number. So for tokens of up to PART_NEAR bytes, x{0,90} has the part of x{0,};
 * only longer tokens are checked again. *part is NULL if the expression has no such counts.
 */
static enum rwkv7_status part_by_horizon(struct part_finder *f, uint32_t state, struct part **part,
                                         struct rwkv7_error *err)
{
    struct automaton *const a = f->automaton;
    const struct dfa_state s = a->states[state];
    const uint32_t far = regex_within(a->regex, s.node, f->tree->depth),
                   near = regex_within(a->regex, s.node, PART_NEAR);
    struct part *base;
    *part = NULL;
    if (regex_status(a->regex, &a->error) != RWKV7_OK) {
        a->full = a->error.status == RWKV7_ERR_USAGE;
        return automaton_status(a, err);
    }
    if (near == s.node)
        return RWKV7_OK;
    enum rwkv7_status status = part_of_node(f, far != s.node ? far : near, s.alphabet, &base, err);
    if (status != RWKV7_OK || !base)
        return status;
    atomic_fetch_add(&((struct shared_part *)base)->users, 1); /* hold() may drop it below */
    if (far != s.node) {
        *part = base;
        return hold(f, state, base) ? RWKV7_OK : fail_memory(err, "the constraint");
    }
    walk(f, state, PART_NEAR);
    status = automaton_status(a, err);
    if (status == RWKV7_OK && !find_near_tokens(f))
        status = fail_memory(err, "the constraint");
    for (uint32_t i = 0; status == RWKV7_OK && i < base->exit_count; i++)
        if (f->tree->nodes[base->exits[i]].depth <= PART_NEAR)
            f->exits[f->exit_count++] = base->exits[i];
    if (status == RWKV7_OK) {
        *part = part_of_walk(f);
        for (uint32_t i = 0; *part && i < f->words; i++)
            (*part)->bits[i] |= base->bits[i] & f->near_tokens[i];
        if (!*part || !hold(f, state, *part))
            status = fail_memory(err, "the constraint");
    }
    part_release(base);
    return status;
}

/*
 * Takes the part from the shelf if the expression is there, else walks. *part is NULL if the walk
 * was short.
 */
static enum rwkv7_status make_part(struct part_finder *f, uint32_t state, struct part **part, struct rwkv7_error *err)
{
    struct key key;
    key.size = 0;
    key.complete = f->shelf != NULL;
    const enum rwkv7_status found = part_by_horizon(f, state, part, err);
    if (found != RWKV7_OK || *part)
        return found;
    if (f->shelf)
        key_of(f->automaton->regex, f->automaton->states[state].node, 0, &key);
    if (key.complete)
        *part = shelf_find(f->shelf, key.bytes, key.size);
    if (!*part) {
        const uint32_t visited = walk(f, state, 0);
        const enum rwkv7_status status = automaton_status(f->automaton, err);
        if (status != RWKV7_OK || visited < KEEP_FROM)
            return status;
        *part = part_of_walk(f);
        if (!*part)
            return fail_memory(err, "the constraint");
        if (key.complete)
            shelf_add(f->shelf, key.bytes, key.size, *part);
    }
    return hold(f, state, *part) ? RWKV7_OK : fail_memory(err, "the constraint");
}

enum rwkv7_status part_find(struct part_finder *f, uint32_t state, uint64_t *bits, const uint32_t **exits,
                            uint32_t *count, struct rwkv7_error *err)
{
    struct part *part = state < f->part_room ? f->parts[state] : NULL;
    if (!part) {
        const enum rwkv7_status status = make_part(f, state, &part, err);
        if (status != RWKV7_OK)
            return status;
    }
    if (!part) {
        add_ids(f, bits);
        *exits = f->exits;
        *count = f->exit_count;
        return RWKV7_OK;
    }
    for (uint32_t i = 0; i < f->words; i++)
        bits[i] |= part->bits[i];
    *exits = part->exits;
    *count = part->exit_count;
    return RWKV7_OK;
}
