/*
 * i8mm.c - GEMM with quantized matrices by SMMLA, the int8 matrix instruction of Arm: 2 rows of 8
 * columns times 8 columns of 2 vectors, four sums per instruction.
 *
 * SMMLA needs 8 adjacent columns of a row, but a tile (quants.h) has 4. So 64 rows at a time are
 * repacked to scratch memory, already multiplied by s. One block of them, 16 KB, stays in the L1
 * cache while all vectors are multiplied by it; between blocks the sums are stored in memory.
 */
#include <string.h>

#include "kernels/kernels.h"
#include "kernels/lanes_neon.h"
#include "kernels/quants.h"
#include "kernels/sixes_neon.h"

#define TILES (QUANT_PANEL / QUANT_ROWS)
#define TOKENS 4 /* 8 pairs of rows by 2 pairs of tokens: 16 accumulators */
#define RESTS (QUANT_REST / (QUANT_PANEL * (int)sizeof(float)))

/*
 * Interleaves lines 2 i and 2 i + 1 of a group (quants.h) to columns 8 i .. 8 i + 7 of a tile:
 * [pairs of rows][2][8].
 */
static inline void zip_rows(int8_t *to, int quarter, int8x16_t even, int8x16_t odd)
{
    const int32x4_t a = vreinterpretq_s32_s8(even), b = vreinterpretq_s32_s8(odd);
    vst1q_s8(to + 32 * quarter, vreinterpretq_s8_s32(vzip1q_s32(a, b)));
    vst1q_s8(to + 32 * quarter + 16, vreinterpretq_s8_s32(vzip2q_s32(a, b)));
}

/* Repacks a tile as [columns / 8][8 pairs of rows][2][8]. */
static void pack_q8(int8_t *to, const struct quant_tile *tile, int groups)
{
    const int8_t *from = (const int8_t *)tile->q;
    for (int i = 0; i < groups * (QUANT_GROUP / 8); i++, from += 128, to += 128)
        for (int quarter = 0; quarter < 4; quarter++)
            zip_rows(to, quarter, vld1q_s8(from + 16 * quarter), vld1q_s8(from + 64 + 16 * quarter));
}

static void pack_q4(int8_t *to, const struct quant_tile *tile, int groups)
{
    const int8x16_t eight = vdupq_n_s8(8);
    const uint8x16_t low = vdupq_n_u8(15);
    const uint8_t *from = tile->q;
    for (int g = 0; g < groups; g++, from += 256, to += 512) {
        const int8x16_t s = vld1q_s8((const int8_t *)tile->s + g * QUANT_ROWS);
        const int8x16_t twice[2] = {vzip1q_s8(s, s), vzip2q_s8(s, s)};
        for (int quarter = 0; quarter < 4; quarter++) {
            const int16x8_t half = vreinterpretq_s16_s8(twice[quarter / 2]);
            const int8x16_t scale = vreinterpretq_s8_s16(quarter % 2 ? vzip2q_s16(half, half) : vzip1q_s16(half, half));
            /* 8 columns from the low halves, 8 from the high halves */
            for (int i = 0; i < 2; i++) {
                const uint8x16_t a = vld1q_u8(from + 128 * i + 16 * quarter),
                                 b = vld1q_u8(from + 128 * i + 64 + 16 * quarter);
                zip_rows(to + 128 * i, quarter, vmulq_s8(vsubq_s8(vreinterpretq_s8_u8(vandq_u8(a, low)), eight), scale),
                         vmulq_s8(vsubq_s8(vreinterpretq_s8_u8(vandq_u8(b, low)), eight), scale));
                zip_rows(to + 256 + 128 * i, quarter,
                         vmulq_s8(vsubq_s8(vreinterpretq_s8_u8(vshrq_n_u8(a, 4)), eight), scale),
                         vmulq_s8(vsubq_s8(vreinterpretq_s8_u8(vshrq_n_u8(b, 4)), eight), scale));
            }
        }
    }
}

static void pack_q6(int8_t *to, const struct quant_tile *tile, int groups)
{
    for (int g = 0; g < groups; g++, to += 512) {
        int8_t bytes[512];
        six_bytes(bytes, tile->q + (size_t)g * quant_group_bytes(MAT_Q6), tile->s + (size_t)g * quant_s_bytes(MAT_Q6));
        for (int i = 0; i < 512; i += 128)
            for (int quarter = 0; quarter < 4; quarter++)
                zip_rows(to + i, quarter, vld1q_s8(bytes + i + 16 * quarter), vld1q_s8(bytes + i + 64 + 16 * quarter));
    }
}

/*
 * Repacks one block of TOKENS vectors as [columns / 8][2 pairs of tokens][2][8]. The last vector is
 * repeated to fill TOKENS.
 */
static void pack_vectors(int8_t *to, const int8_t *x, size_t ldx, int tokens, int groups)
{
    const int8_t *from[TOKENS];
    for (int t = 0; t < TOKENS; t++)
        from[t] = x + (size_t)(t < tokens ? t : tokens - 1) * ldx;
    for (int i = 0; i < groups * QUANT_GROUP; i += 8, to += 32)
        for (int t = 0; t < TOKENS; t++)
            vst1_s8(to + 8 * t, vld1_s8(from[t] + i));
}

