/* input.c - see input.h. */
#include "cli/input.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "cli/common.h"
#include "cli/io.h"

void input_text(struct input *in, const char *name, const char *text)
{
    *in = (struct input){name, -1, text, strlen(text)};
}

int input_open(struct input *in, const char *path)
{
    if (strcmp(path, "-") == 0) {
        *in = (struct input){"standard input", STDIN_FILENO, NULL, 0};
        return DONE;
    }
    *in = (struct input){path, open(path, O_RDONLY | O_CLOEXEC), NULL, 0};
    if (in->fd < 0 && interrupted) { /* while waiting for the writer of a FIFO */
        input_text(in, path, "");
        return DONE;
    }
    return in->fd >= 0 ? DONE : complain(FAILED, "cannot read %s: %s", path, strerror(errno));
}

void input_close(struct input *in)
{
    if (in->fd > STDIN_FILENO)
        close(in->fd);
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
    return io_read(in->fd, to, room, got) == IO_FAILED
               ? complain(FAILED, "cannot read %s: %s", in->name, strerror(errno))
               : DONE;
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
    bool inside = false;              /* a number */
    bool first = true, comma = false; /* nothing was read yet; a comma was last */
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
