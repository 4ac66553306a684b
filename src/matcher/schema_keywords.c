/*
 * schema_keywords.c - reads the keywords of one schema, checks the form of their values, and
 * refuses those that cannot be guaranteed.
 */
#include "matcher/schema.h"

#include <string.h>

#include "matcher/decimal.h"
#include "matcher/schema_formats.h"

#define COUNT_LIMIT (1u << 30)
#define MAX_READING 30 /* nested schemas that are read because one negates the next */

enum form { FORM_ANY, FORM_SCHEMA, FORM_SCHEMAS, FORM_MAP, FORM_NUMBER, FORM_COUNT, FORM_TEXT, FORM_NAMES };

static const struct {
    const char *name;
    enum form form;
    unsigned types; /* types that the keyword constrains; 0: none by itself */
} keyword_table[KW_COUNT] = {
    [KW_REF] = {"$ref", FORM_ANY, 0},
    [KW_ALL_OF] = {"allOf", FORM_SCHEMAS, 0},
    [KW_ANY_OF] = {"anyOf", FORM_SCHEMAS, 0},
    [KW_ONE_OF] = {"oneOf", FORM_SCHEMAS, 0},
    [KW_TYPE] = {"type", FORM_ANY, TYPE_ALL},
    [KW_ENUM] = {"enum", FORM_ANY, TYPE_ALL},
    [KW_CONST] = {"const", FORM_ANY, TYPE_ALL},
    [KW_MINIMUM] = {"minimum", FORM_NUMBER, TYPE_NUMBER},
    [KW_MAXIMUM] = {"maximum", FORM_NUMBER, TYPE_NUMBER},
    [KW_EXCLUSIVE_MINIMUM] = {"exclusiveMinimum", FORM_ANY, TYPE_NUMBER},
    [KW_EXCLUSIVE_MAXIMUM] = {"exclusiveMaximum", FORM_ANY, TYPE_NUMBER},
    [KW_MULTIPLE_OF] = {"multipleOf", FORM_NUMBER, TYPE_NUMBER},
    [KW_MIN_LENGTH] = {"minLength", FORM_COUNT, TYPE_STRING},
    [KW_MAX_LENGTH] = {"maxLength", FORM_COUNT, TYPE_STRING},
    [KW_PATTERN] = {"pattern", FORM_TEXT, TYPE_STRING},
    [KW_FORMAT] = {"format", FORM_TEXT, TYPE_STRING},
    [KW_ITEMS] = {"items", FORM_ANY, TYPE_ARRAY},
    [KW_ADDITIONAL_ITEMS] = {"additionalItems", FORM_SCHEMA, TYPE_ARRAY},
    [KW_PREFIX_ITEMS] = {"prefixItems", FORM_SCHEMAS, TYPE_ARRAY},
    [KW_MIN_ITEMS] = {"minItems", FORM_COUNT, TYPE_ARRAY},
    [KW_MAX_ITEMS] = {"maxItems", FORM_COUNT, TYPE_ARRAY},
    [KW_PROPERTIES] = {"properties", FORM_MAP, TYPE_OBJECT},
    [KW_PATTERN_PROPERTIES] = {"patternProperties", FORM_MAP, TYPE_OBJECT},
    [KW_ADDITIONAL_PROPERTIES] = {"additionalProperties", FORM_SCHEMA, TYPE_OBJECT},
    [KW_REQUIRED] = {"required", FORM_NAMES, TYPE_OBJECT},
    [KW_MIN_PROPERTIES] = {"minProperties", FORM_COUNT, TYPE_OBJECT},
    [KW_MAX_PROPERTIES] = {"maxProperties", FORM_COUNT, TYPE_OBJECT},
    [KW_NOT] = {"not", FORM_SCHEMA, 0},
    [KW_IF] = {"if", FORM_SCHEMA, 0},
    [KW_THEN] = {"then", FORM_SCHEMA, 0},
    [KW_ELSE] = {"else", FORM_SCHEMA, 0},
    [KW_DEPENDENCIES] = {"dependencies", FORM_ANY, 0},
    [KW_DEPENDENT_REQUIRED] = {"dependentRequired", FORM_ANY, 0},
    [KW_DEPENDENT_SCHEMAS] = {"dependentSchemas", FORM_MAP, 0},
    [KW_DYNAMIC_REF] = {"$dynamicRef", FORM_ANY, TYPE_ALL},
    [KW_RECURSIVE_REF] = {"$recursiveRef", FORM_ANY, TYPE_ALL},
    [KW_UNIQUE_ITEMS] = {"uniqueItems", FORM_ANY, TYPE_ARRAY},
    [KW_CONTAINS] = {"contains", FORM_SCHEMA, TYPE_ARRAY},
    [KW_UNEVALUATED_ITEMS] = {"unevaluatedItems", FORM_SCHEMA, TYPE_ARRAY},
    [KW_UNEVALUATED_PROPERTIES] = {"unevaluatedProperties", FORM_SCHEMA, TYPE_OBJECT},
    [KW_PROPERTY_NAMES] = {"propertyNames", FORM_SCHEMA, TYPE_OBJECT},
};

