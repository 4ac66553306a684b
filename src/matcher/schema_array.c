/*
 * schema_array.c - the rule of the arrays of a shape.
 *
 * With `contains`, each rule is a state: the number of elements so far, and which of these demands
 * they have met. An element may meet any of those that are left; it then satisfies their schemas
 * too.
 */
#include "matcher/schema.h"

enum {
    MAX_DEMANDS = 5,     /* `contains` of one shape */
    MAX_POSITIONS = 256, /* elements that are counted together with demands */
};

struct array {
    const struct json_value *demands[MAX_DEMANDS];
    uint32_t demand_count;
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

/*
 * Returns the value of element `index`, UINT32_MAX: of the elements after all prefixes, if it also
 * meets these demands (bits).
 */
static struct value *element(struct schema *s, const struct shape *shape, uint32_t index, const struct array *a,
                             unsigned demands)
{
    const struct json_value **all = schema_memory(s, shape->schemas.count + 1u + MAX_DEMANDS, sizeof *all);
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
    for (uint32_t i = 0; i < a->demand_count; i++)
        if (demands >> i & 1)
            all[n++] = a->demands[i];
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
        if (k->at[KW_CONTAINS] && a->demand_count == MAX_DEMANDS)
            return schema_refuse(s, k->at[KW_CONTAINS], "more than %d contains for one array", MAX_DEMANDS);
        if (k->at[KW_CONTAINS])
            a->demands[a->demand_count++] = k->at[KW_CONTAINS];
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
    if (!a->prefix || !(a->rest = element(s, shape, UINT32_MAX, a, 0)))
        return false;
    for (uint32_t i = 0; i < a->prefix_count; i++) {
        if (!(a->prefix[i] = element(s, shape, i, a, 0)))
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
    if (!collect(s, shape, &a) || a.min > a.max || (a.demand_count > 0 && a.max == 0))
        return false;
    for (uint32_t i = 0; i < a.demand_count; i++) {
        struct value *v = element(s, shape, UINT32_MAX, &a, 1u << i);
        if (a.prefix_count == 0 && (!v || !schema_possible(s, v, depth)))
            return false;
    }
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

/* A rule for each number of elements and each set of demands that they have met. */
struct states {
    struct array *array;
    uint32_t last; /* further elements are not counted */
    unsigned full; /* all demands */
    uint32_t *rules;
};

static uint32_t state_rule(const struct states *t, uint32_t count, unsigned met)
{
    return t->rules[((count < t->last ? count : t->last) << t->array->demand_count) + met];
}

/* Adds the alternatives in which one more element follows `count` elements, then the next state. */
static bool add_element(struct schema *s, const struct shape *shape, const struct states *t, uint32_t rule,
                        uint32_t count, unsigned met)
{
    const struct array *a = t->array;
    for (unsigned more = 0; more <= t->full; more++) {
        if (more & met)
            continue;
        if (!schema_spend(s, 1))
            return false;
        struct value *v = element(s, shape, count < a->prefix_count ? count : UINT32_MAX, a, more);
        if (!v)
            return false;
        if (is_nothing(v))
            continue;
        const uint32_t next = state_rule(t, count + 1, met | more), symbol = schema_symbol(s, v);
        if (count == 0)
            grammar_add(s->grammar, rule, (uint32_t[]){s->open_array, symbol, next, s->close_array}, 4);
        else
            grammar_add(s->grammar, rule, (uint32_t[]){s->comma, symbol, next}, 3);
    }
    return !schema_failed(s);
}

/* Writes an array with `contains`: it has at least one element. */
static bool write_demanding(struct schema *s, const struct shape *shape, struct array *a)
{
    struct states t = {.array = a, .full = (1u << a->demand_count) - 1};
    const uint32_t nothing = grammar_terminal(s->grammar, REGEX_NOTHING), rule = shape->rule[0];
    t.last = a->max != REGEX_NO_LIMIT ? a->max : a->min > a->prefix_count ? a->min : a->prefix_count;
    t.last += t.last == 0;                      /* state 0 is the start */
    grammar_add(s->grammar, rule, &nothing, 1); /* a rule needs one */
    if (t.last > MAX_POSITIONS)
        return schema_refuse(s, a->demands[0], "contains is not supported for more than %d counted elements",
                             MAX_POSITIONS);
    t.rules = schema_memory(s, (size_t)(t.last + 1) << a->demand_count, sizeof *t.rules);
    if (!t.rules)
        return false;
    for (uint32_t i = 0; i < (t.last + 1) << a->demand_count; i++)
        t.rules[i] = grammar_rule(s->grammar, "items", 5);
    for (uint32_t i = 1; i <= t.last; i++) {
        for (unsigned met = 0; met <= t.full; met++) {
            const uint32_t at = state_rule(&t, i, met);
            grammar_add(s->grammar, at, &nothing, 1);
            if (i >= a->min && met == t.full)
                grammar_add(s->grammar, at, NULL, 0);
            if (i < a->max && !add_element(s, shape, &t, at, i, met))
                return false;
        }
    }
    return a->max == 0 || add_element(s, shape, &t, rule, 0, 0);
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
    if (a.demand_count > 0)
        return write_demanding(s, shape, &a);
    if (a.min == 0)
        grammar_add(g, rule, &s->empty_array, 1);
    if (a.max > 0) {
        const uint32_t first = schema_symbol(s, a.prefix_count > 0 ? a.prefix[0] : a.rest);
        grammar_add(g, rule, (uint32_t[]){s->open_array, first, following(s, &a, 1), s->close_array}, 4);
    }
    return !schema_failed(s);
}
