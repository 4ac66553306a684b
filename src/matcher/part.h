/*
 * part.h - a part is the set of tokens that stay inside one terminal, from one of its DFA states.
 *
 * A part depends only on the rest of the expression, not on the stack or the grammar. Parts that
 * take long to compute are cached, such as the inside of a string, where nearly all tokens are
 * allowed. Each automaton caches them by state. Each tokenizer has a shelf, a cache by expression,
 * so that a second grammar with JSON strings finds their parts.
 */
#ifndef MATCHER_PART_H
#define MATCHER_PART_H

#include "matcher/automaton_store.h"
#include "text/tokenizer.h"

struct part {
    uint64_t *bits;  /* [words]: tokens that the DFA can read completely */
    uint32_t *exits; /* [exit_count]: inner nodes of the tree at which the DFA accepts */
    uint32_t exit_count;
};

#define PART_NEAR 16u /* bytes; few tokens of the World vocabulary are longer */

struct part_shelf; /* the parts of one tokenizer; thread-safe */

enum rwkv7_status part_shelf_create(struct part_shelf **out, struct rwkv7_error *err);
void part_shelf_free(struct part_shelf *shelf);

/* The parts of one automaton. */
struct part_finder {
    struct automaton *automaton;
    const struct vocab_tree *tree;
    struct part_shelf *shelf; /* may be NULL */
    uint32_t words;           /* 64-bit words of a set of tokens */
    struct part **parts;      /* [part_room] of each state: NULL if not known */
    uint32_t part_room, held; /* held: parts that are not NULL */
    uint64_t *near_tokens;    /* [words]: tokens of up to PART_NEAR bytes; NULL: unused */
    uint32_t *path;           /* [depth + 1]: DFA states of a walk */
    uint32_t *ids;            /* [nodes]: tokens of a walk */
    uint32_t *exits;          /* [nodes] */
    uint32_t id_count, exit_count;
    uint64_t visited; /* nodes of all walks */
};

enum rwkv7_status part_finder_open(struct part_finder *f, struct automaton *a, const struct vocab_tree *tree,
                                   struct part_shelf *shelf, struct rwkv7_error *err);
void part_finder_close(struct part_finder *f); /* harmless on a zeroed struct */
/* Adds the tokens of a state to `bits`. *exits [*count] are valid until the next call. */
enum rwkv7_status part_find(struct part_finder *f, uint32_t state, uint64_t *bits, const uint32_t **exits,
                            uint32_t *count, struct rwkv7_error *err);
size_t part_finder_bytes(const struct part_finder *f);

static inline void bit_set(uint64_t *bits, uint32_t i)
{
    bits[i / 64] |= UINT64_C(1) << (i % 64);
}

#endif
