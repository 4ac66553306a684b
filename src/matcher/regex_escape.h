/*
 * regex_escape.h - reads the characters, escapes and classes of a regular expression, for
 * regex_parse.c.
 */
#ifndef MATCHER_REGEX_ESCAPE_H
#define MATCHER_REGEX_ESCAPE_H

#include "matcher/regex.h"

/* Code points of one general category, numbered by utf8proc. */
struct category_run {
    uint32_t low, high;
    uint8_t category;
};

struct regex_reader {
    const uint8_t *at, *end, *begin;
    struct rwkv7_error *err;
    uint32_t known[128];       /* nodes of the dot and of \d, \w, ... by letter; 0: not used yet */
    struct category_run *runs; /* [run_count] all code points; NULL until the first \p */
    size_t run_count;
    uint32_t categories, categories_node; /* the last set of categories, and its node; 0: none */
};

/* Fails with RWKV7_ERR_USAGE and the position of `where` in characters. */
enum rwkv7_status regex_error(const struct regex_reader *in, const uint8_t *where, const char *fmt, ...)
    RWKV7_PRINTF(3, 4);
/* Reads one UTF-8 character; there must be at least one byte. */
enum rwkv7_status regex_next_char(struct regex_reader *in, uint32_t *c);
/* Reads a character, a dot, an escape or a class [..], and sets the node that matches it. */
enum rwkv7_status regex_parse_chars(struct regex_reader *in, struct regex *r, uint32_t *node);

#endif
