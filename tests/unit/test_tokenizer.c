/*
 * test_tokenizer.c - the tokenizer against a brute-force one on small vocabularies and, if
 * available, against the ids of the official tokenizer on the World vocabulary; whole texts and all
 * divisions into pieces.
 */
#include <stdlib.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "base/sys.h"
#include "rwkv7.h"
#include "test.h"

/*
 * Gaps in the ids, a long token whose prefixes are no tokens, runs, a part of a character, both
 * kinds of literals and quotes.
 */
static const char small[] =
    "1 'a' 1\n2 'b' 1\n3 'c' 1\n4 ' ' 1\n7 'ab' 2\n8 \"'\" 1\n9 'abcabcab' 8\n12 'bc' 2\n13 '   ' 3\n"
    "14 '\\n' 1\n15 '\\xa0' 2\n16 b'\\xa0' 1\n17 b'\\xe2\\x82' 2\n18 '\xe2\x82\xac' 3\n"
    "19 '        ' 8\n20 b'\\xc2' 1\n21 b'\\xe2' 1\n22 b'\\x82' 1\n23 b'\\xac' 1\n";

static uint64_t random_state = 11;

static uint32_t random_below(uint32_t n) /* SplitMix64 */
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ z >> 31) % n);
}

static struct rwkv7_tokenizer *open_text(const char *text)
{
    struct rwkv7_tokenizer *t = NULL;
    struct rwkv7_error err = {0};
    CHECK_MSG(rwkv7_tokenizer_open_memory(text, strlen(text), "small", &t, &err) == RWKV7_OK, "%s", err.message);
    if (!t)
        exit(1);
    return t;
}

static void test_vocabulary(void)
{
    struct rwkv7_tokenizer *t = open_text(small);
    size_t n;
    CHECK(rwkv7_tokenizer_size(t) == 24 && rwkv7_tokenizer_max_length(t) == 8);
    CHECK(rwkv7_tokenizer_has_end_of_text(t));
    CHECK(memcmp(rwkv7_tokenizer_bytes(t, 15, &n), "\xc2\xa0", 2) == 0 && n == 2);
    CHECK(memcmp(rwkv7_tokenizer_bytes(t, 16, &n), "\xa0", 1) == 0 && n == 1);
    CHECK(rwkv7_tokenizer_bytes(t, 5, &n) != NULL && n == 0);
    CHECK(rwkv7_tokenizer_bytes(t, 24, &n) != NULL && n == 0);
    CHECK(rwkv7_tokenizer_bytes(t, UINT32_MAX, &n) != NULL && n == 0);
    struct rwkv7_error err;
    CHECK(rwkv7_tokenizer_check(t, 24, NULL) == RWKV7_OK && rwkv7_tokenizer_check(t, 24 + 1024, NULL) == RWKV7_OK);
    CHECK(rwkv7_tokenizer_check(t, 24 + 1025, NULL) == RWKV7_ERR_VOCAB);
    CHECK(rwkv7_tokenizer_check(t, 23, &err) == RWKV7_ERR_VOCAB);
    CHECK_STR(err.message, "the vocabulary does not belong to this model: it has ids up to 23, the model 23 rows");
    CHECK(rwkv7_tokenizer_check(t, 65536, &err) == RWKV7_ERR_VOCAB);
    rwkv7_tokenizer_close(t);
    t = open_text("0 '0' 1\n1 '1' 1"); /* no line feed at the end */
    CHECK(!rwkv7_tokenizer_has_end_of_text(t) && rwkv7_tokenizer_size(t) == 2);
    rwkv7_tokenizer_close(t);
}

/* Returns the longest of all tokens that the text begins with; 0 if none. */
static uint32_t brute_force(const struct rwkv7_tokenizer *t, const uint8_t *text, size_t n, size_t *length)
{
    uint32_t best = 0;
    *length = 0;
    for (uint32_t id = 0; id < rwkv7_tokenizer_size(t); id++) {
        size_t m;
        const uint8_t *bytes = rwkv7_tokenizer_bytes(t, id, &m);
        if (m > *length && m <= n && memcmp(bytes, text, m) == 0) {
            best = id;
            *length = m;
        }
    }
    return best;
}

