/*
 * rwkv7_chunk.c - RWKV-7 for several tokens; see chunk.h. The equations are in rwkv7_step.c.
 *
 * The second low-rank factors are applied head by head: for a few tokens at a time, just before the
 * recurrence of these tokens, while the results are in the cache.
 */
#include <string.h>

#include "arch/chunk.h"
#include "arch/rwkv7.h"
#include "arch/rwkv7_deep.h"

enum { MIX_R, MIX_W, MIX_K, MIX_V, MIX_A, MIX_G, MIXES };
enum { LOW_W, LOW_A, LOW_V, LOW_G, LOWS };

/* Buffers private to a thread. */
struct local {
    float *scan;                 /* [LOWS][tuning.scan_tokens][N or more] for scan_head */
    float *k, *v, *kk, *b, *out; /* [N] of one head and token */
    float *deep;                 /* for deep_apply */
};

/* Buffers shared by all threads. */
struct work {
    float *r, *k, *v;          /* [T][C]; the gated heads overwrite r */
    float *v_first;            /* [T][C] v of layer 0 */
    struct vectors mix[MIXES]; /* of C elements; the channel mix uses the first */
    struct vectors low[LOWS];  /* of Rw, Ra, Rv, Rg elements; always with floats */
    struct vectors out;        /* the gated heads in r, whose quantized form reuses a mix */
    struct vectors hidden;     /* of F elements; overlaps all mixes but the first */
    /* x070a only (rwkv7_deep.h): */
    struct vectors e;                /* ln0(emb[token]), of C elements */
    float *s_row, *s_low;            /* [T][E*E], [T][E] */
    struct vectors s_applied;        /* of E elements */
    float *no_shift;                 /* [C] zeroes: token-shift weights of the mix that equals u */
    const struct rwkv7_layer *gated; /* the current layer, for gate_hidden */
    struct local *local;             /* [threads] */
};

static struct local cut_local(struct scratch *s, const struct rwkv7_model *model)
{
    const struct rwkv7_shape *shape = &model->shape;
    const size_t n = (size_t)shape->head_size;
    struct local local = {0};
    float **const head_wide[] = {&local.k, &local.v, &local.kk, &local.b, &local.out};
    local.scan = scratch_floats(s, LOWS * (size_t)model->compute->kernels.tuning.scan_tokens * (n + QUANT_ROWS));
    for (size_t i = 0; i < sizeof head_wide / sizeof head_wide[0]; i++)
        *head_wide[i] = scratch_floats(s, n);
    local.deep = shape->deep ? scratch_floats(s, deep_floats(shape->deep)) : NULL;
    return local;
}

void *rwkv7_cut_chunk(struct scratch *s, const struct rwkv7_model *model, int tokens, int threads)
{
    const struct rwkv7_shape *shape = &model->shape;
    const bool integers = model->needs.integers;
    const size_t t = (size_t)tokens, channels = (size_t)shape->channels, side = (size_t)shape->deep;
    const int ranks[LOWS] = {shape->rank_w, shape->rank_a, shape->rank_v, shape->rank_g};
    struct work *const place = scratch_cut(s, sizeof *place);
    struct work work = {0};

    float **const wide[] = {&work.r, &work.k, &work.v, &work.v_first};
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
        *wide[i] = scratch_floats(s, t * channels);
    for (int i = 0; i < LOWS; i++)
        work.low[i] = cut_vectors(s, ranks[i], t, true, integers);
    cut_mixes(s, model, t, work.mix, MIXES, 1, &work.hidden);
    work.out = (struct vectors){shape->channels, work.r, work.mix[1].quants};
    if (shape->deep) {
        work.e = cut_vectors(s, shape->channels, t, true, integers);
        work.s_row = scratch_floats(s, t * side * side);
        work.s_low = scratch_floats(s, t * side);
        work.s_applied = cut_vectors(s, shape->deep, t, true, integers);
        work.no_shift = scratch_floats(s, channels);
        if (work.no_shift)
            memset(work.no_shift, 0, channels * sizeof *work.no_shift);
    }
    work.local = scratch_cut(s, (size_t)threads * sizeof *work.local);
    for (int rank = 0; rank < threads; rank++) {
        const struct local local = cut_local(s, model);
        if (work.local)
            work.local[rank] = local;
    }
    if (place)
        *place = work;
    return place;
}

