/* text.c - see text.h. */
#include "server/text.h"

#include <math.h>
#include <stdio.h>

#include "base/c_numbers.h"

void text_add_json(struct text *t, const char *bytes, size_t size)
{
    size_t plain = 0; /* start of the bytes that need no escape */
    if (size == 0)
        bytes = ""; /* an empty text has no bytes, and NULL + 0 is undefined */
    text_add(t, "\"", 1);
    for (size_t i = 0; i < size; i++) {
        const unsigned char c = (unsigned char)bytes[i];
        char escape[8];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
            continue;
        if (c == '"' || c == '\\')
            snprintf(escape, sizeof escape, "\\%c", c);
        else if (c == '\n')
            snprintf(escape, sizeof escape, "\\n");
        else
            snprintf(escape, sizeof escape, "\\u%04x", c);
        text_add(t, bytes + plain, i - plain);
        text_add_string(t, escape);
        plain = i + 1;
    }
    text_add(t, bytes + plain, size - plain);
    text_add(t, "\"", 1);
}

bool text_is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

void text_trim(const char **text, size_t *size)
{
    while (*size > 0 && text_is_space(**text)) {
        ++*text;
        --*size;
    }
    while (*size > 0 && text_is_space((*text)[*size - 1]))
        --*size;
}

void json_add_text(struct json_tree *t, cJSON *to, const char *name, const char *bytes, size_t size)
{
    struct text quoted = {0};
    text_add_json(&quoted, bytes, size);
    text_add(&quoted, "", 1);
    json_add_item(t, to, name, quoted.failed ? NULL : cJSON_CreateRaw(quoted.bytes));
    text_free(&quoted);
}

void json_add_logprob(struct json_tree *t, cJSON *to, const char *name, double x)
{
    C_NUMBERS;
    char digits[32];
    snprintf(digits, sizeof digits, "%.9g", isfinite(x) ? x : -9999.0);
    json_add_item(t, to, name, cJSON_CreateRaw(digits));
}
