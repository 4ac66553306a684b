/*
 * test_matcher.c - grammars, masks and matchers.
 *
 * The automaton is checked with languages whose words are easy to recognize (balanced brackets,
 * palindromes). A mask is checked against every token of the vocabulary, each read byte by byte by
 * a separate automaton.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "base/sys.h"
#include "matcher/automaton.h"
#include "rwkv7.h"
#include "test.h"

static uint64_t random_state = 7;

static uint32_t random_below(uint32_t n) /* SplitMix64 */
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ z >> 31) % n);
}

/* ------------------------------------------------------------------------------------- languages */

static uint32_t literal(struct grammar *g, const char *text)
{
    return grammar_terminal(g, regex_literal(grammar_regex(g), text, strlen(text)));
}

static uint32_t expression(struct grammar *g, const char *text)
{
    uint32_t node;
    CHECK(regex_parse(grammar_regex(g), text, strlen(text), 0, &node, NULL) == RWKV7_OK);
    return grammar_terminal(g, node);
}

/* s -> "(" s ")" s | "" */
static void brackets(struct grammar *g)
{
    const uint32_t s = grammar_rule(g, "s", 1), open = literal(g, "("), close = literal(g, ")");
    grammar_add(g, s, (uint32_t[]){open, s, close, s}, 4);
    grammar_add(g, s, NULL, 0);
    grammar_start(g, s);
}

/* s -> s "(" s ")" | "": the same language, left-recursive; ambiguous below */
static void left_brackets(struct grammar *g)
{
    const uint32_t s = grammar_rule(g, "s", 1), open = literal(g, "("), close = literal(g, ")");
    grammar_add(g, s, (uint32_t[]){s, open, s, close}, 4);
    grammar_add(g, s, NULL, 0);
    grammar_start(g, s);
}

static bool is_balanced(const char *text)
{
    int depth = 0;
    for (; *text && depth >= 0; text++)
        depth += *text == '(' ? 1 : -1;
    return depth == 0;
}

/* Palindromes, s -> "(" s "(" | ")" s ")" | "(" | ")" | "": not a deterministic language */
static void palindromes(struct grammar *g)
{
    const uint32_t s = grammar_rule(g, "s", 1), a = literal(g, "("), b = literal(g, ")");
    grammar_add(g, s, (uint32_t[]){a, s, a}, 3);
    grammar_add(g, s, (uint32_t[]){b, s, b}, 3);
    grammar_add(g, s, (uint32_t[]){a}, 1);
    grammar_add(g, s, (uint32_t[]){b}, 1);
    grammar_add(g, s, NULL, 0);
    grammar_start(g, s);
}

static bool is_palindrome(const char *text)
{
    const size_t n = strlen(text);
    for (size_t i = 0; i < n; i++)
        if (text[i] != text[n - 1 - i])
            return false;
    return true;
}

/* s -> (x{2,3}){1,2} ")"?, x -> "(" | ")" "(": repetitions of rules */
static void repetitions(struct grammar *g)
{
    const uint32_t s = grammar_rule(g, "s", 1), x = grammar_rule(g, "x", 1), a = literal(g, "("), b = literal(g, ")");
    grammar_add(g, x, (uint32_t[]){a}, 1);
    grammar_add(g, x, (uint32_t[]){b, a}, 2);
    const uint32_t some = grammar_repeat(g, x, 2, 3);
    grammar_add(g, s, (uint32_t[]){grammar_repeat(g, some, 1, 2), grammar_repeat(g, b, 0, 1)}, 2);
    grammar_start(g, s);
}

static bool is_repetition(const char *text) /* 2 to 6 times x, all sums of 2s and 3s */
{
    int count = 0;
    size_t i = 0;
    while (text[i] == '(' || (text[i] == ')' && text[i + 1] == '(')) {
        i += text[i] == '(' ? 1 : 2;
        count++;
    }
    i += text[i] == ')';
    return text[i] == '\0' && count >= 2 && count <= 6;
}

