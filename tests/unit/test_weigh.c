/*
 * test_weigh.c - the loops of the sampler give the same bits for every instruction set of this CPU,
 * and a simple loop gives them too.
 */
#include <math.h>
#include <string.h>

#include "base/fmath.h"
#include "base/splitmix.h"
#include "test.h"
#include "text/nearest.h"

enum { BLOCKS = 40, COUNT = BLOCKS * WEIGH_BLOCK };

static double uniform(uint64_t *random)
{
    return (double)(splitmix_next(random) >> 11) * 0x1p-53;
}

/* Logits with equal ones, banned ones and a whole block that is far away. */
static void fill(float *x, uint64_t *random)
{
    const double steepness = exp(6 * uniform(random) - 3);
    for (int i = 0; i < COUNT; i++) {
        x[i] = (float)(-steepness * log(uniform(random) + 1e-12));
        if (i % 7 == 0)
            x[i] = floorf(x[i]);
        if (i % 31 == 0 || i / WEIGH_BLOCK == 3)
            x[i] = -INFINITY;
    }
}

static void test_loops(void)
{
    static float x[COUNT], best[BLOCKS], w[COUNT];
    static uint64_t bits[BLOCKS];
    uint64_t random = 5;
    for (int round = 0; round < 30; round++) {
        fill(x, &random);
        const float scale = round % 3 == 0 ? 1 : (float)(0.05 + 3 * uniform(&random)),
                    from = (float)(5 * uniform(&random)),
                    to = round % 5 == 0 ? INFINITY : from + (float)(3 * uniform(&random));
        for (size_t tier = 0; weigh_tier(tier); tier++) {
            const struct weigh *const loops = weigh_tier(tier);
            struct weigh_blocks b = {.x = x, .block_best = best, .count = BLOCKS};
            CHECK(loops->find_best(&b));
            const double total = loops->weights(&b, scale, w);
            const struct weigh_range r = loops->range(&b, w, from, to, bits);
            double sum = 0;
            struct weigh_range want = {0};
            for (int i = 0; i < COUNT; i++) {
                const float d = b.best - x[i], scaled = d * scale;
                const double weight =
                    (double)llrint((double)fmath_exp_minus(scaled < WEIGH_FAR ? scaled : WEIGH_FAR) * 0x1p32) * 0x1p-32;
                const bool in = d >= from && d < to;
                CHECK_MSG((double)w[i] == weight, "%s: weight %d: %a, want %a", loops->name, i, (double)w[i], weight);
                CHECK(x[i] <= best[i / WEIGH_BLOCK] && best[i / WEIGH_BLOCK] <= b.best);
                CHECK((bits[i / WEIGH_BLOCK] >> i % WEIGH_BLOCK & 1) == in);
                sum += weight;
                want.mass += in ? weight : 0;
                want.nearer += d < from ? weight : 0;
                want.count += in;
                want.nearer_count += d < from;
            }
            CHECK_MSG(total == sum, "%s: %a, want %a", loops->name, total, sum);
            CHECK_MSG(r.mass == want.mass && r.nearer == want.nearer && r.count == want.count &&
                          r.nearer_count == want.nearer_count,
                      "%s: from %g to %g: %zu tokens, want %zu", loops->name, (double)from, (double)to, r.count,
                      want.count);
        }
    }
}

static void test_parts(void)
{
    static float x[COUNT];
    uint64_t random = 7;
    for (int round = 0; round < 30; round++) {
        fill(x, &random);
        for (int i = 0; i + WEIGH_PART <= COUNT; i += WEIGH_PART) {
            const struct weigh *const first = weigh_tier(0);
            const float best = first->part_best(x + i), sum = first->part_sum(x + i, best);
            CHECK(sum >= 1 && sum <= (int)WEIGH_PART);
            for (int j = 0; j < WEIGH_PART; j++)
                CHECK(x[i + j] <= best);
            for (size_t tier = 1; weigh_tier(tier); tier++)
                CHECK(weigh_tier(tier)->part_best(x + i) == best && weigh_tier(tier)->part_sum(x + i, best) == sum);
        }
    }
}

static void test_invalid(void)
{
    static float x[COUNT], best[BLOCKS];
    uint64_t random = 6;
    fill(x, &random);
    for (size_t tier = 0; weigh_tier(tier); tier++)
        for (size_t i = 0; i < COUNT; i += 59) {
            struct weigh_blocks b = {.x = x, .block_best = best, .count = BLOCKS};
            const float before = x[i];
            x[i] = i % 2 ? NAN : INFINITY;
            CHECK(!weigh_tier(tier)->find_best(&b));
            x[i] = before;
            CHECK(weigh_tier(tier)->find_best(&b));
        }
}

int main(void)
{
    RUN(test_loops);
    RUN(test_parts);
    RUN(test_invalid);
    return test_end();
}
