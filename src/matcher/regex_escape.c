/*
 * regex_escape.c - parses characters, escapes and classes of regular expressions as in ECMAScript.
 * A class becomes a list of code point ranges.
 */
#include "matcher/regex_escape.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "matcher/regex_property.h"

enum rwkv7_status regex_error(const struct regex_reader *in, const uint8_t *where, const char *fmt, ...)
{
    size_t position = 1;
    for (const uint8_t *at = in->begin; at < where; at++)
        position += (*at & 0xc0) != 0x80;
    va_list args;
    va_start(args, fmt);
    const enum rwkv7_status status = vfail(in->err, RWKV7_ERR_USAGE, fmt, args);
    va_end(args);
    fail_where(in->err, "regular expression, character %zu: ", position);
    return status;
}

enum rwkv7_status regex_next_char(struct regex_reader *in, uint32_t *c)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    const uint8_t *const start = in->at;
    const uint8_t lead = *in->at++;
    *c = lead;
    if (lead < 0x80)
        return RWKV7_OK;
    const unsigned more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    uint32_t value = lead & (0x3fu >> more);
    bool valid = lead >= 0xc2 && lead <= 0xf4;
    for (unsigned i = 0; i < more && valid; i++) {
        valid = in->at < in->end && (*in->at & 0xc0) == 0x80;
        if (valid)
            value = value << 6 | (*in->at++ & 0x3f);
    }
    if (!valid || value < least[more] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return regex_error(in, start, "this is not UTF-8");
    *c = value;
    return RWKV7_OK;
}

/* -------------------------------------------------------------------------------------- ranges */

struct ranges {
    struct regex_range *items;
    size_t count, room;
    uint32_t categories; /* of \p; not in `items` yet */
};

static enum rwkv7_status add_range(struct regex_reader *in, struct ranges *set, uint32_t low, uint32_t high)
{
    if (set->count == set->room) {
        const size_t room = set->room ? set->room * 2 : 16;
        struct regex_range *const grown = mem_grow(set->items, set->room, room, sizeof *grown);
        if (!grown)
            return fail_memory(in->err, "the expression");
        set->items = grown;
        set->room = room;
    }
    set->items[set->count++] = (struct regex_range){low, high};
    return RWKV7_OK;
}

