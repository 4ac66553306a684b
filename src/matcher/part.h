/*
 * part.h - the tokens that stay inside one terminal, from one of its DFA states.
 *
 * They do not depend on the stack or on the grammar, only on the expression that is left to match. Where they
 * are many (inside a string: nearly all tokens), they are kept: per automaton by state, and per tokenizer by
 * expression, so that the second grammar with a JSON string finds them ready.
 */
#ifndef MATCHER_PART_H
#define MATCHER_PART_H

#include "matcher/automaton_store.h"
#include "text/tokenizer.h"

struct part {
    uint64_t *bits;  /* [words]: tokens that the DFA reads without dying */
    uint32_t *exits; /* [exit_count]: nodes of the tree with children, at which the DFA accepts */
    uint32_t exit_count;
};

#define PART_NEAR 16u /* bytes; in the World vocabulary few tokens are longer */

struct part_shelf; /* the parts of one tokenizer; thread-safe */

enum rwkv7_status part_shelf_create(struct part_shelf **out, struct rwkv7_error *err);
void part_shelf_free(struct part_shelf *shelf);

/* The parts of one automaton. */
struct part_finder {
    struct automaton *automaton;
    const struct vocab_tree *tree;
    struct part_shelf *shelf; /* may be NULL */
    uint32_t words;           /* of a bit set over the tokens */
    struct part **parts;      /* [part_room] of each state: NULL if not known */
    uint32_t part_room, held; /* held: parts that are not NULL */
    uint64_t *near_tokens;    /* [words]: tokens of at most PART_NEAR bytes; NULL until the first use */
    uint32_t *path;           /* [depth + 1]: DFA states of a walk */
    uint32_t *ids;            /* [nodes]: tokens of a walk */
    uint32_t *exits;          /* [nodes] */
    uint32_t id_count, exit_count;
    uint64_t visited; /* nodes of all walks */
};

enum rwkv7_status part_finder_open(struct part_finder *f, struct automaton *a, const struct vocab_tree *tree,
                                   struct part_shelf *shelf, struct rwkv7_error *err);
void part_finder_close(struct part_finder *f); /* harmless on a zeroed struct */
/*
 * Adds the tokens of a state to `bits`. *exits [*count]: valid until the next call.
 */
enum rwkv7_status part_find(struct part_finder *f, uint32_t state, uint64_t *bits, const uint32_t **exits,
                            uint32_t *count, struct rwkv7_error *err);
size_t part_finder_bytes(const struct part_finder *f);

static inline void bit_set(uint64_t *bits, uint32_t i)
{
    bits[i / 64] |= UINT64_C(1) << (i % 64);
}

#endif
