/*
 * test_scheduler.c - a request gets the same text from the scheduler as from a generator alone: for
 * any order of arrival, any number of slots, and whatever other requests enter, leave, are
 * cancelled or fail. A long prompt does not block generation of other requests.
 */
#include <math.h>

#include "base/mem.h"
#include "generate/scheduler.h"
#include "small_model.h"

enum { JOBS = 9, LONG = 700 };

/* A request and its result. */
struct job {
    struct scheduled scheduled;
    struct text text;
    int steps;
};

static struct job jobs[JOBS];
static struct text expected[JOBS];
static enum rwkv7_end expected_end[JOBS];
static uint32_t long_prompt[LONG];

/* Different options, prompts and seeds; every fourth prompt is long. */
static struct rwkv7_sampler_options sampling_of(int i)
{
    struct rwkv7_sampler_options s = sampling;
    s.seed = (uint64_t)i * 11 + 5;
    s.temperature = i % 3 == 0 ? RWKV7_ZERO : 1;
    return s;
}

static struct rwkv7_generator_options options_of(int i, const struct rwkv7_sampler_options *s)
{
    static const char *const stops[] = {"ab", "e t"};
    return (struct rwkv7_generator_options){.sampling = s,
                                            .max_tokens = i == 4 ? 0 : (uint64_t)(10 + 5 * i),
                                            .stops = stops,
                                            .stop_count = i % 2 ? 2 : 0,
                                            .ignore_end = i % 4 != 0,
                                            .speculate = i % 3 == 1 ? 0 : SPECULATE};
}

static size_t prompt_of(int i, const uint32_t **ids)
{
    *ids = long_prompt + i;
    return i % 4 == 1 ? (size_t)(LONG - 10 * i) : (size_t)(3 + 2 * i);
}

static uint64_t random_state = 5;
static size_t random_below(size_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)((random_state >> 33) % n);
}

static void find_expected(int i)
{
    const struct rwkv7_sampler_options s = sampling_of(i);
    struct rwkv7_generator_options opt = options_of(i, &s);
    struct rwkv7_session *const session = new_session();
    struct rwkv7_generator *g = NULL;
    const struct rwkv7_step *step;
    const uint32_t *ids;
    const size_t count = prompt_of(i, &ids);
    opt.speculate = 0;
    CHECK(rwkv7_generator_create(session, tokenizer, &opt, &g, NULL) == RWKV7_OK);
    CHECK(rwkv7_generator_feed_tokens(g, ids, count, NULL) == RWKV7_OK);
    do {
        CHECK(rwkv7_generator_next(g, &step, NULL) == RWKV7_OK);
        add(&expected[i], step->text, step->length);
    } while (step->end == RWKV7_END_NONE);
    expected_end[i] = step->end;
    rwkv7_generator_close(g);
    rwkv7_session_close(session);
}

static void open_job(int i)
{
    static const uint32_t bos = RWKV7_END_OF_TEXT;
    struct job *const job = &jobs[i];
    const struct rwkv7_sampler_options s = sampling_of(i);
    const struct rwkv7_generator_options opt = options_of(i, &s);
    const uint32_t *ids;
    const size_t count = prompt_of(i, &ids);
    *job = (struct job){.scheduled = {.session = new_session(), .owner = job}};
    struct request *const request = &job->scheduled.request;
    CHECK(request_open(request, tokenizer, VOCAB, &opt, NULL) == RWKV7_OK);
    CHECK(request_feed_tokens(request, &bos, 1, NULL) == RWKV7_OK);
    CHECK(request_feed_tokens(request, ids, count, NULL) == RWKV7_OK);
    CHECK(request_end_prompt(request, NULL) == RWKV7_OK);
}

static void close_job(int i)
{
    scheduled_close(&jobs[i].scheduled);
}

