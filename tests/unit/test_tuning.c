/*
 * test_tuning.c - the constants derived from cache sizes, and that none of them changes a result.
 */
#include "kernels/tuning.h"

#include <stdlib.h>

#include "engine/engine.h"
#include "rwkv7.h"
#include "test.h"

#define KB ((size_t)1024)

static const struct rwkv7_shape shape = {.vocab = 100,
                                         .layers = 2,
                                         .channels = 320,
                                         .heads = 5,
                                         .head_size = 64,
                                         .ffn = 1280,
                                         .rank_w = 32,
                                         .rank_a = 32,
                                         .rank_v = 32,
                                         .rank_g = 64};

static struct tuning tuning_of(size_t l1, size_t l2)
{
    struct tuning t;
    tuning_derive(&t, &(struct caches){l1, l2, 0});
    return t;
}

/* In cache lines per vector of columns: 10 for tiles of 4 x 6. */
static void test_blocks(void)
{
    const struct tuning small = tuning_of(32 * KB, 512 * KB), large = tuning_of(48 * KB, 2048 * KB),
                        tiny = tuning_of(4 * KB, 256 * KB);
    CHECK(tuning_gemm_block(&large, 10, 64) == 64);  /* 40 KB */
    CHECK(tuning_gemm_block(&large, 10, 128) == 64); /* two blocks of 67 at most */
    CHECK(tuning_gemm_block(&large, 10, 160) == 54);
    CHECK(tuning_gemm_block(&small, 10, 48) == 48); /* 30 KB: all at once */
    CHECK(tuning_gemm_block(&small, 10, 64) == 32);
    CHECK(tuning_gemm_block(&small, 10, 160) == 40);
    CHECK(tuning_gemm_block(&small, 7, 64) == 64);
    CHECK(tuning_gemm_block(&large, 7, 80) == 80);  /* 35 KB: all at once */
    CHECK(tuning_gemm_block(&large, 7, 256) == 64); /* a page, where 96 would fit */
    CHECK(tuning_gemm_block(&tiny, 10, 160) == 8);
    for (int lines = 5; lines <= 12; lines++)
        for (int all = 0; all <= 700; all++) {
            const int block = tuning_gemm_block(&small, lines, all);
            CHECK(all == 0 ? block == 0 : block >= 1 && block <= all);
            CHECK((size_t)block * (size_t)lines * 64 <= 32 * KB);
        }
}

static void test_sizes(void)
{
    static const struct {
        size_t l2; /* KB */
        int panel, part, scan;
    } cases[] = {
        {2048, 192 << 10, 32 << 10, 96}, {65536, 192 << 10, 32 << 10, 96}, {1024, 96 << 10, 16 << 10, 96},
        {512, 48 << 10, 16 << 10, 48},   {256, 24 << 10, 16 << 10, 48},    {16, 16 << 10, 16 << 10, 48},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct tuning t = tuning_of(32 * KB, cases[i].l2 * KB);
        CHECK_MSG(t.gemm_panel == cases[i].panel && t.part_floats == cases[i].part && t.scan_tokens == cases[i].scan,
                  "%zu KB: %d, %d, %d", cases[i].l2, t.gemm_panel, t.part_floats, t.scan_tokens);
    }
    struct kernels k;
    CHECK(kernels_init(&k, NULL) && k.tuning.l1 >= 4 * KB && k.tuning.gemm_panel > 0);
}

static void check_plan(const struct tuning *t, int cols, int rows, int slab, int tokens)
{
    const struct gemm_plan plan = gemm_plan(t, cols, 10);
    CHECK_MSG(plan.rows == rows && plan.slab == slab && plan.tokens == tokens && plan.block <= slab,
              "%d columns: %d rows, slabs of %d, %d tokens, blocks of %d", cols, plan.rows, plan.slab, plan.tokens,
              plan.block);
}

