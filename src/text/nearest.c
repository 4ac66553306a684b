/* nearest.c - finds the tokens nearest to the best one; see nearest.h. */
#include "text/nearest.h"

#include <math.h>
#include <string.h>

enum {
    FEW = 6000,     /* a range with fewer tokens is not narrowed down */
    SAMPLES = 2048, /* at most so many tokens are sampled */
    BINS = 512,     /* of a histogram of the sampled distances */
    ROUNDS = 6      /* at most so many times a range is narrowed down */
};
#define SPREAD 512.0   /* sum of the weights, of which the largest is 1, from which on they are spread */
#define DEVIATIONS 2.5 /* standard deviations of the sample's quantile that the narrowed range covers */

uint64_t nearest_key(float distance, uint32_t id)
{
    uint32_t bits;
    memcpy(&bits, &distance, sizeof bits);
    return (uint64_t)bits << 32 | id;
}

float nearest_distance(uint64_t key)
{
    const uint32_t bits = (uint32_t)(key >> 32);
    float distance;
    memcpy(&distance, &bits, sizeof distance);
    return distance;
}

/* A prefix, and the logits that it is about. */
struct search {
    const struct weigh *loops;
    const struct weigh_blocks *b;
    const float *w;
    uint64_t *bits;
    double wanted; /* in units of the weights */
    size_t limit;
    float from, to; /* of the range */
    struct weigh_range range;
};

/* Returns whether the prefix ends before these tokens do. */
static bool is_reached(const struct search *s, double mass, size_t count)
{
    return mass >= s->wanted || count >= s->limit;
}

static void set_range(struct search *s, float from, float to)
{
    s->from = from;
    s->to = to;
    s->range = s->loops->range(s->b, s->w, from, to, s->bits);
}

/*
 * Estimates from a sample of the range where the prefix ends: most probably at a distance from
 * *from up to *to.
 */
static void estimate(const struct search *s, float *from, float *to)
{
    const struct weigh_range *const r = &s->range;
    const bool by_mass = r->nearer + r->mass >= s->wanted;
    const double share =
        by_mass ? (s->wanted - r->nearer) / r->mass : (double)(s->limit - r->nearer_count) / (double)r->count;
    float distance[SAMPLES], weight[SAMPLES], least = INFINITY, most = 0;
    double bins[BINS] = {0}, sum = 0, squares = 0, reached = 0;
    const size_t per_block = s->b->count > SAMPLES / 2 ? 1 : SAMPLES / s->b->count;
    size_t n = 0;
    for (size_t k = 0; k < s->b->count && n < SAMPLES; k++) {
        const unsigned rotation = (unsigned)(k * 29 % WEIGH_BLOCK); /* not always the first tokens of a block */
        uint64_t bits = rotation ? s->bits[k] >> rotation | s->bits[k] << (WEIGH_BLOCK - rotation) : s->bits[k];
        for (size_t i = 0; bits && i < per_block && n < SAMPLES; i++, bits &= bits - 1) {
            const size_t at = k * WEIGH_BLOCK + ((unsigned)__builtin_ctzll(bits) + rotation) % WEIGH_BLOCK;
            distance[n] = s->b->best - s->b->x[at];
            weight[n] = by_mass ? s->w[at] : 1;
            if (!(distance[n] < INFINITY))
                continue;
            least = distance[n] < least ? distance[n] : least;
            most = distance[n] > most ? distance[n] : most;
            n++;
        }
    }
    *from = s->from;
    *to = s->to;
    const float width = (most - least) / (int)BINS;
    if (!(width > 0))
        return;
    for (size_t i = 0; i < n; i++) {
        const int bin = (int)((distance[i] - least) / width);
        bins[bin < BINS ? bin : BINS - 1] += (double)weight[i];
        sum += (double)weight[i];
        squares += (double)weight[i] * (double)weight[i];
    }
    const double error = DEVIATIONS * sqrt(share * (1 - share) * squares) + sqrt(squares), low = share * sum - error,
                 high = share * sum + error;
    for (int i = 0; i < BINS; i++) {
        if (reached < low)
            *from = least + width * (float)i;
        reached += bins[i];
        if (reached >= high) {
            *to = least + width * (float)(i + 1);
            break;
        }
    }
}

