/* test_gbnf.c - GBNF grammars: the texts that they accept, and messages for invalid grammars. */
#include <stdlib.h>

#include "accepts.h"
#include "base/mem.h"

static enum rwkv7_status build(const char *text, size_t size, struct grammar **g, struct automaton **a,
                               struct rwkv7_error *err)
{
    *g = NULL;
    *a = NULL;
    enum rwkv7_status status = grammar_create(g, err);
    if (status == RWKV7_OK)
        status = gbnf_build(text, size, *g, err);
    return status == RWKV7_OK ? automaton_create(*g, a, err) : status;
}

/* After the grammar: texts that it accepts, NULL, texts that it rejects, NULL. */
static void check(const char *grammar, const char *const *texts)
{
    struct grammar *g;
    struct automaton *a;
    struct rwkv7_error err = {0};
    const enum rwkv7_status status = build(grammar, strlen(grammar), &g, &a, &err);
    CHECK_MSG(status == RWKV7_OK, "%s: %s", grammar, err.message);
    for (int good = 1; status == RWKV7_OK && good >= 0; good--, texts++)
        for (; *texts; texts++)
            CHECK_MSG(accepts(a, *texts, strlen(*texts)) == good, "%s\n%s", grammar, *texts);
    automaton_free(a);
    grammar_free(g);
}

#define CHECK_TEXTS(grammar, ...) check(grammar, (const char *const[]){__VA_ARGS__, NULL})

static void check_refused(const char *grammar, const char *message)
{
    struct grammar *g;
    struct automaton *a;
    struct rwkv7_error err = {0};
    CHECK_MSG(build(grammar, strlen(grammar), &g, &a, &err) == RWKV7_ERR_USAGE, "%s", grammar);
    CHECK_STR(err.message, message);
    automaton_free(a);
    grammar_free(g);
}

static void elements(void)
{
    CHECK_TEXTS("root ::= \"a\" \"b\"", "ab", NULL, "a", "b", "", "abc");
    CHECK_TEXTS("root ::= \"a\" | \"b\" |", "a", "b", "", NULL, "ab", "c");
    CHECK_TEXTS("root ::= [a-c_] [^a-c\\n]", "ad", "_x", "b\xc3\xa9", NULL, "aa", "d1", "a\n", "a");
    CHECK_TEXTS("root ::= . .", "ab", "\xc3\xa9\n", NULL, "a", "abc", "\xc3");
    CHECK_TEXTS("root ::= \"\\x41\\u00e9\\U0001f600\\n\\t\\\"\\\\\"", "A\xc3\xa9\xf0\x9f\x98\x80\n\t\"\\", NULL, "A");
    CHECK_TEXTS("root ::= [\\]\\-\\\\] [a-]", "]a", "-a", "\\-", NULL, "a]", "[a");
    CHECK_TEXTS("root ::= [\\x00-\\x1f\\u3040-\\u30ff]+", "\x01", "\xe3\x82\xab", NULL, "a", "");
    CHECK_TEXTS("root ::= \"\"", "", NULL, "a");
}

static void repetitions(void)
{
    CHECK_TEXTS("root ::= \"ab\"* \"c\"", "c", "ababc", NULL, "abc ", "aabc", "abbc");
    CHECK_TEXTS("root ::= \"a\"+ \"b\"?", "a", "aab", NULL, "", "b", "abb");
    CHECK_TEXTS("root ::= \"a\"{2} | \"b\"{2,} | \"c\"{1,3} | \"d\"{ 0 , 1 }", "aa", "bb", "bbbbb", "c", "ccc", "d", "",
                NULL, "a", "aaa", "b", "cccc", "dd");
    CHECK_TEXTS("root ::= (\"a\" | \"b\" x){2,3}\nx ::= \"(\" x? \")\"", "aa", "ab()", "b(())b()a", NULL, "a", "aaaa",
                "b(()");
    CHECK_TEXTS("root ::= \"a\"?{2}", "", "a", "aa", NULL, "aaa");
}

static void layout(void)
{
    CHECK_TEXTS(
        "# a comment\n\nroot ::= # another\n  ( \"a\" # in a group\n  \"b\"\n  |\n \"c\" )\n\nx-1 ::= \"d\"\r\n", "ab",
        "c", NULL, "d", "abc");
    CHECK_TEXTS("root::=a|\n b\na::=\"x\"\nb::=\"y\"", "x", "y", NULL, "xy");
}

static void recursion(void)
{
    CHECK_TEXTS("root ::= expr\nexpr ::= term ([-+*/] term)*\nterm ::= [0-9]+ | \"(\" expr \")\"", "1", "1+2*3",
                "((1)-2)/30", NULL, "", "1+", "(1", "1)");
    CHECK_TEXTS("root ::= root \"+\" [0-9] | [0-9]", "1", "1+2+3", NULL, "+", "1+", "12");
    CHECK_TEXTS("root ::= \"(\" root \")\" root | ", "", "()", "(())()", NULL, "(", ")(", "(()");
    CHECK_TEXTS("root ::= ws \"a\" ws\nws ::= [ \\t]*", "a", "  a\t", NULL, "", " ");
}

