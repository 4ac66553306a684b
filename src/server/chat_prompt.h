/*
 * chat_prompt.h - the prompt of a conversation: its messages, the tools, earlier calls and their
 * results in the form of the chat template.
 */
#ifndef SERVER_CHAT_PROMPT_H
#define SERVER_CHAT_PROMPT_H

#include "generate/tools.h"
#include "server/fields.h"
#include "server/session_use.h"
#include "server/text.h"

enum { CHAT_MARKS = 16 };

struct chat_prompt {
    struct text text;        /* up to the start of the answer */
    size_t answer;           /* where the answer begins in it */
    bool prefilled;          /* the last message is the start of the answer */
    size_t ends[CHAT_MARKS]; /* [end_count] bytes of the text up to the ends of the first and the newest messages */
    size_t end_count;
};

/*
 * Reads the field "messages". thinking: of the answer. False: see f->error. The caller frees
 * out->text, after a failure too.
 *
 * use: the session of the request; NULL: none. Messages without an assistant's, and without a system
 * prompt at the start, are new: they follow what the session has read. All others are the whole
 * conversation. It continues from the newest position of the session with the same messages, whose
 * thoughts the client may have left out; use->text is undone to this position, and the prompt has
 * the messages after it.
 *
 * If use->reads_only is set, there is no answer: the last message must be a system prompt or the
 * assistant's.
 */
bool chat_prompt_read(const struct chat_template *template, const struct tools *tools, enum thinking thinking,
                      const struct fields *f, struct session_use *use, struct chat_prompt *out);

#endif
