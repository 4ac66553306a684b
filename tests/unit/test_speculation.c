/*
 * test_speculation.c - guesses change no byte. Steps, log probabilities, state, sampler and saved
 * file equal those without guesses: for right and wrong guesses, all sampler options, with and
 * without a grammar, from the generator and from the scheduler. Also tests the lookup, the choice
 * of the number of guesses, and forced tokens.
 */
#include <math.h>

#include "engine/engine.h"
#include "generate/generator.h"
#include "generate/scheduler.h"
#include "generator_steps.h"

enum { LENGTH = 60, STEPS = 80 };

/* Everything that generating a text returns. */
struct result {
    struct rwkv7_step steps[STEPS]; /* without pointers */
    struct rwkv7_logprob top[STEPS][3];
    size_t count;
    struct text text;
    struct rwkv7_bytes image; /* rwkv7_generator_save_memory */
    struct rwkv7_generator_stats stats;
};

/* A source of guesses that a test controls. */
enum guesses { RIGHT, WRONG, RANDOM, ZEROES, LAST_IDS, INVALID, SOURCES };
struct teller {
    const struct result *truth; /* the text without guesses */
    const struct result *now;   /* the text so far */
    enum guesses kind;
    uint64_t random;
};

static size_t tell(void *arg, uint32_t *ids, size_t room)
{
    struct teller *const t = arg;
    size_t n = 0;
    for (; n < room && t->now->count + n < t->truth->count; n++) {
        const uint32_t right = t->truth->steps[t->now->count + n].id;
        t->random = t->random * 6364136223846793005u + 1442695040888963407u;
        ids[n] = t->kind == RIGHT               ? right
                 : t->kind == WRONG             ? (right + 1) % VOCAB
                 : t->kind == RANDOM            ? (uint32_t)((t->random >> 33) % VOCAB)
                 : t->kind == ZEROES            ? 0
                 : t->kind == INVALID && n == 1 ? 1000000
                                                : VOCAB - 1;
    }
    return n;
}

/* A source without guesses, so that all guesses are forced tokens. */
static size_t tell_nothing(void *arg, uint32_t *ids, size_t room)
{
    (void)arg, (void)ids, (void)room;
    return 0;
}

static void write_text(const struct rwkv7_generator_options *opt, const struct draft_source *source, struct result *r)
{
    struct rwkv7_session *const s = new_session();
    struct rwkv7_generator *const g = new_generator(s, opt);
    *r = (struct result){.count = 0};
    if (source)
        generator_speculation(g)->source = *source;
    feed(g, prompt);
    struct rwkv7_step step;
    do {
        step = next(g);
        add(&r->text, step.text, step.length);
        if (step.top_count > 0)
            memcpy(r->top[r->count], step.top, 3 * sizeof *step.top);
        step.text = NULL;
        step.top = NULL;
        r->steps[r->count++] = step;
    } while (step.end == RWKV7_END_NONE && r->count < STEPS);
    CHECK(rwkv7_generator_save_memory(g, &r->image, NULL) == RWKV7_OK);
    r->stats = *rwkv7_generator_stats(g);
    rwkv7_generator_close(g);
    CHECK(rwkv7_session_tried(s) == 0);
    rwkv7_session_close(s);
}

static bool same_results(const struct result *a, const struct result *b)
{
    bool same = a->count == b->count && a->text.size == b->text.size && a->image.size == b->image.size &&
                memcmp(a->text.at, b->text.at, a->text.size) == 0 &&
                memcmp(a->image.data, b->image.data, a->image.size) == 0 && memcmp(a->top, b->top, sizeof a->top) == 0;
    for (size_t i = 0; i < a->count && same; i++)
        same = a->steps[i].id == b->steps[i].id && a->steps[i].length == b->steps[i].length &&
               a->steps[i].end == b->steps[i].end && a->steps[i].drawn == b->steps[i].drawn &&
               a->steps[i].stop == b->steps[i].stop && a->steps[i].logprob == b->steps[i].logprob;
    return same;
}

