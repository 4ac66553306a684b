/*
 * automaton_object.c - reads the members of objects; see grammar_object.c.
 *
 * The stack entry of an object has a node of the tree of its keys as its place, and the number of
 * its member set as `done`. Member sets are hash-consed like stack sets.
 */
#include <string.h>

#include "base/mem.h"
#include "matcher/automaton_store.h"
#include "matcher/table.h"

#define MAX_MEMBER_SETS (1u << 18)
#define MAX_MEMBER_WORDS (1u << 19) /* of 8 bytes */

/* 64-bit words of an object's member set. 0 if members come in order: state.place then says it all. */
static uint32_t words_of(const struct object_rule *o)
{
    return o->in_order ? 0 : (o->count + 63) / 64;
}

static uint32_t hash_set(const struct automaton *a, uint32_t i)
{
    const struct member_set *const set = &a->member_sets[i];
    const uint64_t *const words = a->member_words + set->words;
    uint32_t h = table_mix(17, set->object);
    h = table_mix(table_mix(table_mix(h, set->state.place), set->state.named), set->state.others);
    for (uint32_t k = 0; k < words_of(&a->grammar->objects[set->object]); k++)
        h = table_mix(table_mix(h, (uint32_t)words[k]), (uint32_t)(words[k] >> 32));
    return h;
}

static bool same_set(const struct automaton *a, uint32_t i, uint32_t j)
{
    const struct member_set *const x = &a->member_sets[i], *const y = &a->member_sets[j];
    const size_t words = words_of(&a->grammar->objects[x->object]);
    return x->object == y->object && x->state.place == y->state.place && x->state.named == y->state.named &&
           x->state.others == y->state.others &&
           (words == 0 ||
            memcmp(a->member_words + x->words, a->member_words + y->words, words * sizeof *a->member_words) == 0);
}

/*
 * Returns the number of a set: that of `from` with a member added, or, with NO_MEMBER, only with
 * another state. from NO_SET: the empty set.
 */
static uint32_t find_set(struct automaton *a, uint32_t object, struct object_state state, uint32_t from,
                         uint32_t member)
{
    const uint32_t words = words_of(&a->grammar->objects[object]), fresh = a->member_set_count;
    if (a->error.status != RWKV7_OK || !index_grow(a, &a->member_table, fresh, hash_set) ||
        !automaton_reserve(a, (void **)&a->member_sets, &a->member_set_room, fresh + 1, MAX_MEMBER_SETS,
                           sizeof *a->member_sets) ||
        !automaton_reserve(a, (void **)&a->member_words, &a->member_word_room, a->member_word_count + words + 1,
                           MAX_MEMBER_WORDS, sizeof *a->member_words))
        return 0;
    uint64_t *const bits = a->member_words + a->member_word_count;
    if (words > 0 && from != NO_SET)
        memcpy(bits, a->member_words + a->member_sets[from].words, words * sizeof *bits);
    else if (words > 0)
        memset(bits, 0, words * sizeof *bits);
    if (words > 0 && member != NO_MEMBER)
        bits[member / 64] |= UINT64_C(1) << (member % 64);
    a->member_sets[fresh] = (struct member_set){object, a->member_word_count, state};
    uint32_t at = hash_set(a, fresh) & (a->member_table.size - 1);
    for (; a->member_table.slots[at]; at = (at + 1) & (a->member_table.size - 1))
        if (same_set(a, a->member_table.slots[at] - 1, fresh))
            return a->member_table.slots[at] - 1;
    a->member_word_count += words;
    a->member_table.slots[at] = ++a->member_set_count;
    return fresh;
}

/* Adds a member of the list to *state; false if it may not follow the set. */
static bool may_follow(const struct automaton *a, const struct object_rule *o, uint32_t set, uint32_t member,
                       struct object_state *state)
{
    const struct member_set *const s = &a->member_sets[set];
    if (!o->in_order && a->member_words[s->words + member / 64] >> (member % 64) & 1)
        return false;
    *state = s->state;
    return object_add_member(a->grammar, o, member, state);
}

/* Begins the keys below a node, as far as they may follow. */
static void begin_keys(struct automaton *a, const struct object_rule *o, uint32_t node, uint32_t set, uint32_t below)
{
    const struct object_key *const keys = a->grammar->keys;
    struct object_state state;
    for (uint32_t i = keys[node].first; i < keys[node].first + keys[node].count; i++) {
        uint32_t member = keys[i].low;
        while (member < keys[i].high && !may_follow(a, o, set, member, &state))
            member++;
        if (member < keys[i].high)
            automaton_begin(a, keys[i].edge, stack_push(a, i | PLACE_KEY, set, below));
    }
}

bool object_resume(struct automaton *a, uint32_t node, uint32_t set, uint32_t below)
{
    const struct grammar *const g = a->grammar;
    const struct object_key *const key = &g->keys[node];
    const uint32_t object = g->rules[key->rule].symbol;
    const struct object_rule *const o = &g->objects[object];
    const bool first = node == o->first_key, between = first || node == o->next_key;
    struct object_state state;
    if (!between && key->count == 0) { /* the key is complete */
        if (may_follow(a, o, set, key->low, &state)) {
            const uint32_t more = find_set(a, object, state, set, key->low);
            automaton_begin(a, g->members[o->members + key->low].value,
                            stack_push(a, o->next_key | PLACE_KEY, more, below));
        }
        return false;
    }
    begin_keys(a, o, node, set, below);
    if (!between)
        return false;
    state = a->member_sets[set].state;
    const bool complete = !first && object_may_end(g, o, &state);
    if (object_add_other(g, o, &state)) {
        const uint32_t more = find_set(a, object, state, set, NO_MEMBER);
        automaton_begin(a, first ? o->other_first : o->other, stack_push(a, o->next_key | PLACE_KEY, more, below));
    }
    return complete;
}

void object_begin(struct automaton *a, uint32_t rule, uint32_t below)
{
    const uint32_t object = a->grammar->rules[rule].symbol;
    const uint32_t set = find_set(a, object, (struct object_state){0}, NO_SET, NO_MEMBER);
    if (a->error.status == RWKV7_OK)
        object_resume(a, a->grammar->objects[object].first_key, set, below);
}
