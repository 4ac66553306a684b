/* worker.c - see worker.h. Choices are started and ended in choice.c. */
#include "server/worker.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/status.h"
#include "base/sys.h"
#include "server/session_use.h"
#include "server/worker_parts.h"

#define PING_SECONDS 15

/* ----------------------------------------------------------------------------- jobs and choices */

static void remove_active(struct worker *w, const struct choice *c)
{
    for (size_t i = 0; i < w->active_count; i++)
        if (w->active[i] == c) {
            w->active[i] = w->active[--w->active_count];
            return;
        }
}

void worker_drop_choice(struct worker *w, struct choice *c)
{
    if (c->phase == CHOICE_RUNNING)
        scheduler_remove(w->scheduler, &c->run);
    scheduled_close(&c->run);
    if (c->phase == CHOICE_RUNNING || c->phase == CHOICE_SCORING)
        remove_active(w, c);
    c->phase = CHOICE_ENDED;
}

/* Removes a finished job from the list and releases the worker's reference. */
static void forget_job(struct worker *w, struct job *job)
{
    struct job **at = &w->jobs;
    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    for (size_t i = 0; i < job->choice_count; i++)
        if (job->choices[i].phase != CHOICE_ENDED)
            worker_drop_choice(w, &job->choices[i]);
    pthread_mutex_lock(&w->lock);
    w->count--;
    w->stalled -= job->stalled_since > 0; /* as pause_texts has counted: never more than `count` */
    w->tokens -= job->prompt_tokens;
    pthread_mutex_unlock(&w->lock);
    metrics_time(&w->server->metrics, METRIC_REQUEST, sys_seconds() - job->arrived);
    job_release(job);
}

void worker_fail_job(struct worker *w, struct job *job, const struct api_error *e)
{
    session_use_release(job->use); /* before the client can repeat the request */
    job_fail(job, e);
    forget_job(w, job);
}

void worker_finish_job(struct worker *w, struct job *job)
{
    if (job->generation.stream) {
        if (job->protocol->finish)
            job->protocol->finish(job);
        job_end(job, NULL);
        forget_job(w, job);
        return;
    }
    struct api_error e = {0};
    char *const body = job->protocol->body(job);
    if (body) {
        job_end(job, body);
        forget_job(w, job);
    } else {
        error_other(&e, 500, NULL, "out of memory for the answer");
        worker_fail_job(w, job, &e);
    }
}

/* Ends and frees the jobs of clients that have disconnected. */
static void drop_gone(struct worker *w)
{
    for (struct job *job = w->jobs, *next; job; job = next) {
        next = job->next;
        if (!job_is_gone(job))
            continue;
        metrics_count(&w->server->metrics, METRIC_CANCELLED, 1);
        session_use_release(job->use);
        job_end(job, NULL);
        forget_job(w, job);
    }
}

static void end_all(struct worker *w)
{
    struct api_error e = {0};
    error_other(&e, 503, "shutting_down", "the server is shutting down");
    while (w->jobs)
        worker_fail_job(w, w->jobs, &e);
}

/* Returns the number of choices that are generated or scored in the next step. */
static size_t running_choices(const struct worker *w)
{
    size_t running = 0;
    for (size_t i = 0; i < w->active_count; i++)
        running += !w->active[i]->run.paused;
    return running;
}

/* Starts choices of the oldest jobs while slots are free. */
static void start_choices(struct worker *w)
{
    for (struct job *job = w->jobs, *next; job; job = next) {
        next = job->next;
        while (job->next_choice < job->choice_count && job->stalled_since == 0) {
            if (running_choices(w) >= w->slots || w->active_count >= w->active_room)
                return;
            const enum choice_start started = worker_start_choice(w, &job->choices[job->next_choice]);
            if (started == CHOICE_JOB_ENDED || started == CHOICE_MUST_WAIT)
                break;
            job->next_choice++;
        }
    }
}

/* ------------------------------------------------------------------------------- stalled clients */

/*
 * Pauses the texts of clients that do not read: they keep their states, but give up their slots, and
 * their requests do not count as waiting. Returns the number of these texts or requests, whichever
 * is larger.
 */
