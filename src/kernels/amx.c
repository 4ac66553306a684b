/*
 * amx.c - GEMM with quantized matrices in the tile registers of AMX.
 *
 * One instruction multiplies 16 vectors by 16 rows over 64 columns and adds the exact sums to a
 * tile of 16 x 16 int32. Both operands are tiles of 16 lines of 64 bytes. Vectors have that layout
 * in memory, and so have 64 columns of 16 rows of a Q8 matrix (quants.h). Other types are unpacked
 * to bytes, once for all vectors of a call. Two tiles of vectors by two tiles of rows use all eight
 * registers and load each tile for two products.
 *
 * Tiles cannot be scaled, so the sums of each block of 256 columns are stored to memory and scaled
 * there. That is cheap: the working set, accumulators of 64 vectors by 64 rows plus the operands
 * and sums of one block, mostly fits the L1 cache. The arithmetic is that of ref.c.
 *
 * If the vectors do not fill their last tile, that tile starts earlier and overlaps the one before;
 * the vectors in both are computed twice, with equal results. Fewer than 16 vectors use shorter
 * tiles.
 */
#include "kernels/amx_tiles.h"
#include "kernels/kernels.h"
#include "kernels/quants.h"
#include "kernels/sixes_avx512.h"

enum {
    GROUP = 4, /* tiles of vectors, and of rows, accumulated at a time */
    STEP = 64, /* columns per instruction */
    STEP_ROWS = STEP * QUANT_ROWS,
    TILE = AMX_LINES * QUANT_ROWS, /* sums per tile */
};
_Static_assert(GROUP *QUANT_ROWS == QUANT_PANEL, "a group of rows is a panel");
_Static_assert((GROUP * GROUP + 4) * TILE * sizeof(float) <= QUANT_REST, "scratch memory is large enough");

/* One tile of 16 rows. */
struct rows {
    const int8_t *q;       /* [steps][16][16][4], already multiplied by s */
    const uint16_t *scale; /* [blocks][16] */
    int first;
    __mmask16 row_mask;
};

/* sums [2 vector tiles][2 row tiles][16][16] = products over `steps` times 64 columns. */
static inline void multiply(int32_t *sums, const int8_t *x0, const int8_t *x1, size_t stride, const int8_t *w0,
                            const int8_t *w1, int steps)
{
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int i = 0; i < steps; i++) {
        _tile_loadd(6, w0 + i * STEP_ROWS, 64);
        _tile_loadd(4, x0 + i * STEP, stride);
        _tile_dpbssd(0, 4, 6);
        _tile_loadd(7, w1 + i * STEP_ROWS, 64);
        _tile_dpbssd(1, 4, 7);
        _tile_loadd(5, x1 + i * STEP, stride);
        _tile_dpbssd(2, 5, 6);
        _tile_dpbssd(3, 5, 7);
    }
    _tile_stored(0, sums, 64);
    _tile_stored(1, sums + TILE, 64);
    _tile_stored(2, sums + 2 * TILE, 64);
    _tile_stored(3, sums + 3 * TILE, 64);
}

/*
 * to [lines][16] = fma(sums, scale of w * scale of x, acc). acc may be NULL, for +0. The lines of
 * `to` are ld floats apart.
 */
static inline __attribute__((always_inline)) void accumulate(float *to, size_t ld, __mmask16 row_mask, const float *acc,
                                                             const int32_t *sums, const uint16_t *w_scale,
                                                             const float *x_scale, size_t blocks, int lines)
{
    const __m256i half = _mm256_loadu_si256((const void *)w_scale);
    const __m512 rows = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
    for (int t = 0; t < lines; t++) {
        const __m512 scale = _mm512_mul_ps(rows, _mm512_set1_ps(x_scale[(size_t)t * blocks]));
        const __m512 previous = acc ? _mm512_load_ps(acc + 16 * t) : _mm512_setzero_ps();
        const __m512 sum = _mm512_cvtepi32_ps(_mm512_load_si512(sums + 16 * t));
        _mm512_mask_storeu_ps(to + (size_t)t * ld, row_mask, _mm512_fmadd_ps(sum, scale, previous));
    }
}

