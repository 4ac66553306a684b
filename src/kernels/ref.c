/*
 * ref.c - the reference: the definition of every kernel, in scalar C that reads like a
 * specification. All other files must give the same bits. It also runs on CPUs that no other tier
 * supports.
 */
#include <math.h>
#include <string.h>

#include "base/fmath.h"
#include "base/half.h"
#include "kernels/kernels.h"
#include "kernels/quants.h"

#define LANES 16

static float fold(float lanes[LANES])
{
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int j = 0; j < half; j++)
            lanes[j] += lanes[j + half];
    return lanes[0];
}

static float sum16(const float *x, int n)
{
    float lanes[LANES] = {0};
    for (int i = 0; i < n; i++)
        lanes[i % LANES] += x[i];
    for (int i = n; i % LANES != 0; i++)
        lanes[i % LANES] += 0.0f;
    return fold(lanes);
}

static float dot16(const float *x, const float *y, int n)
{
    float lanes[LANES] = {0};
    for (int i = 0; i < n; i++)
        lanes[i % LANES] = fmaf(x[i], y[i], lanes[i % LANES]);
    for (int i = n; i % LANES != 0; i++)
        lanes[i % LANES] = fmaf(0.0f, 0.0f, lanes[i % LANES]);
    return fold(lanes);
}

/* ------------------------------------------------------------------------------------- widening */

static void widen_f32_ref(float *out, const void *in, int n)
{
    if (n > 0)
        memcpy(out, in, (size_t)n * sizeof *out);
}

static void widen_f16_ref(float *out, const void *in, int n)
{
    const uint16_t *from = in;
    for (int i = 0; i < n; i++)
        out[i] = f16_to_f32(from[i]);
}

static void widen_bf16_ref(float *out, const void *in, int n)
{
    const uint16_t *from = in;
    for (int i = 0; i < n; i++)
        out[i] = bf16_to_f32(from[i]);
}

/* -------------------------------------------------------------------------------- GEMV and GEMM */

static const float *row_f32(const struct mat *w, int row)
{
    return (const float *)w->data + (size_t)row * (size_t)w->cols;
}

static const uint16_t *row_half(const struct mat *w, int row)
{
    return (const uint16_t *)w->data + (size_t)row * (size_t)w->cols;
}

static float dot16_half(const uint16_t *w, const float *x, int n, float (*widen)(uint16_t))
{
    float lanes[LANES] = {0};
    for (int i = 0; i < n; i++)
        lanes[i % LANES] = fmaf(widen(w[i]), x[i], lanes[i % LANES]);
    for (int i = n; i % LANES != 0; i++)
        lanes[i % LANES] = fmaf(0.0f, 0.0f, lanes[i % LANES]);
    return fold(lanes);
}

static void gemv_f32_ref(float *y, const struct mat *w, const float *x, int begin, int end, const struct tuning *tuning)
{
    (void)tuning;
    for (int i = begin; i < end; i++)
        y[i] = dot16(row_f32(w, i), x, w->cols);
}

static void gemv_f16_ref(float *y, const struct mat *w, const float *x, int begin, int end, const struct tuning *tuning)
{
    (void)tuning;
    for (int i = begin; i < end; i++)
        y[i] = dot16_half(row_half(w, i), x, w->cols, f16_to_f32);
}

static void gemv_bf16_ref(float *y, const struct mat *w, const float *x, int begin, int end,
                          const struct tuning *tuning)
{
    (void)tuning;
    for (int i = begin; i < end; i++)
        y[i] = dot16_half(row_half(w, i), x, w->cols, bf16_to_f32);
}

static void gemm_f32_ref(float *y, size_t ldy, const struct mat *w, const float *x, size_t ldx, int tokens, int begin,
                         int end, const struct tuning *tuning, float *scratch)
{
    (void)scratch;
    for (size_t t = 0; t < (size_t)tokens; t++)
        gemv_f32_ref(y + t * ldy, w, x + t * ldx, begin, end, tuning);
}