static const struct regex_range digits[] = {{'0', '9'}};
static const struct regex_range words[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
static const struct regex_range spaces[] = {{'\t', '\r'},     {' ', ' '},       {0xa0, 0xa0},     {0x1680, 0x1680},
                                            {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f},
                                            {0x3000, 0x3000}, {0xfeff, 0xfeff}};
static const struct regex_range line_ends[] = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

/* Adds sorted ranges, or the gaps between them. */
static enum rwkv7_status add_ranges(struct regex_reader *in, struct ranges *set, const struct regex_range *ranges,
                                    size_t count, bool negate)
{
    enum rwkv7_status status = RWKV7_OK;
    uint32_t next = 0;
    for (size_t i = 0; i < count && status == RWKV7_OK; i++) {
        if (!negate)
            status = add_range(in, set, ranges[i].low, ranges[i].high);
        else if (ranges[i].low > next)
            status = add_range(in, set, next, ranges[i].low - 1);
        next = ranges[i].high + 1;
    }
    if (negate && status == RWKV7_OK)
        status = add_range(in, set, next, 0x10ffff);
    return status;
}

/* ------------------------------------------------------------------------------------- escapes */

/* Reads exactly `count` hexadecimal digits. */
static bool read_hex(struct regex_reader *in, unsigned count, uint32_t *out)
{
    uint32_t value = 0;
    if ((size_t)(in->end - in->at) < count)
        return false;
    for (unsigned i = 0; i < count; i++) {
        const uint8_t c = in->at[i];
        const uint32_t lower = c | 0x20u;
        if (c >= '0' && c <= '9')
            value = value << 4 | (c - '0');
        else if (lower >= 'a' && lower <= 'f')
            value = value << 4 | (lower - 'a' + 10);
        else
            return false;
    }
    in->at += count;
    *out = value;
    return true;
}

/* Parses \u after its 'u': four digits, a surrogate pair, or digits in braces. */
static enum rwkv7_status read_unicode(struct regex_reader *in, const uint8_t *start, uint32_t *c)
{
    uint32_t low;
    if (in->at < in->end && *in->at == '{') {
        uint32_t value = 0, digit;
        in->at++;
        while (value <= 0x10ffff && read_hex(in, 1, &digit))
            value = value << 4 | digit;
        if (in->at == in->end || *in->at != '}' || in->at[-1] == '{' || value > 0x10ffff)
            return regex_error(in, start, "expected \\u{H}, with a code point up to 10FFFF");
        in->at++;
        *c = value;
        return RWKV7_OK;
    }
    if (!read_hex(in, 4, c))
        return regex_error(in, start, "expected four hexadecimal digits after \\u");
    if (*c >= 0xd800 && *c <= 0xdbff && in->end - in->at >= 6 && in->at[0] == '\\' && in->at[1] == 'u') {
        const uint8_t *const before = in->at;
        in->at += 2;
        if (read_hex(in, 4, &low) && low >= 0xdc00 && low <= 0xdfff)
            *c = 0x10000 + ((*c - 0xd800) << 10) + (low - 0xdc00);
        else
            in->at = before;
    }
    return RWKV7_OK;
}

/*
 * Parses an escape for a single character. `start`: its backslash; *c: the character after it,
 * already read.
 */
static enum rwkv7_status read_escape(struct regex_reader *in, const uint8_t *start, bool in_class, uint32_t *c)
{
    static const char from[] = "tnrvf", to[] = "\t\n\r\v\f";
    const uint32_t letter = *c;
    const char *const simple = letter < 0x80 && letter > 0 ? strchr(from, (int)letter) : NULL;
    if (simple) {
        *c = (uint8_t)to[simple - from];
        return RWKV7_OK;
    }
    if (letter == 'b' && in_class) {
        *c = '\b';
        return RWKV7_OK;
    }
    if (letter == 'x')
        return read_hex(in, 2, c) ? RWKV7_OK : regex_error(in, start, "expected two hexadecimal digits after \\x");
    if (letter == 'u')
        return read_unicode(in, start, c);
    if (letter == '0' && (in->at == in->end || *in->at < '0' || *in->at > '9')) {
        *c = 0;
        return RWKV7_OK;
    }
    if (letter == 'c' && in->at < in->end && ((*in->at | 0x20) >= 'a' && (*in->at | 0x20) <= 'z')) {
        *c = *in->at++ & 31u;
        return RWKV7_OK;
    }
    if (letter == 'b' || letter == 'B')
        return regex_error(in, start, "the word boundary \\%c is not supported", (int)letter);
    if (letter == 'k' || (letter >= '0' && letter <= '9'))
        return regex_error(in, start, "backreferences are not supported");
    if (letter < 0x80 && ((letter | 0x20) >= 'a' && (letter | 0x20) <= 'z'))
        return regex_error(in, start, "unknown escape \\%c", (int)letter);
    return RWKV7_OK; /* punctuation stands for itself */
}

/*
 * Parses one character, or an escape for a set, which is added to `set`; *is_set tells which. The
 * first character has been read already.
 */
static enum rwkv7_status read_member(struct regex_reader *in, const uint8_t *start, bool in_class, struct ranges *set,
                                     uint32_t *c, bool *is_set)
{
    *is_set = false;
    if (*c != '\\')
        return RWKV7_OK;
    if (in->at == in->end)
        return regex_error(in, start, "a backslash at the end");
    uint32_t categories = 0;
    enum rwkv7_status status = regex_next_char(in, c);
    if (status != RWKV7_OK)
        return status;
    *is_set = true;
    switch (*c) {
    case 'd':
    case 'D':
        return add_ranges(in, set, digits, sizeof digits / sizeof digits[0], *c == 'D');
    case 'w':
    case 'W':
        return add_ranges(in, set, words, sizeof words / sizeof words[0], *c == 'W');
    case 's':
    case 'S':
        return add_ranges(in, set, spaces, sizeof spaces / sizeof spaces[0], *c == 'S');
    case 'p':
    case 'P':
        status = regex_property_read(in, start, *c == 'P', &categories);
        set->categories |= categories;
        return status;
    default:
        *is_set = false;
        return read_escape(in, start, in_class, c);
    }
}

/* Parses one member of a class, or a range such as a-z. */
static enum rwkv7_status read_class_range(struct regex_reader *in, struct ranges *set)
{
    const uint8_t *const start = in->at;
    uint32_t low, high;
    bool low_is_set, high_is_set;
    enum rwkv7_status status = regex_next_char(in, &low);
    if (status == RWKV7_OK)
        status = read_member(in, start, true, set, &low, &low_is_set);
    if (status != RWKV7_OK)
        return status;
    if (in->end - in->at < 2 || in->at[0] != '-' || in->at[1] == ']')
        return low_is_set ? RWKV7_OK : add_range(in, set, low, low);
    if (low_is_set) /* the hyphen of [\w-.] is a literal */
        return RWKV7_OK;
    in->at++;
    const uint8_t *const second = in->at;
    status = regex_next_char(in, &high);
    if (status == RWKV7_OK)
        status = read_member(in, second, true, set, &high, &high_is_set);
    if (status != RWKV7_OK)
        return status;
    if (high_is_set) { /* so is that of [a-\d] */
        status = add_range(in, set, '-', '-');
        return status == RWKV7_OK ? add_range(in, set, low, low) : status;
    }
    if (low > high)
        return regex_error(in, start, "the range is out of order");
    return add_range(in, set, low, high);
}

static enum rwkv7_status read_class(struct regex_reader *in, const uint8_t *start, struct ranges *set, bool *negate)
{
    *negate = in->at < in->end && *in->at == '^';
    in->at += *negate;
    while (in->at < in->end && *in->at != ']') {
        const enum rwkv7_status status = read_class_range(in, set);
        if (status != RWKV7_OK)
            return status;
    }
    if (in->at == in->end)
        return regex_error(in, start, "this class is not closed");
    in->at++;
    return RWKV7_OK;
}

/* Returns whether a class contains only surrogates; it would match nothing. */
static bool only_surrogates(const struct ranges *set)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->items[i].low < 0xd800 || set->items[i].high > 0xdfff)
            return false;
    return set->count > 0 && set->categories == 0;
}

