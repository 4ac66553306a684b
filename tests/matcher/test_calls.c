/* test_calls.c - the grammar of answers with tool calls: what it accepts, and what it refuses. */
#include "accepts.h"
#include "base/mem.h"
#include "matcher/calls.h"

static const char city[] =
    "{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}},\"required\":[\"city\"],"
    "\"additionalProperties\":false}";
static const char nothing[] = "{\"type\":\"object\",\"additionalProperties\":false}";
static const struct call_function functions[] = {
    {"weather", city, false}, {"weather_now", city, false}, {"time", nothing, false}};
static const char *const stops[] = {"\n\nUser:", "\nUser:"};

#define CALL(name, arguments) "<tool_call>\n{\"name\": \"" name "\", \"arguments\": " arguments "}\n</tool_call>"
#define PARIS CALL("weather", "{\"city\": \"Paris\"}")

static struct grammar *grammar;
static struct automaton *automaton;

static void open_grammar(bool is_free, bool thoughts, const char *opening, uint32_t most)
{
    const struct call_grammar c = {.functions = functions,
                                   .count = 3,
                                   .is_free = is_free,
                                   .thoughts = thoughts,
                                   .opening = opening,
                                   .most = most,
                                   .stops = stops,
                                   .stop_count = 2};
    struct rwkv7_error err = {0};
    size_t refused;
    CHECK(grammar_create(&grammar, &err) == RWKV7_OK);
    CHECK_MSG(calls_build(&c, grammar, &refused, &err) == RWKV7_OK, "%s", err.message);
    CHECK(refused == SIZE_MAX);
    CHECK_MSG(automaton_create(grammar, &automaton, &err) == RWKV7_OK, "%s", err.message);
}

static void close_grammar(void)
{
    automaton_free(automaton);
    grammar_free(grammar);
}

static void check(const char *text, bool wanted)
{
    CHECK_MSG(accepts(automaton, text, strlen(text)) == wanted, "%s: %s", wanted ? "refused" : "accepted", text);
}

/* Whether some text of the grammar begins with this one. */
static void check_start(const char *text, bool wanted)
{
    struct rwkv7_error err = {0};
    uint32_t at = automaton_start(automaton);
    for (const char *p = text; *p && at != AUTOMATON_DEAD; p++)
        if (automaton_step(automaton, at, (uint8_t)*p, &at, &err) != RWKV7_OK)
            CHECK_MSG(false, "%s", err.message);
    CHECK_MSG((at != AUTOMATON_DEAD) == wanted, "%s: %s", wanted ? "refused" : "accepted", text);
}

static void test_calls(void)
{
    open_grammar(false, false, "", 2);
    check(PARIS, true);
    check(" " PARIS, true);
    check("\n\n" PARIS, true);
    check(PARIS "\n" CALL("time", "{}"), true);
    check(CALL("weather_now", "{\"city\":\"\\u00e9 \\\"}\"}"), true);
    check(PARIS "\n\nUser:", true);
    check(PARIS "\nUser:", true);
    check("", false);
    check("\n\n\n" PARIS, false);
    check("text " PARIS, false);
    check(PARIS PARIS, false);
    check(PARIS "\n" PARIS "\n" PARIS, false);
    check(PARIS " text", false);
    check(PARIS "\n\nUser: x", false);
    check(CALL("time", "{\"city\": \"Paris\"}"), false);
    check(CALL("weather", "{}"), false);
    check(CALL("weather", "{\"city\": 1}"), false);
    check(CALL("weather", "{\n\"city\": \"Paris\"}"), false); /* one line */
    check(CALL("weath", "{\"city\": \"Paris\"}"), false);
    check_start("<tool_call>\n{\"name\": \"weather_", true);
    check_start("<tool_call>\n{\"name\": \"t", true);
    check_start("<tool_call>\n{\"name\": \"x", false);
    check_start("<tool_call>{", false);
    check_start("<think>", false);
    close_grammar();
}

static void test_text(void)
{
    open_grammar(true, false, "", 16);
    check("", true);
    check("any text, \xff too <tool_call", true);
    check("any <<tool_<tool_call\n", true);
    check("I look.\n" PARIS, true);
    check("<" PARIS, true);
    check("I look.\n" PARIS "\n" PARIS, true);
    check("<think>" PARIS "</think>" PARIS, false); /* thoughts are text here */
    check("any <tool_call>", false);
    check("any <tool_call>\n", false);
    check_start("any <tool_call>\n{\"name\": \"time\", \"arguments\": {", true);
    check_start("any <tool_call> ", false);
    check(PARIS " text", false);
    close_grammar();
}

