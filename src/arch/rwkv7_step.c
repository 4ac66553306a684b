/* rwkv7_step.c - RWKV-7 for one token. A layer is five phases, see step.h. */
#include <string.h>

#include "arch/rwkv7.h"
#include "arch/rwkv7_deep.h"
#include "arch/step.h"

/* Private to a thread: six shifted mixes, activated low-rank vectors, and one head's key and output. */
struct own {
    float *mix[6];         /* [C] in the order r w k v a g */
    struct quants many[6]; /* integers of the mixes */
    float *low;            /* [Rw + Ra + Rv + Rg] */
    struct quants few[4];  /* integers of the parts of low */
    float *kk, *b, *y;     /* [N] */
    float *deep;           /* of deep_apply; this and what follows: for x070a, see rwkv7_deep.h */
    float *s_applied;      /* [E] */
    struct quants s_few;   /* integers of s_applied */
};

/* Shared by all threads. */
struct work {
    float *r, *k, *v;        /* [C] */
    float *w, *a, *g, *gate; /* [C] decay, rate, output gate, value gate */
    float *v_first;          /* [C] values of layer 0 */
    float *low;              /* [Rw + Ra + Rv + Rg] first halves of the low-rank products, before their activation */
    float *out;              /* [C] gated heads */
    float *hidden;           /* [F] */
    float *e;                /* [C] the embedding behind its norm; this and what follows: for x070a */
    float *s_low, *s_row;    /* [E], [E*E] */
    float *s_gate;           /* [F] */
    struct own *own;         /* [threads] */
};

static int low_floats(const struct rwkv7_shape *s)
{
    return s->rank_w + s->rank_a + s->rank_v + s->rank_g;
}

static struct own cut_own(struct scratch *s, const struct rwkv7_shape *shape)
{
    const int ranks[4] = {shape->rank_w, shape->rank_a, shape->rank_v, shape->rank_g};
    const size_t n = (size_t)shape->head_size;
    struct own own = {0};
    for (int i = 0; i < 6; i++) {
        own.mix[i] = scratch_floats(s, (size_t)shape->channels);
        own.many[i] = cut_quants(s, shape->channels, 1);
    }
    own.low = scratch_floats(s, (size_t)low_floats(shape));
    for (int i = 0; i < 4; i++)
        own.few[i] = cut_quants(s, ranks[i], 1);
    own.kk = scratch_floats(s, n);
    own.b = scratch_floats(s, n);
    own.y = scratch_floats(s, n);
    if (shape->deep) {
        own.deep = scratch_floats(s, deep_floats(shape->deep));
        own.s_applied = scratch_floats(s, (size_t)shape->deep);
        own.s_few = cut_quants(s, shape->deep, 1);
    }
    return own;
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
    work.own = scratch_cut(s, (size_t)threads * sizeof *work.own);
    for (int rank = 0; rank < threads; rank++) {
        const struct own own = cut_own(s, shape);
        if (work.own)
            work.own[rank] = own;
    }
    if (place)
        *place = work;
    return place;
}

/*
 * One head, from the products of the phases before to its gated output:
 *     w = exp(-exp(-1/2) sig(w0 + tanh(xw w1) w2))     a = s sig(a0 + xa a1 a2)   g = sig(xg g1) g2
 *     v = v + (v_first - v) sig(v0 + xv v1 v2)         (layer 0: v_first = v)
 *     kk = normalise(k k_k), b = kk a, k = k (1 + (a - 1) k_a)
 *     S = S (diag(w) - kk b^T) + v k^T, y = S r
 *     out = (norm(y) + (sum r k r_k) v) g
 * s is 1, or 2 in models whose rate has the extended range (model.h, rate_scale).
 */
