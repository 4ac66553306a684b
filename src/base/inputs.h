/*
 * inputs.h - the input files of this process, so that no output overwrites one of them.
 *
 * A file is an input while it is mapped (file_map_open to file_map_close), so the weights of an
 * open model cannot be overwritten under any name. A program that runs one command calls
 * inputs_keep() first. Then a file that was mapped once, such as a vocabulary that was parsed and
 * closed, stays an input until the program ends. The program itself adds inputs that are not mapped
 * (src/cli/io/inputs.c).
 *
 * out_file_open rejects inputs; code that opens an output otherwise calls input_refuse. Files are
 * compared by device and inode, so links and /dev/fd/N are recognized. Only regular files can be
 * inputs: a pipe, a terminal or /dev/null may be read and written at the same time.
 *
 * Conversely, a file that standard output or standard error goes to cannot be mapped or replaced:
 * see inputs_output.
 *
 * The list belongs to the process, as its mappings do. Any thread may call these functions.
 */
#ifndef BASE_INPUTS_H
#define BASE_INPUTS_H

#include <sys/stat.h>

#include "base/status.h"

struct input_file;

/*
 * Adds the file that `st` describes as an input, called `name` in messages. *out: for input_remove;
 * NULL if it is not a regular file.
 */
enum rwkv7_status input_add(const struct stat *st, const char *name, struct input_file **out, struct rwkv7_error *err);
/*
 * As input_add, for a file that will be mapped. Returns RWKV7_ERR_USAGE if standard output or
 * standard error goes to the file (inputs_output).
 */
enum rwkv7_status input_map(const struct stat *st, const char *name, struct input_file **out, struct rwkv7_error *err);
/* Removes an input, unless it was added more than once. Accepts NULL. */
void input_remove(struct input_file *file);
/* As input_remove, when a mapping ends. Does nothing after inputs_keep(). */
void input_unmapped(struct input_file *file);
void inputs_keep(void);

/*
 * Returns RWKV7_ERR_USAGE if the file that `st` describes is an input and must not be written.
 * path: for the message.
 */
enum rwkv7_status input_refuse(const struct stat *st, const char *path, struct rwkv7_error *err);

/*
 * Registers the file that `st` describes as the target of standard output or standard error until
 * the program ends; at most 2 files.
 */
void inputs_output(const struct stat *st);
/* Returns RWKV7_ERR_USAGE if standard output or standard error goes to the file (inputs_output). */
enum rwkv7_status input_refuse_output(const struct stat *st, const char *path, struct rwkv7_error *err);

#endif
