#include "base/status.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <utf8proc.h>

/* A message that was cut must not end in the middle of a UTF-8 character. */
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

void rwkv7_text_plain(char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        utf8proc_int32_t c;
        const utf8proc_ssize_t got = utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)left, &c);
        const size_t n = got > 0 ? (size_t)got : 1;
        if (got <= 0 || utf8proc_category(c) == UTF8PROC_CATEGORY_CC)
            memset(text, '?', n);
        text += n;
        left -= n;
    }
}

enum rwkv7_status vfail(struct rwkv7_error *err, enum rwkv7_status status, const char *fmt, va_list args)
{
    if (err) {
        err->status = status;
        if (vsnprintf(err->message, sizeof err->message, fmt, args) < 0)
            err->message[0] = '\0';
        drop_torn_character(err->message, sizeof err->message);
        rwkv7_text_plain(err->message); /* names come from files and command lines */
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
