/*
 * trie.c - builds the double array of trie.h in a few milliseconds.
 *
 * The tokens are sorted while the tree is built: a node stands for the range of tokens that begin with its bytes, and is
 * expanded by sorting that range by the next byte. The order inside equal bytes is kept, and the tokens start out
 * sorted by length, so the token that ends at a node is always the first of its range.
 *
 * Two rules of a double array: a node's children must fall on empty cells, and no two nodes may have the same base (or
 * one would take the other's children for its own: a label names the byte, not the parent). The search for a place goes
 * on where the last one ended, so all searches together are linear; nodes with one child have a search of their own, and
 * fill the gaps that the others leave.
 */
#include "text/trie.h"

#include <string.h>

#include "base/mem.h"

#define SMALL_RANGE 24 /* tokens; insertion sort below, counting sort from here on */

/* A node whose children are not placed yet: the tokens order[begin .. end) begin with its `depth` bytes. */
struct range {
    uint32_t cell, begin, end, depth;
};

struct slot {
    uint32_t skip; /* 0: the cell is empty; else no cell from here to here + skip - 1 is */
    bool is_base;
};

struct builder {
    const struct vocab *v;
    uint32_t *order;     /* [v->tokens] ids */
    uint32_t *scratch;   /* [v->tokens] */
    struct range *stack; /* [v->tokens]: the ranges do not overlap and none is empty */
    struct trie_cell *cells;
    struct slot *slots;
    uint32_t room;         /* elements of cells and slots */
    uint32_t used;         /* cells up to the last one that is not empty */
    uint32_t waiting;      /* ranges on the stack */
    uint32_t one, several; /* where the search for a place begins: for one child, for several children */
};

/* The different bytes that follow a node, rising, and where the tokens of each begin. */
struct children {
    uint32_t count;
    uint8_t byte[256];
    uint32_t begin[257];
};

static uint32_t token_length(const struct builder *b, uint32_t id)
{
    return b->v->start[id + 1] - b->v->start[id];
}

static uint8_t token_byte(const struct builder *b, uint32_t id, uint32_t depth)
{
    return b->v->bytes[b->v->start[id] + depth];
}

/* All ids by rising length, equal lengths by rising id. */
static void sort_by_length(struct builder *b)
{
    uint32_t first[VOCAB_MAX_TOKEN + 2] = {0};
    for (uint32_t id = 0; id < b->v->size; id++)
        first[token_length(b, id) + 1]++;
    first[1] = 0; /* ids without a token are left out */
    for (uint32_t n = 1; n <= VOCAB_MAX_TOKEN; n++)
        first[n + 1] += first[n];
    for (uint32_t id = 0; id < b->v->size; id++)
        if (token_length(b, id) > 0)
            b->order[first[token_length(b, id)]++] = id;
}

/* Sorts the range by the byte at its depth, keeping the order of equals. */
static void sort_range(struct builder *b, const struct range *r, struct children *out)
{
    uint32_t *const order = b->order;
    uint32_t count = 0;

    if (r->end - r->begin < SMALL_RANGE) {
        uint8_t byte[SMALL_RANGE];
        for (uint32_t i = r->begin; i < r->end; i++) {
            const uint32_t id = order[i];
            const uint8_t c = token_byte(b, id, r->depth);
            uint32_t j = i;
            for (; j > r->begin && byte[j - 1 - r->begin] > c; j--) {
                order[j] = order[j - 1];
                byte[j - r->begin] = byte[j - 1 - r->begin];
            }
            order[j] = id;
            byte[j - r->begin] = c;
        }
        for (uint32_t i = r->begin; i < r->end; i++) {
            if (i == r->begin || byte[i - r->begin] != byte[i - 1 - r->begin]) {
                out->byte[count] = byte[i - r->begin];
                out->begin[count++] = i;
            }
        }
    } else {
        uint32_t tally[256] = {0}, at[256];
        for (uint32_t i = r->begin; i < r->end; i++)
            tally[token_byte(b, order[i], r->depth)]++;
        uint32_t begin = r->begin;
        for (uint32_t c = 0; c < 256; c++) {
            at[c] = begin;
            if (tally[c]) {
                out->byte[count] = (uint8_t)c;
                out->begin[count++] = begin;
            }
            begin += tally[c];
        }
        memcpy(b->scratch + r->begin, order + r->begin, (r->end - r->begin) * sizeof *order);
        for (uint32_t i = r->begin; i < r->end; i++)
            order[at[token_byte(b, b->scratch[i], r->depth)]++] = b->scratch[i];
    }
    out->count = count;
    out->begin[count] = r->end;
}

/* The first empty cell from i on. Shortens the way for the next search. */
static uint32_t next_empty(struct builder *b, uint32_t i)
{
    while (b->slots[i].skip) {
        b->slots[i].skip += b->slots[i + b->slots[i].skip].skip;
        i += b->slots[i].skip;
    }
    return i;
}

