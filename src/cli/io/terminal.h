/*
 * terminal.h - what only a person looks at: the progress line and dimmed text. On anything but a terminal both are silent, so
 * that a log or a pipe never holds an escape code.
 */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <stdbool.h>

double seconds(void); /* monotonic */

/* Standard error is a terminal that understands control sequences. */
bool terminal_stderr(void);
/* The same for colours: NO_COLOR turns them off. */
bool terminal_colours(void);

/* No progress line from now on. */
void progress_disable(void);
/*
 * Draws "what [=====     ]  50%  123 unit/s", ten times a second at most, and not before a third of a second has
 * passed. `part` is what is done, 0 to 1; negative when the whole is unknown, then the count alone is shown. `count` is
 * in units.
 */
void progress_show(const char *what, double part, double count, const char *unit);
/* Shows this line instead, at once. */
void progress_text(const char *text);
/* Takes the line away; everything that prints to a terminal calls it first. */
void progress_clear(void);

#endif
