/*
 * trie.h - finds the longest token that a text starts with.
 *
 * The tree is a double array: the child for byte b of a node is in cell (base of the node) + b, and
 * the children of all nodes are interleaved (the 116,079 nodes of the World vocabulary take 135,395
 * cells). A cell has eight bytes, so each byte of text costs one load. A cell contains the longest
 * token that ends at or before it, so the result is known as soon as the walk leaves the tree.
 */
#ifndef TEXT_TRIE_H
#define TEXT_TRIE_H

#include "text/vocab.h"

struct trie_cell {
    uint32_t next;  /* base << 9 | label; label: 0 for an empty cell, else 1 + the byte of this child */
    uint32_t token; /* id << 11 | length of the longest token that ends here or before; 0 if there is none */
};

#define TRIE_LABEL_BITS 9
#define TRIE_LABEL_MASK ((1u << TRIE_LABEL_BITS) - 1)
#define TRIE_LENGTH_BITS 11
#define TRIE_LENGTH_MASK ((1u << TRIE_LENGTH_BITS) - 1)
#define TRIE_MAX_CELLS (1u << (32 - TRIE_LABEL_BITS))

/*
 * Builds the tree. The first cell is the root; the caller frees the cells with mem_free. Duplicate
 * tokens are RWKV7_ERR_VOCAB.
 */
enum rwkv7_status trie_build(const struct vocab *v, const char *name, struct trie_cell **out, struct rwkv7_error *err);

/*
 * Returns the longest token at the start of [at, end) as id << TRIE_LENGTH_BITS | length; 0 if
 * there is none.
 */
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