/*
 * Multiplies `row_tiles` tiles of rows by `tiles` tiles of `lines` vectors each, which start at
 * vector at[i]. memory: acc [GROUP][GROUP][16][16], then the sums of one block. lines is a constant
 * where inlined.
 */
static inline __attribute__((always_inline)) void multiply_group(float *y, size_t ldy, const struct rows *rows,
                                                                 int row_tiles, const struct quants *x,
                                                                 const int *start, int tiles, int cols, int lines,
                                                                 float *memory)
{
    const size_t stride = (size_t)quant_cols(cols), blocks = (size_t)quant_blocks(cols);
    float(*const acc)[GROUP][TILE] = (float(*)[GROUP][TILE])(void *)memory;
    int32_t *const sums = (int32_t *)(void *)(memory + GROUP * GROUP * TILE);

    for (size_t b = 0; b < blocks; b++)
        for (int r = 0; r < row_tiles; r += 2)
            for (int t = 0; t < tiles; t += 2) {
                const size_t column = b * QUANT_BLOCK, row = column * QUANT_ROWS;
                multiply(sums, x->q + (size_t)start[t] * stride + column, x->q + (size_t)start[t + 1] * stride + column,
                         stride, rows[r].q + row, rows[r + 1].q + row,
                         quant_groups_of(cols, (int)b) * QUANT_GROUP / STEP);
                for (int i = 0; i < 4; i++) {
                    const int vector = t + i / 2, row_tile = r + i % 2;
                    const struct rows *w = &rows[row_tile];
                    const uint16_t *w_scale = w->scale + b * QUANT_ROWS;
                    const float *x_scale = x->scale + (size_t)start[vector] * blocks + b;
                    float *const in = acc[vector][row_tile], *const out = y + (size_t)start[vector] * ldy + w->first;
                    if (b + 1 < blocks)
                        accumulate(in, 16, 0xffff, b ? in : NULL, sums + i * TILE, w_scale, x_scale, blocks, lines);
                    else
                        accumulate(out, ldy, w->row_mask, b ? in : NULL, sums + i * TILE, w_scale, x_scale, blocks,
                                   lines);
                }
            }
}

/* Unpack a tile to bytes, already multiplied by s. */
static void unpack_q4(int8_t *out, const struct quant_tile *tile, int groups)
{
    /* Prefetches the next tile while this one is unpacked. */
    const size_t tile_bytes = (size_t)groups * quant_group_bytes(MAT_Q4);
    for (int g = 0; g < groups; g++, out += QUANT_ROWS * QUANT_GROUP) {
        const uint8_t *start = tile->q + (size_t)g * quant_group_bytes(MAT_Q4);
        for (int line = 0; line < 4; line++)
            __builtin_prefetch(start + tile_bytes + 64 * line);
        nibble_bytes(out, start, tile->s + (size_t)g * quant_s_bytes(MAT_Q4));
    }
}

static void unpack_q6(int8_t *out, const struct quant_tile *tile, int groups)
{
    const size_t tile_bytes = (size_t)groups * quant_group_bytes(MAT_Q6);
    for (int g = 0; g < groups; g++, out += QUANT_ROWS * QUANT_GROUP) {
        const uint8_t *start = tile->q + (size_t)g * quant_group_bytes(MAT_Q6);
        for (int line = 0; line < 6; line++)
            __builtin_prefetch(start + tile_bytes + 64 * line);
        six_bytes(out, start, tile->s + (size_t)g * quant_s_bytes(MAT_Q6));
    }
}

typedef void unpack_fn(int8_t *out, const struct quant_tile *tile, int groups);

/*
 * Returns the tile of rows [16 * tile, 16 * tile + 16), with those inside [begin, end) marked as
 * wanted. unpack: converts the tile to bytes in `unpacked`; NULL if the type stores bytes.
 */
