/*
 * lanes_quants_type.h - template of the kernels of one quantized type. lanes_quants.h includes it
 * once per type. Parameters, which this file undefines at its end:
 *
 *     TYPE       the type: MAT_Q8, ...
 *     NAME(f)    the name of its function f: f_q8, ...
 *     BYTES      defined if the type stores bytes, which are multiplied without unpacking
 */

/*
 * GEMV of `tiles` tiles side by side. tiles is a constant where inlined. next: bytes from the end
 * of a tile to the next tile of its stream. near, far: prefetch distances for the L1 and L2 cache in
 * bytes; far is 0 if the weights are in a cache.
 */
ALWAYS_INLINE void NAME(walk_tiles)(v16 *acc, const struct quant_tile *tile, int cols, const struct quants *x,
                                    int tiles, size_t next, size_t near, size_t far)
{
    const size_t group_bytes = quant_group_bytes(TYPE), bytes = (size_t)quant_groups(cols) * group_bytes;
    for (int t = 0; t < tiles; t++)
        acc[t] = v_zero();
    for (int b = 0, first = 0; b < quant_blocks(cols); b++, first += GROUPS) {
        const int groups = quant_groups_of(cols, b);
#if defined(BYTES)
        const n16 start = n_start(block_sum(x->sum + first, groups));
#else
        const n16 start = n_zero();
#endif
        n16 sums[QUANT_STREAMS];
        for (int t = 0; t < tiles; t++)
            sums[t] = start;
        for (int g = first; g < first + groups; g++) {
            const int8_t *q = x->q + (size_t)g * QUANT_GROUP;
            const size_t offset = (size_t)g * group_bytes;
            const size_t to_l1 = offset + near < bytes ? offset + near : offset + near + next;
            const size_t to_l2 = offset + far < bytes ? offset + far : offset + far + next;
            for (int t = 0; t < tiles; t++)
                for (size_t line = 0; line < group_bytes; line += 64)
                    __builtin_prefetch(tile[t].q + to_l1 + line);
            for (int t = 0; far > 0 && t < tiles; t++)
                for (size_t line = 0; line < group_bytes; line += 64)
                    __builtin_prefetch(tile[t].q + to_l2 + line, 0, 2);
#if defined(BYTES)
            for (int i = 0; i < VECTORS; i++)
                for (int t = 0; t < tiles; t++)
                    sums[t] = n_dot4(sums[t], w_load(tile[t].q + offset + 64 * i), x_load(q + 4 * i));
#else
            for (int t = 0; t < tiles; t++)
                sums[t] =
                    NAME(n_add)(sums[t], tile[t].q + offset, tile[t].s + (size_t)g * quant_s_bytes(TYPE), q, x->sum[g]);
#endif
        }
        for (int t = 0; t < tiles; t++)
            acc[t] = add_block(acc[t], sums[t], tile[t].scale + (size_t)b * QUANT_ROWS, x->scale[b]);
    }
}

static void NAME(quant_gemv)(float *y, const struct mat *w, const struct quants *x, int begin, int end,
                             const struct tuning *tuning)
{
    const int last = quant_tiles(end);
    const size_t bytes = quant_tile_bytes(TYPE, w->cols), near = tuning_near(tuning, QUANT_STREAMS),
                 far = tuning_far(tuning, QUANT_STREAMS, w->from_memory);
    v16 acc[QUANT_STREAMS];
    struct quant_tile tile[QUANT_STREAMS];
    int i = begin / QUANT_ROWS;
    if (begin >= end)
        return;
    for (; i + QUANT_STREAMS <= last; i += QUANT_STREAMS) {
        for (int t = 0; t < QUANT_STREAMS; t++)
            tile[t] = quant_tile(w, i + t);
        /* Two copies of the loop: with weights in a cache, a branch inside it costs up to 12 %. */
        if (far > 0)
            NAME(walk_tiles)(acc, tile, w->cols, x, QUANT_STREAMS, (QUANT_STREAMS - 1) * bytes, near, far);
        else
            NAME(walk_tiles)(acc, tile, w->cols, x, QUANT_STREAMS, (QUANT_STREAMS - 1) * bytes, near, 0);
        for (int t = 0; t < QUANT_STREAMS; t++)
            store_rows(y, i + t, acc[t], begin, end);
    }
    for (; i < last; i++) {
        tile[0] = quant_tile(w, i);
        NAME(walk_tiles)(acc, tile, w->cols, x, 1, 0, near, far);
        store_rows(y, i, acc[0], begin, end);
    }
}

/*
 * y[tile][vector][16] += the scaled sums of one block of adjacent tiles. tiles and tokens are
 * constants where inlined.
 */
