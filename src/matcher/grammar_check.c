/*
 * grammar_check.c - analyses of a complete grammar: which rules are reachable, productive and
 * nullable, and their order by left corners (the rules that a rule may begin with). All take linear
 * time and use no recursion.
 */
#include "matcher/grammar_rules.h"

#include <string.h>

#include "base/mem.h"

/*
 * The places where each rule occurs: uses[start[rule] .. start[rule + 1]) are alternatives or
 * repetitions.
 */
struct uses {
    uint32_t *start;  /* [rules + 1] */
    uint32_t *places; /* alternative, or REPETITION | rule */
    uint32_t *unmet;  /* [alternatives]: symbols that do not have the property yet */
    uint32_t *owner;  /* [alternatives]: rule */
    uint32_t *queue;  /* [rules] */
    uint32_t queue_count;
};

#define REPETITION 0x80000000u

static void uses_free(struct uses *u)
{
    mem_free(u->start);
    mem_free(u->places);
    mem_free(u->unmet);
    mem_free(u->owner);
    mem_free(u->queue);
}

/* Visits each occurrence of a rule: counts them if !fill, else stores them in `places`. */
static void count_or_fill(const struct grammar *g, struct uses *u, bool fill)
{
    for (uint32_t rule = 0; rule < g->rule_count; rule++) {
        const struct grammar_rule *const r = &g->rules[rule];
        if (r->is_repeat && !is_terminal(r->symbol)) {
            if (fill)
                u->places[u->start[r->symbol]++] = rule | REPETITION;
            else
                u->start[r->symbol + 1]++;
        }
        for (uint32_t i = r->first; i != UINT32_MAX; i = g->alternatives[i].next) {
            u->owner[i] = rule;
            for (const uint32_t *s = g->symbols + g->alternatives[i].first; *s != SYMBOL_END; s++) {
                if (is_terminal(*s))
                    continue;
                if (fill)
                    u->places[u->start[*s]++] = i;
                else
                    u->start[*s + 1]++;
            }
        }
    }
}

static enum rwkv7_status uses_find(const struct grammar *g, struct uses *u, struct rwkv7_error *err)
{
    const uint32_t rules = g->rule_count;
    *u = (struct uses){.start = mem_alloc((size_t)rules + 1, sizeof *u->start),
                       .unmet = mem_alloc(g->alternative_count, sizeof *u->unmet),
                       .owner = mem_alloc(g->alternative_count, sizeof *u->owner),
                       .queue = mem_alloc(rules, sizeof *u->queue),
                       .places = mem_alloc((size_t)g->symbol_count + rules, sizeof *u->places)};
    if (!u->start || !u->unmet || !u->owner || !u->queue || !u->places)
        return fail_memory(err, g->given);
    count_or_fill(g, u, false);
    for (uint32_t i = 0; i < rules; i++)
        u->start[i + 1] += u->start[i];
    count_or_fill(g, u, true); /* moves each start to the end of its places */
    memmove(u->start + 1, u->start, rules * sizeof *u->start);
    u->start[0] = 0;
    return RWKV7_OK;
}

/*
 * A property that a rule has if all symbols of one of its alternatives have it. Whenever an
 * alternative of an object gets it, of_object says whether the object has it too; NULL: objects
 * never have it.
 */
struct property {
    bool (*of_terminal)(struct grammar *g, uint32_t node, struct rwkv7_error *err);
    bool (*of_object)(struct grammar *g, uint32_t rule, uint32_t alternative);
    bool of_empty_repeat; /* a repetition with min 0 has it */
    bool *(*flag)(struct grammar_rule *r);
};

static bool can_match(struct grammar *g, uint32_t node, struct rwkv7_error *err)
{
    bool is_void = false;
    const enum rwkv7_status status = regex_is_void(g->regex, node, &is_void, &g->error);
    (void)err;
    return status == RWKV7_OK && !is_void;
}

static bool may_be_empty(struct grammar *g, uint32_t node, struct rwkv7_error *err)
{
    (void)err;
    return regex_nullable(g->regex, node);
}

static bool *productive_flag(struct grammar_rule *r)
{
    return &r->productive;
}

static bool *nullable_flag(struct grammar_rule *r)
{
    return &r->nullable;
}

static void set_flag(struct grammar *g, struct uses *u, const struct property *p, uint32_t rule)
{
    bool *const flag = p->flag(&g->rules[rule]);
    if (!*flag) {
        *flag = true;
        u->queue[u->queue_count++] = rule;
    }
}

