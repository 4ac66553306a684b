/*
 * kernels.h - the numeric contract and the table of functions that keeps it.
 *
 * Every slot has one defined result, bit for bit, written down in ref.c; every other file computes the same bits faster.
 * The definitions that make this possible:
 *
 *   dot16(x, y, n)   16 float32 lanes, all starting at +0; element i goes to lane i mod 16 by a fused multiply-add, in rising
 *                    order of i; both operands are padded with +0 to a multiple of 16. Then the lanes are folded:
 *                    l[j] += l[j + 8] for j < 8, then 4, 2, 1; the result is l[0].
 *   sum16(x, n)      the same with lane += element instead of the fused multiply-add.
 *   exp, sigmoid, tanh   the scalar functions of base/fmath.h: polynomials in fused multiply-adds with a stated error.
 *   other operations single IEEE operations, in the order of the formula beside the slot; fma(a, b, c) = a * b + c rounded
 *                    once. No contraction, no reassociation, no flushing of denormals.
 *
 * A NaN is a NaN: its sign and payload are not part of the contract. Vectors may have any alignment and any length >= 0; no slot
 * reads or writes outside the arrays it is given. Outputs may not overlap inputs unless said so.
 */
#ifndef KERNELS_H
#define KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/integer_types.h"
#include "base/status.h"
#include "base/target.h"
#include "kernels/tuning.h"

/*
 * Types of matrices that the products take, those of rwkv7_type with the same values: floating point, then integers
 * (quants.h).
 */
#define MAT_INTEGERS(NAME, ...) MAT_##NAME = MAT_FLOATS + INTEGER_##NAME,
enum mat_type {
    MAT_F32,
    MAT_F16,
    MAT_BF16,
    MAT_FLOATS,
    INTEGER_TYPES(MAT_INTEGERS) /* MAT_Q8 = MAT_FLOATS, ... */
    MAT_TYPES = MAT_FLOATS + INTEGER_TYPE_COUNT
};
#undef MAT_INTEGERS

/*
 * A matrix [rows][cols], applied as y = W x: one row per output. Floats are row-major and dense, integers in tiles of rows. By column,
 * floats are [cols][rows], integers as quants.h says.
 */
struct mat {
    enum mat_type type;
    int rows, cols;
    bool by_column;
    const void *data; /* aligned to its element; integers to 64 bytes */
};

/* Rows [begin, end) of y = W x. x [cols]; y [rows], of which only [begin, end) is written. */
typedef void gemv_fn(float *y, const struct mat *w, const float *x, int begin, int end);

/*
 * The same for `tokens` vectors at once: y[t * ldy + i] = dot16(W[i], x + t * ldx) for i in [begin, end). Same bits as gemv.
 * Each weight is read and widened once per call; GEMM_MAX_PANEL rows or a multiple suit it best. scratch: gemm_scratch(cols) floats,
 * for this call alone; fastest aligned to 64 bytes.
 */
typedef void gemm_fn(float *y, size_t ldy, const struct mat *w, const float *x, size_t ldx, int tokens, int begin,
                     int end, const struct tuning *tuning, float *scratch);
size_t gemm_scratch(int cols);

/* Vectors of so many columns as 8-bit integers, one after the other; quants.h says how many of each. Aligned to 64 bytes. */
struct quants {
    int8_t *q;    /* [tokens][quant_cols] */
    float *scale; /* [tokens][quant_blocks] */
    int16_t *sum; /* [tokens][quant_groups] the sum of the integers of a group */
};

/*
 * Rows [begin, end) of y = W x for matrices of integers. Over the blocks of a row in rising order, from acc = +0:
 *     acc = fma((float)isum, scale of w * scale of x, acc)       isum: the exact sum of products of integers, s included
 */
typedef void quant_gemv_fn(float *y, const struct mat *w, const struct quants *x, int begin, int end);
/* The same for `tokens` vectors at once: y[t * ldy + i]. scratch: quant_scratch(cols) bytes for this call alone, aligned to 64. */
typedef void quant_gemm_fn(float *y, size_t ldy, const struct mat *w, const struct quants *x, int tokens, int begin,
                           int end, void *scratch);
size_t quant_scratch(int cols);

/*
 * The columns of a vector that are not zero, in 16 lists one after the other: list l is column[first[l]] .. column[first[l + 1] - 1],
 * rising. For floats list l has the columns that are l modulo 16, for integers list 0 has all.
 */
struct active {
    int32_t *column; /* [cols] */
    int first[17];
};
void active_floats(struct active *a, const float *x, int cols);
void active_quants(struct active *a, const struct quants *x, int cols);

/*
 * y = W x of a matrix by column, of which only the columns in `a` are read; the bits are those of gemv and quant_gemv, except that
 * a -0 may be a +0. Rows [begin, end), of which begin is a multiple of 64, and end too or the last row.
 */
