/*
 * test_packing.c - weights in another form than the file's (integers, ffn.value by column), for all
 * shapes: many tokens at once give the bits of single tokens, the caller's memory is unchanged,
 * states fit the same numbers in another layout, NaN and infinity are not hidden, and nothing leaks
 * when out of memory.
 */
#include <stdlib.h>
#include <unistd.h>

#include "arch/rwkv7.h"
#include "base/mem.h"
#include "fingerprint.h"
#include "test.h"
#include "weights/model.h"

#define GOLDEN TEST_DIR "/golden/data/bf16_n64.safetensors"

/* Every type, row-major and then column-major. */
enum { PACKINGS = 2 * RWKV7_WEIGHTS_COUNT };
static struct rwkv7_model_options packing(int i)
{
    return (struct rwkv7_model_options){.weights = (enum rwkv7_weights)(i / 2),
                                        .sparse = i % 2 ? RWKV7_SPARSE_ON : RWKV7_SPARSE_OFF};
}

static struct rwkv7_runtime *rt;

static uint64_t state = 11;
static int random_below(int n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (int)((state >> 33) % (uint64_t)n);
}

/*
 * Ranks above C, F below C, lengths that do not fill a vector register: not used in practice, but
 * valid in a file.
 */
static void test_shapes(void)
{
    enum { ROUNDS = 60, TOKENS = 40, VOCAB = 50 };
    for (int round = 0; round < ROUNDS; round++) {
        struct rwkv7_shape shape = {.vocab = VOCAB,
                                    .layers = 1 + random_below(2),
                                    .heads = 1 + random_below(4),
                                    .head_size = 1 + random_below(70),
                                    .ffn = 1 + random_below(400),
                                    .rank_w = 1 + random_below(round % 3 ? 40 : 700),
                                    .rank_a = 1 + random_below(round % 3 ? 40 : 2000),
                                    .rank_v = 1 + random_below(40),
                                    .rank_g = 1 + random_below(40),
                                    .deep = round % 4 == 0 ? 1 + random_below(20) : 0};
        shape.channels = shape.heads * shape.head_size;
        const struct rwkv7_random_options opt = {.type = (enum rwkv7_type)random_below(MAT_TYPES),
                                                 .sparse = (enum rwkv7_sparse)random_below(3),
                                                 .seed = (uint64_t)round + 1};
        struct rwkv7_model *model = NULL;
        struct rwkv7_session *s = NULL;
        uint32_t tokens[TOKENS];
        static float all[TOKENS * VOCAB], one[VOCAB];
        const size_t count = 1 + (size_t)random_below(TOKENS);
        for (size_t i = 0; i < count; i++)
            tokens[i] = (uint32_t)random_below(VOCAB);
        CHECK(rwkv7_model_random(rt, &shape, &opt, &model, NULL) == RWKV7_OK);
        CHECK(rwkv7_session_create(model, &s, NULL) == RWKV7_OK);
        CHECK(rwkv7_session_eval(s, tokens, count, RWKV7_LOGITS_ALL, all, NULL) == RWKV7_OK);
        rwkv7_session_reset(s);
        bool same = true;
        for (size_t i = 0; i < count; i++) {
            CHECK(rwkv7_session_eval(s, tokens + i, 1, RWKV7_LOGITS_LAST, one, NULL) == RWKV7_OK);
            same = same && memcmp(all + i * VOCAB, one, sizeof one) == 0;
        }
        CHECK_MSG(same, "round %d: heads %d x %d, F %d, ranks %d %d %d %d, type %d, sparse %d, %zu tokens", round,
                  shape.heads, shape.head_size, shape.ffn, shape.rank_w, shape.rank_a, shape.rank_v, shape.rank_g,
                  (int)opt.type, (int)opt.sparse, count);
        rwkv7_session_close(s);
        rwkv7_model_close(model);
    }
}

static void *read_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    char *bytes = malloc(1 << 22);
    *size = f && bytes ? fread(bytes, 1, 1 << 22, f) : 0;
    if (f)
        fclose(f);
    return bytes;
}

/*
 * Pages of a mapped file are released after packing; an image in memory belongs to the caller and
 * is not.
 */
static void test_image(void)
{
    size_t size;
    char *image = read_file(GOLDEN, &size);
    /* A model of several pages, at an address where a page begins. */
    char *pages = NULL;
    CHECK(size > 8 * 4096 && posix_memalign((void **)&pages, 4096, size) == 0);
    for (int i = 0; i < PACKINGS; i++) {
        const struct rwkv7_model_options opt = packing(i);
        struct rwkv7_model *model = NULL;
        memcpy(pages, image, size);
        CHECK(rwkv7_model_open_memory(rt, pages, size, "image", &opt, &model, NULL) == RWKV7_OK);
        CHECK_MSG(memcmp(pages, image, size) == 0, "packing %d", i);
        rwkv7_model_close(model);
    }
    free(pages);
    free(image);
}

