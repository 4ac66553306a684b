/*
 * regex_chars.c - expressions for characters and literal texts, and for texts inside a JSON string.
 *
 * A set of code points becomes a tree over their UTF-8 bytes. All characters of one UTF-8 length
 * are numbers with a leading digit and then 6-bit digits, so a range is split where a digit
 * changes. Leading bytes with equal continuations share one node.
 */
#include "matcher/regex_node.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

uint32_t regex_byte_range(struct regex *r, uint8_t low, uint8_t high)
{
    struct regex_set set = {0};
    set_add(&set, low, high);
    return regex_set(r, &set);
}

uint32_t regex_literal(struct regex *r, const void *bytes, size_t size)
{
    const uint8_t *const text = bytes;
    uint32_t node = REGEX_EMPTY;
    for (size_t i = size; i > 0 && r->error.status == RWKV7_OK; i--)
        node = regex_concat(r, regex_byte_range(r, text[i - 1], text[i - 1]), node);
    return node;
}

/* ------------------------------------------------------------------------------------- literals */

static int compare_texts(const void *a, const void *b)
{
    const struct regex_text *const x = a, *const y = b;
    const size_t shorter = x->size < y->size ? x->size : y->size;
    const int order = shorter > 0 ? memcmp(x->bytes, y->bytes, shorter) : 0;
    return order != 0 ? order : x->size < y->size ? -1 : x->size > y->size;
}

/*
 * Returns the tree of sorted texts that share their first `depth` bytes. Recurses once per branch
 * of a text.
 */
static uint32_t literal_tree(struct regex *r, const struct regex_text *texts, size_t count, size_t depth)
{
    const struct regex_text *const first = &texts[0], *const last = &texts[count - 1];
    size_t shared = depth;
    while (shared < first->size && shared < last->size && first->bytes[shared] == last->bytes[shared])
        shared++;
    const uint32_t base = r->scratch_count;
    size_t i = 0;
    for (; i < count && texts[i].size == shared; i++) /* duplicates, too */
        if (!regex_push(r, REGEX_EMPTY))
            return REGEX_NOTHING;
    while (i < count && r->error.status == RWKV7_OK) {
        size_t end = i + 1;
        while (end < count && texts[end].bytes[shared] == texts[i].bytes[shared])
            end++;
        const uint32_t node = literal_tree(r, texts + i, end - i, shared);
        if (!regex_push(r, node))
            return REGEX_NOTHING;
        i = end;
    }
    uint32_t node = regex_join(r, NODE_UNION, base);
    for (size_t k = shared; k > depth && r->error.status == RWKV7_OK; k--) {
        const uint8_t byte = (uint8_t)first->bytes[k - 1];
        node = regex_concat(r, regex_byte_range(r, byte, byte), node);
    }
    return node;
}

uint32_t regex_literals(struct regex *r, const struct regex_text *texts, size_t count)
{
    if (count == 0 || r->error.status != RWKV7_OK)
        return REGEX_NOTHING;
    struct regex_text *const sorted = mem_alloc(count, sizeof *sorted);
    if (!sorted)
        return regex_fail(r, RWKV7_ERR_MEMORY, "the expressions");
    memcpy(sorted, texts, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_texts);
    const uint32_t node = literal_tree(r, sorted, count, 0);
    mem_free(sorted);
    return node;
}

/* ----------------------------------------------------------------------------------- characters */

/* The code points and the leading byte of each UTF-8 length, by the number of further bytes. */
static const struct {
    uint32_t low, high;
    uint8_t lead;
} lengths[] = {{0x0, 0x7f, 0x00}, {0x80, 0x7ff, 0xc0}, {0x800, 0xffff, 0xe0}, {0x10000, 0x10ffff, 0xf0}};

static uint32_t any_digits(struct regex *r, unsigned digits)
{
    return regex_repeat(r, regex_byte_range(r, 0x80, 0xbf), digits, digits);
}

/*
 * Returns the code points in [low, high] that are in the sorted, disjoint ranges, encoded as one
 * byte and `digits` more. lead: added to the first digit to get its byte. Recursion depth: at most
 * 4.
 */
