/*
 * inputs.h - the files that this process reads, so that no output takes the place of one of them.
 *
 * A file is an input while it is mapped (file_map_open to file_map_close): the weights of an open model cannot be written over, under
 * whatever name. A program that runs one command calls inputs_keep() first. What has been mapped then stays an input until the program
 * ends, such as a vocabulary that was parsed and closed, and what it reads by other means it adds itself (src/cli/inputs.c).
 *
 * out_file_open refuses inputs; who opens an output by other means asks input_refuse. Files are compared by device and inode, so
 * links and /dev/fd/N are found. Only regular files are inputs: a pipe, a terminal or /dev/null may be read and written at once.
 *
 * The other way round, a file that the program writes to already, because its standard output goes there, cannot be mapped, and no
 * output replaces it: inputs_output.
 *
 * The list belongs to the process, as its mappings do. Every function here may be called by any thread.
 */
#ifndef BASE_INPUTS_H
#define BASE_INPUTS_H

#include <sys/stat.h>

#include "base/status.h"

struct input_file;

/* The file that `st` describes is an input called `name` in messages. *out: for input_remove; NULL when it is no regular file. */
enum rwkv7_status input_add(const struct stat *st, const char *name, struct input_file **out, struct rwkv7_error *err);
/* The same for a file that is to be mapped: RWKV7_ERR_USAGE when inputs_output named it. */
enum rwkv7_status input_map(const struct stat *st, const char *name, struct input_file **out, struct rwkv7_error *err);
/* It is none any more, unless it was added more than once. NULL is allowed. */
void input_remove(struct input_file *file);
/* The same when a mapping ends: nothing happens after inputs_keep(). */
void input_unmapped(struct input_file *file);
void inputs_keep(void);

/* May the file that `st` describes be replaced or written to? RWKV7_ERR_USAGE when it is an input. `path`: for the message. */
enum rwkv7_status input_refuse(const struct stat *st, const char *path, struct rwkv7_error *err);

/* The file that `st` describes is written to until the program ends: standard output and standard error, at most 2. */
void inputs_output(const struct stat *st);
/* May the file be replaced? RWKV7_ERR_USAGE when inputs_output named it. */
enum rwkv7_status input_refuse_output(const struct stat *st, const char *path, struct rwkv7_error *err);

#endif