#if defined(BYTES)
ALWAYS_INLINE void NAME(few_block)(float *y, const struct few_block *p, const struct few_vector *x, int tiles,
                                   int tokens)
{
    int totals[QUANT_TOKENS];
    float sums[16 * QUANT_TILES * QUANT_TOKENS];
    for (int n = 0; n < tokens; n++)
        totals[n] = x[n].start[0];
    multiply_block(sums, totals, (const int8_t *)p->q, p->tile_bytes, true, p->ahead, p->step, x->q, FEW_STRIDE,
                   p->groups * VECTORS, tiles, tokens);
    for (int t = 0; t < tiles; t++) {
        const v16 rows = v_load_bf16(p->scale + (size_t)t * p->tile_bytes / sizeof *p->scale, QUANT_ROWS);
        for (int n = 0; n < tokens; n++) {
            float *const to = y + (t * FEW_SUMS + n) * QUANT_ROWS;
            const v16 previous = p->first ? v_zero() : v_load(to, 16);
            v_store(to, v_fma(v_load(sums + 16 * (t * tokens + n), 16), v_mul(rows, v_set(x[n].scale)), previous), 16);
        }
    }
}
#else
ALWAYS_INLINE void NAME(few_block)(float *y, const struct few_block *p, const struct few_vector *x, int tiles,
                                   int tokens)
{
    const size_t group_bytes = quant_group_bytes(TYPE);
    const uint8_t *ahead = p->ahead;
    const size_t step = p->step;
    n16 sums[FEW_VECTORS];
    size_t g = 0;
    (void)tiles; /* 1 */
    for (int n = 0; n < tokens; n++)
        sums[n] = n_zero();
    do {
        for (size_t line = 0; line < group_bytes; line += 64, ahead += step)
            __builtin_prefetch(ahead);
        NAME(add_group_of)
        (sums, p->q + g * group_bytes, p->s + g * quant_s_bytes(TYPE), x->q + g * QUANT_GROUP, x->start + g, tokens);
    } while (++g < (size_t)p->groups);
    for (int n = 0; n < tokens; n++) {
        float *const to = y + n * QUANT_ROWS;
        const v16 previous = p->first ? v_zero() : v_load(to, 16);
        v_store(to, add_block(previous, sums[n], p->scale, x[n].scale), 16);
    }
}
#endif

#define DEFINE_FEW(tokens)                                                                                  \
    static void NAME(few_one_##tokens)(float *y, const struct few_block *block, const struct few_vector *x) \
    {                                                                                                       \
        NAME(few_block)(y, block, x, 1, tokens);                                                            \
    }
#define NAME_FEW(tokens) [tokens] = NAME(few_one_##tokens),
#if defined(BYTES)
#define DEFINE_FEW_MANY(tokens)                                                                              \
    DEFINE_FEW(tokens)                                                                                       \
    static void NAME(few_many_##tokens)(float *y, const struct few_block *block, const struct few_vector *x) \
    {                                                                                                        \
        NAME(few_block)(y, block, x, QUANT_TILES, tokens);                                                   \
    }
#define NAME_FEW_MANY(tokens) [tokens] = NAME(few_many_##tokens),
QUANT_EACH_TOKENS(DEFINE_FEW_MANY)
static few_fn *const NAME(few_one)[QUANT_TOKENS + 1] = {QUANT_EACH_TOKENS(NAME_FEW)};
static few_fn *const NAME(few_many)[QUANT_TOKENS + 1] = {QUANT_EACH_TOKENS(NAME_FEW_MANY)};
#undef DEFINE_FEW_MANY
#undef NAME_FEW_MANY
#else
FEW_EACH(DEFINE_FEW)
static few_fn *const NAME(few_one)[FEW_VECTORS + 1] = {FEW_EACH(NAME_FEW)};
#endif
#undef DEFINE_FEW
#undef NAME_FEW

static void NAME(quant_few)(float *y, size_t ldy, const struct mat *w, const struct quants *x, int tokens, int begin,
                            int end, void *scratch)
{
#if defined(BYTES)
    quant_few(y, ldy, w, TYPE, x, tokens, begin, end, scratch, NAME(few_one), NAME(few_many));
#else
    quant_few(y, ldy, w, TYPE, x, tokens, begin, end, scratch, NAME(few_one), NAME(few_one));
#endif
}

static void NAME(quant_gemm)(float *y, size_t ldy, const struct mat *w, const struct quants *x, int tokens, int begin,
                             int end, void *scratch)
{
#if defined(BYTES)
    quant_gemm(y, ldy, w, TYPE, x, tokens, begin, end, scratch, NULL);
#elif defined(QUANT_PACKED)
    NAME(quant_few)(y, ldy, w, x, tokens, begin, end, scratch);
#else
    quant_gemm(y, ldy, w, TYPE, x, tokens, begin, end, scratch, NAME(unpack_tile));
#endif
}

static void NAME(quant_column_gemv)(float *y, const struct mat *w, const struct quants *x, const struct active *a,
                                    int begin, int end)
{
    quant_column_gemv(y, w, TYPE, x, a, begin, end, NAME(add_columns));
}

static void NAME(init)(struct kernels *k)
{
    k->quant_gemv[TYPE] = NAME(quant_gemv);
    k->quant_gemm[TYPE] = NAME(quant_gemm);
    k->quant_few[TYPE] = NAME(quant_few);
#if defined(BYTES) || !defined(QUANT_PACKED)
    k->few_tokens[TYPE] = NAME(few);
#else
    k->few_tokens[TYPE] = 1; /* the same function */
#endif
    k->quant_column_gemv[TYPE] = NAME(quant_column_gemv);
}

#undef TYPE
#undef NAME
#undef BYTES
