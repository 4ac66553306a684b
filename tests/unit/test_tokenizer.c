/*
 * test_tokenizer.c - the tokenizer against a brute-force one on a small vocabulary, and against the official tokenizer's ids on
 * the World vocabulary where that is at hand.
 */
#include <stdlib.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "base/mem.h"
#include "base/sys.h"
#include "rwkv7.h"
#include "test.h"

/* Gaps in the ids, a long token whose prefixes are none, runs, a piece of a character, both kinds of literal and quote. */
static const char small[] =
    "1 'a' 1\n2 'b' 1\n3 'c' 1\n4 ' ' 1\n7 'ab' 2\n8 \"'\" 1\n9 'abcabcab' 8\n12 'bc' 2\n13 '   ' 3\n"
    "14 '\\n' 1\n15 '\\xa0' 2\n16 b'\\xa0' 1\n17 b'\\xe2\\x82' 2\n18 '\xe2\x82\xac' 3\n"
    "19 '        ' 8\n20 b'\\xc2' 1\n21 b'\\xe2' 1\n22 b'\\x82' 1\n23 b'\\xac' 1\n";

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
    CHECK(rwkv7_tokenizer_check(t, 24, NULL) == RWKV7_OK && rwkv7_tokenizer_check(t, 256, NULL) == RWKV7_OK);
    CHECK(rwkv7_tokenizer_check(t, 23, &err) == RWKV7_ERR_VOCAB);
    CHECK_STR(err.message, "the vocabulary does not belong to this model: it has ids up to 23, the model 23 rows");
    CHECK(rwkv7_tokenizer_check(t, 65536, &err) == RWKV7_ERR_VOCAB);
    rwkv7_tokenizer_close(t);
    t = open_text("0 '0' 1\n1 '1' 1"); /* no line feed at the end */
    CHECK(!rwkv7_tokenizer_has_end_of_text(t) && rwkv7_tokenizer_size(t) == 2);
    rwkv7_tokenizer_close(t);
}

/* The longest of all tokens that the text begins with; 0 if none. */
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
    srand(7);
    for (int round = 0; round < 3000; round++) {
        uint8_t text[64];
        uint32_t ids[64];
        size_t count, covered;
        const size_t size = (size_t)rand() % sizeof text;
        for (size_t i = 0; i < size; i++)
            text[i] = (uint8_t)alphabet[rand() % (round % 2 ? 4 : 11)][0];
        CHECK(rwkv7_tokenizer_encode(t, text, size, true, ids, 64, &count, &covered, NULL) == RWKV7_OK);
        CHECK(covered == size);
        size_t at = 0;
        for (size_t i = 0; i < count; i++) {
            size_t length;
            CHECK(ids[i] == brute_force(t, text + at, size - at, &length));
            at += length;
        }
        CHECK(at == size);

        /* In two pieces, cut anywhere, and with room for one id at a time. */
        const size_t cut = size ? (size_t)rand() % size : 0;
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
}

static void test_out_of_memory(void)
{
    bool done = false;
    for (long at = 0; at < 200 && !done; at++) {
        struct rwkv7_tokenizer *t = NULL;
        mem_fail_after(at);
        const enum rwkv7_status status = rwkv7_tokenizer_open_memory(small, sizeof small - 1, "small", &t, NULL);
        mem_fail_after(-1);
        CHECK(status == RWKV7_OK || (status == RWKV7_ERR_MEMORY && !t));
        done = status == RWKV7_OK;
        rwkv7_tokenizer_close(t);
    }
    CHECK(done);
}

/* ---------------------------------------------------------------------------------------------- the World vocabulary */

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

/* test_tokenizer VOCAB FILE: megabytes per second, a measurement and no check. */
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
    RUN(test_unknown_byte);
    RUN(test_out_of_memory);
    RUN(test_world);
    return test_end();
}
