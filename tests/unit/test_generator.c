/*
 * test_generator.c - a generator gives, step by step, the same as a plain loop over session,
 * sampler and stream, however its prompt is divided, up to a stop string, an end of text, a limit
 * or cancellation.
 */
#include <math.h>
#include <unistd.h>

#include "base/mem.h"
#include "generate/generator.h"
#include "generate/logprobs.h"
#include "generator_steps.h"

/* ----------------------------------------------------------------------------------- plain loop */

struct plain {
    struct rwkv7_session *session;
    struct rwkv7_sampler *sampler;
    struct rwkv7_stream *stream;
    float logits[VOCAB];
};

/* A sampler that never draws ids without text, built by hand. */
static struct rwkv7_sampler *plain_sampler(struct rwkv7_sampler_options options, bool ban)
{
    struct rwkv7_token_bias biases[VOCAB];
    struct rwkv7_sampler *s = NULL;
    options.biases = biases;
    options.any_id = !ban;
    for (uint32_t id = WITH_TEXT; ban && id < VOCAB; id++)
        biases[options.bias_count++] = (struct rwkv7_token_bias){id, -INFINITY};
    CHECK(rwkv7_sampler_create(&options, VOCAB, tokenizer, &s, NULL) == RWKV7_OK);
    return s;
}

static void plain_open(struct plain *p, const struct rwkv7_sampler_options *options)
{
    uint32_t ids[64] = {RWKV7_END_OF_TEXT};
    size_t count, covered;
    p->session = new_session();
    p->sampler = plain_sampler(*options, true);
    CHECK(rwkv7_stream_create(NULL, 0, &p->stream, NULL) == RWKV7_OK);
    CHECK(rwkv7_tokenizer_encode(tokenizer, prompt, strlen(prompt), true, ids + 1, 63, &count, &covered, NULL) ==
          RWKV7_OK);
    CHECK(rwkv7_session_eval(p->session, ids, count + 1, RWKV7_LOGITS_LAST, p->logits, NULL) == RWKV7_OK);
}

static void plain_close(struct plain *p)
{
    rwkv7_session_close(p->session);
    rwkv7_sampler_close(p->sampler);
    rwkv7_stream_close(p->stream);
}

static void check_against_plain(float temperature)
{
    struct rwkv7_sampler_options options = sampling;
    const struct rwkv7_generator_options opt = {.sampling = &options};
    struct rwkv7_session *const s = new_session();
    struct plain p;
    options.temperature = temperature > 0 ? temperature : RWKV7_ZERO;
    struct rwkv7_generator *const g = new_generator(s, &opt);
    plain_open(&p, &options);
    feed(g, prompt);
    int tokens = 0;
    for (; tokens < 150; tokens++) {
        const struct rwkv7_step step = next(g);
        uint32_t id;
        const char *text;
        size_t length;
        int stop;
        CHECK(rwkv7_sampler_next(p.sampler, p.logits, &id, NULL) == RWKV7_OK);
        CHECK_MSG(step.drawn && step.id == id, "token %d: %u, want %u", tokens, step.id, id);
        if (id == RWKV7_END_OF_TEXT || step.id != id)
            break;
        const uint8_t *const bytes = rwkv7_tokenizer_bytes(tokenizer, id, &length);
        CHECK(rwkv7_stream_push(p.stream, bytes, length, &text, &length, &stop, NULL) == RWKV7_OK);
        CHECK(step.length == length && memcmp(step.text, text, length) == 0);
        CHECK(step.end == RWKV7_END_NONE && step.stop == -1);
        if (!SPECULATE) /* the token has not been read yet */
            CHECK(rwkv7_session_tokens(s) == rwkv7_session_tokens(p.session));
        CHECK(rwkv7_session_eval(p.session, &id, 1, RWKV7_LOGITS_LAST, p.logits, NULL) == RWKV7_OK);
    }
    CHECK(tokens > 5);
    CHECK(rwkv7_generator_sync(g, NULL) == RWKV7_OK);
    CHECK(same_state(s, p.session));
    const struct rwkv7_generator_stats stats = *rwkv7_generator_stats(g);
    CHECK(stats.tokens == (uint64_t)tokens && stats.evaluated == stats.tokens && stats.seed == options.seed);
    CHECK(stats.prompt_tokens + stats.tokens == rwkv7_session_tokens(s));
    rwkv7_generator_close(g);
    rwkv7_session_close(s);
    plain_close(&p);
}