/* s -> t "("*, t -> ( ")" t )?: every terminal and rule may be empty */
static void empties(struct grammar *g)
{
    const uint32_t s = grammar_rule(g, "s", 1), t = grammar_rule(g, "t", 1), nothing = grammar_rule(g, "nothing", 7);
    grammar_add(g, nothing, NULL, 0);
    grammar_add(g, s, (uint32_t[]){nothing, t, nothing, expression(g, "\\(*"), expression(g, "(\\(\\()?")}, 5);
    grammar_add(g, t, (uint32_t[]){nothing, literal(g, ")"), t}, 3);
    grammar_add(g, t, (uint32_t[]){nothing}, 1);
    grammar_start(g, s);
}

static bool is_sorted(const char *text)
{
    while (*text == ')')
        text++;
    while (*text == '(')
        text++;
    return *text == '\0';
}

static void check_language(void (*fill)(struct grammar *), bool (*contains)(const char *))
{
    struct grammar *g = NULL;
    struct automaton *a = NULL;
    struct rwkv7_error err = {0};
    CHECK(grammar_create(&g, NULL) == RWKV7_OK);
    fill(g);
    CHECK_MSG(grammar_finish(g, &err) == RWKV7_OK, "%s", err.message);
    CHECK_MSG(automaton_create(g, &a, &err) == RWKV7_OK, "%s", err.message);
    for (unsigned bits = 1; a && bits < 1u << 11; bits++) { /* all texts of up to 10 bytes */
        char text[12];
        unsigned length = 0;
        for (unsigned at = bits; at > 1; at >>= 1)
            text[length++] = at & 1 ? ')' : '(';
        text[length] = '\0';
        uint32_t at = automaton_start(a);
        for (unsigned i = 0; i < length; i++)
            CHECK(automaton_step(a, at, (uint8_t)text[i], &at, NULL) == RWKV7_OK);
        CHECK_MSG(automaton_configuration(a, at).accepts == contains(text), "%s", text);
    }
    automaton_free(a);
    grammar_free(g);
}

static void test_languages(void)
{
    check_language(brackets, is_balanced);
    check_language(left_brackets, is_balanced);
    check_language(palindromes, is_palindrome);
    check_language(repetitions, is_repetition);
    check_language(empties, is_sorted);
}

static void test_grammar_errors(void)
{
    for (int kind = 0; kind < 5; kind++) {
        struct grammar *g = NULL;
        struct rwkv7_error err = {0};
        CHECK(grammar_create(&g, NULL) == RWKV7_OK);
        const uint32_t s = grammar_rule(g, "start", 5), t = grammar_rule(g, "other", 5), x = literal(g, "x");
        if (kind == 0) {
            grammar_add(g, s, (uint32_t[]){x, t}, 2);
        } else if (kind == 1) {
            grammar_add(g, s, (uint32_t[]){grammar_repeat(g, x, 0, 1), t}, 2);
            grammar_add(g, t, (uint32_t[]){s, x}, 2);
            grammar_add(g, t, (uint32_t[]){x}, 1);
        } else if (kind == 2) {
            grammar_add(g, s, (uint32_t[]){x, s}, 2);
        } else if (kind == 3) {
            grammar_add(g, s, (uint32_t[]){s, x}, 2);
        }
        if (kind < 4)
            grammar_start(g, s);
        CHECK(grammar_finish(g, &err) == RWKV7_ERR_USAGE);
        static const char *const messages[] = {
            "grammar: rule other: used, but not defined",
            "grammar: rule start: left recursion through other rules is not supported; write it as a repetition",
            "grammar: rule start: matches no text",
            "grammar: rule start: matches no text",
            "the grammar has no start rule",
        };
        CHECK_STR(err.message, messages[kind]);
        grammar_free(g);
    }
}

/* ----------------------------------------------------------------------------------------- masks */

