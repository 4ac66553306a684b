/*
 * lanes.h - template of all kernels over sixteen virtual float lanes. Parameters, which the
 * including file (avx2.c, ...) provides by including lanes_ISA.h first:
 *
 *     v16, v_*            a vector of 16 lanes and its operations
 *     reg, R_LANES, r_*   one register, its number of lanes and its operations
 *     WKV_BLOCK           vectors of value channels processed at a time in wkv
 *     GEMV_*, GEMM_*      register tiles and prefetch distance, see lanes_products.h
 *     n16, n_*            a vector of 16 int32 lanes, for lanes_quants.h
 *
 * All functions are static, so each including file gets its own copy in its own instructions, and
 * lanes_init puts them into the table. The lanes are those of the numeric contract (kernels.h), so
 * every tier gives the same bits. kernels.h and ref.c define what each kernel computes.
 */
#include <math.h>
#include <string.h>

#include "base/fmath.h"
#include "kernels/kernels.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Loops over n elements in steps of 16; m is the number of valid lanes. */
#define EACH_16(n) for (int i = 0, m; i < (n) && (m = (n)-i < 16 ? (n)-i : 16, 1); i += 16)

/* -------------------------------------------------------------------- functions of base/fmath.h */

ALWAYS_INLINE v16 v_exp(v16 x)
{
    v16 c = v_max(v_set(FMATH_EXP_MIN), x);
    c = v_min(v_set(FMATH_EXP_MAX), c);
    const v16 round = v_set(FMATH_ROUND);
    const v16 n = v_sub(v_fma(c, v_set(FMATH_LOG2E), round), round);
    v16 r = v_fnma(n, v_set(FMATH_LN2_HI), c);
    r = v_fnma(n, v_set(FMATH_LN2_LO), r);
    v16 p = v_fma(v_set(FMATH_C7), r, v_set(FMATH_C6));
    p = v_fma(p, r, v_set(FMATH_C5));
    p = v_fma(p, r, v_set(FMATH_C4));
    p = v_fma(p, r, v_set(FMATH_C3));
    p = v_fma(p, r, v_set(FMATH_C2));
    p = v_fma(p, r, v_set(1.0f));
    p = v_fma(p, r, v_set(1.0f));
    return v_scale(p, n);
}

ALWAYS_INLINE v16 v_sigmoid(v16 x)
{
    const v16 one = v_set(1.0f), minus = v_xor(x, v_set(-0.0f));
    return v_div(one, v_add(one, v_exp(minus)));
}

ALWAYS_INLINE v16 v_tanh(v16 x)
{
    const v16 a = v_abs(x), z = v_mul(x, x), one = v_set(1.0f);
    v16 p = v_fma(v_set(FMATH_T0), z, v_set(FMATH_T1));
    p = v_fma(p, z, v_set(FMATH_T2));
    p = v_fma(p, z, v_set(FMATH_T3));
    p = v_fma(p, z, v_set(FMATH_T4));
    const v16 small = v_fma(v_mul(p, z), x, x);
    const v16 large = v_sub(one, v_div(v_set(2.0f), v_add(v_exp(v_add(a, a)), one)));
    return v_if_less(a, v_set(FMATH_TANH_SMALL), small, v_copysign(large, x));
}

/* ---------------------------------------------------------------------------------- elementwise */

static float dot16(const float *x, const float *y, int n)
{
    v16 acc = v_zero();
    EACH_16(n)
    acc = v_fma(v_load(x + i, m), v_load(y + i, m), acc);
    return v_fold(acc);
}

/* d = x - mean; returns 1 / sqrt(var + eps). d may be x. */
static float centre(float *d, const float *x, int n, float eps)
{
    v16 sum = v_zero(), squares = v_zero();
    EACH_16(n)
    sum = v_add(sum, v_load(x + i, m));
    const float mean = v_fold(sum) / (float)n;
    const v16 means = v_set(mean);
    int i = 0;
    for (; i + 16 <= n; i += 16) {
        const v16 off = v_sub(v_load(x + i, 16), means);
        v_store(d + i, off, 16);
        squares = v_fma(off, off, squares);
    }
    /* The lanes past the end hold -mean here but must count as 0, so load them again. */
    if (i < n) {
        const int m = n - i;
        v_store(d + i, v_sub(v_load(x + i, m), means), m);
        const v16 off = v_load(d + i, m);
        squares = v_fma(off, off, squares);
    }
    return 1.0f / sqrtf(v_fold(squares) / (float)n + eps);
}

