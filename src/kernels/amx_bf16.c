/*
 * amx_bf16.c - GEMM with bfloat16 matrices in the tile registers of AMX (--math fast). Several
 * times faster than float32, but the hardware sums in its own order, so it is used only on request.
 *
 * The unit multiplies bfloat16 by bfloat16 and adds in float32. Weights are exact. Each element of
 * a vector is split into a sum of two bfloat16, high + low, which keeps at least 16 of its 24 bits
 * and doubles the number of products. Sums over up to DEPTH columns are made in tile registers.
 *
 * A line of a weight tile holds a pair of columns of 16 rows. Rows are therefore transposed in
 * pairs of columns, once for all vectors of a call. The working set fits the L2 cache: PANEL rows
 * by DEPTH columns and VECTORS vectors by DEPTH columns.
 */
#include "kernels/amx_tiles.h"
#include "kernels/kernels.h"

enum {
    STEP = 32,             /* columns per instruction */
    TILE = AMX_LINES * 32, /* bfloat16 elements per tile */
    SUMS = AMX_LINES * 16, /* float32 sums per tile */
    PANEL = 256,
    DEPTH = 1024,
    VECTORS = 2 * AMX_LINES,
};
_Static_assert((PANEL + 2 * VECTORS) * DEPTH * sizeof(uint16_t) <= GEMM_PANEL_FLOATS * sizeof(float),
               "scratch memory is large enough");

static int steps_of(int cols)
{
    return (cols + STEP - 1) / STEP;
}

/* out [16 pairs][16 rows] = in [16 rows][16 pairs] */
static void transpose(uint16_t *out, const __m512i in[16])
{
    /* quads[4 g + i] holds pairs i, i + 4, i + 8, i + 12 of rows 4 g .. 4 g + 3 */
    __m512i pairs[16], quads[16];
    for (int r = 0; r < 16; r += 2) {
        pairs[r] = _mm512_unpacklo_epi32(in[r], in[r + 1]);
        pairs[r + 1] = _mm512_unpackhi_epi32(in[r], in[r + 1]);
    }
    for (int r = 0; r < 16; r += 4)
        for (int i = 0; i < 2; i++) {
            quads[r + 2 * i] = _mm512_unpacklo_epi64(pairs[r + i], pairs[r + i + 2]);
            quads[r + 2 * i + 1] = _mm512_unpackhi_epi64(pairs[r + i], pairs[r + i + 2]);
        }
    for (int i = 0; i < 4; i++) {
        const __m512i even0 = _mm512_shuffle_i32x4(quads[i], quads[4 + i], 0x88);
        const __m512i even1 = _mm512_shuffle_i32x4(quads[8 + i], quads[12 + i], 0x88);
        const __m512i odd0 = _mm512_shuffle_i32x4(quads[i], quads[4 + i], 0xdd);
        const __m512i odd1 = _mm512_shuffle_i32x4(quads[8 + i], quads[12 + i], 0xdd);
        _mm512_storeu_si512(out + 32 * i, _mm512_shuffle_i32x4(even0, even1, 0x88));
        _mm512_storeu_si512(out + 32 * (i + 4), _mm512_shuffle_i32x4(odd0, odd1, 0x88));
        _mm512_storeu_si512(out + 32 * (i + 8), _mm512_shuffle_i32x4(even0, even1, 0xdd));
        _mm512_storeu_si512(out + 32 * (i + 12), _mm512_shuffle_i32x4(odd0, odd1, 0xdd));
    }
}

/*
 * Transposes rows of w, ld apart, to panel [row tiles][steps][16 pairs][16 rows][2]. Missing rows
 * and columns become 0.
 */
static void pack_rows(uint16_t *panel, const uint16_t *w, size_t ld, int rows, int cols)
{
    for (; rows > 0; rows -= 16, w += 16 * ld)
        for (int c = 0; c < cols; c += STEP, panel += TILE) {
            const __mmask32 mask = cols - c < STEP ? (1u << (cols - c)) - 1u : 0xffffffff;
            __m512i lines[16];
            for (int r = 0; r < 16; r++)
                lines[r] = r < rows ? _mm512_maskz_loadu_epi16(mask, w + (size_t)r * ld + c) : _mm512_setzero_si512();
            transpose(panel, lines);
        }
}

/* Returns x rounded to 8 significant bits, which a bfloat16 holds exactly. */
static inline __m512 high_part(__m512 x)
{
    const __m512i half_up = _mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x8000));
    return _mm512_castsi512_ps(_mm512_and_si512(half_up, _mm512_set1_epi32((int)0xffff0000)));
}

/*
 * Splits vectors to parts [vector tiles][steps][high, low][16][32]. Missing vectors and columns
 * become 0.
 */
