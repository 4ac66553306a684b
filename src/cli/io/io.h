/*
 * io.h - waits for descriptors, reads and writes them. A signal is never reported as a failure.
 *
 * All descriptors that commands read and write themselves are used through these functions; output
 * files use rwkv7_output.
 */
#ifndef CLI_IO_H
#define CLI_IO_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

enum io_end {
    IO_DONE,
    IO_FAILED,      /* see errno */
    IO_INTERRUPTED, /* `interrupted` is set, and continuing would block */
};

/*
 * Waits until the descriptor is ready. Returns false if interrupted, without a race between the
 * check and the wait.
 */
bool io_wait(int fd, bool writing);
/*
 * Waits until there is something to read. Also returns false if a handler of SIGTSTP, SIGCONT or
 * SIGWINCH sets the flag first.
 */
bool io_wait_until(int fd, const volatile sig_atomic_t *flag);
/* Waits for the next bytes, at most `room`; *got is 0 at the end of file. */
enum io_end io_read(int fd, void *to, size_t room, size_t *got);
/*
 * Writes everything or, once interrupted, what can be written without waiting, since the reader may
 * have stopped. *written: the number of bytes written, also after a failure.
 */
enum io_end io_write(int fd, const void *data, size_t size, size_t *written);

#endif
