/*
 * pool.c - see pool.h.
 *
 * A thread waits for an event (a change of a counter) in two stages. First it spins: it polls the
 * counter for a few microseconds, longer than most waits inside a token. Then it sleeps on a
 * condition variable. A sleeper registers itself under the mutex before it checks the counter a
 * last time, and the thread that changes the counter checks for sleepers afterwards. So no wake-up
 * is lost.
 *
 * If there are more threads than CPUs, a spinning thread keeps the thread that it waits for from
 * running. Then the first stage yields the CPU between polls. CPU seconds for the same tokens:
 *
 *     1 thread                        5.9
 *     2 threads, yielding             5.9
 *     2 threads, sleeping at once     6.7
 *     2 threads, spinning             7.5
 *
 * Measured on 1 CPU with a model of 190 M parameters in 4 bits, minimum of 4 runs.
 */
#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/cpus.h"
#include "base/float_env.h"
#include "base/fork_lock.h"
#include "base/mem.h"

/*
 * Number of polls before a waiting thread sleeps. SPIN: 10 to 30 microseconds, longer than the
 * usual wait between two phases of a token and shorter than sleeping and waking. YIELD: other
 * threads run in between, so few polls suffice.
 */
#define SPIN_LOOKS 400
#define YIELD_LOOKS 20
/* The affinity of the threads may change at any time; it is read again after this many jobs. */
#define JOBS_PER_CHECK 64
#define MAX_THREADS 1024
#define STACK_SIZE ((size_t)1 << 20) /* bytes, for helper threads: the default is ulimit -s, which may be too small */

/* A counter; threads wait until it changes. */
struct event {
    _Alignas(64) atomic_uint value;
    atomic_int sleepers;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
};

/*
 * Number of chunks taken, in the current phase, from the part that belongs to one thread
 * (pool_share).
 */
struct share {
    _Alignas(64) atomic_int taken;
};

struct pool {
    atomic_int threads;     /* constant, except in a child of fork() that cannot start as many */
    int started;            /* running helper threads; threads - 1 after pool_create has succeeded */
    bool is_limited;        /* more threads than CPUs from the start: is_crowded stays true */
    atomic_bool is_crowded; /* more threads than CPUs: waiting threads yield instead of spinning */
    unsigned jobs;          /* calls of pool_run */
    atomic_uint
        forks; /* fork_count() when the helpers were started; after another fork they do not exist in this process */
    pthread_t *handles;        /* [threads]: handles of the helpers; [0] is unused */
    struct fork_lock job_lock; /* held by the caller of pool_run */
    pool_fn *fn;
    void *arg;
    bool quit;
    struct event job;     /* event: a job was handed out */
    struct event barrier; /* event: all threads reached the barrier */
    _Alignas(64) atomic_int arrived;
    _Alignas(64) atomic_int taken; /* next unit of the current phase (pool_take) */
    struct share *shares;          /* [threads] */
};

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

/* Waits until the counter differs from `seen`. */
static void event_wait(struct event *e, unsigned seen, bool is_crowded)
{
    for (int i = 0; i < (is_crowded ? YIELD_LOOKS : SPIN_LOOKS); i++) {
        if (atomic_load_explicit(&e->value, memory_order_acquire) != seen)
            return;
        if (is_crowded)
            sched_yield();
        else
            pause_cpu();
    }
    pthread_mutex_lock(&e->mutex);
    atomic_fetch_add(&e->sleepers, 1);
    while (atomic_load(&e->value) == seen)
        pthread_cond_wait(&e->changed, &e->mutex);
    atomic_fetch_sub(&e->sleepers, 1);
    pthread_mutex_unlock(&e->mutex);
}

/* Increments the counter and wakes all sleepers. */
static void event_signal(struct event *e)
{
    atomic_fetch_add(&e->value, 1);
    if (atomic_load(&e->sleepers) > 0) {
        pthread_mutex_lock(&e->mutex);
        pthread_cond_broadcast(&e->changed);
        pthread_mutex_unlock(&e->mutex);
    }
}

static void event_init(struct event *e)
{
    atomic_store(&e->value, 0);
    atomic_store(&e->sleepers, 0);
    pthread_mutex_init(&e->mutex, NULL);
    pthread_cond_init(&e->changed, NULL);
}