static void split_vectors(uint16_t *parts, const float *x, size_t ldx, int vectors, int cols)
{
    for (int first = 0; first < VECTORS; first += AMX_LINES)
        for (int c = 0; c < cols; c += STEP, parts += 2 * TILE) {
            const uint32_t mask = cols - c < STEP ? (1u << (cols - c)) - 1u : 0xffffffff;
            for (int t = 0; t < AMX_LINES; t++) {
                __m512 x0 = _mm512_setzero_ps(), x1 = x0;
                if (first + t < vectors) {
                    const float *from = x + (size_t)(first + t) * ldx + c;
                    x0 = _mm512_maskz_loadu_ps((__mmask16)mask, from);
                    x1 = _mm512_maskz_loadu_ps((__mmask16)(mask >> 16), from + 16);
                }
                const __m512 high0 = high_part(x0), high1 = high_part(x1);
                const __m512bh high = _mm512_cvtne2ps_pbh(high1, high0);
                const __m512bh low = _mm512_cvtne2ps_pbh(_mm512_sub_ps(x1, high1), _mm512_sub_ps(x0, high0));
                _mm512_storeu_si512(parts + 32 * t, (__m512i)high);
                _mm512_storeu_si512(parts + TILE + 32 * t, (__m512i)low);
            }
        }
}

/* sums [2 vector tiles][2 row tiles][16][16] = the products over `steps` steps. */
static void multiply(float *sums, const uint16_t *x0, const uint16_t *x1, const uint16_t *w0, const uint16_t *w1,
                     int steps)
{
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int i = 0; i < steps; i++) {
        _tile_loadd(6, w0 + i * TILE, 64);
        _tile_loadd(7, w1 + i * TILE, 64);
        for (int part = 0; part < 2; part++) {
            _tile_loadd(4, x0 + (2 * i + part) * TILE, 64);
            _tile_dpbf16ps(0, 4, 6);
            _tile_dpbf16ps(1, 4, 7);
            _tile_loadd(5, x1 + (2 * i + part) * TILE, 64);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
    }
    _tile_stored(0, sums, 64);
    _tile_stored(1, sums + SUMS, 64);
    _tile_stored(2, sums + 2 * SUMS, 64);
    _tile_stored(3, sums + 3 * SUMS, 64);
}

/* Stores sums to y [vectors][rows], or adds them to y. */
static void store_sums(float *y, size_t ldy, const float *sums, int vectors, int rows, bool add)
{
    for (int i = 0; i < 2; i++) {
        const int batch = rows - 16 * i < 16 ? rows - 16 * i : 16;
        const __mmask16 mask = (__mmask16)(batch > 0 ? 0xffff >> (16 - batch) : 0);
        for (int t = 0; t < vectors; t++) {
            float *to = y + (size_t)t * ldy + 16 * i;
            __m512 sum = _mm512_loadu_ps(sums + (2 * (t / AMX_LINES) + i) * SUMS + t % AMX_LINES * 16);
            if (add)
                sum = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, to), sum);
            _mm512_mask_storeu_ps(to, mask, sum);
        }
    }
}

static void gemm_bf16_amx(float *y, size_t ldy, const struct mat *w, const float *x, size_t ldx, int tokens, int begin,
                          int end, const struct tuning *tuning, float *scratch)
{
    /* Unused: the order of additions depends on DEPTH, so DEPTH must not depend on the machine. */
    (void)tuning;
    const size_t cols = (size_t)w->cols;
    uint16_t *const panel = (uint16_t *)(void *)scratch, *const parts = panel + PANEL * DEPTH;
    amx_configure(AMX_LINES);
    for (int row = begin; row < end; row += PANEL)
        for (int column = 0; column == 0 || column < w->cols; column += DEPTH) {
            const int rows = end - row < PANEL ? end - row : PANEL;
            const int depth = w->cols - column < DEPTH ? w->cols - column : DEPTH, steps = steps_of(depth);
            pack_rows(panel, (const uint16_t *)w->data + (size_t)row * cols + column, cols, rows, depth);
            for (int t = 0; t < tokens; t += VECTORS) {
                const int batch = tokens - t < VECTORS ? tokens - t : VECTORS;
                split_vectors(parts, x + (size_t)t * ldx + column, ldx, batch, depth);
                amx_written();
                for (int r = 0; r < rows; r += 32) {
                    float sums[4 * SUMS];
                    const uint16_t *const w0 = panel + (size_t)(r / 16 * steps) * TILE;
                    const uint16_t *const w1 = r + 16 < rows ? w0 + (size_t)steps * TILE : w0;
                    multiply(sums, parts, parts + (size_t)steps * 2 * TILE, w0, w1, steps);
                    store_sums(y + (size_t)t * ldy + row + r, ldy, sums, batch, rows - r, column > 0);
                }
            }
        }
    _tile_release();
}

void kernels_init_amx_bf16(struct kernels *k)
{
    k->gemm[MAT_BF16] = gemm_bf16_amx;
    k->few_tokens[MAT_BF16] = FEW_TOKENS;
}
