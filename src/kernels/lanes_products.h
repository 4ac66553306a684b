/*
 * lanes_products.h - part of lanes.h: GEMV and GEMM with row-major matrices of floats, and
 * read_memory. Parameters, besides those of lanes.h:
 *
 *     GEMV_ROWS                     rows that GEMV processes at a time, one accumulator each
 *     GEMM_ROWS x GEMM_TOKENS       register tile of GEMM
 *     GEMM_EACH_TOKENS(DO)          DO(1) DO(2) ... DO(GEMM_TOKENS)
 *     GEMM_FEW                      value of few_tokens in the kernel table
 *
 * GEMV is limited by memory bandwidth, which is highest when several long streams are read at once.
 * The rows of a call are divided into GEMV_ROWS equal parts, and one row of each part is processed
 * at a time. Each part is then one stream through consecutive rows, however short these are. At the
 * end of its part, a stream prefetches the start of the next call for as many rows. Distances:
 * tuning_near and tuning_far.
 *
 * GEMM is limited by arithmetic. Rows are widened to a float32 panel that stays in the L2 cache,
 * and the accumulators of a tile of GEMM_ROWS x GEMM_TOKENS stay in registers. The 16 lanes are
 * independent, so a tile walks the columns once for each register's worth of lanes: an accumulator
 * then takes one register instead of a v16, which allows larger tiles. Columns are divided into
 * blocks whose vectors stay in the L1 cache (tuning_gemm_block); between blocks the accumulators
 * are stored in memory. Where whole rows would leave a panel of few rows, which are then multiplied
 * by vectors read from further away, a panel is widened a slab of columns at a time (gemm_plan).
 * None of this changes the order of additions.
 */
#ifndef KERNELS_LANES_PRODUCTS_H
#define KERNELS_LANES_PRODUCTS_H

#define v_load_f32 v_load /* lets the macros below paste the type's name */

/* ----------------------------------------------------------------------------------------- GEMV */

/*
 * gemv_rows computes `rows` rows of n columns, `stride` elements apart. rows is GEMV_ROWS, or 1 for
 * the remainder; a constant where inlined. left: elements from w to the end of its part. near, far:
 * prefetch distances for the L1 and L2 cache in elements; far is 0 if the weights are in a cache.
 */