static void test_brute_force(void)
{
    static const char *const alphabet[] = {"a", "b", "c", " ", "\xe2", "\x82", "\xac", "\xc2", "\xa0", "\n", "'"};
    struct rwkv7_tokenizer *t = open_text(small);
    for (int round = 0; round < 3000; round++) {
        uint8_t text[64];
        uint32_t ids[64];
        size_t count, covered;
        const size_t size = random_below(sizeof text);
        for (size_t i = 0; i < size; i++)
            text[i] = (uint8_t)alphabet[random_below(round % 2 ? 4 : 11)][0];
        CHECK(rwkv7_tokenizer_encode(t, text, size, true, ids, 64, &count, &covered, NULL) == RWKV7_OK);
        CHECK(covered == size);
        size_t at = 0;
        for (size_t i = 0; i < count; i++) {
            size_t length;
            CHECK(ids[i] == brute_force(t, text + at, size - at, &length));
            at += length;
        }
        CHECK(at == size);

        /* In two pieces, split anywhere, and with room for one id per call. */
        const size_t cut = size ? random_below((uint32_t)size) : 0;
        uint32_t pieces[64];
        size_t n, done, total = 0;
        CHECK(rwkv7_tokenizer_encode(t, text, cut, false, pieces, 64, &n, &done, NULL) == RWKV7_OK);
        CHECK(cut - done < 8);
        for (total = n; done < size; total += n) {
            CHECK(rwkv7_tokenizer_encode(t, text + done, size - done, true, pieces + total, 1, &n, &covered, NULL) ==
                  RWKV7_OK);
            done += covered;
        }
        CHECK(total == count && memcmp(pieces, ids, count * sizeof *ids) == 0);
    }
    rwkv7_tokenizer_close(t);
}

/* -------------------------------------------------------------------------- random vocabularies */

/*
 * Different tokens over the bytes 0, 255 and a few others; ids with gaps. One in three vocabularies
 * contains all single bytes.
 */
static struct rwkv7_tokenizer *random_vocabulary(uint32_t letters, uint32_t longest)
{
    static char text[1 << 16];
    static uint8_t tokens[300][16];
    size_t lengths[300], at = 0;
    uint32_t count = 0, id = random_below(3);
    const uint32_t singles = random_below(3) == 0 ? 256 : 1, wanted = singles + random_below(40);
    for (uint32_t tries = 0; count < wanted && tries < 1000; tries++) {
        uint8_t token[16];
        const size_t n = count < singles ? 1 : 1 + random_below(longest);
        for (size_t i = 0; i < n; i++)
            token[i] = (uint8_t)(count < singles ? count : random_below(letters) * 255 / (letters - 1));
        bool is_new = true;
        for (uint32_t i = 0; i < count; i++)
            is_new &= lengths[i] != n || memcmp(tokens[i], token, n) != 0;
        if (!is_new)
            continue;
        memcpy(tokens[count], token, n);
        lengths[count++] = n;
        at += (size_t)snprintf(text + at, sizeof text - at, "%u b'", id);
        for (size_t i = 0; i < n; i++)
            at += (size_t)snprintf(text + at, sizeof text - at, "\\x%02x", token[i]);
        at += (size_t)snprintf(text + at, sizeof text - at, "' %zu\n", n);
        id += 1 + random_below(4) / 3 * random_below(5);
    }
    return open_text(text);
}

/* Encodes in pieces of `piece` new bytes, as a reader of a pipe would. */
static size_t encode_pieces(const struct rwkv7_tokenizer *t, const uint8_t *text, size_t size, size_t piece,
                            uint32_t *ids, size_t room, enum rwkv7_status *status)
{
    size_t done = 0, total = 0, end = 0;
    do {
        size_t count, covered;
        end = size - end < piece ? size : end + piece;
        *status = rwkv7_tokenizer_encode(t, text + done, end - done, end == size, ids + total, room - total, &count,
                                         &covered, NULL);
        CHECK(end == size || *status != RWKV7_OK || end - done - covered < rwkv7_tokenizer_max_length(t));
        total += count;
        done += covered;
    } while (end < size && *status == RWKV7_OK);
    return total;
}

