/*
 * face.h - how an answer looks: without white space around it, and with the thoughts (what stands between <think> and </think>)
 * dimmed on a terminal, in their tags, or left out.
 */
#ifndef CLI_FACE_H
#define CLI_FACE_H

#include <stdbool.h>
#include <stddef.h>

enum thoughts { THOUGHTS_SHOW, THOUGHTS_HIDE };

struct face {
    bool dim; /* colours may be used */
    enum thoughts thoughts;
    enum { FACE_START, FACE_THOUGHT, FACE_ANSWER } part;
    size_t matched;  /* bytes of a tag that may have begun */
    size_t newlines; /* held back: they may be the last ones */
    bool any;        /* something of this part was shown */
};

/* `opening`: what the template has put at the beginning of the answer. These return exit codes. */
int face_begin(struct face *f, bool dim, enum thoughts thoughts, const char *opening);
int face_show(void *face, const char *text, size_t length);
int face_end(struct face *f);

#endif
