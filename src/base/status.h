/* status.h - filling the error record. The types live in the public header, which every layer may include. */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include <stdarg.h>

#include "rwkv7.h"

/*
 * Writes the message and returns `status`, so that a failure is one statement: `return fail(err, RWKV7_ERR_MODEL, "%s: ...", path)`.
 * It is made fit for a terminal (rwkv7_text_plain) and cut to its room, first where a path before ": " begins. err may be NULL.
 */
enum rwkv7_status fail(struct rwkv7_error *err, enum rwkv7_status status, const char *fmt, ...) RWKV7_PRINTF(3, 4);
/* The same with the arguments of a caller. */
enum rwkv7_status vfail(struct rwkv7_error *err, enum rwkv7_status status, const char *fmt, va_list args)
    RWKV7_PRINTF(3, 0);
/* Puts words before a message that is there, such as "FILE: ". */
void fail_where(struct rwkv7_error *err, const char *fmt, ...) RWKV7_PRINTF(2, 3);

/* fail() with RWKV7_ERR_IO for an error of the operating system: appends ": " and the text of errno. RWKV7_ERR_STOPPED for EINTR. */
enum rwkv7_status fail_errno(struct rwkv7_error *err, const char *fmt, ...) RWKV7_PRINTF(2, 3);

/* RWKV7_ERR_MEMORY, naming what did not fit. */
enum rwkv7_status fail_memory(struct rwkv7_error *err, const char *what);

#endif
