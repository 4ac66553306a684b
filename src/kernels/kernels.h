/*
 * kernels.h - the numeric contract of all kernels, and the function table that implements it.
 *
 * Every table entry has exactly one correct result, down to the last bit. ref.c defines it; all
 * other files compute the same bits faster. The contract rests on these definitions:
 *
 *   dot16(x, y, n)     16 float32 lanes that start at +0. Element i is added to lane i mod 16 by a
 *                      fused multiply-add, in ascending order of i. Both operands are padded with
 *                      +0 to a multiple of 16. The lanes are then folded: l[j] += l[j + 8] for
 *                      j < 8, then with 4, 2 and 1. The result is l[0].
 *   sum16(x, n)        like dot16, with lane += element instead of the fused multiply-add
 *   exp, sigmoid, tanh the scalar functions of base/fmath.h: polynomials with a stated error
 *   all other          single IEEE operations in the order of the formula given for the entry;
 *                      fma(a, b, c) = a * b + c, rounded once. The compiler must not contract,
 *                      reassociate or flush denormals.
 *
 * Sign and payload of a NaN are not part of the contract. Vectors may have any alignment and any
 * length >= 0. Kernels access only the arrays they are given. Outputs must not overlap inputs
 * unless the entry says so.
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
 * Matrix types. The values equal those of rwkv7_type in rwkv7.h: first the floating-point types,
 * then the quantized types (quants.h).
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
 * A matrix [rows][cols] for y = W x: row i gives y[i]. Row-major floats are dense; row-major
 * quantized matrices are stored as tiles of 16 rows (quants.h). If by_column is set, floats are
 * stored as [cols][rows] and quantized matrices in the column-major format of quants.h.
 */
struct mat {
    enum mat_type type;
    int rows, cols;
    bool by_column;
    bool from_memory; /* too large for the caches together with its model: gemv also prefetches into the L2 cache */
    const void *data; /* aligned to its element type; quantized: to 64 bytes */
};

/* GEMV: computes rows [begin, end) of y = W x for x [cols]. Writes only y[begin] to y[end - 1]. */
typedef void gemv_fn(float *y, const struct mat *w, const float *x, int begin, int end, const struct tuning *tuning);

/*
 * GEMM: y[t * ldy + i] = dot16(W[i], x + t * ldx) for t < tokens and i in [begin, end). The bits
 * equal those of gemv. Each weight is read and widened once per call, so calls for a multiple of
 * GEMM_MAX_PANEL rows are fastest. scratch: gemm_scratch(cols) floats, used by this call only,
 * ideally aligned to 64 bytes.
 */
typedef void gemm_fn(float *y, size_t ldy, const struct mat *w, const float *x, size_t ldx, int tokens, int begin,
                     int end, const struct tuning *tuning, float *scratch);
size_t gemm_scratch(int cols);

/*
 * Vectors quantized to 8 bits, stored one after the other. quants.h computes the sizes. All arrays
 * are aligned to 64 bytes.
 */
struct quants {
    int8_t *q;    /* [tokens][quant_cols] */
    float *scale; /* [tokens][quant_blocks] */
    int16_t *sum; /* [tokens][quant_groups], the sum of q over each group */
};

/*
 * GEMV with a quantized matrix: computes rows [begin, end) of y = W x. Starts with acc = +0 and
 * adds the blocks of a row in ascending order:
 *     acc = fma((float)isum, scale of w * scale of x, acc)
 * where isum is the exact integer sum of s * q of w * q of x over the block.
 */
typedef void quant_gemv_fn(float *y, const struct mat *w, const struct quants *x, int begin, int end,
                           const struct tuning *tuning);
/*
 * GEMM with a quantized matrix: as quant_gemv for `tokens` vectors, result in y[t * ldy + i].
 * scratch: quant_scratch(cols) bytes, used by this call only, aligned to 64 bytes.
 */
typedef void quant_gemm_fn(float *y, size_t ldy, const struct mat *w, const struct quants *x, int tokens, int begin,
                           int end, void *scratch);
size_t quant_scratch(int cols);

/*
 * The non-zero elements of a vector, as 16 ascending lists of column numbers. List l is
 * column[first[l]] to column[first[l + 1] - 1]. For floats, list l holds the columns that are l
 * modulo 16, which are those of lane l of dot16. For quantized vectors, list 0 holds all of them.
 */
struct active {
    int32_t *column; /* [cols] */
    int first[17];
};
void active_floats(struct active *a, const float *x, int cols);
void active_quants(struct active *a, const struct quants *x, int cols);

/*
 * Sparse GEMV: y = W x for a column-major matrix. Reads only the columns listed in `a`. The bits
 * equal those of gemv and quant_gemv, except that a -0 may become a +0. begin must be a multiple of
 * 64; end must be a multiple of 64 or the number of rows.
 */
