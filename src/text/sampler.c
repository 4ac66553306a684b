/*
 * sampler.c - chooses the next token from the logits, with the same result on every machine.
 *
 * The steps follow the author's reference:
 *
 *     1. add biases and subtract penalties
 *     2. compute the probabilities at temperature 1
 *     3. apply top-p, then top-k, then min-p, all to these probabilities
 *     4. apply the temperature T to the probabilities that remain, as p^(1/T)
 *     5. draw a token
 *
 * Other programs apply the temperature first, so a high temperature also widens top-p. Here the two
 * are independent.
 *
 * Only the distance d = (best logit - logit) of a token matters. Its weight is e^-d, or e^(-d/T) at
 * temperature T, which needs no power function. Weights are integers in units of 2^-32 of the best
 * token's weight, so sums are exact in any order.
 *
 * Tokens are ordered by increasing distance, and by increasing id for equal distances. Top-p,
 * top-k, min-p and the draw each need the shortest prefix of this order that satisfies a condition.
 * Nothing is sorted: the tokens near the best are gathered first, others only if those do not
 * suffice. A variant of quickselect then finds the end of the prefix in linear time.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/float_env.h"
#include "base/fmath.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/splitmix.h"
#include "base/status.h"
#include "text/sampler_state.h"

#define MAX_VOCAB (1 << 20)
#define ONE 0x1p32 /* weight of the best token; the sum of all weights is at most 2^52, exact in a double too */
#define ROUND_WEIGHT 0x1.8p20 /* adding it rounds a double below 2^19 to a multiple of 1 / ONE */
#define FAR 24.0f             /* weights of tokens at this distance or farther are 0: e^-24 < 2^-33 */
#define BLOCK 64              /* logits; a block is skipped if its best logit is too far away */
#define LANES 8               /* logits processed together, so that compilers vectorise */

/* Returns the value of an option: 0 stands for the default, RWKV7_ZERO for 0. */
static float value_of(float given, float by_default)
{
    return given == 0.0f ? by_default : given == RWKV7_ZERO ? 0.0f : given;
}

static enum rwkv7_status read_options(struct rwkv7_sampler_options *opt, const struct rwkv7_sampler_options *given,
                                      struct rwkv7_error *err)
{
    const enum rwkv7_status status = OPTIONS_READ(rwkv7_sampler_options, opt, given, bias_count, err);
    opt->temperature = value_of(opt->temperature, 1.0f);
    opt->top_p = value_of(opt->top_p, 0.85f);
    opt->penalty_decay = value_of(opt->penalty_decay, 0.996f);
    return status;
}

static enum rwkv7_status check_options(const struct rwkv7_sampler_options *o, int vocab, struct rwkv7_error *err)
{
    const struct {
        const char *name;
        float value, low, high;
    } ranges[] = {
        {"temperature", o->temperature, 0.0f, 1000.0f},
        {"top-p", o->top_p, 0.0f, 1.0f},
        {"min-p", o->min_p, 0.0f, 1.0f},
        {"presence penalty", o->presence_penalty, -1000.0f, 1000.0f},
        {"frequency penalty", o->frequency_penalty, -1000.0f, 1000.0f},
        {"penalty decay", o->penalty_decay, 0.0f, 1.0f},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        const float x = ranges[i].value;
        if (!(x >= ranges[i].low && x <= ranges[i].high))
            return fail(err, RWKV7_ERR_USAGE, "%s: expected a value from %g to %g, found %g", ranges[i].name,
                        (double)ranges[i].low, (double)ranges[i].high, (double)x);
    }
    if (o->top_k < 0)
        return fail(err, RWKV7_ERR_USAGE, "top-k: expected 0 or more, found %d", o->top_k);
    if (vocab < 1 || vocab > MAX_VOCAB)
        return fail(err, RWKV7_ERR_USAGE, "vocabulary: expected 1 to %d tokens, found %d", MAX_VOCAB, vocab);
    for (size_t i = 0; i < o->bias_count; i++) {
        if (o->biases[i].id >= (uint32_t)vocab)
            return fail(err, RWKV7_ERR_USAGE, "bias for token %u: expected an id from 0 to %d", o->biases[i].id,
                        vocab - 1);
        if (isnan(o->biases[i].bias) || o->biases[i].bias == INFINITY)
            return fail(err, RWKV7_ERR_USAGE, "bias for token %u: expected a number that is not NaN or +infinity",
                        o->biases[i].id);
    }
    return RWKV7_OK;
}

