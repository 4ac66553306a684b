/* installed.h - finds the files that are installed with the program. */
#ifndef CLI_INSTALLED_H
#define CLI_INSTALLED_H

#include <stdbool.h>
#include <stddef.h>

#define PATH_ROOM 4096 /* bytes; a longer path counts as absent */

/*
 * Returns in `folder` the i-th folder where such files may be, from 0; false: there are no more.
 *   - share/rwkv7 of the prefix that this executable is in, which may have been moved;
 *   - share/rwkv7 of the prefix that was configured;
 *   - scripts/ of the source tree, if the executable is in a build folder inside it.
 * The executable is found on Linux only; elsewhere the configured prefix is the only folder.
 */
bool installed_folder(size_t i, char folder[PATH_ROOM]);

#endif
