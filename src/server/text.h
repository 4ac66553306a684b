/*
 * text.h - a growing byte buffer, and JSON strings that may contain U+0000, which cJSON cannot
 * hold.
 */
#ifndef SERVER_TEXT_H
#define SERVER_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/json_tree.h"

/*
 * Bytes [size], not NUL-terminated. A failed allocation sets `failed` and later additions do
 * nothing, so callers need to check only once. A zeroed struct is empty.
 */
struct text {
    char *bytes;
    size_t size, room;
    bool failed;
};

void text_add(struct text *t, const void *bytes, size_t size);
void text_add_string(struct text *t, const char *string);
void text_free(struct text *t);
/* Appends a JSON string with its quotes. The bytes must be valid UTF-8 and may contain U+0000. */
void text_add_json(struct text *t, const char *bytes, size_t size);
/* Adds a string member or element; unlike json_add_string, it may contain U+0000. */
void json_add_text(struct json_tree *t, cJSON *to, const char *name, const char *bytes, size_t size);
/* Adds a log probability with nine significant digits, as everywhere in the program. */
void json_add_logprob(struct json_tree *t, cJSON *to, const char *name, double x);

#endif