static struct scheduler *new_scheduler(size_t slots, size_t budget)
{
    const struct scheduler_options opt = {.slots = slots, .prompt_budget = budget};
    struct scheduler *s = NULL;
    CHECK(scheduler_create(model, &opt, &s, NULL) == RWKV7_OK);
    return s;
}

static void start(struct scheduler *s, int i)
{
    CHECK(scheduler_add(s, &jobs[i].scheduled, NULL) == RWKV7_OK);
}

/* Runs one step and records its results. */
static void step(struct scheduler *s)
{
    struct scheduled *event;
    if (scheduler_step(s, NULL) != RWKV7_OK) {
        CHECK(false);
        exit(1); /* callers loop until all jobs have ended */
    }
    while ((event = scheduler_event(s))) {
        struct job *const job = event->owner;
        job->steps++;
        if (event->err.status == RWKV7_OK)
            add(&job->text, event->request.step.text, event->request.step.length);
    }
}

static void check_text(int i)
{
    const struct job *const job = &jobs[i];
    CHECK(job->scheduled.finished && job->scheduled.err.status == RWKV7_OK);
    CHECK_MSG(job->text.size == expected[i].size && memcmp(job->text.at, expected[i].at, job->text.size) == 0,
              "job %d: \"%s\", want \"%s\"", i, job->text.at, expected[i].at);
    CHECK(job->scheduled.request.end == expected_end[i]);
}

/* Jobs arrive in random order at random steps. */
static void check_slots(size_t slots, size_t budget)
{
    struct scheduler *const s = new_scheduler(slots, budget);
    int order[JOBS], arrived = 0;
    for (int i = 0; i < JOBS; i++) {
        const size_t at = random_below((size_t)i + 1);
        order[i] = order[at];
        order[at] = i;
        open_job(i);
    }
    while (arrived < JOBS || scheduler_count(s) > 0) {
        while (arrived < JOBS && (scheduler_count(s) == 0 || random_below(3) == 0))
            start(s, order[arrived++]);
        step(s);
    }
    for (int i = 0; i < JOBS; i++) {
        check_text(i);
        close_job(i);
    }
    scheduler_close(s);
}

static void test_any_order(void)
{
    static const size_t slots[] = {1, 2, 3, JOBS, RWKV7_CHUNK};
    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++)
        for (int round = 0; round < 3; round++)
            check_slots(slots[i], round == 0 ? 0 : (size_t)round * 20);
}

/*
 * Some requests are cancelled: during generation, in the prompt, or while waiting; one leaves and
 * returns. The others are not affected.
 */
static void test_leaving(void)
{
    struct scheduler *const s = new_scheduler(4, 100);
    for (int i = 0; i < JOBS; i++) {
        open_job(i);
        start(s, i);
    }
    for (int i = 0; i < 2; i++)
        step(s);
    CHECK(jobs[1].steps == 0 && jobs[1].scheduled.request.evaluated > 0); /* in its prompt */
    request_cancel(&jobs[1].scheduled.request);
    request_cancel(&jobs[2].scheduled.request);
    request_cancel(&jobs[8].scheduled.request); /* waiting for a slot */
    scheduler_remove(s, &jobs[3].scheduled);
    const size_t written = jobs[2].text.size;
    CHECK(scheduler_count(s) == JOBS - 1);
    for (int i = 0; i < 4; i++)
        step(s);
    CHECK(scheduler_count(s) <= JOBS - 4);
    CHECK(jobs[1].scheduled.request.end == RWKV7_END_CANCELLED && jobs[1].text.size == 0 && jobs[1].scheduled.finished);
    CHECK(jobs[2].scheduled.request.end == RWKV7_END_CANCELLED && jobs[2].text.size >= written);
    CHECK(memcmp(jobs[2].text.at, expected[2].at, written) == 0);
    CHECK(jobs[8].scheduled.request.end == RWKV7_END_CANCELLED && jobs[8].scheduled.request.evaluated == 0 &&
          jobs[8].steps == 1);
    CHECK(!jobs[3].scheduled.finished);
    start(s, 3);
    while (scheduler_count(s) > 0)
        step(s);
    for (int i = 0; i < JOBS; i++) {
        if (i != 1 && i != 2 && i != 8)
            check_text(i);
        close_job(i);
    }
    scheduler_close(s);
}

