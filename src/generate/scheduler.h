/*
 * scheduler.h - generates many texts at once: each step evaluates them together and reads each
 * weight once.
 *
 *            scheduled_open(...)         a text: options, prompt, its own session
 *     loop:  scheduler_add(...)          any number, at any time
 *            scheduler_step(...)         one evaluation
 *            while (scheduler_event())   its results: text, an end, an error
 *
 * Requests are served in order of arrival: the first `slots` unfinished ones are in the step, the
 * others wait. A generating request gets one token per step. The remaining room goes to prompts,
 * the oldest first or in equal parts. A long prompt is evaluated in pieces, so generating requests
 * still get a token in every step. Requests can be added and removed between any two steps. With
 * --math exact, the text of a request does not depend on the other requests, its position or the
 * number of slots.
 *
 * For requests with options.speculate, guesses of their next tokens are evaluated as well, as many
 * as raise the total throughput. Correctly guessed tokens are then drawn in steps without an
 * evaluation, while the other requests wait.
 *
 * One thread at a time may use a scheduler; other threads may call request_cancel.
 */
#ifndef GENERATE_SCHEDULER_H
#define GENERATE_SCHEDULER_H

#include "generate/request.h"

/*
 * A text in the scheduler. The caller owns it and must not move it until it is finished. The
 * scheduler drives the request; the caller may read its members (step, fed, evaluated, tokens, end)
 * and cancel it. Between steps the caller may copy or clone its session, unless it speculates.
 */
struct scheduled {
    struct request request;        /* with a complete prompt (request_end_prompt) */
    struct rwkv7_session *session; /* owned */
    void *owner;                   /* for the caller */
    bool paused;                   /* set by the caller: skipped, but keeps its place */
    uint64_t notice_at;            /* set by the caller, below the prompt's length; 0: never */
    bool noticed;                  /* the event: notice_at tokens are evaluated, none drawn */
    bool finished;                 /* removed from the scheduler; see request.end or err */
    bool taken;                    /* used by the scheduler: the drawn token must be evaluated */
    struct rwkv7_error err;        /* RWKV7_OK unless the request failed */

    struct scheduled *next, *next_event; /* used by the scheduler */
};

struct scheduler_options {
    size_t slots;         /* maximum requests in one step, 1 to RWKV7_CHUNK */
    size_t prompt_budget; /* maximum prompt tokens in a step; 0: limited by RWKV7_CHUNK only */
    size_t busy_budget;   /* the same while a request generates; 0: prompt_budget */
    bool fair;            /* prompts share the budget equally; else the oldest first */
};

/*
 * Opens a text for the scheduler. Its session starts as a copy of `start`; then the prompt [size],
 * after token 0 if opt->bos requires it. The tokenizer must outlive it. Errors as for
 * rwkv7_generator_create; on failure there is nothing to free.
 */
enum rwkv7_status scheduled_open(struct scheduled *job, const struct rwkv7_session *start,
                                 const struct rwkv7_tokenizer *tokenizer, const struct rwkv7_generator_options *opt,
                                 const void *prompt, size_t size, struct rwkv7_error *err);
/*
 * The same for a given session, which the job owns after success, and for token ids [count], used
 * as they are.
 */
enum rwkv7_status scheduled_open_tokens(struct scheduled *job, struct rwkv7_session *session,
                                        const struct rwkv7_tokenizer *tokenizer,
                                        const struct rwkv7_generator_options *opt, const uint32_t *ids, size_t count,
                                        struct rwkv7_error *err);
/* Call it after opening: see request_follow. */
enum rwkv7_status scheduled_follow(struct scheduled *job, const char *text, size_t size, struct rwkv7_error *err);
/*
 * Frees what it holds; counts and the end stay readable. Must not be in a scheduler. Accepts a
 * zeroed struct.
 */
void scheduled_close(struct scheduled *job);

struct scheduler;

enum rwkv7_status scheduler_create(struct rwkv7_model *model, const struct scheduler_options *opt,
                                   struct scheduler **out, struct rwkv7_error *err);
/*
 * Drops unfinished requests; the caller still owns them and their sessions. To continue a request
 * elsewhere, remove it first.
 */
void scheduler_close(struct scheduler *s);
/* Fails with RWKV7_ERR_USAGE if the request has no pending tokens. */
enum rwkv7_status scheduler_add(struct scheduler *s, struct scheduled *job, struct rwkv7_error *err);
/* Removes a request and its event at once. It may be added again unless it is finished. */
void scheduler_remove(struct scheduler *s, struct scheduled *job);
size_t scheduler_count(const struct scheduler *s); /* number of unfinished requests */
/*
 * Runs one evaluation, or draws tokens that were guessed in the last one. Requests that are
 * cancelled before or during it end with RWKV7_END_CANCELLED. After a failure (out of memory), the
 * other requests are unchanged. Read the events then, too: they include cancelled requests, and the
 * next step discards them.
 */
enum rwkv7_status scheduler_step(struct scheduler *s, struct rwkv7_error *err);
/*
 * Returns the next request with a result of the last step, in request.step and err; NULL: no more.
 */
struct scheduled *scheduler_event(struct scheduler *s);

#endif
