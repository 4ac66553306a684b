/*
 * chat_prompt.h - the prompt of a conversation: its messages, the tools, earlier calls and their
 * results in the form of the chat template.
 */
#ifndef SERVER_CHAT_PROMPT_H
#define SERVER_CHAT_PROMPT_H

#include "generate/tools.h"
#include "server/fields.h"
#include "server/text.h"

struct chat_prompt {
    struct text text; /* up to the start of the answer */
    size_t answer;    /* where the answer begins in it */
    bool prefilled;   /* the last message is the start of the answer */
};

/*
 * Reads the field "messages". thinking: of the answer. False: see f->error. The caller frees
 * out->text, after a failure too.
 */
bool chat_prompt_read(const struct chat_template *template, const struct tools *tools, enum thinking thinking,
                      const struct fields *f, struct chat_prompt *out);
/* Leaves out the white space around an answer, as prompts with earlier answers do. */
void chat_prompt_trim(const char **answer, size_t *size);

#endif
