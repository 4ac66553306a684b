/* json_body.c - see json_body.h. */
#include "server/json_body.h"

#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "base/c_numbers.h"
#include "base/json_tree.h"
#include "base/mem.h"

/* -------------------------------------------------------------------------------------- scanner */

struct scanner {
    const char *at, *end;
    size_t values;
    int depth;
    const char *problem; /* what is wrong at `at`; NULL: nothing yet */
};

static bool wrong(struct scanner *s, const char *problem)
{
    if (!s->problem)
        s->problem = problem;
    return false;
}

static int peek(const struct scanner *s)
{
    return s->at < s->end ? (unsigned char)*s->at : -1;
}

static void skip_space(struct scanner *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
        s->at++;
}

static bool scan_word(struct scanner *s, const char *word)
{
    const size_t n = strlen(word);
    if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0)
        return wrong(s, "expected a JSON value");
    s->at += n;
    return true;
}

static size_t scan_digits(struct scanner *s)
{
    const char *const begin = s->at;
    while (peek(s) >= '0' && peek(s) <= '9')
        s->at++;
    return (size_t)(s->at - begin);
}

static bool scan_number(struct scanner *s)
{
    const char *const begin = s->at;
    if (peek(s) == '-')
        s->at++;
    const bool zero = peek(s) == '0';
    const size_t digits = scan_digits(s);
    bool fine = digits > 0 && (!zero || digits == 1);
    if (peek(s) == '.') {
        s->at++;
        fine = scan_digits(s) > 0 && fine;
    }
    if (peek(s) == 'e' || peek(s) == 'E') {
        s->at++;
        if (peek(s) == '+' || peek(s) == '-')
            s->at++;
        fine = scan_digits(s) > 0 && fine;
    }
    if (s->at - begin > 60)
        return wrong(s, "the number is too long");
    return fine || wrong(s, "expected a JSON number");
}

/* Reads four hexadecimal digits; returns -1 if they are invalid. */
static int scan_hex(struct scanner *s)
{
    int value = 0;
    for (int i = 0; i < 4; i++, s->at++) {
        const int c = peek(s), lower = c | 0x20;
        if (c >= '0' && c <= '9')
            value = value * 16 + c - '0';
        else if (lower >= 'a' && lower <= 'f')
            value = value * 16 + lower - 'a' + 10;
        else
            return -1;
    }
    return value;
}

/*
 * Scans an escape after its backslash. Surrogates must be paired. U+0000 is refused: it would end a
 * C string.
 */
static bool scan_escape(struct scanner *s)
{
    const int c = peek(s);
    if (c < 0 || !strchr("\"\\/bfnrtu", c) || c == 0)
        return wrong(s, "unknown escape in a string");
    s->at++;
    if (c != 'u')
        return true;
    const int first = scan_hex(s);
    if (first == 0)
        return wrong(s, "\\u0000 is not supported");
    if (first < 0 || (first >= 0xdc00 && first <= 0xdfff))
        return wrong(s, "invalid \\u escape in a string");
    if (first < 0xd800 || first > 0xdbff)
        return true;
    if (s->end - s->at < 6 || s->at[0] != '\\' || s->at[1] != 'u')
        return wrong(s, "half a surrogate pair in a string");
    s->at += 2;
    const int second = scan_hex(s);
    return (second >= 0xdc00 && second <= 0xdfff) || wrong(s, "half a surrogate pair in a string");
}

static bool scan_string(struct scanner *s)
{
    s->at++;
    for (;;) {
        const int c = peek(s);
        if (c < 0x20)
            return wrong(s, c < 0 ? "the string does not end" : "control character in a string");
        if (c < 0x80) {
            s->at++;
            if (c == '"')
                return true;
            if (c == '\\' && !scan_escape(s))
                return false;
            continue;
        }
        utf8proc_int32_t codepoint;
        const utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)s->at, s->end - s->at, &codepoint);
        if (n <= 0)
            return wrong(s, "expected UTF-8");
        s->at += n;
    }
}

