/*
 * test_try.c - tentative evaluation. After any try, the logits, the state and the number of tokens
 * are those of a session that evaluated only the kept tokens, one by one, bit for bit: for every
 * architecture, weight type, CPU tier, number of threads, and in batches. A NaN after the kept
 * tokens is no error. Other calls are refused during a try.
 */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/engine.h"
#include "golden.h"
#include "test.h"

enum { ROUNDS = 7, BATCH_ROUNDS = 4, SESSIONS = 3, LOCAL = 14 /* golden models of this folder */ };

static bool brief; /* RWKV7_TEST_BRIEF=1: fewer combinations, for emulators */

static uint64_t random_state;
static size_t random_below(size_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)((random_state >> 33) % n);
}

static struct rwkv7_runtime *runtime(int threads, const char *cpu)
{
    const struct rwkv7_runtime_options opt = {.threads = threads, .cpu = cpu};
    struct rwkv7_runtime *rt = NULL;
    CHECK(rwkv7_runtime_create(&opt, &rt, NULL) == RWKV7_OK);
    rt->alone_bytes = 0; /* makes all threads work on these small models */
    return rt;
}

static struct rwkv7_session *new_session(const struct rwkv7_model *model)
{
    struct rwkv7_session *s = NULL;
    CHECK(rwkv7_session_create(model, &s, NULL) == RWKV7_OK);
    return s;
}

static bool states_equal(const struct rwkv7_session *a, const struct rwkv7_session *b)
{
    return rwkv7_session_tokens(a) == rwkv7_session_tokens(b) &&
           memcmp(a->state, b->state, state_floats(a->model) * sizeof *a->state) == 0;
}

/* Evaluates tokens one by one. logits: [count][V], or NULL. */
static void plain_eval(struct rwkv7_session *s, const uint32_t *tokens, size_t count, float *logits)
{
    const size_t vocab = (size_t)s->model->shape.vocab;
    for (size_t i = 0; i < count; i++)
        CHECK(rwkv7_session_eval(s, tokens + i, 1, logits ? RWKV7_LOGITS_LAST : RWKV7_LOGITS_NONE,
                                 logits ? logits + i * vocab : NULL, NULL) == RWKV7_OK);
}

static size_t random_tokens(const struct rwkv7_model *model, uint32_t *tokens, size_t round)
{
    static const size_t counts[] = {1, 2, 3, 4, 5, 8, 13};
    const size_t count = counts[round % (sizeof counts / sizeof *counts)];
    for (size_t i = 0; i < count; i++)
        tokens[i] = (uint32_t)random_below((size_t)model->shape.vocab);
    return count;
}

/* One session. Each round tries some tokens, keeps some of them, and goes on. */
static void check_alone(struct rwkv7_model *model, const char *name)
{
    const size_t vocab = (size_t)model->shape.vocab;
    struct rwkv7_session *s = new_session(model), *plain = new_session(model), *all = new_session(model),
                         *copy = new_session(model);
    float *got = calloc(RWKV7_TRY * vocab, sizeof *got), *want = calloc(RWKV7_TRY * vocab, sizeof *want);
    uint32_t tokens[RWKV7_TRY];
    for (size_t round = 0; round < ROUNDS; round++) {
        const size_t count = random_tokens(model, tokens, round), part = random_below(count + 1),
                     keep = round % 4 == 3   ? count
                            : round % 4 == 1 ? 0
                                             : random_below(count + 1);
        const bool logits = round % 3 != 2;
        rwkv7_session_copy(all, plain);
        plain_eval(all, tokens, count, want);
        CHECK(rwkv7_session_try(s, tokens, count, logits ? got : NULL, NULL) == RWKV7_OK);
        CHECK(rwkv7_session_tried(s) == count);
        CHECK_MSG(!logits || memcmp(got, want, count * vocab * sizeof *got) == 0, "%s: logits, round %zu", name, round);
        CHECK_MSG(states_equal(s, plain), "%s: changed by a try, round %zu", name, round);

        rwkv7_session_copy(all, plain);
        plain_eval(all, tokens, part, NULL);
        CHECK(rwkv7_session_copy_tried(copy, s, part, NULL) == RWKV7_OK);
        CHECK_MSG(states_equal(copy, all), "%s: %zu of %zu copied, round %zu", name, part, count, round);

        CHECK(rwkv7_session_keep(s, keep, NULL) == RWKV7_OK);
        plain_eval(plain, tokens, keep, NULL);
        CHECK_MSG(states_equal(s, plain), "%s: %zu of %zu kept, round %zu", name, keep, count, round);
        CHECK(rwkv7_session_tried(s) == 0);
        if (round == 4) { /* also after ordinary evaluations */
            plain_eval(plain, tokens, count, NULL);
            CHECK(rwkv7_session_eval(s, tokens, count, RWKV7_LOGITS_NONE, NULL, NULL) == RWKV7_OK);
        }
    }
    free(got);
    free(want);
    rwkv7_session_close(copy);
    rwkv7_session_close(all);
    rwkv7_session_close(plain);
    rwkv7_session_close(s);
}