static void test_same_as_plain(void)
{
    check_against_plain(0);
    check_against_plain(1);
}

static void test_ids_without_text(void)
{
    struct rwkv7_sampler_options options = sampling;
    options.temperature = 3; /* makes all ids about equally likely */
    const struct rwkv7_generator_options opt = {.sampling = &options, .ignore_end = true};
    struct rwkv7_session *const s = new_session();
    struct rwkv7_generator *const g = new_generator(s, &opt);
    struct rwkv7_sampler *const free_one = plain_sampler(options, false);
    float logits[VOCAB] = {0};
    bool without = false, end = false;
    feed(g, prompt);
    for (int i = 0; i < 400; i++) {
        const struct rwkv7_step step = next(g);
        CHECK_MSG(step.id > 0 && step.id < WITH_TEXT, "drew %u", step.id);
        uint32_t id;
        CHECK(rwkv7_sampler_next(free_one, logits, &id, NULL) == RWKV7_OK);
        without = without || id >= WITH_TEXT;
        end = end || id == RWKV7_END_OF_TEXT;
    }
    CHECK(without && end); /* otherwise the test would prove nothing */
    rwkv7_sampler_close(free_one);
    rwkv7_generator_close(g);
    rwkv7_session_close(s);
}

/* -------------------------------------------------------------------------------------- prompts */

static void test_prompt_in_pieces(void)
{
    enum { LONG = 3000 };
    static const size_t pieces[] = {LONG, 1, 7, 700};
    static char text[LONG];
    struct rwkv7_session *const want = new_session();
    uint64_t tokens = 0;
    for (size_t i = 0; i < LONG; i++)
        text[i] = "the cab is abc then"[i % 19 == 18 ? i % 5 : i % 19];
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct rwkv7_session *const s = new_session();
        struct rwkv7_generator *const g = new_generator(s, NULL);
        for (size_t at = 0; at < LONG; at += pieces[i])
            CHECK(rwkv7_generator_feed(g, text + at, LONG - at < pieces[i] ? LONG - at : pieces[i], NULL) == RWKV7_OK);
        CHECK(rwkv7_session_tokens(s) > 0 && rwkv7_session_tokens(s) % RWKV7_CHUNK == 0);
        CHECK(rwkv7_generator_sync(g, NULL) == RWKV7_OK);
        if (i == 0) {
            rwkv7_session_copy(want, s);
            tokens = rwkv7_generator_stats(g)->prompt_tokens;
        }
        CHECK_MSG(same_state(s, want), "pieces of %zu", pieces[i]);
        CHECK(rwkv7_generator_stats(g)->prompt_tokens == tokens);
        rwkv7_generator_close(g);
        rwkv7_session_close(s);
    }
    CHECK(tokens > 2 * RWKV7_CHUNK && tokens < LONG);
    rwkv7_session_close(want);
}

static uint64_t tokens_read(enum rwkv7_bos bos, bool twice)
{
    const struct rwkv7_generator_options opt = {.bos = bos};
    const uint32_t ids[] = {1, 2};
    struct rwkv7_session *const s = new_session();
    struct rwkv7_generator *g = new_generator(s, &opt);
    CHECK(rwkv7_generator_feed_tokens(g, ids, 2, NULL) == RWKV7_OK && rwkv7_generator_sync(g, NULL) == RWKV7_OK);
    if (twice) {
        rwkv7_generator_close(g);
        g = new_generator(s, &opt);
        CHECK(rwkv7_generator_feed_tokens(g, ids, 2, NULL) == RWKV7_OK && rwkv7_generator_sync(g, NULL) == RWKV7_OK);
    }
    const uint64_t tokens = rwkv7_session_tokens(s);
    rwkv7_generator_close(g);
    rwkv7_session_close(s);
    return tokens;
}

