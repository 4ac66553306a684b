/*
 * mask.h - which tokens may follow a configuration.
 *
 * A token is allowed if the automaton can read all of its bytes. For each thread these are the tokens that
 * stay inside its terminal (part.h), and those that leave it: below each node of the vocabulary tree at
 * which the terminal may end, the walk goes on with the whole automaton. Masks are kept by configuration, those
 * used last.
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
 * has_end: bit 0 is the end of text, set if the configuration accepts. bytes: of masks to keep; 0: none,
 * each is computed again.
 */
enum rwkv7_status mask_store_create(struct automaton *a, const struct vocab_tree *tree, struct part_shelf *shelf,
                                    bool has_end, size_t bytes, struct mask_store **out, struct rwkv7_error *err);
void mask_store_free(struct mask_store *s); /* NULL: does nothing; not the automaton */
/* The mask is valid until the next call. RWKV7_ERR_USAGE: the automaton's limits, or too much work. */
enum rwkv7_status mask_find(struct mask_store *s, uint32_t configuration, struct mask *out, struct rwkv7_error *err);
size_t mask_store_bytes(const struct mask_store *s);

#endif