static void test_random_vocabularies(void)
{
    for (int round = 0; round < 400; round++) {
        const uint32_t letters = 2 + random_below(5);
        struct rwkv7_tokenizer *const t = random_vocabulary(letters, 2 + random_below(12));
        for (int text_number = 0; text_number < 10; text_number++) {
            uint8_t text[48];
            uint32_t want[48], got[48];
            size_t at = 0, want_count = 0, length, count, covered;
            const size_t size = random_below(48);
            for (size_t i = 0; i < size; i++)
                text[i] = (uint8_t)(random_below(letters) * 255 / (letters - 1));
            for (; at < size; at += length) {
                want[want_count] = brute_force(t, text + at, size - at, &length);
                if (length == 0)
                    break;
                want_count++;
            }
            const enum rwkv7_status expected = at == size ? RWKV7_OK : RWKV7_ERR_VOCAB;
            CHECK(rwkv7_tokenizer_encode(t, text, size, true, got, 48, &count, &covered, NULL) == expected);
            CHECK(covered == at && count == want_count && memcmp(got, want, count * sizeof *got) == 0);
            for (size_t piece = 1; piece <= size; piece++) {
                enum rwkv7_status status;
                count = encode_pieces(t, text, size, piece, got, 48, &status);
                CHECK(status == expected && count == want_count && memcmp(got, want, count * sizeof *got) == 0);
            }
        }
        rwkv7_tokenizer_close(t);
    }
}

static void test_unknown_byte(void)
{
    struct rwkv7_tokenizer *t = open_text(small);
    struct rwkv7_error err;
    uint32_t ids[8];
    size_t count, covered;
    CHECK(rwkv7_tokenizer_encode(t, "abz", 3, true, ids, 8, &count, &covered, &err) == RWKV7_ERR_VOCAB);
    CHECK_STR(err.message, "the vocabulary has no token for byte 0x7a at offset 2 of the text");
    CHECK(count == 1 && covered == 2);
    rwkv7_tokenizer_close(t);
    t = open_text("1 'b' 1\n2 'ab' 2\n"); /* a token starts with that byte, but none matches */
    CHECK(rwkv7_tokenizer_encode(t, "bac", 3, true, ids, 8, &count, &covered, &err) == RWKV7_ERR_VOCAB);
    CHECK_STR(err.message, "the vocabulary has no token for byte 0x61 at offset 1 of the text");
    CHECK(rwkv7_tokenizer_encode(t, NULL, 0, true, ids, 8, &count, &covered, &err) == RWKV7_OK);
    CHECK(count == 0 && covered == 0);
    rwkv7_tokenizer_close(t);
}

/* ------------------------------------------------------------------------- the World vocabulary */