#define DEFINE_GEMV(type, element)                                                                                     \
    ALWAYS_INLINE void gemv_rows_##type(float *y, const element *w, size_t stride, size_t left, const float *x, int n, \
                                        int rows, size_t near, size_t far)                                             \
    {                                                                                                                  \
        enum { LINE = 64 / sizeof(element) };                                                                          \
        v16 acc[GEMV_ROWS];                                                                                            \
        int i = 0;                                                                                                     \
        for (int r = 0; r < rows; r++)                                                                                 \
            acc[r] = v_zero();                                                                                         \
        for (; i + LINE <= n; i += LINE) {                                                                             \
            const size_t column = (size_t)i, skip = (GEMV_ROWS - 1) * stride;                                          \
            const size_t to_l1 = column + near + (column + near < left ? 0 : skip);                                    \
            const size_t to_l2 = column + far + (column + far < left ? 0 : skip);                                      \
            for (int step = 0; step < LINE; step += 16) {                                                              \
                const v16 v = v_load(x + i + step, 16);                                                                \
                for (int r = 0; r < rows; r++)                                                                         \
                    acc[r] = v_fma(v_load_##type(w + (size_t)r * stride + i + step, 16), v, acc[r]);                   \
            }                                                                                                          \
            for (int r = 0; r < rows; r++)                                                                             \
                __builtin_prefetch(w + (size_t)r * stride + to_l1);                                                    \
            for (int r = 0; far > 0 && r < rows; r++)                                                                  \
                __builtin_prefetch(w + (size_t)r * stride + to_l2, 0, 2);                                              \
        }                                                                                                              \
        for (; i < n; i += 16) {                                                                                       \
            const int m = n - i < 16 ? n - i : 16;                                                                     \
            const v16 v = v_load(x + i, m);                                                                            \
            for (int r = 0; r < rows; r++)                                                                             \
                acc[r] = v_fma(v_load_##type(w + (size_t)r * stride + i, m), v, acc[r]);                               \
        }                                                                                                              \
        if (rows == GEMV_ROWS)                                                                                         \
            v_fold_rows(y, acc);                                                                                       \
        else                                                                                                           \
            for (int r = 0; r < rows; r++)                                                                             \
                y[r] = v_fold(acc[r]);                                                                                 \
    }                                                                                                                  \
                                                                                                                       \
    static void gemv_##type(float *y, const struct mat *w, const float *x, int begin, int end,                         \
                            const struct tuning *tuning)                                                               \
    {                                                                                                                  \
        const size_t cols = (size_t)w->cols, near = tuning_near(tuning, GEMV_ROWS) / sizeof(element),                  \
                     far = tuning_far(tuning, GEMV_ROWS, w->from_memory) / sizeof(element);                            \
        const element *first_row = (const element *)w->data + (size_t)begin * cols;                                    \
        const int part_rows = (end - begin) / GEMV_ROWS;                                                               \
        for (int i = 0; i < part_rows; i++) {                                                                          \
            float sums[GEMV_ROWS];                                                                                     \
            /* Two copies of the loop, as in lanes_quants_type.h. */                                                   \
            const element *const row = first_row + (size_t)i * cols;                                                   \
            const size_t stride = (size_t)part_rows * cols, left = (size_t)(part_rows - i) * cols;                     \
            if (far > 0)                                                                                               \
                gemv_rows_##type(sums, row, stride, left, x, w->cols, GEMV_ROWS, near, far);                           \
            else                                                                                                       \
                gemv_rows_##type(sums, row, stride, left, x, w->cols, GEMV_ROWS, near, 0);                             \
            for (int r = 0; r < GEMV_ROWS; r++)                                                                        \
                y[begin + r * part_rows + i] = sums[r];                                                                \
        }                                                                                                              \
        for (int i = begin + part_rows * GEMV_ROWS; i < end; i++)                                                      \
            gemv_rows_##type(y + i, (const element *)w->data + (size_t)i * cols, 0, 0, x, w->cols, 1, near, far);      \
    }

DEFINE_GEMV(f32, float)
DEFINE_GEMV(f16, uint16_t)
DEFINE_GEMV(bf16, uint16_t)

/* ----------------------------------------------------------------------------------------- GEMM */

/*
 * A panel consists of tiles of GEMM_ROWS rows, each stored as [vectors of 16
 * columns][GEMM_ROWS][16], so that a tile is one stream. Between blocks the sums of a tile are
 * stored as [GEMM_ROWS][tokens][16].
 */
#define STEP (GEMM_ROWS * 16) /* floats per tile and vector of columns */
_Static_assert(GEMM_ROW_STEP % GEMM_ROWS == 0 && GEMM_ROW_STEP % GEMV_ROWS == 0, "a panel is whole tiles");
_Static_assert(GEMM_TOKENS <= GEMM_MAX_TOKENS, "scratch memory is large enough");

/*
 * to = from + the products of `count` > 0 vectors of columns. w: the tile in the panel. x: one
 * pointer per token. tokens: a constant where inlined. ahead: address to prefetch, one cache line
 * per vector of columns.
 */
ALWAYS_INLINE void gemm_tile(float *to, const float *from, const float *w, const float *const *x, int tokens, int count,
                             const char *ahead)
{
    for (int lane = 0; lane < 16; lane += R_LANES) {
        reg acc[GEMM_ROWS][GEMM_TOKENS];
        for (int r = 0; r < GEMM_ROWS; r++)
            for (int t = 0; t < tokens; t++)
                acc[r][t] = r_load(from + (r * tokens + t) * 16 + lane);
        int c = 0;
        do {
            reg v[GEMM_TOKENS];
            if (lane == 0)
                __builtin_prefetch(ahead + 64 * c);
            for (int t = 0; t < tokens; t++)
                v[t] = r_load(x[t] + 16 * c + lane);
            for (int r = 0; r < GEMM_ROWS; r++) {
                const reg row = r_load(w + STEP * c + 16 * r + lane);
                for (int t = 0; t < tokens; t++)
                    acc[r][t] = r_fma(row, v[t], acc[r][t]);
            }
        } while (++c < count);
        for (int r = 0; r < GEMM_ROWS; r++)
            for (int t = 0; t < tokens; t++)
                r_store(to + (r * tokens + t) * 16 + lane, acc[r][t]);
    }
}

typedef void gemm_tile_fn(float *to, const float *from, const float *w, const float *const *x, int count,
                          const char *ahead);

#define DEFINE_TILE(tokens)                                                                                        \
    static void gemm_tile_##tokens(float *to, const float *from, const float *w, const float *const *x, int count, \
                                   const char *ahead)                                                              \
    {                                                                                                              \
        gemm_tile(to, from, w, x, tokens, count, ahead);                                                           \
    }
