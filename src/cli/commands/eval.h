/*
 * eval.h - the evaluations of `rwkv7 eval`: perplexity of texts (eval_text.c), tasks
 * (eval_tasks.c).
 */
#ifndef CLI_EVAL_H
#define CLI_EVAL_H

#include "cli/commands/score.h"
#include "cli/options/command_args.h"

/* A session of a model with a buffer for logits. */
struct reader {
    struct rwkv7_session *session;
    float *logits; /* [rows][V] */
};
/* Evaluates tokens; with RWKV7_LOGITS_ALL, count <= rows. Returns an exit code. */
int reader_feed(struct reader *r, const uint32_t *ids, size_t count, enum rwkv7_logits which);

struct evaluation {
    const struct eval_args *args;
    const struct rwkv7_tokenizer *tokenizer;
    int vocab;                      /* V */
    size_t rows;                    /* tokens per evaluation, 1 to RWKV7_CHUNK */
    bool bos;                       /* texts begin with token 0 */
    struct reader model, reference; /* the latter only with --against */

    uint64_t tokens, bytes; /* scored; of choices: bytes of the right answers only */
    double loss;            /* sum of -log p over the tokens; of choices: of the right answers */

    /* --against */
    double reference_loss, divergence; /* sums */
    uint64_t agreed;                   /* positions where both models have the same top-1 token */
    struct spread_of spread;           /* distribution of the divergences */

    /* tasks */
    uint64_t examples, right, right_normalized;
};

/* Each evaluates one file and adds to the sums. Returns an exit code; INTERRUPTED after ^C. */
int eval_text(struct evaluation *e, const char *path);
int eval_lambada(struct evaluation *e, const char *path);
int eval_choices(struct evaluation *e, const char *path);

#endif