/* ------------------------------------------------------------------------------------- products */

/* Gates rows [begin, end) of hidden of one token (x070a). y starts at row `begin`. */
static void gate_hidden(const struct chunk *c, float *y, int token, int begin, int end)
{
    const struct work *work = c->work;
    const struct rwkv7_layer *l = work->gated;
    const struct mat rows = product_rows(&l->s2, begin, end, NULL);
    const struct operand x = vectors_operand(&work->s_applied, rows.type, token);
    float gate[QUANT_BLOCK];
    product_gemv(&c->model->compute->kernels, gate, &rows, &x, 0, rows.rows);
    deep_gate(y, gate, l->s0 + begin, end - begin);
}

/* hidden of x070a = relu(y)^2 gate. */
static void finish_gated(const struct chunk *c, const struct chunk_product *p, float *y, size_t ldy, int token,
                         int tokens, int begin, int end)
{
    for (int t = token; t < token + tokens; t++, y += ldy) {
        c->model->compute->kernels.relu_square(y, end - begin);
        gate_hidden(c, y, t, begin, end);
        chunk_quantize_rows(c, p, y, t, begin, end);
    }
}

static void finish_low_w(const struct chunk *c, const struct chunk_product *p, float *y, size_t ldy, int token,
                         int tokens, int begin, int end)
{
    c->model->compute->kernels.tanh(y, tokens * end);
    chunk_finish_low(c, p, y, ldy, token, tokens, begin, end);
}

static void finish_low_g(const struct chunk *c, const struct chunk_product *p, float *y, size_t ldy, int token,
                         int tokens, int begin, int end)
{
    c->model->compute->kernels.sigmoid(y, tokens * end);
    chunk_finish_low(c, p, y, ldy, token, tokens, begin, end);
}

/* ------------------------------------------------------------------------------------- time mix */

/*
 * Runs one head over a piece; the equations are those of run_head in rwkv7_step.c. Tokens before
 * `first` only update the state.
 */
static void scan_head(const struct chunk *c, int rank, const struct piece *piece, int layer, int head, int first)
{
    const struct rwkv7_model *model = c->model;
    const struct kernels *k = &model->compute->kernels;
    const struct rwkv7_layer *l = &rwkv7_layers(model)[layer];
    const struct work *work = c->work;
    const struct local *local = &work->local[rank];
    float *const scratch = c->threads[rank].scratch;
    const int n = model->shape.head_size, channel = head * n, start = channel / QUANT_ROWS * QUANT_ROWS;
    const size_t channels = (size_t)model->shape.channels, ld = (size_t)channel - (size_t)start + (size_t)n,
                 bytes = (size_t)n * sizeof(float);
    float *const S = chunk_head_state(c, rank, piece, layer, head);
    const struct mat *const second_factors[LOWS] = {&l->w2, &l->a2, &l->v2, &l->g2};
    const int max_batch = k->tuning.scan_tokens;
    float *second[LOWS]; /* results of the second factors, [max_batch][ld] */
    const int piece_end = piece->first + piece->count;
    for (int token = piece->first, batch; token < piece_end; token += batch) {
        batch = piece_end - token < max_batch ? piece_end - token : max_batch;
        /* The second factors of w, a, v and g, for the tokens of a batch. */
        for (int i = 0; i < LOWS; i++) {
            float *const y = local->scan + (size_t)(i * max_batch) * ld;
            second[i] = y + (channel - start);
            if ((i == LOW_V && layer == 0) || (i == LOW_G && token + batch <= first))
                continue;
            const struct mat rows = product_rows(second_factors[i], start, channel + n, NULL);
            const struct operand x = vectors_operand(&work->low[i], rows.type, token);
            product_gemm(k, y, ld, &rows, &x, batch, scratch);
        }
        /* The head, token by token. */
        for (int t = token; t < token + batch; t++) {
            const size_t i = (size_t)t * channels + (size_t)channel, of_t = (size_t)(t - token) * ld;
            float *const w = second[LOW_W] + of_t, *const a = second[LOW_A] + of_t, *const gate = second[LOW_V] + of_t;
            k->decay(w, l->w0 + channel, n);
            rwkv7_rate(k, a, l->a0 + channel, n, model->rate_scale);
            if (layer == 0) {
                memcpy(local->v, work->v_first + i, bytes);
            } else {
                memcpy(local->v, work->v + i, bytes);
                k->sigmoid_bias(gate, l->v0 + channel, n);
                k->lerp(local->v, work->v_first + i, gate, n);
            }
            memcpy(local->k, work->k + i, bytes);
            k->key(local->kk, local->b, local->k, a, l->k_k + channel, l->k_a + channel, n);
            const struct head_in in = {work->r + i, w, local->k, local->v, local->kk, local->b};
            chunk_record(c, piece, layer, t, channel, n, (const float *const[]){in.w, in.k, in.v, in.kk, in.b});
            k->wkv(local->out, S, &in, n);
            if (t < first)
                continue;
            k->head_out(local->out, local->out, in.r, local->k, l->r_k + channel, local->v, second[LOW_G] + of_t,
                        l->ln_x_weight + channel, l->ln_x_bias + channel, n, model->head_eps);
            memcpy(work->r + i, local->out, bytes);
        }
    }
}