/* A session with a NaN ends only its own request. */
static void test_failing(void)
{
    static float nans[2 * 64];
    struct scheduler *const s = new_scheduler(JOBS, 0);
    for (size_t i = 0; i < sizeof nans / sizeof *nans; i++)
        nans[i] = NAN;
    for (int i = 0; i < JOBS; i++) {
        open_job(i);
        start(s, i);
    }
    step(s);
    rwkv7_session_set_state(jobs[6].scheduled.session, nans, NULL, nans);
    while (scheduler_count(s) > 0)
        step(s);
    CHECK(jobs[6].scheduled.finished && jobs[6].scheduled.err.status == RWKV7_ERR_NUMERIC);
    CHECK(strstr(jobs[6].scheduled.err.message, "layer 0")); /* the message of the evaluation, not of the sampler */
    for (int i = 0; i < JOBS; i++) {
        if (i != 6)
            check_text(i);
        close_job(i);
    }
    scheduler_close(s);
}

/*
 * While a long prompt is read in pieces of the budget, the other requests get a token in every
 * step.
 */
static void test_budget(void)
{
    enum { BUDGET = 16 };
    struct scheduler *const s = new_scheduler(3, BUDGET);
    open_job(0);
    open_job(8);
    open_job(5); /* a long prompt */
    const size_t prompt = (size_t)jobs[5].scheduled.request.fed;
    start(s, 0);
    start(s, 8);
    step(s);
    step(s);
    step(s);
    start(s, 5);
    for (size_t read = 0; read < prompt && jobs[5].steps == 0;) {
        const bool writes[] = {!jobs[0].scheduled.finished, !jobs[8].scheduled.finished};
        const int before[] = {jobs[0].steps, jobs[8].steps};
        step(s);
        CHECK(jobs[0].steps == before[0] + writes[0] && jobs[8].steps == before[1] + writes[1]);
        const size_t now = (size_t)jobs[5].scheduled.request.evaluated;
        CHECK_MSG(now == (read + BUDGET + 1 < prompt ? read + BUDGET + 1 : prompt), "%zu after %zu", now, read);
        read = now;
    }
    CHECK(jobs[5].steps == 1);
    while (scheduler_count(s) > 0)
        step(s);
    check_text(0);
    check_text(8);
    check_text(5);
    close_job(0);
    close_job(8);
    close_job(5);
    scheduler_close(s);
}

/*
 * What a server needs: a paused request takes part in no step and holds no slot; a notice comes
 * after exactly the requested number of tokens; prompts share the budget. The texts do not change.
 */
static void test_serving(void)
{
    const struct scheduler_options opt = {.slots = 2, .busy_budget = 8, .fair = true};
    struct scheduler *s = NULL;
    uint64_t notices[JOBS] = {0};
    CHECK(scheduler_create(model, &opt, &s, NULL) == RWKV7_OK);
    for (int i = 0; i < JOBS; i++) {
        open_job(i);
        jobs[i].scheduled.notice_at = i % 2 ? jobs[i].scheduled.request.fed / 2 : 0;
        start(s, i);
    }
    for (int steps = 0; scheduler_count(s) > 0; steps++) {
        struct scheduled *event;
        uint64_t before[JOBS];
        for (int i = 0; i < JOBS; i++) {
            before[i] = jobs[i].scheduled.request.evaluated;
            jobs[i].scheduled.paused = random_below(3) == 0 && scheduler_count(s) > 1;
        }
        CHECK(scheduler_step(s, NULL) == RWKV7_OK);
        while ((event = scheduler_event(s))) {
            struct job *const job = event->owner;
            const int i = (int)(job - jobs);
            CHECK(event->err.status == RWKV7_OK && !event->paused);
            if (event->noticed) {
                CHECK(notices[i] == 0 && event->request.evaluated == event->notice_at && event->request.tokens == 0);
                notices[i]++;
            } else {
                add(&job->text, event->request.step.text, event->request.step.length);
            }
        }
        int served = 0;
        for (int i = 0; i < JOBS; i++) {
            const bool moved = jobs[i].scheduled.request.evaluated > before[i];
            CHECK(!moved || !jobs[i].scheduled.paused);
            served += moved;
        }
        CHECK(served <= 2 && steps < 100000);
    }
    for (int i = 0; i < JOBS; i++) {
        CHECK(notices[i] == (i % 2 ? 1u : 0u));
        check_text(i);
        close_job(i);
    }
    scheduler_close(s);
}

