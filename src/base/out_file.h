/*
 * out_file.h - writes a file that appears under its name only when it is complete.
 *
 * The file is written in the same folder, without a name (O_TMPFILE): nothing is left if the
 * process is killed. If the system or the file system does not support that, it is written as
 * rwkv7-XXXXXXXX.tmp. Then it is synced and renamed, and the folder is synced.
 *
 * An existing file is replaced and its permissions are kept. If the name is a symbolic link, the
 * link stays and its target is replaced. What cannot be replaced is written directly: a FIFO, a
 * terminal, another device, and an open descriptor that is given by name (/dev/stdout, /dev/stderr,
 * /dev/fd/N), whatever it refers to.
 *
 * rwkv7_output in rwkv7.h is the public interface.
 */
#ifndef BASE_OUT_FILE_H
#define BASE_OUT_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

struct out_file {
    int fd;
    char *held; /* the buffer; NULL: no file is open */
    size_t held_size;
    char *path;      /* as given by the caller, for messages */
    char *target;    /* file to replace, after symbolic links; NULL: path */
    char *temporary; /* temporary name; NULL: written directly */
    bool nameless;   /* the file does not have that name yet */
};

/*
 * Opens a file for writing. RWKV7_ERR_IO: a folder, a dangling link, or a file that may not be
 * written. RWKV7_ERR_USAGE: an input of this process (base/inputs.h). On failure *out is zeroed.
 */
enum rwkv7_status out_file_open(const char *path, struct out_file *out, struct rwkv7_error *err);
/*
 * As out_file_open, but the file is private to its owner, even if it replaces one that others could
 * read.
 */
enum rwkv7_status out_file_open_private(const char *path, struct out_file *out, struct rwkv7_error *err);
enum rwkv7_status out_file_write(struct out_file *out, const void *data, size_t size, struct rwkv7_error *err);
/*
 * Flushes, syncs, renames and closes the file. On failure the temporary file is removed and the old
 * file is unchanged.
 */
enum rwkv7_status out_file_commit(struct out_file *out, struct rwkv7_error *err);
/* Closes and removes the file. Does nothing after commit and on a zeroed struct. */
void out_file_abort(struct out_file *out);

#endif
