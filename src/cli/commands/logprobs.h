/* logprobs.h - how likely a token was, and which would have been likelier, as JSON. */
#ifndef CLI_LOGPROBS_H
#define CLI_LOGPROBS_H

#include "cli/common.h"

/*
 * Appends {"id": n, "text": "...", "logprob": x, "top": [{"id", "text", "logprob"}...]} of a step with log probabilities to the array
 * `t`, which may be empty. Bytes of a text that are no characters become U+FFFD.
 */
void logprobs_add(struct json_tree *t, const struct rwkv7_tokenizer *tokenizer, const struct rwkv7_step *step);

#endif
