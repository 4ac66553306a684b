/*
 * sampler.c - from logits to the next token, the same on every machine.
 *
 * The order is that of the author's reference: bias and penalties; softmax at temperature 1; top-p, then top-k, then min-p,
 * all on those probabilities; then the temperature as p^(1/T); then the draw. (Others apply the temperature first: a hot
 * temperature then also widens top-p. Here the two are independent.)
 *
 * Everything is written in single additions and multiplications in one order: probabilities in float by an exp of this file,
 * which any compiler vectorises for the oldest CPU, sums in double. The draw walks the kept tokens in rising order of id.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fmath.h"
#include "base/mem.h"
#include "base/status.h"

/* A token whose probability passes the coarse sieve. */
struct candidate {
    float p; /* relative to the best, which has 1 */
    uint32_t id;
};

/* Probabilities are sieved by their upper bits: sign, exponent and 4 bits of mantissa. 1.0f is the last bucket. */
#define BUCKET_SHIFT 19
#define BUCKETS ((0x3f800000u >> BUCKET_SHIFT) + 1)

struct rwkv7_sampler {
    struct rwkv7_sampler_options options; /* biases point to our copy */
    struct rwkv7_token_bias *biases;
    int vocab;
    uint64_t state;         /* of the generator */
    float *logits;          /* [vocab] with bias and penalties */
    float *p;               /* [vocab] */
    struct candidate *kept; /* [vocab] */
    float *counts;          /* [vocab] decayed occurrences of the tokens in `seen` */
    uint32_t *seen;         /* [vocab] tokens drawn so far */
    size_t seen_count;
    uint8_t *flags; /* [vocab] */
};
enum { SEEN = 1, UNCOUNTED = 2 }; /* drawn before; only spaces, tabs and digits */

void rwkv7_sampler_defaults(struct rwkv7_sampler_options *opt)
{
    *opt = (struct rwkv7_sampler_options){.temperature = 1.0f, .top_p = 0.85f, .penalty_decay = 0.996f};
}

static enum rwkv7_status check_options(const struct rwkv7_sampler_options *o, int vocab, struct rwkv7_error *err)
{
    const struct {
        const char *name;
        float value, low, high;
        bool above; /* low itself is not allowed */
    } ranges[] = {
        {"temperature", o->temperature, 0.0f, 1000.0f, false},
        {"top-p", o->top_p, 0.0f, 1.0f, true},
        {"min-p", o->min_p, 0.0f, 1.0f, false},
        {"presence penalty", o->presence_penalty, -1000.0f, 1000.0f, false},
        {"frequency penalty", o->frequency_penalty, -1000.0f, 1000.0f, false},
        {"penalty decay", o->penalty_decay, 0.0f, 1.0f, false},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        const float x = ranges[i].value;
        if (!(x >= ranges[i].low && x <= ranges[i].high) || (ranges[i].above && x == ranges[i].low))
            return fail(err, RWKV7_ERR_USAGE, "%s: expected %s %g and at most %g, found %g", ranges[i].name,
                        ranges[i].above ? "more than" : "at least", (double)ranges[i].low, (double)ranges[i].high,
                        (double)x);
    }
    if (o->top_k < 0)
        return fail(err, RWKV7_ERR_USAGE, "top-k: expected at least 0, found %d", o->top_k);
    if (vocab < 1)
        return fail(err, RWKV7_ERR_USAGE, "a sampler needs a vocabulary, found size %d", vocab);
    for (size_t i = 0; i < o->bias_count; i++) {
        if (o->biases[i].id >= (uint32_t)vocab)
            return fail(err, RWKV7_ERR_USAGE, "bias for token %u: the vocabulary has ids 0 to %d", o->biases[i].id,
                        vocab - 1);
        if (isnan(o->biases[i].bias) || o->biases[i].bias == INFINITY)
            return fail(err, RWKV7_ERR_USAGE, "bias for token %u is not a number to add", o->biases[i].id);
    }
    return RWKV7_OK;
}

static bool is_space_or_digits(const struct rwkv7_tokenizer *t, uint32_t id)
{
    size_t n;
    const uint8_t *bytes = rwkv7_tokenizer_bytes(t, id, &n);
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != ' ' && bytes[i] != '\t' && (bytes[i] < '0' || bytes[i] > '9'))
            return false;
    return n > 0;
}

