/*
 * talk.h - a conversation: what was said, and the state of the model after each turn, so that any turn can be taken back.
 *
 * The tokens are kept, all of them, and from them every state could be had again; the states before the newest turns are kept as
 * well, so that taking those back is one copy.
 */
#ifndef CLI_TALK_H
#define CLI_TALK_H

#include "cli/common.h"
#include "cli/template.h"

struct turn {
    char *user;                   /* what was said */
    size_t begin;                 /* tokens before it */
    char *unread;                 /* text before it that is behind those tokens */
    struct rwkv7_session *before; /* the state after those tokens; NULL: to be found again from them */
};

struct log {
    uint32_t *tokens; /* all that the session has read behind the base */
    size_t count, room;
    char *unread; /* text that follows them, and whose tokens could still change; may be NULL */
    struct turn *turns;
    size_t turn_count, turn_room;
};

enum answer_end { ANSWER_COMPLETE, ANSWER_LONG, ANSWER_INTERRUPTED };

struct talk {
    const struct args *args;
    const struct engine *engine;
    struct rwkv7_session *session;
    struct rwkv7_session *base;   /* where conversations begin: zeroes, a trained state, or one that was loaded */
    struct rwkv7_session *asked;  /* the state before the last answer */
    struct rwkv7_session *mark;   /* see struct answer; between answers nothing depends on it */
    float *logits, *asked_logits; /* [V] */
    size_t asked_count;           /* tokens before the last answer; 0: not known any more */
    enum thinking asked_thinking;

    struct log log;
    bool behind_text; /* there is text before the first turn, without an empty line at its end */
    uint64_t answers; /* given so far, also those that were taken back */

    struct {
        uint64_t asked, answered; /* tokens */
        double asking, answering; /* seconds */
        enum answer_end end;
    } last; /* turn */
};

int talk_create(struct talk *t, const struct args *args, const struct engine *engine);
void talk_free(struct talk *t);

/* Starts over, with this system prompt ("" for none). */
int talk_start(struct talk *t, const char *system);
/* Adds what the user says. When interrupted, nothing is added. */
int talk_ask(struct talk *t, const char *user, enum thinking thinking);
/* Takes the last answer back and asks the same again; there must be a turn. */
int talk_ask_again(struct talk *t, enum thinking thinking);
/* Lets the model answer; `show` gets the text as it comes. */
int talk_answer(struct talk *t, uint64_t seed, int (*show)(void *arg, const char *text, size_t length), void *arg);
/* Takes the last turn back; there must be one. That may mean to read all before it again; when interrupted, nothing changes. */
int talk_undo(struct talk *t);
void log_clear(struct log *log); /* frees everything that was said */

int talk_save(const struct talk *t, const char *path);
/* When it fails, the conversation is as before. A state that `run` has kept is a conversation without turns. */
int talk_load(struct talk *t, const char *path);

#endif