static const char small[] =
    "1 'a' 1\n2 'b' 1\n3 'c' 1\n4 ' ' 1\n7 'ab' 2\n8 '\"' 1\n9 'abcabcab' 8\n12 'bc' 2\n13 '   ' 3\n14 '\\n' 1\n"
    "15 'c\"' 2\n16 '1' 1\n17 '12' 2\n18 '2 ' 2\n19 'b a' 3\n20 '\",' 2\n21 ',' 1\n22 ', \"' 3\n23 '[' 1\n24 ']' 1\n"
    "25 '],[' 3\n26 '[[' 2\n27 b'\\xc3' 1\n28 b'\\xa9' 1\n29 '\xc3\xa9' 2\n30 '2' 1\n";

static struct rwkv7_tokenizer *open_small(void)
{
    struct rwkv7_tokenizer *t = NULL;
    struct rwkv7_error err = {0};
    CHECK_MSG(rwkv7_tokenizer_open_memory(small, strlen(small), "small", &t, &err) == RWKV7_OK, "%s", err.message);
    if (!t)
        exit(1);
    return t;
}

static struct rwkv7_grammar *open_regex(const struct rwkv7_tokenizer *t, const char *text, size_t mask_bytes)
{
    struct rwkv7_grammar_options o = RWKV7_OPTIONS(o);
    struct rwkv7_grammar *g = NULL;
    struct rwkv7_error err = {0};
    o.kind = RWKV7_GRAMMAR_REGEX;
    o.text = text;
    o.mask_bytes = mask_bytes;
    CHECK_MSG(rwkv7_grammar_create(&o, t, &g, &err) == RWKV7_OK, "%s: %s", text, err.message);
    if (!g)
        exit(1);
    return g;
}

static struct rwkv7_matcher *open_matcher(struct rwkv7_grammar *g)
{
    struct rwkv7_matcher *m = NULL;
    CHECK(rwkv7_matcher_create(g, &m, NULL) == RWKV7_OK);
    if (!m)
        exit(1);
    return m;
}

/* Whether the text is a prefix of a match of the expression; *whole: whether it is a match. */
struct oracle {
    struct regex *regex;
    uint32_t node;
};

static uint32_t read_bytes(struct oracle *o, uint32_t node, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size && node != REGEX_NOTHING; i++)
        node = regex_derive(o->regex, node, bytes[i]);
    return node;
}

/* Checks the mask of every token with the expression. Returns the number of allowed tokens. */
static size_t check_mask(const struct rwkv7_tokenizer *t, struct rwkv7_matcher *m, struct oracle *o, uint32_t node)
{
    const uint64_t *mask;
    size_t allowed, found = 0, length, wrong = 0;
    CHECK(rwkv7_matcher_mask(m, &mask, &allowed, NULL) == RWKV7_OK);
    for (uint32_t id = 0; id < rwkv7_tokenizer_size(t); id++) {
        const uint8_t *const bytes = rwkv7_tokenizer_bytes(t, id, &length);
        const bool want = length > 0 ? read_bytes(o, node, bytes, length) != REGEX_NOTHING
                                     : id == RWKV7_END_OF_TEXT && regex_nullable(o->regex, node);
        wrong += want != (mask[id / 64] >> (id % 64) & 1);
        found += want && length > 0;
    }
    CHECK_MSG(wrong == 0, "%zu tokens", wrong);
    CHECK(found == allowed);
    CHECK(rwkv7_matcher_is_accepting(m) == regex_nullable(o->regex, node));
    return allowed;
}