/* An alternative has got the property: so has its rule; an object only if of_object says so. */
static void set_by_alternative(struct grammar *g, struct uses *u, const struct property *p, uint32_t alternative)
{
    const uint32_t rule = u->owner[alternative];
    if (!g->rules[rule].is_object || (p->of_object && p->of_object(g, rule, alternative)))
        set_flag(g, u, p, rule);
}

/* Sets the flag of all rules with the property: the least fixed point. */
static void propagate(struct grammar *g, struct uses *u, const struct property *p, struct rwkv7_error *err)
{
    u->queue_count = 0;
    for (uint32_t rule = 0; rule < g->rule_count; rule++) {
        const struct grammar_rule *const r = &g->rules[rule];
        if (r->is_repeat && ((r->min == 0 && p->of_empty_repeat) ||
                             (is_terminal(r->symbol) && p->of_terminal(g, terminal_node(r->symbol), err))))
            set_flag(g, u, p, rule);
        for (uint32_t i = r->first; i != UINT32_MAX; i = g->alternatives[i].next) {
            if (g->alternatives[i].dropped)
                continue;
            u->unmet[i] = 0;
            for (const uint32_t *s = g->symbols + g->alternatives[i].first; *s != SYMBOL_END; s++)
                u->unmet[i] += !is_terminal(*s) || !p->of_terminal(g, terminal_node(*s), err);
            if (u->unmet[i] == 0)
                set_by_alternative(g, u, p, i);
        }
    }
    for (uint32_t at = 0; at < u->queue_count; at++) {
        const uint32_t rule = u->queue[at];
        for (uint32_t i = u->start[rule]; i < u->start[rule + 1]; i++) {
            const uint32_t place = u->places[i];
            if (place & REPETITION)
                set_flag(g, u, p, place & ~REPETITION);
            else if (--u->unmet[place] == 0 && !g->alternatives[place].dropped)
                set_by_alternative(g, u, p, place);
        }
    }
}

/* Marks the rules that are reached from the start. */
static enum rwkv7_status mark_reachable(struct grammar *g, struct uses *u, struct rwkv7_error *err)
{
    u->queue_count = 1;
    u->queue[0] = g->start;
    g->rules[g->start].reachable = true;
    for (uint32_t at = 0; at < u->queue_count; at++) {
        struct grammar_rule *const r = &g->rules[u->queue[at]];
        if (r->first == UINT32_MAX && !r->is_repeat)
            return grammar_rule_error(g, u->queue[at], "used, but not defined", err);
        if (r->is_repeat && !is_terminal(r->symbol) && !g->rules[r->symbol].reachable) {
            g->rules[r->symbol].reachable = true;
            u->queue[u->queue_count++] = r->symbol;
        }
        for (uint32_t i = r->first; i != UINT32_MAX; i = g->alternatives[i].next)
            for (const uint32_t *s = g->symbols + g->alternatives[i].first; *s != SYMBOL_END; s++)
                if (!is_terminal(*s) && !g->rules[*s].reachable) {
                    g->rules[*s].reachable = true;
                    u->queue[u->queue_count++] = *s;
                }
    }
    return RWKV7_OK;
}

/*
 * Drops alternatives that contain a symbol which matches no text, and repetitions of such a symbol.
 */
static void drop_impossible(struct grammar *g)
{
    for (uint32_t rule = 0; rule < g->rule_count; rule++) {
        struct grammar_rule *const r = &g->rules[rule];
        if (r->is_repeat && r->min == 0 &&
            (is_terminal(r->symbol) ? !can_match(g, terminal_node(r->symbol), NULL) : !g->rules[r->symbol].productive))
            r->symbol = REGEX_EMPTY | SYMBOL_TERMINAL;
        for (uint32_t i = r->first; i != UINT32_MAX; i = g->alternatives[i].next)
            for (const uint32_t *s = g->symbols + g->alternatives[i].first; *s != SYMBOL_END; s++)
                g->alternatives[i].dropped |=
                    is_terminal(*s) ? !can_match(g, terminal_node(*s), NULL) : !g->rules[*s].productive;
    }
}

