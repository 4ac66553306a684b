/* weigh.c - the loops of weigh.h for every CPU, and the choice of the fastest ones. */
#include "text/weigh.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/*
 * Returns a bit for each of WEIGH_BLOCK logits whose distance is in [from, to). Adds the weights
 * to r, and the number of nearer ones.
 */
static inline uint64_t range_of_block(const float *x, const float *w, float best, float from, float to,
                                      struct weigh_range *r)
{
    uint64_t bits = 0, far_bits = 0;
#if defined(__SSE2__)
    __m128d low = _mm_setzero_pd(), high = low, nearer_low = low, nearer_high = low;
    double sum[4];
    for (int i = 0; i < WEIGH_BLOCK; i += 4) {
        const __m128 d = _mm_sub_ps(_mm_set1_ps(best), _mm_loadu_ps(x + i)), weight = _mm_loadu_ps(w + i);
        const __m128 far = _mm_cmpge_ps(d, _mm_set1_ps(from)), in = _mm_and_ps(far, _mm_cmplt_ps(d, _mm_set1_ps(to)));
        const __m128 kept = _mm_and_ps(in, weight), nearer = _mm_andnot_ps(far, weight);
        low = _mm_add_pd(low, _mm_cvtps_pd(kept));
        high = _mm_add_pd(high, _mm_cvtps_pd(_mm_movehl_ps(kept, kept)));
        nearer_low = _mm_add_pd(nearer_low, _mm_cvtps_pd(nearer));
        nearer_high = _mm_add_pd(nearer_high, _mm_cvtps_pd(_mm_movehl_ps(nearer, nearer)));
        bits |= (uint64_t)(unsigned)_mm_movemask_ps(in) << i;
        far_bits |= (uint64_t)(unsigned)_mm_movemask_ps(far) << i;
    }
    _mm_storeu_pd(sum, _mm_add_pd(low, high));
    _mm_storeu_pd(sum + 2, _mm_add_pd(nearer_low, nearer_high));
    r->mass += sum[0] + sum[1];
    r->nearer += sum[2] + sum[3];
#else
    for (int i = 0; i < WEIGH_BLOCK; i++) {
        const float d = best - x[i];
        const bool far = d >= from, in = far & (d < to);
        bits |= (uint64_t)in << i;
        r->mass += in ? (double)w[i] : 0;
        r->nearer += far ? 0 : (double)w[i];
        far_bits |= (uint64_t)far << i;
    }
#endif
    r->nearer_count += WEIGH_BLOCK - (size_t)__builtin_popcountll(far_bits);
    return bits;
}

#include "text/weigh_loops.h"

static const struct weigh weigh_every = {"every CPU", find_best, weights, range, part_best, part_sum};

const struct weigh *weigh_tier(size_t i)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (i == 1)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt") ? &weigh_avx2 : NULL;
    if (i == 2) /* callers stop at the first NULL, so tier 1 is supported */
        return __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx512f") &&
                       __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                       __builtin_cpu_supports("avx512vl")
                   ? &weigh_avx512
                   : NULL;
#endif
    return i == 0 ? &weigh_every : NULL;
}

const struct weigh *weigh_loops(void)
{
    const struct weigh *best = weigh_tier(0);
    for (size_t i = 1; weigh_tier(i); i++)
        best = weigh_tier(i);
    return best;
}
