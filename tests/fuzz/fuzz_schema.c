/*
 * fuzz_schema.c - any bytes as a JSON Schema or, after the byte G, as a GBNF grammar: either a grammar that
 * can be run, or a message of plain text. Runs under libFuzzer and, over the corpus, under replay.c.
 */
#include "fuzz.h"

#include "matcher/automaton.h"
#include "matcher/grammar.h"

/* Appends an allowed byte, up to a limit. Where no byte is allowed, the text must be complete. */
static void walk(struct automaton *a)
{
    struct rwkv7_error err;
    uint32_t at = automaton_start(a), next = AUTOMATON_DEAD;
    for (int i = 0; i < 40; i++) {
        bool found = false;
        for (unsigned b = 0; b < 256 && !found; b++) {
            const uint8_t byte = (uint8_t)(b * 37 + (unsigned)i); /* all bytes, in another order each time */
            if (automaton_step(a, at, byte, &next, &err) != RWKV7_OK)
                return; /* too many readings or states, with a message */
            found = next != AUTOMATON_DEAD;
        }
        REQUIRE(found || automaton_configuration(a, at).accepts);
        if (!found)
            return;
        at = next;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rwkv7_error err = {0};
    struct grammar *g = NULL;
    struct automaton *a = NULL;
    const bool gbnf = size > 0 && data[0] == 'G';
    const struct schema_options options = {.strict = size % 2, .compact = size % 3 == 0, .in_order = size % 5 < 2};
    char *text = malloc(size + 1); /* on the heap, so that a sanitizer detects reads past the end */
    REQUIRE(text);
    memcpy(text, data, size);
    REQUIRE(grammar_create(&g, &err) == RWKV7_OK);
    const enum rwkv7_status status =
        gbnf ? gbnf_build(text + 1, size - 1, g, &err) : schema_build(text, size, &options, g, &err);
    REQUIRE(status == RWKV7_OK || (status == RWKV7_ERR_USAGE && err.message[0]));
    if (status == RWKV7_OK && automaton_create(g, &a, &err) == RWKV7_OK)
        walk(a);
    automaton_free(a);
    grammar_free(g);
    free(text);
    return 0;
}
