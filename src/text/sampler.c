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
 * top-k, min-p and the draw each need the shortest prefix of this order that satisfies a condition
 * (nearest.h). The loops over all logits are in weigh.h.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/float_env.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/splitmix.h"
#include "base/status.h"
#include "text/sampler_state.h"

#define MAX_VOCAB (1 << 20)
#define BLOCK WEIGH_BLOCK /* logits; a block is skipped if its best logit is too far away */

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
    s->loops = weigh_loops();
    const size_t blocks = (n + BLOCK - 1) / BLOCK;
    s->biases = mem_alloc(opt.bias_count, sizeof *s->biases);
    s->logits = mem_alloc(blocks, BLOCK * sizeof *s->logits);
    s->weights = mem_alloc(blocks, BLOCK * sizeof *s->weights);
    s->scaled = mem_alloc(s->scale == 1 ? 0 : blocks, BLOCK * sizeof *s->scaled);
    s->bits = mem_alloc(blocks, sizeof *s->bits);
    s->blocks = (struct weigh_blocks){
        .x = s->logits, .block_best = mem_alloc(blocks, sizeof *s->blocks.block_best), .count = blocks};
    s->nearest.candidates = mem_alloc(n, sizeof *s->nearest.candidates);
    s->counts = mem_alloc(n, sizeof *s->counts);
    s->seen = mem_alloc(n, sizeof *s->seen);
    s->flags = mem_alloc(n, sizeof *s->flags);
    s->textless = mem_alloc(n, sizeof *s->textless);
    if (!s->biases || !s->logits || !s->weights || !s->scaled || !s->bits || !s->blocks.block_best ||
        !s->nearest.candidates || !s->counts || !s->seen || !s->flags || !s->textless) {
        rwkv7_sampler_close(s);
        return fail_memory(err, "the sampler");
    }
    if (opt.bias_count > 0)
        memcpy(s->biases, opt.biases, opt.bias_count * sizeof *s->biases);
    s->options.biases = s->biases;
    for (size_t i = n; i < blocks * BLOCK; i++)
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
    mem_free(s->weights);
    mem_free(s->scaled);
    mem_free(s->bits);
    mem_free(s->blocks.block_best);
    mem_free(s->nearest.candidates);
    mem_free(s->counts);
    mem_free(s->seen);
    mem_free(s->flags);
    mem_free(s->textless);
    mem_free(s);
}

/* ---------------------------------------------------------------------------------------- steps */