static void event_destroy(struct event *e)
{
    pthread_cond_destroy(&e->changed);
    pthread_mutex_destroy(&e->mutex);
}

/* Argument of a helper thread, which frees it. */
struct start {
    struct pool *pool;
    int rank;
};

static void *helper_main(void *arg)
{
    struct start *start = arg;
    struct pool *pool = start->pool;
    const int rank = start->rank;
    mem_free(start);
    float_env_set_default(); /* a new thread inherits the environment of its creator */
    for (unsigned seen = 0;; seen++) {
        event_wait(&pool->job, seen, pool_is_crowded(pool));
        if (pool->quit)
            return NULL;
        pool->fn(pool->arg, pool, rank);
        pool_barrier(pool);
    }
}

static enum rwkv7_status start_all(struct pool *pool, struct rwkv7_error *err)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    for (int rank = 1; rank < pool->threads; rank++) {
        struct start *start = mem_alloc(1, sizeof *start);
        if (!start) {
            pthread_attr_destroy(&attributes);
            return fail_memory(err, "the thread pool");
        }
        *start = (struct start){pool, rank};
        if (pthread_create(&pool->handles[rank], &attributes, helper_main, start) != 0) {
            mem_free(start);
            pthread_attr_destroy(&attributes);
            return fail(err, RWKV7_ERR_MEMORY, "cannot start thread %d of %d", rank + 1, pool->threads);
        }
        pool->started++;
    }
    pthread_attr_destroy(&attributes);
    return RWKV7_OK;
}

/*
 * Starts the helpers with signals blocked, so that the program's own threads handle them. Signals
 * that an instruction of the helper itself can raise, such as SIGBUS when a mapped file was
 * truncated, stay unblocked: if blocked, they would kill the process without calling the program's
 * handler.
 */
