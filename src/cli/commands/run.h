/* run.h - what `rwkv7 run` knows while it writes a text, and afterwards. */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "cli/commands/score.h"
#include "cli/io/prompt.h"
#include "cli/options/request_options.h"

struct generation {
    const struct args *args;
    const struct engine *engine;
    struct rwkv7_session *session;
    struct rwkv7_generator *generator;
    struct rwkv7_generator_stats stats; /* of it, as they are now */
    struct prompt_cache cache;
    struct prompt_progress progress;

    char *text; /* [length] --json: the text so far */
    size_t length, room;
    struct json_tree logprobs; /* --logprobs: an array */

    double began, loaded;   /* when the program began, and had the model */
    const char *finish;     /* why there are no more: "stop", "end", "length", "interrupted" */
    double seconds;         /* from the first draw to the last */
    double first;           /* when the first token was drawn */
    struct spread_of times; /* seconds of each evaluation */
    double density;         /* rwkv7_session_density over all of them */
};

/* The line at the end; --stats; --json. */
void report_summary(const struct generation *g);
void report_stats(const struct generation *g);
int report_json(struct generation *g);

#endif
