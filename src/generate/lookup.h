/*
 * lookup.h - drafts by lookup: finds the last earlier occurrence of the final tokens of the text,
 * and proposes the tokens that followed it. Texts that repeat their prompt (editing, extraction,
 * code) have many such occurrences.
 *
 * Two hash tables map each sequence of 3 and of 2 tokens to the position after it; newer positions
 * replace older ones. A zeroed struct is an empty lookup.
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
    uint32_t *places[LOOKUP_TABLES]; /* [2 * room] by hash: position after the sequence; 0: none */
};

void lookup_clear(struct lookup *l); /* frees its memory */
/*
 * Appends tokens [count] to the text. If memory is short, or beyond LOOKUP_MOST tokens, it drops
 * the text so far; that only loses guesses.
 */
#define LOOKUP_MOST ((size_t)1 << 22)
void lookup_add(struct lookup *l, const uint32_t *ids, size_t count);
/*
 * Proposes the next tokens: writes `room` ids and returns their number, or 0. *match: how many
 * tokens before the found place equal those at the end of the text, at most LOOKUP_MATCH.
 */
#define LOOKUP_MATCH 32
size_t lookup_draft(const struct lookup *l, uint32_t *ids, size_t room, size_t *match);

#endif
