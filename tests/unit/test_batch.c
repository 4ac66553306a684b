/*
 * test_batch.c - sessions evaluated together give the same bits as each alone, whatever the others
 * are fed. A NaN ends only its own session. Invalid arguments are rejected before anything changes.
 */
#include <math.h>
#include <stdlib.h>

#include "arch/rwkv7.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "test.h"

enum { SESSIONS = 5, ROUNDS = 12, VOCAB = 70 };

static const struct rwkv7_shape shape = {.vocab = VOCAB,
                                         .layers = 3,
                                         .channels = 128,
                                         .heads = 2,
                                         .head_size = 64,
                                         .ffn = 300,
                                         .rank_w = 8,
                                         .rank_a = 12,
                                         .rank_v = 8,
                                         .rank_g = 20};

static struct rwkv7_runtime *rt;

static uint64_t random_state = 5;
static size_t random_below(size_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)((random_state >> 33) % n);
}

static struct rwkv7_model *random_model(enum rwkv7_type type, enum rwkv7_sparse sparse)
{
    const struct rwkv7_random_options opt = {.type = type, .sparse = sparse, .seed = 9};
    struct rwkv7_model *model = NULL;
    CHECK(rwkv7_model_random(rt, &shape, &opt, &model, NULL) == RWKV7_OK);
    return model;
}

/* Evaluates pieces of random lengths, of random sessions, in random order. */
static void check_together(enum rwkv7_type type, enum rwkv7_sparse sparse)
{
    struct rwkv7_model *model = random_model(type, sparse);
    struct rwkv7_session *together[SESSIONS], *alone[SESSIONS];
    struct rwkv7_batch *batch = NULL;
    static uint32_t tokens[SESSIONS][RWKV7_CHUNK];
    float got[SESSIONS * VOCAB], want[VOCAB];
    CHECK(rwkv7_batch_create(model, &batch, NULL) == RWKV7_OK);
    for (int i = 0; i < SESSIONS; i++) {
        CHECK(rwkv7_session_create(model, &together[i], NULL) == RWKV7_OK);
        CHECK(rwkv7_session_create(model, &alone[i], NULL) == RWKV7_OK);
    }
    for (int round = 0; round < ROUNDS; round++) {
        struct rwkv7_feed feeds[SESSIONS];
        int whose[SESSIONS], count = 0;
        const size_t first = random_below(SESSIONS);
        for (size_t i = 0; i < SESSIONS; i++) {
            const int s = (int)((first + i) % SESSIONS);
            if (round > 0 && random_below(4) == 0)
                continue;
            feeds[count] = (struct rwkv7_feed){.session = together[s],
                                               .tokens = tokens[s],
                                               .count = random_below(3) ? 1 : 1 + random_below(40),
                                               .logits = random_below(3) > 0};
            for (size_t t = 0; t < feeds[count].count; t++)
                tokens[s][t] = (uint32_t)random_below(VOCAB);
            whose[count++] = s;
        }
        CHECK(rwkv7_batch_eval(batch, feeds, (size_t)count, got, NULL) == RWKV7_OK);
        for (int i = 0, row = 0; i < count; i++) {
            const struct rwkv7_feed *f = &feeds[i];
            CHECK(f->err.status == RWKV7_OK);
            CHECK(rwkv7_session_eval(alone[whose[i]], f->tokens, f->count, RWKV7_LOGITS_LAST, want, NULL) == RWKV7_OK);
            CHECK(rwkv7_session_tokens(f->session) == rwkv7_session_tokens(alone[whose[i]]));
            if (f->logits)
                CHECK_MSG(memcmp(got + VOCAB * row++, want, sizeof want) == 0, "type %d, round %d, feed %d", (int)type,
                          round, i);
        }
    }
    for (int i = 0; i < SESSIONS; i++) {
        CHECK(memcmp(together[i]->state, alone[i]->state, state_floats(model) * sizeof(float)) == 0);
        rwkv7_session_close(together[i]);
        rwkv7_session_close(alone[i]);
    }
    rwkv7_batch_close(batch);
    rwkv7_model_close(model);
}

static void test_together(void)
{
    check_together(RWKV7_F32, RWKV7_SPARSE_OFF);
    check_together(RWKV7_BF16, RWKV7_SPARSE_ON);
    for (int type = MAT_FLOATS; type < MAT_TYPES; type++) {
        check_together((enum rwkv7_type)type, RWKV7_SPARSE_OFF);
        check_together((enum rwkv7_type)type, RWKV7_SPARSE_ON);
    }
}

