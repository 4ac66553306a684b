/*
 * tuning.h - the constants of kernels and engine that affect speed only: what each controls, its
 * unit, and where its value comes from. None of them changes a result, because the order of
 * additions never depends on them.
 *
 * struct tuning holds what depends on the caches of the machine. The constants below it are the
 * same everywhere; each names the measurement it is based on. Register tile sizes and prefetch
 * distances of one instruction set are in its own file (lanes_*.h, dots_*.h, amx*.c);
 * docs/KERNELS.md lists them. base/pool.c defines how long threads spin.
 */
#ifndef KERNELS_TUNING_H
#define KERNELS_TUNING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cpus.h"

/* --------------------------------------------------------------------- derived from cache sizes */

struct tuning {
    /* Bytes of the L1 data cache, for tuning_gemm_block. */
    size_t l1;
    /*
     * Floats of a panel of widened rows in gemm (gemm_panel_rows). The panel stays in the L2 cache
     * while all vectors are multiplied by it. The panel has 3/8 of that cache, which also holds
     * results and vectors, and at most GEMM_PANEL_FLOATS floats.
     */
    int gemm_panel;
    /*
     * Floats of intermediate results that a task of arch/chunk.c produces and consumes at a time.
     * They stay in the L2 cache: 1/16 of it. At least 64 KB, because each part unpacks its rows
     * again; at most 128 KB, which is 512 vectors by 64 rows.
     */
    int part_floats;
    /*
     * Tokens of one head that arch/rwkv7_chunk.c prepares for the recurrence at a time. Their
     * decays, rates and gates stay in the L2 cache: 1/8 of it. 48 or 96, both multiples of the
     * tokens of a register tile on every tier.
     */
    int scan_tokens;
    /* Bytes of the largest cache, per core. A model that exceeds it is read from memory. */
    size_t last_cache;
    /* Prefetch distances of gemv in bytes; see tuning_near and tuning_far. */
    size_t near, far;
};

/*
 * Derives the tuning from the given caches. Assumes 64 channels per head, as all published models
 * have.
 */
void tuning_derive(struct tuning *out, const struct caches *caches);

/*
 * Returns how many of `total` vectors of 16 columns make one block of gemm (lanes_products.h). For
 * each vector of columns, the working set has `lines` cache lines: one per token and one per row of
 * the register tile. The lines of the tokens must stay in the L1 cache while all rows of a panel
 * are multiplied.
 *
 * Accumulators are stored between two blocks, so blocks are of equal length and as long as the
 * cache allows. Measured on a Xeon with 48 KB of L1 (model 207, AVX-512, tiles of 4 x 6), by
 * working set: up to 40 KB no loss, 42 KB 1 to 2 %, 45 KB 3 to 4 %, 57 KB 7 to 11 %. The limit is
 * therefore 7/8 of the cache, unless all columns fit as one block. The second limit is 64 vectors
 * of columns, one 4 KB page of each token: AVX2 tiles would allow 86, but 64 are 5 % faster at 4096
 * columns and equal elsewhere.
 *
 * The cost of one more block: a tile of 4 x 6 takes 12 cycles per vector of columns, and about 27
 * cycles to store and load its 24 accumulators. If a cache of 48 KB is assumed to be 32 KB, AVX-512
 * loses 1 to 4 % at 1024 and 2560 columns and 5 to 7 % at 4096; AVX2 loses nothing. Prefetching the
 * accumulators of the next tile, and blocks of multiples of 16 or 32 vectors, made no difference.
 */
int tuning_gemm_block(const struct tuning *tuning, int lines, int total);

/* --------------------------------------------------------------------- products of many vectors */

/* How gemm divides a matrix (gemm_plan). */
struct gemm_plan {
    int rows;   /* of a panel, a multiple of GEMM_ROW_STEP, at most GEMM_MAX_PANEL */
    int slab;   /* vectors of 16 columns that are widened at a time */
    int tokens; /* whose sums are kept while the slabs of a panel are multiplied; 0: the only slab is the panel */
    int block;  /* vectors of 16 columns (tuning_gemm_block) */
};
/*
 * Returns the plan for a matrix of `cols` columns. `lines` as in tuning_gemm_block.
 *
 * A vector is read again for every panel of rows, so panels of few rows are slow: 48 rows lose 6 %,
 * 24 rows 14 % against 64 (AVX-512, the Xeon of tuning_gemm_block). Where a panel of whole rows
 * would have fewer than GEMM_WHOLE_ROWS, its columns are divided into slabs. The vectors are taken
 * GEMM_SLAB_TOKENS at a time: their sums stay in the L2 cache, and each slab is widened once for all
 * of them. With 8192 columns that is 6 to 18 % faster, with 4096 (48 rows) 7 % slower.
 */