static void gemm_f16_ref(float *y, size_t ldy, const struct mat *w, const float *x, size_t ldx, int tokens, int begin,
                         int end, const struct tuning *tuning, float *scratch)
{
    (void)scratch;
    for (size_t t = 0; t < (size_t)tokens; t++)
        gemv_f16_ref(y + t * ldy, w, x + t * ldx, begin, end, tuning);
}

static void gemm_bf16_ref(float *y, size_t ldy, const struct mat *w, const float *x, size_t ldx, int tokens, int begin,
                          int end, const struct tuning *tuning, float *scratch)
{
    (void)scratch;
    for (size_t t = 0; t < (size_t)tokens; t++)
        gemv_bf16_ref(y + t * ldy, w, x + t * ldx, begin, end, tuning);
}

/* ------------------------------------------------------------------------------------ quantized */

/* sums[row] += s * q of w * q of x over group g of a tile. */
static void add_group(int32_t sums[QUANT_ROWS], enum mat_type type, const struct quant_tile *tile, int g,
                      const int8_t *x)
{
    quant_group q;
    int8_t s[QUANT_ROWS];
    weight_types[type].unpack_group(q, tile->q + (size_t)g * quant_group_bytes(type));
    quant_unpack_s(type, s, tile->s + (size_t)g * quant_s_bytes(type));
    for (int row = 0; row < QUANT_ROWS; row++)
        for (int i = 0; i < QUANT_GROUP; i++)
            sums[row] += s[row] * q[quant_group_at(row, i)] * x[i];
}

/* y[row] = one tile of 16 rows times one vector. */
static void quant_dots(float y[QUANT_ROWS], const struct mat *w, int number, const int8_t *x, const float *x_scale)
{
    const struct quant_tile tile = quant_tile(w, number);
    for (int row = 0; row < QUANT_ROWS; row++)
        y[row] = 0.0f;
    for (int b = 0, g = 0; b < quant_blocks(w->cols); b++) {
        int32_t sums[QUANT_ROWS] = {0};
        for (int end_group = g + quant_groups_of(w->cols, b); g < end_group; g++)
            add_group(sums, w->type, &tile, g, x + g * QUANT_GROUP);
        for (int row = 0; row < QUANT_ROWS; row++)
            y[row] = fmaf((float)sums[row], bf16_to_f32(tile.scale[b * QUANT_ROWS + row]) * x_scale[b], y[row]);
    }
}

static void quant_gemm_ref(float *y, size_t ldy, const struct mat *w, const struct quants *x, int tokens, int begin,
                           int end, void *scratch)
{
    (void)scratch;
    for (size_t t = 0; t < (size_t)tokens; t++)
        for (int row = begin, rows; row < end; row += rows) {
            const int tile = row / QUANT_ROWS, end_row = (tile + 1) * QUANT_ROWS < end ? (tile + 1) * QUANT_ROWS : end;
            float tile_sums[QUANT_ROWS];
            rows = end_row - row;
            quant_dots(tile_sums, w, tile, x->q + t * (size_t)quant_cols(w->cols),
                       x->scale + t * (size_t)quant_blocks(w->cols));
            memcpy(y + t * ldy + row, tile_sums + row % QUANT_ROWS, (size_t)rows * sizeof *y);
        }
}

static void quant_gemv_ref(float *y, const struct mat *w, const struct quants *x, int begin, int end,
                           const struct tuning *tuning)
{
    (void)tuning;
    quant_gemm_ref(y, 0, w, x, 1, begin, end, NULL);
}

