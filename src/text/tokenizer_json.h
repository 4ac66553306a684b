/*
 * tokenizer_json.h - reads the tokenizer.json of GPT-NeoX-20B, which RWKV-4 and the Pile models of
 * later versions use.
 */
#ifndef TEXT_TOKENIZER_JSON_H
#define TEXT_TOKENIZER_JSON_H

#include "text/bpe.h"

#define TOKENIZER_JSON_MAX_FILE (32u << 20) /* bytes; that of GPT-NeoX has 2.5 million */

/* Whether the file starts like a JSON object. */
bool tokenizer_json_is(const char *text, size_t size);

/*
 * Reads and validates `text`. Any other kind of tokenizer.json is an error: RWKV7_ERR_VOCAB, and
 * the message names the field. The caller frees *v with vocab_free and *rules with bpe_rules_free;
 * both are empty after an error.
 */
enum rwkv7_status tokenizer_json_read(const char *text, size_t size, const char *name, struct vocab *v,
                                      struct bpe_rules *rules, struct rwkv7_error *err);

#endif
