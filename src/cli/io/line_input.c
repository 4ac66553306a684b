/* line_input.c - see line_input.h. */
#include "cli/io/line_input.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "cli/io/messages.h"
#include "cli/io/signals.h"

enum { BLOCK = 1 << 16 };

int line_input_open(struct line_input *l, const char *path)
{
    *l = (struct line_input){.most = LINE_MOST};
    return input_open(&l->in, path);
}

void line_input_close(struct line_input *l)
{
    input_close(&l->in);
    free(l->buffer);
}

/* Makes room for another block, and a NUL, after the buffered bytes. */
static int make_room(struct line_input *l)
{
    const size_t held = l->end - l->begin;
    if (l->begin > 0)
        memmove(l->buffer, l->buffer + l->begin, held);
    l->begin = 0;
    l->end = held;
    if (l->room - held > BLOCK)
        return DONE;
    const size_t room = 2 * held + 2 * BLOCK;
    char *const grown = realloc(l->buffer, room);
    if (!grown)
        return complain(FAILED, "out of memory for a line of %s", l->in.name);
    l->buffer = grown;
    l->room = room;
    return DONE;
}

/* Returns the line that ends before buffer[end_of_line], or at the end of file. */
static enum line_kind give(struct line_input *l, size_t end_of_line, size_t next, char **line, size_t *length)
{
    *line = l->buffer + l->begin;
    *length = end_of_line - l->begin;
    l->buffer[end_of_line] = '\0';
    l->bytes += next - l->begin;
    l->begin = next;
    l->looked = 0;
    l->number++;
    const bool too_long = l->passing || *length > l->most;
    l->passing = false;
    return too_long ? LINE_TOO_LONG : LINE_READY;
}

int line_input_next(struct line_input *l, bool wait, enum line_kind *kind, char **line, size_t *length)
{
    for (;;) {
        const size_t from = l->begin + l->looked;
        char *const newline = l->buffer ? memchr(l->buffer + from, '\n', l->end - from) : NULL;
        if (newline) {
            const size_t at = (size_t)(newline - l->buffer);
            *kind = give(l, at, at + 1, line, length);
            return DONE;
        }
        l->looked = l->end - l->begin;
        if (l->looked > l->most) {
            l->bytes += l->looked;
            l->begin = l->end = l->looked = 0;
            l->passing = true;
        }
        if (l->closed) {
            const bool rest = l->end > l->begin || l->passing;
            *kind = rest ? give(l, l->end, l->end, line, length) : LINE_END;
            return DONE;
        }
        struct pollfd ready = {.fd = l->in.fd, .events = POLLIN};
        *kind = LINE_LATER;
        if (!wait && poll(&ready, 1, 0) == 0)
            return DONE;
        size_t got;
        int code = make_room(l);
        if (code == DONE)
            code = input_read(&l->in, l->buffer + l->end, BLOCK, &got);
        if (code != DONE || (got == 0 && interrupted))
            return code;
        l->end += got;
        l->closed = got == 0;
    }
}

int line_input_next_filled(struct line_input *l, bool wait, enum line_kind *kind, char **line, size_t *length)
{
    int code;
    do
        code = line_input_next(l, wait, kind, line, length);
    while (code == DONE && *kind == LINE_READY && strspn(*line, " \t\r") == *length);
    return code;
}