static void layer_norm(float *y, const float *x, const float *weight, const float *bias, int n, float eps)
{
    const v16 scale = v_set(centre(y, x, n, eps));
    EACH_16(n)
    v_store(y + i, v_fma(v_mul(v_load(y + i, m), scale), v_load(weight + i, m), v_load(bias + i, m)), m);
}

static void shift(float *y, const float *u, const float *prev, const float *mix, int n)
{
    EACH_16(n)
    {
        const v16 current = v_load(u + i, m);
        v_store(y + i, v_fma(v_sub(v_load(prev + i, m), current), v_load(mix + i, m), current), m);
    }
}

static void add(float *x, const float *y, int n)
{
    EACH_16(n)
    v_store(x + i, v_add(v_load(x + i, m), v_load(y + i, m)), m);
}

static void multiply_each(float *x, const float *y, int n)
{
    EACH_16(n)
    v_store(x + i, v_mul(v_load(x + i, m), v_load(y + i, m)), m);
}

static void silu(float *x, int n)
{
    EACH_16(n)
    {
        const v16 z = v_load(x + i, m);
        v_store(x + i, v_mul(z, v_sigmoid(z)), m);
    }
}

static void tanh_each(float *x, int n)
{
    EACH_16(n)
    v_store(x + i, v_tanh(v_load(x + i, m)), m);
}

static void sigmoid(float *x, int n)
{
    EACH_16(n)
    v_store(x + i, v_sigmoid(v_load(x + i, m)), m);
}

static void sigmoid_bias(float *x, const float *bias, int n)
{
    EACH_16(n)
    v_store(x + i, v_sigmoid(v_add(v_load(bias + i, m), v_load(x + i, m))), m);
}

static void decay(float *x, const float *bias, int n)
{
    EACH_16(n)
    {
        const v16 z = v_add(v_load(bias + i, m), v_load(x + i, m));
        v_store(x + i, v_exp(v_mul(v_set(-DECAY_SCALE), v_sigmoid(z))), m);
    }
}

static void decay6(float *x, const float *bias, int n)
{
    EACH_16(n)
    {
        const v16 z = v_exp(v_add(v_load(bias + i, m), v_load(x + i, m)));
        v_store(x + i, v_exp(v_xor(z, v_set(-0.0f))), m);
    }
}

static void lerp(float *v, const float *first, const float *gate, int n)
{
    EACH_16(n)
    {
        const v16 value = v_load(v + i, m);
        v_store(v + i, v_fma(v_sub(v_load(first + i, m), value), v_load(gate + i, m), value), m);
    }
}

static void relu_square(float *x, int n)
{
    EACH_16(n)
    {
        const v16 positive = v_max(v_zero(), v_load(x + i, m));
        v_store(x + i, v_mul(positive, positive), m);
    }
}

static void widen_f32(float *out, const void *in, int n)
{
    if (n > 0)
        memcpy(out, in, (size_t)n * sizeof *out);
}

static void widen_f16(float *out, const void *in, int n)
{
    const uint16_t *from = in;
    EACH_16(n)
    v_store(out + i, v_load_f16(from + i, m), m);
}

static void widen_bf16(float *out, const void *in, int n)
{
    const uint16_t *from = in;
    EACH_16(n)
    v_store(out + i, v_load_bf16(from + i, m), m);
}

static int count_bad(const float *x, int n)
{
    const v16 infinity = v_set(INFINITY), one = v_set(1.0f);
    v16 bad = v_zero(); /* exact: far fewer than 2^24 per lane */
    EACH_16(n)
    bad = v_add(bad, v_if_less(v_abs(v_load(x + i, m)), infinity, v_zero(), one));
    return (int)v_fold(bad);
}

/* ---------------------------------------------------------------------------------------- heads */

static void key(float *kk, float *b, float *k, const float *a, const float *k_k, const float *k_a, int n)
{
    const v16 one = v_set(1.0f);
    EACH_16(n)
    v_store(kk + i, v_mul(v_load(k + i, m), v_load(k_k + i, m)), m);
    const float length = sqrtf(dot16(kk, kk, n));
    const v16 floor = v_set(length < 1e-12f ? 1e-12f : length);
    EACH_16(n)
    {
        const v16 unit = v_div(v_load(kk + i, m), floor), rate = v_load(a + i, m);
        v_store(kk + i, unit, m);
        v_store(b + i, v_mul(unit, rate), m);
        v_store(k + i, v_mul(v_load(k + i, m), v_fma(v_sub(rate, one), v_load(k_a + i, m), one)), m);
    }
}

