/*
 * conversation.h - a conversation: its messages, and the model's state before each turn for undo.
 *
 * All tokens are kept, so every earlier state can be recomputed. The states before the newest turns
 * are also kept, so undoing these turns only copies a state.
 */
#ifndef GENERATE_CONVERSATION_H
#define GENERATE_CONVERSATION_H

#include "generate/chat_template.h"
#include "generate/generator.h"

struct text;

struct turn {
    char *user;                   /* the user's message */
    size_t begin;                 /* number of tokens before the turn */
    char *unread;                 /* text between those tokens and the turn */
    struct rwkv7_session *before; /* state after those tokens; NULL: must be recomputed */
};

struct conversation_log {
    uint32_t *tokens; /* all tokens after the base */
    size_t count, room;
    char *unread; /* text after them, not tokenized yet; may be NULL */
    struct turn *turns;
    size_t turn_count, turn_room;
};

struct conversation_options {
    struct rwkv7_generator_options generate; /* for answers; the template adds stop strings */
    struct rwkv7_sampler_options sampling;   /* for generate.sampling; each answer sets the seed */
    uint64_t max_tokens;                     /* for generate.max_tokens; UINT64_MAX: no limit */
    bool trained;                            /* the base is a tuned state, not made from tokens */
    struct prompt_cache *cache;              /* for a base at the start of a document; or NULL */
    const struct chat_template *template;    /* NULL: the default */
};

struct conversation {
    struct conversation_options options;
    const struct rwkv7_tokenizer *tokenizer;
    const struct rwkv7_model *model;
    struct rwkv7_session *session;
    struct rwkv7_session *base;   /* the first state: zeroes, tuned or loaded */
    struct rwkv7_session *asked;  /* state before the last answer */
    struct rwkv7_session *mark;   /* lent to the generator of an answer; unused between answers */
    bool base_is_loaded;          /* the base was loaded from a file without its tokens */
    char *base_unread;            /* text after the base, not tokenized yet; or NULL */
    float *logits, *asked_logits; /* [V] */
    size_t asked_count;           /* tokens before the last answer; 0: unknown */
    enum thinking asked_thinking;
    /*
     * of the next answers; set by the caller, who keeps it. The grammar describes an answer with the
     * opening that the template puts in the prompt (tools.h).
     */
    struct rwkv7_grammar *tools;

    struct conversation_log log;
    bool follows_text;     /* the first turn follows text that does not end with an empty line */
    uint64_t answers;      /* number of answers, including undone ones */
    struct answer *answer; /* the answer being generated, or NULL */

    struct draft_text drafts; /* source of drafts: all prompts and answers, also of undone turns */
    size_t drafts_count;      /* number of log tokens that it contains */

    struct {
        uint64_t asked, answered;             /* tokens */
        double asking, answering;             /* seconds */
        struct rwkv7_generator_stats writing; /* of the answer; zeros without one */
    } last;                                   /* the last turn */
};

/*
 * Strings, arrays, callbacks and template of the options must outlive the conversation. The caller
 * may change `base` until conversation_start. On failure there is nothing to free.
 */
enum rwkv7_status conversation_create(struct conversation *c, struct rwkv7_model *model,
                                      const struct rwkv7_tokenizer *tokenizer, const struct conversation_options *opt,
                                      struct rwkv7_error *err);
void conversation_free(struct conversation *c); /* accepts a zeroed struct */

/*
 * Returns whether the base is the start of a document, so that every state can be recomputed from
 * the log alone. A tuned or loaded base is not, although its token count is also 0.
 */
bool conversation_is_from_start(const struct conversation *c);

/* Starts a new conversation with this system prompt ("" for none). */
enum rwkv7_status conversation_start(struct conversation *c, const char *system, struct rwkv7_error *err);
/* Adds a user message. RWKV7_ERR_STOPPED: cancelled, nothing was added. */
enum rwkv7_status conversation_ask(struct conversation *c, const char *user, enum thinking thinking,
                                   struct rwkv7_error *err);
/* Undoes the last answer and repeats its question. There must be a turn. */
enum rwkv7_status conversation_ask_again(struct conversation *c, enum thinking thinking, struct rwkv7_error *err);
/*
 * Start an answer, generate steps until step->end is not RWKV7_END_NONE, and finish with
 * conversation_end_answer, which may be called early. The conversation continues after the shown
 * text: the session has evaluated neither the stop string that ended the answer, nor trailing
 * newlines, nor the end-of-text token.
 */
enum rwkv7_status conversation_answer(struct conversation *c, uint64_t seed, struct rwkv7_error *err);
/* Appends the text of the last turn: its message and the answer so far. There must be a turn. */
void conversation_last_turn(const struct conversation *c, struct text *to);
enum rwkv7_status conversation_next(struct conversation *c, struct rwkv7_step *step, struct rwkv7_error *err);
/*
 * Ends the answer early. The last `lost` bytes of the last step were not shown; the conversation
 * continues before them.
 */
enum rwkv7_status conversation_cut_answer(struct conversation *c, size_t lost, struct rwkv7_error *err);
void conversation_end_answer(struct conversation *c);
/*
 * Undoes the last turn; there must be one. All earlier tokens may have to be evaluated again.
 * RWKV7_ERR_STOPPED: cancelled, nothing was changed.
 */
enum rwkv7_status conversation_undo(struct conversation *c, struct rwkv7_error *err);
void conversation_log_clear(struct conversation_log *log); /* frees the whole log */

enum rwkv7_status conversation_save(const struct conversation *c, const char *path, struct rwkv7_error *err);
/*
 * Loads a conversation; on failure it is unchanged. A state saved by `run` is a conversation
 * without turns.
 */
enum rwkv7_status conversation_load(struct conversation *c, const char *path, struct rwkv7_error *err);

#endif
