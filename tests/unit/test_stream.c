/* test_stream.c - text as it comes out: whole characters, stop strings across the borders of tokens. */
#include <stdlib.h>

#include "base/mem.h"
#include "rwkv7.h"
#include "test.h"

/* Everything that a stream shows when fed `bytes` in pieces of `piece` bytes, up to a stop or the end. */
static const char *stream(const char *bytes, size_t size, size_t piece, const char *const *stops, size_t stop_count,
                          int *stop)
{
    static char shown[4096];
    struct rwkv7_stream *s = NULL;
    size_t length, at = 0;
    const char *text;
    CHECK(rwkv7_stream_create(stops, stop_count, &s, NULL) == RWKV7_OK);
    *stop = -1;
    for (size_t i = 0; i < size && *stop < 0; i += piece) {
        const size_t n = size - i < piece ? size - i : piece;
        CHECK(rwkv7_stream_push(s, (const uint8_t *)bytes + i, n, &text, &length, stop, NULL) == RWKV7_OK);
        memcpy(shown + at, text, length);
        at += length;
    }
    CHECK(rwkv7_stream_finish(s, &text, &length, NULL) == RWKV7_OK);
    memcpy(shown + at, text, length);
    shown[at + length] = '\0';
    rwkv7_stream_close(s);
    return shown;
}

static void shows(const char *bytes, const char *want)
{
    int stop;
    for (size_t piece = 1; piece <= strlen(bytes) + 1; piece++) {
        const char *got = stream(bytes, strlen(bytes), piece, NULL, 0, &stop);
        CHECK_MSG(strcmp(got, want) == 0 && stop == -1, "pieces of %zu: got \"%s\", want \"%s\"", piece, got, want);
    }
}

#define BAD "\xef\xbf\xbd"

static void test_characters(void)
{
    shows("", "");
    shows("plain", "plain");
    shows("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    shows("a\xff"
          "b",
          "a" BAD "b");
    shows("\xe2\x82", BAD); /* unfinished at the end: one maximal subpart */
    shows("\xe2\x82x", BAD "x");
    shows("\xf0\x9f\x98", BAD);
    shows("\xf0\x80\x80\x80", BAD BAD BAD BAD); /* overlong: no byte of it begins anything */
    shows("\xed\xa0\x80", BAD BAD BAD);         /* a surrogate */
    shows("\xf4\x90\x80\x80", BAD BAD BAD BAD); /* past U+10FFFF */
    shows("\xc0\xaf", BAD BAD);
    shows("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", BAD BAD BAD BAD "A"); /* the example of Unicode, table 3-11 */
}

static void stops_at(const char *bytes, const char *stop_a, const char *stop_b, const char *want, int want_stop)
{
    const char *const stops[] = {stop_a, stop_b};
    for (size_t piece = 1; piece <= strlen(bytes) + 1; piece++) {
        int stop;
        const char *got = stream(bytes, strlen(bytes), piece, stops, stop_b ? 2 : 1, &stop);
        CHECK_MSG(strcmp(got, want) == 0, "pieces of %zu: got \"%s\", want \"%s\"", piece, got, want);
        CHECK(stop == want_stop);
    }
}

static void test_stops(void)
{
    stops_at("Hello\nUser: x", "\nUser:", NULL, "Hello", 0);
    stops_at("Hello\nUse", "\nUser:", NULL, "Hello\nUse", -1);
    stops_at("aaab", "aab", NULL, "a", 0);
    stops_at("ababac", "abac", NULL, "ab", 0);
    stops_at("x#y", "#", "y", "x", 0);
    stops_at("\xe2\x82#", "#", NULL, BAD, 0);
    stops_at("#", "#", NULL, "", 0);
}

/* Nothing is held back longer than needed: what cannot become a stop string is shown at once. */
static void test_held_back(void)
{
    const char *const stops[] = {"\n\n"};
    struct rwkv7_stream *s = NULL;
    const char *text;
    size_t length;
    int stop;
    CHECK(rwkv7_stream_create(stops, 1, &s, NULL) == RWKV7_OK);
    CHECK(rwkv7_stream_push(s, (const uint8_t *)"ab\n", 3, &text, &length, &stop, NULL) == RWKV7_OK);
    CHECK(length == 2 && memcmp(text, "ab", 2) == 0);
    CHECK(rwkv7_stream_push(s, (const uint8_t *)"c", 1, &text, &length, &stop, NULL) == RWKV7_OK);
    CHECK(length == 2 && memcmp(text, "\nc", 2) == 0);
    CHECK(rwkv7_stream_push(s, (const uint8_t *)"\n\nmore", 6, &text, &length, &stop, NULL) == RWKV7_OK);
    CHECK(length == 0 && stop == 0);
    CHECK(rwkv7_stream_push(s, (const uint8_t *)"late", 4, &text, &length, &stop, NULL) == RWKV7_OK);
    CHECK(length == 0);
    rwkv7_stream_close(s);
}

static void test_errors(void)
{
    const char *const stops[] = {"a", ""};
    struct rwkv7_stream *s = NULL;
    struct rwkv7_error err;
    CHECK(rwkv7_stream_create(stops, 2, &s, &err) == RWKV7_ERR_USAGE && !s);
    for (long at = 0; at < 5; at++) {
        mem_fail_after(at);
        const enum rwkv7_status status = rwkv7_stream_create(stops, 1, &s, &err);
        mem_fail_after(-1);
        CHECK(status == RWKV7_OK || status == RWKV7_ERR_MEMORY);
        if (status == RWKV7_OK)
            rwkv7_stream_close(s);
    }
}

int main(void)
{
    RUN(test_characters);
    RUN(test_stops);
    RUN(test_held_back);
    RUN(test_errors);
    return test_end();
}
