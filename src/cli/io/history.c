/* history.c - see history.h. */
#include "cli/io/history.h"

#ifdef HAVE_LIBEDIT
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/out_file.h"
#include "base/status.h"
#include "cli/io/io.h"
#include "cli/io/lookup.h"
#include "cli/io/messages.h"
#include "cli/io/signals.h"

enum {
    LINES = 1000,      /* maximum number of saved lines */
    LOCK_TRIES = 1000, /* 10 ms apart; afterwards the history is written without a lock */
};

/* Creates a folder and its missing parents, starting after byte `from` of the path. */
static bool make_folders(char *path, size_t from)
{
    for (char *at = path + from;; at++) {
        const char c = *at;
        if (c != '/' && c != '\0')
            continue;
        *at = '\0';
        const bool made = mkdir(path, S_IRWXU) == 0 || errno == EEXIST;
        *at = c;
        if (!made || c == '\0')
            return made;
    }
}

bool history_default(char path[PATH_ROOM])
{
    const char *const state = getenv("XDG_STATE_HOME"), *const home = getenv("HOME");
    /* The XDG specification: ignore a relative path. */
    const bool is_set = state && state[0] == '/';
    char folder[PATH_ROOM];
    struct stat st;
    if (!is_set && !(home && home[0] == '/'))
        return false;
    const int n = is_set ? snprintf(folder, sizeof folder, "%s/rwkv7", state)
                         : snprintf(folder, sizeof folder, "%s/.local/state/rwkv7", home);
    if (n < 0 || (size_t)n + sizeof "/history" > PATH_ROOM)
        return false;
    /* Do not create a missing home folder: it belongs to a service. */
    if (!make_folders(folder, is_set ? 1 : strlen(home) + 1))
        return false;
    if (stat(folder, &st) != 0 || st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH))) {
        complain(DONE, "%s: other users may write to this folder; history not saved", folder);
        return false;
    }
    snprintf(path, PATH_ROOM, "%.*s/history", n, folder);
    return true;
}

History *history_new(void)
{
    HistEvent event;
    History *const h = history_init();
    if (h) {
        history(h, &event, H_SETSIZE, LINES);
        history(h, &event, H_SETUNIQUE, 1);
    }
    return h;
}

/*
 * Returns whether a new history may be written: only if there is no file or an empty one. An
 * unreadable history must not be replaced.
 */
static bool may_begin(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_size == 0 : errno == ENOENT;
}

/*
 * Returns the number of lines of the file, including an unterminated last one; negative if it
 * cannot be read.
 */
static long count_lines(const char *path)
{
    char block[4096];
    size_t got = 0;
    long lines = 0;
    bool open_line = false;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    enum io_end end = fd < 0 ? IO_FAILED : IO_DONE;
    while (end == IO_DONE && (end = io_read(fd, block, sizeof block, &got)) == IO_DONE && got > 0) {
        for (size_t i = 0; i < got; i++)
            lines += block[i] == '\n';
        open_line = block[got - 1] != '\n';
    }
    if (fd >= 0)
        close(fd);
    return end == IO_DONE ? lines + open_line : -1;
}

/*
 * libedit accepts a file that it could read only in part, and saving would then lose the rest. So
 * the number of entries it has read is compared with the lines of the file; the first line is a
 * header.
 */
bool history_load(History *h, const char *path)
{
    HistEvent event;
    struct stat st;
    /*
     * Opening a FIFO would block. A device, such as /dev/null, has no lines.
     */
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return S_ISCHR(st.st_mode);
    const int loaded = history(h, &event, H_LOAD, path);
    return loaded < 0 ? may_begin(path) : loaded == count_lines(path) - 1;
}

static bool is_file_at(int fd, const char *path)
{
    struct stat opened, named;
    return fstat(fd, &opened) == 0 && stat(path, &named) == 0 && opened.st_dev == named.st_dev &&
           opened.st_ino == named.st_ino;
}

/*
 * Locks the history, so that programs that end at once add their lines one after the other. Writing
 * replaces the file, so the lock counts only if the locked file still has this name. Returns a
 * descriptor to close; negative: not locked, because there is no file, or the file system has no
 * locks, or another program keeps it for too long (it may be stopped).
 *
 * Not a lock of fcntl(): libedit closes the file after reading it, which would release that.
 */
static int lock_history(const char *path)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    for (int i = 0; i < LOCK_TRIES; i++) {
        const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        const bool locked = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
        const bool busy = fd >= 0 && !locked && (errno == EWOULDBLOCK || errno == EINTR);
        if (locked && is_file_at(fd, path))
            return fd;
        if (fd >= 0)
            close(fd);
        if (!locked && !busy)
            return -1;
        if (busy)
            nanosleep(&pause, NULL);
    }
    return -1;
}

/* Writes the file so that it appears under its name only when complete. */
static enum rwkv7_status write_private(FILE *from, const char *path, struct rwkv7_error *err)
{
    char block[4096];
    size_t n;
    struct out_file out;
    enum rwkv7_status status = out_file_open_private(path, &out, err);
    while (status == RWKV7_OK && (n = fread(block, 1, sizeof block, from)) > 0)
        status = out_file_write(&out, block, n, err);
    if (status == RWKV7_OK && ferror(from))
        status = fail(err, RWKV7_ERR_IO, "%s: cannot write the history", path);
    if (status == RWKV7_OK)
        status = out_file_commit(&out, err);
    out_file_abort(&out);
    return status;
}

/*
 * Saves the history to a temporary file and checks it: libedit checks neither its writes nor, for a
 * file that cannot seek, the header.
 */
static bool save_to(History *h, FILE *to)
{
    static const char beginning[] = "_HiStOrY_V2_\n";
    char found[sizeof beginning - 1];
    HistEvent event;
    return history(h, &event, H_SAVE_FP, to) >= 0 && fflush(to) == 0 && !ferror(to) && fseek(to, 0, SEEK_SET) == 0 &&
           fread(found, 1, sizeof found, to) == sizeof found && memcmp(found, beginning, sizeof found) == 0 &&
           fseek(to, 0, SEEK_SET) == 0;
}

void history_keep(const char *path, char *const *lines, size_t count)
{
    struct rwkv7_error err;
    HistEvent event;
    /* The signal that ends the program must not lose the history. */
    const int stopped = interrupted;
    interrupted = 0;
    const int locked = lock_history(path);
    History *const h = history_new();
    FILE *const written = tmpfile(); /* libedit needs a file with a descriptor */
    bool good = h && written && history_load(h, path);
    for (size_t i = 0; i < count && good; i++)
        good = history(h, &event, H_ENTER, lines[i]) >= 0;
    if (!good || !save_to(h, written))
        complain(DONE, "%s: cannot write the history", path);
    else if (write_private(written, path, &err) != RWKV7_OK)
        report(&err);
    if (written)
        fclose(written);
    if (h)
        history_end(h);
    if (locked >= 0)
        close(locked);
    if (stopped)
        interrupted = 1;
}

#else
typedef int history_is_not_compiled_in; /* C does not allow an empty file */
#endif
