/*
 * saved_state.h - what a state file contains besides the state, to continue a text exactly where it
 * stopped: several pieces, each possibly empty.
 *
 * The state is the one after the last token that was shown completely. If the text ended before a
 * stop string or within a character, the tokens drawn since then are saved, too. To continue the
 * text, evaluate them, and show SAVED_HELD first. To continue with a prompt, evaluate SAVED_SHOWN
 * before it and ignore the rest.
 *
 *     text    ... tokens of the state | SAVED_SHOWN  SAVED_HELD |
 *                                     |     SAVED_PENDING       |
 */
#ifndef GENERATE_SAVED_STATE_H
#define GENERATE_SAVED_STATE_H

#include "rwkv7.h"

enum saved_piece {
    SAVED_LOGITS,       /* float[V] after the last token; empty if there are pending tokens */
    SAVED_SAMPLER,      /* rwkv7_sampler_save_memory */
    SAVED_HELD,         /* bytes that have been generated and not shown */
    SAVED_CONVERSATION, /* the turns, see conversation_file.c */
    SAVED_PENDING,      /* uint32_t[]: tokens behind the state */
    SAVED_SHOWN,        /* text behind the state, whose tokens may depend on what follows */
    SAVED_VOCABULARY,   /* a hash of the text of every token; made by saved_state_store */
    SAVED_PIECES
};

struct saved_state {
    struct rwkv7_bytes piece[SAVED_PIECES]; /* not owned */
    struct rwkv7_bytes all;                 /* memory of the pieces after saved_state_load */
};

/* Saves to the file at `path`, or, if that is NULL, to *image. */
enum rwkv7_status saved_state_store(const struct saved_state *saved, const struct rwkv7_session *session,
                                    const struct rwkv7_tokenizer *tokenizer, const char *path,
                                    struct rwkv7_bytes *image, struct rwkv7_error *err);
/*
 * From the file at `path`, or, if that is NULL, from *image. A file of another program has no pieces, and that is fine. One that was kept with another vocabulary than that of `tokenizer` is refused:
 * neither its tokens nor its text would mean what they meant. When it fails there is nothing to free, but the session may hold the state of
 * the file: give it one to spare.
 */
enum rwkv7_status saved_state_load(struct saved_state *saved, struct rwkv7_session *session,
                                   const struct rwkv7_tokenizer *tokenizer, const char *path,
                                   const struct rwkv7_bytes *image, struct rwkv7_error *err);
#define IN_MEMORY "a state in memory" /* in messages, in place of a path */
void saved_state_free(struct saved_state *saved);

#endif
