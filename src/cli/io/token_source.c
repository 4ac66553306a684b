/*
 * token_source.c - see token_source.h. Text is tokenized as far as the bytes that follow cannot
 * change the tokens.
 */
#include "cli/io/token_source.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/io/messages.h"
#include "cli/io/signals.h"

enum { BLOCK = 1 << 16 };

int token_source_open(struct token_source *s, const struct rwkv7_tokenizer *tokenizer, const char *path)
{
    struct stat st;
    *s = (struct token_source){.tokenizer = tokenizer, .bytes_in_file = -1};
    const int code = input_open(&s->in, path);
    if (code != DONE)
        return code;
    if (fstat(s->in.fd, &st) == 0 && S_ISREG(st.st_mode))
        s->bytes_in_file = (double)st.st_size;
    /* Text that cannot be tokenized yet is shorter than the longest token. */
    s->text = malloc(BLOCK + rwkv7_tokenizer_max_length(tokenizer));
    return s->text ? DONE : complain(FAILED, "out of memory for the text");
}

int token_source_next(struct token_source *s, uint32_t *ids, size_t room, size_t *got)
{
    for (*got = 0; !interrupted;) {
        struct rwkv7_error err;
        size_t covered, more;
        if (s->id_begin < s->id_end) {
            *got = s->id_end - s->id_begin < room ? s->id_end - s->id_begin : room;
            memcpy(ids, s->ids + s->id_begin, *got * sizeof *ids);
            s->id_begin += *got;
            return DONE;
        }
        s->id_begin = 0;
        if (rwkv7_tokenizer_encode(s->tokenizer, s->text, s->length, s->ended, s->ids, sizeof s->ids / sizeof s->ids[0],
                                   &s->id_end, &covered, &err) != RWKV7_OK)
            return complain(REJECTED, "%s: %s", s->in.name, err.message);
        s->bytes += covered;
        s->length -= covered;
        memmove(s->text, s->text + covered, s->length);
        if (s->id_end > 0)
            continue;
        if (s->ended)
            return DONE;
        const int code = input_read(&s->in, s->text + s->length, BLOCK, &more);
        if (code != DONE)
            return code;
        s->length += more;
        s->ended = more == 0;
    }
    return DONE;
}

void token_source_close(struct token_source *s)
{
    if (!s->tokenizer)
        return;
    input_close(&s->in);
    free(s->text);
}
