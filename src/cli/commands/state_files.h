/* state_files.h - files of states: where one is to be saved, and what is wrong with one that does not load. */
#ifndef CLI_STATE_FILES_H
#define CLI_STATE_FILES_H

#include "rwkv7.h"

/* Could a state be written there now, and replace no file that is read? Prints why not. A disk may fill up later. */
int state_path_check(const char *path);

/*
 * Prints the error of a file that did not load, and returns its exit code. Several kinds of files are called a state: if this is another kind
 * than the option takes, it says which kind, and which option takes that one. `tuned`: --state, else --state-in and /load.
 */
int state_report(const struct rwkv7_error *err, const char *path, bool tuned);

#endif
