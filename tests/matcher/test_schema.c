/*
 * test_schema.c - JSON Schema to grammar: the schemas of schemas.json with their valid and invalid values,
 * or with the JSON pointer at which they are refused; white space, spelling, options; hostile schemas.
 */
#include <stdio.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

#include "accepts.h"
#include "base/mem.h"

struct compiled {
    struct grammar *grammar;
    struct automaton *automaton;
    struct rwkv7_error err;
    enum rwkv7_status status;
};

static struct compiled compile(const char *text, size_t size, bool strict, bool compact)
{
    struct compiled c = {0};
    const struct schema_options options = {.strict = strict, .compact = compact};
    c.status = grammar_create(&c.grammar, &c.err);
    if (c.status == RWKV7_OK)
        c.status = schema_build(text, size, &options, c.grammar, &c.err);
    if (c.status == RWKV7_OK)
        c.status = automaton_create(c.grammar, &c.automaton, &c.err);
    return c;
}

static void release(struct compiled *c)
{
    automaton_free(c->automaton);
    grammar_free(c->grammar);
}

/* ------------------------------------------------------------------------------------ the collection */

static void check_values(const struct compiled *c, const char *schema, const cJSON *values, bool valid)
{
    const cJSON *value;
    cJSON_ArrayForEach(value, values)
    {
        for (int indented = 0; indented < 2; indented++) {
            char *text = indented ? cJSON_Print(value) : cJSON_PrintUnformatted(value);
            CHECK(text);
            /* cJSON prints a tab after each colon, unlike other printers */
            for (char *p = text; indented && p && *p; p++)
                if (*p == '\t' && p > text && p[-1] == ':')
                    *p = ' ';
            if (text)
                CHECK_MSG(accepts(c->automaton, text, strlen(text)) == valid, "%s %s", schema, text);
            cJSON_free(text);
        }
    }
}

static void check_entry(const cJSON *entry)
{
    const cJSON *refused = cJSON_GetObjectItemCaseSensitive(entry, "refused");
    char *text = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(entry, "schema"));
    CHECK(text);
    if (!text)
        return;
    struct compiled c = compile(text, strlen(text), false, false);
    if (refused) {
        CHECK_MSG(c.status == RWKV7_ERR_USAGE, "%s is not refused", text);
        char where[300] = "JSON Schema, ";
        if (cJSON_IsString(refused)) {
            snprintf(where, sizeof where, "JSON Schema, %s: ", refused->valuestring);
            CHECK_MSG(strncmp(c.err.message, where, strlen(where)) == 0, "%s: %s", text, c.err.message);
        }
    } else {
        CHECK_MSG(c.status == RWKV7_OK, "%s: %s", text, c.err.message);
        if (c.status == RWKV7_OK) {
            check_values(&c, text, cJSON_GetObjectItemCaseSensitive(entry, "valid"), true);
            check_values(&c, text, cJSON_GetObjectItemCaseSensitive(entry, "invalid"), false);
        }
    }
    release(&c);
    cJSON_free(text);
}

static void collection(void)
{
    FILE *f = fopen(TEST_DIR "/matcher/schemas.json", "rb");
    char *text = malloc(1 << 20);
    const size_t size = f && text ? fread(text, 1, 1 << 20, f) : 0;
    cJSON *all = cJSON_ParseWithLength(text, size);
    const cJSON *schemas = cJSON_GetObjectItemCaseSensitive(all, "schemas"), *entry;
    CHECK(cJSON_GetArraySize(schemas) > 200);
    cJSON_ArrayForEach(entry, schemas) check_entry(entry);
    cJSON_Delete(all);
    free(text);
    if (f)
        fclose(f);
}

/* ------------------------------------------------------------------------------------------ spelling */

static void check(const char *schema, bool strict, bool compact, const char *text, bool wanted)
{
    struct compiled c = compile(schema, strlen(schema), strict, compact);
    CHECK_MSG(c.status == RWKV7_OK, "%s: %s", schema, c.err.message);
    if (c.status == RWKV7_OK)
        CHECK_MSG(accepts(c.automaton, text, strlen(text)) == wanted, "%s %s", schema, text);
    release(&c);
}