static size_t pause_texts(struct worker *w)
{
    size_t jobs = 0, texts = 0;
    for (struct job *job = w->jobs; job; job = job->next) {
        const bool full = job->generation.stream && job_is_full(job);
        if (!full)
            job->stalled_since = 0;
        else if (job->stalled_since == 0)
            job->stalled_since = sys_seconds();
        jobs += full;
    }
    for (size_t i = 0; i < w->active_count; i++) {
        struct choice *const c = w->active[i];
        c->run.paused = c->phase == CHOICE_RUNNING && c->job->stalled_since > 0;
        texts += c->run.paused;
    }
    pthread_mutex_lock(&w->lock);
    w->stalled = jobs;
    pthread_mutex_unlock(&w->lock);
    metrics_set(&w->server->metrics, METRIC_PAUSED, (double)texts);
    return texts > jobs ? texts : jobs;
}

/* Ends the jobs that have stalled longest, until the others keep few enough states. */
static void end_stalled(struct worker *w)
{
    struct api_error e = {0};
    error_other(&e, 503, "client_too_slow", "the client did not read, and others needed the memory of its text");
    while (pause_texts(w) > PAUSED_PER_SLOT * w->slots) {
        struct job *longest = NULL;
        for (struct job *job = w->jobs; job; job = job->next)
            if (job->stalled_since > 0 && (!longest || job->stalled_since < longest->stalled_since))
                longest = job;
        metrics_count(&w->server->metrics, METRIC_SLOW, 1);
        worker_fail_job(w, longest, &e);
    }
}

/* ------------------------------------------------------------------------------------- the loop */

static uint64_t evaluated(const struct worker *w)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < w->active_count; i++)
        sum += w->active[i]->run.request.evaluated;
    return sum;
}

/* Returns the newest job with a running choice. There must be one. */
static struct job *newest_running(const struct worker *w)
{
    struct job *newest = NULL;
    for (size_t i = 0; i < w->active_count; i++)
        if (w->active[i]->phase == CHOICE_RUNNING && (!newest || w->active[i]->job->arrived > newest->arrived))
            newest = w->active[i]->job;
    return newest;
}

static void step(struct worker *w)
{
    struct rwkv7_error err;
    struct scheduled *run;
    const double begin = sys_seconds();
    const uint64_t before = evaluated(w);
    if (scheduler_step(w->scheduler, &err) != RWKV7_OK) {
        /* Nothing was evaluated. Fail the newest job to free memory for the others. */
        struct api_error e = {0};
        error_library(&e, &err);
        worker_fail_job(w, newest_running(w), &e);
        return;
    }
    metrics_time(&w->server->metrics, METRIC_TOKEN, sys_seconds() - begin);
    metrics_count(&w->server->metrics, METRIC_STEPS, 1);
    metrics_count(&w->server->metrics, METRIC_STEP_TOKENS, evaluated(w) - before);
    while ((run = scheduler_event(w->scheduler)))
        worker_take_event(w, run->owner);
}

/* Returns the number of jobs of which no text was started. */
static size_t waiting_jobs(const struct worker *w)
{
    size_t waiting = 0;
    for (const struct job *job = w->jobs; job; job = job->next)
        waiting += job->started == 0;
    return waiting;
}

/* Returns whether the next step of the scheduler has a text. */
static bool is_writing(const struct worker *w)
{
    for (size_t i = 0; i < w->active_count; i++)
        if (w->active[i]->phase == CHOICE_RUNNING && !w->active[i]->run.paused)
            return true;
    return false;
}

static void keep_connections_alive(struct worker *w)
{
    const double now = sys_seconds();
    for (struct job *job = w->jobs; job; job = job->next)
        if (job->generation.stream && job->protocol->ping && now - job->last_write > PING_SECONDS && job_is_empty(job))
            job_write(job, job->protocol->ping, strlen(job->protocol->ping));
}

/* Ends streams that lost an event because memory ran out, with an error. */
static void end_broken(struct worker *w)
{
    struct api_error e = {0};
    error_other(&e, 500, NULL, "out of memory for the answer");
    for (struct job *job = w->jobs, *next; job; job = next) {
        next = job->next;
        if (job_lacks_memory(job))
            worker_fail_job(w, job, &e);
    }
}