GEMM_EACH_TOKENS(DEFINE_TILE)
#define NAME_TILE(tokens) [tokens] = gemm_tile_##tokens,
static gemm_tile_fn *const gemm_tiles[GEMM_TOKENS + 1] = {GEMM_EACH_TOKENS(NAME_TILE)};

/* Memory to prefetch in the meantime: GEMM is limited by arithmetic. */
struct prefetch {
    const char *position, *end;
};

/* The part of a panel that is packed at a time: vectors of columns [first, end) of `all`. */
struct slab {
    int first, end, all;
};

/*
 * Multiplies a slab of a panel by at most GEMM_TOKENS vectors, in blocks of `block` vectors of
 * columns. y: where the result of the first row and the first vector goes; written after the last
 * slab. tile_sums: the sums of all tiles, kept from slab to slab. The first `tokens` tiles of a
 * block prefetch x_next, the vectors of the next call; the other tiles prefetch the next panel.
 */
static void gemm_group(float *y, size_t ldy, const float *panel, int rows, int cols, struct slab slab, const float *x,
                       size_t ldx, int tokens, int block, const float *x_next, struct prefetch *next_panel,
                       float *tile_sums)
{
    static const float zeroes[STEP * GEMM_TOKENS];
    gemm_tile_fn *const tile = gemm_tiles[tokens];
    const int full_vectors = cols / 16;
    const size_t stride = (size_t)(slab.end - slab.first) * STEP; /* of a tile */
    float tail[GEMM_TOKENS][16]; /* the columns past the last full vector, padded with 0 */
    const float *vectors[GEMM_TOKENS];
    for (int c = slab.first, count; c < slab.end; c += count, panel += (size_t)count * STEP) {
        const int limit = slab.end < full_vectors ? slab.end : full_vectors;
        count = c == full_vectors ? 1 : limit - c < block ? limit - c : block;
        for (int t = 0; t < tokens; t++) {
            vectors[t] = x + (size_t)t * ldx + 16 * (size_t)c;
            if (c == full_vectors) {
                v_store(tail[t], v_load(vectors[t], cols - 16 * full_vectors), 16);
                vectors[t] = tail[t];
            }
        }
        for (int i = 0; i * GEMM_ROWS < rows; i++) {
            float *sums = tile_sums + i * STEP * tokens;
            const char *ahead = next_panel->position;
            if (i < tokens)
                ahead = (const char *)(x_next + (size_t)i * ldx + 16 * (size_t)c);
            else if (next_panel->end - next_panel->position > 64 * count)
                next_panel->position += 64 * count;
            tile(sums, c == 0 ? zeroes : sums, panel + (size_t)i * stride, vectors, count, ahead);
        }
    }
    if (slab.end < slab.all)
        return;
    for (int r = 0; r < rows; r += GEMV_ROWS)
        for (int t = 0; t < tokens; t++) {
            v16 acc[GEMV_ROWS];
            float sums[GEMV_ROWS], *to = y + (size_t)t * ldy + (size_t)r;
            for (int i = 0; i < GEMV_ROWS; i++)
                acc[i] = v_load(tile_sums + ((r + i) * tokens + t) * 16, 16);
            if (rows - r >= GEMV_ROWS) {
                v_fold_rows(to, acc);
            } else {
                v_fold_rows(sums, acc);
                memcpy(to, sums, (size_t)(rows - r) * sizeof *to);
            }
        }
}

