/* prompt.h - from the prompt, wherever it comes from and however long it is, to the state of a session. */
#ifndef CLI_PROMPT_H
#define CLI_PROMPT_H

#include "cli/common.h"

struct prompt_result {
    uint64_t tokens;
    uint64_t cached; /* of those: not read again, but found in the prompt cache */
    double seconds;  /* in the engine, not waiting for input */
};

/*
 * Reads standard input, the prompt file and the operand as one text and feeds it to the session. Writes the logits
 * after its last token, [V], unless `logits` is NULL; an empty prompt leaves them alone. Ends early when interrupted.
 */
int prompt_feed(const struct args *args, const struct engine *engine, struct rwkv7_session *session, float *logits,
                struct prompt_result *result);

#endif
