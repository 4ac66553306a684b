/* mask.c - see mask.h. */
#include "matcher/mask.h"

#include <string.h>

#include "base/mem.h"

#define NO_SLOT UINT32_MAX
#define MAX_WORK (1u << 24) /* nodes visited for one mask; takes about 100 ms */

struct slot {
    uint64_t *bits; /* NULL until the first use */
    uint32_t configuration;
    uint32_t allowed, only;
    uint32_t newer, older; /* slots; links of the LRU list */
};

struct mask_store {
    struct part_finder finder;
    bool has_end;
    struct slot *slots; /* [slot_room]: the cache; it has at least one slot */
    uint32_t slot_count, slot_room;
    uint32_t newest, oldest;
    uint32_t *slot_of; /* [configuration_room]: slot + 1, or 0 */
    uint32_t configuration_room;
    bool keep;
    uint32_t *path; /* [depth + 1]: configurations of a walk */
    uint64_t work;  /* nodes visited for this mask so far */
};

enum rwkv7_status mask_store_create(struct automaton *a, const struct vocab_tree *tree, struct part_shelf *shelf,
                                    bool has_end, size_t bytes, struct mask_store **out, struct rwkv7_error *err)
{
    struct mask_store *const s = *out = mem_alloc(1, sizeof *s);
    if (!s)
        return fail_memory(err, "the constraint");
    enum rwkv7_status status = part_finder_open(&s->finder, a, tree, shelf, err);
    const size_t slots = bytes / (s->finder.words * sizeof(uint64_t) + sizeof *s->slots + 1);
    s->has_end = has_end;
    s->keep = slots > 0;
    s->slot_room = slots < 1 ? 1 : slots > 65536 ? 65536 : (uint32_t)slots;
    s->newest = s->oldest = NO_SLOT;
    s->slots = mem_alloc(s->slot_room, sizeof *s->slots);
    s->path = mem_alloc((size_t)tree->depth + 1, sizeof *s->path);
    if (status == RWKV7_OK && (!s->slots || !s->path))
        status = fail_memory(err, "the constraint");
    if (status != RWKV7_OK) {
        mask_store_free(s);
        *out = NULL;
    }
    return status;
}

void mask_store_free(struct mask_store *s)
{
    if (!s)
        return;
    part_finder_close(&s->finder);
    for (uint32_t i = 0; i < s->slot_count; i++)
        mem_free(s->slots[i].bits);
    mem_free(s->slots);
    mem_free(s->slot_of);
    mem_free(s->path);
    mem_free(s);
}

size_t mask_store_bytes(const struct mask_store *s)
{
    return part_finder_bytes(&s->finder) + s->slot_room * sizeof *s->slots +
           s->slot_count * s->finder.words * sizeof(uint64_t) + s->configuration_room * sizeof(uint32_t);
}

/* ---------------------------------------------------------------------------------------- cache */

static void unlink_slot(struct mask_store *s, uint32_t i)
{
    const struct slot *const slot = &s->slots[i];
    *(slot->newer == NO_SLOT ? &s->newest : &s->slots[slot->newer].older) = slot->older;
    *(slot->older == NO_SLOT ? &s->oldest : &s->slots[slot->older].newer) = slot->newer;
}

static void link_newest(struct mask_store *s, uint32_t i)
{
    s->slots[i].newer = NO_SLOT;
    s->slots[i].older = s->newest;
    *(s->newest == NO_SLOT ? &s->oldest : &s->slots[s->newest].newer) = i;
    s->newest = i;
}

/*
 * Returns a cleared slot for a configuration: a new one, or the least recently used. NO_SLOT: out
 * of memory.
 */
static uint32_t take_slot(struct mask_store *s, uint32_t configuration)
{
    if (configuration >= s->configuration_room) {
        const uint32_t room = s->finder.automaton->configuration_room;
        uint32_t *const grown = mem_grow(s->slot_of, s->configuration_room, room, sizeof *grown);
        if (!grown)
            return NO_SLOT;
        s->slot_of = grown;
        s->configuration_room = room;
    }
    uint32_t i = s->oldest;
    if (s->slot_count < s->slot_room) {
        uint64_t *const bits = mem_alloc(s->finder.words, sizeof *bits);
        if (!bits)
            return NO_SLOT;
        i = s->slot_count++;
        s->slots[i].bits = bits;
    } else {
        unlink_slot(s, i);
        s->slot_of[s->slots[i].configuration] = 0;
        memset(s->slots[i].bits, 0, s->finder.words * sizeof(uint64_t));
    }
    s->slots[i].configuration = configuration;
    s->slot_of[configuration] = i + 1;
    link_newest(s, i);
    return i;
}

