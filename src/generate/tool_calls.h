/*
 * tool_calls.h - splits a streamed answer into content and tool calls.
 *
 * The answer is added in pieces of any size, without its thoughts. Text outside of calls is
 * appended to `content`; calls are collected in `calls` and reported as events:
 *
 *     struct tool_event e;
 *     tool_calls_add(&t, text, size, &content);
 *     while (tool_calls_next(&t, &e))
 *         TOOL_CALL_BEGINS      a call of e.call->name
 *         TOOL_CALL_ARGUMENTS   the next piece of the JSON text of its arguments: e.text [e.size]
 *         TOOL_CALL_ENDS        its arguments are complete
 *
 * Callers that need no events read `calls` at the end. Content precedes all calls: after a call
 * only further calls follow (tools_compile). It never contains a part of a tag. White space at its
 * end is dropped. If the input is valid UTF-8, so is each piece.
 */
#ifndef GENERATE_TOOL_CALLS_H
#define GENERATE_TOOL_CALLS_H

#include "base/text.h"

struct tool_call {
    struct text name;      /* a NUL follows the bytes once the call has begun */
    struct text arguments; /* JSON text of an object; a part of it unless `complete` */
    bool complete;
};

enum tool_calls_part {
    TOOL_CALLS_CONTENT,
    TOOL_CALLS_HEAD, /* between the tag and the name */
    TOOL_CALLS_NAME,
    TOOL_CALLS_MIDDLE, /* between the name and the arguments */
    TOOL_CALLS_ARGUMENTS,
    TOOL_CALLS_TAIL,      /* after the arguments, up to the closing tag */
    TOOL_CALLS_AFTER,     /* between calls, and after the last */
    TOOL_CALLS_MALFORMED, /* the text violates the grammar; the rest is ignored */
};

/* A zeroed struct is at the start of an answer. */
struct tool_calls {
    struct tool_call *calls; /* [count] those that have begun: their names are known */
    size_t count;
    bool failed; /* out of memory */

    /* used by tool_calls.c */
    size_t room;
    enum tool_calls_part part;
    size_t matched;     /* bytes of the part's fixed text that have matched */
    size_t given;       /* of these: given by tool_calls_prefill */
    struct text blanks; /* white space that is content if more content follows */
    struct text name;   /* of the call that is about to begin */
    unsigned depth;     /* open brackets of the arguments */
    bool in_string, escaped;
    size_t told;       /* calls that were reported completely */
    bool told_begin;   /* of the next one: its begin */
    size_t told_bytes; /* of its arguments */
};

enum tool_event_kind { TOOL_CALL_BEGINS, TOOL_CALL_ARGUMENTS, TOOL_CALL_ENDS };

struct tool_event {
    enum tool_event_kind kind;
    size_t index; /* of the call in the answer */
    const struct tool_call *call;
    const char *text; /* [size] only with TOOL_CALL_ARGUMENTS */
    size_t size;
};

/* Adds the text with which the client began the answer. Its content is not reported again. */
void tool_calls_prefill(struct tool_calls *t, const char *text, size_t size);
void tool_calls_add(struct tool_calls *t, const char *text, size_t size, struct text *content);
/*
 * Ends the answer. complete: the model ended it. Otherwise it was truncated, and a part of a tag at
 * its end is dropped.
 */
void tool_calls_end(struct tool_calls *t, bool complete, struct text *content);
void tool_calls_free(struct tool_calls *t);

/* Returns the next event, valid until the next call; false: there is none yet. */
bool tool_calls_next(struct tool_calls *t, struct tool_event *event);
/* Returns whether tool_calls_next would return an event. */
bool tool_calls_pending(const struct tool_calls *t);
/* Returns whether the answer calls tools: at least one call is complete, and none is truncated. */
bool tool_calls_complete(const struct tool_calls *t);

#endif
