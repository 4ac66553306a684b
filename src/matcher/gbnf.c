/*
 * gbnf.c - grammars in the notation of llama.cpp (GBNF), to struct grammar.
 *
 *     rule     name ::= sequence | sequence ...    until the end of the line, outside of parentheses
 *     element  "text"  [class]  [^class]  .  name  (group), each with * + ? {m} {m,} {m,n}
 *     escapes  \n \r \t \\ \" \[ \] \- \^ \xHH \uHHHH \UHHHHHHHH
 *     comment  # to the end of the line
 *
 * A line may also end after ::= and |. The text is one of rule `root`.
 *
 * Two steps: the text becomes a tree for each rule; then the trees become a grammar, in which everything
 * that is regular is one expression: a group, a repetition, and also a rule that is not recursive.
 */
#include "matcher/grammar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "base/mem.h"

enum {
    MAX_GROUPS = 64,      /* nested */
    MAX_RULE_DEPTH = 32,  /* rules in rules that are merged into one expression */
    MAX_NODES = 1 << 19,  /* of all trees */
    MAX_REPEAT = 1 << 24, /* a count */
    MAX_CLASS_RANGES = 4096,
};

enum kind { KIND_REGEX, KIND_NAME, KIND_SEQUENCE, KIND_CHOICE, KIND_REPEAT };

#define NO_NODE UINT32_MAX

struct node {
    uint8_t kind;
    uint32_t first, next; /* children, siblings: NO_NODE at the end */
    uint32_t value;       /* KIND_REGEX: expression; KIND_NAME: rule, once it is known; KIND_REPEAT: min */
    uint32_t max;
    uint32_t at; /* position in the text, for messages */
};

enum state { STATE_NEW, STATE_ENTERED, STATE_REGULAR, STATE_RULE };

struct rule {
    const char *name; /* [size] */
    size_t size;
    uint32_t tree;
    uint8_t state;
    bool has_symbol;
    uint32_t regex, symbol;
};

struct gbnf {
    const char *text, *at, *end;
    struct grammar *grammar;
    struct regex *regex;
    struct node *nodes;
    struct rule *rules;
    uint32_t node_count, node_room, rule_count, rule_room;
    struct regex_range *ranges; /* of the class that is being read */
    uint32_t range_count;
    unsigned groups;
    enum rwkv7_status status;
    struct rwkv7_error *err;
};

/* -------------------------------------------------------------------------------------------- messages */

/* Records a failure with the line and column of a position. Returns NO_NODE. */
static uint32_t refuse(struct gbnf *p, const char *at, const char *reason)
{
    size_t line = 1, column = 1;
    if (p->status != RWKV7_OK || grammar_failed(p->grammar)) /* the first failure counts */
        return NO_NODE;
    for (const char *c = p->text; c < at; c++) {
        column = *c == '\n' ? 1 : column + (((unsigned char)*c & 0xc0) != 0x80);
        line += *c == '\n';
    }
    p->status = fail(p->err, RWKV7_ERR_USAGE, "grammar, line %zu, column %zu: %s", line, column, reason);
    return NO_NODE;
}

static uint32_t refuse_name(struct gbnf *p, const char *at, const char *reason, const char *name, size_t size)
{
    char text[160];
    snprintf(text, sizeof text, "%s '%.*s'", reason, (int)(size < 80 ? size : 80), name);
    return refuse(p, at, text);
}

/* ---------------------------------------------------------------------------------------------- trees */

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
            return refuse(p, at, "the grammar is too large");
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

static size_t read_name(struct gbnf *p, const char **name)
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
            refuse(p, p->at, "expected a hexadecimal digit");
            return false;
        }
        *code = *code << 4 | (uint32_t)digit;
        p->at++;
    }
    if (*code <= 0x10ffff && (*code < 0xd800 || *code > 0xdfff))
        return true;
    refuse(p, first, "not a Unicode character");
    return false;
}

