#include "base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void write_message(struct rwkv7_error *err, enum rwkv7_status status, const char *fmt, va_list args)
{
    err->status = status;
    if (vsnprintf(err->message, sizeof err->message, fmt, args) < 0)
        err->message[0] = '\0';
    /* Names come from files: a line break or an escape sequence in one must not reach the terminal. */
    for (unsigned char *c = (unsigned char *)err->message; *c; c++)
        if (*c < 0x20 || *c == 0x7f)
            *c = '?';
        else if (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0) /* more control characters, in UTF-8 */
            c[0] = c[1] = '?';
    /* A message that was cut must not end in the middle of a UTF-8 character. */
    size_t n = strlen(err->message);
    if (n == sizeof err->message - 1) {
        while (n > 0 && ((unsigned char)err->message[n - 1] & 0xc0) == 0x80)
            n--;
        if (n > 0 && (unsigned char)err->message[n - 1] >= 0xc0)
            n--;
        err->message[n] = '\0';
    }
}

enum rwkv7_status fail(struct rwkv7_error *err, enum rwkv7_status status, const char *fmt, ...)
{
    if (err) {
        va_list args;
        va_start(args, fmt);
        write_message(err, status, fmt, args);
        va_end(args);
    }
    return status;
}

enum rwkv7_status fail_errno(struct rwkv7_error *err, const char *fmt, ...)
{
    const int code = errno;
    if (err) {
        char what[sizeof err->message];
        va_list args;
        va_start(args, fmt);
        if (vsnprintf(what, sizeof what, fmt, args) < 0)
            what[0] = '\0';
        va_end(args);
        fail(err, RWKV7_ERR_IO, "%.180s: %s", what, strerror(code));
    }
    return RWKV7_ERR_IO;
}

enum rwkv7_status fail_memory(struct rwkv7_error *err, const char *what)
{
    return fail(err, RWKV7_ERR_MEMORY, "out of memory for %s", what);
}