/* Bans the tokens whose bits are not set, by adding -infinity: a NaN stays NaN and is detected. */
static void apply_mask(struct rwkv7_sampler *s, const uint64_t *mask, size_t bits)
{
    for (size_t b = 0; b < s->blocks.count; b++) {
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
    const bool valid = s->loops->find_best(&s->blocks);
    for (int id = 0; !valid && id < s->vocab; id++)
        if (!(s->logits[id] <= FLT_MAX))
            return fail(err, RWKV7_ERR_NUMERIC, "logit of token %d: expected a finite number or -infinity, found %s",
                        id, isnan(s->logits[id]) ? "NaN" : "infinity");
    if (s->blocks.best == -INFINITY)
        return fail(err, RWKV7_ERR_NUMERIC, "all tokens are banned; allow at least one");
    return RWKV7_OK;
}

/* Returns a random number with 53 bits in [0, 1). */
static double next_uniform(struct rwkv7_sampler *s)
{
    return (double)(splitmix_next(&s->random) >> 11) * 0x1p-53;
}

/* Returns the lowest id among the best tokens. */
static uint32_t best_id(const struct rwkv7_sampler *s)
{
    size_t b = 0, i;
    while (s->blocks.block_best[b] < s->blocks.best)
        b++;
    for (i = b * BLOCK; s->logits[i] < s->blocks.best; i++)
        ;
    return (uint32_t)i;
}

/*
 * Makes s->nearest the tokens that pass top-p and top-k: all that are nearer, and the first
 * candidates, whose number it returns. *total: sum of all weights at temperature 1; *sum: of those
 * that pass.
 */
static size_t find_kept(struct rwkv7_sampler *s, double *total, double *sum)
{
    const struct rwkv7_sampler_options *const o = &s->options;
    const size_t limit = o->top_k > 0 ? (size_t)o->top_k : SIZE_MAX;
    struct nearest *const n = &s->nearest;
    struct candidate *const c = n->candidates;
    *total = s->loops->weights(&s->blocks, 1.0f, s->weights);
    uint64_t wanted = UINT64_MAX;

    if (o->top_p < 1.0f) /* top-p 0 keeps the best token */
        wanted = (uint64_t)fmax(1.0, ceil((double)o->top_p * (*total * NEAREST_ONE)));
    nearest_find(s->loops, &s->blocks, s->weights, *total, wanted, limit, s->bits, n);
    size_t end = n->candidate_count;
    if (o->top_p < 1.0f)
        end = nearest_end(n, end, wanted, SIZE_MAX);
    const uint32_t last = end > 0 ? (uint32_t)(c[end - 1].key >> 32) : 0;
    for (size_t i = end; o->top_p < 1.0f && i < n->candidate_count; i++)
        if ((uint32_t)(c[i].key >> 32) == last) { /* an equal distance */
            const struct candidate other = c[end];
            c[end++] = c[i];
            c[i] = other;
        }
    if (limit < n->count + end)
        end = nearest_end(n, end, UINT64_MAX, limit);
    uint64_t mass = n->mass;
    for (size_t i = 0; i < end; i++)
        mass += c[i].weight;
    *sum = (double)mass / NEAREST_ONE;
    return end;
}

/*
 * Makes the weights w of all tokens 0 that find_kept did not find or that min-p drops. `end`: the
 * number of candidates that are kept. Returns the sum of w.
 */
static double drop_others(const struct rwkv7_sampler *s, size_t end, float *w)
{
    const struct nearest *const n = &s->nearest;
    const float least = s->options.min_p, best = s->blocks.best;
    float last = 0;
    double sum = 0;
    for (size_t i = 0; i < end; i++)
        last = fmaxf(last, nearest_distance(n->candidates[i].key));
    if (end == 0)
        last = nextafterf(n->from, 0.0f);
    for (size_t i = end; i < n->candidate_count; i++) /* some may have the distance of a kept one */
        w[(uint32_t)n->candidates[i].key] = 0;
    for (size_t b = 0; b < s->blocks.count; b++) {
        const float *const x = s->logits + b * BLOCK, *const plain = s->weights + b * BLOCK;
        float *const v = w + b * BLOCK;
        for (int i = 0; i < BLOCK; i++) {
            const float near = best - x[i] <= last ? v[i] : 0.0f;
            v[i] = plain[i] >= least ? near : 0.0f;
        }
        for (int i = 0; i < BLOCK; i++)
            sum += (double)v[i];
    }
    return sum;
}

/*
 * Draws a token: the first one, in order, at which the running sum of the weights exceeds u times
 * their total, where u is uniform in [0, 1).
 */
static uint32_t draw(struct rwkv7_sampler *s)
{
    const struct rwkv7_sampler_options *const o = &s->options;
    struct nearest *const n = &s->nearest;
    float *const w = s->scale == 1 ? s->weights : s->scaled;
    double total, sum; /* of w; of the weights of the tokens that may be drawn */

    if (o->top_p < 1.0f || (o->top_k > 0 && o->top_k < s->vocab) || o->min_p > 0.0f) {
        const size_t end = find_kept(s, &total, &sum);
        if (s->scale != 1)
            s->loops->weights(&s->blocks, s->scale, w);
        if (s->scale != 1 || o->min_p > 0.0f)
            total = sum = drop_others(s, end, w);
    } else {
        total = sum = s->loops->weights(&s->blocks, s->scale, w);
    }
    const uint64_t wanted =
        (uint64_t)(next_uniform(s) * (sum * NEAREST_ONE)) + 1; /* the product rounds to a value below the total */
    nearest_find(s->loops, &s->blocks, w, total, wanted, SIZE_MAX, s->bits, n);
    return (uint32_t)n->candidates[nearest_end(n, n->candidate_count, wanted, SIZE_MAX) - 1].key;
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
    *id = s->options.temperature == 0.0f ? best_id(s) : draw(s);
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
