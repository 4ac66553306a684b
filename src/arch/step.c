/*
 * step.c - one token through the model.
 *
 * All threads run through the layers together. A layer is five phases with a barrier after each; inside a phase, rows of
 * matrices or whole heads are taken in chunks. What is small (norms, token shifts, activations of the low-rank products) every
 * thread computes for itself: that is cheaper than one more barrier. No allocation on the way, and no lock and no system call
 * but those of a thread that waits for longer than it spins (base/pool.c).
 *
 * One phase never writes what another thread may still read in it: the shift vectors of the state, for instance, are replaced
 * in the phase after the one that read them.
 */
#include <string.h>

#include "base/mem.h"
#include "arch/deep.h"
#include "weights/model.h"
#include "arch/product.h"

struct step_work {
    void *memory;
    float *x;                /* [C] residual stream */
    float *r, *k, *v;        /* [C] */
    float *w, *a, *g, *gate; /* [C] decay, rate, output gate, value gate */
    float *v_first;          /* [C] values of layer 0 */
    float *low;              /* [Rw + Ra + Rv + Rg] first halves of the low-rank products, before their activation */
    float *out;              /* [C] gated heads; then products on their way to the residual stream */
    float *hidden;           /* [F] */
    float *e;                /* [C] the embedding behind its norm; this and what follows: for x070a, see deep.h */
    float *s_low, *s_row;    /* [E], [E*E] */
    float *s_gate;           /* [F] */
    float **own;             /* [threads] -> own_floats(shape) each */
};

struct step_job {
    struct rwkv7_session *s;
    struct step_work *work;
    uint32_t token;
    float *logits; /* [V] or NULL */
    int bad_layer; /* first layer with a NaN or infinity after it, L for the logits, -1 if none; written by rank 0 */
};

/* Private to a thread: a normalised vector, its six shifted mixes, activated low-rank vectors, and one head's key and output. */
struct own {
    float *u;              /* [C] */
    float *mix[6];         /* [C] in the order r w k v a g */
    float *low;            /* [Rw + Ra + Rv + Rg] */
    float *kk, *b, *y;     /* [N] */
    struct quants many[6]; /* integers of the mixes; [0] has room for F numbers */
    struct quants few[4];  /* integers of the parts of low */
    struct active active;  /* room for F columns */
    float *deep;           /* deep_floats(E) */
    float *s_turned;       /* [E] */
    struct quants s_few;   /* integers of s_turned */
};

/* Rounded up to whole cache lines, so that no two buffers share one. */
static size_t lines(int floats)
{
    return ((size_t)floats + 15) / 16 * 16;
}

static int low_floats(const struct rwkv7_shape *s)
{
    return s->rank_w + s->rank_a + s->rank_v + s->rank_g;
}

static int widest(const struct rwkv7_shape *s)
{
    return s->ffn > s->channels ? s->ffn : s->channels;
}

static size_t own_floats(const struct rwkv7_shape *s)
{
    return 7 * lines(s->channels) + lines(low_floats(s)) + 3 * lines(s->head_size) + quants_floats(widest(s), 1) +
           5 * quants_floats(s->channels, 1) + quants_floats(s->rank_w, 1) + quants_floats(s->rank_a, 1) +
           quants_floats(s->rank_v, 1) + quants_floats(s->rank_g, 1) + lines(s->ffn) +
           (deep_floats(s->deep) + 15) / 16 * 16 + lines(s->deep) + quants_floats(s->deep, 1);
}

static struct own own_of(const struct step_work *work, const struct rwkv7_shape *s, int rank)
{
    struct own o;
    float *at = work->own[rank];
    o.u = at, at += lines(s->channels);
    for (int i = 0; i < 6; i++)
        o.mix[i] = at, at += lines(s->channels);
    o.low = at, at += lines(low_floats(s));
    o.kk = at, at += lines(s->head_size);
    o.b = at, at += lines(s->head_size);
    o.y = at, at += lines(s->head_size);
    for (int i = 0; i < 6; i++) {
        const int cols = i == 0 ? widest(s) : s->channels;
        o.many[i] = quants_at(at, cols, 1), at += quants_floats(cols, 1);
    }
    const int ranks[] = {s->rank_w, s->rank_a, s->rank_v, s->rank_g};
    for (int i = 0; i < 4; i++)
        o.few[i] = quants_at(at, ranks[i], 1), at += quants_floats(ranks[i], 1);
    o.active.column = (int32_t *)(void *)at, at += lines(s->ffn);
    o.deep = at, at += (deep_floats(s->deep) + 15) / 16 * 16;
    o.s_turned = at, at += lines(s->deep);
    o.s_few = quants_at(at, s->deep, 1);
    return o;
}