/*
 * Whether a token is never drawn because it has no text. End-of-text has none either, but may be
 * drawn.
 */
static bool is_textless(const struct rwkv7_tokenizer *t, uint32_t id)
{
    size_t n;
    rwkv7_tokenizer_bytes(t, id, &n);
    return n == 0 && id != RWKV7_END_OF_TEXT;
}

/*
 * Whether a token is exempt from the frequency penalty, as in the author's reference: its text is a
 * substring of `exempt`, such as one space, one tab, a digit, or a rising run of digits ("123").
 * The World vocabulary has 22 such tokens. Longer runs of spaces are penalized.
 */
static bool is_exempt(const struct rwkv7_tokenizer *t, uint32_t id)
{
    static const char exempt[] = " \t0123456789";
    size_t n;
    const uint8_t *const bytes = rwkv7_tokenizer_bytes(t, id, &n);
    for (size_t at = 0; n > 0 && at + n <= sizeof exempt - 1; at++)
        if (memcmp(exempt + at, bytes, n) == 0)
            return true;
    return false;
}

enum rwkv7_status rwkv7_sampler_create(const struct rwkv7_sampler_options *given, int vocab,
                                       const struct rwkv7_tokenizer *tokenizer, struct rwkv7_sampler **out,
                                       struct rwkv7_error *err)
{
    DEFAULT_FLOAT_ENV;
    struct rwkv7_sampler_options opt;
    *out = NULL;
    enum rwkv7_status status = read_options(&opt, given, err);
    if (status == RWKV7_OK)
        status = check_options(&opt, vocab, err);
    if (status != RWKV7_OK)
        return status;
    struct rwkv7_sampler *s = mem_alloc(1, sizeof *s);
    if (!s)
        return fail_memory(err, "the sampler");
    const size_t n = (size_t)vocab;
    s->options = opt;
    s->random = opt.seed;
    s->vocab = vocab;
    s->scale = fminf(1.0f / opt.temperature, FLT_MAX);
    s->blocks = (n + BLOCK - 1) / BLOCK;
    s->biases = mem_alloc(opt.bias_count, sizeof *s->biases);
    s->logits = mem_alloc(s->blocks, BLOCK * sizeof *s->logits);
    s->block_best = mem_alloc(s->blocks, sizeof *s->block_best);
    s->candidates = mem_alloc(n, sizeof *s->candidates);
    s->counts = mem_alloc(n, sizeof *s->counts);
    s->seen = mem_alloc(n, sizeof *s->seen);
    s->flags = mem_alloc(n, sizeof *s->flags);
    s->textless = mem_alloc(n, sizeof *s->textless);
    if (!s->textless || !s->biases || !s->logits || !s->block_best || !s->candidates || !s->counts || !s->seen ||
        !s->flags) {
        rwkv7_sampler_close(s);
        return fail_memory(err, "the sampler");
    }
    if (opt.bias_count > 0)
        memcpy(s->biases, opt.biases, opt.bias_count * sizeof *s->biases);
    s->options.biases = s->biases;
    for (size_t i = n; i < s->blocks * BLOCK; i++)
        s->logits[i] = -INFINITY;
    for (uint32_t id = 0; tokenizer && id < (uint32_t)vocab; id++)
        if (is_exempt(tokenizer, id))
            s->flags[id] = UNCOUNTED;
        else if (is_textless(tokenizer, id) && !opt.any_id)
            s->textless[s->textless_count++] = id;
    *out = s;
    return RWKV7_OK;
}

void rwkv7_sampler_close(struct rwkv7_sampler *s)
{
    if (!s)
        return;
    mem_free(s->biases);
    mem_free(s->logits);
    mem_free(s->block_best);
    mem_free(s->candidates);
    mem_free(s->counts);
    mem_free(s->seen);
    mem_free(s->flags);
    mem_free(s->textless);
    mem_free(s);
}

/* -------------------------------------------------------------------------------------- weights */

static inline double round_weight(float w)
{
    return ((double)w + ROUND_WEIGHT) - ROUND_WEIGHT;
}

static uint64_t to_units(float w)
{
    return (uint64_t)(round_weight(w) * ONE);
}

