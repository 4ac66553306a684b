/*
 * worker.h - the thread that evaluates all jobs together.
 *
 * Each turn of its loop: forget jobs whose client left; start choices of the oldest jobs while
 * slots are free; one step of the scheduler (one token for each text, at most WORKER_PIECE tokens
 * of prompts while anything is written); one piece of a prompt whose tokens are scored; events to
 * the jobs. A text whose client does not read pauses and gives up its slot.
 */
#ifndef SERVER_WORKER_H
#define SERVER_WORKER_H

#include "server/job.h"

/*
 * Tokens of prompts in a step while something is generated, and tokens scored at a time. A step
 * with 128 tokens of a prompt takes about four times as long as one without (docs/BENCHMARKS.md).
 */
enum { WORKER_PIECE = 128 };

struct worker;

enum rwkv7_status worker_start(struct server *s, struct worker **out, struct rwkv7_error *err);
/*
 * Queues a job and takes a reference to it. False: the queue is full, and *e says so.
 */
bool worker_submit(struct worker *w, struct job *job, struct api_error *e);
/* Makes the worker look at its jobs: a client left, or has read. From any thread. */
void worker_nudge(struct worker *w);
size_t worker_jobs(struct worker *w); /* unfinished ones */
/* Ends all jobs with status 503, and those that are submitted later. */
void worker_abort(struct worker *w);
/* Ends the thread. No job may be unfinished. */
void worker_stop(struct worker *w);

#endif