void step_work_free(struct step_work *work)
{
    if (!work)
        return;
    mem_free(work->memory);
    mem_free(work->own);
    mem_free(work);
}

static size_t work_floats(const struct rwkv7_shape *s, int threads)
{
    const size_t c = lines(s->channels);
    const size_t deep = s->deep ? c + lines(s->deep) + lines(s->deep * s->deep) + lines(s->ffn) : 0;
    return 10 * c + lines(low_floats(s)) + lines(s->ffn) + deep + (size_t)threads * own_floats(s);
}

size_t step_work_bytes(const struct rwkv7_shape *s, int threads)
{
    return work_floats(s, threads) * sizeof(float);
}

static struct step_work *work_new(const struct rwkv7_shape *s, int threads)
{
    struct step_work *work = mem_alloc(1, sizeof *work);
    if (!work)
        return NULL;
    const size_t c = lines(s->channels);
    work->memory = mem_alloc(work_floats(s, threads), sizeof(float));
    work->own = mem_alloc((size_t)threads, sizeof *work->own);
    if (!work->memory || !work->own) {
        step_work_free(work);
        return NULL;
    }
    float *at = work->memory;
    float **const wide[] = {&work->x, &work->r, &work->k, &work->v,    &work->v_first,
                            &work->w, &work->a, &work->g, &work->gate, &work->out};
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
        *wide[i] = at, at += c;
    work->low = at, at += lines(low_floats(s));
    work->hidden = at, at += lines(s->ffn);
    if (s->deep) {
        work->e = at, at += c;
        work->s_low = at, at += lines(s->deep);
        work->s_row = at, at += lines(s->deep * s->deep);
        work->s_gate = at, at += lines(s->ffn);
    }
    for (int rank = 0; rank < threads; rank++)
        work->own[rank] = at, at += own_floats(s);
    return work;
}

/* y = W x as one of several products of a phase that share their rows out together. */
struct product {
    float *y;
    const struct mat *w;
    const struct operand *x;
};

/* Rows per chunk: few enough to share evenly, and a multiple of what the products walk side by side. */
static int chunk_rows(int total, int threads)
{
    enum { LEAST = 64, MOST = 128 };
    const int chunk = total / (threads * 16) / LEAST * LEAST;
    return chunk < LEAST ? LEAST : chunk > MOST ? MOST : chunk;
}

static void run_products(const struct kernels *k, struct pool *pool, int rank, const struct product *products,
                         int count)
{
    int total = 0, begin, end;
    for (int i = 0; i < count; i++)
        total += products[i].w->rows;
    const int chunk = chunk_rows(total, pool_threads(pool));
    while (pool_share(pool, rank, total, chunk, &begin, &end)) {
        int base = 0; /* of the product's rows in the common numbering */
        for (int i = 0; i < count && base < end; base += products[i++].w->rows) {
            const struct product *p = &products[i];
            const int from = begin > base ? begin - base : 0;
            const int to = end - base < p->w->rows ? end - base : p->w->rows;
            if (from < to)
                product_gemv(k, p->y, p->w, p->x, from, to);
        }
    }
}

/* The part of [0, total) that belongs to a thread where it must always be the same part. */
static void fixed_share(int total, int rank, int threads, int *begin, int *end)
{
    *begin = (int)((int64_t)total * rank / threads);
    *end = (int)((int64_t)total * (rank + 1) / threads);
}

