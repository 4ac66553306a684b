/*
 * automaton_store.c - the hash-consed tables of an automaton: DFA states, stack sets,
 * configurations.
 */
#include "matcher/automaton_store.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "matcher/regex_node.h"
#include "matcher/table.h"

#define MAX_ROWS (1u << 22) /* entries of 4 bytes */
#define MAX_STACKS (1u << 18)
#define MAX_ENTRIES (1u << 19)
#define MAX_CONFIGURATIONS (1u << 17)
#define MAX_THREADS (1u << 19)
#define MAX_UNIONS (1u << 18)
#define MAX_UNION_DEPTH 1000

enum rwkv7_status automaton_fail(struct automaton *a, enum rwkv7_status status, const char *message)
{
    if (a->error.status == RWKV7_OK) {
        if (status == RWKV7_ERR_MEMORY)
            fail_memory(&a->error, a->grammar->given);
        else
            fail(&a->error, status, "%s %s", a->grammar->given, message);
    }
    return a->error.status;
}

bool automaton_reserve(struct automaton *a, void **table, uint32_t *room, uint32_t wanted, uint32_t limit, size_t size)
{
    const enum table_status status = table_reserve(table, room, wanted, limit, size);
    if (status == TABLE_LIMIT) {
        automaton_fail(a, RWKV7_ERR_USAGE, "needs too many states for this text");
        a->full = true;
    }
    if (status == TABLE_MEMORY)
        automaton_fail(a, RWKV7_ERR_MEMORY, NULL);
    return status == TABLE_OK;
}

bool index_grow(struct automaton *a, struct index_table *t, uint32_t count,
                uint32_t (*hash)(const struct automaton *a, uint32_t number))
{
    if (count < t->size / 2)
        return true;
    const uint32_t size = t->size ? t->size * 2 : 128;
    uint32_t *const slots = mem_alloc(size, sizeof *slots);
    if (!slots) {
        automaton_fail(a, RWKV7_ERR_MEMORY, NULL);
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = hash(a, i) & (size - 1);
        while (slots[at])
            at = (at + 1) & (size - 1);
        slots[at] = i + 1;
    }
    mem_free(t->slots);
    t->slots = slots;
    t->size = size;
    return true;
}

/* ---------------------------------------------------------------------------------- DFA states */

static uint32_t hash_state(const struct automaton *a, uint32_t i)
{
    return table_mix(3, a->states[i].node);
}

static bool new_alphabet(struct automaton *a, uint32_t node, uint32_t *alphabet)
{
    if (!automaton_reserve(a, (void **)&a->alphabets, &a->alphabet_room, a->alphabet_count + 1, 1u << 16,
                           sizeof *a->alphabets))
        return false;
    struct alphabet *const set = &a->alphabets[a->alphabet_count];
    set->count = regex_classes(a->regex, node, set->class_of);
    if (set->count == 0) {
        automaton_fail(a, RWKV7_ERR_MEMORY, NULL);
        return false;
    }
    for (unsigned byte = 256; byte-- > 0;)
        set->byte_of[set->class_of[byte]] = (uint8_t)byte;
    *alphabet = a->alphabet_count++;
    return true;
}