/* Computes the weights of one block at temperature 1 / scale, before rounding. */
static void weigh_block(const struct rwkv7_sampler *s, size_t block, float scale, float *w)
{
    const float *const x = s->logits + block * BLOCK;
    for (int i = 0; i < BLOCK; i++) {
        const float d = (s->best - x[i]) * scale;
        w[i] = d < FAR ? d : FAR;
    }
    for (int i = 0; i < BLOCK;
         i++) /* a separate loop: otherwise gcc emits branches for the line above instead of vectorising */
        w[i] = fmath_exp_minus(w[i]);
}

/* Returns the sum of the weights of all tokens at temperature 1 / scale. */
static uint64_t total_weight(const struct rwkv7_sampler *s, float scale)
{
    double sum[LANES] = {0}, total = 0;
    for (size_t b = 0; b < s->blocks; b++) {
        float w[BLOCK];
        if ((s->best - s->block_best[b]) * scale >= FAR)
            continue;
        weigh_block(s, b, scale, w);
        for (int i = 0; i < BLOCK; i += LANES)
            for (int lane = 0; lane < LANES; lane++)
                sum[lane] += round_weight(w[i + lane]);
    }
    for (int lane = 0; lane < LANES; lane++)
        total += sum[lane];
    return (uint64_t)(total * ONE);
}

/* ----------------------------------------------------------------------------------- candidates */

static uint64_t key_of(float distance, uint32_t id)
{
    uint32_t bits;
    memcpy(&bits, &distance, sizeof bits);
    return (uint64_t)bits << 32 | id;
}

static float distance_of(uint64_t key)
{
    const uint32_t bits = (uint32_t)(key >> 32);
    float distance;
    memcpy(&distance, &bits, sizeof distance);
    return distance;
}

/*
 * Gathers all tokens up to some distance as candidates. The distance grows until one of these
 * holds: the weights add up to `wanted`, there are `limit` candidates, tokens farther away would
 * weigh less than `min_weight`, or all tokens are included. Banned tokens are at infinite distance
 * and are never gathered.
 */
static void gather(struct rwkv7_sampler *s, float scale, uint64_t wanted, size_t limit, float min_weight)
{
    static const float reach[] = {0.0f, 4.0f, 8.0f, 16.0f, FAR, INFINITY};
    size_t n = 0;
    uint64_t mass = 0;

    for (size_t k = 1; k < sizeof reach / sizeof reach[0]; k++) {
        for (size_t b = 0; b < s->blocks; b++) {
            const float *const x = s->logits + b * BLOCK;
            float w[BLOCK];
            if (s->best - s->block_best[b] >= reach[k])
                continue;
            weigh_block(s, b, scale, w);
            for (uint32_t i = 0; i < BLOCK; i++) {
                const float d = s->best - x[i];
                if (d >= reach[k - 1] && d < reach[k]) {
                    const uint64_t weight = to_units(w[i]);
                    s->candidates[n++] = (struct candidate){key_of(d, (uint32_t)(b * BLOCK) + i), weight};
                    mass += weight;
                }
            }
        }
        if (mass >= wanted || n >= limit || (reach[k] <= FAR && fmath_exp_minus(reach[k]) < min_weight))
            break;
    }
    s->candidate_count = n;
}

static void swap(struct candidate *a, struct candidate *b)
{
    const struct candidate c = *a;
    *a = *b;
    *b = c;
}

/*
 * Finds the shortest prefix of the order whose weights reach `wanted` or that has `limit` tokens.
 * Rearranges c[0 .. n) so that it starts with this prefix, with the farthest token of the prefix
 * last. Returns the length of the prefix; n if none is shorter.
 */
static size_t shortest(struct candidate *c, size_t n, uint64_t wanted, size_t limit)
{
    size_t begin = 0, end = n; /* c[0 .. begin) belongs to the prefix; c[end .. n) does not */
    uint64_t mass = 0;         /* sum of the weights of c[0 .. begin) */

    while (begin < end) {
        swap(&c[begin + (end - begin) / 2], &c[end - 1]);
        const struct candidate pivot = c[end - 1];
        size_t middle = begin;
        for (size_t i = begin; i < end - 1; i++) { /* branchless, because the comparison is unpredictable */
            swap(&c[i], &c[middle]);
            middle += c[middle].key < pivot.key;
        }
        swap(&c[middle], &c[end - 1]);
        uint64_t nearer = mass;
        for (size_t i = begin; i < middle; i++)
            nearer += c[i].weight;
        if (nearer >= wanted || middle >= limit) {
            end = middle;
        } else if (nearer + pivot.weight >= wanted || middle + 1 >= limit) {
            return middle + 1;
        } else {
            mass = nearer + pivot.weight;
            begin = middle + 1;
        }
    }
    return n;
}

