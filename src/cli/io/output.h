/* output.h - standard output, and the order of both streams. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/json_tree.h"

/*
 * Standard output. These return DONE, CLOSED, or FAILED after a message.
 *
 * out_write: text of models and users. Pipes and files receive it unchanged; on a terminal, control
 * characters except newline and tab (escape sequences, C1 controls, controls of text direction) are
 * shown as escapes, even if they are divided between calls. out_control: the program's own control
 * sequences, for terminals.
 */
int out_write(const void *data, size_t size);
int out_control(const char *sequence);
int out_flush(void);
/*
 * Returns how many bytes written since the last call were lost, because the program was interrupted
 * or the reader is gone. Call it after out_flush.
 */
size_t out_lost(void);
void out_end_line(void); /* ends an unfinished line on a terminal */
/*
 * Ends an unfinished line before a message on standard error, also where both streams are shown in
 * the same place: a terminal at the end of a pipe, or a common log. Returns false if interrupted
 * and writing would block; then do not write.
 */
bool err_begin_line(void);
int out_json(struct json_tree *json, bool indented); /* prints and frees the tree */
int out_close(void);                                 /* ENOSPC may be reported only here */

#endif