static void test_bos(void)
{
    CHECK(tokens_read(RWKV7_BOS_AUTO, false) == 3 && tokens_read(RWKV7_BOS_AUTO, true) == 5);
    CHECK(tokens_read(RWKV7_BOS_NEVER, false) == 2 && tokens_read(RWKV7_BOS_ALWAYS, true) == 6);
}

/* Tokens that follow a text complete it: "a" "b" are then two tokens. */
static void test_text_before_tokens(void)
{
    const uint32_t b = 2, both[] = {0, 1, 2};
    struct rwkv7_session *const s = new_session(), *const want = new_session();
    struct rwkv7_generator *const g = new_generator(s, NULL);
    feed(g, "a");
    CHECK(rwkv7_generator_feed_tokens(g, &b, 1, NULL) == RWKV7_OK && rwkv7_generator_sync(g, NULL) == RWKV7_OK);
    CHECK(rwkv7_session_eval(want, both, 3, RWKV7_LOGITS_NONE, NULL, NULL) == RWKV7_OK);
    CHECK(same_state(s, want));
    rwkv7_generator_close(g);
    rwkv7_session_close(s);
    rwkv7_session_close(want);
}

/* ----------------------------------------------------------------------------------------- ends */

static void test_stop_strings(void)
{
    static struct text whole, cut;
    struct rwkv7_generator_options opt = {.sampling = &sampling, .ignore_end = true, .max_tokens = 120};
    text_with(&opt, &whole, 1000);
    int tried = 0;
    for (size_t at = 0; at + 4 < whole.size; at++) {
        char stop[5] = "";
        memcpy(stop, whole.at + at, 4);
        if ((stop[0] | stop[1] | stop[2] | stop[3]) & 0x80)
            continue; /* U+FFFD stands for other bytes */
        const char *const stops[] = {"this is not there", stop};
        opt.stops = stops;
        opt.stop_count = 2;
        const struct rwkv7_step step = text_with(&opt, &cut, 1000);
        const size_t want = (size_t)(strstr(whole.at, stop) - whole.at);
        tried++;
        CHECK_MSG(cut.size == want && memcmp(cut.at, whole.at, want) == 0, "'%s': got %zu bytes, want %zu", stop,
                  cut.size, want);
        CHECK(step.end == RWKV7_END_STOP && step.stop == 1);
    }
    CHECK(tried > 30);
}

static void test_limit(void)
{
    static struct text all, part;
    struct rwkv7_generator_options opt = {.sampling = &sampling, .ignore_end = true, .max_tokens = 40};
    CHECK(text_with(&opt, &all, 1000).end == RWKV7_END_LENGTH);
    CHECK(text_with(&opt, &part, 39).end == RWKV7_END_NONE && text_with(&opt, &part, 40).end == RWKV7_END_LENGTH);
    /* A stop string that is never completed holds back text, which is output at the end. */
    for (size_t i = 1; i + 1 < all.size; i++) {
        static char stop[sizeof all.at + 2];
        snprintf(stop, sizeof stop, "%s#", all.at + i);
        const char *const stops[] = {stop};
        opt.stops = stops;
        opt.stop_count = 1;
        CHECK(text_with(&opt, &part, 1000).end == RWKV7_END_LENGTH);
        CHECK(part.size == all.size && memcmp(part.at, all.at, all.size) == 0);
    }
}

static void test_end_of_model(void)
{
    struct rwkv7_sampler_options ends = sampling;
    const struct rwkv7_token_bias bias = {RWKV7_END_OF_TEXT, 100};
    struct rwkv7_generator_options opt = {.sampling = &ends};
    struct rwkv7_error err;
    const struct rwkv7_step *none;
    ends.biases = &bias;
    ends.bias_count = 1;
    struct rwkv7_session *const s = new_session();
    struct rwkv7_generator *const g = new_generator(s, &opt);
    feed(g, prompt);
    const struct rwkv7_step step = next(g);
    CHECK(step.end == RWKV7_END_TOKEN && step.drawn && step.id == RWKV7_END_OF_TEXT && step.length == 0);
    CHECK(rwkv7_generator_stats(g)->tokens == 0);
    const uint64_t read = rwkv7_session_tokens(s);
    CHECK(rwkv7_generator_sync(g, NULL) == RWKV7_OK && rwkv7_session_tokens(s) == read);
    CHECK(rwkv7_generator_next(g, &none, &err) == RWKV7_ERR_USAGE);
    rwkv7_generator_close(g);
    rwkv7_session_close(s);
}

