/*
 * request.h - the core of src/generate: a state machine that generates one text, without evaluating
 * tokens itself.
 *
 *     text, tokens --request_feed--> [ pending tokens ] --request_pending--> driver evaluates them
 *                                              ^                                     |
 *     result <--struct rwkv7_step-- request_draw <-------------- logits -------------+
 *
 * A request holds everything except the model's state: the pending tokens, the sampler, and the
 * stream, which finds stop strings and complete characters. The driver holds the session. There are
 * two drivers: generator.c has one session and returns after each token; scheduler.c evaluates many
 * requests together. A request does not depend on its driver, so it can be cancelled within a step,
 * moved, or continued with a copy of its session. With a grammar, request_draw asks the matcher
 * which tokens are allowed, and advances it by the drawn token. Drivers may guess the next tokens
 * and evaluate them in advance (speculation.h); this does not affect the request.
 *
 * One thread drives a request. Other threads may only call request_cancel.
 */
#ifndef GENERATE_REQUEST_H
#define GENERATE_REQUEST_H

#include <stdatomic.h>

#include "generate/mark.h"
#include "generate/prompt.h"
#include "generate/speculation.h"

struct request {
    struct prompt prompt; /* pending tokens: fed but not evaluated, or the last drawn one */
    bool drawn_pending;   /* only the last drawn token is pending */
    uint64_t fed;         /* tokens of the prompt so far */
    uint64_t evaluated;   /* tokens that the session has evaluated, including drawn ones */

    int vocab;
    struct rwkv7_sampler *sampler;
    struct rwkv7_stream *stream;
    struct rwkv7_matcher *matcher; /* of options.grammar, state after the drawn tokens; or NULL */
    uint64_t tokens;               /* number of drawn tokens, without the end of text */
    uint64_t limit;                /* of drawn tokens; UINT64_MAX: none */
    bool resumable;
    struct speculation speculation;
    int stop;           /* stop string that a continued text already contained, or -1 */
    enum rwkv7_end end; /* other than RWKV7_END_NONE: no more steps */
    atomic_bool cancelled;

    struct rwkv7_logprob *top; /* [top_room] */
    size_t top_room;
    char *text; /* [text_room] for a step whose text has several parts */
    size_t text_size, text_room;
    struct rwkv7_step step; /* the last step */
};

/* Options as for rwkv7_generator_create. The driver handles progress, bos and reseed. */
enum rwkv7_status request_open(struct request *r, const struct rwkv7_tokenizer *tokenizer, int vocab,
                               const struct rwkv7_generator_options *opt, struct rwkv7_error *err);
void request_clear(struct request *r); /* accepts a zeroed struct */

/*
 * Reports that the text of the grammar begins with this one [size], which is at the end of the
 * prompt. Does nothing without a grammar. RWKV7_ERR_USAGE: the grammar does not allow it.
 */
enum rwkv7_status request_follow(struct request *r, const char *text, size_t size, struct rwkv7_error *err);

/* Begins the prompt, with token 0 if needed. at_start: the session has evaluated nothing. */
enum rwkv7_status request_begin(struct request *r, enum rwkv7_bos bos, bool at_start, struct rwkv7_error *err);
/* Add to the prompt. request_end_prompt: its text is complete. */
enum rwkv7_status request_feed(struct request *r, const void *text, size_t size, struct rwkv7_error *err);
enum rwkv7_status request_feed_tokens(struct request *r, const uint32_t *ids, size_t count, struct rwkv7_error *err);
enum rwkv7_status request_end_prompt(struct request *r, struct rwkv7_error *err);
/*
 * Continues a saved text. held: its bytes that were not shown when it was saved. Sets r->stop if
 * the text ends with a stop string.
 */
enum rwkv7_status request_continue_text(struct request *r, const struct rwkv7_bytes *held, struct rwkv7_error *err);

/*
 * Returns the number of pending tokens to evaluate next, at most `limit`. *logits: whether those
 * after the last one are needed.
 */
size_t request_pending(const struct request *r, size_t limit, const uint32_t **tokens, bool *logits);
/*
 * Reports that the first `count` of them were evaluated. Prompt tokens are added to the source of
 * drafts here; the driver adds drawn ones (speculation_take).
 */
void request_evaluated(struct request *r, size_t count);
/* Draws a token from the logits after the last token. The result is in r->step. */
enum rwkv7_status request_draw(struct request *r, const float *logits, struct rwkv7_error *err);
/* Ends the text without another token. r->step contains the text that was held back. */
enum rwkv7_status request_end(struct request *r, enum rwkv7_end why, struct rwkv7_error *err);
/*
 * Records the last step in a mark: its text counts as shown, except for the last `lost` bytes. The
 * session has not evaluated the drawn token yet.
 */
enum rwkv7_status request_mark(const struct request *r, size_t lost, const struct rwkv7_session *session,
                               struct mark *m, struct rwkv7_error *err);
/* Asks the driver to end the text. Any thread or signal handler may call it. */
void request_cancel(struct request *r);

#endif
