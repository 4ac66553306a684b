/*
 * regex.c - the arena of expressions: hash-consing, and the simplifications that give equal
 * expressions the same number.
 *
 * Treating unions as sets keeps the number of derivatives finite. Other simplifications keep it
 * small: adjacent repetitions of one expression are merged by adding their counters, and the byte
 * sets of a union become one set.
 */
#include "matcher/regex_node.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "matcher/table.h"

static const char too_large[] = "the expressions are too large: more than 524288 nodes";

uint32_t regex_fail(struct regex *r, enum rwkv7_status status, const char *message)
{
    if (r->error.status == RWKV7_OK) {
        if (status == RWKV7_ERR_MEMORY)
            fail_memory(&r->error, message);
        else
            fail(&r->error, status, "%s", message);
    }
    return REGEX_NOTHING;
}

bool regex_reserve(struct regex *r, void **table, uint32_t *room, uint32_t wanted, uint32_t limit, size_t size,
                   const char *what)
{
    const enum table_status status = table_reserve(table, room, wanted, limit, size);
    if (status == TABLE_LIMIT)
        regex_fail(r, RWKV7_ERR_USAGE, too_large);
    if (status == TABLE_MEMORY)
        regex_fail(r, RWKV7_ERR_MEMORY, what);
    return status == TABLE_OK;
}

/* --------------------------------------------------------------------------------- hash-consing */

static uint32_t hash_node(const struct regex *r, const struct regex_node *n)
{
    uint32_t h = table_mix(17, n->kind);
    if (n->kind == NODE_UNION || n->kind == NODE_AND) {
        for (uint32_t i = 0; i < n->b; i++)
            h = table_mix(h, r->members[n->a + i]);
        return h;
    }
    return table_mix(table_mix(table_mix(table_mix(h, n->a), n->b), n->min), n->max);
}

static bool same_node(const struct regex *r, const struct regex_node *x, const struct regex_node *y)
{
    if (x->kind != y->kind || x->b != y->b)
        return false;
    if (x->kind == NODE_UNION || x->kind == NODE_AND)
        return memcmp(r->members + x->a, r->members + y->a, x->b * sizeof *r->members) == 0;
    return x->a == y->a && x->min == y->min && x->max == y->max;
}

static bool grow_nodes(struct regex *r)
{
    if (!regex_reserve(r, (void **)&r->nodes, &r->room, r->count + 1, REGEX_MAX_NODES, sizeof *r->nodes,
                       "the expressions"))
        return false;
    if (r->count < r->table_size / 2)
        return true;
    const uint32_t size = r->table_size ? r->table_size * 2 : 256;
    uint32_t *const table = mem_alloc(size, sizeof *table);
    if (!table) {
        regex_fail(r, RWKV7_ERR_MEMORY, "the expressions");
        return false;
    }
    for (uint32_t i = 0; i < r->count; i++) {
        uint32_t at = hash_node(r, &r->nodes[i]) & (size - 1);
        while (table[at])
            at = (at + 1) & (size - 1);
        table[at] = i + 1;
    }
    mem_free(r->table);
    r->table = table;
    r->table_size = size;
    return true;
}

