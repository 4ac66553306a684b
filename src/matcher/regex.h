/*
 * regex.h - regular expressions over bytes, as nodes of one arena, and their derivatives.
 *
 * A node is a number. Equal expressions are the same number (hash-consing), after the usual
 * simplifications: unions are flat, sorted and without duplicates; the empty text vanishes from
 * concatenations; repetitions keep their counters and are not copied, so x{0,1000} is one node.
 *
 * The derivative of a node by a byte is the node that matches the rest of the text after that byte.
 * So a node is also a DFA state, and no separate automaton is built: automaton.h caches rows of
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
#define REGEX_NO_LIMIT UINT32_MAX /* a `max` of regex_repeat; finite ones are below 2^31 */

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

/* Returns the first failure of any call on this arena; RWKV7_OK if there is none. */
enum rwkv7_status regex_status(const struct regex *r, struct rwkv7_error *err);
uint32_t regex_count(const struct regex *r); /* nodes so far */

/* ------------------------------------------------------------------------------------- builders */

uint32_t regex_byte_range(struct regex *r, uint8_t low, uint8_t high);                  /* one byte */
uint32_t regex_literal(struct regex *r, const void *bytes, size_t size);                /* exactly these bytes */
uint32_t regex_literals(struct regex *r, const struct regex_text *texts, size_t count); /* one of these texts */
/* One character of the ranges, which may be in any order; negate: one of none of them. */
uint32_t regex_chars(struct regex *r, const struct regex_range *ranges, size_t count, bool negate);
uint32_t regex_any_char(struct regex *r); /* any one character */
uint32_t regex_any_text(struct regex *r); /* any number of any characters: every valid UTF-8 text */
uint32_t regex_concat(struct regex *r, uint32_t a, uint32_t b); /* fastest from right to left */
uint32_t regex_union(struct regex *r, uint32_t a, uint32_t b);
uint32_t regex_union_of(struct regex *r, const uint32_t *nodes, size_t count); /* faster for many */
/* Repeats `a` min to max times. max >= min; REGEX_NO_LIMIT: no upper limit. */
uint32_t regex_repeat(struct regex *r, uint32_t a, uint32_t min, uint32_t max);
uint32_t regex_and(struct regex *r, uint32_t a, uint32_t b); /* texts that both match */
uint32_t regex_not(struct regex *r, uint32_t a);             /* all other byte sequences */
uint32_t regex_not_text(struct regex *r, uint32_t a);        /* all other valid UTF-8 texts */
/*
 * Returns the texts of `a` as they appear inside a JSON string, without the quotes: `"` as \", `\`
 * as \\, control characters as \b \f \n \r \t or \u00XX (hexadecimal digits in either case), all
 * others unescaped. Combine patterns, lengths and excluded keys as plain texts first, then quote
 * the result once:
 *     regex_quoted(r, regex_and(r, pattern, regex_repeat(r, regex_any_char(r), 3, 10)))
 */
uint32_t regex_quoted(struct regex *r, uint32_t a);

/* --------------------------------------------------------------------------------------- parser */

enum {
    REGEX_SEARCH = 1, /* matches texts that contain a match, as `pattern` of JSON Schema does; otherwise the
                         whole text must match, and ^ and $ at its ends change nothing */
};

/*
 * Parses an expression in ECMAScript syntax, except for its non-regular features. Supported: . [..]
 * \d \w \s \D \W \S | (..) (?:..) (?<name>..) * + ? {m} {m,} {m,n} (a trailing ? has no effect), ^
 * $, (?=..) and (?!..) where the rest of the whole expression follows, \t \n \r \v \f \0 \xHH
 * \uHHHH \u{H..} \cX, \p{..} with a general category, escaped punctuation. RWKV7_ERR_USAGE:
 * "regular expression, character 7: ...", counted from 1. Backreferences, \b and lookbehind are
 * refused. The result is a node of `r` that matches UTF-8. Syntax errors are not recorded in the
 * arena; running out of memory or nodes is.
 */
enum rwkv7_status regex_parse(struct regex *r, const char *text, size_t size, unsigned flags, uint32_t *out,
                              struct rwkv7_error *err);

/* -------------------------------------------------------------------------------------- queries */

bool regex_nullable(const struct regex *r, uint32_t a); /* whether it matches the empty text */
uint32_t regex_derive(struct regex *r, uint32_t a, uint8_t byte);
/*
 * Returns whether `a` matches the whole text; tests enum values against a pattern. False after a
 * failure.
 */
bool regex_matches(struct regex *r, uint32_t a, const void *text, size_t size);
/*
 * Sets *is_void to whether `a` matches no text at all. Simplification reduces most such expressions
 * to REGEX_NOTHING; those with intersections or complements need a search. RWKV7_ERR_USAGE: the
 * search exceeded its limit of states.
 */
enum rwkv7_status regex_is_void(struct regex *r, uint32_t a, bool *is_void, struct rwkv7_error *err);

#endif
