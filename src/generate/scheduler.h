/*
 * scheduler.h - many requests at once: each step evaluates them together, so that each weight is read once for all of them.
 *
 *            scheduled_open(...)         a text: its options, its prompt, a session of its own
 *     loop:  scheduler_add(...)          as many as there are, at any time
 *            scheduler_step(...)         one evaluation
 *            while (scheduler_event())   what it gave: text, an end, an error
 *
 * Requests are served in the order of arrival: the first `slots` of those that are not finished are in the step, the others wait. One that
 * is being written gets one token per step. What room is left goes to prompts, the oldest first, so a long prompt is read in
 * pieces, beside the others' tokens, and never stops them. The text of a request depends on none of this: not on its neighbours, its
 * place, or the number of slots (with exact math).
 *
 * A scheduler is used by one thread at a time; request_cancel may be called from others.
 */
#ifndef GENERATE_SCHEDULER_H
#define GENERATE_SCHEDULER_H

#include "generate/request.h"

/*
 * A text under way. The caller owns it, and it must stay where it is until it is finished. Between steps the session may be copied or
 * cloned. The caller reads the request (step, fed, evaluated, tokens, end) and may cancel it; the scheduler drives it.
 */
struct scheduled {
    struct request request;        /* its prompt is complete (request_end_prompt) */
    struct rwkv7_session *session; /* its own */
    void *owner;                   /* whatever the caller likes */
    bool finished;                 /* and no longer with the scheduler: request.end tells why, or err */
    struct rwkv7_error err;        /* its status is RWKV7_OK unless the request has failed */

    struct scheduled *next, *next_event; /* the scheduler's */
};

struct scheduler_options {
    size_t slots; /* requests in one step at most, 1 to RWKV7_CHUNK */
    size_t
        prompt_budget; /* tokens of prompts in one step at most, beside one for each request; 0: as many as RWKV7_CHUNK holds */
};

/*
 * Opens a text for the scheduler: its session begins as `start` is, its prompt [size] goes behind token 0 where that belongs there
 * (opt->bos), as the generator does it. The tokenizer must outlive it. Errors as of rwkv7_generator_create; nothing is left then.
 */
enum rwkv7_status scheduled_open(struct scheduled *job, const struct rwkv7_session *start,
                                 const struct rwkv7_tokenizer *tokenizer, const struct rwkv7_generator_options *opt,
                                 const void *prompt, size_t size, struct rwkv7_error *err);
/* Frees what it holds; counts and the end can still be read. Not while the scheduler has it. One of zeroes holds nothing. */
void scheduled_close(struct scheduled *job);

struct scheduler;

enum rwkv7_status scheduler_create(struct rwkv7_model *model, const struct scheduler_options *opt,
                                   struct scheduler **out, struct rwkv7_error *err);
/* Requests that are not finished are dropped; they and their sessions stay the caller's. */
void scheduler_close(struct scheduler *s);
/* RWKV7_ERR_USAGE: the request has no tokens to read, so there is nothing to continue. */
enum rwkv7_status scheduler_add(struct scheduler *s, struct scheduled *job, struct rwkv7_error *err);
/* Takes a request out at once, with its event, if there is one; unless it is finished it may be added again. */
void scheduler_remove(struct scheduler *s, struct scheduled *job);
size_t scheduler_count(const struct scheduler *s); /* requests that are not finished */
/*
 * One evaluation, unless there are no requests. A request that was cancelled before or during it ends with RWKV7_END_CANCELLED. A
 * failure concerns the call (memory): no other request has changed. Take the events after a failure too: those of cancelled requests
 * are among them, and the next step forgets them.
 */
enum rwkv7_status scheduler_step(struct scheduler *s, struct rwkv7_error *err);
/* The next one of the requests to which the last step gave something, see request.step and err; NULL: no more. */
struct scheduled *scheduler_event(struct scheduler *s);

#endif