static void check_case(const struct rwkv7_tokenizer *t, const cJSON *item)
{
    const char *hex = cJSON_GetObjectItemCaseSensitive(item, "bytes_hex")->valuestring;
    const char *name = cJSON_GetObjectItemCaseSensitive(item, "name")->valuestring;
    const cJSON *ids = cJSON_GetObjectItemCaseSensitive(item, "ids");
    const size_t size = strlen(hex) / 2;
    uint8_t *text = calloc(size + 1, 1), *back = calloc(size + 1, 1);
    uint32_t *got = calloc(size + 1, sizeof *got);
    for (size_t i = 0; i < size; i++) {
        const char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        text[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    size_t count, covered, at = 0, i = 0;
    CHECK(rwkv7_tokenizer_encode(t, text, size, true, got, size + 1, &count, &covered, NULL) == RWKV7_OK);
    bool same = covered == size && count == (size_t)cJSON_GetArraySize(ids);
    for (const cJSON *id = ids->child; id && same; id = id->next, i++)
        same = got[i] == (uint32_t)id->valuedouble;
    CHECK_MSG(same, "case %s", name);
    uint32_t *pieces = calloc(size + 1, sizeof *pieces);
    for (size_t piece = 1; piece <= size && piece < 300; piece += piece / 8 + 1) {
        enum rwkv7_status status;
        const size_t total = encode_pieces(t, text, size, piece, pieces, size + 1, &status);
        CHECK_MSG(total == count && memcmp(pieces, got, count * sizeof *got) == 0, "case %s, pieces of %zu", name,
                  piece);
    }
    free(pieces);
    for (i = 0; i < count; i++) {
        size_t n;
        const uint8_t *bytes = rwkv7_tokenizer_bytes(t, got[i], &n);
        memcpy(back + at, bytes, n);
        at += n;
    }
    CHECK_MSG(at == size && memcmp(back, text, size) == 0, "round trip of %s", name);
    free(text);
    free(back);
    free(got);
}

static void test_world(void)
{
    static const char vocab[] = SHARED_DIR "/vectors/rwkv_vocab_v20230424.txt";
    static const char cases[] = SHARED_DIR "/vectors/tokenizer_cases.jsonl";
    struct rwkv7_tokenizer *t = NULL;
    struct rwkv7_error err;
    if (access(vocab, R_OK) != 0) {
        SKIP("%s: not on this machine", vocab);
        return;
    }
    const double begin = sys_seconds();
    CHECK_MSG(rwkv7_tokenizer_open(vocab, &t, &err) == RWKV7_OK, "%s", err.message);
    if (!t)
        return;
    printf("     opened in %.1f ms\n", 1e3 * (sys_seconds() - begin));
    CHECK(rwkv7_tokenizer_size(t) == 65530 && rwkv7_tokenizer_max_length(t) == 128);
    CHECK(rwkv7_tokenizer_check(t, 65536, NULL) == RWKV7_OK);
    CHECK(rwkv7_tokenizer_check(t, 65536 + 64, NULL) == RWKV7_OK && rwkv7_tokenizer_check(t, 50304, NULL) != RWKV7_OK);
    for (uint32_t id = 1; id < 65530; id++) {
        size_t n, count, covered;
        uint32_t got[128];
        const uint8_t *bytes = rwkv7_tokenizer_bytes(t, id, &n);
        CHECK(rwkv7_tokenizer_encode(t, bytes, n, true, got, 128, &count, &covered, NULL) == RWKV7_OK);
        CHECK_MSG(count == 1 && got[0] == id, "id %u", id);
    }
    FILE *f = fopen(cases, "rb");
    CHECK(f != NULL);
    int count = 0;
    static char line[1 << 20];
    while (f && fgets(line, sizeof line, f)) {
        cJSON *item = cJSON_Parse(line);
        CHECK(item != NULL);
        if (item)
            check_case(t, item);
        cJSON_Delete(item);
        count++;
    }
    if (f)
        fclose(f);
    CHECK(count == 533);
    rwkv7_tokenizer_close(t);
}

/* test_tokenizer VOCAB FILE: megabytes per second; not a test. */
static int bench(const char *vocab, const char *path)
{
    struct rwkv7_tokenizer *t = NULL;
    struct rwkv7_error err;
    struct file_map map;
    if (rwkv7_tokenizer_open(vocab, &t, &err) != RWKV7_OK || file_map_open(path, &map, &err) != RWKV7_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    uint32_t *ids = malloc(map.size * sizeof *ids);
    for (int round = 0; round < 5; round++) {
        size_t count, covered;
        const double begin = sys_seconds();
        rwkv7_tokenizer_encode(t, map.data, map.size, true, ids, map.size, &count, &covered, NULL);
        printf("%zu bytes, %zu tokens: %.1f MB/s\n", covered, count, 1e-6 * (double)covered / (sys_seconds() - begin));
    }
    free(ids);
    file_map_close(&map);
    rwkv7_tokenizer_close(t);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return bench(argv[1], argv[2]);
    RUN(test_vocabulary);
    RUN(test_brute_force);
    RUN(test_random_vocabularies);
    RUN(test_unknown_byte);
    RUN(test_world);
    return test_end();
}
