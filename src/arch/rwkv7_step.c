/*
 * rwkv7_step.c - RWKV-7 for one token. A layer is five phases with a barrier after each; see
 * step.h.
 */
#include <string.h>

#include "arch/rwkv7.h"
#include "arch/rwkv7_deep.h"
#include "arch/step.h"

/* Buffers private to a thread. */
struct local {
    float *mix[6];             /* [C] the shifted mixes, in the order r w k v a g */
    struct quants mix_q[6];    /* mix, quantized */
    float *low;                /* [Rw + Ra + Rv + Rg] results of the first factors, activated */
    struct quants low_q[4];    /* the parts of low, quantized */
    float *kk, *b, *y;         /* [N] of one head */
    float *deep;               /* for deep_apply; from here on: x070a only (rwkv7_deep.h) */
    float *s_applied;          /* [E] */
    struct quants s_applied_q; /* s_applied, quantized */
};

/* Buffers shared by all threads. */
struct work {
    float *r, *k, *v;        /* [C] */
    float *w, *a, *g, *gate; /* [C] decay, in-context learning rate, output gate, value gate */
    float *v_first;          /* [C] v of layer 0 */
    float *low;              /* [Rw + Ra + Rv + Rg] results of the first low-rank factors */
    float *out;              /* [C] gated heads */
    float *hidden;           /* [F] */
    float *e;                /* [C] ln0(emb[token]); from here on: x070a only */
    float *s_low, *s_row;    /* [E], [E*E] */
    float *s_gate;           /* [F] */
    struct local *local;     /* [threads] */
};

static int low_floats(const struct rwkv7_shape *s)
{
    return s->rank_w + s->rank_a + s->rank_v + s->rank_g;
}

static struct local cut_local(struct scratch *s, const struct rwkv7_shape *shape)
{
    const int ranks[4] = {shape->rank_w, shape->rank_a, shape->rank_v, shape->rank_g};
    const size_t n = (size_t)shape->head_size;
    struct local local = {0};
    for (int i = 0; i < 6; i++) {
        local.mix[i] = scratch_floats(s, (size_t)shape->channels);
        local.mix_q[i] = cut_quants(s, shape->channels, 1);
    }
    local.low = scratch_floats(s, (size_t)low_floats(shape));
    for (int i = 0; i < 4; i++)
        local.low_q[i] = cut_quants(s, ranks[i], 1);
    local.kk = scratch_floats(s, n);
    local.b = scratch_floats(s, n);
    local.y = scratch_floats(s, n);
    if (shape->deep) {
        local.deep = scratch_floats(s, deep_floats(shape->deep));
        local.s_applied = scratch_floats(s, (size_t)shape->deep);
        local.s_applied_q = cut_quants(s, shape->deep, 1);
    }
    return local;
}

void *rwkv7_cut_step(struct scratch *s, const struct rwkv7_model *model, int threads)
{
    const struct rwkv7_shape *shape = &model->shape;
    const size_t side = (size_t)shape->deep;
    struct work *const place = scratch_cut(s, sizeof *place);
    struct work work = {0};
    float **const wide[] = {&work.r, &work.k, &work.v, &work.w, &work.a, &work.g, &work.gate, &work.v_first, &work.out};
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
        *wide[i] = scratch_floats(s, (size_t)shape->channels);
    work.low = scratch_floats(s, (size_t)low_floats(shape));
    work.hidden = scratch_floats(s, (size_t)shape->ffn);
    if (shape->deep) {
        work.e = scratch_floats(s, (size_t)shape->channels);
        work.s_low = scratch_floats(s, side);
        work.s_row = scratch_floats(s, side * side);
        work.s_gate = scratch_floats(s, (size_t)shape->ffn);
    }
    work.local = scratch_cut(s, (size_t)threads * sizeof *work.local);
    for (int rank = 0; rank < threads; rank++) {
        const struct local local = cut_local(s, shape);
        if (work.local)
            work.local[rank] = local;
    }
    if (place)
        *place = work;
    return place;
}

/*
 * Runs one head, from the products of phase 1 to its gated output:
 *     w = exp(-exp(-1/2) sig(w0 + tanh(xw w1) w2))      decay
 *     a = s sig(a0 + xa a1 a2)                          in-context learning rate
 *     g = sig(xg g1) g2                                 output gate
 *     v = v + (v_first - v) sig(v0 + xv v1 v2)          layer 0: v_first = v
 *     kk = normalize(k k_k), b = kk a, k = k (1 + (a - 1) k_a)
 *     S = S (diag(w) - kk b^T) + v k^T
 *     y = S r
 *     out = (norm(y) + (sum r k r_k) v) g
 * s is 1, or 2 in models with the extended range of a (model.h, rate_scale).
 */
