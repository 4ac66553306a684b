/*
 * tokenizer.c - bytes to token ids by greedy longest match, and back.
 *
 * The tokens form a tree of bytes. A node's children lie side by side in rising order of their byte; the first two bytes of
 * a token, where the tree is widest, are looked up in one table. A match walks as deep as the text allows and remembers the last
 * node that is a token: many long tokens have prefixes that are none. The work per byte of text is bounded by the longest token.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/sys.h"
#include "text/vocab.h"

struct node {
    uint32_t token;    /* id + 1; 0: the bytes down to here are no token */
    uint32_t children; /* index of the first one; its siblings follow */
    uint16_t count;    /* of the children */
};

struct rwkv7_tokenizer {
    struct vocab vocab;
    struct node *nodes; /* [0] is the root */
    uint8_t *labels;    /* [node_count] the byte that leads to a node */
    size_t node_count, node_room;
    uint32_t first[256]; /* node of a first byte; 0: none */
    uint32_t *pairs;     /* [256 * 256] node of the first two bytes; 0: none */
};

static const uint8_t *token_bytes(const struct vocab *v, uint32_t id, size_t *length)
{
    *length = v->start[id + 1] - v->start[id];
    return v->bytes + v->start[id];
}

/* ---------------------------------------------------------------------------------------------------------- the tree */

static int compare_tokens(const struct vocab *v, uint32_t a, uint32_t b)
{
    size_t na, nb;
    const uint8_t *pa = token_bytes(v, a, &na), *pb = token_bytes(v, b, &nb);
    const int order = memcmp(pa, pb, na < nb ? na : nb);
    return order ? order : na < nb ? -1 : na > nb;
}

/* Merge sort: qsort's comparison would need a global to see the vocabulary. `spare` has room for as many ids. */
static void sort_tokens(const struct vocab *v, uint32_t *ids, uint32_t *spare, size_t n)
{
    if (n < 2)
        return;
    const size_t half = n / 2;
    sort_tokens(v, ids, spare, half);
    sort_tokens(v, ids + half, spare, n - half);
    memcpy(spare, ids, half * sizeof *ids);
    for (size_t left = 0, right = half, to = 0; left < half; to++) {
        const bool take_right = right < n && compare_tokens(v, ids[right], spare[left]) < 0;
        ids[to] = take_right ? ids[right++] : spare[left++];
    }
}

/* `count` new nodes side by side; 0 when out of memory. */
static uint32_t add_nodes(struct rwkv7_tokenizer *t, size_t count)
{
    if (t->node_room - t->node_count < count) {
        const size_t room = 2 * t->node_room + count;
        struct node *nodes = mem_grow(t->nodes, t->node_count, room, sizeof *nodes);
        if (nodes)
            t->nodes = nodes;
        uint8_t *labels = nodes ? mem_grow(t->labels, t->node_count, room, 1) : NULL;
        if (!labels)
            return 0;
        t->labels = labels;
        t->node_room = room;
    }
    const uint32_t first = (uint32_t)t->node_count;
    t->node_count += count;
    return first;
}

/* Fills a node from the sorted tokens ids[0 .. n), which share their first `depth` bytes. Depth is at most VOCAB_MAX_TOKEN. */
static enum rwkv7_status fill_node(struct rwkv7_tokenizer *t, const char *name, uint32_t node, const uint32_t *ids,
                                   size_t n, size_t depth, struct rwkv7_error *err)
{
    const struct vocab *v = &t->vocab;
    size_t length;
    if (n > 0 && (token_bytes(v, ids[0], &length), length == depth)) {
        t->nodes[node].token = ids[0] + 1;
        if (n > 1 && (token_bytes(v, ids[1], &length), length == depth))
            return fail(err, RWKV7_ERR_VOCAB, "%s:%u: token %u has the same bytes as token %u", name,
                        vocab_line(v, ids[1]), ids[1], ids[0]);
        ids++, n--;
    }
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += i == 0 || token_bytes(v, ids[i], &length)[depth] != token_bytes(v, ids[i - 1], &length)[depth];
    if (count == 0)
        return RWKV7_OK;
    uint32_t child = add_nodes(t, count);
    if (!child)
        return fail_memory(err, "the vocabulary");
    t->nodes[node].children = child;
    t->nodes[node].count = (uint16_t)count;
    for (size_t begin = 0, end; begin < n; begin = end, child++) {
        const uint8_t byte = token_bytes(v, ids[begin], &length)[depth];
        for (end = begin + 1; end < n && token_bytes(v, ids[end], &length)[depth] == byte; end++)
            ;
        t->labels[child] = byte;
        const enum rwkv7_status status = fill_node(t, name, child, ids + begin, end - begin, depth + 1, err);
        if (status != RWKV7_OK)
            return status;
    }
    return RWKV7_OK;
}

static enum rwkv7_status build_tree(struct rwkv7_tokenizer *t, const char *name, struct rwkv7_error *err)
{
    const struct vocab *v = &t->vocab;
    enum rwkv7_status status = RWKV7_OK;
    size_t n = 0, length;
    uint32_t *ids = mem_alloc(v->tokens, sizeof *ids), *spare = mem_alloc(v->tokens, sizeof *spare);
    t->node_room = v->start[v->size] / 2 + 256;
    t->nodes = mem_alloc(t->node_room, sizeof *t->nodes);
    t->labels = mem_alloc(t->node_room, 1);
    t->pairs = mem_alloc(256 * 256, sizeof *t->pairs);
    if (!ids || !spare || !t->nodes || !t->labels || !t->pairs) {
        status = fail_memory(err, "the vocabulary");
        goto done;
    }
    for (uint32_t id = 0; id < v->size; id++)
        if (token_bytes(v, id, &length), length > 0)
            ids[n++] = id;
    sort_tokens(v, ids, spare, n);
    t->node_count = 1;
    if ((status = fill_node(t, name, 0, ids, n, 0, err)) != RWKV7_OK)
        goto done;
    const struct node *root = &t->nodes[0];
    for (uint32_t a = root->children; a < root->children + root->count; a++) {
        const struct node *node = &t->nodes[a];
        t->first[t->labels[a]] = a;
        for (uint32_t b = node->children; b < node->children + node->count; b++)
            t->pairs[t->labels[a] << 8 | t->labels[b]] = b;
    }
done:
    mem_free(ids);
    mem_free(spare);
    return status;
}