/* x += W v for the residual stream, rows in chunks. `quants`: memory for the integers of v. */
static void add_product(const struct kernels *k, struct pool *pool, int rank, struct step_work *work,
                        const struct mat *w, const float *v, const struct quants *quants, float *y)
{
    int begin, end;
    const struct operand o = {v, *quants};
    operand_quantise(k, &o, w->type, w->cols, 0, 1);
    const int chunk = chunk_rows(w->rows, pool_threads(pool));
    while (pool_share(pool, rank, w->rows, chunk, &begin, &end)) {
        product_gemv(k, y, w, &o, begin, end);
        k->add(work->x + begin, y + begin, end - begin);
    }
}

/*
 * One head, from the products of the phases before to its gated output:
 *     w = exp(-exp(-1/2) sig(w0 + tanh(xw w1) w2))     a = sig(a0 + xa a1 a2)     g = sig(xg g1) g2
 *     v = v + (v_first - v) sig(v0 + xv v1 v2)         (layer 0: v_first = v)
 *     kk = normalise(k k_k), b = kk a, k = k (1 + (a - 1) k_a)
 *     S = S (diag(w) - kk b^T) + v k^T, y = S r
 *     out = (norm(y) + (sum r k r_k) v) g
 */
static void run_head(const struct step_job *job, const struct own *own, int layer, int head)
{
    const struct rwkv7_model *model = job->s->model;
    const struct rwkv7_shape *s = &model->shape;
    const struct kernels *k = &model->rt->kernels;
    const struct layer *l = &model->layers[layer];
    struct step_work *work = job->work;
    const int n = s->head_size, at = head * n;
    const float *low_w = own->low, *low_a = low_w + s->rank_w, *low_v = low_a + s->rank_a, *low_g = low_v + s->rank_v;
    const struct operand w = {low_w, own->few[0]}, a = {low_a, own->few[1]}, gate = {low_v, own->few[2]},
                         g = {low_g, own->few[3]};

    product_gemv(k, work->w, &l->w2, &w, at, at + n);
    k->decay(work->w + at, l->w0 + at, n);
    product_gemv(k, work->a, &l->a2, &a, at, at + n);
    k->sigmoid_bias(work->a + at, l->a0 + at, n);
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
    k->wkv(own->y, layer_state(job->s, layer).wkv + (size_t)at * (size_t)n, &in, n);
    k->head_out(work->out + at, own->y, work->r + at, work->k + at, l->r_k + at, v, work->g + at, l->ln_x_weight + at,
                l->ln_x_bias + at, n, model->head_eps);
}

/* The same for a matrix by column: only the columns are read that v does not multiply by zero. */
static void add_columns(const struct kernels *k, struct pool *pool, int rank, struct step_job *job, const struct mat *w,
                        struct own *own)
{
    struct step_work *work = job->work;
    const struct operand o = {work->hidden, own->many[0]};
    int begin, end;
    operand_quantise(k, &o, w->type, w->cols, 0, 1);
    if (w->type < MAT_FLOATS)
        active_floats(&own->active, o.x, w->cols);
    else
        active_quants(&own->active, &o.quants, w->cols);
    if (rank == 0) {
        job->s->columns += (uint64_t)w->cols;
        job->s->columns_read += (uint64_t)own->active.first[16];
    }
    /* A chunk is a piece of every column: one for each thread, to have them long. */
    const int threads = pool_threads(pool), sections = (w->rows + QUANT_SECTION - 1) / QUANT_SECTION;
    const int chunk = (sections + threads - 1) / threads * QUANT_SECTION;
    while (pool_share(pool, rank, w->rows, chunk, &begin, &end)) {
        if (w->type < MAT_FLOATS)
            k->column_gemv[w->type](work->r, w, o.x, &own->active, begin, end);
        else
            k->quant_column_gemv[w->type](work->r, w, &o.quants, &own->active, begin, end);
        k->add(work->x + begin, work->r + begin, end - begin);
    }
}

