/*
 * test_sampler.c - the sampler against values computed by hand, draw by draw against a naive one
 * that sorts all tokens, as a distribution, and against fixed results of earlier versions.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "rwkv7.h"
#include "test.h"

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static struct rwkv7_sampler *sampler(const struct rwkv7_sampler_options *opt, int vocab,
                                     const struct rwkv7_tokenizer *t)
{
    struct rwkv7_sampler *s = NULL;
    struct rwkv7_error err = {0};
    CHECK_MSG(rwkv7_sampler_create(opt, vocab, t, &s, &err) == RWKV7_OK, "%s", err.message);
    if (!s)
        exit(1);
    return s;
}

static struct rwkv7_sampler_options defaults(void)
{
    return (struct rwkv7_sampler_options){.temperature = 1, .top_p = 1, .penalty_decay = 0.996f};
}

static uint32_t next(struct rwkv7_sampler *s, const float *logits)
{
    uint32_t id = UINT32_MAX;
    struct rwkv7_error err = {0};
    CHECK_MSG(rwkv7_sampler_next(s, logits, &id, &err) == RWKV7_OK, "%s", err.message);
    return id;
}

static void test_greedy(void)
{
    struct rwkv7_sampler_options opt = defaults();
    const struct rwkv7_token_bias ban = {1, -INFINITY};
    const float logits[4] = {1, 3, 2, 3};
    opt.temperature = RWKV7_ZERO;
    struct rwkv7_sampler *s = sampler(&opt, 4, NULL);
    CHECK(next(s, logits) == 1 && next(s, logits) == 1);
    rwkv7_sampler_close(s);
    opt.biases = &ban;
    opt.bias_count = 1;
    s = sampler(&opt, 4, NULL);
    CHECK(next(s, logits) == 3);
    rwkv7_sampler_close(s);

    /*
     * Biases add up; the best logit may be anywhere in a block or after the last full block; -0
     * equals 0.
     */
    const struct rwkv7_token_bias biases[] = {{2, 0.75f}, {2, 0.75f}};
    opt.biases = biases;
    opt.bias_count = 2;
    s = sampler(&opt, 4, NULL);
    CHECK(next(s, logits) == 2);
    rwkv7_sampler_close(s);
    opt.bias_count = 0;
    static float many[200];
    for (uint32_t i = 0; i < 200; i++) {
        s = sampler(&opt, (int)i + 1, NULL);
        many[i] = 1;
        CHECK(next(s, many) == i);
        many[i] = -0.0f;
        rwkv7_sampler_close(s);
    }
    s = sampler(&opt, 200, NULL);
    many[0] = many[7] = 0;
    CHECK(next(s, many) == 0);
    rwkv7_sampler_close(s);
}

static void test_penalties(void)
{
    /*
     * Greedy sampling shows the order: 3.0 is drawn and falls by 0.5 + 1 * 0.75; decay halves the
     * count.
     */
    struct rwkv7_sampler_options opt = defaults();
    opt.temperature = RWKV7_ZERO;
    opt.presence_penalty = 0.5f;
    opt.frequency_penalty = 0.75f;
    opt.penalty_decay = 0.5f;
    const float logits[3] = {3.0f, 2.0f, 1.9f};
    struct rwkv7_sampler *s = sampler(&opt, 3, NULL);
    CHECK(next(s, logits) == 0);
    CHECK(next(s, logits) == 1); /* 1.75  2.0  1.9 */
    CHECK(next(s, logits) == 0); /* 2.125 0.75 1.9: count 0 is 0.5 */
    CHECK(next(s, logits) == 2); /* count 0 is 1.25: 1.5625; count 1 is 0.5: 1.125 */
    rwkv7_sampler_close(s);

    /*
     * Tokens that are substrings of " \t0123456789" get only the presence penalty: their count
     * stays 0.
     */
    static const char vocab[] = "0 '12' 2\n1 'a' 1\n";
    struct rwkv7_tokenizer *t = NULL;
    CHECK(rwkv7_tokenizer_open_memory(vocab, sizeof vocab - 1, "v", &t, NULL) == RWKV7_OK);
    opt.presence_penalty = 0;
    const float pair[2] = {1.0f, 0.9f};
    s = sampler(&opt, 2, t);
    CHECK(next(s, pair) == 0 && next(s, pair) == 0 && next(s, pair) == 0);
    rwkv7_sampler_close(s);
    s = sampler(&opt, 2, NULL);
    CHECK(next(s, pair) == 0 && next(s, pair) == 1);
    rwkv7_sampler_close(s);
    opt.presence_penalty = 0.5f;
    s = sampler(&opt, 2, t);
    CHECK(next(s, pair) == 0 && next(s, pair) == 1 && next(s, pair) == 0);
    rwkv7_sampler_close(s);
    rwkv7_tokenizer_close(t);
}