/* Compares the text without guesses with that of every source and number of guesses. */
static void check_options(const struct rwkv7_generator_options *given, const char *name)
{
    static const int64_t modes[] = {1, 2, 7, RWKV7_TRY - 1, RWKV7_SPECULATE_AUTO};
    static struct result truth, got;
    struct rwkv7_generator_options opt = *given;
    write_text(&opt, NULL, &truth);
    CHECK(truth.stats.drafted == 0 && truth.stats.steps == truth.stats.evaluated);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        opt.speculate = modes[i];
        for (int kind = 0; kind <= SOURCES; kind++) { /* the last one is the lookup */
            struct teller teller = {&truth, &got, (enum guesses)kind, 1};
            const struct draft_source source = {tell, &teller};
            write_text(&opt, kind < SOURCES ? &source : NULL, &got);
            CHECK_MSG(same_results(&truth, &got), "%s: %d guesses of kind %d: \"%s\", want \"%s\"", name, (int)modes[i],
                      kind, got.text.at, truth.text.at);
            CHECK(got.stats.evaluated == truth.stats.evaluated && got.stats.tokens == truth.stats.tokens);
            CHECK(got.stats.steps + got.stats.accepted == got.stats.evaluated);
            if (kind == RIGHT && modes[i] > 0 && truth.count > 3)
                CHECK_MSG(got.stats.accepted + 1 >= got.stats.drafted && got.stats.accepted > 0,
                          "%s: %d of %d accepted", name, (int)got.stats.accepted, (int)got.stats.drafted);
            if (kind == WRONG)
                CHECK((got.stats.accepted == 0 || opt.grammar) && /* forced: always right */
                      (modes[i] < 0 || truth.count <= 3 || got.stats.drafted > 0));
            rwkv7_bytes_clear(&got.image);
        }
    }
    rwkv7_bytes_clear(&truth.image);
}

static void test_same_bytes(void)
{
    static const float temperatures[] = {RWKV7_ZERO, 0.3f, 0.7f, 1, 1.5f};
    for (size_t i = 0; i < sizeof temperatures / sizeof *temperatures; i++) {
        struct rwkv7_sampler_options s = sampling;
        struct rwkv7_generator_options opt = {
            .sampling = &s, .ignore_end = true, .max_tokens = LENGTH, .logprobs = 3, .resumable = true};
        s.temperature = temperatures[i];
        check_options(&opt, "temperature");
    }
}

static void test_options(void)
{
    static const char *const stops[] = {"e t", "zab", "\n"};
    static const struct rwkv7_token_bias biases[] = {{3, 2.5f}, {9, -INFINITY}, {0, 1.5f}};
    struct rwkv7_sampler_options s = sampling;
    struct rwkv7_generator_options opt = {.sampling = &s, .max_tokens = LENGTH, .resumable = true};
    s.top_p = 0.6f;
    check_options(&opt, "top-p, may end");
    s.top_p = 1;
    s.top_k = 5;
    check_options(&opt, "top-k, may end");
    s.top_k = 0;
    s.min_p = 0.3f;
    opt.ignore_end = true;
    check_options(&opt, "min-p");
    s.min_p = 0;
    s.biases = biases;
    s.bias_count = 3;
    opt.ignore_end = false;
    for (s.seed = 1; s.seed < 4; s.seed++)
        check_options(&opt, "biases, may end");
    opt.ignore_end = true;
    opt.stops = stops;
    opt.stop_count = 3;
    for (s.seed = 1; s.seed < 4; s.seed++) {
        opt.resumable = s.seed != 2;
        check_options(&opt, "stop strings");
    }
    opt.stop_count = 0;
    for (opt.max_tokens = 1; opt.max_tokens < 6; opt.max_tokens++)
        check_options(&opt, "max_tokens");
}

