/*
 * chat_tools.h - tools in `chat`: --tools names a file with functions that the model may call. A
 * call is printed as a line of JSON; the next message is its result.
 *
 * Which calls wait for a result follows from the text of the conversation, so it is also known
 * after /undo and after a conversation was loaded.
 */
#ifndef CLI_CHAT_TOOLS_H
#define CLI_CHAT_TOOLS_H

#include "cli/options/args.h"
#include "generate/conversation.h"
#include "generate/tools.h"

struct chat_tools {
    const char *path; /* of the file; NULL: there are no tools */
    struct tools tools;
    /* --tool-choice: applies to answers to messages; after results, the model chooses */
    enum tools_mode mode;
    const struct tool *only;
    struct rwkv7_grammar *grammar; /* of the last answer */
    struct text results;           /* of the last calls, until there are all */
    size_t result_count;
};

/* Reads the file and --tool-choice. Needs no model. Returns an exit code, as all functions here. */
int chat_tools_open(struct chat_tools *t, const struct chat_args *args);
void chat_tools_close(struct chat_tools *t); /* accepts a zeroed struct */
/* Appends the system prompt with the tools to *out, which the caller frees, and a NUL. */
int chat_tools_system(const struct chat_tools *t, const char *system, struct text *out);
/* Sets the grammar of the next answer. Call it at the start, too: it reports errors in schemas. */
int chat_tools_prepare(struct chat_tools *t, struct conversation *talk, enum thinking thinking);
/* Returns the number of calls in the last answer, whose results are the next messages. */
size_t chat_tools_awaited(const struct chat_tools *t, const struct conversation *talk);
/* Adds a result. When all are there, `results` is the next message, with a NUL. */
int chat_tools_add_result(struct chat_tools *t, const char *result);
void chat_tools_forget_results(struct chat_tools *t);

#endif
