/*
 * session_text.h - what a session has read: a position in a text, from which it continues.
 *
 *     base | log[0] ... log[evaluated - 1] | ... log[count - 1] | unread
 *          '---------- in `state` ---------'  '- tokens and text that the next request evaluates
 *
 * The last token of a text is usually not evaluated: the next request does so together with its own
 * tokens. So a text can be continued without a new prompt, and no logits need to be kept.
 *
 * States are snapshots: they are shared by copies of a text and never change. So copying a text and
 * undoing a turn evaluate nothing. If a state was dropped to save memory, the tokens of the log are
 * evaluated again; the results are the same bits.
 */
#ifndef SERVER_SESSION_TEXT_H
#define SERVER_SESSION_TEXT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rwkv7.h"

/* A shared state. */
struct snapshot {
    atomic_size_t references;
    atomic_uint_least64_t *bytes; /* sum of all snapshots of a server */
    struct rwkv7_session *session;
};

/* Takes ownership of the session if it succeeds. NULL: out of memory. */
struct snapshot *snapshot_create(struct rwkv7_session *session, atomic_uint_least64_t *bytes);
struct snapshot *snapshot_share(struct snapshot *s); /* accepts NULL */
void snapshot_release(struct snapshot *s);           /* accepts NULL */

enum {
    SESSION_STATES = 8,   /* newest turns whose states are kept for undo */
    SESSION_TURNS = 1024, /* newest turns that can be undone */
};

/* A place to return to: the position before a turn, that is, a prompt and its answer. */
struct session_turn {
    size_t tokens; /* of the log before the turn */
    char *unread;  /* text after them; NULL: none */
    char *user;    /* the user's message of the turn; NULL: none */
    uint64_t history;
    bool gap;
    struct snapshot *state; /* NULL: evaluate the log again */
};

struct session_text {
    struct snapshot *base;  /* before the log; NULL: the first state of the server */
    uint32_t *log;          /* [count] */
    size_t count, room;     /* room: of `log` */
    struct snapshot *state; /* after the first tokens of the log; NULL: none is evaluated */
    char *unread;           /* NULL: none */
    uint64_t history;       /* see session_history; 0: unknown */
    bool gap;               /* the next turn of a chat begins with the template's text between turns */
    bool rootless;          /* the oldest turns were forgotten */
    struct session_turn *turns;
    size_t turn_count, turn_room;
};

/* Shares the states. False: out of memory; *to is then empty. */
bool session_text_copy(struct session_text *to, const struct session_text *from);
void session_text_clear(struct session_text *t);
/* Returns how many tokens of the log `state` has evaluated. */
size_t session_text_evaluated(const struct session_text *t);
/* Returns the number of tokens, those of the base included. */
uint64_t session_text_tokens(const struct session_text *t);
/* Returns the bytes of memory without the snapshots. */
uint64_t session_text_bytes(const struct session_text *t);

/* Returns whether the last turns could be undone, and undoes them. */
bool session_text_undo(struct session_text *t, size_t turns);
/*
 * Finds the newest position with this history. Returns how many turns must be undone to get there;
 * SIZE_MAX: there is none.
 */
size_t session_text_find(const struct session_text *t, uint64_t history);
/*
 * Goes back to where the text began: to the state that it was started from, or to the start of a
 * document.
 */
void session_text_restart(struct session_text *t);
/* Makes the position the beginning of the text: it cannot be undone, and its history is unknown. */
void session_text_root(struct session_text *t);
/* Drops the states of all turns but the newest `keep`. Returns whether there were any. */
bool session_text_drop_states(struct session_text *t, size_t keep);
/* Forgets all turns but the newest `keep`. */
void session_text_forget(struct session_text *t, size_t keep);

/* The end of a turn. */
struct session_growth {
    const uint32_t *ids[2]; /* two parts: the tokens of the prompt and of the answer */
    size_t counts[2];
    const char *unread; /* [unread_size] shown text after them */
    size_t unread_size;
    const char *user; /* see session_turn; NULL: none */
    uint64_t history;
    bool gap;
    struct snapshot *state; /* taken over */
};
/* Appends a turn. limit: tokens of a log; a longer one is dropped, with its turns. */
bool session_text_grow(struct session_text *t, const struct session_growth *g, size_t limit);

/*
 * Hashes a conversation as its client sees it, message by message: the hash of what came before,
 * and one more message, without white space around it. Never 0.
 */
uint64_t session_history(uint64_t before, char role, const char *text, size_t size);

#endif
