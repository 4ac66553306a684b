/* grammar.c - the builder of grammars; see grammar.h. */
#include "matcher/grammar_rules.h"

#include <string.h>

#include "base/mem.h"

#define MAX_NAMES (1u << 24) /* bytes */

static void record(struct grammar *g, enum rwkv7_status status, const char *message)
{
    if (g->error.status != RWKV7_OK)
        return;
    if (status == RWKV7_ERR_MEMORY)
        fail_memory(&g->error, g->given);
    else
        fail(&g->error, status, "%s", message);
}

static void record_too_large(struct grammar *g)
{
    if (g->error.status == RWKV7_OK)
        fail(&g->error, RWKV7_ERR_USAGE, "%s is too large: more than %u rules or %u symbols", g->given,
             GRAMMAR_MAX_RULES, GRAMMAR_MAX_SYMBOLS);
}

void grammar_fail_memory(struct grammar *g)
{
    record(g, RWKV7_ERR_MEMORY, NULL);
}

bool grammar_reserve(struct grammar *g, void **table, uint32_t *room, uint32_t wanted, uint32_t limit, size_t size)
{
    if (wanted <= *room)
        return true;
    if (wanted > limit) {
        record_too_large(g);
        return false;
    }
    uint32_t more = *room > limit / 2 ? limit : *room * 2;
    more = more < wanted ? wanted : more;
    more = more < 16 ? 16 : more;
    more = more > limit ? limit : more;
    void *const grown = mem_grow(*table, *room, more, size);
    if (!grown) {
        record(g, RWKV7_ERR_MEMORY, NULL);
        return false;
    }
    *table = grown;
    *room = more;
    return true;
}

enum rwkv7_status grammar_create(struct grammar **out, struct rwkv7_error *err)
{
    struct grammar *const g = *out = mem_alloc(1, sizeof *g);
    if (!g)
        return fail_memory(err, "the grammar");
    g->start = UINT32_MAX;
    g->given = "the grammar";
    enum rwkv7_status status = regex_create(&g->regex, err);
    if (status == RWKV7_OK) {
        grammar_rule(g, "", 0); /* rule 0: returned by calls after a failure */
        status = g->error.status != RWKV7_OK ? fail_memory(err, "the grammar") : RWKV7_OK;
    }
    if (status != RWKV7_OK) {
        grammar_free(g);
        *out = NULL;
    }
    return status;
}

void grammar_free(struct grammar *g)
{
    if (!g)
        return;
    regex_free(g->regex);
    mem_free(g->rules);
    mem_free(g->alternatives);
    mem_free(g->symbols);
    mem_free(g->names);
    mem_free(g->objects);
    mem_free(g->members);
    mem_free(g->keys);
    mem_free(g->rests);
    mem_free(g);
}

void grammar_describe(struct grammar *g, const char *given, const char *void_message)
{
    g->given = given;
    g->void_message = void_message;
}

struct regex *grammar_regex(struct grammar *g)
{
    return g->regex;
}

bool grammar_failed(const struct grammar *g)
{
    return g->error.status != RWKV7_OK || regex_status(g->regex, NULL) != RWKV7_OK;
}

uint32_t grammar_new_rule(struct grammar *g, const struct grammar_rule *rule)
{
    if (grammar_failed(g) ||
        !grammar_reserve(g, (void **)&g->rules, &g->rule_room, g->rule_count + 1, GRAMMAR_MAX_RULES, sizeof *g->rules))
        return 0;
    g->rules[g->rule_count] = *rule;
    return g->rule_count++;
}

uint32_t grammar_rule(struct grammar *g, const char *name, size_t length)
{
    const struct grammar_rule rule = {.name = g->name_size,
                                      .name_length = length < 64 ? (uint32_t)length : 64, /* truncated */
                                      .first = UINT32_MAX,
                                      .last = UINT32_MAX};
    if (!grammar_reserve(g, (void **)&g->names, &g->name_room, g->name_size + rule.name_length, MAX_NAMES, 1))
        return 0;
    if (rule.name_length > 0)
        memcpy(g->names + g->name_size, name, rule.name_length);
    g->name_size += rule.name_length;
    return grammar_new_rule(g, &rule);
}

