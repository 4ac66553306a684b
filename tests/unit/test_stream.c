/*
 * test_stream.c - the output stream: complete characters, stop strings across token boundaries,
 * nothing held back longer than needed; by examples, and against a naive implementation on random
 * bytes.
 */
#include "base/mem.h"
#include "rwkv7.h"
#include "test.h"

/*
 * Returns all output of a stream fed with `bytes` in pieces of `piece` bytes, up to a stop string
 * or the end.
 */
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
    shows("\xe2\x82", BAD); /* incomplete at the end: one maximal subpart */
    shows("\xe2\x82x", BAD "x");
    shows("\xf0\x9f\x98", BAD);
    shows("\xf0\x80\x80\x80", BAD BAD BAD BAD); /* overlong: none of its bytes can begin a character */
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
    stops_at("xabcd", "abcd", "bc", "xa", 1);         /* the first to complete */
    stops_at("xabc", "bc", "abc", "x", 1);            /* both complete at the same byte: the longest */
    stops_at("\xe2\x82\xac.", "\xac.", NULL, BAD, 0); /* a stop string may divide a character */
}

/* ------------------------------------------------------------------------------ on random bytes */

static uint32_t random_below(uint32_t n) /* SplitMix64 */
{
    static uint64_t state = 5;
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ z >> 31) % n);
}

/*
 * Unicode, table 3-7: returns the length of the maximal subpart at p; *whole is the length of the
 * sequence. Both are 0 if no sequence begins with p[0].
 */
