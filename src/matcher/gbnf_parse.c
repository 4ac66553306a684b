/* gbnf_parse.c - reads a grammar in the notation of llama.cpp: see gbnf.c. */
#include "matcher/gbnf.h"

#include <stdio.h>
#include <string.h>

#include <utf8proc.h>

#include "base/mem.h"

enum {
    MAX_GROUPS = 64,      /* nested */
    MAX_NODES = 1 << 19,  /* in all trees together */
    MAX_REPEAT = 1 << 24, /* largest count of a repetition */
    MAX_CLASS_RANGES = 4096,
};

/* ------------------------------------------------------------------------------------- messages */

uint32_t gbnf_refuse(struct gbnf *p, const char *at, const char *reason)
{
    size_t line = 1, column = 1;
    if (p->status != RWKV7_OK || grammar_failed(p->grammar)) /* keep the first failure */
        return NO_NODE;
    for (const char *c = p->text; c < at; c++) {
        column = *c == '\n' ? 1 : column + (((unsigned char)*c & 0xc0) != 0x80);
        line += *c == '\n';
    }
    p->status = fail(p->err, RWKV7_ERR_USAGE, "grammar, line %zu, column %zu: %s", line, column, reason);
    return NO_NODE;
}

uint32_t gbnf_refuse_name(struct gbnf *p, const char *at, const char *reason, const char *name, size_t size)
{
    char text[160];
    snprintf(text, sizeof text, "%s '%.*s'", reason, (int)(size < 80 ? size : 80), name);
    return gbnf_refuse(p, at, text);
}

/* ---------------------------------------------------------------------------------------- trees */

static uint32_t new_node(struct gbnf *p, enum kind kind, uint32_t value, const char *at)
{
    if (p->status != RWKV7_OK || grammar_failed(p->grammar))
        return NO_NODE;
    if (p->node_count == p->node_room) {
        const uint32_t room = p->node_room ? p->node_room * 2 : 64;
        struct node *more = p->node_count < MAX_NODES ? mem_grow(p->nodes, p->node_room, room, sizeof *more) : NULL;
        if (!more && p->node_count < MAX_NODES)
            p->status = fail_memory(p->err, "a grammar");
        if (!more)
            return gbnf_refuse(p, at, "the grammar is too large");
        p->nodes = more;
        p->node_room = room;
    }
    p->nodes[p->node_count] = (struct node){
        .kind = (uint8_t)kind, .first = NO_NODE, .next = NO_NODE, .value = value, .at = (uint32_t)(at - p->text)};
    return p->node_count++;
}

static int peek(const struct gbnf *p)
{
    return p->at < p->end ? (unsigned char)*p->at : -1;
}

/* Skips blanks and comments, and line ends too if `lines`. */
static void skip_space(struct gbnf *p, bool lines)
{
    for (;;) {
        const int c = peek(p);
        if (c == '#') {
            while (peek(p) >= 0 && peek(p) != '\n' && peek(p) != '\r')
                p->at++;
        } else if (c == ' ' || c == '\t' || (lines && (c == '\n' || c == '\r'))) {
            p->at++;
        } else {
            return;
        }
    }
}

static bool is_name_character(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

size_t gbnf_read_name(struct gbnf *p, const char **name)
{
    *name = p->at;
    while (is_name_character(peek(p)))
        p->at++;
    return (size_t)(p->at - *name);
}

static bool read_hex(struct gbnf *p, int digits, uint32_t *code)
{
    const char *first = p->at;
    *code = 0;
    for (int i = 0; i < digits; i++) {
        const int c = peek(p);
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0) {
            gbnf_refuse(p, p->at, "expected a hexadecimal digit");
            return false;
        }
        *code = *code << 4 | (uint32_t)digit;
        p->at++;
    }
    if (*code <= 0x10ffff && (*code < 0xd800 || *code > 0xdfff))
        return true;
    gbnf_refuse(p, first, "not a Unicode character");
    return false;
}

/* Parses one character of a text or a class; it may be an escape. */
static bool read_character(struct gbnf *p, uint32_t *code)
{
    static const char from[] = "nrt\\\"[]-^", to[] = "\n\r\t\\\"[]-^";
    const int c = peek(p);
    if (c < 0) {
        gbnf_refuse(p, p->at, "unexpected end of the grammar");
        return false;
    }
    if (c != '\\') {
        utf8proc_int32_t value = c;
        const utf8proc_ssize_t n = c < 0x80 ? 1 : utf8proc_iterate((const uint8_t *)p->at, p->end - p->at, &value);
        if (n <= 0) {
            gbnf_refuse(p, p->at, "not UTF-8");
            return false;
        }
        p->at += n;
        *code = (uint32_t)value;
        return true;
    }
    p->at++;
    const int e = peek(p);
    if (e == 'x' || e == 'u' || e == 'U') {
        p->at++;
        return read_hex(p, e == 'x' ? 2 : e == 'u' ? 4 : 8, code);
    }
    const char *found = e > 0 ? strchr(from, e) : NULL;
    if (!found) {
        gbnf_refuse(p, p->at - 1, "unknown escape sequence");
        return false;
    }
    p->at++;
    *code = (unsigned char)to[found - from];
    return true;
}

