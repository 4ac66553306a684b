/*
 * tokenizer.h - what other layers keep beside a tokenizer. A tokenizer is immutable for its users and shared by
 * threads; these parts are made on first use, under a lock, and live as long as the tokenizer.
 */
#ifndef TEXT_TOKENIZER_H
#define TEXT_TOKENIZER_H

#include "base/fork_lock.h"
#include "text/vocab_tree.h"

/* The tokens as a tree; the first call builds it, in some 20 ms. */
enum rwkv7_status tokenizer_tree(const struct rwkv7_tokenizer *t, const struct vocab_tree **out,
                                 struct rwkv7_error *err);

/* For src/matcher: data of its own, protected by the lock. It sets both members together. */
struct tokenizer_cache {
    struct fork_lock lock;
    void *data;
    void (*free)(void *data); /* called with `data` when the tokenizer is closed; NULL: nothing is kept */
};
struct tokenizer_cache *tokenizer_cache(const struct rwkv7_tokenizer *t);

#endif
