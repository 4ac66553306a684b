/* test_limits.c - limits of the sampler options. */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>

#include "rwkv7.h"
#include "test.h"

static struct rwkv7_sampler_options defaults(void)
{
    return (struct rwkv7_sampler_options){.temperature = 1, .top_p = 1, .penalty_decay = 0.996f};
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

static void refuses(struct rwkv7_sampler_options opt, const char *fragment)
{
    struct rwkv7_sampler *s = NULL;
    struct rwkv7_error err = {0};
    CHECK(rwkv7_sampler_create(&opt, 10, NULL, &s, &err) == RWKV7_ERR_USAGE && !s);
    CHECK_MSG(strstr(err.message, fragment) != NULL, "%s", err.message);
}

/* The last allowed value and the first disallowed one of each option. */
static void test_limits(void)
{
    static const struct {
        size_t at;
        float low, high;
    } limits[] = {
        {offsetof(struct rwkv7_sampler_options, temperature), 0, 1000},
        {offsetof(struct rwkv7_sampler_options, top_p), 0, 1},
        {offsetof(struct rwkv7_sampler_options, min_p), 0, 1},
        {offsetof(struct rwkv7_sampler_options, presence_penalty), -1000, 1000},
        {offsetof(struct rwkv7_sampler_options, frequency_penalty), -1000, 1000},
        {offsetof(struct rwkv7_sampler_options, penalty_decay), 0, 1},
    };
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct rwkv7_sampler_options opt = defaults();
        float *const x = (float *)((char *)&opt + limits[i].at);
        for (int high = 0; high < 2; high++) {
            *x = high ? limits[i].high : limits[i].low;
            rwkv7_sampler_close(sampler(&opt, 3, NULL));
            *x = nextafterf(*x, high ? INFINITY : -INFINITY);
            refuses(opt, "expected a value from");
        }
    }
    struct rwkv7_sampler_options opt = defaults();
    struct rwkv7_token_bias bias = {2, 1};
    opt.biases = &bias;
    opt.bias_count = 1;
    rwkv7_sampler_close(sampler(&opt, 3, NULL));
    bias.id = 10;
    refuses(opt, "bias for token 10: expected an id from 0 to 9");
    bias = (struct rwkv7_token_bias){2, INFINITY};
    refuses(opt, "bias for token 2: expected a number that is not NaN");
    opt = defaults();
    struct rwkv7_sampler *s = NULL;
    struct rwkv7_error err;
    CHECK(rwkv7_sampler_create(&opt, 0, NULL, &s, &err) == RWKV7_ERR_USAGE && strstr(err.message, "found 0"));
    CHECK(rwkv7_sampler_create(&opt, (1 << 20) + 1, NULL, &s, &err) == RWKV7_ERR_USAGE && !s);
    rwkv7_sampler_close(sampler(&opt, 1 << 20, NULL));
    rwkv7_sampler_close(sampler(&opt, 1, NULL));
}

int main(void)
{
    RUN(test_limits);
    return test_end();
}
