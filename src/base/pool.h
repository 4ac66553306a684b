/*
 * pool.h - a team of threads that runs one function together and meets at barriers.
 *
 * A token needs about five meetings per layer, each a few microseconds apart, so the threads spin for a while before they
 * sleep. Work inside a phase is taken in chunks rather than cut in halves: a core that is slower or busy with something else
 * takes fewer. Which thread computes a chunk never changes its result.
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
 * Runs fn on every thread, each in the default floating-point environment (float_env.h), and returns when all have finished.
 * Callers from several threads take turns.
 */
void pool_run(struct pool *pool, pool_fn *fn, void *arg);

/* Inside fn only: waits for all threads of the team. Everything written before is visible after. Resets pool_take. */
void pool_barrier(struct pool *pool);

/*
 * Inside fn only: takes the next chunk [*begin, *end) of `total` units; false when none is left. All threads of a phase
 * pass the same total and chunk; a phase ends at a barrier or with fn.
 */
bool pool_take(struct pool *pool, int total, int chunk, int *begin, int *end);

/*
 * The same, but a thread first goes through a part of its own, in order, and then through what the others have not yet begun of theirs:
 * for work that is bound by memory, which likes long streams and finds in the caches of a core what that core used before.
 */
bool pool_share(struct pool *pool, int rank, int total, int chunk, int *begin, int *end);

#endif
