/* test_pool.c - the thread pool: jobs, phases, sleeping, signals, and children of fork(). */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/pool.h"
#include "engine/engine.h"
#include "test.h"

enum { PHASES = 200, UNITS = 1000 };

struct phases {
    atomic_int units[PHASES];  /* number of units done in each phase */
    atomic_int places[PHASES]; /* sum of their indices */
    atomic_int late;           /* threads that saw an unfinished phase after its barrier */
};

static void phase_worker(void *arg, struct pool *pool, int rank)
{
    struct phases *p = arg;
    for (int phase = 0; phase < PHASES; phase++) {
        int begin, end;
        while (phase % 2 ? pool_share(pool, rank, UNITS, 7, &begin, &end) : pool_take(pool, UNITS, 7, &begin, &end)) {
            p->units[phase] += end - begin;
            p->places[phase] += (begin + end - 1) * (end - begin) / 2;
        }
        pool_barrier(pool);
        if (p->units[phase] != UNITS)
            p->late++;
        pool_barrier(pool);
    }
}

static void test_pool(void)
{
    for (int threads = 1; threads <= 5; threads++) {
        struct pool *pool = NULL;
        CHECK(pool_create(threads, &pool, NULL) == RWKV7_OK);
        for (int round = 0; round < 3; round++) {
            struct phases p = {0};
            pool_run(pool, phase_worker, &p);
            CHECK_MSG(p.late == 0, "%d threads", threads);
            for (int phase = 0; phase < PHASES; phase++)
                CHECK(p.units[phase] == UNITS && p.places[phase] == UNITS * (UNITS - 1) / 2);
        }
        pool_destroy(pool);
    }
}

/* Long pauses between jobs, so that threads sleep and must be woken. */
static void test_pool_sleeps(void)
{
    struct pool *pool = NULL;
    CHECK(pool_create(3, &pool, NULL) == RWKV7_OK);
    for (int round = 0; round < 3; round++) {
        struct phases p = {0};
        usleep(20000);
        pool_run(pool, phase_worker, &p);
        CHECK(p.late == 0);
    }
    pool_destroy(pool);
}

/* Helpers handle only signals that they raise themselves. */
static void check_signals(void *arg, struct pool *pool, int rank)
{
    sigset_t blocked;
    (void)pool;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    if (rank == 1)
        *(bool *)arg = sigismember(&blocked, SIGINT) && sigismember(&blocked, SIGTERM) &&
                       sigismember(&blocked, SIGALRM) && !sigismember(&blocked, SIGBUS) &&
                       !sigismember(&blocked, SIGSEGV) && !sigismember(&blocked, SIGFPE) &&
                       !sigismember(&blocked, SIGILL);
}

static void test_pool_signals(void)
{
    struct pool *pool = NULL;
    bool right = false;
    sigset_t before, after;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    CHECK(pool_create(2, &pool, NULL) == RWKV7_OK);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    CHECK(sigismember(&before, SIGINT) == sigismember(&after, SIGINT)); /* the caller's own signal mask is unchanged */
    pool_run(pool, check_signals, &right);
    CHECK(right);
    pool_destroy(pool);
}

/* Whether a forked child can start threads; prints the reason if not. */
static bool can_fork(void)
{
    if (getenv("QEMU_CPU")) { /* set by .ci/run */
        SKIP("qemu-user ends a forked child that starts threads");
        return false;
    }
#ifdef __SANITIZE_THREAD__ /* defined by gcc, which the stage uses */
    SKIP("ThreadSanitizer ends a forked child that starts threads");
    return false;
#else
    return true;
#endif
}

/*
 * A child of fork() has no helpers: it starts its own instead of waiting for those of its parent.
 */
