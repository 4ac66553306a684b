/*
 * trie.h - finds the longest token that a text begins with.
 *
 * A double array: the node that is reached from a node over byte b lies in cell (base of the node) + b, and the children
 * of all nodes are interleaved (the 116,079 nodes of the World vocabulary take 135,395 cells). A cell is eight bytes, one
 * load per byte of text. It carries the longest token that ends on the way to it: where the walk falls out of the tree, the
 * answer is at hand, however far back that token ended.
 */
#ifndef TEXT_TRIE_H
#define TEXT_TRIE_H

#include "text/vocab.h"

struct trie_cell {
    uint32_t next;  /* base << 9 | label; label: 0 for an empty cell, else 1 + the byte that leads here */
    uint32_t token; /* id << 11 | bytes of the longest token that ends here or before; 0 when there is none */
};

#define TRIE_LABEL_BITS 9
#define TRIE_LABEL_MASK ((1u << TRIE_LABEL_BITS) - 1)
#define TRIE_LENGTH_BITS 11
#define TRIE_LENGTH_MASK ((1u << TRIE_LENGTH_BITS) - 1)
#define TRIE_MAX_CELLS (1u << (32 - TRIE_LABEL_BITS))

/* Returns the cells, the first of which is the root; the caller frees them with mem_free. Equal tokens are RWKV7_ERR_VOCAB. */
enum rwkv7_status trie_build(const struct vocab *v, const char *name, struct trie_cell **out, struct rwkv7_error *err);

/* The longest token at the start of [at, end): id << TRIE_LENGTH_BITS | length; 0 when none fits. */
static inline uint32_t trie_longest(const struct trie_cell *cells, const uint8_t *at, const uint8_t *end)
{
    struct trie_cell here = cells[0];
    for (; at < end; at++) {
        const struct trie_cell child = cells[(here.next >> TRIE_LABEL_BITS) + *at];
        if ((child.next & TRIE_LABEL_MASK) != *at + 1u)
            break;
        here = child;
    }
    return here.token;
}

#endif
