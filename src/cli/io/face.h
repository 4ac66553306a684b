/*
 * face.h - formats a streamed answer: trims it, dims, tags or hides its <think> block, and writes
 * tool calls as lines of JSON. Thoughts are dimmed on a terminal, and put between <think> and
 * </think> elsewhere.
 */
#ifndef CLI_FACE_H
#define CLI_FACE_H

#include <stdbool.h>
#include <stddef.h>

#include "generate/tool_calls.h"

enum thoughts { THOUGHTS_SHOW, THOUGHTS_HIDE };

struct face {
    bool dim; /* the output is a terminal with colours */
    enum thoughts thoughts;
    enum { FACE_START, FACE_THOUGHT, FACE_ANSWER } part;
    size_t matched;  /* bytes of a possible tag that have matched */
    size_t newlines; /* newlines held back, since they may be the last */
    bool any;        /* text of this part was shown */
    bool with_calls; /* the answer may call tools */
    struct tool_calls calls;
    struct text content; /* used by face.c */
};

/*
 * opening: the text that the template puts at the start of the answer. These functions return exit
 * codes. Call face_end in any case. complete: the model ended the answer.
 */
int face_begin(struct face *f, bool dim, enum thoughts thoughts, bool with_calls, const char *opening);
int face_show(void *face, const char *text, size_t length);
int face_end(struct face *f, bool complete);

#endif