static bool scan_value(struct scanner *s);

/* Scans an array or an object from its opening bracket. */
static bool scan_members(struct scanner *s, char close)
{
    s->at++;
    skip_space(s);
    if (peek(s) == close) {
        s->at++;
        return true;
    }
    for (;;) {
        skip_space(s);
        if (close == '}') {
            if (peek(s) != '"')
                return wrong(s, "expected the name of a member");
            if (!scan_string(s))
                return false;
            skip_space(s);
            if (peek(s) != ':')
                return wrong(s, "expected ':'");
            s->at++;
        }
        if (!scan_value(s))
            return false;
        skip_space(s);
        const int c = peek(s);
        if (c != ',' && c != close)
            return wrong(s, "expected ',' or a closing bracket");
        s->at++;
        if (c == close)
            return true;
    }
}

static bool scan_value(struct scanner *s)
{
    skip_space(s);
    if (++s->values > JSON_BODY_VALUES)
        return wrong(s, "too many values");
    const int c = peek(s);
    if (c == '{' || c == '[') {
        if (++s->depth > JSON_BODY_DEPTH)
            return wrong(s, "nested too deeply");
        const bool fine = scan_members(s, c == '{' ? '}' : ']');
        s->depth--;
        return fine;
    }
    if (c == '"')
        return scan_string(s);
    if (c == 't' || c == 'f' || c == 'n')
        return scan_word(s, c == 't' ? "true" : c == 'f' ? "false" : "null");
    return c == '-' || (c >= '0' && c <= '9') ? scan_number(s) : wrong(s, "expected a JSON value");
}

/* ----------------------------------------------------------------------------------- duplicates */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Checks one object for duplicate keys. */
static bool check_object(const cJSON *object, struct api_error *e)
{
    size_t count = 0, i = 0;
    for (const cJSON *at = object->child; at; at = at->next)
        count++;
    if (count < 2)
        return true;
    const char **const names = mem_alloc(count, sizeof *names);
    if (!names)
        return error_other(e, 500, NULL, "out of memory for the request");
    for (const cJSON *at = object->child; at; at = at->next)
        names[i++] = at->string;
    qsort(names, count, sizeof *names, compare_names);
    for (i = 1; i < count && strcmp(names[i - 1], names[i]) != 0; i++)
        ;
    if (i < count)
        error_request(e, names[i], "duplicate member '%.80s'", names[i]);
    mem_free(names);
    return i == count;
}

/* Recursion is bounded: the scanner limits the depth. */
static bool check_duplicates(const cJSON *value, struct api_error *e)
{
    if (cJSON_IsObject(value) && !check_object(value, e))
        return false;
    for (const cJSON *at = value->child; at; at = at->next)
        if (at->child && !check_duplicates(at, e))
            return false;
    return true;
}

cJSON *json_body_parse(const char *text, size_t size, struct api_error *e)
{
    C_NUMBERS;
    struct scanner s = {.at = text, .end = text + size};
    bool no_memory;
    const char *end;
    bool fine = scan_value(&s);
    if (fine) {
        skip_space(&s);
        fine = s.at == s.end || wrong(&s, "expected the end of the JSON text");
    }
    if (!fine) {
        error_request(e, NULL, "invalid JSON at byte %zu: %s", (size_t)(s.at - text), s.problem);
        return NULL;
    }
    cJSON *const tree = json_tree_parse(text, size, &end, &no_memory);
    if (!tree) /* the text is valid, so memory is the only cause */
        error_other(e, 500, NULL, "out of memory for the request");
    else if (!cJSON_IsObject(tree))
        error_request(e, NULL, "expected a JSON object");
    else
        check_duplicates(tree, e);
    if (e->status) {
        cJSON_Delete(tree);
        return NULL;
    }
    return tree;
}
