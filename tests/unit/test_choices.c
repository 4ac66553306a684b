/*
 * test_choices.c - decisions that affect only speed. No result depends on them, so no other test
 * would notice a wrong one: which evaluations one thread makes alone, when columns of sparse
 * matrices are read singly, and the reported density.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "arch/rwkv7.h"
#include "engine/engine.h"
#include "kernels/tuning.h"
#include "test.h"

enum { VOCAB = 60, FFN = 320 /* ten blocks of 32 */ };

static struct rwkv7_runtime *rt;

static struct rwkv7_model *random_model(enum rwkv7_type type, enum rwkv7_sparse sparse, float density)
{
    static const struct rwkv7_shape shape = {.vocab = VOCAB,
                                             .layers = 1,
                                             .channels = 64,
                                             .heads = 1,
                                             .head_size = 64,
                                             .ffn = FFN,
                                             .rank_w = 8,
                                             .rank_a = 8,
                                             .rank_v = 8,
                                             .rank_g = 8};
    const struct rwkv7_random_options opt = {.type = type, .sparse = sparse, .ffn_density = density, .seed = 4};
    struct rwkv7_model *model = NULL;
    CHECK(rwkv7_model_random(rt, &shape, &opt, &model, NULL) == RWKV7_OK);
    if (!model)
        exit(1);
    return model;
}

static void test_alone(void)
{
    struct rwkv7_model *const model = random_model(RWKV7_F32, RWKV7_SPARSE_OFF, 0);
    const uint64_t step = rwkv7_model_info(model)->step_bytes;
    CHECK(rt->alone_bytes == ALONE_BYTES && pool_threads(rt->alone) == 1 && pool_threads(rt->compute.pool) == 2);
    CHECK(pool_for(model, 1) == rt->alone);
    rt->alone_bytes = 10 * step; /* enough for all evaluations */
    CHECK(pool_for(model, 1) == rt->alone && pool_for(model, 9) == rt->alone);
    CHECK(pool_for(model, 10) == rt->compute.pool && pool_for(model, RWKV7_CHUNK) == rt->compute.pool);
    rt->alone_bytes = step;
    CHECK(pool_for(model, 1) == rt->compute.pool);
    rt->alone_bytes = step + 1;
    CHECK(pool_for(model, 1) == rt->alone);
    rt->alone_bytes = ALONE_BYTES;
    rwkv7_model_close(model);
}

