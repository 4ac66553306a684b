/*
 * test_tools.c - tools: reading their lists, what the prompt says of them, and the parser of
 * answers, with answers cut at every byte.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "base/status.h"
#include "generate/tool_calls.h"
#include "generate/tools.h"
#include "test.h"

/* -------------------------------------------------------------------------------------- reading */

static enum rwkv7_status read_list(struct tools *t, const char *json, char field[TOOLS_FIELD], struct rwkv7_error *err)
{
    cJSON *const list = cJSON_Parse(json);
    CHECK_MSG(list, "%s", json);
    const enum rwkv7_status status = tools_read(t, list, field, err);
    cJSON_Delete(list);
    return status;
}

#define SCHEMA "{\"type\":\"object\",\"properties\":{\"c\":{\"type\":\"string\",\"enum\":[\"a:b,c\",\"\\\"\"]}}}"
#define SPACED \
    "{\"type\": \"object\", \"properties\": {\"c\": {\"type\": \"string\", \"enum\": [\"a:b,c\", \"\\\"\"]}}}"

static void test_forms(void)
{
    static const char *const forms[] = {
        "[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\",\"parameters\":" SCHEMA "}}]",
        "[{\"type\":\"function\",\"name\":\"f\",\"description\":\"d\",\"parameters\":" SCHEMA ",\"strict\":null}]",
        "[{\"name\":\"f\",\"description\":\"d\",\"input_schema\":" SCHEMA "}]",
        "[{\"name\":\"f\",\"description\":\"d\",\"inputSchema\":" SCHEMA "}]",
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct tools t;
        struct rwkv7_error err = {0};
        char field[TOOLS_FIELD];
        CHECK_MSG(read_list(&t, forms[i], field, &err) == RWKV7_OK, "%s", err.message);
        CHECK(t.count == 1 && tools_are_used(&t));
        CHECK_STR(t.list[0].name, "f");
        CHECK_STR(t.list[0].schema, SCHEMA);
        CHECK_STR(t.list[0].shown, "{\"type\": \"function\", \"function\": {\"name\": \"f\", \"description\": \"d\", "
                                   "\"parameters\": " SPACED "}}");
        CHECK(!tools_require(&t, "g") && tools_require(&t, "f") && t.only == &t.list[0] && t.single);
        t.mode = TOOLS_NONE;
        CHECK(!tools_are_used(&t));
        tools_free(&t);
    }
}

