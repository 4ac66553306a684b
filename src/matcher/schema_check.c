/*
 * schema_check.c - whether a value of an enum or const satisfies the other schemas that apply to
 * it.
 */
#include "matcher/schema.h"

#include <string.h>

#include "matcher/decimal.h"

#define MAX_CHECK_DEPTH 100u

static enum check check_at(struct schema *s, const struct json_value *v, const struct json_value *schema,
                           bool plain_only, unsigned depth);

static enum check from_bool(bool yes)
{
    return yes ? CHECK_YES : CHECK_NO;
}

bool json_equal(const struct json_value *a, const struct json_value *b)
{
    struct decimal x, y;
    if (a->type != b->type || a->count != b->count)
        return false;
    if (a->type == JSON_NUMBER) {
        if (decimal_read(a->text, a->size, &x) && decimal_read(b->text, b->size, &y))
            return decimal_compare(&x, &y) == 0;
        return a->size == b->size && memcmp(a->text, b->text, a->size) == 0;
    }
    if (a->type == JSON_STRING)
        return a->size == b->size && memcmp(a->text, b->text, a->size) == 0;
    const struct json_value *m = b->first;
    for (const struct json_value *e = a->first; e; e = e->next, m = m ? m->next : NULL) {
        const struct json_value *other = a->type == JSON_OBJECT ? json_member_sized(b, e->key, e->key_size) : m;
        if (!other || !json_equal(e, other))
            return false;
    }
    return true;
}

static unsigned type_of(const struct json_value *v)
{
    struct decimal d;
    switch (v->type) {
    case JSON_NULL:
        return TYPE_NULL;
    case JSON_TRUE:
    case JSON_FALSE:
        return TYPE_BOOLEAN;
    case JSON_STRING:
        return TYPE_STRING;
    case JSON_ARRAY:
        return TYPE_ARRAY;
    case JSON_OBJECT:
        return TYPE_OBJECT;
    default:
        return decimal_read(v->text, v->size, &d) && decimal_is_integer(&d) ? TYPE_INTEGER : TYPE_FRACTION;
    }
}

static enum check check_number(struct schema *s, const struct json_value *v, const struct keywords *k)
{
    struct decimal x, bound;
    static const struct {
        enum keyword inclusive, exclusive;
        int wrong; /* the result of comparing that violates the bound */
    } sides[] = {{KW_MINIMUM, KW_EXCLUSIVE_MINIMUM, -1}, {KW_MAXIMUM, KW_EXCLUSIVE_MAXIMUM, 1}};

    if (!decimal_read(v->text, v->size, &x)) {
        schema_refuse(s, v, "numbers have at most %d digits here", DECIMAL_DIGITS);
        return CHECK_REFUSED;
    }
    for (int i = 0; i < 2; i++) {
        const struct json_value *in = k->at[sides[i].inclusive], *ex = k->at[sides[i].exclusive];
        if (in && decimal_read(in->text, in->size, &bound)) {
            const int c = decimal_compare(&x, &bound);
            if (c == sides[i].wrong || (c == 0 && ex && ex->type == JSON_TRUE))
                return CHECK_NO;
        }
        if (ex && ex->type == JSON_NUMBER && decimal_read(ex->text, ex->size, &bound)) {
            const int c = decimal_compare(&x, &bound);
            if (c == sides[i].wrong || c == 0)
                return CHECK_NO;
        }
    }
    const struct json_value *m = k->at[KW_MULTIPLE_OF];
    if (m && decimal_read(m->text, m->size, &bound) && bound.count > 0 && !bound.negative) {
        bool known;
        const bool yes = decimal_is_multiple(&x, &bound, &known);
        if (known)
            return from_bool(yes);
        schema_refuse(s, m, "this multipleOf has too many digits");
        return CHECK_REFUSED;
    }
    return CHECK_YES;
}

static enum check check_string(struct schema *s, const struct json_value *v, struct keywords *k)
{
    uint32_t limit, length = 0, node;
    for (size_t i = 0; i < v->size; i++)
        length += ((unsigned char)v->text[i] & 0xc0) != 0x80;
    if (k->at[KW_MIN_LENGTH] && schema_is_count(k->at[KW_MIN_LENGTH], &limit) && length < limit)
        return CHECK_NO;
    if (k->at[KW_MAX_LENGTH] && schema_is_count(k->at[KW_MAX_LENGTH], &limit) && length > limit)
        return CHECK_NO;
    if (!k->at[KW_PATTERN] && !k->at[KW_FORMAT])
        return CHECK_YES;
    if (!schema_pattern(s, k, &node) || !schema_spend(s, (uint32_t)v->size + 1))
        return CHECK_REFUSED;
    return from_bool(regex_matches(s->regex, node, v->text, v->size));
}

static enum check check_array(struct schema *s, const struct json_value *v, const struct keywords *k, unsigned depth)
{
    uint32_t limit;
    if (k->at[KW_MIN_ITEMS] && schema_is_count(k->at[KW_MIN_ITEMS], &limit) && v->count < limit)
        return CHECK_NO;
    if (k->at[KW_MAX_ITEMS] && schema_is_count(k->at[KW_MAX_ITEMS], &limit) && v->count > limit)
        return CHECK_NO;
    const struct json_value *prefix = schema_prefix(k), *rest = schema_rest(k);
    enum check found = from_bool(!k->at[KW_CONTAINS]);
    for (const struct json_value *e = v->first; e && found == CHECK_NO; e = e->next)
        found = check_at(s, e, k->at[KW_CONTAINS], false, depth + 1);
    if (found != CHECK_YES)
        return found;
    const struct json_value *of = prefix ? prefix->first : NULL;
    for (const struct json_value *e = v->first; e; e = e->next) {
        const struct json_value *schema = of ? of : rest;
        const enum check c = schema ? check_at(s, e, schema, false, depth + 1) : CHECK_YES;
        if (c != CHECK_YES)
            return c;
        of = of ? of->next : NULL;
    }
    return CHECK_YES;
}

