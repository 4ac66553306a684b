/*
 * target.h - the path of an output that may be a FIFO.
 *
 * The library opens outputs by name, and opening a FIFO blocks until it has a reader. open() would
 * miss a signal that arrives just before it blocks. So a FIFO is opened here, and the library gets
 * the name of its descriptor.
 */
#ifndef CLI_TARGET_H
#define CLI_TARGET_H

struct target {
    const char *path; /* the path to write to */
    int fd;           /* descriptor of the FIFO; -1: not a FIFO */
    char name[32];
};

/*
 * Waits for a reader and opens a FIFO for writing with these flags. Returns -1 and sets errno on
 * failure, also if interrupted (`interrupted`).
 */
int fifo_open(const char *path, int flags);
/* Returns an exit code: INTERRUPTED after an interruption while waiting for a reader. */
int target_open(struct target *t, const char *path);
void target_close(struct target *t);

#endif