static void run_head(const struct step *step, const struct local *local, int layer, int head)
{
    const struct rwkv7_model *model = step->model;
    const struct rwkv7_shape *s = &model->shape;
    const struct kernels *k = &model->compute->kernels;
    const struct rwkv7_layer *l = &rwkv7_layers(model)[layer];
    const struct work *work = step->work;
    const int n = s->head_size, channel = head * n;
    const float *low_w = local->low, *low_a = low_w + s->rank_w, *low_v = low_a + s->rank_a, *low_g = low_v + s->rank_v;
    const struct operand w = {low_w, local->low_q[0]}, a = {low_a, local->low_q[1]}, gate = {low_v, local->low_q[2]},
                         g = {low_g, local->low_q[3]};

    product_gemv(k, work->w, &l->w2, &w, channel, channel + n);
    k->decay(work->w + channel, l->w0 + channel, n);
    product_gemv(k, work->a, &l->a2, &a, channel, channel + n);
    rwkv7_rate(k, work->a + channel, l->a0 + channel, n, model->rate_scale);
    product_gemv(k, work->g, &l->g2, &g, channel, channel + n);
    float *v = work->v + channel;
    if (layer == 0) {
        memcpy(work->v_first + channel, v, (size_t)n * sizeof *v);
    } else {
        product_gemv(k, work->gate, &l->v2, &gate, channel, channel + n);
        k->sigmoid_bias(work->gate + channel, l->v0 + channel, n);
        k->lerp(v, work->v_first + channel, work->gate + channel, n);
    }
    k->key(local->kk, local->b, work->k + channel, work->a + channel, l->k_k + channel, l->k_a + channel, n);

    const struct head_in in = {work->r + channel, work->w + channel, work->k + channel, v, local->kk, local->b};
    k->wkv(local->y, layer_state(model, step->state, layer).wkv + (size_t)channel * (size_t)n, &in, n);
    k->head_out(work->out + channel, local->y, work->r + channel, work->k + channel, l->r_k + channel, v,
                work->g + channel, l->ln_x_weight + channel, l->ln_x_bias + channel, n, model->head_eps);
}

/*
 * Computes hidden of x070a. mix: the shifted mix of the channel mix. Reads u, which is not shifted,
 * from step_thread.u.
 */
static void run_deep(const struct step *step, struct pool *pool, int rank, int layer, const struct operand *mix)
{
    const struct rwkv7_model *model = step->model;
    const struct rwkv7_shape *s = &model->shape;
    const struct kernels *k = &model->compute->kernels;
    const struct rwkv7_layer *l = &rwkv7_layers(model)[layer];
    const struct work *work = step->work;
    const struct local *local = &work->local[rank];
    const struct operand u = {step->threads[rank].u, local->mix_q[1]}, e = {work->e, local->mix_q[2]},
                         applied = {local->s_applied, local->s_applied_q};
    int begin, end;

    operand_quantize(k, &u, l->s1.type, s->channels, 0, 1);
    operand_quantize(k, &e, l->s_emb_x.type, s->channels, 0, 1);
    const struct step_product products[] = {
        {work->hidden, &l->ffn_key, mix}, {work->s_row, &l->s_emb_x, &e}, {work->s_low, &l->s1, &u}};
    step_products(step, pool, rank, products, 3);
    pool_barrier(pool);

    deep_apply(k, local->s_applied, &l->s_emb, step->token, work->s_row, work->s_low, s->deep, local->deep);
    operand_quantize(k, &applied, l->s2.type, s->deep, 0, 1);
    while (pool_share(pool, rank, s->ffn, step_chunk_rows(s->ffn, pool), &begin, &end)) {
        product_gemv(k, work->s_gate, &l->s2, &applied, begin, end);
        k->relu_square(work->hidden + begin, end - begin);
        deep_gate(work->hidden + begin, work->s_gate + begin, l->s0 + begin, end - begin);
    }
}

/*
 * The time mix. With u = LN1(x) and six shifted mixes xc = u + (att_prev - u) x_c, c = r w k v a g:
 *     r = R xr    k = K xk    v = V xv    and the first low-rank factors of w, a, v and g
 *     out = heads, see run_head
 *     x += O out
 */
