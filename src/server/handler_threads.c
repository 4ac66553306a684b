/* handler_threads.c - see handler_threads.h. */
#include "server/handler_threads.h"

#include <pthread.h>

#include "base/mem.h"
#include "base/status.h"

/* A second thread, so that one slow request does not delay all others. */
enum { THREADS = 2 };

struct handler_threads {
    pthread_t threads[THREADS];
    size_t count;

    pthread_mutex_t lock; /* protects the rest */
    pthread_cond_t changed;
    struct handler_task *first, *last;
    bool stop;
};

static void *run_tasks(void *arg)
{
    struct handler_threads *const t = arg;
    pthread_mutex_lock(&t->lock);
    for (;;) {
        while (!t->first && !t->stop)
            pthread_cond_wait(&t->changed, &t->lock);
        struct handler_task *const task = t->first;
        if (!task)
            break;
        t->first = task->next;
        pthread_mutex_unlock(&t->lock);
        task->handle(&task->call, &task->reply);
        task->done(task->arg);
        pthread_mutex_lock(&t->lock);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

enum rwkv7_status handler_threads_start(struct handler_threads **out, struct rwkv7_error *err)
{
    struct handler_threads *const t = mem_alloc(1, sizeof *t);
    if (!t)
        return fail_memory(err, "the server");
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->changed, NULL);
    while (t->count < THREADS && pthread_create(&t->threads[t->count], NULL, run_tasks, t) == 0)
        t->count++;
    if (t->count == 0) {
        handler_threads_free(t);
        return fail(err, RWKV7_ERR_MEMORY, "cannot start a thread");
    }
    *out = t;
    return RWKV7_OK;
}

void handler_threads_add(struct handler_threads *t, struct handler_task *task)
{
    task->next = NULL;
    pthread_mutex_lock(&t->lock);
    const bool stopped = t->stop;
    if (!stopped) {
        if (t->first)
            t->last->next = task;
        else
            t->first = task;
        t->last = task;
        pthread_cond_signal(&t->changed);
    }
    pthread_mutex_unlock(&t->lock);
    if (!stopped)
        return;
    error_other(&task->reply.error, 503, "shutting_down", "the server is shutting down");
    task->done(task->arg);
}

void handler_threads_stop(struct handler_threads *t)
{
    pthread_mutex_lock(&t->lock);
    t->stop = true;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
    for (size_t i = 0; i < t->count; i++)
        pthread_join(t->threads[i], NULL);
}

void handler_threads_free(struct handler_threads *t)
{
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
    mem_free(t);
}
