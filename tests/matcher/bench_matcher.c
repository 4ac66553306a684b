/*
 * bench_matcher.c - prints how long schemas take to compile and masks to compute, in the columns of MaskBench.
 * Not a test. Usage: bench_matcher VOCABULARY SCHEMAS.json, of tests/matcher/schemas.json's form.
 *
 * For each schema, random texts of up to 100 tokens are drawn from the masks. Times are CPU times,
 * so that other programs do not count.
 */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/splitmix.h"
#include "rwkv7.h"

enum { TEXTS = 4, TOKENS = 100, MASKS = 1 << 20 };

static double microseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e6 * (double)t.tv_sec + 1e-3 * (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void print(const char *what, double *times, size_t count)
{
    double sum = 0;
    qsort(times, count, sizeof *times, compare);
    for (size_t i = 0; i < count; i++)
        sum += times[i];
    if (count > 0)
        printf("%-12s %8zu  mean %8.1f  p50 %8.1f  p99 %8.1f  p99.9 %8.1f  worst %8.1f us\n", what, count,
               sum / (double)count, times[count / 2], times[count * 99 / 100], times[count * 999 / 1000],
               times[count - 1]);
}

/* Returns a random token of the mask; the end of text if that is drawn or the only one. */
static uint32_t draw(const uint64_t *mask, uint32_t vocab, uint64_t *random)
{
    uint32_t id = (uint32_t)(splitmix_next(random) % vocab);
    if (mask[0] & 1 && splitmix_next(random) % 4 == 0)
        return 0;
    for (uint32_t tried = 0; tried < vocab && !(mask[id / 64] >> (id % 64) & 1); tried++)
        id = (id + 1) % vocab;
    return id;
}

static void fail_with(const struct rwkv7_error *err)
{
    fprintf(stderr, "bench_matcher: %s\n", err->message);
    exit(1);
}

int main(int argc, char **argv)
{
    static double masks[MASKS], compiles[4096], firsts[4096], moves[MASKS];
    size_t mask_count = 0, compile_count = 0, first_count = 0, move_count = 0, refused = 0;
    struct rwkv7_tokenizer *tokenizer;
    struct rwkv7_error err;
    uint64_t random = 1;
    FILE *const f = argc == 3 ? fopen(argv[2], "rb") : NULL;
    static char text[1 << 24];
    if (!f || fread(text, 1, sizeof text - 1, f) == 0) {
        fprintf(stderr, "usage: bench_matcher VOCABULARY SCHEMAS.json\n");
        return 2;
    }
    fclose(f);
    if (rwkv7_tokenizer_open(argv[1], &tokenizer, &err) != RWKV7_OK)
        fail_with(&err);
    cJSON *const root = cJSON_Parse(text);
    const cJSON *const list = cJSON_IsArray(root) ? root : cJSON_GetObjectItem(root, "schemas"), *item;
    const uint64_t before = rwkv7_memory_peak();
    const uint32_t vocab = rwkv7_tokenizer_size(tokenizer);
    cJSON_ArrayForEach(item, list)
    {
        const cJSON *const schema = cJSON_GetObjectItem(item, "schema");
        char *const printed = cJSON_PrintUnformatted(schema ? schema : item);
        struct rwkv7_grammar_options o = RWKV7_OPTIONS(o);
        struct rwkv7_grammar *g;
        struct rwkv7_matcher *m;
        o.kind = RWKV7_GRAMMAR_SCHEMA;
        o.text = printed;
        double begin = microseconds();
        const enum rwkv7_status status = rwkv7_grammar_create(&o, tokenizer, &g, &err);
        cJSON_free(printed);
        if (status != RWKV7_OK) {
            refused++;
            continue;
        }
        if (compile_count < 4096)
            compiles[compile_count++] = microseconds() - begin;
        if (rwkv7_matcher_create(g, &m, &err) != RWKV7_OK)
            fail_with(&err);
        for (int i = 0; i < TEXTS; i++) {
            rwkv7_matcher_reset(m);
            for (int k = 0; k < TOKENS && mask_count < MASKS; k++) {
                const uint64_t *mask;
                size_t allowed;
                begin = microseconds();
                if (rwkv7_matcher_mask(m, &mask, &allowed, &err) != RWKV7_OK)
                    fail_with(&err);
                masks[mask_count++] = microseconds() - begin;
                if (i == 0 && k == 0 && first_count < 4096)
                    firsts[first_count++] = masks[mask_count - 1];
                const uint32_t id = draw(mask, vocab, &random);
                if (id == 0)
                    break;
                begin = microseconds();
                if (rwkv7_matcher_advance(m, id, &err) != RWKV7_OK)
                    fail_with(&err);
                moves[move_count++] = microseconds() - begin;
            }
        }
        rwkv7_matcher_close(m);
        rwkv7_grammar_close(g);
    }
    print("compile", compiles, compile_count);
    print("first mask", firsts, first_count);
    print("mask", masks, mask_count);
    print("advance", moves, move_count);
    printf("%zu refused; peak of memory %.1f MB above that of the vocabulary\n", refused,
           1e-6 * (double)(rwkv7_memory_peak() - before));
    cJSON_Delete(root);
    rwkv7_tokenizer_close(tokenizer);
    return 0;
}