/* Adds the characters of the categories to the ranges. */
static enum rwkv7_status add_categories(struct regex_reader *in, struct ranges *set)
{
    struct regex_range *ranges;
    size_t count;
    enum rwkv7_status status = regex_property_ranges(in, set->categories, &ranges, &count);
    if (status == RWKV7_OK)
        status = add_ranges(in, set, ranges, count, false);
    mem_free(ranges);
    return status;
}

/*
 * Returns the index in `known` of a dot or a set escape such as \d, whose node can be reused; 0:
 * neither.
 */
static uint32_t reusable(const struct regex_reader *in)
{
    const uint8_t letter = in->at[0] == '\\' && in->end - in->at > 1 ? in->at[1] : 0;
    return in->at[0] == '.' ? '.' : letter != 0 && letter < 0x80 && strchr("dDwWsS", letter) ? letter : 0;
}

enum rwkv7_status regex_parse_chars(struct regex_reader *in, struct regex *r, uint32_t *node)
{
    const uint8_t *const start = in->at;
    struct ranges set = {0};
    bool negate = false, is_set = true;
    const uint32_t letter = reusable(in);
    uint32_t c;
    if (letter != 0 && in->known[letter] != 0) {
        in->at += letter == '.' ? 1 : 2;
        *node = in->known[letter];
        return RWKV7_OK;
    }
    enum rwkv7_status status = regex_next_char(in, &c);
    if (status == RWKV7_OK && c < 0x80 && c != '[' && c != '.' && c != '\\') { /* fast path for plain ASCII */
        *node = regex_byte_range(r, (uint8_t)c, (uint8_t)c);
        return RWKV7_OK;
    }
    if (status == RWKV7_OK && c == '[')
        status = read_class(in, start, &set, &negate);
    else if (status == RWKV7_OK && c == '.')
        status = add_ranges(in, &set, line_ends, sizeof line_ends / sizeof line_ends[0], true);
    else if (status == RWKV7_OK)
        status = read_member(in, start, false, &set, &c, &is_set);
    if (status == RWKV7_OK && !is_set)
        status = add_range(in, &set, c, c);
    const uint32_t categories = set.count == 0 && !negate ? set.categories : 0;
    if (categories != 0 && categories == in->categories) {
        *node = in->categories_node;
        return status; /* nothing was allocated */
    }
    if (status == RWKV7_OK && set.categories != 0)
        status = add_categories(in, &set);
    if (status == RWKV7_OK && !negate && only_surrogates(&set))
        status = regex_error(in, start, "surrogates are no characters; write the character, or \\u{H}");
    if (status == RWKV7_OK) {
        *node = regex_chars(r, set.items, set.count, negate);
        in->known[letter] = letter != 0 ? *node : 0;
        if (categories != 0) {
            in->categories = categories;
            in->categories_node = *node;
        }
        status = regex_status(r, in->err);
    }
    mem_free(set.items);
    return status;
}