static struct rows rows_of(const struct mat *w, int tile, int begin, int end, int8_t *unpacked, unpack_fn *unpack)
{
    const struct quant_tile start = quant_tile(w, tile);
    const int first = tile * QUANT_ROWS;
    struct rows rows = {(const int8_t *)start.q, start.scale, first, 0xffff};
    if (first < begin)
        rows.row_mask &= (__mmask16)(0xffff << (begin - first));
    if (end - first < QUANT_ROWS)
        rows.row_mask &= (__mmask16)(0xffff >> (first + QUANT_ROWS - end));
    if (unpack) {
        unpack(unpacked, &start, quant_groups(w->cols));
        rows.q = unpacked;
    }
    return rows;
}

static void quant_gemm_amx(float *y, size_t ldy, const struct mat *w, const struct quants *x, int tokens, int begin,
                           int end, void *scratch, unpack_fn *unpack)
{
    const int lines = tokens < AMX_LINES ? tokens : AMX_LINES, tiles = (tokens + AMX_LINES - 1) / AMX_LINES;
    int8_t *const unpacked = scratch;
    float *const memory = (float *)(void *)(unpacked + (size_t)QUANT_PANEL * (size_t)quant_cols(w->cols));

    if (tokens == 0)
        return;
    amx_configure(lines);
    for (int first = begin / QUANT_ROWS; first * QUANT_ROWS < end; first += GROUP) {
        struct rows rows[GROUP];
        int count = quant_tiles(end) - first;
        count = count < GROUP ? count : GROUP;
        for (int r = 0; r < count; r++)
            rows[r] = rows_of(w, first + r, begin, end,
                              unpacked + (size_t)(r * QUANT_ROWS) * (size_t)quant_cols(w->cols), unpack);
        for (int r = count; r < GROUP; r++)
            rows[r] = rows[count - 1];
        amx_written();
        for (int t = 0; t < tiles; t += GROUP) {
            int start[GROUP];
            for (int i = 0; i < GROUP; i++) {
                const int from = (t + i) * AMX_LINES;
                start[i] = from < tokens - lines ? from : tokens - lines;
            }
            const int batch = tiles - t < GROUP ? tiles - t : GROUP;
            if (lines == AMX_LINES)
                multiply_group(y, ldy, rows, count, x, start, batch, w->cols, AMX_LINES, memory);
            else
                multiply_group(y, ldy, rows, count, x, start, batch, w->cols, lines, memory);
        }
    }
    _tile_release();
}

static void quant_gemm_q8(float *y, size_t ldy, const struct mat *w, const struct quants *x, int tokens, int begin,
                          int end, void *scratch)
{
    quant_gemm_amx(y, ldy, w, x, tokens, begin, end, scratch, NULL);
}
static void quant_gemm_q4(float *y, size_t ldy, const struct mat *w, const struct quants *x, int tokens, int begin,
                          int end, void *scratch)
{
    quant_gemm_amx(y, ldy, w, x, tokens, begin, end, scratch, unpack_q4);
}
static void quant_gemm_q6(float *y, size_t ldy, const struct mat *w, const struct quants *x, int tokens, int begin,
                          int end, void *scratch)
{
    quant_gemm_amx(y, ldy, w, x, tokens, begin, end, scratch, unpack_q6);
}

void kernels_init_amx(struct kernels *k)
{
    k->quant_gemm[MAT_Q8] = quant_gemm_q8;
    k->quant_gemm[MAT_Q4] = quant_gemm_q4;
    k->quant_gemm[MAT_Q6] = quant_gemm_q6;
    /*
     * Estimates, not measured: a tile takes the same time for 1 vector as for 16, and unpacking to
     * bytes takes as long as about 8 vectors of quant_few.
     */
    k->few_tokens[MAT_Q8] = FEW_TOKENS;
    k->few_tokens[MAT_Q4] = k->few_tokens[MAT_Q6] = 2 * FEW_TOKENS;
}