/* Whether the first of two tokens, with this literal and length, is exempt from the counts. */
static bool is_exempt(const char *literal, int length)
{
    char vocab[80];
    const float pair[2] = {1.0f, 0.9f};
    struct rwkv7_sampler_options opt = defaults();
    struct rwkv7_tokenizer *t = NULL;
    opt.temperature = RWKV7_ZERO;
    opt.frequency_penalty = 0.75f;
    const int n = snprintf(vocab, sizeof vocab, "0 %s %d\n1 'abc' 3\n", literal, length);
    CHECK(rwkv7_tokenizer_open_memory(vocab, (size_t)n, "v", &t, NULL) == RWKV7_OK);
    struct rwkv7_sampler *const s = sampler(&opt, 2, t);
    const bool exempt = next(s, pair) == 0 && next(s, pair) == 0;
    rwkv7_sampler_close(s);
    rwkv7_tokenizer_close(t);
    return exempt;
}

/*
 * The reference tests whether a text is a substring of " \t0123456789", not whether it consists of
 * these characters.
 */
static void test_exempt(void)
{
    CHECK(is_exempt("' '", 1) && is_exempt("'\\t'", 1) && is_exempt("'0'", 1) && is_exempt("'9'", 1));
    CHECK(is_exempt("' \\t'", 2) && is_exempt("'89'", 2) && is_exempt("' \\t0123456789'", 12));
    CHECK(!is_exempt("'  '", 2) && !is_exempt("'\\t\\t'", 2) && !is_exempt("'10'", 2) && !is_exempt("' 1'", 2));
    CHECK(!is_exempt("'00'", 2) && !is_exempt("'9 '", 2) && !is_exempt("' \\t01234567890'", 13));
    CHECK(!is_exempt("'b'", 1) && !is_exempt("'\\n'", 1));
}

/* ---------------------------------------------------------------------- against a naive sampler */

enum { MAX_TOKENS = 400 };

struct ranked {
    float distance; /* from the best logit */
    uint32_t id;
    uint64_t first, weight; /* in units of 2^-32: at temperature 1, and at the requested temperature */
};

static int by_rank(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return x->distance != y->distance ? (x->distance > y->distance) - (x->distance < y->distance)
                                      : (x->id > y->id) - (x->id < y->id);
}

static uint64_t units(double distance)
{
    return (uint64_t)llrint(exp(-distance) * 0x1p32);
}

/* Computes the remaining tokens in order, directly from the specification; returns their number. */
static size_t naive_kept(const struct rwkv7_sampler_options *o, const float *logits, int n, struct ranked *out)
{
    float best = -INFINITY;
    uint64_t total = 0, mass = 0;
    size_t kept = 0;
    for (int i = 0; i < n; i++)
        best = fmaxf(best, logits[i]);
    for (int i = 0; i < n; i++) {
        const float d = best - logits[i];
        out[i] = (struct ranked){d, (uint32_t)i, units((double)d), units((double)d / (double)o->temperature)};
        total += out[i].first;
    }
    qsort(out, (size_t)n, sizeof *out, by_rank);
    for (; kept < (size_t)n; kept++) {
        const bool reached = kept > 0 && (double)mass >= (double)o->top_p * (double)total;
        if (o->top_p < 1 && reached && out[kept].distance > out[kept - 1].distance)
            break;
        if ((o->top_k > 0 && kept == (size_t)o->top_k) || (double)out[kept].first < (double)o->min_p * 0x1p32)
            break;
        mass += out[kept].first;
    }
    return kept;
}

