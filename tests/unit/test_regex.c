/*
 * test_regex.c - regular expressions: the parser against regexec() on random expressions, a table
 * for what regexec() does not have, quoting, and hostile expressions.
 */
#include <regex.h>
#include <stdlib.h>

#include "matcher/regex.h"
#include "test.h"

static uint64_t random_state = 5;

static uint32_t random_below(uint32_t n) /* SplitMix64 */
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ z >> 31) % n);
}

static struct regex *arena(void)
{
    struct regex *r = NULL;
    struct rwkv7_error err = {0};
    CHECK_MSG(regex_create(&r, &err) == RWKV7_OK, "%s", err.message);
    if (!r)
        exit(1);
    return r;
}

/* Whether `pattern` matches; -1: it was refused. */
static int matches(const char *pattern, unsigned flags, const char *text, size_t size)
{
    struct regex *const r = arena();
    uint32_t node;
    int result = -1;
    if (regex_parse(r, pattern, strlen(pattern), flags, &node, NULL) == RWKV7_OK)
        result = regex_matches(r, node, text, size);
    regex_free(r);
    return result;
}

static void test_table(void)
{
    static const struct {
        const char *pattern;
        unsigned flags;
        const char *yes, *no;
    } rows[] = {
        {"", 0, "", "a"},
        {"", REGEX_SEARCH, "anything", NULL},
        {"abc", 0, "abc", "abcd"},
        {"b", REGEX_SEARCH, "abc", "ac"},
        {"^b", REGEX_SEARCH, "bc", "abc"},
        {"b$", REGEX_SEARCH, "ab", "abc"},
        {"^(a|b$)", REGEX_SEARCH, "b", "bc"},
        {"(^|,)x(,|$)", REGEX_SEARCH, "a,x", "ax"},
        {"^(?!no)[a-z]+$", REGEX_SEARCH, "nn", "none"},
        {"^(?=.*\\d)(?=.*[A-Z]).{4,}$", REGEX_SEARCH, "ab1C", "abc1"},
        {"^(?!.*--)[a-z-]+$", REGEX_SEARCH, "a-b-c", "a--b"},
        {".", 0, "\xf0\x9f\x98\x80", "\n"},
        {".", 0, "\xe2\x82\xac", "\xe2\x82"},
        {"[^a]", 0, "\xc3\xa9", "a"},
        {"[\\u00e9-\\u20ac]", 0, "\xc3\xa9", "e"},
        {"\\uD83D\\uDE00", 0, "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x81"},
        {"\\u{1F600}{2}", 0, "\xf0\x9f\x98\x80\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
        {"\\d{2,3}", 0, "123", "1234"},
        {"a{2,}", 0, "aaaa", "a"},
        {"a{,2}", 0, "a{,2}", "aa"},
        {"{x}", 0, "{x}", "x"},
        {"a*?b+?c??", 0, "abb", "acc"},
        {"[\\w.-]+@x", 0, "a.b-c@x", "@x"},
        {"[]a]", 0, NULL, "]a]"},
        {"[a-]", 0, "-", "b"},
        {"[\\]\\\\]", 0, "]", "["},
        {"\\s", 0, "\xe2\x80\x83", "x"},
        {"[\\S]", 0, "x", "\xe2\x80\x83"},
        {"\\x41\\t\\cA\\/\\.", 0, "A\t\x01/.", "A"},
        {"(?<year>\\d{4})-(?:0[1-9]|1[0-2])", 0, "2024-12", "2024-13"},
        {"(a|b)?c|", 0, "", "ab"},
        {"(x{0,3}){0,2}", 0, "xxxxxx", "xxxxxxx"},
        {"((a?){5}b){2}", 0, "aaabb", "aaaaaab"},
        {"\\p{L}+", 0, "a\xc3\x89\xe6\xbc\xa2", "a1"},
        {"[\\p{Lu}\\p{gc=Nd}-]+", 0, "A-\xd9\xa3", "a"}, /* an Arabic digit */
        {"\\P{Letter}", 0, "1", "\xc3\x89"},
        {"[^\\P{L}b]\\p{L}\\p{L}", 0, "abc", "bcd"},
        {"\\p{General_Category=Currency_Symbol}", 0, "\xe2\x82\xac", "x"},
        {"\\p{Cs}|x", 0, "x", "\xed\xa0\x80"}, /* surrogates are never matched */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].yes)
            CHECK_MSG(matches(rows[i].pattern, rows[i].flags, rows[i].yes, strlen(rows[i].yes)) == 1, "%s: %s",
                      rows[i].pattern, rows[i].yes);
        if (rows[i].no)
            CHECK_MSG(matches(rows[i].pattern, rows[i].flags, rows[i].no, strlen(rows[i].no)) == 0, "%s: %s",
                      rows[i].pattern, rows[i].no);
    }
}