/* ------------------------------------------------------------------------------------------------- the public interface */

enum rwkv7_status rwkv7_tokenizer_open_memory(const char *text, size_t size, const char *name,
                                              struct rwkv7_tokenizer **out, struct rwkv7_error *err)
{
    *out = NULL;
    struct rwkv7_tokenizer *t = mem_alloc(1, sizeof *t);
    if (!t)
        return fail_memory(err, "the vocabulary");
    enum rwkv7_status status = vocab_read(text, size, name, &t->vocab, err);
    if (status == RWKV7_OK)
        status = build_tree(t, name, err);
    if (status != RWKV7_OK) {
        rwkv7_tokenizer_close(t);
        return status;
    }
    *out = t;
    return RWKV7_OK;
}

enum rwkv7_status rwkv7_tokenizer_open(const char *path, struct rwkv7_tokenizer **out, struct rwkv7_error *err)
{
    struct file_map map;
    *out = NULL;
    enum rwkv7_status status = file_map_open(path, &map, err);
    if (status != RWKV7_OK)
        return status;
    status = rwkv7_tokenizer_open_memory((const char *)map.data, map.size, path, out, err);
    file_map_close(&map);
    return status;
}

void rwkv7_tokenizer_close(struct rwkv7_tokenizer *t)
{
    if (!t)
        return;
    vocab_free(&t->vocab);
    mem_free(t->nodes);
    mem_free(t->labels);
    mem_free(t->pairs);
    mem_free(t);
}

uint32_t rwkv7_tokenizer_size(const struct rwkv7_tokenizer *t)
{
    return t->vocab.size;
}

size_t rwkv7_tokenizer_max_length(const struct rwkv7_tokenizer *t)
{
    return t->vocab.longest;
}

bool rwkv7_tokenizer_has_end_of_text(const struct rwkv7_tokenizer *t)
{
    return t->vocab.start[1] == t->vocab.start[0];
}

const uint8_t *rwkv7_tokenizer_bytes(const struct rwkv7_tokenizer *t, uint32_t id, size_t *length)
{
    static const uint8_t none[1];
    if (id >= t->vocab.size) {
        *length = 0;
        return none;
    }
    return token_bytes(&t->vocab, id, length);
}

enum rwkv7_status rwkv7_tokenizer_check(const struct rwkv7_tokenizer *t, int model_vocab, struct rwkv7_error *err)
{
    /* Embeddings are padded to a round number of rows: 65,530 ids in 65,536 rows. */
    const uint32_t size = t->vocab.size, padded = (size + 255) / 256 * 256;
    if (model_vocab > 0 && size <= (uint32_t)model_vocab && (uint32_t)model_vocab <= padded)
        return RWKV7_OK;
    return fail(err, RWKV7_ERR_VOCAB,
                "the vocabulary does not belong to this model: it has ids up to %u, the model %d rows", size - 1,
                model_vocab);
}

/* The node that `byte` leads to; 0: none. */
static uint32_t child_of(const struct rwkv7_tokenizer *t, uint32_t node, uint8_t byte)
{
    const uint8_t *labels = t->labels + t->nodes[node].children;
    unsigned low = 0, high = t->nodes[node].count;
    while (high - low > 8) {
        const unsigned middle = (low + high) / 2;
        if (labels[middle] <= byte)
            low = middle;
        else
            high = middle;
    }
    for (; low < high; low++)
        if (labels[low] == byte)
            return t->nodes[node].children + low;
    return 0;
}

enum rwkv7_status rwkv7_tokenizer_encode(const struct rwkv7_tokenizer *t, const void *text, size_t size, bool final,
                                         uint32_t *ids, size_t room, size_t *count, size_t *covered,
                                         struct rwkv7_error *err)
{
    const uint8_t *bytes = text;
    size_t at = 0;
    *count = 0;
    while (at < size && *count < room) {
        uint32_t token = 0;
        size_t length = 0, depth = 1;
        uint32_t node = t->first[bytes[at]];
        if (node && t->nodes[node].token) {
            token = t->nodes[node].token;
            length = 1;
        }
        if (node && at + 1 < size) {
            node = t->pairs[bytes[at] << 8 | bytes[at + 1]];
            depth = 2;
        }
        while (node) {
            if (t->nodes[node].token) {
                token = t->nodes[node].token;
                length = depth;
            }
            if (at + depth == size)
                break;
            node = child_of(t, node, bytes[at + depth]);
            depth++;
        }
        if (!final && node && t->nodes[node].count > 0)
            break; /* the text ended inside the tree: more of it could make a longer token */
        if (token == 0) {
            *covered = at;
            return fail(err, RWKV7_ERR_VOCAB, "the vocabulary has no token for byte 0x%02x at offset %zu of the text",
                        bytes[at], at);
        }
        ids[(*count)++] = token - 1;
        at += length;
    }
    *covered = at;
    return RWKV7_OK;
}