uint32_t state_of_node(struct automaton *a, uint32_t node, uint32_t alphabet)
{
    bool is_void;
    if (node == REGEX_NOTHING || a->error.status != RWKV7_OK ||
        !index_grow(a, &a->state_table, a->state_count, hash_state))
        return AUTOMATON_DEAD;
    uint32_t at = table_mix(3, node) & (a->state_table.size - 1);
    for (; a->state_table.slots[at]; at = (at + 1) & (a->state_table.size - 1))
        if (a->states[a->state_table.slots[at] - 1].node == node)
            return a->state_table.slots[at] - 1;
    /* After intersections and complements, a node may match nothing: its state is dead. */
    if (regex_is_void(a->regex, node, &is_void, &a->error) != RWKV7_OK)
        return AUTOMATON_DEAD;
    if (is_void)
        return AUTOMATON_DEAD;
    if (alphabet == UINT32_MAX && !new_alphabet(a, node, &alphabet))
        return AUTOMATON_DEAD;
    const uint32_t classes = a->alphabets[alphabet].count;
    if (!automaton_reserve(a, (void **)&a->states, &a->state_room, a->state_count + 1, AUTOMATON_MAX_STATES,
                           sizeof *a->states) ||
        !automaton_reserve(a, (void **)&a->rows, &a->row_room, a->row_count + classes, MAX_ROWS, sizeof *a->rows))
        return AUTOMATON_DEAD;
    memset(a->rows + a->row_count, 0xff, classes * sizeof *a->rows);
    a->states[a->state_count] = (struct dfa_state){
        .node = node, .alphabet = alphabet, .row = a->row_count, .nullable = regex_nullable(a->regex, node)};
    a->row_count += classes;
    a->state_table.slots[at] = ++a->state_count;
    return a->state_count - 1;
}

/* ---------------------------------------------------------------------------------- stack sets */

static uint32_t hash_entries(const struct stack_entry *entries, uint32_t count, bool may_end)
{
    uint32_t h = table_mix(7, may_end);
    for (uint32_t i = 0; i < count; i++)
        h = table_mix(table_mix(table_mix(h, entries[i].place), entries[i].done), entries[i].below);
    return h;
}

static uint32_t hash_stack(const struct automaton *a, uint32_t i)
{
    const struct stack_set *const s = &a->stacks[i];
    return hash_entries(a->entries + s->first, s->count, s->may_end);
}

/* Returns the stack set of the `count` entries that the caller has written after entry_count. */
static uint32_t find_stack(struct automaton *a, uint32_t count, bool may_end)
{
    const struct stack_entry *const entries = a->entries + a->entry_count;
    if (!index_grow(a, &a->stack_table, a->stack_count, hash_stack))
        return 0;
    uint32_t at = hash_entries(entries, count, may_end) & (a->stack_table.size - 1);
    for (; a->stack_table.slots[at]; at = (at + 1) & (a->stack_table.size - 1)) {
        const uint32_t i = a->stack_table.slots[at] - 1;
        const struct stack_set *const s = &a->stacks[i];
        if (s->count == count && s->may_end == may_end &&
            (count == 0 || memcmp(a->entries + s->first, entries, count * sizeof *entries) == 0))
            return i;
    }
    if (!automaton_reserve(a, (void **)&a->stacks, &a->stack_room, a->stack_count + 1, MAX_STACKS, sizeof *a->stacks))
        return 0;
    a->stacks[a->stack_count] =
        (struct stack_set){.first = a->entry_count, .count = count, .frontier = UINT32_MAX, .may_end = may_end};
    a->entry_count += count;
    a->stack_table.slots[at] = ++a->stack_count;
    return a->stack_count - 1;
}

static bool reserve_entries(struct automaton *a, uint32_t count)
{
    return a->error.status == RWKV7_OK && automaton_reserve(a, (void **)&a->entries, &a->entry_room,
                                                            a->entry_count + count, MAX_ENTRIES, sizeof *a->entries);
}

uint32_t stack_bottom(struct automaton *a)
{
    return reserve_entries(a, 1) ? find_stack(a, 0, true) : 0;
}

uint32_t stack_push(struct automaton *a, uint32_t place, uint32_t done, uint32_t below)
{
    const struct grammar *const g = a->grammar;
    if (place & PLACE_REPEAT) {
        const struct grammar_rule *const r = &g->rules[place & ~PLACE_REPEAT];
        if (done == r->max) /* no repetition is left */
            return below;
        done = r->max == REGEX_NO_LIMIT && done > r->min ? r->min : done;
    } else if (!(place & PLACE_KEY) && g->symbols[place] == SYMBOL_END) {
        return below;
    }
    if (!reserve_entries(a, 1))
        return 0;
    a->entries[a->entry_count] = (struct stack_entry){place, done, below};
    return find_stack(a, 1, false);
}

