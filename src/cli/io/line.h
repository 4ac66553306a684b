/*
 * line.h - reads the messages of chat: from a terminal with editing and history, if built with
 * libedit, or as plain lines of standard input.
 */
#ifndef CLI_LINE_H
#define CLI_LINE_H

#include "cli/io/complete.h"

struct line_reader;

const char *line_editing(void); /* the line editor: "libedit 2.11" or "none" */

struct line_options {
    bool terminal;                 /* standard input is a terminal */
    bool keeps_history;            /* save the history, at a terminal with an editor */
    const char *history;           /* history file; NULL: the default one */
    const struct line_word *words; /* [word_count] commands, for completion */
    size_t word_count;
};

/* Options must outlive the reader. Returns an exit code; call line_close in any case. */
int line_open(struct line_reader **out, const struct line_options *options);
void line_close(struct line_reader *r);

/*
 * Reads the next message: one line; several, if a line ends with a backslash; or the lines between
 * two lines of three double quotes. *text is allocated, without the last newline; NULL at the end
 * of input or if interrupted. MISUSED: the message contained a NUL; the next one can be read.
 */
int line_read(struct line_reader *r, char **text);

#endif