/* Whole rows, unless a panel would have too few of them. */
static void test_plans(void)
{
    const struct tuning small = tuning_of(48 * KB, 256 * KB), large = tuning_of(48 * KB, 2048 * KB);
    check_plan(&large, 64, 64, 4, 0);
    check_plan(&large, 2048, 64, 128, 0);
    check_plan(&large, 4096, 48, 256, 0);
    check_plan(&large, 8192, 64, 64, GEMM_SLAB_TOKENS);
    check_plan(&large, 8200, 64, 64, GEMM_SLAB_TOKENS);
    check_plan(&small, 1024, 24, 64, 0);
    check_plan(&small, 8192, 16, 512, 0);           /* slabs would not allow more rows */
    for (int cols = 1; cols <= 20000; cols += 37) { /* the panel and the sums fit the scratch memory */
        const struct gemm_plan plan = gemm_plan(&large, cols, 10);
        const int tokens = plan.tokens > 0 ? plan.tokens : GEMM_MAX_TOKENS;
        CHECK((size_t)plan.rows * 16 * (size_t)(plan.slab + tokens) <= gemm_scratch(cols));
    }
}

/* Matrices count as read from memory if a token reads more bytes than the caches hold. */
static void test_from_memory(void)
{
    for (int large = 0; large < 2; large++) {
        struct rwkv7_runtime *rt = NULL;
        struct rwkv7_model *model = NULL;
        CHECK(rwkv7_runtime_create(&(struct rwkv7_runtime_options){.threads = 2}, &rt, NULL) == RWKV7_OK);
        tuning_derive(&rt->compute.kernels.tuning,
                      &(struct caches){32 * KB, 256 * KB, large ? 64 * 1024 * KB : 512 * KB});
        CHECK(rwkv7_model_random(rt, &shape, &(struct rwkv7_random_options){.type = RWKV7_BF16}, &model, NULL) ==
              RWKV7_OK);
        CHECK(model->outer.head.from_memory == !large);
        CHECK(model->outer.emb.from_memory == !large);
        rwkv7_model_close(model);
        rwkv7_runtime_close(rt);
    }
}

/* Computes the logits of a prompt that is longer than any block, and of one more token. */
static void logits_of(float *out, const struct caches *caches, enum rwkv7_type type)
{
    enum { TOKENS = 120 };
    struct rwkv7_runtime *rt = NULL;
    struct rwkv7_model *model = NULL;
    struct rwkv7_session *s = NULL;
    uint32_t tokens[TOKENS];
    for (uint32_t i = 0; i < TOKENS; i++)
        tokens[i] = i * 7 % 100;
    CHECK(rwkv7_runtime_create(&(struct rwkv7_runtime_options){.threads = 2}, &rt, NULL) == RWKV7_OK);
    rt->alone_bytes = 0;
    tuning_derive(&rt->compute.kernels.tuning, caches);
    CHECK(rwkv7_model_random(rt, &shape, &(struct rwkv7_random_options){.type = type, .seed = 3}, &model, NULL) ==
          RWKV7_OK);
    CHECK(rwkv7_session_create(model, &s, NULL) == RWKV7_OK);
    CHECK(rwkv7_session_eval(s, tokens, TOKENS, RWKV7_LOGITS_ALL, out, NULL) == RWKV7_OK);
    CHECK(rwkv7_session_eval(s, tokens, 1, RWKV7_LOGITS_LAST, out + (size_t)TOKENS * 100, NULL) == RWKV7_OK);
    rwkv7_session_close(s);
    rwkv7_model_close(model);
    rwkv7_runtime_close(rt);
}

static void test_results(void)
{
    static const struct caches machines[] = {
        {48 << 10, 2 << 20, 0},   {32 << 10, 256 << 10, 0}, {4 << 10, 4 << 10, 0},
        {64 << 10, 512 << 10, 0}, {128 << 10, 16 << 20, 0},
    };
    enum { FLOATS = 121 * 100 };
    float *const want = calloc(FLOATS, sizeof *want), *const got = calloc(FLOATS, sizeof *got);
    for (int t = 0; t < MAT_TYPES; t++) {
        const enum rwkv7_type type = (enum rwkv7_type)t;
        logits_of(want, &machines[0], type);
        for (size_t i = 1; i < sizeof machines / sizeof machines[0]; i++) {
            logits_of(got, &machines[i], type);
            CHECK_MSG(memcmp(want, got, FLOATS * sizeof *want) == 0, "%s, machine %zu", rwkv7_type_name(type), i);
        }
    }
    free(want);
    free(got);
}

int main(void)
{
    RUN(test_blocks);
    RUN(test_sizes);
    RUN(test_plans);
    RUN(test_from_memory);
    RUN(test_results);
    return test_end();
}