static void test_errors(void)
{
    static const struct {
        const char *pattern, *message;
    } rows[] = {
        {"ab(c", "regular expression, character 3: this group is not closed"},
        {"ab)c", "regular expression, character 3: there is no group that this ')' could close"},
        {"\xc3\xa9\xc3\xa9*+", "regular expression, character 4: there is nothing to repeat before '+'"},
        {"[ab", "regular expression, character 1: this class is not closed"},
        {"[b-a]", "regular expression, character 2: the range is out of order"},
        {"a{3,2}", "regular expression, character 2: the counts of a repetition are out of order: 3 is more than 2"},
        {"a{3000000000}", "regular expression, character 2: a repetition can be counted to 2147483647 at most"},
        {"(a)\\1", "regular expression, character 4: backreferences are not supported"},
        {"\\bword", "regular expression, character 1: the word boundary \\b is not supported"},
        {"(?<=a)b", "regular expression, character 1: lookbehind is not supported"},
        {"((?=a)b)", "regular expression, character 2: a lookahead inside a group is not supported"},
        {"(^a)*", "regular expression, character 1: an anchor inside a repeated group is not supported"},
        {"^*", "regular expression, character 1: an anchor or a lookahead cannot be repeated"},
        {"a\\", "regular expression, character 2: a backslash at the end"},
        {"\\A", "regular expression, character 1: unknown escape \\A"},
        {"a\\p{Greek}",
         "regular expression, character 2: \\p{Greek} is not supported; general categories are, such as \\p{L} and "
         "\\p{Nd}"},
        {"\\pL", "regular expression, character 1: expected a property in braces, such as \\p{L}"},
        {"\\p{L", "regular expression, character 1: expected a property in braces, such as \\p{L}"},
        {"\\u12", "regular expression, character 1: expected four hexadecimal digits after \\u"},
        {"[\\uD800-\\uDBFF]",
         "regular expression, character 1: surrogates are no characters; write the character, or \\u{H}"},
        {"a\xff", "regular expression, character 2: this is not UTF-8"},
        {"(?i)a", "regular expression, character 1: unknown kind of group; expected (..), (?:..), (?<name>..), (?=..) "
                  "or (?!..)"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct regex *const r = arena();
        struct rwkv7_error err = {0};
        uint32_t node;
        CHECK(regex_parse(r, rows[i].pattern, strlen(rows[i].pattern), 0, &node, &err) == RWKV7_ERR_USAGE);
        CHECK_STR(err.message, rows[i].message);
        CHECK(regex_status(r, NULL) == RWKV7_OK); /* the arena is still good */
        regex_free(r);
    }
}

/* Appends a random expression over a and b, in the syntax that regexec() shares. */
static void random_pattern(char *out, int depth)
{
    static const char *const atoms[] = {"a", "b", ".", "[ab]", "[^a]", "ab"};
    static const char *const quantifiers[] = {"*", "+", "?", "{2}", "{1,3}", "{0,2}", "{2,}"};
    const uint32_t kind = depth == 0 ? 0 : random_below(4);
    if (kind == 0) {
        strcat(out, atoms[random_below(6)]);
    } else if (kind == 1) {
        random_pattern(out, depth - 1);
        random_pattern(out, depth - 1);
    } else {
        strcat(out, "(");
        random_pattern(out, depth - 1);
        if (kind == 2) {
            strcat(out, "|");
            random_pattern(out, depth - 1);
        }
        strcat(out, ")");
        if (kind == 3)
            strcat(out, quantifiers[random_below(7)]);
    }
}

static void test_random(void)
{
    for (int i = 0; i < 400; i++) {
        char pattern[4096] = "", anchored[4104] = "^(";
        regex_t posix;
        random_pattern(pattern, 4);
        strcat(strcat(anchored, pattern), ")$");
        if (regcomp(&posix, anchored, REG_EXTENDED | REG_NOSUB) != 0)
            continue;
        struct regex *const r = arena();
        uint32_t node;
        struct rwkv7_error err = {0};
        CHECK_MSG(regex_parse(r, pattern, strlen(pattern), 0, &node, &err) == RWKV7_OK, "%s: %s", pattern, err.message);
        const uint32_t other = regex_not_text(r, node);
        for (unsigned bits = 0; bits < 254; bits++) { /* all texts of up to 6 letters */
            char text[8];
            unsigned length = 0, at = bits + 2;
            for (; at > 1; at >>= 1)
                text[length++] = at & 1 ? 'b' : 'a';
            text[length] = '\0';
            const bool want = regexec(&posix, text, 0, NULL, 0) == 0;
            CHECK_MSG(regex_matches(r, node, text, length) == want, "%s: %s", pattern, text);
            CHECK(regex_matches(r, other, text, length) != want);
        }
        regex_free(r);
        regfree(&posix);
    }
}

static void test_quoted(void)
{
    struct regex *const r = arena();
    uint32_t text, upper;
    CHECK(regex_parse(r, ".{0,3}\\n?", 9, 0, &text, NULL) == RWKV7_OK);
    CHECK(regex_parse(r, "[A-Z\"]+", 7, 0, &upper, NULL) == RWKV7_OK);
    const uint32_t quoted = regex_quoted(r, text);
    CHECK(regex_matches(r, quoted, "ab\\\"", 4));
    CHECK(regex_matches(r, quoted, "\\\\\\t\\u001f\\n", 12));
    CHECK(regex_matches(r, quoted, "\\u001F\xe2\x82\xac", 9));
    CHECK(!regex_matches(r, quoted, "a\"", 2));
    CHECK(!regex_matches(r, quoted, "\\", 1));
    CHECK(!regex_matches(r, quoted, "\n", 1));
    CHECK(!regex_matches(r, quoted, "\\u0041", 6));
    CHECK(!regex_matches(r, quoted, "\\q", 2));
    const uint32_t both = regex_quoted(r, regex_and(r, text, upper));
    CHECK(regex_matches(r, both, "A\\\"B", 4));
    CHECK(!regex_matches(r, both, "a\\\"B", 4));
    CHECK(!regex_matches(r, both, "ABCD", 4));
    const uint32_t others = regex_quoted(r, regex_not_text(r, regex_literal(r, "key", 3)));
    CHECK(!regex_matches(r, others, "key", 3));
    CHECK(regex_matches(r, others, "keys", 4) && regex_matches(r, others, "", 0));
    CHECK(!regex_matches(r, others, "k\"", 2));
    bool is_void;
    CHECK(regex_is_void(r, regex_and(r, upper, regex_literal(r, "a", 1)), &is_void, NULL) == RWKV7_OK && is_void);
    CHECK(regex_is_void(r, regex_and(r, upper, text), &is_void, NULL) == RWKV7_OK && !is_void);
    CHECK(regex_status(r, NULL) == RWKV7_OK);
    regex_free(r);
}

/* Each must be accepted or refused with a message. ctest's time limit finds an endless one. */
static void test_hostile(void)
{
    enum { SIZE = 1 << 16 };
    char *const text = malloc(SIZE + 1);
    struct rwkv7_error err;
    uint32_t node;
    CHECK(text != NULL);
    if (!text)
        return;
    static const char *const units[] = {"(",    "a?",   "(a)", "a|", "[a-z]{9}", "(a{1000}){1000}",
                                        "\\w+", "(?=a", ".*a", "a*"};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        struct regex *const r = arena();
        size_t size = 0;
        for (const size_t n = strlen(units[i]); size + n <= SIZE; size += n)
            memcpy(text + size, units[i], n);
        err.message[0] = '\0';
        const enum rwkv7_status status = regex_parse(r, text, size, 0, &node, &err);
        CHECK_MSG(status == RWKV7_OK || (status == RWKV7_ERR_USAGE && err.message[0]), "%s", units[i]);
        if (status == RWKV7_OK)
            regex_matches(r, node, "aaaaaaaaaaaaaaaa", 16);
        CHECK(regex_count(r) <= REGEX_MAX_NODES);
        regex_free(r);
    }
    memset(text, '(', SIZE + 1);
    struct regex *const r = arena();
    CHECK(regex_parse(r, text, SIZE + 1, 0, &node, &err) == RWKV7_ERR_USAGE);
    CHECK_STR(err.message, "regular expression: expected at most 65536 bytes, found 65537");
    regex_free(r);
    free(text);
    CHECK(matches("(a{1000}){1000}", 0, "aaaa", 4) == 0);
    CHECK(matches("((((a?){99}){99}){99}){99}b", 0, "aaaaaaaab", 9) == 1);
    CHECK(matches("(a*)*(a*)*(a*)*(a*)*b", 0, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", 41) == 1);
    CHECK(matches("(.*a){20}.{20}", 0, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 40) == 1);
}

int main(void)
{
    RUN(test_table);
    RUN(test_errors);
    RUN(test_random);
    RUN(test_quoted);
    RUN(test_hostile);
    return test_end();
}
