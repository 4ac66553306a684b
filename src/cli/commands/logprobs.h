/* logprobs.h - the log probabilities of a token and of the most likely tokens, as JSON. */
#ifndef CLI_LOGPROBS_H
#define CLI_LOGPROBS_H

#include "base/json_tree.h"
#include "rwkv7.h"

/*
 * Appends {"id": n, "text": "...", "logprob": x, "top": [{"id", "text", "logprob"}...]} of a step
 * to the array `t`, which may be empty. Bytes that are not valid UTF-8 become U+FFFD.
 */
void logprobs_add(struct json_tree *t, const struct rwkv7_tokenizer *tokenizer, const struct rwkv7_step *step);

#endif
