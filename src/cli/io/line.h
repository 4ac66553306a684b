/*
 * line.h - lines that a person types, with editing and history where the program was built with libedit and talks to a terminal; or
 * plain lines of standard input.
 */
#ifndef CLI_LINE_H
#define CLI_LINE_H

#include "cli/io/complete.h"

struct line_reader;

const char *line_editing(void); /* what edits: "libedit 2.11", or "none" */

struct line_options {
    bool terminal;      /* somebody types */
    bool keeps_history; /* from one time to the next, at a terminal with an editor */
    const char
        *history; /* the file; NULL: the user's own. One that holds anything else is refused, and stays as it is */
    const struct line_word *words; /* [word_count] that Tab completes */
    size_t word_count;
};

/* `options` are used until the reader is closed. Returns an exit code. */
int line_open(struct line_reader **out, const struct line_options *options);
void line_close(struct line_reader *r);

/*
 * The next message: one line, or several when a line ends with a backslash, or when they stand between two lines of three double
 * quotes. *text is allocated, without the last newline; NULL at the end of the input, and when interrupted.
 * MISUSED, for a message that holds a NUL, is not the end.
 */
int line_read(struct line_reader *r, char **text);

#endif
