/* weigh_avx512.c - the loops of weigh.h for AVX-512. */
#include <immintrin.h>

#include "text/weigh.h"

/*
 * Returns a bit for each of WEIGH_BLOCK logits whose distance is in [from, to). Adds the weights
 * to r, and the number of nearer ones.
 */
static inline uint64_t range_of_block(const float *x, const float *w, float best, float from, float to,
                                      struct weigh_range *r)
{
    __m512d low = _mm512_setzero_pd(), high = low, nearer_low = low, nearer_high = low;
    uint64_t bits = 0, far_bits = 0;
    for (int i = 0; i < WEIGH_BLOCK; i += 16) {
        const __m512 d = _mm512_sub_ps(_mm512_set1_ps(best), _mm512_loadu_ps(x + i));
        const __mmask16 far = _mm512_cmp_ps_mask(d, _mm512_set1_ps(from), _CMP_GE_OQ),
                        in = _mm512_mask_cmp_ps_mask(far, d, _mm512_set1_ps(to), _CMP_LT_OQ);
        const __m512 kept = _mm512_maskz_loadu_ps(in, w + i), nearer = _mm512_maskz_loadu_ps(_knot_mask16(far), w + i);
        low = _mm512_add_pd(low, _mm512_cvtps_pd(_mm512_castps512_ps256(kept)));
        high = _mm512_add_pd(high, _mm512_cvtps_pd(_mm512_extractf32x8_ps(kept, 1)));
        nearer_low = _mm512_add_pd(nearer_low, _mm512_cvtps_pd(_mm512_castps512_ps256(nearer)));
        nearer_high = _mm512_add_pd(nearer_high, _mm512_cvtps_pd(_mm512_extractf32x8_ps(nearer, 1)));
        bits |= (uint64_t)in << i;
        far_bits |= (uint64_t)far << i;
    }
    r->nearer_count += WEIGH_BLOCK - (size_t)__builtin_popcountll(far_bits);
    r->mass += _mm512_reduce_add_pd(_mm512_add_pd(low, high));
    r->nearer += _mm512_reduce_add_pd(_mm512_add_pd(nearer_low, nearer_high));
    return bits;
}

#include "text/weigh_loops.h"

const struct weigh weigh_avx512 = {"avx512", find_best, weights, range, part_best, part_sum};
