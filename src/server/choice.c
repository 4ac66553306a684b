/*
 * choice.c - the worker's part for one choice (one text of a job): evaluates and scores its prompt,
 * then generates.
 *
 * The first choice of a prompt evaluates it. If there are more choices, a copy of the state before
 * the last token is kept for them in struct job_prompt, and each evaluates the last token itself.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/sys.h"
#include "generate/logprobs.h"
#include "generate/prompt_cache.h"
#include "server/session_use.h"
#include "server/worker_parts.h"

static enum choice_start fail_choice(struct worker *w, struct choice *c, const struct rwkv7_error *err)
{
    struct api_error e = {0};
    error_library(&e, err);
    worker_fail_job(w, c->job, &e);
    return CHOICE_JOB_ENDED;
}

static enum choice_start lack_memory(struct worker *w, struct choice *c)
{
    const struct rwkv7_error err = {RWKV7_ERR_MEMORY, "out of memory for the answer"};
    return fail_choice(w, c, &err);
}

/* ----------------------------------------------------------------------------------------- text */

/* Returns whether the cache knows the prompt and may keep its states. */
static bool is_cached(const struct choice *c)
{
    return c->job->generation.cache && !c->prompt->follows;
}

/* Passes new text to the protocol. */
static void send_piece(struct choice *c)
{
    struct job *const job = c->job;
    if (!job->generation.stream)
        return;
    if (!c->begun)
        job->protocol->begin(job, c);
    c->begun = true;
    if (c->text.size > 0 || c->thought.size > 0 || tool_calls_pending(&c->calls))
        job->protocol->piece(job, c);
}

/* Returns whether memory for the text was short. */
static bool text_failed(const struct choice *c)
{
    return c->text.failed || c->thought.failed || c->answer.failed || c->calls.failed || c->scores.failed;
}

/* Divides new text into thoughts, content and calls. */
static void add_text(struct choice *c, const char *text, size_t size)
{
    const bool with_tools = tools_are_used(&c->job->tools);
    if (!job_splits(c->job))
        text_add(&c->text, text, size);
    else
        splitter_add(&c->splitter, text, size, &c->thought, with_tools ? &c->answer : &c->text);
    if (with_tools)
        tool_calls_add(&c->calls, c->answer.bytes, c->answer.size, &c->text);
    c->answer.size = 0;
}

static void end_text(struct choice *c)
{
    const bool with_tools = tools_are_used(&c->job->tools);
    if (job_splits(c->job))
        splitter_end(&c->splitter, &c->thought, with_tools ? &c->answer : &c->text);
    if (!with_tools)
        return;
    tool_calls_add(&c->calls, c->answer.bytes, c->answer.size, &c->text);
    tool_calls_end(&c->calls, c->end == RWKV7_END_STOP || c->end == RWKV7_END_TOKEN, &c->text);
}

/*
 * Keeps the state after a long answer in the cache, for the next turn. Not after a stop string,
 * which the next turn may not contain.
 */
static void keep_answer(const struct worker *w, const struct choice *c)
{
    const struct request *const r = &c->run.request;
    const struct job_prompt *const p = c->prompt;
    const bool stopped = c->end == RWKV7_END_STOP;
    size_t count = p->count + c->drawn_count;
    if (!is_cached(c) || stopped || c->drawn_count < PROMPT_CACHE_GAP || !c->run.session)
        return;
    count -= r->drawn_pending;
    uint32_t *const ids = mem_alloc(count, sizeof *ids);
    if (!ids)
        return;
    memcpy(ids, p->ids, p->count * sizeof *ids);
    memcpy(ids + p->count, c->drawn, (count - p->count) * sizeof *ids);
    prefix_cache_keep(w->cache, c->job->generation.salt, c->run.session, ids, count);
    mem_free(ids);
}

static enum choice_start end_choice(struct worker *w, struct choice *c, enum rwkv7_end end)
{
    struct job *const job = c->job;
    struct rwkv7_error err;
    c->end = end;
    if (text_failed(c))
        return lack_memory(w, c);
    keep_answer(w, c); /* before the session is taken */
    if (session_use_end(c, &err) != RWKV7_OK)
        return fail_choice(w, c, &err);
    if (job->protocol->keep && !job->protocol->keep(job, c))
        return lack_memory(w, c);
    send_piece(c);
    if (job->generation.stream)
        job->protocol->end(job, c);
    worker_drop_choice(w, c);
    if (++job->ended < job->choice_count)
        return CHOICE_STARTED;
    worker_finish_job(w, job);
    return CHOICE_JOB_ENDED;
}

