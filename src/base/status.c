/* status.c - see status.h. */
#include "base/status.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/c_numbers.h"

enum { PATH_ROOM = 4096, PATH_MIN = 40 };

/*
 * Shortens a message that is too long by dropping the beginning of the path before the first ": ".
 * The end of a path identifies a file better.
 */
static void shorten_path(char *text, size_t room)
{
    const size_t n = strlen(text);
    const char *const end = strstr(text, ": ");
    const size_t path = end ? (size_t)(end - text) : 0;
    if (n < room || path < PATH_MIN + 4)
        return;
    size_t drop = n - (room - 1) + 3; /* and "..." before the rest */
    drop = drop < path - PATH_MIN ? drop : path - PATH_MIN;
    while (((unsigned char)text[drop] & 0xc0) == 0x80) /* continue at a character boundary */
        drop++;
    memset(text + drop - 3, '.', 3);
    memmove(text, text + drop - 3, n + 1 - (drop - 3));
}

/* Removes an incomplete UTF-8 character from the end of a truncated message. */
static void drop_torn_character(char *text, size_t room)
{
    size_t n = strlen(text);
    if (n < room - 1)
        return;
    while (n > 0 && ((unsigned char)text[n - 1] & 0xc0) == 0x80)
        n--;
    if (n > 0 && (unsigned char)text[n - 1] >= 0xc0)
        n--;
    text[n] = '\0';
}

enum rwkv7_status vfail(struct rwkv7_error *err, enum rwkv7_status status, const char *fmt, va_list args)
{
    C_NUMBERS;
    if (err) {
        char text[PATH_ROOM + sizeof err->message] = "";
        if (vsnprintf(text, sizeof text, fmt, args) < 0)
            text[0] = '\0';
        shorten_path(text, sizeof err->message);
        err->status = status;
        memcpy(err->message, text, sizeof err->message - 1);
        err->message[sizeof err->message - 1] = '\0';
        drop_torn_character(err->message, sizeof err->message);
        rwkv7_text_plain(err->message); /* names in it come from files and command lines */
    }
    return status;
}

enum rwkv7_status fail(struct rwkv7_error *err, enum rwkv7_status status, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vfail(err, status, fmt, args);
    va_end(args);
    return status;
}

void fail_where(struct rwkv7_error *err, const char *fmt, ...)
{
    struct rwkv7_error where;
    va_list args;
    if (!err)
        return;
    va_start(args, fmt);
    vfail(&where, err->status, fmt, args);
    va_end(args);
    char message[sizeof err->message];
    memcpy(message, err->message, sizeof message);
    fail(err, err->status, "%s%s", where.message, message);
}

enum rwkv7_status fail_errno(struct rwkv7_error *err, const char *fmt, ...)
{
    const int code = errno;
    const enum rwkv7_status status = code == EINTR ? RWKV7_ERR_STOPPED : RWKV7_ERR_IO;
    C_NUMBERS;
    if (err) {
        char what[PATH_ROOM];
        va_list args;
        va_start(args, fmt);
        if (vsnprintf(what, sizeof what, fmt, args) < 0)
            what[0] = '\0';
        va_end(args);
        fail(err, status, "%s: %s", what, code == EINTR ? "interrupted" : strerror(code));
    }
    return status;
}

enum rwkv7_status fail_memory(struct rwkv7_error *err, const char *what)
{
    return fail(err, RWKV7_ERR_MEMORY, "out of memory for %s", what);
}

const char *rwkv7_status_name(enum rwkv7_status status)
{
    static const char *const names[] = {
        [RWKV7_OK] = "ok",
        [RWKV7_ERR_IO] = "input/output",
        [RWKV7_ERR_MEMORY] = "memory",
        [RWKV7_ERR_NUMERIC] = "numeric",
        [RWKV7_ERR_USAGE] = "usage",
        [RWKV7_ERR_MODEL] = "model",
        [RWKV7_ERR_VOCAB] = "vocabulary",
        [RWKV7_ERR_STATE] = "state",
        [RWKV7_ERR_STOPPED] = "cancelled",
    };
    return (unsigned)status < sizeof names / sizeof names[0] ? names[status] : "unknown";
}
