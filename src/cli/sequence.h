/*
 * sequence.h - one prompt on its way to a result: a line of JSON in, a line of JSON out, and tokens between, which somebody else
 * evaluates.
 */
#ifndef CLI_SEQUENCE_H
#define CLI_SEQUENCE_H

#include "cli/common.h"

struct sequence {
    uint64_t line;       /* of the input, from 1 */
    cJSON *request;      /* strings of `args` point into it */
    struct args args;    /* those of the command, or what the line says instead */
    bool own_stops;      /* args.stops is not that of the command */
    bool finished;       /* the result is complete */
    const char *reason;  /* why the text ended: "stop", "end", "length" */
    char error[256];     /* or why there is none */
    uint32_t *prompt;    /* [prompt_count], until it is evaluated */
    size_t prompt_count; /* with token 0, if it starts with that */
    size_t fed;          /* tokens of it that were evaluated */
    uint32_t next;       /* behind the prompt: the token to be evaluated */
    int tokens;          /* drawn */
    uint64_t seed;
    struct rwkv7_session *session;
    struct rwkv7_sampler *sampler;
    struct rwkv7_stream *stream;
    cJSON *logprobs; /* an array, if asked for */
    char *text;      /* [length] */
    size_t length, room;
    double begin, prompt_end, end; /* seconds */
};

/*
 * A sequence of the line; one that is finished at once if the line is bad. start: the session that each begins as. seed: if the line
 * has none. NULL: out of memory, and a message was printed. The line is not needed any more.
 */
struct sequence *sequence_start(const struct args *args, const struct engine *engine, const struct rwkv7_session *start,
                                uint64_t number, const char *line, size_t length, uint64_t seed);
/* The tokens to be evaluated next, at most `most` >= 1; returns whether the logits after them are wanted. */
bool sequence_feed(const struct sequence *s, size_t most, const uint32_t **tokens, size_t *count);
/* They were evaluated: draws the next token, if the logits were wanted. err: what the evaluation of this sequence said. */
void sequence_advance(struct sequence *s, const struct engine *engine, size_t count, const float *logits,
                      const struct rwkv7_error *err);
/* The result as a line of JSON, to be freed by cJSON_free; NULL when out of memory. */
char *sequence_result(const struct sequence *s);
void sequence_close(struct sequence *s);

#endif