static void test_pool_fork(void)
{
    if (!can_fork())
        return;
    for (int threads = 1; threads <= 3; threads++) {
        struct pool *pool = NULL;
        struct phases p = {0};
        int status = -1;
        CHECK(pool_create(threads, &pool, NULL) == RWKV7_OK);
        pool_run(pool, phase_worker, &p);
        fflush(stdout);
        const pid_t child = fork();
        if (child == 0) {
            struct phases own = {0};
            alarm(60); /* ends a child that hangs */
            pool_run(pool, phase_worker, &own);
            const bool first = own.late == 0 && own.units[PHASES - 1] == UNITS;
            own = (struct phases){0};
            pool_run(pool, phase_worker, &own);
            pool_destroy(pool);
            _exit(!first || own.late > 0 || own.units[PHASES - 1] != UNITS);
        }
        CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
        /* A child that runs no job does not wait for them either. */
        const pid_t idle = fork();
        if (idle == 0) {
            alarm(60);
            pool_destroy(pool);
            _exit(0);
        }
        CHECK(idle > 0 && waitpid(idle, &status, 0) == idle && status == 0);
        p = (struct phases){0};
        pool_run(pool, phase_worker, &p);
        CHECK(p.late == 0 && p.units[PHASES - 1] == UNITS);
        pool_destroy(pool);
    }
}

static const struct rwkv7_shape forked_shape = {.vocab = 64,
                                                .layers = 2,
                                                .channels = 64,
                                                .heads = 2,
                                                .head_size = 32,
                                                .ffn = 128,
                                                .rank_w = 8,
                                                .rank_a = 8,
                                                .rank_v = 8,
                                                .rank_g = 8};
static const struct rwkv7_random_options forked_options = {.type = RWKV7_F32};

/* The same for a model: the child computes the same as the parent. */
static void test_model_fork(void)
{
    if (!can_fork())
        return;
    const struct rwkv7_runtime_options threads = {.threads = 2};
    static const uint32_t tokens[] = {1, 2, 3};
    float logits[2][64];
    struct rwkv7_runtime *rt = NULL;
    struct rwkv7_model *model = NULL;
    struct rwkv7_session *s = NULL;
    int status = -1;
    CHECK(rwkv7_runtime_create(&threads, &rt, NULL) == RWKV7_OK);
    CHECK(rwkv7_model_random(rt, &forked_shape, &forked_options, &model, NULL) == RWKV7_OK);
    if (!model || rwkv7_session_create(model, &s, NULL) != RWKV7_OK)
        exit(1);
    CHECK(rwkv7_session_eval(s, tokens, 3, RWKV7_LOGITS_LAST, logits[0], NULL) == RWKV7_OK);
    rwkv7_session_reset(s);
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        alarm(60);
        const bool fine = rwkv7_session_eval(s, tokens, 3, RWKV7_LOGITS_LAST, logits[1], NULL) == RWKV7_OK &&
                          memcmp(logits[0], logits[1], sizeof logits[0]) == 0;
        rwkv7_session_close(s);
        rwkv7_model_close(model);
        rwkv7_runtime_close(rt);
        _exit(!fine);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    rwkv7_session_close(s);
    rwkv7_model_close(model);
    rwkv7_runtime_close(rt);
}

/*
 * A process with several threads forks during an evaluation, while locks are held and helpers work.
 * The threads of the child, all at once, are the first to use what the parent opened: each
 * evaluates, and one opens a model.
 */
struct forked {
    struct rwkv7_runtime *rt;
    struct rwkv7_session *s;
    const float *expected; /* [64]; NULL: the thread opens a model */
    pthread_barrier_t *together;
    bool right;
};
static const uint32_t forked_tokens[] = {1, 2, 3};

static void *use_in_child(void *arg)
{
    struct forked *f = arg;
    float logits[64];
    struct rwkv7_model *model = NULL;
    pthread_barrier_wait(f->together);
    if (f->expected) {
        f->right = rwkv7_session_eval(f->s, forked_tokens, 3, RWKV7_LOGITS_LAST, logits, NULL) == RWKV7_OK &&
                   memcmp(logits, f->expected, sizeof logits) == 0;
    } else {
        f->right = rwkv7_model_random(f->rt, &forked_shape, &forked_options, &model, NULL) == RWKV7_OK;
        rwkv7_model_close(model);
    }
    return NULL;
}

struct evaluator {
    struct rwkv7_session *s;
    atomic_bool stop, begun;
};

