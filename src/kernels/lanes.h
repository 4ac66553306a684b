/*
 * lanes.h - all kernels, written once over sixteen virtual float lanes.
 *
 * Included by the file of an instruction set after the header that defines `v16` and its two dozen operations; everything here
 * is static, so each of those files gets its own copy in its own instructions. Because the lanes are those of the contract, the
 * results are its bits by construction; what each kernel means is written in kernels.h and ref.c.
 *
 * How the products keep the memory busy: GEMV_ROWS rows are walked side by side, one accumulator each, while the same columns
 * of the next rows are prefetched, so that the memory sees that many streams. For many tokens, rows are widened to float32
 * panels that live in the second-level cache, and tiles of GEMM_ROWS x GEMM_TOKENS accumulators stay in registers. The columns are
 * walked in blocks that keep the vectors of a tile in the first-level cache; between two blocks the accumulators rest in memory,
 * which changes nothing in the order of additions.
 */
#include <math.h>
#include <string.h>

#include "base/fmath.h"
#include "kernels/kernels.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Vectors i, i + 16, ... of n numbers; m is how many of the sixteen lanes are there. */
#define EACH_16(n) for (int i = 0, m; i < (n) && (m = (n)-i < 16 ? (n)-i : 16, 1); i += 16)

/* ------------------------------------------------------------------------------------------- functions of base/fmath.h */

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

/* ------------------------------------------------------------------------------------------------------- elementwise */

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
    if (i < n) { /* the lanes past the end hold -mean: they must count as zero */
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
        const v16 now = v_load(u + i, m);
        v_store(y + i, v_fma(v_sub(v_load(prev + i, m), now), v_load(mix + i, m), now), m);
    }
}