/* Draft models: another random model, and the model itself, which is always right. */
static void test_draft_model(void)
{
    static struct result truth, got;
    struct rwkv7_shape shape = rwkv7_model_info(model)->shape;
    const struct rwkv7_random_options random = {.seed = 77};
    struct rwkv7_model *other = NULL;
    struct rwkv7_error err;
    CHECK(rwkv7_model_random(rt, &shape, &random, &other, NULL) == RWKV7_OK);
    for (int greedy = 0; greedy < 2; greedy++) {
        struct rwkv7_sampler_options s = {.temperature = greedy ? RWKV7_ZERO : 1.2f, .top_p = 1, .seed = 5};
        struct rwkv7_generator_options opt = {
            .sampling = &s, .ignore_end = true, .max_tokens = LENGTH, .resumable = true};
        write_text(&opt, NULL, &truth);
        for (int i = 0; i < 4; i++) {
            opt.draft_model = i % 2 ? model : other;
            opt.speculate = i < 2 ? 4 : RWKV7_SPECULATE_AUTO;
            write_text(&opt, NULL, &got);
            CHECK_MSG(same_results(&truth, &got), "draft model %d", i);
            /* The draft model draws with the random numbers of the sampler. */
            if (i == 1)
                CHECK_MSG(got.stats.accepted * 10 > got.stats.drafted * 9, "%d of %d accepted", (int)got.stats.accepted,
                          (int)got.stats.drafted);
            rwkv7_bytes_clear(&got.image);
        }
        rwkv7_bytes_clear(&truth.image);
    }
    rwkv7_model_close(other);
    shape.vocab++;
    CHECK(rwkv7_model_random(rt, &shape, &random, &other, NULL) == RWKV7_OK);
    struct rwkv7_generator_options opt = {.speculate = 2, .draft_model = other};
    struct rwkv7_session *const s = new_session();
    struct rwkv7_generator *g = NULL;
    CHECK(rwkv7_generator_create(s, tokenizer, &opt, &g, &err) == RWKV7_ERR_VOCAB && !g);
    CHECK_STR(err.message, "(random): expected a draft model with a vocabulary of 70 tokens, found 71");
    opt = (struct rwkv7_generator_options){.speculate = RWKV7_TRY};
    CHECK(rwkv7_generator_create(s, tokenizer, &opt, &g, &err) == RWKV7_ERR_USAGE && !g);
    CHECK_STR(err.message, "speculate: expected auto, or 0 to 63 tokens, found 64");
    rwkv7_session_close(s);
    rwkv7_model_close(other);
}

/* A NaN after a wrong guess is no error. A NaN in the text is one, with the usual message. */
static void test_nan(void)
{
    static struct result truth, got;
    struct rwkv7_sampler_options s = sampling;
    struct rwkv7_generator_options opt = {.sampling = &s, .ignore_end = true, .max_tokens = 30, .resumable = true};
    write_text(&opt, NULL, &truth);
    bool used[VOCAB] = {false};
    for (size_t i = 0; i < truth.count; i++)
        used[truth.steps[i].id] = true;
    uint32_t bad = VOCAB - 1; /* the last ids have no text */
    CHECK(!used[bad]);
    float *const x = (float *)model->outer.emb.data + (size_t)bad * 64;
    const float before = *x;
    *x = NAN;
    struct teller teller = {&truth, &got, LAST_IDS, 1};
    const struct draft_source source = {tell, &teller};
    opt.speculate = 5;
    write_text(&opt, &source, &got);
    CHECK(same_results(&truth, &got));
    CHECK(got.stats.drafted > 0);
    *x = before;
    rwkv7_bytes_clear(&got.image);

    bad = truth.steps[20].id; /* drawn, and guessed */
    float *const y = (float *)model->outer.emb.data + (size_t)bad * 64;
    const float was = *y;
    struct rwkv7_error errors[2];
    size_t counts[2];
    for (int i = 0; i < 2; i++) {
        struct rwkv7_session *const session = new_session();
        teller.kind = RIGHT;
        opt.speculate = i ? 5 : 0;
        struct rwkv7_generator *const g = new_generator(session, &opt);
        generator_speculation(g)->source = source;
        const struct rwkv7_step *step;
        uint32_t ids[] = {1, 2, 3};
        CHECK(rwkv7_generator_feed_tokens(g, ids, 3, NULL) == RWKV7_OK);
        got.count = 0;
        *y = was;
        counts[i] = 0;
        CHECK(rwkv7_generator_sync(g, NULL) == RWKV7_OK);
        *y = NAN;
        while (rwkv7_generator_next(g, &step, &errors[i]) == RWKV7_OK && step->end == RWKV7_END_NONE) {
            counts[i]++;
            got.count++;
        }
        *y = was;
        rwkv7_generator_close(g);
        rwkv7_session_close(session);
    }
    CHECK(counts[0] == counts[1]);
    if (counts[0] < 30)
        CHECK_STR(errors[1].message, errors[0].message);
    rwkv7_bytes_clear(&truth.image);
}