static uint32_t digit_tree(struct regex *r, const struct regex_range *ranges, size_t count, uint32_t low, uint32_t high,
                           unsigned digits, uint8_t lead)
{
    const unsigned shift = 6 * digits;
    uint32_t child[128]; /* of each first digit */
    unsigned number = 0;
    size_t at = 0;
    for (uint32_t v = low >> shift; v <= high >> shift; v++, number++) {
        const uint32_t first = v << shift, last = first + ((1u << shift) - 1);
        const uint32_t from = first > low ? first : low, to = last < high ? last : high;
        while (at < count && ranges[at].high < from)
            at++;
        child[number] = REGEX_NOTHING;
        if (at == count || ranges[at].low > to)
            continue;
        if (ranges[at].low <= first && ranges[at].high >= last && from == first && to == last)
            child[number] = any_digits(r, digits);
        else if (digits > 0)
            child[number] = digit_tree(r, ranges + at, count - at, from, to, digits - 1, 0x80);
    }
    const uint32_t base = r->scratch_count;
    for (unsigned i = 0; i < number; i++) {
        struct regex_set set = {0};
        const uint32_t rest = child[i];
        if (rest == REGEX_NOTHING)
            continue;
        for (unsigned k = i; k < number; k++) { /* all first digits with this rest */
            const uint32_t v = (low >> shift) + k;
            const uint8_t byte = (uint8_t)(lead + (lead == 0x80 ? v & 63 : v));
            if (child[k] != rest)
                continue;
            set_add(&set, byte, byte);
            child[k] = REGEX_NOTHING;
        }
        if (!regex_push(r, regex_concat(r, regex_set(r, &set), rest)))
            return REGEX_NOTHING;
    }
    return regex_join(r, NODE_UNION, base);
}

static int compare_ranges(const void *a, const void *b)
{
    const struct regex_range *const x = a, *const y = b;
    return x->low < y->low ? -1 : x->low > y->low;
}

/* Sorts the ranges and merges those that overlap or touch; returns their new number. */
static size_t join_ranges(struct regex_range *ranges, size_t count)
{
    size_t kept = 0;
    qsort(ranges, count, sizeof *ranges, compare_ranges);
    for (size_t i = 0; i < count; i++) {
        if (ranges[i].low > ranges[i].high || ranges[i].low > 0x10ffff)
            continue;
        const uint32_t high = ranges[i].high > 0x10ffff ? 0x10ffff : ranges[i].high;
        if (kept > 0 && ranges[i].low <= ranges[kept - 1].high + 1)
            ranges[kept - 1].high = high > ranges[kept - 1].high ? high : ranges[kept - 1].high;
        else
            ranges[kept++] = (struct regex_range){ranges[i].low, high};
    }
    return kept;
}

/* Stores the gaps between sorted, disjoint ranges; returns their number, at most count + 1. */
static size_t complement(const struct regex_range *ranges, size_t count, struct regex_range *out)
{
    uint32_t next = 0;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (ranges[i].low > next)
            out[n++] = (struct regex_range){next, ranges[i].low - 1};
        next = ranges[i].high + 1;
    }
    if (next <= 0x10ffff)
        out[n++] = (struct regex_range){next, 0x10ffff};
    return n;
}

uint32_t regex_chars(struct regex *r, const struct regex_range *ranges, size_t count, bool negate)
{
    size_t room;
    struct regex_range *const sorted = size_add(count, 2, &room) ? mem_alloc(room, 2 * sizeof *sorted) : NULL;
    if (!sorted)
        return regex_fail(r, RWKV7_ERR_MEMORY, "the expressions");
    struct regex_range *const other = sorted + room;
    if (count > 0)
        memcpy(sorted, ranges, count * sizeof *sorted);
    /*
     * No class contains surrogates: they are added before the complement is taken, or removed from
     * the result.
     */
    size_t n = count;
    if (negate) {
        sorted[n++] = (struct regex_range){0xd800, 0xdfff};
        n = complement(sorted, join_ranges(sorted, n), other);
    } else {
        n = complement(sorted, join_ranges(sorted, n), other);
        other[n++] = (struct regex_range){0xd800, 0xdfff};
        n = complement(other, join_ranges(other, n), sorted);
        memcpy(other, sorted, n * sizeof *other);
    }
    const uint32_t base = r->scratch_count;
    bool pushed = true;
    for (unsigned k = 0; k < 4 && pushed; k++)
        pushed = regex_push(r, digit_tree(r, other, n, lengths[k].low, lengths[k].high, k, lengths[k].lead));
    const uint32_t node = pushed ? regex_join(r, NODE_UNION, base) : REGEX_NOTHING;
    mem_free(sorted);
    return node;
}

uint32_t regex_any_char(struct regex *r)
{
    if (!r->any_char)
        r->any_char = regex_chars(r, NULL, 0, true);
    return r->any_char;
}

uint32_t regex_any_text(struct regex *r)
{
    if (!r->any_text)
        r->any_text = regex_repeat(r, regex_any_char(r), 0, REGEX_NO_LIMIT);
    return r->any_text;
}

/* --------------------------------------------------------------------------------------- quoted */

/* Returns the escapes of a byte that a JSON string must escape. */
static uint32_t quoted_byte(struct regex *r, uint8_t byte)
{
    static const char controls[] = "\b\f\n\r\t", letters[] = "bfnrt";
    char text[7] = "\\u00";
    if (byte == '"' || byte == '\\')
        return regex_literal(r, (char[]){'\\', (char)byte}, 2);
    const char *const known = byte ? strchr(controls, byte) : NULL;
    const uint32_t letter = known ? regex_literal(r, (char[]){'\\', letters[known - controls]}, 2) : REGEX_NOTHING;
    /* \u00XX: the last digit in lower or upper case */
    struct regex_set digit = {0};
    const uint8_t low = byte & 15;
    set_add(&digit, (uint8_t) "0123456789abcdef"[low], (uint8_t) "0123456789abcdef"[low]);
    set_add(&digit, (uint8_t) "0123456789ABCDEF"[low], (uint8_t) "0123456789ABCDEF"[low]);
    text[4] = (char)('0' + byte / 16);
    return regex_union(r, letter, regex_concat(r, regex_literal(r, text, 5), regex_set(r, &digit)));
}

