/*
 * stream.c - bytes of tokens in, valid UTF-8 out, up to a stop string.
 *
 * Bytes wait in `pending` until nothing that may still come can change their fate: the start of a stop string, or of a
 * character, at the end is kept back. Broken sequences become U+FFFD, one for each maximal subpart (Unicode 15, section 3.9).
 */
#include <string.h>

#include "base/mem.h"
#include "base/status.h"

struct buffer {
    uint8_t *bytes;
    size_t length, room;
};

struct rwkv7_stream {
    char **stops;
    size_t *stop_lengths;
    size_t stop_count;
    struct buffer pending; /* came in, not yet shown */
    struct buffer text;    /* what the last call showed */
    bool stopped;
};

static bool append(struct buffer *b, const void *bytes, size_t n)
{
    if (b->room - b->length < n) {
        size_t room;
        if (!size_mul(b->room + n, 2, &room))
            return false;
        uint8_t *grown = mem_grow(b->bytes, b->length, room, 1);
        if (!grown)
            return false;
        b->bytes = grown;
        b->room = room;
    }
    if (n > 0)
        memcpy(b->bytes + b->length, bytes, n);
    b->length += n;
    return true;
}

enum rwkv7_status rwkv7_stream_create(const char *const *stops, size_t stop_count, struct rwkv7_stream **out,
                                      struct rwkv7_error *err)
{
    *out = NULL;
    struct rwkv7_stream *s = mem_alloc(1, sizeof *s);
    if (!s)
        return fail_memory(err, "the text stream");
    s->stops = mem_alloc(stop_count, sizeof *s->stops);
    s->stop_lengths = mem_alloc(stop_count, sizeof *s->stop_lengths);
    if (!s->stops || !s->stop_lengths) {
        rwkv7_stream_close(s);
        return fail_memory(err, "the text stream");
    }
    for (size_t i = 0; i < stop_count; i++) {
        s->stop_lengths[i] = strlen(stops[i]);
        if (s->stop_lengths[i] == 0) {
            rwkv7_stream_close(s);
            return fail(err, RWKV7_ERR_USAGE, "a stop string may not be empty");
        }
        s->stops[i] = mem_string(stops[i], s->stop_lengths[i]);
        if (!s->stops[i]) {
            rwkv7_stream_close(s);
            return fail_memory(err, "the text stream");
        }
        s->stop_count++;
    }
    *out = s;
    return RWKV7_OK;
}

void rwkv7_stream_close(struct rwkv7_stream *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->stop_count; i++)
        mem_free(s->stops[i]);
    mem_free(s->stops);
    mem_free(s->stop_lengths);
    mem_free(s->pending.bytes);
    mem_free(s->text.bytes);
    mem_free(s);
}

/*
 * The character at p, by the table of well-formed sequences: its length and *whole = true; or the length of the longest start of
 * one (at least 1), *whole = false, and *open tells whether it may still be completed by bytes behind the end.
 */
static size_t character(const uint8_t *p, size_t n, bool *whole, bool *open)
{
    const uint8_t c = p[0];
    size_t length = c < 0x80 ? 1 : c >= 0xc2 && c <= 0xdf ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
    *whole = *open = false;
    if (length == 0)
        return 1;
    /* The second byte is what excludes overlong forms, surrogates and code points past U+10FFFF. */
    const uint8_t low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80, high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    for (size_t i = 1; i < length; i++) {
        if (i == n) {
            *open = true;
            return n;
        }
        if (p[i] < (i == 1 ? low : 0x80) || p[i] > (i == 1 ? high : 0xbf))
            return i;
    }
    *whole = true;
    return length;
}

/* Moves the first n pending bytes to the text; with `final` false an unfinished character at their end stays. */
static bool release(struct rwkv7_stream *s, size_t n, bool final)
{
    static const char replacement[] = "\xef\xbf\xbd";
    size_t at = 0, plain = 0; /* [plain, at) is well-formed and not yet copied */
    while (at < n) {
        bool whole, open;
        const size_t length = character(s->pending.bytes + at, n - at, &whole, &open);
        if (open && !final)
            break;
        if (!whole) {
            if (!append(&s->text, s->pending.bytes + plain, at - plain) || !append(&s->text, replacement, 3))
                return false;
            plain = at + length;
        }
        at += length;
    }
    if (!append(&s->text, s->pending.bytes + plain, at - plain))
        return false;
    if (at > 0)
        memmove(s->pending.bytes, s->pending.bytes + at, s->pending.length - at);
    s->pending.length -= at;
    return true;
}

/* The earliest stop string in the pending bytes (the first given among those that begin there); false when there is none. */
static bool find_stop(const struct rwkv7_stream *s, size_t *at, int *stop)
{
    for (*at = 0; *at < s->pending.length; ++*at)
        for (size_t i = 0; i < s->stop_count; i++)
            if (s->stop_lengths[i] <= s->pending.length - *at &&
                memcmp(s->pending.bytes + *at, s->stops[i], s->stop_lengths[i]) == 0) {
                *stop = (int)i;
                return true;
            }
    return false;
}

/* Bytes at the end that could be the start of a stop string. */
static size_t held_back(const struct rwkv7_stream *s)
{
    size_t most = 0;
    for (size_t i = 0; i < s->stop_count; i++) {
        size_t n = s->stop_lengths[i] - 1 < s->pending.length ? s->stop_lengths[i] - 1 : s->pending.length;
        while (n > most && memcmp(s->pending.bytes + s->pending.length - n, s->stops[i], n) != 0)
            n--;
        most = n > most ? n : most;
    }
    return most;
}

enum rwkv7_status rwkv7_stream_push(struct rwkv7_stream *s, const uint8_t *bytes, size_t size, const char **text,
                                    size_t *length, int *stop, struct rwkv7_error *err)
{
    size_t at = 0;
    bool done = true;
    *text = "";
    *length = 0;
    *stop = -1;
    s->text.length = 0;
    if (s->stopped || size == 0)
        return RWKV7_OK;
    if (!append(&s->pending, bytes, size))
        return fail_memory(err, "the text stream");
    if (find_stop(s, &at, stop)) {
        s->stopped = true;
        done = release(s, at, true);
        s->pending.length = 0;
    } else {
        done = release(s, s->pending.length - held_back(s), false);
    }
    if (!done)
        return fail_memory(err, "the text stream");
    *text = s->text.length ? (const char *)s->text.bytes : "";
    *length = s->text.length;
    return RWKV7_OK;
}

enum rwkv7_status rwkv7_stream_finish(struct rwkv7_stream *s, const char **text, size_t *length,
                                      struct rwkv7_error *err)
{
    *text = "";
    *length = 0;
    s->text.length = 0;
    if (!release(s, s->pending.length, true))
        return fail_memory(err, "the text stream");
    *text = s->text.length ? (const char *)s->text.bytes : "";
    *length = s->text.length;
    return RWKV7_OK;
}
