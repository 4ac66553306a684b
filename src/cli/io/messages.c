/* messages.c - see messages.h. */
#include "cli/io/messages.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/plain.h"
#include "cli/io/output.h"
#include "cli/io/signals.h"
#include "cli/io/terminal.h"
#include "cli/options/args.h"

static void print_message(const char *fmt, va_list list)
{
    char message[1024];
    vsnprintf(message, sizeof message, fmt, list);
    rwkv7_text_plain(message); /* it may contain words of the command line */
    progress_clear();
    if (err_begin_line())
        fprintf(stderr, "rwkv7: %s\n", message);
}

int complain(int code, const char *fmt, ...)
{
    va_list list;
    va_start(list, fmt);
    print_message(fmt, list);
    va_end(list);
    return code;
}

int complain_usage(const struct command *command, const char *fmt, ...)
{
    va_list list;
    va_start(list, fmt);
    print_message(fmt, list);
    va_end(list);
    if (err_begin_line())
        fprintf(stderr, "Try 'rwkv7 help%s%s'.\n", command ? " " : "", command ? command->name : "");
    return MISUSED;
}

int report(const struct rwkv7_error *err)
{
    int code = FAILED;
    switch (err->status) {
    case RWKV7_OK:
        return DONE;
    case RWKV7_ERR_IO:
    case RWKV7_ERR_MEMORY:
    case RWKV7_ERR_NUMERIC:
        code = FAILED;
        break;
    case RWKV7_ERR_STOPPED:
        code = interrupted ? INTERRUPTED : FAILED;
        break;
    case RWKV7_ERR_USAGE:
        code = MISUSED;
        break;
    case RWKV7_ERR_MODEL:
    case RWKV7_ERR_VOCAB:
    case RWKV7_ERR_STATE:
        code = REJECTED;
        break;
    }
    return complain(code, "%s", err->message);
}

void print_plain(FILE *to, const char *text)
{
    for (size_t left = strlen(text); left > 0;) {
        char escape[PLAIN_ESCAPE];
        const size_t n = plain_character(text, left, true, escape);
        if (*escape)
            fputs(escape, to);
        else
            fwrite(text, 1, n, to);
        text += n;
        left -= n;
    }
}

const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

const char *scaled_text(double value, const char *unit, char text[16])
{
    static const char prefixes[] = " KMGT";
    size_t i = 0;
    while (value >= 999.5 && prefixes[i + 1]) {
        value /= 1000;
        i++;
    }
    const int decimals = i == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    snprintf(text, 16, "%.*f%s%.*s%s", decimals, value, i > 0 || *unit ? " " : "", i > 0, &prefixes[i], unit);
    return text;
}