#define DEFINE_GEMM(type, element)                                                                                    \
    /* Widens rows of n columns, ld apart, to tiles; those past the end are zero. */                                  \
    static void pack_##type(float *panel, const element *w, size_t ld, int rows, int n)                               \
    {                                                                                                                 \
        for (; rows > 0; rows -= GEMM_ROWS, w += GEMM_ROWS * ld)                                                      \
            for (int i = 0; i < n; i += 16) {                                                                         \
                const int m = n - i < 16 ? n - i : 16;                                                                \
                for (int r = 0; r < GEMM_ROWS; r++, panel += 16) {                                                    \
                    if (rows >= 2 * GEMM_ROWS && i % (64 / (int)sizeof(element)) == 0)                                \
                        __builtin_prefetch(w + (size_t)(GEMM_ROWS + r) * ld + i);                                     \
                    v_store(panel, r < rows ? v_load_##type(w + (size_t)r * ld + i, m) : v_zero(), 16);               \
                }                                                                                                     \
            }                                                                                                         \
    }                                                                                                                 \
                                                                                                                      \
    static void gemm_##type(float *y, size_t ldy, const struct mat *w, const float *x, size_t ldx, int tokens,        \
                            int begin, int end, const struct tuning *tuning, float *scratch)                          \
    {                                                                                                                 \
        const size_t cols = (size_t)w->cols;                                                                          \
        const element *data = w->data;                                                                                \
        const struct gemm_plan plan = gemm_plan(tuning, w->cols, GEMM_ROWS + GEMM_TOKENS);                            \
        struct slab slab = {.all = (w->cols + 15) / 16};                                                              \
        float *const tile_sums = scratch + (size_t)plan.rows * 16 * (size_t)plan.slab;                                \
        if (tokens == 1 || cols == 0) {                                                                               \
            for (size_t t = 0; t < (size_t)tokens; t++)                                                               \
                gemv_##type(y + t * ldy, w, x + t * ldx, begin, end, tuning);                                         \
            return;                                                                                                   \
        }                                                                                                             \
        for (int i = begin, rows; i < end; i += rows) {                                                               \
            const element *const first_row = data + (size_t)i * cols;                                                 \
            rows = end - i < plan.rows ? end - i : plan.rows;                                                         \
            struct prefetch next_panel = {(const char *)(first_row + (size_t)rows * cols),                            \
                                          (const char *)(data + (size_t)end * cols)};                                 \
            if (plan.tokens > 0) /* the next slab is elsewhere */                                                     \
                next_panel.end = next_panel.position;                                                                 \
            for (int first = 0, last; first < tokens; first = last) {                                                 \
                last = plan.tokens > 0 && tokens - first > plan.tokens ? first + plan.tokens : tokens;                \
                for (slab.first = 0; slab.first < slab.all; slab.first = slab.end) {                                  \
                    const int from = 16 * slab.first;                                                                 \
                    slab.end = slab.all - slab.first < plan.slab ? slab.all : slab.first + plan.slab;                 \
                    pack_##type(scratch, first_row + from, cols, rows,                                                \
                                (16 * slab.end < w->cols ? 16 * slab.end : w->cols) - from);                          \
                    for (int t = first, batch; t < last; t += batch) {                                                \
                        const float *vectors = x + (size_t)t * ldx;                                                   \
                        batch = last - t < GEMM_TOKENS ? last - t : GEMM_TOKENS;                                      \
                        gemm_group(y + (size_t)t * ldy + i, ldy, scratch, rows, w->cols, slab, vectors, ldx, batch,   \
                                   plan.block, t + 2 * GEMM_TOKENS <= tokens ? vectors + GEMM_TOKENS * ldx : vectors, \
                                   &next_panel,                                                                       \
                                   plan.tokens > 0 ? tile_sums + (size_t)(t - first) * (size_t)plan.rows * 16         \
                                                   : tile_sums);                                                      \
                    }                                                                                                 \
                }                                                                                                     \
            }                                                                                                         \
        }                                                                                                             \
    }

DEFINE_GEMM(f32, float)
DEFINE_GEMM(f16, uint16_t)
DEFINE_GEMM(bf16, uint16_t)

/* ----------------------------------------------------------------------------- memory bandwidth */

/* Reads eight streams, each prefetched READ_AHEAD bytes ahead. */
static uint64_t read_memory(const void *p, size_t n)
{
    enum { STREAMS = 8, AHEAD = READ_AHEAD / sizeof(float) };
    const size_t stream_floats = n / sizeof(float) / STREAMS / 16 * 16;
    const float *from = p;
    v16 acc[STREAMS];
    for (int s = 0; s < STREAMS; s++)
        acc[s] = v_zero();
    for (size_t i = 0; i < stream_floats; i += 16)
        for (int s = 0; s < STREAMS; s++) {
            const float *address = from + (size_t)s * stream_floats + i;
            __builtin_prefetch(address + (i + AHEAD < stream_floats ? AHEAD : 0));
            acc[s] = v_xor(acc[s], v_load(address, 16));
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

#endif
