/*
 * schema_scalar.c - the null, booleans, numbers, strings and listed values of a shape as one
 * regular expression.
 *
 * Strings: patterns, formats and excluded keys are expressions over the unescaped characters.
 * Characters then have only the spellings of regex_quoted, so an escape cannot bypass a complement
 * or an intersection. All JSON escapes are allowed only if nothing but the length is constrained.
 */
#include "matcher/schema.h"

#include <string.h>

#include "matcher/schema_numbers.h"

static uint32_t text(struct schema *s, const char *t)
{
    return regex_literal(s->regex, t, strlen(t));
}

static uint32_t joined(struct schema *s, uint32_t a, uint32_t b, uint32_t c)
{
    return regex_concat(s->regex, a, regex_concat(s->regex, b, c));
}

uint32_t schema_string(struct schema *s, uint32_t texts)
{
    return joined(s, text(s, "\""), regex_quoted(s->regex, texts), text(s, "\""));
}

/* -------------------------------------------------------------------------------------- strings */

static bool string_regex(struct schema *s, const struct shape *shape, uint32_t *out)
{
    struct regex *r = s->regex;
    const uint32_t any = regex_any_text(r);
    uint32_t texts = any, min = 0, max = REGEX_NO_LIMIT, node;

    for (uint32_t i = 0; i < shape->schemas.count; i++) {
        struct keywords *k = schema_keywords(s, shape->schemas.at[i]);
        if (!k)
            return false;
        if (k->at[KW_MIN_LENGTH] && schema_is_count(k->at[KW_MIN_LENGTH], &node) && node > min)
            min = node;
        if (k->at[KW_MAX_LENGTH] && schema_is_count(k->at[KW_MAX_LENGTH], &node) && node < max)
            max = node;
        if (k->at[KW_PATTERN] || k->at[KW_FORMAT]) {
            if (!schema_pattern(s, k, &node))
                return false;
            texts = texts == any ? node : node == any ? texts : regex_and(r, texts, node);
        }
    }
    *out = REGEX_NOTHING;
    if (min > max)
        return true;
    if (texts == any) {
        *out = joined(s, text(s, "\""), regex_repeat(r, s->free_character, min, max), text(s, "\""));
        return true;
    }
    if (min > 0 || max != REGEX_NO_LIMIT)
        texts = regex_and(r, texts, regex_repeat(r, regex_any_char(r), min, max));
    *out = schema_string(s, texts);
    return true;
}

/* -------------------------------------------------------------------------------------- numbers */

static void raise_low(struct number_range *range, const struct json_value *v, bool open)
{
    struct decimal d;
    if (v->type != JSON_NUMBER || !decimal_read(v->text, v->size, &d))
        return;
    const int c = range->has_low ? decimal_compare(&d, &range->low) : 1;
    if (c > 0)
        range->low_open = open;
    else if (c == 0)
        range->low_open = range->low_open || open;
    if (c > 0)
        range->low = d;
    range->has_low = true;
}

static void reduce_high(struct number_range *range, const struct json_value *v, bool open)
{
    struct decimal d;
    if (v->type != JSON_NUMBER || !decimal_read(v->text, v->size, &d))
        return;
    const int c = range->has_high ? decimal_compare(&d, &range->high) : -1;
    if (c < 0)
        range->high_open = open;
    else if (c == 0)
        range->high_open = range->high_open || open;
    if (c < 0)
        range->high = d;
    range->has_high = true;
}

