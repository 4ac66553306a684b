/*
 * out_file.h - an output file that appears under its name only when it is complete.
 *
 * The data are written to a file without a name (O_TMPFILE) in the same folder, so nothing is left
 * however the process ends; where that is not supported, to rwkv7-XXXXXXXX.tmp. On commit the file is
 * synced, gets a temporary name, is renamed, and the folder is synced. An existing file is replaced
 * as a whole; the new one has its permissions. If the path is a symbolic link, its target is replaced.
 *
 * These cannot be replaced and are written directly: FIFOs, terminals, other devices, and open
 * descriptors given by name (/dev/stdout, /dev/stderr, /dev/fd/N). The public form is rwkv7_output
 * in rwkv7.h.
 */
#ifndef BASE_OUT_FILE_H
#define BASE_OUT_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

struct out_file {
    int fd;
    char *held; /* buffered data, not written yet; NULL: no file is open */
    size_t held_size;
    char *path;      /* as given, for messages */
    char *target;    /* the file to replace, with symbolic links resolved; NULL: path */
    char *temporary; /* temporary name; NULL when written directly */
    bool nameless;   /* the file has no name yet, not even the temporary one */
};

/*
 * RWKV7_ERR_IO: a folder, a dangling link, or no permission to write. RWKV7_ERR_USAGE: the process
 * reads this file (base/inputs.h). On failure *out is zeroed.
 */
enum rwkv7_status out_file_open(const char *path, struct out_file *out, struct rwkv7_error *err);
/* The same, readable by its owner only, even if it replaces a file that others could read. */
enum rwkv7_status out_file_open_private(const char *path, struct out_file *out, struct rwkv7_error *err);
enum rwkv7_status out_file_write(struct out_file *out, const void *data, size_t size, struct rwkv7_error *err);
/* Writes the rest, syncs, renames and closes. On failure the temporary file is removed and the old file unchanged. */
enum rwkv7_status out_file_commit(struct out_file *out, struct rwkv7_error *err);
/* Discards what was written. Harmless after commit and on a zeroed struct. */
void out_file_abort(struct out_file *out);

#endif
