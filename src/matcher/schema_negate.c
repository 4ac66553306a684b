/*
 * schema_negate.c - rewrites `not`, `if` and dependencies of keys with other keywords.
 *
 *     not: S                  the negation of S
 *     if: A, then: B, else: C anyOf: [A and B, not A and C]
 *     dependentRequired       for each key: anyOf: [without the key, with the key and the others]
 *     dependentSchemas        for each key: anyOf: [without the key, with the key and S]
 *
 * The negation of a schema is an anyOf with a branch for each keyword: not {required: [a]} is a
 * value of another type, or an object without a. Some keywords have no such negation (items,
 * multipleOf, format), so schemas that use them are not negatable.
 *
 * The schemas created here have keywords but no JSON text. Messages name the schema that they were
 * created for.
 */
#include "matcher/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "matcher/decimal.h"

enum { MAX_NEGATION_DEPTH = 60, MAX_EXCLUDED_NUMBERS = 20 };

/* ------------------------------------------------------------------------------- making schemas */

static struct json_value *make_value(struct schema *s, enum json_type type, const struct json_value *origin)
{
    struct json_value *v = schema_memory(s, 1, sizeof *v);
    if (v) {
        v->type = type;
        v->origin = origin;
        v->base = origin->base;
    }
    return v;
}

static void append(struct json_value *list, struct json_value *v, const char *key, size_t size)
{
    struct json_value *last = list->first;
    v->parent = list;
    v->key = key;
    v->key_size = size;
    while (last && last->next)
        last = last->next;
    if (last)
        last->next = v;
    else
        list->first = v;
    list->count++;
}

/* Creates a schema that allows these types. NULL after a failure. */
static struct keywords *make(struct schema *s, const struct json_value *origin, unsigned types)
{
    if (s->made == SCHEMA_MAX_MADE) {
        schema_refuse(s, origin, "the schema is too complex");
        return NULL;
    }
    struct json_value *v = make_value(s, JSON_OBJECT, origin);
    struct keywords *k = schema_memory(s, 1, sizeof *k);
    if (!v || !k)
        return NULL;
    v->id = (uint32_t)json_values_count(s->text) + s->made++;
    k->schema = k->made = v;
    k->types = types;
    k->plain = true;
    s->keywords[v->id] = k;
    return k;
}

/* Creates an empty array or object as the value of a keyword. */
static struct json_value *make_list(struct schema *s, struct keywords *k, enum keyword kw, enum json_type type)
{
    struct json_value *list = make_value(s, type, k->made);
    k->at[kw] = list;
    return list;
}

/* Adds a branch to an anyOf under construction. */
static struct keywords *branch(struct schema *s, struct json_value *any_of, unsigned types)
{
    struct keywords *k = make(s, any_of->origin, types);
    if (k)
        append(any_of, k->made, NULL, 0);
    return k;
}

/*
 * Adds a schema to those that `k` implies. False: out of memory, or `schema` is NULL after a
 * failure.
 */
static bool imply(struct schema *s, struct keywords *k, const struct json_value *schema)
{
    const struct json_value **more = schema ? schema_memory(s, k->implied_count + 1u, sizeof *more) : NULL;
    if (!more)
        return false;
    if (k->implied_count)
        memcpy(more, k->implied, k->implied_count * sizeof *more);
    more[k->implied_count++] = schema;
    k->implied = more;
    return true;
}

static bool set_count(struct schema *s, struct keywords *k, enum keyword kw, uint32_t count)
{
    struct json_value *v = make_value(s, JSON_NUMBER, k->made);
    char *text = schema_memory(s, 16, 1);
    if (!v || !text)
        return false;
    v->text = text;
    v->size = (size_t)snprintf(text, 16, "%u", count);
    k->at[kw] = v;
    return true;
}

static bool require(struct schema *s, struct keywords *k, const char *key, size_t size)
{
    struct json_value *v = make_value(s, JSON_STRING, k->made), *list;
    if (!v)
        return false;
    list = k->required ? k->required : make_list(s, k, KW_REQUIRED, JSON_ARRAY);
    if (!list)
        return false;
    k->required = list;
    v->text = key;
    v->size = size;
    append(list, v, NULL, 0);
    return true;
}

