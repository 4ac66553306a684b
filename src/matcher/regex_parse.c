/*
 * regex_parse.c - the parser of regular expressions; see regex_parse in regex.h.
 *
 * Anchors match no bytes, so each part of the pattern becomes four expressions: what it matches
 * anywhere, only at the start of the text, only at its end, and only as the whole text. ^ is the
 * empty text, only at the start. In a sequence, an expression that needs the start can follow only
 * the empty text. For a search, regex_parse adds "any text" where a match need not start or end the
 * text.
 *
 * A lookahead (?=B) at the outermost level is an intersection: what follows must also begin with B.
 */
#include "matcher/regex_node.h"

#include <string.h>

#include "base/mem.h"
#include "matcher/regex_escape.h"

#define MAX_GROUPS 250       /* nested */
#define MAX_PARTS (1u << 20) /* items of unfinished sequences */

enum { ANYWHERE = 0, AT_END = 1, AT_START = 2, WHOLE = 3 };

/* A part of the expression. */
struct part {
    uint32_t node[4];  /* bit 0: only at the end of the text; bit 1: only at the start */
    uint8_t lookahead; /* '=' or '!': a condition on all that follows; 0: none */
};

struct parser {
    struct regex_reader in;
    struct regex *regex;
    unsigned flags;
    struct part *parts; /* a stack */
    uint32_t count, room;
};

static const struct part impossible; /* REGEX_NOTHING is 0 */

static bool is_plain(const struct part *p)
{
    return p->node[1] == REGEX_NOTHING && p->node[2] == REGEX_NOTHING && p->node[3] == REGEX_NOTHING;
}

static enum rwkv7_status push(struct parser *p, const struct part *part)
{
    if (!regex_reserve(p->regex, (void **)&p->parts, &p->room, p->count + 1, MAX_PARTS, sizeof *p->parts,
                       "the expression"))
        return regex_status(p->regex, p->in.err);
    p->parts[p->count++] = *part;
    return RWKV7_OK;
}

/* ------------------------------------------------------------------------------------ sequences */

/* Returns `a` followed by `b`. */
static struct part sequence_of(struct regex *r, const struct part *a, const struct part *b)
{
    struct part out = impossible;
    for (unsigned i = 0; i < 4; i++) {
        if (a->node[i] == REGEX_NOTHING)
            continue;
        for (unsigned k = 0; k < 4; k++) {
            uint32_t left = a->node[i], right = b->node[k];
            if (right == REGEX_NOTHING)
                continue;
            if (k & AT_START)
                left = r->nodes[left].nullable ? REGEX_EMPTY : REGEX_NOTHING;
            if (i & AT_END)
                right = r->nodes[right].nullable ? REGEX_EMPTY : REGEX_NOTHING;
            const uint32_t both = regex_concat(r, left, right);
            if (both != REGEX_NOTHING)
                out.node[i | k] = regex_union(r, out.node[i | k], both);
        }
    }
    return out;
}

/*
 * Returns the part and all that may follow it, up to the end of the text. open: any text may
 * follow.
 */
static uint32_t up_to_the_end(const struct parser *p, const struct part *part, unsigned start, bool open)
{
    const uint32_t inner = part->node[start | ANYWHERE];
    const uint32_t followed = open ? regex_concat(p->regex, inner, regex_any_text(p->regex)) : inner;
    return regex_union(p->regex, followed, part->node[start | AT_END]);
}

/* Applies the lookahead `look` to `rest`, which extends to the end of the expression. */
static struct part look_ahead(const struct parser *p, const struct part *look, const struct part *rest)
{
    struct regex *const r = p->regex;
    struct part out = impossible;
    uint32_t wanted = up_to_the_end(p, look, ANYWHERE, true);
    if (look->lookahead == '!')
        wanted = regex_not(r, wanted);
    for (unsigned start = 0; start <= AT_START; start += AT_START)
        out.node[start | AT_END] = regex_and(r, up_to_the_end(p, rest, start, (p->flags & REGEX_SEARCH) != 0), wanted);
    return out;
}

/* Combines the parts above `base` into a sequence. */
static struct part join_sequence(struct parser *p, uint32_t base)
{
    struct part out = {.node = {REGEX_EMPTY}};
    while (p->count > base) {
        const struct part *const first = &p->parts[--p->count];
        out = first->lookahead ? look_ahead(p, first, &out) : sequence_of(p->regex, first, &out);
    }
    return out;
}

/* Combines the parts above `base` as alternatives. */
static struct part join_alternatives(struct parser *p, uint32_t base)
{
    struct part out = impossible;
    if (p->count == base + 1)
        out = p->parts[base];
    else
        for (unsigned i = 0; i < 4; i++) {
            const uint32_t members = p->regex->scratch_count;
            for (uint32_t k = base; k < p->count; k++)
                regex_push(p->regex, p->parts[k].node[i]);
            out.node[i] = regex_join(p->regex, NODE_UNION, members);
        }
    p->count = base;
    return out;
}

