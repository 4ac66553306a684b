/* text.c - see text.h. */
#include "base/text.h"

#include <string.h>

#include "base/mem.h"

void text_add(struct text *t, const void *bytes, size_t size)
{
    size_t needed, room;
    if (t->failed || size == 0)
        return;
    if (!size_add(t->size, size, &needed) || !size_mul(needed, 2, &room)) {
        t->failed = true;
        return;
    }
    if (needed > t->room) {
        char *const grown = mem_grow(t->bytes, t->size, room, 1);
        if (!grown) {
            t->failed = true;
            return;
        }
        t->bytes = grown;
        t->room = room;
    }
    memcpy(t->bytes + t->size, bytes, size);
    t->size = needed;
}

void text_add_string(struct text *t, const char *string)
{
    text_add(t, string, strlen(string));
}

void text_free(struct text *t)
{
    mem_free(t->bytes);
    *t = (struct text){0};
}
