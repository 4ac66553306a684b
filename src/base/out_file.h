/*
 * out_file.h - a file that appears under its name only when it is whole.
 *
 * It is written in the same folder without a name, so that nothing stays of it whatever ends the process; where the system or
 * the file system cannot do that, as rwkv7-XXXXXXXX.tmp. It is synced, renamed from such a name, and the folder is synced. A file of its name is replaced
 * as a whole and keeps its permissions; where the name is a symbolic link, the link stays and the file that it leads to is replaced.
 * What cannot be replaced is written directly: a FIFO, a terminal, another device, and an open descriptor under a name
 * (/dev/stdout, /dev/stderr, /dev/fd/N), whatever it leads to. The same for programs: rwkv7_output in rwkv7.h.
 */
#ifndef BASE_OUT_FILE_H
#define BASE_OUT_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

struct out_file {
    int fd;
    char *held; /* what is not written yet; NULL: nothing is open */
    size_t held_size;
    char *path;      /* as given, for messages */
    char *target;    /* the file behind symbolic links that is replaced; NULL: path */
    char *temporary; /* its name until it is renamed; NULL when written directly */
    bool nameless;   /* it does not have that name, or not yet */
};

/*
 * A folder, a link to nothing, a file that may not be written to: RWKV7_ERR_IO; one that this process reads (base/inputs.h):
 * RWKV7_ERR_USAGE. *out is zeroed then.
 */
enum rwkv7_status out_file_open(const char *path, struct out_file *out, struct rwkv7_error *err);
/* The same, but the file is for its owner only, also where it replaces one that others could read. */
enum rwkv7_status out_file_open_private(const char *path, struct out_file *out, struct rwkv7_error *err);
enum rwkv7_status out_file_write(struct out_file *out, const void *data, size_t size, struct rwkv7_error *err);
/* Flushes, syncs, renames and closes; on failure the temporary file is gone and the old file untouched. */
enum rwkv7_status out_file_commit(struct out_file *out, struct rwkv7_error *err);
/* Gives up: nothing stays of the file. Harmless after commit and on a zeroed struct. */
void out_file_abort(struct out_file *out);

#endif