/* Draws random texts and checks each mask, with and without cached masks. */
static void walk(const struct rwkv7_tokenizer *t, const char *pattern, int texts, int tokens)
{
    struct oracle o = {0};
    CHECK(regex_create(&o.regex, NULL) == RWKV7_OK);
    CHECK(regex_parse(o.regex, pattern, strlen(pattern), 0, &o.node, NULL) == RWKV7_OK);
    struct rwkv7_grammar *const g = open_regex(t, pattern, 0), *const h = open_regex(t, pattern, RWKV7_NO_MASK_CACHE);
    struct rwkv7_matcher *const m = open_matcher(g), *const n = open_matcher(h);
    for (int text = 0; text < texts; text++) {
        uint32_t node = o.node;
        rwkv7_matcher_reset(m);
        rwkv7_matcher_reset(n);
        for (int i = 0; i < tokens; i++) {
            const uint64_t *mask;
            size_t allowed = check_mask(t, m, &o, node), length;
            CHECK(check_mask(t, n, &o, node) == allowed);
            if (allowed == 0)
                break;
            CHECK(rwkv7_matcher_mask(m, &mask, &allowed, NULL) == RWKV7_OK);
            uint32_t id = 0, skip = random_below((uint32_t)allowed);
            for (id = 1; !(mask[id / 64] >> (id % 64) & 1) || skip-- > 0; id++)
                ;
            const uint8_t *const bytes = rwkv7_tokenizer_bytes(t, id, &length);
            node = read_bytes(&o, node, bytes, length);
            CHECK(rwkv7_matcher_advance(m, id, NULL) == RWKV7_OK);
            CHECK(rwkv7_matcher_advance(n, id, NULL) == RWKV7_OK);
        }
    }
    rwkv7_matcher_close(m);
    rwkv7_matcher_close(n);
    rwkv7_grammar_close(g);
    rwkv7_grammar_close(h);
    regex_free(o.regex);
}

static void test_small_masks(void)
{
    static const char *const patterns[] = {
        "[a-c]*",         "(ab|bc)+ ?",        "\"[a-c ]{0,5}\"(, \"[a-c]*\"){0,2}",
        "(\\[|\\]|,)*12", "abcabcab|ab",       ".{2,4}",
        "\xc3\xa9+",      "1?2? ?a(b a){1,2}", "[^\"]*\"",
    };
    struct rwkv7_tokenizer *const t = open_small();
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++)
        walk(t, patterns[i], 20, 12);
    rwkv7_tokenizer_close(t);
}

/* The same for a sample of texts with the World vocabulary. */
static void test_world_masks(void)
{
    static const char path[] = SHARED_DIR "/vectors/rwkv_vocab_v20230424.txt";
    static const char *const patterns[] = {
        "\\{\"name\": \"([^\"\\\\\\x00-\\x1f]|\\\\[\"\\\\/bfnrt])*\", \"age\": [1-9][0-9]{0,2}\\}",
        "(yes|no), because [a-z ]{1,80}\\.",
        "[A-Z][a-z]+( [a-z]+)*",
        "\"[^\"]{0,300}\"",
    };
    struct rwkv7_tokenizer *t = NULL;
    if (!path_exists(path)) {
        SKIP("the World vocabulary is not there: %s", path);
        return;
    }
    CHECK(rwkv7_tokenizer_open(path, &t, NULL) == RWKV7_OK);
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++)
        walk(t, patterns[i], 2, 8);
    rwkv7_tokenizer_close(t);
}