static size_t sequence(const uint8_t *p, size_t n, size_t *whole)
{
    static const uint8_t rows[][6] = {
        /* first byte from, to; second byte from, to; length */
        {0x00, 0x7f, 0x00, 0x00, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    *whole = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (p[0] < rows[i][0] || p[0] > rows[i][1])
            continue;
        size_t length = 1;
        *whole = rows[i][4];
        if (length < *whole && length < n && p[1] >= rows[i][2] && p[1] <= rows[i][3])
            length++;
        while (length >= 2 && length < *whole && length < n && p[length] >= 0x80 && p[length] <= 0xbf)
            length++;
        return length;
    }
    return 0;
}

/*
 * Decodes what is certain in in[0 .. n) if nothing from `limit` on may be shown; `end`: nothing
 * follows.
 */
static size_t decode(const uint8_t *in, size_t n, size_t limit, bool end, char *out)
{
    size_t at = 0, size = 0;
    while (at < limit) {
        size_t whole;
        const size_t start = sequence(in + at, n - at, &whole), length = start ? start : 1;
        const bool valid = start > 0 && start == whole, incomplete = start > 0 && !valid && at + start == n;
        if (at + length > limit || (incomplete && !end))
            break;
        memcpy(out + size, valid ? (const char *)in + at : BAD, valid ? length : 3);
        size += valid ? length : 3;
        at += length;
    }
    return size;
}

static bool ends_with(const uint8_t *in, size_t n, const char *text, size_t length)
{
    return length <= n && memcmp(in + n - length, text, length) == 0;
}

/* Returns the longest stop string that in[0 .. n) ends with; -1 if none. */
static int complete_stop(const uint8_t *in, size_t n, const char *const *stops, size_t stop_count)
{
    int best = -1;
    for (size_t i = 0; i < stop_count; i++)
        if (ends_with(in, n, stops[i], strlen(stops[i])) && (best < 0 || strlen(stops[i]) > strlen(stops[best])))
            best = (int)i;
    return best;
}

/* Returns the number of bytes at the end of in[0 .. n) that begin a stop string. */
static size_t begun_stop(const uint8_t *in, size_t n, const char *const *stops, size_t stop_count)
{
    size_t longest = 0;
    for (size_t i = 0; i < stop_count; i++)
        for (size_t k = 1; k < strlen(stops[i]); k++)
            if (k > longest && ends_with(in, n, stops[i], k))
                longest = k;
    return longest;
}

/*
 * Random input and stop strings over a few bytes, in random pushes; the output is compared after
 * each.
 */
static void check_random(const char *alphabet)
{
    const uint32_t letters = (uint32_t)strlen(alphabet);
    uint8_t in[40];
    char words[3][6], want[3 * sizeof in], got[3 * sizeof in];
    const char *const stops[3] = {words[0], words[1], words[2]}, *text;
    const size_t size = random_below(sizeof in), stop_count = random_below(4);
    size_t taken = 0, want_size = 0, got_size = 0, length;
    struct rwkv7_stream *s = NULL;
    int stop, want_stop = -1;

    for (size_t i = 0; i < size; i++)
        in[i] = (uint8_t)alphabet[random_below(letters)];
    for (size_t i = 0; i < stop_count; i++) {
        const size_t n = 1 + random_below(5);
        for (size_t j = 0; j < n; j++)
            words[i][j] = alphabet[random_below(letters)];
        words[i][n] = '\0';
    }
    CHECK(rwkv7_stream_create(stops, stop_count, &s, NULL) == RWKV7_OK);
    while (taken < size) {
        const size_t more = 1 + random_below((uint32_t)(size - taken));
        CHECK(rwkv7_stream_push(s, in + taken, more, &text, &length, &stop, NULL) == RWKV7_OK);
        memcpy(got + got_size, text, length);
        got_size += length;
        for (size_t n = taken + 1; n <= taken + more && want_stop < 0; n++) {
            want_stop = complete_stop(in, n, stops, stop_count);
            if (want_stop >= 0) {
                const size_t cut = n - strlen(stops[want_stop]);
                want_size = decode(in, cut, cut, true, want);
            }
        }
        taken += more;
        if (want_stop < 0)
            want_size = decode(in, taken, taken - begun_stop(in, taken, stops, stop_count), false, want);
        CHECK(stop == want_stop && got_size == want_size && memcmp(got, want, got_size) == 0);
    }
    CHECK(rwkv7_stream_finish(s, &text, &length, NULL) == RWKV7_OK);
    memcpy(got + got_size, text, length);
    got_size += length;
    if (want_stop < 0)
        want_size = decode(in, size, size, true, want);
    CHECK(got_size == want_size && memcmp(got, want, got_size) == 0);
    rwkv7_stream_close(s);
}

static void test_random(void)
{
    for (int round = 0; round < 10000; round++) {
        check_random("ab");
        check_random("a\x80\xbf\xc3\xe2\xf0");
        check_random("\x7f\x80\x8f\x90\x9f\xa0\xbf\xc1\xc2\xdf\xe0\xec\xed\xee\xf0\xf3\xf4\xf5\xff");
    }
}

/* Bytes that cannot become a stop string are output at once. */
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

/* The held-back bytes of one stream, pushed to another, make it continue from there. */
static void test_handed_on(void)
{
    static const char bytes[] = "ab \xe2\x82\xac a\xe2\x82! abab\n\nUse \n\nUser: no";
    static const char want[] = "ab \xe2\x82\xac a" BAD "! abab\n\nUse ";
    const char *const stops[] = {"\n\nUser:", "ababab"};
    for (size_t border = 0; border < sizeof bytes; border++) {
        struct rwkv7_stream *s[2] = {NULL, NULL};
        char shown[128];
        size_t at = 0;
        int stop = -1;
        CHECK(rwkv7_stream_create(stops, 2, &s[0], NULL) == RWKV7_OK);
        CHECK(rwkv7_stream_create(stops, 2, &s[1], NULL) == RWKV7_OK);
        for (size_t i = 0; i < sizeof bytes - 1; i++) {
            const char *text;
            size_t length;
            if (i == border) {
                const uint8_t *const held = rwkv7_stream_held(s[0], &length);
                if (stop < 0)
                    CHECK(rwkv7_stream_push(s[1], held, length, &text, &length, &stop, NULL) == RWKV7_OK &&
                          length == 0);
            }
            if (stop < 0)
                CHECK(rwkv7_stream_push(s[i >= border], (const uint8_t *)bytes + i, 1, &text, &length, &stop, NULL) ==
                      RWKV7_OK);
            else
                length = 0;
            memcpy(shown + at, text, length);
            at += length;
        }
        CHECK_MSG(stop == 0 && at == strlen(want) && memcmp(shown, want, at) == 0, "border %zu: \"%.*s\"", border,
                  (int)at, shown);
        rwkv7_stream_close(s[0]);
        rwkv7_stream_close(s[1]);
    }
}

static void test_errors(void)
{
    const char *const stops[] = {"ab", ""};
    struct rwkv7_stream *s = NULL;
    struct rwkv7_error err;
    CHECK(rwkv7_stream_create(stops, 2, &s, &err) == RWKV7_ERR_USAGE && !s);
    CHECK_STR(err.message, "stop string 2: expected at least one character, found none");
    rwkv7_stream_close(NULL);

    bool done = false;
    for (long at = 0; at < 20 && !done; at++) {
        mem_fail_after(at);
        const enum rwkv7_status status = rwkv7_stream_create(stops, 1, &s, &err);
        mem_fail_after(-1);
        done = status == RWKV7_OK;
        CHECK(done ? s != NULL : status == RWKV7_ERR_MEMORY && !s);
    }
    CHECK(done);

    /* A failed push changes nothing: repeating it gives the normal result. */
    const char *text;
    size_t length;
    int stop;
    for (long at = 0; at < 2; at++) {
        mem_fail_after(at);
        CHECK(rwkv7_stream_push(s, (const uint8_t *)"xa", 2, &text, &length, &stop, &err) == RWKV7_ERR_MEMORY);
        mem_fail_after(-1);
    }
    CHECK(rwkv7_stream_push(s, (const uint8_t *)"xa", 2, &text, &length, &stop, NULL) == RWKV7_OK);
    CHECK(length == 1 && text[0] == 'x' && stop == -1);
    CHECK(rwkv7_stream_finish(s, &text, &length, NULL) == RWKV7_OK);
    CHECK(length == 1 && text[0] == 'a');
    rwkv7_stream_close(s);
}

int main(void)
{
    RUN(test_characters);
    RUN(test_stops);
    RUN(test_random);
    RUN(test_held_back);
    RUN(test_handed_on);
    RUN(test_errors);
    return test_end();
}
