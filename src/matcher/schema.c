/* schema.c - builds a grammar from a JSON Schema: see schema.h. */
#include "matcher/schema.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum {
    BLOCK_BYTES = 64 << 10,
    MAX_MEMORY = 64 << 20, /* bytes of sets and lists */
    MAX_STEPS = 8 << 20,   /* about a second */
    MAX_REASON = 400,      /* characters of a message after the pointer */
};

struct memory_block {
    struct memory_block *next;
    size_t used, room;
};

void *schema_memory(struct schema *s, size_t count, size_t size)
{
    size_t bytes, room;
    struct memory_block *b = s->memory;
    if (!size_mul(count, size, &bytes) || bytes > MAX_MEMORY)
        goto full;
    bytes = (bytes + 15) / 16 * 16;
    if (!b || b->room - b->used < bytes) {
        room = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
        if (s->memory_used + room > MAX_MEMORY)
            goto full;
        b = mem_alloc(1, MEM_ALIGN + room);
        if (!b) {
            schema_no_memory(s);
            return NULL;
        }
        b->room = room;
        b->next = s->memory;
        s->memory = b;
        s->memory_used += room;
    }
    b->used += bytes;
    return (char *)b + MEM_ALIGN + b->used - bytes;
full:
    schema_refuse(s, s->root, "the schema is too large");
    return NULL;
}

bool schema_refuse(struct schema *s, const struct json_value *at, const char *fmt, ...)
{
    char reason[MAX_REASON];
    va_list args;
    if (s->status != RWKV7_OK)
        return false;
    va_start(args, fmt);
    if (vsnprintf(reason, sizeof reason, fmt, args) < 0)
        reason[0] = '\0';
    va_end(args);
    s->status = fail(s->err, RWKV7_ERR_USAGE, "JSON Schema, %s: %s", json_pointer_of(at).text, reason);
    return false;
}

bool schema_no_memory(struct schema *s)
{
    if (s->status == RWKV7_OK)
        s->status = fail_memory(s->err, "a JSON Schema");
    return false;
}

bool schema_failed(const struct schema *s)
{
    return s->status != RWKV7_OK || grammar_failed(s->grammar);
}

bool schema_spend(struct schema *s, uint32_t steps)
{
    if (s->budget < steps)
        return schema_refuse(s, s->root, "the schema is too complex");
    s->budget -= steps;
    return !schema_failed(s);
}

/* ------------------------------------------------------------------------------------ terminals */

static uint32_t literal(struct schema *s, const char *text)
{
    return regex_literal(s->regex, text, strlen(text));
}

/*
 * Returns one character of a string whose content is not constrained, unescaped or escaped. An
 * escaped surrogate pair is one character; lone surrogates are excluded.
 */
static uint32_t free_character(struct schema *s)
{
    struct regex *r = s->regex;
    static const char escape[] = "\\\\(?:[\"\\\\/bfnrt]|u(?:[0-9A-Ca-cE-Fe-f][0-9A-Fa-f]{3}|[Dd][0-7][0-9A-Fa-f]{2}"
                                 "|[Dd][89ABab][0-9A-Fa-f]{2}\\\\u[Dd][C-Fc-f][0-9A-Fa-f]{2}))";
    const struct regex_range special[] = {{0, 0x1f}, {'"', '"'}, {'\\', '\\'}};
    uint32_t escaped = REGEX_NOTHING;
    if (regex_parse(r, escape, sizeof escape - 1, 0, &escaped, NULL) != RWKV7_OK)
        schema_no_memory(s);
    return regex_union(r, regex_chars(r, special, 3, true), escaped);
}

/* Returns the white space between tokens of JSON, an expression. */
static uint32_t white_space(struct regex *r, const struct schema_options *o)
{
    if (o->compact)
        return REGEX_EMPTY;
    const uint32_t space = regex_union(r, REGEX_EMPTY, regex_literal(r, " ", 1));
    if (o->one_line)
        return space;
    const uint32_t blank = regex_union(r, regex_literal(r, " ", 1), regex_literal(r, "\t", 1));
    return regex_union(r, space, regex_concat(r, regex_literal(r, "\n", 1), regex_repeat(r, blank, 0, SCHEMA_INDENT)));
}

static void make_terminals(struct schema *s)
{
    struct regex *r = s->regex;
    struct grammar *g = s->grammar;
    s->space = white_space(r, &s->options);
    s->free_character = free_character(s);
    s->comma = grammar_terminal(g, regex_concat(r, literal(s, ","), s->space));
    s->open_array = grammar_terminal(g, regex_concat(r, literal(s, "["), s->space));
    s->close_array = grammar_terminal(g, regex_concat(r, s->space, literal(s, "]")));
    s->empty_array = grammar_terminal(g, regex_concat(r, literal(s, "["), regex_concat(r, s->space, literal(s, "]"))));
    s->open_object = grammar_terminal(g, regex_concat(r, literal(s, "{"), s->space));
    s->close_object = grammar_terminal(g, regex_concat(r, s->space, literal(s, "}")));
    s->empty_object = grammar_terminal(g, regex_concat(r, literal(s, "{"), regex_concat(r, s->space, literal(s, "}"))));
}

