/* json.c - see json.h. */
#include "formats/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "base/c_numbers.h"
#include "base/mem.h"
#include "formats/snippet.h"

#define JSON_MAX_INTEGER ((uint64_t)1 << 53) /* cJSON stores numbers as double */
#define JSON_MAX_NUMBER 63                   /* characters; cJSON copies a number into a buffer of 64 */

/* ------------------------------------------------------------------------ validation (RFC 8259) */

struct scan {
    const uint8_t *begin, *at, *end;
    const uint8_t *entry; /* last key of the outer object, from its opening quote; NULL before the first */
    const char *wanted;   /* set on failure: what was expected at `at` */
    size_t values;
    size_t widest; /* largest number of keys in one object */
    bool integers;
};

/* Returns the next byte, or -1 at the end of the text. */
static int peek(const struct scan *s)
{
    return s->at < s->end ? *s->at : -1;
}

static bool expected(struct scan *s, const char *wanted)
{
    s->wanted = wanted;
    return false;
}

static bool take(struct scan *s, char c, const char *wanted)
{
    if (peek(s) != c)
        return expected(s, wanted);
    s->at++;
    return true;
}

static void skip_space(struct scan *s)
{
    while (peek(s) == ' ' || peek(s) == '\t' || peek(s) == '\n' || peek(s) == '\r')
        s->at++;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool scan_digits(struct scan *s)
{
    if (!is_digit(peek(s)))
        return expected(s, "a digit");
    while (is_digit(peek(s)))
        s->at++;
    return true;
}

static bool scan_integer(struct scan *s)
{
    const uint8_t *first = s->at;
    uint64_t n = 0;
    while (is_digit(peek(s)) && n <= JSON_MAX_INTEGER)
        n = n * 10 + (uint64_t)(*s->at++ - '0');
    const int next = peek(s);
    const bool leading_zero = *first == '0' && s->at - first > 1;
    if (s->at > first && !leading_zero && n <= JSON_MAX_INTEGER && next != '.' && next != 'e' && next != 'E')
        return true;
    s->at = first;
    return expected(s, "a plain integer from 0 to 2^53");
}

static bool scan_number(struct scan *s)
{
    const uint8_t *first = s->at;
    if (s->integers)
        return scan_integer(s);
    if (peek(s) == '-')
        s->at++;
    if (peek(s) == '0')
        s->at++;
    else if (!scan_digits(s))
        return false;
    if (peek(s) == '.') {
        s->at++;
        if (!scan_digits(s))
            return false;
    }
    if (peek(s) == 'e' || peek(s) == 'E') {
        s->at++;
        if (peek(s) == '+' || peek(s) == '-')
            s->at++;
        if (!scan_digits(s))
            return false;
    }
    if (s->at - first <= JSON_MAX_NUMBER)
        return true;
    s->at = first;
    return expected(s, "a number of at most 63 characters");
}

static bool scan_hex4(struct scan *s, unsigned *unit)
{
    *unit = 0;
    for (int i = 0; i < 4; i++) {
        const int c = peek(s);
        const int digit = is_digit(c)            ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0)
            return expected(s, "four hexadecimal digits");
        *unit = *unit << 4 | (unsigned)digit;
        s->at++;
    }
    return true;
}

static bool scan_escape(struct scan *s)
{
    const uint8_t *first = s->at++;
    const int c = peek(s);
    if (c <= 0 || !strchr("\"\\/bfnrtu", c)) {
        s->at = first;
        return expected(s, "a JSON escape sequence");
    }
    s->at++;
    if (c != 'u')
        return true;
    unsigned unit, low = 0;
    if (!scan_hex4(s, &unit))
        return false;
    if (unit == 0) {
        s->at = first;
        return expected(s, "a string without NUL");
    }
    if (unit < 0xd800 || unit > 0xdfff)
        return true;
    if (unit <= 0xdbff && s->end - s->at >= 2 && s->at[0] == '\\' && s->at[1] == 'u') {
        s->at += 2;
        if (!scan_hex4(s, &low))
            return false;
    }
    if (low >= 0xdc00 && low <= 0xdfff)
        return true;
    s->at = first;
    return expected(s, "a surrogate pair");
}

static bool scan_string(struct scan *s)
{
    s->at++;
    for (;;) {
        const int c = peek(s);
        if (c == '"') {
            s->at++;
            return true;
        }
        if (c == '\\') {
            if (!scan_escape(s))
                return false;
        } else if (c < 0) {
            return expected(s, "a closing quote");
        } else if (c < 0x20) {
            return expected(s, "an escaped control character");
        } else {
            utf8proc_int32_t code;
            const utf8proc_ssize_t n = c < 0x80 ? 1 : utf8proc_iterate(s->at, s->end - s->at, &code);
            if (n <= 0)
                return expected(s, "UTF-8");
            s->at += n;
        }
    }
}

static bool scan_word(struct scan *s, const char *word)
{
    const size_t n = strlen(word);
    if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0)
        return expected(s, word);
    s->at += n;
    return true;
}

static bool scan_value(struct scan *s, unsigned depth);

static bool scan_key(struct scan *s, unsigned depth)
{
    if (peek(s) != '"')
        return expected(s, "a key in quotes");
    if (depth == 1)
        s->entry = s->at;
    if (!scan_string(s))
        return false;
    skip_space(s);
    return take(s, ':', "':'");
}

