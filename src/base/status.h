/* status.h - filling the error record. The types live in the public header, which every layer may include. */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include "rwkv7.h"

/*
 * Writes the message (cut to fit, one line: control characters become '?') and returns `status`, so that a failure is one
 * statement: `return fail(err, RWKV7_ERR_MODEL, "%s: ...", path)`. err may be NULL.
 */
enum rwkv7_status fail(struct rwkv7_error *err, enum rwkv7_status status, const char *fmt, ...) RWKV7_PRINTF(3, 4);

/* The same for an error of the operating system: appends ": " and the text of errno. */
enum rwkv7_status fail_errno(struct rwkv7_error *err, const char *fmt, ...) RWKV7_PRINTF(2, 3);

/* RWKV7_ERR_MEMORY, naming what did not fit. */
enum rwkv7_status fail_memory(struct rwkv7_error *err, const char *what);

#endif