/*
 * wkv for `count` vectors of value channels, from `channel` on. Only the last vector may be partial
 * (m lanes). count and m are constants where inlined.
 */
ALWAYS_INLINE void wkv_block(float *y, float *S, const struct head_in *in, int n, int channel, int count, int m)
{
    v16 q[WKV_BLOCK][2], sum[WKV_BLOCK][2], v[WKV_BLOCK];
    for (int c = 0; c < count; c++) {
        q[c][0] = q[c][1] = sum[c][0] = sum[c][1] = v_zero();
        v[c] = v_load(in->v + channel + 16 * c, m);
    }
    float *row = S + channel;
    int j = 0;
    for (; j + 2 <= n; j += 2, row += 2 * n)
        for (int parity = 0; parity < 2; parity++) {
            const v16 kk = v_set(in->kk[j + parity]);
            for (int c = 0; c < count; c++)
                q[c][parity] = v_fma(v_load(row + parity * n + 16 * c, m), kk, q[c][parity]);
        }
    if (j < n)
        for (int c = 0; c < count; c++)
            q[c][0] = v_fma(v_load(row + 16 * c, m), v_set(in->kk[j]), q[c][0]);
    for (int c = 0; c < count; c++)
        q[c][0] = v_add(q[c][0], q[c][1]);

    row = S + channel;
    for (j = 0; j < n; j++, row += n) {
        const v16 w = v_set(in->w[j]), b = v_set(in->b[j]), k = v_set(in->k[j]), r = v_set(in->r[j]);
        for (int c = 0; c < count; c++) {
            const v16 s = v_fma(k, v[c], v_fnma(b, q[c][0], v_mul(v_load(row + 16 * c, m), w)));
            v_store(row + 16 * c, s, m);
            if (j % 2 == 0)
                sum[c][0] = v_fma(s, r, sum[c][0]);
            else
                sum[c][1] = v_fma(s, r, sum[c][1]);
        }
    }
    for (int c = 0; c < count; c++)
        v_store(y + channel + 16 * c, v_add(sum[c][0], sum[c][1]), m);
}

static void wkv(float *y, float *S, const struct head_in *in, int n)
{
    int channel = 0;
    for (; channel + 16 * WKV_BLOCK <= n; channel += 16 * WKV_BLOCK)
        wkv_block(y, S, in, n, channel, WKV_BLOCK, 16);
    for (; channel + 16 <= n; channel += 16)
        wkv_block(y, S, in, n, channel, 1, 16);
    if (channel < n)
        wkv_block(y, S, in, n, channel, 1, n - channel);
}

/* Returns the sum of r * k * weight, in the order of dot16. */
static float dot16_of_product(const float *r, const float *k, const float *weight, int n)
{
    v16 acc = v_zero();
    EACH_16(n)
    acc = v_fma(v_mul(v_load(r + i, m), v_load(k + i, m)), v_load(weight + i, m), acc);
    return v_fold(acc);
}

/* wkv6 for `count` vectors of value channels; parameters as in wkv_block. */
ALWAYS_INLINE void wkv6_block(float *y, float *S, const struct head_in *in, float token_bonus, int n, int channel,
                              int count, int m)
{
    v16 sum[WKV_BLOCK][2], v[WKV_BLOCK];
    for (int c = 0; c < count; c++) {
        sum[c][0] = sum[c][1] = v_zero();
        v[c] = v_load(in->v + channel + 16 * c, m);
    }
    float *row = S + channel;
    for (int j = 0; j < n; j++, row += n) {
        const v16 w = v_set(in->w[j]), k = v_set(in->k[j]), r = v_set(in->r[j]);
        for (int c = 0; c < count; c++) {
            const v16 s = v_load(row + 16 * c, m);
            if (j % 2 == 0)
                sum[c][0] = v_fma(s, r, sum[c][0]);
            else
                sum[c][1] = v_fma(s, r, sum[c][1]);
            v_store(row + 16 * c, v_fma(k, v[c], v_mul(s, w)), m);
        }
    }
    for (int c = 0; c < count; c++)
        v_store(y + channel + 16 * c, v_fma(v_set(token_bonus), v[c], v_add(sum[c][0], sum[c][1])), m);
}