/* One character of a text or a class, as it stands or as an escape. */
static bool read_character(struct gbnf *p, uint32_t *code)
{
    static const char from[] = "nrt\\\"[]-^", to[] = "\n\r\t\\\"[]-^";
    const int c = peek(p);
    if (c < 0) {
        refuse(p, p->at, "unexpected end of the grammar");
        return false;
    }
    if (c != '\\') {
        utf8proc_int32_t value = c;
        const utf8proc_ssize_t n = c < 0x80 ? 1 : utf8proc_iterate((const uint8_t *)p->at, p->end - p->at, &value);
        if (n <= 0) {
            refuse(p, p->at, "not UTF-8");
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
        refuse(p, p->at - 1, "unknown escape sequence");
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
        return refuse(p, first, "this text has no closing quote");
    uint8_t *bytes = mem_alloc((size_t)(closing - p->at) * 4 + 4, 1); /* at most 4 bytes for a character */
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
            return refuse(p, first, "a range in this class is upside down");
        if (p->range_count == MAX_CLASS_RANGES)
            return refuse(p, first, "this class is too long");
        p->ranges[p->range_count++] = range;
    }
    p->at++;
    if (p->range_count == 0 && !negated)
        return refuse(p, first, "this class is empty");
    return new_node(p, KIND_REGEX, regex_chars(p->regex, p->ranges, p->range_count, negated), first);
}

static uint32_t read_choice(struct gbnf *p, bool in_group);

/* Returns NO_NODE without a failure if no element begins here. */
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
            return refuse(p, first, "groups are nested too deep");
        p->groups++;
        p->at++;
        skip_space(p, true);
        node = read_choice(p, true);
        p->groups--;
        if (node == NO_NODE)
            return NO_NODE;
        if (peek(p) != ')')
            return refuse(p, p->at, "expected ')'");
        p->at++;
        return node;
    case '<':
    case '!':
        return refuse(p, first, "tokens in a grammar are not supported");
    default:
        return read_name(p, &name) > 0 ? new_node(p, KIND_NAME, 0, first) : NO_NODE;
    }
}

static bool read_count(struct gbnf *p, uint32_t *count)
{
    const char *first = p->at;
    *count = 0;
    for (; peek(p) >= '0' && peek(p) <= '9'; p->at++) {
        *count = *count * 10 + (uint32_t)(peek(p) - '0');
        if (*count > MAX_REPEAT) {
            refuse(p, first, "this count is too large");
            return false;
        }
    }
    return p->at > first;
}

