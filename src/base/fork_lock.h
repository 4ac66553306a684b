/*
 * fork_lock.h - a mutex that a child of fork() can take, whoever held it in the parent.
 *
 * fork() copies only the thread that calls it, so a mutex that another thread holds is never given back in the child. The first of
 * the child's threads that wants such a lock makes it anew. What the lock protects may be half changed then: it must be something that
 * can be made anew as well, such as threads or scratch memory; its owner compares fork_count().
 */
#ifndef BASE_FORK_LOCK_H
#define BASE_FORK_LOCK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct fork_lock {
    pthread_mutex_t mutex;
    atomic_uint forks; /* fork_count() when the mutex was made */
};
#define FORK_LOCK_INIT               \
    {                                \
        PTHREAD_MUTEX_INITIALIZER, 0 \
    } /* for a static one */

void fork_lock_init(struct fork_lock *lock);
void fork_lock_destroy(struct fork_lock *lock);
void fork_lock_take(struct fork_lock *lock);
void fork_lock_give(struct fork_lock *lock);

/*
 * How often this process was made by fork() since the first lock was made: what was noted before a fork differs behind it, in the child.
 * getpid() would tell as much, but is a system call per token.
 */
unsigned fork_count(void);

#endif