static int compare_entries(const struct stack_entry *x, const struct stack_entry *y)
{
    if (x->place != y->place)
        return x->place < y->place ? -1 : 1;
    return x->done < y->done ? -1 : x->done > y->done;
}

static struct union_memo *find_union(const struct automaton *a, uint32_t x, uint32_t y)
{
    uint32_t at = table_mix(table_mix(11, x), y) & (a->union_size - 1);
    while ((a->unions[at].a || a->unions[at].b) && (a->unions[at].a != x || a->unions[at].b != y))
        at = (at + 1) & (a->union_size - 1);
    return &a->unions[at];
}

static bool grow_unions(struct automaton *a)
{
    if (a->union_used < a->union_size / 2)
        return true;
    if (a->union_size == MAX_UNIONS) {
        memset(a->unions, 0, a->union_size * sizeof *a->unions);
        a->union_used = 0;
        return true;
    }
    const uint32_t old_size = a->union_size, size = old_size ? old_size * 2 : 64;
    struct union_memo *const old = a->unions, *const grown = mem_alloc(size, sizeof *grown);
    if (!grown) {
        automaton_fail(a, RWKV7_ERR_MEMORY, NULL);
        return false;
    }
    a->unions = grown;
    a->union_size = size;
    for (uint32_t i = 0; i < old_size; i++)
        if (old[i].a || old[i].b)
            *find_union(a, old[i].a, old[i].b) = old[i];
    mem_free(old);
    return true;
}

static uint32_t union_at_depth(struct automaton *a, uint32_t x, uint32_t y, unsigned depth);

/*
 * Returns the union of two stack sets: merges their sorted entries. Equal entries become one, with
 * the union of what is below them.
 */
static uint32_t merge(struct automaton *a, uint32_t x, uint32_t y, unsigned depth)
{
    const struct stack_set sx = a->stacks[x], sy = a->stacks[y];
    uint32_t i = 0, k = 0, count = 0;
    struct stack_entry *const merged = mem_alloc((size_t)sx.count + sy.count, sizeof *merged);
    if (!merged) {
        automaton_fail(a, RWKV7_ERR_MEMORY, NULL);
        return 0;
    }
    while (i < sx.count || k < sy.count) {
        const struct stack_entry *const ex = &a->entries[sx.first + i], *const ey = &a->entries[sy.first + k];
        const int order = i == sx.count ? 1 : k == sy.count ? -1 : compare_entries(ex, ey);
        merged[count] = order <= 0 ? *ex : *ey;
        i += order <= 0;
        k += order >= 0;
        if (order == 0)
            merged[count].below = union_at_depth(a, ex->below, ey->below, depth + 1);
        count++;
    }
    uint32_t result = 0;
    if (count > AUTOMATON_MAX_THREADS)
        automaton_fail(a, RWKV7_ERR_USAGE, "is too ambiguous for this text: more than 1024 readings");
    else if (reserve_entries(a, count)) {
        memcpy(a->entries + a->entry_count, merged, count * sizeof *merged);
        result = find_stack(a, count, sx.may_end || sy.may_end);
    }
    mem_free(merged);
    return result;
}

static uint32_t union_at_depth(struct automaton *a, uint32_t x, uint32_t y, unsigned depth)
{
    if (x == y || a->error.status != RWKV7_OK)
        return x;
    if (x > y)
        return union_at_depth(a, y, x, depth);
    if (depth > MAX_UNION_DEPTH) {
        automaton_fail(a, RWKV7_ERR_USAGE,
                       "is too ambiguous for this text: two readings differ in more "
                       "than 1000 levels");
        return x;
    }
    if (!grow_unions(a))
        return x;
    const struct union_memo *const known = find_union(a, x, y);
    if (known->a || known->b)
        return known->result;
    const uint32_t result = merge(a, x, y, depth);
    if (a->error.status != RWKV7_OK || !grow_unions(a))
        return x;
    struct union_memo *const entry = find_union(a, x, y);
    a->union_used += !(entry->a || entry->b);
    *entry = (struct union_memo){x, y, result};
    return result;
}