/* --------------------------------------------------------------------------------------- cancel */

struct patience {
    int left;
    uint64_t done;
};

static bool while_patient(void *arg, uint64_t done, uint64_t waiting)
{
    struct patience *const p = arg;
    (void)waiting;
    p->done = done;
    return p->left-- > 0;
}

static void test_cancel_prompt(void)
{
    enum { LONG = 5 * RWKV7_CHUNK + 3 };
    static uint32_t ids[LONG];
    struct patience patience = {.left = 2};
    const struct rwkv7_generator_options opt = {
        .bos = RWKV7_BOS_NEVER, .progress = while_patient, .progress_arg = &patience};
    struct rwkv7_session *const s = new_session(), *const want = new_session();
    struct rwkv7_generator *const g = new_generator(s, &opt);
    const struct rwkv7_step *step;
    for (size_t i = 0; i < LONG; i++)
        ids[i] = (uint32_t)(1 + i % 40);
    CHECK(rwkv7_generator_feed_tokens(g, ids, LONG, NULL) == RWKV7_ERR_STOPPED);
    CHECK(rwkv7_session_tokens(s) == 2 * RWKV7_CHUNK && patience.done == 2 * RWKV7_CHUNK);
    CHECK(!generator_is_ready(g)); /* no logits, neither here nor after the last token was not reached */
    patience.left = 2;             /* one call for the step, one for a chunk */
    CHECK(rwkv7_generator_next(g, &step, NULL) == RWKV7_OK);
    CHECK(step->end == RWKV7_END_CANCELLED && !step->drawn && step->length == 0);
    CHECK(rwkv7_session_tokens(s) == 3 * RWKV7_CHUNK && !generator_is_ready(g));
    CHECK(rwkv7_session_eval(want, ids, 3 * RWKV7_CHUNK, RWKV7_LOGITS_NONE, NULL, NULL) == RWKV7_OK);
    CHECK(same_state(s, want));
    rwkv7_generator_close(g);
    rwkv7_session_close(s);
    rwkv7_session_close(want);
}

static void test_cancel_text(void)
{
    static struct text whole, text;
    const char *const stops[] = {"this is not there"};
    const struct rwkv7_generator_options opt = {
        .sampling = &sampling, .ignore_end = true, .max_tokens = 10, .stops = stops, .stop_count = 1};
    text_with(&opt, &whole, 1000);
    struct rwkv7_session *const s = new_session();
    struct rwkv7_generator *const g = new_generator(s, &opt);
    text.size = 0;
    feed(g, prompt);
    for (int i = 0; i < 5; i++) {
        const struct rwkv7_step step = next(g);
        add(&text, step.text, step.length);
    }
    const uint64_t read = rwkv7_session_tokens(s);
    rwkv7_generator_cancel(g);
    const struct rwkv7_step step = next(g);
    add(&text, step.text, step.length);
    CHECK(step.end == RWKV7_END_CANCELLED && !step.drawn);
    CHECK(rwkv7_session_tokens(s) == read && rwkv7_generator_stats(g)->tokens == 5);
    CHECK(memcmp(text.at, whole.at, text.size - (text.size > 3 ? 3 : 0)) == 0 && text.size >= 5);
    CHECK(rwkv7_generator_sync(g, NULL) == RWKV7_OK && rwkv7_session_tokens(s) == read + 1);
    rwkv7_generator_close(g);
    rwkv7_session_close(s);
}

