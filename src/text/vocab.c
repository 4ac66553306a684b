/*
 * vocab.c - reads a vocabulary in the World format: one token per line, `ID LITERAL LENGTH`.
 *
 * LITERAL is what Python's repr prints for a str or a bytes object. It may contain spaces, so a
 * line is parsed from the left: digits, one space, the literal up to its closing quote, one space,
 * digits, end of line. Note that \xNN is a byte in a bytes literal but a code point in a str
 * literal: '\xa0' stands for the two bytes C2 A0. LENGTH, the number of bytes of the token, detects
 * such misreadings.
 *
 * Lines end with LF or CR LF, as in the file of the author's repository. A byte order mark may come
 * first. Editors and Git on Windows produce both.
 *
 * Otherwise the reader is strict. A vocabulary that differs slightly gives slightly wrong ids, and
 * the model then produces nonsense without an error.
 */
#include "text/vocab.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <utf8proc.h>

#include "base/mem.h"

struct reader {
    const char *name;
    size_t line;        /* counted from 1 */
    const uint8_t *at;  /* next byte to read */
    const uint8_t *end; /* end of the line, without its line feed */
    struct rwkv7_error *err;
};

/* ------------------------------------------------------------------------------------- messages */

static enum rwkv7_status reject(const struct reader *r, const char *fmt, ...) RWKV7_PRINTF(2, 3);

static enum rwkv7_status reject(const struct reader *r, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vfail(r->err, RWKV7_ERR_VOCAB, fmt, args);
    va_end(args);
    fail_where(r->err, "%s:%zu: ", r->name, r->line);
    return RWKV7_ERR_VOCAB;
}

struct excerpt {
    char text[64];
};

/*
 * Describes the text at `from` for messages: a few characters in quotes, or "the end of the line".
 */
static struct excerpt found(const struct reader *r, const uint8_t *from)
{
    struct excerpt e = {"the end of the line"};
    const size_t left = (size_t)(r->end - from), shown = left < 12 ? left : 12;
    if (left == 0)
        return e;
    size_t n = 0;
    e.text[n++] = '"';
    for (size_t i = 0; i < shown; i++) {
        const bool plain = from[i] >= 0x20 && from[i] < 0x7f;
        n += (size_t)snprintf(e.text + n, sizeof e.text - n, plain ? "%c" : "\\x%02x", from[i]);
    }
    snprintf(e.text + n, sizeof e.text - n, shown < left ? "...\"" : "\"");
    return e;
}

/* ---------------------------------------------------------------------------------- wrong files */

