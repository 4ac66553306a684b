/*
 * request.h - one text in the making, as a state machine that never evaluates anything: the heart of src/generate.
 *
 *     text, tokens --request_feed--> [ tokens to be evaluated ] --request_pending--> the driver evaluates them
 *                                              ^                                            |
 *     what happened <--struct rwkv7_step-- request_draw <---------- logits ----------------+
 *
 * A request holds what a text needs beside the state of the model: the tokens that the model has not read, the sampler, and the stream,
 * which finds stop strings and whole characters. The driver holds the session. There are two: generator.c reads with one session and
 * returns after each token; scheduler.c evaluates many requests together. Since no request knows who
 * evaluates it, it may be cancelled within a step, moved, or continued from a copy of its session; a grammar or speculation
 * would change what request_pending and request_draw do and nothing else.
 *
 * A request is driven by one thread. Only request_cancel may be called by others.
 */
#ifndef GENERATE_REQUEST_H
#define GENERATE_REQUEST_H

#include <stdatomic.h>

#include "generate/prompt.h"

struct request {
    struct prompt prompt; /* to be evaluated: what was fed and is not read, or the token that was drawn last */
    bool drawn_pending;   /* it is only the token that was drawn last */
    uint64_t fed;         /* tokens of the prompt so far */
    uint64_t evaluated;   /* tokens that the session has read, drawn ones among them */

    int vocab;
    struct rwkv7_sampler *sampler;
    struct rwkv7_stream *stream;
    uint64_t tokens; /* drawn, without the end of text */
    uint64_t limit;  /* of those; UINT64_MAX: none */
    bool resumable;
    int stop;           /* the stop string that a text which was continued held already, else -1 */
    enum rwkv7_end end; /* not NONE: there will be no more steps */
    atomic_bool cancelled;

    struct rwkv7_logprob *top; /* [top_room] */
    size_t top_room;
    char *text; /* [text_room] of a step whose text comes from the stream in several parts */
    size_t text_size, text_room;
    struct rwkv7_step step; /* the last one */
};

/* Options as of rwkv7_generator_create; progress, bos and reseed are matters of the driver. */
enum rwkv7_status request_open(struct request *r, const struct rwkv7_tokenizer *tokenizer, int vocab,
                               const struct rwkv7_generator_options *opt, struct rwkv7_error *err);
void request_clear(struct request *r); /* frees what it holds; one of zeroes holds nothing */

/* Begins the prompt: with token 0 if it belongs there. `at_start`: the session has read nothing. */
enum rwkv7_status request_begin(struct request *r, enum rwkv7_bos bos, bool at_start, struct rwkv7_error *err);
/* Adds to the prompt. request_end_prompt: no more text comes before the next draw. */
enum rwkv7_status request_feed(struct request *r, const void *text, size_t size, struct rwkv7_error *err);
enum rwkv7_status request_feed_tokens(struct request *r, const uint32_t *ids, size_t count, struct rwkv7_error *err);
enum rwkv7_status request_end_prompt(struct request *r, struct rwkv7_error *err);
/* Continues a text of which these bytes had not been shown when it was left. r->stop tells if it ends with them. */
enum rwkv7_status request_continue_text(struct request *r, const struct rwkv7_bytes *held, struct rwkv7_error *err);

/* The tokens that are to be evaluated next, at most `most`: returns how many. *logits: those after the last one are needed. */
size_t request_pending(const struct request *r, size_t most, const uint32_t **tokens, bool *logits);
/* The first `count` of them were evaluated. */
void request_evaluated(struct request *r, size_t count);
/* Draws from the logits after the last token; r->step tells what happened. */
enum rwkv7_status request_draw(struct request *r, const float *logits, struct rwkv7_error *err);
/* The text ends here, without another token; r->step holds what was held back. */
enum rwkv7_status request_end(struct request *r, enum rwkv7_end why, struct rwkv7_error *err);
/* Asks the driver to end it, from any thread or a signal handler. */
void request_cancel(struct request *r);

#endif
