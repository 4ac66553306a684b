/* prompt.h - the prompt, wherever it comes from and however long it is, on its way to the generator. */
#ifndef CLI_PROMPT_H
#define CLI_PROMPT_H

#include "cli/common.h"

/* How much of the prompt has been read, for the progress line. */
struct prompt_progress {
    double total, read; /* bytes */
    bool endless;       /* total is unknown */
};
/* For rwkv7_generator_options: draws the line, and cancels when interrupted. `arg` is a struct prompt_progress. */
bool prompt_show_progress(void *arg, uint64_t done, uint64_t total);

/* Is standard input named, as - for the prompt or its file? */
bool prompt_names_stdin(const struct args *args);

/* Bytes of a text without the white space at its end. */
size_t prompt_stripped_size(const char *text, size_t size);

/*
 * Reads standard input, the prompt file and the operand as one text and feeds it to the generator; then it is evaluated. `logits`: those
 * after the last token are wanted. Ends early, and without a message, when interrupted.
 */
int prompt_feed(const struct args *args, struct rwkv7_generator *generator, struct prompt_progress *progress,
                bool logits);

#endif
