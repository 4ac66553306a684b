/* json_value.c - see json_value.h. */
#include "matcher/json_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "base/mem.h"

#define SORTED_FROM 12u /* members; smaller objects are searched one by one */

struct json_values {
    struct json_value *values; /* [room] in the order of the text */
    struct json_value **sorted;
    char *strings; /* [size] decoded strings and numbers; never longer than the text */
    size_t count, room, sorted_used, strings_used;
};

struct reader {
    struct json_values *tree;
    const uint8_t *begin, *at, *end;
    const char *wanted; /* set on failure: what was expected at `at` */
};

static int peek(const struct reader *s)
{
    return s->at < s->end ? *s->at : -1;
}

static bool expected(struct reader *s, const char *wanted)
{
    s->wanted = wanted;
    return false;
}

static void skip_space(struct reader *s)
{
    while (peek(s) == ' ' || peek(s) == '\t' || peek(s) == '\n' || peek(s) == '\r')
        s->at++;
}

static void put(struct reader *s, char c)
{
    s->tree->strings[s->tree->strings_used++] = c;
}

/* -------------------------------------------------------------------------- strings and numbers */

static bool read_hex4(struct reader *s, uint32_t *unit)
{
    *unit = 0;
    for (int i = 0; i < 4; i++) {
        const int c = peek(s);
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0)
            return expected(s, "four hexadecimal digits");
        *unit = *unit << 4 | (uint32_t)digit;
        s->at++;
    }
    return true;
}

static bool read_unicode_escape(struct reader *s)
{
    uint32_t unit, low = 0;
    if (!read_hex4(s, &unit))
        return false;
    if (unit >= 0xd800 && unit <= 0xdfff) {
        if (unit > 0xdbff || s->end - s->at < 6 || s->at[0] != '\\' || s->at[1] != 'u')
            return expected(s, "a surrogate pair");
        s->at += 2;
        if (!read_hex4(s, &low))
            return false;
        if (low < 0xdc00 || low > 0xdfff)
            return expected(s, "a surrogate pair");
        unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
    }
    s->tree->strings_used +=
        (size_t)utf8proc_encode_char((utf8proc_int32_t)unit, (uint8_t *)s->tree->strings + s->tree->strings_used);
    return true;
}

static bool read_escape(struct reader *s)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const int c = ++s->at < s->end ? *s->at : 0;
    const char *found = c ? strchr(from, c) : NULL;
    if (c == 'u') {
        s->at++;
        return read_unicode_escape(s);
    }
    if (!found)
        return expected(s, "a JSON escape sequence");
    put(s, to[found - from]);
    s->at++;
    return true;
}

static bool read_string(struct reader *s, const char **text, size_t *size)
{
    const size_t begin = s->tree->strings_used;
    if (peek(s) != '"')
        return expected(s, "a key in quotes");
    s->at++;
    for (;;) {
        const int c = peek(s);
        if (c == '"')
            break;
        if (c == '\\') {
            if (!read_escape(s))
                return false;
        } else if (c < 0) {
            return expected(s, "a closing quote");
        } else if (c < 0x20) {
            return expected(s, "an escaped control character");
        } else {
            utf8proc_int32_t code;
            utf8proc_ssize_t n = c < 0x80 ? 1 : utf8proc_iterate(s->at, s->end - s->at, &code);
            if (n <= 0)
                return expected(s, "UTF-8");
            while (n-- > 0)
                put(s, (char)*s->at++);
        }
    }
    s->at++;
    *text = s->tree->strings + begin;
    *size = s->tree->strings_used - begin;
    return true;
}

static bool read_digits(struct reader *s)
{
    if (peek(s) < '0' || peek(s) > '9')
        return expected(s, "a digit");
    while (peek(s) >= '0' && peek(s) <= '9')
        s->at++;
    return true;
}

static bool read_number(struct reader *s, struct json_value *v)
{
    const uint8_t *first = s->at;
    if (peek(s) == '-')
        s->at++;
    if (peek(s) == '0')
        s->at++;
    else if (!read_digits(s))
        return expected(s, "a value");
    if (peek(s) == '.') {
        s->at++;
        if (!read_digits(s))
            return false;
    }
    if (peek(s) == 'e' || peek(s) == 'E') {
        s->at++;
        if (peek(s) == '+' || peek(s) == '-')
            s->at++;
        if (!read_digits(s))
            return false;
    }
    v->type = JSON_NUMBER;
    v->size = (size_t)(s->at - first);
    v->text = s->tree->strings + s->tree->strings_used;
    memcpy(s->tree->strings + s->tree->strings_used, first, v->size);
    s->tree->strings_used += v->size;
    return true;
}

