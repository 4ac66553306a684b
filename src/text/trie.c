/*
 * trie.c - builds the double array of trie.h in a few milliseconds.
 *
 * The tokens are sorted while the tree is built. A node stands for the range of tokens that start
 * with its bytes; it is expanded by sorting this range by the next byte. The sort is stable and the
 * tokens are sorted by length at the start, so the token that ends at a node is the first of its
 * range.
 *
 * A double array has two rules. The children of a node must be placed in empty cells. No two nodes
 * may have the same base: a cell's label is the byte, not the parent, so a lookup would find the
 * children of one node below the other. The search for a free base continues where the last one
 * ended, so all searches together take linear time. Nodes with one child have a separate search,
 * which fills the gaps.
 */
#include "text/trie.h"

#include <string.h>

#include "base/mem.h"

#define SMALL_RANGE 24 /* tokens; insertion sort below this size, counting sort otherwise */

/*
 * A node whose children are not placed yet. The tokens order[begin .. end) start with its `depth`
 * bytes.
 */
struct range {
    uint32_t cell, begin, end, depth;
};

struct slot {
    uint32_t skip; /* 0: the cell is empty; otherwise this cell and the skip - 1 after it are occupied */
    bool is_base;
};

struct builder {
    const struct vocab *v;
    uint32_t *order;     /* [v->tokens]: ids */
    uint32_t *scratch;   /* [v->tokens] */
    struct range *stack; /* [v->tokens]: enough, because the ranges are disjoint and not empty */
    struct trie_cell *cells;
    struct slot *slots;
    uint32_t room;         /* allocated elements of cells and slots */
    uint32_t used;         /* cells up to the last occupied one */
    uint32_t waiting;      /* ranges on the stack */
    uint32_t one, several; /* start of the search for a base: with one child, with several children */
};

/*
 * The different bytes that follow a node, in increasing order, and where the tokens of each begin.
 */
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

/* Sorts all ids by length, and equal lengths by id. */
static void sort_by_length(struct builder *b)
{
    uint32_t first[VOCAB_MAX_TOKEN + 2] = {0};
    for (uint32_t id = 0; id < b->v->size; id++)
        first[token_length(b, id) + 1]++;
    first[1] = 0; /* leaves out ids without a token */
    for (uint32_t n = 1; n <= VOCAB_MAX_TOKEN; n++)
        first[n + 1] += first[n];
    for (uint32_t id = 0; id < b->v->size; id++)
        if (token_length(b, id) > 0)
            b->order[first[token_length(b, id)]++] = id;
}

/* Sorts the range by the byte at its depth; stable. */
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

/* Returns the first empty cell at or after i. Shortens the chain of skips for the next search. */
static uint32_t next_empty(struct builder *b, uint32_t i)
{
    while (b->slots[i].skip) {
        b->slots[i].skip += b->slots[i + b->slots[i].skip].skip;
        i += b->slots[i].skip;
    }
    return i;
}

/* Ensures that cell i and the 256 after it exist. */
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

/* Finds a base where all children fit. */
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

/* Places the children of the node of range r and pushes those that have children themselves. */
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
                return fail(err, RWKV7_ERR_VOCAB, "%s:%u: duplicate of the token in line %u", name,
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

    /*
     * Cell 0 is the root. Cells 1 to 255 stay empty. All leaves have base 0, so they have no
     * children there.
     */
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

    /* No base exceeds b.used. */
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
