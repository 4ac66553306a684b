/*
 * status.h - fills error records. The types are in the public header, which every layer may
 * include.
 */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include <stdarg.h>

#include "rwkv7.h"

/*
 * Formats the message and returns `status`, so that a failure is one statement: `return fail(err,
 * RWKV7_ERR_MODEL, "%s: ...", path)`. The message is made safe for a terminal (rwkv7_text_plain). A
 * message that is too long is truncated, starting with the path before the first ": ". err may be
 * NULL.
 */
enum rwkv7_status fail(struct rwkv7_error *err, enum rwkv7_status status, const char *fmt, ...) RWKV7_PRINTF(3, 4);
/* The same for callers with a va_list. */
enum rwkv7_status vfail(struct rwkv7_error *err, enum rwkv7_status status, const char *fmt, va_list args)
    RWKV7_PRINTF(3, 0);
/* Inserts text before the existing message, such as "FILE: ". */
void fail_where(struct rwkv7_error *err, const char *fmt, ...) RWKV7_PRINTF(2, 3);

/*
 * fail() for an error of the operating system. Appends ": " and the text of errno. Returns
 * RWKV7_ERR_IO, or RWKV7_ERR_STOPPED for EINTR.
 */
enum rwkv7_status fail_errno(struct rwkv7_error *err, const char *fmt, ...) RWKV7_PRINTF(2, 3);

/* Returns RWKV7_ERR_MEMORY; the message is "out of memory for " and `what`. */
enum rwkv7_status fail_memory(struct rwkv7_error *err, const char *what);

#endif
