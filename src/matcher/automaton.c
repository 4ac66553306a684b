/*
 * automaton.c - computes frontiers and steps; see automaton.h.
 *
 * A frontier is computed in two phases. The first phase pops stack sets, and goes on below every
 * entry that may match the empty text. Each stack set is popped once. The second phase expands the
 * rules that may begin. It takes them in the order of their ranks, callers before the rules they
 * call, so that each rule is expanded once, with the union of the stack sets of its callers. In
 * another order, two levels of n calls each would expand the inner rule n * n times.
 */
#include "matcher/automaton_store.h"

#include <string.h>

#include "base/mem.h"
#include "matcher/regex_node.h"

#define MAX_POPPED (1u << 18)
#define MAX_STEPS (1u << 18)
#define MAX_CALLERS (1u << 18)

enum rwkv7_status automaton_status(const struct automaton *a, struct rwkv7_error *err)
{
    if (a->error.status != RWKV7_OK && err)
        *err = a->error;
    return a->error.status;
}

/* ------------------------------------------------------------------------------------ expansion */

/* Queues a rule for expansion, followed by `stack`. */
static void expand_later(struct automaton *a, uint32_t rule, uint32_t stack)
{
    const struct grammar_rule *const rules = a->grammar->rules;
    const uint32_t before = a->waiting[rule];
    if (!automaton_reserve(a, (void **)&a->callers, &a->caller_room, a->caller_count + 1, MAX_CALLERS,
                           sizeof *a->callers))
        return;
    a->callers[a->caller_count] = (struct caller){stack, before};
    a->waiting[rule] = a->caller_count++;
    if (before != UINT32_MAX)
        return;
    uint32_t at = a->heap_count++;
    for (; at > 0 && a->heap[(at - 1) / 2] > rules[rule].rank; at = (at - 1) / 2)
        a->heap[at] = a->heap[(at - 1) / 2];
    a->heap[at] = rules[rule].rank;
}

/* Removes the queued rule of the lowest rank and returns it. */
static uint32_t next_rule(struct automaton *a)
{
    const uint32_t lowest = a->heap[0], last = a->heap[--a->heap_count];
    uint32_t at = 0;
    for (uint32_t child = 1; child < a->heap_count; child = 2 * at + 1) {
        child += child + 1 < a->heap_count && a->heap[child + 1] < a->heap[child];
        if (a->heap[child] >= last)
            break;
        a->heap[at] = a->heap[child];
        at = child;
    }
    a->heap[at] = last;
    return a->rule_of_rank[lowest];
}

/* A terminal becomes a thread, a rule is queued. */
void automaton_begin(struct automaton *a, uint32_t symbol, uint32_t stack)
{
    if (!is_terminal(symbol)) {
        expand_later(a, symbol, stack);
    } else if (terminal_node(symbol) != REGEX_EMPTY) {
        const uint32_t state = state_of_node(a, terminal_node(symbol), UINT32_MAX);
        if (state != AUTOMATON_DEAD)
            push_found(a, state, stack);
    }
}

/*
 * Begins the symbols from `place` on, up to the first that cannot be empty. Returns whether all may
 * be empty.
 */
static bool begin_symbols(struct automaton *a, uint32_t place, uint32_t below)
{
    const struct grammar *const g = a->grammar;
    for (; g->symbols[place] != SYMBOL_END; place++) {
        automaton_begin(a, g->symbols[place], stack_push(a, place + 1, 0, below));
        if (!symbol_nullable(g, g->symbols[place]))
            return false;
    }
    return true;
}

/* Returns the union of what follows a queued rule at its callers. */
static uint32_t stack_of_callers(struct automaton *a, uint32_t rule)
{
    const uint32_t base = a->found_count;
    for (uint32_t i = a->waiting[rule]; i != UINT32_MAX; i = a->callers[i].next)
        if (!push_found(a, 0, a->callers[i].stack))
            return 0;
    const uint32_t count = a->found_count - base;
    a->found_count = base;
    return stack_union_of(a, a->found + base, count);
}

