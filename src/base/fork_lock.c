/* fork_lock.c - see fork_lock.h. */
#include "base/fork_lock.h"

static atomic_uint forks;

/*
 * Held while a lock is reinitialized. The forking thread also holds it across fork(), so that the
 * child can unlock it.
 */
static pthread_mutex_t renewing = PTHREAD_MUTEX_INITIALIZER;

static void before_fork(void)
{
    pthread_mutex_lock(&renewing);
}

static void in_parent(void)
{
    pthread_mutex_unlock(&renewing);
}

static void in_child(void)
{
    atomic_fetch_add(&forks, 1);
    pthread_mutex_unlock(&renewing);
}

static void watch_forks(void)
{
    pthread_atfork(before_fork, in_parent, in_child);
}

static pthread_once_t watched = PTHREAD_ONCE_INIT;

unsigned fork_count(void)
{
    return atomic_load_explicit(&forks, memory_order_relaxed);
}

void fork_lock_init(struct fork_lock *lock)
{
    pthread_once(&watched, watch_forks);
    pthread_mutex_init(&lock->mutex, NULL);
    atomic_store(&lock->forks, fork_count());
}

void fork_lock_destroy(struct fork_lock *lock)
{
    if (lock->forks == fork_count()) /* otherwise a thread that does not exist in this process may hold it */
        pthread_mutex_destroy(&lock->mutex);
}

void fork_lock_take(struct fork_lock *lock)
{
    pthread_once(&watched, watch_forks); /* a static lock was not created by fork_lock_init */
    if (atomic_load_explicit(&lock->forks, memory_order_acquire) != fork_count()) {
        pthread_mutex_lock(&renewing);
        if (lock->forks != fork_count()) {
            pthread_mutex_init(&lock->mutex, NULL);
            atomic_store_explicit(&lock->forks, fork_count(), memory_order_release);
        }
        pthread_mutex_unlock(&renewing);
    }
    pthread_mutex_lock(&lock->mutex);
}

void fork_lock_give(struct fork_lock *lock)
{
    pthread_mutex_unlock(&lock->mutex);
}