/* Computes the probabilities of the tokens after all filters. */
static void naive_distribution(const struct rwkv7_sampler_options *o, const float *logits, int n, double *out)
{
    static struct ranked ranked[MAX_TOKENS];
    const size_t kept = naive_kept(o, logits, n, ranked);
    double total = 0;
    for (int i = 0; i < n; i++)
        out[i] = 0;
    for (size_t i = 0; i < kept; i++)
        total += (double)ranked[i].weight;
    for (size_t i = 0; i < kept; i++)
        out[ranked[i].id] = (double)ranked[i].weight / total;
}

static uint32_t naive_next(const struct rwkv7_sampler_options *o, const float *logits, int n, uint64_t *state,
                           struct ranked *work)
{
    const size_t kept = naive_kept(o, logits, n, work);
    uint64_t sum = 0, passed = 0;
    size_t i = 0;
    for (size_t k = 0; k < kept; k++)
        sum += work[k].weight;
    const double u = (double)(splitmix64(state) >> 11) * 0x1p-53;
    for (; i + 1 < kept; i++) {
        passed += work[i].weight;
        if ((double)passed > u * (double)sum)
            break;
    }
    return work[i].id;
}

static const struct {
    float temperature, top_p;
    int top_k;
    float min_p;
} cuts[] = {
    {1, 1, 0, 0},       {1, 0.85f, 0, 0},    {1, 0.3f, 0, 0},   {1, 1, 7, 0},
    {1, 1, 0, 0.2f},    {0.5f, 0.9f, 0, 0},  {2, 0.7f, 20, 0},  {1.3f, 0.95f, 5, 0.1f},
    {1, 0.0001f, 0, 0}, {0.2f, 1, 0, 0.05f}, {9, 1, 0, 0},      {9, 1, 100000, 0},
    {9, 1, 300, 0},     {1, 0.999f, 0, 1},   {1e-30f, 1, 0, 0}, {3, 0, 0, 0},
};
enum { CUTS = sizeof cuts / sizeof cuts[0] };

static struct rwkv7_sampler_options cut(unsigned i)
{
    struct rwkv7_sampler_options opt = defaults();
    opt.temperature = cuts[i].temperature;
    opt.top_p = cuts[i].top_p > 0 ? cuts[i].top_p : RWKV7_ZERO;
    opt.top_k = cuts[i].top_k;
    opt.min_p = cuts[i].min_p;
    return opt;
}

/*
 * Every draw, on distributions from peaked to flat, with many equal logits and with banned tokens.
 */
static void test_naive(void)
{
    enum { N = 3000, MANY = 40000 };
    static float logits[MANY];
    static struct ranked work[MANY];
    uint64_t random = 3;
    for (unsigned i = 0; i < CUTS; i++) {
        for (unsigned shape = 0; shape < 5; shape++) {
            const bool many = shape == 4; /* enough to take a sample of them */
            struct rwkv7_sampler_options opt = cut(i);
            const int n = many ? MANY : 1 + (int)(splitmix64(&random) % N);
            uint64_t state = opt.seed = splitmix64(&random);
            struct rwkv7_sampler *s = sampler(&opt, n, NULL);
            for (int draw = 0; draw < (many ? 2 : 12); draw++) {
                for (int k = 0; k < n; k++) {
                    const double u = (double)(splitmix64(&random) >> 11) * 0x1p-53;
                    logits[k] = (float)(shape == 0   ? -3 * log(u + 1e-12) /* a few stand out */
                                        : shape == 1 ? 0.5 * u             /* flat */
                                        : shape == 2 ? floor(6 * u)        /* many equals */
                                        : many       ? -0.1 * (i % 4 + 1) * log(u + 1e-12)
                                                     : 60 * u); /* most have weight 0 */
                    if (shape == 2 && k > 0 && u < 0.01)
                        logits[k] = -INFINITY;
                }
                const uint32_t want = naive_next(&opt, logits, n, &state, work), got = next(s, logits);
                CHECK_MSG(got == want, "cut %u, shape %u, %d tokens, draw %d: got %u, want %u", i, shape, n, draw, got,
                          want);
            }
            rwkv7_sampler_close(s);
        }
    }
}

static double chi_square(double got, double want)
{
    return (got - want) * (got - want) / want;
}