/* Sets properties to {key: schema}, or to {key: false} if `schema` is NULL. */
static bool set_property(struct schema *s, struct keywords *k, const char *key, size_t size,
                         const struct json_value *schema)
{
    struct json_value *map = make_list(s, k, KW_PROPERTIES, JSON_OBJECT);
    if (!map)
        return false;
    if (!schema) {
        struct json_value *v = make_value(s, JSON_FALSE, k->made);
        if (v)
            append(map, v, key, size);
        return v != NULL;
    }
    struct keywords *alias = make(s, schema, TYPE_ALL);
    if (!alias || !imply(s, alias, schema))
        return false;
    alias->plain = false;
    append(map, alias->made, key, size);
    return true;
}

/* -------------------------------------------------------------------------- what can be negated */

static bool is_plain_value(const struct json_value *v)
{
    return v->type != JSON_ARRAY && v->type != JSON_OBJECT;
}

static bool values_negatable(const struct keywords *k)
{
    uint32_t numbers = 0;
    if (k->at[KW_CONST] && !is_plain_value(k->at[KW_CONST]))
        return false;
    if (k->at[KW_ENUM]) {
        for (const struct json_value *v = k->at[KW_ENUM]->first; v; v = v->next) {
            if (!is_plain_value(v))
                return false;
            numbers += v->type == JSON_NUMBER;
        }
    }
    return numbers <= MAX_EXCLUDED_NUMBERS;
}

static bool says_something(const struct json_value *v)
{
    return v && v->type != JSON_TRUE && (v->type != JSON_OBJECT || v->count > 0);
}

static bool all_negatable(struct schema *s, const struct json_value *list, unsigned depth)
{
    for (const struct json_value *e = list ? list->first : NULL; e; e = e->next)
        if (!schema_negatable(s, e, depth + 1))
            return false;
    return true;
}

/* Returns whether all keywords of the schema itself have a negation. */
static bool keywords_negatable(const struct keywords *k)
{
    const bool prefix = schema_prefix(k) && (says_something(schema_prefix(k)) || says_something(schema_rest(k)));
    return !k->at[KW_ONE_OF] && !k->at[KW_MULTIPLE_OF] && !k->at[KW_FORMAT] && !prefix &&
           !says_something(k->at[KW_PATTERN_PROPERTIES]) && !says_something(k->at[KW_ADDITIONAL_PROPERTIES]) &&
           values_negatable(k);
}

static bool parts_negatable(struct schema *s, const struct keywords *k, unsigned depth)
{
    if (k->at[KW_REF]) {
        const struct json_value *target = schema_refs_find(s, k->at[KW_REF]);
        if (!target || !schema_negatable(s, target, depth + 1))
            return false;
    }
    for (uint32_t i = 0; i < k->implied_count; i++)
        if (!schema_negatable(s, k->implied[i], depth + 1))
            return false;
    const struct json_value *const of_elements[] = {schema_rest(k), k->at[KW_CONTAINS]};
    for (int i = 0; i < 2; i++)
        if (of_elements[i] && !schema_negatable(s, of_elements[i], depth + 1))
            return false;
    return all_negatable(s, k->at[KW_ALL_OF], depth) && all_negatable(s, k->at[KW_ANY_OF], depth) &&
           all_negatable(s, k->at[KW_PROPERTIES], depth);
}

/*
 * A schema that is being tested counts as negatable, so recursive schemas can be negated; should
 * this prove wrong, schema_expand_negation refuses.
 */
bool schema_negatable(struct schema *s, const struct json_value *schema, unsigned depth)
{
    if (schema->type != JSON_OBJECT)
        return true;
    if (depth > MAX_NEGATION_DEPTH || !schema_spend(s, 2))
        return false;
    struct keywords *k = schema_keywords(s, schema);
    if (!k || k->reading)
        return false;
    if (k->negatable == 0) {
        k->negatable = 1;
        if (!keywords_negatable(k) || !parts_negatable(s, k, depth))
            k->negatable = -1;
    }
    return k->negatable > 0;
}

/* ------------------------------------------------------------------------------------ negations */

const struct json_value *schema_negation(struct schema *s, const struct json_value *schema)
{
    if (schema->type != JSON_OBJECT) {
        struct json_value *v = make_value(s, schema->type == JSON_TRUE ? JSON_FALSE : JSON_TRUE, schema);
        return v;
    }
    if (!s->negations[schema->id]) {
        struct keywords *k = make(s, schema, TYPE_ALL);
        if (!k)
            return NULL;
        k->plain = false;
        k->negation_of = schema;
        s->negations[schema->id] = k->made;
    }
    return s->negations[schema->id];
}