static void quantize_ref(int8_t *q, float *scale, int16_t *sum, const float *x, int n)
{
    memset(q, 0, (size_t)quant_cols(n));
    for (int b = 0; b < quant_blocks(n); b++) {
        const int begin = b * QUANT_BLOCK, end = n - begin < QUANT_BLOCK ? n : begin + QUANT_BLOCK;
        float peak = 0.0f;
        bool bad = false;
        for (int i = begin; i < end; i++) {
            peak = fmaxf(peak, fabsf(x[i]));
            bad = bad || !isfinite(x[i]);
        }
        scale[b] = bad ? NAN : peak < QUANT_LEAST ? 0.0f : peak / 127.0f;
        if (!(scale[b] > 0.0f))
            continue;
        const float inverse = 127.0f / peak;
        for (int i = begin; i < end; i++)
            q[i] = (int8_t)nearbyintf(x[i] * inverse);
    }
    for (int g = 0; g < quant_groups(n); g++) {
        int total = 0;
        for (int i = 0; i < QUANT_GROUP; i++)
            total += q[g * QUANT_GROUP + i];
        sum[g] = (int16_t)total;
    }
}

/* Returns x rounded to the nearest integer, ties to even, for |x| < 2^22, then clamped. */
static float round_clamped(float x, float low, float high)
{
    x = (x + FMATH_ROUND) - FMATH_ROUND;
    return x < low ? low : x > high ? high : x;
}

static void fit_rows_ref(float *factor, const float *w)
{
    static const float trials[] = QUANT_TRIALS;
    for (int r = 0; r < QUANT_ROWS; r++) {
        float peak = 0.0f, gain = 0.0f;
        for (int c = 0; c < QUANT_GROUP; c++)
            peak = fabsf(w[c * QUANT_ROWS + r]) > fabsf(peak) ? w[c * QUANT_ROWS + r] : peak;
        factor[r] = 0.0f;
        for (size_t i = 0; i < sizeof trials / sizeof trials[0]; i++) {
            const float inverse = fabsf(peak) < QUANT_LEAST ? 0.0f : trials[i] / peak;
            float wq = 0.0f, qq = 0.0f;
            for (int c = 0; c < QUANT_GROUP; c++) {
                const float x = w[c * QUANT_ROWS + r], q = round_clamped(x * inverse, -8.0f, 7.0f);
                wq += x * q;
                qq += q * q;
            }
            /* The best factor for these integers reduces the squared error by wq^2 / qq. */
            const float best = qq > 0.0f ? wq / qq : 0.0f;
            if (best * wq > gain) {
                gain = best * wq;
                factor[r] = best;
            }
        }
    }
}

static float peak_ref(const float *x, int n)
{
    float largest = 0.0f;
    for (int i = 0; i < n; i++) {
        if (!isfinite(x[i]))
            return INFINITY;
        largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
    }
    return largest;
}

static void round_row_ref(int8_t *q, const float *x, float inverse, int n, float low, float high)
{
    for (int i = 0; i < n; i++)
        q[i] = (int8_t)round_clamped(x[i] * inverse, low, high);
}

/* --------------------------------------------------------------------------------- column-major */

static void column_gemv(float *y, const struct mat *w, const float *x, const struct active *a, int begin, int end,
                        float (*number)(const struct mat *w, size_t index))
{
    for (int i = begin; i < end; i++) {
        float lanes[LANES] = {0};
        for (int l = 0; l < LANES; l++)
            for (int c = a->first[l]; c < a->first[l + 1]; c++) {
                const int column = a->column[c];
                lanes[l] = fmaf(number(w, (size_t)column * (size_t)w->rows + (size_t)i), x[column], lanes[l]);
            }
        y[i] = fold(lanes);
    }
}

static float f32_number(const struct mat *w, size_t index)
{
    return ((const float *)w->data)[index];
}
static float f16_number(const struct mat *w, size_t index)
{
    return f16_to_f32(((const uint16_t *)w->data)[index]);
}
static float bf16_number(const struct mat *w, size_t index)
{
    return bf16_to_f32(((const uint16_t *)w->data)[index]);
}