/* ---------------------------------------------------------------------------------- members */

static int compare_keys(const char *a, size_t a_size, const char *b, size_t b_size)
{
    const int c = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return c ? c : (a_size > b_size) - (a_size < b_size);
}

static int compare_members(const void *a, const void *b)
{
    const struct json_value *x = *(struct json_value *const *)a, *y = *(struct json_value *const *)b;
    return compare_keys(x->key, x->key_size, y->key, y->key_size);
}

/* Sorts the members of a large object, and finds duplicate keys. */
static bool index_members(struct reader *s, struct json_value *v)
{
    if (v->count < SORTED_FROM) {
        for (struct json_value *m = v->first; m; m = m->next)
            for (struct json_value *n = m->next; n; n = n->next)
                if (compare_members(&m, &n) == 0)
                    return expected(s, "an object without duplicate keys");
        return true;
    }
    struct json_value **sorted = s->tree->sorted + s->tree->sorted_used;
    size_t n = 0;
    for (struct json_value *m = v->first; m; m = m->next)
        sorted[n++] = m;
    s->tree->sorted_used += n;
    qsort(sorted, n, sizeof *sorted, compare_members);
    for (size_t i = 1; i < n; i++)
        if (compare_members(&sorted[i - 1], &sorted[i]) == 0)
            return expected(s, "an object without duplicate keys");
    v->sorted = sorted;
    return true;
}

static struct json_value *read_value(struct reader *s, struct json_value *parent, unsigned depth);

static bool read_members(struct reader *s, struct json_value *v, unsigned depth)
{
    const bool object = peek(s) == '{';
    const int close = object ? '}' : ']';
    struct json_value **link = &v->first;

    v->type = object ? JSON_OBJECT : JSON_ARRAY;
    if (depth >= JSON_VALUE_MAX_DEPTH)
        return expected(s, "at most 200 levels of nesting");
    s->at++;
    skip_space(s);
    if (peek(s) == close) {
        s->at++;
        return true;
    }
    for (;;) {
        const char *key = NULL;
        size_t key_size = 0;
        skip_space(s);
        if (object) {
            if (!read_string(s, &key, &key_size))
                return false;
            skip_space(s);
            if (peek(s) != ':')
                return expected(s, "':'");
            s->at++;
        }
        struct json_value *member = read_value(s, v, depth + 1);
        if (!member)
            return false;
        member->key = key;
        member->key_size = key_size;
        *link = member;
        link = &member->next;
        v->count++;
        skip_space(s);
        if (peek(s) != ',')
            break;
        s->at++;
    }
    if (peek(s) != close)
        return expected(s, object ? "',' or '}'" : "',' or ']'");
    s->at++;
    return !object || index_members(s, v);
}

static bool read_word(struct reader *s, struct json_value *v, const char *word, enum json_type type)
{
    const size_t n = strlen(word);
    if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0)
        return expected(s, "a value");
    s->at += n;
    v->type = type;
    return true;
}

/* Recursion is bounded by JSON_VALUE_MAX_DEPTH. */
static struct json_value *read_value(struct reader *s, struct json_value *parent, unsigned depth)
{
    struct json_values *t = s->tree;
    bool good;
    skip_space(s);
    if (t->count == t->room) {
        expected(s, "at most 2^18 values");
        return NULL;
    }
    struct json_value *v = &t->values[t->count];
    v->id = (uint32_t)t->count++;
    v->parent = parent;
    switch (peek(s)) {
    case '{':
    case '[':
        good = read_members(s, v, depth);
        break;
    case '"':
        v->type = JSON_STRING;
        good = read_string(s, &v->text, &v->size);
        break;
    case 't':
        good = read_word(s, v, "true", JSON_TRUE);
        break;
    case 'f':
        good = read_word(s, v, "false", JSON_FALSE);
        break;
    case 'n':
        good = read_word(s, v, "null", JSON_NULL);
        break;
    default:
        good = read_number(s, v);
    }
    return good ? v : NULL;
}

static enum rwkv7_status report(const struct reader *s, struct rwkv7_error *err)
{
    size_t line = 1, column = 1;
    for (const uint8_t *p = s->begin; p < s->at; p++) {
        column = *p == '\n' ? 1 : column + ((*p & 0xc0) != 0x80);
        line += *p == '\n';
    }
    return fail(err, RWKV7_ERR_USAGE, "line %zu, column %zu: expected %s", line, column, s->wanted);
}

