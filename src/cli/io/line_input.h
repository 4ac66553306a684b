/* line_input.h - reads lines from a file or a pipe as they arrive, optionally without waiting. */
#ifndef CLI_LINE_INPUT_H
#define CLI_LINE_INPUT_H

#include <stdbool.h>

#include "cli/io/input.h"

#define LINE_MOST ((size_t)64 << 20) /* default of `most`; longer lines are skipped */

struct line_input {
    struct input in;
    size_t most;  /* maximum bytes of a line */
    char *buffer; /* [room] bytes read but not yet returned */
    size_t room, begin, end;
    size_t looked;   /* bytes after `begin` already searched for a newline */
    bool closed;     /* end of file was reached */
    bool passing;    /* skipping the rest of a line that is too long */
    uint64_t number; /* number of the line returned last, from 1 */
    uint64_t bytes;  /* bytes returned or skipped */
};

enum line_kind { LINE_READY, LINE_TOO_LONG, LINE_LATER, LINE_END };

/* Opens a file; "-" is standard input. Returns an exit code. */
int line_input_open(struct line_input *l, const char *path);
/*
 * LINE_READY: *line is the next line, a string without its newline, valid until the next call; NULs
 * may be among its *length bytes. LINE_LATER: no complete line has arrived; only if not `wait`, or
 * if interrupted.
 */
int line_input_next(struct line_input *l, bool wait, enum line_kind *kind, char **line, size_t *length);
/* The same, but skips blank lines; they count in `number`. */
int line_input_next_filled(struct line_input *l, bool wait, enum line_kind *kind, char **line, size_t *length);
void line_input_close(struct line_input *l);

#endif
