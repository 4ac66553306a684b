/*
 * saved_state.h - the pieces that a state file contains besides the state, to continue a text
 * exactly where it stopped. Each may be empty.
 *
 * The state is the one after the last token that was shown completely. If the text ended before a
 * stop string or within a character, the tokens drawn since then are saved, too. To continue the
 * text, show SAVED_HELD and evaluate SAVED_PENDING. To continue with a prompt, evaluate SAVED_SHOWN
 * before it and ignore the other two.
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
    SAVED_HELD,         /* bytes that were generated but not shown */
    SAVED_CONVERSATION, /* the turns, see conversation_file.c */
    SAVED_PENDING,      /* uint32_t[]: tokens after the state */
    SAVED_SHOWN,        /* text after the state, not tokenized yet */
    SAVED_VOCABULARY,   /* a hash of the text of every token; computed by saved_state_store */
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
 * Loads from the file at `path`, or, if that is NULL, from *image. A file of another program has no
 * pieces; that is not an error. A state saved with a vocabulary other than `tokenizer` is rejected,
 * because its ids would mean other texts. On failure there is nothing to free, but the session may
 * have been overwritten, so pass a spare one.
 */
enum rwkv7_status saved_state_load(struct saved_state *saved, struct rwkv7_session *session,
                                   const struct rwkv7_tokenizer *tokenizer, const char *path,
                                   const struct rwkv7_bytes *image, struct rwkv7_error *err);
#define IN_MEMORY "a state in memory" /* used in messages instead of a path */
void saved_state_free(struct saved_state *saved);

/* Token `i` of SAVED_PENDING. */
uint32_t saved_state_token(const struct saved_state *saved, size_t i);
/* Returns whether the saved tokens decode to the saved text. */
bool saved_state_is_consistent(const struct saved_state *saved, const struct rwkv7_tokenizer *tokenizer);

#endif