/* Adds a branch that is the negation of `schema`. */
static bool negated_branch(struct schema *s, struct json_value *any_of, const struct json_value *schema)
{
    struct keywords *k = branch(s, any_of, TYPE_ALL);
    if (!k)
        return false;
    k->plain = false;
    return imply(s, k, schema_negation(s, schema));
}

static int compare_numbers(const void *a, const void *b)
{
    const struct json_value *x = *(const struct json_value *const *)a, *y = *(const struct json_value *const *)b;
    struct decimal p, q;
    if (!decimal_read(x->text, x->size, &p) || !decimal_read(y->text, y->size, &q))
        return 0;
    return decimal_compare(&p, &q);
}

/*
 * Adds branches for all values that are not listed: those of other types, and the other values of
 * the listed types.
 */
static bool negate_values(struct schema *s, struct json_value *any_of, const struct json_value *first, bool alone)
{
    const struct json_value *numbers[MAX_EXCLUDED_NUMBERS];
    uint32_t number_count = 0, string_count = 0;
    unsigned others = TYPE_ALL;
    bool listed_true = false, listed_false = false;
    const uint32_t count = alone ? 1 : first->parent->count;
    struct regex_text *strings = schema_memory(s, count, sizeof *strings);
    if (!strings)
        return false;
    for (const struct json_value *v = first; v; v = alone ? NULL : v->next) {
        if (v->type == JSON_NUMBER)
            numbers[number_count++] = v;
        else if (v->type == JSON_STRING)
            strings[string_count++] = (struct regex_text){v->text, v->size};
        else if (v->type == JSON_NULL)
            others &= ~(unsigned)TYPE_NULL;
        listed_true = listed_true || v->type == JSON_TRUE;
        listed_false = listed_false || v->type == JSON_FALSE;
    }
    if (listed_true || listed_false)
        others &= ~(unsigned)TYPE_BOOLEAN;
    if (listed_true != listed_false) {
        struct keywords *k = branch(s, any_of, TYPE_BOOLEAN);
        if (!k || !(k->at[KW_CONST] = make_value(s, listed_true ? JSON_FALSE : JSON_TRUE, any_of->origin)))
            return false;
    }
    if (string_count > 0) {
        struct keywords *k = branch(s, any_of, TYPE_STRING);
        if (!k)
            return false;
        others &= ~(unsigned)TYPE_STRING;
        k->at[KW_PATTERN] = any_of;
        k->pattern = regex_not_text(s->regex, regex_literals(s->regex, strings, string_count));
    }
    if (number_count > 0) {
        others &= ~(unsigned)TYPE_NUMBER;
        qsort(numbers, number_count, sizeof *numbers, compare_numbers);
        for (uint32_t i = 0; i <= number_count; i++) {
            struct keywords *k = branch(s, any_of, TYPE_NUMBER);
            if (!k)
                return false;
            k->at[KW_EXCLUSIVE_MINIMUM] = i > 0 ? numbers[i - 1] : NULL;
            k->at[KW_EXCLUSIVE_MAXIMUM] = i < number_count ? numbers[i] : NULL;
        }
    }
    return others == 0 || branch(s, any_of, others);
}

static bool negate_bound(struct schema *s, struct json_value *any_of, const struct keywords *of, bool low)
{
    const struct json_value *in = of->at[low ? KW_MINIMUM : KW_MAXIMUM];
    const struct json_value *ex = of->at[low ? KW_EXCLUSIVE_MINIMUM : KW_EXCLUSIVE_MAXIMUM];
    const enum keyword opposite = low ? KW_MAXIMUM : KW_MINIMUM;
    const enum keyword opposite_exclusive = low ? KW_EXCLUSIVE_MAXIMUM : KW_EXCLUSIVE_MINIMUM;
    const bool draft4 = ex && ex->type == JSON_TRUE;
    if (in) {
        struct keywords *k = branch(s, any_of, TYPE_NUMBER);
        if (!k)
            return false;
        k->at[draft4 ? opposite : opposite_exclusive] = in;
    }
    if (ex && ex->type == JSON_NUMBER) {
        struct keywords *k = branch(s, any_of, TYPE_NUMBER);
        if (!k)
            return false;
        k->at[opposite] = ex;
    }
    return true;
}