static void time_mix(struct step *step, struct pool *pool, int rank, int layer)
{
    const struct rwkv7_model *model = step->model;
    const struct rwkv7_shape *s = &model->shape;
    const struct kernels *k = &model->compute->kernels;
    const struct rwkv7_layer *l = &rwkv7_layers(model)[layer];
    const struct layer_state state = layer_state(model, step->state, layer);
    const struct work *work = step->work;
    const struct local *local = &work->local[rank];
    float *const u = step->threads[rank].u;
    const int ranks[4] = {s->rank_w, s->rank_a, s->rank_v, s->rank_g};
    float *low_w = work->low, *low_a = low_w + s->rank_w, *low_v = low_a + s->rank_a, *low_g = low_v + s->rank_v;
    int begin, end;

    /* Phase 1: u, its mixes, and all products that take a mix. */
    k->layer_norm(u, step->x, l->ln1_weight, l->ln1_bias, s->channels, model->ln_eps);
    const float *const shifts[6] = {l->x_r, l->x_w, l->x_k, l->x_v, l->x_a, l->x_g};
    const enum mat_type types[6] = {l->receptance.type, l->w1.type, l->key.type, operand_type(&l->value, &l->v1),
                                    l->a1.type,         l->g1.type};
    struct operand mixes[6];
    for (int i = 0; i < 6; i++) {
        k->shift(local->mix[i], u, state.att_prev, shifts[i], s->channels);
        mixes[i] = (struct operand){local->mix[i], local->mix_q[i]};
        operand_quantize(k, &mixes[i], types[i], s->channels, 0, 1);
    }
    const struct step_product products[] = {
        {work->r, &l->receptance, &mixes[0]}, {work->k, &l->key, &mixes[2]}, {work->v, &l->value, &mixes[3]},
        {low_w, &l->w1, &mixes[1]},           {low_a, &l->a1, &mixes[4]},    {low_g, &l->g1, &mixes[5]},
        {low_v, &l->v1, &mixes[3]}, /* last, because layer 0 has no v1 */
    };
    step_products(step, pool, rank, products, layer == 0 ? 6 : 7);
    pool_barrier(pool);

    /*
     * Phase 2: activations, and the heads. att_prev = u, since all threads have read the old one.
     */
    step_share(s->channels, rank, pool, &begin, &end);
    memcpy(state.att_prev + begin, u + begin, (size_t)(end - begin) * sizeof *u);
    memcpy(local->low, work->low, (size_t)low_floats(s) * sizeof *local->low);
    k->tanh(local->low, s->rank_w);
    k->sigmoid(local->low + s->rank_w + s->rank_a + s->rank_v, s->rank_g);
    const struct mat *const second_factors[4] = {&l->w2, &l->a2, &l->v2, &l->g2};
    const float *part = local->low;
    for (int i = 0; i < 4; part += ranks[i++]) {
        const struct operand o = {part, local->low_q[i]};
        operand_quantize(k, &o, second_factors[i]->type, ranks[i], 0, 1);
    }
    while (pool_share(pool, rank, s->heads, 1, &begin, &end))
        run_head(step, local, layer, begin);
    pool_barrier(pool);

    /* Phase 3: x += O out. */
    step_add_product(step, pool, rank, &l->output, work->out, NULL);
    pool_barrier(pool);
}

/*
 * The channel mix. With u = LN2(x):
 *     hidden = relu(Kf (u + (ffn_prev - u) x_k))^2
 *     x += Vf hidden
 */
static void channel_mix(struct step *step, struct pool *pool, int rank, int layer)
{
    const struct rwkv7_model *model = step->model;
    const struct rwkv7_shape *s = &model->shape;
    const struct kernels *k = &model->compute->kernels;
    const struct rwkv7_layer *l = &rwkv7_layers(model)[layer];
    const struct layer_state state = layer_state(model, step->state, layer);
    const struct work *work = step->work;
    const struct local *local = &work->local[rank];
    float *const u = step->threads[rank].u;
    int begin, end;

    /* Phase 4: hidden. */
    k->layer_norm(u, step->x, l->ln2_weight, l->ln2_bias, s->channels, model->ln_eps);
    k->shift(local->mix[0], u, state.ffn_prev, l->ffn_x_k, s->channels);
    const struct operand mix = {local->mix[0], local->mix_q[0]};
    operand_quantize(k, &mix, l->ffn_key.type, s->channels, 0, 1);
    if (s->deep)
        run_deep(step, pool, rank, layer, &mix);
    else
        while (pool_share(pool, rank, s->ffn, step_chunk_rows(s->ffn, pool), &begin, &end)) {
            product_gemv(k, work->hidden, &l->ffn_key, &mix, begin, end);
            k->relu_square(work->hidden + begin, end - begin);
        }
    pool_barrier(pool);

    /* Phase 5: ffn_prev = u; x += Vf hidden. */
    step_share(s->channels, rank, pool, &begin, &end);
    memcpy(state.ffn_prev + begin, u + begin, (size_t)(end - begin) * sizeof *u);
    step_add_sparse(step, pool, rank, &l->ffn_value, work->hidden, NULL);
    pool_barrier(pool);
}

void rwkv7_step(struct step *step, struct pool *pool, int rank, int layer)
{
    const struct work *work = step->work;
    if (work->e && layer == 0 && rank == 0) /* x is the embedding until phase 3 changes it */
        memcpy(work->e, step->x, (size_t)step->model->shape.channels * sizeof *work->e);
    time_mix(step, pool, rank, layer);
    channel_mix(step, pool, rank, layer);
}