static void add(float *x, const float *y, int n)
{
    EACH_16(n)
    v_store(x + i, v_add(v_load(x + i, m), v_load(y + i, m)), m);
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

static void lerp(float *v, const float *first, const float *gate, int n)
{
    EACH_16(n)
    {
        const v16 own = v_load(v + i, m);
        v_store(v + i, v_fma(v_sub(v_load(first + i, m), own), v_load(gate + i, m), own), m);
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
    v16 bad = v_zero(); /* exact: far fewer than 2^24 in a lane */
    EACH_16(n)
    bad = v_add(bad, v_if_less(v_abs(v_load(x + i, m)), infinity, v_zero(), one));
    return (int)v_fold(bad);
}

/* ------------------------------------------------------------------------------------------------------------- heads */

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

/* `count` vectors of value channels from `at`; only the last may be partial (m lanes). count and m are constants where inlined. */
ALWAYS_INLINE void wkv_block(float *y, float *S, const struct head_in *in, int n, int at, int count, int m)
{
    v16 q[WKV_BLOCK][2], sum[WKV_BLOCK][2], v[WKV_BLOCK];
    for (int c = 0; c < count; c++) {
        q[c][0] = q[c][1] = sum[c][0] = sum[c][1] = v_zero();
        v[c] = v_load(in->v + at + 16 * c, m);
    }
    float *row = S + at;
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

    row = S + at;
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
        v_store(y + at + 16 * c, v_add(sum[c][0], sum[c][1]), m);
}

static void wkv(float *y, float *S, const struct head_in *in, int n)
{
    int at = 0;
    for (; at + 16 * WKV_BLOCK <= n; at += 16 * WKV_BLOCK)
        wkv_block(y, S, in, n, at, WKV_BLOCK, 16);
    for (; at + 16 <= n; at += 16)
        wkv_block(y, S, in, n, at, 1, 16);
    if (at < n)
        wkv_block(y, S, in, n, at, 1, n - at);
}

static void head_out(float *out, const float *y, const float *r, const float *k, const float *r_k, const float *v,
                     const float *g, const float *weight, const float *bias, int n, float eps)
{
    v16 acc = v_zero();
    EACH_16(n)
    acc = v_fma(v_mul(v_load(r + i, m), v_load(k + i, m)), v_load(r_k + i, m), acc);
    const v16 bonus = v_set(v_fold(acc)), scale = v_set(centre(out, y, n, eps));
    EACH_16(n)
    {
        const v16 o = v_fma(v_mul(v_load(out + i, m), scale), v_load(weight + i, m), v_load(bias + i, m));
        v_store(out + i, v_mul(v_fma(bonus, v_load(v + i, m), o), v_load(g + i, m)), m);
    }
}

/* ---------------------------------------------------------------------------------------------------------- products */

ALWAYS_INLINE v16 load_f32(const float *p, int m)
{
    return v_load(p, m);
}

ALWAYS_INLINE v16 load_f16(const uint16_t *p, int m)
{
    return v_load_f16(p, m);
}

ALWAYS_INLINE v16 load_bf16(const uint16_t *p, int m)
{
    return v_load_bf16(p, m);
}

/* One row, for what is left at the end; GEMV_ROWS rows at a time before. */
#define DEFINE_GEMV(type, element)                                                                               \
    ALWAYS_INLINE void gemv_rows_##type(float *y, const element *w, const element *ahead, const float *x, int n, \
                                        int rows)                                                                \
    {                                                                                                            \
        enum { LINE = 64 / sizeof(element) };                                                                    \
        const size_t ld = (size_t)n;                                                                             \
        v16 acc[GEMV_ROWS];                                                                                      \
        int i = 0;                                                                                               \
        for (int r = 0; r < rows; r++)                                                                           \
            acc[r] = v_zero();                                                                                   \
        for (; i + LINE <= n; i += LINE) {                                                                       \
            for (int r = 0; r < rows; r++)                                                                       \
                __builtin_prefetch(ahead + (size_t)r * ld + i);                                                  \
            for (int step = 0; step < LINE; step += 16) {                                                        \
                const v16 v = v_load(x + i + step, 16);                                                          \
                for (int r = 0; r < rows; r++)                                                                   \
                    acc[r] = v_fma(load_##type(w + (size_t)r * ld + i + step, 16), v, acc[r]);                   \
            }                                                                                                    \
        }                                                                                                        \
        for (; i < n; i += 16) {                                                                                 \
            const int m = n - i < 16 ? n - i : 16;                                                               \
            const v16 v = v_load(x + i, m);                                                                      \
            for (int r = 0; r < rows; r++)                                                                       \
                acc[r] = v_fma(load_##type(w + (size_t)r * ld + i, m), v, acc[r]);                               \
        }                                                                                                        \
        for (int r = 0; r < rows; r++)                                                                           \
            y[r] = v_fold(acc[r]);                                                                               \
    }                                                                                                            \
                                                                                                                 \
    static void gemv_##type(float *y, const struct mat *w, const float *x, int begin, int end)                   \
    {                                                                                                            \
        const size_t ld = (size_t)w->cols;                                                                       \
        const element *row = (const element *)w->data + (size_t)begin * ld;                                      \
        int i = begin;                                                                                           \
        for (; i + GEMV_ROWS <= end; i += GEMV_ROWS, row += GEMV_ROWS * ld) {                                    \
            const bool more = i + 2 * GEMV_ROWS <= w->rows;                                                      \
            gemv_rows_##type(y + i, row, more ? row + GEMV_ROWS * ld : row, x, w->cols, GEMV_ROWS);              \
        }                                                                                                        \
        for (; i < end; i++, row += ld)                                                                          \
            gemv_rows_##type(y + i, row, row, x, w->cols, 1);                                                    \
    }

DEFINE_GEMV(f32, float)
DEFINE_GEMV(f16, uint16_t)
DEFINE_GEMV(bf16, uint16_t)

#define PANEL_ROWS 32  /* rows widened at a time */
#define BLOCK_COLS 512 /* columns between two rests of the accumulators */
#define TILE_FLOATS (GEMM_ROWS * GEMM_TOKENS * 16)
#define PANEL_TILES ((PANEL_ROWS + GEMM_ROWS - 1) / GEMM_ROWS)
_Static_assert(PANEL_TILES *GEMM_ROWS <= GEMM_SCRATCH_ROWS, "the panel fits the scratch memory");
_Static_assert(PANEL_TILES *TILE_FLOATS <= GEMM_SCRATCH_TILES, "the resting accumulators fit the scratch memory");

/*
 * Adds n columns to the accumulators of one tile. w: GEMM_ROWS rows of a panel, ld apart, padded with zeroes to whole vectors;
 * x: the vectors. first: the accumulators start at zero instead of where they rest.
 */
ALWAYS_INLINE void gemm_tile(float *rest, const float *w, size_t ld, const float *const x[GEMM_TOKENS], int n,
                             bool first)
{
    v16 acc[GEMM_ROWS][GEMM_TOKENS];
    for (int r = 0; r < GEMM_ROWS; r++)
        for (int t = 0; t < GEMM_TOKENS; t++)
            acc[r][t] = first ? v_zero() : v_load(rest + (r * GEMM_TOKENS + t) * 16, 16);
    int i = 0;
    for (; i + 16 <= n; i += 16) {
        v16 row[GEMM_ROWS];
        for (int r = 0; r < GEMM_ROWS; r++)
            row[r] = v_load(w + (size_t)r * ld + i, 16);
        for (int t = 0; t < GEMM_TOKENS; t++) {
            const v16 v = v_load(x[t] + i, 16);
            for (int r = 0; r < GEMM_ROWS; r++)
                acc[r][t] = v_fma(row[r], v, acc[r][t]);
        }
    }
    if (i < n)
        for (int t = 0; t < GEMM_TOKENS; t++) {
            const v16 v = v_load(x[t] + i, n - i);
            for (int r = 0; r < GEMM_ROWS; r++)
                acc[r][t] = v_fma(v_load(w + (size_t)r * ld + i, 16), v, acc[r][t]);
        }
    for (int r = 0; r < GEMM_ROWS; r++)
        for (int t = 0; t < GEMM_TOKENS; t++)
            v_store(rest + (r * GEMM_TOKENS + t) * 16, acc[r][t], 16);
}

/* All tokens for the rows of one panel; y points to the first row of the panel for the first token. */
static void gemm_panel(float *y, size_t ldy, const float *panel, int rows, int cols, const float *x, size_t ldx,
                       int tokens, float *rest)
{
    const size_t ld = ((size_t)cols + 15) / 16 * 16;
    for (int t0 = 0; t0 < tokens; t0 += GEMM_TOKENS) {
        const float *vectors[GEMM_TOKENS];
        for (int block = 0; block < cols; block += BLOCK_COLS) {
            const int n = cols - block < BLOCK_COLS ? cols - block : BLOCK_COLS;
            for (int t = 0; t < GEMM_TOKENS; t++) /* past the end: the last one again, not stored */
                vectors[t] = x + (size_t)(t0 + t < tokens ? t0 + t : tokens - 1) * ldx + block;
            for (int r = 0; r < rows; r += GEMM_ROWS)
                gemm_tile(rest + r / GEMM_ROWS * TILE_FLOATS, panel + (size_t)r * ld + block, ld, vectors, n,
                          block == 0);
        }
        for (int r = 0; r < rows; r++)
            for (int t = 0; t < GEMM_TOKENS && t0 + t < tokens; t++) {
                const int tile = r / GEMM_ROWS * TILE_FLOATS + (r % GEMM_ROWS * GEMM_TOKENS + t) * 16;
                y[(size_t)(t0 + t) * ldy + (size_t)r] = cols > 0 ? v_fold(v_load(rest + tile, 16)) : 0.0f;
            }
    }
}

#define DEFINE_GEMM(type, element)                                                                             \
    static void gemm_##type(float *y, size_t ldy, const struct mat *w, const float *x, size_t ldx, int tokens, \
                            int begin, int end, float *scratch)                                                \
    {                                                                                                          \
        const size_t ld = ((size_t)w->cols + 15) / 16 * 16;                                                    \
        float *rest = scratch + GEMM_SCRATCH_ROWS * ld;                                                        \
        for (int p = begin; p < end; p += PANEL_ROWS) {                                                        \
            const int rows = end - p < PANEL_ROWS ? end - p : PANEL_ROWS;                                      \
            for (int r = 0; r < PANEL_TILES * GEMM_ROWS; r++) {                                                \
                float *to = scratch + (size_t)r * ld;                                                          \
                const int n = r < rows ? w->cols : 0;                                                          \
                if (n > 0)                                                                                     \
                    widen_##type(to, (const element *)w->data + (size_t)(p + r) * (size_t)w->cols, n);         \
                memset(to + n, 0, (ld - (size_t)n) * sizeof *to);                                              \
            }                                                                                                  \
            gemm_panel(y + p, ldy, scratch, rows, w->cols, x, ldx, tokens, rest);                              \
        }                                                                                                      \
    }

DEFINE_GEMM(f32, float)
DEFINE_GEMM(f16, uint16_t)
DEFINE_GEMM(bf16, uint16_t)

/* Eight streams, each prefetched half a kilobyte ahead. */
static uint64_t read_memory(const void *p, size_t n)
{
    enum { STREAMS = 8, AHEAD = 128 };
    const size_t share = n / sizeof(float) / STREAMS / 16 * 16;
    const float *from = p;
    v16 acc[STREAMS];
    for (int s = 0; s < STREAMS; s++)
        acc[s] = v_zero();
    for (size_t i = 0; i < share; i += 16)
        for (int s = 0; s < STREAMS; s++) {
            const float *at = from + (size_t)s * share + i;
            __builtin_prefetch(at + (i + AHEAD < share ? AHEAD : 0));
            acc[s] = v_xor(acc[s], v_load(at, 16));
        }
    for (int s = 1; s < STREAMS; s++)
        acc[0] = v_xor(acc[0], acc[s]);
    uint32_t words[16];
    float lanes[16];
    v_store(lanes, acc[0], 16);
    memcpy(words, lanes, sizeof words);
    uint64_t sum = 0;
    for (int i = 0; i < 16; i++)
        sum += words[i];
    return sum;
}

void LANES_INIT(struct kernels *k)
{
    k->gemv[MAT_F32] = gemv_f32;
    k->gemv[MAT_F16] = gemv_f16;
    k->gemv[MAT_BF16] = gemv_bf16;
    k->gemm[MAT_F32] = gemm_f32;
    k->gemm[MAT_F16] = gemm_f16;
    k->gemm[MAT_BF16] = gemm_bf16;
    k->widen[MAT_F32] = widen_f32;
    k->widen[MAT_F16] = widen_f16;
    k->widen[MAT_BF16] = widen_bf16;
    k->layer_norm = layer_norm;
    k->shift = shift;
    k->add = add;
    k->tanh = tanh_each;
    k->sigmoid = sigmoid;
    k->sigmoid_bias = sigmoid_bias;
    k->decay = decay;
    k->lerp = lerp;
    k->relu_square = relu_square;
    k->key = key;
    k->wkv = wkv;
    k->head_out = head_out;
    k->count_bad = count_bad;
    k->read_memory = read_memory;
}
