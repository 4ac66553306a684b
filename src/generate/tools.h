/*
 * tools.h - tools: functions of the client that the model may call in its answer.
 *
 * The form is the one that RWKV-7 G1 was trained with (Hermes): the system prompt lists the tools
 * between <tools> and </tools>, a call and its result are
 *
 *     <tool_call>
 *     {"name": "weather", "arguments": {"city": "Paris"}}
 *     </tool_call>
 *     <tool_response>
 *     18 degrees
 *     </tool_response>
 *
 * the call in an answer of the assistant, the result in a message of the user. A grammar ensures
 * that every call has this form, that the tool exists, and that its arguments are valid for its
 * schema. It applies to the whole answer: text without a call is free, and from <tool_call> on only
 * calls are allowed. So tokens that cross the end of the tag need no special care.
 *
 *     tools_read         tools of a request or a file
 *     tools_add_system   what the system prompt says about them
 *     tools_compile      the grammar of the answer
 *     tool_calls.h       splits the answer into text and calls
 *
 * Nothing here depends on the API of a server.
 */
#ifndef GENERATE_TOOLS_H
#define GENERATE_TOOLS_H

#include <cjson/cJSON.h>

#include "base/text.h"
#include "generate/chat_template.h"

enum { TOOLS_MOST = 128, TOOLS_NAME = 128, TOOLS_CALLS = 16, TOOLS_FIELD = 64 };

struct tool {
    char *name;
    char *shown;  /* JSON of the tool for the system prompt */
    char *schema; /* JSON Schema of the arguments */
    bool strict;  /* see rwkv7_grammar_options */
    /* for messages: where the schema was */
    bool in_function;
    const char *schema_field; /* "parameters", "input_schema", ... */
};

enum tools_mode {
    TOOLS_AUTO,     /* the model may call tools */
    TOOLS_NONE,     /* no tools: as if there were none */
    TOOLS_REQUIRED, /* the answer is at least one call */
};

/* Zeroed: no tools. */
struct tools {
    struct tool *list; /* [count] */
    size_t count;
    enum tools_mode mode;
    const struct tool *only; /* the one tool that may be called, once; NULL: any */
    bool single;             /* at most one call; else up to TOOLS_CALLS */
};

/*
 * Reads a JSON array of tools. Each is an object in one of the usual forms:
 *
 *     {"type": "function", "function": {"name", "description", "parameters", "strict"}}
 *     {"type": "function", "name", "description", "parameters", "strict"}
 *     {"name", "description", "input_schema"}        also "inputSchema"
 *
 * RWKV7_ERR_USAGE: the message begins with the field, "tools[0].function.name: ...", and `field`
 * has its name. Call tools_free after a failure, too.
 */
enum rwkv7_status tools_read(struct tools *t, const cJSON *list, char field[TOOLS_FIELD], struct rwkv7_error *err);
/* Requires one call of the tool with this name. Returns false if there is no such tool. */
bool tools_require(struct tools *t, const char *name);
void tools_free(struct tools *t);
/* Returns whether the answer may call tools. If not, no other function is needed. */
bool tools_are_used(const struct tools *t);

/*
 * Texts of the prompt. A system prompt, an answer or a message may precede them in *to; a newline
 * then separates them.
 */
void tools_add_system(const struct tools *t, struct text *to);
/* arguments: JSON text; it is copied, so that a call looks as the model wrote it. */
void tools_add_call(struct text *to, const char *name, const char *arguments);
void tools_add_result(struct text *to, const char *result, size_t size);

/* The answer for which a grammar is compiled. */
struct tools_answer {
    const struct chat_template *template;
    enum thinking thinking;
    bool prefilled; /* the client has begun the answer: thoughts are over */
};

/*
 * Compiles the grammar of an answer; the caller closes it. It describes the whole answer, including
 * chat_template_opening() or the text with which the client began it: pass that text to
 * request_follow. RWKV7_ERR_USAGE: a schema is not supported; the message begins with its field,
 * which is also in `field`.
 */
enum rwkv7_status tools_compile(const struct tools *t, const struct tools_answer *answer,
                                const struct rwkv7_tokenizer *tokenizer, struct rwkv7_grammar **out,
                                char field[TOOLS_FIELD], struct rwkv7_error *err);
/*
 * Advances a matcher of such a grammar over the start of the answer [size] that is in the prompt.
 * RWKV7_ERR_USAGE: the grammar does not allow it. tools_check_start: only checks.
 */
enum rwkv7_status tools_follow(struct rwkv7_matcher *m, const struct rwkv7_tokenizer *tokenizer, const char *text,
                               size_t size, struct rwkv7_error *err);
enum rwkv7_status tools_check_start(struct rwkv7_grammar *grammar, const struct rwkv7_tokenizer *tokenizer,
                                    const char *text, size_t size, struct rwkv7_error *err);

#endif
