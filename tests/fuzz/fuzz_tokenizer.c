/*
 * fuzz_tokenizer.c - any World vocabulary and any text, against a matcher that tries every token at
 * every position: the same ids, in one piece and in pieces of any size. Input: a byte, whose low six
 * bits are the number of tokens besides the single bytes (at most 63), each preceded by its length (2
 * to 9); then the text. With bit 6 of the first byte, the alphabet has 8 letters: text and tokens
 * match more often, and opening the vocabulary takes a tenth of the time. Runs under libFuzzer and,
 * over the corpus, under replay.c.
 */
#include "fuzz.h"

enum { TOKENS = 64, LONGEST = 9, BYTES = 256, MOST_TEXT = 1 << 16 };

struct token {
    uint8_t bytes[LONGEST];
    size_t length;
};

static struct token tokens[BYTES + TOKENS];
static size_t token_count, single_count; /* tokens 1 to single_count are single bytes, by value */
static uint8_t mask;                     /* of the bytes: the size of the alphabet minus 1 */

/* Returns the longest token that the text begins with. */
static uint32_t longest(const uint8_t *text, size_t size)
{
    size_t best = 1u + text[0];
    for (size_t i = single_count + 1; i < token_count; i++)
        if (tokens[i].length <= size && memcmp(tokens[i].bytes, text, tokens[i].length) == 0 &&
            tokens[i].length > tokens[best].length)
            best = i;
    return (uint32_t)best;
}

static struct rwkv7_tokenizer *open_tokens(void)
{
    static char text[(BYTES + TOKENS) * (16 + 4 * LONGEST)];
    static const char hex[] = "0123456789abcdef";
    struct rwkv7_tokenizer *t = NULL;
    struct rwkv7_error err;
    size_t used = 0;
    for (size_t i = 1; i < token_count; i++) { /* id 0 is not a token */
        char *to = text + used;
        for (size_t unit = i < 10 ? 1 : i < 100 ? 10 : 100; unit > 0; unit /= 10)
            *to++ = (char)('0' + i / unit % 10);
        *to++ = ' ';
        *to++ = 'b';
        *to++ = '\'';
        for (size_t k = 0; k < tokens[i].length; k++) {
            *to++ = '\\';
            *to++ = 'x';
            *to++ = hex[tokens[i].bytes[k] >> 4];
            *to++ = hex[tokens[i].bytes[k] & 15];
        }
        *to++ = '\'';
        *to++ = ' ';
        *to++ = (char)('0' + tokens[i].length);
        *to++ = '\n';
        used = (size_t)(to - text);
    }
    const enum rwkv7_status status = rwkv7_tokenizer_open_memory(text, used, "fuzz", &t, &err);
    if (status != RWKV7_OK)
        fprintf(stderr, "%s\n", err.message);
    REQUIRE(status == RWKV7_OK);
    return t;
}

/* Text that does not fit is left for the next call, as when reading a pipe. */
static void check_pieces(const struct rwkv7_tokenizer *t, const uint8_t *text, size_t size, size_t piece,
                         const uint32_t *want, size_t want_count)
{
    size_t at = 0, have = 0, found = 0;
    while (at < size) {
        uint32_t ids[16];
        size_t count, covered;
        have = have + piece < size - at ? have + piece : size - at;
        const bool last = at + have == size;
        REQUIRE(rwkv7_tokenizer_encode(t, text + at, have, last, ids, 16, &count, &covered, NULL) == RWKV7_OK);
        REQUIRE(covered <= have && count <= 16);
        for (size_t i = 0; i < count; i++)
            REQUIRE(found < want_count && ids[i] == want[found++]);
        at += covered;
        have -= covered;
    }
    REQUIRE(found == want_count);
}

/* Copies the bytes to `to`, as letters of the alphabet. */
static void take(uint8_t *to, const uint8_t *from, size_t size)
{
    for (size_t i = 0; i < size; i++)
        to[i] = from[i] & mask;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint32_t want[MOST_TEXT];
    size_t at = 1;
    if (size == 0)
        return 0;
    mask = data[0] & 64 ? 7 : 255;
    single_count = mask + 1u;
    token_count = 1;
    for (size_t i = 0; i < single_count; i++)
        tokens[token_count++] = (struct token){{(uint8_t)i}, 1};
    for (size_t i = 0; i < data[0] % TOKENS && at < size; i++) {
        struct token *const t = &tokens[token_count];
        t->length = 2 + data[at] % (LONGEST - 1);
        if (t->length >= size - at)
            break;
        take(t->bytes, data + at + 1, t->length);
        at += 1 + t->length;
        bool twice = false;
        for (size_t k = single_count + 1; k < token_count; k++)
            twice = twice || (tokens[k].length == t->length && memcmp(tokens[k].bytes, t->bytes, t->length) == 0);
        token_count += !twice;
    }
    struct rwkv7_tokenizer *const t = open_tokens();
    const size_t length = size - at < MOST_TEXT ? size - at : MOST_TEXT;
    uint8_t *const text = malloc(length ? length : 1);
    size_t count = 0;
    REQUIRE(text);
    take(text, data + at, length);
    for (size_t place = 0; place < length; place += tokens[want[count++]].length)
        want[count] = longest(text + place, length - place);
    for (size_t piece = 1; piece <= 16; piece *= 2)
        check_pieces(t, text, length, piece == 16 ? length : piece, want, count);
    free(text);
    rwkv7_tokenizer_close(t);
    return 0;
}