/* In draft 4, exclusiveMinimum is a boolean that modifies minimum. */
static bool add_bounds(struct schema *s, const struct keywords *k, struct number_range *range)
{
    const struct json_value *const *at = k->at;
    static const enum keyword exclusive[] = {KW_EXCLUSIVE_MINIMUM, KW_EXCLUSIVE_MAXIMUM};
    for (int i = 0; i < 2; i++) {
        const struct json_value *v = at[exclusive[i]];
        struct decimal d;
        if (v && v->type == JSON_NUMBER && !decimal_read(v->text, v->size, &d))
            return schema_refuse(s, v, "numbers have at most %d digits here", DECIMAL_DIGITS);
        if (v && v->type != JSON_NUMBER && v->type != JSON_TRUE && v->type != JSON_FALSE)
            return schema_refuse(s, v, "expected a number (in draft 4: true or false)");
    }
    if (at[KW_MINIMUM])
        raise_low(range, at[KW_MINIMUM], at[KW_EXCLUSIVE_MINIMUM] && at[KW_EXCLUSIVE_MINIMUM]->type == JSON_TRUE);
    if (at[KW_MAXIMUM])
        reduce_high(range, at[KW_MAXIMUM], at[KW_EXCLUSIVE_MAXIMUM] && at[KW_EXCLUSIVE_MAXIMUM]->type == JSON_TRUE);
    if (at[KW_EXCLUSIVE_MINIMUM])
        raise_low(range, at[KW_EXCLUSIVE_MINIMUM], true);
    if (at[KW_EXCLUSIVE_MAXIMUM])
        reduce_high(range, at[KW_EXCLUSIVE_MAXIMUM], true);
    return true;
}

static bool add_multiple(struct schema *s, const struct json_value *v, uint32_t *number)
{
    struct decimal d;
    uint32_t node;
    if (!decimal_read(v->text, v->size, &d) || d.count == 0 || d.negative)
        return schema_refuse(s, v, "multipleOf must be greater than 0");
    if (!multiple_regex(s->regex, &d, s->remainders, &node))
        return schema_refuse(s, v,
                             "this multipleOf is not supported (supported are numbers of at most 9 digits without "
                             "a large prime factor)");
    *number = regex_and(s->regex, *number, node);
    return schema_spend(s, 200);
}

static bool number_of(struct schema *s, const struct shape *shape, uint32_t *out)
{
    struct number_range range = {0};
    const struct json_value *bound = s->root;
    for (uint32_t i = 0; i < shape->schemas.count; i++) {
        const struct keywords *k = schema_keywords(s, shape->schemas.at[i]);
        if (!k || !add_bounds(s, k, &range))
            return false;
        if (k->at[KW_MINIMUM] || k->at[KW_MAXIMUM] || k->at[KW_EXCLUSIVE_MINIMUM] || k->at[KW_EXCLUSIVE_MAXIMUM])
            bound = k->schema;
    }
    if (!number_regex(s->regex, &range, !(shape->types & TYPE_FRACTION), out))
        return schema_refuse(s, bound, "a bound has too many digits");
    if (!(shape->types &
          TYPE_INTEGER)) { /* exclude integers such as 1.0 and 10e-1; few digits, so that doubles are exact */
        static const char fraction[] = "-?[0-9]{1,9}\\.[0-9]{0,5}[1-9]";
        uint32_t node;
        if (regex_parse(s->regex, fraction, sizeof fraction - 1, 0, &node, NULL) != RWKV7_OK)
            return schema_no_memory(s);
        *out = regex_and(s->regex, *out, node);
    }
    for (uint32_t i = 0; i < shape->schemas.count; i++) {
        const struct json_value *v = schema_keywords(s, shape->schemas.at[i])->at[KW_MULTIPLE_OF];
        if (v && !add_multiple(s, v, out))
            return false;
    }
    return true;
}

/* -------------------------------------------------------------------------------- listed values */

/*
 * Returns the spellings of a number: that of the schema and, if short, the one without exponent and
 * zero fraction.
 */
static uint32_t listed_number(struct schema *s, const struct json_value *v)
{
    uint32_t node = regex_literal(s->regex, v->text, v->size);
    struct decimal d;
    char plain[64];
    size_t n = 0;
    if (!decimal_read(v->text, v->size, &d) || d.point > 22 || d.point < -6 || d.count > 25)
        return node;
    if (d.negative)
        plain[n++] = '-';
    if (d.point <= 0)
        plain[n++] = '0';
    for (int i = 0; i < d.point; i++)
        plain[n++] = i < d.count ? d.digits[i] : '0';
    if (d.count > d.point) {
        plain[n++] = '.';
        for (int i = d.point; i < 0; i++)
            plain[n++] = '0';
        for (int i = d.point > 0 ? d.point : 0; i < d.count; i++)
            plain[n++] = d.digits[i];
    }
    return regex_union(s->regex, node, regex_literal(s->regex, plain, n));
}