uint32_t grammar_terminal(struct grammar *g, uint32_t node)
{
    (void)g;
    return node | SYMBOL_TERMINAL;
}

void grammar_add(struct grammar *g, uint32_t rule, const uint32_t *symbols, size_t count)
{
    if (grammar_failed(g))
        return;
    if (count > GRAMMAR_MAX_SYMBOLS) {
        record_too_large(g);
        return;
    }
    uint32_t length = 0;
    for (size_t i = 0; i < count; i++)
        length += symbols[i] != (REGEX_EMPTY | SYMBOL_TERMINAL);
    if (!grammar_reserve(g, (void **)&g->symbols, &g->symbol_room, g->symbol_count + length + 1,
                         GRAMMAR_MAX_SYMBOLS + GRAMMAR_MAX_RULES, sizeof *g->symbols) ||
        !grammar_reserve(g, (void **)&g->alternatives, &g->alternative_room, g->alternative_count + 1,
                         GRAMMAR_MAX_SYMBOLS, sizeof *g->alternatives))
        return;
    g->alternatives[g->alternative_count] =
        (struct grammar_alternative){.first = g->symbol_count, .count = length, .next = UINT32_MAX};
    for (size_t i = 0; i < count; i++)
        if (symbols[i] != (REGEX_EMPTY | SYMBOL_TERMINAL))
            g->symbols[g->symbol_count++] = symbols[i];
    g->symbols[g->symbol_count++] = SYMBOL_END;
    struct grammar_rule *const r = &g->rules[rule];
    if (r->last == UINT32_MAX)
        r->first = g->alternative_count;
    else
        g->alternatives[r->last].next = g->alternative_count;
    r->last = g->alternative_count++;
}

uint32_t grammar_repeat(struct grammar *g, uint32_t symbol, uint32_t min, uint32_t max)
{
    if (min > max || min > 0x7fffffffu || (max > 0x7fffffffu && max != REGEX_NO_LIMIT)) {
        record(g, RWKV7_ERR_USAGE, "a repetition needs counts from 0 to 2147483647, the first not above the second");
        return 0;
    }
    if (max == 0)
        return grammar_terminal(g, REGEX_EMPTY);
    if (min == 1 && max == 1)
        return symbol;
    if (is_terminal(symbol) && max == 1)
        return grammar_terminal(g, regex_repeat(g->regex, terminal_node(symbol), min, max));
    return grammar_new_rule(
        g, &(struct grammar_rule){
               .first = UINT32_MAX, .last = UINT32_MAX, .is_repeat = true, .symbol = symbol, .min = min, .max = max});
}

void grammar_start(struct grammar *g, uint32_t rule)
{
    g->start = rule;
}

enum rwkv7_status grammar_rule_error(const struct grammar *g, uint32_t rule, const char *text, struct rwkv7_error *err)
{
    const struct grammar_rule *const r = &g->rules[rule];
    const int length = (int)r->name_length;
    return fail(err, RWKV7_ERR_USAGE, "grammar: rule %.*s: %s", length > 0 ? length : 9,
                length > 0 ? g->names + r->name : "(unnamed)", text);
}

/*
 * A -> A x | A y | b becomes A -> b T*, T -> x | y. No alternative of A then begins with A. An
 * alternative A -> A adds nothing and is dropped.
 */
