/*
 * tuning.h - the numbers of the kernels and the engine that are there for speed alone: what each controls, in which unit, and why it
 * has this value. None of them changes a result: the order of additions never depends on them.
 *
 * First the numbers that follow from the caches of the machine, in struct tuning; then those that are the same everywhere, with the
 * measurement they come from. The sizes of register tiles and the distances of prefetching that belong to one instruction set stay in
 * its file (lanes_*.h, dots_*.h, amx*.c); docs/KERNELS.md lists them. How long threads spin is in base/pool.c,
 * which is below. A buffer whose size nobody would feel is a constant of its file.
 */
#ifndef KERNELS_TUNING_H
#define KERNELS_TUNING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cpus.h"

/* -------------------------------------------------------------------------------------------- derived from cache sizes */

struct tuning {
    /* Bytes of the first-level cache, for tuning_gemm_block. */
    size_t l1;
    /*
     * Floats of a panel of widened rows in gemm of floats (gemm_panel_rows): it stays in the second-level cache while all vectors pass
     * by. 3/8 of that cache, which also holds results and vectors; at most GEMM_PANEL_FLOATS.
     */
    int gemm_panel;
    /*
     * Floats of results that chunk.c uses up at once, of one task: they stay in the second-level cache. 1/16 of it. Not less than
     * 64 KB, since rows are unpacked again for each part; not more than 128 KB, which is 512 vectors by 64 rows.
     */
    int part_floats;
    /*
     * Tokens of a head that rwkv7_chunk.c makes ready for the recurrence at a time: their decays, rates and gates stay in the second-level
     * cache, in 1/8 of it. 48 or 96, which are whole tiles of vectors in every gemm.
     */
    int scan_tokens;
};

/* The numbers for these caches. Heads are taken to have 64 channels, as in all published models. */
void tuning_derive(struct tuning *out, const struct caches *caches);

/*
 * Columns of one block in gemm of floats (lanes_products.h), in vectors of 16, of `all`. A block takes `lines` cache lines of 64 bytes
 * for each: one per vector of the tile, which stay in the first-level cache while all rows of a panel pass by, and one per row of the
 * tile. The accumulators rest in memory between two blocks, so blocks are equal, and as long as the cache allows: measured on a Xeon of 48 KB
 * (model 207, AVX-512, tiles of 4 x 6), the same speed from 33 to 40 KB, 1 to 2 % less at 42 KB, 3 to 4 % at 45 KB, 7 to 11 % at 57 KB. So a
 * block has 7/8 of the cache at most, unless all columns fit into it as one. Nor has it more than 64 vectors, which are a page of 4 KB of
 * each: with AVX2, whose tiles would allow 86, that is 5 % faster at 4096 columns and the same elsewhere.
 *
 * What a rest costs: a tile of 4 x 6 takes 12 cycles for a vector of columns, and about 27 to store and load its 24 accumulators. So where a
 * cache of 48 KB is taken for one of 32, gemm on AVX-512 is 1 to 4 % slower at 1024 and 2560 columns, 5 to 7 % at 4096; on AVX2 it is as
 * fast. Neither prefetching the accumulators of the next tile nor blocks of 16 or 32 vectors or multiples made a difference.
 */
int tuning_gemm_block(const struct tuning *tuning, int lines, int all);

/* --------------------------------------------------------------------------------------------- products of many vectors */

/* The largest panel in floats, on which the sizes of scratch memory rest: 3/8 of 2 MB. */
#define GEMM_PANEL_FLOATS (192 * 1024)
/* Rows of a panel: at most, and their step, a multiple of every tier's GEMM_ROWS and GEMV_ROWS. */
#define GEMM_MAX_PANEL 64
#define GEMM_ROW_STEP 8
/* At least the GEMM_TOKENS of every tier: the vectors of a tile, for which scratch memory has room. */
#define GEMM_MAX_TOKENS 6

/*
 * Rows of integers that are unpacked to bytes at a time (lanes_quants.h, amx.c, i8mm.c): 4 tiles of 16, which are the register tile of
 * AVX-512 and of AMX. 64 rows of 2560 columns are 160 KB of the second-level cache. A block of 256 columns, 16 KB, is what i8mm.c
 * keeps in the first-level cache.
 */
#define QUANT_PANEL 64
/* Bytes of scratch memory beside them: 64 rows by 256 vectors of sums (i8mm.c), or accumulators and sums (amx.c, 20 KB). */
#define QUANT_REST 65536

/* ---------------------------------------------------------------------------------------------------- products by column */

/*
 * Rows of a strip of a matrix of floats by column (lanes_columns.h). Only the sums of one list at a time are in use, 2 KB. All sixteen,
 * 32 KB, are read once at the end, from the second-level cache where the first has not kept them: 0.4 % of the time of a strip.
 */
