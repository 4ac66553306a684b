/* token_source.h - a text of any length as token ids, in constant memory. */
#ifndef CLI_TOKEN_SOURCE_H
#define CLI_TOKEN_SOURCE_H

#include <stdbool.h>

#include "cli/io/input.h"
#include "rwkv7.h"

struct token_source {
    const struct rwkv7_tokenizer *tokenizer;
    struct input in;
    char *text; /* read and not yet encoded */
    size_t length;
    uint32_t ids[1 << 12]; /* encoded and not yet given: fewer might not take a single character */
    size_t id_begin, id_end;
    bool ended;           /* there is nothing more to read */
    uint64_t bytes;       /* encoded so far */
    double bytes_in_file; /* negative when unknown */
};

/* "-" is standard input. */
int token_source_open(struct token_source *s, const struct rwkv7_tokenizer *tokenizer, const char *path);
/* The next ids, at most `room`. *got is 0 at the end of the text, and when interrupted. */
int token_source_next(struct token_source *s, uint32_t *ids, size_t room, size_t *got);
void token_source_close(struct token_source *s); /* harmless on a zeroed struct */

#endif