static void check_refused(const char *schema, bool strict, const char *message)
{
    struct compiled c = compile(schema, strlen(schema), strict, false);
    CHECK(c.status == RWKV7_ERR_USAGE);
    CHECK_STR(c.err.message, message);
    release(&c);
}

static void white_space(void)
{
    const char *s = "{\"properties\":{\"a\":{},\"b\":{}},\"additionalProperties\":false,\"type\":\"object\"}";
    check(s, false, false, "{\"a\": [1, 2],\n\t\"b\": {}\n}", true);
    check(s, false, false, " {\"a\":1}", true);
    check(s, false, false, "{ }", true);
    check(s, false, false, "{  \"a\":1}", false);
    check(s, false, false, "{\"a\" :1}", false);
    check(s, false, false, "{\"a\":1 ,\"b\":1}", false);
    check(s, false, false, "{\"a\":1}\n", false);
    check(s, false, false, "{\n\n\"a\":1}", false);
    check(s, false, true, "{\"a\":[1,2],\"b\":{}}", true);
    check(s, false, true, "{\"a\": 1}", false);
    check(s, false, false, "{\"b\":1,\"a\":1}", true); /* in any order */
}

static void escapes(void)
{
    /* every escape is allowed if only the length of the string is limited */
    check("{\"type\":\"string\",\"maxLength\":3}", false, false, "\"\\u0041\\/\\ud83d\\ude00\"", true);
    check("{\"type\":\"string\",\"maxLength\":2}", false, false, "\"\\u0041\\/\\ud83d\\ude00\"", false);
    check("{\"type\":\"string\"}", false, false, "\"\\ud83d\"", false); /* a lone surrogate */
    check("{\"type\":\"string\"}", false, false, "\"\\q\"", false);
    check("{\"type\":\"string\"}", false, false, "\"\n\"", false);
    check("{\"type\":\"string\"}", false, false, "\"\xff\"", false);
    /* one spelling if the characters matter; otherwise an escape would bypass a pattern */
    check("{\"type\":\"string\",\"pattern\":\"^[^a]*$\"}", false, false, "\"\\u0061\"", false);
    check("{\"type\":\"string\",\"pattern\":\"^[^a]*$\"}", false, false, "\"\\n\\\"\\u001f\"", true);
    check("{\"properties\":{\"a\":false}}", false, false, "{\"\\u0061\":1}", false);
    check("{\"properties\":{\"a\":{\"type\":\"null\"}}}", false, false, "{\"a\":null,\"\\u0061\":1}", false);
    check("{\"properties\":{\"a\":{}}}", false, false, "{\"a\":1,\"a\":2}", false); /* duplicate key */
    check("{\"const\":\"\\u0000\"}", false, false, "\"\\u0000\"", true);
    /* numbers */
    check("{\"type\":\"integer\",\"minimum\":9007199254740993}", false, false, "9007199254740993", true);
    check("{\"type\":\"integer\",\"minimum\":9007199254740993}", false, false, "9007199254740992", false);
    check("{\"type\":\"number\"}", false, false, "1E+05", true);
    check("{\"type\":\"number\"}", false, false, "1e999", false); /* would be an infinity */
    check("{\"type\":\"number\"}", false, false, "01", false);
    check("{\"type\":\"number\"}", false, false, "1.", false);
    check("{\"type\":\"integer\"}", false, false, "1.0", false); /* one spelling */
    check("{\"exclusiveMaximum\":1,\"type\":\"number\"}", false, false, "0.99999999999999999", false); /* a double: 1 */
    check("{\"exclusiveMaximum\":1,\"type\":\"number\"}", false, false, "0.9999999", true);
}

static void strict_mode(void)
{
    check("{\"type\":\"object\",\"properties\":{\"a\":{}}}", true, false, "{\"a\":1,\"b\":1}", false);
    check("{\"type\":\"object\",\"properties\":{\"a\":{}}}", false, false, "{\"a\":1,\"b\":1}", true);
    check("{\"type\":\"object\"}", true, false, "{\"b\":1}", true);
    check("{\"oneOf\":[{\"multipleOf\":2},{\"multipleOf\":3}],\"type\":\"integer\"}", false, false, "4", true);
    check_refused("{\"oneOf\":[{\"multipleOf\":2},{\"multipleOf\":3}],\"type\":\"integer\"}", true,
                  "JSON Schema, #/oneOf: branches 0 and 1 may both be satisfied; use anyOf");
}