enum rwkv7_status rwkv7_sampler_create(const struct rwkv7_sampler_options *opt, int vocab,
                                       const struct rwkv7_tokenizer *tokenizer, struct rwkv7_sampler **out,
                                       struct rwkv7_error *err)
{
    *out = NULL;
    const enum rwkv7_status status = check_options(opt, vocab, err);
    if (status != RWKV7_OK)
        return status;
    struct rwkv7_sampler *s = mem_alloc(1, sizeof *s);
    if (!s)
        return fail_memory(err, "the sampler");
    const size_t n = (size_t)vocab;
    s->options = *opt;
    s->vocab = vocab;
    s->state = opt->seed;
    s->logits = mem_alloc(n, sizeof *s->logits);
    s->p = mem_alloc(n, sizeof *s->p);
    s->kept = mem_alloc(n, sizeof *s->kept);
    s->counts = mem_alloc(n, sizeof *s->counts);
    s->seen = mem_alloc(n, sizeof *s->seen);
    s->flags = mem_alloc(n, sizeof *s->flags);
    s->biases = mem_alloc(opt->bias_count, sizeof *s->biases);
    if (!s->logits || !s->p || !s->kept || !s->counts || !s->seen || !s->flags || !s->biases) {
        rwkv7_sampler_close(s);
        return fail_memory(err, "the sampler");
    }
    if (opt->bias_count > 0)
        memcpy(s->biases, opt->biases, opt->bias_count * sizeof *s->biases);
    s->options.biases = s->biases;
    for (uint32_t id = 0; tokenizer && id < (uint32_t)vocab; id++)
        if (is_space_or_digits(tokenizer, id))
            s->flags[id] = UNCOUNTED;
    *out = s;
    return RWKV7_OK;
}

void rwkv7_sampler_close(struct rwkv7_sampler *s)
{
    if (!s)
        return;
    mem_free(s->logits);
    mem_free(s->p);
    mem_free(s->kept);
    mem_free(s->counts);
    mem_free(s->seen);
    mem_free(s->flags);
    mem_free(s->biases);
    mem_free(s);
}

/* SplitMix64 (Steele, Lea, Flood 2014); the upper 53 bits as a number in [0, 1). */
static double next_uniform(struct rwkv7_sampler *s)
{
    uint64_t x = s->state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    x ^= x >> 31;
    return (double)(x >> 11) * 0x1p-53;
}

/* e^x for x <= 0 without fused operations: relative error below 3e-7; below -87 it is 0. */
static inline float exp_negative(float x)
{
    const float c = x < -87.0f ? -87.0f : x;
    const float n = c * FMATH_LOG2E + FMATH_ROUND - FMATH_ROUND;
    const float r = c - n * FMATH_LN2_HI - n * FMATH_LN2_LO;
    const float q = ((((FMATH_C7 * r + FMATH_C6) * r + FMATH_C5) * r + FMATH_C4) * r + FMATH_C3) * r + FMATH_C2;
    const float p = (q * r + 1.0f) * r + 1.0f;
    return x < -87.0f ? 0.0f : p * fmath_pow2((int32_t)n);
}

/* Eight running sums, so that the additions need not wait for each other, added up in order. */
static double sum_all(const float *p, size_t n)
{
    double part[8] = {0}, sum = 0;
    for (size_t i = 0; i < n; i++)
        part[i % 8] += (double)p[i];
    for (int i = 0; i < 8; i++)
        sum += part[i];
    return sum;
}

static int by_probability(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    return x->p > y->p ? -1 : x->p < y->p ? 1 : x->id < y->id ? -1 : x->id > y->id;
}

static uint32_t bucket_of(float p)
{
    uint32_t bits;
    memcpy(&bits, &p, sizeof bits);
    return bits >> BUCKET_SHIFT;
}

/*
 * Finds what top-p and top-k leave: tokens of probability above *least, and of those that are exactly *least only ids up to
 * *last_id. A sieve by buckets leaves few candidates to sort.
 */
