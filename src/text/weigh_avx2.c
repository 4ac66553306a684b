/* weigh_avx2.c - the loops of weigh.h for AVX2. */
#include <immintrin.h>

#include "text/weigh.h"

/*
 * Returns a bit for each of WEIGH_BLOCK logits whose distance is in [from, to). Adds the weights
 * to r, and the number of nearer ones.
 */
static inline uint64_t range_of_block(const float *x, const float *w, float best, float from, float to,
                                      struct weigh_range *r)
{
    __m256d low = _mm256_setzero_pd(), high = low, nearer_low = low, nearer_high = low;
    double sum[8];
    uint64_t bits = 0, far_bits = 0;
    for (int i = 0; i < WEIGH_BLOCK; i += 8) {
        const __m256 d = _mm256_sub_ps(_mm256_set1_ps(best), _mm256_loadu_ps(x + i)), weight = _mm256_loadu_ps(w + i);
        const __m256 far = _mm256_cmp_ps(d, _mm256_set1_ps(from), _CMP_GE_OQ),
                     in = _mm256_and_ps(far, _mm256_cmp_ps(d, _mm256_set1_ps(to), _CMP_LT_OQ));
        const __m256 kept = _mm256_and_ps(in, weight), nearer = _mm256_andnot_ps(far, weight);
        low = _mm256_add_pd(low, _mm256_cvtps_pd(_mm256_castps256_ps128(kept)));
        high = _mm256_add_pd(high, _mm256_cvtps_pd(_mm256_extractf128_ps(kept, 1)));
        nearer_low = _mm256_add_pd(nearer_low, _mm256_cvtps_pd(_mm256_castps256_ps128(nearer)));
        nearer_high = _mm256_add_pd(nearer_high, _mm256_cvtps_pd(_mm256_extractf128_ps(nearer, 1)));
        bits |= (uint64_t)(unsigned)_mm256_movemask_ps(in) << i;
        far_bits |= (uint64_t)(unsigned)_mm256_movemask_ps(far) << i;
    }
    _mm256_storeu_pd(sum, _mm256_add_pd(low, high));
    _mm256_storeu_pd(sum + 4, _mm256_add_pd(nearer_low, nearer_high));
    r->nearer_count += WEIGH_BLOCK - (size_t)__builtin_popcountll(far_bits);
    r->mass += sum[0] + sum[1] + sum[2] + sum[3];
    r->nearer += sum[4] + sum[5] + sum[6] + sum[7];
    return bits;
}

#include "text/weigh_loops.h"

const struct weigh weigh_avx2 = {"avx2", find_best, weights, range, part_best, part_sum};