/* Cancelled while a token is read: the token is read, and no other is drawn. */
static void test_cancel_within_step(void)
{
    struct patience patience = {.left = 100};
    const struct rwkv7_generator_options opt = {
        .sampling = &sampling, .ignore_end = true, .progress = while_patient, .progress_arg = &patience};
    struct rwkv7_session *const s = new_session();
    struct rwkv7_generator *const g = new_generator(s, &opt);
    feed(g, prompt);
    CHECK(next(g).drawn);
    const uint64_t read = rwkv7_session_tokens(s);
    patience.left = 1;
    const struct rwkv7_step step = next(g);
    CHECK(step.end == RWKV7_END_CANCELLED && !step.drawn);
    CHECK(rwkv7_session_tokens(s) == read + 1 && rwkv7_generator_stats(g)->tokens == 1);
    rwkv7_generator_close(g);
    rwkv7_session_close(s);
}

/* -------------------------------------------------------------------------------- probabilities */

static void test_logprobs(void)
{
    struct rwkv7_sampler_options options = sampling;
    const struct rwkv7_token_bias bias = {3, 1};
    const struct rwkv7_generator_options opt = {.sampling = &options, .logprobs = 5, .ignore_end = true};
    options.biases = &bias; /* a bias, which the probabilities ignore */
    options.bias_count = 1;
    options.temperature = 1.5f;
    struct rwkv7_session *const s = new_session(), *copy = NULL;
    struct rwkv7_generator *const g = new_generator(s, &opt);
    float logits[VOCAB];
    uint32_t last = 1;
    CHECK(rwkv7_generator_feed_tokens(g, &last, 1, NULL) == RWKV7_OK);
    for (int i = 0; i < 30; i++) {
        CHECK(rwkv7_session_clone(s, &copy, NULL) == RWKV7_OK);
        const uint32_t start[] = {RWKV7_END_OF_TEXT, last};
        CHECK(rwkv7_session_eval(copy, i == 0 ? start : &last, i == 0 ? 2 : 1, RWKV7_LOGITS_LAST, logits, NULL) ==
              RWKV7_OK);
        rwkv7_session_close(copy);
        const struct rwkv7_step step = next(g);
        double sum = 0;
        for (int id = 0; id < VOCAB; id++)
            sum += exp((double)logits[id]);
        last = step.id;
        CHECK(fabs(step.logprob - ((double)logits[last] - log(sum))) < 3e-7);
        CHECK(step.top_count == 5);
        for (size_t k = 0; k < 5; k++) {
            int above = 0;
            for (int id = 0; id < VOCAB; id++)
                above += logits[id] > logits[step.top[k].id];
            CHECK(above == (int)k);
            CHECK(fabs(step.top[k].logprob - ((double)logits[step.top[k].id] - log(sum))) < 3e-7);
        }
    }
    rwkv7_generator_close(g);
    rwkv7_session_close(s);
}

static void test_top_of_equals(void)
{
    const float logits[] = {1, 3, 2, 3, 2, 3, 0};
    struct rwkv7_logprob top[9];
    const struct distribution d = distribution_of(logits, 7);
    CHECK(distribution_top(&d, 4, top) == 4);
    CHECK(top[0].id == 1 && top[1].id == 3 && top[2].id == 5 && top[3].id == 2);
    CHECK(distribution_top(&d, 9, top) == 7 && top[6].id == 6);
    CHECK(d.best == 1);
    const float more[] = {3, 2, 2, 3, 2}; /* one equal to the last comes when the list is full */
    const struct distribution e = distribution_of(more, 5);
    CHECK(distribution_top(&e, 3, top) == 3 && top[0].id == 0 && top[1].id == 3 && top[2].id == 1);
    CHECK(distribution_top(&e, 2, top) == 2 && top[1].id == 3);
}

/* ---------------------------------------------------------------------------------------- files */