/* Two long prompts share the budget. While a text is generated, they share busy_budget. */
static void test_fair_prompts(void)
{
    const struct scheduler_options opt = {.slots = 3, .prompt_budget = 100, .busy_budget = 8, .fair = true};
    struct scheduler *s = NULL;
    CHECK(scheduler_create(model, &opt, &s, NULL) == RWKV7_OK);
    for (int i = 1; i <= 5; i += 4) { /* the two long prompts */
        open_job(i);
        start(s, i);
    }
    step(s);
    CHECK(jobs[1].scheduled.request.evaluated == 51 && jobs[5].scheduled.request.evaluated == 51);
    open_job(8);
    start(s, 8);
    while (!jobs[8].scheduled.request.drawn_pending)
        step(s);
    const uint64_t first = jobs[1].scheduled.request.evaluated, second = jobs[5].scheduled.request.evaluated;
    step(s);
    CHECK(jobs[1].scheduled.request.evaluated == first + 5 && jobs[5].scheduled.request.evaluated == second + 5);
    for (int i = 1; i <= 8; i += i < 5 ? 4 : 3) {
        scheduler_remove(s, &jobs[i].scheduled);
        close_job(i);
    }
    scheduler_close(s);
}

/* Once the buffers are allocated, steps allocate no memory. */
static void test_steps_allocate_nothing(void)
{
    struct scheduler *const s = new_scheduler(3, 0);
    for (int i = 0; i < 3; i++) {
        open_job(i);
        start(s, i);
    }
    step(s);
    step(s);
    mem_fail_after(0);
    while (scheduler_count(s) > 0)
        step(s);
    void *const p = mem_alloc(1, 1);
    mem_fail_after(-1);
    CHECK(!p); /* otherwise a failed allocation went unnoticed */
    mem_free(p);
    for (int i = 0; i < 3; i++) {
        check_text(i);
        close_job(i);
    }
    scheduler_close(s);
}

static void test_failing_allocations(void)
{
    const struct scheduler_options opt = {.slots = 3};
    int failures = 0;
    for (int n = 0; n < 60; n++) {
        struct scheduler *s = NULL;
        open_job(1);
        mem_fail_after(n);
        enum rwkv7_status status = scheduler_create(model, &opt, &s, NULL);
        if (status == RWKV7_OK)
            status = scheduler_add(s, &jobs[1].scheduled, NULL);
        if (status == RWKV7_OK)
            status = scheduler_step(s, NULL);
        mem_fail_after(-1);
        CHECK(status == RWKV7_OK || status == RWKV7_ERR_MEMORY);
        failures += status != RWKV7_OK;
        while (s && scheduler_count(s) > 0) /* no request was lost */
            step(s);
        if (s)
            check_text(1);
        scheduler_close(s);
        close_job(1);
    }
    CHECK(failures >= 4 && failures < 60);
}

/*
 * The result for options and a prompt equals that of a generator; opening a request may run out of
 * memory at any allocation.
 */
