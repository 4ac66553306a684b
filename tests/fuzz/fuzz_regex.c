/*
 * fuzz_regex.c - any bytes as a regular expression: it is refused with a message, or its complement, its quoted form
 * and its derivatives agree with it.
 */
#include "fuzz.h"
#include "matcher/regex.h"

static void check(struct regex *r, uint32_t node, const char *text, size_t size)
{
    const bool matches = regex_matches(r, node, text, size);
    if (regex_status(r, NULL) != RWKV7_OK)
        return;
    const bool other = regex_matches(r, regex_not(r, node), text, size);
    if (regex_status(r, NULL) == RWKV7_OK)
        REQUIRE(matches != other);
    /* These texts are the same inside a JSON string. */
    const bool quoted = regex_matches(r, regex_quoted(r, node), text, size);
    if (regex_status(r, NULL) == RWKV7_OK)
        REQUIRE(matches == quoted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const texts[] = {"", "a", "ab", "aaaa", "0a 9", "\xc3\xa9x", "(a|b)*", "abcabcabc"};
    struct rwkv7_error err = {0};
    struct regex *r;
    uint32_t node;
    if (size == 0 || regex_create(&r, &err) != RWKV7_OK)
        return 0;
    if (regex_parse(r, (const char *)data + 1, size - 1, data[0] & REGEX_SEARCH, &node, &err) != RWKV7_OK) {
        REQUIRE(err.message[0]);
    } else {
        bool is_void = false;
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
            check(r, node, texts[i], strlen(texts[i]));
        if (regex_is_void(r, node, &is_void, &err) == RWKV7_OK && is_void)
            for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
                REQUIRE(!regex_matches(r, node, texts[i], strlen(texts[i])));
    }
    regex_free(r);
    return 0;
}
