/* history.h - the file that keeps the lines which were typed at a terminal, from one time to the next. Only where libedit is compiled in. */
#ifndef CLI_HISTORY_H
#define CLI_HISTORY_H

#ifdef HAVE_LIBEDIT
#include <histedit.h>
#include <stdbool.h>

#include "cli/io/lookup.h"

/*
 * The user's own: $XDG_STATE_HOME/rwkv7/history, or ~/.local/state/rwkv7/history. Makes its folder, which only the user may enter. False, and a
 * message where there is something to say, when there can be none.
 */
bool history_default(char path[PATH_ROOM]);
/* An empty history in memory; NULL: out of memory. */
History *history_new(void);
/* False: the file is there, but is no history or cannot be read. One that is not there, or empty, is a history without lines. */
bool history_load(History *h, const char *path);
/* Adds `lines` to the lines that the file has now, which another program may have changed, and writes it anew, for its owner only. */
void history_keep(const char *path, char *const *lines, size_t count);

#endif
#endif
