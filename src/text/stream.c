/*
 * stream.c - converts the bytes of tokens to valid UTF-8, up to a stop string.
 *
 * Stop strings are searched for byte by byte (Knuth-Morris-Pratt), so token and call boundaries do
 * not matter. The text ends before the stop string that is complete first; if several end at the
 * same byte, before the longest. Two things are held back: the longest suffix of the input that is
 * a prefix of a stop string, and an incomplete character.
 *
 * Invalid UTF-8 becomes U+FFFD, one for each maximal subpart or single byte, as Unicode recommends
 * (chapter 3, "U+FFFD Substitution of Maximal Subparts").
 */
#include <string.h>

#include <utf8proc.h>

#include "base/mem.h"
#include "base/status.h"
#include "text/stream.h"

struct stop {
    uint8_t *text;
    size_t length;
    size_t *fallback; /* [length]: KMP: length of the longest proper prefix of text[0 .. i] that is its suffix */
    size_t matched;   /* length of its longest prefix that the input ends with */
};

struct rwkv7_stream {
    struct stop *stops;
    size_t stop_count;
    int found;     /* index of the completed stop string; -1 if none */
    uint8_t *held; /* input that has not been output yet */
    size_t held_size, held_room;
    size_t dropped; /* bytes not shown: the completed stop string and the input after it */
    uint8_t *out;
    size_t out_size, out_room;
};

/* --------------------------------------------------------------------------------- stop strings */

/* Returns the new value of `matched` after one more byte of input. */
static size_t advance(const struct stop *stop, size_t matched, uint8_t byte)
{
    while (matched > 0 && stop->text[matched] != byte)
        matched = stop->fallback[matched - 1];
    return matched + (stop->text[matched] == byte);
}

static bool prepare(struct stop *stop, const char *text)
{
    stop->length = strlen(text);
    stop->text = (uint8_t *)mem_string(text, stop->length);
    stop->fallback = mem_alloc(stop->length, sizeof *stop->fallback);
    if (!stop->text || !stop->fallback)
        return false;
    for (size_t i = 1; i < stop->length; i++)
        stop->fallback[i] = advance(stop, stop->fallback[i - 1], stop->text[i]);
    return true;
}

/* Consumes one byte of input; sets s->found if it completes a stop string. */
static void take(struct rwkv7_stream *s, uint8_t byte)
{
    for (size_t i = 0; i < s->stop_count; i++) {
        struct stop *const stop = &s->stops[i];
        stop->matched = advance(stop, stop->matched, byte);
        if (stop->matched == stop->length && (s->found < 0 || stop->length > s->stops[s->found].length))
            s->found = (int)i;
    }
}

/* Returns the length of the longest suffix of the input that is a prefix of a stop string. */
static size_t unfinished(const struct rwkv7_stream *s)
{
    size_t longest = 0;
    for (size_t i = 0; i < s->stop_count; i++)
        longest = s->stops[i].matched > longest ? s->stops[i].matched : longest;
    return longest;
}

/* ---------------------------------------------------------------------------------------- UTF-8 */

/*
 * Whether the n bytes at p are a proper prefix of some valid character. If any completion is valid,
 * so is the one with the lowest bytes (80 80 80) or the one with the highest (bf bf bf).
 */
static bool begins_character(const uint8_t *p, size_t n)
{
    static const uint8_t fills[] = {0x80, 0xbf};
    if (n > 3)
        return false;
    for (size_t i = 0; i < sizeof fills; i++) {
        uint8_t completed[4];
        utf8proc_int32_t point;
        memset(completed, fills[i], sizeof completed);
        memcpy(completed, p, n);
        if (utf8proc_iterate(completed, sizeof completed, &point) > (utf8proc_ssize_t)n)
            return true;
    }
    return false;
}

/*
 * Returns how many bytes at p could begin a character. Precondition: p does not begin with a
 * complete one.
 */
static size_t character_start(const uint8_t *p, size_t size)
{
    size_t n = 0;
    while (n < size && begins_character(p, n + 1))
        n++;
    return n;
}

/*
 * Outputs the held bytes before `limit`. Keeps a character that crosses the limit, and an
 * incomplete one unless `end` is set.
 */
static void emit(struct rwkv7_stream *s, size_t limit, bool end)
{
    static const uint8_t replacement[] = {0xef, 0xbf, 0xbd}; /* U+FFFD */
    size_t at = 0;

    while (at < limit) {
        const uint8_t *const p = s->held + at;
        const size_t left = s->held_size - at;
        utf8proc_int32_t point;
        const utf8proc_ssize_t valid = utf8proc_iterate(p, (utf8proc_ssize_t)left, &point);
        const size_t start = valid > 0 ? 0 : character_start(p, left);
        const size_t length = valid > 0 ? (size_t)valid : start > 0 ? start : 1;
        if (at + length > limit || (start == left && !end))
            break;
        const size_t written = valid > 0 ? length : sizeof replacement;
        memcpy(s->out + s->out_size, valid > 0 ? p : replacement, written);
        s->out_size += written;
        at += length;
    }
    s->held_size -= at;
    if (at > 0)
        memmove(s->held, s->held + at, s->held_size);
}