static void check_distribution(struct rwkv7_sampler_options opt, int n, unsigned seed)
{
    enum { DRAWS = 5000 };
    float logits[MAX_TOKENS] = {0};
    double want[MAX_TOKENS];
    int got[MAX_TOKENS] = {0};
    uint64_t random = ~(uint64_t)seed;
    for (int i = 0; i < n; i++)
        logits[i] = (float)(splitmix64(&random) % 1000) * 0.008f;
    naive_distribution(&opt, logits, n, want);
    opt.seed = seed;
    struct rwkv7_sampler *s = sampler(&opt, n, NULL);
    for (int i = 0; i < DRAWS; i++)
        got[next(s, logits)]++;
    rwkv7_sampler_close(s);
    /*
     * Chi-square over tokens expected at least five times, the others combined; limit: six standard
     * deviations.
     */
    double chi = 0, rest[2] = {0};
    int degrees = 0;
    for (int i = 0; i < n; i++) {
        CHECK_MSG(want[i] > 0 || got[i] == 0, "token %d was cut but drawn %d times", i, got[i]);
        const double expected = want[i] * (int)DRAWS;
        if (expected < 5) {
            rest[0] += expected;
            rest[1] += got[i];
            continue;
        }
        chi += chi_square(got[i], expected);
        degrees++;
    }
    if (rest[0] >= 5)
        chi += chi_square(rest[1], rest[0]);
    CHECK_MSG(chi < degrees + 6 * sqrt(2.0 * degrees) + 6, "chi-square %g with %d degrees", chi, degrees);
}

static void test_distributions(void)
{
    for (unsigned i = 0; i < CUTS; i++)
        for (int n = 1; n <= MAX_TOKENS; n = n * 7 + 3)
            check_distribution(cut(i), n, 100 * i + (unsigned)n);
}

/* Equal logits at the boundary: top-p keeps them all, top-k the lowest ids. */
static void test_ties(void)
{
    struct rwkv7_sampler_options opt = defaults();
    const float logits[5] = {0, 1, 1, 1, 0};
    int got[5] = {0};
    opt.top_p = 0.1f;
    struct rwkv7_sampler *s = sampler(&opt, 5, NULL);
    for (int i = 0; i < 300; i++)
        got[next(s, logits)]++;
    CHECK(got[0] == 0 && got[1] > 50 && got[2] > 50 && got[3] > 50 && got[4] == 0);
    rwkv7_sampler_close(s);
    opt.top_p = 1;
    opt.top_k = 2;
    memset(got, 0, sizeof got);
    s = sampler(&opt, 5, NULL);
    for (int i = 0; i < 300; i++)
        got[next(s, logits)]++;
    CHECK(got[0] == 0 && got[1] > 100 && got[2] > 100 && got[3] == 0 && got[4] == 0);
    rwkv7_sampler_close(s);
}

/* A struct of zeros is the documented defaults, and RWKV7_ZERO a zero. */
static void test_zeros(void)
{
    enum { N = 500 };
    static float logits[N];
    static const struct rwkv7_sampler_options pairs[][2] = {
        {{0}, {.temperature = 1, .top_p = 0.85f, .penalty_decay = 0.996f}},
        {{.frequency_penalty = 9}, {.temperature = 1, .top_p = 0.85f, .penalty_decay = 0.996f, .frequency_penalty = 9}},
        {{.temperature = RWKV7_ZERO}, {.temperature = 1, .top_k = 1}},
        {{.top_p = RWKV7_ZERO, .seed = 3}, {.top_p = 1e-30f, .seed = 3}},
        {{.penalty_decay = RWKV7_ZERO, .frequency_penalty = 9}, {.penalty_decay = 1e-45f, .frequency_penalty = 9}},
    };
    for (int i = 0; i < N; i++)
        logits[i] = (float)(i * 7919 % N) * 0.01f;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct rwkv7_sampler *const a = sampler(&pairs[i][0], N, NULL), *const b = sampler(&pairs[i][1], N, NULL);
        for (int draw = 0; draw < 50; draw++)
            CHECK(next(a, logits) == next(b, logits));
        rwkv7_sampler_close(a);
        rwkv7_sampler_close(b);
    }
    struct rwkv7_sampler *const a = sampler(NULL, N, NULL), *const b = sampler(&pairs[0][1], N, NULL);
    for (int draw = 0; draw < 50; draw++)
        CHECK(next(a, logits) == next(b, logits));
    rwkv7_sampler_close(a);
    rwkv7_sampler_close(b);
}