uint32_t stack_union_of(struct automaton *a, struct thread *threads, uint32_t count)
{
    for (; count > 1; count = (count + 1) / 2)
        for (uint32_t i = 0; i < count; i += 2)
            threads[i / 2].stack =
                i + 1 < count ? union_at_depth(a, threads[i].stack, threads[i + 1].stack, 0) : threads[i].stack;
    return threads[0].stack;
}

/* ------------------------------------------------------------------------------ configurations */

static uint32_t hash_threads(const struct thread *threads, uint32_t count, bool accepts)
{
    uint32_t h = table_mix(13, accepts);
    for (uint32_t i = 0; i < count; i++)
        h = table_mix(table_mix(h, threads[i].state), threads[i].stack);
    return h;
}

static uint32_t hash_configuration(const struct automaton *a, uint32_t i)
{
    const struct configuration *const c = &a->configurations[i];
    return hash_threads(a->threads + c->first, c->count, c->accepts);
}

bool push_found(struct automaton *a, uint32_t state, uint32_t stack)
{
    if (!automaton_reserve(a, (void **)&a->found, &a->found_room, a->found_count + 1, MAX_THREADS, sizeof *a->found))
        return false;
    a->found[a->found_count++] = (struct thread){state, stack};
    return true;
}

static int compare_threads(const void *a, const void *b)
{
    const struct thread *const x = a, *const y = b;
    if (x->state != y->state)
        return x->state < y->state ? -1 : 1;
    return x->stack < y->stack ? -1 : x->stack > y->stack;
}

uint32_t configuration_of_found(struct automaton *a, uint32_t base, bool accepts)
{
    const uint32_t total = a->found_count - base;
    struct thread *const found = total > 0 ? a->found + base : NULL;
    uint32_t count = 0;
    a->found_count = base;
    if (total > 1)
        qsort(found, total, sizeof *found, compare_threads);
    for (uint32_t i = 0, end; i < total && a->error.status == RWKV7_OK; i = end) {
        const uint32_t state = found[i].state;
        for (end = i + 1; end < total && found[end].state == state;)
            end++;
        found[count++] = (struct thread){state, stack_union_of(a, found + i, end - i)};
    }
    if (count > AUTOMATON_MAX_THREADS)
        automaton_fail(a, RWKV7_ERR_USAGE, "is too ambiguous for this text: more than 1024 readings");
    if (a->error.status != RWKV7_OK ||
        !index_grow(a, &a->configuration_table, a->configuration_count, hash_configuration))
        return AUTOMATON_DEAD;
    uint32_t at = hash_threads(found, count, accepts) & (a->configuration_table.size - 1);
    for (; a->configuration_table.slots[at]; at = (at + 1) & (a->configuration_table.size - 1)) {
        const uint32_t i = a->configuration_table.slots[at] - 1;
        const struct configuration *const c = &a->configurations[i];
        if (c->count == count && c->accepts == accepts &&
            (count == 0 || memcmp(a->threads + c->first, found, count * sizeof *found) == 0))
            return i;
    }
    if (!automaton_reserve(a, (void **)&a->configurations, &a->configuration_room, a->configuration_count + 1,
                           MAX_CONFIGURATIONS, sizeof *a->configurations) ||
        !automaton_reserve(a, (void **)&a->threads, &a->thread_room, a->thread_count + count, MAX_THREADS,
                           sizeof *a->threads))
        return AUTOMATON_DEAD;
    if (count > 0)
        memcpy(a->threads + a->thread_count, found, count * sizeof *found);
    a->configurations[a->configuration_count] =
        (struct configuration){.first = a->thread_count, .count = count, .accepts = accepts};
    a->thread_count += count;
    a->configuration_table.slots[at] = ++a->configuration_count;
    return a->configuration_count - 1;
}
