/*
 * test_threads.c - concurrent callers: sessions, batches, generators and schedulers of one runtime
 * give the same bits and texts as each alone, models are opened during evaluations, and a text is
 * cancelled by another thread. Above all, ThreadSanitizer must see all of this (stage
 * `thread-sanitize` of .ci/run); the runtime has several threads too, which always work.
 *
 * Nothing depends on timing: a thread that must be late spins until the expected event has
 * happened.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "engine/engine.h"
#include "generate/scheduler.h"
#include "small_model.h"

enum { CALLERS = 4, ROUNDS = 6, CHUNK = 5, TOKENS = ROUNDS * (1 + CHUNK) };

/* A thread that calls the library. It only reports results; the main thread checks them. */
struct caller {
    pthread_t thread;
    struct rwkv7_session *session;
    const struct rwkv7_tokenizer *tokenizer;
    struct rwkv7_model *model;
    uint64_t seed;
    float *logits; /* [2 * ROUNDS][vocab] */
    size_t vocab;
    struct text text;
    enum rwkv7_end end;
    bool failed;
};

static struct caller callers[CALLERS], alone[CALLERS];

static uint32_t token_of(const struct caller *c, size_t i)
{
    return (uint32_t)((i * 13 + c->seed * 7) % c->vocab);
}

static void open_caller(struct caller *c, struct rwkv7_model *of, uint64_t seed)
{
    *c = (struct caller){.tokenizer = tokenizer, .model = of, .seed = seed};
    c->vocab = (size_t)rwkv7_model_info(of)->shape.vocab;
    c->logits = calloc(2 * ROUNDS * c->vocab, sizeof *c->logits);
    if (!c->logits || rwkv7_session_create(of, &c->session, NULL) != RWKV7_OK)
        exit(1);
}

static void close_caller(struct caller *c)
{
    rwkv7_session_close(c->session);
    free(c->logits);
}

static void start(struct caller *c, void *(*body)(void *))
{
    if (pthread_create(&c->thread, NULL, body, c) != 0)
        exit(1);
}

static void finish(struct caller *c)
{
    pthread_join(c->thread, NULL);
    CHECK(!c->failed);
}

/* ------------------------------------------------------------------------------------- sessions */

/* Alternates single tokens and chunks, with a clone that reads the same. */
static void *evaluate(void *arg)
{
    struct caller *const c = arg;
    float *logits = c->logits;
    for (size_t round = 0, at = 0; round < ROUNDS; round++) {
        uint32_t ids[1 + CHUNK];
        for (size_t i = 0; i < 1 + CHUNK; i++)
            ids[i] = token_of(c, at++);
        struct rwkv7_session *clone = NULL;
        c->failed |= rwkv7_session_eval(c->session, ids, 1, RWKV7_LOGITS_LAST, logits, NULL) != RWKV7_OK;
        logits += c->vocab;
        c->failed |= rwkv7_session_clone(c->session, &clone, NULL) != RWKV7_OK;
        c->failed |= rwkv7_session_eval(c->session, ids + 1, CHUNK, RWKV7_LOGITS_LAST, logits, NULL) != RWKV7_OK;
        if (clone)
            c->failed |= rwkv7_session_eval(clone, ids + 1, CHUNK, RWKV7_LOGITS_NONE, NULL, NULL) != RWKV7_OK;
        c->failed |= !clone || memcmp(clone->state, c->session->state, state_floats(c->model) * sizeof(float)) != 0;
        rwkv7_session_close(clone);
        logits += c->vocab;
    }
    return NULL;
}

/* The same through a batch of one session, while other threads use their own. */
static void *evaluate_batch(void *arg)
{
    struct caller *const c = arg;
    struct rwkv7_batch *batch = NULL;
    c->failed |= rwkv7_batch_create(c->model, &batch, NULL) != RWKV7_OK;
    float *logits = c->logits;
    for (size_t round = 0, at = 0; round < ROUNDS && batch; round++)
        for (size_t count = 1; count <= CHUNK; count += CHUNK - 1) {
            uint32_t ids[CHUNK];
            for (size_t i = 0; i < count; i++)
                ids[i] = token_of(c, at++);
            struct rwkv7_feed feed = {.session = c->session, .tokens = ids, .count = count, .logits = true};
            c->failed |= rwkv7_batch_eval(batch, &feed, 1, logits, NULL) != RWKV7_OK || feed.err.status != RWKV7_OK;
            logits += c->vocab;
        }
    rwkv7_batch_close(batch);
    return NULL;
}

