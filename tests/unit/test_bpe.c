/*
 * test_bpe.c - byte-level BPE against the ids of the Python reference: with a small built-in
 * tokenizer and, if available, with that of GPT-NeoX-20B (path in RWKV7_NEOX_TOKENIZER) and its 300
 * cases; whole, in pieces of every size, and with little room. Also what the reader rejects, and
 * hostile texts.
 */
#include <stdlib.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "base/mem.h"
#include "base/sys.h"
#include "rwkv7.h"
#include "test.h"

#define SMALL TEST_DIR "/neox/small.json"

static struct rwkv7_tokenizer *open_file(const char *path)
{
    struct rwkv7_tokenizer *t = NULL;
    struct rwkv7_error err = {0};
    CHECK_MSG(rwkv7_tokenizer_open(path, &t, &err) == RWKV7_OK, "%s", err.message);
    if (!t)
        exit(1);
    return t;
}

/* Encodes the text in pieces of `piece` bytes, with at most `room` ids per call. */
static size_t encode_pieces(const struct rwkv7_tokenizer *t, const uint8_t *text, size_t size, size_t piece,
                            size_t room, uint32_t *ids)
{
    size_t done = 0, total = 0, end = 0;
    while (done < size) {
        size_t count, covered;
        struct rwkv7_error err = {0};
        end = size - end < piece ? size : end + piece;
        do {
            CHECK_MSG(rwkv7_tokenizer_encode(t, text + done, end - done, end == size, ids + total, room, &count,
                                             &covered, &err) == RWKV7_OK,
                      "%s", err.message);
            total += count;
            done += covered;
        } while (count > 0);
        CHECK(end - done < rwkv7_tokenizer_max_length(t));
        if (end == size)
            break;
    }
    CHECK(done == size);
    return total;
}

