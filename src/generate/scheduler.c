/* scheduler.c - evaluates many requests together; see scheduler.h. */
#include "generate/scheduler.h"

#include "base/mem.h"
#include "base/status.h"

struct scheduler {
    struct rwkv7_batch *batch;
    size_t vocab, slots, prompt_budget;
    struct scheduled *first, *last; /* unfinished requests, in order of arrival */
    size_t count;
    struct scheduled *event, *last_event;

    float *logits;            /* [slots][V] */
    struct rwkv7_feed *feeds; /* [slots] of the current step */
    struct scheduled **fed;   /* [slots] the request of each feed */
};

enum rwkv7_status scheduled_open(struct scheduled *job, const struct rwkv7_session *start,
                                 const struct rwkv7_tokenizer *tokenizer, const struct rwkv7_generator_options *opt,
                                 const void *prompt, size_t size, struct rwkv7_error *err)
{
    const int vocab = rwkv7_model_info(rwkv7_session_model(start))->shape.vocab;
    enum rwkv7_status status;
    *job = (struct scheduled){0};
    if ((status = request_open(&job->request, tokenizer, vocab, opt, err)) ||
        (status = request_begin(&job->request, opt->bos, rwkv7_session_tokens(start) == 0, err)) ||
        (status = request_feed(&job->request, prompt, size, err)) ||
        (status = request_end_prompt(&job->request, err)) || (status = rwkv7_session_clone(start, &job->session, err)))
        scheduled_close(job);
    return status;
}

void scheduled_close(struct scheduled *job)
{
    rwkv7_session_close(job->session);
    job->session = NULL;
    request_clear(&job->request);
}

enum rwkv7_status scheduler_create(struct rwkv7_model *model, const struct scheduler_options *opt,
                                   struct scheduler **out, struct rwkv7_error *err)
{
    size_t floats;
    *out = NULL;
    if (opt->slots < 1 || opt->slots > RWKV7_CHUNK)
        return fail(err, RWKV7_ERR_USAGE, "scheduler: expected 1 to %d slots, found %zu", RWKV7_CHUNK, opt->slots);
    struct scheduler *const s = mem_alloc(1, sizeof *s);
    if (!s)
        return fail_memory(err, "the scheduler");
    s->vocab = (size_t)rwkv7_model_info(model)->shape.vocab;
    s->slots = opt->slots;
    s->prompt_budget = opt->prompt_budget > 0 ? opt->prompt_budget : RWKV7_CHUNK;
    enum rwkv7_status status = rwkv7_batch_create(model, &s->batch, err);
    if (status == RWKV7_OK) {
        s->logits = size_mul(s->slots, s->vocab, &floats) ? mem_alloc(floats, sizeof *s->logits) : NULL;
        s->feeds = mem_alloc(s->slots, sizeof *s->feeds);
        s->fed = mem_alloc(s->slots, sizeof(struct scheduled *));
        if (!s->logits || !s->feeds || !s->fed)
            status = fail(err, RWKV7_ERR_MEMORY, "out of memory for %zu sequences", s->slots);
    }
    if (status == RWKV7_OK)
        *out = s;
    else
        scheduler_close(s);
    return status;
}

void scheduler_close(struct scheduler *s)
{
    if (!s)
        return;
    rwkv7_batch_close(s->batch);
    mem_free(s->logits);
    mem_free(s->feeds);
    mem_free(s->fed);
    mem_free(s);
}

enum rwkv7_status scheduler_add(struct scheduler *s, struct scheduled *job, struct rwkv7_error *err)
{
    const uint32_t *ids;
    bool logits;
    if (request_pending(&job->request, 1, &ids, &logits) == 0)
        return fail(err, RWKV7_ERR_USAGE, "the prompt is empty: nothing to continue");
    job->finished = false;
    job->err.status = RWKV7_OK;
    job->next = NULL;
    if (s->last)
        s->last->next = job;
    else
        s->first = job;
    s->last = job;
    s->count++;
    return RWKV7_OK;
}

