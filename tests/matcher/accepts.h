/* accepts.h - runs texts through a grammar, for the tests of this folder. */
#ifndef ACCEPTS_H
#define ACCEPTS_H

#include "matcher/automaton.h"
#include "matcher/grammar.h"
#include "test.h"

/* Whether the whole text is one of the grammar; a failure counts as a failed check. */
static bool accepts(struct automaton *a, const char *text, size_t size)
{
    struct rwkv7_error err = {0};
    uint32_t at = automaton_start(a);
    for (size_t i = 0; i < size && at != AUTOMATON_DEAD; i++) {
        if (automaton_step(a, at, (uint8_t)text[i], &at, &err) != RWKV7_OK) {
            CHECK_MSG(false, "%s in %.*s", err.message, (int)size, text);
            return false;
        }
    }
    return at != AUTOMATON_DEAD && automaton_configuration(a, at).accepts;
}

#endif
