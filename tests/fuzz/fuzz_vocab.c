/*
 * fuzz_vocab.c - any bytes as a vocabulary: either a complete message, or a tokenizer whose tokens
 * encode to themselves and which reproduces its input file. Runs under libFuzzer and, over the
 * corpus, under replay.c.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rwkv7.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition) ((condition) ? (void)0 : broken(#condition, __LINE__))

static void broken(const char *condition, int line)
{
    fprintf(stderr, "fuzz_vocab.c:%d: does not hold: %s\n", line, condition);
    abort();
}

static void check_tokens(const struct rwkv7_tokenizer *t)
{
    size_t longest = 0;
    for (uint32_t id = 0; id < rwkv7_tokenizer_size(t); id++) {
        size_t length, count, covered;
        uint32_t back;
        const uint8_t *bytes = rwkv7_tokenizer_bytes(t, id, &length);
        if (length == 0)
            continue;
        REQUIRE(rwkv7_tokenizer_encode(t, bytes, length, true, &back, 1, &count, &covered, NULL) == RWKV7_OK);
        REQUIRE(count == 1 && covered == length && back == id);
        longest = length > longest ? length : longest;
    }
    REQUIRE(longest == rwkv7_tokenizer_max_length(t));
}

/* Encodes the text as far as possible and compares the tokens with it. */
static void check_text(const struct rwkv7_tokenizer *t, const uint8_t *text, size_t size)
{
    struct rwkv7_error err = {0};
    uint32_t *ids = malloc((size + 1) * sizeof *ids);
    size_t count, covered, at = 0;
    if (!ids)
        abort();
    const enum rwkv7_status status = rwkv7_tokenizer_encode(t, text, size, true, ids, size + 1, &count, &covered, &err);
    REQUIRE(status == RWKV7_OK ? covered == size : status == RWKV7_ERR_VOCAB && covered < size && err.message[0]);
    for (size_t i = 0; i < count; i++) {
        size_t length;
        const uint8_t *bytes = rwkv7_tokenizer_bytes(t, ids[i], &length);
        REQUIRE(length > 0 && length <= covered - at && memcmp(bytes, text + at, length) == 0);
        at += length;
    }
    REQUIRE(at == covered);
    free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rwkv7_tokenizer *t;
    struct rwkv7_error err = {0};
    if (rwkv7_tokenizer_open_memory((const char *)data, size, "fuzz", &t, &err) == RWKV7_OK) {
        check_tokens(t);
        check_text(t, data, size);
    } else {
        REQUIRE(!t && err.status == RWKV7_ERR_VOCAB);
        REQUIRE(strncmp(err.message, "fuzz:", 5) == 0 && err.message[5]);
    }
    rwkv7_tokenizer_close(t);
    return 0;
}
