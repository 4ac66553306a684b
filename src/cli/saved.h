/*
 * saved.h - what the program keeps in a state file beside the state itself, so that a text can go on as if it had never been
 * left: several pieces, each of which may be empty.
 */
#ifndef CLI_SAVED_H
#define CLI_SAVED_H

#include "cli/common.h"

enum saved_piece {
    SAVED_LOGITS,  /* float[V] after the last token */
    SAVED_SAMPLER, /* rwkv7_sampler_remember */
    SAVED_HELD,    /* bytes that have been generated and not shown: rwkv7_stream_held */
    SAVED_TALK,    /* chat: the turns, see talk.c */
    SAVED_PIECES
};

struct saved {
    struct rwkv7_note piece[SAVED_PIECES]; /* not owned */
    struct rwkv7_note all;                 /* what saved_load has read: the pieces lie in it */
};

/* These print what went wrong and return an exit code. */
/* Asked before a long text is written: could a state be now, and replace nothing that is in use? A disk may fill up later. */
int saved_possible(const char *path, const struct args *args, const struct engine *e);
int saved_store(const struct saved *saved, const struct rwkv7_session *session, const char *path);
/* A file of another program has no pieces, and that is fine. */
int saved_load(struct saved *saved, struct rwkv7_session *session, const char *path);
void saved_free(struct saved *saved);

#endif
