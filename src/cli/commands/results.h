/*
 * results.h - the file that `rwkv7 batch -o` writes, a result a line. It has one writer at a time, and what stands in it is never lost:
 * --resume goes on behind it, and refuses what is not made from the same input, model and options.
 */
#ifndef CLI_RESULTS_H
#define CLI_RESULTS_H

#include "cli/io/line_input.h"

struct results {
    const char *name; /* NULL: standard output */
    int fd;
    bool regular;
    uint64_t done;   /* results that were there before */
    uint64_t failed; /* of those, with an error instead of a text */
};

/*
 * Opens the file and locks it until it is closed: only then is its size known. NULL and "-" are standard output. A file that holds something
 * is refused unless `resume`. One that does not exist is made if `create`, else left to another call: the first one refuses what can be
 * refused before a model is loaded, the second one makes the file when nothing else can fail. After the first call that opens it there is
 * nothing to do. `r` begins with the descriptor -1.
 */
int results_open(struct results *r, const char *name, bool resume, bool create);
/*
 * Reads the results that are there, and as many lines of the input; `run` is that of fingerprint.h. What a power cut left behind the last whole
 * line, half a result or NULs, is cut off; a result that lacks only its newline gets it. A file that does not fit stays as it is.
 */
int results_resume(struct results *r, uint64_t run, struct line_input *in);
/* Writes a whole line; INTERRUPTED when its reader, of what is no regular file, would have to be waited for. */
int results_write(const struct results *r, const char *line, size_t length);
/* `code`, unless only closing shows that something is lost. */
int results_close(struct results *r, int code);

#endif