/* ---------------------------------------------------------------------------------------- lookup */

static void test_lookup(void)
{
    struct lookup l = {0};
    uint32_t ids[6];
    size_t match;
    static const uint32_t text[] = {7, 1, 2, 3, 4, 5, 9, 2, 3};
    CHECK(lookup_draft(&l, ids, 6, &match) == 0);
    lookup_add(&l, text, 9);
    CHECK(lookup_draft(&l, ids, 6, &match) == 6 && match == 2);
    static const uint32_t want[] = {4, 5, 9, 2, 3, 4}; /* past its end, the text repeats */
    CHECK(memcmp(ids, want, sizeof want) == 0);
    static const uint32_t more[] = {8, 7, 1, 2, 3};
    lookup_add(&l, more, 5); /* the longer match 1 2 3 -> 4 is preferred to the newer 2 3 -> 8 */
    CHECK(lookup_draft(&l, ids, 2, &match) == 2 && match == 4 && ids[0] == 4 && ids[1] == 5);
    for (uint32_t i = 0; i < 5000; i++) { /* the tables grow */
        const uint32_t id = 100 + i;
        lookup_add(&l, &id, 1);
    }
    CHECK(lookup_draft(&l, ids, 6, &match) == 0);
    lookup_add(&l, text, 4);
    CHECK(lookup_draft(&l, ids, 1, &match) == 1 && match == 4 && ids[0] == 100); /* newest match */
    lookup_clear(&l);
}

/* ----------------------------------------------------------------------------------- the number */

/* Adds a time as often as is needed to rely on it. */
static void measure(struct step_costs *c, size_t tokens, bool plain, double seconds)
{
    for (int i = 0; i < COSTS_RECENT; i++)
        step_costs_add(c, tokens, plain, seconds);
}

/* Returns the chosen number of guesses per text, for `texts` texts and these costs of n tokens. */
static size_t chosen_of(const double *costs, size_t known, double acceptance, size_t texts, size_t certain,
                        double balance)
{
    struct step_costs c = {.balance = balance};
    struct speculation s[4];
    struct speculation *all[4];
    size_t sum = 0;
    for (size_t n = known; n > 0; n--)
        measure(&c, n, n == 1, costs[n - 1]);
    for (size_t i = 0; i < texts; i++) {
        s[i] =
            (struct speculation){.mode = RWKV7_SPECULATE_AUTO, .kind = DRAFT_MODEL, .drafted = 15, .certain = certain};
        s[i].acceptance[DRAFT_MODEL] = acceptance;
        s[i].weight[DRAFT_MODEL] = 100;
        all[i] = &s[i];
    }
    speculation_plan(&c, all, texts);
    for (size_t i = 0; i < texts; i++)
        sum += s[i].chosen;
    return sum;
}

static size_t chosen(const double *costs, size_t known, double acceptance, size_t texts)
{
    return chosen_of(costs, known, acceptance, texts, 0, 6);
}

static void test_number(void)
{
    static const double flat[] = {1, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3, 1.35},
                        cliff[] = {1, 1.1, 1.2, 1.3, 3.4, 3.5, 3.6, 3.7}, steep[] = {1, 2, 3, 4, 5, 6, 7, 8};
    CHECK(chosen(flat, 0, 0.9, 1) == 0); /* not measured: first without guesses */
    CHECK(chosen(flat, 1, 0.9, 1) == 1); /* at most twice the largest measured number of tokens */
    CHECK(chosen(flat, 2, 0.9, 1) == 3);
    CHECK(chosen(flat, 8, 0.95, 1) > 7);
    CHECK(chosen(flat, 8, 0.05, 1) == 0);
    CHECK(chosen(flat, 8, 0.3, 1) > 0 && chosen(flat, 8, 0.3, 1) < 4);
    CHECK(chosen(cliff, 8, 0.9, 1) == 3);
    CHECK(chosen(steep, 8, 0.9, 1) == 0);
    CHECK(chosen(cliff, 8, 0.9, 2) == 2); /* two texts: four tokens in all */
    CHECK(chosen(cliff, 8, 0.9, 4) == 0);
    CHECK(chosen_of(flat, 8, 0.01, 1, 3, 6) == 3 && chosen_of(steep, 8, 0.01, 1, 3, 6) == 0); /* forced tokens */
    CHECK(chosen_of(flat, 8, 0.3, 1, 0, -2) == 0);                                            /* no credit left */
}

