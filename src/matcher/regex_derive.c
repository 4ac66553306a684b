/*
 * regex_derive.c - derivatives of expressions (Brzozowski), and what is computed with them.
 *
 *     d(x y)     = d(x) y | d(y) if x may be empty        d(x | y) = d(x) | d(y), and so & and not
 *     d(x{m,n})  = d(x) x{m-1,n-1}
 *
 * The last line also holds if x may be empty, because then m is 0. Results are memoized in the
 * arena. Without memoization, an expression that contains the same subexpression several times at
 * each level would take exponential time.
 */
#include "matcher/regex_node.h"

#include <string.h>

#include "base/mem.h"

/* ----------------------------------------------------------------------------------------- memo */

static uint32_t memo_hash(uint32_t node, uint32_t byte)
{
    uint32_t h = (node * 256u + byte) * 0x9e3779b1u;
    h ^= h >> 16;
    h *= 0x85ebca6bu;
    return h ^ h >> 13;
}

/* Returns the entry of a derivative, or the free entry where it belongs. */
static struct regex_memo *memo_find(const struct regex *r, uint32_t node, uint32_t byte)
{
    uint32_t at = memo_hash(node, byte) & (r->memo_size - 1);
    while (r->memo[at].node && (r->memo[at].node != node || r->memo[at].byte != byte))
        at = (at + 1) & (r->memo_size - 1);
    return &r->memo[at];
}

static bool memo_grow(struct regex *r)
{
    if (r->memo_used < r->memo_size / 2)
        return true;
    if (r->memo_size == REGEX_MAX_MEMO) {
        memset(r->memo, 0, r->memo_size * sizeof *r->memo);
        r->memo_used = 0;
        return true;
    }
    const uint32_t old_size = r->memo_size, size = old_size ? old_size * 2 : 256;
    struct regex_memo *const old = r->memo, *const memo = mem_alloc(size, sizeof *memo);
    if (!memo) {
        regex_fail(r, RWKV7_ERR_MEMORY, "the expressions");
        return false;
    }
    r->memo = memo;
    r->memo_size = size;
    for (uint32_t i = 0; i < old_size; i++)
        if (old[i].node)
            *memo_find(r, old[i].node, old[i].byte) = old[i];
    mem_free(old);
    return true;
}

/* ---------------------------------------------------------------------------------- derivatives */

static uint32_t derive(struct regex *r, uint32_t a, uint8_t byte);

/* Derives a sequence x y z: the union over its items, up to the first that cannot be empty. */
static uint32_t derive_concat(struct regex *r, uint32_t a, uint8_t byte)
{
    const uint32_t base = r->scratch_count;
    const struct regex_node n = r->nodes[a];
    if (!regex_push(r, regex_concat(r, derive(r, n.a, byte), n.b)))
        return REGEX_NOTHING;
    if (r->nodes[n.a].nullable && !regex_push(r, derive(r, n.b, byte)))
        return REGEX_NOTHING;
    return regex_join(r, NODE_UNION, base);
}

static uint32_t derive_members(struct regex *r, uint32_t a, uint8_t byte)
{
    const uint32_t base = r->scratch_count;
    const struct regex_node n = r->nodes[a];
    for (uint32_t i = 0; i < n.b; i++) {
        const uint32_t d = derive(r, r->members[n.a + i], byte);
        if (d == REGEX_NOTHING && n.kind == NODE_AND) {
            r->scratch_count = base;
            return REGEX_NOTHING;
        }
        if (d != REGEX_NOTHING && !regex_push(r, d))
            return REGEX_NOTHING;
    }
    return regex_join(r, (enum regex_kind)n.kind, base);
}

static uint32_t derive_repeat(struct regex *r, uint32_t a, uint8_t byte)
{
    const struct regex_node n = r->nodes[a];
    const uint32_t d = derive(r, n.a, byte);
    if (d == REGEX_NOTHING)
        return REGEX_NOTHING;
    const uint32_t max = n.max == REGEX_NO_LIMIT ? n.max : n.max - 1;
    return regex_concat(r, d, regex_repeat(r, n.a, n.min > 0 ? n.min - 1 : 0, max));
}