/* ------------------------------------------------------------------------------------ interface */

enum rwkv7_status rwkv7_stream_create(const char *const *stops, size_t stop_count, struct rwkv7_stream **out,
                                      struct rwkv7_error *err)
{
    *out = NULL;
    for (size_t i = 0; i < stop_count; i++)
        if (stops[i][0] == '\0')
            return fail(err, RWKV7_ERR_USAGE, "stop string %zu: expected at least one character, found none", i + 1);
    struct rwkv7_stream *const s = mem_alloc(1, sizeof *s);
    if (!s)
        return fail_memory(err, "the output stream");
    s->found = -1;
    s->stops = mem_alloc(stop_count, sizeof *s->stops);
    if (!s->stops)
        goto fail;
    for (; s->stop_count < stop_count; s->stop_count++)
        if (!prepare(&s->stops[s->stop_count], stops[s->stop_count]))
            goto fail;
    *out = s;
    return RWKV7_OK;
fail:
    s->stop_count = s->stops ? stop_count : 0;
    rwkv7_stream_close(s);
    return fail_memory(err, "the output stream");
}

void rwkv7_stream_close(struct rwkv7_stream *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->stop_count; i++) {
        mem_free(s->stops[i].text);
        mem_free(s->stops[i].fallback);
    }
    mem_free(s->stops);
    mem_free(s->held);
    mem_free(s->out);
    mem_free(s);
}

/* Grows a buffer so that `size` bytes fit after the `used` ones. */
static bool reserve(uint8_t **buffer, size_t used, size_t *room, size_t size)
{
    if (size <= *room)
        return true;
    uint8_t *const larger = mem_grow(*buffer, used, size, 1);
    if (!larger)
        return false;
    *buffer = larger;
    *room = size;
    return true;
}

enum rwkv7_status stream_reserve(struct rwkv7_stream *s, size_t size, size_t *room, struct rwkv7_error *err)
{
    size_t held = 3; /* bytes: an incomplete character, or part of the longest stop string */
    for (size_t i = 0; i < s->stop_count; i++)
        held = s->stops[i].length + 3 > held ? s->stops[i].length + 3 : held;
    if (!size_add(held, size, &held) || !size_mul(held, 3, room) ||
        !reserve(&s->held, s->held_size, &s->held_room, held) || !reserve(&s->out, 0, &s->out_room, *room))
        return fail_memory(err, "the output text");
    return RWKV7_OK;
}

enum rwkv7_status rwkv7_stream_push(struct rwkv7_stream *s, const uint8_t *bytes, size_t size, const char **text,
                                    size_t *length, int *stop, struct rwkv7_error *err)
{
    size_t held, output; /* largest possible number of bytes */

    if (!size_add(s->held_size, size, &held) || !size_mul(held, 3, &output) ||
        !reserve(&s->held, s->held_size, &s->held_room, held) || !reserve(&s->out, 0, &s->out_room, output))
        return fail_memory(err, "the output text");
    s->out_size = 0;
    if (s->found < 0) {
        size_t taken = 0;
        while (taken < size && s->found < 0) {
            s->held[s->held_size++] = bytes[taken];
            take(s, bytes[taken++]);
        }
        if (s->found < 0) {
            emit(s, s->held_size - unfinished(s), false);
        } else {
            s->held_size -= s->stops[s->found].length;
            s->dropped = s->stops[s->found].length + (size - taken);
            emit(s, s->held_size, true);
        }
    } else {
        s->dropped += size;
    }
    *text = s->out_size > 0 ? (const char *)s->out : "";
    *length = s->out_size;
    *stop = s->found;
    return RWKV7_OK;
}

size_t stream_unshown(const struct rwkv7_stream *s)
{
    return s->held_size + s->dropped;
}

const uint8_t *rwkv7_stream_held(const struct rwkv7_stream *s, size_t *size)
{
    *size = s->held_size;
    return s->held;
}

enum rwkv7_status rwkv7_stream_finish(struct rwkv7_stream *s, const char **text, size_t *length,
                                      struct rwkv7_error *err)
{
    if (!reserve(&s->out, 0, &s->out_room,
                 3 * s->held_size)) /* cannot overflow: rwkv7_stream_push has reserved as much before */
        return fail_memory(err, "the output text");
    s->out_size = 0;
    emit(s, s->held_size, true);
    *text = s->out_size > 0 ? (const char *)s->out : "";
    *length = s->out_size;
    return RWKV7_OK;
}