/* {m}, {m,} or {m,n}, after the brace. */
static bool read_bounds(struct gbnf *p, uint32_t *min, uint32_t *max)
{
    const char *first = p->at;
    skip_space(p, true);
    if (!read_count(p, min)) {
        refuse(p, p->at, "expected a count");
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
        refuse(p, p->at, "expected '}'");
    else if (*max < *min)
        refuse(p, first, "the counts are upside down");
    p->at++;
    return p->status == RWKV7_OK;
}

/* The repetitions after an element. */
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
            return refuse(p, p->at, "too many repetitions of one element");
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
    rule.size = read_name(p, &rule.name);
    if (rule.size == 0)
        return refuse(p, first, "expected the name of a rule") != NO_NODE;
    skip_space(p, false);
    if (p->end - p->at < 3 || memcmp(p->at, "::=", 3) != 0)
        return refuse(p, p->at, "expected ::=") != NO_NODE;
    p->at += 3;
    skip_space(p, true);
    rule.tree = read_choice(p, false);
    if (rule.tree == NO_NODE)
        return false;
    if (peek(p) >= 0 && peek(p) != '\n' && peek(p) != '\r')
        return refuse(p, p->at, "expected an element, '|' or the end of the line") != NO_NODE;
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

/* ---------------------------------------------------------------------------------------------- names */

static int compare_names(const char *a, size_t a_size, const char *b, size_t b_size)
{
    const int c = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return c ? c : (a_size > b_size) - (a_size < b_size);
}

static int compare_rules(const void *a, const void *b)
{
    const struct rule *x = a, *y = b;
    const int c = compare_names(x->name, x->size, y->name, y->size);
    return c ? c : (x->name > y->name) - (x->name < y->name);
}

static struct rule *find_rule(const struct gbnf *p, const char *name, size_t size)
{
    uint32_t low = 0, high = p->rule_count;
    while (low < high) {
        const uint32_t mid = low + (high - low) / 2;
        const int c = compare_names(p->rules[mid].name, p->rules[mid].size, name, size);
        if (c == 0)
            return &p->rules[mid];
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static bool resolve_names(struct gbnf *p)
{
    qsort(p->rules, p->rule_count, sizeof *p->rules, compare_rules);
    for (uint32_t i = 1; i < p->rule_count; i++) {
        const struct rule *a = &p->rules[i - 1], *b = &p->rules[i];
        if (compare_names(a->name, a->size, b->name, b->size) == 0)
            return refuse_name(p, b->name, "a second rule", b->name, b->size) != NO_NODE;
    }
    for (uint32_t i = 0; i < p->node_count; i++) {
        if (p->nodes[i].kind != KIND_NAME)
            continue;
        const char *name;
        p->at = p->text + p->nodes[i].at;
        const size_t size = read_name(p, &name);
        const struct rule *rule = find_rule(p, name, size);
        if (!rule)
            return refuse_name(p, name, "there is no rule", name, size) != NO_NODE;
        p->nodes[i].value = (uint32_t)(rule - p->rules);
    }
    return true;
}

/* ------------------------------------------------------------------------------------ regular rules */

static bool is_regular(struct gbnf *p, uint32_t node, unsigned depth);

/* Something that was written: an expression, or a symbol. */
struct part {
    bool regular;
    uint32_t value;
};

static struct part write_node(struct gbnf *p, uint32_t node, struct rule *as);

/* A rule is regular if it leads to no rule that is being tested, and so is not recursive. */
static bool is_regular_rule(struct gbnf *p, struct rule *rule, unsigned depth)
{
    if (rule->state == STATE_NEW) {
        if (depth == MAX_RULE_DEPTH)
            return false;
        rule->state = STATE_ENTERED;
        rule->state = is_regular(p, rule->tree, depth + 1) ? STATE_REGULAR : STATE_RULE;
        if (rule->state == STATE_REGULAR) /* those that it names have been written */
            rule->regex = write_node(p, rule->tree, NULL).value;
    }
    return rule->state == STATE_REGULAR;
}

/* Recursion is bounded by MAX_GROUPS and MAX_RULE_DEPTH. */
static bool is_regular(struct gbnf *p, uint32_t node, unsigned depth)
{
    const struct node *n = &p->nodes[node];
    if (n->kind == KIND_NAME)
        return is_regular_rule(p, &p->rules[n->value], depth);
    for (uint32_t child = n->first; child != NO_NODE; child = p->nodes[child].next)
        if (!is_regular(p, child, depth))
            return false;
    return true;
}

/* -------------------------------------------------------------------------------------------- grammar */

static uint32_t symbol_of(struct gbnf *p, struct part part)
{
    return part.regular ? grammar_terminal(p->grammar, part.value) : part.value;
}

static struct part regular(uint32_t node)
{
    return (struct part){true, node};
}

static struct part symbol(uint32_t s)
{
    return (struct part){false, s};
}

static uint32_t rule_symbol(struct gbnf *p, struct rule *rule)
{
    if (!rule->has_symbol) {
        rule->has_symbol = true;
        rule->symbol = grammar_rule(p->grammar, rule->name, rule->size);
    }
    return rule->symbol;
}

static struct part write_name(struct gbnf *p, struct rule *rule)
{
    if (rule->state != STATE_REGULAR)
        return symbol(rule_symbol(p, rule));
    return regular(rule->regex);
}

/* Adds to symbols[] what follows; neighbours that are regular become one terminal. */
static struct part write_sequence(struct gbnf *p, const struct node *n, uint32_t rule)
{
    uint32_t count = 0, room = 1, pending = REGEX_EMPTY;
    struct part result = regular(REGEX_EMPTY);
    for (uint32_t child = n->first; child != NO_NODE; child = p->nodes[child].next)
        room += 2;
    uint32_t *symbols = mem_alloc(room, sizeof *symbols);
    if (!symbols) {
        p->status = fail_memory(p->err, "a grammar");
        return result;
    }
    for (uint32_t child = n->first; child != NO_NODE; child = p->nodes[child].next) {
        const struct part part = write_node(p, child, NULL);
        if (part.regular) {
            pending = regex_concat(p->regex, pending, part.value);
            continue;
        }
        if (pending != REGEX_EMPTY)
            symbols[count++] = grammar_terminal(p->grammar, pending);
        pending = REGEX_EMPTY;
        symbols[count++] = part.value;
    }
    if (count == 0) {
        result = regular(pending);
    } else {
        if (pending != REGEX_EMPTY)
            symbols[count++] = grammar_terminal(p->grammar, pending);
        if (count == 1 && rule == UINT32_MAX) {
            result = symbol(symbols[0]);
        } else {
            result = symbol(rule == UINT32_MAX ? grammar_rule(p->grammar, "group", 5) : rule);
            grammar_add(p->grammar, result.value, symbols, count);
        }
    }
    mem_free(symbols);
    return result;
}

/* The alternatives of `as`, or of a rule without name. */
static struct part write_choice(struct gbnf *p, const struct node *n, struct rule *as)
{
    uint32_t expression = REGEX_NOTHING, rule = as ? rule_symbol(p, as) : UINT32_MAX;
    bool all_regular = true;
    if (!as && p->nodes[n->first].next == NO_NODE)
        return write_sequence(p, &p->nodes[n->first], UINT32_MAX);
    for (uint32_t child = n->first; child != NO_NODE; child = p->nodes[child].next)
        all_regular = all_regular && is_regular(p, child, 0);
    if (!all_regular && !as)
        rule = grammar_rule(p->grammar, "group", 5);
    for (uint32_t child = n->first; child != NO_NODE; child = p->nodes[child].next) {
        const struct part part = write_sequence(p, &p->nodes[child], rule);
        if (part.regular)
            expression = regex_union(p->regex, expression, part.value);
    }
    if (all_regular && !as)
        return regular(expression);
    if (expression != REGEX_NOTHING)
        grammar_add(p->grammar, rule, (uint32_t[]){grammar_terminal(p->grammar, expression)}, 1);
    return symbol(rule);
}

/* Recursion is bounded by MAX_GROUPS. */
static struct part write_node(struct gbnf *p, uint32_t node, struct rule *as)
{
    const struct node *n = &p->nodes[node];
    if (p->status != RWKV7_OK || grammar_failed(p->grammar))
        return regular(REGEX_NOTHING);
    switch (n->kind) {
    case KIND_REGEX:
        return regular(n->value);
    case KIND_NAME:
        return write_name(p, &p->rules[n->value]);
    case KIND_SEQUENCE:
        return write_sequence(p, n, UINT32_MAX);
    case KIND_CHOICE:
        return write_choice(p, n, as);
    default: {
        const struct part part = write_node(p, n->first, NULL);
        if (part.regular)
            return regular(regex_repeat(p->regex, part.value, n->value, n->max));
        return symbol(grammar_repeat(p->grammar, symbol_of(p, part), n->value, n->max));
    }
    }
}

static void write_grammar(struct gbnf *p)
{
    struct rule *root = find_rule(p, "root", 4);
    if (!root) {
        refuse(p, p->end, "there is no rule 'root'");
        return;
    }
    for (uint32_t i = 0; i < p->rule_count; i++)
        is_regular_rule(p, &p->rules[i], 0);
    for (uint32_t i = 0; i < p->rule_count; i++)
        if (p->rules[i].state != STATE_REGULAR)
            write_node(p, p->rules[i].tree, &p->rules[i]);
    if (root->state == STATE_REGULAR) {
        const struct part part = write_name(p, root);
        const uint32_t start = grammar_rule(p->grammar, "root", 4);
        grammar_add(p->grammar, start, (uint32_t[]){symbol_of(p, part)}, 1);
        grammar_start(p->grammar, start);
    } else {
        grammar_start(p->grammar, rule_symbol(p, root));
    }
}

enum rwkv7_status gbnf_build(const char *text, size_t size, struct grammar *g, struct rwkv7_error *err)
{
    struct gbnf p = {.text = text, .at = text, .end = text + size, .grammar = g, .regex = grammar_regex(g), .err = err};
    if (size > GRAMMAR_MAX_TEXT)
        return fail(err, RWKV7_ERR_USAGE, "grammar: %zu bytes; the limit is %u", size, GRAMMAR_MAX_TEXT);
    p.ranges = mem_alloc(MAX_CLASS_RANGES, sizeof *p.ranges);
    if (!p.ranges) {
        p.status = fail_memory(err, "a grammar");
        goto done;
    }
    skip_space(&p, true);
    while (p.at < p.end && p.status == RWKV7_OK && !grammar_failed(g))
        read_rule(&p);
    if (p.status == RWKV7_OK && !grammar_failed(g) && resolve_names(&p))
        write_grammar(&p);
    if (p.status == RWKV7_OK) {
        if (grammar_failed(g)) /* grammar_finish reports the failure, not a missing rule */
            grammar_start(g, grammar_rule(g, "root", 4));
        p.status = grammar_finish(g, err);
    }
done:
    mem_free(p.ranges);
    mem_free(p.nodes);
    mem_free(p.rules);
    return p.status;
}
