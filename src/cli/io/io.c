/* io.c - see io.h. */
#include "cli/io/io.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

#include "cli/io/signals.h"

#ifndef PIPE_BUF
#define PIPE_BUF 512 /* the minimum that POSIX allows */
#endif

static const volatile sig_atomic_t unset = 0;

static bool wait_for(int fd, bool writing, const volatile sig_atomic_t *other)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGCONT, SIGWINCH};
    sigset_t interrupts, before;
    fd_set set;
    const struct timespec none = {0, 0};
    int ready;

    if (fd < 0 || fd >= FD_SETSIZE)
        return !interrupted;
    sigemptyset(&interrupts);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaddset(&interrupts, signals[i]);
    pthread_sigmask(SIG_BLOCK, &interrupts, &before);
    do {
        FD_ZERO(&set);
        FD_SET(fd, &set);
        ready = pselect(fd + 1, writing ? NULL : &set, writing ? &set : NULL, NULL,
                        interrupted || *other ? &none : NULL, &before);
    } while (ready < 0 && errno == EINTR);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return ready != 0; /* if waiting failed, read() or write() reports why */
}

bool io_wait(int fd, bool writing)
{
    return wait_for(fd, writing, &unset);
}

bool io_wait_until(int fd, const volatile sig_atomic_t *flag)
{
    return wait_for(fd, false, flag);
}

enum io_end io_read(int fd, void *to, size_t room, size_t *got)
{
    *got = 0;
    while (!interrupted && io_wait(fd, false) && !interrupted) {
        const ssize_t n = read(fd, to, room);
        if (n >= 0) {
            *got = (size_t)n;
            return IO_DONE;
        }
        if (errno != EINTR && errno != EAGAIN)
            return IO_FAILED;
    }
    return IO_INTERRUPTED;
}

enum io_end io_write(int fd, const void *data, size_t size, size_t *written)
{
    const char *at = data;
    *written = 0;
    while (size > 0) {
        if (!io_wait(fd, true))
            return IO_INTERRUPTED;
        /* A pipe that is ready accepts PIPE_BUF bytes without blocking; then wait again. */
        const ssize_t n = write(fd, at, size < PIPE_BUF ? size : PIPE_BUF);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return IO_FAILED;
        at += n > 0 ? n : 0;
        *written += n > 0 ? (size_t)n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
    return IO_DONE;
}