void rwkv7_replay(const struct rwkv7_model *model, float *state, const struct replay *replay, int layer, int begin,
                  int end, int count)
{
    const int n = end - begin;
    float *const S = layer_state(model, state, layer).wkv + (size_t)begin * (size_t)n;
    float out[WKV_MAX_N]; /* not needed, and so is r */
    for (int t = 0; t < count; t++) {
        const float *inputs[RWKV7_INPUTS];
        for (int i = 0; i < RWKV7_INPUTS; i++)
            inputs[i] = replay_at(model, replay, layer, t, RECORD_INPUT + i, begin);
        const struct head_in in = {inputs[0], inputs[0], inputs[1], inputs[2], inputs[3], inputs[4]};
        model->compute->kernels.wkv(out, S, &in, n);
    }
}

static void time_mix(const struct chunk *c, struct pool *pool, int rank, int layer, int first)
{
    const struct rwkv7_shape *s = &c->model->shape;
    const struct rwkv7_layer *l = &rwkv7_layers(c->model)[layer];
    struct work *work = c->work;
    struct vectors *mix = work->mix, *low = work->low;
    int begin, end;

    /* The six mixes of all tokens; att_prev = u of the last token of each piece. */
    const struct shifts shifts = {
        l->ln1_weight, l->ln1_bias, STATE_ATT_PREV, {l->x_r, l->x_w, l->x_k, l->x_v, l->x_a, l->x_g}, mix, MIXES};
    chunk_shift(c, pool, rank, layer, &shifts, 0);
    chunk_remember(c, rank, layer, &shifts);

    /* r = R xr, k = K xk, v = V xv, and the first low-rank factors of g, w, a and v. */
    float *const v = layer == 0 ? work->v_first : work->v;
    const struct chunk_product products[] = {
        chunk_low_product(&l->g1, &mix[MIX_G], &low[LOW_G], &l->g2, finish_low_g, first),
        chunk_low_product(&l->w1, &mix[MIX_W], &low[LOW_W], &l->w2, finish_low_w, 0),
        chunk_low_product(&l->a1, &mix[MIX_A], &low[LOW_A], &l->a2, chunk_finish_low, 0),
        {.w = &l->receptance, .x = &mix[MIX_R], .y = work->r, .first = first},
        {.w = &l->key, .x = &mix[MIX_K], .y = work->k},
        {.w = &l->value, .x = &mix[MIX_V], .y = v},
        /* last, because layer 0 has no v1: */
        chunk_low_product(&l->v1, &mix[MIX_V], &low[LOW_V], &l->v2, chunk_finish_low, 0),
    };
    chunk_products(c, pool, rank, products, layer == 0 ? 6 : 7, c->count);

    /* The recurrence: one task is a head of one piece. */
    while (pool_take(pool, s->heads * c->piece_count, 1, &begin, &end))
        scan_head(c, rank, &c->pieces[begin / s->heads], layer, begin % s->heads, first);
    pool_barrier(pool);

    /* x += O out. */
    chunk_add_output(c, pool, rank, &l->output, &work->out, first);
}

