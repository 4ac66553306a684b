/* prompt.h - reads the prompt from all its sources and feeds it to the generator. */
#ifndef CLI_PROMPT_H
#define CLI_PROMPT_H

#include "cli/options/command_args.h"

/* The part of the prompt that has been read, for the progress line. */
struct prompt_progress {
    double total, read; /* bytes */
    bool endless;       /* total is unknown */
};
/*
 * The progress callback for rwkv7_generator_options: draws the line, and cancels if interrupted.
 * arg: a struct prompt_progress.
 */
bool prompt_show_progress(void *arg, uint64_t done, uint64_t total);

/* Returns whether the prompt or its file is "-", standard input. */
bool prompt_names_stdin(const struct prompt_args *args);

/* Returns the size of a text without its trailing white space. */
size_t prompt_stripped_size(const char *text, size_t size);

/*
 * Reads standard input, the prompt file and the prompt as one text and feeds it to the generator,
 * which evaluates it. strip: removes trailing white space. logits: whether the logits after the
 * last token are needed. If interrupted, returns DONE early, without a message.
 */
int prompt_feed(const struct prompt_args *args, bool strip, struct rwkv7_generator *generator,
                struct prompt_progress *progress, bool logits);

#endif