/* Recursion is limited by REGEX_MAX_DEPTH. */
static uint32_t derive(struct regex *r, uint32_t a, uint8_t byte)
{
    const struct regex_node *const n = &r->nodes[a];
    uint32_t result = REGEX_NOTHING;
    switch ((enum regex_kind)n->kind) {
    case NODE_NOTHING:
    case NODE_EMPTY:
        return REGEX_NOTHING;
    case NODE_ANYTHING:
        return REGEX_ANYTHING;
    case NODE_SET:
        return set_has(&r->sets[n->a], byte) ? REGEX_EMPTY : REGEX_NOTHING;
    default:
        break;
    }
    if (r->error.status != RWKV7_OK || !memo_grow(r))
        return REGEX_NOTHING;
    const struct regex_memo *const known = memo_find(r, a, byte);
    if (known->node)
        return known->result;
    switch ((enum regex_kind)n->kind) {
    case NODE_CONCAT:
        result = derive_concat(r, a, byte);
        break;
    case NODE_UNION:
    case NODE_AND:
        result = derive_members(r, a, byte);
        break;
    case NODE_NOT:
        result = regex_not(r, derive(r, n->a, byte));
        break;
    case NODE_REPEAT:
        result = derive_repeat(r, a, byte);
        break;
    default:
        break;
    }
    if (r->error.status != RWKV7_OK || !memo_grow(r)) /* look up again: the table may have grown */
        return REGEX_NOTHING;
    struct regex_memo *const entry = memo_find(r, a, byte);
    r->memo_used += entry->node == 0;
    *entry = (struct regex_memo){a, byte, result};
    return result;
}

uint32_t regex_derive(struct regex *r, uint32_t a, uint8_t byte)
{
    return derive(r, a, byte);
}

bool regex_matches(struct regex *r, uint32_t a, const void *text, size_t size)
{
    const uint8_t *const bytes = text;
    for (size_t i = 0; i < size && a != REGEX_NOTHING; i++)
        a = derive(r, a, bytes[i]);
    return r->error.status == RWKV7_OK && r->nodes[a].nullable;
}

/* -------------------------------------------------------------------------------------- classes */

/* Splits each class into bytes inside and outside of a set. Returns the new number of classes. */
static uint32_t split(const struct regex_set *set, uint8_t *class_of, uint32_t count)
{
    uint32_t renamed[256], outside[256];
    memset(renamed, 0xff, sizeof renamed);
    memset(outside, 0, sizeof outside);
    for (unsigned byte = 0; byte < 256; byte++)
        if (!set_has(set, (uint8_t)byte))
            outside[class_of[byte]] = 1;
    for (unsigned byte = 0; byte < 256; byte++) {
        const uint8_t old = class_of[byte];
        if (!set_has(set, (uint8_t)byte) || !outside[old]) /* entirely inside: unchanged */
            continue;
        if (renamed[old] == UINT32_MAX)
            renamed[old] = count++;
        class_of[byte] = (uint8_t)renamed[old];
    }
    return count;
}

static void visit(struct regex *r, uint8_t *seen, uint32_t node)
{
    if (!(seen[node / 8] >> (node % 8) & 1)) {
        seen[node / 8] |= (uint8_t)(1u << (node % 8));
        regex_push(r, node);
    }
}

uint32_t regex_classes(struct regex *r, uint32_t node, uint8_t *class_of)
{
    const uint32_t base = r->scratch_count;
    uint32_t count = 1;
    memset(class_of, 0, 256);
    uint8_t *const seen = mem_alloc(r->count / 8 + 1, 1);
    if (!seen) {
        regex_fail(r, RWKV7_ERR_MEMORY, "the expressions");
        return 0;
    }
    visit(r, seen, node);
    while (r->scratch_count > base) {
        const struct regex_node n = r->nodes[r->scratch[--r->scratch_count]];
        switch ((enum regex_kind)n.kind) {
        case NODE_NOTHING:
        case NODE_EMPTY:
        case NODE_ANYTHING:
            break;
        case NODE_SET:
            count = count < 256 ? split(&r->sets[n.a], class_of, count) : count;
            break;
        case NODE_CONCAT:
            visit(r, seen, n.a);
            visit(r, seen, n.b);
            break;
        case NODE_UNION:
        case NODE_AND:
            for (uint32_t i = 0; i < n.b; i++)
                visit(r, seen, r->members[n.a + i]);
            break;
        case NODE_NOT:
        case NODE_REPEAT:
            visit(r, seen, n.a);
            break;
        }
    }
    mem_free(seen);
    return r->error.status == RWKV7_OK ? count : 0;
}

/* ------------------------------------------------------------------------------------- liveness */

enum { UNKNOWN, LIVE, VOID };
#define VOID_SEARCH 20000u  /* nodes */
#define VOID_GROWTH 50000u  /* nodes that one search may create; these take most of the time */
#define VOID_STEPS 1000000u /* derivatives, and members of unions that they create */

/* A node of the search, and the one from which it was reached. */
struct found {
    uint32_t node, from;
};

/*
 * Searches the derivatives of `node` breadth first for one that certainly matches a text: one that
 * is nullable, or that contains no intersection or complement. Stores the result in `liveness`.
 */