/* Returns the node with these contents, after computing nullable, boolean and depth. */
static uint32_t find_node(struct regex *r, struct regex_node n)
{
    uint32_t depth = 0;
    if (r->error.status != RWKV7_OK || !grow_nodes(r))
        return REGEX_NOTHING;
    uint32_t at = hash_node(r, &n) & (r->table_size - 1);
    for (; r->table[at]; at = (at + 1) & (r->table_size - 1))
        if (same_node(r, &r->nodes[r->table[at] - 1], &n))
            return r->table[at] - 1;
    const struct regex_node *const nodes = r->nodes;
    switch ((enum regex_kind)n.kind) {
    case NODE_NOTHING:
    case NODE_SET:
        break;
    case NODE_EMPTY:
    case NODE_ANYTHING:
        n.nullable = true;
        break;
    case NODE_CONCAT: /* a derivative enters b only if a may be empty */
        n.nullable = nodes[n.a].nullable && nodes[n.b].nullable;
        n.boolean = nodes[n.a].boolean || nodes[n.b].boolean;
        depth = nodes[n.a].nullable && nodes[n.b].depth > nodes[n.a].depth ? nodes[n.b].depth : nodes[n.a].depth;
        break;
    case NODE_UNION:
    case NODE_AND:
        n.nullable = n.kind == NODE_AND;
        n.boolean = n.kind == NODE_AND;
        for (uint32_t i = 0; i < n.b; i++) {
            const struct regex_node *const member = &nodes[r->members[n.a + i]];
            n.nullable = n.kind == NODE_AND ? n.nullable && member->nullable : n.nullable || member->nullable;
            n.boolean |= member->boolean;
            depth = member->depth > depth ? member->depth : depth;
        }
        break;
    case NODE_NOT:
        n.nullable = !nodes[n.a].nullable;
        n.boolean = true;
        depth = nodes[n.a].depth;
        break;
    case NODE_REPEAT:
        n.nullable = n.min == 0;
        n.boolean = nodes[n.a].boolean;
        depth = nodes[n.a].depth;
        break;
    }
    if (depth >= REGEX_MAX_DEPTH)
        return regex_fail(r, RWKV7_ERR_USAGE, "an expression is nested too deeply: more than 1000 levels");
    n.depth = (uint16_t)(depth + 1);
    r->nodes[r->count] = n;
    r->table[at] = ++r->count;
    return r->count - 1;
}

/* ----------------------------------------------------------------------------------------- sets */

static uint32_t hash_set(const struct regex_set *s)
{
    uint32_t h = 1;
    for (int i = 0; i < 4; i++)
        h = table_mix(table_mix(h, (uint32_t)s->bits[i]), (uint32_t)(s->bits[i] >> 32));
    return h;
}

static bool grow_sets(struct regex *r)
{
    if (!regex_reserve(r, (void **)&r->sets, &r->set_room, r->set_count + 1, REGEX_MAX_SETS, sizeof *r->sets,
                       "the expressions"))
        return false;
    if (r->set_count < r->set_table_size / 2)
        return true;
    const uint32_t size = r->set_table_size ? r->set_table_size * 2 : 256;
    uint32_t *const table = mem_alloc(size, sizeof *table);
    if (!table) {
        regex_fail(r, RWKV7_ERR_MEMORY, "the expressions");
        return false;
    }
    for (uint32_t i = 0; i < r->set_count; i++) {
        uint32_t at = hash_set(&r->sets[i]) & (size - 1);
        while (table[at])
            at = (at + 1) & (size - 1);
        table[at] = i + 1;
    }
    mem_free(r->set_table);
    r->set_table = table;
    r->set_table_size = size;
    return true;
}

uint32_t regex_set(struct regex *r, const struct regex_set *set)
{
    static const struct regex_set none;
    if (memcmp(set, &none, sizeof none) == 0)
        return REGEX_NOTHING;
    if (r->error.status != RWKV7_OK || !grow_sets(r))
        return REGEX_NOTHING;
    uint32_t at = hash_set(set) & (r->set_table_size - 1);
    while (r->set_table[at] && memcmp(&r->sets[r->set_table[at] - 1], set, sizeof *set) != 0)
        at = (at + 1) & (r->set_table_size - 1);
    if (!r->set_table[at]) {
        r->sets[r->set_count] = *set;
        r->set_table[at] = ++r->set_count;
    }
    return find_node(r, (struct regex_node){.kind = NODE_SET, .a = r->set_table[at] - 1});
}

/* ----------------------------------------------------------------------------------- operations */

bool regex_push(struct regex *r, uint32_t node)
{
    if (!regex_reserve(r, (void **)&r->scratch, &r->scratch_room, r->scratch_count + 1, REGEX_MAX_MEMBERS,
                       sizeof *r->scratch, "the expressions"))
        return false;
    r->scratch[r->scratch_count++] = node;
    return true;
}