static bool is_schema(const struct json_value *v)
{
    return v->type == JSON_OBJECT || v->type == JSON_TRUE || v->type == JSON_FALSE;
}

bool schema_is_count(const struct json_value *v, uint32_t *out)
{
    struct decimal d;
    if (v->type != JSON_NUMBER || !decimal_read(v->text, v->size, &d) || d.negative || !decimal_is_integer(&d))
        return false;
    *out = 0;
    for (int i = 0; i < d.point && *out < COUNT_LIMIT; i++)
        *out = *out * 10 + (uint32_t)(i < d.count ? d.digits[i] - '0' : 0);
    if (*out > COUNT_LIMIT)
        *out = COUNT_LIMIT;
    return true;
}

static bool all_schemas(const struct json_value *v)
{
    for (const struct json_value *e = v->first; e; e = e->next)
        if (!is_schema(e))
            return false;
    return true;
}

static bool check_form(struct schema *s, enum keyword kw, const struct json_value *v)
{
    struct decimal d;
    uint32_t count;
    switch (keyword_table[kw].form) {
    case FORM_SCHEMA:
        return is_schema(v) || schema_refuse(s, v, "expected a schema: an object, true or false");
    case FORM_SCHEMAS:
        return (v->type == JSON_ARRAY && all_schemas(v) && (v->count > 0 || kw == KW_PREFIX_ITEMS)) ||
               schema_refuse(s, v, "expected an array of schemas");
    case FORM_MAP:
        return (v->type == JSON_OBJECT && all_schemas(v)) || schema_refuse(s, v, "expected an object of schemas");
    case FORM_NUMBER:
        if (v->type != JSON_NUMBER)
            return schema_refuse(s, v, "expected a number");
        return decimal_read(v->text, v->size, &d) ||
               schema_refuse(s, v, "numbers have at most %d digits here", DECIMAL_DIGITS);
    case FORM_COUNT:
        return schema_is_count(v, &count) || schema_refuse(s, v, "expected a whole number, 0 or more");
    case FORM_TEXT:
        return v->type == JSON_STRING || schema_refuse(s, v, "expected a string");
    case FORM_NAMES:
        if (v->type == JSON_ARRAY) {
            for (const struct json_value *e = v->first; e; e = e->next)
                if (e->type != JSON_STRING)
                    return schema_refuse(s, e, "expected a string");
            return true;
        }
        return schema_refuse(s, v, "expected an array of strings");
    case FORM_ANY:
        break;
    }
    return true;
}

/* ----------------------------------------------------------------------------------------- type */

static unsigned type_bits(const struct json_value *v)
{
    static const struct {
        const char *name;
        unsigned bits;
    } names[] = {{"null", TYPE_NULL},     {"boolean", TYPE_BOOLEAN}, {"integer", TYPE_INTEGER}, {"number", TYPE_NUMBER},
                 {"string", TYPE_STRING}, {"array", TYPE_ARRAY},     {"object", TYPE_OBJECT}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_is_text(v, names[i].name))
            return names[i].bits;
    return 0;
}

static bool read_types(struct schema *s, const struct json_value *v, unsigned *types)
{
    *types = 0;
    if (v->type != JSON_ARRAY || v->count == 0) {
        *types = type_bits(v);
        return *types || schema_refuse(s, v,
                                       "not a type: expected string, number, integer, boolean, null, object, "
                                       "array, or an array of these");
    }
    for (const struct json_value *e = v->first; e; e = e->next) {
        if (type_bits(e) == 0)
            return schema_refuse(s, e, "not a type");
        *types |= type_bits(e);
    }
    return true;
}

