/*
 * pool.h - a team of threads that runs one function together and meets at barriers.
 *
 * A token needs about five barriers per layer, a few microseconds apart, so waiting threads spin for a while before they sleep.
 * The work of a phase is taken in chunks rather than divided by the number of threads: a core that is slower or busy with something
 * else takes fewer chunks. Results never depend on which thread computes a chunk.
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
/* Whether the threads outnumber the CPUs that they may use, as of the last check; waiting threads then yield. For tests. */
bool pool_is_crowded(struct pool *pool);

/*
 * Runs fn on every thread, each in the default floating-point environment (float_env.h), and returns when all have finished.
 * Callers from several threads take turns. In a child of fork(), where the other threads do not exist, the first call starts new
 * ones, whatever the threads of the parent were doing. `fn` must not fork, unless the child only execs.
 */
void pool_run(struct pool *pool, pool_fn *fn, void *arg);

/*
 * Inside fn only: waits for all threads of the pool. What they wrote before is visible afterwards. Resets pool_take and pool_share for
 * the next phase.
 */
void pool_barrier(struct pool *pool);

/*
 * Inside fn only: takes the next chunk [*begin, *end) of `total` units; false when none is left. All threads of a phase
 * pass the same total and chunk; a phase ends at a barrier or with fn.
 */
bool pool_take(struct pool *pool, int total, int chunk, int *begin, int *end);

/*
 * The same, but a thread takes the chunks of its own part in order first, then those that other threads have not begun. For work
 * bound by memory: long streams are read fastest, and a core finds in its caches what it used for the token before.
 */
bool pool_share(struct pool *pool, int rank, int total, int chunk, int *begin, int *end);

#endif