/* The layout in memory does not affect the fingerprint; other numbers do. */
static void test_fingerprint(void)
{
    struct rwkv7_fingerprint prints[PACKINGS];
    for (int i = 0; i < PACKINGS; i++) {
        const struct rwkv7_model_options opt = packing(i);
        struct rwkv7_model *model = NULL;
        CHECK(rwkv7_model_open(rt, GOLDEN, &opt, &model, NULL) == RWKV7_OK);
        CHECK(rwkv7_layers(model)[0].ffn_value.by_column == (i % 2 == 1));
        prints[i] = fingerprint_of(model);
        rwkv7_model_close(model);
    }
    for (int i = 0; i < PACKINGS; i += 2) {
        CHECK(is_same_print(&prints[i], &prints[i + 1]));
        for (int j = 0; j < i; j += 2)
            CHECK(!is_same_print(&prints[i], &prints[j]));
    }
}

/*
 * Column-major floats are checked once, while they are stored; integers carry a NaN in their scale.
 */
static void test_not_finite(void)
{
    static const uint16_t bad[] = {0x7fc0, 0x7f80, 0xff80};
    const struct rwkv7_shape shape = {.vocab = 50,
                                      .layers = 2,
                                      .channels = 64,
                                      .heads = 1,
                                      .head_size = 64,
                                      .ffn = 130,
                                      .rank_w = 8,
                                      .rank_a = 8,
                                      .rank_v = 8,
                                      .rank_g = 8};
    const struct rwkv7_random_options plain = {.type = RWKV7_BF16, .sparse = RWKV7_SPARSE_OFF, .seed = 5};
    for (int i = 0; i < 3; i++)
        for (int p = 0; p < PACKINGS; p++) {
            const struct rwkv7_model_options opt = packing(p);
            struct rwkv7_model *model = NULL;
            struct rwkv7_session *s = NULL;
            struct rwkv7_error err = {0};
            float logits[50];
            const uint32_t token = 1;
            CHECK(rwkv7_model_random(rt, &shape, &plain, &model, NULL) == RWKV7_OK);
            ((uint16_t *)rwkv7_layers(model)[1].ffn_value.data)[33 * 130 + 7] = bad[i];
            enum rwkv7_status status = model_pack(model, &opt, &err);
            if (opt.weights == RWKV7_WEIGHTS_STORED && opt.sparse == RWKV7_SPARSE_ON) {
                CHECK(status == RWKV7_ERR_MODEL);
                CHECK_MSG(strstr(err.message, "ffn.value of layer 1"), "%s", err.message);
            } else {
                CHECK(status == RWKV7_OK && rwkv7_session_create(model, &s, NULL) == RWKV7_OK);
                status = rwkv7_session_eval(s, &token, 1, RWKV7_LOGITS_LAST, logits, &err);
                CHECK_MSG(status == RWKV7_ERR_NUMERIC, "number %d, packing %d: status %d", i, p, (int)status);
            }
            rwkv7_session_close(s);
            rwkv7_model_close(model);
        }
}

/* Makes every allocation fail once; the sanitizer build finds leaks. */
static void test_out_of_memory(void)
{
    static const uint32_t tokens[] = {1, 2, 3};
    for (int p = 0; p < PACKINGS; p++) {
        const struct rwkv7_model_options opt = packing(p);
        bool done = false;
        for (long at = 0; at < 2000 && !done; at++) {
            struct rwkv7_model *model = NULL;
            struct rwkv7_session *s = NULL;
            mem_fail_after(at);
            enum rwkv7_status status = rwkv7_model_open(rt, GOLDEN, &opt, &model, NULL);
            if (status == RWKV7_OK)
                status = rwkv7_session_create(model, &s, NULL);
            if (status == RWKV7_OK)
                status = rwkv7_session_eval(s, tokens, 3, RWKV7_LOGITS_NONE, NULL, NULL);
            mem_fail_after(-1);
            CHECK_MSG(status == RWKV7_OK || status == RWKV7_ERR_MEMORY, "packing %d, allocation %ld: status %d", p, at,
                      (int)status);
            done = status == RWKV7_OK;
            rwkv7_session_close(s);
            rwkv7_model_close(model);
        }
        CHECK(done);
    }
}

int main(void)
{
    const struct rwkv7_runtime_options opt = {.threads = 2};
    if (rwkv7_runtime_create(&opt, &rt, NULL) != RWKV7_OK)
        return 1;
    RUN(test_shapes);
    RUN(test_image);
    RUN(test_fingerprint);
    RUN(test_not_finite);
    RUN(test_out_of_memory);
    rwkv7_runtime_close(rt);
    return test_end();
}
