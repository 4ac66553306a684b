/*
 * target.h - the path of an output that may be a FIFO.
 *
 * The library opens outputs by name, and opening a FIFO waits for a reader. A signal that comes just
 * before would be lost: open() is interrupted only by one that comes after it has begun to wait. So
 * a FIFO is opened here, and the library gets a name of its descriptor.
 */
#ifndef CLI_TARGET_H
#define CLI_TARGET_H

struct target {
    const char *path; /* to write to */
    int fd;           /* of a FIFO; -1: it is not one */
    char name[32];
};

/*
 * Opens a FIFO for writing, with these flags, when it has a reader. Returns -1, with errno, also
 * after an interruption while waiting (`interrupted`).
 */
int fifo_open(const char *path, int flags);
/* Returns an exit code: INTERRUPTED after an interruption while waiting for a reader. */
int target_open(struct target *t, const char *path);
void target_close(struct target *t);

#endif