static void *evaluate_until_stopped(void *arg)
{
    struct evaluator *e = arg;
    while (!e->stop) {
        rwkv7_session_eval(e->s, forked_tokens, 3, RWKV7_LOGITS_NONE, NULL, NULL);
        e->begun = true;
    }
    return NULL;
}

enum { FORKS = 30, IN_CHILD = 3 };

static int child_of_many_threads(struct rwkv7_runtime *rt, struct rwkv7_session *const *sessions, const float *expected)
{
    struct forked f[IN_CHILD];
    pthread_t threads[IN_CHILD];
    pthread_barrier_t together;
    int wrong = 0;
    alarm(60); /* ends a child that hangs */
    pthread_barrier_init(&together, NULL, IN_CHILD);
    for (int i = 0; i < IN_CHILD; i++) {
        f[i] = (struct forked){rt, sessions[i], i == 0 ? NULL : expected, &together, false};
        if (pthread_create(&threads[i], NULL, use_in_child, &f[i]) != 0)
            return 1;
    }
    for (int i = 0; i < IN_CHILD; i++) {
        pthread_join(threads[i], NULL);
        wrong += !f[i].right;
    }
    return wrong;
}

static void test_fork_of_many_threads(void)
{
    if (!can_fork())
        return;
    const struct rwkv7_runtime_options options = {.threads = 3};
    struct rwkv7_runtime *rt = NULL;
    struct rwkv7_model *model = NULL;
    struct rwkv7_session *s[IN_CHILD + 1] = {NULL};
    float expected[64];
    CHECK(rwkv7_runtime_create(&options, &rt, NULL) == RWKV7_OK);
    rt->alone_bytes = 0; /* makes all threads work, although the model is small */
    CHECK(rwkv7_model_random(rt, &forked_shape, &forked_options, &model, NULL) == RWKV7_OK);
    for (int i = 0; i <= IN_CHILD; i++)
        CHECK(rwkv7_session_create(model, &s[i], NULL) == RWKV7_OK);
    CHECK(rwkv7_session_eval(s[0], forked_tokens, 3, RWKV7_LOGITS_LAST, expected, NULL) == RWKV7_OK);
    struct evaluator e = {.s = s[IN_CHILD]};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, evaluate_until_stopped, &e) == 0);
    while (!e.begun)
        sched_yield();
    fflush(stdout);
    for (int i = 0; i < FORKS; i++) {
        int status = -1;
        const pid_t child = fork();
        if (child == 0)
            _exit(child_of_many_threads(rt, s, expected));
        CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
        if (status != 0)
            break;
    }
    e.stop = true;
    pthread_join(thread, NULL);
    for (int i = 0; i <= IN_CHILD; i++)
        rwkv7_session_close(s[i]);
    rwkv7_model_close(model);
    rwkv7_runtime_close(rt);
}

static void test_pool_errors(void)
{
    struct pool *pool = NULL;
    struct rwkv7_error err;
    CHECK(pool_create(0, &pool, &err) == RWKV7_ERR_USAGE && !pool);
    CHECK(strstr(err.message, "found 0") != NULL);
    CHECK(pool_create(100000, &pool, &err) == RWKV7_ERR_USAGE && !pool);
    for (long at = 0; at < 20; at++) {
        mem_fail_after(at);
        const enum rwkv7_status status = pool_create(3, &pool, &err);
        mem_fail_after(-1);
        CHECK(status == RWKV7_OK || status == RWKV7_ERR_MEMORY);
        if (status == RWKV7_OK)
            pool_destroy(pool);
    }
    struct rwkv7_runtime *rt = NULL;
    CHECK(rwkv7_runtime_create(&(struct rwkv7_runtime_options){.threads = -1}, &rt, &err) == RWKV7_ERR_USAGE && !rt);
    CHECK_STR(err.message, "threads: expected 1 to 1024, found -1");
}

int main(void)
{
    RUN(test_pool);
    RUN(test_pool_sleeps);
    RUN(test_pool_signals);
    RUN(test_pool_fork);
    RUN(test_model_fork);
    RUN(test_fork_of_many_threads);
    RUN(test_pool_errors);
    return test_end();
}