static void run_head(const struct step *step, const struct own *own, int layer, int head)
{
    const struct rwkv7_model *model = step->model;
    const struct rwkv7_shape *s = &model->shape;
    const struct kernels *k = &model->compute->kernels;
    const struct rwkv7_layer *l = &rwkv7_layers(model)[layer];
    const struct work *work = step->work;
    const int n = s->head_size, at = head * n;
    const float *low_w = own->low, *low_a = low_w + s->rank_w, *low_v = low_a + s->rank_a, *low_g = low_v + s->rank_v;
    const struct operand w = {low_w, own->few[0]}, a = {low_a, own->few[1]}, gate = {low_v, own->few[2]},
                         g = {low_g, own->few[3]};

    product_gemv(k, work->w, &l->w2, &w, at, at + n);
    k->decay(work->w + at, l->w0 + at, n);
    product_gemv(k, work->a, &l->a2, &a, at, at + n);
    rwkv7_rate(k, work->a + at, l->a0 + at, n, model->rate_scale);
    product_gemv(k, work->g, &l->g2, &g, at, at + n);
    float *v = work->v + at;
    if (layer == 0) {
        memcpy(work->v_first + at, v, (size_t)n * sizeof *v);
    } else {
        product_gemv(k, work->gate, &l->v2, &gate, at, at + n);
        k->sigmoid_bias(work->gate + at, l->v0 + at, n);
        k->lerp(v, work->v_first + at, work->gate + at, n);
    }
    k->key(own->kk, own->b, work->k + at, work->a + at, l->k_k + at, l->k_a + at, n);

    const struct head_in in = {work->r + at, work->w + at, work->k + at, v, own->kk, own->b};
    k->wkv(own->y, layer_state(model, step->state, layer).wkv + (size_t)at * (size_t)n, &in, n);
    k->head_out(work->out + at, own->y, work->r + at, work->k + at, l->r_k + at, v, work->g + at, l->ln_x_weight + at,
                l->ln_x_bias + at, n, model->head_eps);
}

/* hidden of x070a; the mix is that of the channel mix, step_thread.u the vector before its shift. */
static void run_deep(const struct step *step, struct pool *pool, int rank, int layer, const struct operand *mix)
{
    const struct rwkv7_model *model = step->model;
    const struct rwkv7_shape *s = &model->shape;
    const struct kernels *k = &model->compute->kernels;
    const struct rwkv7_layer *l = &rwkv7_layers(model)[layer];
    const struct work *work = step->work;
    const struct own *own = &work->own[rank];
    const struct operand u = {step->threads[rank].u, own->many[1]}, e = {work->e, own->many[2]},
                         applied = {own->s_applied, own->s_few};
    int begin, end;

    operand_quantize(k, &u, l->s1.type, s->channels, 0, 1);
    operand_quantize(k, &e, l->s_emb_x.type, s->channels, 0, 1);
    const struct step_product products[] = {
        {work->hidden, &l->ffn_key, mix}, {work->s_row, &l->s_emb_x, &e}, {work->s_low, &l->s1, &u}};
    step_products(step, pool, rank, products, 3);
    pool_barrier(pool);

    deep_apply(k, own->s_applied, &l->s_emb, step->token, work->s_row, work->s_low, s->deep, own->deep);
    operand_quantize(k, &applied, l->s2.type, s->deep, 0, 1);
    while (pool_share(pool, rank, s->ffn, step_chunk_rows(s->ffn, pool), &begin, &end)) {
        product_gemv(k, work->s_gate, &l->s2, &applied, begin, end);
        k->relu_square(work->hidden + begin, end - begin);
        deep_gate(work->hidden + begin, work->s_gate + begin, l->s0 + begin, end - begin);
    }
}

/*
 * The time mix, x += time_mix(LN(x)), with u = LN(x) and the products of u's six mixes u + (att_prev - u) x_*:
 *     r = R xr    k = K xk    v = V xv    and the first halves of the low-rank products of w, a, v and g
 */
