/*
 * regex.h - regular expressions over bytes, as nodes of one arena, and their derivatives.
 *
 * A node is a number. Equal expressions are the same number (hash-consing), after the usual
 * simplifications: unions are flat, sorted and without duplicates; the empty text vanishes from
 * concatenations; repetitions keep their counters and are not copied, so x{0,1000} is one node.
 *
 * The derivative of a node by a byte is the node that matches the rest of the text. So a node is
 * also a state of a DFA, and no other form of the expression is needed: dfa.h keeps rows of
 * derivatives.
 *
 * Front ends build expressions bottom-up and need not check each call: a failure (out of memory,
 * too many nodes) is recorded in the arena, later calls return REGEX_NOTHING, and regex_status
 * reports it once. A node belongs to its arena; the arena is freed as a whole.
 *
 * Characters are Unicode code points, matched as their UTF-8 bytes. Surrogates are never matched.
 */
#ifndef MATCHER_REGEX_H
#define MATCHER_REGEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define REGEX_MAX_NODES (1u << 19)
#define REGEX_MAX_TEXT (1u << 16) /* bytes of an expression that is parsed */
#define REGEX_NO_LIMIT UINT32_MAX /* as the `max` of regex_repeat; the largest finite count is 2^31 - 1 */

/* Nodes with fixed numbers. */
#define REGEX_NOTHING 0u  /* matches no text at all */
#define REGEX_EMPTY 1u    /* matches only the empty text */
#define REGEX_ANYTHING 2u /* matches every sequence of bytes, also invalid UTF-8 */

struct regex;

struct regex_range {
    uint32_t low, high; /* code points, both included */
};

struct regex_text {
    const char *bytes; /* [size] */
    size_t size;
};

enum rwkv7_status regex_create(struct regex **out, struct rwkv7_error *err);
void regex_free(struct regex *r); /* NULL: does nothing */

/* Returns the first failure of any call on this arena, and its message; RWKV7_OK if there is none. */
enum rwkv7_status regex_status(const struct regex *r, struct rwkv7_error *err);
uint32_t regex_count(const struct regex *r); /* nodes so far */

/* ---------------------------------------------------------------------------------------- builders */

uint32_t regex_byte_range(struct regex *r, uint8_t low, uint8_t high);                  /* one byte */
uint32_t regex_literal(struct regex *r, const void *bytes, size_t size);                /* exactly these bytes */
uint32_t regex_literals(struct regex *r, const struct regex_text *texts, size_t count); /* one of these texts */
/* One character of the ranges, in any order; negate: one that is in none of them. */
uint32_t regex_chars(struct regex *r, const struct regex_range *ranges, size_t count, bool negate);
uint32_t regex_any_char(struct regex *r); /* any one character */
uint32_t regex_any_text(struct regex *r); /* any number of any characters: every valid UTF-8 text */
uint32_t regex_concat(struct regex *r, uint32_t a, uint32_t b); /* build long sequences from the right: faster */
uint32_t regex_union(struct regex *r, uint32_t a, uint32_t b);
uint32_t regex_union_of(struct regex *r, const uint32_t *nodes, size_t count); /* faster for many */
/* min to max times `a`. max is at least min; REGEX_NO_LIMIT: any number. */
uint32_t regex_repeat(struct regex *r, uint32_t a, uint32_t min, uint32_t max);
uint32_t regex_and(struct regex *r, uint32_t a, uint32_t b); /* texts that both match */
uint32_t regex_not(struct regex *r, uint32_t a);             /* all byte sequences that `a` does not match */
uint32_t regex_not_text(struct regex *r, uint32_t a);        /* all valid UTF-8 texts that `a` does not match */
/*
 * The texts of `a` as they are written inside a JSON string, without the quotes: `"` as \", `\` as \\,
 * control characters as \b \f \n \r \t or \u00XX (four hexadecimal digits, lower or upper case), all others
 * as they are. So pattern, length and excluded keys are first combined as texts, then quoted once:
 *     regex_quoted(r, regex_and(r, pattern, regex_repeat(r, regex_any_char(r), 3, 10)))
 */
uint32_t regex_quoted(struct regex *r, uint32_t a);

/* ------------------------------------------------------------------------------------------ parser */

enum {
    REGEX_SEARCH = 1, /* matches texts that contain a match, as `pattern` of JSON Schema does; otherwise the
                         whole text must match, and ^ and $ at its ends change nothing */
};

/*
 * Parses an expression in the syntax of ECMAScript, without what is not regular: . [..] \d \w \s \D \W \S
 * | (..) (?:..) (?<name>..) * + ? {m} {m,} {m,n} (with a trailing ? as without it), ^ $, (?=..) and
 * (?!..) where the rest of the whole expression follows, \t \n \r \v \f \0 \xHH \uHHHH \u{H..} \cX,
 * common \p{..}, escaped punctuation. RWKV7_ERR_USAGE: "regular expression, character 7: ...", the
 * position counted from 1; backreferences, \b and lookbehind are refused. The result is a node of `r`
 * that matches UTF-8. A failure is not recorded in the arena, unless it is one of memory or nodes.
 */
enum rwkv7_status regex_parse(struct regex *r, const char *text, size_t size, unsigned flags, uint32_t *out,
                              struct rwkv7_error *err);

/* --------------------------------------------------------------------------------------- questions */

bool regex_nullable(const struct regex *r, uint32_t a); /* whether it matches the empty text */
uint32_t regex_derive(struct regex *r, uint32_t a, uint8_t byte);
/* Whether `a` matches the whole text: to test an enum's values against a pattern. False after a failure. */
bool regex_matches(struct regex *r, uint32_t a, const void *text, size_t size);
/*
 * Whether `a` matches no text. REGEX_NOTHING does not; intersections and complements are searched,
 * with a limit of states: RWKV7_ERR_USAGE.
 */
enum rwkv7_status regex_is_void(struct regex *r, uint32_t a, bool *is_void, struct rwkv7_error *err);

#endif
