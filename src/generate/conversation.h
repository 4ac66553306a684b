/*
 * conversation.h - a conversation: what was said, and the state of the model before each turn, so that any turn can be undone.
 *
 * The tokens are kept, all of them, and from them every state could be had again; the states before the newest turns are kept as
 * well, so that undoing those is one copy.
 */
#ifndef GENERATE_CONVERSATION_H
#define GENERATE_CONVERSATION_H

#include "generate/chat_template.h"
#include "generate/generator.h"

struct turn {
    char *user;                   /* what was said */
    size_t begin;                 /* tokens before it */
    char *unread;                 /* text before it that is behind those tokens */
    struct rwkv7_session *before; /* the state after those tokens; NULL: to be found again from them */
};

struct conversation_log {
    uint32_t *tokens; /* all that the session has read behind the base */
    size_t count, room;
    char *unread; /* text that follows them, and whose tokens could still change; may be NULL */
    struct turn *turns;
    size_t turn_count, turn_room;
};

struct conversation_options {
    struct rwkv7_generator_options generate; /* for the answers; its stop strings are added to the usual ones */
    struct rwkv7_sampler_options sampling;   /* in place of generate.sampling; the seed is given with each answer */
    uint64_t max_tokens;                     /* in place of generate.max_tokens: 0: none at all, UINT64_MAX: no limit */
    bool trained;                            /* the base is to be a trained state, which the tokens do not lead to */
    struct prompt_cache *cache;              /* for a beginning at the start of a document; NULL: none */
    const struct chat_template *template;    /* NULL: the usual one */
};

struct conversation {
    struct conversation_options options;
    const struct rwkv7_tokenizer *tokenizer;
    const struct rwkv7_model *model;
    struct rwkv7_session *session;
    struct rwkv7_session *base;   /* where conversations begin: zeroes, a trained state, or one that was loaded */
    struct rwkv7_session *asked;  /* the state before the last answer */
    struct rwkv7_session *mark;   /* lent to the generator of an answer; between answers nothing depends on it */
    bool base_is_loaded;          /* from a file that does not say which tokens led to it */
    char *base_unread;            /* text behind the base, whose tokens may depend on what follows; NULL: none */
    float *logits, *asked_logits; /* [V] */
    size_t asked_count;           /* tokens before the last answer; 0: not known any more */
    enum thinking asked_thinking;

    struct conversation_log log;
    bool behind_text;      /* there is text before the first turn, without an empty line at its end */
    uint64_t answers;      /* given so far, also those that were undone */
    struct answer *answer; /* the one that is being given, or NULL */

    struct {
        uint64_t asked, answered; /* tokens */
        double asking, answering; /* seconds */
    } last;                       /* turn */
};

/*
 * The options' strings, arrays, callbacks and template must outlive the conversation. `base` stays open to be changed until conversation_start.
 * After a failure there is nothing to free.
 */
enum rwkv7_status conversation_create(struct conversation *c, struct rwkv7_model *model,
                                      const struct rwkv7_tokenizer *tokenizer, const struct conversation_options *opt,
                                      struct rwkv7_error *err);
void conversation_free(struct conversation *c); /* one of zeroes holds nothing */

/*
 * The base is the start of a document, so that the tokens of the log alone lead to every state. A base that counts no tokens may still be
 * another: a trained state, or one that was loaded.
 */
bool conversation_is_from_start(const struct conversation *c);

/* Starts over, with this system prompt ("" for none). */
enum rwkv7_status conversation_start(struct conversation *c, const char *system, struct rwkv7_error *err);
/* Adds what the user says. RWKV7_ERR_STOPPED: cancelled, and nothing was added. */
enum rwkv7_status conversation_ask(struct conversation *c, const char *user, enum thinking thinking,
                                   struct rwkv7_error *err);
/* Undoes the last answer and asks the same again; there must be a turn. */
enum rwkv7_status conversation_ask_again(struct conversation *c, enum thinking thinking, struct rwkv7_error *err);
/*
 * Lets the model answer: begins an answer, gives the next step of it until step->end is not RWKV7_END_NONE, and ends it, which may be
 * done early. The conversation continues behind what was shown: the session has read no part of the stop string that ended an answer,
 * nor the newlines at its end, nor the end of text.
 */
enum rwkv7_status conversation_answer(struct conversation *c, uint64_t seed, struct rwkv7_error *err);
enum rwkv7_status conversation_next(struct conversation *c, struct rwkv7_step *step, struct rwkv7_error *err);
void conversation_end_answer(struct conversation *c);
/* Undoes the last turn; there must be one. That may mean to read all before it again: RWKV7_ERR_STOPPED, and nothing has changed. */
enum rwkv7_status conversation_undo(struct conversation *c, struct rwkv7_error *err);
void conversation_log_clear(struct conversation_log *log); /* frees everything that was said */

enum rwkv7_status conversation_save(const struct conversation *c, const char *path, struct rwkv7_error *err);
/* When it fails, the conversation is as before. A state that `run` has kept is a conversation without turns. */
enum rwkv7_status conversation_load(struct conversation *c, const char *path, struct rwkv7_error *err);

#endif