static uint32_t quoted_set(struct regex *r, uint32_t index)
{
    struct regex_set plain = r->sets[index];
    const uint32_t base = r->scratch_count;
    for (unsigned byte = 0; byte < 128; byte++) {
        if ((byte >= 0x20 && byte != '"' && byte != '\\') || !set_has(&r->sets[index], (uint8_t)byte))
            continue;
        plain.bits[byte >> 6] &= ~(UINT64_C(1) << (byte & 63));
        if (!regex_push(r, quoted_byte(r, (uint8_t)byte)))
            return REGEX_NOTHING;
    }
    return regex_push(r, regex_set(r, &plain)) ? regex_join(r, NODE_UNION, base) : REGEX_NOTHING;
}

struct quoting {
    struct regex *regex;
    uint32_t *done; /* [nodes]: the result of a node + 1; 0 if it is not known */
    uint32_t nodes;
    uint32_t anything; /* all quoted texts */
};

/*
 * Quotes one node whose operands are quoted already. Quoting maps each byte to a prefix-free set of
 * texts, disjoint from those of other bytes, so it can be applied to the operands one by one. A
 * complement is taken within the set of all quoted texts.
 */
static uint32_t quoted_node(struct quoting *q, uint32_t node)
{
    struct regex *const r = q->regex;
    const struct regex_node n = r->nodes[node];
    const uint32_t base = r->scratch_count;
    switch ((enum regex_kind)n.kind) {
    case NODE_NOTHING:
    case NODE_EMPTY:
        return node;
    case NODE_ANYTHING:
        return q->anything;
    case NODE_SET:
        return quoted_set(r, n.a);
    case NODE_CONCAT:
        return regex_concat(r, q->done[n.a] - 1, q->done[n.b] - 1);
    case NODE_UNION:
    case NODE_AND:
        for (uint32_t i = 0; i < n.b; i++)
            if (!regex_push(r, q->done[r->members[n.a + i]] - 1))
                return REGEX_NOTHING;
        return regex_join(r, (enum regex_kind)n.kind, base);
    case NODE_NOT:
        return regex_and(r, regex_not(r, q->done[n.a] - 1), q->anything);
    case NODE_REPEAT:
        return regex_repeat(r, q->done[n.a] - 1, n.min, n.max);
    }
    return REGEX_NOTHING;
}

/* Pushes the operands of a node that are not quoted yet. Returns whether there are none. */
static bool push_parts(struct quoting *q, uint32_t node)
{
    struct regex *const r = q->regex;
    const struct regex_node n = r->nodes[node];
    const uint32_t before = r->scratch_count;
    switch ((enum regex_kind)n.kind) {
    case NODE_CONCAT:
        if (!q->done[n.a])
            regex_push(r, n.a);
        if (!q->done[n.b])
            regex_push(r, n.b);
        break;
    case NODE_UNION:
    case NODE_AND:
        for (uint32_t i = 0; i < n.b; i++)
            if (!q->done[r->members[n.a + i]])
                regex_push(r, r->members[n.a + i]);
        break;
    case NODE_NOT:
    case NODE_REPEAT:
        if (!q->done[n.a])
            regex_push(r, n.a);
        break;
    default:
        break;
    }
    return r->scratch_count == before;
}

uint32_t regex_quoted(struct regex *r, uint32_t a)
{
    static const struct regex_set all = {{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
    struct quoting q = {.regex = r, .nodes = r->count};
    const uint32_t base = r->scratch_count;
    if (r->error.status != RWKV7_OK)
        return REGEX_NOTHING;
    q.done = mem_alloc(q.nodes, sizeof *q.done);
    if (!q.done)
        return regex_fail(r, RWKV7_ERR_MEMORY, "the expressions");
    const uint32_t byte = regex_set(r, &all);
    q.anything = regex_repeat(r, byte != REGEX_NOTHING ? quoted_set(r, r->nodes[byte].a) : byte, 0, REGEX_NO_LIMIT);
    regex_push(r, a);
    while (r->scratch_count > base && r->error.status == RWKV7_OK) { /* operands first, without recursion */
        const uint32_t node = r->scratch[r->scratch_count - 1];
        if (q.done[node]) {
            r->scratch_count--;
        } else if (push_parts(&q, node)) {
            r->scratch_count--;
            q.done[node] = quoted_node(&q, node) + 1;
        }
    }
    const uint32_t result = r->error.status == RWKV7_OK ? q.done[a] - 1 : REGEX_NOTHING;
    r->scratch_count = base;
    mem_free(q.done);
    return result;
}
