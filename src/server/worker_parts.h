/* worker_parts.h - internals of the worker, for worker.c and choice.c only. */
#ifndef SERVER_WORKER_PARTS_H
#define SERVER_WORKER_PARTS_H

#include "server/prefix_cache.h"
#include "server/worker.h"

struct worker {
    struct server *server;
    pthread_t thread;

    pthread_mutex_t lock; /* protects the members up to `stop` */
    pthread_cond_t changed;
    struct job *incoming, *last_incoming;
    size_t count;    /* unfinished jobs */
    size_t stalled;  /* of them, those whose clients do not read */
    uint64_t tokens; /* in their prompts */
    bool nudged, aborted, closed, stop;

    /* used by the worker thread only */
    struct scheduler *scheduler;
    struct job *jobs;       /* unfinished, in order of arrival */
    struct choice **active; /* [active_count] choices being scored or in the scheduler */
    size_t active_count, active_room, slots, vocab;
    struct prefix_cache *cache;
    float *rows; /* [WORKER_PIECE][V] logits of a scored piece; allocated on first use */
    size_t score_turn;
};

enum choice_start {
    CHOICE_STARTED,
    CHOICE_MUST_WAIT, /* another choice is reading its prompt */
    CHOICE_JOB_ENDED
};

/* In worker.c. Ends the evaluation of a choice. Its text stays until the job is freed. */
void worker_drop_choice(struct worker *w, struct choice *c);
/* Both end the job and free it, unless the HTTP thread still holds a reference. */
void worker_fail_job(struct worker *w, struct job *job, const struct api_error *e);
void worker_finish_job(struct worker *w, struct job *job);

/* In choice.c. */
enum choice_start worker_start_choice(struct worker *w, struct choice *c);
/* Handles the result of a step for one choice. */
void worker_take_event(struct worker *w, struct choice *c);
/* Scores a piece of one prompt. False: no prompt needs it. */
bool worker_score_piece(struct worker *w);

#endif