static void test_steps_allocate_nothing(void)
{
    const char *const stops[] = {"this is not there", "abcabcabc"};
    struct rwkv7_sampler_options options = sampling;
    const struct rwkv7_generator_options opt = {
        .sampling = &options, .stops = stops, .stop_count = 2, .logprobs = 4, .ignore_end = true, .max_tokens = 300};
    struct rwkv7_session *const s = new_session();
    struct rwkv7_generator *const g = new_generator(s, &opt);
    const struct rwkv7_step *step;
    feed(g, prompt);
    next(g);
    next(g); /* allocates the buffers of the session */
    mem_fail_after(0);
    bool ok = true;
    do
        ok = rwkv7_generator_next(g, &step, NULL) == RWKV7_OK;
    while (ok && step->end == RWKV7_END_NONE);
    void *const p = mem_alloc(1, 1);
    mem_fail_after(-1);
    CHECK(ok && step->end == RWKV7_END_LENGTH);
    CHECK(!p); /* otherwise a failed allocation went unnoticed */
    mem_free(p);
    rwkv7_generator_close(g);
    rwkv7_session_close(s);
}

static void test_failing_allocations(void)
{
    const char *const stops[] = {"x", "yz"};
    const struct rwkv7_generator_options opt = {
        .sampling = &sampling, .stops = stops, .stop_count = 2, .logprobs = 2, .max_tokens = 3};
    int failures = 0;
    for (int n = 0; n < 200; n++) {
        struct rwkv7_session *const s = new_session();
        struct rwkv7_generator *g = NULL;
        const struct rwkv7_step *step = NULL;
        mem_fail_after(n);
        enum rwkv7_status status = rwkv7_generator_create(s, tokenizer, &opt, &g, NULL);
        if (status == RWKV7_OK)
            status = rwkv7_generator_feed(g, prompt, strlen(prompt), NULL);
        while (status == RWKV7_OK && (!step || step->end == RWKV7_END_NONE))
            status = rwkv7_generator_next(g, &step, NULL);
        mem_fail_after(-1);
        CHECK(status == RWKV7_OK || status == RWKV7_ERR_MEMORY);
        failures += status != RWKV7_OK;
        rwkv7_generator_close(g);
        rwkv7_session_close(s);
    }
    CHECK(failures > 10 && failures < 200);
}

static void test_mistakes(void)
{
    struct rwkv7_generator_options opt = {.logprobs = RWKV7_LOGPROBS_MAX + 1};
    struct rwkv7_session *const s = new_session();
    struct rwkv7_generator *g = NULL;
    const struct rwkv7_step *step;
    CHECK(rwkv7_generator_create(s, tokenizer, &opt, &g, NULL) == RWKV7_ERR_USAGE && !g);
    const char *const empty[] = {""};
    opt = (struct rwkv7_generator_options){.stops = empty, .stop_count = 1};
    CHECK(rwkv7_generator_create(s, tokenizer, &opt, &g, NULL) == RWKV7_ERR_USAGE && !g);
    opt = (struct rwkv7_generator_options){.bos = RWKV7_BOS_NEVER};
    g = new_generator(s, &opt);
    CHECK(rwkv7_generator_next(g, &step, NULL) == RWKV7_ERR_USAGE); /* empty prompt */
    feed(g, "a");
    CHECK(rwkv7_generator_load(g, "nowhere", NULL) == RWKV7_ERR_USAGE);
    CHECK(rwkv7_generator_next(g, &step, NULL) == RWKV7_OK && step->drawn);
    rwkv7_generator_close(g);
    rwkv7_session_close(s);
}

int main(void)
{
    open_small_model();
    RUN(test_same_as_plain);
    RUN(test_ids_without_text);
    RUN(test_prompt_in_pieces);
    RUN(test_bos);
    RUN(test_text_before_tokens);
    RUN(test_stop_strings);
    RUN(test_limit);
    RUN(test_end_of_model);
    RUN(test_cancel_prompt);
    RUN(test_cancel_text);
    RUN(test_cancel_within_step);
    RUN(test_logprobs);
    RUN(test_top_of_equals);
    if (!SPECULATE) /* whose buffers grow with the longest draft */
        RUN(test_steps_allocate_nothing);
    RUN(test_failing_allocations);
    RUN(test_mistakes);
    close_small_model();
    return test_end();
}