static void test_nan(void)
{
    struct rwkv7_model *model = random_model(RWKV7_F32, RWKV7_SPARSE_OFF);
    struct rwkv7_session *s[3];
    struct rwkv7_batch *batch = NULL;
    float logits[3 * VOCAB], want[VOCAB];
    const uint32_t tokens[] = {3, 4, 5};
    struct rwkv7_feed feeds[3];
    ((float *)model->outer.emb.data)[4 * 128 + 7] = NAN; /* token 4 */
    CHECK(rwkv7_batch_create(model, &batch, NULL) == RWKV7_OK);
    for (size_t i = 0; i < 3; i++) {
        CHECK(rwkv7_session_create(model, &s[i], NULL) == RWKV7_OK);
        feeds[i] = (struct rwkv7_feed){.session = s[i], .tokens = &tokens[i], .count = 1, .logits = true};
    }
    CHECK(rwkv7_batch_eval(batch, feeds, 3, logits, NULL) == RWKV7_OK);
    CHECK(feeds[0].err.status == RWKV7_OK && feeds[2].err.status == RWKV7_OK);
    CHECK(feeds[1].err.status == RWKV7_ERR_NUMERIC);
    CHECK_MSG(strstr(feeds[1].err.message, "layer 0 gave a NaN or an infinity at token 0"), "%s", feeds[1].err.message);
    CHECK(rwkv7_session_tokens(s[0]) == 1 && rwkv7_session_tokens(s[1]) == 0);
    rwkv7_session_reset(s[2]);
    CHECK(rwkv7_session_eval(s[2], &tokens[2], 1, RWKV7_LOGITS_LAST, want, NULL) == RWKV7_OK);
    CHECK(memcmp(logits + 2 * VOCAB, want, sizeof want) == 0);
    for (int i = 0; i < 3; i++)
        rwkv7_session_close(s[i]);
    rwkv7_batch_close(batch);
    rwkv7_model_close(model);
}

/*
 * A message names the position in its own session, whatever the others are fed: of a token read
 * before, or in this call.
 */
static void check_position(bool in_logits)
{
    static const uint32_t good[] = {3, 5, 6, 7}, bad[] = {5, 6, 4, 7}; /* token 4 causes the NaN */
    struct rwkv7_model *model = random_model(RWKV7_F32, RWKV7_SPARSE_OFF);
    struct rwkv7_session *s[2];
    struct rwkv7_batch *batch = NULL;
    struct rwkv7_error err;
    static float logits[RWKV7_CHUNK * VOCAB];
    char want[80];
    float *const emb = (float *)model->outer.emb.data + 4 * 128;
    if (in_logits) /* NaN in a weight, so in all logits */
        for (int i = 0; i < 128; i++)
            ((float *)model->outer.head.data)[i] = NAN;
    else
        emb[7] = NAN;
    const char *const what = in_logits ? "the logits hold" : "layer 0 gave";
    CHECK(rwkv7_batch_create(model, &batch, NULL) == RWKV7_OK);
    for (int i = 0; i < 2; i++)
        CHECK(rwkv7_session_create(model, &s[i], NULL) == RWKV7_OK);
    CHECK(rwkv7_session_eval(s[1], good, 4, RWKV7_LOGITS_NONE, NULL, NULL) == RWKV7_OK);

    struct rwkv7_feed feeds[] = {{.session = s[0], .tokens = good, .count = 3},
                                 {.session = s[1], .tokens = bad, .count = 4, .logits = true}};
    CHECK(rwkv7_batch_eval(batch, feeds, 2, logits, NULL) == RWKV7_OK);
    snprintf(want, sizeof want, "%s a NaN or an infinity at token %d", what, in_logits ? 7 : 6);
    CHECK(feeds[0].err.status == RWKV7_OK && feeds[1].err.status == RWKV7_ERR_NUMERIC);
    CHECK_MSG(strstr(feeds[1].err.message, want), "%s, not: %s", want, feeds[1].err.message);
    CHECK(rwkv7_session_tokens(s[0]) == 3 && rwkv7_session_tokens(s[1]) == 4);

    rwkv7_session_reset(s[1]);
    CHECK(rwkv7_session_eval(s[1], good, 3, RWKV7_LOGITS_NONE, NULL, NULL) == RWKV7_OK);
    CHECK(rwkv7_session_eval(s[1], bad, 4, RWKV7_LOGITS_LAST, logits, &err) == RWKV7_ERR_NUMERIC);
    snprintf(want, sizeof want, "%s a NaN or an infinity at token %d", what, in_logits ? 6 : 5);
    CHECK_MSG(strstr(err.message, want), "%s, not: %s", want, err.message);

    rwkv7_session_reset(s[1]);
    CHECK(rwkv7_session_eval(s[1], good, 2, RWKV7_LOGITS_NONE, NULL, NULL) == RWKV7_OK);
    CHECK(rwkv7_session_eval(s[1], bad + 2, 1, RWKV7_LOGITS_LAST, logits, &err) == RWKV7_ERR_NUMERIC);
    snprintf(want, sizeof want, "%s a NaN or an infinity at token 2", what);
    CHECK_MSG(strstr(err.message, want), "%s, not: %s", want, err.message);
    for (int i = 0; i < 2; i++)
        rwkv7_session_close(s[i]);
    rwkv7_batch_close(batch);
    rwkv7_model_close(model);
}

static void test_positions(void)
{
    check_position(false);
    check_position(true);
}

