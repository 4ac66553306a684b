/*
 * grammar_object.c - the rule of an object's members: each key of a list at most once, in any order
 * or in that of the list, and members with other keys.
 *
 * As alternatives, n members in any order would need 2^n rules. So the automaton keeps the set of
 * the members so far (automaton_object.c), and asks here what can still follow. The keys are a tree
 * by their bytes, so that a few threads read hundreds of keys.
 *
 * The alternatives of such a rule are its parts, for the analyses of grammar_check.c: the values of
 * the members, sorted by key, then those of the other members.
 */
#include "matcher/grammar_rules.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* ----------------------------------------------------------------------------------- what follows */

/*
 * Returns whether an object in this state can be completed. At most `possible` members of the list
 * can still be written; `required` of them must be.
 */
static bool has_room(const struct object_rule *o, const struct object_state *state, uint32_t possible,
                     uint32_t required)
{
    const uint32_t others = state->others > 0; /* other keys may be equal: they count as one for `min` */
    const uint32_t written = state->named + state->others;
    const uint32_t missing = o->min > state->named + others ? o->min - state->named - others : 0;
    if (o->max != REGEX_NO_LIMIT && written > o->max)
        return false;
    for (uint32_t more = 0; more <= (o->has_others && others == 0); more++) {
        const uint32_t rest = missing > more ? missing - more : 0, named = required > rest ? required : rest;
        if (named <= possible && (o->max == REGEX_NO_LIMIT || named + more <= o->max - written))
            return true;
    }
    return false;
}

static bool is_counted(const struct object_rule *o)
{
    return o->min > 0 || o->max != REGEX_NO_LIMIT;
}

bool object_can_go_on(const struct grammar *g, const struct object_rule *o, const struct object_state *state)
{
    if (!o->in_order)
        return !is_counted(o) || has_room(o, state, o->possible - state->named, o->required - state->required);
    const struct object_rest rest = g->rests[o->rest + state->place];
    if (state->others > 0) /* these are the last ones */
        return rest.required == 0 && (!is_counted(o) || has_room(o, state, 0, 0));
    return !is_counted(o) || has_room(o, state, rest.possible, rest.required);
}

bool object_may_end(const struct grammar *g, const struct object_rule *o, const struct object_state *state)
{
    const uint32_t required = o->in_order ? g->rests[o->rest + state->place].required : o->required - state->required;
    return required == 0 && state->named + (state->others > 0) >= o->min;
}

bool object_add_member(const struct grammar *g, const struct object_rule *o, uint32_t member,
                       struct object_state *state)
{
    const struct object_member *const m = &g->members[o->members + member];
    if (!m->possible)
        return false;
    if (o->in_order) {
        const struct object_rest *const rests = g->rests + o->rest;
        if (state->others > 0 || m->order < state->place ||
            rests[m->order].required != rests[state->place].required) /* would leave out a required one */
            return false;
        state->place = m->order + 1;
        state->named += is_counted(o);
    } else {
        state->named++;
        state->required += m->required;
    }
    return object_can_go_on(g, o, state);
}

bool object_add_other(const struct grammar *g, const struct object_rule *o, struct object_state *state)
{
    const uint32_t counted = o->max != REGEX_NO_LIMIT ? UINT32_MAX : o->min > 0 || o->in_order;
    if (!o->has_others)
        return false;
    state->others += state->others < counted;
    return object_can_go_on(g, o, state);
}

/* --------------------------------------------------------------------------------------- analyses */

bool object_note_possible(struct grammar *g, uint32_t rule, uint32_t alternative)
{
    struct object_rule *const o = &g->objects[g->rules[rule].symbol];
    const uint32_t part = alternative - g->rules[rule].first; /* they were added one after the other */
    if (part < o->count) {
        struct object_member *const m = &g->members[o->members + part];
        o->possible += !m->possible;
        o->possible_required += !m->possible && m->required;
        m->possible = true;
    } else {
        o->has_others = true;
    }
    const struct object_state start = {0};
    return o->possible_required == o->required && (o->possible > 0 || o->has_others) &&
           has_room(o, &start, o->possible, o->required);
}

void object_finish(struct grammar *g)
{
    for (uint32_t i = 0; i < g->object_count; i++) {
        const struct object_rule *const o = &g->objects[i];
        struct object_rest *const rests = g->rests + o->rest;
        for (uint32_t k = 0; k < o->count; k++) {
            const struct object_member *const m = &g->members[o->members + k];
            rests[m->order] = (struct object_rest){m->possible, m->required};
        }
        rests[o->count] = (struct object_rest){0};
        for (uint32_t k = o->count; k-- > 0;) {
            rests[k].possible += rests[k + 1].possible;
            rests[k].required += rests[k + 1].required;
        }
    }
}

/* ---------------------------------------------------------------------------------------- builder */

/* A member, while the tree of the keys is built. */
struct sorted {
    const struct grammar_member *member;
    uint32_t order;
};