/* Identifies a file that was given by mistake; NULL if it may be a vocabulary. */
static const char *wrong_file(const uint8_t *text, size_t size)
{
    static const struct {
        const char *start, *what;
    } kinds[] = {
        {"version https://git-lfs", "a Git LFS pointer; fetch the file with `git lfs pull`"},
        {"\xff\xfe", "UTF-16 text; save the file as UTF-8"},
        {"\xfe\xff", "UTF-16 text; save the file as UTF-8"},
        {"<", "an HTML page; download the file again"},
        {"[", "JSON, perhaps the tokenizer.json of another kind of model"},
        {"PK\x03\x04", "a zip archive, perhaps a .pth checkpoint"},
        {"GGUF", "a GGUF model"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const size_t n = strlen(kinds[i].start);
        if (size >= n && memcmp(text, kinds[i].start, n) == 0)
            return kinds[i].what;
    }
    if (size > 8 && text[7] == 0 && text[8] == '{') /* a header length in 8 bytes, then JSON */
        return "a safetensors model";
    return memchr(text, 0, size < 4096 ? size : 4096) ? "binary data" : NULL;
}

/* ----------------------------------------------------------------------------- fields of a line */

/* Reads a decimal number of 1 to 9 digits; returns false if there is none. */
static bool read_number(struct reader *r, uint32_t *out)
{
    const uint8_t *const first = r->at;
    uint32_t n = 0;
    while (r->at < r->end && r->at - first < 9 && *r->at >= '0' && *r->at <= '9')
        n = n * 10 + (uint32_t)(*r->at++ - '0');
    *out = n;
    return r->at > first;
}

static bool read_byte(struct reader *r, uint8_t want)
{
    if (r->at == r->end || *r->at != want)
        return false;
    r->at++;
    return true;
}

static int hex_value(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/*
 * Reads the escape at r->at (a backslash). The value is a byte in a bytes literal, else a code
 * point. Accepts only the escapes that repr prints; octal, \a and \N{...} are not among them.
 */
static enum rwkv7_status read_escape(struct reader *r, bool in_bytes, uint32_t *out)
{
    const uint8_t *const first = r->at;
    const char *const kind = in_bytes ? "bytes" : "str";
    r->at++;
    const uint8_t letter = r->at < r->end ? *r->at++ : 0;
    int digits = 0;

    switch (letter) {
    case 'n':
        *out = '\n';
        return RWKV7_OK;
    case 't':
        *out = '\t';
        return RWKV7_OK;
    case 'r':
        *out = '\r';
        return RWKV7_OK;
    case '\\':
    case '\'':
    case '"':
        *out = letter;
        return RWKV7_OK;
    case 'x':
        digits = 2;
        break;
    case 'u':
        digits = in_bytes ? 0 : 4;
        break;
    case 'U':
        digits = in_bytes ? 0 : 8;
        break;
    default:
        break;
    }
    if (digits == 0)
        return reject(r, "expected an escape that Python's repr prints in a %s literal, found %s", kind,
                      found(r, first).text);
    *out = 0;
    for (int i = 0; i < digits; i++) {
        const int value = r->at < r->end ? hex_value(*r->at++) : -1;
        if (value < 0)
            return reject(r, "expected %d hexadecimal digits after \\%c, found %s", digits, letter,
                          found(r, first).text);
        *out = *out << 4 | (uint32_t)value;
    }
    if (*out > 0x10ffff || (*out >= 0xd800 && *out <= 0xdfff))
        return reject(r, "expected the code point of a character, found %s", found(r, first).text);
    return RWKV7_OK;
}

/* Reads the literal at r->at into `out`, which must have room for as many bytes as the line. */
static enum rwkv7_status read_literal(struct reader *r, uint8_t *out, uint32_t *length)
{
    uint8_t *to = out;
    const uint8_t *const first = r->at;
    const bool in_bytes = read_byte(r, 'b');
    const uint8_t quote = r->at < r->end ? *r->at : 0;
    if (quote != '\'' && quote != '"')
        return reject(r, "expected a Python str or bytes literal, found %s", found(r, first).text);
    r->at++;
    for (;;) {
        if (r->at == r->end)
            return reject(r, "expected a closing %c, found the end of the line", quote);
        const uint8_t c = *r->at;
        if (c == quote)
            break;
        if (c == '\\') {
            uint32_t value = 0;
            const enum rwkv7_status status = read_escape(r, in_bytes, &value);
            if (status != RWKV7_OK)
                return status;
            if (in_bytes)
                *to++ = (uint8_t)value;
            else
                to += utf8proc_encode_char((utf8proc_int32_t)value, to); /* never longer than the escape */
        } else if (c < 0x20 || c == 0x7f) {
            return reject(r, "expected an escape for the control character 0x%02x", c);
        } else if (c < 0x80) {
            *to++ = c;
            r->at++;
        } else {
            utf8proc_int32_t point;
            const utf8proc_ssize_t n = utf8proc_iterate(r->at, r->end - r->at, &point);
            if (in_bytes || n <= 0)
                return reject(r, "expected %s, found %s", in_bytes ? "ASCII in a bytes literal" : "valid UTF-8",
                              found(r, r->at).text);
            memcpy(to, r->at, (size_t)n);
            to += n;
            r->at += n;
        }
    }
    r->at++;
    const size_t n = (size_t)(to - out);
    if (n == 0 || n > VOCAB_MAX_TOKEN)
        return reject(r, "expected a token of 1 to %u bytes, found %zu bytes", VOCAB_MAX_TOKEN, n);
    *length = (uint32_t)n;
    return RWKV7_OK;
}

/* Reads one line. `min_id` is the smallest id allowed; `out` receives the bytes of the token. */
static enum rwkv7_status read_line(struct reader *r, uint32_t min_id, uint32_t *id, uint8_t *out, uint32_t *length)
{
    uint32_t stated;

    const uint8_t *first = r->at;
    if (!read_number(r, id))
        return reject(r, "expected a line `ID LITERAL LENGTH`, found %s", found(r, first).text);
    if (*id < min_id || *id >= VOCAB_MAX_IDS)
        return reject(r, "expected an id from %u to %u, larger than in the line before, found %s", min_id,
                      VOCAB_MAX_IDS - 1, found(r, first).text);
    if (!read_byte(r, ' '))
        return reject(r, "expected one space after the id, found %s", found(r, r->at).text);
    const enum rwkv7_status status = read_literal(r, out, length);
    if (status != RWKV7_OK)
        return status;
    if (!read_byte(r, ' '))
        return reject(r, "expected one space after the literal, found %s", found(r, r->at).text);
    first = r->at;
    if (!read_number(r, &stated))
        return reject(r, "expected the length of the token in bytes, found %s", found(r, first).text);
    if (r->at < r->end)
        return reject(r, "expected the end of the line after the length, found %s", found(r, r->at).text);
    if (stated != *length)
        return reject(r, "length field: expected %u, the bytes of the literal, found %u", *length, stated);
    return RWKV7_OK;
}

/* ---------------------------------------------------------------------------------- entry point */

/* Grows the table for ids below `size`, at least doubling it. */
static bool grow_ids(struct vocab *v, uint32_t *room, uint32_t size)
{
    if (size < *room)
        return true;
    uint32_t wanted = *room ? *room : 1024;
    while (wanted <= size)
        wanted *= 2;
    uint32_t *const start = mem_grow(v->start, *room, wanted, sizeof *start);
    if (!start)
        return false;
    v->start = start;
    *room = wanted;
    return true;
}

enum rwkv7_status vocab_read(const char *text, size_t size, const char *name, struct vocab *out,
                             struct rwkv7_error *err)
{
    if (size >= 3 &&
        memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* skips a byte order mark, which editors on Windows write */
        text += 3;
        size -= 3;
    }
    if (size == 0) /* `text` may be NULL then */
        return fail(err, RWKV7_ERR_VOCAB, "%s: expected a vocabulary, found an empty file", name);

    enum rwkv7_status status = RWKV7_OK;
    struct vocab v = {0};
    uint32_t room = 0, used = 0; /* room: elements of v.start; used: bytes of v.bytes */
    const uint8_t *at = (const uint8_t *)text, *const end = at + size;
    struct reader r = {.name = name, .err = err};
    const char *const wrong = wrong_file(at, size);
    if (wrong)
        return fail(err, RWKV7_ERR_VOCAB, "%s: expected a vocabulary, found %s", name, wrong);
    if (size > VOCAB_MAX_FILE)
        return fail(err, RWKV7_ERR_VOCAB, "%s: expected a vocabulary of at most %u bytes, found %zu", name,
                    VOCAB_MAX_FILE, size);

    v.bytes = mem_alloc(size, 1); /* enough, because a token is shorter than its line */
    if (!v.bytes)
        goto out_of_memory;
    while (at < end) {
        const uint8_t *const feed = memchr(at, '\n', (size_t)(end - at));
        uint32_t id = 0, length = 0;
        r.line++;
        r.at = at;
        r.end = feed ? feed : end;
        if (feed && r.end > at && r.end[-1] == '\r') /* CR LF; a literal cannot end with a bare CR */
            r.end--;
        at = feed ? feed + 1 : end;
        status = read_line(&r, v.size, &id, v.bytes + used, &length);
        if (status != RWKV7_OK)
            goto fail;
        if (!grow_ids(&v, &room, id + 1))
            goto out_of_memory;
        while (v.size <= id)
            v.start[v.size++] = used;
        used += length;
        v.start[v.size] = used;
        v.tokens++;
        v.longest = length > v.longest ? length : v.longest;
    }
    uint8_t *const bytes = mem_grow(v.bytes, used, used, 1); /* shrinks: less than half was needed */
    if (!bytes)
        goto out_of_memory;
    v.bytes = bytes;
    *out = v;
    return RWKV7_OK;

out_of_memory:
    status = fail_memory(err, "the vocabulary");
fail:
    vocab_free(&v);
    return status;
}

void vocab_free(struct vocab *v)
{
    mem_free(v->start);
    mem_free(v->bytes);
    memset(v, 0, sizeof *v);
}

uint32_t vocab_line(const struct vocab *v, uint32_t id)
{
    uint32_t line = 1;
    for (uint32_t i = 0; i < id; i++)
        line += v->start[i] < v->start[i + 1];
    return line;
}