/* ---------------------------------------------------------------------------------------- tasks */

void schema_queue(struct schema *s, struct shape *shape, bool object)
{
    struct task *t = schema_memory(s, 1, sizeof *t);
    if (!t)
        return;
    *t = (struct task){.shape = shape, .object = object};
    if (s->last_task)
        s->last_task->next = t;
    else
        s->first_task = t;
    s->last_task = t;
}

static void write_rules(struct schema *s)
{
    for (struct task *t = s->first_task; t && !schema_failed(s); t = t->next) {
        if (t->object)
            schema_write_object(s, t->shape);
        else
            schema_write_array(s, t->shape);
    }
}

/* ---------------------------------------------------------------------------------------- entry */

/* Returns whether $schema names draft 3 to 7, which ignore the keywords next to a $ref. */
static bool ref_stands_alone(const struct json_value *root)
{
    const struct json_value *uri = json_member(root, "$schema");
    static const char *const drafts[] = {"draft-03/", "draft-04/", "draft-06/", "draft-07/"};
    if (!uri || uri->type != JSON_STRING)
        return false;
    for (size_t i = 0; i < sizeof drafts / sizeof *drafts; i++)
        for (size_t at = 0; at + strlen(drafts[i]) <= uri->size; at++)
            if (memcmp(uri->text + at, drafts[i], strlen(drafts[i])) == 0)
                return true;
    return false;
}

static void build(struct schema *s, uint32_t *symbol)
{
    const struct json_value *root = s->root;
    if (root->type != JSON_OBJECT && root->type != JSON_TRUE && root->type != JSON_FALSE) {
        schema_refuse(s, root, "a schema is an object, true or false");
        return;
    }
    make_terminals(s);
    if (!schema_refs_collect(s))
        return;
    struct value *v = schema_value(s, &root, 1);
    if (!v)
        return;
    if (v->count == 0) {
        schema_refuse(s, root, "no value satisfies this schema");
        return;
    }
    *symbol = schema_symbol(s, v);
    write_rules(s);
}

enum rwkv7_status schema_add(const char *text, size_t size, const struct schema_options *options, struct grammar *g,
                             uint32_t *symbol, struct rwkv7_error *err)
{
    struct schema s = {.grammar = g, .regex = grammar_regex(g), .err = err, .budget = MAX_STEPS};
    *symbol = 0;
    if (options)
        s.options = *options;
    if (s.options.steps > 0)
        s.budget = s.options.steps;
    if (size > GRAMMAR_MAX_TEXT)
        return fail(err, RWKV7_ERR_USAGE, "JSON Schema: expected at most %u bytes, found %zu", GRAMMAR_MAX_TEXT, size);
    enum rwkv7_status status = json_values_read(text, size, &s.text, err);
    if (status != RWKV7_OK) {
        fail_where(err, "JSON Schema, ");
        return status;
    }
    s.root = json_values_root(s.text);
    s.ref_alone = ref_stands_alone(s.root);
    s.keywords = mem_alloc(json_values_count(s.text) + SCHEMA_MAX_MADE, sizeof *s.keywords);
    s.negations = mem_alloc(json_values_count(s.text) + SCHEMA_MAX_MADE, sizeof *s.negations);
    s.values = mem_alloc(SCHEMA_TABLE, sizeof(struct value *));
    s.shapes = mem_alloc(SCHEMA_TABLE, sizeof(struct shape *));
    if (s.keywords && s.negations && s.values && s.shapes)
        build(&s, symbol);
    else
        s.status = fail_memory(err, "a JSON Schema");
    for (struct memory_block *b = s.memory, *next; b; b = next) {
        next = b->next;
        mem_free(b);
    }
    mem_free(s.keywords);
    mem_free(s.negations);
    mem_free(s.values);
    mem_free(s.shapes);
    json_values_free(s.text);
    return s.status;
}

enum rwkv7_status schema_build(const char *text, size_t size, const struct schema_options *options, struct grammar *g,
                               struct rwkv7_error *err)
{
    static const struct schema_options defaults = {0};
    const uint32_t start = grammar_rule(g, "root", 4);
    const uint32_t space = grammar_terminal(g, white_space(grammar_regex(g), options ? options : &defaults));
    uint32_t value;
    grammar_describe(g, "the schema", "no value satisfies this schema");
    enum rwkv7_status status = schema_add(text, size, options, g, &value, err);
    if (status != RWKV7_OK)
        return status;
    grammar_add(g, start, (uint32_t[]){space, value}, 2);
    grammar_start(g, start);
    status = grammar_finish(g, err);
    if (status == RWKV7_ERR_USAGE)
        fail_where(err, "JSON Schema, #: ");
    return status;
}

enum rwkv7_status json_build(const struct schema_options *options, struct grammar *g, struct rwkv7_error *err)
{
    static const char schema[] = "{\"type\":[\"object\",\"array\"]}";
    struct schema_options o = options ? *options : (struct schema_options){0};
    o.strict = false; /* allows any members */
    const enum rwkv7_status status = schema_build(schema, sizeof schema - 1, &o, g, err);
    grammar_describe(g, "JSON", NULL);
    return status;
}
