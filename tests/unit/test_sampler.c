/* test_sampler.c - the sampler against a naive one, against values worked out by hand, and against its own past. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/sys.h"
#include "rwkv7.h"
#include "test.h"

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
    struct rwkv7_sampler_options opt;
    rwkv7_sampler_defaults(&opt);
    opt.top_p = 1;
    return opt;
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
    opt.temperature = 0;
    struct rwkv7_sampler *s = sampler(&opt, 4, NULL);
    CHECK(next(s, logits) == 1 && next(s, logits) == 1);
    rwkv7_sampler_close(s);
    opt.biases = &ban;
    opt.bias_count = 1;
    s = sampler(&opt, 4, NULL);
    CHECK(next(s, logits) == 3);
    rwkv7_sampler_close(s);
}

static void test_penalties(void)
{
    /* Greedy shows the order: 3.0 is drawn, falls by 0.5 + 1 * 0.75; decay halves the count. */
    struct rwkv7_sampler_options opt = defaults();
    opt.temperature = 0;
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

    /* Tokens of spaces, tabs and digits only pay the presence penalty: their count stays 0. */
    static const char vocab[] = "0 '1 ' 2\n1 'a' 1\n";
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
    rwkv7_tokenizer_close(t);
}

/* ------------------------------------------------------------------------------------------------------ against naive */

enum { MAX_TOKENS = 400 };

struct pair {
    double p;
    int id;
};

static int falling(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    return x->p > y->p ? -1 : x->p < y->p ? 1 : x->id - y->id;
}

/* Probabilities of the tokens after all cuts, straight from the specification. */
static void naive(const struct rwkv7_sampler_options *o, const float *logits, int n, double *out)
{
    static struct pair sorted[MAX_TOKENS];
    double top = (double)logits[0], sum = 0, cum = 0, total = 0;
    for (int i = 0; i < n; i++)
        top = (double)logits[i] > top ? (double)logits[i] : top;
    for (int i = 0; i < n; i++)
        sum += exp((double)logits[i] - top);
    for (int i = 0; i < n; i++)
        sorted[i] = (struct pair){exp((double)logits[i] - top) / sum, i};
    qsort(sorted, (size_t)n, sizeof *sorted, falling);
    double cutoff = 0;
    for (int i = 0; i < n && o->top_p < 1; i++) {
        cum += sorted[i].p;
        cutoff = sorted[i].p;
        if (cum >= (double)o->top_p)
            break;
    }
    for (int i = 0; i < n; i++) {
        const bool keep =
            sorted[i].p >= cutoff && (o->top_k == 0 || i < o->top_k) && sorted[i].p >= (double)o->min_p * sorted[0].p;
        out[sorted[i].id] = keep ? pow(sorted[i].p, 1.0 / (double)o->temperature) : 0;
    }
    for (int i = 0; i < n; i++)
        total += out[i];
    for (int i = 0; i < n; i++)
        out[i] /= total;
}

static double chi_square(double got, double want)
{
    return (got - want) * (got - want) / want;
}

static void check_distribution(struct rwkv7_sampler_options opt, int n, unsigned seed)
{
    enum { DRAWS = 20000 };
    float logits[MAX_TOKENS];
    double want[MAX_TOKENS];
    int got[MAX_TOKENS] = {0};
    srand(seed);
    for (int i = 0; i < n; i++)
        logits[i] = (float)(rand() % 1000) * 0.008f;
    naive(&opt, logits, n, want);
    opt.seed = seed;
    struct rwkv7_sampler *s = sampler(&opt, n, NULL);
    for (int i = 0; i < DRAWS; i++)
        got[next(s, logits)]++;
    rwkv7_sampler_close(s);
    /* Chi-square over tokens expected at least five times, the others together; six standard deviations. */
    double chi = 0, rest[2] = {0};
    int degrees = 0;
    for (int i = 0; i < n; i++) {
        CHECK_MSG(want[i] > 0 || got[i] == 0, "token %d was cut but drawn %d times", i, got[i]);
        const double expected = want[i] * DRAWS;
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
    static const struct {
        float temperature, top_p;
        int top_k;
        float min_p;
    } cases[] = {
        {1, 1, 0, 0},       {1, 0.85f, 0, 0}, {1, 0.3f, 0, 0},        {1, 1, 7, 0},       {1, 1, 0, 0.2f},
        {0.5f, 0.9f, 0, 0}, {2, 0.7f, 20, 0}, {1.3f, 0.95f, 5, 0.1f}, {1, 0.0001f, 0, 0}, {0.2f, 1, 0, 0.05f},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int n = 1; n <= 400; n = n * 7 + 3) {
            struct rwkv7_sampler_options opt = defaults();
            opt.temperature = cases[i].temperature;
            opt.top_p = cases[i].top_p;
            opt.top_k = cases[i].top_k;
            opt.min_p = cases[i].min_p;
            check_distribution(opt, n, 100 * i + (unsigned)n);
        }
}

/* Equal logits at the edge: top-p keeps them all, top-k the lowest ids. */
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

/* The same text everywhere and for ever: these numbers may never change. */
static void test_seeds(void)
{
    enum { N = 1000 };
    static const uint32_t want[2][6] = {{742, 173, 284, 336, 39, 877}, {891, 915, 224, 433, 704, 829}};
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
    opt.temperature = -1;
    refuses(opt, "temperature: expected at least 0 and at most 1000, found -1");
    opt = defaults();
    opt.top_p = 0;
    refuses(opt, "top-p: expected more than 0 and at most 1, found 0");
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
    CHECK_STR(err.message, "the logit of token 1 is not a number");
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

/* test_sampler --bench: microseconds per draw from 65,536 logits. */
static int bench(void)
{
    enum { N = 65536, DRAWS = 200 };
    static float logits[N];
    struct rwkv7_sampler_options opt;
    rwkv7_sampler_defaults(&opt);
    for (int i = 0; i < N; i++)
        logits[i] = 3 * (float)((rand() + (double)rand() + rand() + rand()) / RAND_MAX - 2);
    struct rwkv7_sampler *s = sampler(&opt, N, NULL);
    const double begin = sys_seconds();
    for (int i = 0; i < DRAWS; i++)
        next(s, logits);
    printf("%.0f us per draw\n", 1e6 * (sys_seconds() - begin) / DRAWS);
    rwkv7_sampler_close(s);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--bench") == 0)
        return bench();
    RUN(test_greedy);
    RUN(test_penalties);
    RUN(test_distributions);
    RUN(test_ties);
    RUN(test_seeds);
    RUN(test_errors);
    return test_end();
}
