/* constraint.c - see constraint.h. */
#include "server/constraint.h"

#include <string.h>

#include "base/mem.h"

struct form {
    const char *name;
    enum rwkv7_grammar_kind kind;
};

/* Field names of llama.cpp and vLLM. */
static const struct form forms[] = {
    {"json_schema", RWKV7_GRAMMAR_SCHEMA},    {"grammar", RWKV7_GRAMMAR_GBNF},
    {"regex", RWKV7_GRAMMAR_REGEX},           {"choices", RWKV7_GRAMMAR_CHOICES},
    {"guided_json", RWKV7_GRAMMAR_SCHEMA},    {"guided_json_object", RWKV7_GRAMMAR_JSON},
    {"guided_grammar", RWKV7_GRAMMAR_GBNF},   {"guided_regex", RWKV7_GRAMMAR_REGEX},
    {"guided_choice", RWKV7_GRAMMAR_CHOICES},
};

/* Members of structured_outputs. */
static const struct form structured[] = {
    {"json", RWKV7_GRAMMAR_SCHEMA}, {"json_object", RWKV7_GRAMMAR_JSON}, {"grammar", RWKV7_GRAMMAR_GBNF},
    {"regex", RWKV7_GRAMMAR_REGEX}, {"choice", RWKV7_GRAMMAR_CHOICES},
};

/* The constraint of a request, before it is compiled. */
struct constraint {
    const char *field; /* field of the request; NULL: no constraint */
    struct rwkv7_grammar_options options;
    char *schema;         /* of options, for cJSON_free */
    const char **choices; /* of options */
};

/* Starts the constraint of a field. False: the request already has one. */
static bool begin(struct constraint *c, const char *field, enum rwkv7_grammar_kind kind, struct api_error *e)
{
    if (c->field)
        return error_request(e, field, "%s and %s exclude each other", c->field, field);
    c->field = field;
    c->options.kind = kind;
    return true;
}

static void take_choices(struct constraint *c, const cJSON *list, struct api_error *e)
{
    const char *const field = c->field;
    if (!cJSON_IsArray(list) || !list->child) {
        error_request(e, field, "%s: expected a list of strings", field);
        return;
    }
    c->options.choices = c->choices = mem_alloc((size_t)cJSON_GetArraySize(list), sizeof *c->choices);
    if (!c->choices) {
        error_other(e, 500, NULL, "out of memory for the choices");
        return;
    }
    for (const cJSON *one = list->child; one && !e->status; one = one->next)
        if (cJSON_IsString(one))
            c->choices[c->options.choice_count++] = one->valuestring;
        else
            error_request(e, field, "%s: expected a list of strings", field);
}

/* Accepts a schema as a JSON value, or as a string that contains it. */
static void take_schema(struct constraint *c, const cJSON *schema, struct api_error *e)
{
    if (cJSON_IsString(schema)) {
        c->options.text = schema->valuestring;
        return;
    }
    c->options.text = c->schema = cJSON_PrintUnformatted(schema);
    if (!c->schema)
        error_other(e, 500, NULL, "out of memory for the schema");
}

/*
 * Reads the value of a constraint field. An empty string, and false for the kind "any JSON", mean
 * no constraint.
 */
static void take_value(struct constraint *c, const char *field, enum rwkv7_grammar_kind kind, const cJSON *value,
                       struct api_error *e)
{
    const bool is_text = kind == RWKV7_GRAMMAR_GBNF || kind == RWKV7_GRAMMAR_REGEX;
    if (is_text && !cJSON_IsString(value))
        error_request(e, field, "%s: expected a string", field);
    else if (kind == RWKV7_GRAMMAR_JSON && !cJSON_IsBool(value))
        error_request(e, field, "%s: expected true or false", field);
    if (e->status || (is_text && !*value->valuestring) || (kind == RWKV7_GRAMMAR_JSON && cJSON_IsFalse(value)) ||
        !begin(c, field, kind, e))
        return;
    if (kind == RWKV7_GRAMMAR_SCHEMA)
        take_schema(c, value, e);
    else if (kind == RWKV7_GRAMMAR_CHOICES)
        take_choices(c, value, e);
    else if (is_text)
        c->options.text = value->valuestring;
}

