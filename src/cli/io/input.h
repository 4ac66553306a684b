/*
 * input.h - reads text from a file, from standard input or from the command line, and token ids
 * written as text.
 *
 * All text that commands read comes through here: prompts, messages, texts to evaluate, JSON lines,
 * ids. A leading UTF-8 byte order mark is skipped, because it would change the tokens; UTF-16 is
 * rejected.
 */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct input {
    const char *name; /* name for messages */
    int fd;           /* file descriptor; -1: read `text` */
    const char *text;
    size_t left; /* bytes of text */
    bool begun;  /* the first bytes were read */
};

/* Returns the text without its byte order mark, if it has one. */
const char *input_skip_mark(const char *text);
void input_text(struct input *in, const char *name, const char *text);
/* Opens a file; "-" is standard input. Returns an exit code. */
int input_open(struct input *in, const char *path);
void input_close(struct input *in);
/* Waits for the next bytes, at most `room`. *got is 0 at the end of file, and if interrupted. */
int input_read(struct input *in, char *to, size_t room, size_t *got);
/*
 * Reads a file, such as a schema for `option`, to its end. It may be a pipe. *text, which the caller
 * frees, is set in any case. Fails if it is empty or has more than 4 MB, the library's limit.
 */
int input_all(const char *path, const char *option, char **text, size_t *size);

/*
 * Calls `take` for every id up to the end of file; ids are separated by white space or one comma.
 * Stops if `take` does not return DONE, and returns its result.
 */
int input_ids(struct input *in, int (*take)(void *arg, uint32_t id), void *arg);

#endif