static void any_json(void)
{
    struct grammar *g = NULL;
    struct automaton *a = NULL;
    struct rwkv7_error err;
    CHECK(grammar_create(&g, &err) == RWKV7_OK && json_build(NULL, g, &err) == RWKV7_OK);
    CHECK(automaton_create(g, &a, &err) == RWKV7_OK);
    static const char *const good[] = {"{}", "[]", "{\"a\": [1, {\"b\": null}], \"c\": \"\\u00e9\"}",
                                       "[[[[]]], -1.5e3]"};
    static const char *const bad[] = {"1", "\"a\"", "{\"a\"}", "[1,]", "{\"a\":1,}", "{} ", "[01]", "[tru]"};
    for (size_t i = 0; a && i < sizeof good / sizeof *good; i++)
        CHECK_MSG(accepts(a, good[i], strlen(good[i])), "%s", good[i]);
    for (size_t i = 0; a && i < sizeof bad / sizeof *bad; i++)
        CHECK_MSG(!accepts(a, bad[i], strlen(bad[i])), "%s", bad[i]);
    automaton_free(a);
    grammar_free(g);
}

static void messages(void)
{
    check_refused("{\"a\":", false, "JSON Schema, line 1, column 6: expected a value");
    check_refused("{\"a\":1,\n\"a\":2}", false,
                  "JSON Schema, line 2, column 7: expected an object without duplicate keys");
    check_refused("{\"properties\":{\"a/b~\":{\"items\":{\"uniqueItems\":true}}}}", false,
                  "JSON Schema, #/properties/a~1b~0/items/uniqueItems: uniqueItems is not supported");
    check_refused("{\"anyOf\":[{},{\"$ref\":\"other.json\"}]}", false,
                  "JSON Schema, #/anyOf/1/$ref: nothing in this schema has this address; schemas elsewhere are not "
                  "fetched");
    check_refused("{\"type\":\"string\",\"pattern\":\"a**\"}", false,
                  "JSON Schema, #/pattern: regular expression, character 3: there is nothing to repeat before '*'");
}

/* ------------------------------------------------------------------------------------- hostile schemas */

/* Builds a text from parts: `n` times `open`, then `middle`, then n times `close`. */
static void nested(const char *open, const char *middle, const char *close, size_t n)
{
    const size_t a = strlen(open), b = strlen(middle), c = strlen(close);
    char *text = malloc(n * (a + c) + b), *at = text;
    if (!text)
        return;
    for (size_t i = 0; i < n; i++, at += a)
        memcpy(at, open, a);
    memcpy(at, middle, b);
    at += b;
    for (size_t i = 0; i < n; i++, at += c)
        memcpy(at, close, c);
    struct compiled compiled = compile(text, (size_t)(at - text), false, false);
    CHECK_MSG(compiled.status == RWKV7_OK || compiled.status == RWKV7_ERR_USAGE, "%s", compiled.err.message);
    release(&compiled);
    free(text);
}

/* n schemas, each made by printf from its number and the next one's. */
static void chain(const char *format, int n)
{
    char *text = malloc((size_t)n * 300 + 200), *at = text;
    if (!text)
        return;
    at += sprintf(at, "{\"$ref\":\"#/$defs/d0\",\"$defs\":{");
    for (int i = 0; i < n; i++)
        at += snprintf(at, 300, format, i, i + 1, i + 1, i + 1);
    at += sprintf(at, "\"d%d\":{\"type\":\"string\"}}}", n);
    struct compiled compiled = compile(text, (size_t)(at - text), false, false);
    CHECK_MSG(compiled.status == RWKV7_OK || compiled.status == RWKV7_ERR_USAGE, "%s", compiled.err.message);
    release(&compiled);
    free(text);
}