static void find_cutoff(struct rwkv7_sampler *s, float *least, uint32_t *last_id)
{
    const size_t n = (size_t)s->vocab;
    const double wanted = (double)s->options.top_p * sum_all(s->p, n);
    const bool by_mass = s->options.top_p<1.0f, by_count = s->options.top_k> 0 && s->options.top_k < s->vocab;
    double mass[BUCKETS] = {0};
    size_t count[BUCKETS] = {0};
    *least = 0;
    *last_id = UINT32_MAX;
    if (!by_mass && !by_count)
        return;
    for (size_t i = 0; i < n; i++) {
        mass[bucket_of(s->p[i])] += (double)s->p[i];
        count[bucket_of(s->p[i])]++;
    }
    uint32_t bucket = BUCKETS;
    double sum = 0;
    size_t tokens = 0;
    do {
        bucket--;
        sum += mass[bucket];
        tokens += count[bucket];
    } while (bucket > 0 && !(by_mass && sum >= wanted) && !(by_count && tokens >= (size_t)s->options.top_k));

    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (bucket_of(s->p[i]) >= bucket)
            s->kept[kept++] = (struct candidate){s->p[i], (uint32_t)i};
    qsort(s->kept, kept, sizeof *s->kept, by_probability);
    size_t last = 0; /* the last one that stays, by mass; those with the same probability stay too */
    for (sum = (double)s->kept[0].p; last + 1 < kept && !(by_mass && sum >= wanted); last++)
        sum += (double)s->kept[last + 1].p;
    *least = s->kept[last].p;
    if (by_count && (size_t)s->options.top_k - 1 < kept) {
        const struct candidate *c = &s->kept[s->options.top_k - 1];
        if (c->p >= *least) {
            *least = c->p;
            *last_id = c->id;
        }
    }
}

/* The logits with bias and penalties, and the id of the largest. */
static enum rwkv7_status prepare(struct rwkv7_sampler *s, const float *logits, uint32_t *best, struct rwkv7_error *err)
{
    const struct rwkv7_sampler_options *o = &s->options;
    for (int i = 0; i < s->vocab; i++)
        if (isnan(logits[i]) || logits[i] == INFINITY)
            return fail(err, RWKV7_ERR_NUMERIC, "the logit of token %d is %s", i,
                        isnan(logits[i]) ? "not a number" : "infinite");
    memcpy(s->logits, logits, (size_t)s->vocab * sizeof *logits);
    for (size_t i = 0; i < o->bias_count; i++)
        s->logits[o->biases[i].id] += o->biases[i].bias;
    for (size_t i = 0; i < s->seen_count; i++) {
        const uint32_t id = s->seen[i];
        s->logits[id] -= o->presence_penalty + s->counts[id] * o->frequency_penalty;
    }
    *best = 0;
    for (uint32_t i = 1; i < (uint32_t)s->vocab; i++)
        if (s->logits[i] > s->logits[*best])
            *best = i;
    if (s->logits[*best] == -INFINITY)
        return fail(err, RWKV7_ERR_NUMERIC, "no token is left to choose from: every one is banned");
    return RWKV7_OK;
}

static uint32_t draw(struct rwkv7_sampler *s, uint32_t best)
{
    const struct rwkv7_sampler_options *o = &s->options;
    const size_t n = (size_t)s->vocab;
    const float top = s->logits[best];
    float least;
    uint32_t last_id;
    for (size_t i = 0; i < n; i++)
        s->p[i] = exp_negative(s->logits[i] - top);
    find_cutoff(s, &least, &last_id);

    size_t kept = 0;
    double sum = 0;
    for (uint32_t i = 0; i < (uint32_t)n; i++) {
        const float p = s->p[i];
        if (p <= 0 || p < least || (p == least && i > last_id) || p < o->min_p)
            continue;
        const float weight = o->temperature == 1.0f ? p : exp_negative((s->logits[i] - top) / o->temperature);
        s->kept[kept++] = (struct candidate){weight, i};
        sum += (double)weight;
    }
    const double target = next_uniform(s) * sum;
    double passed = 0;
    for (size_t i = 0; i < kept; i++) {
        passed += (double)s->kept[i].p;
        if (passed > target)
            return s->kept[i].id;
    }
    return best; /* only if rounding left the target at the very end */
}

enum rwkv7_status rwkv7_sampler_next(struct rwkv7_sampler *s, const float *logits, uint32_t *id,
                                     struct rwkv7_error *err)
{
    uint32_t best = 0;
    const enum rwkv7_status status = prepare(s, logits, &best, err);
    if (status != RWKV7_OK)
        return status;
    *id = s->options.temperature == 0.0f ? best : draw(s, best);

    for (size_t i = 0; i < s->seen_count; i++)
        s->counts[s->seen[i]] *= s->options.penalty_decay;
    if (!(s->flags[*id] & SEEN)) {
        s->flags[*id] |= SEEN;
        s->seen[s->seen_count++] = *id;
    }
    if (!(s->flags[*id] & UNCOUNTED))
        s->counts[*id] += 1.0f;
    return RWKV7_OK;
}