static uint8_t *from_hex(const char *hex, size_t *size)
{
    *size = strlen(hex) / 2;
    uint8_t *const bytes = calloc(*size + 1, 1);
    for (size_t i = 0; bytes && i < *size; i++) {
        const char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        bytes[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return bytes;
}

static void check_case(const struct rwkv7_tokenizer *t, const cJSON *item)
{
    const char *const name = cJSON_GetObjectItemCaseSensitive(item, "name")->valuestring;
    const cJSON *const want = cJSON_GetObjectItemCaseSensitive(item, "ids");
    size_t size, decoded_size, count, covered, at = 0;
    uint8_t *const text = from_hex(cJSON_GetObjectItemCaseSensitive(item, "utf8_hex")->valuestring, &size);
    uint8_t *const decoded =
        from_hex(cJSON_GetObjectItemCaseSensitive(item, "decoded_hex")->valuestring, &decoded_size);
    uint32_t *const ids = calloc(3 * size + 2000, sizeof *ids), *const pieces = calloc(3 * size + 2000, sizeof *ids);
    CHECK(rwkv7_tokenizer_encode(t, text, size, true, ids, 3 * size + 1, &count, &covered, NULL) == RWKV7_OK);
    bool same = covered == size && count == (size_t)cJSON_GetArraySize(want);
    const cJSON *id = want->child;
    for (size_t i = 0; same && i < count; i++, id = id->next) {
        size_t n;
        const uint8_t *const bytes = rwkv7_tokenizer_bytes(t, ids[i], &n);
        same = ids[i] == (uint32_t)id->valuedouble && n <= decoded_size - at && memcmp(bytes, decoded + at, n) == 0;
        at += n;
    }
    CHECK_MSG(same && at == decoded_size, "case %s", name);
    for (size_t piece = 1; piece <= size && piece < 3000; piece += piece / 4 + 1)
        for (size_t room = 200; room <= 1000; room += 800) {
            const size_t total = encode_pieces(t, text, size, piece, room, pieces);
            CHECK_MSG(total == count && memcmp(pieces, ids, count * sizeof *ids) == 0,
                      "case %s, pieces of %zu, room %zu", name, piece, room);
        }
    free(text);
    free(decoded);
    free(ids);
    free(pieces);
}

static int check_cases(const struct rwkv7_tokenizer *t, const char *path)
{
    static char line[1 << 20];
    int cases = 0;
    FILE *const f = fopen(path, "rb");
    CHECK_MSG(f != NULL, "%s", path);
    while (f && fgets(line, sizeof line, f)) {
        cJSON *const item = cJSON_Parse(line);
        CHECK(item != NULL);
        if (item)
            check_case(t, item);
        cJSON_Delete(item);
        cases++;
    }
    if (f)
        fclose(f);
    return cases;
}

static void test_small(void)
{
    struct rwkv7_tokenizer *const t = open_file(SMALL);
    size_t n;
    CHECK(rwkv7_tokenizer_has_end_of_text(t));
    CHECK(rwkv7_tokenizer_bytes(t, 1, &n) != NULL && n == 0);
    CHECK(check_cases(t, TEST_DIR "/neox/cases.jsonl") > 200);
    rwkv7_tokenizer_close(t);
}

/* Files are identified despite a byte order mark and white space before the JSON. */
static void test_byte_order_mark(void)
{
    static char text[1 << 20];
    static const char *const before[] = {"", "\xef\xbb\xbf", " \n\t\r", "\xef\xbb\xbf\n "};
    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++) {
        struct rwkv7_tokenizer *t = NULL;
        struct rwkv7_error err = {.message = ""};
        size_t size = strlen(before[i]);
        memcpy(text, before[i], size);
        FILE *const f = fopen(SMALL, "rb");
        CHECK(f != NULL);
        if (!f)
            return;
        size += fread(text + size, 1, sizeof text - size, f);
        fclose(f);
        CHECK_MSG(rwkv7_tokenizer_open_memory(text, size, "small", &t, &err) == RWKV7_OK, "%zu: %s", i, err.message);
        rwkv7_tokenizer_close(t);
    }
}

static void test_neox(void)
{
    const char *const path = getenv("RWKV7_NEOX_TOKENIZER");
    static const char cases[] = SHARED_DIR "/vectors/older/neox_tokenizer_cases.jsonl";
    if (!path || !*path) {
        SKIP("RWKV7_NEOX_TOKENIZER does not name %s", "20B_tokenizer.json");
        return;
    }
    const double begin = sys_seconds();
    struct rwkv7_tokenizer *const t = open_file(path);
    printf("     opened in %.1f ms\n", 1e3 * (sys_seconds() - begin));
    CHECK(rwkv7_tokenizer_size(t) == 50277);
    CHECK(rwkv7_tokenizer_check(t, 50277, NULL) == RWKV7_OK && rwkv7_tokenizer_check(t, 50304, NULL) == RWKV7_OK);
    CHECK(rwkv7_tokenizer_check(t, 65536, NULL) == RWKV7_ERR_VOCAB);
    if (access(cases, R_OK) == 0)
        CHECK(check_cases(t, cases) == 300);
    else
        SKIP("%s: not on this machine", cases);
    rwkv7_tokenizer_close(t);
}

/*
 * Long words, endless marks and invalid bytes: all text is covered, the bytes kept between pieces
 * are bounded, and the division into pieces does not matter.
 */
static void test_hostile(void)
{
    static const char *const units[] = {"a",
                                        "'",
                                        "\n",
                                        " ",
                                        "\xcc\x81",
                                        "\xff",
                                        "\xe4\xb8\xad",
                                        "e\xcc\x81",
                                        "ab",
                                        "<|endoftext|",
                                        "\xe1\x85\xa1",
                                        "\xf0\x9f"};
    struct rwkv7_tokenizer *const t = open_file(SMALL);
    const size_t size = 300000;
    char *const text = malloc(size);
    uint32_t *const ids = calloc(3 * size, sizeof *ids), *const pieces = calloc(3 * size, sizeof *ids);
    for (size_t u = 0; text && u < sizeof units / sizeof units[0]; u++) {
        size_t count, covered;
        const size_t n = strlen(units[u]);
        for (size_t i = 0; i < size; i++)
            text[i] = units[u][i % n];
        CHECK(rwkv7_tokenizer_encode(t, text, size, true, ids, 3 * size, &count, &covered, NULL) == RWKV7_OK);
        CHECK(covered == size);
        const size_t total = encode_pieces(t, (const uint8_t *)text, size, 1 << 16, 4096, pieces);
        CHECK_MSG(total == count && memcmp(ids, pieces, count * sizeof *ids) == 0, "unit %zu", u);
    }
    free(text);
    free(ids);
    free(pieces);
    rwkv7_tokenizer_close(t);
}

static void test_broken_bytes(void)
{
    struct rwkv7_tokenizer *const t = open_file(SMALL);
    static const char broken[] = "a\xff"
                                 "b\xe4\xb8"
                                 "c\xc0\x80\xed\xa0\x80",
                      mended[] = "a\xef\xbf\xbd"
                                 "b\xef\xbf\xbd"
                                 "c\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd";
    uint32_t ids[64], want[64];
    size_t count, want_count, covered;
    CHECK(rwkv7_tokenizer_encode(t, broken, sizeof broken - 1, true, ids, 64, &count, &covered, NULL) == RWKV7_OK);
    CHECK(covered == sizeof broken - 1);
    CHECK(rwkv7_tokenizer_encode(t, mended, sizeof mended - 1, true, want, 64, &want_count, &covered, NULL) ==
          RWKV7_OK);
    CHECK(count == want_count && memcmp(ids, want, count * sizeof *ids) == 0);
    rwkv7_tokenizer_close(t);
}

/* A character with more ids than there is room for is an error, not an endless loop. */
static void test_room(void)
{
    struct rwkv7_tokenizer *const t = open_file(SMALL);
    struct rwkv7_error err = {0};
    uint32_t ids[8];
    size_t count, covered;
    CHECK(rwkv7_tokenizer_encode(t, "\xf0\x9f\x91\x8d", 4, true, ids, 1, &count, &covered, &err) == RWKV7_ERR_VOCAB);
    CHECK_STR(err.message, "one character of the text has more tokens than fit into the buffer (1)");
    CHECK(rwkv7_tokenizer_encode(t, NULL, 0, true, ids, 8, &count, &covered, &err) == RWKV7_OK && count == 0);
    rwkv7_tokenizer_close(t);
}

/* ----------------------------------------------------------------------------------- the reader */

static void check_refused(const char *what, const char *text, const char *expected)
{
    struct rwkv7_tokenizer *t = NULL;
    struct rwkv7_error err = {0};
    CHECK(rwkv7_tokenizer_open_memory(text, strlen(text), "V", &t, &err) == RWKV7_ERR_VOCAB && !t);
    CHECK_MSG(strstr(err.message, expected) != NULL, "%s: got \"%s\", want \"%s\"", what, err.message, expected);
    rwkv7_tokenizer_close(t);
}

/* Reads the small tokenizer with the first `from` replaced by `to`. */
static void check_change(const char *from, const char *to, const char *expected)
{
    struct file_map map;
    CHECK(file_map_open(SMALL, &map, NULL) == RWKV7_OK);
    char *const text = mem_string((const char *)map.data, map.size), *const at = text ? strstr(text, from) : NULL;
    CHECK_MSG(at != NULL, "%s", from);
    char *const changed = at ? calloc(map.size + strlen(to) + 1, 1) : NULL;
    if (changed) {
        memcpy(changed, text, (size_t)(at - text));
        strcat(strcat(changed, to), at + strlen(from));
        check_refused(to, changed, expected);
    }
    free(changed);
    mem_free(text);
    file_map_close(&map);
}

static void test_refused(void)
{
    check_refused("empty", "{}", "expected a World or GPT-NeoX vocabulary, found JSON without the field \"model\"");
    check_refused("cut", "{\"model\": {", "invalid JSON at byte 11");
    check_refused("BERT", "{\"model\": {\"type\": \"WordPiece\"}}",
                  "expected a World or GPT-NeoX vocabulary, found a WordPiece tokenizer (as for BERT)");
    check_refused("T5", "{\"model\": {\"type\": \"Unigram\"}}", "a Unigram tokenizer (SentencePiece");
    check_refused("Llama 2", "{\"model\": {\"type\": \"BPE\", \"byte_fallback\": true}}",
                  "expected a World or GPT-NeoX vocabulary, found BPE of characters with byte fallback (SentencePiece, "
                  "as for Llama 2, Mistral and Gemma)");
    check_refused(
        "Qwen",
        "{\"normalizer\": {\"type\": \"NFC\"}, \"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": "
        "[{\"type\": \"Split\"}, {\"type\": \"ByteLevel\"}]}, \"model\": {\"type\": \"BPE\"}}",
        "expected a World or GPT-NeoX vocabulary, found byte-level BPE with its own pattern (as for Llama 3, Qwen and "
        "DeepSeek)");
    check_refused(
        "GPT-2", "{\"pre_tokenizer\": {\"type\": \"ByteLevel\"}, \"model\": {\"type\": \"BPE\"}}",
        "expected a World or GPT-NeoX vocabulary, found byte-level BPE without NFC (as for GPT-2 and RoBERTa)");
    check_change("\"NFC\"", "\"NFKC\"", "normalizer.type: expected \"NFC\"");
    check_change("\"dropout\": null", "\"dropout\": 0.1", "model.dropout: expected null");
    check_change("\"add_prefix_space\": false", "\"add_prefix_space\": true", "pre_tokenizer.add_prefix_space");
    check_change("\"lstrip\": false", "\"lstrip\": true",
                 "expected single_word, lstrip and rstrip to be false for id 0");
    check_change("\"<|endoftext|>\"", "\"[CLS]\"", "added_tokens: duplicate id 0");
    check_change("\"id\": 1,", "\"id\": 0,", "added_tokens: duplicate id 0");
    check_change("\"special\": true", "\"special\": false",
                 "added_tokens: expected special tokens and runs of 2 to 64 spaces, found another text with id 0");
    check_change("\"content\": \"  \"", "\"content\": \"xy\"",
                 "added_tokens: expected special tokens and runs of 2 to 64 spaces, found another text with id 667");
    check_change("\"!\": ", "\"!x\": ",
                 "model.vocab: expected a token for every byte that occurs in UTF-8, found none for 0x21");
    check_change(
        "\"!\": ", "\"\\u4e00\": ", "model.vocab: expected 1 to 1024 byte letters for id 35, found another text");
    check_change("\"\\\"\": ", "\"!\": ", "model.vocab: the ids 35 and 36 have the same text");
    check_change("\"merges\": [", "\"merges\": [\"! !\",",
                 "model.merges: expected two tokens whose concatenation is a token at rank 0, found something else");
    check_change("\"merges\": [", "\"merges\": [7,", "at rank 0");
    check_change("\"merges\": [", "\"merges\": 7, \"x\": [", "model.merges: expected an array");
    check_change("\"!\": 3", "\"!\": -3", "model.vocab: expected unique ids below 1694, found a token with another id");
    check_change("\"version\"", "\"version", "invalid JSON at byte 13");
}

static void test_out_of_memory(void)
{
    struct file_map map;
    bool done = false;
    CHECK(file_map_open(SMALL, &map, NULL) == RWKV7_OK);
    for (long at = 0; at < 100 && !done; at++) {
        struct rwkv7_tokenizer *t = NULL;
        struct rwkv7_error err = {0};
        uint32_t ids[4];
        size_t count, covered;
        mem_fail_after(at);
        enum rwkv7_status status = rwkv7_tokenizer_open_memory((const char *)map.data, map.size, "V", &t, &err);
        CHECK((status == RWKV7_OK) == (t != NULL));
        if (t)
            status = rwkv7_tokenizer_encode(t, "a b", 3, true, ids, 4, &count, &covered, &err);
        mem_fail_after(-1);
        done = status == RWKV7_OK;
        CHECK(done || (status == RWKV7_ERR_MEMORY && strncmp(err.message, "out of memory", 13) == 0));
        rwkv7_tokenizer_close(t);
    }
    CHECK(done);
    file_map_close(&map);
}

int main(void)
{
    RUN(test_small);
    RUN(test_byte_order_mark);
    RUN(test_neox);
    RUN(test_hostile);
    RUN(test_broken_bytes);
    RUN(test_room);
    RUN(test_refused);
    RUN(test_out_of_memory);
    return test_end();
}
