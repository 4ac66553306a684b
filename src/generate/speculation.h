/*
 * speculation.h - several tokens per evaluation, without changing a byte of the text.
 *
 * The next tokens are guessed (the draft) and evaluated together with the last drawn one, as a try
 * of the session. Then the request draws its tokens as always, one by one and in the same order,
 * each from the true logits: while the drawn token is the guessed one, the logits after it are there
 * already. The draft only decides which positions are evaluated together.
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
 * Lengths are chosen by costs that are measured while generating, and by how often guesses of this
 * kind were right lately. Guesses that are not evaluated are compared with the text as well, so
 * nothing is spent to find out.
 */
#ifndef GENERATE_SPECULATION_H
#define GENERATE_SPECULATION_H

#include "generate/draft_model.h"
#include "generate/lookup.h"

/* Seconds for evaluating n tokens at once, 0: unknown. Zeroed: nothing is known. */
enum { COSTS_MOST = RWKV7_TRY };
struct step_costs {
    double seconds[COSTS_MOST + 1];
    int since_plain; /* evaluations since the last one without a draft */
};
void step_costs_add(struct step_costs *c, size_t tokens, bool plain, double seconds);

/*
 * Where drafts come from: one text, such as a conversation with all its answers. Zeroed: an empty
 * text without a draft model.
 */
struct draft_text {
    struct lookup lookup;
    struct draft_model model; /* if its session is not NULL */
    struct step_costs costs;  /* of the driver with one text */
};
void draft_text_close(struct draft_text *t);

/* Writes at most `room` guessed ids that follow the text; returns their number. */
typedef size_t draft_fn(void *arg, uint32_t *ids, size_t room);
struct draft_source {
    draft_fn *draft; /* NULL: none */
    void *arg;
};

enum draft_kind {
    DRAFT_SHORT,  /* by lookup, after a match of 2 tokens */
    DRAFT_MEDIUM, /* of 3 to 5 */
    DRAFT_LONG,   /* of 6 and more */
    DRAFT_MODEL,
    DRAFT_SOURCE,
    DRAFT_KINDS
};

struct speculation {
    int64_t mode;                 /* as in rwkv7_generator_options.speculate */
    struct draft_text own, *lent; /* where drafts come from; lent: not NULL if it is used instead */
    struct draft_source forced;   /* tokens that a grammar leaves no choice for: always right */
    struct draft_source source;   /* replaces lookup and draft model; for tests and benchmarks */

    uint32_t last;           /* the drawn token */
    uint32_t ids[RWKV7_TRY]; /* [1 + drafted]: the drawn token, the draft */
    size_t drafted, chosen;  /* chosen: of the draft, to evaluate */
    size_t certain;          /* of the draft, its first ones: forced */
    size_t passed;           /* of ids, drawn: for the acceptance */
    bool open;               /* a try of the session is open */
    size_t tried, at;        /* tokens of the try that can be kept; of them in the text */
    const float *rows;       /* [tried][vocab] logits, of the driver */
    size_t vocab;

    enum draft_kind kind;
    double acceptance[DRAFT_KINDS]; /* probability that the next guess is right */
    int weight[DRAFT_KINDS];        /* guesses that it was learned from */
    double reached;                 /* of the last chosen guess: probability that it is reached and right */
    int model_misses, model_pause, model_paused; /* tokens */

    uint64_t total_drafted, total_accepted, total_steps; /* tokens evaluated as a draft, kept; evaluations */
};

struct rwkv7_sampler;

/*
 * Opens it for one text. draft_model: NULL: none. RWKV7_ERR_USAGE: `mode` is out of range.
 * RWKV7_ERR_VOCAB: the draft model has another vocabulary size.
 */
enum rwkv7_status speculation_open(struct speculation *s, int64_t mode, const struct rwkv7_model *draft_model,
                                   int vocab, struct rwkv7_error *err);
/* The session must be settled. The counts stay readable. Accepts a zeroed struct. */
void speculation_close(struct speculation *s);
/* Takes drafts from a text that must outlive it, instead of its own. Call it before anything else. */
void speculation_lend(struct speculation *s, struct draft_text *text);
/* Returns where the drafts come from. */
struct draft_text *speculation_text(struct speculation *s);
/* Adds tokens of a prompt to the text. */
void speculation_read(struct speculation *s, const uint32_t *ids, size_t count);

/*
 * Adds a drawn token to the text. Returns the logits [vocab] after it if it was guessed and
 * evaluated; NULL: it must be evaluated.
 */
const float *speculation_take(struct speculation *s, uint32_t id);
/* Prepares the draft after the drawn token; at most `room` tokens will be evaluated, including it. */
void speculation_draft(struct speculation *s, size_t room);
/* Chooses the lengths of the drafts of texts [count] that are evaluated together. */
void speculation_plan(struct step_costs *c, struct speculation *const *texts, size_t count);
/* Writes the draft to s->ids, if it is not there yet. Returns the number of tokens to try, 1: none. */
size_t speculation_fill(struct speculation *s, struct rwkv7_sampler *sampler);
/* Reports the evaluation: rows [n][vocab] for the n tokens to try. */
void speculation_opened(struct speculation *s, const struct rwkv7_session *session, const float *rows);
/* Returns the tokens of the open try that are in the text and evaluated; 0 if none is open. */
size_t speculation_passed(const struct speculation *s);
/*
 * Ends the try: the session has then evaluated the tokens of the text up to the last one taken.
 * Does nothing if none is open.
 */
enum rwkv7_status speculation_settle(struct speculation *s, struct rwkv7_session *session, struct rwkv7_error *err);

#endif
