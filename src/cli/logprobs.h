/* logprobs.h - how likely a token was, and which would have been likelier, as JSON. */
#ifndef CLI_LOGPROBS_H
#define CLI_LOGPROBS_H

#include "cli/common.h"

enum { LOGPROBS_MOST = 100 };

/*
 * {"id": n, "text": "...", "logprob": x, "top": [{"id", "text", "logprob"}...]}: the natural logarithm of the probability that the
 * model itself, without penalties or temperature, gives the token, and the same of the `top` likeliest ones. Bytes of a text that are
 * no characters become U+FFFD. NULL: out of memory.
 */
cJSON *logprobs_json(const struct rwkv7_tokenizer *tokenizer, const float *logits, int vocab, uint32_t id, int top);

#endif