/* ---------------------------------------------------------------------------------------- masks */

/*
 * Adds the tokens below a tree node that the automaton can read. `configuration`: the automaton
 * after the node's bytes. known: the steps from there, UINT32_MAX where unknown.
 */
static enum rwkv7_status walk_below(struct mask_store *s, uint32_t node, uint32_t configuration, uint32_t *known,
                                    uint64_t *bits, struct rwkv7_error *err)
{
    struct automaton *const a = s->finder.automaton;
    const struct vocab_tree *const tree = s->finder.tree;
    const uint32_t end = node + tree->nodes[node].skip;
    const unsigned top = tree->nodes[node].depth;
    s->path[top] = configuration;
    for (uint32_t i = node + 1; i < end; s->work++) {
        const struct vocab_node n = tree->nodes[i];
        uint32_t next = n.depth == top + 1u ? known[n.byte] : UINT32_MAX;
        if (next == UINT32_MAX) {
            const enum rwkv7_status status = automaton_step(a, s->path[n.depth - 1], n.byte, &next, err);
            if (status != RWKV7_OK)
                return status;
            if (n.depth == top + 1u)
                known[n.byte] = next;
        }
        if (next == AUTOMATON_DEAD) {
            i += n.skip;
            continue;
        }
        s->path[n.depth] = next;
        for (uint32_t id = n.id; id != VOCAB_TREE_NONE; id = tree->same[id])
            bit_set(bits, id);
        i++;
    }
    return RWKV7_OK;
}

static enum rwkv7_status add_thread(struct mask_store *s, struct thread t, uint64_t *bits, struct rwkv7_error *err)
{
    struct automaton *const a = s->finder.automaton;
    uint32_t known[256], frontier, count;
    const uint32_t *exits;
    const uint64_t before = s->finder.visited;
    enum rwkv7_status status = part_find(&s->finder, t.state, bits, &exits, &count, err);
    s->work += s->finder.visited - before;
    if (status != RWKV7_OK || count == 0)
        return status;
    status = automaton_frontier(a, t.stack, &frontier, err);
    if (status != RWKV7_OK || a->configurations[frontier].count == 0) /* nothing can follow */
        return status;
    memset(known, 0xff, sizeof known);
    for (uint32_t i = 0; i < count && status == RWKV7_OK; i++) {
        status = walk_below(s, exits[i], frontier, known, bits, err);
        if (s->work > MAX_WORK)
            return fail(err, RWKV7_ERR_USAGE, "%s is too expensive: a token takes more than %u steps",
                        a->grammar->given, MAX_WORK);
    }
    return status;
}

static void count_bits(const struct mask_store *s, struct slot *slot)
{
    slot->allowed = 0;
    slot->only = VOCAB_TREE_NONE;
    for (uint32_t i = 0; i < s->finder.words; i++) {
        uint64_t word = slot->bits[i];
        if (word != 0 && slot->allowed == 0) {
            slot->only = i * 64;
            while (!(word >> (slot->only % 64) & 1))
                slot->only++;
        }
        for (; word != 0; word &= word - 1)
            slot->allowed++;
    }
}

enum rwkv7_status mask_find(struct mask_store *s, uint32_t configuration, struct mask *out, struct rwkv7_error *err)
{
    const struct configuration c = automaton_configuration(s->finder.automaton, configuration);
    uint32_t i = configuration < s->configuration_room ? s->slot_of[configuration] : 0;
    enum rwkv7_status status = RWKV7_OK;
    if (i > 0 && s->keep) {
        unlink_slot(s, --i);
        link_newest(s, i);
    } else {
        i = take_slot(s, configuration);
        if (i == NO_SLOT)
            return fail_memory(err, "the constraint");
        s->work = 0;
        for (uint32_t k = 0; k < c.count && status == RWKV7_OK; k++)
            status = add_thread(s, automaton_thread(s->finder.automaton, c.first + k), s->slots[i].bits, err);
        if (status != RWKV7_OK) { /* the mask is incomplete, so later calls must not find it */
            s->slot_of[configuration] = 0;
            return status;
        }
        count_bits(s, &s->slots[i]);
        if (s->has_end && c.accepts)
            bit_set(s->slots[i].bits, RWKV7_END_OF_TEXT);
    }
    *out = (struct mask){s->slots[i].bits, s->slots[i].allowed, s->slots[i].only};
    return RWKV7_OK;
}
