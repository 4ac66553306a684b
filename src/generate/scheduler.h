/*
 * scheduler.h - many requests at once: each step evaluates them together and reads each weight
 * once.
 *
 *            scheduled_open(...)         a text: options, prompt, its own session
 *     loop:  scheduler_add(...)          any number, at any time
 *            scheduler_step(...)         one evaluation
 *            while (scheduler_event())   its results: text, an end, an error
 *
 * Requests are served in order of arrival: the first `slots` unfinished ones are in the step, the
 * others wait. A request that generates gets one token per step. The remaining room goes to
 * prompts, the oldest first or in equal parts; a long prompt is evaluated in pieces next to the
 * tokens of the others and never delays them. Requests enter and leave between any two steps. The
 * text of a request does not depend on its neighbours, its position or the number of slots (with
 * --math exact).
 *
 * Requests with options.speculate are evaluated together with guesses of their next tokens, as many
 * as pay for all of them together. Tokens that were guessed right are then drawn in steps without
 * an evaluation, while the other requests wait.
 *
 * One thread at a time may use a scheduler; other threads may call request_cancel.
 */
#ifndef GENERATE_SCHEDULER_H
#define GENERATE_SCHEDULER_H

#include "generate/request.h"

/*
 * A text. The caller owns it and must not move it until it is finished. Between steps its session
 * may be copied or cloned, unless it speculates. The caller reads the request (step, fed, evaluated, tokens, end) and may
 * cancel it; the scheduler drives it.
 */
struct scheduled {
    struct request request;        /* with a complete prompt (request_end_prompt) */
    struct rwkv7_session *session; /* owned */
    void *owner;                   /* for the caller */
    bool paused;                   /* set by the caller: keeps its place, but is in no step */
    uint64_t notice_at;            /* set by the caller, less than the prompt: see `noticed`; 0: never */
    bool noticed;                  /* this event: exactly notice_at tokens have been evaluated, nothing was drawn */
    bool finished;                 /* and removed from the scheduler; see request.end or err */
    bool taken;                    /* used by the scheduler: the drawn token must be evaluated */
    struct rwkv7_error err;        /* RWKV7_OK unless the request failed */

    struct scheduled *next, *next_event; /* used by the scheduler */
};

struct scheduler_options {
    size_t slots;         /* maximum requests in one step, 1 to RWKV7_CHUNK */
    size_t prompt_budget; /* maximum prompt tokens in a step; 0: what RWKV7_CHUNK allows */
    size_t busy_budget;   /* the same while a request generates; 0: prompt_budget */
    bool fair;            /* prompts share the budget equally, instead of the oldest first */
};

/*
 * Opens a text for the scheduler. Its session starts as a copy of `start`; prompt [size] follows
 * token 0 where the generator would add it (opt->bos). The tokenizer must outlive it. Errors as for
 * rwkv7_generator_create; on failure there is nothing to free.
 */
enum rwkv7_status scheduled_open(struct scheduled *job, const struct rwkv7_session *start,
                                 const struct rwkv7_tokenizer *tokenizer, const struct rwkv7_generator_options *opt,
                                 const void *prompt, size_t size, struct rwkv7_error *err);
/*
 * The same with a session of its own, which the job owns afterwards (on success), and with token
 * ids [count], to which nothing is added.
 */
enum rwkv7_status scheduled_open_tokens(struct scheduled *job, struct rwkv7_session *session,
                                        const struct rwkv7_tokenizer *tokenizer,
                                        const struct rwkv7_generator_options *opt, const uint32_t *ids, size_t count,
                                        struct rwkv7_error *err);
/*
 * Frees what it holds; counts and the end stay readable. Not while it is in a scheduler. Accepts a
 * zeroed struct.
 */
void scheduled_close(struct scheduled *job);

struct scheduler;

enum rwkv7_status scheduler_create(struct rwkv7_model *model, const struct scheduler_options *opt,
                                   struct scheduler **out, struct rwkv7_error *err);
/*
 * Drops unfinished requests; they and their sessions still belong to the caller. To go on with one,
 * remove it before.
 */
void scheduler_close(struct scheduler *s);
/* Fails with RWKV7_ERR_USAGE if the request has no pending tokens. */
enum rwkv7_status scheduler_add(struct scheduler *s, struct scheduled *job, struct rwkv7_error *err);
/* Removes a request and its event at once. It may be added again unless it is finished. */
void scheduler_remove(struct scheduler *s, struct scheduled *job);
size_t scheduler_count(const struct scheduler *s); /* number of unfinished requests */
/*
 * Runs one evaluation, or draws tokens that were guessed in the last one. Requests that are cancelled before or during
 * it end with RWKV7_END_CANCELLED. A failure (memory) leaves the other requests unchanged. Read the
 * events after a failure, too: they include cancelled requests, and the next step discards them.
 */
enum rwkv7_status scheduler_step(struct scheduler *s, struct rwkv7_error *err);
/*
 * Returns the next request with a result of the last step, in request.step and err; NULL: no more.
 */
struct scheduled *scheduler_event(struct scheduler *s);

#endif