/* ----------------------------------------------------------------------------- refused keywords */

static bool is_empty_schema(const struct json_value *v)
{
    return v->type == JSON_TRUE || (v->type == JSON_OBJECT && v->count == 0);
}

/* Returns whether an unsupported keyword has no effect here. */
static bool says_nothing(const struct keywords *k, enum keyword kw)
{
    const struct json_value *v = k->at[kw];
    uint32_t max;
    if (!(keyword_table[kw].types & k->types)) /* it constrains other types only */
        return true;
    switch (kw) {
    case KW_UNIQUE_ITEMS:
        return v->type != JSON_TRUE || (k->at[KW_MAX_ITEMS] && schema_is_count(k->at[KW_MAX_ITEMS], &max) && max <= 1);
    case KW_UNEVALUATED_ITEMS:
    case KW_UNEVALUATED_PROPERTIES:
    case KW_PROPERTY_NAMES:
        return is_empty_schema(v);
    default:
        return false;
    }
}

/* If no other schema applies to the value, `unevaluated..` means the same as `additional..`. */
static void replace_unevaluated(struct keywords *k)
{
    if (k->at[KW_REF] || k->at[KW_ALL_OF] || k->at[KW_ANY_OF] || k->at[KW_ONE_OF] || k->at[KW_IF] || k->at[KW_NOT] ||
        k->at[KW_DEPENDENT_SCHEMAS] || k->at[KW_DYNAMIC_REF] || k->at[KW_RECURSIVE_REF])
        return;
    if (k->at[KW_UNEVALUATED_PROPERTIES]) {
        if (!k->at[KW_ADDITIONAL_PROPERTIES])
            k->at[KW_ADDITIONAL_PROPERTIES] = k->at[KW_UNEVALUATED_PROPERTIES];
        k->at[KW_UNEVALUATED_PROPERTIES] = NULL;
    }
    if (k->at[KW_UNEVALUATED_ITEMS] && !k->at[KW_CONTAINS]) {
        const struct json_value *items = k->at[KW_ITEMS];
        if (items && items->type == JSON_ARRAY && !k->at[KW_ADDITIONAL_ITEMS])
            k->at[KW_ADDITIONAL_ITEMS] = k->at[KW_UNEVALUATED_ITEMS];
        else if (!items)
            k->at[KW_ITEMS] = k->at[KW_UNEVALUATED_ITEMS];
        k->at[KW_UNEVALUATED_ITEMS] = NULL;
    }
}

/* `contains` means that at least one element satisfies it; other counts are refused. */
static bool read_contains(struct schema *s, struct keywords *k)
{
    const struct json_value *min = json_member(k->schema, "minContains"), *max = json_member(k->schema, "maxContains");
    uint32_t n = 1;
    if (!k->at[KW_CONTAINS] || !(k->types & TYPE_ARRAY))
        return true;
    if (min && !schema_is_count(min, &n))
        return schema_refuse(s, min, "expected a whole number, 0 or more");
    if (max)
        return schema_refuse(s, max, "maxContains is not supported");
    if (n > 1)
        return schema_refuse(s, min, "minContains above 1 is not supported");
    if (n == 0)
        k->at[KW_CONTAINS] = NULL;
    return true;
}

static bool refuse_unsupported(struct schema *s, struct keywords *k)
{
    for (int kw = KW_DEPENDENT_SCHEMAS + 1; kw < KW_COUNT; kw++) {
        if (!k->at[kw])
            continue;
        if (!says_nothing(k, (enum keyword)kw))
            return schema_refuse(s, k->at[kw], "%s is not supported", keyword_table[kw].name);
        k->at[kw] = NULL;
    }
    return true;
}

/* -------------------------------------------------------------------------------------- reading */

