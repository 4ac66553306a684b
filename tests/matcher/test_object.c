/*
 * test_object.c - the members of objects: which sequences of keys an object may have, in any order and in
 * that of the schema, compared with a search through all sequences; keys that share bytes; many keys.
 */
#include <stdio.h>
#include <stdlib.h>

#include "accepts.h"

struct compiled {
    struct grammar *grammar;
    struct automaton *automaton;
    enum rwkv7_status status;
};

static struct compiled compile(const char *text, bool in_order)
{
    struct compiled c = {0};
    struct rwkv7_error err = {0};
    const struct schema_options options = {.compact = true, .in_order = in_order};
    c.status = grammar_create(&c.grammar, &err);
    if (c.status == RWKV7_OK)
        c.status = schema_build(text, strlen(text), &options, c.grammar, &err);
    if (c.status == RWKV7_OK)
        c.status = automaton_create(c.grammar, &c.automaton, &err);
    CHECK_MSG(c.status == RWKV7_OK, "%s: %s", text, err.message);
    return c;
}

static void release(struct compiled *c)
{
    automaton_free(c->automaton);
    grammar_free(c->grammar);
}

/* ------------------------------------------------------------------------------------ all sequences */

enum { NAMED = 3, KEYS = 4, LONGEST = 5 };
static const char *const keys[KEYS] = {"a", "ab", "b", "x"}; /* the last one is not in the schema */

struct form {
    unsigned required; /* bits of the named keys */
    bool in_order, others;
    int min, max; /* max -1: none */
};

/* Whether an object with these keys is one of the form. Other keys may be equal, so they count as one for `min`. */
static bool is_valid(const struct form *f, const int *sequence, int length)
{
    unsigned seen = 0;
    int others = 0, last = -1;
    for (int i = 0; i < length; i++) {
        const int key = sequence[i];
        if (key == NAMED && !f->others)
            return false;
        others += key == NAMED;
        if (key < NAMED && ((seen >> key & 1) || (f->in_order && (key < last || others > 0))))
            return false;
        if (key < NAMED) {
            seen |= 1u << key;
            last = key;
        }
    }
    const int named = length - others;
    return (seen & f->required) == f->required && named + (others > 0) >= f->min && (f->max < 0 || length <= f->max);
}

static uint32_t read_bytes(struct automaton *a, uint32_t at, const char *text)
{
    struct rwkv7_error err;
    for (; *text && at != AUTOMATON_DEAD; text++)
        CHECK(automaton_step(a, at, (uint8_t)*text, &at, &err) == RWKV7_OK);
    return at;
}

/*
 * Compares the automaton with is_valid for all sequences that begin with this one. Returns whether one of
 * them is valid. `at`: the configuration after the sequence, without the bracket.
 * `a` NULL: only the search.
 */
static bool compare(const struct form *f, struct automaton *a, uint32_t at, int *sequence, int length)
{
    const bool valid = is_valid(f, sequence, length);
    const uint32_t end = read_bytes(a, at, "}");
    bool any = valid;
    CHECK(!a || (end != AUTOMATON_DEAD && automaton_configuration(a, end).accepts) == valid);
    for (int key = 0; key < KEYS && length < LONGEST; key++) {
        char text[16];
        snprintf(text, sizeof text, "%s\"%s\":1", length > 0 ? "," : "", keys[key]);
        sequence[length] = key;
        any = compare(f, a, read_bytes(a, at, text), sequence, length + 1) || any;
    }
    /* longer ones have not all been tried */
    if (a && length + NAMED <= LONGEST)
        CHECK_MSG((at != AUTOMATON_DEAD) == any, "required %u, order %d, others %d, %d to %d, length %d", f->required,
                  f->in_order, f->others, f->min, f->max, length);
    return any;
}

