/*
 * schema_object.c - the rule of the objects of a shape.
 *
 * Its members are those in `properties`, in the order of the schema text (those of a referenced
 * schema at the position of its $ref), those only in `required`, and any others, whose keys differ
 * from all named keys. patternProperties divide the others into classes by the set of patterns that
 * match; each class has its own value. grammar_object (grammar.h) writes them in this order or in
 * any order.
 */
#include "matcher/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_ALL_PATTERNS = 32, /* different patterns of one shape */
    MAX_CLASSES = 64,
};

struct member {
    const char *key;
    size_t size;
    uint64_t order;
    bool required;
    struct value *value;
};

struct class
{
    uint32_t keys; /* expression */
    struct value *value;
};

struct object {
    struct member *members; /* [count] */
    uint32_t count, min, max;
    uint32_t required_count;
    struct class classes[MAX_CLASSES];
    uint32_t class_count;
    const struct json_value *min_at; /* for messages */
};

/* ----------------------------------------------------------------------------------- named keys */

bool schema_key_schemas(struct schema *s, struct keywords *k, const char *key, size_t size,
                        const struct json_value **found, uint32_t *count)
{
    const uint32_t before = *count;
    const struct json_value *map = k->at[KW_PATTERN_PROPERTIES];
    const struct json_value *named = k->at[KW_PROPERTIES] ? json_member_sized(k->at[KW_PROPERTIES], key, size) : NULL;
    if (named)
        found[(*count)++] = named;
    if (map && map->count > SCHEMA_MAX_PATTERNS)
        return schema_refuse(s, map, "more than %d patterns", SCHEMA_MAX_PATTERNS);
    uint32_t i = 0, node;
    for (const struct json_value *m = map ? map->first : NULL; m; m = m->next, i++) {
        if (!schema_key_pattern(s, k, i, &node) || !schema_spend(s, (uint32_t)size + 1))
            return false;
        if (regex_matches(s->regex, node, key, size))
            found[(*count)++] = m;
    }
    if (*count == before && k->at[KW_ADDITIONAL_PROPERTIES])
        found[(*count)++] = k->at[KW_ADDITIONAL_PROPERTIES];
    return true;
}

