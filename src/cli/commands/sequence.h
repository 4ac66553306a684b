/*
 * sequence.h - one prompt of `rwkv7 batch` on its way to a result: a line of JSON in, a line of JSON out. Between them the scheduler
 * works on it.
 */
#ifndef CLI_SEQUENCE_H
#define CLI_SEQUENCE_H

#include "cli/commands/fingerprint.h"
#include "generate/scheduler.h"

struct sequence {
    uint64_t line;      /* of the input, from 1 */
    cJSON *json;        /* of the line; strings of `args` point into it */
    struct args args;   /* those of the command, or what the line says instead */
    bool own_stops;     /* args.stops is not that of the command */
    bool finished;      /* the result is complete */
    bool ends_in_space; /* the prompt, and nothing removed it */
    const char *reason; /* why the text ended: "stop", "end", "length" */
    char error[256];    /* or why there is none */
    bool no_memory;     /* which is no fault of the line: it has no result, and the command ends */
    uint64_t seed;
    struct scheduled job;
    struct json_tree logprobs; /* an array, if asked for */
    char *text;                /* [length] */
    size_t length, room;
    double begin, prompt_end, end; /* seconds */

    char fingerprint[FINGERPRINT_ROOM]; /* of what the result is made from; whoever starts the sequence sets it */
};

/*
 * A sequence of the line; one that is finished at once if the line is bad or asks for no token, else its job is for the scheduler.
 * start: the session that each begins as. seed: if the line has none. NULL: out of memory, and a message was printed. The line is not
 * needed any more.
 */
struct sequence *sequence_start(const struct args *args, const struct engine *engine, const struct rwkv7_session *start,
                                uint64_t number, const char *line, size_t length, uint64_t seed);
/* The scheduler has an event for its job: takes the text, the end or the error. */
void sequence_take(struct sequence *s, const struct engine *engine);
/* Tokens of the prompt that were evaluated, and tokens drawn. */
uint64_t sequence_prompt_tokens(const struct sequence *s);
uint64_t sequence_tokens(const struct sequence *s);
/* The result as a line of JSON, to be freed by cJSON_free, once; NULL when out of memory. */
char *sequence_result(struct sequence *s);
void sequence_close(struct sequence *s);

#endif