static void test_arguments(void)
{
    struct rwkv7_model *model = random_model(RWKV7_F32, RWKV7_SPARSE_OFF);
    struct rwkv7_model *other = random_model(RWKV7_F32, RWKV7_SPARSE_OFF);
    struct rwkv7_session *a = NULL, *b = NULL, *foreign = NULL;
    struct rwkv7_batch *batch = NULL;
    struct rwkv7_error err;
    static uint32_t tokens[RWKV7_CHUNK];
    const uint32_t bad = VOCAB;
    CHECK(rwkv7_batch_create(model, &batch, NULL) == RWKV7_OK);
    CHECK(rwkv7_session_create(model, &a, NULL) == RWKV7_OK);
    CHECK(rwkv7_session_create(model, &b, NULL) == RWKV7_OK);
    CHECK(rwkv7_session_create(other, &foreign, NULL) == RWKV7_OK);
    const struct {
        struct rwkv7_feed feeds[2];
        const char *fragment;
    } cases[] = {
        {{{.session = a, .tokens = tokens, .count = 1}, {.session = b, .tokens = tokens}}, "1 to 512 tokens"},
        {{{.session = a, .tokens = tokens, .count = 1}, {.session = b, .tokens = tokens, .count = RWKV7_CHUNK}},
         "found 512 more after 1"},
        {{{.session = a, .tokens = tokens, .count = 1}, {.session = a, .tokens = tokens, .count = 1}},
         "sessions 0 and 1 are the same"},
        {{{.session = a, .tokens = tokens, .count = 1}, {.session = foreign, .tokens = tokens, .count = 1}},
         "session 1 is of another model"},
        {{{.session = a, .tokens = tokens, .count = 1}, {.session = b, .tokens = &bad, .count = 1}},
         "token id 70 at position 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rwkv7_feed feeds[2] = {cases[i].feeds[0], cases[i].feeds[1]};
        CHECK(rwkv7_batch_eval(batch, feeds, 2, NULL, &err) == RWKV7_ERR_USAGE);
        CHECK_MSG(strstr(err.message, cases[i].fragment), "%s", err.message);
    }
    CHECK(rwkv7_session_tokens(a) == 0);
    CHECK(rwkv7_batch_eval(batch, NULL, 0, NULL, &err) == RWKV7_OK);
    struct rwkv7_feed feed = {.session = a, .tokens = tokens, .count = 2};
    for (long at = 0, done = 0; at < 50 && !done; at++) {
        mem_fail_after(at);
        const enum rwkv7_status status = rwkv7_batch_eval(batch, &feed, 1, NULL, &err);
        mem_fail_after(-1);
        CHECK(status == RWKV7_OK || (status == RWKV7_ERR_MEMORY && rwkv7_session_tokens(a) == 0));
        done = status == RWKV7_OK;
    }
    CHECK(rwkv7_session_tokens(a) == 2);
    rwkv7_session_close(a);
    rwkv7_session_close(b);
    rwkv7_session_close(foreign);
    rwkv7_batch_close(batch);
    rwkv7_model_close(model);
    rwkv7_model_close(other);
}

/* The logits of a text of more than one chunk are in its order. */
static void test_long_text(void)
{
    enum { TOKENS = 2 * RWKV7_CHUNK + 3 };
    static uint32_t tokens[TOKENS];
    static float all[TOKENS * VOCAB];
    float one[VOCAB];
    struct rwkv7_model *model = random_model(RWKV7_F32, RWKV7_SPARSE_AUTO);
    struct rwkv7_session *s = NULL;
    for (size_t i = 0; i < TOKENS; i++)
        tokens[i] = (uint32_t)random_below(VOCAB);
    CHECK(rwkv7_session_create(model, &s, NULL) == RWKV7_OK);
    CHECK(rwkv7_session_eval(s, tokens, TOKENS, RWKV7_LOGITS_ALL, all, NULL) == RWKV7_OK);
    rwkv7_session_reset(s);
    for (size_t begin = 0; begin < TOKENS; begin += 171) { /* 171 times 6 is TOKENS - 1 */
        const size_t count = begin + 171 < TOKENS ? 171 : TOKENS - begin;
        CHECK(rwkv7_session_eval(s, tokens + begin, count, RWKV7_LOGITS_LAST, one, NULL) == RWKV7_OK);
        CHECK_MSG(memcmp(one, all + (begin + count - 1) * VOCAB, sizeof one) == 0, "token %zu", begin + count - 1);
    }
    rwkv7_session_close(s);
    rwkv7_model_close(model);
}

int main(void)
{
    const struct rwkv7_runtime_options opt = {.threads = 2};
    if (rwkv7_runtime_create(&opt, &rt, NULL) != RWKV7_OK)
        return 1;
    RUN(test_together);
    RUN(test_nan);
    RUN(test_positions);
    RUN(test_long_text);
    RUN(test_arguments);
    rwkv7_runtime_close(rt);
    return test_end();
}