static void check_callers(struct rwkv7_model *of, const char *what)
{
    for (int i = 0; i < CALLERS; i++) {
        open_caller(&alone[i], of, (uint64_t)i);
        evaluate(&alone[i]);
        CHECK(!alone[i].failed);
        open_caller(&callers[i], of, (uint64_t)i);
    }
    for (int i = 0; i < CALLERS; i++)
        start(&callers[i], i % 2 ? evaluate_batch : evaluate);
    for (int i = 0; i < CALLERS; i++) {
        finish(&callers[i]);
        CHECK_MSG(memcmp(callers[i].logits, alone[i].logits, 2 * ROUNDS * alone[i].vocab * sizeof(float)) == 0,
                  "%s: caller %d", what, i);
        close_caller(&callers[i]);
        close_caller(&alone[i]);
    }
}

/* Every architecture, floats and integers, row-major and column-major. */
static void test_sessions(void)
{
    static const char *const files[] = {"bf16_n64", "f32_n32", "x040_f32", "x051_bf16", "x052_f32", "x060_bf16"};
    static const struct rwkv7_model_options options[] = {{.weights = RWKV7_WEIGHTS_STORED, .sparse = RWKV7_SPARSE_OFF},
                                                         {.weights = RWKV7_WEIGHTS_Q4, .sparse = RWKV7_SPARSE_ON}};
    char path[512];
    for (size_t f = 0; f < sizeof files / sizeof files[0]; f++)
        for (size_t o = 0; o < sizeof options / sizeof options[0]; o++) {
            struct rwkv7_model *opened = NULL;
            snprintf(path, sizeof path, "%s/golden/data/%s.safetensors", TEST_DIR, files[f]);
            CHECK_MSG(rwkv7_model_open(rt, path, &options[o], &opened, NULL) == RWKV7_OK, "%s", path);
            if (!opened)
                continue;
            check_callers(opened, files[f]);
            rwkv7_model_close(opened);
        }
}

static atomic_bool opened_all;

/* Evaluates until all larger models were opened. */
static void *evaluate_on(void *arg)
{
    struct caller *const c = arg;
    do {
        rwkv7_session_reset(c->session);
        evaluate(c);
    } while (!atomic_load(&opened_all));
    return NULL;
}

/* A larger model is opened, and the scratch memory grows, while a smaller one is evaluated. */
static void test_open_beside(void)
{
    struct rwkv7_shape large = {
        .vocab = 300, .layers = 1, .heads = 1, .head_size = 64, .rank_w = 16, .rank_a = 16, .rank_v = 16, .rank_g = 16};
    for (int i = 0; i < 2; i++) {
        open_caller(&callers[i], model, (uint64_t)i);
        open_caller(&alone[i], model, (uint64_t)i);
        evaluate(&alone[i]);
        start(&callers[i], evaluate_on);
    }
    for (uint64_t i = 0; i < 3; i++) {
        const struct rwkv7_random_options random = {.type = i == 1 ? RWKV7_Q8 : RWKV7_BF16, .seed = i};
        struct rwkv7_model *opened = NULL;
        struct caller own;
        large.heads *= 2;
        large.channels = 64 * large.heads;
        large.ffn = 4 * large.channels;
        CHECK(rwkv7_model_random(rt, &large, &random, &opened, NULL) == RWKV7_OK);
        if (!opened)
            exit(1);
        open_caller(&own, opened, i);
        evaluate(&own);
        CHECK(!own.failed);
        close_caller(&own);
        rwkv7_model_close(opened);
    }
    atomic_store(&opened_all, true);
    for (int i = 0; i < 2; i++) {
        finish(&callers[i]);
        CHECK(memcmp(callers[i].logits, alone[i].logits, 2 * ROUNDS * alone[i].vocab * sizeof(float)) == 0);
        close_caller(&callers[i]);
        close_caller(&alone[i]);
    }
}