/* sums[token] = the products of `groups` groups of a tile, with w and x packed as above. */
static inline void multiply(n16 *sums, const int8_t *w, const int8_t *x, int groups)
{
    int32x4_t acc[QUANT_ROWS / 2][TOKENS / 2]; /* [pair of rows][pair of tokens] */
    for (int r = 0; r < QUANT_ROWS / 2; r++)
        acc[r][0] = acc[r][1] = vdupq_n_s32(0);
    for (int i = 0; i < groups * (QUANT_GROUP / 8); i++, w += 128, x += 32) {
        const int8x16_t v[2] = {vld1q_s8(x), vld1q_s8(x + 16)};
        for (int r = 0; r < QUANT_ROWS / 2; r++) {
            const int8x16_t rows = vld1q_s8(w + 16 * r);
            acc[r][0] = vmmlaq_s32(acc[r][0], rows, v[0]);
            acc[r][1] = vmmlaq_s32(acc[r][1], rows, v[1]);
        }
    }
    for (int r = 0; r < 4; r++)
        for (int t = 0; t < TOKENS; t += 2) {
            sums[t].q[r] = vuzp1q_s32(acc[2 * r][t / 2], acc[2 * r + 1][t / 2]);
            sums[t + 1].q[r] = vuzp2q_s32(acc[2 * r][t / 2], acc[2 * r + 1][t / 2]);
        }
}

/* Up to TILES adjacent tiles, repacked. */
struct panel {
    const int8_t *q;              /* [tiles][columns / 8][8][2][8] */
    const uint16_t *scale[TILES]; /* [blocks][16] */
    int tiles, cols;
};

/* sums[token][64] = W x for at most RESTS tokens. */
static void multiply_panel(float *sums, const struct panel *p, const struct quants *x, int tokens)
{
    const size_t cols = (size_t)quant_cols(p->cols), blocks = (size_t)quant_blocks(p->cols);
    for (size_t b = 0; b < blocks; b++) {
        const int groups = quant_groups_of(p->cols, (int)b);
        for (int t = 0; t < tokens; t += TOKENS) {
            const int batch = tokens - t < TOKENS ? tokens - t : TOKENS;
            int8_t vectors[TOKENS * QUANT_BLOCK];
            pack_vectors(vectors, x->q + (size_t)t * cols + b * QUANT_BLOCK, cols, batch, groups);
            for (int i = 0; i < p->tiles; i++) {
                n16 block[TOKENS];
                multiply(block, p->q + ((size_t)i * cols + b * QUANT_BLOCK) * QUANT_ROWS, vectors, groups);
                const v16 scale = v_load_bf16(p->scale[i] + b * QUANT_ROWS, QUANT_ROWS);
                for (int j = 0; j < batch; j++) {
                    float *to = sums + (t + j) * QUANT_PANEL + i * QUANT_ROWS;
                    const v16 acc = b == 0 ? v_zero() : v_load(to, 16);
                    const v16 scales = v_mul(scale, v_set(x->scale[(size_t)(t + j) * blocks + b]));
                    v_store(to, v_fma(v_from_ints(block[j]), scales, acc), 16);
                }
            }
        }
    }
}

typedef void pack_fn(int8_t *to, const struct quant_tile *tile, int groups);

static void quant_gemm(float *y, size_t ldy, const struct mat *w, const struct quants *x, int tokens, int begin,
                       int end, int8_t *scratch, pack_fn *pack)
{
    const size_t cols = (size_t)quant_cols(w->cols), blocks = (size_t)quant_blocks(w->cols);
    float *sums = (float *)(void *)(scratch + QUANT_PANEL * cols);
    for (int tile = begin / QUANT_ROWS, end_tile = quant_tiles(end); begin < end; tile += TILES) {
        const int batch_end = (tile + TILES) * QUANT_ROWS < end ? (tile + TILES) * QUANT_ROWS : end;
        struct panel panel = {
            .q = scratch, .tiles = end_tile - tile < TILES ? end_tile - tile : TILES, .cols = w->cols};
        for (int i = 0; i < panel.tiles; i++) {
            const struct quant_tile from = quant_tile(w, tile + i);
            panel.scale[i] = from.scale;
            pack(scratch + (size_t)i * cols * QUANT_ROWS, &from, quant_groups(w->cols));
        }
        for (int t = 0, batch; t < tokens; t += batch) {
            const struct quants vectors = {.q = x->q + (size_t)t * cols, .scale = x->scale + (size_t)t * blocks};
            batch = tokens - t < RESTS ? tokens - t : RESTS;
            multiply_panel(sums, &panel, &vectors, batch);
            for (int j = 0; j < batch; j++)
                memcpy(y + (size_t)(t + j) * ldy + begin, sums + j * QUANT_PANEL + (begin - tile * QUANT_ROWS),
                       (size_t)(batch_end - begin) * sizeof *y);
        }
        begin = batch_end;
    }
}

static void quant_gemm_q8(float *y, size_t ldy, const struct mat *w, const struct quants *x, int tokens, int begin,
                          int end, void *scratch)
{
    quant_gemm(y, ldy, w, x, tokens, begin, end, scratch, pack_q8);
}
static void quant_gemm_q4(float *y, size_t ldy, const struct mat *w, const struct quants *x, int tokens, int begin,
                          int end, void *scratch)
{
    quant_gemm(y, ldy, w, x, tokens, begin, end, scratch, pack_q4);
}

static void quant_gemm_q6(float *y, size_t ldy, const struct mat *w, const struct quants *x, int tokens, int begin,
                          int end, void *scratch)
{
    quant_gemm(y, ldy, w, x, tokens, begin, end, scratch, pack_q6);
}

void kernels_init_i8mm(struct kernels *k)
{
    k->quant_gemm[MAT_Q8] = quant_gemm_q8;
    k->quant_gemm[MAT_Q4] = quant_gemm_q4;
    k->quant_gemm[MAT_Q6] = quant_gemm_q6;
    /* Estimates, not measured: the same values as for AMX, since unpacking costs about the same. */
    k->few_tokens[MAT_Q8] = FEW_TOKENS;
    k->few_tokens[MAT_Q4] = k->few_tokens[MAT_Q6] = 2 * FEW_TOKENS;
}
