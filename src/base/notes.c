/* notes.c - see notes.h. */
#include "base/notes.h"

#include <stdarg.h>
#include <string.h>

#include "base/mem.h"

enum rwkv7_status note(struct notes *notes, struct rwkv7_error *err, const char *fmt, ...)
{
    struct rwkv7_error text; /* limits the length; vfail makes the text safe for a terminal */
    va_list args;
    if (!notes)
        return RWKV7_OK;
    va_start(args, fmt);
    vfail(&text, RWKV7_OK, fmt, args);
    va_end(args);
    if (notes->count == notes->room) {
        const size_t room = notes->room ? 2 * notes->room : 8;
        char **grown = mem_grow(notes->lines, notes->room, room, sizeof *grown);
        if (!grown)
            return fail_memory(err, "a note");
        notes->lines = grown;
        notes->room = room;
    }
    char *line = mem_string(text.message, strlen(text.message));
    if (!line)
        return fail_memory(err, "a note");
    notes->lines[notes->count++] = line;
    return RWKV7_OK;
}

void notes_free(struct notes *notes)
{
    for (size_t i = 0; i < notes->count; i++)
        mem_free(notes->lines[i]);
    mem_free(notes->lines);
    memset(notes, 0, sizeof *notes);
}