/* Negates a pair of limits such as minLength and maxLength. */
static bool negate_count(struct schema *s, struct json_value *any_of, const struct keywords *of, enum keyword min,
                         enum keyword max, unsigned type)
{
    uint32_t n;
    if (of->at[min] && schema_is_count(of->at[min], &n) && n > 0) {
        struct keywords *k = branch(s, any_of, type);
        if (!k || !set_count(s, k, max, n - 1))
            return false;
    }
    if (of->at[max] && schema_is_count(of->at[max], &n)) {
        struct keywords *k = branch(s, any_of, type);
        if (!k || !set_count(s, k, min, n + 1))
            return false;
    }
    return true;
}

static bool negate_members(struct schema *s, struct json_value *any_of, const struct keywords *of)
{
    if (of->at[KW_REQUIRED]) {
        for (const struct json_value *name = of->at[KW_REQUIRED]->first; name; name = name->next) {
            struct keywords *k = branch(s, any_of, TYPE_OBJECT);
            if (!k || !set_property(s, k, name->text, name->size, NULL))
                return false;
        }
    }
    if (!of->at[KW_PROPERTIES])
        return true;
    for (const struct json_value *m = of->at[KW_PROPERTIES]->first; m; m = m->next) {
        if (!says_something(m))
            continue;
        struct keywords *k = branch(s, any_of, TYPE_OBJECT);
        if (!k || !require(s, k, m->key, m->key_size) ||
            !set_property(s, k, m->key, m->key_size, schema_negation(s, m)))
            return false;
    }
    return true;
}

/* One element violates `items`, or all violate `contains`. */
static bool negate_elements(struct schema *s, struct json_value *any_of, const struct keywords *of)
{
    const struct json_value *const all = schema_rest(of), *const one = of->at[KW_CONTAINS];
    struct keywords *k;
    if (says_something(all) &&
        (!(k = branch(s, any_of, TYPE_ARRAY)) || !(k->at[KW_CONTAINS] = schema_negation(s, all))))
        return false;
    return !one || ((k = branch(s, any_of, TYPE_ARRAY)) && (k->at[KW_ITEMS] = schema_negation(s, one)));
}

/* Negates the references and choices of `of`. */
static bool negate_applicators(struct schema *s, struct json_value *any_of, const struct keywords *of)
{
    if (of->at[KW_REF]) {
        const struct json_value *target = schema_refs_find(s, of->at[KW_REF]);
        if (!target || !negated_branch(s, any_of, target))
            return false;
    }
    for (uint32_t i = 0; i < of->implied_count; i++)
        if (!negated_branch(s, any_of, of->implied[i]))
            return false;
    if (of->at[KW_ALL_OF])
        for (const struct json_value *e = of->at[KW_ALL_OF]->first; e; e = e->next)
            if (!negated_branch(s, any_of, e))
                return false;
    if (of->at[KW_ANY_OF]) {
        struct keywords *k = branch(s, any_of, TYPE_ALL);
        if (!k)
            return false;
        k->plain = false;
        for (const struct json_value *e = of->at[KW_ANY_OF]->first; e; e = e->next)
            if (!imply(s, k, schema_negation(s, e)))
                return false;
    }
    return true;
}

bool schema_expand_negation(struct schema *s, struct keywords *k)
{
    const struct json_value *schema = k->negation_of;
    struct keywords *of = schema_keywords(s, schema);
    k->negation_of = NULL;
    if (of && (of->reading || !keywords_negatable(of)))
        return schema_refuse(s, schema, "this schema would have to be negated, which is not supported");
    struct json_value *any_of = of ? make_list(s, k, KW_ANY_OF, JSON_ARRAY) : NULL;
    if (!any_of)
        return false;
    if (of->types != TYPE_ALL && !branch(s, any_of, TYPE_ALL & ~of->types))
        return false;
    if (of->at[KW_CONST] && !negate_values(s, any_of, of->at[KW_CONST], true))
        return false;
    if (of->at[KW_ENUM] && !negate_values(s, any_of, of->at[KW_ENUM]->first, false))
        return false;
    if (of->at[KW_PATTERN]) {
        uint32_t node;
        struct keywords *b = branch(s, any_of, TYPE_STRING);
        if (!b || !schema_pattern(s, of, &node))
            return false;
        b->at[KW_PATTERN] = any_of;
        b->pattern = regex_not_text(s->regex, node);
    }
    return negate_bound(s, any_of, of, true) && negate_bound(s, any_of, of, false) &&
           negate_count(s, any_of, of, KW_MIN_LENGTH, KW_MAX_LENGTH, TYPE_STRING) &&
           negate_count(s, any_of, of, KW_MIN_ITEMS, KW_MAX_ITEMS, TYPE_ARRAY) &&
           negate_count(s, any_of, of, KW_MIN_PROPERTIES, KW_MAX_PROPERTIES, TYPE_OBJECT) &&
           negate_elements(s, any_of, of) && negate_members(s, any_of, of) && negate_applicators(s, any_of, of);
}

