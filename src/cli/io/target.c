/* target.c - see target.h. */
#include "cli/io/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/io/messages.h"
#include "cli/io/signals.h"

int fifo_open(const char *path, int flags)
{
    static const struct timespec pause = {.tv_nsec = 50000000};
    const sig_atomic_t before = interrupted; /* output after ^C may wait, too */
    int fd;
    interrupted = 0;
    while ((fd = open(path, flags | O_NONBLOCK)) < 0 && errno == ENXIO && !interrupted)
        nanosleep(&pause, NULL);
    if (before)
        interrupted = 1;
    if (fd >= 0)
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    return fd;
}

/* Returns whether the path names an open descriptor. */
static bool is_descriptor(const char *path)
{
    return strncmp(path, "/dev/fd/", 8) == 0 || strncmp(path, "/dev/std", 8) == 0 || strncmp(path, "/proc/", 6) == 0;
}

int target_open(struct target *t, const char *path)
{
    struct stat st;
    *t = (struct target){.path = path, .fd = -1};
    if (is_descriptor(path) || stat(path, &st) != 0 || !S_ISFIFO(st.st_mode))
        return DONE;
    t->fd = fifo_open(path, O_WRONLY | O_CLOEXEC);
    if (t->fd < 0 && interrupted)
        return complain(INTERRUPTED, "%s: interrupted while waiting for a reader", path);
    if (t->fd < 0)
        return complain(FAILED, "%s: cannot be written: %s", path, strerror(errno));
    snprintf(t->name, sizeof t->name, "/dev/fd/%d", t->fd);
    t->path = t->name;
    return DONE;
}

void target_close(struct target *t)
{
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
}