static void column_gemv_f32_ref(float *y, const struct mat *w, const float *x, const struct active *a, int begin,
                                int end)
{
    column_gemv(y, w, x, a, begin, end, f32_number);
}
static void column_gemv_f16_ref(float *y, const struct mat *w, const float *x, const struct active *a, int begin,
                                int end)
{
    column_gemv(y, w, x, a, begin, end, f16_number);
}
static void column_gemv_bf16_ref(float *y, const struct mat *w, const float *x, const struct active *a, int begin,
                                 int end)
{
    column_gemv(y, w, x, a, begin, end, bf16_number);
}

static void quant_column_gemv_ref(float *y, const struct mat *w, const struct quants *x, const struct active *a,
                                  int begin, int end)
{
    const struct weight_type *const type = &weight_types[w->type];
    const struct quant_columns columns = quant_columns(w);
    const size_t stride = quant_column_bytes(w->type, w->rows), padded = quant_padded_rows(w->rows);
    for (size_t first = (size_t)begin; first < (size_t)end; first += QUANT_SECTION) {
        float acc[QUANT_SECTION] = {0};
        int c = a->first[0];
        for (size_t b = 0; b < (size_t)quant_blocks(w->cols); b++) {
            int32_t sums[QUANT_SECTION] = {0};
            for (; c < a->first[1] && a->column[c] < ((int)b + 1) * QUANT_BLOCK; c++) {
                const size_t column = (size_t)a->column[c], group = column / QUANT_GROUP;
                int8_t q[QUANT_SECTION], s[QUANT_SECTION];
                type->unpack_section(q, columns.q + column * stride + first / 8 * (size_t)type->bits);
                for (size_t i = 0; i < QUANT_SECTION; i += QUANT_ROWS)
                    quant_unpack_s(w->type, s + i,
                                   columns.s + (group * padded + first + i) / QUANT_ROWS * quant_s_bytes(w->type));
                for (int i = 0; i < QUANT_SECTION; i++)
                    sums[i] += s[i] * q[i] * x->q[column];
            }
            for (size_t i = 0; i < QUANT_SECTION; i++)
                acc[i] = fmaf((float)sums[i], bf16_to_f32(columns.scale[b * padded + first + i]) * x->scale[b], acc[i]);
        }
        const size_t rows = (size_t)end - first < QUANT_SECTION ? (size_t)end - first : QUANT_SECTION;
        memcpy(y + first, acc, rows * sizeof *y);
    }
}

/* ---------------------------------------------------------------------------------- elementwise */

/* d = x - mean; returns 1 / sqrt(var + eps). d may be x. */
static float centre(float *d, const float *x, int n, float eps)
{
    const float mean = sum16(x, n) / (float)n;
    for (int i = 0; i < n; i++)
        d[i] = x[i] - mean;
    return 1.0f / sqrtf(dot16(d, d, n) / (float)n + eps);
}

static void layer_norm_ref(float *y, const float *x, const float *weight, const float *bias, int n, float eps)
{
    const float scale = centre(y, x, n, eps);
    for (int i = 0; i < n; i++)
        y[i] = fmaf(y[i] * scale, weight[i], bias[i]);
}

static void shift_ref(float *y, const float *u, const float *prev, const float *mix, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = fmaf(prev[i] - u[i], mix[i], u[i]);
}

static void add_ref(float *x, const float *y, int n)
{
    for (int i = 0; i < n; i++)
        x[i] += y[i];
}

static void multiply_ref(float *x, const float *y, int n)
{
    for (int i = 0; i < n; i++)
        x[i] *= y[i];
}

static void silu_ref(float *x, int n)
{
    for (int i = 0; i < n; i++)
        x[i] *= fmath_sigmoid(x[i]);
}

static void tanh_ref(float *x, int n)
{
    for (int i = 0; i < n; i++)
        x[i] = fmath_tanh(x[i]);
}

static void sigmoid_ref(float *x, int n)
{
    for (int i = 0; i < n; i++)
        x[i] = fmath_sigmoid(x[i]);
}