/* ----------------------------------------------------------------------------------- generators */

static const struct rwkv7_step before_first = {.end = RWKV7_END_NONE};

/* Different texts, with one tokenizer. */
static void *generate(void *arg)
{
    struct caller *const c = arg;
    struct rwkv7_sampler_options s = sampling;
    s.seed = c->seed;
    static const char *const stops[] = {"zzz"};
    const struct rwkv7_generator_options opt = {
        .sampling = &s, .max_tokens = 25, .stops = stops, .stop_count = 1, .logprobs = 3, .ignore_end = true};
    struct rwkv7_generator *g = NULL;
    const struct rwkv7_step *step = &before_first;
    c->failed |= rwkv7_generator_create(c->session, c->tokenizer, &opt, &g, NULL) != RWKV7_OK ||
                 rwkv7_generator_feed(g, "the abc. ", 9, NULL) != RWKV7_OK;
    while (!c->failed && step->end == RWKV7_END_NONE) {
        c->failed |= rwkv7_generator_next(g, &step, NULL) != RWKV7_OK;
        if (!c->failed && step->length < sizeof c->text.at - c->text.size) {
            memcpy(c->text.at + c->text.size, step->text, step->length);
            c->text.size += step->length;
        }
    }
    c->end = step->end;
    rwkv7_generator_close(g);
    return NULL;
}

static void test_generators(void)
{
    for (int i = 0; i < CALLERS; i++) {
        open_caller(&alone[i], model, (uint64_t)i);
        generate(&alone[i]);
        open_caller(&callers[i], model, (uint64_t)i);
    }
    for (int i = 0; i < CALLERS; i++)
        start(&callers[i], generate);
    for (int i = 0; i < CALLERS; i++) {
        finish(&callers[i]);
        CHECK(callers[i].end == alone[i].end && callers[i].text.size == alone[i].text.size);
        CHECK_STR(callers[i].text.at, alone[i].text.at);
        close_caller(&callers[i]);
        close_caller(&alone[i]);
    }
}

/* ----------------------------------------------------------------------------------- cancelling */

enum { ENDED = 1 << 30 };

/* An endless text, which another thread cancels after some of it was generated. */
struct endless {
    pthread_t thread;
    struct rwkv7_generator *generator;
    struct scheduler *scheduler;
    atomic_int steps; /* ENDED: generation has ended */
    enum rwkv7_end end;
    bool failed;
};

static void *write_endlessly(void *arg)
{
    struct endless *const e = arg;
    const struct rwkv7_step *step = &before_first;
    while (!e->failed && step->end == RWKV7_END_NONE) {
        e->failed = rwkv7_generator_next(e->generator, &step, NULL) != RWKV7_OK;
        atomic_fetch_add(&e->steps, 1);
    }
    e->end = step->end;
    atomic_store(&e->steps, ENDED);
    return NULL;
}

static void await_steps(struct endless *e, int steps)
{
    while (atomic_load(&e->steps) < steps)
        sched_yield();
}

static void test_cancel(void)
{
    const struct rwkv7_generator_options opt = {.sampling = &sampling, .ignore_end = true};
    struct endless e = {.end = RWKV7_END_NONE};
    struct rwkv7_session *const session = new_session();
    CHECK(rwkv7_generator_create(session, tokenizer, &opt, &e.generator, NULL) == RWKV7_OK);
    CHECK(rwkv7_generator_feed(e.generator, "the", 3, NULL) == RWKV7_OK);
    if (pthread_create(&e.thread, NULL, write_endlessly, &e) != 0)
        exit(1);
    await_steps(&e, 3);
    rwkv7_generator_cancel(e.generator);
    pthread_join(e.thread, NULL);
    CHECK(!e.failed && e.end == RWKV7_END_CANCELLED);
    rwkv7_generator_close(e.generator);
    rwkv7_session_close(session);
}

