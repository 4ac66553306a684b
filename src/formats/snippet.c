/* snippet.c - see snippet.h. */
#include "formats/snippet.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <utf8proc.h>

#define SNIPPET_MAX 80 /* bytes; a path, a name and a sentence then fit in rwkv7_error.message */

/*
 * Returns the size of the first character. *printable: a terminal shows it and does not interpret
 * it.
 */
static size_t next_character(const uint8_t *bytes, size_t left, bool *printable)
{
    utf8proc_int32_t c;
    const utf8proc_ssize_t n = utf8proc_iterate(bytes, (utf8proc_ssize_t)left, &c);
    *printable = false;
    if (n <= 0)
        return 1;
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_CC: /* control characters, including the C1 set that starts escape sequences */
    case UTF8PROC_CATEGORY_CF: /* invisible: text direction, joiners */
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        break;
    default:
        *printable = true;
    }
    return (size_t)n;
}

struct snippet snippet_text(const void *bytes, size_t size, size_t limit)
{
    struct snippet s;
    const uint8_t *from = bytes;
    size_t at = 0, used = 0;

    if (limit > SNIPPET_MAX)
        limit = SNIPPET_MAX;
    while (at < size) {
        bool printable;
        const size_t n = next_character(from + at, size - at, &printable);
        const size_t shown = printable ? n : 1;
        if (used + shown > limit)
            break;
        if (printable)
            memcpy(s.text + used, from + at, n);
        else
            s.text[used] = '?';
        used += shown;
        at += n;
    }
    memcpy(s.text + used, at < size ? "..." : "", at < size ? 4 : 1);
    return s;
}

struct snippet snippet_name(const char *name)
{
    return snippet_text(name, strlen(name), 64);
}

struct snippet snippet_path(const char *path)
{
    struct snippet s;
    size_t n = strlen(path);

    if (n <= SNIPPET_MAX)
        return snippet_text(path, n, n);
    path += n - SNIPPET_MAX;
    while (((uint8_t)*path & 0xc0) == 0x80) /* starts at a character boundary */
        path++;
    s = snippet_text(path, strlen(path), SNIPPET_MAX);
    n = strlen(s.text);
    memmove(s.text + 3, s.text, n + 1);
    memcpy(s.text, "...", 3);
    return s;
}

struct snippet snippet_axes(const uint64_t *axes, int count)
{
    char text[SNIPPET_MAX + 32] = "["; /* room for one number more than is shown */
    size_t n = 1;
    for (int i = 0; i < count && n < SNIPPET_MAX; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%llu", i ? "," : "", (unsigned long long)axes[i]);
    text[n++] = ']';
    return snippet_text(text, n, SNIPPET_MAX);
}
