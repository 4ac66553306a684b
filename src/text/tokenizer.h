/*
 * tokenizer.h - data that other layers derive from a tokenizer: a tree of its tokens, and a cache.
 *
 * Threads share a tokenizer, which is immutable for its users. So these data are built on first
 * use, under a lock, and freed when the tokenizer is closed.
 */
#ifndef TEXT_TOKENIZER_H
#define TEXT_TOKENIZER_H

#include "base/fork_lock.h"
#include "text/vocab_tree.h"

/* Returns the tokens as a tree. The first call builds it, in about 20 ms. */
enum rwkv7_status tokenizer_tree(const struct rwkv7_tokenizer *t, const struct vocab_tree **out,
                                 struct rwkv7_error *err);

/* Data of src/matcher, protected by the lock. src/matcher sets `data` and `free` together. */
struct tokenizer_cache {
    struct fork_lock lock;
    void *data;
    void (*free)(void *data); /* called with `data` when the tokenizer is closed; NULL: nothing is kept */
};
struct tokenizer_cache *tokenizer_cache(const struct rwkv7_tokenizer *t);

#endif
