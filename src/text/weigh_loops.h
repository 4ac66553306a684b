/*
 * weigh_loops.h - the loops of weigh.h: find_best, weights, range, part_best, part_sum. Included
 * once for each instruction set, by a file that defines range_of_block. The inner loops have no
 * branches, so that compilers vectorise them.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/fmath.h"
#include "text/weigh.h"

enum { LANES = 16 };   /* logits processed together */
#define ROUND 0x1.8p20 /* adding it rounds a double below 2^19 to a multiple of 2^-32 */

/* Returns the largest of WEIGH_BLOCK logits. */
static inline float block_best(const float *x)
{
    float best[WEIGH_BLOCK / 2];
    for (int i = 0; i < WEIGH_BLOCK / 2; i++)
        best[i] = x[i + WEIGH_BLOCK / 2] > x[i] ? x[i + WEIGH_BLOCK / 2] : x[i];
    for (int half = WEIGH_BLOCK / 4; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            best[i] = best[i + half] > best[i] ? best[i + half] : best[i];
    return best[0];
}

static bool find_best(struct weigh_blocks *b)
{
    int bad = 0;
    b->best = -INFINITY;
    for (size_t k = 0; k < b->count; k++) {
        const float *const x = b->x + k * WEIGH_BLOCK;
        int bad_here = 0;
        for (int i = 0; i < WEIGH_BLOCK; i++)
            bad_here |= !(x[i] <= FLT_MAX);
        bad |= bad_here;
        b->block_best[k] = block_best(x);
        b->best = b->block_best[k] > b->best ? b->block_best[k] : b->best;
    }
    b->best += 0.0f; /* -0 becomes 0: the distance -0 - 0 would be -0, whose bits sort last */
    return !bad;
}

static double weights(const struct weigh_blocks *b, float scale, float *w)
{
    double sum[LANES] = {0}, total = 0;
    for (size_t k = 0; k < b->count; k++, w += WEIGH_BLOCK) {
        const float *const x = b->x + k * WEIGH_BLOCK;
        float d[WEIGH_BLOCK];
        if ((b->best - b->block_best[k]) * scale >= WEIGH_FAR) {
            memset(w, 0, WEIGH_BLOCK * sizeof *w);
            continue;
        }
        for (int i = 0; i < WEIGH_BLOCK; i++) {
            const float distance = (b->best - x[i]) * scale;
            d[i] = distance < WEIGH_FAR ? distance : WEIGH_FAR;
        }
        for (int i = 0; i < WEIGH_BLOCK; i++) /* its own loop: in that above, gcc would emit branches */
            d[i] = fmath_exp_minus(d[i]);
        for (int i = 0; i < WEIGH_BLOCK; i += LANES)
            for (int lane = 0; lane < LANES; lane++) {
                const double rounded = ((double)d[i + lane] + ROUND) - ROUND;
                w[i + lane] = (float)rounded;
                sum[lane] += rounded;
            }
    }
    for (int lane = 0; lane < LANES; lane++)
        total += sum[lane];
    return total;
}

static struct weigh_range range(const struct weigh_blocks *b, const float *w, float from, float to, uint64_t *bits)
{
    struct weigh_range r = {0};
    for (size_t k = 0; k < b->count; k++) {
        bits[k] = 0;
        if (b->best - b->block_best[k] < to)
            bits[k] = range_of_block(b->x + k * WEIGH_BLOCK, w + k * WEIGH_BLOCK, b->best, from, to, &r);
        r.count += (size_t)__builtin_popcountll(bits[k]);
    }
    return r;
}

/* With fewer lanes gcc unrolls the inner loop instead of vectorising it. */
static float part_best(const float *x)
{
    enum { WIDE = 64 };
    float best[WIDE];
    for (int lane = 0; lane < WIDE; lane++)
        best[lane] = x[lane];
    for (int i = WIDE; i < WEIGH_PART; i += WIDE)
        for (int lane = 0; lane < WIDE; lane++) {
            const float found = x[i + lane];
            best[lane] = found > best[lane] ? found : best[lane];
        }
    for (int half = WIDE / 2; half > 0; half /= 2)
        for (int lane = 0; lane < half; lane++)
            best[lane] = best[lane + half] > best[lane] ? best[lane + half] : best[lane];
    return best[0];
}

static float part_sum(const float *x, float best)
{
    float w[WEIGH_PART], sum[LANES] = {0};
    for (int i = 0; i < WEIGH_PART; i++) {
        const float d = best - x[i];
        w[i] = d < WEIGH_PART_FAR ? d : WEIGH_PART_FAR;
    }
    for (int i = 0; i < WEIGH_PART; i++) /* its own loop, as in weights() */
        w[i] = fmath_exp_minus(w[i]);
    for (int i = 0; i < WEIGH_PART; i += LANES)
        for (int lane = 0; lane < LANES; lane++)
            sum[lane] += w[i + lane];
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int lane = 0; lane < half; lane++)
            sum[lane] += sum[lane + half];
    return sum[0];
}