static void sigmoid_bias_ref(float *x, const float *bias, int n)
{
    for (int i = 0; i < n; i++)
        x[i] = fmath_sigmoid(bias[i] + x[i]);
}

static void decay_ref(float *x, const float *bias, int n)
{
    for (int i = 0; i < n; i++)
        x[i] = fmath_exp(-DECAY_SCALE * fmath_sigmoid(bias[i] + x[i]));
}

static void decay6_ref(float *x, const float *bias, int n)
{
    for (int i = 0; i < n; i++)
        x[i] = fmath_exp(-fmath_exp(bias[i] + x[i]));
}

static void lerp_ref(float *v, const float *first, const float *gate, int n)
{
    for (int i = 0; i < n; i++)
        v[i] = fmaf(first[i] - v[i], gate[i], v[i]);
}

static void relu_square_ref(float *x, int n)
{
    for (int i = 0; i < n; i++) {
        const float positive = x[i] < 0.0f ? 0.0f : x[i];
        x[i] = positive * positive;
    }
}

/* ---------------------------------------------------------------------------------------- heads */

static void key_ref(float *kk, float *b, float *k, const float *a, const float *k_k, const float *k_a, int n)
{
    for (int i = 0; i < n; i++)
        kk[i] = k[i] * k_k[i];
    const float length = sqrtf(dot16(kk, kk, n));
    const float floor = length < 1e-12f ? 1e-12f : length;
    for (int i = 0; i < n; i++) {
        kk[i] = kk[i] / floor;
        b[i] = kk[i] * a[i];
        k[i] = k[i] * fmaf(a[i] - 1.0f, k_a[i], 1.0f);
    }
}

static void wkv_ref(float *y, float *S, const struct head_in *in, int n)
{
    for (int i = 0; i < n; i++) {
        float q[2] = {0}, sum[2] = {0}; /* sums over even and odd j */
        for (int j = 0; j < n; j++)
            q[j % 2] = fmaf(S[(size_t)j * (size_t)n + (size_t)i], in->kk[j], q[j % 2]);
        const float removed = q[0] + q[1];
        for (int j = 0; j < n; j++) {
            float *s = &S[(size_t)j * (size_t)n + (size_t)i];
            *s = fmaf(in->k[j], in->v[i], fmaf(-in->b[j], removed, *s * in->w[j]));
            sum[j % 2] = fmaf(*s, in->r[j], sum[j % 2]);
        }
        y[i] = sum[0] + sum[1];
    }
}

static void wkv6_ref(float *y, float *S, const struct head_in *in, const float *bonus, int n)
{
    float lanes[LANES] = {0};
    for (int i = 0; i < n; i++)
        lanes[i % LANES] = fmaf(in->r[i] * in->k[i], bonus[i], lanes[i % LANES]);
    for (int i = n; i % LANES != 0; i++)
        lanes[i % LANES] = fmaf(0.0f, 0.0f, lanes[i % LANES]);
    const float token_bonus = fold(lanes);
    for (int i = 0; i < n; i++) {
        float sum[2] = {0}; /* sums over even and odd j */
        for (int j = 0; j < n; j++) {
            float *s = &S[(size_t)j * (size_t)n + (size_t)i];
            sum[j % 2] = fmaf(*s, in->r[j], sum[j % 2]);
            *s = fmaf(in->k[j], in->v[i], *s * in->w[j]);
        }
        y[i] = fmaf(token_bonus, in->v[i], sum[0] + sum[1]);
    }
}

static void wkv4_ref(float *y, const struct wkv4_state *s, const float *k, const float *v, const float *first,
                     const float *decay, int n)
{
    for (int i = 0; i < n; i++) {
        const float a = first[i] + k[i], peak = s->pp[i] < a ? a : s->pp[i];
        const float old_weight = fmath_exp(s->pp[i] - peak), new_weight = fmath_exp(a - peak);
        y[i] = fmaf(old_weight, s->aa[i], new_weight * v[i]) / fmaf(old_weight, s->bb[i], new_weight);

        const float faded_pp = s->pp[i] - decay[i], next_pp = faded_pp < k[i] ? k[i] : faded_pp;
        const float kept_weight = fmath_exp(faded_pp - next_pp), added_weight = fmath_exp(k[i] - next_pp);
        s->aa[i] = fmaf(kept_weight, s->aa[i], added_weight * v[i]);
        s->bb[i] = fmaf(kept_weight, s->bb[i], added_weight);
        s->pp[i] = next_pp;
    }
}

