/* template_file.c - see template_file.h. */
#include "cli/io/template_file.h"

#include <stdlib.h>

#include "cli/io/input.h"
#include "cli/io/messages.h"
#include "cli/io/signals.h"

int template_file_read(const char *path, struct chat_template *out)
{
    struct input in;
    struct rwkv7_error err;
    char *const text = malloc(CHAT_TEMPLATE_MOST + 1);
    size_t size = 0, got = 1;
    if (!text)
        return complain(FAILED, "out of memory for the template");
    int code = input_open(&in, path);
    while (code == DONE && got > 0 && size <= CHAT_TEMPLATE_MOST) {
        code = input_read(&in, text + size, CHAT_TEMPLATE_MOST + 1 - size, &got);
        size += got;
    }
    input_close(&in);
    if (code == DONE && interrupted)
        code = INTERRUPTED;
    if (code == DONE && chat_template_parse(path, text, size, out, &err) != RWKV7_OK)
        code = report(&err);
    free(text);
    return code;
}