static enum rwkv7_status start_helpers(struct pool *pool, struct rwkv7_error *err)
{
    static const int raised[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL};
    sigset_t blocked, before;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof raised / sizeof raised[0]; i++)
        sigdelset(&blocked, raised[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    const enum rwkv7_status status = start_all(pool, err);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

static void end_helpers(struct pool *pool)
{
    pool->quit = true;
    event_signal(&pool->job);
    for (int i = 1; i <= pool->started; i++)
        pthread_join(pool->handles[i], NULL);
    pool->started = 0;
    pool->quit = false;
}

/* Resets events and counters. Requires that no helpers exist and nothing waits. */
static void reset(struct pool *pool)
{
    event_init(&pool->job);
    event_init(&pool->barrier);
    atomic_store(&pool->arrived, 0);
    atomic_store(&pool->taken, 0);
    for (int i = 0; i < pool->threads; i++)
        atomic_store(&pool->shares[i].taken, 0);
    pool->started = 0;
    pool->quit = false;
    pool->forks = fork_count();
}

/*
 * Called for the first job after fork(), with the job lock held. fork() copies only the calling
 * thread, so the child starts its own helpers. If it cannot, the calling thread works alone, with
 * the same results. The events that helpers of the parent used are reset. A job that another thread
 * of the parent had started is dropped.
 */
static void start_again(struct pool *pool)
{
    reset(pool);
    if (pool->threads > 1 && start_helpers(pool, NULL) != RWKV7_OK) {
        end_helpers(pool);
        reset(pool);
        pool->threads = 1;
    }
}

enum rwkv7_status pool_create(int threads, struct pool **out, struct rwkv7_error *err)
{
    enum rwkv7_status status;
    *out = NULL;
    if (threads < 1 || threads > MAX_THREADS)
        return fail(err, RWKV7_ERR_USAGE, "threads: expected 1 to %d, found %d", MAX_THREADS, threads);
    struct pool *pool = mem_alloc(1, sizeof *pool);
    if (!pool)
        return fail_memory(err, "the thread pool");
    pool->threads = threads;
    struct cpus cpus;
    cpus_read(&cpus);
    pool->is_limited = threads > cpus_at_once(&cpus);
    pool->is_crowded = pool->is_limited;
    fork_lock_init(&pool->job_lock);
    pool->handles = mem_alloc((size_t)threads, sizeof *pool->handles);
    pool->shares = mem_alloc((size_t)threads, sizeof *pool->shares);
    if (!pool->handles || !pool->shares) {
        status = fail_memory(err, "the thread pool");
        goto fail;
    }
    reset(pool);
    status = start_helpers(pool, err);
    if (status != RWKV7_OK)
        goto fail;
    *out = pool;
    return RWKV7_OK;
fail:
    pool_destroy(pool);
    return status;
}

void pool_destroy(struct pool *pool)
{
    if (!pool)
        return;
    if (pool->shares && pool->forks == fork_count()) { /* otherwise the helpers do not exist in this process */
        end_helpers(pool);
        event_destroy(&pool->barrier);
        event_destroy(&pool->job);
    }
    fork_lock_destroy(&pool->job_lock);
    mem_free(pool->shares);
    mem_free(pool->handles);
    mem_free(pool);
}

bool pool_is_crowded(struct pool *pool)
{
    return atomic_load_explicit(&pool->is_crowded, memory_order_relaxed);
}

int pool_threads(const struct pool *pool)
{
    return atomic_load_explicit(&pool->threads, memory_order_relaxed);
}

/* Whether the threads together may run on fewer CPUs than there are threads. */
static bool lacks_cpus(const struct pool *pool)
{
    struct cpu_set set = {{0}};
    if (!cpus_add_allowed(&set, pthread_self()))
        return false;
    for (int i = 1; i < pool->threads && cpu_set_count(&set) < pool->threads;
         i++) /* the calling thread may have an affinity of its own */
        cpus_add_allowed(&set, pool->handles[i]);
    return cpu_set_count(&set) < pool->threads;
}

void pool_run(struct pool *pool, pool_fn *fn, void *arg)
{
    DEFAULT_FLOAT_ENV;
    fork_lock_take(&pool->job_lock);
    if (pool->forks != fork_count())
        start_again(pool);
    if (pool->threads > 1 && !pool->is_limited && pool->jobs++ % JOBS_PER_CHECK == 0)
        atomic_store_explicit(&pool->is_crowded, lacks_cpus(pool), memory_order_relaxed);
    pool->fn = fn;
    pool->arg = arg;
    if (pool->threads > 1)
        event_signal(&pool->job);
    fn(arg, pool, 0);
    pool_barrier(pool);
    fork_lock_give(&pool->job_lock);
}

void pool_barrier(struct pool *pool)
{
    const unsigned seen = atomic_load_explicit(&pool->barrier.value, memory_order_relaxed);
    const int threads = pool_threads(pool);
    if (atomic_fetch_add_explicit(&pool->arrived, 1, memory_order_acq_rel) == threads - 1) {
        atomic_store_explicit(&pool->arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&pool->taken, 0, memory_order_relaxed);
        for (int i = 0; i < threads; i++)
            atomic_store_explicit(&pool->shares[i].taken, 0, memory_order_relaxed);
        event_signal(&pool->barrier);
    } else {
        event_wait(&pool->barrier, seen, pool_is_crowded(pool));
    }
}

bool pool_take(struct pool *pool, int total, int chunk, int *begin, int *end)
{
    /*
     * Threads that find no work left also increment the counter. It cannot overflow before the
     * barrier resets it.
     */
    const int at = atomic_fetch_add_explicit(&pool->taken, chunk, memory_order_relaxed);
    if (at >= total)
        return false;
    *begin = at;
    *end = total - at < chunk ? total : at + chunk;
    return true;
}

bool pool_share(struct pool *pool, int rank, int total, int chunk, int *begin, int *end)
{
    const int chunks = (total + chunk - 1) / chunk, threads = pool_threads(pool);
    for (int i = 0; i < threads; i++) {
        const int owner = rank + i < threads ? rank + i : rank + i - threads;
        const int first = (int)((int64_t)chunks * owner / threads);
        const int count = (int)((int64_t)chunks * (owner + 1) / threads) - first;
        atomic_int *taken = &pool->shares[owner].taken;
        if (atomic_load_explicit(taken, memory_order_relaxed) >= count)
            continue;
        const int at = atomic_fetch_add_explicit(taken, 1, memory_order_relaxed);
        if (at < count) {
            *begin = (first + at) * chunk;
            *end = total - *begin < chunk ? total : *begin + chunk;
            return true;
        }
    }
    return false;
}