/* Several sessions in a batch, some of them tentative. */
static void check_batch(struct rwkv7_model *model, const char *name)
{
    const size_t vocab = (size_t)model->shape.vocab;
    struct rwkv7_session *s[SESSIONS], *plain[SESSIONS], *all = new_session(model);
    struct rwkv7_batch *batch = NULL;
    float *got = calloc((size_t)SESSIONS * RWKV7_TRY * vocab, sizeof *got),
          *want = calloc(RWKV7_TRY * vocab, sizeof *want);
    uint32_t tokens[SESSIONS][RWKV7_TRY];
    CHECK(rwkv7_batch_create(model, &batch, NULL) == RWKV7_OK);
    for (size_t i = 0; i < SESSIONS; i++) {
        s[i] = new_session(model);
        plain[i] = new_session(model);
    }
    for (size_t round = 0; round < BATCH_ROUNDS; round++) {
        struct rwkv7_feed feeds[SESSIONS];
        for (size_t i = 0; i < SESSIONS; i++)
            feeds[i] = (struct rwkv7_feed){.session = s[i],
                                           .tokens = tokens[i],
                                           .count = random_tokens(model, tokens[i], round + 3 * i),
                                           .logits = random_below(4) > 0,
                                           .tentative = (round + i) % 3 != 0};
        CHECK(rwkv7_batch_eval(batch, feeds, SESSIONS, got, NULL) == RWKV7_OK);
        const float *row = got;
        for (size_t i = 0; i < SESSIONS; i++) {
            const struct rwkv7_feed *f = &feeds[i];
            const size_t keep = f->tentative ? random_below(f->count + 1) : f->count;
            CHECK(f->err.status == RWKV7_OK);
            rwkv7_session_copy(all, plain[i]);
            plain_eval(all, f->tokens, f->count, want);
            if (f->logits && f->tentative) {
                CHECK_MSG(memcmp(row, want, f->count * vocab * sizeof *row) == 0, "%s: logits of a batch", name);
                row += f->count * vocab;
            } else if (f->logits) {
                CHECK_MSG(memcmp(row, want + (f->count - 1) * vocab, vocab * sizeof *row) == 0, "%s: logits", name);
                row += vocab;
            }
            CHECK(rwkv7_session_tried(s[i]) == (f->tentative ? f->count : 0));
            if (f->tentative)
                CHECK(rwkv7_session_keep(s[i], keep, NULL) == RWKV7_OK);
            plain_eval(plain[i], f->tokens, keep, NULL);
            CHECK_MSG(states_equal(s[i], plain[i]), "%s: %zu of %zu kept in a batch, round %zu", name, keep, f->count,
                      round);
        }
    }
    for (size_t i = 0; i < SESSIONS; i++) {
        rwkv7_session_close(s[i]);
        rwkv7_session_close(plain[i]);
    }
    rwkv7_session_close(all);
    rwkv7_batch_close(batch);
    free(got);
    free(want);
}