/* A tag in a thought means nothing; after it, everything is as usual. */
static void test_thoughts(void)
{
    open_grammar(true, true, "", 16);
    check(" <think>a <tool_call> b</think>", true);
    check(" <think>a <tool_call> b", true);
    check(" <think>a <tool_call> b</think>\nLook: " PARIS, true);
    check(" <think>a</think>\nLook: <tool_call> ", false);
    check(" <think>a</think> <think> <tool_call> ", false);
    check(" x <think> <tool_call> ", false);
    check(" <thin" PARIS, true);
    check(PARIS, true);
    close_grammar();
    open_grammar(false, true, "", 1);
    check(" <think>a <tool_call> b</think>\n" PARIS, true);
    check(" <think></think>" PARIS, true);
    check(" <think>\n</think>\n\n" PARIS, true);
    check(" <think>a</think>\ntext " PARIS, false);
    check(" <think>a", false);
    check(PARIS, false);
    close_grammar();
    open_grammar(false, false, " <think>\n</think>", 1);
    check(" <think>\n</think>\n" PARIS, true);
    check(" <think>\n</think\n", false);
    check(PARIS, false);
    close_grammar();
}

static void check_refused(const struct call_function *list, size_t count, size_t which, const char *message)
{
    const struct call_grammar c = {.functions = list, .count = count, .opening = "", .is_free = true, .most = 1};
    struct rwkv7_error err = {0};
    size_t refused;
    CHECK(grammar_create(&grammar, &err) == RWKV7_OK);
    CHECK(calls_build(&c, grammar, &refused, &err) == RWKV7_ERR_USAGE);
    CHECK(refused == which);
    CHECK_STR(err.message, message);
    grammar_free(grammar);
}

static void test_refused(void)
{
    const struct call_function bad[] = {{"a", nothing, false},
                                        {"b", "{\"properties\":{\"x\":{\"uniqueItems\":true}}}", false}};
    check_refused(bad, 2, 1, "JSON Schema, #/properties/x/uniqueItems: uniqueItems is not supported");
    check_refused(bad, 0, SIZE_MAX, "there are no functions to call");
}

/* Each schema is a text of its own: a $ref is resolved in it. */
static void test_references(void)
{
    static const char first[] = "{\"$defs\":{\"v\":{\"enum\":[1]}},\"properties\":{\"a\":{\"$ref\":\"#/$defs/v\"}},"
                                "\"additionalProperties\":false,\"type\":\"object\"}",
                      second[] = "{\"$defs\":{\"v\":{\"enum\":[2]}},\"properties\":{\"a\":{\"$ref\":\"#/$defs/v\"}},"
                                 "\"additionalProperties\":false,\"type\":\"object\"}";
    const struct call_function list[] = {{"f", first, false}, {"g", second, false}};
    const struct call_grammar c = {.functions = list, .count = 2, .opening = "", .most = 1};
    struct rwkv7_error err = {0};
    size_t refused;
    CHECK(grammar_create(&grammar, &err) == RWKV7_OK);
    CHECK_MSG(calls_build(&c, grammar, &refused, &err) == RWKV7_OK, "%s", err.message);
    CHECK(automaton_create(grammar, &automaton, &err) == RWKV7_OK);
    check(CALL("f", "{\"a\": 1}"), true);
    check(CALL("g", "{\"a\": 2}"), true);
    check(CALL("f", "{\"a\": 2}"), false);
    check(CALL("g", "{\"a\": 1}"), false);
    close_grammar();
}

/* Every failed allocation is an error, and nothing is lost. */
static void test_memory(void)
{
    const struct call_grammar c = {
        .functions = functions, .count = 3, .opening = "", .is_free = true, .thoughts = true, .most = 2};
    enum rwkv7_status status = RWKV7_ERR_MEMORY;
    for (long after = 0; status == RWKV7_ERR_MEMORY && after < 10000; after++) {
        struct rwkv7_error err = {0};
        char *key = NULL;
        size_t refused, size;
        mem_fail_after(after);
        status = grammar_create(&grammar, &err);
        if (status == RWKV7_OK) {
            status = calls_build(&c, grammar, &refused, &err);
            grammar_free(grammar);
        }
        if (status == RWKV7_OK) {
            status = calls_key(&c, &key, &size, &err);
            mem_free(key);
        }
    }
    mem_fail_after(-1);
    CHECK(status == RWKV7_OK);
}

int main(void)
{
    RUN(test_calls);
    RUN(test_text);
    RUN(test_thoughts);
    RUN(test_refused);
    RUN(test_references);
    RUN(test_memory);
    return test_end();
}
