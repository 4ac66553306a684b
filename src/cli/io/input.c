/* input.c - see input.h. */
#include "cli/io/input.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/io/inputs.h"
#include "cli/io/io.h"
#include "cli/io/messages.h"
#include "cli/io/signals.h"

static const char utf8_mark[] = "\xef\xbb\xbf", *const marks[] = {utf8_mark, "\xff\xfe", "\xfe\xff"};

static bool begins_with(const char *text, size_t size, const char *mark)
{
    const size_t n = strlen(mark);
    return size >= n && memcmp(text, mark, n) == 0;
}

const char *input_skip_mark(const char *text)
{
    return begins_with(text, strlen(text), utf8_mark) ? text + strlen(utf8_mark) : text;
}

void input_text(struct input *in, const char *name, const char *text)
{
    text = input_skip_mark(text);
    *in = (struct input){.name = name, .fd = -1, .text = text, .left = strlen(text)};
}

/*
 * Opens a FIFO without waiting for a writer. io_read waits for the writer instead, because its wait
 * has no race with signals: open() misses a signal that arrives just before it blocks. Systems
 * other than Linux report a FIFO without a writer as at its end.
 */
static int open_to_read(const char *path)
{
    int flags = O_RDONLY | O_CLOEXEC;
#if defined(__linux__)
    struct stat st;
    if (stat(path, &st) == 0 && S_ISFIFO(st.st_mode))
        flags |= O_NONBLOCK;
#endif
    return open(path, flags);
}

int input_open(struct input *in, const char *path)
{
    if (strcmp(path, "-") == 0) {
        *in = (struct input){.name = "standard input", .fd = STDIN_FILENO};
        return DONE;
    }
    *in = (struct input){.name = path, .fd = interrupted ? -1 : open_to_read(path)};
    if (in->fd < 0 && interrupted) { /* opening a FIFO waits for a writer */
        input_text(in, path, "");
        return DONE;
    }
    return in->fd >= 0 ? inputs_add_open(in->fd, path) : complain(FAILED, "cannot read %s: %s", path, strerror(errno));
}

void input_close(struct input *in)
{
    if (in->fd > STDIN_FILENO)
        close(in->fd);
}

static int read_bytes(const struct input *in, char *to, size_t room, size_t *got)
{
    return io_read(in->fd, to, room, got) == IO_FAILED
               ? complain(FAILED, "cannot read %s: %s", in->name, strerror(errno))
               : DONE;
}

/* Returns whether these bytes may be the start of a byte order mark. */
static bool is_part_of_mark(const char *text, size_t size)
{
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (size > 0 && size < strlen(marks[i]) && memcmp(text, marks[i], size) == 0)
            return true;
    return false;
}

/* Reads the first bytes, enough to recognize a byte order mark. */
static int read_beginning(struct input *in, char *to, size_t room, size_t *got)
{
    size_t more = 1;
    int code = read_bytes(in, to, room, got);
    in->begun = true;
    while (code == DONE && more > 0 && is_part_of_mark(to, *got)) {
        code = read_bytes(in, to + *got, room - *got, &more);
        *got += more;
    }
    if (code != DONE)
        return code;
    if (begins_with(to, *got, marks[1]) || begins_with(to, *got, marks[2]))
        return complain(FAILED, "%s: expected UTF-8, found UTF-16; convert it with iconv -f UTF-16 -t UTF-8", in->name);
    if (!begins_with(to, *got, utf8_mark))
        return DONE;
    *got -= strlen(utf8_mark);
    memmove(to, to + strlen(utf8_mark), *got);
    return *got > 0 ? DONE : read_bytes(in, to, room, got); /* 0 bytes would mean end of file */
}

int input_read(struct input *in, char *to, size_t room, size_t *got)
{
    *got = 0;
    if (in->fd < 0) {
        *got = in->left < room ? in->left : room;
        memcpy(to, in->text, *got);
        in->text += *got;
        in->left -= *got;
        return DONE;
    }
    return in->begun ? read_bytes(in, to, room, got) : read_beginning(in, to, room, got);
}

static int missing_id(const struct input *in)
{
    return complain(MISUSED, "%s: expected a token id before and after each comma", in->name);
}

int input_ids(struct input *in, int (*take)(void *arg, uint32_t id), void *arg)
{
    char block[1 << 14];
    size_t got;
    uint64_t id = 0;
    bool inside = false;              /* within a number */
    bool first = true, comma = false; /* no id or comma read yet; the last separator was a comma */
    do {
        int code = input_read(in, block, sizeof block, &got);
        for (size_t i = 0; i < got && code == DONE; i++) {
            const unsigned char c = (unsigned char)block[i];
            if (isdigit(c)) {
                id = (inside ? 10 * id : 0) + (uint64_t)(c - '0');
                inside = true;
                first = comma = false;
                if (id > UINT32_MAX)
                    code = complain(MISUSED, "%s: a token id is at most %lu, found %llu...", in->name,
                                    (unsigned long)UINT32_MAX, (unsigned long long)id);
            } else if (isspace(c) || c == ',') {
                if (inside)
                    code = take(arg, (uint32_t)id);
                inside = false;
                if (c == ',' && code == DONE && (first || comma))
                    code = missing_id(in);
                if (c == ',')
                    comma = true;
            } else {
                code = complain(MISUSED,
                                isprint(c) ? "%s: expected token ids, found '%c'"
                                           : "%s: expected token ids, found byte %d",
                                in->name, c);
            }
        }
        if (code != DONE)
            return code;
    } while (got > 0);
    if (comma && !interrupted)
        return missing_id(in);
    return inside ? take(arg, (uint32_t)id) : DONE;
}

/* ---------------------------------------------------------------------------------- whole files */

enum { LARGEST = 4 << 20 }; /* bytes */

int input_all(const char *path, const char *option, char **text, size_t *size)
{
    struct input in;
    size_t got = 1;
    *text = malloc(LARGEST + 1); /* room for one more: `input_read` never gets 0 bytes */
    *size = 0;
    if (!*text)
        return complain(FAILED, "out of memory for the text of %s", option);
    int code = input_open(&in, path);
    if (code != DONE)
        return code;
    while (code == DONE && got > 0 && *size <= LARGEST) {
        code = input_read(&in, *text + *size, LARGEST + 1 - *size, &got);
        *size += got;
    }
    if (code == DONE && interrupted)
        code = INTERRUPTED;
    else if (code == DONE && *size > LARGEST)
        code = complain(FAILED, "%s: expected at most %d MB for %s, found more", in.name, LARGEST >> 20, option);
    else if (code == DONE && *size == 0)
        code = complain(FAILED, "%s: expected the text of %s, found nothing", in.name, option);
    input_close(&in);
    return code;
}
