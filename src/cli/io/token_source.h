/* token_source.h - reads a text of any length as token ids, in constant memory. */
#ifndef CLI_TOKEN_SOURCE_H
#define CLI_TOKEN_SOURCE_H

#include <stdbool.h>

#include "cli/io/input.h"
#include "rwkv7.h"

struct token_source {
    const struct rwkv7_tokenizer *tokenizer;
    struct input in;
    char *text; /* text not tokenized yet */
    size_t length;
    uint32_t ids[1 << 12]; /* tokens not returned yet; enough for any character */
    size_t id_begin, id_end;
    bool ended;           /* end of file was reached */
    uint64_t bytes;       /* bytes tokenized so far */
    double bytes_in_file; /* negative: unknown */
};

/* Opens a file; "-" is standard input. Returns an exit code. */
int token_source_open(struct token_source *s, const struct rwkv7_tokenizer *tokenizer, const char *path);
/* Returns the next ids, at most `room`. *got is 0 at the end of file, and if interrupted. */
int token_source_next(struct token_source *s, uint32_t *ids, size_t room, size_t *got);
void token_source_close(struct token_source *s); /* accepts a zeroed struct */

#endif
