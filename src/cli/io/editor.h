/* editor.h - edits lines at a terminal with libedit. Compiled only if libedit is available. */
#ifndef CLI_EDITOR_H
#define CLI_EDITOR_H

#ifdef HAVE_LIBEDIT
#include "cli/io/line.h"

struct editor;

/* Returns an exit code. Call editor_close in any case. */
int editor_open(struct editor **out, const struct line_options *options);
/* Saves the history and frees the editor. Accepts NULL. */
void editor_close(struct editor *e);
/*
 * Reads one line, or pasted lines, without the last newline. *text is allocated; NULL at the end of
 * input or if interrupted. The terminal's settings are restored before this returns and while the
 * program is stopped by ^Z.
 */
int editor_line(struct editor *e, const char *prompt, char **text);

#endif
#endif