static bool read_keywords(struct schema *s, struct keywords *k)
{
    for (const struct json_value *m = k->schema->first; m; m = m->next) {
        for (int kw = 0; kw < KW_COUNT; kw++) {
            const char *name = keyword_table[kw].name;
            if (m->key_size == strlen(name) && memcmp(m->key, name, m->key_size) == 0)
                k->at[kw] = m;
        }
    }
    if (s->ref_alone && k->at[KW_REF]) {
        const struct json_value *ref = k->at[KW_REF];
        memset(k->at, 0, sizeof k->at);
        k->at[KW_REF] = ref;
    }
    for (int kw = 0; kw < KW_COUNT; kw++)
        if (k->at[kw] && !check_form(s, (enum keyword)kw, k->at[kw]))
            return false;
    if (k->at[KW_TYPE] && !read_types(s, k->at[KW_TYPE], &k->types))
        return false;
    if (k->at[KW_ENUM] && (k->at[KW_ENUM]->type != JSON_ARRAY || k->at[KW_ENUM]->count == 0))
        return schema_refuse(s, k->at[KW_ENUM], "expected an array of values");
    const struct json_value *items = k->at[KW_ITEMS];
    if (items && !(items->type == JSON_ARRAY ? all_schemas(items) : is_schema(items)))
        return schema_refuse(s, items, "expected a schema, or an array of schemas");
    replace_unevaluated(k);
    if (!read_contains(s, k) || !refuse_unsupported(s, k) || !schema_imply(s, k))
        return false;
    for (int kw = KW_TYPE; kw < KW_NOT; kw++)
        k->plain = k->plain || k->at[kw];
    return true;
}

struct keywords *schema_keywords(struct schema *s, const struct json_value *schema)
{
    struct keywords *k = s->keywords[schema->id];
    if (k)
        return !k->negation_of || schema_expand_negation(s, k) ? k : NULL;
    if (!schema_spend(s, 1 + schema->count) || !(k = schema_memory(s, 1, sizeof *k)))
        return NULL;
    k->schema = schema;
    k->types = TYPE_ALL;
    if (s->reading == MAX_READING) {
        schema_refuse(s, schema, "not and if are nested too deep");
        return NULL;
    }
    s->keywords[schema->id] = k;
    s->reading++;
    k->reading = true;
    const bool good = read_keywords(s, k);
    k->reading = false;
    s->reading--;
    return good ? k : NULL;
}

/* ------------------------------------------------------------------------------------- patterns */

static bool parse_pattern(struct schema *s, const struct json_value *at, const char *text, size_t size, uint32_t *out)
{
    struct rwkv7_error why;
    const enum rwkv7_status status = regex_parse(s->regex, text, size, REGEX_SEARCH, out, &why);
    if (status == RWKV7_OK)
        return schema_spend(s, (uint32_t)size + 1);
    if (status == RWKV7_ERR_MEMORY)
        return schema_no_memory(s);
    return schema_refuse(s, at, "%s", why.message);
}

bool schema_pattern(struct schema *s, struct keywords *k, uint32_t *out)
{
    const struct json_value *pattern = k->at[KW_PATTERN], *format = k->at[KW_FORMAT];
    uint32_t all = regex_any_text(s->regex), node;

    if (k->pattern != REGEX_NOTHING) {
        *out = k->pattern;
        return true;
    }
    if (pattern) {
        if (!parse_pattern(s, pattern, pattern->text, pattern->size, &node))
            return false;
        all = regex_and(s->regex, all, node);
    }
    if (format) {
        const enum format_kind kind = format_regex(s->regex, format->text, format->size, &node);
        if (kind == FORMAT_UNSUPPORTED)
            return schema_refuse(s, format, "this format is not supported");
        if (kind == FORMAT_FAILED)
            return schema_no_memory(s);
        if (kind == FORMAT_KNOWN)
            all = regex_and(s->regex, all, node);
    }
    *out = k->pattern = all;
    return true;
}

bool schema_key_pattern(struct schema *s, struct keywords *k, uint32_t index, uint32_t *out)
{
    const struct json_value *map = k->at[KW_PATTERN_PROPERTIES];
    if (!k->patterns) {
        k->patterns = schema_memory(s, map->count, sizeof *k->patterns);
        if (!k->patterns)
            return false;
        uint32_t i = 0;
        for (const struct json_value *m = map->first; m; m = m->next, i++)
            if (!parse_pattern(s, m, m->key, m->key_size, &k->patterns[i]))
                return false;
    }
    *out = k->patterns[index];
    return true;
}