/*
 * {"type":"json_schema","json_schema":{"schema":{..},"strict":true}}; llama.cpp:
 * {"type":"json_object","schema":{..}}
 */
static void take_response_format(struct constraint *c, const struct fields *f)
{
    static const char field[] = "response_format";
    const cJSON *const format = field_of(f, field);
    struct api_error *const e = f->error;
    const struct fields outer = {format, e};
    if (!format)
        return;
    const cJSON *const given = field_of(&outer, "type");
    const char *const type = cJSON_IsString(given) ? given->valuestring : "something else";
    if (strcmp(type, "text") == 0)
        return;
    const bool any = strcmp(type, "json_object") == 0;
    if (!any && strcmp(type, "json_schema") != 0) {
        error_request(e, field, "%s: expected the type text, json_object or json_schema, found '%.60s'", field, type);
        return;
    }
    const cJSON *const inside = any ? NULL : field_of(&outer, "json_schema");
    const struct fields inner = {inside ? inside : format, e};
    const cJSON *const schema = field_of(&inner, "schema");
    if (!any && !schema)
        error_request(e, field, "%s: the schema is missing", field);
    else if (schema)
        take_value(c, field, RWKV7_GRAMMAR_SCHEMA, schema, e);
    else
        begin(c, field, RWKV7_GRAMMAR_JSON, e);
    field_bool(&inner, "strict", &c->options.strict);
}

static void take_structured_outputs(struct constraint *c, const struct fields *f)
{
    static const char field[] = "structured_outputs";
    const cJSON *const object = field_of(f, field);
    if (object && !cJSON_IsObject(object))
        error_request(f->error, field, "%s: expected an object", field);
    for (const cJSON *one = object ? object->child : NULL; one && !f->error->status; one = one->next) {
        size_t i = 0;
        while (i < sizeof structured / sizeof *structured && strcmp(one->string, structured[i].name) != 0)
            i++;
        if (cJSON_IsNull(one))
            continue;
        if (i < sizeof structured / sizeof *structured)
            take_value(c, field, structured[i].kind, one, f->error);
        else if (!cJSON_IsFalse(one))
            error_request(f->error, field, "%s: '%.60s' is not supported", field, one->string);
    }
}

static void compile(const struct constraint *c, const struct rwkv7_tokenizer *tokenizer, struct rwkv7_grammar **out,
                    struct api_error *e)
{
    struct rwkv7_grammar_options options = c->options;
    struct rwkv7_error err;
    if (options.kind == RWKV7_GRAMMAR_JSON) { /* OpenAI: JSON mode means an object */
        options.kind = RWKV7_GRAMMAR_SCHEMA;
        options.text = "{\"type\":\"object\"}";
    }
    const enum rwkv7_status status = rwkv7_grammar_create(&options, tokenizer, out, &err);
    if (status == RWKV7_ERR_USAGE)
        error_request(e, c->field, "%s: %s", c->field, err.message);
    else if (status != RWKV7_OK)
        error_library(e, &err);
}

void constraint_read(const struct fields *f, const struct rwkv7_tokenizer *tokenizer, struct rwkv7_grammar **out)
{
    struct constraint c = {.options = RWKV7_OPTIONS(c.options)};
    *out = NULL;
    c.options.in_order = true; /* as OpenAI's API promises */
    if (f->error->status)
        return;
    take_response_format(&c, f);
    for (size_t i = 0; i < sizeof forms / sizeof *forms && !f->error->status; i++) {
        const cJSON *const value = field_of(f, forms[i].name);
        if (value)
            take_value(&c, forms[i].name, forms[i].kind, value, f->error);
    }
    if (!f->error->status)
        take_structured_outputs(&c, f);
    if (!f->error->status && c.field)
        compile(&c, tokenizer, out, f->error);
    cJSON_free(c.schema);
    mem_free(c.choices);
}
