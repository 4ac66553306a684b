/*
 * pool.h - a team of threads that runs one function together and synchronizes at barriers.
 *
 * A token needs about five barriers per layer, a few microseconds apart, so waiting threads spin
 * for a while before they sleep. Threads take the work of a phase in chunks, so that a core that is
 * slower or busy does less of it. Results never depend on which thread computes a chunk.
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stdbool.h>

#include "base/status.h"

struct pool;

/* `rank` is 0 .. threads - 1; rank 0 is the calling thread. */
typedef void pool_fn(void *arg, struct pool *pool, int rank);

enum rwkv7_status pool_create(int threads, struct pool **out, struct rwkv7_error *err);
void pool_destroy(struct pool *pool);
int pool_threads(const struct pool *pool);
/*
 * Whether there were more threads than available CPUs at the last check; waiting threads then
 * yield. For tests.
 */
bool pool_is_crowded(struct pool *pool);

/*
 * Runs fn on every thread, in the default floating-point environment (float_env.h), and returns
 * when all have finished. Concurrent callers are serialized. In a child of fork(), the first call
 * starts new helper threads, whatever state the parent's threads were in. `fn` must not fork,
 * unless the child only execs.
 */
void pool_run(struct pool *pool, pool_fn *fn, void *arg);

/*
 * Inside fn only: waits for all threads of the pool. Their earlier writes are visible afterwards.
 * Resets pool_take and pool_share for the next phase.
 */
void pool_barrier(struct pool *pool);

/*
 * Inside fn only: takes the next chunk [*begin, *end) of `total` units; returns false if none is
 * left. All threads of a phase pass the same total and chunk. A phase ends at a barrier or when fn
 * returns.
 */
bool pool_take(struct pool *pool, int total, int chunk, int *begin, int *end);

/*
 * Like pool_take, but each thread first takes the chunks of its own part in order, then chunks of
 * other threads. For memory-bound work: long sequential reads are fastest, and a core finds data of
 * the previous token in its caches.
 */
bool pool_share(struct pool *pool, int rank, int total, int chunk, int *begin, int *end);

#endif