static void time_mix(struct step *step, struct pool *pool, int rank, int layer)
{
    const struct rwkv7_model *model = step->model;
    const struct rwkv7_shape *s = &model->shape;
    const struct kernels *k = &model->compute->kernels;
    const struct rwkv7_layer *l = &rwkv7_layers(model)[layer];
    const struct layer_state state = layer_state(model, step->state, layer);
    const struct work *work = step->work;
    const struct own *own = &work->own[rank];
    float *const u = step->threads[rank].u;
    const int ranks[4] = {s->rank_w, s->rank_a, s->rank_v, s->rank_g};
    float *low_w = work->low, *low_a = low_w + s->rank_w, *low_v = low_a + s->rank_a, *low_g = low_v + s->rank_v;
    int begin, end;

    /* 1. u, its mixes, all products that start from them. */
    k->layer_norm(u, step->x, l->ln1_weight, l->ln1_bias, s->channels, model->ln_eps);
    const float *const shifts[6] = {l->x_r, l->x_w, l->x_k, l->x_v, l->x_a, l->x_g};
    const enum mat_type types[6] = {l->receptance.type, l->w1.type, l->key.type, operand_type(&l->value, &l->v1),
                                    l->a1.type,         l->g1.type};
    struct operand mixes[6];
    for (int i = 0; i < 6; i++) {
        k->shift(own->mix[i], u, state.att_prev, shifts[i], s->channels);
        mixes[i] = (struct operand){own->mix[i], own->many[i]};
        operand_quantize(k, &mixes[i], types[i], s->channels, 0, 1);
    }
    const struct step_product products[] = {
        {work->r, &l->receptance, &mixes[0]}, {work->k, &l->key, &mixes[2]}, {work->v, &l->value, &mixes[3]},
        {low_w, &l->w1, &mixes[1]},           {low_a, &l->a1, &mixes[4]},    {low_g, &l->g1, &mixes[5]},
        {low_v, &l->v1, &mixes[3]}, /* last: absent in layer 0 */
    };
    step_products(step, pool, rank, products, layer == 0 ? 6 : 7);
    pool_barrier(pool);

    /* 2. Heads: second halves of the low-rank products, recurrence, norm, bonus, gate. */
    step_share(s->channels, rank, pool, &begin, &end);
    memcpy(state.att_prev + begin, u + begin, (size_t)(end - begin) * sizeof *u);
    memcpy(own->low, work->low, (size_t)low_floats(s) * sizeof *own->low);
    k->tanh(own->low, s->rank_w);
    k->sigmoid(own->low + s->rank_w + s->rank_a + s->rank_v, s->rank_g);
    const struct mat *const seconds[4] = {&l->w2, &l->a2, &l->v2, &l->g2};
    const float *part = own->low;
    for (int i = 0; i < 4; part += ranks[i++]) {
        const struct operand o = {part, own->few[i]};
        operand_quantize(k, &o, seconds[i]->type, ranks[i], 0, 1);
    }
    while (pool_share(pool, rank, s->heads, 1, &begin, &end))
        run_head(step, own, layer, begin);
    pool_barrier(pool);

    /* 3. x += O out */
    step_add_product(step, pool, rank, &l->output, work->out, NULL);
    pool_barrier(pool);
}

/* The channel mix, x += Vf relu(Kf (u + (ffn_prev - u) x_k))^2 with u = LN(x). */
static void channel_mix(struct step *step, struct pool *pool, int rank, int layer)
{
    const struct rwkv7_model *model = step->model;
    const struct rwkv7_shape *s = &model->shape;
    const struct kernels *k = &model->compute->kernels;
    const struct rwkv7_layer *l = &rwkv7_layers(model)[layer];
    const struct layer_state state = layer_state(model, step->state, layer);
    const struct work *work = step->work;
    const struct own *own = &work->own[rank];
    float *const u = step->threads[rank].u;
    int begin, end;

    /* 4. hidden */
    k->layer_norm(u, step->x, l->ln2_weight, l->ln2_bias, s->channels, model->ln_eps);
    k->shift(own->mix[0], u, state.ffn_prev, l->ffn_x_k, s->channels);
    const struct operand mix = {own->mix[0], own->many[0]};
    operand_quantize(k, &mix, l->ffn_key.type, s->channels, 0, 1);
    if (s->deep)
        run_deep(step, pool, rank, layer, &mix);
    else
        while (pool_share(pool, rank, s->ffn, step_chunk_rows(s->ffn, pool), &begin, &end)) {
            product_gemv(k, work->hidden, &l->ffn_key, &mix, begin, end);
            k->relu_square(work->hidden + begin, end - begin);
        }
    pool_barrier(pool);

    /* 5. x += Vf hidden */
    step_share(s->channels, rank, pool, &begin, &end);
    memcpy(state.ffn_prev + begin, u + begin, (size_t)(end - begin) * sizeof *u);
    step_add_sparse(step, pool, rank, &l->ffn_value, work->hidden, NULL);
    pool_barrier(pool);
}

void rwkv7_step(struct step *step, struct pool *pool, int rank, int layer)
{
    const struct work *work = step->work;
    if (work->e && layer == 0 && rank == 0) /* x is the embedding until phase 3 */
        memcpy(work->e, step->x, (size_t)step->model->shape.channels * sizeof *work->e);
    time_mix(step, pool, rank, layer);
    channel_mix(step, pool, rank, layer);
}