static void test_costs(void)
{
    struct step_costs c = {.balance = 0};
    CHECK(step_costs_of(&c, 1) == 0 && step_costs_need_plain(&c, 1));
    measure(&c, 1, true, 1);
    CHECK(step_costs_of(&c, 1) == 1 && !step_costs_need_plain(&c, 1));
    step_costs_add(&c, 1, true, 20); /* an outlier has no weight */
    CHECK(step_costs_of(&c, 1) == 1);
    CHECK(step_costs_of(&c, 2) > 1 && step_costs_of(&c, 3) == 0);
    measure(&c, 5, false, 3.4);
    CHECK(c.since_plain == COSTS_RECENT && step_costs_of(&c, 5) == 3.4 && step_costs_of(&c, 3) == 2.2);
    CHECK(fabs(step_costs_hoped(&c, 1, 5) - 3.4) < 1e-9);
    for (int i = 0; i < 1000; i++) /* trust fades, so that this number is tried again */
        step_costs_add(&c, 1, true, 1);
    CHECK(step_costs_of(&c, 5) == 3.4 && step_costs_hoped(&c, 1, 5) < 1.3);
    for (int i = 0; i < 20; i++) /* everything is slower: the costs keep their ratios */
        step_costs_add(&c, 1, true, 2);
    CHECK(step_costs_of(&c, 1) == 1);
    measure(&c, 5, false, 6.8);
    CHECK(step_costs_of(&c, 5) == 3.4);

    c = (struct step_costs){0}; /* the account: 3 tries of 4 tokens, of which 1, 1 and 3 are kept */
    measure(&c, 1, true, 1);
    measure(&c, 4, false, 1.5);
    const double begin = step_costs_credit(&c);
    for (int i = 0; i < 3; i++) {
        step_costs_begin(&c, 1, 4, 0);
        c.accepted = i < 2 ? 0 : 2;
        step_costs_settle(&c);
        const double now = step_costs_credit(&c) - begin;
        CHECK_MSG(i == 2 ? now > 0.5 && now < 0.6 : now < -0.4 * (i + 1), "after %d: %g", i, now);
    }
}

/* Forced tokens of a mask come first and count as certain. */
static void test_forced(void)
{
    static struct result truth, got;
    struct rwkv7_sampler_options s = sampling;
    struct rwkv7_generator_options opt = {.sampling = &s, .ignore_end = true, .max_tokens = 20, .resumable = true};
    write_text(&opt, NULL, &truth);
    struct teller right = {&truth, &got, RIGHT, 1}, wrong = {&truth, &got, WRONG, 1};
    opt.speculate = 3;
    struct rwkv7_session *const session = new_session();
    struct rwkv7_generator *const g = new_generator(session, &opt);
    generator_speculation(g)->forced = (struct draft_source){tell, &right};
    generator_speculation(g)->source = (struct draft_source){tell, &wrong};
    feed(g, prompt);
    got = (struct result){.count = 0};
    struct rwkv7_step step;
    do {
        step = next(g);
        CHECK(step.id == truth.steps[got.count].id);
        got.count++;
    } while (step.end == RWKV7_END_NONE);
    CHECK(rwkv7_generator_stats(g)->steps == 5); /* of 4 tokens; the last token is not evaluated */
    rwkv7_generator_close(g);
    rwkv7_session_close(session);
    rwkv7_bytes_clear(&truth.image);
}

