/* remark.c - see remark.h. */
#include "cli/io/remark.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/io/output.h"
#include "cli/io/terminal.h"

static bool disabled;

void remark_disable(void)
{
    disabled = true;
}

void remark(const char *fmt, ...)
{
    if (disabled)
        return;
    const bool dim = terminal_colours();
    va_list list, again;
    va_start(list, fmt);
    va_copy(again, list);
    const int length = vsnprintf(NULL, 0, fmt, list);
    char *const text = length < 0 ? NULL : malloc((size_t)length + 1);
    if (text) {
        vsnprintf(text, (size_t)length + 1, fmt, again);
        rwkv7_text_plain(text); /* it may contain file names, which may hold control characters */
        if (err_begin_line())
            fprintf(stderr, "%s%s%s\n", dim ? "\033[2m" : "", text, dim ? "\033[0m" : "");
    }
    free(text);
    va_end(again);
    va_end(list);
}