/* ---------------------------------------------------------------------------------- channel mix */

/* Computes s_applied of x070a for tokens from `first` on. mix[1] is u. */
static void run_deep(const struct chunk *c, struct pool *pool, int rank, const struct rwkv7_layer *l, int first)
{
    const struct kernels *k = &c->model->compute->kernels;
    struct work *work = c->work;
    const size_t side = (size_t)c->model->shape.deep;
    const struct chunk_product products[] = {
        {.w = &l->s_emb_x, .x = &work->e, .y = work->s_row, .first = first},
        {.w = &l->s1, .x = &work->mix[1], .y = work->s_low, .first = first},
    };
    int begin, end;
    if (rank == 0)
        work->gated = l;
    chunk_products(c, pool, rank, products, 2, c->count);
    while (pool_take(pool, c->count - first, chunk_token_task(c, pool), &begin, &end)) {
        for (int t = first + begin; t < first + end; t++) {
            const struct piece *p = &c->pieces[c->piece[t]];
            deep_apply(k, work->s_applied.x + (size_t)t * side, &l->s_emb, p->tokens[t - p->first],
                       work->s_row + (size_t)t * side * side, work->s_low + (size_t)t * side, (int)side,
                       work->local[rank].deep);
        }
        vectors_quantize(k, &work->s_applied, l->s2.type, first + begin, first + end);
    }
    pool_barrier(pool);
}

static void channel_mix(const struct chunk *c, struct pool *pool, int rank, int layer, int first)
{
    const struct rwkv7_shape *s = &c->model->shape;
    const struct rwkv7_layer *l = &rwkv7_layers(c->model)[layer];
    struct work *work = c->work;

    /* xk of all tokens (x070a: u as well); ffn_prev = u of the last token of each piece. */
    const struct shifts shifts = {l->ln2_weight, l->ln2_bias,    STATE_FFN_PREV, {l->ffn_x_k, work->no_shift},
                                  work->mix,     s->deep ? 2 : 1};
    chunk_shift(c, pool, rank, layer, &shifts, first);
    chunk_remember(c, rank, layer, &shifts);
    if (s->deep)
        run_deep(c, pool, rank, l, first);

    /* hidden = relu(Kf xk)^2 (x070a: gated); x += Vf hidden. */
    struct chunk_product key = chunk_hidden_product(&l->ffn_key, &work->mix[0], first, &work->hidden, &l->ffn_value);
    if (s->deep)
        key.finish = finish_gated;
    chunk_products(c, pool, rank, &key, 1, c->count);
    const struct chunk_product value = {
        .w = &l->ffn_value, .x = &work->hidden, .first = first, .finish = chunk_finish_residual};
    chunk_add_sparse(c, pool, rank, &value);
}

/*
 * Copies the embeddings, which all layers of x070a need. Called before layer 0, while x still holds
 * them.
 */
static void keep_embeddings(const struct chunk *c, struct pool *pool)
{
    const struct work *work = c->work;
    const size_t channels = (size_t)c->model->shape.channels;
    int begin, end;
    while (pool_take(pool, c->count, chunk_token_task(c, pool), &begin, &end)) {
        memcpy(work->e.x + (size_t)begin * channels, c->x + (size_t)begin * channels,
               (size_t)(end - begin) * channels * sizeof(float));
        if (work->e.quants.q)
            vectors_quantize(&c->model->compute->kernels, &work->e, MAT_FLOATS, begin, end);
    }
    pool_barrier(pool);
}

void rwkv7_chunk(struct chunk *c, struct pool *pool, int rank, int layer)
{
    int att_first, ffn_first;
    chunk_needed(c, layer, &att_first, &ffn_first);
    if (c->model->shape.deep && layer == 0)
        keep_embeddings(c, pool);
    time_mix(c, pool, rank, layer, att_first);
    channel_mix(c, pool, rank, layer, ffn_first);
}
