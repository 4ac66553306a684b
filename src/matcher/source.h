/* source.h - what a grammar is made from: its kind, its text, and their options. */
#ifndef MATCHER_SOURCE_H
#define MATCHER_SOURCE_H

#include "matcher/grammar.h"

/* Checks the options, and sets the text and its size to what they mean. */
enum rwkv7_status source_check(struct rwkv7_grammar_options *o, struct rwkv7_error *err);
/* All that the grammar is made from, in one string: *key [*size], to be freed with mem_free. */
enum rwkv7_status source_key(const struct rwkv7_grammar_options *o, char **key, size_t *size, struct rwkv7_error *err);
/* Calls the front end of that kind. */
enum rwkv7_status source_build(const struct rwkv7_grammar_options *o, struct grammar *g, struct rwkv7_error *err);

#endif
