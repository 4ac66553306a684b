/*
 * mask.h - computes the mask of a configuration: the tokens that may follow it.
 *
 * A token is allowed if the automaton can read all of its bytes. Each thread allows two kinds of
 * tokens. Some stay inside its terminal (part.h). The others go past the end of the terminal: below
 * each node of the vocabulary tree (a trie) at which the terminal may end, the walk continues with
 * the whole automaton. Masks are cached by configuration; the least recently used are evicted.
 */
#ifndef MATCHER_MASK_H
#define MATCHER_MASK_H

#include "matcher/part.h"

#define MASK_BYTES_DEFAULT (32u << 20)

struct mask {
    const uint64_t *bits; /* [words] one bit for each token id */
    uint32_t allowed;     /* number of tokens, without the end of text */
    uint32_t only;        /* the token, if allowed is 1 */
};

struct mask_store;

/*
 * has_end: bit 0 is the end of text, set if the configuration accepts. bytes: size of the mask
 * cache; 0: nothing is cached.
 */
enum rwkv7_status mask_store_create(struct automaton *a, const struct vocab_tree *tree, struct part_shelf *shelf,
                                    bool has_end, size_t bytes, struct mask_store **out, struct rwkv7_error *err);
void mask_store_free(struct mask_store *s); /* accepts NULL; does not free the automaton */
/*
 * The mask is valid until the next call. RWKV7_ERR_USAGE: a limit of the automaton, or MAX_WORK, is
 * exceeded.
 */
enum rwkv7_status mask_find(struct mask_store *s, uint32_t configuration, struct mask *out, struct rwkv7_error *err);
size_t mask_store_bytes(const struct mask_store *s);

#endif