enum rwkv7_status grammar_check_rules(struct grammar *g, struct rwkv7_error *err)
{
    static const struct property productive = {can_match, object_note_possible, true, productive_flag};
    static const struct property nullable = {may_be_empty, NULL, true, nullable_flag};
    struct uses u;
    enum rwkv7_status status = uses_find(g, &u, err);
    if (status == RWKV7_OK)
        status = mark_reachable(g, &u, err);
    if (status == RWKV7_OK) {
        propagate(g, &u, &productive, err);
        drop_impossible(g);
        object_finish(g);
        status = g->error.status;
        if (status != RWKV7_OK && err)
            *err = g->error;
    }
    if (status == RWKV7_OK && !g->rules[g->start].productive)
        status = g->void_message ? fail(err, RWKV7_ERR_USAGE, "%s", g->void_message)
                                 : grammar_rule_error(g, g->start, "matches no text", err);
    if (status == RWKV7_OK) {
        propagate(g, &u, &nullable, err);
        for (uint32_t i = 0; i < g->rule_count; i++) /* (x?){m,n} is (x?){0,n} */
            if (g->rules[i].is_repeat && g->rules[i].nullable)
                g->rules[i].min = 0;
    }
    uses_free(&u);
    return status;
}

/* --------------------------------------------------------------------------------- left corners */

/* A walk over the rules that a rule may begin with, depth first. */
struct visit {
    uint32_t rule;
    uint32_t alternative; /* the next to visit; UINT32_MAX: none */
    uint32_t symbol;      /* its next symbol to visit; UINT32_MAX: the first one */
    bool entered;         /* a repetition: its symbol was visited */
};

/* Returns the next rule that the visited rule may begin with; UINT32_MAX: no more. */
static uint32_t next_corner(const struct grammar *g, struct visit *v)
{
    const struct grammar_rule *const r = &g->rules[v->rule];
    if (r->is_repeat || r->is_object) {
        const uint32_t symbol = r->is_repeat ? r->symbol : g->objects[r->symbol].other_first;
        if (v->entered || is_terminal(symbol) || (r->is_object && !g->objects[r->symbol].has_others))
            return UINT32_MAX;
        v->entered = true;
        return symbol;
    }
    while (v->alternative != UINT32_MAX) {
        const struct grammar_alternative *const a = &g->alternatives[v->alternative];
        if (v->symbol == UINT32_MAX)
            v->symbol = a->first;
        while (!a->dropped && v->symbol != SYMBOL_END && g->symbols[v->symbol] != SYMBOL_END) {
            const uint32_t symbol = g->symbols[v->symbol];
            const bool skip = symbol_nullable(g, symbol);
            v->symbol = skip ? v->symbol + 1 : a->first + a->count;
            if (!is_terminal(symbol))
                return symbol;
        }
        v->alternative = a->next;
        v->symbol = UINT32_MAX;
    }
    return UINT32_MAX;
}

enum rwkv7_status grammar_rank_rules(struct grammar *g, struct rwkv7_error *err)
{
    enum { NEW, OPEN, DONE };
    enum rwkv7_status status = RWKV7_OK;
    struct visit *const stack = mem_alloc(g->rule_count, sizeof *stack);
    uint8_t *const state = mem_alloc(g->rule_count, 1);
    uint32_t depth = 0, rank = g->rule_count;
    if (!stack || !state)
        status = fail_memory(err, g->given);
    for (uint32_t first = 0; first < g->rule_count && status == RWKV7_OK; first++) {
        if (state[first] != NEW || !g->rules[first].reachable)
            continue;
        state[first] = OPEN;
        stack[depth++] = (struct visit){first, g->rules[first].first, UINT32_MAX, false};
        while (depth > 0 && status == RWKV7_OK) {
            const uint32_t next = next_corner(g, &stack[depth - 1]);
            if (next == UINT32_MAX) {
                g->rules[stack[--depth].rule].rank = --rank;
                state[stack[depth].rule] = DONE;
            } else if (state[next] == NEW) {
                state[next] = OPEN;
                stack[depth++] = (struct visit){next, g->rules[next].first, UINT32_MAX, false};
            } else if (state[next] == OPEN) {
                uint32_t named = next; /* a named rule of the cycle, for the message */
                for (uint32_t i = depth; i > 0 && g->rules[named].name_length == 0 && stack[i - 1].rule != next; i--)
                    named = stack[i - 1].rule;
                status = grammar_rule_error(
                    g, named, "left recursion through other rules is not supported; write it as a repetition", err);
            }
        }
    }
    mem_free(stack);
    mem_free(state);
    return status;
}
