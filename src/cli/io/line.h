/*
 * line.h - lines that a person types, with editing and history where the program was built with libedit and talks to a terminal; or
 * plain lines of standard input.
 */
#ifndef CLI_LINE_H
#define CLI_LINE_H

#include <stdbool.h>

struct line_reader;

const char *line_editing(void); /* what edits: "libedit 2.11", or "none" */

/*
 * `history_file` names a file that keeps the lines from one time to the next; NULL: none. One that holds anything else is refused, and
 * stays as it is. Returns an exit code.
 */
int line_open(struct line_reader **out, bool terminal, const char *history_file);
void line_close(struct line_reader *r);

/*
 * The next message: one line, or several when a line ends with a backslash, or when they stand between two lines of three double
 * quotes. *text is allocated, without the last newline; NULL at the end of the input, and when interrupted.
 * MISUSED, for a message that holds a NUL, is not the end.
 */
int line_read(struct line_reader *r, char **text);

#endif