/* -------------------------------------------------------------------------------------- grammars */

/* Forced runs, branches, loops, a text that ends only at the limit, and an empty text. */
static const char *const words[] = {"zyx", "the cab is abc", "then"};
static const struct rwkv7_grammar_options forms[] = {
    {.kind = RWKV7_GRAMMAR_REGEX, .text = "(zyx (the|cab) q[a-e]{2}\\. ){4}"},
    {.kind = RWKV7_GRAMMAR_GBNF, .text = "root ::= \"<\" (item \": \")+ \">/zz\"\nitem ::= \"S\" [a-f] item | \"U\""},
    {.kind = RWKV7_GRAMMAR_REGEX, .text = "[a-z ]*"},
    {.kind = RWKV7_GRAMMAR_SCHEMA, .text = "{\"enum\": [true, false, null]}"},
    {.kind = RWKV7_GRAMMAR_CHOICES, .choices = words, .choice_count = 3}};
enum { FORMS = sizeof forms / sizeof *forms };

static struct rwkv7_grammar *grammar_of(size_t i)
{
    struct rwkv7_grammar *g = NULL;
    struct rwkv7_error err = {.message = ""};
    CHECK_MSG(rwkv7_grammar_create(&forms[i], tokenizer, &g, &err) == RWKV7_OK, "%s", err.message);
    return g;
}

/* Forced tokens are always right guesses. A longer guess that begins with them replaces them. */
static void test_forced_by_grammar(void)
{
    static struct result truth, got;
    struct rwkv7_sampler_options s = sampling;
    struct rwkv7_generator_options opt = {.sampling = &s, .resumable = true, .grammar = grammar_of(0)};
    write_text(&opt, NULL, &truth);
    struct teller right = {&truth, &got, RIGHT, 1}, wrong = {&truth, &got, WRONG, 1};
    const struct draft_source sources[] = {{tell_nothing, NULL}, {tell, &right}, {tell, &wrong}};
    struct rwkv7_generator_stats stats[3];
    opt.speculate = 9;
    for (int i = 0; i < 3; i++) {
        write_text(&opt, &sources[i], &got);
        CHECK(same_results(&truth, &got));
        stats[i] = got.stats;
        rwkv7_bytes_clear(&got.image);
    }
    CHECK_MSG(stats[0].accepted >= 12 && stats[0].accepted == stats[0].drafted, "%d of %d accepted",
              (int)stats[0].accepted, (int)stats[0].drafted);
    CHECK(stats[1].steps == (stats[1].evaluated + 9) / 10 && stats[1].steps < stats[0].steps);
    CHECK(stats[2].steps == stats[0].steps && stats[2].drafted > stats[0].drafted);
    rwkv7_bytes_clear(&truth.image);
    rwkv7_grammar_close(opt.grammar);
}

static void test_grammars(void)
{
    static const float temperatures[] = {RWKV7_ZERO, 0.7f, 1.5f};
    static const char *const stops[] = {"e t", "q", ": S"};
    for (size_t i = 0; i < FORMS; i++) {
        struct rwkv7_sampler_options s = sampling;
        struct rwkv7_generator_options opt = {
            .sampling = &s, .max_tokens = LENGTH, .logprobs = 3, .resumable = true, .grammar = grammar_of(i)};
        for (size_t k = 0; k < sizeof temperatures / sizeof *temperatures; k++) {
            s.temperature = temperatures[k];
            check_options(&opt, "grammar");
        }
        opt.logprobs = 0;
        opt.ignore_end = true;
        s.presence_penalty = s.frequency_penalty = 0;
        s.top_k = 3;
        check_options(&opt, "grammar, top-k, no penalties");
        opt.stops = stops;
        opt.stop_count = 3;
        for (s.seed = 1; s.seed < 4; s.seed++) {
            opt.resumable = s.seed != 2;
            check_options(&opt, "grammar, stop strings");
        }
        rwkv7_grammar_close(opt.grammar);
    }
}

/* A text of a generator, and of the scheduler. */
struct pair {
    struct rwkv7_sampler_options sampling;
    struct rwkv7_generator_options opt;
    struct rwkv7_session *session;
    struct text want, got;
    struct scheduled job;
};

