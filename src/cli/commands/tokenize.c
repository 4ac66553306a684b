/* tokenize.c - `rwkv7 tokenize`: encodes text to token ids and decodes ids, in constant memory. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "cli/commands/commands.h"
#include "cli/commands/engine.h"
#include "cli/io/input.h"
#include "cli/io/inputs.h"
#include "cli/io/messages.h"
#include "cli/io/output.h"
#include "cli/options/args.h"

enum { BLOCK = 1 << 16, IDS = 1 << 12 };

struct conversion {
    const struct tokenize_args *args;
    const struct rwkv7_tokenizer *tokenizer;
    uint64_t tokens;
    uint64_t unknown; /* ids without text, except id 0, which normally has none */
    uint32_t first_unknown;
};

/* Length of the first character; 0 if it is invalid UTF-8, a control character or invisible. */
static size_t printable(const uint8_t *bytes, size_t size)
{
    utf8proc_int32_t c;
    const utf8proc_ssize_t n = utf8proc_iterate(bytes, (utf8proc_ssize_t)size, &c);
    if (n <= 0)
        return 0;
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_CC: /* control characters */
    case UTF8PROC_CATEGORY_CF: /* invisible: text direction, joiners, a byte order mark */
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return 0;
    default:
        return (size_t)n;
    }
}

/* Writes "text" in quotes and a newline; escapes what is not printable. */
static int write_quoted(const uint8_t *bytes, size_t size)
{
    static const char names[] = "ntr\\\"", meanings[] = "\n\t\r\\\"";
    int code = out_write("\"", 1);
    while (size > 0 && code == DONE) {
        const char *const special = memchr(meanings, bytes[0], sizeof meanings - 1);
        size_t n = special ? 0 : printable(bytes, size);
        if (n > 0) {
            code = out_write(bytes, n);
        } else {
            char escape[8];
            if (special)
                snprintf(escape, sizeof escape, "\\%c", names[special - meanings]);
            else
                snprintf(escape, sizeof escape, "\\x%02x", bytes[0]);
            code = out_write(escape, strlen(escape));
            n = 1;
        }
        bytes += n;
        size -= n;
    }
    return code == DONE ? out_write("\"\n", 2) : code;
}

/*
 * Writes the digits of a number before `end`; returns their start. printf would dominate the time.
 */
static char *decimal_before(char *end, uint32_t number)
{
    do {
        *--end = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return end;
}

static int write_id(struct conversion *c, uint32_t id)
{
    char text[16], *const end = text + sizeof text, *begin = end;
    const bool first = c->tokens++ == 0;
    if (c->args->count)
        return DONE;
    if (c->args->lines)
        *--begin = '\t';
    begin = decimal_before(begin, id);
    if (!c->args->lines && !first)
        *--begin = ' ';
    const int code = out_write(begin, (size_t)(end - begin));
    if (code != DONE || !c->args->lines)
        return code;
    size_t length;
    const uint8_t *const bytes = rwkv7_tokenizer_bytes(c->tokenizer, id, &length);
    return write_quoted(bytes, length);
}

static int encode_block(struct conversion *c, char *text, size_t *length, bool final)
{
    struct rwkv7_error err;
    uint32_t ids[IDS];
    size_t used = 0, count, covered;
    do {
        if (rwkv7_tokenizer_encode(c->tokenizer, text + used, *length - used, final, ids, IDS, &count, &covered,
                                   &err) != RWKV7_OK)
            return report(&err);
        used += covered;
        for (size_t i = 0; i < count; i++) {
            const int code = write_id(c, ids[i]);
            if (code != DONE)
                return code;
        }
    } while (count > 0);
    *length -= used;
    memmove(text, text + used, *length);
    return DONE;
}

static int encode(struct conversion *c, struct input *in)
{
    /* The rest that encode_block() leaves for the next call is shorter than the longest token. */
    char *const text = malloc(BLOCK + rwkv7_tokenizer_max_length(c->tokenizer));
    size_t length = 0, got;
    int code;
    if (!text)
        return complain(FAILED, "out of memory for the text");
    do {
        code = input_read(in, text + length, BLOCK, &got);
        length += got;
        if (code == DONE)
            code = encode_block(c, text, &length, got == 0);
    } while (code == DONE && got > 0);
    free(text);
    if (code == DONE && c->args->count) {
        char number[32];
        const int n = snprintf(number, sizeof number, "%" PRIu64, c->tokens);
        code = out_write(number, (size_t)n);
    }
    return code == DONE && !c->args->lines ? out_write("\n", 1) : code;
}

static int decode_id(void *arg, uint32_t id)
{
    struct conversion *const c = arg;
    size_t length;
    const uint8_t *const bytes = rwkv7_tokenizer_bytes(c->tokenizer, id, &length);
    if (length == 0 && id != RWKV7_END_OF_TEXT && c->unknown++ == 0)
        c->first_unknown = id;
    return out_write(bytes, length);
}

/* Writes the bytes of the tokens unchanged: a token may end inside a UTF-8 character. */
static int decode(struct conversion *c, struct input *in)
{
    const int code = input_ids(in, decode_id, c);
    if (code == DONE && c->unknown > 0)
        complain(DONE, "skipped %" PRIu64 " id%s without text, the first is %" PRIu32, c->unknown, plural(c->unknown),
                 c->first_unknown);
    return code;
}

int tokenize_command(const void *command_args)
{
    const struct tokenize_args *const args = command_args;
    struct engine engine = {0};
    struct conversion c = {.args = args};
    struct input in;
    if (args->decode + args->count + args->lines > 1)
        return complain_usage(args->common.command, "--decode, --count and --lines exclude each other");
    int code = engine_open_vocab(&engine, &args->model);
    c.tokenizer = engine.tokenizer;
    if (code == DONE) {
        if (args->common.operand && strcmp(args->common.operand, "-") != 0)
            input_text(&in, "TEXT", args->common.operand);
        else if ((code = inputs_refuse_stdout()) == DONE)
            code = input_open(&in, "-");
        if (code == DONE)
            code = args->decode ? decode(&c, &in) : encode(&c, &in);
    }
    engine_close(&engine);
    return code;
}