/* Tokens that cross the boundary between two terminals, for grammars of several terminals. */
static void test_leaving(void)
{
    static const char *const grammars[] = {
        "root ::= list\nlist ::= \"[\" (item (\",\" item)*)? \"]\"\nitem ::= list | [0-9]+ | \"\\\"\" [a-c]* \"\\\"\"",
        "root ::= \"a\"+ \"bc\"? \" \"* root2\nroot2 ::= \"12\" \" \" | \"b\" \" a\" root2 |",
    };
    struct rwkv7_tokenizer *const t = open_small();
    for (size_t i = 0; i < sizeof grammars / sizeof grammars[0]; i++) {
        struct rwkv7_grammar_options o = RWKV7_OPTIONS(o);
        struct rwkv7_grammar *g = NULL;
        struct rwkv7_error err = {0};
        o.kind = RWKV7_GRAMMAR_GBNF;
        o.text = grammars[i];
        CHECK_MSG(rwkv7_grammar_create(&o, t, &g, &err) == RWKV7_OK, "%s", err.message);
        if (!g)
            continue;
        struct rwkv7_matcher *const m = open_matcher(g);
        for (int step = 0; step < 400; step++) {
            const uint64_t *mask;
            size_t allowed, found = 0;
            const size_t tokens = rwkv7_matcher_tokens(m);
            uint32_t chosen = 0;
            CHECK(rwkv7_matcher_mask(m, &mask, &allowed, NULL) == RWKV7_OK);
            const uint64_t bits = mask[0];
            for (uint32_t id = 1; id < rwkv7_tokenizer_size(t); id++) {
                const bool added = rwkv7_matcher_advance(m, id, NULL) == RWKV7_OK;
                CHECK_MSG(added == (bits >> id & 1), "grammar %zu, token %u", i, id);
                if (added && random_below((uint32_t)++found) == 0)
                    chosen = id;
                rwkv7_matcher_undo(m, rwkv7_matcher_tokens(m) - tokens);
            }
            CHECK(found == allowed);
            if (found == 0 || tokens > 20)
                rwkv7_matcher_reset(m);
            else
                CHECK(rwkv7_matcher_advance(m, chosen, NULL) == RWKV7_OK);
        }
        rwkv7_matcher_close(m);
        rwkv7_grammar_close(g);
    }
    rwkv7_tokenizer_close(t);
}

/* -------------------------------------------------------------------------------------- matchers */

static void test_matcher(void)
{
    struct rwkv7_tokenizer *const t = open_small();
    struct rwkv7_grammar *const g = open_regex(t, "ab(c| )\"*", 0), *const same = open_regex(t, "ab(c| )\"*", 0),
                                *const other = open_regex(t, "a", 0);
    struct rwkv7_matcher *const m = open_matcher(g), *const n = open_matcher(g), *const x = open_matcher(other);
    struct rwkv7_error err = {0};
    uint32_t ids[4];
    size_t count;
    CHECK(g == same); /* cached by its text */
    rwkv7_grammar_close(g);
    rwkv7_grammar_close(same);
    CHECK(rwkv7_matcher_advance(m, 2, &err) == RWKV7_ERR_USAGE);
    CHECK_STR(err.message, "the regular expression does not allow token 2 here");
    CHECK(rwkv7_matcher_advance(m, 0, &err) == RWKV7_ERR_USAGE);
    CHECK_STR(err.message, "the regular expression does not allow the text to end here");
    CHECK(rwkv7_matcher_advance(m, 5, &err) == RWKV7_ERR_USAGE &&
          rwkv7_matcher_advance(m, 4096, &err) == RWKV7_ERR_USAGE);
    CHECK(rwkv7_matcher_tokens(m) == 0 && !rwkv7_matcher_is_accepting(m));
    CHECK(rwkv7_matcher_advance(m, 1, NULL) == RWKV7_OK && rwkv7_matcher_advance(m, 2, NULL) == RWKV7_OK);
    CHECK(rwkv7_matcher_copy(n, m, NULL) == RWKV7_OK && rwkv7_matcher_tokens(n) == 2);
    CHECK(rwkv7_matcher_copy(x, m, &err) == RWKV7_ERR_USAGE);
    CHECK(rwkv7_matcher_advance(n, 15, NULL) == RWKV7_OK && rwkv7_matcher_is_accepting(n));
    CHECK(rwkv7_matcher_advance(n, 0, NULL) == RWKV7_OK && rwkv7_matcher_tokens(n) == 3);
    CHECK(!rwkv7_matcher_is_accepting(m));
    rwkv7_matcher_undo(n, 2);
    CHECK(rwkv7_matcher_tokens(n) == 1 && !rwkv7_matcher_is_accepting(n));
    CHECK(rwkv7_matcher_advance(n, 12, NULL) == RWKV7_OK && rwkv7_matcher_is_accepting(n));
    rwkv7_matcher_reset(n);
    CHECK(rwkv7_matcher_tokens(n) == 0);
    CHECK(rwkv7_matcher_forced(x, ids, 4, &count, NULL) == RWKV7_OK && count == 1 && ids[0] == 1);
    CHECK(rwkv7_matcher_tokens(x) == 0);
    rwkv7_matcher_close(m);
    rwkv7_matcher_close(n);
    rwkv7_matcher_close(x);
    rwkv7_grammar_close(other);
    rwkv7_tokenizer_close(t);
}

