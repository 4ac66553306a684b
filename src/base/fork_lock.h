/*
 * fork_lock.h - a mutex that works in a child of fork(), even if another thread of the parent held
 * it.
 *
 * fork() copies only the calling thread, so a mutex held by another thread is never released in the
 * child. The first thread of the child that takes a fork_lock reinitializes it. The protected data
 * may then be in an inconsistent state. So they must be data that can be recreated, such as threads
 * or scratch memory. Their owner compares fork_count() to detect a fork.
 */
#ifndef BASE_FORK_LOCK_H
#define BASE_FORK_LOCK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct fork_lock {
    pthread_mutex_t mutex;
    atomic_uint forks; /* fork_count() when the mutex was initialized */
};
#define FORK_LOCK_INIT               \
    {                                \
        PTHREAD_MUTEX_INITIALIZER, 0 \
    } /* initializer of a static lock */

void fork_lock_init(struct fork_lock *lock);
void fork_lock_destroy(struct fork_lock *lock);
void fork_lock_take(struct fork_lock *lock);
void fork_lock_give(struct fork_lock *lock);

/*
 * Returns how often this process was created by fork() since the first lock was initialized. So a
 * value saved before a fork differs from the current one in the child. getpid() would also work,
 * but costs a system call per token.
 */
unsigned fork_count(void);

#endif
