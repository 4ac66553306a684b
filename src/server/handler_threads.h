/*
 * handler_threads.h - threads that call the handlers of requests with a body. Parsing, tokenizing
 * and compiling take up to a second for the largest requests; meanwhile the HTTP thread serves the
 * other connections, and other requests are handled.
 */
#ifndef SERVER_HANDLER_THREADS_H
#define SERVER_HANDLER_THREADS_H

#include "server/handlers.h"

/* A call of a handler. The caller keeps it until `done` is called. */
struct handler_task {
    handler *handle;
    struct call call;
    struct reply reply;
    void (*done)(void *arg); /* called by the thread; the task may be gone afterwards */
    void *arg;
    struct handler_task *next; /* used by the queue */
};

struct handler_threads;

enum rwkv7_status handler_threads_start(struct handler_threads **out, struct rwkv7_error *err);
/* Queues a task. After handler_threads_stop, `done` is called at once with an error as the reply. */
void handler_threads_add(struct handler_threads *t, struct handler_task *task);
/* Completes the queued tasks and ends the threads. */
void handler_threads_stop(struct handler_threads *t);
void handler_threads_free(struct handler_threads *t);

#endif
