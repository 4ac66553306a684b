/*
 * inputs.h - the list of files that this process reads, so that no output replaces one of them.
 *
 * A file is an input while it is mapped (file_map_open to file_map_close), so the weights of an open
 * model cannot be overwritten. The rwkv7 program calls inputs_keep() first: then a mapped file stays
 * an input until the program ends, such as a vocabulary that was parsed and closed. Files that the
 * program reads by other means are added by src/cli/io/inputs.c.
 *
 * out_file_open rejects inputs; code that opens an output by other means calls input_refuse. Files
 * are compared by device and inode, so links and /dev/fd/N are recognized. Only regular files are
 * inputs: a pipe, a terminal or /dev/null may be read and written at the same time.
 *
 * Conversely, the files of standard output and standard error cannot be mapped, and no output
 * replaces them: inputs_output.
 *
 * The list belongs to the process, as its mappings do. All functions are thread-safe.
 */
#ifndef BASE_INPUTS_H
#define BASE_INPUTS_H

#include <sys/stat.h>

#include "base/status.h"

struct input_file;

/* Adds the file of `st`, called `name` in messages. *out: for input_remove; NULL if the file is not a regular one. */
enum rwkv7_status input_add(const struct stat *st, const char *name, struct input_file **out, struct rwkv7_error *err);
/* The same for a file to be mapped. RWKV7_ERR_USAGE: it was given to inputs_output. */
enum rwkv7_status input_map(const struct stat *st, const char *name, struct input_file **out, struct rwkv7_error *err);
/* Undoes one input_add; the file stays an input while another is left. NULL is allowed. */
void input_remove(struct input_file *file);
/* The same when a mapping ends; does nothing after inputs_keep(). */
void input_unmapped(struct input_file *file);
/* From now on, mapped files stay inputs. */
void inputs_keep(void);

/* RWKV7_ERR_USAGE if the file that `st` describes is an input. `path`: for the message. */
enum rwkv7_status input_refuse(const struct stat *st, const char *path, struct rwkv7_error *err);

/* Declares a file that is written until the program ends: of standard output or standard error, at most 2. */
void inputs_output(const struct stat *st);
/* RWKV7_ERR_USAGE if the file was given to inputs_output. */
enum rwkv7_status input_refuse_output(const struct stat *st, const char *path, struct rwkv7_error *err);

#endif