typedef void column_gemv_fn(float *y, const struct mat *w, const float *x, const struct active *a, int begin, int end);
typedef void quant_column_gemv_fn(float *y, const struct mat *w, const struct quants *x, const struct active *a,
                                  int begin, int end);
/*
 * For the products with many vectors: rows [begin, end) of a matrix by column as a matrix by row, made in `memory` of
 * rows_of_columns_bytes(w, end - begin) bytes, aligned to 64; its row 0 is `begin`, a multiple of 64.
 */
struct mat rows_of_columns(const struct mat *w, int begin, int end, void *memory);
size_t rows_of_columns_bytes(const struct mat *w, int rows);

/* Vectors of one head, all [N]; see the equations in ../arch/rwkv7_step.c. */
struct head_in {
    const float *r, *w, *k, *v, *kk, *b;
};

/* The state of some channels of RWKV-4, [n] each: the weighted sum is aa exp(pp), the sum of weights bb exp(pp). */
struct wkv4_state {
    float *aa, *bb, *pp;
};

struct kernels {
    const char *name;     /* "ref", "avx2", ... */
    struct tuning tuning; /* for the caches of this machine */

    gemv_fn *gemv[MAT_FLOATS];
    gemm_fn *gemm[MAT_FLOATS];
    /* out[i] = (float)in[i], exact. */
    void (*widen[MAT_FLOATS])(float *out, const void *in, int n);

    quant_gemv_fn *quant_gemv[MAT_TYPES]; /* of MAT_FLOATS and above */
    quant_gemm_fn *quant_gemm[MAT_TYPES];
    /* For so many vectors, gemv and quant_gemv for each are as fast as gemm and quant_gemm for all. At least 1. */
    int few_tokens[MAT_TYPES];
    column_gemv_fn *column_gemv[MAT_FLOATS];
    quant_column_gemv_fn *quant_column_gemv[MAT_TYPES];
    /*
     * One vector of n numbers, per block of 256: most = max |x|; scale = most / 127; q = x * (127 / most) rounded to nearest, ties to
     * even; both are 0 where most < QUANT_LEAST. A block with a NaN or an infinity has a NaN for a scale and zeroes. Padding is zero.
     */
    void (*quantize)(int8_t *q, float *scale, int16_t *sum, const float *x, int n);
    /*
     * For making matrices of integers: w [columns][16], finite, 16 rows side by side.
     * fit_rows: 32 columns of Q4; the factor of each row for which factor * integers in -8 .. 7 come close to w. Per trial of QUANT_TRIALS:
     * q = w * (trial / most) as in round_rows, where most is the first number of the largest size (0 where that is < QUANT_LEAST);
     * wq, qq the sums of w * q and q * q in order; the trial with the largest wq / qq * wq wins, the first of equals; factor = wq / qq, or 0.
     * round_rows: q [columns][16] = w * inverse rounded to nearest, ties to even, and cut to low .. high; |w * inverse| < 2^22, columns even.
     */
    void (*fit_rows)(float *factor, const float *w);
    void (*round_rows)(int8_t *q, const float *w, const float *inverse, int columns, float low, float high);

    /*
     * y = fma((x - mean) * (1 / sqrt(var + eps)), weight, bias) with mean = sum16(x) / n, d = x - mean,
     * var = dot16(d, d) / n. y may be x.
     */
    void (*layer_norm)(float *y, const float *x, const float *weight, const float *bias, int n, float eps);

    /* Token shift: y = fma(prev - u, mix, u). y may be u or prev. */
    void (*shift)(float *y, const float *u, const float *prev, const float *mix, int n);

    /* x += y */
    void (*add)(float *x, const float *y, int n);
    /* x *= y */
    void (*multiply)(float *x, const float *y, int n);
    /* x = x * sigmoid(x) */
    void (*silu)(float *x, int n);
    /* x = tanh(x) */
    void (*tanh)(float *x, int n);
    /* x = sigmoid(x) */
    void (*sigmoid)(float *x, int n);
    /* x = sigmoid(bias + x) */
    void (*sigmoid_bias)(float *x, const float *bias, int n);
    /* x = exp(-exp(-1/2) * sigmoid(bias + x)), the constant being DECAY_SCALE; the decay */
    void (*decay)(float *x, const float *bias, int n);
    /* x = exp(-exp(bias + x)); the decay of RWKV-6 */
    void (*decay6)(float *x, const float *bias, int n);
    /* v = fma(first - v, gate, v) */
    void (*lerp)(float *v, const float *first, const float *gate, int n);
    /* x = x > 0 ? x * x : 0 (a NaN stays a NaN) */
    void (*relu_square)(float *x, int n);

    /*
     * The key of one head, n = N: kk = k * k_k; kk = kk / max(sqrt(dot16(kk, kk)), 1e-12); b = kk * a;
     * then k = k * fma(a - 1, k_a, 1), in place.
     */
    void (*key)(float *kk, float *b, float *k, const float *a, const float *k_k, const float *k_a, int n);

