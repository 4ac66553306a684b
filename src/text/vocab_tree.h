/*
 * vocab_tree.h - the tokens of a vocabulary as a tree over their bytes, for finding all tokens that
 * a grammar allows. (trie.h finds the longest token of a text.)
 *
 * The nodes are in depth-first order, and each has the size of its subtree. So a walk is a loop
 * over an array: it goes to the next node, or skips the subtree if no token in it can match. The
 * World vocabulary has 116,078 nodes of 12 bytes.
 */
#ifndef TEXT_VOCAB_TREE_H
#define TEXT_VOCAB_TREE_H

#include "text/vocab.h"

#define VOCAB_TREE_NONE UINT32_MAX

struct vocab_node {
    uint32_t skip;  /* nodes of this subtree, this one included */
    uint32_t id;    /* the token that ends here, or VOCAB_TREE_NONE */
    uint16_t depth; /* length of the path to this node, at least 1 */
    uint8_t byte;   /* the last byte of the path */
    uint8_t reach;  /* depth of the deepest node of this subtree; 255 if deeper */
};

struct vocab_tree {
    struct vocab_node *nodes; /* [count]; there is none for the root */
    uint32_t count;
    uint32_t vocab; /* largest id + 1 */
    uint32_t depth; /* of the deepest node */
    uint32_t *same; /* [vocab]: the next id with the same bytes, or VOCAB_TREE_NONE */
};

enum rwkv7_status vocab_tree_build(const struct vocab *v, struct vocab_tree *out, struct rwkv7_error *err);
void vocab_tree_free(struct vocab_tree *t); /* harmless on a zeroed struct */

#endif