#define COLUMN_STRIP 512
/* The same for integers (quants_columns.h): two arrays of sums in use, 16 KB, half of a first-level cache of 32 KB. */
#define QUANT_STRIP 2048
/* How many places of the list ahead columns are prefetched. */
#define COLUMNS_AHEAD 16

/* ----------------------------------------------------------------------------------------------------- streams of memory */

/*
 * Bytes ahead that products of integers with one vector prefetch in each stream. Measured on AVX-512: 97 to 100 % of the bandwidth
 * that read_memory finds with Q8, 91 % with Q4; prefetching the whole next tile, 85 to 93 % and 88 %.
 */
#define QUANT_AHEAD 1024
/* The same in read_memory, which has eight streams and does nothing else. */
#define READ_AHEAD 2048

/* --------------------------------------------------------------------------------------------------- one token (arch/step.c) */

/*
 * Rows per chunk of a product: 1/16 of a thread's part, so that others can take over from a thread that is held up, within these
 * bounds. LEAST: 8 streams (GEMV_ROWS) of 8 rows, or 4 tiles (QUANT_STREAMS) of 16. MOST: keeps the usual wait at a barrier below the
 * time that a thread spins; measured, decoding is 0 to 3 % faster than with longer chunks.
 */
#define STEP_ROWS_LEAST 64
#define STEP_ROWS_MOST 128
/*
 * Bytes of weights below which one thread works alone (pool_for): from the caches of one core they take as long as the
 * barriers of a token, or less when the machine is busy. Not derived: it is the time of the barriers that counts, not a cache.
 */
#define ALONE_BYTES ((uint64_t)4 << 20)

/* ------------------------------------------------------------------------------------------------ many tokens (arch/chunk.c) */

/* Rows of a matrix per task: a panel, and the most that rows_of_columns makes at a time. For floats twice as many if there are enough. */
#define CHUNK_TASK_ROWS 64
/*
 * Rows of the head per task where one token of a chunk wants logits: a product with one vector, which is fastest in long streams, of a
 * matrix that has enough rows for tasks of 8 streams (GEMV_ROWS) of 64.
 */
#define HEAD_TASK_ROWS 512
/* Tokens per task of what is done token by token, at most: the norm of the one before is computed twice in each task. */
#define TOKENS_PER_TASK 8
/* Tokens per task of the mixes of RWKV-6, whose shift weights a thread keeps: as many, for the same reason. */
#define MIX_TOKENS TOKENS_PER_TASK
/*
 * Channels per task of the recurrence of RWKV-4, token by token: their state, r, k and v of a token are four cache lines of 16 floats
 * each, read whole, and a model of 768 channels still has 12 tasks.
 */
#define SCAN_CHANNELS 64
/*
 * Vectors so few that the product with each costs less than widening or unpacking a matrix once for all (kernels.few_tokens), where
 * nobody has measured it: AMX, Arm, OpenBLAS. The files of the other instruction sets say it for each type (GEMM_FEW, few_*).
 */
#define FEW_TOKENS 4
/*
 * Tokens for which the active columns of ffn.value are worth counting: every thread counts all. Beyond, so many columns are active for
 * one of them or another that transposing all is cheaper, but for densities below 10 %.
 */
#define SPARSE_TOKENS 32
/*
 * How often the columns of ffn.value could be read, all of them, in the time that it takes to transpose them into rows and multiply these
 * by so many vectors; fewer active columns than that are read for each. Transposing is the same code on every tier and most of it;
 * integers are transposed in 1/3 of the time of floats. Measured from 4 to 32 tokens, on 1024 x 4096 and 2048 x 8192, in units of
 * reading all: floats 8 to 10 and 13 to 21, integers 2 to 5 and 4 to 10, of which the lower ends are the tiers of AVX-512.
 */
static inline int tuning_sparse_readings(bool floats, int tokens)
{
    return floats ? 8 + tokens / 6 : 3 + tokens / 16;
}
/*
 * The density of ffn.value's hidden units below which random models store it by column (engine/open.c): with one vector, columns cost
 * as much as rows where 0.7 of them are active, since they are read in pieces.
 */
#define SPARSE_DENSITY 0.7f

/* ------------------------------------------------------------------------------------------------------- loading (weights) */

/* Tiles of 16 rows per task of quantization: 64 rows, a section of a matrix by column, so that tasks rarely share a cache line. */
#define QUANTIZE_TASK_TILES 4
/* Tiles, or groups of columns, per task of looking at sub-block scales: some KB of each. */
#define VALIDATE_TASK_PARTS 16
/* Random numbers per task, a multiple of 4: about a millisecond. */
#define RANDOM_TASK_NUMBERS (1 << 20)

#endif