/* hidden of x070a; the mix is that of the channel mix, own->u the vector before its shift. */
static void run_deep(const struct step_job *job, struct pool *pool, int rank, struct own *own, int layer,
                     const struct operand *mix)
{
    const struct rwkv7_model *model = job->s->model;
    const struct rwkv7_shape *s = &model->shape;
    const struct kernels *k = &model->rt->kernels;
    const struct layer *l = &model->layers[layer];
    struct step_work *work = job->work;
    const struct operand u = {own->u, own->many[1]}, e = {work->e, own->many[2]}, turned = {own->s_turned, own->s_few};
    int begin, end;

    operand_quantise(k, &u, l->s1.type, s->channels, 0, 1);
    operand_quantise(k, &e, l->s_emb_x.type, s->channels, 0, 1);
    const struct product products[] = {
        {work->hidden, &l->ffn_key, mix}, {work->s_row, &l->s_emb_x, &e}, {work->s_low, &l->s1, &u}};
    run_products(k, pool, rank, products, 3);
    pool_barrier(pool);

    deep_turn(k, own->s_turned, &l->s_emb, job->token, work->s_row, work->s_low, s->deep, own->deep);
    operand_quantise(k, &turned, l->s2.type, s->deep, 0, 1);
    while (pool_share(pool, rank, s->ffn, chunk_rows(s->ffn, pool_threads(pool)), &begin, &end)) {
        product_gemv(k, work->s_gate, &l->s2, &turned, begin, end);
        k->relu_square(work->hidden + begin, end - begin);
        deep_gate(work->hidden + begin, work->s_gate + begin, l->s0 + begin, end - begin);
    }
}

static void run_layer(struct step_job *job, struct pool *pool, int rank, struct own *own, int layer)
{
    const struct rwkv7_model *model = job->s->model;
    const struct rwkv7_shape *s = &model->shape;
    const struct kernels *k = &model->rt->kernels;
    const struct layer *l = &model->layers[layer];
    const struct layer_state state = layer_state(job->s, layer);
    struct step_work *work = job->work;
    const int ranks[4] = {s->rank_w, s->rank_a, s->rank_v, s->rank_g};
    float *low_w = work->low, *low_a = low_w + s->rank_w, *low_v = low_a + s->rank_a, *low_g = low_v + s->rank_v;
    int begin, end;

    /* 1. u = LN(x), six mixes u + (prev - u) x_*; all products that start from them. */
    k->layer_norm(own->u, work->x, l->ln1_weight, l->ln1_bias, s->channels, model->ln_eps);
    const float *const shifts[6] = {l->x_r, l->x_w, l->x_k, l->x_v, l->x_a, l->x_g};
    const enum mat_type types[6] = {l->receptance.type, l->w1.type, l->key.type, operand_type(&l->value, &l->v1),
                                    l->a1.type,         l->g1.type};
    struct operand mixes[6];
    for (int i = 0; i < 6; i++) {
        k->shift(own->mix[i], own->u, state.att_prev, shifts[i], s->channels);
        mixes[i] = (struct operand){own->mix[i], own->many[i]};
        operand_quantise(k, &mixes[i], types[i], s->channels, 0, 1);
    }
    const struct product products[] = {
        {work->r, &l->receptance, &mixes[0]}, {work->k, &l->key, &mixes[2]}, {work->v, &l->value, &mixes[3]},
        {low_w, &l->w1, &mixes[1]},           {low_a, &l->a1, &mixes[4]},    {low_g, &l->g1, &mixes[5]},
        {low_v, &l->v1, &mixes[3]}, /* last: absent in layer 0 */
    };
    run_products(k, pool, rank, products, layer == 0 ? 6 : 7);
    pool_barrier(pool);

    /* 2. Heads: second halves of the low-rank products, recurrence, norm, bonus, gate. */
    fixed_share(s->channels, rank, pool_threads(pool), &begin, &end);
    memcpy(state.att_prev + begin, own->u + begin, (size_t)(end - begin) * sizeof *own->u);
    memcpy(own->low, work->low, (size_t)low_floats(s) * sizeof *own->low);
    k->tanh(own->low, s->rank_w);
    k->sigmoid(own->low + s->rank_w + s->rank_a + s->rank_v, s->rank_g);
    const struct mat *const seconds[4] = {&l->w2, &l->a2, &l->v2, &l->g2};
    const float *part = own->low;
    for (int i = 0; i < 4; part += ranks[i++]) {
        const struct operand o = {part, own->few[i]};
        operand_quantise(k, &o, seconds[i]->type, ranks[i], 0, 1);
    }
    while (pool_share(pool, rank, s->heads, 1, &begin, &end))
        run_head(job, own, layer, begin);
    pool_barrier(pool);

    /* 3. x += O out; r is free and takes the product. */
    add_product(k, pool, rank, work, &l->output, work->out, &own->many[0], work->r);
    pool_barrier(pool);

    /* 4. u = LN(x); hidden = relu(Kf (u + (prev - u) x_k))^2 */
    k->layer_norm(own->u, work->x, l->ln2_weight, l->ln2_bias, s->channels, model->ln_eps);
    k->shift(own->mix[0], own->u, state.ffn_prev, l->ffn_x_k, s->channels);
    const struct operand mix = {own->mix[0], own->many[0]};
    operand_quantise(k, &mix, l->ffn_key.type, s->channels, 0, 1);
    const int chunk = chunk_rows(s->ffn, pool_threads(pool));
    if (s->deep)
        run_deep(job, pool, rank, own, layer, &mix);
    else
        while (pool_share(pool, rank, s->ffn, chunk, &begin, &end)) {
            product_gemv(k, work->hidden, &l->ffn_key, &mix, begin, end);
            k->relu_square(work->hidden + begin, end - begin);
        }
    pool_barrier(pool);

    /* 5. x += Vf hidden */
    fixed_share(s->channels, rank, pool_threads(pool), &begin, &end);
    memcpy(state.ffn_prev + begin, own->u + begin, (size_t)(end - begin) * sizeof *own->u);
    if (l->ffn_value.by_column)
        add_columns(k, pool, rank, job, &l->ffn_value, own);
    else
        add_product(k, pool, rank, work, &l->ffn_value, work->hidden, &own->many[0], work->r);
    pool_barrier(pool);
    if (rank == 0 && job->bad_layer < 0 && k->count_bad(work->x, s->channels) > 0)
        job->bad_layer = layer;
}

