/*
 * results.h - the output file of `rwkv7 batch -o`, one result per line. A lock allows one writer at
 * a time. Results are never overwritten: --resume appends, and rejects a file that was made from
 * another input, model or options.
 */
#ifndef CLI_RESULTS_H
#define CLI_RESULTS_H

#include "cli/io/line_input.h"

struct results {
    const char *name; /* NULL: standard output */
    int fd;
    bool regular;
    uint64_t done;   /* results found by --resume */
    uint64_t failed; /* of these, with an error instead of a text */
};

/*
 * Opens the file and locks it until it is closed. NULL and "-" are standard output. A file that is
 * not empty is rejected unless `resume`.
 *
 * Call it twice: without `create` before the model is loaded, so that errors show early, and with
 * `create` when nothing else can fail, so that a failed command leaves no empty file. A call for a
 * file that is open already does nothing. Initialize r->fd to -1.
 */
int results_open(struct results *r, const char *name, bool resume, bool create);
/*
 * Reads the results in the file and skips as many lines of the input; `run` is from fingerprint.h.
 * Truncates what a power failure left after the last complete line: a partial result or NUL bytes.
 * Completes a result that lacks only its newline. A file that does not match is not changed.
 */
int results_resume(struct results *r, uint64_t run, struct line_input *in);
/* Writes a complete line. INTERRUPTED: interrupted while a pipe or terminal blocked the write. */
int results_write(const struct results *r, const char *line, size_t length);
/* Closes the file; returns `code`, or FAILED if closing shows that data was lost. */
int results_close(struct results *r, int code);

#endif