static int compare_nodes(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Replaces unions within a union, and intersections within an intersection, by their members. */
static bool flatten(struct regex *r, enum regex_kind kind, uint32_t base)
{
    const uint32_t end = r->scratch_count;
    for (uint32_t i = base; i < end; i++) {
        const struct regex_node n = r->nodes[r->scratch[i]];
        if (n.kind != kind)
            continue;
        r->scratch[i] = r->members[n.a];
        for (uint32_t k = 1; k < n.b; k++)
            if (!regex_push(r, r->members[n.a + k]))
                return false;
    }
    return true;
}

/* Merges the byte sets among the members into one node, which replaces the first of them. */
static bool join_sets(struct regex *r, enum regex_kind kind, uint32_t base)
{
    struct regex_set joined = {0};
    uint32_t first = 0, found = 0, kept = base;
    for (uint32_t i = base; i < r->scratch_count; i++) {
        const struct regex_node *const n = &r->nodes[r->scratch[i]];
        if (n->kind == NODE_SET) {
            const struct regex_set *const s = &r->sets[n->a];
            for (int k = 0; k < 4; k++)
                joined.bits[k] = found == 0           ? s->bits[k]
                                 : kind == NODE_UNION ? joined.bits[k] | s->bits[k]
                                                      : joined.bits[k] & s->bits[k];
            if (found++ > 0)
                continue;
            first = kept;
        }
        r->scratch[kept++] = r->scratch[i];
    }
    r->scratch_count = kept;
    if (found > 1)
        r->scratch[first] = regex_set(r, &joined);
    return r->error.status == RWKV7_OK;
}

/*
 * Removes duplicates and neutral members. Returns the result if that decides it, else UINT32_MAX.
 */
static uint32_t simplify(struct regex *r, enum regex_kind kind, uint32_t base)
{
    const uint32_t absorbing = kind == NODE_UNION ? REGEX_ANYTHING : REGEX_NOTHING;
    const uint32_t neutral = kind == NODE_UNION ? REGEX_NOTHING : REGEX_ANYTHING;
    bool others_nullable = kind == NODE_AND, has_empty = false;
    uint32_t kept = base;
    qsort(r->scratch + base, r->scratch_count - base, sizeof *r->scratch, compare_nodes);
    for (uint32_t i = base; i < r->scratch_count; i++) {
        const uint32_t node = r->scratch[i];
        if (node == absorbing)
            return absorbing;
        if (node == REGEX_EMPTY)
            has_empty = true;
        else if (kind == NODE_UNION)
            others_nullable |= r->nodes[node].nullable;
        else
            others_nullable &= r->nodes[node].nullable;
        if (node != neutral && (kept == base || r->scratch[kept - 1] != node))
            r->scratch[kept++] = node;
    }
    r->scratch_count = kept;
    if (has_empty && kind == NODE_AND)
        return others_nullable ? REGEX_EMPTY : REGEX_NOTHING;
    if (has_empty && others_nullable) { /* REGEX_EMPTY sorts first */
        memmove(r->scratch + base, r->scratch + base + 1, (kept - base - 1) * sizeof *r->scratch);
        r->scratch_count--;
    }
    const uint32_t count = r->scratch_count - base;
    return count == 0 ? neutral : count == 1 ? r->scratch[base] : UINT32_MAX;
}

uint32_t regex_join(struct regex *r, enum regex_kind kind, uint32_t base)
{
    uint32_t result = REGEX_NOTHING;
    if (r->error.status == RWKV7_OK && r->scratch_count > base && flatten(r, kind, base) && join_sets(r, kind, base)) {
        result = simplify(r, kind, base);
        const uint32_t count = r->scratch_count - base;
        if (result == UINT32_MAX) {
            result = REGEX_NOTHING;
            if (regex_reserve(r, (void **)&r->members, &r->member_room, r->member_count + count, REGEX_MAX_MEMBERS,
                              sizeof *r->members, "the expressions")) {
                const uint32_t before = r->count;
                memcpy(r->members + r->member_count, r->scratch + base, count * sizeof *r->members);
                result = find_node(r, (struct regex_node){.kind = (uint8_t)kind, .a = r->member_count, .b = count});
                r->member_count += r->count > before ? count : 0;
            }
        }
    }
    r->scratch_count = base;
    return result;
}

uint32_t regex_union_of(struct regex *r, const uint32_t *nodes, size_t count)
{
    const uint32_t base = r->scratch_count;
    for (size_t i = 0; i < count; i++)
        if (!regex_push(r, nodes[i]))
            break;
    return regex_join(r, NODE_UNION, base);
}

uint32_t regex_union(struct regex *r, uint32_t a, uint32_t b)
{
    return regex_union_of(r, (uint32_t[]){a, b}, 2);
}

uint32_t regex_and(struct regex *r, uint32_t a, uint32_t b)
{
    const uint32_t base = r->scratch_count;
    return regex_push(r, a) && regex_push(r, b) ? regex_join(r, NODE_AND, base) : REGEX_NOTHING;
}

uint32_t regex_not(struct regex *r, uint32_t a)
{
    if (a == REGEX_NOTHING)
        return REGEX_ANYTHING;
    if (a == REGEX_ANYTHING)
        return REGEX_NOTHING;
    if (r->nodes[a].kind == NODE_NOT)
        return r->nodes[a].a;
    return find_node(r, (struct regex_node){.kind = NODE_NOT, .a = a});
}

uint32_t regex_not_text(struct regex *r, uint32_t a)
{
    return regex_and(r, regex_not(r, a), regex_any_text(r));
}

/* Returns what a node repeats, and sets how often; a node that is no repetition is x{1,1}. */
static uint32_t repetition(const struct regex *r, uint32_t a, uint32_t *min, uint32_t *max)
{
    const struct regex_node *const n = &r->nodes[a];
    *min = n->kind == NODE_REPEAT ? n->min : 1;
    *max = n->kind == NODE_REPEAT ? n->max : 1;
    return n->kind == NODE_REPEAT ? n->a : a;
}

/* Concatenates two nodes; `a` is not a concatenation. */
static uint32_t concat_one(struct regex *r, uint32_t a, uint32_t b)
{
    if (a == REGEX_NOTHING || b == REGEX_NOTHING)
        return REGEX_NOTHING;
    if (a == REGEX_EMPTY || b == REGEX_EMPTY)
        return a == REGEX_EMPTY ? b : a;
    const struct regex_node *const n = &r->nodes[b];
    const uint32_t next = n->kind == NODE_CONCAT ? n->a : b, rest = n->kind == NODE_CONCAT ? n->b : REGEX_EMPTY;
    if (a == REGEX_ANYTHING && next == REGEX_ANYTHING)
        return b;
    uint32_t min, max, more_min, more_max;
    const uint32_t repeated = repetition(r, a, &min, &max);
    if (repeated == repetition(r, next, &more_min, &more_max) && (repeated != a || repeated != next) &&
        min <= REGEX_MAX_COUNT - more_min &&
        (max == REGEX_NO_LIMIT || more_max == REGEX_NO_LIMIT || max <= REGEX_MAX_COUNT - more_max)) {
        max = max == REGEX_NO_LIMIT || more_max == REGEX_NO_LIMIT ? REGEX_NO_LIMIT : max + more_max;
        a = regex_repeat(r, repeated, min + more_min, max);
        b = rest;
        if (b == REGEX_EMPTY || a == REGEX_NOTHING)
            return a;
    }
    return find_node(r, (struct regex_node){.kind = NODE_CONCAT, .a = a, .b = b});
}

uint32_t regex_concat(struct regex *r, uint32_t a, uint32_t b)
{
    const uint32_t base = r->scratch_count;
    while (r->nodes[a].kind == NODE_CONCAT) { /* (x y) b becomes x (y b) */
        if (!regex_push(r, r->nodes[a].a))
            return REGEX_NOTHING;
        a = r->nodes[a].b;
    }
    b = concat_one(r, a, b);
    while (r->scratch_count > base)
        b = concat_one(r, r->scratch[--r->scratch_count], b);
    return b;
}

uint32_t regex_repeat(struct regex *r, uint32_t a, uint32_t min, uint32_t max)
{
    static const struct regex_set all = {{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
    if (min > max || min > REGEX_MAX_COUNT || (max > REGEX_MAX_COUNT && max != REGEX_NO_LIMIT))
        return regex_fail(r, RWKV7_ERR_USAGE,
                          "a repetition needs counts from 0 to 2147483647, the first not above the "
                          "second");
    if (r->error.status != RWKV7_OK)
        return REGEX_NOTHING;
    if (max == 0 || a == REGEX_EMPTY)
        return REGEX_EMPTY;
    if (a == REGEX_NOTHING)
        return min == 0 ? REGEX_EMPTY : REGEX_NOTHING;
    const struct regex_node n = r->nodes[a];
    if (n.nullable)
        min = 0;
    if ((min == 1 && max == 1) || a == REGEX_ANYTHING || (n.nullable && max == 1))
        return a;
    if (n.kind == NODE_REPEAT) {
        if (n.max == REGEX_NO_LIMIT && n.min <= 1) /* (x*){m,n} is x*, (x+){m,n} is x{m,} */
            return regex_repeat(r, n.a, min, REGEX_NO_LIMIT);
        if (n.min == 0 && n.max == 1) /* (x?){m,n} is x{0,n} */
            return regex_repeat(r, n.a, 0, max);
        if (n.min == n.max && min == max && (uint64_t)n.min * min <= REGEX_MAX_COUNT) /* (x{k}){n} is x{kn} */
            return regex_repeat(r, n.a, n.min * min, n.min * min);
    }
    if (n.kind == NODE_SET && min == 0 && max == REGEX_NO_LIMIT && memcmp(&r->sets[n.a], &all, sizeof all) == 0)
        return REGEX_ANYTHING;
    return find_node(r, (struct regex_node){.kind = NODE_REPEAT, .a = a, .min = min, .max = max});
}

/* ---------------------------------------------------------------------------------------- arena */

enum rwkv7_status regex_create(struct regex **out, struct rwkv7_error *err)
{
    struct regex *const r = *out = mem_alloc(1, sizeof *r);
    if (!r)
        return fail_memory(err, "the expressions");
    const uint32_t nothing = find_node(r, (struct regex_node){.kind = NODE_NOTHING});
    const uint32_t empty = find_node(r, (struct regex_node){.kind = NODE_EMPTY});
    const uint32_t anything = find_node(r, (struct regex_node){.kind = NODE_ANYTHING});
    (void)nothing, (void)empty, (void)anything; /* nodes 0 to 2: REGEX_NOTHING, ... */
    const enum rwkv7_status status = regex_status(r, err);
    if (status != RWKV7_OK) {
        regex_free(r);
        *out = NULL;
    }
    return status;
}

void regex_free(struct regex *r)
{
    if (!r)
        return;
    mem_free(r->nodes);
    mem_free(r->table);
    mem_free(r->sets);
    mem_free(r->set_table);
    mem_free(r->members);
    mem_free(r->memo);
    mem_free(r->scratch);
    mem_free(r);
}

static bool copy_table(void *to, const void *from, size_t count, size_t size)
{
    void *const copy = mem_alloc(count, size);
    if (copy && count > 0)
        memcpy(copy, from, count * size);
    memcpy(to, &copy, sizeof copy);
    return copy != NULL;
}

enum rwkv7_status regex_copy(const struct regex *from, struct regex **out, struct rwkv7_error *err)
{
    struct regex *const r = *out = mem_alloc(1, sizeof *r);
    if (!r)
        return fail_memory(err, "the expressions");
    r->count = r->room = from->count;
    r->table_size = from->table_size;
    r->set_count = r->set_room = from->set_count;
    r->set_table_size = from->set_table_size;
    r->member_count = r->member_room = from->member_count;
    r->any_char = from->any_char;
    r->any_text = from->any_text;
    if (!copy_table(&r->nodes, from->nodes, from->count, sizeof *r->nodes) ||
        !copy_table(&r->table, from->table, from->table_size, sizeof *r->table) ||
        !copy_table(&r->sets, from->sets, from->set_count, sizeof *r->sets) ||
        !copy_table(&r->set_table, from->set_table, from->set_table_size, sizeof *r->set_table) ||
        !copy_table(&r->members, from->members, from->member_count, sizeof *r->members)) {
        regex_free(r);
        *out = NULL;
        return fail_memory(err, "the expressions");
    }
    return RWKV7_OK;
}

size_t regex_bytes(const struct regex *r)
{
    return r->room * sizeof *r->nodes + r->table_size * sizeof *r->table + r->set_room * sizeof *r->sets +
           r->set_table_size * sizeof *r->set_table + r->member_room * sizeof *r->members +
           r->memo_size * sizeof *r->memo + r->scratch_room * sizeof *r->scratch;
}

enum rwkv7_status regex_status(const struct regex *r, struct rwkv7_error *err)
{
    if (r->error.status != RWKV7_OK && err)
        *err = r->error;
    return r->error.status;
}

uint32_t regex_count(const struct regex *r)
{
    return r->count;
}

bool regex_nullable(const struct regex *r, uint32_t a)
{
    return r->nodes[a].nullable;
}
