/*
 * lanes_quants_type.h - template of the kernels of one quantized type. lanes_quants.h includes it
 * once per type. Parameters, undefined again at the end:
 *
 *     TYPE       the type: MAT_Q8, ...
 *     NAME(f)    the name of its function f: f_q8, ...
 *     BYTES      defined if the type stores bytes, which are multiplied without unpacking
 */

/*
 * GEMV of `tiles` tiles side by side. tiles is a constant where inlined. next: bytes from the end
 * of a tile to the next tile of its stream.
 */
ALWAYS_INLINE void NAME(walk_tiles)(v16 *acc, const struct quant_tile *tile, int cols, const struct quants *x,
                                    int tiles, size_t next)
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
            const size_t ahead = offset + QUANT_AHEAD < bytes ? QUANT_AHEAD : QUANT_AHEAD + next;
            for (int t = 0; t < tiles; t++)
                for (size_t line = 0; line < group_bytes; line += 64)
                    __builtin_prefetch(tile[t].q + offset + line + ahead);
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

static void NAME(quant_gemv)(float *y, const struct mat *w, const struct quants *x, int begin, int end)
{
    const int last = quant_tiles(end);
    const size_t bytes = quant_tile_bytes(TYPE, w->cols);
    v16 acc[QUANT_STREAMS];
    struct quant_tile tile[QUANT_STREAMS];
    int i = begin / QUANT_ROWS;
    if (begin >= end)
        return;
    for (; i + QUANT_STREAMS <= last; i += QUANT_STREAMS) {
        for (int t = 0; t < QUANT_STREAMS; t++)
            tile[t] = quant_tile(w, i + t);
        NAME(walk_tiles)(acc, tile, w->cols, x, QUANT_STREAMS, (QUANT_STREAMS - 1) * bytes);
        for (int t = 0; t < QUANT_STREAMS; t++)
            store_rows(y, i + t, acc[t], begin, end);
    }
    for (; i < last; i++) {
        tile[0] = quant_tile(w, i);
        NAME(walk_tiles)(acc, tile, w->cols, x, 1, 0);
        store_rows(y, i, acc[0], begin, end);
    }
}

#if defined(QUANT_PACKED) && !defined(BYTES)
/* y[token][16] = W x for one tile as stored. */
ALWAYS_INLINE void NAME(multiply_packed)(float *y, const struct quant_tile *tile, int cols, const struct quants *x,
                                         int tokens)
{
    const size_t padded = (size_t)quant_cols(cols), blocks = (size_t)quant_blocks(cols),
                 groups_per_vector = padded / QUANT_GROUP;
    for (size_t b = 0; b < blocks; b++) {
        n16 sums[QUANT_TOKENS];
        for (int n = 0; n < tokens; n++)
            sums[n] = n_zero();
        for (size_t g = b * GROUPS; g < b * GROUPS + (size_t)quant_groups_of(cols, (int)b); g++)
            NAME(add_group_of)
        (sums, tile->q + g * quant_group_bytes(TYPE), tile->s + g * quant_s_bytes(TYPE), x->q + g * QUANT_GROUP, padded,
         x->sum + g, groups_per_vector, tokens);
        for (int n = 0; n < tokens; n++) {
            float *const to = y + 16 * n;
            const v16 previous = b == 0 ? v_zero() : v_load(to, 16);
            v_store(to, add_block(previous, sums[n], tile->scale + b * QUANT_ROWS, x->scale[(size_t)n * blocks + b]),
                    16);
        }
    }
}

#define DEFINE_PACKED(tokens)                                                                     \
    static void NAME(multiply_packed_##tokens)(float *y, const struct quant_tile *tile, int cols, \
                                               const struct quants *x)                            \
    {                                                                                             \
        NAME(multiply_packed)(y, tile, cols, x, tokens);                                          \
    }
QUANT_EACH_TOKENS(DEFINE_PACKED)
#define NAME_PACKED(tokens) [tokens] = NAME(multiply_packed_##tokens),
static packed_fn *const NAME(packed)[QUANT_TOKENS + 1] = {QUANT_EACH_TOKENS(NAME_PACKED)};
#undef DEFINE_PACKED
#undef NAME_PACKED
#endif

static void NAME(quant_gemm)(float *y, size_t ldy, const struct mat *w, const struct quants *x, int tokens, int begin,
                             int end, void *scratch)
{
#if defined(BYTES)
    quant_gemm(y, ldy, w, TYPE, x, tokens, begin, end, scratch, NULL);
#elif defined(QUANT_PACKED)
    (void)scratch;
    quant_gemm_packed(y, ldy, w, x, tokens, begin, end, NAME(packed));
#else
    if (tokens == 1)
        NAME(quant_gemv)(y, w, x, begin, end);
    else
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
#if defined(BYTES) || defined(QUANT_PACKED)
    k->few_tokens[TYPE] = 1; /* nothing is unpacked */
#else
    k->few_tokens[TYPE] = NAME(few);
#endif
    k->quant_column_gemv[TYPE] = NAME(quant_column_gemv);
}

#undef TYPE
#undef NAME
#undef BYTES
