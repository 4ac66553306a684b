/*
 * speculation.h - speculative decoding: several tokens per evaluation, without changing a byte of
 * the text.
 *
 * The next tokens are guessed (the draft) and evaluated together with the last drawn one, as a try
 * of the session. Then the request draws its tokens as always, one by one, each from the true
 * logits. As long as the drawn token is the guessed one, the logits after it are already available.
 * So a draft affects only which positions are evaluated together.
 *
 *     drawn x;  draft d1 d2 d3;  try [x d1 d2 d3]  ->  logits after x, d1, d2, d3
 *     draw from the logits after x:  d1, as guessed;  after d1: d2;  after d2: y, another one
 *     keep [x d1 d2];  draft after y ...
 *
 * The driver (generator.c, scheduler.c) evaluates; this file chooses drafts and their lengths:
 *
 *     ids = speculation_take(drawn)      logits, if the token was guessed and evaluated
 *     speculation_draft, speculation_plan, speculation_fill, then the try: speculation_opened
 *     speculation_settle                 when the state must be that of the text: keeps what was drawn
 *
 * The length of a draft depends on costs measured while generating, and on the recent acceptance
 * rate of its kind of guess. Guesses that are not evaluated are also compared with the text, so
 * measuring the acceptance rate costs nothing; guesses begin to be evaluated when the text shows
 * that they are right. step_costs.h bounds the loss if they are not.
 */
#ifndef GENERATE_SPECULATION_H
#define GENERATE_SPECULATION_H

#include "generate/draft_model.h"
#include "generate/lookup.h"
#include "generate/step_costs.h"

/*
 * The source of drafts: one text, such as a conversation with all its answers, and a draft model. A
 * zeroed struct is an empty text without a draft model.
 */
struct draft_text {
    struct lookup lookup;
    struct draft_model model; /* used if its session is not NULL */
    struct step_costs costs;  /* for a driver with one text */
};
void draft_text_close(struct draft_text *t);

/* Writes at most `room` guessed ids that follow the text; returns their number. */
typedef size_t draft_fn(void *arg, uint32_t *ids, size_t room);
struct draft_source {
    draft_fn *draft; /* NULL: none */
    void *arg;
};

/* The kinds of guesses whose acceptance differs. */
enum draft_kind {
    DRAFT_MATCH,       /* by lookup: DRAFT_MATCHES kinds, by the number of tokens that match */
    DRAFT_MATCHES = 6, /* after 2; 3; 4 or 5; 6 to 8; 9 to 15; more */
    DRAFT_MODEL = DRAFT_MATCHES,
    DRAFT_SOURCE,
    DRAFT_KINDS
};

struct speculation {
    int64_t mode;                 /* as in rwkv7_generator_options.speculate */
    struct draft_text own, *lent; /* sources of drafts; lent: used instead of `own` unless NULL */
    struct draft_source forced;   /* the only tokens that a grammar allows: always right */
    struct draft_source source;   /* replaces lookup and draft model; for tests and benchmarks */

    uint32_t last;           /* the drawn token */
    uint32_t ids[RWKV7_TRY]; /* [1 + drafted]: the drawn token, the draft */
    size_t drafted, chosen;  /* length of the draft; how much of it to evaluate */
    size_t certain;          /* number of forced tokens at the start of the draft */
    size_t passed;           /* index in ids of the next guess to compare; 0: none */
    bool open;               /* a try of the session is open */
    size_t tried, at;        /* tokens that can be kept; how many of them are in the text */
    const float *rows;       /* [tried][vocab] logits, owned by the driver */
    size_t vocab;

    enum draft_kind kind; /* DRAFT_MATCH: depends on `match` and the place in the draft */
    size_t match;
    double acceptance[DRAFT_KINDS];              /* probability that the next guess is right */
    int weight[DRAFT_KINDS];                     /* number of guesses that it averages */
    double reached, safe;                        /* probability that all chosen guesses are right; at least */
    int model_misses, model_pause, model_paused; /* tokens */

    uint64_t accounted;                                  /* accepted guesses that step_costs know of */
    uint64_t total_drafted, total_accepted, total_steps; /* guesses evaluated; accepted; tries */
};

struct rwkv7_sampler;

/*
 * Opens it for one text. draft_model: may be NULL. RWKV7_ERR_USAGE: `mode` is out of range.
 * RWKV7_ERR_VOCAB: the draft model has another vocabulary size.
 */
enum rwkv7_status speculation_open(struct speculation *s, int64_t mode, const struct rwkv7_model *draft_model,
                                   int vocab, struct rwkv7_error *err);
/* The session must be settled. The counts stay readable. Accepts a zeroed struct. */
void speculation_close(struct speculation *s);
/* Takes drafts from a given text, which must outlive it, instead of its own. Call it first. */
void speculation_lend(struct speculation *s, struct draft_text *text);
/* Returns the source of drafts. */
struct draft_text *speculation_text(struct speculation *s);
/* Adds tokens of a prompt to the text. */
void speculation_read(struct speculation *s, const uint32_t *ids, size_t count);

/*
 * Adds a drawn token to the text. Returns the logits [vocab] after it if it was guessed and
 * evaluated; NULL: it must be evaluated.
 */
const float *speculation_take(struct speculation *s, uint32_t id);
/*
 * Prepares the draft after the drawn token. At most `room` tokens, including that one, will be
 * evaluated.
 */
void speculation_draft(struct speculation *s, size_t room);
/*
 * Adds guesses that were accepted to the account of the driver's costs. speculation_plan and
 * speculation_close (for the costs of the text) call it.
 */
void speculation_account(struct speculation *s, struct step_costs *c);
/* Chooses the lengths of the drafts of texts [count] that are evaluated together. */
void speculation_plan(struct step_costs *c, struct speculation *const *texts, size_t count);
/*
 * Completes s->ids: a draft model drafts now. Returns the number of tokens to evaluate; 1: no
 * guesses.
 */
size_t speculation_fill(struct speculation *s, struct rwkv7_sampler *sampler);
/* Reports the evaluation of the try: rows [n][vocab] are its logits. */
void speculation_opened(struct speculation *s, const struct rwkv7_session *session, const float *rows);
/* Returns how many tokens of the open try are in the text; 0: no open try. */
size_t speculation_passed(const struct speculation *s);
/*
 * Ends the open try, if any: sets the session to the state after the try's tokens that are in the
 * text.
 */
enum rwkv7_status speculation_settle(struct speculation *s, struct rwkv7_session *session, struct rwkv7_error *err);

#endif
