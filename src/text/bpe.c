/*
 * bpe.c - see bpe.h.
 *
 * A word is a linked list of tokens. A heap holds the possible merges of neighbours, lowest rank
 * first. An entry becomes stale when one of its tokens is merged with another; stale entries are
 * dropped when they are popped. Each merge adds at most two pairs, so a word of n bytes takes
 * O(n log n) time in the worst case.
 */
#include "text/bpe.h"

#include <string.h>

#include "base/mem.h"

#define NONE UINT32_MAX

struct bpe_node {
    uint32_t id, end; /* end: offset in the word after the token */
    uint32_t before;  /* nodes are indexed by the offset of their token's first byte; NONE for the first token */
};

static uint32_t hash_pair(uint64_t key)
{
    key *= 0x9e3779b97f4a7c15u;
    return (uint32_t)(key >> 32) ^ (uint32_t)(key >> 17);
}

static uint32_t hash_bytes(const uint8_t *p, uint32_t size)
{
    uint64_t h = size * 0x9e3779b97f4a7c15u;
    for (; size >= 8; p += 8, size -= 8) {
        uint64_t part;
        memcpy(&part, p, 8);
        h = (h ^ part) * 0xbf58476d1ce4e5b9u;
        h ^= h >> 32;
    }
    for (uint32_t i = 0; i < size; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    h = (h ^ h >> 32) * 0x94d049bb133111ebu;
    return (uint32_t)(h >> 32);
}

/* Returns the rank of a merge; NONE if the pair cannot be merged. */
static uint32_t find_rank(const struct bpe *b, uint32_t left, uint32_t right)
{
    const uint64_t key = ((uint64_t)left << 32 | right) + 1;
    for (uint32_t i = hash_pair(key);; i++) {
        const struct bpe_pair *const pair = &b->pairs[i & b->pair_mask];
        if (pair->key == key)
            return pair->rank;
        if (pair->key == 0)
            return NONE;
    }
}

/*
 * Looks up the whole word in the table of words. Returns its token; NONE if the word is not there
 * and must be merged.
 */
static uint32_t find_word(const struct bpe *b, const struct vocab *v, const uint8_t *word, uint32_t size)
{
    for (uint32_t i = hash_bytes(word, size);; i++) {
        const uint32_t entry = b->words[i & b->word_mask];
        if (entry == 0)
            return NONE;
        const uint32_t start = v->start[entry - 1];
        if (v->start[entry] - start == size && memcmp(v->bytes + start, word, size) == 0)
            return entry - 1;
    }
}

/* -------------------------------------------------------------------------------------- merging */

static void heap_push(uint64_t *heap, uint32_t *count, uint64_t key)
{
    uint32_t i = (*count)++;
    for (; i > 0 && heap[(i - 1) / 2] > key; i = (i - 1) / 2)
        heap[i] = heap[(i - 1) / 2];
    heap[i] = key;
}

static uint64_t heap_pop(uint64_t *heap, uint32_t *count)
{
    const uint64_t top = heap[0], last = heap[--*count];
    uint32_t i = 0;
    for (uint32_t child; (child = 2 * i + 1) < *count; i = child) {
        child += child + 1 < *count && heap[child + 1] < heap[child];
        if (last <= heap[child])
            break;
        heap[i] = heap[child];
    }
    heap[i] = last;
    return top;
}

/*
 * Pushes the merge of the tokens that begin at `left` and `right` onto the heap, as rank and
 * offset. Does nothing if they cannot be merged.
 */
static void offer(const struct bpe *b, const struct bpe_scratch *s, uint32_t *count, uint32_t left, uint32_t right)
{
    const uint32_t rank = find_rank(b, s->nodes[left].id, s->nodes[right].id);
    if (rank != NONE)
        heap_push(s->heap, count, (uint64_t)rank << 32 | left);
}

static uint32_t merge_all(const struct bpe *b, const uint8_t *word, uint32_t size, struct bpe_scratch *s)
{
    struct bpe_node *const nodes = s->nodes;
    uint32_t waiting = 0, count = 0;

    for (uint32_t i = 0; i < size; i++)
        nodes[i] = (struct bpe_node){b->rules.byte_id[word[i]], i + 1, i - 1};
    for (uint32_t i = 0; i + 1 < size; i++)
        offer(b, s, &waiting, i, i + 1);
    /*
     * Fewer than `size` pairs are pushed at the start. Each of fewer than `size` merges pops one
     * entry and pushes at most two, so 2 * size entries suffice.
     */
    while (waiting > 0) {
        const uint64_t top = heap_pop(s->heap, &waiting);
        const uint32_t left = (uint32_t)top, right = nodes[left].end;
        const struct bpe_merge *const merge = &b->rules.merges[top >> 32];
        if (nodes[left].id != merge->left || right == size || nodes[right].id != merge->right)
            continue; /* stale: one of the two tokens has since been merged */
        const uint32_t next = nodes[right].end;
        nodes[left].id = merge->merged;
        nodes[left].end = next;
        nodes[right].id = NONE;
        if (next < size) {
            nodes[next].before = left;
            offer(b, s, &waiting, left, next);
        }
        if (left > 0)
            offer(b, s, &waiting, nodes[left].before, left);
    }
    for (uint32_t i = 0; i < size; i = nodes[i].end)
        s->out[count++] = (struct bpe_token){nodes[i].id, nodes[i].end};
    return count;
}

uint32_t bpe_word(const struct bpe *b, const struct vocab *v, const uint8_t *word, uint32_t size, struct bpe_scratch *s)
{
    const uint32_t token = find_word(b, v, word, size);
    if (token == NONE)
        return merge_all(b, word, size, s);
    s->out[0] = (struct bpe_token){token, size};
    return 1;
}

bool bpe_scratch_open(struct bpe_scratch *s, uint32_t size)
{
    s->size = size;
    s->nodes = mem_alloc(size, sizeof *s->nodes);
    s->heap = mem_alloc(size, 2 * sizeof *s->heap);
    s->out = mem_alloc(size, sizeof *s->out);
    return s->nodes && s->heap && s->out;
}

void bpe_scratch_close(struct bpe_scratch *s)
{
    mem_free(s->nodes);
    mem_free(s->heap);
    mem_free(s->out);
}

/* --------------------------------------------------------------------------------------- tables */

/* Returns a hash mask: the smallest power of two that is at least 2 * entries, minus 1. */
static uint32_t table_mask(uint32_t entries)
{
    uint32_t size = 16;
    while (size < 2 * entries)
        size *= 2;
    return size - 1;
}

enum rwkv7_status bpe_build(const struct vocab *v, struct bpe_rules *rules, const char *name, struct bpe **out,
                            struct rwkv7_error *err)
{
    struct bpe_scratch s = {0};
    struct bpe *const b = mem_alloc(1, sizeof *b);
    *out = NULL;
    if (!b) {
        bpe_rules_free(rules);
        return fail_memory(err, "the tokenizer");
    }
    b->rules = *rules;
    b->pair_mask = table_mask(rules->merge_count);
    b->word_mask = table_mask(v->size);
    b->pairs = mem_alloc((size_t)b->pair_mask + 1, sizeof *b->pairs);
    b->words = mem_alloc((size_t)b->word_mask + 1, sizeof *b->words);
    if (!bpe_scratch_open(&s, v->longest) || !b->pairs || !b->words) {
        bpe_scratch_close(&s);
        bpe_free(b);
        return fail_memory(err, "the tokenizer");
    }
    for (uint32_t rank = 0; rank < rules->merge_count; rank++) {
        const struct bpe_merge *const m = &rules->merges[rank];
        if (find_rank(b, m->left, m->right) != NONE) {
            bpe_scratch_close(&s);
            bpe_free(b);
            return fail(err, RWKV7_ERR_VOCAB, "%s: model.merges: duplicate pair at rank %u", name, rank);
        }
        const uint64_t key = ((uint64_t)m->left << 32 | m->right) + 1;
        uint32_t i = hash_pair(key);
        while (b->pairs[i & b->pair_mask].key != 0)
            i++;
        b->pairs[i & b->pair_mask] = (struct bpe_pair){key, rank};
    }
    /* Adds only tokens that merging gives for their own bytes; a vocabulary may have others. */
    for (uint32_t id = 0; id < v->size; id++) {
        const uint8_t *const bytes = v->bytes + v->start[id];
        const uint32_t size = v->start[id + 1] - v->start[id];
        if (size == 0 || merge_all(b, bytes, size, &s) != 1 || s.out[0].id != id)
            continue;
        uint32_t i = hash_bytes(bytes, size);
        while (b->words[i & b->word_mask] != 0)
            i++;
        b->words[i & b->word_mask] = id + 1;
    }
    bpe_scratch_close(&s);
    *out = b;
    return RWKV7_OK;
}

void bpe_rules_free(struct bpe_rules *r)
{
    mem_free(r->merges);
    memset(r, 0, sizeof *r);
}

void bpe_free(struct bpe *b)
{
    if (!b)
        return;
    bpe_rules_free(&b->rules);
    mem_free(b->pairs);
    mem_free(b->words);
    mem_free(b);
}