static struct rwkv7_model *open_as(struct rwkv7_runtime *rt, const char *path, enum rwkv7_weights weights)
{
    const struct rwkv7_model_options opt = {.weights = weights};
    struct rwkv7_model *model = NULL;
    CHECK(rwkv7_model_open(rt, path, &opt, &model, NULL) == RWKV7_OK);
    return model;
}

static void check_files(int threads, const char *cpu, int limit)
{
    struct rwkv7_runtime *rt = runtime(threads, cpu);
    struct golden g;
    for (int i = 0; i < limit && golden_open(i, &g); i++) {
        struct rwkv7_model *model = open_as(rt, g.model, (enum rwkv7_weights)((i + threads) % RWKV7_WEIGHTS_COUNT));
        random_state = 11;
        check_alone(model, g.model);
        if (threads == 2)
            check_batch(model, g.model);
        rwkv7_model_close(model);
        golden_close(&g);
    }
    rwkv7_runtime_close(rt);
}

/* Every architecture and variant, on every tier, with two threads; on the best one also with one. */
static void test_models(void)
{
    char cpus[128];
    snprintf(cpus, sizeof cpus, "%s", rwkv7_runtime_cpus());
    for (char *cpu = strtok(cpus, " "); cpu; cpu = strtok(NULL, " "))
        check_files(2, cpu, LOCAL);
    if (!brief)
        check_files(1, NULL, INT_MAX);
}

/* The largest try. */
static void test_largest(void)
{
    struct rwkv7_runtime *rt = runtime(2, NULL);
    struct golden g;
    CHECK(golden_open(0, &g));
    struct rwkv7_model *model = open_as(rt, g.model, RWKV7_WEIGHTS_STORED);
    struct rwkv7_session *s = new_session(model), *plain = new_session(model);
    uint32_t tokens[RWKV7_TRY];
    for (size_t i = 0; i < RWKV7_TRY; i++)
        tokens[i] = (uint32_t)random_below((size_t)model->shape.vocab);
    plain_eval(plain, tokens, RWKV7_TRY - 1, NULL);
    CHECK(rwkv7_session_try(s, tokens, RWKV7_TRY, NULL, NULL) == RWKV7_OK);
    CHECK(rwkv7_session_keep(s, RWKV7_TRY - 1, NULL) == RWKV7_OK);
    CHECK(states_equal(s, plain));
    rwkv7_session_close(plain);
    rwkv7_session_close(s);
    rwkv7_model_close(model);
    golden_close(&g);
    rwkv7_runtime_close(rt);
}

