/* constraint.c - see constraint.h. */
#include "cli/commands/constraint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/io/input.h"
#include "cli/io/messages.h"

const char *const constraint_members[] = {"any_json", "schema", "grammar", "regex", "choices", NULL};

static bool is_stdin(const char *path)
{
    return path && strcmp(path, "-") == 0;
}

bool constraint_reads_stdin(const struct constraint_args *args)
{
    return is_stdin(args->schema) || is_stdin(args->grammar);
}

int constraint_check(const struct common_args *common, const struct constraint_args *args, const char *reader)
{
    const char *const given[] = {args->any_json ? "--any-json" : NULL, args->schema ? "--schema" : NULL,
                                 args->grammar ? "--grammar" : NULL, args->regex ? "--regex" : NULL,
                                 args->choices.count > 0 ? "--choice" : NULL};
    const char *first = NULL;
    for (size_t i = 0; i < sizeof given / sizeof given[0]; i++) {
        if (given[i] && first)
            return complain_usage(common->command, "%s and %s exclude each other", first, given[i]);
        first = given[i] ? given[i] : first;
    }
    if (reader && constraint_reads_stdin(args))
        return complain_usage(common->command, "%s - and %s both read standard input; give one of them a file", first,
                              reader);
    return DONE;
}

/* FNV-1a, as in fingerprint.c. */
static uint64_t hash_text(uint64_t hash, const void *data, size_t size)
{
    const unsigned char *const bytes = data;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

/* Hashes everything in the options that affects answers: the kind, and the text or the choices. */
static uint64_t hash_options(const struct rwkv7_grammar_options *o)
{
    const unsigned char kind = (unsigned char)o->kind;
    uint64_t hash = hash_text(0xcbf29ce484222325u, &kind, 1);
    if (o->text)
        hash = hash_text(hash, o->text, o->size > 0 ? o->size : strlen(o->text));
    for (size_t i = 0; i < o->choice_count; i++)
        hash = hash_text(hash, o->choices[i], strlen(o->choices[i]) + 1);
    return hash;
}

int constraint_open(struct engine *engine, const struct constraint_args *args)
{
    struct rwkv7_grammar_options options = RWKV7_OPTIONS(options);
    const char *const path = args->schema ? args->schema : args->grammar;
    struct rwkv7_error err;
    char *text = NULL;
    int code = DONE;
    if (!args->any_json && !path && !args->regex && args->choices.count == 0)
        return DONE;
    options.kind = args->schema     ? RWKV7_GRAMMAR_SCHEMA
                   : args->grammar  ? RWKV7_GRAMMAR_GBNF
                   : args->regex    ? RWKV7_GRAMMAR_REGEX
                   : args->any_json ? RWKV7_GRAMMAR_JSON
                                    : RWKV7_GRAMMAR_CHOICES;
    options.in_order = true; /* a reader expects the order that the schema shows */
    options.choices = args->choices.at;
    options.choice_count = args->choices.count;
    options.text = args->regex;
    if (path) {
        code = input_all(path, args->schema ? "--schema" : "--grammar", &text, &options.size);
        options.text = text;
    }
    if (code == DONE) {
        engine->grammar_hash = hash_options(&options);
        if (rwkv7_grammar_create(&options, engine->tokenizer, &engine->grammar, &err) != RWKV7_OK)
            code = path && err.status == RWKV7_ERR_USAGE
                       ? complain(MISUSED, "%s: %s", is_stdin(path) ? "standard input" : path, err.message)
                       : report(&err);
    }
    free(text);
    return code;
}

static enum rwkv7_status refuse(struct rwkv7_error *err, const char *message)
{
    err->status = RWKV7_ERR_USAGE;
    snprintf(err->message, sizeof err->message, "%s", message);
    return RWKV7_ERR_USAGE;
}

/* Reads an array of strings. The caller frees *list. */
static enum rwkv7_status take_choices(const cJSON *value, struct rwkv7_grammar_options *options, const char ***list,
                                      struct rwkv7_error *err)
{
    const cJSON *v;
    if (!cJSON_IsArray(value) || !value->child)
        return refuse(err, "'choices': expected an array of strings");
    *list = malloc((size_t)cJSON_GetArraySize(value) * sizeof **list);
    if (!*list) {
        refuse(err, "out of memory for the choices");
        return err->status = RWKV7_ERR_MEMORY;
    }
    cJSON_ArrayForEach(v, value)
    {
        if (!cJSON_IsString(v))
            return refuse(err, "'choices': expected an array of strings");
        (*list)[options->choice_count++] = v->valuestring;
    }
    options->choices = *list;
    return RWKV7_OK;
}

/* Fills the options from one member. The caller frees *text, which may be NULL. */
static enum rwkv7_status take_member(const cJSON *value, struct rwkv7_grammar_options *options, char **text,
                                     const char ***list, struct rwkv7_error *err)
{
    const char *const name = value->string;
    if (strcmp(name, "choices") == 0) {
        options->kind = RWKV7_GRAMMAR_CHOICES;
        return take_choices(value, options, list, err);
    }
    if (strcmp(name, "schema") == 0 && !cJSON_IsString(value)) { /* not yet text */
        options->kind = RWKV7_GRAMMAR_SCHEMA;
        options->text = *text = cJSON_PrintUnformatted(value);
        if (*text)
            return RWKV7_OK;
        refuse(err, "out of memory for the schema");
        return err->status = RWKV7_ERR_MEMORY;
    }
    if (!cJSON_IsString(value)) {
        snprintf(err->message, sizeof err->message, "'%s': expected a string", name);
        return err->status = RWKV7_ERR_USAGE;
    }
    options->kind = strcmp(name, "schema") == 0    ? RWKV7_GRAMMAR_SCHEMA
                    : strcmp(name, "grammar") == 0 ? RWKV7_GRAMMAR_GBNF
                                                   : RWKV7_GRAMMAR_REGEX;
    options->text = value->valuestring;
    return RWKV7_OK;
}

enum rwkv7_status constraint_of_line(const cJSON *line, const struct engine *engine, struct rwkv7_grammar **grammar,
                                     bool *found, struct rwkv7_error *err)
{
    struct rwkv7_grammar_options options = RWKV7_OPTIONS(options);
    enum rwkv7_status status = RWKV7_OK;
    const cJSON *given = NULL;
    const char **list = NULL;
    char *text = NULL;
    *grammar = NULL;
    *found = false;
    for (size_t i = 0; constraint_members[i] && status == RWKV7_OK; i++) {
        const cJSON *const value = cJSON_GetObjectItemCaseSensitive(line, constraint_members[i]);
        if (value && given) {
            snprintf(err->message, sizeof err->message, "'%s' and '%s' exclude each other", given->string,
                     value->string);
            return err->status = RWKV7_ERR_USAGE;
        }
        given = value ? value : given;
    }
    *found = given != NULL;
    if (!given)
        return RWKV7_OK;
    options.in_order = true; /* as constraint_open */
    if (strcmp(given->string, "any_json") == 0) {
        if (!cJSON_IsBool(given))
            return refuse(err, "'any_json': expected true or false");
        if (cJSON_IsFalse(given))
            return RWKV7_OK;
        options.kind = RWKV7_GRAMMAR_JSON;
    } else {
        status = take_member(given, &options, &text, &list, err);
    }
    if (status == RWKV7_OK)
        status = rwkv7_grammar_create(&options, engine->tokenizer, grammar, err);
    cJSON_free(text);
    free(list);
    return status;
}