static void remove_left_recursion(struct grammar *g, uint32_t rule)
{
    bool found = false;
    for (uint32_t i = g->rules[rule].first; i != UINT32_MAX; i = g->alternatives[i].next)
        found |= g->symbols[g->alternatives[i].first] == rule;
    if (!found)
        return;
    const struct grammar_rule old = g->rules[rule];
    const uint32_t tail = grammar_new_rule(
        g, &(struct grammar_rule){
               .name = old.name, .name_length = old.name_length, .first = UINT32_MAX, .last = UINT32_MAX});
    const uint32_t tails = grammar_repeat(g, tail, 0, REGEX_NO_LIMIT);
    g->rules[rule].first = g->rules[rule].last = UINT32_MAX;
    bool has_tail = false;
    for (uint32_t i = old.first; i != UINT32_MAX && !grammar_failed(g); i = g->alternatives[i].next) {
        const struct grammar_alternative alternative = g->alternatives[i];
        /* Copy first: adding a symbol may reallocate `symbols`. */
        uint32_t *const copy = mem_alloc((size_t)alternative.count + 1, sizeof *copy);
        if (!copy) {
            record(g, RWKV7_ERR_MEMORY, NULL);
            return;
        }
        memcpy(copy, g->symbols + alternative.first, alternative.count * sizeof *copy);
        if (alternative.count > 0 && copy[0] == rule) {
            if (alternative.count > 1)
                grammar_add(g, tail, copy + 1, alternative.count - 1);
            has_tail |= alternative.count > 1;
        } else {
            copy[alternative.count] = tails;
            grammar_add(g, rule, copy, (size_t)alternative.count + 1);
        }
        mem_free(copy);
    }
    if (!has_tail)
        grammar_add(g, tail, NULL, 0);
    if (g->rules[rule].first == UINT32_MAX) { /* only A -> A x: matches no text */
        const uint32_t impossible = grammar_terminal(g, REGEX_NOTHING);
        grammar_add(g, rule, &impossible, 1);
    }
}

enum rwkv7_status grammar_finish(struct grammar *g, struct rwkv7_error *err)
{
    const uint32_t rules = g->rule_count;
    if (g->start == UINT32_MAX)
        record(g, RWKV7_ERR_USAGE, "the grammar has no start rule");
    for (uint32_t i = 0; i < rules && !grammar_failed(g); i++)
        if (!g->rules[i].is_object)
            remove_left_recursion(g, i);
    if (g->error.status != RWKV7_OK) {
        if (err)
            *err = g->error;
        return g->error.status;
    }
    enum rwkv7_status status = regex_status(g->regex, err);
    if (status == RWKV7_OK)
        status = grammar_check_rules(g, err);
    if (status == RWKV7_OK)
        status = grammar_rank_rules(g, err);
    return status;
}

/* ---------------------------------------------------------------------------------- front ends */

enum rwkv7_status regex_build(const char *text, size_t size, struct grammar *g, struct rwkv7_error *err)
{
    uint32_t node;
    grammar_describe(g, "the regular expression", "regular expression: matches no text");
    const enum rwkv7_status status = regex_parse(g->regex, text, size, 0, &node, err);
    if (status != RWKV7_OK)
        return status;
    const uint32_t rule = grammar_rule(g, "expression", 10), symbol = grammar_terminal(g, node);
    grammar_add(g, rule, &symbol, 1);
    grammar_start(g, rule);
    return grammar_finish(g, err);
}

enum rwkv7_status choices_build(const struct regex_text *choices, size_t count, struct grammar *g,
                                struct rwkv7_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (choices[i].size == 0)
            return fail(err, RWKV7_ERR_USAGE, "choice %zu is empty", i + 1);
    if (count == 0)
        return fail(err, RWKV7_ERR_USAGE, "there are no choices; give one at least");
    grammar_describe(g, "the list of choices", "the choices match no text");
    const uint32_t rule = grammar_rule(g, "choices", 7);
    const uint32_t symbol = grammar_terminal(g, regex_literals(g->regex, choices, count));
    grammar_add(g, rule, &symbol, 1);
    grammar_start(g, rule);
    return grammar_finish(g, err);
}
