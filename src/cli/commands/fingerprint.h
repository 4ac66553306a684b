/*
 * fingerprint.h - a hash of everything a result of `rwkv7 batch` depends on, stored in the result.
 * --resume compares it, so that results of other prompts, models or options are never mixed.
 */
#ifndef CLI_FINGERPRINT_H
#define CLI_FINGERPRINT_H

#include "cli/commands/engine.h"
#include "cli/options/command_args.h"

enum {
    FINGERPRINT_ROOM = 34,
    FINGERPRINT_RUN = 17 /* characters of the run, with the hyphen; the rest is of the line */
};

/*
 * Sets *run to a hash of what all lines share: model, vocabulary, initial state (`start`), and the
 * options that may change an answer. The seed is included only if set by --seed. Returns an exit
 * code.
 */
int fingerprint_of_run(const struct batch_args *args, const struct engine *engine, const struct rwkv7_session *start,
                       uint64_t *run);
/*
 * Writes "0123456789abcdef-0123456789abcdef": the run, and a hash of the line without the white
 * space around it.
 */
void fingerprint_text(uint64_t run, const char *line, size_t length, char text[FINGERPRINT_ROOM]);

#endif
