/* editor.h - lines that are edited at a terminal, with libedit. Only where it is compiled in. */
#ifndef CLI_EDITOR_H
#define CLI_EDITOR_H

#ifdef HAVE_LIBEDIT
#include "cli/io/line.h"

struct editor;

/* Returns an exit code. The editor must be closed in any case. */
int editor_open(struct editor **out, const struct line_options *options);
/* Keeps the history. NULL is allowed. */
void editor_close(struct editor *e);
/*
 * One line, or what was pasted as one, without its last newline. *text is allocated; NULL at the end and when interrupted. The terminal is as it was
 * before when this returns, and while the program is stopped by ^Z.
 */
int editor_line(struct editor *e, const char *prompt, char **text);

#endif
#endif