static void expand(struct automaton *a, uint32_t rule)
{
    const struct grammar *const g = a->grammar;
    const struct grammar_rule *const r = &g->rules[rule];
    const uint32_t stack = stack_of_callers(a, rule);
    a->waiting[rule] = UINT32_MAX;
    if (r->is_object) {
        object_begin(a, rule, stack);
        return;
    }
    if (r->is_repeat)
        automaton_begin(a, r->symbol, stack_push(a, rule | PLACE_REPEAT, 1, stack));
    for (uint32_t i = r->first; i != UINT32_MAX; i = g->alternatives[i].next)
        if (!g->alternatives[i].dropped) /* result unused: callers check `nullable` */
            begin_symbols(a, g->alternatives[i].first, stack);
}

static void pop_later(struct automaton *a, uint32_t stack)
{
    if (a->stacks[stack].seen == a->search)
        return;
    a->stacks[stack].seen = a->search;
    if (automaton_reserve(a, (void **)&a->popped, &a->popped_room, a->popped_count + 1, MAX_POPPED, sizeof *a->popped))
        a->popped[a->popped_count++] = stack;
}

/*
 * Continues after a popped entry: begins its symbols, and pops what is below if they may be empty.
 */
static void resume(struct automaton *a, struct stack_entry entry)
{
    const struct grammar *const g = a->grammar;
    bool complete;
    if (entry.place & PLACE_REPEAT) {
        const struct grammar_rule *const r = &g->rules[entry.place & ~PLACE_REPEAT];
        automaton_begin(a, r->symbol, stack_push(a, entry.place, entry.done + 1, entry.below));
        complete = entry.done >= r->min;
    } else if (entry.place & PLACE_KEY) {
        complete = object_resume(a, entry.place & ~PLACE_KEY, entry.done, entry.below);
    } else {
        complete = begin_symbols(a, entry.place, entry.below);
    }
    if (complete)
        pop_later(a, entry.below);
}

static uint32_t expand_all(struct automaton *a, uint32_t base, bool accepts)
{
    while (a->heap_count > 0)
        expand(a, next_rule(a));
    a->caller_count = 0;
    return configuration_of_found(a, base, accepts);
}

enum rwkv7_status automaton_frontier(struct automaton *a, uint32_t stack, uint32_t *configuration,
                                     struct rwkv7_error *err)
{
    const uint32_t base = a->found_count;
    bool accepts = false;
    *configuration = a->stacks[stack].frontier;
    if (*configuration != UINT32_MAX)
        return RWKV7_OK;
    a->search++;
    a->popped_count = 0;
    pop_later(a, stack);
    for (uint32_t i = 0; i < a->popped_count && a->error.status == RWKV7_OK; i++) {
        const struct stack_set s = a->stacks[a->popped[i]];
        accepts |= s.may_end;
        for (uint32_t k = 0; k < s.count; k++)
            resume(a, a->entries[s.first + k]);
    }
    *configuration = expand_all(a, base, accepts);
    if (a->error.status == RWKV7_OK)
        a->stacks[stack].frontier = *configuration;
    return automaton_status(a, err);
}

/* ---------------------------------------------------------------------------------------- steps */

uint32_t automaton_next_state(struct automaton *a, uint32_t state, uint8_t byte)
{
    const struct dfa_state s = a->states[state];
    if (state == AUTOMATON_DEAD)
        return AUTOMATON_DEAD;
    const uint32_t at = s.row + a->alphabets[s.alphabet].class_of[byte];
    const uint32_t known = a->rows[at];
    if (known != ROW_UNKNOWN)
        return known;
    if (a->error.status != RWKV7_OK)
        return AUTOMATON_DEAD;
    const uint8_t same = a->alphabets[s.alphabet].byte_of[a->alphabets[s.alphabet].class_of[byte]];
    const uint32_t node = regex_derive(a->regex, s.node, same);
    if (regex_status(a->regex, &a->error) != RWKV7_OK) {
        a->full = a->error.status == RWKV7_ERR_USAGE;
        return AUTOMATON_DEAD;
    }
    const uint32_t next = state_of_node(a, node, s.alphabet);
    if (a->error.status != RWKV7_OK)
        return AUTOMATON_DEAD;
    a->rows[at] = next;
    return next;
}