static bool add_drawn(struct choice *c, uint32_t id)
{
    if (c->drawn_count == c->drawn_room) {
        const size_t room = 2 * c->drawn_room + 64;
        uint32_t *const grown = mem_grow(c->drawn, c->drawn_count, room, sizeof *grown);
        if (!grown)
            return false;
        c->drawn = grown;
        c->drawn_room = room;
    }
    c->drawn[c->drawn_count++] = id;
    return true;
}

static void take_step(struct worker *w, struct choice *c)
{
    const struct rwkv7_step *const step = &c->run.request.step;
    struct job *const job = c->job;
    if (job->first_token == 0) {
        job->first_token = sys_seconds();
        metrics_time(&w->server->metrics, METRIC_FIRST_TOKEN, job->first_token - job->arrived);
    }
    const uint64_t drawn = c->run.request.tokens - c->tokens;
    metrics_count(&w->server->metrics, METRIC_GENERATED_TOKENS, drawn);
    c->tokens += drawn;
    c->stop = step->stop;
    struct rwkv7_error err;
    if (job->generation.top >= 0 && step->drawn) {
        const struct score score = {step->logprob, step->id, true};
        scores_add(&c->scores, score, step->top, step->top_count < c->scores.width ? step->top_count : c->scores.width);
    }
    const size_t before = c->text.size;
    add_text(c, step->text, step->length);
    if (c->splitter.part == SPLITTER_THOUGHT)
        c->thought_tokens += drawn;
    if (step->drawn && step->end != RWKV7_END_TOKEN && !add_drawn(c, step->id)) {
        lack_memory(w, c);
        return;
    }
    if (step->end != RWKV7_END_NONE) {
        c->end = step->end;
        end_text(c);
    }
    if (session_use_step(c, c->text.size - before, &err) != RWKV7_OK)
        fail_choice(w, c, &err);
    else if (step->end != RWKV7_END_NONE)
        end_choice(w, c, step->end);
    else if (text_failed(c))
        lack_memory(w, c);
    else
        send_piece(c);
}

/* -------------------------------------------------------------------------------------- reading */

/*
 * Opens the text on a session that has evaluated the first `done` tokens of the prompt. Takes
 * ownership of the session.
 */
static enum choice_start run_choice(struct worker *w, struct choice *c, struct rwkv7_session *session, size_t done)
{
    const struct job *const job = c->job;
    const struct job_prompt *const p = c->prompt;
    struct rwkv7_sampler_options sampling;
    const struct rwkv7_generator_options options = generation_options(&job->generation, c->number, &sampling);
    struct rwkv7_error err;
    if (scheduled_open_tokens(&c->run, session, w->server->options->tokenizer, &options, p->ids + done, p->count - done,
                              &err) != RWKV7_OK) {
        rwkv7_session_close(session);
        return fail_choice(w, c, &err);
    }
    c->run.owner = c;
    if (tools_are_used(&job->tools) && scheduled_follow(&c->run, job->given.bytes, job->given.size, &err) != RWKV7_OK)
        return fail_choice(w, c, &err);
    if (session_use_begin(c, &err) != RWKV7_OK || scheduler_add(w->scheduler, &c->run, &err) != RWKV7_OK)
        return fail_choice(w, c, &err);
    if (c->phase == CHOICE_WAITING)
        w->active[w->active_count++] = c;
    c->phase = CHOICE_RUNNING;
    return CHOICE_STARTED;
}

/* Sets the next position of the prompt at which the scheduler reports an event (take_notice). */
static void next_notice(struct choice *c)
{
    const size_t done = c->prompt->cached;
    c->run.notice_at = 0;
    for (size_t i = c->place_count; i-- > 0;)
        if (c->places[i] - done > c->run.request.evaluated)
            c->run.notice_at = c->places[i] - done;
}

/* Returns whether the state before the prompt's last token is needed. */
static bool lends_state(const struct choice *c)
{
    return c->job->generation.choices > 1 || (c->job->use && c->job->use->reads_only);
}