/* ---------------------------------------------------------------------------------------- steps */

/* Bans the tokens whose bits are not set, by adding -infinity: a NaN stays NaN and is detected. */
static void apply_mask(struct rwkv7_sampler *s, const uint64_t *mask, size_t bits)
{
    for (size_t b = 0; b < s->blocks; b++) {
        float *const x = s->logits + b * BLOCK;
        uint64_t word = b * BLOCK < bits ? mask[b] : 0;
        if (bits - b * BLOCK < BLOCK && b * BLOCK < bits)
            word &= (UINT64_C(1) << (bits - b * BLOCK)) - 1;
        if (word == UINT64_MAX)
            continue;
        for (int i = 0; i < BLOCK; i++)
            x[i] += word >> i & 1 ? 0.0f : -INFINITY;
    }
}

/* Applies the mask, bias and penalties; finds the best logit of each block and of all. */
static enum rwkv7_status prepare(struct rwkv7_sampler *s, const float *logits, const uint64_t *mask, size_t bits,
                                 struct rwkv7_error *err)
{
    const struct rwkv7_sampler_options *const o = &s->options;
    bool broken = false;

    memcpy(s->logits, logits, (size_t)s->vocab * sizeof *logits);
    if (mask)
        apply_mask(s, mask, bits);
    for (size_t i = 0; i < o->bias_count; i++)
        s->logits[o->biases[i].id] += o->biases[i].bias;
    for (size_t i = 0; i < s->textless_count; i++)
        s->logits[s->textless[i]] += -INFINITY; /* an addition, so that NaN stays NaN */
    for (size_t i = 0; i < s->seen_count; i++) {
        const uint32_t id = s->seen[i];
        s->logits[id] -= o->presence_penalty + s->counts[id] * o->frequency_penalty;
    }
    s->best = -INFINITY;
    for (size_t b = 0; b < s->blocks; b++) {
        const float *const x = s->logits + b * BLOCK;
        float best[LANES];
        int bad[LANES] = {0};
        for (int lane = 0; lane < LANES; lane++)
            best[lane] = -INFINITY;
        for (int i = 0; i < BLOCK; i += LANES) {
            for (int lane = 0; lane < LANES; lane++) {
                best[lane] = x[i + lane] > best[lane] ? x[i + lane] : best[lane];
                bad[lane] |= !(x[i + lane] <= FLT_MAX);
            }
        }
        for (int lane = 0; lane < LANES; lane++) {
            best[0] = best[lane] > best[0] ? best[lane] : best[0];
            broken |= bad[lane] != 0;
        }
        s->block_best[b] = best[0];
        s->best = best[0] > s->best ? best[0] : s->best;
    }
    for (int id = 0; broken && id < s->vocab; id++)
        if (!(s->logits[id] <= FLT_MAX))
            return fail(err, RWKV7_ERR_NUMERIC, "logit of token %d: expected a finite number or -infinity, found %s",
                        id, isnan(s->logits[id]) ? "NaN" : "infinity");
    if (s->best == -INFINITY)
        return fail(err, RWKV7_ERR_NUMERIC, "all tokens are banned; allow at least one");
    return RWKV7_OK;
}

/* Returns a random number with 53 bits in [0, 1). */
static double next_uniform(struct rwkv7_sampler *s)
{
    return (double)(splitmix_next(&s->random) >> 11) * 0x1p-53;
}

/* Returns the lowest id among the best tokens. */
static uint32_t nearest(const struct rwkv7_sampler *s)
{
    size_t b = 0, i;
    while (s->block_best[b] < s->best)
        b++;
    for (i = b * BLOCK; s->logits[i] < s->best; i++)
        ;
    return (uint32_t)i;
}

/* Keeps the candidates that pass top-p, top-k and min-p. */
static void keep(struct rwkv7_sampler *s)
{
    const struct rwkv7_sampler_options *const o = &s->options;
    struct candidate *const c = s->candidates;
    const size_t limit = o->top_k > 0 ? (size_t)o->top_k : SIZE_MAX;
    uint64_t wanted = UINT64_MAX;

    if (o->top_p < 1.0f) /* top-p 0 keeps the best token */
        wanted = (uint64_t)fmax(1.0, ceil((double)o->top_p * (double)total_weight(s, 1.0f)));
    gather(s, 1.0f, wanted, limit, o->min_p);

    const size_t all = s->candidate_count;
    size_t n = all, kept = 0;
    if (o->top_p < 1.0f) {
        n = shortest(c, all, wanted, SIZE_MAX);
        const float last = distance_of(c[n - 1].key);
        for (size_t i = n; i < all; i++)
            if (distance_of(c[i].key) == last)
                swap(&c[i], &c[n++]);
    }
    if (limit < n)
        n = shortest(c, n, UINT64_MAX, limit);
    for (size_t i = 0; i < n; i++)
        if ((double)c[i].weight >= (double)o->min_p * ONE)
            swap(&c[i], &c[kept++]);
    s->candidate_count = kept;
}