static void test_texts(void)
{
    const struct rwkv7_sampler_options options = sampling_of(2);
    const struct rwkv7_generator_options opt = options_of(2, &options);
    static const char prompt[] = "the text ";
    struct rwkv7_session *const session = new_session(), *const other = new_session();
    struct rwkv7_generator *g = NULL;
    const struct rwkv7_step *next;
    static struct text alone;
    CHECK(rwkv7_generator_create(other, tokenizer, &opt, &g, NULL) == RWKV7_OK);
    CHECK(rwkv7_generator_feed(g, prompt, strlen(prompt), NULL) == RWKV7_OK);
    do {
        CHECK(rwkv7_generator_next(g, &next, NULL) == RWKV7_OK);
        add(&alone, next->text, next->length);
    } while (next->end == RWKV7_END_NONE);
    struct scheduler *const s = new_scheduler(2, 0);
    struct job *const job = &jobs[0];
    enum rwkv7_status status = RWKV7_ERR_MEMORY;
    int n = 0;
    *job = (struct job){0};
    for (; n < 100 && status == RWKV7_ERR_MEMORY; n++) {
        mem_fail_after(n);
        status = scheduled_open(&job->scheduled, session, tokenizer, &opt, prompt, strlen(prompt), NULL);
        mem_fail_after(-1);
        CHECK(status == RWKV7_OK || !job->scheduled.session);
    }
    CHECK(status == RWKV7_OK && n > 4);
    job->scheduled.owner = job;
    start(s, 0);
    while (scheduler_count(s) > 0)
        step(s);
    CHECK(job->text.size == alone.size && memcmp(job->text.at, alone.at, alone.size) == 0);
    CHECK(job->scheduled.request.fed == rwkv7_generator_stats(g)->prompt_tokens);
    close_job(0);
    scheduler_close(s);
    rwkv7_generator_close(g);
    rwkv7_session_close(session);
    rwkv7_session_close(other);
}

static void test_mistakes(void)
{
    struct scheduler_options opt = {.slots = 0};
    struct scheduler *s = NULL;
    CHECK(scheduler_create(model, &opt, &s, NULL) == RWKV7_ERR_USAGE && !s);
    opt.slots = RWKV7_CHUNK + 1;
    CHECK(scheduler_create(model, &opt, &s, NULL) == RWKV7_ERR_USAGE && !s);
    s = new_scheduler(1, 0);
    const struct rwkv7_generator_options none = {.bos = RWKV7_BOS_NEVER};
    struct rwkv7_session *const session = new_session();
    struct scheduled empty;
    CHECK(scheduled_open(&empty, session, tokenizer, &none, "", 0, NULL) == RWKV7_OK);
    CHECK(scheduler_add(s, &empty, NULL) == RWKV7_ERR_USAGE && scheduler_count(s) == 0);
    CHECK(scheduler_step(s, NULL) == RWKV7_OK && !scheduler_event(s));
    scheduled_close(&empty);
    rwkv7_session_close(session);
    scheduler_close(s);
}

int main(void)
{
    open_small_model();
    for (uint32_t i = 0; i < LONG; i++)
        long_prompt[i] = 1 + i * i % 43;
    int ends[5] = {0};
    for (int i = 0; i < JOBS; i++) {
        find_expected(i);
        ends[expected_end[i]]++;
    }
    CHECK(ends[RWKV7_END_STOP] > 0 && ends[RWKV7_END_TOKEN] > 0 && ends[RWKV7_END_LENGTH] > 0);
    RUN(test_any_order);
    RUN(test_leaving);
    RUN(test_failing);
    RUN(test_budget);
    RUN(test_serving);
    RUN(test_fair_prompts);
    RUN(test_steps_allocate_nothing);
    RUN(test_failing_allocations);
    RUN(test_texts);
    RUN(test_mistakes);
    close_small_model();
    return test_end();
}