/* ---------------------------------------------------------------------------------------- items */

static enum rwkv7_status parse_alternatives(struct parser *p, unsigned groups, struct part *out);

static bool skip_word(struct regex_reader *in, const char *word)
{
    const size_t n = strlen(word);
    if ((size_t)(in->end - in->at) < n || memcmp(in->at, word, n) != 0)
        return false;
    in->at += n;
    return true;
}

/* Skips the name of a group, up to its '>'. */
static enum rwkv7_status skip_name(struct regex_reader *in)
{
    uint32_t c = 0;
    while (in->at < in->end && c != '>') {
        const enum rwkv7_status status = regex_next_char(in, &c);
        if (status != RWKV7_OK)
            return status;
    }
    return c == '>' ? RWKV7_OK : regex_error(in, in->at, "the name of a group needs a '>' at its end");
}

static enum rwkv7_status parse_group(struct parser *p, unsigned groups, struct part *out)
{
    struct regex_reader *const in = &p->in;
    const uint8_t *const start = in->at - 1;
    uint8_t lookahead = 0;
    enum rwkv7_status status = RWKV7_OK;
    if (groups == MAX_GROUPS)
        return regex_error(in, start, "groups are nested too deeply: more than 250 levels");
    if (skip_word(in, "?<=") || skip_word(in, "?<!"))
        return regex_error(in, start, "lookbehind is not supported");
    if (skip_word(in, "?=") || skip_word(in, "?!"))
        lookahead = in->at[-1];
    else if (skip_word(in, "?<") || skip_word(in, "?P<"))
        status = skip_name(in);
    else if (!skip_word(in, "?:") && in->at < in->end && *in->at == '?')
        return regex_error(in, start, "unknown kind of group; expected (..), (?:..), (?<name>..), (?=..) or (?!..)");
    if (status == RWKV7_OK && lookahead && groups > 0)
        return regex_error(in, start, "a lookahead inside a group is not supported");
    if (status == RWKV7_OK)
        status = parse_alternatives(p, groups + 1, out);
    if (status != RWKV7_OK)
        return status;
    if (in->at == in->end)
        return regex_error(in, start, "this group is not closed");
    in->at++;
    if (lookahead && (out->node[AT_START] != REGEX_NOTHING || out->node[WHOLE] != REGEX_NOTHING))
        return regex_error(in, start, "^ inside a lookahead is not supported");
    out->lookahead = lookahead;
    return RWKV7_OK;
}

static enum rwkv7_status parse_item(struct parser *p, unsigned groups, struct part *out)
{
    struct regex_reader *const in = &p->in;
    const uint8_t *const start = in->at;
    uint32_t c;
    *out = impossible;
    enum rwkv7_status status = regex_next_char(in, &c);
    if (status != RWKV7_OK)
        return status;
    switch (c) {
    case '(':
        return parse_group(p, groups, out);
    case '^':
        out->node[AT_START] = REGEX_EMPTY;
        return RWKV7_OK;
    case '$':
        out->node[AT_END] = REGEX_EMPTY;
        return RWKV7_OK;
    case '*':
    case '+':
    case '?':
        return regex_error(in, start, "there is nothing to repeat before '%c'", (int)c);
    default:
        in->at = start;
        return regex_parse_chars(in, p->regex, &out->node[ANYWHERE]);
    }
}

/* Reads digits. False: there are none. */
static bool read_count(struct regex_reader *in, uint32_t *out)
{
    const uint8_t *const start = in->at;
    uint64_t n = 0;
    for (; in->at < in->end && *in->at >= '0' && *in->at <= '9'; in->at++)
        n = n > REGEX_MAX_COUNT ? n : n * 10 + (*in->at - '0');
    *out = n > REGEX_MAX_COUNT ? UINT32_MAX : (uint32_t)n;
    return in->at > start;
}

/* Parses a quantifier, if there is one. A brace that starts no quantifier is a literal. */
static bool read_quantifier(struct regex_reader *in, uint32_t *min, uint32_t *max)
{
    const uint8_t *const start = in->at;
    *min = 0;
    *max = REGEX_NO_LIMIT;
    if (in->at == in->end)
        return false;
    const uint8_t c = *in->at++;
    if (c == '+') {
        *min = 1;
    } else if (c == '?') {
        *max = 1;
    } else if (c == '{') {
        bool valid = read_count(in, min);
        *max = *min;
        if (valid && in->at < in->end && *in->at == ',') {
            in->at++;
            if (!read_count(in, max))
                *max = REGEX_NO_LIMIT;
            else if (*max == UINT32_MAX)
                *max = REGEX_MAX_COUNT + 1u; /* reported as too large; distinct from "no limit" */
        }
        valid = valid && in->at < in->end && *in->at == '}';
        if (!valid) {
            in->at = start;
            return false;
        }
        in->at++;
    } else if (c != '*') {
        in->at = start;
        return false;
    }
    if (in->at < in->end && *in->at == '?') /* lazy quantifiers match the same texts */
        in->at++;
    return true;
}

