/* source.c - see source.h. */
#include <string.h>

#include "base/mem.h"
#include "matcher/grammar.h"
#include "matcher/source.h"

/* By kind: what the user gave, for messages. */
static const char *const given[] = {"JSON", "JSON Schema", "grammar", "regular expression", "choices"};

enum rwkv7_status source_check(struct rwkv7_grammar_options *o, struct rwkv7_error *err)
{
    if ((unsigned)o->kind > RWKV7_GRAMMAR_CHOICES)
        return fail(err, RWKV7_ERR_USAGE, "unknown kind of grammar: %d", (int)o->kind);
    if (o->kind != RWKV7_GRAMMAR_JSON && o->kind != RWKV7_GRAMMAR_CHOICES && !o->text)
        return fail(err, RWKV7_ERR_USAGE, "%s: its text is missing", given[o->kind]);
    if (o->kind == RWKV7_GRAMMAR_JSON || o->kind == RWKV7_GRAMMAR_CHOICES)
        o->text = NULL;
    if (o->text && o->size == 0)
        o->size = strlen(o->text);
    return RWKV7_OK;
}

enum rwkv7_status source_build(const struct rwkv7_grammar_options *o, struct grammar *g, struct rwkv7_error *err)
{
    const struct schema_options json = {.strict = o->strict, .compact = o->compact, .in_order = o->in_order};
    switch (o->kind) {
    case RWKV7_GRAMMAR_JSON:
        return json_build(&json, g, err);
    case RWKV7_GRAMMAR_SCHEMA:
        return schema_build(o->text, o->size, &json, g, err);
    case RWKV7_GRAMMAR_GBNF:
        return gbnf_build(o->text, o->size, g, err);
    case RWKV7_GRAMMAR_REGEX:
        return regex_build(o->text, o->size, g, err);
    case RWKV7_GRAMMAR_CHOICES:
        break;
    }
    struct regex_text *const choices = mem_alloc(o->choice_count, sizeof *choices);
    if (!choices)
        return fail_memory(err, "the choices");
    for (size_t i = 0; i < o->choice_count; i++)
        choices[i] = (struct regex_text){o->choices[i], strlen(o->choices[i])};
    const enum rwkv7_status status = choices_build(choices, o->choice_count, g, err);
    mem_free(choices);
    return status;
}

enum rwkv7_status source_key(const struct rwkv7_grammar_options *o, char **key, size_t *size, struct rwkv7_error *err)
{
    const bool choices = o->kind == RWKV7_GRAMMAR_CHOICES;
    const uint64_t flags = (uint64_t)o->strict | (uint64_t)o->compact << 1 | (uint64_t)o->in_order << 2;
    const uint64_t head[3] = {(uint64_t)o->kind, flags, o->mask_bytes};
    bool valid = true;
    *size = sizeof head;
    for (size_t i = 0; choices && i < o->choice_count && valid; i++)
        valid = size_add(*size, strlen(o->choices[i]) + 1, size) && *size <= GRAMMAR_MAX_TEXT;
    if (!choices && o->text)
        valid = o->size <= GRAMMAR_MAX_TEXT && size_add(*size, o->size, size);
    if (!valid)
        return fail(err, RWKV7_ERR_USAGE, "%s: expected at most %u bytes, found more", given[o->kind],
                    GRAMMAR_MAX_TEXT);
    char *at = *key = mem_alloc(*size, 1);
    if (!at)
        return fail_memory(err, "the constraint");
    memcpy(at, head, sizeof head);
    at += sizeof head;
    for (size_t i = 0; choices && i < o->choice_count; i++) {
        const size_t length = strlen(o->choices[i]) + 1;
        memcpy(at, o->choices[i], length);
        at += length;
    }
    if (!choices && o->text && o->size > 0)
        memcpy(at, o->text, o->size);
    return RWKV7_OK;
}
