/* calls.c - see calls.h. */
#include "matcher/calls.h"

#include <string.h>

#include "base/mem.h"
#include "base/text.h"

#define STEPS (8u << 20) /* for all schemas together; about a second */

static const char tag[] = "<tool_call>", head[] = "\n{\"name\": \"",
                  middle[] = "\", \"arguments\": ", tail[] = "}\n</tool_call>";

/* ------------------------------------------------------------------------------------------ text */

static uint32_t literal(struct regex *r, const char *text)
{
    return regex_literal(r, text, strlen(text));
}

/* Texts that do not contain `text`. */
static uint32_t without(struct regex *r, const char *text)
{
    return regex_not(r, regex_concat(r, REGEX_ANYTHING, regex_concat(r, literal(r, text), REGEX_ANYTHING)));
}

/* White space and <think>: the start of a thought. */
static uint32_t thought_start(struct regex *r)
{
    const uint32_t space = regex_union(r, literal(r, " "), regex_byte_range(r, '\t', '\r'));
    return regex_concat(r, regex_repeat(r, space, 0, REGEX_NO_LIMIT), literal(r, "<think>"));
}

static uint32_t thought(struct regex *r)
{
    static const char end[] = "</think>";
    return regex_concat(r, thought_start(r), regex_concat(r, without(r, end), literal(r, end)));
}

/* What may precede the first tag. */
static uint32_t text_before(struct regex *r, const struct call_grammar *c)
{
    if (!c->is_free) {
        const uint32_t gap = regex_union(r, literal(r, " "), regex_repeat(r, literal(r, "\n"), 0, 2));
        return regex_concat(r, c->thoughts ? thought(r) : literal(r, c->opening), gap);
    }
    const uint32_t text = without(r, tag);
    if (!c->thoughts)
        return text;
    const uint32_t other = regex_not(r, regex_concat(r, thought_start(r), REGEX_ANYTHING));
    return regex_union(r, regex_concat(r, thought(r), text), regex_and(r, text, other));
}

/* ----------------------------------------------------------------------------------------- calls */

/* Adds a rule for the name and the arguments of one call. */
static enum rwkv7_status add_functions(const struct call_grammar *c, struct grammar *g, uint32_t rule, size_t *refused,
                                       struct rwkv7_error *err)
{
    struct regex *const r = grammar_regex(g);
    for (size_t i = 0; i < c->count; i++) {
        const struct call_function *const f = &c->functions[i];
        const struct schema_options options = {
            .strict = f->strict, .one_line = true, .in_order = true, .steps = STEPS / (uint32_t)c->count};
        uint32_t arguments;
        const enum rwkv7_status status = schema_add(f->schema, strlen(f->schema), &options, g, &arguments, err);
        if (status != RWKV7_OK) {
            *refused = i;
            return status;
        }
        const uint32_t name = regex_concat(r, literal(r, f->name), literal(r, middle));
        grammar_add(g, rule, (uint32_t[]){grammar_terminal(g, name), arguments}, 2);
    }
    return RWKV7_OK;
}

/* Returns a terminal for what may follow the last call. */
static uint32_t ending(const struct call_grammar *c, struct grammar *g)
{
    struct regex *const r = grammar_regex(g);
    uint32_t node = REGEX_EMPTY;
    for (size_t i = 0; i < c->stop_count; i++)
        node = regex_union(r, node, literal(r, c->stops[i]));
    return grammar_terminal(g, node);
}

enum rwkv7_status calls_build(const struct call_grammar *c, struct grammar *g, size_t *refused, struct rwkv7_error *err)
{
    struct regex *const r = grammar_regex(g);
    const uint32_t root = grammar_rule(g, "the answer", 10), function = grammar_rule(g, "a call", 6),
                   more = grammar_rule(g, "more calls", 10);
    const uint32_t before = text_before(r, c), start = regex_concat(r, literal(r, tag), literal(r, head));
    const uint32_t end = grammar_terminal(g, literal(r, tail));
    *refused = SIZE_MAX;
    grammar_describe(g, "the grammar of the tools", NULL);
    if (c->count == 0)
        return fail(err, RWKV7_ERR_USAGE, "there are no functions to call");
    const enum rwkv7_status status = add_functions(c, g, function, refused, err);
    if (status != RWKV7_OK)
        return status;
    const uint32_t next = grammar_terminal(g, regex_concat(r, literal(r, "\n"), start));
    grammar_add(g, more, (uint32_t[]){next, function, end}, 3);
    if (c->is_free) {
        const uint32_t armed = regex_concat(r, before, regex_concat(r, literal(r, tag), REGEX_ANYTHING));
        const uint32_t text = grammar_terminal(g, regex_not(r, armed));
        grammar_add(g, root, &text, 1);
    }
    const uint32_t first = grammar_terminal(g, regex_concat(r, before, start));
    grammar_add(g, root,
                (uint32_t[]){first, function, end, grammar_repeat(g, more, 0, c->most - (c->most > 0)), ending(c, g)},
                5);
    grammar_start(g, root);
    return grammar_finish(g, err);
}

enum rwkv7_status calls_key(const struct call_grammar *c, char **key, size_t *size, struct rwkv7_error *err)
{
    const uint64_t numbers[] = {UINT64_MAX, c->is_free, c->thoughts, c->most, c->stop_count, c->count};
    struct text all = {0};
    text_add(&all, numbers, sizeof numbers);
    text_add(&all, c->opening, strlen(c->opening) + 1);
    for (size_t i = 0; i < c->stop_count; i++)
        text_add(&all, c->stops[i], strlen(c->stops[i]) + 1);
    for (size_t i = 0; i < c->count; i++) {
        text_add(&all, c->functions[i].name, strlen(c->functions[i].name) + 1);
        text_add(&all, c->functions[i].schema, strlen(c->functions[i].schema) + 1);
        text_add(&all, c->functions[i].strict ? "s" : "f", 1);
    }
    const bool fits = all.size <= GRAMMAR_MAX_TEXT, failed = all.failed;
    if (failed || !fits)
        text_free(&all);
    *key = all.bytes;
    *size = all.size;
    return failed  ? fail_memory(err, "the grammar")
           : !fits ? fail(err, RWKV7_ERR_USAGE, "the schemas are too large: more than %u bytes", GRAMMAR_MAX_TEXT)
                   : RWKV7_OK;
}