static void head_out_ref(float *out, const float *y, const float *r, const float *k, const float *r_k, const float *v,
                         const float *g, const float *weight, const float *bias, int n, float eps)
{
    float lanes[LANES] = {0};
    for (int i = 0; i < n; i++)
        lanes[i % LANES] = fmaf(r[i] * k[i], r_k[i], lanes[i % LANES]);
    for (int i = n; i % LANES != 0; i++)
        lanes[i % LANES] = fmaf(0.0f, 0.0f, lanes[i % LANES]);
    const float bonus = fold(lanes), scale = centre(out, y, n, eps);
    for (int i = 0; i < n; i++)
        out[i] = fmaf(bonus, v[i], fmaf(out[i] * scale, weight[i], bias[i])) * g[i];
}

/* --------------------------------------------------------------------------------------- checks */

static int count_bad_ref(const float *x, int n)
{
    int bad = 0;
    for (int i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bad += (bits & 0x7f800000) == 0x7f800000;
    }
    return bad;
}

static uint64_t read_memory_ref(const void *p, size_t n)
{
    const uint64_t *words = p;
    uint64_t sum = 0;
    for (size_t i = 0; i < n / sizeof *words; i++)
        sum += words[i];
    return sum;
}

void kernels_init_ref(struct kernels *k)
{
    k->gemv[MAT_F32] = gemv_f32_ref;
    k->gemv[MAT_F16] = gemv_f16_ref;
    k->gemv[MAT_BF16] = gemv_bf16_ref;
    k->gemm[MAT_F32] = gemm_f32_ref;
    k->gemm[MAT_F16] = gemm_f16_ref;
    k->gemm[MAT_BF16] = gemm_bf16_ref;
    k->widen[MAT_F32] = widen_f32_ref;
    k->widen[MAT_F16] = widen_f16_ref;
    k->widen[MAT_BF16] = widen_bf16_ref;
    for (int type = 0; type < MAT_TYPES; type++)
        k->few_tokens[type] = 1;
    for (int type = MAT_FLOATS; type < MAT_TYPES; type++) {
        k->quant_gemv[type] = quant_gemv_ref;
        k->quant_gemm[type] = k->quant_few[type] = quant_gemm_ref;
        k->quant_column_gemv[type] = quant_column_gemv_ref;
    }
    k->column_gemv[MAT_F32] = column_gemv_f32_ref;
    k->column_gemv[MAT_F16] = column_gemv_f16_ref;
    k->column_gemv[MAT_BF16] = column_gemv_bf16_ref;
    k->quantize = quantize_ref;
    k->fit_rows = fit_rows_ref;
    k->peak = peak_ref;
    k->round_row = round_row_ref;
    k->layer_norm = layer_norm_ref;
    k->shift = shift_ref;
    k->add = add_ref;
    k->multiply = multiply_ref;
    k->silu = silu_ref;
    k->tanh = tanh_ref;
    k->sigmoid = sigmoid_ref;
    k->sigmoid_bias = sigmoid_bias_ref;
    k->decay = decay_ref;
    k->decay6 = decay6_ref;
    k->lerp = lerp_ref;
    k->relu_square = relu_square_ref;
    k->key = key_ref;
    k->wkv = wkv_ref;
    k->wkv6 = wkv6_ref;
    k->wkv4 = wkv4_ref;
    k->head_out = head_out_ref;
    k->count_bad = count_bad_ref;
    k->read_memory = read_memory_ref;
}
