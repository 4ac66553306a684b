/* scheduler.c - evaluates many requests together; see scheduler.h. */
#include "generate/scheduler.h"

#include "base/mem.h"
#include "base/status.h"
#include "base/sys.h"

struct scheduler {
    struct rwkv7_batch *batch;
    size_t vocab, slots, prompt_budget, busy_budget;
    bool fair;
    struct scheduled *first, *last; /* unfinished requests, in order of arrival */
    size_t count;
    struct scheduled *event, *last_event;

    float *logits; /* [row_room][V]; at least one row for each slot */
    size_t row_room;
    struct rwkv7_feed *feeds;   /* [slots] of the current step */
    struct scheduled **fed;     /* [slots] the request of each feed */
    struct speculation **texts; /* [slots] of each feed */
    struct step_costs costs;    /* of steps without prompts, by their tokens */
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

enum rwkv7_status scheduled_open_tokens(struct scheduled *job, struct rwkv7_session *session,
                                        const struct rwkv7_tokenizer *tokenizer,
                                        const struct rwkv7_generator_options *opt, const uint32_t *ids, size_t count,
                                        struct rwkv7_error *err)
{
    const int vocab = rwkv7_model_info(rwkv7_session_model(session))->shape.vocab;
    enum rwkv7_status status;
    *job = (struct scheduled){0};
    if ((status = request_open(&job->request, tokenizer, vocab, opt, err)) ||
        (status = request_feed_tokens(&job->request, ids, count, err)))
        scheduled_close(job);
    else
        job->session = session;
    return status;
}

enum rwkv7_status scheduled_follow(struct scheduled *job, const char *text, size_t size, struct rwkv7_error *err)
{
    return request_follow(&job->request, text, size, err);
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
    s->slots = s->row_room = opt->slots;
    s->prompt_budget = opt->prompt_budget > 0 ? opt->prompt_budget : RWKV7_CHUNK;
    s->busy_budget = opt->busy_budget > 0 ? opt->busy_budget : s->prompt_budget;
    s->fair = opt->fair;
    enum rwkv7_status status = rwkv7_batch_create(model, &s->batch, err);
    if (status == RWKV7_OK) {
        s->logits = size_mul(s->slots, s->vocab, &floats) ? mem_alloc(floats, sizeof *s->logits) : NULL;
        s->feeds = mem_alloc(s->slots, sizeof *s->feeds);
        s->fed = mem_alloc(s->slots, sizeof(struct scheduled *));
        s->texts = mem_alloc(s->slots, sizeof(struct speculation *));
        if (!s->logits || !s->feeds || !s->fed || !s->texts)
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
    mem_free(s->texts);
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

/*
 * Sets the session to the state after all drawn tokens except the last. Cannot fail: these tokens
 * have been evaluated.
 */
static void settle(struct scheduled *job)
{
    if (job->session)
        speculation_settle(&job->request.speculation, job->session, NULL);
}

static void unlink_job(struct scheduler *s, struct scheduled *job)
{
    struct scheduled *before = NULL, *at = s->first;
    speculation_account(&job->request.speculation, &s->costs);
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
    settle(job);
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
    settle(job);
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

/* Draws the next token of a request from its logits. */
static void draw(struct scheduler *s, struct scheduled *job, const float *logits)
{
    request_evaluated(&job->request, 1);
    job->taken = false;
    job->noticed = false;
    job->err.status = request_draw(&job->request, logits, &job->err);
    tell(s, job);
}

/*
 * Draws a token for each request whose last token was guessed and evaluated in advance. Returns
 * whether there was one. The other requests then wait, so that the next evaluation includes all.
 */
static bool draw_guessed(struct scheduler *s)
{
    bool any = false;
    size_t n = 0;
    for (struct scheduled *job = s->first, *next; job && n < s->slots; job = next) {
        struct request *const r = &job->request;
        const uint32_t *id;
        bool logits;
        next = job->next;
        if (job->paused)
            continue;
        n++;
        if (job->taken || !r->drawn_pending)
            continue;
        request_pending(r, 1, &id, &logits);
        const float *const row = speculation_take(&r->speculation, *id);
        job->taken = !row;
        if (row)
            draw(s, job, row);
        any |= row != NULL;
    }
    return any;
}

/* Returns how many pending tokens may be evaluated before notice_at. */
static size_t wanted(const struct scheduled *job)
{
    const uint32_t *ids;
    bool logits;
    const size_t count = request_pending(&job->request, SIZE_MAX, &ids, &logits);
    const uint64_t done = job->request.evaluated;
    return job->notice_at > done && job->notice_at - done < count ? (size_t)(job->notice_at - done) : count;
}

/*
 * Chooses the requests of the step and returns their number. *prompts: how many of them have more
 * than one pending token. *writing: whether one of them generates.
 */
static size_t choose(struct scheduler *s, size_t *prompts, bool *writing)
{
    size_t n = 0;
    *prompts = 0;
    *writing = false;
    for (struct scheduled *job = s->first; job && n < s->slots; job = job->next) {
        if (job->paused)
            continue;
        *prompts += wanted(job) > 1;
        *writing = *writing || job->request.drawn_pending;
        s->fed[n++] = job;
    }
    return n;
}

/*
 * Decides how many tokens each request gets: one, and the remaining room goes to prompts. Returns
 * the number of feeds.
 */
static size_t plan(struct scheduler *s)
{
    size_t prompts;
    bool writing;
    const size_t active = choose(s, &prompts, &writing), limit = RWKV7_CHUNK - active;
    const size_t budget = writing ? s->busy_budget : s->prompt_budget;
    size_t room = budget < limit ? budget : limit;
    for (size_t i = 0; i < active; i++) {
        struct scheduled *const job = s->fed[i];
        struct rwkv7_feed *const f = &s->feeds[i];
        const size_t most = wanted(job);
        size_t more = 0; /* tokens besides the first */
        if (most > 1 && prompts > 0) {
            const size_t part = s->fair ? room / prompts : room;
            more = most - 1 < part ? most - 1 : part;
            prompts--;
        }
        *f = (struct rwkv7_feed){.session = job->session};
        f->count = request_pending(&job->request, more + 1, &f->tokens, &f->logits);
        room -= more;
        s->texts[i] = &job->request.speculation;
    }
    return active;
}

/* Makes room for the logits of `rows` tokens. */
static bool reserve_rows(struct scheduler *s, size_t rows)
{
    size_t floats;
    if (rows <= s->row_room)
        return true;
    float *const larger = size_mul(rows, s->vocab, &floats) ? mem_alloc(floats, sizeof *larger) : NULL;
    if (!larger)
        return false;
    mem_free(s->logits);
    s->logits = larger;
    s->row_room = rows;
    return true;
}

/*
 * Adds guesses to the feeds [count] if none of them evaluates a prompt. Returns whether that is so.
 */
static bool guess(struct scheduler *s, size_t count)
{
    size_t rows = 0;
    for (size_t i = 0; i < count; i++) {
        settle(s->fed[i]);
        if (!s->fed[i]->request.drawn_pending)
            return false;
    }
    for (size_t i = 0; i < count; i++) {
        const struct request *const r = &s->fed[i]->request;
        const uint64_t left = r->limit - r->tokens;
        speculation_draft(s->texts[i], left < RWKV7_TRY ? (size_t)left : RWKV7_TRY);
    }
    speculation_plan(&s->costs, s->texts, count);
    for (size_t i = 0; i < count; i++) {
        struct rwkv7_feed *const f = &s->feeds[i];
        f->count = speculation_fill(s->texts[i], s->fed[i]->request.sampler);
        f->tentative = f->count > 1;
        if (f->tentative)
            f->tokens = s->texts[i]->ids;
        rows += f->count;
    }
    if (rows <= RWKV7_CHUNK && reserve_rows(s, rows))
        return true;
    for (size_t i = 0; i < count; i++) { /* too many rows or no memory: drop the guesses */
        s->feeds[i].count = 1;
        s->feeds[i].tentative = false;
        s->texts[i]->chosen = 0;
    }
    return true;
}

/*
 * Continues a request after its tokens were evaluated. logits: after them, or NULL if its prompt is
 * not finished.
 */
static void advance(struct scheduler *s, struct scheduled *job, const struct rwkv7_feed *f, const float *logits)
{
    struct request *const r = &job->request;
    job->err = f->err;
    job->noticed = false;
    if (f->err.status == RWKV7_OK) {
        if (f->tentative)
            speculation_opened(&r->speculation, job->session, logits);
        else
            r->speculation.total_steps += r->drawn_pending;
        job->taken = false;
        request_evaluated(r, f->tentative ? 1 : f->count);
        if (is_cancelled(job))
            job->err.status = request_end(r, RWKV7_END_CANCELLED, &job->err);
        else if (logits)
            job->err.status = request_draw(r, logits, &job->err);
        else if (r->evaluated == job->notice_at)
            job->noticed = true;
        else
            return;
    }
    tell(s, job);
}

enum rwkv7_status scheduler_step(struct scheduler *s, struct rwkv7_error *err)
{
    s->event = NULL;
    end_cancelled(s);
    if (draw_guessed(s))
        return RWKV7_OK;
    const double begin = sys_seconds();
    const size_t count = plan(s);
    if (count == 0)
        return RWKV7_OK;
    const bool without_prompts = guess(s, count);
    const enum rwkv7_status status = rwkv7_batch_eval(s->batch, s->feeds, count, s->logits, err);
    if (status != RWKV7_OK)
        return status;
    size_t rows = 0;
    for (size_t i = 0; i < count; i++) {
        const struct rwkv7_feed *const f = &s->feeds[i];
        const float *const row = s->logits + rows * s->vocab;
        rows += f->tentative ? f->count : f->logits;
        advance(s, s->fed[i], f, f->logits ? row : NULL);
    }
    if (without_prompts)
        step_costs_add(&s->costs, rows, rows == count, sys_seconds() - begin);
    return RWKV7_OK;
}