    /*
     * The recurrence of one head over one token. S is kept key-first, S[j * n + i] with j the key and i the value channel, so
     * that the lanes of a register are value channels and no sum crosses lanes:
     *     q[i] = even + odd, where `even` is the chain of fma(S[j][i], kk[j], .) over even j rising from +0, `odd` over odd j
     *     S[j][i] = fma(k[j], v[i], fma(-b[j], q[i], S[j][i] * w[j]))
     *     y[i] = even + odd of fma(S[j][i], r[j], .), with the new S
     * n <= WKV_MAX_N.
     */
    void (*wkv)(float *y, float *S, const struct head_in *in, int n);

    /*
     * The recurrence of RWKV-5 and 6, in the same order of S; the output is that of the state before the token:
     *     y[i] = fma(dot16(r * k, bonus), v[i], even + odd), with the chains of fma(S[j][i], r[j], .), and the old S
     *     S[j][i] = fma(k[j], v[i], S[j][i] * w[j])
     * in->kk and in->b are not used. n <= WKV_MAX_N.
     */
    void (*wkv6)(float *y, float *S, const struct head_in *in, const float *bonus, int n);

    /*
     * The recurrence of RWKV-4 for n channels, each for itself:
     *     a = first + k; q = pp < a ? a : pp; y = fma(exp(pp - q), aa, exp(a - q) * v) / fma(exp(pp - q), bb, exp(a - q))
     *     f = pp - decay; q = f < k ? k : f; aa = fma(exp(f - q), aa, exp(k - q) * v); bb = fma(exp(f - q), bb, exp(k - q)); pp = q
     */
    void (*wkv4)(float *y, const struct wkv4_state *s, const float *k, const float *v, const float *first,
                 const float *decay, int n);

    /*
     * The output of one head: m = sum16(y) / n; d = y - m; var = dot16(d, d) / n; o = fma(d * (1 / sqrt(var + eps)), weight, bias);
     * bonus = dot16(r * k, r_k); o = fma(bonus, v, o) * g. out may be y.
     */
    void (*head_out)(float *out, const float *y, const float *r, const float *k, const float *r_k, const float *v,
                     const float *g, const float *weight, const float *bias, int n, float eps);

    /* The number of values that are NaN or infinite. */
    int (*count_bad)(const float *x, int n);
    /* Reads n bytes (a multiple of 4096) as fast as this tier can, several streams with prefetch; returns something that depends on them. */
    uint64_t (*read_memory)(const void *p, size_t n);
};

#define QUANT_LEAST 0x1p-100f            /* below it 127 / most would not be safe */
#define DECAY_SCALE 0.60653065971263342f /* exp(-1/2) */
#define WKV_MAX_N 1024

/*
 * Fills the table for the widest tier of this machine, or the one named by `cpu` (NULL, "": widest), and for its caches; to assume
 * other caches, call tuning_derive(&k->tuning, ...) afterwards. false: no such tier here. kernels_supported(i): the tiers usable on this machine, narrowest first, NULL past the end.
 */
bool kernels_init(struct kernels *k, const char *cpu);
const char *kernels_supported(int index);

/* One per file: overrides what it does better than those before it. Called only by kernels_init. */
void kernels_init_ref(struct kernels *k);
void kernels_init_avx2(struct kernels *k);
void kernels_init_avxvnni(struct kernels *k);
void kernels_init_avx512(struct kernels *k);
void kernels_init_avx512vnni(struct kernels *k);
void kernels_init_amx(struct kernels *k);
void kernels_init_amx_bf16(struct kernels *k); /* called by kernels_use_fast */
void kernels_init_neon(struct kernels *k);
void kernels_init_dotprod(struct kernels *k);
void kernels_init_i8mm(struct kernels *k);

/*
 * For the files that widen panels of rows into the scratch memory of gemm: how many rows of so many columns make a panel of about
 * `floats` <= GEMM_PANEL_FLOATS (tuning.gemm_panel), a multiple of GEMM_ROW_STEP up to GEMM_MAX_PANEL. Behind the panel there is room for the 16 lanes of
 * the sums of its rows with GEMM_MAX_TOKENS vectors.
 */
int gemm_panel_rows(int cols, int floats);

/*
 * gemm through OpenBLAS for every type: sums in its own order. Opens the library and replaces the gemm slots when asked for.
 * RWKV7_ERR_USAGE: there is no OpenBLAS here; RWKV7_ERR_MEMORY: a limit leaves no room for it. Then k is unchanged.
 */
enum rwkv7_status kernels_use_blas(struct kernels *k, struct rwkv7_error *err);
/* Whether there is room for what OpenBLAS takes for itself when that many threads use it; it would try for ever to get it. */
bool kernels_blas_fits(int threads);
/*
 * gemm of bfloat16 in units whose sums have their own order and whose vectors keep 16 bits: results differ from gemv by about 1e-5 of
 * their size. false, and no change: this tier has none. Calls of 256 rows suit it best.
 */
bool kernels_use_fast(struct kernels *k);

#endif