/* Plans at which prompt positions the state is copied: for the cache, and for the other choices. */
static void plan_notices(const struct worker *w, struct choice *c)
{
    const struct job_prompt *const p = c->prompt;
    if (is_cached(c) && prefix_cache_is_on(w->cache))
        c->place_count = prefix_cache_plan(p->cached, p->count, p->marks, p->mark_count, c->places, CHOICE_PLACES - 1);
    if (lends_state(c) && (c->place_count == 0 || c->places[c->place_count - 1] != p->count - 1))
        c->places[c->place_count++] = p->count - 1;
    next_notice(c);
}

static enum choice_start lend_state(struct worker *w, struct choice *c)
{
    struct job_prompt *const p = c->prompt;
    struct rwkv7_error err;
    if (rwkv7_session_clone(c->run.session, &p->session, &err) != RWKV7_OK)
        return fail_choice(w, c, &err);
    p->ready = true;
    return CHOICE_STARTED;
}

/* Returns whether other processes may have prompts that differ from here on. */
static bool is_border(const struct job_prompt *p, size_t done)
{
    bool found = done == p->count - 1;
    for (size_t i = 0; i < p->mark_count; i++)
        found = found || p->marks[i] == done;
    return found;
}

static void take_notice(struct worker *w, struct choice *c)
{
    const struct job_prompt *const p = c->prompt;
    const size_t done = p->cached + (size_t)c->run.request.evaluated;
    if (is_cached(c))
        (is_border(p, done) ? prefix_cache_share : prefix_cache_keep)(w->cache, c->job->generation.salt, c->run.session,
                                                                      p->ids, done);
    next_notice(c);
    if (done == p->count - 1 && lends_state(c))
        lend_state(w, c);
}

void worker_take_event(struct worker *w, struct choice *c)
{
    if (c->run.err.status != RWKV7_OK)
        fail_choice(w, c, &c->run.err);
    else if (c->run.noticed)
        take_notice(w, c);
    else
        take_step(w, c);
}

/* ------------------------------------------------------------------------------------- starting */

static enum choice_start begin_prompt(struct worker *w, struct choice *c)
{
    struct job_prompt *const p = c->prompt;
    struct rwkv7_session *session;
    struct rwkv7_error err;
    p->begun = true;
    metrics_count(&w->server->metrics, METRIC_PROMPT_TOKENS, p->count);
    if (rwkv7_session_clone(session_use_start(c->job), &session, &err) != RWKV7_OK)
        return fail_choice(w, c, &err);
    if (p->scored) {
        const struct score first = {.id = p->ids[p->hidden < p->count ? p->hidden : 0]};
        if (p->shared == 0 && p->hidden < p->count)
            scores_add(&p->scores, first, NULL, 0);
        if (c->job->shared) {
            rwkv7_session_copy(session, c->job->shared);
            p->evaluated = p->shared - 1;
        }
        p->session = session;
        c->phase = CHOICE_SCORING;
        w->active[w->active_count++] = c;
        return CHOICE_STARTED;
    }
    if (is_cached(c))
        p->cached = prefix_cache_find(w->cache, c->job->generation.salt, session, p->ids, p->count - 1);
    metrics_count(&w->server->metrics, METRIC_CACHED_TOKENS, p->cached);
    const enum choice_start started = run_choice(w, c, session, p->cached);
    if (started != CHOICE_STARTED)
        return started;
    plan_notices(w, c);
    return p->cached == p->count - 1 && lends_state(c) ? lend_state(w, c) : CHOICE_STARTED;
}

/*
 * Starts on a copy of the shared state before the last token. The last choice takes the state
 * itself.
 */
static enum choice_start begin_from_state(struct worker *w, struct choice *c)
{
    struct job_prompt *const p = c->prompt;
    struct rwkv7_session *session = p->session;
    struct rwkv7_error err;
    if (c->number + 1 == c->job->generation.choices) {
        p->session = NULL;
    } else if (rwkv7_session_clone(p->session, &session, &err) != RWKV7_OK) {
        return fail_choice(w, c, &err);
    }
    return run_choice(w, c, session, p->count - 1);
}