/* Generates all texts together. The first has only forced guesses, the last two have no grammar. */
static void check_together(struct pair *pairs, size_t count, int64_t speculate)
{
    const struct scheduler_options opt = {.slots = 4};
    struct scheduler *s = NULL;
    struct scheduled *event;
    struct rwkv7_session *const fresh = new_session();
    CHECK(scheduler_create(model, &opt, &s, NULL) == RWKV7_OK);
    for (size_t i = 0; i < count; i++) {
        struct pair *const p = &pairs[i];
        struct rwkv7_generator_options guessing = p->opt;
        guessing.speculate = speculate;
        p->got = (struct text){.size = 0};
        CHECK(scheduled_open(&p->job, fresh, tokenizer, &guessing, prompt, strlen(prompt), NULL) == RWKV7_OK);
        p->job.owner = p;
        if (i == 0)
            p->job.request.speculation.source.draft = tell_nothing;
        CHECK(scheduler_add(s, &p->job, NULL) == RWKV7_OK);
    }
    while (scheduler_count(s) > 0 && scheduler_step(s, NULL) == RWKV7_OK)
        while ((event = scheduler_event(s))) {
            CHECK_MSG(event->err.status == RWKV7_OK, "%s", event->err.message);
            add(&((struct pair *)event->owner)->got, event->request.step.text, event->request.step.length);
        }
    CHECK(scheduler_count(s) == 0);
    for (size_t i = 0; i < count; i++) {
        struct pair *const p = &pairs[i];
        CHECK_MSG(p->got.size == p->want.size && memcmp(p->got.at, p->want.at, p->want.size) == 0,
                  "text %d, %d guesses: \"%s\", want \"%s\"", (int)i, (int)speculate, p->got.at, p->want.at);
        CHECK(same_state(p->job.session, p->session));
        if (speculate > 0 && i == 0) /* forced tokens do not count */
            CHECK(p->job.request.speculation.total_accepted >= 8 &&
                  p->job.request.speculation.total_accepted == p->job.request.speculation.total_drafted &&
                  p->job.request.speculation.acceptance[DRAFT_SOURCE] ==
                      pairs[1].job.request.speculation.acceptance[DRAFT_SOURCE]);
        scheduled_close(&p->job);
    }
    scheduler_close(s);
    rwkv7_session_close(fresh);
}

static void test_grammars_together(void)
{
    enum { PAIRS = FORMS + 2 };
    static struct pair pairs[PAIRS];
    for (size_t i = 0; i < PAIRS; i++) {
        struct pair *const p = &pairs[i];
        p->sampling = sampling;
        p->sampling.temperature = i % 2 ? 1.2f : RWKV7_ZERO;
        p->sampling.seed = 3 + i;
        p->opt = (struct rwkv7_generator_options){.sampling = &p->sampling,
                                                  .max_tokens = LENGTH,
                                                  .resumable = i % 3 == 0,
                                                  .ignore_end = i >= FORMS,
                                                  .grammar = i < FORMS ? grammar_of(i) : NULL};
        p->session = new_session();
        struct rwkv7_generator *const g = new_generator(p->session, &p->opt);
        feed(g, prompt);
        write_all(g, &p->want, STEPS);
        rwkv7_generator_close(g);
    }
    for (int64_t speculate = RWKV7_SPECULATE_AUTO; speculate < 9; speculate += 2)
        check_together(pairs, PAIRS, speculate);
    for (size_t i = 0; i < PAIRS; i++) {
        rwkv7_session_close(pairs[i].session);
        if (pairs[i].opt.grammar)
            rwkv7_grammar_close(pairs[i].opt.grammar);
    }
}

int main(void)
{
    small_model_threads = 2;
    open_small_model();
    RUN(test_same_bytes);
    RUN(test_options);
    RUN(test_draft_model);
    RUN(test_nan);
    RUN(test_lookup);
    RUN(test_number);
    RUN(test_costs);
    RUN(test_forced);
    RUN(test_forced_by_grammar);
    RUN(test_grammars);
    RUN(test_grammars_together);
    close_small_model();
    return test_end();
}