/*
 * Draws a token: the first one, in order, at which the running sum of the weights exceeds u times
 * their total, where u is uniform in [0, 1).
 */
static uint32_t draw(struct rwkv7_sampler *s)
{
    const struct rwkv7_sampler_options *const o = &s->options;
    const bool cut = o->top_p < 1.0f || (o->top_k > 0 && o->top_k < s->vocab) || o->min_p > 0.0f;
    uint64_t sum = 0;

    if (cut) {
        keep(s);
        for (size_t i = 0; i < s->candidate_count; i++) {
            struct candidate *const c = &s->candidates[i];
            const float d = distance_of(c->key) * s->scale;
            c->weight = to_units(fmath_exp_minus(d < FAR ? d : FAR));
            sum += c->weight;
        }
    } else {
        sum = total_weight(s, s->scale);
    }
    const uint64_t wanted =
        (uint64_t)(next_uniform(s) * (double)sum) + 1; /* the product rounds to a value below the total */
    if (!cut)
        gather(s, s->scale, wanted, SIZE_MAX, 0.0f);
    return (uint32_t)s->candidates[shortest(s->candidates, s->candidate_count, wanted, SIZE_MAX) - 1].key;
}

void sampler_count(struct rwkv7_sampler *s, uint32_t id)
{
    for (size_t i = 0; i < s->seen_count; i++) {
        float *const n = &s->counts[s->seen[i]];
        *n *= s->options.penalty_decay;
        if (*n < FLT_MIN)
            *n = 0.0f; /* flushes denormals: they are slow and would never reach zero */
    }
    if (!(s->flags[id] & SEEN)) {
        s->flags[id] |= SEEN;
        s->seen[s->seen_count++] = id;
    }
    if (!(s->flags[id] & UNCOUNTED))
        s->counts[id] += 1.0f;
}

enum rwkv7_status sampler_draw_masked(struct rwkv7_sampler *s, const float *logits, const uint64_t *mask, size_t bits,
                                      uint32_t *id, struct rwkv7_error *err)
{
    const enum rwkv7_status status = prepare(s, logits, mask, bits, err);
    if (status != RWKV7_OK)
        return status;
    *id = s->options.temperature == 0.0f ? nearest(s) : draw(s);
    return RWKV7_OK;
}

enum rwkv7_status sampler_draw(struct rwkv7_sampler *s, const float *logits, uint32_t *id, struct rwkv7_error *err)
{
    return sampler_draw_masked(s, logits, NULL, 0, id, err);
}

enum rwkv7_status rwkv7_sampler_next_masked(struct rwkv7_sampler *s, const float *logits, const uint64_t *mask,
                                            size_t bits, uint32_t *id, struct rwkv7_error *err)
{
    DEFAULT_FLOAT_ENV;
    const enum rwkv7_status status = sampler_draw_masked(s, logits, mask, bits, id, err);
    if (status == RWKV7_OK)
        sampler_count(s, *id);
    return status;
}

enum rwkv7_status rwkv7_sampler_next(struct rwkv7_sampler *s, const float *logits, uint32_t *id,
                                     struct rwkv7_error *err)
{
    return rwkv7_sampler_next_masked(s, logits, NULL, 0, id, err);
}

uint64_t sampler_random(const struct rwkv7_sampler *s)
{
    return s->random;
}

void sampler_set_random(struct rwkv7_sampler *s, uint64_t state)
{
    s->random = state;
}

bool sampler_peek(struct rwkv7_sampler *s, const float *logits, size_t skipped, uint32_t *id)
{
    const uint64_t random = s->random;
    s->random += skipped * SPLITMIX_STEP; /* a draw takes one random number */
    const enum rwkv7_status status = sampler_draw(s, logits, id, NULL);
    s->random = random;
    return status == RWKV7_OK;
}
