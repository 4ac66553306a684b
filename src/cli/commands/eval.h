/* eval.h - what `rwkv7 eval` measures: eval_text.c texts, eval_tasks.c tasks with right answers. */
#ifndef CLI_EVAL_H
#define CLI_EVAL_H

#include "cli/commands/score.h"
#include "cli/common.h"

/* A model at work, and room for logits. */
struct reader {
    struct rwkv7_session *session;
    float *logits; /* [rows][V] */
};
/* Feeds tokens; count <= rows if all their logits are wanted. */
int reader_feed(struct reader *r, const uint32_t *ids, size_t count, enum rwkv7_logits which);

struct evaluation {
    const struct args *args;
    const struct rwkv7_tokenizer *tokenizer;
    int vocab;                      /* V */
    size_t rows;                    /* tokens per evaluation, 1 to RWKV7_CHUNK */
    bool bos;                       /* texts begin with token 0 */
    struct reader model, reference; /* the latter only with --against */

    uint64_t tokens, bytes; /* that were predicted; of choices: in the right ones */
    double loss;            /* sum of -log p over these tokens */

    /* --against */
    double reference_loss, divergence; /* sums */
    uint64_t agreed;                   /* tokens for which both models have the same most likely one */
    struct spread_of spread;           /* of the divergences */

    /* tasks */
    uint64_t examples, right, right_normalized;
};

/* One file each, the sums go on; INTERRUPTED after ^C. */
int eval_text(struct evaluation *e, const char *path);
int eval_lambada(struct evaluation *e, const char *path);
int eval_choices(struct evaluation *e, const char *path);

#endif