enum rwkv7_status json_values_read(const char *text, size_t size, struct json_values **out, struct rwkv7_error *err)
{
    enum rwkv7_status status = RWKV7_OK;
    struct json_values *t = mem_alloc(1, sizeof *t);

    *out = NULL;
    if (!t)
        return fail_memory(err, "a JSON text");
    /*
     * An upper bound of the number of values: each but the first follows one of these characters.
     */
    t->room = 1;
    for (size_t i = 0; i < size && t->room < JSON_VALUE_MAX_COUNT; i++)
        t->room += text[i] == ',' || text[i] == '[' || text[i] == '{';
    t->values = mem_alloc(t->room, sizeof *t->values);
    t->sorted = mem_alloc(t->room, sizeof *t->sorted);
    t->strings = mem_alloc(size + 4, 1); /* escapes shrink, so this is enough */
    struct reader s = {.tree = t, .begin = (const uint8_t *)text};
    s.at = s.begin;
    s.end = s.begin + size;
    if (!t->values || !t->sorted || !t->strings) {
        status = fail_memory(err, "a JSON text");
        goto done;
    }
    bool good = read_value(&s, NULL, 0) != NULL;
    skip_space(&s);
    if (good && s.at != s.end)
        good = expected(&s, "the end of the text");
    if (!good) {
        status = report(&s, err);
        goto done;
    }
    *out = t;
    t = NULL;
done:
    json_values_free(t);
    return status;
}

void json_values_free(struct json_values *t)
{
    if (!t)
        return;
    mem_free(t->values);
    mem_free(t->sorted);
    mem_free(t->strings);
    mem_free(t);
}

struct json_value *json_values_root(const struct json_values *t)
{
    return &t->values[0];
}

size_t json_values_count(const struct json_values *t)
{
    return t->count;
}

struct json_value *json_values_at(const struct json_values *t, size_t id)
{
    return &t->values[id];
}

/* -------------------------------------------------------------------------------------- queries */

struct json_value *json_member_sized(const struct json_value *v, const char *key, size_t size)
{
    if (v->type != JSON_OBJECT)
        return NULL;
    if (!v->sorted) {
        for (struct json_value *m = v->first; m; m = m->next)
            if (m->key_size == size && memcmp(m->key, key, size) == 0)
                return m;
        return NULL;
    }
    size_t low = 0, high = v->count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        const int c = compare_keys(v->sorted[mid]->key, v->sorted[mid]->key_size, key, size);
        if (c == 0)
            return v->sorted[mid];
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

struct json_value *json_member(const struct json_value *v, const char *key)
{
    return json_member_sized(v, key, strlen(key));
}

struct json_value *json_element(const struct json_value *v, size_t index)
{
    struct json_value *e = v->type == JSON_ARRAY ? v->first : NULL;
    while (e && index-- > 0)
        e = e->next;
    return e;
}

bool json_is_text(const struct json_value *v, const char *text)
{
    return v->type == JSON_STRING && v->size == strlen(text) && memcmp(v->text, text, v->size) == 0;
}

/*
 * Prepends one step of a JSON pointer to `at`: "/" and the escaped key or the index. Returns the
 * new start.
 */
static char *write_step(char *begin, char *at, const struct json_value *v)
{
    char number[24];
    const char *text = v->key;
    size_t size = v->key_size;
    if (!text) {
        size_t index = 0;
        for (const struct json_value *e = v->parent->first; e != v; e = e->next)
            index++;
        size = (size_t)snprintf(number, sizeof number, "%zu", index);
        text = number;
    }
    while (size-- > 0) {
        if (at - begin < 8)
            return NULL;
        const char c = text[size];
        if (c == '~' || c == '/') {
            *--at = c == '~' ? '0' : '1';
            *--at = '~';
        } else {
            *--at = c;
        }
    }
    *--at = '/';
    return at;
}

struct json_pointer json_pointer_of(const struct json_value *v)
{
    struct json_pointer p;
    char room[JSON_POINTER_SIZE], *at = room + sizeof room - 1;
    *at = '\0';
    for (;; v = v->parent) {
        while (v->origin)
            v = v->origin;
        if (!v->parent)
            break;
        char *before = write_step(room, at, v);
        if (!before) {
            snprintf(p.text, sizeof p.text, "#...%s", at);
            return p;
        }
        at = before;
    }
    snprintf(p.text, sizeof p.text, "#%.*s", (int)(room + sizeof room - 1 - at), at);
    return p;
}
