/*
 * history.h - the file that saves lines typed at a terminal. Compiled only if libedit is available.
 */
#ifndef CLI_HISTORY_H
#define CLI_HISTORY_H

#ifdef HAVE_LIBEDIT
#include <histedit.h>
#include <stdbool.h>

#include "cli/io/lookup.h"

/*
 * Finds the default history file: $XDG_STATE_HOME/rwkv7/history, or ~/.local/state/rwkv7/history.
 * Creates its folder, private to the user. Returns false if there can be none, with a message if
 * the user can change that.
 */
bool history_default(char path[PATH_ROOM]);
/* Returns an empty history in memory; NULL: out of memory. */
History *history_new(void);
/*
 * Loads a history. A missing or empty file has no lines. Returns false if the file is not a history
 * or cannot be read.
 */
bool history_load(History *h, const char *path);
/*
 * Appends `lines` to the file, which another process may have changed since it was loaded, and
 * rewrites it, private to its owner. A lock keeps the lines of programs that end at once. Prints a
 * message on failure.
 */
void history_keep(const char *path, char *const *lines, size_t count);

#endif
#endif