static enum check check_member(struct schema *s, const struct json_value *m, struct keywords *k, unsigned depth)
{
    const struct json_value *found[SCHEMA_MAX_PATTERNS + 1];
    uint32_t count = 0;
    if (!schema_key_schemas(s, k, m->key, m->key_size, found, &count))
        return CHECK_REFUSED;
    for (uint32_t i = 0; i < count; i++) {
        const enum check c = check_at(s, m, found[i], false, depth + 1);
        if (c != CHECK_YES)
            return c;
    }
    return CHECK_YES;
}

static enum check check_object(struct schema *s, const struct json_value *v, struct keywords *k, unsigned depth)
{
    uint32_t limit;
    if (k->at[KW_MIN_PROPERTIES] && schema_is_count(k->at[KW_MIN_PROPERTIES], &limit) && v->count < limit)
        return CHECK_NO;
    if (k->at[KW_MAX_PROPERTIES] && schema_is_count(k->at[KW_MAX_PROPERTIES], &limit) && v->count > limit)
        return CHECK_NO;
    if (k->at[KW_REQUIRED])
        for (const struct json_value *name = k->at[KW_REQUIRED]->first; name; name = name->next)
            if (!json_member_sized(v, name->text, name->size))
                return CHECK_NO;
    for (const struct json_value *m = v->first; m; m = m->next) {
        const enum check c = check_member(s, m, k, depth);
        if (c != CHECK_YES)
            return c;
    }
    return CHECK_YES;
}

/* The keywords of `schema` itself. */
static enum check check_plain(struct schema *s, const struct json_value *v, struct keywords *k, unsigned depth)
{
    const unsigned type = type_of(v);
    if (!(k->types & type))
        return CHECK_NO;
    if (k->at[KW_CONST] && !json_equal(v, k->at[KW_CONST]))
        return CHECK_NO;
    if (k->at[KW_ENUM]) {
        const struct json_value *e = k->at[KW_ENUM]->first;
        if (v->parent == k->at[KW_ENUM]) /* v is an element of this very enum */
            e = v;
        else if (!schema_spend(s, k->at[KW_ENUM]->count))
            return CHECK_REFUSED;
        while (e && !json_equal(v, e))
            e = e->next;
        if (!e)
            return CHECK_NO;
    }
    if (type & TYPE_NUMBER)
        return check_number(s, v, k);
    if (type == TYPE_STRING)
        return check_string(s, v, k);
    if (type == TYPE_ARRAY)
        return check_array(s, v, k, depth);
    return type == TYPE_OBJECT ? check_object(s, v, k, depth) : CHECK_YES;
}

/* allOf: all; anyOf: one or more; oneOf: exactly one. */
static enum check check_branches(struct schema *s, const struct json_value *v, const struct json_value *branches,
                                 uint32_t min, uint32_t max, unsigned depth)
{
    uint32_t yes = 0;
    for (const struct json_value *b = branches->first; b; b = b->next) {
        const enum check c = check_at(s, v, b, false, depth + 1);
        if (c == CHECK_REFUSED)
            return c;
        yes += c == CHECK_YES;
    }
    return from_bool(yes >= min && yes <= max);
}

static enum check check_at(struct schema *s, const struct json_value *v, const struct json_value *schema,
                           bool plain_only, unsigned depth)
{
    if (schema->type != JSON_OBJECT)
        return from_bool(schema->type == JSON_TRUE);
    if (depth > MAX_CHECK_DEPTH) {
        schema_refuse(s, schema, "references lead too deep to test a value of an enum");
        return CHECK_REFUSED;
    }
    struct keywords *k = schema_keywords(s, schema);
    if (!k || !schema_spend(s, 4))
        return CHECK_REFUSED;
    enum check c = check_plain(s, v, k, depth);
    if (plain_only || c != CHECK_YES)
        return c;
    if (k->at[KW_REF]) {
        const struct json_value *target = schema_refs_find(s, k->at[KW_REF]);
        c = target ? check_at(s, v, target, false, depth + 1) : CHECK_REFUSED;
    }
    for (uint32_t i = 0; i < k->implied_count && c == CHECK_YES; i++)
        c = check_at(s, v, k->implied[i], false, depth + 1);
    if (c == CHECK_YES && k->at[KW_ALL_OF])
        c = check_branches(s, v, k->at[KW_ALL_OF], k->at[KW_ALL_OF]->count, UINT32_MAX, depth);
    if (c == CHECK_YES && k->at[KW_ANY_OF])
        c = check_branches(s, v, k->at[KW_ANY_OF], 1, UINT32_MAX, depth);
    if (c == CHECK_YES && k->at[KW_ONE_OF])
        c = check_branches(s, v, k->at[KW_ONE_OF], 1, 1, depth);
    return c;
}

enum check schema_check(struct schema *s, const struct json_value *v, const struct json_value *schema, bool plain_only)
{
    return check_at(s, v, schema, plain_only, 0);
}