static void test_refused(void)
{
    static const struct {
        const char *json, *field, *message;
    } cases[] = {
        {"{}", "tools", "tools: expected a list of tools"},
        {"[1]", "tools[0]", "tools[0]: expected an object"},
        {"[{\"type\":\"web_search\"}]", "tools[0].type", "tools[0].type: expected 'function'"},
        {"[{\"function\":1}]", "tools[0].function", "tools[0].function: expected an object"},
        {"[{\"function\":{}}]", "tools[0].function.name",
         "tools[0].function.name: expected a name of at most 128 letters, digits and _-./:"},
        {"[{\"name\":\"a b\"}]", "tools[0].name",
         "tools[0].name: expected a name of at most 128 letters, digits and _-./:"},
        {"[{\"name\":\"a\"},{\"name\":\"a\"}]", "tools[1].name",
         "tools[1].name: expected a name that no other tool has"},
        {"[{\"name\":\"a\",\"description\":1}]", "tools[0].description", "tools[0].description: expected a string"},
        {"[{\"name\":\"a\",\"strict\":1}]", "tools[0].strict", "tools[0].strict: expected true or false"},
        {"[{\"name\":\"a\",\"parameters\":true}]", "tools[0].parameters",
         "tools[0].parameters: expected a JSON Schema"},
        {"[{\"function\":{\"name\":\"a\",\"parameters\":{\"type\":\"string\"}}}]", "tools[0].function.parameters",
         "tools[0].function.parameters: expected a JSON Schema of the type object"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tools t;
        struct rwkv7_error err = {0};
        char field[TOOLS_FIELD];
        CHECK(read_list(&t, cases[i].json, field, &err) == RWKV7_ERR_USAGE);
        CHECK_STR(err.message, cases[i].message);
        CHECK_STR(field, cases[i].field);
        tools_free(&t);
    }
}

static void test_prompt(void)
{
    struct tools t;
    struct rwkv7_error err = {0};
    char field[TOOLS_FIELD];
    struct text text = {0};
    CHECK(read_list(&t, "[{\"name\":\"f\"},{\"name\":\"g\"}]", field, &err) == RWKV7_OK);
    CHECK_STR(t.list[0].schema, "{\"type\":\"object\",\"additionalProperties\":false}");
    text_add_string(&text, "Be brief.");
    tools_add_system(&t, &text);
    text_add(&text, "", 1);
    CHECK_STR(text.bytes, "Be brief.\nYou can call functions. Between <tools> and </tools>, each line describes one of "
                          "them:\n<tools>\n"
                          "{\"type\": \"function\", \"function\": {\"name\": \"f\"}}\n"
                          "{\"type\": \"function\", \"function\": {\"name\": \"g\"}}\n"
                          "</tools>\nTo call a function, answer with its name and its arguments in this form:\n"
                          "<tool_call>\n{\"name\": \"NAME\", \"arguments\": {\"ARGUMENT\": VALUE}}\n</tool_call>");
    text_free(&text);
    tools_add_call(&text, "f", "{\"a\": 1}");
    tools_add_call(&text, "g", "{}");
    tools_add_result(&text, "18 C", 4);
    text_add(&text, "", 1);
    CHECK_STR(text.bytes, "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>\n"
                          "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>\n"
                          "<tool_response>\n18 C\n</tool_response>");
    text_free(&text);
    tools_free(&t);
}

static void test_memory(void)
{
    cJSON *const list =
        cJSON_Parse("[{\"name\":\"f\",\"description\":\"d\",\"parameters\":" SCHEMA "},{\"name\":\"g\"}]");
    enum rwkv7_status status = RWKV7_ERR_MEMORY;
    for (long after = 0; status == RWKV7_ERR_MEMORY && after < 1000; after++) {
        struct tools t;
        char field[TOOLS_FIELD];
        mem_fail_after(after);
        status = tools_read(&t, list, field, NULL);
        tools_free(&t);
    }
    mem_fail_after(-1);
    CHECK(status == RWKV7_OK);
    cJSON_Delete(list);
}

/* --------------------------------------------------------------------------------------- parser */

static struct text content, events;

/* Writes the new events as text: "begin f|args|end ". */
static void take_events(struct tool_calls *t)
{
    struct tool_event e;
    while (tool_calls_pending(t)) {
        CHECK(tool_calls_next(t, &e));
        CHECK(e.call == &t->calls[e.index]);
        if (e.kind == TOOL_CALL_BEGINS)
            text_add_string(&events, e.call->name.bytes);
        text_add(&events,
                 e.kind == TOOL_CALL_BEGINS ? "("
                 : e.kind == TOOL_CALL_ENDS ? ")"
                                            : "",
                 e.kind != TOOL_CALL_ARGUMENTS);
        text_add(&events, e.text, e.size);
    }
    CHECK(!tool_calls_next(t, &e));
}

/* Whether a text is valid UTF-8 with only characters of up to two bytes, as in the tests. */
static bool is_whole(const struct text *t, size_t from)
{
    for (size_t i = from; i < t->size; i++)
        if ((unsigned char)t->bytes[i] >= 0xc0 && (++i == t->size || ((unsigned char)t->bytes[i] & 0xc0) != 0x80))
            return false;
        else if ((unsigned char)t->bytes[i] >= 0x80 && (unsigned char)t->bytes[i] < 0xc0 &&
                 (i == from || (unsigned char)t->bytes[i - 1] < 0xc0))
            return false;
    return true;
}

struct answer {
    const char *text, *content, *events;
    bool complete; /* of tool_calls_complete */
};

static void check_pieces(const struct answer *a, size_t first, size_t second, bool ended)
{
    struct tool_calls t = {0};
    const size_t n = strlen(a->text);
    const size_t cuts[] = {0, first, second, n};
    content.size = events.size = 0;
    for (size_t i = 0; i < 3; i++) {
        const size_t before = content.size;
        tool_calls_add(&t, a->text + cuts[i], cuts[i + 1] - cuts[i], &content);
        take_events(&t);
        CHECK(is_whole(&content, before));
        /* no part of a tag: what was shown is a start of the final content */
        CHECK_MSG(content.size <= strlen(a->content) &&
                      memcmp(content.bytes ? content.bytes : "", a->content, content.size) == 0,
                  "%s: %.*s", a->text, (int)content.size, content.bytes ? content.bytes : "");
    }
    tool_calls_end(&t, ended, &content);
    take_events(&t);
    text_add(&content, "", 1);
    text_add(&events, "", 1);
    CHECK(!t.failed);
    CHECK_STR(content.bytes, a->content);
    CHECK_STR(events.bytes, a->events);
    CHECK(tool_calls_complete(&t) == a->complete);
    tool_calls_free(&t);
}

#define CALL(name, arguments) "<tool_call>\n{\"name\": \"" name "\", \"arguments\": " arguments "}\n</tool_call>"

static bool splits_character(const char *text, size_t at)
{
    return ((unsigned char)text[at] & 0xc0) == 0x80;
}

static void test_parser(void)
{
    static const struct answer answers[] = {
        {"", "", "", false},
        {"just text", "just text", "", false},
        {"a < b <tool> <tool_cal", "a < b <tool> <tool_cal", "", false},
        {"two\n\nparts \n", "two\n\nparts", "", false},
        {CALL("f", "{}"), "", "f({})", true},
        {"I look.\n\n" CALL("f", "{\"a\": [1, {\"b\": \"}]{\\\"\\\\\"}], \"\xc3\xa9\": \"\xc3\xa9\"}"), "I look.",
         "f({\"a\": [1, {\"b\": \"}]{\\\"\\\\\"}], \"\xc3\xa9\": \"\xc3\xa9\"})", true},
        {"<<tool_\xc3\xa9 " CALL("f", "{}") "\n" CALL("g", "{\"x\": 1}") "\n", "<<tool_\xc3\xa9", "f({})g({\"x\": 1})",
         true},
    };
    for (size_t k = 0; k < sizeof answers / sizeof *answers; k++) {
        const char *const text = answers[k].text;
        const size_t n = strlen(text);
        for (size_t i = 0; i <= n; i++)
            for (size_t j = i; j <= n; j++)
                if (!splits_character(text, i) && !splits_character(text, j))
                    check_pieces(&answers[k], i, j, true);
    }
}

/* A truncated answer: no part of a tag, and what there is of the call. */
static void test_truncated(void)
{
    static const char whole[] = "See: " CALL("get", "{\"a\": \"b\"}") "\n" CALL("h", "{}");
    static const char arguments[] = "{\"a\": \"b\"}";
    const size_t n = sizeof whole - 1, name = (size_t)(strstr(whole, "get\"") + 4 - whole),
                 begin = (size_t)(strstr(whole, arguments) - whole), end = begin + sizeof arguments - 1,
                 second = (size_t)(strstr(whole, "\"h\"") + 3 - whole);
    for (size_t size = 5; size <= n; size++) {
        struct tool_calls t = {0};
        content.size = events.size = 0;
        tool_calls_add(&t, whole, size, &content);
        tool_calls_end(&t, false, &content);
        take_events(&t);
        CHECK(content.size == 4 && memcmp(content.bytes, "See:", 4) == 0);
        CHECK(t.count == (size_t)(size >= name) + (size_t)(size >= second));
        if (t.count > 0) {
            const struct text *const have = &t.calls[0].arguments;
            const size_t wanted = size < begin ? 0 : size < end ? size - begin : end - begin;
            CHECK(have->size == wanted && memcmp(have->bytes ? have->bytes : "", arguments, wanted) == 0);
            CHECK(t.calls[0].complete == (size > end));
            CHECK_STR(t.calls[0].name.bytes, "get");
        }
        tool_calls_free(&t);
    }
}

/* The client began the answer: its text is not repeated, its call is reported whole. */
static void test_prefill(void)
{
    static const char whole[] = "I look. " CALL("f", "{\"a\": 1}"), other[] = "I <tool_box>";
    for (size_t size = 0; size < sizeof whole - 1; size++) {
        struct tool_calls t = {0};
        content.size = events.size = 0;
        tool_calls_prefill(&t, whole, size);
        tool_calls_add(&t, whole + size, sizeof whole - 1 - size, &content);
        tool_calls_end(&t, true, &content);
        take_events(&t);
        CHECK(content.size == (size < 7 ? 7 - size : 0));
        CHECK(events.size == 11 && memcmp(events.bytes, "f({\"a\": 1})", 11) == 0);
        tool_calls_free(&t);
    }
    for (size_t size = 0; size < sizeof other - 1; size++) {
        struct tool_calls t = {0};
        content.size = 0;
        tool_calls_prefill(&t, other, size);
        tool_calls_add(&t, other + size, sizeof other - 1 - size, &content);
        tool_calls_end(&t, true, &content);
        CHECK_MSG(content.size == sizeof other - 1 - size && memcmp(content.bytes, other + size, content.size) == 0,
                  "%zu: %.*s", size, (int)content.size, content.bytes);
        tool_calls_free(&t);
    }
}

/* Texts that no grammar ensures do no harm. */
static void test_malformed(void)
{
    static const char *const texts[] = {
        "<tool_call> x",
        "<tool_call>\n{\"name\": \"f\", x",
        "<tool_call>\n{\"name\": \"f\", \"arguments\": ]]}x",
        "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call> x",
        "<tool_call>\n{\"name\": \"f\", \"arguments\": 12}\n</tool_call>",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct tool_calls t = {0};
        content.size = 0;
        tool_calls_add(&t, texts[i], strlen(texts[i]), &content);
        tool_calls_end(&t, true, &content);
        take_events(&t);
        CHECK(content.size == 0 && t.count <= 1);
        tool_calls_free(&t);
    }
}

static void test_parser_memory(void)
{
    static const char text[] = "a b " CALL("f", "{}") "\n" CALL("g", "{}");
    bool failed = true;
    for (long after = 0; failed && after < 1000; after++) {
        struct tool_calls t = {0};
        struct text shown = {0};
        mem_fail_after(after);
        tool_calls_add(&t, text, sizeof text - 1, &shown);
        tool_calls_end(&t, true, &shown);
        failed = t.failed;
        CHECK(failed || (t.count == 2 && shown.size == 3));
        tool_calls_free(&t);
        text_free(&shown);
    }
    mem_fail_after(-1);
    CHECK(!failed);
}

int main(void)
{
    RUN(test_forms);
    RUN(test_refused);
    RUN(test_prompt);
    RUN(test_memory);
    RUN(test_parser);
    RUN(test_truncated);
    RUN(test_prefill);
    RUN(test_malformed);
    RUN(test_parser_memory);
    text_free(&content);
    text_free(&events);
    return test_end();
}