enum choice_start worker_start_choice(struct worker *w, struct choice *c)
{
    struct job *const job = c->job;
    struct job_prompt *const p = c->prompt;
    if (p->begun && !p->ready && !(job->generation.max_tokens == 0 && !p->scored))
        return CHOICE_MUST_WAIT;
    if (p->shared > 1 && !job->shared && p != job->prompts) /* the first prompt evaluates what they share */
        return CHOICE_MUST_WAIT;
    if (job->started == 0) {
        job->started = sys_seconds();
        metrics_time(&w->server->metrics, METRIC_QUEUE, job->started - job->arrived);
    }
    if (job_splits(job) && job->prefilled) {
        c->splitter = (struct splitter){.part = SPLITTER_ANSWER, .any = true};
        if (tools_are_used(&job->tools))
            tool_calls_prefill(&c->calls, job->given.bytes, job->given.size);
    } else if (job_splits(job)) {
        const char *opening = chat_template_opening(job->thinking);
        for (; *opening; opening++)
            splitter_add(&c->splitter, opening, 1, &c->thought, &c->text);
    }
    if (job->generation.max_tokens == 0 && (p->ready || !p->scored))
        return end_choice(w, c, RWKV7_END_LENGTH);
    return p->ready ? begin_from_state(w, c) : begin_prompt(w, c);
}

/* -------------------------------------------------------------------------------------- scoring */

static void score_rows(const struct worker *w, struct choice *c, size_t count)
{
    struct job_prompt *const p = c->prompt;
    struct rwkv7_logprob top[GENERATION_TOP];
    for (size_t i = 0; i < count; i++) {
        const size_t next = p->evaluated + i + 1;
        const struct distribution d = distribution_of(w->rows + i * w->vocab, (int)w->vocab);
        const struct score score = {log_probability(&d, p->ids[next]), p->ids[next], true};
        if (next > p->hidden && next >= p->shared)
            scores_add(&p->scores, score, top, distribution_top(&d, p->scores.width, top));
    }
    p->evaluated += count;
}

/* Evaluates the next of the shared tokens. After all but the last, lends the state to the other prompts. */
static void read_shared(struct worker *w, struct choice *c)
{
    struct job_prompt *const p = c->prompt;
    const size_t left = p->shared - 1 - p->evaluated, count = left < WORKER_PIECE ? left : WORKER_PIECE;
    struct rwkv7_error err;
    if (rwkv7_session_eval(p->session, p->ids + p->evaluated, count, RWKV7_LOGITS_NONE, NULL, &err) != RWKV7_OK) {
        fail_choice(w, c, &err);
        return;
    }
    p->evaluated += count;
    metrics_count(&w->server->metrics, METRIC_STEPS, 1);
    metrics_count(&w->server->metrics, METRIC_STEP_TOKENS, count);
    if (count == left && rwkv7_session_clone(p->session, &c->job->shared, &err) != RWKV7_OK)
        fail_choice(w, c, &err);
}

/*
 * Scores the next tokens of a prompt. When only the last token is left, the choice starts to
 * generate.
 */
static void score_piece(struct worker *w, struct choice *c)
{
    struct job_prompt *const p = c->prompt;
    const size_t left = p->count - 1 - p->evaluated, count = left < WORKER_PIECE ? left : WORKER_PIECE;
    struct rwkv7_error err;
    size_t floats;
    if (!w->rows && size_mul(w->vocab, WORKER_PIECE, &floats))
        w->rows = mem_alloc(floats, sizeof *w->rows);
    if (!w->rows) {
        lack_memory(w, c);
        return;
    }
    if (count > 0 &&
        rwkv7_session_eval(p->session, p->ids + p->evaluated, count, RWKV7_LOGITS_ALL, w->rows, &err) != RWKV7_OK) {
        fail_choice(w, c, &err);
        return;
    }
    score_rows(w, c, count);
    metrics_count(&w->server->metrics, METRIC_STEPS, 1);
    metrics_count(&w->server->metrics, METRIC_STEP_TOKENS, count);
    if (p->scores.failed) {
        lack_memory(w, c);
        return;
    }
    if (p->evaluated < p->count - 1)
        return;
    p->ready = true;
    if (c->job->generation.max_tokens > 0) {
        begin_from_state(w, c);
        return;
    }
    rwkv7_session_close(p->session); /* other prompts may wait for long */
    p->session = NULL;
    end_choice(w, c, RWKV7_END_LENGTH);
}

bool worker_score_piece(struct worker *w)
{
    for (size_t i = 0; i < w->active_count; i++) {
        struct choice *const c = w->active[(w->score_turn + i) % w->active_count];
        if (c->phase != CHOICE_SCORING)
            continue;
        w->score_turn++;
        if (c->prompt->evaluated + 1 < c->prompt->shared)
            read_shared(w, c);
        else
            score_piece(w, c);
        return true;
    }
    return false;
}
