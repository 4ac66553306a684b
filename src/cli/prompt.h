/* prompt.h - from the prompt, wherever it comes from and however long it is, to the state of a session. */
#ifndef CLI_PROMPT_H
#define CLI_PROMPT_H

#include "cli/args.h"

struct prompt_result {
    uint64_t tokens;
    double seconds; /* in the engine, not waiting for input */
};

/*
 * Reads standard input, the prompt file and the operand as one text and feeds it to the session. Writes the logits
 * after its last token, [V], unless `logits` is NULL. Ends early when interrupted.
 */
int prompt_feed(const struct args *args, const struct rwkv7_tokenizer *tokenizer, struct rwkv7_session *session,
                float *logits, struct prompt_result *result);

#endif
