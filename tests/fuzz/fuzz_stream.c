/*
 * fuzz_stream.c - any bytes as tokens and stop strings: however they are divided into pieces, the
 * output is the same, consists of complete characters, and ends at the same stop string. Input: a
 * byte, the number of stop strings (at most 4), each preceded by its length (1 to 8); then the
 * text. Runs under libFuzzer and, over the corpus, under replay.c.
 */
#include "fuzz.h"

enum { STOPS = 4, LONGEST = 8, MOST = 1 << 16 /* bytes of an input; the rest is not used */ };

struct result {
    char text[3 * MOST + 1]; /* [size]; a byte becomes at most the three of U+FFFD */
    size_t size;
    int stop;
};

static void take(struct result *r, const char *text, size_t length)
{
    REQUIRE(length < sizeof r->text - r->size);
    if (length > 0)
        memcpy(r->text + r->size, text, length);
    r->size += length;
}

/* Whether the text is valid UTF-8: no overlong forms, surrogates or values above U+10FFFF. */
static bool is_utf8(const char *text, size_t size)
{
    for (size_t i = 0; i < size;) {
        const uint8_t c = (uint8_t)text[i];
        const size_t n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
        if (n == 0 || n > size - i)
            return false;
        for (size_t k = 1; k < n; k++)
            if (((uint8_t)text[i + k] & 0xc0) != 0x80)
                return false;
        const uint8_t next = n > 1 ? (uint8_t)text[i + 1] : 0x80;
        if ((c == 0xe0 && next < 0xa0) || (c == 0xed && next > 0x9f) || (c == 0xf0 && next < 0x90) ||
            (c == 0xf4 && next > 0x8f))
            return false;
        i += n;
    }
    return true;
}

/* Runs in pieces of `piece` bytes; 0: of lengths derived from the bytes. */
static void run(const char *const *stops, size_t stop_count, const uint8_t *data, size_t size, size_t piece,
                struct result *r)
{
    struct rwkv7_stream *s = NULL;
    const char *text;
    size_t length, held;
    bool stopped = false;
    r->size = 0;
    r->stop = -1;
    REQUIRE(rwkv7_stream_create(stops, stop_count, &s, NULL) == RWKV7_OK);
    for (size_t at = 0; at < size && !stopped;) {
        size_t n = piece > 0 ? piece : 1 + data[at] % 7u;
        n = n < size - at ? n : size - at;
        REQUIRE(rwkv7_stream_push(s, data + at, n, &text, &length, &r->stop, NULL) == RWKV7_OK);
        REQUIRE(is_utf8(text, length)); /* each part by itself */
        take(r, text, length);
        at += n;
        stopped = r->stop >= 0;
    }
    rwkv7_stream_held(s, &held);
    REQUIRE(held <= size);
    if (!stopped) {
        REQUIRE(rwkv7_stream_finish(s, &text, &length, NULL) == RWKV7_OK);
        take(r, text, length);
    }
    rwkv7_stream_close(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char texts[STOPS][LONGEST + 1];
    static struct result want, got;
    const char *stops[STOPS];
    size_t at = 1, count = 0;
    if (size == 0)
        return 0;
    size = size < MOST ? size : MOST;
    for (size_t i = 0; i < data[0] % (STOPS + 1u) && at < size; i++) {
        const size_t n = 1 + data[at] % LONGEST;
        if (n >= size - at)
            break;
        memcpy(texts[count], data + at + 1, n);
        texts[count][n] = '\0';
        at += 1 + n;
        stops[count] = texts[count];
        if (texts[count][0] != '\0')
            count++;
    }
    run(stops, count, data + at, size - at, 1, &want);
    REQUIRE(is_utf8(want.text, want.size));
    for (size_t piece = 0; piece < 4; piece += piece == 0 ? 2 : 1) { /* not 1, which is `want` */
        run(stops, count, data + at, size - at, piece == 3 ? size : piece, &got);
        REQUIRE(got.size == want.size && got.stop == want.stop);
        REQUIRE(got.size == 0 || memcmp(got.text, want.text, got.size) == 0);
    }
    if (want.stop < 0) /* if the input is valid UTF-8, the output contains no stop string */
        for (size_t i = 0; i < count && want.size > 0; i++)
            REQUIRE(!is_utf8((const char *)data + at, size - at) || memchr(data + at, 0, size - at) ||
                    (want.text[want.size] = '\0', !strstr(want.text, stops[i])));
    return 0;
}
