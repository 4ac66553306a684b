/*
 * fuzz_tokenizer_json.c - any bytes as a tokenizer.json: either a complete message, or a tokenizer
 * that covers every text (here the bytes themselves), with the same ids whole and in pieces. Runs
 * under libFuzzer and, over the small tokenizer, under replay.c.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rwkv7.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition) ((condition) ? (void)0 : broken(#condition, __LINE__))
enum { PIECE = 100, TEXT = 2000 };

static void broken(const char *condition, int line)
{
    fprintf(stderr, "fuzz_tokenizer_json.c:%d: does not hold: %s\n", line, condition);
    abort();
}

static void check_text(const struct rwkv7_tokenizer *t, const uint8_t *text, size_t size)
{
    static uint32_t ids[3 * TEXT], pieces[3 * TEXT];
    size_t count, covered, done = 0, total = 0;
    REQUIRE(rwkv7_tokenizer_encode(t, text, size, true, ids, 3 * size, &count, &covered, NULL) == RWKV7_OK);
    REQUIRE(covered == size);
    for (size_t end = 0; end < size;) {
        size_t n;
        end = size - end < PIECE ? size : end + PIECE;
        REQUIRE(rwkv7_tokenizer_encode(t, text + done, end - done, end == size, pieces + total, 3 * TEXT - total, &n,
                                       &covered, NULL) == RWKV7_OK);
        total += n;
        done += covered;
    }
    REQUIRE(done == size && total == count && memcmp(ids, pieces, count * sizeof *ids) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rwkv7_tokenizer *t;
    struct rwkv7_error err = {0};
    size_t at = 0;
    while (at < size && (data[at] == ' ' || data[at] == '\n' || data[at] == '\r' || data[at] == '\t'))
        at++;
    if (at == size || data[at] != '{')
        return 0; /* a World vocabulary: see fuzz_vocab */
    if (rwkv7_tokenizer_open_memory((const char *)data, size, "fuzz", &t, &err) == RWKV7_OK) {
        check_text(t, data, size < TEXT ? size : TEXT);
    } else {
        REQUIRE(!t && err.status == RWKV7_ERR_VOCAB);
        REQUIRE(strncmp(err.message, "fuzz:", 5) == 0 && err.message[5]);
    }
    rwkv7_tokenizer_close(t);
    return 0;
}
