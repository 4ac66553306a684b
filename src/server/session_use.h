/*
 * session_use.h - the part of a request that is about sessions and states: from its fields to the
 * position after its answer.
 *
 * The request works on a copy of the session's text. The session changes only when the answer is
 * complete. If the request fails or its client disconnects, the session stays as it was.
 */
#ifndef SERVER_SESSION_USE_H
#define SERVER_SESSION_USE_H

#include "generate/mark.h"
#include "server/fields.h"
#include "server/session_store.h"
#include "server/state.h"
#include "server/text.h"

struct choice;
struct job;

enum return_state { RETURN_NONE, RETURN_INFO, RETURN_IMAGE };

struct session_use {
    struct session_store *store;
    char id[SESSION_ID + 1]; /* where the text will be stored; empty: nowhere */
    bool taken;              /* `id` is a session that this request has taken */
    bool kept;               /* the position after the answer is needed */
    bool stores;             /* the answer is stored under the job's id */
    bool reads_only;         /* nothing is generated: it ends after the prompt */
    enum return_state returns;
    struct session_text text; /* before the request; after its end: with it */

    /* set by the reader of the prompt */
    size_t repeated;            /* first tokens of the prompt that are in the log already */
    uint64_t history;           /* of the conversation with the question; 0: no conversation */
    bool gap;                   /* of the text after the request */
    char *user;                 /* the last message; NULL: none */
    struct session_intro intro; /* what it has read; set to that of the answer that it continues */

    /* set by the worker */
    struct mark mark;
    struct text visible; /* the answer as its client sees it; begins with what the client gave */
    cJSON *report;       /* "state" of the answer; NULL: none */
};

/*
 * Reads the fields "session" (or the header), "fork", "state" and "return_state" into job->use,
 * which stays NULL if there are none. Takes the session.
 */
bool session_use_read(struct job *job, const struct fields *f);
/*
 * For a request that stores what it reads: takes the new name `id`; NULL: a generated one. state:
 * where it begins; NULL: at the start.
 */
bool session_use_create(struct job *job, const char *id, const char *state, struct api_error *e);
/* After the prompts and choices are known: refuses requests that would have several answers. */
bool session_use_check(const struct job *job, struct api_error *e);
void session_use_free(struct session_use *use); /* accepts NULL */

/* Returns whether the text is at the start of a document. */
bool session_use_at_start(const struct job *job);
/*
 * Tokenizes the rest of the job's text followed by `text`, as server_encode, into prompt `index`.
 */
bool session_use_encode(struct job *job, size_t index, const char *text, size_t size, bool begins, bool named,
                        struct api_error *e);
/* Prepends the rest of the text to a prompt of token ids. */
bool session_use_prepend(struct job *job, size_t index, struct api_error *e);

/* Called by the worker. */
const struct rwkv7_session *session_use_start(const struct job *job);
enum rwkv7_status session_use_begin(struct choice *c, struct rwkv7_error *err);
/* new_text: number of bytes that the step added to the choice's text. */
enum rwkv7_status session_use_step(struct choice *c, size_t new_text, struct rwkv7_error *err);
/* Stores the position after the answer and releases the session. */
enum rwkv7_status session_use_end(struct choice *c, struct rwkv7_error *err);
/* Releases the session unchanged, unless session_use_end did. */
void session_use_release(struct session_use *use); /* accepts NULL */

/* Adds the member "state" of an answer, if it was requested. */
void session_use_report(struct json_tree *t, cJSON *to, const struct job *job);

#endif
