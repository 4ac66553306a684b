/* state_files.h - checks the path of a state to save; explains why a state file does not load. */
#ifndef CLI_STATE_FILES_H
#define CLI_STATE_FILES_H

#include "rwkv7.h"

/*
 * Checks that a state can be written to `path` and that it is no input file. Prints the error;
 * returns an exit code. Saving may still fail later, as when the disk is full.
 */
int state_path_check(const char *path);

/*
 * Prints the error of a state file that did not load; returns its exit code. If the file is of
 * another kind (saved state, tuned state, weights, text), names the option that accepts it.
 * `tuned`: the file of --state, else of --state-in or /load.
 */
int state_report(const struct rwkv7_error *err, const char *path, bool tuned);

#endif
