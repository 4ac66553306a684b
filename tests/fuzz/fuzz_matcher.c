/*
 * fuzz_matcher.c - any bytes as a grammar of every kind, followed by a zero and by the choice of tokens: each mask has
 * exactly the tokens that can be added, with and without cached masks, and going back gives the
 * same mask.
 */
#include "fuzz.h"

static const char vocabulary[] =
    "1 'a' 1\n2 'b' 1\n3 'c' 1\n4 ' ' 1\n5 '\"' 1\n6 ':' 1\n7 ',' 1\n8 '{' 1\n9 '}' 1\n10 '[' 1\n11 ']' 1\n12 '0' 1\n"
    "13 '1' 1\n14 '.' 1\n15 '-' 1\n16 'tr' 2\n17 'ue' 2\n18 'null' 4\n19 '\",' 2\n20 '\": ' 3\n21 '{\"' 2\n22 'ab' 2\n"
    "23 '\\n' 1\n24 b'\\xc3' 1\n25 b'\\xa9' 1\n26 '10' 2\n27 ']}' 2\n28 'abc\"' 4\n29 '\\\\' 1\n";

static struct rwkv7_tokenizer *tokenizer;

static struct rwkv7_matcher *matcher_of(struct rwkv7_grammar_options *o, size_t mask_bytes, struct rwkv7_error *err)
{
    struct rwkv7_grammar *g;
    struct rwkv7_matcher *m = NULL;
    o->mask_bytes = mask_bytes;
    if (rwkv7_grammar_create(o, tokenizer, &g, err) != RWKV7_OK) {
        REQUIRE(err->message[0]);
        return NULL;
    }
    if (rwkv7_matcher_create(g, &m, err) != RWKV7_OK)
        REQUIRE(err->message[0]);
    rwkv7_grammar_close(g);
    return m;
}

/* The token must be in the mask if and only if it can be added. False: a limit was reached. */
static bool check(struct rwkv7_matcher *m, uint64_t mask)
{
    struct rwkv7_error err = {0};
    const size_t tokens = rwkv7_matcher_tokens(m);
    for (uint32_t id = 0; id < rwkv7_tokenizer_size(tokenizer); id++) {
        const enum rwkv7_status status = rwkv7_matcher_advance(m, id, &err);
        if (status != RWKV7_OK && !strstr(err.message, "does not allow"))
            return false;
        REQUIRE((status == RWKV7_OK) == (mask >> id & 1));
        rwkv7_matcher_undo(m, rwkv7_matcher_tokens(m) - tokens);
    }
    return true;
}

static void walk(struct rwkv7_matcher *m, struct rwkv7_matcher *n, const uint8_t *choices, size_t count)
{
    const uint64_t *mask, *same;
    size_t allowed, again;
    for (size_t i = 0; i < count && i < 24; i++) {
        if (rwkv7_matcher_mask(m, &mask, &allowed, NULL) != RWKV7_OK ||
            rwkv7_matcher_mask(n, &same, &again, NULL) != RWKV7_OK)
            return;
        const uint64_t first = mask[0];
        REQUIRE(first == same[0] && allowed == again);
        REQUIRE((first & 1) == rwkv7_matcher_is_accepting(m));
        if (allowed == 0 || !check(m, first))
            return;
        uint32_t id = choices[i] % 30;
        while (id == 0 || !(first >> id & 1))
            id = (id + 1) % 30;
        REQUIRE(rwkv7_matcher_advance(m, id, NULL) == RWKV7_OK);
        rwkv7_matcher_undo(m, 1);
        REQUIRE(rwkv7_matcher_mask(m, &mask, &allowed, NULL) == RWKV7_OK && mask[0] == first);
        if (rwkv7_matcher_advance(m, id, NULL) != RWKV7_OK || rwkv7_matcher_advance(n, id, NULL) != RWKV7_OK)
            return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rwkv7_grammar_options o = RWKV7_OPTIONS(o);
    struct rwkv7_error err = {0};
    if (!tokenizer && rwkv7_tokenizer_open_memory(vocabulary, strlen(vocabulary), "fuzz", &tokenizer, &err) != RWKV7_OK)
        abort();
    if (size < 2)
        return 0;
    const uint8_t *const end = memchr(data + 1, 0, size - 1);
    char *const text = calloc(size, 1);
    const size_t length = end ? (size_t)(end - data - 1) : size - 1;
    if (!text)
        return 0;
    memcpy(text, data + 1, length);
    const char *const choices[] = {text, "a", "abc"};
    o.kind = (enum rwkv7_grammar_kind)(data[0] % 5);
    o.strict = data[0] >> 6 & 1;
    o.compact = data[0] >> 7 & 1;
    o.text = text;
    o.choices = choices;
    o.choice_count = 3;
    struct rwkv7_matcher *const m = matcher_of(&o, 0, &err), *const n =
                                                                 m ? matcher_of(&o, RWKV7_NO_MASK_CACHE, &err) : NULL;
    if (m && n)
        walk(m, n, end ? end + 1 : data, end ? size - length - 2 : size);
    rwkv7_matcher_close(m);
    rwkv7_matcher_close(n);
    free(text);
    return 0;
}
