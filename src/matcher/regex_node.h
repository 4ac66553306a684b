/* regex_node.h - the arena of regex.h as data, for the files regex*.c only. */
#ifndef MATCHER_REGEX_NODE_H
#define MATCHER_REGEX_NODE_H

#include "matcher/regex.h"

enum regex_kind {
    NODE_NOTHING,
    NODE_EMPTY,
    NODE_ANYTHING,
    NODE_SET,    /* one byte of the set `a` */
    NODE_CONCAT, /* a, then b; a is no concatenation */
    NODE_UNION,  /* one of the sorted members: a is the index of the first, b their number */
    NODE_AND,    /* all of the members, in the same form */
    NODE_NOT,    /* not a */
    NODE_REPEAT, /* min to max times a */
};

struct regex_node {
    uint8_t kind; /* enum regex_kind */
    bool nullable;
    bool boolean;     /* contains an intersection or complement: may match nothing */
    uint8_t liveness; /* for boolean nodes: 0 unknown, 1 matches some text, 2 matches none */
    uint16_t depth;   /* recursion depth of a derivative, at most REGEX_MAX_DEPTH */
    uint32_t a, b, min, max;
};

#define REGEX_MAX_DEPTH 1000
#define REGEX_MAX_COUNT 0x7fffffffu

struct regex_set {
    uint64_t bits[4];
};

/* A memoized derivative. */
struct regex_memo {
    uint32_t node; /* 0: a free entry; the derivative of REGEX_NOTHING is never looked up */
    uint32_t byte;
    uint32_t result;
};

struct regex {
    struct rwkv7_error error; /* the first failure */
    struct regex_node *nodes;
    uint32_t count, room;
    uint32_t *table; /* [table_size] node + 1 by hash of the contents; 0: free */
    uint32_t table_size;
    struct regex_set *sets;
    uint32_t set_count, set_room;
    uint32_t *set_table;
    uint32_t set_table_size;
    uint32_t *members; /* of unions and intersections */
    uint32_t member_count, member_room;
    struct regex_memo *memo;
    uint32_t memo_size, memo_used;
    uint32_t *scratch; /* a stack of nodes, see regex_push */
    uint32_t scratch_count, scratch_room;
    uint32_t any_char, any_text; /* 0 until the first use */
};

#define REGEX_MAX_MEMBERS (1u << 22)
#define REGEX_MAX_SETS (1u << 17)
#define REGEX_MAX_MEMO (1u << 19) /* derivatives; a full table is cleared */

/*
 * Copies an arena. The nodes keep their numbers; adding nodes to the copy does not affect the
 * original.
 */
enum rwkv7_status regex_copy(const struct regex *from, struct regex **out, struct rwkv7_error *err);
size_t regex_bytes(const struct regex *r); /* of memory */
/* Records a failure, unless there is one already; returns REGEX_NOTHING. */
uint32_t regex_fail(struct regex *r, enum rwkv7_status status, const char *message);
/* The node of a set of bytes. */
uint32_t regex_set(struct regex *r, const struct regex_set *set);
static inline bool set_has(const struct regex_set *set, uint8_t byte)
{
    return set->bits[byte >> 6] >> (byte & 63) & 1;
}
static inline void set_add(struct regex_set *set, uint8_t low, uint8_t high)
{
    for (unsigned byte = low; byte <= high; byte++)
        set->bits[byte >> 6] |= UINT64_C(1) << (byte & 63);
}

/*
 * Returns an expression with smaller or no counts that agrees with `a` on texts of up to `bytes`
 * bytes and on prefixes of that length. For 16 bytes, x{0,90} becomes x{0,} and x{90,90} becomes
 * x{17,}. Intersections and complements stay unchanged.
 */
uint32_t regex_within(struct regex *r, uint32_t a, uint32_t bytes);
/*
 * A stack of nodes in the arena. Push the members, then regex_join makes a union or an intersection
 * of those above `base` and pops them.
 */
bool regex_push(struct regex *r, uint32_t node);
uint32_t regex_join(struct regex *r, enum regex_kind kind, uint32_t base);

/*
 * Divides the 256 bytes into classes whose bytes all expressions below `node` treat alike:
 * class_of[256], numbered from 0. Returns the number of classes; 0 after a failure.
 */
uint32_t regex_classes(struct regex *r, uint32_t node, uint8_t *class_of);

/* Grows a table of elements of `size` bytes to at least `wanted`, at most `limit`. */
bool regex_reserve(struct regex *r, void **table, uint32_t *room, uint32_t wanted, uint32_t limit, size_t size,
                   const char *what);

#endif
