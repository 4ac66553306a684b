/* run.h - the data of one `rwkv7 run`, shared by run.c and its reports (run_report.c). */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "base/json_tree.h"
#include "cli/commands/engine.h"
#include "cli/commands/score.h"
#include "cli/io/prompt.h"
#include "cli/options/command_args.h"
#include "cli/options/request_options.h"

struct generation {
    const struct run_args *args;
    const struct engine *engine;
    struct rwkv7_session *session;
    struct rwkv7_generator *generator;
    struct rwkv7_generator_stats stats; /* of the generator, updated after each step */
    struct prompt_cache cache;
    struct prompt_progress progress;

    char *text; /* [length] --json: the text so far */
    size_t length, room;
    struct json_tree logprobs; /* --logprobs: an array */

    double began, loaded;   /* times when the program started and the model was loaded */
    const char *finish;     /* why the text ended: "stop", "end", "length", "interrupted" */
    double seconds;         /* of the generation, from the first draw to the last */
    double first;           /* time of the first draw */
    struct spread_of times; /* seconds of each evaluation */
    double density;         /* rwkv7_session_density over all evaluations */
};

/* Print the summary line on stderr; the timings of --stats; the object of --json. */
void report_summary(const struct generation *g);
void report_stats(const struct generation *g);
int report_json(struct generation *g);

#endif