/* Parses an item and its quantifier. */
static enum rwkv7_status parse_repeated(struct parser *p, unsigned groups, struct part *out)
{
    struct regex_reader *const in = &p->in;
    const uint8_t *const start = in->at;
    uint32_t min, max;
    enum rwkv7_status status = parse_item(p, groups, out);
    if (status != RWKV7_OK)
        return status;
    const uint8_t *const behind = in->at;
    const bool anchor = behind == start + 1 && (*start == '^' || *start == '$');
    if (!read_quantifier(in, &min, &max))
        return RWKV7_OK;
    if (anchor || out->lookahead)
        return regex_error(in, start, "an anchor or a lookahead cannot be repeated");
    if (min > REGEX_MAX_COUNT || (max > REGEX_MAX_COUNT && max != REGEX_NO_LIMIT))
        return regex_error(in, behind, "a repetition can be counted to 2147483647 at most");
    if (min > max)
        return regex_error(in, behind, "the counts of a repetition are out of order: %u is more than %u", min, max);
    if (max == 0) {
        *out = (struct part){.node = {REGEX_EMPTY}};
    } else if (is_plain(out)) {
        out->node[ANYWHERE] = regex_repeat(p->regex, out->node[ANYWHERE], min, max);
    } else if (max == 1) {
        if (min == 0)
            out->node[ANYWHERE] = regex_union(p->regex, out->node[ANYWHERE], REGEX_EMPTY);
    } else {
        return regex_error(in, start, "an anchor inside a repeated group is not supported");
    }
    return RWKV7_OK;
}

/* Parses a sequence, up to '|', ')' or the end. */
static enum rwkv7_status parse_sequence(struct parser *p, unsigned groups, struct part *out)
{
    const uint32_t base = p->count;
    while (p->in.at < p->in.end && *p->in.at != '|' && *p->in.at != ')') {
        struct part item;
        enum rwkv7_status status = parse_repeated(p, groups, &item);
        if (status == RWKV7_OK)
            status = push(p, &item);
        if (status == RWKV7_OK)
            status = regex_status(p->regex, p->in.err);
        if (status != RWKV7_OK)
            return status;
    }
    *out = join_sequence(p, base);
    return regex_status(p->regex, p->in.err);
}

/* Recursion is limited by MAX_GROUPS. */
static enum rwkv7_status parse_alternatives(struct parser *p, unsigned groups, struct part *out)
{
    const uint32_t base = p->count;
    for (;;) {
        struct part sequence;
        enum rwkv7_status status = parse_sequence(p, groups, &sequence);
        if (status == RWKV7_OK)
            status = push(p, &sequence);
        if (status != RWKV7_OK)
            return status;
        if (p->in.at == p->in.end || *p->in.at != '|')
            break;
        p->in.at++;
    }
    *out = join_alternatives(p, base);
    return regex_status(p->regex, p->in.err);
}

enum rwkv7_status regex_parse(struct regex *r, const char *text, size_t size, unsigned flags, uint32_t *out,
                              struct rwkv7_error *err)
{
    const uint8_t *const bytes = (const uint8_t *)(size > 0 ? text : "");
    struct parser p = {
        .in = {.at = bytes, .end = bytes + size, .begin = bytes, .err = err}, .regex = r, .flags = flags};
    struct part all;
    *out = REGEX_NOTHING;
    enum rwkv7_status status = regex_status(r, err);
    if (status == RWKV7_OK && size > REGEX_MAX_TEXT)
        status = fail(err, RWKV7_ERR_USAGE, "regular expression: expected at most %u bytes, found %zu", REGEX_MAX_TEXT,
                      size);
    if (status == RWKV7_OK)
        status = parse_alternatives(&p, 0, &all);
    if (status == RWKV7_OK && p.in.at < p.in.end)
        status = regex_error(&p.in, p.in.at, "there is no group that this ')' could close");
    if (status == RWKV7_OK) {
        const uint32_t base = r->scratch_count;
        const bool search = (flags & REGEX_SEARCH) != 0;
        for (unsigned i = 0; i < 4; i++) {
            uint32_t node = all.node[i];
            if (search && !(i & AT_END))
                node = regex_concat(r, node, regex_any_text(r));
            if (search && !(i & AT_START))
                node = regex_concat(r, regex_any_text(r), node);
            regex_push(r, node);
        }
        *out = regex_join(r, NODE_UNION, base);
        status = regex_status(r, err);
    }
    mem_free(p.parts);
    mem_free(p.in.runs);
    return status;
}