/* Makes sure that cell i and the 256 behind it exist. */
static enum rwkv7_status reserve(struct builder *b, const char *name, uint32_t i, struct rwkv7_error *err)
{
    if (i + 257 <= b->room)
        return RWKV7_OK;
    const uint32_t room = b->room ? 2 * b->room : 4096;
    if (room > TRIE_MAX_CELLS)
        return fail(err, RWKV7_ERR_VOCAB, "%s: the vocabulary is too large, its tree needs more than %u cells", name,
                    TRIE_MAX_CELLS);
    struct trie_cell *const cells = mem_grow(b->cells, b->room, room, sizeof *cells);
    if (!cells)
        return fail_memory(err, "the tokenizer");
    b->cells = cells;
    struct slot *const slots = mem_grow(b->slots, b->room, room, sizeof *slots);
    if (!slots)
        return fail_memory(err, "the tokenizer");
    b->slots = slots;
    b->room = room;
    return RWKV7_OK;
}

/* Finds a base for the children. */
static enum rwkv7_status find_base(struct builder *b, const char *name, const struct children *c, uint32_t *out,
                                   struct rwkv7_error *err)
{
    uint32_t *const cursor = c->count == 1 ? &b->one : &b->several;
    for (uint32_t i = next_empty(b, *cursor);; i = next_empty(b, i + 1)) {
        const enum rwkv7_status status = reserve(b, name, i, err);
        if (status != RWKV7_OK)
            return status;
        const uint32_t base = i - c->byte[0]; /* i >= 256 */
        uint32_t k = 1;
        while (k < c->count && b->slots[base + c->byte[k]].skip == 0)
            k++;
        if (k == c->count && !b->slots[base].is_base) {
            *cursor = i;
            *out = base;
            return RWKV7_OK;
        }
    }
}

/* Gives the node of range r its children, and puts those that go on onto the stack. */
static enum rwkv7_status expand(struct builder *b, const char *name, const struct range *r, struct rwkv7_error *err)
{
    struct children children;
    uint32_t base;

    sort_range(b, r, &children);
    const enum rwkv7_status status = find_base(b, name, &children, &base, err);
    if (status != RWKV7_OK)
        return status;
    b->slots[base].is_base = true;
    b->cells[r->cell].next |= base << TRIE_LABEL_BITS;
    for (uint32_t k = 0; k < children.count; k++) {
        const uint32_t cell = base + children.byte[k], length = r->depth + 1;
        uint32_t begin = children.begin[k];
        const uint32_t end = children.begin[k + 1], first = b->order[begin];
        b->slots[cell].skip = 1;
        b->cells[cell].next = children.byte[k] + 1u;
        b->cells[cell].token = b->cells[r->cell].token;
        b->used = cell + 1 > b->used ? cell + 1 : b->used;
        if (token_length(b, first) == length) {
            b->cells[cell].token = first << TRIE_LENGTH_BITS | length;
            begin++;
            if (begin < end && token_length(b, b->order[begin]) == length)
                return fail(err, RWKV7_ERR_VOCAB, "%s:%u: expected a new token, found the same as in line %u", name,
                            vocab_line(b->v, b->order[begin]), vocab_line(b->v, first));
        }
        if (begin < end)
            b->stack[b->waiting++] = (struct range){cell, begin, end, length};
    }
    return RWKV7_OK;
}

enum rwkv7_status trie_build(const struct vocab *v, const char *name, struct trie_cell **out, struct rwkv7_error *err)
{
    enum rwkv7_status status;
    struct builder b = {.v = v, .one = 256, .several = 256};

    b.order = mem_alloc(v->tokens, sizeof *b.order);
    b.scratch = mem_alloc(v->tokens, sizeof *b.scratch);
    b.stack = mem_alloc(v->tokens, sizeof *b.stack);
    status = b.order && b.scratch && b.stack ? reserve(&b, name, 256, err) : fail_memory(err, "the tokenizer");
    if (status != RWKV7_OK)
        goto done;

    /* Cell 0 is the root. Cells below 256 stay empty, so that base 0, that of all leaves, leads nowhere. */
    for (uint32_t i = 0; i < 256; i++)
        b.slots[i].skip = 256 - i;
    b.slots[0].is_base = true;
    b.used = 256;

    sort_by_length(&b);
    b.stack[b.waiting++] = (struct range){0, 0, v->tokens, 0};
    while (b.waiting > 0 && status == RWKV7_OK) {
        const struct range r = b.stack[--b.waiting];
        status = expand(&b, name, &r, err);
    }
    if (status != RWKV7_OK)
        goto done;

    /* No base is beyond b.used. */
    *out = mem_grow(b.cells, b.used, b.used + 256, sizeof **out);
    if (*out)
        b.cells = NULL;
    else
        status = fail_memory(err, "the tokenizer");
done:
    mem_free(b.order);
    mem_free(b.scratch);
    mem_free(b.stack);
    mem_free(b.cells);
    mem_free(b.slots);
    return status;
}
