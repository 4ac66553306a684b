/*
 * gbnf.c - converts grammars in llama.cpp's notation (GBNF) to struct grammar.
 *
 *     rule     name ::= sequence | sequence ...    until the end of the line, outside of parentheses
 *     element  "text"  [class]  [^class]  .  name  (group), each with * + ? {m} {m,} {m,n}
 *     escapes  \n \r \t \\ \" \[ \] \- \^ \xHH \uHHHH \UHHHHHHHH
 *     comment  # to the end of the line
 *
 * A rule may continue on the next line after ::= and |. The start rule is `root`.
 *
 * There are two steps. The parser (gbnf_parse.c) makes a tree of each rule. This file converts the
 * trees to a grammar. Everything regular becomes one expression: groups, repetitions, and rules
 * that are not recursive.
 */
#include "matcher/gbnf.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define MAX_RULE_DEPTH 32 /* nested rules that are merged into one expression */

/* ---------------------------------------------------------------------------------------- names */

static int compare_names(const char *a, size_t a_size, const char *b, size_t b_size)
{
    const int c = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return c ? c : (a_size > b_size) - (a_size < b_size);
}

static int compare_rules(const void *a, const void *b)
{
    const struct rule *x = a, *y = b;
    const int c = compare_names(x->name, x->size, y->name, y->size);
    return c ? c : (x->name > y->name) - (x->name < y->name);
}

