/*
 * input.h - text from a file, from standard input or from the command line, all alike; and token ids written in it.
 *
 * All that a command reads as text comes through here: prompts, messages, texts to evaluate, lines of JSON, ids. A byte order mark of
 * UTF-8 in front is skipped, for it would change the tokens; UTF-16 is refused.
 */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct input {
    const char *name; /* in messages */
    int fd;           /* -1: `text` */
    const char *text;
    size_t left; /* bytes of text */
    bool begun;  /* the first bytes of the descriptor were read */
};

/* The text behind a byte order mark, if it begins with one. */
const char *input_skip_mark(const char *text);
void input_text(struct input *in, const char *name, const char *text);
/* "-" is standard input. */
int input_open(struct input *in, const char *path);
void input_close(struct input *in);
/* Waits for the next bytes, at most `room`. *got is 0 at the end, and when interrupted. */
int input_read(struct input *in, char *to, size_t room, size_t *got);

/*
 * Calls `take` for every id up to the end; ids are separated by spaces, line breaks or one comma. Stops when it is not
 * DONE.
 */
int input_ids(struct input *in, int (*take)(void *arg, uint32_t id), void *arg);

#endif
