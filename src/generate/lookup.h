/*
 * lookup.h - drafts by lookup: finds the last place where the text had the same tokens as now, and
 * proposes the tokens that followed there. Text that repeats its prompt (editing, extraction, code)
 * has many such places.
 *
 * Two hash tables have the place after each sequence of 3 and of 2 tokens; a newer place replaces
 * an older one. A zeroed struct is an empty lookup.
 */
#ifndef GENERATE_LOOKUP_H
#define GENERATE_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOOKUP_SHORT = 2, LOOKUP_TABLES = 2 }; /* sequences of 2 and 3 tokens */

struct lookup {
    uint32_t *tokens; /* [count] the text */
    size_t count, room;
    uint32_t *places[LOOKUP_TABLES]; /* [2 * room] by hash: where the token after the sequence is; 0: none */
};

void lookup_clear(struct lookup *l); /* frees its memory */
/*
 * Adds tokens [count] at the end of the text. Without memory, or past LOOKUP_MOST tokens, it
 * forgets the text so far: drafts are only guesses.
 */
#define LOOKUP_MOST ((size_t)1 << 22)
void lookup_add(struct lookup *l, const uint32_t *ids, size_t count);
/*
 * Proposes the next tokens: writes `room` ids and returns their number, or 0. *match: the number of
 * tokens at the end of the text that agree with those before the place, at most LOOKUP_MATCH.
 */
#define LOOKUP_MATCH 32
size_t lookup_draft(const struct lookup *l, uint32_t *ids, size_t room, size_t *match);

#endif
