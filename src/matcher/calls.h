/*
 * calls.h - the grammar of an answer with tool calls. The answer is text, then calls:
 *
 *     I will look.
 *     <tool_call>
 *     {"name": "weather", "arguments": {"city": "Paris"}}
 *     </tool_call>
 *
 * The text may be anything that does not contain <tool_call>; after this tag, everything must be
 * calls. So the grammar applies to the whole answer, but restricts only calls.
 */
#ifndef MATCHER_CALLS_H
#define MATCHER_CALLS_H

#include "matcher/grammar.h"

struct call_function {
    const char *name;   /* without characters that JSON escapes */
    const char *schema; /* JSON Schema of the arguments */
    bool strict;        /* of the schema */
};

struct call_grammar {
    const struct call_function *functions; /* [count] */
    size_t count;
    bool is_free; /* text may precede the calls, and there may be no calls; else only calls */
    /*
     * the answer may begin with a thought, <think>...</think>, which may contain the tag; if not
     * is_free: it must
     */
    bool thoughts;
    const char *opening;      /* if neither: the answer begins with this text */
    uint32_t most;            /* number of calls */
    const char *const *stops; /* [stop_count] strings that may follow the last call, to end the answer */
    size_t stop_count;
};

/* A front end, see grammar.h. *refused: the function whose schema was refused, or SIZE_MAX. */
enum rwkv7_status calls_build(const struct call_grammar *c, struct grammar *g, size_t *refused,
                              struct rwkv7_error *err);
/* Serializes everything that the grammar depends on: *key [*size], to be freed with mem_free. */
enum rwkv7_status calls_key(const struct call_grammar *c, char **key, size_t *size, struct rwkv7_error *err);
/* Like rwkv7_grammar_create; in matcher.c. */
enum rwkv7_status grammar_of_calls(const struct call_grammar *c, const struct rwkv7_tokenizer *tokenizer,
                                   struct rwkv7_grammar **out, size_t *refused, struct rwkv7_error *err);

#endif