static void wkv6(float *y, float *S, const struct head_in *in, const float *bonus, int n)
{
    const float token_bonus = dot16_of_product(in->r, in->k, bonus, n);
    int channel = 0;
    for (; channel + 16 * WKV_BLOCK <= n; channel += 16 * WKV_BLOCK)
        wkv6_block(y, S, in, token_bonus, n, channel, WKV_BLOCK, 16);
    for (; channel + 16 <= n; channel += 16)
        wkv6_block(y, S, in, token_bonus, n, channel, 1, 16);
    if (channel < n)
        wkv6_block(y, S, in, token_bonus, n, channel, 1, n - channel);
}

static void wkv4(float *y, const struct wkv4_state *s, const float *k, const float *v, const float *first,
                 const float *decay, int n)
{
    EACH_16(n)
    {
        const v16 aa = v_load(s->aa + i, m), bb = v_load(s->bb + i, m), pp = v_load(s->pp + i, m);
        const v16 key = v_load(k + i, m), value = v_load(v + i, m), a = v_add(v_load(first + i, m), key);
        const v16 peak = v_if_less(pp, a, a, pp), old_weight = v_exp(v_sub(pp, peak)),
                  new_weight = v_exp(v_sub(a, peak));
        v_store(y + i, v_div(v_fma(old_weight, aa, v_mul(new_weight, value)), v_fma(old_weight, bb, new_weight)), m);

        const v16 faded_pp = v_sub(pp, v_load(decay + i, m)), next_pp = v_if_less(faded_pp, key, key, faded_pp);
        const v16 kept_weight = v_exp(v_sub(faded_pp, next_pp)), added_weight = v_exp(v_sub(key, next_pp));
        v_store(s->aa + i, v_fma(kept_weight, aa, v_mul(added_weight, value)), m);
        v_store(s->bb + i, v_fma(kept_weight, bb, added_weight), m);
        v_store(s->pp + i, next_pp, m);
    }
}

static void head_out(float *out, const float *y, const float *r, const float *k, const float *r_k, const float *v,
                     const float *g, const float *weight, const float *bias, int n, float eps)
{
    const v16 bonus = v_set(dot16_of_product(r, k, r_k, n)), scale = v_set(centre(out, y, n, eps));
    EACH_16(n)
    {
        const v16 o = v_fma(v_mul(v_load(out + i, m), scale), v_load(weight + i, m), v_load(bias + i, m));
        v_store(out + i, v_mul(v_fma(bonus, v_load(v + i, m), o), v_load(g + i, m)), m);
    }
}

#include "kernels/lanes_products.h"

#include "kernels/lanes_columns.h"

static void lanes_init(struct kernels *k)
{
    k->gemv[MAT_F32] = gemv_f32;
    k->gemv[MAT_F16] = gemv_f16;
    k->gemv[MAT_BF16] = gemv_bf16;
    k->gemm[MAT_F32] = gemm_f32;
    k->gemm[MAT_F16] = gemm_f16;
    k->gemm[MAT_BF16] = gemm_bf16;
    for (int type = 0; type < MAT_FLOATS; type++)
        k->few_tokens[type] = GEMM_FEW;
    k->column_gemv[MAT_F32] = column_gemv_f32;
    k->column_gemv[MAT_F16] = column_gemv_f16;
    k->column_gemv[MAT_BF16] = column_gemv_bf16;
    k->widen[MAT_F32] = widen_f32;
    k->widen[MAT_F16] = widen_f16;
    k->widen[MAT_BF16] = widen_bf16;
    k->layer_norm = layer_norm;
    k->shift = shift;
    k->add = add;
    k->multiply = multiply_each;
    k->silu = silu;
    k->tanh = tanh_each;
    k->sigmoid = sigmoid;
    k->sigmoid_bias = sigmoid_bias;
    k->decay = decay;
    k->decay6 = decay6;
    k->lerp = lerp;
    k->relu_square = relu_square;
    k->key = key;
    k->wkv = wkv;
    k->wkv6 = wkv6;
    k->wkv4 = wkv4;
    k->head_out = head_out;
    k->count_bad = count_bad;
    k->read_memory = read_memory;
}
