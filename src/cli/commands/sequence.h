/*
 * sequence.h - one batch request: parsed from a line of JSON, evaluated by the scheduler, printed.
 */
#ifndef CLI_SEQUENCE_H
#define CLI_SEQUENCE_H

#include "base/json_tree.h"
#include "cli/commands/engine.h"
#include "cli/commands/fingerprint.h"
#include "cli/options/command_args.h"
#include "generate/scheduler.h"

struct sequence {
    uint64_t line;            /* number in the input, from 1 */
    cJSON *json;              /* the parsed line; strings of `args` point into it */
    struct request_args args; /* of the command, overridden by those of the line */
    bool own_stops;           /* args.stops belongs to this sequence, not to the command */
    bool finished;            /* the result is complete */
    bool ends_in_space;       /* the prompt ends in white space and --strip is off */
    const char *reason;       /* why the text ended: "stop", "end", "length"; NULL: it failed */
    char error[256];          /* why it failed */
    /* out of memory: write no result and end the command */
    bool no_memory;
    uint64_t seed;
    struct scheduled job;
    struct json_tree logprobs; /* an array, if requested */
    char *text;                /* [length] */
    size_t length, room;
    double begin, prompt_end, end; /* seconds */

    char fingerprint[FINGERPRINT_ROOM]; /* set by the caller of sequence_start */
};

/*
 * Makes a sequence from a line of the input. It is finished at once if the line is invalid or
 * requests no tokens; otherwise the caller adds its job to the scheduler. `start`: the session that
 * every sequence starts from. `seed`: used if the line gives none. The line may be freed
 * afterwards. NULL: out of memory; the message was printed.
 */
struct sequence *sequence_start(const struct request_args *args, const struct engine *engine,
                                const struct rwkv7_session *start, uint64_t number, const char *line, size_t length,
                                uint64_t seed);
/* Call it for each scheduler event of this job: takes the text, the end or the error. */
void sequence_take(struct sequence *s, const struct engine *engine);
/* Return the number of evaluated prompt tokens, and the number of drawn tokens. */
uint64_t sequence_prompt_tokens(const struct sequence *s);
uint64_t sequence_tokens(const struct sequence *s);
/*
 * Returns the result as a line of JSON, to be freed with cJSON_free; call it once. NULL: no memory.
 */
char *sequence_result(struct sequence *s);
void sequence_close(struct sequence *s);

#endif