static struct step_memo *find_step(const struct automaton *a, uint32_t configuration, uint32_t byte)
{
    uint32_t h = (configuration * 256u + byte) * 0x9e3779b1u;
    h ^= h >> 15;
    h *= 0x85ebca6bu;
    h ^= h >> 13;
    uint32_t at = h & (a->step_size - 1);
    while (a->steps[at].configuration != AUTOMATON_DEAD &&
           (a->steps[at].configuration != configuration || a->steps[at].byte != byte))
        at = (at + 1) & (a->step_size - 1);
    return &a->steps[at];
}

static bool grow_steps(struct automaton *a)
{
    if (a->step_used < a->step_size / 2)
        return true;
    if (a->step_size == MAX_STEPS) {
        memset(a->steps, 0, a->step_size * sizeof *a->steps);
        a->step_used = 0;
        return true;
    }
    const uint32_t old_size = a->step_size, size = old_size ? old_size * 2 : 256;
    struct step_memo *const old = a->steps, *const grown = mem_alloc(size, sizeof *grown);
    if (!grown) {
        automaton_fail(a, RWKV7_ERR_MEMORY, NULL);
        return false;
    }
    a->steps = grown;
    a->step_size = size;
    for (uint32_t i = 0; i < old_size; i++)
        if (old[i].configuration != AUTOMATON_DEAD)
            *find_step(a, old[i].configuration, old[i].byte) = old[i];
    mem_free(old);
    return true;
}

/*
 * Steps one thread: adds its next DFA state and, if its terminal may end there, the frontier of its
 * stack. *accepts: set if the text may end. Returns false after a failure.
 */
static bool step_thread(struct automaton *a, struct thread t, uint8_t byte, bool *accepts)
{
    const uint32_t state = automaton_next_state(a, t.state, byte);
    if (state == AUTOMATON_DEAD)
        return a->error.status == RWKV7_OK;
    if (a->states[state].node != REGEX_EMPTY && !push_found(a, state, t.stack))
        return false;
    if (!a->states[state].nullable)
        return true;
    uint32_t frontier;
    if (automaton_frontier(a, t.stack, &frontier, NULL) != RWKV7_OK)
        return false;
    const struct configuration c = a->configurations[frontier];
    *accepts |= c.accepts;
    for (uint32_t i = 0; i < c.count; i++)
        if (!push_found(a, a->threads[c.first + i].state, a->threads[c.first + i].stack))
            return false;
    return true;
}

enum rwkv7_status automaton_step(struct automaton *a, uint32_t configuration, uint8_t byte, uint32_t *next,
                                 struct rwkv7_error *err)
{
    *next = AUTOMATON_DEAD;
    if (configuration == AUTOMATON_DEAD || a->error.status != RWKV7_OK || !grow_steps(a))
        return automaton_status(a, err);
    const struct step_memo *const known = find_step(a, configuration, byte);
    if (known->configuration != AUTOMATON_DEAD) {
        *next = known->next;
        return RWKV7_OK;
    }
    const struct configuration c = a->configurations[configuration];
    const uint32_t base = a->found_count;
    bool accepts = false;
    for (uint32_t i = 0; i < c.count; i++)
        if (!step_thread(a, a->threads[c.first + i], byte, &accepts))
            return automaton_status(a, err);
    *next = configuration_of_found(a, base, accepts);
    if (a->error.status != RWKV7_OK || !grow_steps(a))
        return automaton_status(a, err);
    *find_step(a, configuration, byte) = (struct step_memo){configuration, byte, *next};
    a->step_used++;
    return RWKV7_OK;
}

/* -------------------------------------------------------------------------------------- queries */

uint32_t automaton_start(const struct automaton *a)
{
    return a->start;
}

