/* output.c - see output.h. */
#include "cli/io/output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json_tree.h"
#include "base/plain.h"
#include "cli/io/io.h"
#include "cli/io/messages.h"
#include "cli/io/signals.h"

/*
 * Output is buffered here instead of in stdio, which loses what a write interrupted by a signal
 * could not write. Code that uses printf must do so before or after all of these calls, not in
 * between.
 */
static char pending[1 << 16];
static size_t pending_size;
static bool line_open; /* the last output did not end a line */
static bool lost;      /* no more output: a write failed, or was interrupted where it would block */
static size_t lost_bytes;

static int out_failed(void)
{
    if (errno == EPIPE)
        return CLOSED;
    return complain(FAILED, "cannot write to standard output: %s", strerror(errno));
}

/*
 * Writes the buffer. Being interrupted is not a failure: the commands check `interrupted` and end
 * in their own way.
 */
static int drain(void)
{
    const size_t size = pending_size;
    size_t written = 0;
    pending_size = 0;
    if (size == 0)
        return DONE;
    const enum io_end end = lost ? IO_INTERRUPTED : io_write(STDOUT_FILENO, pending, size, &written);
    lost = end != IO_DONE;
    lost_bytes += size - written;
    return end == IO_FAILED ? out_failed() : DONE;
}

size_t out_lost(void)
{
    const size_t bytes = lost_bytes;
    lost_bytes = 0;
    return bytes;
}

static bool out_is_terminal(void)
{
    static int known = -1;
    if (known < 0)
        known = isatty(STDOUT_FILENO);
    return known;
}

static int put_bytes(const char *from, size_t size)
{
    int code = DONE;
    if (size > 0)
        line_open = from[size - 1] != '\n';
    while (size > 0 && code == DONE) {
        const size_t room = sizeof pending - pending_size, n = size < room ? size : room;
        memcpy(pending + pending_size, from, n);
        pending_size += n;
        from += n;
        size -= n;
        if (pending_size == sizeof pending)
            code = drain();
    }
    return code;
}

static char partial[4]; /* [partial_size] the first bytes of a character, for a terminal */
static size_t partial_size;

/*
 * Writes the complete characters of `partial` as a terminal may show them; with `final`, incomplete
 * ones too.
 */
static int put_partial(bool final)
{
    int code = DONE;
    while (partial_size > 0 && code == DONE) {
        char escape[PLAIN_ESCAPE];
        const size_t n = plain_character(partial, partial_size, final, escape);
        if (n == 0)
            return DONE;
        if (*escape && *partial != '\n' && *partial != '\t')
            code = put_bytes(escape, strlen(escape));
        else
            code = put_bytes(partial, n);
        partial_size -= n;
        memmove(partial, partial + n, partial_size);
    }
    return code;
}

static int put_shown(const char *from, size_t size)
{
    int code = DONE;
    for (size_t i = 0; i < size && code == DONE; i++) {
        partial[partial_size++] = from[i]; /* at most three bytes stay */
        code = put_partial(false);
    }
    return code;
}

/* Called before these functions write to standard output. */
static int begin_writing(void)
{
    const int code = pending_size > 0 || fflush(stdout) == 0 ? DONE : out_failed();
    if (!interrupted && code == DONE)
        lost = false; /* at a terminal the program may continue */
    return code;
}

/* Flushes complete lines on a terminal. */
static int end_writing(int code)
{
    return code == DONE && !line_open && out_is_terminal() ? drain() : code;
}

int out_write(const void *data, size_t size)
{
    int code = begin_writing();
    if (code == DONE)
        code = out_is_terminal() ? put_shown(data, size) : put_bytes(data, size);
    return end_writing(code);
}

int out_control(const char *sequence)
{
    int code = begin_writing();
    if (code == DONE)
        code = put_partial(true);
    if (code == DONE)
        code = put_bytes(sequence, strlen(sequence));
    return end_writing(code);
}

void out_end_line(void)
{
    put_partial(true);
    if (line_open && out_is_terminal())
        out_control("\n");
}

/*
 * Returns whether standard output and standard error go to the same place: a common log, or a
 * terminal at the end of a pipe.
 */
static bool share_a_place(void)
{
    struct stat out, err;
    if (fstat(STDOUT_FILENO, &out) != 0 || fstat(STDERR_FILENO, &err) != 0)
        return false;
    return (out.st_dev == err.st_dev && out.st_ino == err.st_ino) || (S_ISFIFO(out.st_mode) && isatty(STDERR_FILENO));
}

bool err_begin_line(void)
{
    out_end_line();
    if (line_open && share_a_place()) {
        line_open = false;
        out_flush();
        if (io_wait(STDERR_FILENO, true))
            fputc('\n', stderr);
    }
    line_open = false;
    return io_wait(STDERR_FILENO, true);
}

int out_flush(void)
{
    const int code = drain();
    return code != DONE || fflush(stdout) == 0 ? code : out_failed();
}

int out_json(struct json_tree *json, bool indented)
{
    char *const text = json_tree_text(json, indented);
    int code = text ? out_write(text, strlen(text)) : complain(FAILED, "out of memory for JSON");
    if (code == DONE)
        code = out_write("\n", 1);
    cJSON_free(text);
    return code;
}

int out_close(void)
{
    int code = put_partial(true);
    code = code == DONE ? drain() : code;
    const bool failed = ferror(stdout) != 0; /* of a printf whose result was not checked */
    errno = EIO;
    const bool closed = fclose(stdout) == 0;
    return code != DONE || (closed && !failed) ? code : out_failed();
}
