/* source.h - the source of a grammar: its kind, its text and its options. */
#ifndef MATCHER_SOURCE_H
#define MATCHER_SOURCE_H

#include "matcher/grammar.h"

/*
 * Checks and normalizes the options: removes the text of kinds without one, and sets the size of a
 * NUL-terminated text.
 */
enum rwkv7_status source_check(struct rwkv7_grammar_options *o, struct rwkv7_error *err);
/* Serializes everything that the grammar depends on: *key [*size], to be freed with mem_free. */
enum rwkv7_status source_key(const struct rwkv7_grammar_options *o, char **key, size_t *size, struct rwkv7_error *err);
/* Calls the front end of that kind. */
enum rwkv7_status source_build(const struct rwkv7_grammar_options *o, struct grammar *g, struct rwkv7_error *err);

#endif