bool automaton_recover(struct automaton *a)
{
    const bool full = a->full;
    if (a->error.status == RWKV7_OK)
        return false;
    a->error = a->regex->error = (struct rwkv7_error){0};
    a->full = false;
    a->found_count = a->caller_count = a->regex->scratch_count = 0;
    for (; a->heap_count > 0; a->heap_count--)
        a->waiting[a->rule_of_rank[a->heap[a->heap_count - 1]]] = UINT32_MAX;
    return full;
}

struct configuration automaton_configuration(const struct automaton *a, uint32_t configuration)
{
    return a->configurations[configuration];
}

struct thread automaton_thread(const struct automaton *a, uint32_t index)
{
    return a->threads[index];
}

bool automaton_state_nullable(const struct automaton *a, uint32_t state)
{
    return a->states[state].nullable;
}

uint32_t automaton_state_node(const struct automaton *a, uint32_t state)
{
    return a->states[state].node;
}

size_t automaton_bytes(const struct automaton *a)
{
    return regex_bytes(a->regex) + a->state_room * sizeof *a->states + a->row_room * sizeof *a->rows +
           a->alphabet_room * sizeof *a->alphabets + a->stack_room * sizeof *a->stacks +
           a->entry_room * sizeof *a->entries + a->configuration_room * sizeof *a->configurations +
           a->thread_room * sizeof *a->threads + a->step_size * sizeof *a->steps + a->union_size * sizeof *a->unions +
           a->member_set_room * sizeof *a->member_sets + a->member_word_room * sizeof *a->member_words +
           (a->state_table.size + a->stack_table.size + a->configuration_table.size + a->member_table.size) *
               sizeof(uint32_t);
}

/* --------------------------------------------------------------------------------------- object */

enum rwkv7_status automaton_create(const struct grammar *g, struct automaton **out, struct rwkv7_error *err)
{
    struct automaton *const a = *out = mem_alloc(1, sizeof *a);
    if (!a)
        return fail_memory(err, g->given);
    a->grammar = g;
    a->waiting = mem_alloc(g->rule_count, sizeof *a->waiting);
    a->heap = mem_alloc(g->rule_count, sizeof *a->heap);
    a->rule_of_rank = mem_alloc(g->rule_count, sizeof *a->rule_of_rank);
    enum rwkv7_status status = regex_copy(g->regex, &a->regex, err);
    if (status == RWKV7_OK && (!a->waiting || !a->heap || !a->rule_of_rank))
        status = fail_memory(err, g->given);
    if (status == RWKV7_OK && !automaton_reserve(a, (void **)&a->states, &a->state_room, 1, 64, sizeof *a->states))
        status = automaton_status(a, err);
    if (status == RWKV7_OK) {
        a->states[a->state_count++] = (struct dfa_state){.node = REGEX_NOTHING}; /* AUTOMATON_DEAD */
        configuration_of_found(a, 0, false);                                     /* likewise */
        memset(a->waiting, 0xff, g->rule_count * sizeof *a->waiting);
        for (uint32_t i = 0; i < g->rule_count; i++)
            if (g->rules[i].reachable)
                a->rule_of_rank[g->rules[i].rank] = i;
        expand_later(a, g->start, stack_bottom(a));
        a->start = expand_all(a, 0, g->rules[g->start].nullable);
        status = automaton_status(a, err);
    }
    if (status != RWKV7_OK) {
        automaton_free(a);
        *out = NULL;
    }
    return status;
}

void automaton_free(struct automaton *a)
{
    if (!a)
        return;
    regex_free(a->regex);
    mem_free(a->states);
    mem_free(a->state_table.slots);
    mem_free(a->rows);
    mem_free(a->alphabets);
    mem_free(a->stacks);
    mem_free(a->entries);
    mem_free(a->stack_table.slots);
    mem_free(a->configurations);
    mem_free(a->threads);
    mem_free(a->configuration_table.slots);
    mem_free(a->member_sets);
    mem_free(a->member_words);
    mem_free(a->member_table.slots);
    mem_free(a->steps);
    mem_free(a->unions);
    mem_free(a->waiting);
    mem_free(a->callers);
    mem_free(a->heap);
    mem_free(a->rule_of_rank);
    mem_free(a->popped);
    mem_free(a->found);
    mem_free(a);
}