/* Random models are stored by column if they are sparse enough. */
static void test_sparse_auto(void)
{
    static const struct {
        enum rwkv7_sparse sparse;
        float density;
        bool by_column;
    } cases[] = {
        {RWKV7_SPARSE_AUTO, 0, false},    {RWKV7_SPARSE_AUTO, 0.1f, true}, {RWKV7_SPARSE_AUTO, 0.69f, true},
        {RWKV7_SPARSE_AUTO, 0.7f, false}, {RWKV7_SPARSE_AUTO, 1, false},   {RWKV7_SPARSE_ON, 1, true},
        {RWKV7_SPARSE_OFF, 0.1f, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rwkv7_model *const model = random_model(RWKV7_BF16, cases[i].sparse, cases[i].density);
        CHECK_MSG(rwkv7_layers(model)[0].ffn_value.by_column == cases[i].by_column, "case %zu", i);
        rwkv7_model_close(model);
    }
}

/* A kernel that counts its calls and the columns read from the first rows. */
static column_gemv_fn *column_gemv;
static atomic_int calls, columns;

static void count_columns(float *y, const struct mat *w, const float *x, const struct active *a, int begin, int end)
{
    atomic_fetch_add(&calls, 1);
    if (begin == 0)
        atomic_fetch_add(&columns, a->first[16]);
    column_gemv(y, w, x, a, begin, end);
}

/* The density counts columns read by single tokens since the last query, and nothing else. */
static void test_density(void)
{
    static const uint32_t ids[] = {1, 2, 3, 4, 5};
    struct rwkv7_model *const model = random_model(RWKV7_BF16, RWKV7_SPARSE_ON, 0.25f);
    struct rwkv7_session *s = NULL;
    CHECK(rwkv7_session_create(model, &s, NULL) == RWKV7_OK);
    CHECK(rwkv7_session_density(s) == 1.0);
    CHECK(rwkv7_session_eval(s, ids, 5, RWKV7_LOGITS_NONE, NULL, NULL) == RWKV7_OK);
    CHECK(rwkv7_session_density(s) == 1.0); /* several tokens at once do not count */
    column_gemv = rt->compute.kernels.column_gemv[MAT_BF16];
    rt->compute.kernels.column_gemv[MAT_BF16] = count_columns;
    columns = 0;
    for (int i = 0; i < 5; i++)
        CHECK(rwkv7_session_eval(s, ids + i, 1, RWKV7_LOGITS_NONE, NULL, NULL) == RWKV7_OK);
    rt->compute.kernels.column_gemv[MAT_BF16] = column_gemv;
    const double density = rwkv7_session_density(s);
    CHECK_MSG(density == columns / (5.0 * (double)FFN) && density > 0.2 && density < 0.3, "%g", density);
    CHECK(rwkv7_session_density(s) == 1.0);
    rwkv7_session_close(s);
    rwkv7_model_close(model);
}

/*
 * Several tokens read single columns only if the tokens are few (SPARSE_TOKENS) and their columns
 * together are few (tuning_sparse_readings).
 */
static void test_columns_pay(void)
{
    uint32_t ids[SPARSE_TOKENS + 1];
    float logits[(SPARSE_TOKENS + 1) * VOCAB];
    int paid = 0, not_paid = 0;
    for (int i = 0; i <= SPARSE_TOKENS; i++)
        ids[i] = (uint32_t)(i * 7 % VOCAB);
    for (int tokens = 2; tokens <= SPARSE_TOKENS + 1; tokens++)
        for (int density = 1; density <= 4; density *= 2) { /* density in quarters; 4: all columns */
            struct rwkv7_model *const model = random_model(RWKV7_BF16, RWKV7_SPARSE_ON, (float)density / 4);
            struct rwkv7_session *s = NULL;
            CHECK(rwkv7_session_create(model, &s, NULL) == RWKV7_OK);
            for (int i = 0; i < tokens; i++) /* number of columns that each token reads */
                CHECK(rwkv7_session_eval(s, ids + i, 1, RWKV7_LOGITS_NONE, NULL, NULL) == RWKV7_OK);
            const double columns_in_all = rwkv7_session_density(s) * tokens;
            const bool pay = tokens <= SPARSE_TOKENS && columns_in_all <= (double)tuning_sparse_readings(true, tokens);
            rwkv7_session_reset(s);
            column_gemv = rt->compute.kernels.column_gemv[MAT_BF16];
            rt->compute.kernels.column_gemv[MAT_BF16] = count_columns;
            calls = 0;
            CHECK(rwkv7_session_eval(s, ids, (size_t)tokens, RWKV7_LOGITS_ALL, logits, NULL) == RWKV7_OK);
            rt->compute.kernels.column_gemv[MAT_BF16] = column_gemv;
            CHECK_MSG((calls > 0) == pay, "%d tokens, %d / 4 of the columns", tokens, density);
            paid += pay;
            not_paid += !pay;
            rwkv7_session_close(s);
            rwkv7_model_close(model);
        }
    CHECK(paid > 20 && not_paid > 20);
}

int main(void)
{
    const struct rwkv7_runtime_options opt = {.threads = 2};
    if (rwkv7_runtime_create(&opt, &rt, NULL) != RWKV7_OK)
        return 1;
    RUN(test_alone);
    RUN(test_sparse_auto);
    RUN(test_density);
    RUN(test_columns_pay);
    rwkv7_runtime_close(rt);
    return test_end();
}