/* Narrows the range down until it has few tokens, if possible. */
static bool narrow(struct search *s)
{
    for (int i = 0; i < ROUNDS && s->range.count > FEW; i++) {
        float from, to;
        estimate(s, &from, &to);
        if (!(from >= s->from && to <= s->to && from < to && (from > s->from || to < s->to)))
            break;
        const float before = s->from, after = s->to;
        set_range(s, from, to);
        if (is_reached(s, s->range.nearer, s->range.nearer_count)) /* the estimate was wrong */
            set_range(s, before, from);
        else if (!is_reached(s, s->range.nearer + s->range.mass, s->range.nearer_count + s->range.count))
            set_range(s, to, after);
    }
    return s->range.count <= FEW;
}

static void gather(const struct search *s, struct nearest *n)
{
    size_t count = 0;
    for (size_t k = 0; k < s->b->count; k++)
        for (uint64_t bits = s->bits[k]; bits; bits &= bits - 1) {
            const size_t at = k * WEIGH_BLOCK + (size_t)__builtin_ctzll(bits);
            n->candidates[count++] = (struct candidate){nearest_key(s->b->best - s->b->x[at], (uint32_t)at),
                                                        (uint64_t)((double)s->w[at] * NEAREST_ONE)};
        }
    n->candidate_count = count;
}

void nearest_find(const struct weigh *loops, const struct weigh_blocks *b, const float *w, double total,
                  uint64_t wanted, size_t limit, uint64_t *bits, struct nearest *n)
{
    static const float reach[] = {0.0f, 4.0f, 8.0f, 16.0f, WEIGH_FAR, INFINITY};
    struct search s = {
        .loops = loops, .b = b, .w = w, .bits = bits, .wanted = (double)wanted / NEAREST_ONE, .limit = limit};
    bool found = false;
    if (total >= SPREAD && s.wanted <= total &&
        b->count * WEIGH_BLOCK > FEW) { /* a sample of all tokens has tokens of all parts */
        memset(bits, -1, b->count * sizeof *bits);
        s.to = INFINITY;
        s.range = (struct weigh_range){.mass = total, .count = b->count * WEIGH_BLOCK};
        found = narrow(&s);
    }
    for (size_t k = 1; !found && k < sizeof reach / sizeof *reach; k++) {
        set_range(&s, reach[k - 1], reach[k]);
        if (is_reached(&s, s.range.nearer + s.range.mass, s.range.nearer_count + s.range.count)) {
            found = true;
            narrow(&s);
        }
    }
    gather(&s, n);
    n->from = s.from;
    n->mass = (uint64_t)(s.range.nearer * NEAREST_ONE);
    n->count = s.range.nearer_count;
}

static void swap(struct candidate *a, struct candidate *b)
{
    const struct candidate c = *a;
    *a = *b;
    *b = c;
}

size_t nearest_end(struct nearest *n, size_t candidates, uint64_t wanted, size_t limit)
{
    struct candidate *const c = n->candidates;
    size_t begin = 0, end = candidates; /* c[0 .. begin) belongs to the prefix; c[end ..) does not */
    uint64_t mass = n->mass;            /* sum of the weights of all tokens before c[begin] */

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
        if (nearer >= wanted || n->count + middle >= limit) {
            end = middle;
        } else if (nearer + pivot.weight >= wanted || n->count + middle + 1 >= limit) {
            return middle + 1;
        } else {
            mass = nearer + pivot.weight;
            begin = middle + 1;
        }
    }
    return candidates;
}