/* A logit of 0 is as good as one of -0. */
static void test_signed_zeros(void)
{
    const float logits[] = {-0.0f, 0.0f, -1.0f, -0.0f};
    struct rwkv7_sampler_options opt = defaults();
    opt.top_k = 2;
    opt.top_p = 1.0f;
    struct rwkv7_sampler *s = sampler(&opt, 4, NULL);
    for (int draw = 0; draw < 50; draw++)
        CHECK(next(s, logits) < 2);
    rwkv7_sampler_close(s);
}

/* Results for fixed seeds. These numbers must never change. */
static void test_seeds(void)
{
    enum { N = 1000 };
    static const uint32_t want[2][6] = {{631, 136, 309, 198, 284, 113}, {644, 533, 383, 729, 421, 656}};
    static float logits[N];
    for (int i = 0; i < N; i++)
        logits[i] = (float)(i * 7919 % N) * 0.01f;
    for (unsigned seed = 0; seed < 2; seed++) {
        struct rwkv7_sampler_options opt = defaults();
        opt.top_p = 0.9f;
        opt.seed = seed == 0 ? 42 : UINT64_MAX;
        struct rwkv7_sampler *s = sampler(&opt, N, NULL);
        for (int i = 0; i < 6; i++) {
            const uint32_t id = next(s, logits);
            CHECK_MSG(id == want[seed][i], "seed %u, draw %d: %u", seed, i, id);
        }
        rwkv7_sampler_close(s);
    }

    /*
     * Equal logits expose the generator: the published first outputs of SplitMix64 for seed
     * 1234567, scaled to 1000.
     */
    static const uint64_t published[] = {6457827717110365317u, 3203168211198807973u, 9817491932198370423u};
    struct rwkv7_sampler_options opt = defaults();
    opt.seed = 1234567;
    memset(logits, 0, sizeof logits);
    struct rwkv7_sampler *s = sampler(&opt, N, NULL);
    for (int i = 0; i < 3; i++)
        CHECK(next(s, logits) == (uint32_t)((double)published[i] * 0x1p-64 * (int)N));
    rwkv7_sampler_close(s);
}

/* One random number per draw, none when greedy; the same sampler options repeat the same draws. */
static void test_reproducible(void)
{
    enum { N = 300 };
    static float logits[N];
    uint32_t first[50];
    struct rwkv7_sampler_options opt = defaults();
    opt.seed = 9;
    opt.top_p = 0.8f;
    opt.presence_penalty = 0.4f;
    opt.frequency_penalty = 0.4f;
    for (int round = 0; round < 2; round++) {
        uint64_t random = 77;
        struct rwkv7_sampler *s = sampler(&opt, N, NULL);
        for (int i = 0; i < 50; i++) {
            for (int k = 0; k < N; k++)
                logits[k] = (float)(splitmix64(&random) % 1000) * 0.01f;
            const uint32_t id = next(s, logits);
            CHECK(round == 0 || id == first[i]);
            first[i] = id;
        }
        rwkv7_sampler_close(s);
    }
}

/*
 * Ids without text are never drawn: padding after the vocabulary, and gaps. The end of text is
 * drawn.
 */