static uint32_t read_literal(struct gbnf *p)
{
    const char *first = p->at++;
    const char *closing = p->at;
    while (closing < p->end && *closing != '"')
        closing += *closing == '\\' && closing + 1 < p->end ? 2 : 1;
    if (closing >= p->end)
        return gbnf_refuse(p, first, "this text has no closing quote");
    uint8_t *bytes = mem_alloc((size_t)(closing - p->at) * 4 + 4, 1); /* UTF-8 */
    size_t n = 0;
    uint32_t node = NO_NODE, code;
    if (!bytes) {
        p->status = fail_memory(p->err, "a grammar");
        return NO_NODE;
    }
    while (peek(p) != '"') {
        if (!read_character(p, &code))
            goto done;
        n += (size_t)utf8proc_encode_char((utf8proc_int32_t)code, bytes + n);
    }
    p->at++;
    node = new_node(p, KIND_REGEX, regex_literal(p->regex, bytes, n), first);
done:
    mem_free(bytes);
    return node;
}

static uint32_t read_class(struct gbnf *p)
{
    const char *first = p->at++;
    const bool negated = peek(p) == '^';
    p->at += negated;
    p->range_count = 0;
    while (peek(p) != ']') {
        struct regex_range range;
        if (!read_character(p, &range.low))
            return NO_NODE;
        range.high = range.low;
        if (peek(p) == '-' && p->at + 1 < p->end && p->at[1] != ']') {
            p->at++;
            if (!read_character(p, &range.high))
                return NO_NODE;
        }
        if (range.high < range.low)
            return gbnf_refuse(p, first, "a range in this class is upside down");
        if (p->range_count == MAX_CLASS_RANGES)
            return gbnf_refuse(p, first, "this class is too long");
        p->ranges[p->range_count++] = range;
    }
    p->at++;
    if (p->range_count == 0 && !negated)
        return gbnf_refuse(p, first, "this class is empty");
    return new_node(p, KIND_REGEX, regex_chars(p->regex, p->ranges, p->range_count, negated), first);
}

static uint32_t read_choice(struct gbnf *p, bool in_group);

/* Parses one element. Returns NO_NODE, without an error, if none begins here. */
static uint32_t read_element(struct gbnf *p)
{
    const char *first = p->at, *name;
    uint32_t node;
    switch (peek(p)) {
    case '"':
        return read_literal(p);
    case '[':
        return read_class(p);
    case '.':
        p->at++;
        return new_node(p, KIND_REGEX, regex_any_char(p->regex), first);
    case '(':
        if (p->groups == MAX_GROUPS)
            return gbnf_refuse(p, first, "groups are nested too deep");
        p->groups++;
        p->at++;
        skip_space(p, true);
        node = read_choice(p, true);
        p->groups--;
        if (node == NO_NODE)
            return NO_NODE;
        if (peek(p) != ')')
            return gbnf_refuse(p, p->at, "expected ')'");
        p->at++;
        return node;
    case '<':
    case '!':
        return gbnf_refuse(p, first, "tokens in a grammar are not supported");
    default:
        return gbnf_read_name(p, &name) > 0 ? new_node(p, KIND_NAME, 0, first) : NO_NODE;
    }
}

static bool read_count(struct gbnf *p, uint32_t *count)
{
    const char *first = p->at;
    *count = 0;
    for (; peek(p) >= '0' && peek(p) <= '9'; p->at++) {
        *count = *count * 10 + (uint32_t)(peek(p) - '0');
        if (*count > MAX_REPEAT) {
            gbnf_refuse(p, first, "this count is too large");
            return false;
        }
    }
    return p->at > first;
}