static enum rwkv7_status search(struct regex *r, uint32_t node, const uint8_t *bytes, uint32_t byte_count,
                                struct found *queue, uint8_t *seen, uint32_t seen_room, struct rwkv7_error *err)
{
    const uint32_t before = r->count, members = r->member_count;
    uint32_t count = 1, at = 0, steps = 0;
    queue[0] = (struct found){node, UINT32_MAX};
    seen[node / 8] |= (uint8_t)(1u << (node % 8));
    for (; at < count; at++) {
        const struct regex_node *const n = &r->nodes[queue[at].node];
        if (n->nullable || !n->boolean || n->liveness == LIVE) {
            for (uint32_t i = at; i != UINT32_MAX; i = queue[i].from)
                r->nodes[queue[i].node].liveness = LIVE;
            return RWKV7_OK;
        }
        if (n->liveness == VOID)
            continue;
        for (uint32_t i = 0; i < byte_count; i++) {
            const uint32_t d = derive(r, queue[at].node, bytes[i]);
            steps++;
            if (r->error.status != RWKV7_OK)
                return regex_status(r, err);
            if (d == REGEX_NOTHING || (seen[d / 8] >> (d % 8) & 1))
                continue;
            if (count == VOID_SEARCH || d >= seen_room || r->count - before > VOID_GROWTH || steps > VOID_STEPS ||
                r->member_count - members > VOID_STEPS)
                return fail(err, RWKV7_ERR_USAGE, "an intersection or complement is too complex: more than %u states",
                            VOID_SEARCH);
            seen[d / 8] |= (uint8_t)(1u << (d % 8));
            queue[count++] = (struct found){d, at};
        }
    }
    for (uint32_t i = 0; i < count; i++)
        r->nodes[queue[i].node].liveness = VOID;
    return RWKV7_OK;
}

enum rwkv7_status regex_is_void(struct regex *r, uint32_t a, bool *is_void, struct rwkv7_error *err)
{
    uint8_t class_of[256], bytes[256];
    *is_void = a == REGEX_NOTHING;
    if (r->error.status != RWKV7_OK)
        return regex_status(r, err);
    const struct regex_node n = r->nodes[a];
    if (a == REGEX_NOTHING || n.nullable || !n.boolean || n.liveness != UNKNOWN) {
        *is_void = a == REGEX_NOTHING || (n.boolean && !n.nullable && n.liveness == VOID);
        return RWKV7_OK;
    }
    const uint32_t count = regex_classes(r, a, class_of);
    for (unsigned byte = 256; byte-- > 0;)
        bytes[class_of[byte]] = (uint8_t)byte;
    struct found *const queue = mem_alloc(VOID_SEARCH, sizeof *queue);
    uint8_t *const seen = mem_alloc(REGEX_MAX_NODES / 8, 1);
    enum rwkv7_status status = RWKV7_OK;
    if (!queue || !seen)
        status = fail_memory(err, "the expressions");
    else if (count == 0)
        status = regex_status(r, err);
    else
        status = search(r, a, bytes, count, queue, seen, REGEX_MAX_NODES, err);
    mem_free(queue);
    mem_free(seen);
    *is_void = status == RWKV7_OK && r->nodes[a].liveness == VOID;
    return status;
}

/* ------------------------------------------------------------------------------------- horizon */

#define WITHIN_DEPTH 100u
#define WITHIN_NODES 1000u /* visits; a shared node counts each time. The rest stays unchanged */

static uint32_t within(struct regex *r, uint32_t a, uint32_t bytes, unsigned depth, unsigned *left)
{
    const struct regex_node n = r->nodes[a];
    const uint32_t base = r->scratch_count;
    if (n.boolean || depth == WITHIN_DEPTH || *left == 0)
        return a;
    --*left;
    switch ((enum regex_kind)n.kind) {
    case NODE_CONCAT:
        return regex_concat(r, within(r, n.a, bytes, depth + 1, left), within(r, n.b, bytes, depth + 1, left));
    case NODE_UNION:
        for (uint32_t i = 0; i < n.b; i++)
            if (!regex_push(r, within(r, r->members[n.a + i], bytes, depth + 1, left)))
                return REGEX_NOTHING;
        return regex_join(r, NODE_UNION, base);
    case NODE_REPEAT: /* each repetition takes at least one byte; min is 0 if x may be empty */
        return regex_repeat(r, within(r, n.a, bytes, depth + 1, left), n.min > bytes ? bytes + 1 : n.min,
                            n.max > bytes ? REGEX_NO_LIMIT : n.max);
    default:
        return a;
    }
}

uint32_t regex_within(struct regex *r, uint32_t a, uint32_t bytes)
{
    unsigned left = WITHIN_NODES;
    return within(r, a, bytes, 0, &left);
}