static void all_sequences(void)
{
    int sequence[LONGEST + 1];
    for (unsigned required = 0; required < 1u << NAMED; required++) {
        for (int i = 0; i < 4; i++) {
            for (int min = 0; min <= NAMED + (i % 2); min++) {
                for (int max = -1; max <= 4; max++) {
                    const struct form f = {required, i / 2 > 0, i % 2 > 0, min, max};
                    char text[400], *to = text;
                    if (!compare(&f, NULL, AUTOMATON_DEAD, sequence, 0))
                        continue; /* no object is valid: refused */
                    to +=
                        sprintf(to, "{\"type\":\"object\",\"properties\":{\"a\":{},\"ab\":{},\"b\":{}},\"required\":[");
                    for (int key = 0; key < NAMED; key++)
                        if (required >> key & 1)
                            to += sprintf(to, "%s\"%s\"", to[-1] == '[' ? "" : ",", keys[key]);
                    to += sprintf(to, "],\"additionalProperties\":%s,\"minProperties\":%d", f.others ? "true" : "false",
                                  min);
                    sprintf(to, max < 0 ? "}" : ",\"maxProperties\":%d}", max);
                    struct compiled c = compile(text, f.in_order);
                    if (c.status == RWKV7_OK)
                        compare(&f, c.automaton, read_bytes(c.automaton, automaton_start(c.automaton), "{"), sequence,
                                0);
                    release(&c);
                }
            }
        }
    }
}

/* ---------------------------------------------------------------------------------------------- keys */

static void check(const char *schema, bool in_order, const char *text, bool wanted)
{
    struct compiled c = compile(schema, in_order);
    if (c.status == RWKV7_OK)
        CHECK_MSG(accepts(c.automaton, text, strlen(text)) == wanted, "%s %s", schema, text);
    release(&c);
}

static void spelling(void)
{
    static const char schema[] = "{\"properties\":{\"\":{},\"\\\"\":{},\"\\u0000\":{},\"\\u001f\\n\":{},\"\\u00e9\":{},"
                                 "\"\\u00e9t\":{}},\"required\":[\"\"],\"additionalProperties\":false}";
    check(schema, false, "{\"\xc3\xa9t\":1,\"\\u001f\\n\":2,\"\":3,\"\\\"\":4,\"\xc3\xa9\":5,\"\\u0000\":6}", true);
    check(schema, false, "{\"\":1,\"\":2}", false);
    check(schema, false, "{\"\":1,\"\\u00e9\":2}", false); /* one spelling */
    check(schema, false, "{\"\\\"\":1}", false);           /* "" is missing */
    check(schema, false, "{\"\":1,\"\\u001f\":1}", false);
    check(schema, true, "{\"\":1,\"\\\"\":1,\"\xc3\xa9t\":1}", true);
    check(schema, true, "{\"\xc3\xa9t\":1,\"\":1}", false);
}

/* Each member of a recursive schema whose values cannot end is left out; a required one makes it impossible. */
static void impossible_members(void)
{
    static const char schema[] = "{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#/$defs/e\"},\"b\":{}},"
                                 "\"additionalProperties\":false,\"$defs\":{\"e\":{\"type\":\"object\",\"properties\":"
                                 "{\"e\":{\"$ref\":\"#/$defs/e\"}},\"required\":[\"e\"]}}}";
    check(schema, false, "{\"b\":1}", true);
    for (int in_order = 0; in_order < 2; in_order++) {
        struct compiled c = compile(schema, in_order);
        if (c.status == RWKV7_OK)
            CHECK(read_bytes(c.automaton, automaton_start(c.automaton), "{\"a") == AUTOMATON_DEAD);
        release(&c);
    }
}

static void many_keys(void)
{
    enum { COUNT = 2000 };
    char *const schema = malloc(COUNT * 60 + 100), *const text = malloc(COUNT * 20 + 10);
    if (!schema || !text)
        return;
    for (int in_order = 0; in_order < 2; in_order++) {
        char *at = schema + sprintf(schema, "{\"type\":\"object\",\"properties\":{"), *to = text + sprintf(text, "{");
        for (int i = 0; i < COUNT; i++) {
            at += sprintf(at, "%s\"key%d\":{\"type\":\"integer\"}", i ? "," : "", i);
            to += sprintf(to, "%s\"key%d\":%d", i ? "," : "", in_order ? i : COUNT - 1 - i, i);
        }
        sprintf(at, "},\"additionalProperties\":false}");
        sprintf(to, "}");
        check(schema, in_order, text, true);
        check(schema, in_order, "{\"key2000\":1}", false);
        check(schema, in_order, "{\"key5\":1,\"key7\":1,\"key5\":1}", false);
        check(schema, in_order, "{\"key1999\":1}", true);
    }
    free(schema);
    free(text);
}

int main(void)
{
    RUN(all_sequences);
    RUN(spelling);
    RUN(impossible_members);
    RUN(many_keys);
    return test_end();
}
