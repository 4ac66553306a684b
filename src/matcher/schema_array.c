/* schema_array.c - the rule of the arrays of a shape. */
#include "matcher/schema.h"

struct array {
    uint32_t min, max;
    uint32_t prefix_count;
    struct value **prefix; /* [prefix_count] */
    struct value *rest;
};

const struct json_value *schema_prefix(const struct keywords *k)
{
    const struct json_value *items = k->at[KW_ITEMS];
    return k->at[KW_PREFIX_ITEMS] ? k->at[KW_PREFIX_ITEMS] : items && items->type == JSON_ARRAY ? items : NULL;
}

const struct json_value *schema_rest(const struct keywords *k)
{
    const struct json_value *items = k->at[KW_ITEMS];
    if (items && items->type != JSON_ARRAY)
        return items;
    return items && !k->at[KW_PREFIX_ITEMS] ? k->at[KW_ADDITIONAL_ITEMS] : NULL;
}

/* Returns the value of element `index`; UINT32_MAX: of the elements after all prefixes. */
static struct value *element(struct schema *s, const struct shape *shape, uint32_t index)
{
    const struct json_value **all = schema_memory(s, shape->schemas.count + 1u, sizeof *all);
    uint32_t n = 0;
    if (!all)
        return NULL;
    for (uint32_t i = 0; i < shape->schemas.count; i++) {
        const struct keywords *k = schema_keywords(s, shape->schemas.at[i]);
        const struct json_value *prefix = schema_prefix(k);
        const struct json_value *found = prefix ? json_element(prefix, index) : NULL;
        if (!found)
            found = schema_rest(k);
        if (found)
            all[n++] = found;
    }
    return schema_value(s, all, n);
}

static bool is_nothing(const struct value *v)
{
    return v->count == 0 || (v->count == 1 && v->shapes[0]->listed && v->scalar == REGEX_NOTHING);
}

static bool collect(struct schema *s, const struct shape *shape, struct array *a)
{
    uint32_t n;
    *a = (struct array){.max = REGEX_NO_LIMIT};
    for (uint32_t i = 0; i < shape->schemas.count; i++) {
        const struct keywords *k = schema_keywords(s, shape->schemas.at[i]);
        const struct json_value *prefix = schema_prefix(k);
        if (prefix && prefix->count > a->prefix_count)
            a->prefix_count = prefix->count;
        if (k->at[KW_MIN_ITEMS] && schema_is_count(k->at[KW_MIN_ITEMS], &n) && n > a->min)
            a->min = n;
        if (k->at[KW_MAX_ITEMS] && schema_is_count(k->at[KW_MAX_ITEMS], &n) && n < a->max)
            a->max = n;
    }
    if (a->prefix_count > a->max)
        a->prefix_count = a->max;
    if (!schema_spend(s, 1 + a->prefix_count / 8 * a->prefix_count))
        return false;
    a->prefix = schema_memory(s, a->prefix_count + 1u, sizeof(struct value *));
    if (!a->prefix || !(a->rest = element(s, shape, UINT32_MAX)))
        return false;
    for (uint32_t i = 0; i < a->prefix_count; i++) {
        if (!(a->prefix[i] = element(s, shape, i)))
            return false;
        if (is_nothing(a->prefix[i])) { /* the array ends before it */
            a->prefix_count = a->max = i;
            return true;
        }
    }
    if (is_nothing(a->rest) && a->max > a->prefix_count)
        a->max = a->prefix_count;
    return true;
}

bool schema_array_possible(struct schema *s, struct shape *shape, unsigned depth)
{
    struct array a;
    if (!collect(s, shape, &a) || a.min > a.max)
        return false;
    for (uint32_t i = 0; i < a.min && i < a.prefix_count; i++)
        if (!schema_possible(s, a.prefix[i], depth))
            return false;
    return a.min <= a.prefix_count || schema_possible(s, a.rest, depth);
}

/* Returns what may follow i elements: the end, or one more element. */
static uint32_t following(struct schema *s, const struct array *a, uint32_t after)
{
    struct grammar *g = s->grammar;
    uint32_t next;
    if (a->max <= a->prefix_count) {
        next = grammar_terminal(g, REGEX_EMPTY);
    } else { /* elements that all have the same schema */
        const uint32_t item = grammar_rule(g, "item", 4);
        const uint32_t done = after > a->prefix_count ? after : a->prefix_count;
        grammar_add(g, item, (uint32_t[]){s->comma, schema_symbol(s, a->rest)}, 2);
        next = grammar_repeat(g, item, a->min > done ? a->min - done : 0,
                              a->max == REGEX_NO_LIMIT ? a->max : a->max - done);
    }
    for (uint32_t i = a->prefix_count; i > after && !schema_failed(s); i--) {
        const uint32_t rule = grammar_rule(g, "items", 5);
        grammar_add(g, rule, (uint32_t[]){s->comma, schema_symbol(s, a->prefix[i - 1]), next}, 3);
        if (i - 1 >= a->min)
            grammar_add(g, rule, NULL, 0);
        next = rule;
    }
    return next;
}

bool schema_write_array(struct schema *s, struct shape *shape)
{
    struct grammar *g = s->grammar;
    const uint32_t rule = shape->rule[0];
    struct array a;

    if (!collect(s, shape, &a))
        return false;
    if (a.min > a.max) {
        grammar_add(g, rule, (uint32_t[]){grammar_terminal(g, REGEX_NOTHING)}, 1);
        return !schema_failed(s);
    }
    if (a.min == 0)
        grammar_add(g, rule, &s->empty_array, 1);
    if (a.max > 0) {
        const uint32_t first = schema_symbol(s, a.prefix_count > 0 ? a.prefix[0] : a.rest);
        grammar_add(g, rule, (uint32_t[]){s->open_array, first, following(s, &a, 1), s->close_array}, 4);
    }
    return !schema_failed(s);
}
