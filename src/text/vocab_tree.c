/*
 * vocab_tree.c - see vocab_tree.h. The tokens are sorted by their bytes. Each one adds only the
 * nodes that it does not share with the previous token.
 */
#include "text/vocab_tree.h"

#include <string.h>

#include "base/mem.h"

static int compare(const struct vocab *v, uint32_t a, uint32_t b)
{
    const uint32_t x = v->start[a + 1] - v->start[a], y = v->start[b + 1] - v->start[b];
    const int order = memcmp(v->bytes + v->start[a], v->bytes + v->start[b], x < y ? x : y);
    return order != 0 ? order : x != y ? (x < y ? -1 : 1) : a < b ? -1 : 1;
}

/* Merge sort, because qsort cannot pass `v` to compare(). Returns the sorted one of both arrays. */
static uint32_t *sort(const struct vocab *v, uint32_t *ids, uint32_t *scratch, uint32_t count)
{
    for (uint32_t width = 1; width < count; width *= 2) {
        for (uint32_t begin = 0; begin < count; begin += 2 * width) {
            const uint32_t middle = count - begin < width ? count : begin + width;
            const uint32_t end = count - begin < 2 * width ? count : begin + 2 * width;
            uint32_t left = begin, right = middle;
            for (uint32_t i = begin; i < end; i++) {
                const bool first = left < middle && (right == end || compare(v, ids[left], ids[right]) < 0);
                scratch[i] = first ? ids[left++] : ids[right++];
            }
        }
        uint32_t *const sorted = scratch;
        scratch = ids;
        ids = sorted;
    }
    return ids;
}

/* Completes the last node of a path of `depth` nodes, when its subtree is complete. */
static void close_node(struct vocab_tree *t, const uint32_t *path, uint32_t depth)
{
    struct vocab_node *const node = &t->nodes[path[depth - 1]];
    const uint8_t reach = node->depth > UINT8_MAX ? UINT8_MAX : (uint8_t)node->depth;
    node->skip = t->count - path[depth - 1];
    node->reach = node->reach > reach ? node->reach : reach;
    if (depth > 1) {
        struct vocab_node *const parent = &t->nodes[path[depth - 2]];
        parent->reach = parent->reach > node->reach ? parent->reach : node->reach;
    }
}

/* Adds the tokens, which are sorted. path: scratch for the nodes of the previous token. */
static void add_tokens(const struct vocab *v, struct vocab_tree *t, const uint32_t *ids, uint32_t count, uint32_t *path)
{
    uint32_t depth = 0; /* of the path */
    const uint8_t *last = NULL;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t id = ids[i], length = v->start[id + 1] - v->start[id];
        const uint8_t *const bytes = v->bytes + v->start[id];
        uint32_t shared = 0;
        while (shared < depth && shared < length && last[shared] == bytes[shared])
            shared++;
        if (shared == length && shared == depth && depth > 0) { /* the same bytes as the token before */
            t->same[id] = t->nodes[path[depth - 1]].id;
            t->nodes[path[depth - 1]].id = id;
            continue;
        }
        for (; depth > shared; depth--)
            close_node(t, path, depth);
        for (; depth < length; depth++) {
            path[depth] = t->count;
            t->nodes[t->count++] =
                (struct vocab_node){.id = VOCAB_TREE_NONE, .depth = (uint16_t)(depth + 1), .byte = bytes[depth]};
        }
        t->nodes[path[depth - 1]].id = id;
        t->depth = depth > t->depth ? depth : t->depth;
        last = bytes;
    }
    for (; depth > 0; depth--)
        close_node(t, path, depth);
}

enum rwkv7_status vocab_tree_build(const struct vocab *v, struct vocab_tree *out, struct rwkv7_error *err)
{
    struct vocab_tree t = {.vocab = v->size};
    uint32_t count = 0;
    uint32_t *const ids = mem_alloc(v->size, sizeof *ids);
    uint32_t *const scratch = mem_alloc(v->size, sizeof *scratch);
    uint32_t *const path = mem_alloc(VOCAB_MAX_TOKEN, sizeof *path);
    enum rwkv7_status status = RWKV7_OK;
    t.nodes = mem_alloc(v->start[v->size], sizeof *t.nodes); /* at most one node per byte */
    t.same = mem_alloc(v->size, sizeof *t.same);
    if (!ids || !scratch || !path || !t.nodes || !t.same) {
        status = fail_memory(err, "the tree of the vocabulary");
        goto end;
    }
    memset(t.same, 0xff, v->size * sizeof *t.same);
    for (uint32_t id = 0; id < v->size; id++)
        if (v->start[id + 1] > v->start[id])
            ids[count++] = id;
    add_tokens(v, &t, sort(v, ids, scratch, count), count, path);
    struct vocab_node *const nodes = mem_grow(t.nodes, t.count, t.count, sizeof *nodes);
    if (nodes) /* otherwise it stays larger than needed */
        t.nodes = nodes;
    *out = t;
    t = (struct vocab_tree){0};
end:
    mem_free(ids);
    mem_free(scratch);
    mem_free(path);
    vocab_tree_free(&t);
    return status;
}

void vocab_tree_free(struct vocab_tree *t)
{
    mem_free(t->nodes);
    mem_free(t->same);
    *t = (struct vocab_tree){0};
}