static int compare_keys(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    const int c = memcmp(x->key, y->key, x->size < y->size ? x->size : y->size);
    if (c || x->size != y->size)
        return c ? c : x->size < y->size ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

static int compare_order(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    return (x->order > y->order) - (x->order < y->order);
}

/* Fills o->members except for the values. */
static bool collect_keys(struct schema *s, const struct shape *shape, struct object *o)
{
    static const enum keyword sources[] = {KW_PROPERTIES, KW_REQUIRED};
    const uint64_t last_part = (uint64_t)1 << 63; /* sorts keys that are only in `required` last */
    uint32_t total = 0, kept = 0;
    for (uint32_t i = 0; i < shape->schemas.count; i++) {
        const struct keywords *k = schema_keywords(s, shape->schemas.at[i]);
        for (int j = 0; j < 2; j++)
            total += k->at[sources[j]] ? k->at[sources[j]]->count : 0;
    }
    o->members = schema_memory(s, total + 1u, sizeof *o->members);
    if (!o->members)
        return false;
    for (int j = 0; j < 2; j++) {
        for (uint32_t i = 0; i < shape->schemas.count; i++) {
            const struct json_value *from = schema_keywords(s, shape->schemas.at[i])->at[sources[j]];
            const uint32_t anchor = shape->anchors[i];
            for (const struct json_value *m = from ? from->first : NULL; m; m = m->next, o->count++)
                o->members[o->count] = (struct member){.key = j ? m->text : m->key,
                                                       .size = j ? m->size : m->key_size,
                                                       .order = j ? last_part | o->count
                                                                  : (uint64_t)(anchor ? anchor : m->id) << 32 | m->id,
                                                       .required = j == 1};
        }
    }
    qsort(o->members, o->count, sizeof *o->members, compare_keys);
    for (uint32_t i = 0; i < o->count; i++) {
        struct member *m = &o->members[i], *last = kept ? &o->members[kept - 1] : NULL;
        if (last && last->size == m->size && memcmp(last->key, m->key, m->size) == 0)
            last->required = last->required || m->required;
        else
            o->members[kept++] = *m;
    }
    o->count = kept;
    qsort(o->members, o->count, sizeof *o->members, compare_order);
    return true;
}

static bool collect_values(struct schema *s, const struct shape *shape, struct object *o)
{
    const size_t room = (size_t)shape->schemas.count * (SCHEMA_MAX_PATTERNS + 2) + 1;
    const struct json_value **found = schema_memory(s, room, sizeof *found);
    if (!found)
        return false;
    for (uint32_t j = 0; j < o->count; j++) {
        struct member *m = &o->members[j];
        uint32_t n = 0;
        for (uint32_t i = 0; i < shape->schemas.count; i++)
            if (!schema_key_schemas(s, schema_keywords(s, shape->schemas.at[i]), m->key, m->size, found, &n))
                return false;
        if (!(m->value = schema_value(s, found, n)))
            return false;
        o->required_count += m->required;
    }
    return true;
}

/* ----------------------------------------------------------------------------------- other keys */

struct pattern {
    uint32_t node;
    bool chosen;
};

struct division {
    struct schema *s;
    const struct shape *shape;
    struct object *o;
    struct pattern patterns[MAX_ALL_PATTERNS];
    uint32_t count;
    const struct json_value **found;
    bool closed; /* strict: no keys without a pattern */
};

static bool is_chosen(const struct division *d, uint32_t node)
{
    for (uint32_t i = 0; i < d->count; i++)
        if (d->patterns[i].node == node)
            return d->patterns[i].chosen;
    return false;
}

/* Adds the class of the keys that match exactly the chosen patterns. */
static bool add_class(struct division *d, uint32_t keys)
{
    uint32_t n = 0, node;
    bool any_pattern = false;
    for (uint32_t i = 0; i < d->shape->schemas.count; i++) {
        struct keywords *k = schema_keywords(d->s, d->shape->schemas.at[i]);
        const struct json_value *map = k->at[KW_PATTERN_PROPERTIES];
        const uint32_t before = n;
        uint32_t index = 0;
        for (const struct json_value *m = map ? map->first : NULL; m; m = m->next, index++) {
            if (!schema_key_pattern(d->s, k, index, &node))
                return false;
            if (is_chosen(d, node))
                d->found[n++] = m;
        }
        any_pattern = any_pattern || n > before;
        if (n == before && k->at[KW_ADDITIONAL_PROPERTIES])
            d->found[n++] = k->at[KW_ADDITIONAL_PROPERTIES];
    }
    if (d->closed && !any_pattern)
        return true;
    struct value *v = schema_value(d->s, d->found, n);
    if (!v)
        return false;
    if (v->count == 0)
        return true;
    if (d->o->class_count == MAX_CLASSES)
        return schema_refuse(d->s, d->shape->schemas.at[0], "the patterns of patternProperties overlap too much");
    d->o->classes[d->o->class_count++] = (struct class){keys, v};
    return true;
}

/*
 * Divides `keys` into classes by the patterns from `next` on. Recursion is bounded by
 * MAX_ALL_PATTERNS.
 */
static bool divide(struct division *d, uint32_t keys, uint32_t next)
{
    struct regex *r = d->s->regex;
    bool is_void = false;
    if (!schema_spend(d->s, 50))
        return false;
    const enum rwkv7_status status = d->count > 0 ? regex_is_void(r, keys, &is_void, NULL) : RWKV7_OK;
    if (status == RWKV7_ERR_MEMORY)
        return schema_no_memory(d->s);
    if (status != RWKV7_OK)
        return schema_refuse(d->s, d->shape->schemas.at[0], "the patterns of patternProperties are too complex");
    if (is_void)
        return true;
    if (next == d->count)
        return add_class(d, keys);
    d->patterns[next].chosen = true;
    if (!divide(d, regex_and(r, keys, d->patterns[next].node), next + 1))
        return false;
    d->patterns[next].chosen = false;
    return divide(d, regex_and(r, keys, regex_not_text(r, d->patterns[next].node)), next + 1);
}

static bool list_patterns(struct division *d, bool *explicit_additional, bool *named)
{
    uint32_t node;
    for (uint32_t i = 0; i < d->shape->schemas.count; i++) {
        struct keywords *k = schema_keywords(d->s, d->shape->schemas.at[i]);
        const struct json_value *map = k->at[KW_PATTERN_PROPERTIES];
        *explicit_additional = *explicit_additional || k->at[KW_ADDITIONAL_PROPERTIES];
        *named = *named || k->at[KW_PROPERTIES];
        if (map && map->count > SCHEMA_MAX_PATTERNS)
            return schema_refuse(d->s, map, "more than %d patterns", SCHEMA_MAX_PATTERNS);
        for (uint32_t j = 0; map && j < map->count; j++) {
            bool known = false;
            if (!schema_key_pattern(d->s, k, j, &node))
                return false;
            for (uint32_t p = 0; p < d->count; p++)
                known = known || d->patterns[p].node == node;
            if (known)
                continue;
            if (d->count == MAX_ALL_PATTERNS)
                return schema_refuse(d->s, map, "more than %d patterns for one object", MAX_ALL_PATTERNS);
            d->patterns[d->count++].node = node;
        }
    }
    return true;
}

static bool collect_classes(struct schema *s, const struct shape *shape, struct object *o)
{
    struct division d = {.s = s, .shape = shape, .o = o};
    bool explicit_additional = false, named = false;
    uint32_t keys = regex_any_text(s->regex);

    if (!list_patterns(&d, &explicit_additional, &named))
        return false;
    d.closed = s->options.strict && named && !explicit_additional;
    d.found = schema_memory(s, (size_t)shape->schemas.count * (SCHEMA_MAX_PATTERNS + 2) + 1, sizeof *d.found);
    struct regex_text *texts = schema_memory(s, o->count + 1u, sizeof *texts);
    if (!d.found || !texts)
        return false;
    for (uint32_t i = 0; i < o->count; i++)
        texts[i] = (struct regex_text){o->members[i].key, o->members[i].size};
    if (o->count > 0)
        keys = regex_not_text(s->regex, regex_literals(s->regex, texts, o->count));
    return divide(&d, keys, 0);
}

static bool collect(struct schema *s, const struct shape *shape, struct object *o)
{
    uint32_t n;
    *o = (struct object){.max = REGEX_NO_LIMIT};
    for (uint32_t i = 0; i < shape->schemas.count; i++) {
        const struct keywords *k = schema_keywords(s, shape->schemas.at[i]);
        if (k->at[KW_MIN_PROPERTIES] && schema_is_count(k->at[KW_MIN_PROPERTIES], &n) && n > o->min) {
            o->min = n;
            o->min_at = k->at[KW_MIN_PROPERTIES];
        }
        if (k->at[KW_MAX_PROPERTIES] && schema_is_count(k->at[KW_MAX_PROPERTIES], &n) && n < o->max)
            o->max = n;
    }
    return collect_keys(s, shape, o) && collect_values(s, shape, o) && collect_classes(s, shape, o);
}

bool schema_object_possible(struct schema *s, struct shape *shape, unsigned depth)
{
    struct object o;
    if (!collect(s, shape, &o) || o.required_count > o.max || o.min > o.max)
        return false;
    for (uint32_t i = 0; i < o.count; i++)
        if (o.members[i].required && !schema_possible(s, o.members[i].value, depth))
            return false;
    return true;
}

/* ------------------------------------------------------------------------------------- the rule */

/* The expression before a key, after a comma unless it is the first, with its quote or not. */
static uint32_t before_key(struct schema *s, bool first, bool quote)
{
    struct regex *r = s->regex;
    const uint32_t node = quote ? regex_literal(r, "\"", 1) : REGEX_EMPTY;
    return first ? node : regex_concat(r, regex_literal(r, ",", 1), regex_concat(r, s->space, node));
}

/* The rule of a member with any key that is not in the list. */
static uint32_t others_symbol(struct schema *s, const struct object *o, bool first)
{
    struct regex *r = s->regex;
    const uint32_t rule = grammar_rule(s->grammar, "member", 6);
    const uint32_t colon = regex_concat(r, regex_literal(r, ":", 1), s->space), before = before_key(s, first, false);
    for (uint32_t i = 0; i < o->class_count && !schema_failed(s); i++) {
        const struct class *c = &o->classes[i];
        uint32_t key = schema_string(s, c->keys);
        if (c->keys == regex_any_text(r)) { /* any key: allow all escapes */
            const uint32_t quote = regex_literal(r, "\"", 1);
            key = regex_concat(r, quote, regex_concat(r, regex_repeat(r, s->free_character, 0, REGEX_NO_LIMIT), quote));
        }
        const uint32_t terminal = grammar_terminal(s->grammar, regex_concat(r, before, regex_concat(r, key, colon)));
        grammar_add(s->grammar, rule, (uint32_t[]){terminal, schema_symbol(s, c->value)}, 2);
    }
    return rule;
}

/* Returns a key as it is written between the quotes of a JSON string; NULL if out of memory. */
static const char *quoted_key(struct schema *s, const char *key, size_t size, size_t *quoted_size)
{
    static const char short_forms[] = "\bb\ff\nn\rr\tt\"\"\\\\";
    char *const out = size <= SIZE_MAX / 6 ? schema_memory(s, size * 6 + 1, 1) : NULL;
    size_t n = 0;
    for (size_t i = 0; out && i < size; i++) {
        const unsigned char c = (unsigned char)key[i];
        const char *form = short_forms;
        while (*form && *form != key[i])
            form += 2;
        if (*form) {
            out[n++] = '\\';
            out[n++] = form[1];
        } else if (c < ' ') {
            n += (size_t)snprintf(out + n, sizeof "\\u0000", "\\u%04x", c);
        } else {
            out[n++] = key[i];
        }
    }
    *quoted_size = n;
    return out;
}

/* Returns the members for the grammar; NULL if out of memory. */
static struct grammar_member *list_members(struct schema *s, const struct object *o, uint32_t *count)
{
    struct grammar_member *const list = schema_memory(s, o->count + 1u, sizeof *list);
    *count = 0;
    for (uint32_t i = 0; list && i < o->count && !schema_failed(s); i++) {
        const struct member *const m = &o->members[i];
        struct grammar_member *const to = &list[*count];
        if (m->value->count == 0 && !m->required) /* no value is allowed */
            continue;
        to->key = quoted_key(s, m->key, m->size, &to->size);
        to->required = m->required;
        to->value = m->value->count > 0 ? schema_symbol(s, m->value) : grammar_terminal(s->grammar, REGEX_NOTHING);
        if (!to->key)
            return NULL;
        ++*count;
    }
    return list;
}

bool schema_write_object(struct schema *s, struct shape *shape)
{
    struct grammar *g = s->grammar;
    struct regex *r = s->regex;
    const uint32_t rule = shape->rule[1];
    struct object o;
    struct grammar_object form = {.in_order = s->options.in_order};

    if (!collect(s, shape, &o))
        return false;
    grammar_add(g, rule, (uint32_t[]){grammar_terminal(g, REGEX_NOTHING)}, 1); /* a rule needs one */
    if (o.min > o.max || o.required_count > o.max)
        return !schema_failed(s);
    if (o.min <= o.required_count)
        o.min = 0;
    if (o.class_count == 0 && o.max >= o.count)
        o.max = REGEX_NO_LIMIT;
    if (o.min == 0 && o.required_count == 0)
        grammar_add(g, rule, &s->empty_object, 1);
    if (o.max == 0)
        return !schema_failed(s);
    form.members = list_members(s, &o, &form.count);
    if (!form.members)
        return false;
    form.has_others = o.class_count > 0;
    if (form.count + form.has_others < o.min && o.class_count > 0)
        return schema_refuse(s, o.min_at, "minProperties over 1 is not supported for keys that are not named");
    if (form.count == 0 && !form.has_others)
        return !schema_failed(s);
    if (form.has_others) {
        form.other_first = others_symbol(s, &o, true);
        form.other = others_symbol(s, &o, false);
    }
    form.min = o.min;
    form.max = o.max;
    form.before_first = before_key(s, true, true);
    form.before_next = before_key(s, false, true);
    form.after_key = regex_concat(r, regex_literal(r, "\":", 2), s->space);
    grammar_add(g, rule, (uint32_t[]){s->open_object, grammar_object(g, &form), s->close_object}, 3);
    return !schema_failed(s);
}