static void unlink_job(struct scheduler *s, struct scheduled *job)
{
    struct scheduled *before = NULL, *at = s->first;
    for (; at && at != job; at = at->next)
        before = at;
    if (!at)
        return;
    if (before)
        before->next = job->next;
    else
        s->first = job->next;
    if (s->last == job)
        s->last = before;
    s->count--;
}

void scheduler_remove(struct scheduler *s, struct scheduled *job)
{
    struct scheduled *before = NULL;
    unlink_job(s, job);
    for (struct scheduled *at = s->event; at; at = at->next_event) {
        if (at != job) {
            before = at;
            continue;
        }
        if (before)
            before->next_event = job->next_event;
        else
            s->event = job->next_event;
        if (s->last_event == job)
            s->last_event = before;
    }
}

size_t scheduler_count(const struct scheduler *s)
{
    return s->count;
}

struct scheduled *scheduler_event(struct scheduler *s)
{
    struct scheduled *const job = s->event;
    if (job)
        s->event = job->next_event;
    return job;
}

static void tell(struct scheduler *s, struct scheduled *job)
{
    job->next_event = NULL;
    if (s->event)
        s->last_event->next_event = job;
    else
        s->event = job;
    s->last_event = job;
    if (job->err.status == RWKV7_OK && job->request.end == RWKV7_END_NONE)
        return;
    job->finished = true;
    unlink_job(s, job);
}

static bool is_cancelled(const struct scheduled *job)
{
    return atomic_load_explicit(&job->request.cancelled, memory_order_relaxed);
}

/* Ends cancelled requests, including waiting ones. */
static void end_cancelled(struct scheduler *s)
{
    for (struct scheduled *job = s->first, *next; job; job = next) {
        next = job->next;
        if (is_cancelled(job)) {
            job->err.status = request_end(&job->request, RWKV7_END_CANCELLED, &job->err);
            tell(s, job);
        }
    }
}

/*
 * Decides how many tokens each request gets: one each, and the rest for prompts. Returns the number
 * of feeds.
 */
static size_t plan(struct scheduler *s)
{
    const size_t active = s->count < s->slots ? s->count : s->slots, limit = RWKV7_CHUNK - active;
    size_t room = s->prompt_budget < limit ? s->prompt_budget : limit, n = 0;
    for (struct scheduled *job = s->first; n < active; job = job->next) {
        struct rwkv7_feed *const f = &s->feeds[n];
        *f = (struct rwkv7_feed){.session = job->session};
        f->count = request_pending(&job->request, room + 1, &f->tokens, &f->logits);
        room -= f->count - 1;
        s->fed[n++] = job;
    }
    return n;
}

/*
 * Continues a request after its tokens were evaluated. logits: after them, or NULL if its prompt is
 * not finished.
 */
static void advance(struct scheduler *s, struct scheduled *job, const struct rwkv7_feed *f, const float *logits)
{
    job->err = f->err;
    if (f->err.status == RWKV7_OK) {
        request_evaluated(&job->request, f->count);
        if (is_cancelled(job))
            job->err.status = request_end(&job->request, RWKV7_END_CANCELLED, &job->err);
        else if (logits)
            job->err.status = request_draw(&job->request, logits, &job->err);
        else
            return;
    }
    tell(s, job);
}

enum rwkv7_status scheduler_step(struct scheduler *s, struct rwkv7_error *err)
{
    s->event = NULL;
    end_cancelled(s);
    const size_t count = plan(s);
    if (count == 0)
        return RWKV7_OK;
    const enum rwkv7_status status = rwkv7_batch_eval(s->batch, s->feeds, count, s->logits, err);
    if (status != RWKV7_OK)
        return status;
    const float *row = s->logits;
    for (size_t i = 0; i < count; i++) {
        const struct rwkv7_feed *const f = &s->feeds[i];
        advance(s, s->fed[i], f, f->logits ? row : NULL);
        row += f->logits ? s->vocab : 0;
    }
    return RWKV7_OK;
}
