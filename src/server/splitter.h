/*
 * splitter.h - splits a streamed answer into thoughts (between <think> and </think>) and the rest.
 * White space around both is removed, as in `rwkv7 chat`.
 */
#ifndef SERVER_SPLITTER_H
#define SERVER_SPLITTER_H

#include "server/text.h"

enum splitter_part { SPLITTER_START, SPLITTER_THOUGHT, SPLITTER_ANSWER };

/* A zeroed struct is at the start of an answer. */
struct splitter {
    enum splitter_part part;
    size_t matched;  /* bytes of the tag matched so far */
    size_t newlines; /* trailing newlines, held back until text follows */
    bool any;        /* the current part is not empty */
};

/*
 * Appends new text to `thought` and `answer`. If the input is valid UTF-8, so is what each call
 * appends.
 */
void splitter_add(struct splitter *s, const char *text, size_t size, struct text *thought, struct text *answer);
/* Ends the answer; a partly matched tag becomes text. */
void splitter_end(struct splitter *s, struct text *thought, struct text *answer);

#endif
