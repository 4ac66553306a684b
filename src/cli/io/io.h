/*
 * io.h - waiting for a descriptor, reading from it and writing to it, such that a signal is never taken for a failure.
 *
 * All that a command reads and writes by itself goes through here; files of the library go through rwkv7_output.
 */
#ifndef CLI_IO_H
#define CLI_IO_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

enum io_end {
    IO_DONE,
    IO_FAILED,      /* errno says why */
    IO_INTERRUPTED, /* `interrupted` is set, and to go on would be to wait */
};

/* Until the descriptor is ready; false when interrupted first, even if that was between looking and waiting. */
bool io_wait(int fd, bool writing);
/* Until there is something to read; false, too, when a handler of SIGTSTP, SIGCONT or SIGWINCH sets the flag first. */
bool io_wait_until(int fd, const volatile sig_atomic_t *flag);
/* Waits for the next bytes, at most `room`; *got is 0 at the end. */
enum io_end io_read(int fd, void *to, size_t room, size_t *got);
/*
 * All of it, or, once interrupted, what can be written without waiting: who reads may have stopped reading. *written: how many bytes that were,
 * also after a failure.
 */
enum io_end io_write(int fd, const void *data, size_t size, size_t *written);

#endif
