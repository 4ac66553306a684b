/* json_line.c - see json_line.h. */
#include "cli/commands/json_line.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include <utf8proc.h>

#include "base/json_tree.h"

/* Returns the number of bytes at the start that are valid UTF-8. */
static size_t utf8_length(const char *text, size_t size)
{
    size_t at = 0;
    while (at < size) {
        utf8proc_int32_t c;
        const utf8proc_ssize_t n =
            utf8proc_iterate((const utf8proc_uint8_t *)text + at, (utf8proc_ssize_t)(size - at), &c);
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    return at;
}

/* Returns whether the line contains a NUL, raw or escaped, which would end a string early. */
static bool has_nul(const char *line, size_t length)
{
    if (memchr(line, '\0', length))
        return true;
    for (; *line; line++)
        if (*line == '\\' && strncmp(++line, "u0000", 5) == 0)
            return true;
    return false;
}

/*
 * Returns the end of the JSON number at `at`; `at` if it is none. cJSON also accepts 007 and "1.".
 */
static const char *number_end(const char *at)
{
    static const char digits[] = "0123456789";
    const char *end = at + (*at == '-');
    size_t n = strspn(end, digits);
    if (n == 0 || (n > 1 && *end == '0'))
        return at;
    end += n;
    if (*end == '.') {
        if ((n = strspn(++end, digits)) == 0)
            return at;
        end += n;
    }
    if (*end == 'e' || *end == 'E') {
        end += 1 + (end[1] == '+' || end[1] == '-');
        if ((n = strspn(end, digits)) == 0)
            return at;
        end += n;
    }
    return end;
}

/* Returns the first number outside of strings from `at` on. There must be one. */
static const char *find_number(const char *at)
{
    for (bool quoted = false; quoted || (*at != '-' && !isdigit((unsigned char)*at)); at++) {
        if (*at == '"')
            quoted = !quoted;
        at += *at == '\\';
    }
    return at;
}

/*
 * Walks through the numbers of the item and its text from `at` on; if `keep`, replaces them by raw
 * JSON. Returns the position in the text after the item's last number.
 */
static const char *along_numbers(cJSON *item, const char *at, bool keep)
{
    if (cJSON_IsNumber(item)) {
        at = find_number(at);
        const size_t n = strspn(at, "+-.0123456789Ee");
        if (keep && number_end(at) == at + n) {
            item->type = cJSON_Raw;
            item->valuestring = cJSON_malloc(n + 1);
            if (item->valuestring) { /* else sequence_result() fails to print it */
                memcpy(item->valuestring, at, n);
                item->valuestring[n] = '\0';
            }
        }
        return at + n;
    }
    for (cJSON *child = item->child; child; child = child->next)
        at = along_numbers(child, at, keep);
    return at;
}

cJSON *json_line_parse(const char *line, size_t length, const char *verbatim, char why[256])
{
    const size_t readable = utf8_length(line, length);
    const char *end = NULL;
    if (readable < length) {
        snprintf(why, 256, "expected UTF-8, found something else at byte %zu", readable);
        return NULL;
    }
    bool no_memory;
    cJSON *const object = json_tree_parse(line, length, &end, &no_memory);
    while (object && end < line + length && *end && strchr(" \t\r\n", *end))
        end++;
    why[0] = '\0';
    if (no_memory)
        snprintf(why, 256, JSON_LINE_NO_MEMORY);
    else if (!object || end != line + length)
        snprintf(why, 256, "expected one JSON object, found something else at byte %zu",
                 end ? (size_t)(end - line) : 0);
    else if (!cJSON_IsObject(object))
        snprintf(why, 256, "expected a JSON object");
    else if (has_nul(line, length))
        snprintf(why, 256, "\\u0000 is not supported");
    if (verbatim && cJSON_IsObject(object))
        for (cJSON *member = object->child; member; member = member->next)
            line = along_numbers(member, line, strcmp(member->string, verbatim) == 0);
    return object;
}

bool json_line_duplicate(const cJSON *object, const char *name, char why[256])
{
    int count = 0;
    for (const cJSON *member = object->child; member; member = member->next)
        count += strcmp(member->string, name) == 0;
    if (count > 1)
        snprintf(why, 256, "duplicate member '%s'", name);
    return count > 1;
}
