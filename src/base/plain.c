/* plain.c - see plain.h. */
#include "base/plain.h"

#include <stdio.h>
#include <string.h>

#include <utf8proc.h>

#include "rwkv7.h"

/*
 * Whether a terminal interprets the character instead of showing it: control characters, Unicode
 * line separators, and the controls that reverse text direction, with which one name can imitate
 * another. Joiners are allowed, since scripts and emoji need them.
 */
static bool is_control(utf8proc_int32_t c)
{
    const utf8proc_category_t category = utf8proc_category(c);
    return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP ||
           c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

void rwkv7_text_plain(char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        utf8proc_int32_t c;
        const utf8proc_ssize_t got = utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)left, &c);
        const size_t n = got > 0 ? (size_t)got : 1;
        if (got <= 0 || is_control(c))
            memset(text, '?', n);
        text += n;
        left -= n;
    }
}

/* Whether the bytes are an incomplete character that more bytes could complete. */
static bool is_torn(const unsigned char *text, size_t size)
{
    const size_t length = text[0] < 0xc2 ? 1 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : text[0] < 0xf5 ? 4 : 1;
    for (size_t i = 1; i < size && i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return false;
    return size < length;
}

size_t plain_character(const char *text, size_t size, bool final, char escape[PLAIN_ESCAPE])
{
    static const char names[] = "ntr", meanings[] = "\n\t\r";
    utf8proc_int32_t c;
    const utf8proc_ssize_t got = utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)size, &c);
    escape[0] = '\0';
    if (got <= 0) {
        if (!final && is_torn((const unsigned char *)text, size))
            return 0;
        snprintf(escape, PLAIN_ESCAPE, "\\x%02x", (unsigned)(unsigned char)*text);
        return 1;
    }
    const char *const special = c > 0 && c < 0x80 ? strchr(meanings, (char)c) : NULL;
    if (special)
        snprintf(escape, PLAIN_ESCAPE, "\\%c", names[special - meanings]);
    else if (is_control(c)) /* control characters are all below U+10000 */
        snprintf(escape, PLAIN_ESCAPE, c < 0x80 ? "\\x%02x" : "\\u%04x", (unsigned)c & 0xffff);
    return (size_t)got;
}
