/*
 * messages.h - exit codes, and messages on standard error.
 *
 * In src/cli, a function that returns int returns an exit code; if that is not DONE, it has printed
 * a message.
 */
#ifndef CLI_MESSAGES_H
#define CLI_MESSAGES_H

#include <stdint.h>
#include <stdio.h>

#include "rwkv7.h"

struct command;

enum exit_code {
    DONE = 0,
    FAILED = 1,   /* input or output, memory, numeric errors */
    MISUSED = 2,  /* usage errors */
    REJECTED = 3, /* invalid model, vocabulary or state file */
    INTERRUPTED = 130,
    CLOSED = -1, /* the reader of standard output is gone: end quietly; main() returns 0 */
};

/* Prints "rwkv7: message" and returns `code`. */
int complain(int code, const char *fmt, ...) RWKV7_PRINTF(2, 3);
/*
 * As complain, for a usage error: adds a line about help and returns MISUSED. command: may be NULL.
 */
int complain_usage(const struct command *command, const char *fmt, ...) RWKV7_PRINTF(2, 3);
/* Prints an error of the library and returns the exit code of its status. */
int report(const struct rwkv7_error *err);

/* Prints a text or file name on one line; control sequences are printed as escapes. */
void print_plain(FILE *to, const char *text);

/* Returns the plural ending of a noun after a number: "" in "1 token", "s" in "2 tokens". */
const char *plural(uint64_t count);
/* Formats a number with at least three digits and a decimal prefix: "412 MB", "1.53 G". */
const char *scaled_text(double value, const char *unit, char text[16]);

#endif
