/* line_input.h - lines from a file or a pipe, as they come: without waiting while there is something else to do. */
#ifndef CLI_LINE_INPUT_H
#define CLI_LINE_INPUT_H

#include <stdbool.h>

#include "cli/io/input.h"

#define LINE_MOST ((size_t)64 << 20) /* bytes of a line, unless `most` says otherwise; a longer one is passed over */

struct line_input {
    struct input in;
    size_t most;  /* bytes of a line */
    char *buffer; /* [room] read and not yet given out */
    size_t room, begin, end;
    size_t looked;   /* bytes behind begin without a newline */
    bool closed;     /* there is nothing more to read */
    bool passing;    /* over the rest of a line that is too long */
    uint64_t number; /* of the line given out last, from 1 */
    uint64_t bytes;  /* given out or passed over */
};

enum line_kind { LINE_READY, LINE_TOO_LONG, LINE_LATER, LINE_END };

/* "-" is standard input. */
int line_input_open(struct line_input *l, const char *path);
/*
 * LINE_READY: the next line, a string without its newline that lives until the next call; NULs may be among its *length bytes.
 * LINE_LATER: it has not come yet; only if not `wait`, or when interrupted.
 */
int line_input_next(struct line_input *l, bool wait, enum line_kind *kind, char **line, size_t *length);
/* The same, passing over blank lines, which count. */
int line_input_next_filled(struct line_input *l, bool wait, enum line_kind *kind, char **line, size_t *length);
void line_input_close(struct line_input *l);

#endif