/* Parses the rest of {m}, {m,} or {m,n} after the opening brace. */
static bool read_bounds(struct gbnf *p, uint32_t *min, uint32_t *max)
{
    const char *first = p->at;
    skip_space(p, true);
    if (!read_count(p, min)) {
        gbnf_refuse(p, p->at, "expected a count");
        return false;
    }
    *max = *min;
    skip_space(p, true);
    if (peek(p) == ',') {
        p->at++;
        skip_space(p, true);
        if (!read_count(p, max)) {
            if (p->status != RWKV7_OK)
                return false;
            *max = REGEX_NO_LIMIT;
        }
        skip_space(p, true);
    }
    if (peek(p) != '}')
        gbnf_refuse(p, p->at, "expected '}'");
    else if (*max < *min)
        gbnf_refuse(p, first, "the counts are upside down");
    p->at++;
    return p->status == RWKV7_OK;
}

/* Parses the repetition operators after an element. */
static uint32_t read_repetitions(struct gbnf *p, uint32_t node, bool in_group)
{
    unsigned repetitions = 0;
    for (;;) {
        uint32_t min = 0, max = REGEX_NO_LIMIT;
        const char *first = p->at;
        skip_space(p, in_group);
        const int c = peek(p);
        if (node == NO_NODE || (c != '*' && c != '+' && c != '?' && c != '{'))
            return node;
        if (++repetitions > MAX_GROUPS)
            return gbnf_refuse(p, p->at, "too many repetitions of one element");
        p->at++;
        if (c == '{' && !read_bounds(p, &min, &max))
            return NO_NODE;
        if (c == '?')
            max = 1;
        if (c == '+')
            min = 1;
        const uint32_t outer = new_node(p, KIND_REPEAT, min, first);
        if (outer == NO_NODE)
            return NO_NODE;
        p->nodes[outer].max = max;
        p->nodes[outer].first = node;
        node = outer;
    }
}

static uint32_t read_sequence(struct gbnf *p, bool in_group)
{
    const uint32_t sequence = new_node(p, KIND_SEQUENCE, 0, p->at);
    uint32_t last = NO_NODE;
    while (p->status == RWKV7_OK && sequence != NO_NODE) {
        const uint32_t element = read_repetitions(p, read_element(p), in_group);
        if (element == NO_NODE)
            break;
        if (last == NO_NODE)
            p->nodes[sequence].first = element;
        else
            p->nodes[last].next = element;
        last = element;
    }
    return p->status == RWKV7_OK ? sequence : NO_NODE;
}

/* Recursion is bounded by MAX_GROUPS. */
static uint32_t read_choice(struct gbnf *p, bool in_group)
{
    const uint32_t choice = new_node(p, KIND_CHOICE, 0, p->at);
    uint32_t last = NO_NODE;
    while (choice != NO_NODE) {
        const uint32_t sequence = read_sequence(p, in_group);
        if (sequence == NO_NODE)
            return NO_NODE;
        if (last == NO_NODE)
            p->nodes[choice].first = sequence;
        else
            p->nodes[last].next = sequence;
        last = sequence;
        if (peek(p) != '|')
            break;
        p->at++;
        skip_space(p, true);
    }
    return choice;
}

static bool read_rule(struct gbnf *p)
{
    struct rule rule = {0};
    const char *first = p->at;
    rule.size = gbnf_read_name(p, &rule.name);
    if (rule.size == 0)
        return gbnf_refuse(p, first, "expected the name of a rule") != NO_NODE;
    skip_space(p, false);
    if (p->end - p->at < 3 || memcmp(p->at, "::=", 3) != 0)
        return gbnf_refuse(p, p->at, "expected ::=") != NO_NODE;
    p->at += 3;
    skip_space(p, true);
    rule.tree = read_choice(p, false);
    if (rule.tree == NO_NODE)
        return false;
    if (peek(p) >= 0 && peek(p) != '\n' && peek(p) != '\r')
        return gbnf_refuse(p, p->at, "expected an element, '|' or the end of the line") != NO_NODE;
    if (p->rule_count == p->rule_room) {
        const uint32_t room = p->rule_room ? p->rule_room * 2 : 16;
        struct rule *more = mem_grow(p->rules, p->rule_room, room, sizeof *more);
        if (!more) {
            p->status = fail_memory(p->err, "a grammar");
            return false;
        }
        p->rules = more;
        p->rule_room = room;
    }
    p->rules[p->rule_count++] = rule;
    skip_space(p, true);
    return true;
}

bool gbnf_parse(struct gbnf *p)
{
    p->ranges = mem_alloc(MAX_CLASS_RANGES, sizeof *p->ranges);
    if (!p->ranges) {
        p->status = fail_memory(p->err, "a grammar");
        return false;
    }
    skip_space(p, true);
    while (p->at < p->end && p->status == RWKV7_OK && !grammar_failed(p->grammar))
        read_rule(p);
    return p->status == RWKV7_OK && !grammar_failed(p->grammar);
}