struct gemm_plan gemm_plan(const struct tuning *tuning, int cols, int lines);
#define GEMM_WHOLE_ROWS 48
#define GEMM_SLAB_TOKENS 96 /* a multiple of GEMM_TOKENS of every tier */
#define GEMM_SLAB 64        /* vectors of 16 columns, at most */

/* The largest panel in floats: 3/8 of 2 MB. Scratch memory is sized for it. */
#define GEMM_PANEL_FLOATS (192 * 1024)
/*
 * The largest number of rows of a panel, and its step: a multiple of every tier's GEMM_ROWS and
 * GEMV_ROWS.
 */
#define GEMM_MAX_PANEL 64
#define GEMM_ROW_STEP 8
/*
 * The largest GEMM_TOKENS (vectors of a register tile) of any tier. Scratch memory is sized for it.
 */
#define GEMM_MAX_TOKENS 6

/*
 * Rows of a quantized matrix that are unpacked to bytes at a time (lanes_quants.h, amx.c, i8mm.c):
 * 4 tiles of 16 rows, the register tile of AVX-512 and AMX. 64 rows of 2560 columns take 160 KB of
 * the L2 cache. i8mm.c keeps one block of 256 columns, 16 KB, in the L1 cache.
 */
#define QUANT_PANEL 64
/*
 * Bytes of scratch memory after the unpacked rows: sums of 64 rows by 256 vectors (i8mm.c), or
 * accumulators and sums (amx.c, 20 KB).
 */
#define QUANT_REST 65536

/* --------------------------------------------------------------------------- products by column */

/*
 * Rows of a strip of a column-major matrix of floats (lanes_columns.h). The working set is the sums
 * of one list, 2 KB. The sums of all 16 lists, 32 KB, are read once at the end, possibly from the
 * L2 cache: 0.4 % of the time of a strip.
 */
#define COLUMN_STRIP 512
/*
 * Rows of a strip of a column-major quantized matrix (quants_columns.h). The working set is two
 * arrays of sums, 16 KB, half of an L1 cache of 32 KB.
 */
#define QUANT_STRIP 2048
/* Prefetch distance in entries of the list of active columns. */
#define COLUMNS_AHEAD 16

/* ---------------------------------------------------------------------------- streams of memory */

/*
 * GEMV reads several streams side by side (GEMV_ROWS, QUANT_STREAMS) and prefetches each of them
 * twice: into the L1 cache tuning_near bytes ahead, and, if the matrix comes from memory, into the
 * L2 cache tuning_far bytes ahead. The L1 cache can wait for a few lines only (16 on the Xeon
 * below); while the kernel computes, requests for the L2 cache keep the memory busy. They cost time
 * if the weights are in a cache: 4 to 7 % in L3, up to 40 % in L2. Hence mat.from_memory.
 *
 * PREFETCH_NEAR is for all streams of a core together, PREFETCH_FAR is the distance between the two
 * prefetches of one stream. Measured on a Xeon (model 207, Sapphire Rapids), in percent of
 * read_memory, one core, without and with the second prefetch: q4 91 to 95, q8 98 to 99, bf16 92 to
 * 98 with AVX-512; 82 to 89, 88 to 95, 92 to 98 with AVX2. From 2048 to 8192 total bytes of the
 * first and 1024 to 4096 of the second, the speed varies by 1 %. docs/KERNELS.md explains how to
 * measure other CPUs.
 */
#define PREFETCH_NEAR 4096
#define PREFETCH_FAR 2048

/* Prefetch distances of one of `streams` streams; far is 0 if the matrix is in a cache. */
static inline size_t tuning_near(const struct tuning *tuning, int streams)
{
    return tuning->near / (size_t)streams;
}
static inline size_t tuning_far(const struct tuning *tuning, int streams, bool from_memory)
{
    return from_memory && tuning->far > 0 ? tuning_near(tuning, streams) + tuning->far : 0;
}
/* Prefetch distance in bytes of read_memory, which has eight streams and does no arithmetic. */
#define READ_AHEAD 2048