static void test_choices(void)
{
    static const char *const choices[] = {"abc", "ab", "a c", ""};
    struct rwkv7_tokenizer *const t = open_small();
    struct rwkv7_grammar_options o = RWKV7_OPTIONS(o);
    struct rwkv7_grammar *g = NULL;
    struct rwkv7_error err = {0};
    o.kind = RWKV7_GRAMMAR_CHOICES;
    o.choices = choices;
    o.choice_count = 4;
    CHECK(rwkv7_grammar_create(&o, t, &g, &err) == RWKV7_ERR_USAGE && g == NULL);
    CHECK_STR(err.message, "choice 4 is empty");
    o.choice_count = 0;
    CHECK(rwkv7_grammar_create(&o, t, &g, &err) == RWKV7_ERR_USAGE);
    o.choice_count = 3;
    CHECK(rwkv7_grammar_create(&o, t, &g, &err) == RWKV7_OK);
    struct rwkv7_matcher *const m = open_matcher(g);
    const uint64_t *mask;
    size_t allowed;
    CHECK(rwkv7_matcher_advance(m, 7, NULL) == RWKV7_OK); /* ab: the end, or c */
    CHECK(rwkv7_matcher_mask(m, &mask, &allowed, NULL) == RWKV7_OK && allowed == 1 && mask[0] == (1u | 1u << 3));
    CHECK(rwkv7_matcher_advance(m, 3, NULL) == RWKV7_OK);
    CHECK(rwkv7_matcher_mask(m, &mask, &allowed, NULL) == RWKV7_OK && allowed == 0 && mask[0] == 1);
    rwkv7_matcher_close(m);
    rwkv7_grammar_close(g);
    o.kind = (enum rwkv7_grammar_kind)9;
    CHECK(rwkv7_grammar_create(&o, t, &g, &err) == RWKV7_ERR_USAGE);
    o.kind = RWKV7_GRAMMAR_REGEX;
    CHECK(rwkv7_grammar_create(&o, t, &g, &err) == RWKV7_ERR_USAGE);
    CHECK_STR(err.message, "regular expression: its text is missing");
    /* more grammars than the cache holds */
    for (int i = 0; i < 40; i++) {
        char text[16];
        snprintf(text, sizeof text, "a{%d}", i % 25 + 1);
        rwkv7_grammar_close(open_regex(t, text, 0));
    }
    rwkv7_tokenizer_close(t);
}

