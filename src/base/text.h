/* text.h - a growing byte buffer. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

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

#endif