static void *schedule(void *arg)
{
    struct endless *const e = arg;
    while (!e->failed && scheduler_count(e->scheduler) > 0) {
        e->failed = scheduler_step(e->scheduler, NULL) != RWKV7_OK;
        while (scheduler_event(e->scheduler))
            ;
        atomic_fetch_add(&e->steps, 1);
    }
    atomic_store(&e->steps, ENDED);
    return NULL;
}

/*
 * Two endless texts in one scheduler and a generator; this thread cancels both texts, one after the
 * other.
 */
static void test_cancel_scheduled(void)
{
    const struct rwkv7_generator_options opt = {.sampling = &sampling, .ignore_end = true};
    const struct scheduler_options scheduling = {.slots = 2};
    struct endless e = {.end = RWKV7_END_NONE};
    struct scheduled jobs[2] = {0};
    CHECK(scheduler_create(model, &scheduling, &e.scheduler, NULL) == RWKV7_OK);
    struct rwkv7_session *const begin = new_session();
    for (int i = 0; i < 2; i++) {
        CHECK(scheduled_open(&jobs[i], begin, tokenizer, &opt, "the abc", 7, NULL) == RWKV7_OK);
        CHECK(scheduler_add(e.scheduler, &jobs[i], NULL) == RWKV7_OK);
    }
    rwkv7_session_close(begin);
    open_caller(&callers[0], model, 1);
    start(&callers[0], generate);
    if (pthread_create(&e.thread, NULL, schedule, &e) != 0)
        exit(1);
    await_steps(&e, 3);
    request_cancel(&jobs[0].request);
    await_steps(&e, 5);
    request_cancel(&jobs[1].request);
    pthread_join(e.thread, NULL);
    finish(&callers[0]);
    close_caller(&callers[0]);
    CHECK(!e.failed);
    for (int i = 0; i < 2; i++) {
        CHECK(jobs[i].finished && jobs[i].request.end == RWKV7_END_CANCELLED);
        scheduled_close(&jobs[i]);
    }
    scheduler_close(e.scheduler);
}

/* ------------------------------------------------------------------------------------- runtimes */

/* A separate runtime: opened, used and closed concurrently with others. */
static void *use_runtime(void *arg)
{
    struct caller *const c = arg;
    const struct rwkv7_runtime_options opt = {.threads = 2};
    struct rwkv7_runtime *own = NULL;
    struct rwkv7_model *opened = NULL;
    struct rwkv7_tokenizer *vocabulary = NULL;
    struct rwkv7_error err;
    size_t size;
    double bandwidth;
    c->failed |= rwkv7_runtime_create(&opt, &own, NULL) != RWKV7_OK || !rwkv7_runtime_cpus();
    const char *const text = rwkv7_builtin_vocab(&size);
    if (text)
        c->failed |= rwkv7_tokenizer_open_memory(text, size, "built in", &vocabulary, NULL) != RWKV7_OK;
    c->failed |= !own || rwkv7_runtime_bandwidth(own, 1 << 16, &bandwidth, NULL) != RWKV7_OK;
    c->failed |= !own || rwkv7_model_open(own, "/nowhere/model", NULL, &opened, &err) == RWKV7_OK;
    rwkv7_tokenizer_close(vocabulary);
    rwkv7_runtime_close(own);
    return NULL;
}

static void test_runtimes(void)
{
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){.seed = (uint64_t)i};
        start(&callers[i], use_runtime);
    }
    for (int i = 0; i < CALLERS; i++)
        finish(&callers[i]);
}

int main(void)
{
    small_model_threads = 3;
    open_small_model();
    rt->alone_bytes = 0;   /* makes all threads work, although the models are small */
    RUN(test_open_beside); /* first, while the scratch memory is small */
    RUN(test_sessions);
    RUN(test_generators);
    RUN(test_cancel);
    RUN(test_cancel_scheduled);
    RUN(test_runtimes);
    close_small_model();
    return test_end();
}
