/*
 * terminal.h - terminal-only output: the progress line and dimmed text. Prints nothing if standard
 * error is not a terminal, so that logs and pipes contain no escape codes.
 */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <stdbool.h>

double seconds(void); /* monotonic */

/* Returns whether standard error is a terminal that supports control sequences. */
bool terminal_stderr(void);
/* Returns whether it also supports colours; NO_COLOR disables them. */
bool terminal_colours(void);

/* Disables the progress line. */
void progress_disable(void);
/*
 * Draws "what [===== ] 50% 123 unit/s", at most ten times a second, beginning 0.3 seconds after the
 * first call. part: the fraction done, 0 to 1; negative if the total is unknown, then only the
 * count is shown. count: units done.
 */
void progress_show(const char *what, double part, double count, const char *unit);
/* Shows this text as the progress line immediately. */
void progress_text(const char *text);
/* Clears the progress line; call it before printing to a terminal. */
void progress_clear(void);

#endif