/* Appends newly submitted jobs to the list. Waits if idle. Returns false if the thread must end. */
static bool take_jobs(struct worker *w, bool idle)
{
    pthread_mutex_lock(&w->lock);
    while (!w->stop && !w->incoming && !w->nudged && !w->aborted && idle) {
        struct timespec until;
        if (!w->jobs) {
            pthread_cond_wait(&w->changed, &w->lock);
            continue;
        }
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec++;
        if (pthread_cond_timedwait(&w->changed, &w->lock, &until) == ETIMEDOUT)
            break;
    }
    w->nudged = false;
    struct job **at = &w->jobs;
    while (*at)
        at = &(*at)->next;
    *at = w->incoming;
    w->incoming = w->last_incoming = NULL;
    const bool aborted = w->aborted, stop = w->stop;
    w->aborted = false;
    pthread_mutex_unlock(&w->lock);
    if (aborted)
        end_all(w);
    return !stop;
}

static void *run_worker(void *arg)
{
    struct worker *const w = arg;
    bool idle = true;
    while (take_jobs(w, idle)) {
        drop_gone(w);
        end_stalled(w);
        start_choices(w);
        const bool running = is_writing(w);
        if (running)
            step(w);
        idle = !worker_score_piece(w) && !running;
        keep_connections_alive(w);
        end_broken(w);
        metrics_set(&w->server->metrics, METRIC_RUNNING, (double)w->active_count);
        metrics_set(&w->server->metrics, METRIC_WAITING, (double)waiting_jobs(w));
        atomic_store(&w->server->cache_bytes, prefix_cache_bytes(w->cache));
    }
    return NULL;
}

/* ------------------------------------------------------------------------------- other threads */

static void free_worker(struct worker *w)
{
    scheduler_close(w->scheduler);
    prefix_cache_close(w->cache);
    mem_free(w->active);
    mem_free(w->rows);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    mem_free(w);
}

enum rwkv7_status worker_start(struct server *s, struct worker **out, struct rwkv7_error *err)
{
    const struct server_options *const o = s->options;
    struct worker *const w = mem_alloc(1, sizeof *w);
    if (!w)
        return fail_memory(err, "the worker");
    const struct scheduler_options scheduling = {.slots = o->parallel, .busy_budget = WORKER_PIECE, .fair = true};
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    w->server = s;
    w->slots = o->parallel;
    w->vocab = (size_t)rwkv7_model_info(o->model)->shape.vocab;
    w->active_room = (1 + PAUSED_PER_SLOT) * o->parallel;
    w->active = mem_alloc(w->active_room, sizeof(struct choice *));
    enum rwkv7_status status = o->prompt_cache ? prompt_cache_open(o->prompt_cache, o->model, err) : RWKV7_OK;
    w->cache = prefix_cache_create(o->cache, o->prompt_cache);
    if (status == RWKV7_OK)
        status = scheduler_create(o->model, &scheduling, &w->scheduler, err);
    if (status == RWKV7_OK && (!w->active || !w->cache))
        status = fail_memory(err, "the worker");
    if (status == RWKV7_OK && pthread_create(&w->thread, NULL, run_worker, w) != 0)
        status = fail(err, RWKV7_ERR_MEMORY, "cannot start a thread");
    if (status == RWKV7_OK)
        *out = w;
    else
        free_worker(w);
    return status;
}

bool worker_submit(struct worker *w, struct job *job, struct api_error *e)
{
    const struct server_options *const o = w->server->options;
    bool fits = false;
    pthread_mutex_lock(&w->lock);
    if (w->closed) {
        error_other(e, 503, "shutting_down", "the server is shutting down");
    } else if (w->count - w->stalled >= o->parallel + o->queue || w->tokens + job->prompt_tokens > 4 * o->max_prompt) {
        error_other(e, 429, "queue_full", "too many requests are waiting; try again later");
    } else {
        fits = true;
        pthread_mutex_lock(&job->lock);
        job->references++;
        pthread_mutex_unlock(&job->lock);
        if (w->last_incoming)
            w->last_incoming->next = job;
        else
            w->incoming = job;
        w->last_incoming = job;
        w->count++;
        w->tokens += job->prompt_tokens;
        pthread_cond_signal(&w->changed);
    }
    pthread_mutex_unlock(&w->lock);
    return fits;
}

void worker_nudge(struct worker *w)
{
    pthread_mutex_lock(&w->lock);
    w->nudged = true;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

size_t worker_jobs(struct worker *w)
{
    pthread_mutex_lock(&w->lock);
    const size_t count = w->count;
    pthread_mutex_unlock(&w->lock);
    return count;
}

void worker_abort(struct worker *w)
{
    pthread_mutex_lock(&w->lock);
    w->aborted = true;
    w->closed = true;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

void worker_stop(struct worker *w)
{
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    free_worker(w);
}
