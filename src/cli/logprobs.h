/* logprobs.h - how likely a token was, and which would have been likelier, as JSON. */
#ifndef CLI_LOGPROBS_H
#define CLI_LOGPROBS_H

#include "cli/common.h"

/*
 * {"id": n, "text": "...", "logprob": x, "top": [{"id", "text", "logprob"}...]} of a step with log probabilities. Bytes of a text that
 * are no characters become U+FFFD. NULL: out of memory.
 */
cJSON *logprobs_json(const struct rwkv7_tokenizer *tokenizer, const struct rwkv7_step *step);

#endif