typedef void column_gemv_fn(float *y, const struct mat *w, const float *x, const struct active *a, int begin, int end);
typedef void quant_column_gemv_fn(float *y, const struct mat *w, const struct quants *x, const struct active *a,
                                  int begin, int end);
/*
 * Transposes rows [begin, end) of a column-major matrix to row-major, for GEMM, which needs every
 * column. begin must be a multiple of 64. `memory` receives the result: rows_of_columns_bytes(w,
 * end - begin) bytes, aligned to 64. Row 0 of the returned matrix is row `begin` of w.
 */
struct mat rows_of_columns(const struct mat *w, int begin, int end, void *memory);
size_t rows_of_columns_bytes(const struct mat *w, int rows);

/* The inputs of one head for wkv and wkv6, each [N]. The equations are in arch/rwkv7_step.c. */
struct head_in {
    const float *r, *w, *k, *v, *kk, *b;
};

/*
 * State of n channels of RWKV-4, each [n]. The weighted sum is aa * exp(pp), the sum of the weights
 * bb * exp(pp).
 */
struct wkv4_state {
    float *aa, *bb, *pp;
};

struct kernels {
    const char *name;     /* "ref", "avx2", ... */
    struct tuning tuning; /* derived from the caches of this machine */

    gemv_fn *gemv[MAT_FLOATS];
    gemm_fn *gemm[MAT_FLOATS];
    /* out[i] = (float)in[i]; exact */
    void (*widen[MAT_FLOATS])(float *out, const void *in, int n);

    quant_gemv_fn *quant_gemv[MAT_TYPES]; /* set for quantized types only */
    quant_gemm_fn *quant_gemm[MAT_TYPES];
    quant_gemm_fn *quant_few[MAT_TYPES]; /* the same, for a few vectors */
    /*
     * Up to this many vectors, one gemv per vector is as fast as gemm; quant_few is as fast as
     * quant_gemm. At least 1.
     */
    int few_tokens[MAT_TYPES];
    column_gemv_fn *column_gemv[MAT_FLOATS];
    quant_column_gemv_fn *quant_column_gemv[MAT_TYPES];
    /*
     * Quantizes one vector of n elements. For each block of 256: max = largest |x|; scale = max /
     * 127; q = x * (127 / max), rounded to nearest, ties to even. If max < QUANT_LEAST, scale and q
     * are 0. If the block contains a NaN or an infinity, scale is NaN and q is 0. Padding is 0.
     */
    void (*quantize)(int8_t *q, float *scale, int16_t *sum, const float *x, int n);
    /*
     * Helpers that quantize a matrix.
     *
     * peak returns the largest |x| of n numbers, infinity if there is an infinity or a NaN. n is a
     * multiple of 16.
     *
     * round_row sets q = x * inverse, rounded to nearest, ties to even, then clamped to low ..
     * high. |x * inverse| must be below 2^22 and n a multiple of 32.
     *
     * fit_rows finds, for each row of a Q4 group of 32 columns, a factor such that factor * q
     * approximates w with q in -8 .. 7. w is [32][16]: 16 rows interleaved, all finite. peak is the
     * first element of a row that has the largest magnitude. Each element of QUANT_TRIALS is tried:
     * q = w * (trial / peak), rounded and clamped as in round_row (q = 0 if |peak| < QUANT_LEAST).
     * wq and qq are the sums of w * q and q * q, in the order of the columns. The trial with the
     * largest wq / qq * wq wins, the first of equals. Then factor = wq / qq, or 0 if qq is 0.
     */
    float (*peak)(const float *x, int n);
    void (*round_row)(int8_t *q, const float *x, float inverse, int n, float low, float high);
    void (*fit_rows)(float *factor, const float *w);

    /*
     * Layer norm: y = fma((x - mean) * (1 / sqrt(var + eps)), weight, bias) with mean = sum16(x) /
     * n, d = x - mean, var = dot16(d, d) / n. y may be x.
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
    /* x = exp(-DECAY_SCALE * sigmoid(bias + x)): the decay of RWKV-7 */
    void (*decay)(float *x, const float *bias, int n);
    /* x = exp(-exp(bias + x)): the decay of RWKV-6 */
    void (*decay6)(float *x, const float *bias, int n);
    /* Linear interpolation: v = fma(first - v, gate, v). */
    void (*lerp)(float *v, const float *first, const float *gate, int n);
    /* x = max(x, 0)^2; a NaN stays a NaN */
    void (*relu_square)(float *x, int n);

    /*
     * Key and removal key of one head (RWKV-7), n = N: kk = k * k_k; kk = kk / max(sqrt(dot16(kk,
     * kk)), 1e-12); b = kk * a; then, in place, k = k * fma(a - 1, k_a, 1).
     */
    void (*key)(float *kk, float *b, float *k, const float *a, const float *k_k, const float *k_a, int n);

