/*
 * worker.h - the thread that evaluates all jobs together.
 *
 * Each iteration of its loop: drop jobs of disconnected clients; start choices of the oldest jobs
 * while slots are free; run one step of the scheduler (one token for each text, and at most
 * WORKER_PIECE prompt tokens while any text is generated); score one piece of a prompt; pass the
 * events to the jobs.
 *
 * A text whose client does not read is paused: it keeps its state, but gives up its slot. If such
 * texts keep more than PAUSED_PER_SLOT states per slot, those that have stalled longest are ended.
 */
#ifndef SERVER_WORKER_H
#define SERVER_WORKER_H

#include "server/job.h"

/*
 * Maximum prompt tokens in a step while any text is generated, and tokens scored at a time. A step
 * with 128 tokens of a prompt takes about four times as long as one without (docs/BENCHMARKS.md).
 */
enum { WORKER_PIECE = 128 };

/* States that texts of clients that do not read may keep, for each slot (--parallel). */
enum { PAUSED_PER_SLOT = 7 };

struct worker;

enum rwkv7_status worker_start(struct server *s, struct worker **out, struct rwkv7_error *err);
/* Queues a job and takes a reference. False: refused, see *e. */
bool worker_submit(struct worker *w, struct job *job, struct api_error *e);
/*
 * Wakes the worker to check its jobs, after a client disconnected or has read. Callable from any
 * thread.
 */
void worker_nudge(struct worker *w);
size_t worker_jobs(struct worker *w); /* number of unfinished jobs */
/* Ends all jobs, also those submitted later, with status 503. */
void worker_abort(struct worker *w);
/* Ends the thread. All jobs must be finished. */
void worker_stop(struct worker *w);

#endif