/* A NaN counts only in tokens that are kept. */
static void test_nan(void)
{
    static const struct rwkv7_shape shape = {.vocab = 70,
                                             .layers = 2,
                                             .channels = 64,
                                             .heads = 1,
                                             .head_size = 64,
                                             .ffn = 128,
                                             .rank_w = 8,
                                             .rank_a = 8,
                                             .rank_v = 8,
                                             .rank_g = 8};
    static const uint32_t tokens[] = {5, 6, 4, 7}, bad[] = {4, 5}; /* token 4 causes the NaN */
    static float logits[4 * 70], want[4 * 70];
    struct rwkv7_runtime *rt = runtime(2, NULL);
    struct rwkv7_model *model = NULL;
    struct rwkv7_error err;
    CHECK(rwkv7_model_random(rt, &shape, NULL, &model, NULL) == RWKV7_OK);
    ((float *)model->outer.emb.data)[4 * 64 + 7] = NAN;
    struct rwkv7_session *s = new_session(model), *plain = new_session(model);
    plain_eval(plain, tokens, 2, want);

    CHECK(rwkv7_session_try(s, tokens, 4, logits, NULL) == RWKV7_OK);
    CHECK(memcmp(logits, want, sizeof logits / 2) == 0);
    CHECK(rwkv7_session_tried(s) == 2);
    CHECK(rwkv7_session_keep(s, 2, NULL) == RWKV7_OK);
    CHECK(states_equal(s, plain));

    CHECK(rwkv7_session_try(s, tokens, 4, logits, NULL) == RWKV7_OK);
    CHECK(rwkv7_session_keep(s, 3, &err) == RWKV7_ERR_NUMERIC);
    CHECK_STR(err.message, "(random): layer 0 gave a NaN or an infinity at token 4"); /* as without a try */
    CHECK(rwkv7_session_tried(s) == 0 && states_equal(s, plain));

    CHECK(rwkv7_session_try(s, bad, 2, logits, &err) == RWKV7_ERR_NUMERIC);
    CHECK_STR(err.message, "(random): layer 0 gave a NaN or an infinity at token 2");
    CHECK(rwkv7_session_tried(s) == 0 && states_equal(s, plain));

    struct rwkv7_batch *batch = NULL;
    CHECK(rwkv7_batch_create(model, &batch, NULL) == RWKV7_OK);
    struct rwkv7_session *other = new_session(model);
    struct rwkv7_feed feeds[] = {
        {.session = s, .tokens = tokens, .count = 4, .tentative = true},
        {.session = other, .tokens = bad, .count = 2, .tentative = true},
    };
    CHECK(rwkv7_batch_eval(batch, feeds, 2, NULL, NULL) == RWKV7_OK);
    CHECK(feeds[0].err.status == RWKV7_OK && feeds[1].err.status == RWKV7_ERR_NUMERIC);
    CHECK(rwkv7_session_tried(s) == 2 && rwkv7_session_tried(other) == 0);
    CHECK(rwkv7_session_keep(s, 2, NULL) == RWKV7_OK);
    plain_eval(plain, tokens, 2, NULL);
    CHECK(states_equal(s, plain));
    rwkv7_batch_close(batch);
    rwkv7_session_close(other);
    rwkv7_session_close(plain);
    rwkv7_session_close(s);
    rwkv7_model_close(model);
    rwkv7_runtime_close(rt);
}

#define CHECK_REFUSED(call, what)                                                                           \
    do {                                                                                                    \
        err.message[0] = '\0';                                                                              \
        CHECK((call) == RWKV7_ERR_USAGE);                                                                   \
        CHECK_STR(err.message,                                                                              \
                  "cannot " what " a session with an open try of 2 tokens; call rwkv7_session_keep first"); \
    } while (0)