/* Scans the members of an object or an array, brackets included. */
static bool scan_members(struct scan *s, unsigned depth, bool object)
{
    const char close = object ? '}' : ']';
    size_t members = 0;

    if (depth > JSON_MAX_DEPTH)
        return expected(s, "at most 32 levels of nesting");
    s->at++;
    skip_space(s);
    if (peek(s) == close) {
        s->at++;
        return true;
    }
    for (;;) {
        skip_space(s);
        if ((object && !scan_key(s, depth)) || !scan_value(s, depth))
            return false;
        members++;
        skip_space(s);
        if (peek(s) != ',')
            break;
        s->at++;
    }
    if (object && members > s->widest)
        s->widest = members;
    return take(s, close, object ? "',' or '}'" : "',' or ']'");
}

static bool scan_value(struct scan *s, unsigned depth)
{
    skip_space(s);
    if (++s->values > JSON_MAX_VALUES)
        return expected(s, "at most 2^21 values");
    switch (peek(s)) {
    case '{':
        return scan_members(s, depth + 1, true);
    case '[':
        return scan_members(s, depth + 1, false);
    case '"':
        return scan_string(s);
    case 't':
        return scan_word(s, "true");
    case 'f':
        return scan_word(s, "false");
    case 'n':
        return scan_word(s, "null");
    default:
        if (peek(s) == '-' || is_digit(peek(s)))
            return scan_number(s);
        return expected(s, "a value");
    }
}

static bool scan_document(struct scan *s)
{
    skip_space(s);
    if (peek(s) != '{')
        return expected(s, "'{'");
    if (!scan_value(s, 0))
        return false;
    skip_space(s);
    return s->at == s->end || expected(s, "the end of the text");
}

static enum rwkv7_status report(const struct json_text *text, const struct scan *s, struct rwkv7_error *err)
{
    char near[104] = "", found[104] = "the end";
    if (s->entry) {
        const uint8_t *name = s->entry + 1, *end = name;
        while (end < s->end && *end != '"' && end < s->at)
            end++;
        snprintf(near, sizeof near, " (near '%s')", snippet_text(name, (size_t)(end - name), 64).text);
    }
    if (s->at < s->end)
        snprintf(found, sizeof found, "'%s'", snippet_text(s->at, (size_t)(s->end - s->at), 12).text);
    return fail(err, RWKV7_ERR_MODEL, "%s: byte %zu%s: expected %s, found %s", snippet_path(text->file).text,
                text->offset + (size_t)(s->at - s->begin), near, s->wanted, found);
}

/* ------------------------------------------------------------------------------- duplicate keys */

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/*
 * Returns a duplicate key of some object in the tree, or NULL. `keys` has room for the keys of the
 * largest object. Recursion is bounded by JSON_MAX_DEPTH.
 */
static const char *find_duplicate(const cJSON *tree, const char **keys)
{
    size_t count = 0;
    if (cJSON_IsObject(tree)) {
        for (const cJSON *c = tree->child; c; c = c->next)
            keys[count++] = c->string;
        qsort(keys, count, sizeof *keys, compare_strings);
        for (size_t i = 1; i < count; i++)
            if (strcmp(keys[i - 1], keys[i]) == 0)
                return keys[i];
    }
    for (const cJSON *c = tree->child; c; c = c->next) {
        const char *duplicate = c->child ? find_duplicate(c, keys) : NULL;
        if (duplicate)
            return duplicate;
    }
    return NULL;
}

/* -------------------------------------------------------------------------------------- parsing */

enum rwkv7_status json_parse(const struct json_text *text, cJSON **out, struct rwkv7_error *err)
{
    enum rwkv7_status status = RWKV7_OK;
    const char **keys = NULL;
    const char *duplicate;
    cJSON *tree = NULL;

    *out = NULL;
    static const char mark[] = "\xef\xbb\xbf"; /* a byte order mark, as some editors put before a text */
    struct json_text marked = *text;
    if (text->offset == 0 && text->size >= sizeof mark - 1 && memcmp(text->bytes, mark, sizeof mark - 1) == 0) {
        marked.bytes += sizeof mark - 1;
        marked.size -= sizeof mark - 1;
        marked.offset = sizeof mark - 1;
        text = &marked;
    }
    /* Another process may change a mapped file, so a copy is validated and parsed. */
    char *copy = mem_string((const char *)text->bytes, text->size);
    if (!copy)
        return fail_memory(err, "a JSON text");
    struct scan s = {.begin = (const uint8_t *)copy, .integers = text->integers};
    s.at = s.begin;
    s.end = s.begin + text->size;
    if (!scan_document(&s)) {
        status = report(text, &s, err);
        goto done;
    }
    /* cJSON accepts everything that passed the scan, so NULL means out of memory. */
    {
        C_NUMBERS;
        tree = cJSON_ParseWithLength(copy, text->size);
    }
    keys = mem_alloc(s.widest, sizeof *keys);
    if (!tree || !keys) {
        status = fail_memory(err, "a JSON text");
        goto done;
    }
    if ((duplicate = find_duplicate(tree, keys)) != NULL) {
        status = fail(err, RWKV7_ERR_MODEL, "%s: duplicate key '%s' in a JSON object", snippet_path(text->file).text,
                      snippet_name(duplicate).text);
        goto done;
    }
    *out = tree;
    tree = NULL;
done:
    mem_free(copy);
    mem_free(keys);
    cJSON_Delete(tree);
    return status;
}

uint64_t json_integer(const cJSON *number)
{
    return (uint64_t)number->valuedouble;
}

const char *json_kind(const cJSON *value)
{
    return cJSON_IsString(value)   ? "a string"
           : cJSON_IsNumber(value) ? "a number"
           : cJSON_IsArray(value)  ? "an array"
           : cJSON_IsObject(value) ? "an object"
           : cJSON_IsNull(value)   ? "null"
                                   : "true or false";
}