static void test_textless(void)
{
    static const char vocab[] = "1 'a' 1\n3 'b' 1\n";
    struct rwkv7_sampler_options opt = defaults();
    struct rwkv7_tokenizer *t = NULL;
    float logits[7] = {1, 2, 9, 3, 8, 7, 9};
    CHECK(rwkv7_tokenizer_open_memory(vocab, sizeof vocab - 1, "v", &t, NULL) == RWKV7_OK);
    for (int i = 0; i < 200; i++) {
        opt.temperature = i == 0 ? RWKV7_ZERO : 3.0f;
        opt.seed = (uint64_t)i;
        struct rwkv7_sampler *s = sampler(&opt, 7, t);
        const uint32_t id = next(s, logits);
        CHECK_MSG(id == 3 || (i > 0 && id <= 1), "drew %u", id);
        rwkv7_sampler_close(s);
    }
    opt.temperature = RWKV7_ZERO;
    opt.any_id = true;
    struct rwkv7_sampler *s = sampler(&opt, 7, t);
    CHECK(next(s, logits) == 2);
    rwkv7_sampler_close(s);
    opt.any_id = false;
    s = sampler(&opt, 7, NULL); /* unknown vocabulary */
    CHECK(next(s, logits) == 2);
    logits[4] = NAN; /* a NaN is reported even there */
    uint32_t id;
    CHECK(rwkv7_sampler_next(s, logits, &id, NULL) == RWKV7_ERR_NUMERIC);
    rwkv7_sampler_close(s);
    s = sampler(&opt, 7, t);
    CHECK(rwkv7_sampler_next(s, logits, &id, NULL) == RWKV7_ERR_NUMERIC);
    rwkv7_sampler_close(s);
    logits[4] = 0;
    logits[0] = 10;
    s = sampler(&opt, 7, t);
    CHECK(next(s, logits) == RWKV7_END_OF_TEXT);
    rwkv7_sampler_close(s);
    rwkv7_tokenizer_close(t);
}

static void refuses(struct rwkv7_sampler_options opt, const char *fragment)
{
    struct rwkv7_sampler *s = NULL;
    struct rwkv7_error err = {0};
    CHECK(rwkv7_sampler_create(&opt, 10, NULL, &s, &err) == RWKV7_ERR_USAGE && !s);
    CHECK_MSG(strstr(err.message, fragment) != NULL, "%s", err.message);
}

static void test_errors(void)
{
    struct rwkv7_sampler_options opt = defaults();
    struct rwkv7_token_bias bias = {10, 1};
    opt.temperature = -2;
    refuses(opt, "temperature: expected a value from 0 to 1000, found -2");
    opt = defaults();
    opt.top_p = -0.1f;
    refuses(opt, "top-p: expected a value from 0 to 1, found -0.1");
    opt.top_p = NAN;
    refuses(opt, "top-p");
    opt = defaults();
    opt.top_k = -3;
    refuses(opt, "top-k");
    opt = defaults();
    opt.biases = &bias;
    opt.bias_count = 1;
    refuses(opt, "bias for token 10");

    opt = defaults();
    float logits[3] = {0, NAN, 0};
    uint32_t id;
    struct rwkv7_error err;
    struct rwkv7_sampler *s = sampler(&opt, 3, NULL);
    CHECK(rwkv7_sampler_next(s, logits, &id, &err) == RWKV7_ERR_NUMERIC);
    CHECK_STR(err.message, "logit of token 1: expected a finite number or -infinity, found NaN");
    logits[1] = INFINITY;
    CHECK(rwkv7_sampler_next(s, logits, &id, &err) == RWKV7_ERR_NUMERIC);
    logits[0] = logits[1] = logits[2] = -INFINITY;
    CHECK(rwkv7_sampler_next(s, logits, &id, &err) == RWKV7_ERR_NUMERIC);
    CHECK(strstr(err.message, "banned") != NULL);
    logits[2] = 1;
    CHECK(next(s, logits) == 2);
    rwkv7_sampler_close(s);

    bool done = false;
    for (long at = 0; at < 20 && !done; at++) {
        mem_fail_after(at);
        const enum rwkv7_status status = rwkv7_sampler_create(&opt, 3, NULL, &s, NULL);
        mem_fail_after(-1);
        CHECK(status == RWKV7_OK || status == RWKV7_ERR_MEMORY);
        done = status == RWKV7_OK;
        if (done)
            rwkv7_sampler_close(s);
    }
    CHECK(done);
}

int main(void)
{
    RUN(test_greedy);
    RUN(test_penalties);
    RUN(test_exempt);
    RUN(test_naive);
    RUN(test_distributions);
    RUN(test_ties);
    RUN(test_zeros);
    RUN(test_signed_zeros);
    RUN(test_seeds);
    RUN(test_reproducible);
    RUN(test_textless);
    RUN(test_errors);
    return test_end();
}