/* An automaton that exceeds its limit of states is replaced; matchers read their tokens again. */
static void test_full(void)
{
    struct rwkv7_tokenizer *const t = open_small();
    struct rwkv7_grammar *const g = open_regex(t, "(a{0,50000})(bc{0,50000})?|b[ab]{0,100000}", 0);
    struct rwkv7_matcher *const m = open_matcher(g), *const n = open_matcher(g), *const long_one = open_matcher(g);
    const uint64_t *mask;
    size_t allowed, failures = 0, reached = 0;
    for (int i = 0; i < 40000; i++)
        failures += rwkv7_matcher_advance(m, 1, NULL) != RWKV7_OK;
    failures += rwkv7_matcher_advance(n, 1, NULL) != RWKV7_OK || rwkv7_matcher_advance(n, 2, NULL) != RWKV7_OK;
    for (int i = 0; i < 40000; i++)
        failures += rwkv7_matcher_advance(n, 3, NULL) != RWKV7_OK;
    for (int i = 0; i < 9999; i++)
        failures += rwkv7_matcher_advance(m, 1, NULL) != RWKV7_OK || rwkv7_matcher_advance(n, 3, NULL) != RWKV7_OK;
    CHECK_MSG(failures == 0, "%zu", failures);
    CHECK(rwkv7_matcher_mask(m, &mask, &allowed, NULL) == RWKV7_OK && allowed == 4); /* a, ab, b, bc */
    CHECK(rwkv7_matcher_advance(m, 1, NULL) == RWKV7_OK && rwkv7_matcher_advance(m, 1, NULL) == RWKV7_ERR_USAGE);
    CHECK(rwkv7_matcher_advance(n, 3, NULL) == RWKV7_OK && rwkv7_matcher_advance(n, 3, NULL) == RWKV7_ERR_USAGE);
    struct rwkv7_error err = {0};
    for (int i = 0; i < 80000; i++) { /* exceeds the limit with one text */
        if (rwkv7_matcher_advance(long_one, 2, &err) != RWKV7_OK)
            break;
        reached++;
    }
    CHECK_MSG(reached > 60000 && reached < 66000, "%zu", reached);
    CHECK_STR(err.message, "the regular expression needs too many states for this text");
    CHECK(rwkv7_matcher_tokens(long_one) == reached);
    CHECK(rwkv7_matcher_mask(m, &mask, &allowed, NULL) == RWKV7_OK && allowed == 2); /* b, bc */
    rwkv7_matcher_close(m);
    rwkv7_matcher_close(n);
    rwkv7_matcher_close(long_one);
    rwkv7_grammar_close(g);
    rwkv7_tokenizer_close(t);
}

/* Each allocation fails once: that gives an error and no leak, and the next attempt succeeds. */
static void test_memory(void)
{
    struct rwkv7_tokenizer *const t = open_small();
    struct rwkv7_error err;
    int failures = 0;
    for (long after = 0; after < 400; after++) {
        struct rwkv7_grammar_options o = RWKV7_OPTIONS(o);
        struct rwkv7_grammar *g = NULL;
        struct rwkv7_matcher *m = NULL;
        const uint64_t *mask;
        size_t allowed;
        char text[64];
        snprintf(text, sizeof text, "a[bc]{0,%ld}(, \"[a-c]*\")?", after + 1); /* not cached */
        o.kind = RWKV7_GRAMMAR_REGEX;
        o.text = text;
        err.status = RWKV7_OK;
        mem_fail_after(after);
        enum rwkv7_status status = rwkv7_grammar_create(&o, t, &g, &err);
        if (status == RWKV7_OK)
            status = rwkv7_matcher_create(g, &m, &err);
        if (status == RWKV7_OK)
            status = rwkv7_matcher_advance(m, 1, &err);
        if (status == RWKV7_OK)
            status = rwkv7_matcher_mask(m, &mask, &allowed, &err);
        mem_fail_after(-1);
        failures += status != RWKV7_OK;
        CHECK(status == RWKV7_OK || (status == RWKV7_ERR_MEMORY && err.status == status));
        if (m) { /* it goes on */
            if (rwkv7_matcher_tokens(m) == 0)
                CHECK(rwkv7_matcher_advance(m, 1, NULL) == RWKV7_OK);
            CHECK(rwkv7_matcher_mask(m, &mask, &allowed, NULL) == RWKV7_OK && allowed == 5);
        }
        rwkv7_matcher_close(m);
        rwkv7_grammar_close(g);
    }
    CHECK(failures > 50 && failures < 400);
    rwkv7_tokenizer_close(t);
}

int main(void)
{
    RUN(test_languages);
    RUN(test_grammar_errors);
    RUN(test_small_masks);
    RUN(test_world_masks);
    RUN(test_leaving);
    RUN(test_matcher);
    RUN(test_choices);
    RUN(test_full);
    RUN(test_memory);
    return test_end();
}