static void step_worker(void *arg, struct pool *pool, int rank)
{
    struct step_job *job = arg;
    const struct rwkv7_model *model = job->s->model;
    const struct rwkv7_shape *s = &model->shape;
    const struct kernels *k = &model->rt->kernels;
    struct step_work *work = job->work;
    struct own own = own_of(work, s, rank);

    if (rank == 0) {
        mat_rows(k, &model->outer.emb, job->token, 1, work->x);
        if (model->outer.ln0_weight)
            k->layer_norm(work->x, work->x, model->outer.ln0_weight, model->outer.ln0_bias, s->channels, model->ln_eps);
        if (s->deep)
            memcpy(work->e, work->x, (size_t)s->channels * sizeof *work->x);
    }
    pool_barrier(pool);
    for (int layer = 0; layer < s->layers; layer++)
        run_layer(job, pool, rank, &own, layer);
    if (!job->logits)
        return;
    k->layer_norm(own.u, work->x, model->outer.ln_out_weight, model->outer.ln_out_bias, s->channels, model->ln_eps);
    const struct operand u = {own.u, own.many[0]};
    operand_quantise(k, &u, model->outer.head.type, s->channels, 0, 1);
    const struct product head = {job->logits, &model->outer.head, &u};
    run_products(k, pool, rank, &head, 1);
}

enum rwkv7_status step_token(struct rwkv7_session *s, struct pool *pool, uint32_t token, float *logits,
                             struct rwkv7_error *err)
{
    const struct rwkv7_model *model = s->model;
    if (!s->step)
        s->step = work_new(&model->shape, pool_threads(model->rt->pool));
    if (!s->step)
        return fail_memory(err, "the buffers of a session");
    struct step_job job = {s, s->step, token, logits, -1};
    pool_run(pool, step_worker, &job);
    if (job.bad_layer < 0 && logits && model->rt->kernels.count_bad(logits, model->shape.vocab) > 0)
        job.bad_layer = model->shape.layers;
    return job.bad_layer < 0 ? RWKV7_OK : fail_numeric(s, job.bad_layer, s->tokens, err);
}