/*
 * Returns exactly this value; object members keep the order of the schema. Recursion is bounded by
 * the JSON parser.
 */
static uint32_t listed_value(struct schema *s, const struct json_value *v)
{
    struct regex *r = s->regex;
    uint32_t all;
    switch (v->type) {
    case JSON_NULL:
        return text(s, "null");
    case JSON_TRUE:
        return text(s, "true");
    case JSON_FALSE:
        return text(s, "false");
    case JSON_NUMBER:
        return listed_number(s, v);
    case JSON_STRING:
        return schema_string(s, regex_literal(r, v->text, v->size));
    default:
        break;
    }
    const bool object = v->type == JSON_OBJECT;
    all = text(s, object ? "{" : "[");
    all = regex_concat(r, all, s->space);
    for (const struct json_value *e = v->first; e && !schema_failed(s); e = e->next) {
        if (e != v->first)
            all = joined(s, all, text(s, ","), s->space);
        if (object)
            all = regex_concat(
                r, all, joined(s, schema_string(s, regex_literal(r, e->key, e->key_size)), text(s, ":"), s->space));
        all = regex_concat(r, all, listed_value(s, e));
    }
    if (v->first)
        all = regex_concat(r, all, s->space);
    return regex_concat(r, all, text(s, object ? "}" : "]"));
}

/*
 * The values of an enum or const that satisfy all schemas of the shape. Strings are quoted
 * together.
 */
static bool listed_values(struct schema *s, struct shape *shape, const struct json_value *first, bool alone)
{
    const uint32_t count = alone ? 1 : first->parent->count;
    uint32_t *nodes = schema_memory(s, count + 1u, sizeof *nodes), n = 0;
    struct regex_text *strings = schema_memory(s, count, sizeof *strings);
    size_t string_count = 0;
    if (!nodes || !strings)
        return false;
    for (const struct json_value *v = first; v; v = alone ? NULL : v->next) {
        enum check check = CHECK_YES;
        for (uint32_t i = 0; i < shape->schemas.count && check == CHECK_YES; i++)
            check = schema_check(s, v, shape->schemas.at[i], true);
        if (check == CHECK_REFUSED)
            return false;
        if (check == CHECK_NO)
            continue;
        if (v->type == JSON_STRING)
            strings[string_count++] = (struct regex_text){v->text, v->size};
        else
            nodes[n++] = listed_value(s, v);
    }
    if (string_count > 0)
        nodes[n++] = schema_string(s, regex_literals(s->regex, strings, string_count));
    shape->scalar = regex_union_of(s->regex, nodes, n);
    shape->listed = true;
    return !schema_failed(s);
}

/* ---------------------------------------------------------------------------------- all of them */

bool schema_scalars(struct schema *s, struct shape *shape)
{
    const struct json_value *listed = NULL;
    uint32_t nodes[5], n = 0;
    bool alone = false;

    shape->types = TYPE_ALL;
    for (uint32_t i = 0; i < shape->schemas.count; i++) {
        const struct keywords *k = schema_keywords(s, shape->schemas.at[i]);
        if (!k)
            return false;
        shape->types &= k->types;
        if (k->at[KW_CONST]) {
            listed = k->at[KW_CONST];
            alone = true;
        } else if (k->at[KW_ENUM] && !listed) {
            listed = k->at[KW_ENUM]->first;
        }
    }
    if (listed)
        return listed_values(s, shape, listed, alone);
    if (shape->types & TYPE_NULL)
        nodes[n++] = text(s, "null");
    if (shape->types & TYPE_BOOLEAN) {
        nodes[n++] = text(s, "true");
        nodes[n++] = text(s, "false");
    }
    if ((shape->types & TYPE_NUMBER) && !number_of(s, shape, &nodes[n++]))
        return false;
    if ((shape->types & TYPE_STRING) && !string_regex(s, shape, &nodes[n++]))
        return false;
    shape->scalar = regex_union_of(s->regex, nodes, n);
    return !schema_failed(s);
}