/* ---------------------------------------------------------------------- one token (arch/step.c) */

/*
 * Rows per chunk of a product: 1/16 of a thread's share, within these limits, so that other threads
 * can take over the rest from a thread that was interrupted. LEAST: 8 streams (GEMV_ROWS) of 8
 * rows, or 4 tiles (QUANT_STREAMS) of 16 rows. MOST: keeps the usual wait at a barrier below the
 * time that a thread spins; decoding is 0 to 3 % faster than with longer chunks (measured).
 */
#define STEP_ROWS_LEAST 64
#define STEP_ROWS_MOST 128
/*
 * Below this many bytes of weights, one thread does the whole token (pool_for): reading so few
 * bytes from the caches of one core takes no longer than the barriers of a token. The limit depends
 * on the cost of barriers, not on cache sizes, so it is not derived from them.
 */
#define ALONE_BYTES ((uint64_t)4 << 20)

/* ------------------------------------------------------------------- many tokens (arch/chunk.c) */

/*
 * Rows of a matrix per task: one panel, the most that rows_of_columns transposes at a time.
 * Matrices of floats use twice as many if they have enough rows.
 */
#define CHUNK_TASK_ROWS 64
/*
 * Rows of the head per task if only one token of a chunk needs logits. That is a GEMV, which is
 * fastest in long streams: 8 streams (GEMV_ROWS) of 64 rows.
 */
#define HEAD_TASK_ROWS 512
/*
 * Most tokens per task of operations that are done token by token. Not 1, because each task
 * computes the norm of the token before its first one again.
 */
#define TOKENS_PER_TASK 8
/* Tokens per task of the token-shift mixes of RWKV-6, whose weights a thread keeps in its cache. */
#define MIX_TOKENS TOKENS_PER_TASK
/*
 * Channels per task of the recurrence of RWKV-4. State, r, k and v of a token are then four whole
 * cache lines each, and a model of 768 channels still gives 12 tasks.
 */
#define SCAN_CHANNELS 64
/*
 * kernels.few_tokens where nothing was measured: AMX, i8mm, floats on Arm, OpenBLAS. Elsewhere the
 * files of the tiers define GEMM_FEW (floats) and few_q4, few_q6, few_q8.
 */
#define FEW_TOKENS 4
/*
 * Largest number of tokens for a sparse product with ffn.value. Every thread counts the active
 * columns of all tokens. With more tokens, almost every column is active for some token, so
 * transposing the matrix is cheaper unless the density is below 10 %.
 */
#define SPARSE_TOKENS 32
/*
 * Returns the cost of transposing ffn.value to rows and multiplying it by `tokens` vectors, in
 * units of the time to read all its columns once. If the active columns of all tokens add up to
 * less, one sparse GEMV per token is faster. Transposing takes most of the time and is the same
 * code on every tier; quantized matrices need 1/3 of the time of floats. Measured on 1024 x 4096
 * and 2048 x 8192: with 4 tokens, floats 8 to 10 and quantized 2 to 5; with 32 tokens, 13 to 21 and
 * 4 to 10. The lower ends are AVX-512.
 */
static inline int tuning_sparse_readings(bool floats, int tokens)
{
    return floats ? 8 + tokens / 6 : 3 + tokens / 16;
}
/*
 * Density of hidden units below which random models store ffn.value column-major (engine/open.c). A
 * sparse GEMV reads in short pieces, so at 0.7 it takes as long as a dense one.
 */
#define SPARSE_DENSITY 0.7f

/* ---------------------------------------------------------------------------- loading (weights) */

/*
 * Tiles of 16 rows per quantization task. 4 tiles are a section of 64 rows of a column-major
 * matrix, so tasks rarely share a cache line.
 */
#define QUANTIZE_TASK_TILES 4
/* Tiles, or groups of columns, per task that validates sub-block scales: a few KB each. */
#define VALIDATE_TASK_PARTS 16
/* Random numbers per task, a multiple of 4: about a millisecond. */
#define RANDOM_TASK_NUMBERS (1 << 20)

#endif