static void test_open_try(void)
{
    static const uint32_t tokens[RWKV7_TRY + 1] = {3, 5, 6};
    struct rwkv7_runtime *rt = runtime(2, NULL);
    struct golden g;
    CHECK(golden_open(0, &g));
    struct rwkv7_model *model = open_as(rt, g.model, RWKV7_WEIGHTS_STORED);
    struct rwkv7_session *s = new_session(model), *plain = new_session(model), *out = NULL;
    struct rwkv7_bytes image, saved;
    struct rwkv7_error err;
    struct rwkv7_batch *batch = NULL;
    CHECK(rwkv7_batch_create(model, &batch, NULL) == RWKV7_OK);
    plain_eval(s, tokens, 3, NULL);
    plain_eval(plain, tokens, 3, NULL);
    CHECK(rwkv7_session_save_memory(s, NULL, &saved, NULL) == RWKV7_OK);

    CHECK(rwkv7_session_try(s, tokens, 0, NULL, &err) == RWKV7_ERR_USAGE);
    CHECK_STR(err.message, "try: expected 1 to 64 tokens, found 0");
    CHECK(rwkv7_session_try(s, tokens, RWKV7_TRY + 1, NULL, &err) == RWKV7_ERR_USAGE);
    const uint32_t wrong = (uint32_t)model->shape.vocab;
    CHECK(rwkv7_session_try(s, &wrong, 1, NULL, &err) == RWKV7_ERR_USAGE);
    struct rwkv7_feed large = {.session = s, .tokens = tokens, .count = RWKV7_TRY + 1, .tentative = true};
    CHECK(rwkv7_batch_eval(batch, &large, 1, NULL, &err) == RWKV7_ERR_USAGE);
    CHECK_STR(err.message, "batch: expected at most 64 tokens to try, found 65");
    CHECK(rwkv7_session_tried(s) == 0 && rwkv7_session_keep(s, 0, NULL) == RWKV7_OK);
    CHECK(rwkv7_session_keep(s, 1, &err) == RWKV7_ERR_USAGE);

    CHECK(rwkv7_session_try(s, tokens, 2, NULL, NULL) == RWKV7_OK);
    CHECK_REFUSED(rwkv7_session_eval(s, tokens, 1, RWKV7_LOGITS_NONE, NULL, &err), "evaluate");
    struct rwkv7_feed feed = {.session = s, .tokens = tokens, .count = 1};
    CHECK_REFUSED(rwkv7_batch_eval(batch, &feed, 1, NULL, &err), "evaluate");
    CHECK_REFUSED(rwkv7_session_try(s, tokens, 1, NULL, &err), "try tokens with");
    CHECK_REFUSED(rwkv7_session_clone(s, &out, &err), "clone");
    CHECK_REFUSED(rwkv7_session_save(s, "never", NULL, &err), "save");
    CHECK_REFUSED(rwkv7_session_save_memory(s, NULL, &image, &err), "save");
    CHECK_REFUSED(rwkv7_session_load(s, g.model, NULL, &err), "load a state into");
    CHECK_REFUSED(rwkv7_session_load_memory(s, saved.data, saved.size, NULL, &err), "load a state into");
    CHECK_REFUSED(rwkv7_session_load_tuned(s, g.model, RWKV7_STATE_VALUE_KEY, &err), "load a state into");
    CHECK(!out && access("never", F_OK) != 0);
    CHECK(rwkv7_session_keep(s, 3, &err) == RWKV7_ERR_USAGE);
    CHECK_STR(err.message, "keep: expected at most the 2 tokens of the open try, found 3");
    CHECK(rwkv7_session_tried(s) == 2 && states_equal(s, plain));
    CHECK(rwkv7_session_keep(s, 0, NULL) == RWKV7_OK);
    CHECK(rwkv7_session_tried(s) == 0 && states_equal(s, plain));

    /* Calls that replace the state cancel the try. */
    CHECK(rwkv7_session_try(s, tokens, 2, NULL, NULL) == RWKV7_OK);
    rwkv7_session_copy(s, plain);
    CHECK(rwkv7_session_tried(s) == 0 && states_equal(s, plain));
    CHECK(rwkv7_session_try(s, tokens, 2, NULL, NULL) == RWKV7_OK);
    rwkv7_session_set_state(s, NULL, NULL, NULL);
    CHECK(rwkv7_session_tried(s) == 0 && states_equal(s, plain));
    CHECK(rwkv7_session_try(s, tokens, 2, NULL, NULL) == RWKV7_OK);
    rwkv7_session_reset(s);
    rwkv7_session_reset(plain);
    CHECK(rwkv7_session_tried(s) == 0 && states_equal(s, plain));
    CHECK(rwkv7_session_try(s, tokens, 2, NULL, NULL) == RWKV7_OK); /* closed while open */
    rwkv7_bytes_clear(&saved);
    rwkv7_batch_close(batch);
    rwkv7_session_close(plain);
    rwkv7_session_close(s);
    rwkv7_model_close(model);
    golden_close(&g);
    rwkv7_runtime_close(rt);
}

int main(void)
{
    brief = getenv("RWKV7_TEST_BRIEF") != NULL;
    RUN(test_models);
    RUN(test_largest);
    RUN(test_nan);
    RUN(test_open_try);
    return test_end();
}
