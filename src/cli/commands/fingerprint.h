/*
 * fingerprint.h - what a result of `rwkv7 batch` was made from, as a short text that stands in the result: --resume compares it, so that the
 * results of other prompts, another model or other options are never mixed.
 */
#ifndef CLI_FINGERPRINT_H
#define CLI_FINGERPRINT_H

#include "cli/common.h"

enum {
    FINGERPRINT_ROOM = 34,
    FINGERPRINT_RUN = 17 /* characters that tell the run; those behind them tell the line */
};

/*
 * A number for what all lines have in common: the model, the vocabulary, the state that each begins as (start), and those options that
 * may change an answer. Without --seed every line draws its own, so that one is not part of it. Returns an exit code.
 */
int fingerprint_of_run(const struct args *args, const struct engine *engine, const struct rwkv7_session *start,
                       uint64_t *run);
/* "0123456789abcdef-0123456789abcdef": the run, and the bytes of the line without white space around them. */
void fingerprint_text(uint64_t run, const char *line, size_t length, char text[FINGERPRINT_ROOM]);

#endif
