/*
 * splitter.h - divides the text of an answer into thoughts, between <think> and </think>, and the
 * rest. White space around both is dropped, as `rwkv7 chat` does.
 */
#ifndef SERVER_SPLITTER_H
#define SERVER_SPLITTER_H

#include "server/text.h"

enum splitter_part { SPLITTER_START, SPLITTER_THOUGHT, SPLITTER_ANSWER };

/* A zeroed struct is at the start of an answer. */
struct splitter {
    enum splitter_part part;
    size_t matched;  /* bytes of the tag that may begin here */
    size_t newlines; /* at the end; kept back until something follows */
    bool any;        /* the part has some text */
};

/* Appends the new text of the two parts. Valid UTF-8 stays valid in each call. */
void splitter_add(struct splitter *s, const char *text, size_t size, struct text *thought, struct text *answer);
/* Ends the answer: what looked like the beginning of a tag is none. */
void splitter_end(struct splitter *s, struct text *thought, struct text *answer);

#endif