static int compare_keys(const void *a, const void *b)
{
    const struct grammar_member *const x = ((const struct sorted *)a)->member, *const y =
                                                                                   ((const struct sorted *)b)->member;
    const size_t shorter = x->size < y->size ? x->size : y->size;
    const int order = shorter > 0 ? memcmp(x->key, y->key, shorter) : 0;
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

/* Adds a node and returns its number. */
static uint32_t add_key(struct grammar *g, struct object_key key)
{
    if (!grammar_reserve(g, (void **)&g->keys, &g->key_room, g->key_count + 1, GRAMMAR_MAX_SYMBOLS, sizeof *g->keys))
        return 0;
    g->keys[g->key_count] = key;
    return g->key_count++;
}

/* The byte of a key at a place; -1 after its end. */
static int byte_at(const struct sorted *s, size_t at)
{
    return at < s->member->size ? (unsigned char)s->member->key[at] : -1;
}

/* The number of bytes that all keys from `low` up to `high` share; at least `from`. */
static size_t shared_bytes(const struct sorted *sorted, uint32_t low, uint32_t high, size_t from)
{
    while (byte_at(&sorted[low], from) >= 0 && byte_at(&sorted[low], from) == byte_at(&sorted[high - 1], from))
        from++;
    return from;
}

/*
 * Adds the children of a node, whose keys share `from` bytes: one for each next byte, and a leaf
 * for the key that ends there. depths[i]: bytes down to node first_node + i.
 */
static void add_children(struct grammar *g, const struct grammar_object *from, const struct sorted *sorted,
                         uint32_t node, uint32_t first_node, size_t *depths)
{
    struct regex *const r = g->regex;
    const struct object_key parent = g->keys[node];
    const size_t depth = depths[node - first_node];
    g->keys[node].first = g->key_count;
    for (uint32_t low = parent.low, high; low < parent.high && !grammar_failed(g); low = high) {
        high = low + 1;
        while (high < parent.high && byte_at(&sorted[low], depth) >= 0 &&
               byte_at(&sorted[high], depth) == byte_at(&sorted[low], depth))
            high++;
        const bool leaf = high == low + 1;
        const struct grammar_member *const m = sorted[low].member;
        const size_t end = leaf ? m->size : shared_bytes(sorted, low, high, depth + 1);
        uint32_t edge = leaf ? from->after_key : REGEX_EMPTY;
        edge = regex_concat(r, regex_literal(r, m->key + depth, end - depth), edge);
        const uint32_t child = add_key(g, (struct object_key){parent.rule, edge | SYMBOL_TERMINAL, low, high, 0, 0});
        if (grammar_failed(g))
            return;
        depths[child - first_node] = end;
        g->keys[node].count++;
    }
}

/*
 * Builds the tree. The nodes `first_key` and `next_key` have one child each, with the edge before a
 * first and before a later member; these two children have the same children.
 */
static void build_keys(struct grammar *g, const struct grammar_object *from, const struct sorted *sorted, uint32_t rule,
                       struct object_rule *o)
{
    const uint32_t first = g->key_count, named = from->count > 0;
    size_t *const depths = mem_alloc((size_t)from->count * 2 + 4, sizeof *depths);
    if (!depths) {
        grammar_fail_memory(g);
        return;
    }
    o->first_key = add_key(g, (struct object_key){rule, 0, 0, from->count, first + 2, named});
    o->next_key = add_key(g, (struct object_key){rule, 0, 0, from->count, first + 3, named});
    if (named) {
        add_key(g, (struct object_key){rule, from->before_first | SYMBOL_TERMINAL, 0, from->count, 0, 0});
        add_key(g, (struct object_key){rule, from->before_next | SYMBOL_TERMINAL, 0, from->count, 0, 0});
        if (!grammar_failed(g))
            add_children(g, from, sorted, first + 2, first, depths);
        if (!grammar_failed(g)) {
            g->keys[first + 3].first = g->keys[first + 2].first;
            g->keys[first + 3].count = g->keys[first + 2].count;
        }
        for (uint32_t node = first + 4; node < g->key_count && !grammar_failed(g); node++)
            if (g->keys[node].high > g->keys[node].low + 1)
                add_children(g, from, sorted, node, first, depths);
    }
    mem_free(depths);
}

uint32_t grammar_object(struct grammar *g, const struct grammar_object *from)
{
    const uint32_t rule = grammar_new_rule(
        g,
        &(struct grammar_rule){.first = UINT32_MAX, .last = UINT32_MAX, .is_object = true, .symbol = g->object_count});
    struct sorted *const sorted = mem_alloc(from->count, sizeof *sorted);
    struct object_rule o = {.members = g->member_count,
                            .count = from->count,
                            .rest = g->rest_count,
                            .other_first = from->other_first,
                            .other = from->other,
                            .in_order = from->in_order,
                            .min = from->min,
                            .max = from->max};
    if (!sorted)
        grammar_fail_memory(g);
    if (grammar_failed(g) ||
        !grammar_reserve(g, (void **)&g->objects, &g->object_room, g->object_count + 1, GRAMMAR_MAX_RULES,
                         sizeof *g->objects) ||
        !grammar_reserve(g, (void **)&g->members, &g->member_room, g->member_count + from->count, GRAMMAR_MAX_SYMBOLS,
                         sizeof *g->members) ||
        !grammar_reserve(g, (void **)&g->rests, &g->rest_room, g->rest_count + from->count + 1,
                         GRAMMAR_MAX_SYMBOLS + GRAMMAR_MAX_RULES, sizeof *g->rests))
        goto end;
    for (uint32_t i = 0; i < from->count; i++)
        sorted[i] = (struct sorted){&from->members[i], i};
    if (from->count > 1)
        qsort(sorted, from->count, sizeof *sorted, compare_keys);
    for (uint32_t i = 0; i < from->count; i++) {
        const struct grammar_member *const m = sorted[i].member;
        g->members[g->member_count++] = (struct object_member){m->value, sorted[i].order, m->required, false};
        o.required += m->required;
        grammar_add(g, rule, &m->value, 1);
    }
    g->rest_count += from->count + 1;
    if (from->has_others) {
        grammar_add(g, rule, &from->other_first, 1);
        grammar_add(g, rule, &from->other, 1);
    }
    build_keys(g, from, sorted, rule, &o);
    if (!grammar_failed(g))
        g->objects[g->object_count++] = o;
end:
    mem_free(sorted);
    return rule;
}