/* ------------------------------------------------------------------------------- in other words */

static bool imply_not(struct schema *s, struct keywords *k)
{
    const struct json_value *of = k->at[KW_NOT];
    if (!schema_negatable(s, of, 0))
        return schema_refuse(s, of, "not is not supported for these keywords");
    return imply(s, k, schema_negation(s, of));
}

static bool imply_condition(struct schema *s, struct keywords *k)
{
    const struct json_value *condition = k->at[KW_IF];
    const struct json_value *then = k->at[KW_THEN], *otherwise = k->at[KW_ELSE];
    if (!then && !otherwise)
        return true;
    if (!schema_negatable(s, condition, 0))
        return schema_refuse(s, condition, "if is not supported with these keywords");
    struct keywords *choice = make(s, condition, TYPE_ALL);
    struct json_value *any_of = choice ? make_list(s, choice, KW_ANY_OF, JSON_ARRAY) : NULL;
    struct keywords *yes = any_of ? branch(s, any_of, TYPE_ALL) : NULL, *no = yes ? branch(s, any_of, TYPE_ALL) : NULL;
    if (!no || !imply(s, yes, condition) || (then && !imply(s, yes, then)) ||
        !imply(s, no, schema_negation(s, condition)) || (otherwise && !imply(s, no, otherwise)))
        return false;
    choice->plain = yes->plain = no->plain = false;
    return imply(s, k, choice->made);
}

static bool is_schema(const struct json_value *v)
{
    return v->type == JSON_OBJECT || v->type == JSON_TRUE || v->type == JSON_FALSE;
}

/*
 * Rewrites one dependency `m`: a key, and the keys (an array of strings) or the schema that it
 * requires.
 */
static bool imply_dependency(struct schema *s, struct keywords *k, const struct json_value *m)
{
    struct keywords *choice = make(s, m, TYPE_ALL);
    struct json_value *any_of = choice ? make_list(s, choice, KW_ANY_OF, JSON_ARRAY) : NULL;
    struct keywords *without = any_of ? branch(s, any_of, TYPE_ALL) : NULL;
    struct keywords *with = without ? branch(s, any_of, TYPE_OBJECT) : NULL;
    if (!with || !set_property(s, without, m->key, m->key_size, NULL) || !require(s, with, m->key, m->key_size))
        return false;
    choice->plain = false;
    if (m->type == JSON_STRING && !require(s, with, m->text, m->size)) /* draft 3 */
        return false;
    if (m->type == JSON_ARRAY) {
        for (const struct json_value *name = m->first; name; name = name->next) {
            if (name->type != JSON_STRING)
                return schema_refuse(s, name, "expected a string");
            if (!require(s, with, name->text, name->size))
                return false;
        }
    }
    if (is_schema(m) && !imply(s, with, m))
        return false;
    return imply(s, k, choice->made);
}

bool schema_imply(struct schema *s, struct keywords *k)
{
    static const enum keyword dependencies[] = {KW_DEPENDENCIES, KW_DEPENDENT_REQUIRED, KW_DEPENDENT_SCHEMAS};
    if (k->at[KW_NOT] && !imply_not(s, k))
        return false;
    if (k->at[KW_IF] && !imply_condition(s, k))
        return false;
    for (int i = 0; i < 3; i++) {
        const struct json_value *map = k->at[dependencies[i]];
        if (map && map->type != JSON_OBJECT)
            return schema_refuse(s, map, "expected an object");
        for (const struct json_value *m = map ? map->first : NULL; m; m = m->next) {
            if (m->type != JSON_ARRAY && m->type != JSON_STRING && !is_schema(m))
                return schema_refuse(s, m, "expected an array of keys, or a schema");
            if (!imply_dependency(s, k, m))
                return false;
        }
    }
    return true;
}
