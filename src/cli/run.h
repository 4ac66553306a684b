/* run.h - what `rwkv7 run` knows while it writes a text, and afterwards. */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "cli/prompt.h"
#include "cli/score.h"

struct generation {
    const struct args *args;
    const struct engine *engine;
    struct rwkv7_session *session;
    struct rwkv7_sampler *sampler;
    struct rwkv7_stream *stream;
    float *logits;   /* [V] after the last token of the session */
    bool has_logits; /* there was one */
    uint64_t seed;
    struct rwkv7_note memory; /* of the sampler, to be kept with the state */

    char *text; /* [length] --json: the text so far */
    size_t length, room;
    cJSON *logprobs; /* --logprobs: an array */

    double began, loaded; /* when the program began, and had the model */
    struct prompt_result prompt;
    long long tokens;       /* generated, and shown or part of a stop string */
    const char *finish;     /* why there are no more: "stop", "end", "length", "interrupted" */
    uint64_t evaluated;     /* of the tokens; the last one needs no evaluation */
    double seconds;         /* from the first draw to the last */
    double first;           /* when the first token was drawn */
    struct spread_of times; /* seconds of each evaluation */
    double density;         /* rwkv7_session_density over all of them */
};

/* --verbose, before; the line at the end; --stats; --json. */
void report_start(const struct generation *g);
void report_summary(const struct generation *g);
void report_stats(const struct generation *g);
int report_json(struct generation *g);

#endif