static void messages(void)
{
    check_refused("root ::= a", "grammar, line 1, column 10: there is no rule 'a'");
    check_refused("root ::= \"x\"\n  \"y\"", "grammar, line 2, column 3: expected the name of a rule");
    check_refused("root ::= \"\xc3\xa9\" b", "grammar, line 1, column 14: there is no rule 'b'");
    check_refused("root ::= \"abc", "grammar, line 1, column 10: this text has no closing quote");
    check_refused("root ::= [z-a]", "grammar, line 1, column 10: a range in this class is upside down");
    check_refused("root ::= [abc", "grammar, line 1, column 14: unexpected end of the grammar");
    check_refused("root ::= (\"a\"", "grammar, line 1, column 14: expected ')'");
    check_refused("root := \"a\"", "grammar, line 1, column 6: expected ::=");
    check_refused("root ::= \"a\"{3,2}", "grammar, line 1, column 14: the counts are upside down");
    check_refused("root ::= \"a\"{99999999999}", "grammar, line 1, column 14: this count is too large");
    check_refused("root ::= \"a\"{}", "grammar, line 1, column 14: expected a count");
    check_refused("x ::= \"a\"", "grammar, line 1, column 10: there is no rule 'root'");
    check_refused("", "grammar, line 1, column 1: there is no rule 'root'");
    check_refused("root ::= \"a\"\nroot ::= \"b\"", "grammar, line 2, column 1: a second rule 'root'");
    check_refused("root ::= \"\\q\"", "grammar, line 1, column 11: unknown escape sequence");
    check_refused("root ::= \"\\ud800\"", "grammar, line 1, column 13: not a Unicode character");
    check_refused("root ::= <think>", "grammar, line 1, column 10: tokens in a grammar are not supported");
    check_refused("root ::= \"\xff\"", "grammar, line 1, column 11: not UTF-8");
}

static void hostile_text(const char *open, const char *middle, const char *close, size_t n)
{
    const size_t a = strlen(open), b = strlen(middle), c = strlen(close);
    char *text = malloc(n * (a + c) + b + 10), *at = text;
    struct grammar *g;
    struct automaton *automaton;
    struct rwkv7_error err = {0};
    if (!text)
        return;
    memcpy(at, "root ::= ", 9);
    at += 9;
    for (size_t i = 0; i < n; i++, at += a)
        memcpy(at, open, a);
    memcpy(at, middle, b);
    at += b;
    for (size_t i = 0; i < n; i++, at += c)
        memcpy(at, close, c);
    const enum rwkv7_status status = build(text, (size_t)(at - text), &g, &automaton, &err);
    CHECK_MSG(status == RWKV7_OK || status == RWKV7_ERR_USAGE, "%s", err.message);
    automaton_free(automaton);
    grammar_free(g);
    free(text);
}

static void hostile(void)
{
    hostile_text("(", "\"a\"", ")", 1000000);
    hostile_text("(", "\"a\"", ")*", 60);
    hostile_text("(", "\"a\"{1000}", "){1000}", 30);
    hostile_text("", "\"a\"", "*", 1000000);
    hostile_text("\"a\" ", "\"a\"", "", 1000000);
    hostile_text("[a-z] | ", "\"a\"", "", 500000);
    hostile_text("\"a\" |\n", "", "", 500000);
    hostile_text("x ", "\nx ::= \"b\" root?", "", 50000);
    char *text = malloc(4 << 20), *at = text; /* a chain of 100,000 rules */
    struct grammar *g;
    struct automaton *a;
    struct rwkv7_error err = {0};
    if (!text)
        return;
    at += sprintf(at, "root ::= r0\n");
    for (int i = 0; i < 100000; i++)
        at += sprintf(at, "r%d ::= \"a\" r%d r%d?\n", i, i + 1, i + 1);
    at += sprintf(at, "r100000 ::= \"b\"\n");
    const enum rwkv7_status status = build(text, (size_t)(at - text), &g, &a, &err);
    CHECK_MSG(status == RWKV7_OK || status == RWKV7_ERR_USAGE, "%s", err.message);
    automaton_free(a);
    grammar_free(g);
    free(text);
}

static void out_of_memory(void)
{
    static const char text[] = "root ::= (x | \"b\" [c-e]{2,3})* y\nx ::= \"(\" x? \")\" | y\ny ::= \"y\"+ | \"z\"";
    for (long after = 0; after < 2000; after++) {
        struct grammar *g;
        struct automaton *a;
        struct rwkv7_error err = {0};
        mem_fail_after(after);
        const enum rwkv7_status status = build(text, sizeof text - 1, &g, &a, &err);
        mem_fail_after(-1);
        CHECK_MSG(status == RWKV7_OK || status == RWKV7_ERR_MEMORY, "%ld: %s", after, err.message);
        automaton_free(a);
        grammar_free(g);
        if (status == RWKV7_OK)
            break;
    }
}

int main(void)
{
    RUN(elements);
    RUN(repetitions);
    RUN(layout);
    RUN(recursion);
    RUN(messages);
    RUN(hostile);
    RUN(out_of_memory);
    return test_end();
}