static struct rule *find_rule(const struct gbnf *p, const char *name, size_t size)
{
    uint32_t low = 0, high = p->rule_count;
    while (low < high) {
        const uint32_t mid = low + (high - low) / 2;
        const int c = compare_names(p->rules[mid].name, p->rules[mid].size, name, size);
        if (c == 0)
            return &p->rules[mid];
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static bool resolve_names(struct gbnf *p)
{
    if (p->rule_count > 1) /* a grammar without rules has no array */
        qsort(p->rules, p->rule_count, sizeof *p->rules, compare_rules);
    for (uint32_t i = 1; i < p->rule_count; i++) {
        const struct rule *a = &p->rules[i - 1], *b = &p->rules[i];
        if (compare_names(a->name, a->size, b->name, b->size) == 0)
            return gbnf_refuse_name(p, b->name, "a second rule", b->name, b->size) != NO_NODE;
    }
    for (uint32_t i = 0; i < p->node_count; i++) {
        if (p->nodes[i].kind != KIND_NAME)
            continue;
        const char *name;
        p->at = p->text + p->nodes[i].at;
        const size_t size = gbnf_read_name(p, &name);
        const struct rule *rule = find_rule(p, name, size);
        if (!rule)
            return gbnf_refuse_name(p, name, "there is no rule", name, size) != NO_NODE;
        p->nodes[i].value = (uint32_t)(rule - p->rules);
    }
    return true;
}

/* -------------------------------------------------------------------------------- regular rules */

static bool is_regular(struct gbnf *p, uint32_t node, unsigned depth);

/* A converted node: an expression, or a symbol of the grammar. */
struct part {
    bool regular;
    uint32_t value;
};

static struct part write_node(struct gbnf *p, uint32_t node, struct rule *as);

/*
 * Returns whether a rule is regular: none of the rules it refers to is still being tested, so it is
 * not recursive.
 */
static bool is_regular_rule(struct gbnf *p, struct rule *rule, unsigned depth)
{
    if (rule->state == STATE_NEW) {
        if (depth == MAX_RULE_DEPTH)
            return false;
        rule->state = STATE_ENTERED;
        rule->state = is_regular(p, rule->tree, depth + 1) ? STATE_REGULAR : STATE_RULE;
        if (rule->state == STATE_REGULAR) /* the rules it names are converted already */
            rule->regex = write_node(p, rule->tree, NULL).value;
    }
    return rule->state == STATE_REGULAR;
}

/* Recursion is bounded by MAX_GROUPS and MAX_RULE_DEPTH. */
static bool is_regular(struct gbnf *p, uint32_t node, unsigned depth)
{
    const struct node *n = &p->nodes[node];
    if (n->kind == KIND_NAME)
        return is_regular_rule(p, &p->rules[n->value], depth);
    for (uint32_t child = n->first; child != NO_NODE; child = p->nodes[child].next)
        if (!is_regular(p, child, depth))
            return false;
    return true;
}

/* -------------------------------------------------------------------------------------- grammar */

static uint32_t symbol_of(struct gbnf *p, struct part part)
{
    return part.regular ? grammar_terminal(p->grammar, part.value) : part.value;
}

static struct part regular(uint32_t node)
{
    return (struct part){true, node};
}

static struct part symbol(uint32_t s)
{
    return (struct part){false, s};
}

static uint32_t rule_symbol(struct gbnf *p, struct rule *rule)
{
    if (!rule->has_symbol) {
        rule->has_symbol = true;
        rule->symbol = grammar_rule(p->grammar, rule->name, rule->size);
    }
    return rule->symbol;
}

static struct part write_name(struct gbnf *p, struct rule *rule)
{
    if (rule->state != STATE_REGULAR)
        return symbol(rule_symbol(p, rule));
    return regular(rule->regex);
}

/*
 * Converts a sequence; adjacent regular elements become one terminal. rule: gets the sequence as an
 * alternative, UINT32_MAX: none.
 */
static struct part write_sequence(struct gbnf *p, const struct node *n, uint32_t rule)
{
    uint32_t count = 0, room = 1, pending = REGEX_EMPTY;
    struct part result = regular(REGEX_EMPTY);
    for (uint32_t child = n->first; child != NO_NODE; child = p->nodes[child].next)
        room += 2;
    uint32_t *symbols = mem_alloc(room, sizeof *symbols);
    if (!symbols) {
        p->status = fail_memory(p->err, "a grammar");
        return result;
    }
    for (uint32_t child = n->first; child != NO_NODE; child = p->nodes[child].next) {
        const struct part part = write_node(p, child, NULL);
        if (part.regular) {
            pending = regex_concat(p->regex, pending, part.value);
            continue;
        }
        if (pending != REGEX_EMPTY)
            symbols[count++] = grammar_terminal(p->grammar, pending);
        pending = REGEX_EMPTY;
        symbols[count++] = part.value;
    }
    if (count == 0) {
        result = regular(pending);
    } else {
        if (pending != REGEX_EMPTY)
            symbols[count++] = grammar_terminal(p->grammar, pending);
        if (count == 1 && rule == UINT32_MAX) {
            result = symbol(symbols[0]);
        } else {
            result = symbol(rule == UINT32_MAX ? grammar_rule(p->grammar, "group", 5) : rule);
            grammar_add(p->grammar, result.value, symbols, count);
        }
    }
    mem_free(symbols);
    return result;
}

/* Converts alternatives: those of the rule `as`, or of an unnamed group if it is NULL. */
static struct part write_choice(struct gbnf *p, const struct node *n, struct rule *as)
{
    uint32_t expression = REGEX_NOTHING, rule = as ? rule_symbol(p, as) : UINT32_MAX;
    bool all_regular = true;
    if (!as && p->nodes[n->first].next == NO_NODE)
        return write_sequence(p, &p->nodes[n->first], UINT32_MAX);
    for (uint32_t child = n->first; child != NO_NODE; child = p->nodes[child].next)
        all_regular = all_regular && is_regular(p, child, 0);
    if (!all_regular && !as)
        rule = grammar_rule(p->grammar, "group", 5);
    for (uint32_t child = n->first; child != NO_NODE; child = p->nodes[child].next) {
        const struct part part = write_sequence(p, &p->nodes[child], rule);
        if (part.regular)
            expression = regex_union(p->regex, expression, part.value);
    }
    if (all_regular && !as)
        return regular(expression);
    if (expression != REGEX_NOTHING)
        grammar_add(p->grammar, rule, (uint32_t[]){grammar_terminal(p->grammar, expression)}, 1);
    return symbol(rule);
}

/* Recursion is bounded by the parser. */
static struct part write_node(struct gbnf *p, uint32_t node, struct rule *as)
{
    const struct node *n = &p->nodes[node];
    if (p->status != RWKV7_OK || grammar_failed(p->grammar))
        return regular(REGEX_NOTHING);
    switch (n->kind) {
    case KIND_REGEX:
        return regular(n->value);
    case KIND_NAME:
        return write_name(p, &p->rules[n->value]);
    case KIND_SEQUENCE:
        return write_sequence(p, n, UINT32_MAX);
    case KIND_CHOICE:
        return write_choice(p, n, as);
    default: {
        const struct part part = write_node(p, n->first, NULL);
        if (part.regular)
            return regular(regex_repeat(p->regex, part.value, n->value, n->max));
        return symbol(grammar_repeat(p->grammar, symbol_of(p, part), n->value, n->max));
    }
    }
}

static void write_grammar(struct gbnf *p)
{
    struct rule *root = find_rule(p, "root", 4);
    if (!root) {
        gbnf_refuse(p, p->end, "there is no rule 'root'");
        return;
    }
    for (uint32_t i = 0; i < p->rule_count; i++)
        is_regular_rule(p, &p->rules[i], 0);
    for (uint32_t i = 0; i < p->rule_count; i++)
        if (p->rules[i].state != STATE_REGULAR)
            write_node(p, p->rules[i].tree, &p->rules[i]);
    if (root->state == STATE_REGULAR) {
        const struct part part = write_name(p, root);
        const uint32_t start = grammar_rule(p->grammar, "root", 4);
        grammar_add(p->grammar, start, (uint32_t[]){symbol_of(p, part)}, 1);
        grammar_start(p->grammar, start);
    } else {
        grammar_start(p->grammar, rule_symbol(p, root));
    }
}

enum rwkv7_status gbnf_build(const char *text, size_t size, struct grammar *g, struct rwkv7_error *err)
{
    struct gbnf p = {.text = text, .at = text, .end = text + size, .grammar = g, .regex = grammar_regex(g), .err = err};
    if (size > GRAMMAR_MAX_TEXT)
        return fail(err, RWKV7_ERR_USAGE, "grammar: expected at most %u bytes, found %zu", GRAMMAR_MAX_TEXT, size);
    if (gbnf_parse(&p) && resolve_names(&p))
        write_grammar(&p);
    if (p.status == RWKV7_OK) {
        if (grammar_failed(g)) /* grammar_finish reports the failure, not a missing rule */
            grammar_start(g, grammar_rule(g, "root", 4));
        p.status = grammar_finish(g, err);
    }
    mem_free(p.ranges);
    mem_free(p.nodes);
    mem_free(p.rules);
    return p.status;
}