static void hostile(void)
{
    nested("{\"items\":", "{}", "}", 150);
    nested("{\"items\":", "{}", "}", 100000);
    nested("{\"not\":", "{\"type\":\"string\"}", "}", 150);
    nested("[", "", "]", 1000000);
    nested("{\"if\":{\"required\":[\"a\"]},\"then\":", "{}", "}", 90);
    nested("{\"allOf\":[{\"minimum\":1},", "{}", "]}", 60);
    chain("\"d%d\":{\"$ref\":\"#/$defs/d%d\"},", 5000);
    chain("\"d%d\":{\"properties\":{\"a\":{\"$ref\":\"#/$defs/d%d\"}}},", 3000);
    chain("\"d%d\":{\"allOf\":[{\"$ref\":\"#/$defs/d%d\"},{\"$ref\":\"#/$defs/d%d\"}]},", 60);
    chain("\"d%d\":{\"anyOf\":[{\"$ref\":\"#/$defs/d%d\"},{\"minLength\":1,\"$ref\":\"#/$defs/d%d\"}]},", 60);
    chain("\"d%d\":{\"oneOf\":[{\"$ref\":\"#/$defs/d%d\"},{\"properties\":{\"b\":{\"$ref\":\"#/$defs/d%d\"}}}]},", 60);
    chain("\"d%d\":{\"not\":{\"$ref\":\"#/$defs/d%d\"}},", 3000);
    chain("\"d%d\":{\"not\":{\"anyOf\":[{\"$ref\":\"#/$defs/d%d\"},{\"required\":[\"a\"],\"$ref\":\"#/$defs/d%d\"}]}},",
          40);
    chain("\"d%d\":{\"items\":{\"$ref\":\"#/$defs/d%d\"},\"enum\":[[[[]]]]},", 200);
    /* the schemas of a value: a(x) and b(x), a(x.y) and b(x.y), ... */
    chain("\"d%d\":{\"allOf\":[{\"properties\":{\"p\":{\"$ref\":\"#/$defs/"
          "d%d\"}}},{\"properties\":{\"p\":{\"not\":{\"$ref\":"
          "\"#/$defs/d%d\"}}}}]},",
          60);
}

static void many_members(void)
{
    enum { COUNT = 20000 };
    char *text = malloc(COUNT * 60 + 100), *at = text;
    if (!text)
        return;
    at += sprintf(at, "{\"properties\":{");
    for (int i = 0; i < COUNT; i++)
        at += sprintf(at, "%s\"key%d\":{\"type\":\"integer\"}", i ? "," : "", i);
    at += sprintf(at, "},\"required\":[\"key0\"]}");
    struct compiled c = compile(text, (size_t)(at - text), false, false);
    CHECK_MSG(c.status == RWKV7_OK || c.status == RWKV7_ERR_USAGE, "%s", c.err.message);
    release(&c);
    free(text);
}

/* Each allocation in turn fails. */
static void out_of_memory(void)
{
    static const char schema[] =
        "{\"type\":\"object\",\"properties\":{\"a\":{\"oneOf\":[{\"type\":\"string\",\"pattern\":\"^a\"},"
        "{\"type\":\"array\",\"items\":{\"$ref\":\"#\"}}]},\"b\":{\"enum\":[1,\"x\"]}},"
        "\"not\":{\"required\":[\"c\"]},\"patternProperties\":{\"^x\":{\"minimum\":3}}}";
    for (long after = 0; after < 3000; after++) {
        mem_fail_after(after);
        struct compiled c = compile(schema, sizeof schema - 1, false, false);
        mem_fail_after(-1);
        const enum rwkv7_status status = c.status;
        CHECK_MSG(status == RWKV7_OK || status == RWKV7_ERR_MEMORY, "%ld: %s", after, c.err.message);
        release(&c);
        if (status == RWKV7_OK)
            break;
    }
}

int main(void)
{
    RUN(collection);
    RUN(white_space);
    RUN(escapes);
    RUN(strict_mode);
    RUN(any_json);
    RUN(messages);
    RUN(hostile);
    RUN(many_members);
    RUN(out_of_memory);
    return test_end();
}