    /*
     * The recurrence of RWKV-7 for one head and one token. S is stored key-first, S[j * n + i] with
     * key channel j and value channel i: the lanes of a register are value channels, so that no sum
     * crosses lanes.
     *     q[i] = even + odd, where `even` accumulates fma(S[j][i], kk[j], .) over the even j,
     *            ascending from +0, and `odd` the same over the odd j
     *     S[j][i] = fma(k[j], v[i], fma(-b[j], q[i], S[j][i] * w[j]))
     *     y[i] = even + odd of fma(S[j][i], r[j], .), with the new S
     * n <= WKV_MAX_N.
     */
    void (*wkv)(float *y, float *S, const struct head_in *in, int n);

    /*
     * The recurrence of RWKV-5 and RWKV-6 for one head and one token. S is stored as for wkv. The
     * output uses the state before this token:
     *     y[i] = fma(dot16(r * k, bonus), v[i], even + odd), with even and odd as in wkv,
     *            of fma(S[j][i], r[j], .), with the old S
     *     S[j][i] = fma(k[j], v[i], S[j][i] * w[j])
     * Ignores in->kk and in->b. n <= WKV_MAX_N.
     */
    void (*wkv6)(float *y, float *S, const struct head_in *in, const float *bonus, int n);

    /*
     * The recurrence of RWKV-4 for n independent channels and one token:
     *     a = first + k;  q = max(pp, a)
     *     y = fma(exp(pp - q), aa, exp(a - q) * v) / fma(exp(pp - q), bb, exp(a - q))
     *     f = pp - decay; q = max(f, k)
     *     aa = fma(exp(f - q), aa, exp(k - q) * v)
     *     bb = fma(exp(f - q), bb, exp(k - q))
     *     pp = q
     * where max(x, y) is x < y ? y : x.
     */
    void (*wkv4)(float *y, const struct wkv4_state *s, const float *k, const float *v, const float *first,
                 const float *decay, int n);

    /*
     * The output of one head (RWKV-7): group norm, bonus, gate. out may be y.
     *     m = sum16(y) / n; d = y - m; var = dot16(d, d) / n
     *     o = fma(d * (1 / sqrt(var + eps)), weight, bias)
     *     out = fma(dot16(r * k, r_k), v, o) * g
     */
    void (*head_out)(float *out, const float *y, const float *r, const float *k, const float *r_k, const float *v,
                     const float *g, const float *weight, const float *bias, int n, float eps);

    /* Returns how many elements are NaN or infinite. */
    int (*count_bad)(const float *x, int n);
    /*
     * Reads n bytes (a multiple of 4096) at full bandwidth, to measure it. Returns a value that
     * depends on all bytes, so that no compiler removes the reads.
     */
    uint64_t (*read_memory)(const void *p, size_t n);
};

#define QUANT_LEAST 0x1p-100f            /* below this maximum, 127 / max may overflow */
#define DECAY_SCALE 0.60653065971263342f /* exp(-1/2) */
#define WKV_MAX_N 1024

/*
 * kernels_init fills the table for the tier `cpu` (NULL or "": the fastest of this machine) and
 * derives the tuning from the caches. Call tuning_derive(&k->tuning, ...) afterwards to assume
 * other caches. Returns false if this machine has no such tier.
 *
 * kernels_supported returns the name of the index-th tier of this machine, slowest first; NULL past
 * the end.
 */
bool kernels_init(struct kernels *k, const char *cpu);
const char *kernels_supported(int index);

/*
 * One per tier. Each overrides the entries that it computes faster than the tiers before it. Called
 * by kernels_init only.
 */
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
 * gemm widens panels of rows into its scratch memory. Returns how many rows of `cols` columns make
 * a panel of about `floats` floats (tuning.gemm_panel, at most GEMM_PANEL_FLOATS). The result is a
 * multiple of GEMM_ROW_STEP, at most GEMM_MAX_PANEL. The scratch memory after the panel holds the
 * 16 lanes of its rows for GEMM_MAX_TOKENS vectors.
 */
int gemm_panel_rows(int cols, int floats);

/*
 * Replaces gemm of all floating-point types by OpenBLAS, which is loaded on the first call. Its
 * sums have their own order, so results differ from gemv. Returns RWKV7_ERR_USAGE if OpenBLAS is
 * not installed, RWKV7_ERR_MEMORY if the address space is too small for it; k is then unchanged.
 */
enum rwkv7_status kernels_use_blas(struct kernels *k, struct rwkv7_error *err);
/*
 * Returns whether the address space has room for the buffers of OpenBLAS for `threads` threads.
 * engine/prefill.c calls this before each chunk: without room, OpenBLAS would retry forever.
 */
bool kernels_blas_fits(int threads);
/*
 * Replaces gemm of bfloat16 by AMX. The hardware sums in its own order, and vectors are rounded to
 * at least 16 bits, so the relative difference from gemv is about 1e-5. Calls for 256 rows are
 * fastest. Returns false, with k unchanged, if the tier has no AMX.
 */
bool kernels_use_fast(struct kernels *k);

#endif
