/*
 * prefill.c - many tokens through the model at once.
 *
 * Only the token shifts and the state couple neighbouring tokens, so a chunk of T tokens goes through layer by layer: the
 * products become matrix-matrix products in which each weight is read once for all T tokens, and the recurrence is scanned over
 * the chunk head by head. The operations on a token and their order are those of step.c; in exact math the bits are the same.
 *
 * The tokens may be pieces of several sessions, one after the other: then the products are shared, and shifts and states are of each
 * piece its own. So a conversation costs little more while others are decoded with it.
 *
 * Activations are [T][C], one row per token, and do not fit into a cache. So what can be made and used up by one thread within its
 * cache never becomes such an array: the norm is recomputed rather than kept, shifted mixes leave as the integers that the products
 * take, results of products join the residual stream or become integers of their own at once, and the second halves of the
 * low-rank products are made for one head and a few tokens just before these are scanned.
 *
 * Like a step, a layer is a sequence of phases with barriers, whose work (rows of matrices, tokens or heads) is taken in tasks.
 */
#include <string.h>

#include "arch/deep.h"
#include "arch/prefill_work.h"

struct prefill_job {
    const struct rwkv7_model *model;
    struct prefill_work *work;
    struct piece *pieces;
    int piece_count;
    int count;  /* tokens of all pieces */
    int wanted; /* rows of logits */
    float *logits;
};

#define TASK_ROWS 64      /* of a matrix: a multiple of what gemm widens at a time */
#define TOKENS_PER_TASK 8 /* at most */
_Static_assert(TASK_ROWS <= COLUMN_ROWS, "one call for a task");

/* From token `token` on, for matrices of a type. */
static struct operand operand_of(const struct vectors *v, enum mat_type type, int token)
{
    struct operand o = {0};
    if (type < MAT_FLOATS)
        o.x = v->x + (size_t)token * (size_t)v->cols;
    else
        o.quants = quants_from(v->quants, v->cols, (size_t)token);
    return o;
}

/* Makes the integers of vectors [begin, end), if `type` asks for them. */
static void quantise(const struct kernels *k, const struct vectors *v, enum mat_type type, int begin, int end)
{
    const struct operand o = {v->x, v->quants};
    operand_quantise(k, &o, type, v->cols, begin, end);
}

/* ---------------------------------------------------------------------------------------------------------- products */

struct product;
/* What becomes of the results of `tokens` vectors from `token` on with rows [begin, end): y [tokens][ldy], its first column is `begin`. */
typedef void finish_fn(const struct prefill_job *job, const struct product *p, float *y, size_t ldy, int token,
                       int tokens, int begin, int end);

/* Y = X W^T as one of several products of a phase. Rows of Y and X belong to tokens. */
struct product {
    const struct mat *w;
    const struct vectors *x;
    float *y;             /* [T][rows]; NULL: only `finish` sees the results */
    int first;            /* token; those before are not wanted */
    int rows;             /* of the matrix, per task; 0: what suits it */
    finish_fn *finish;    /* may be NULL */
    struct vectors *next; /* for `finish`: the results as vectors, which are multiplied by a matrix of type next_type */
    enum mat_type next_type;
};

static void run_product(const struct prefill_job *job, const struct own *own, const struct product *p, int tokens,
                        int begin, int end)
{
    const struct mat rows = product_rows(p->w, begin, end, own->turned);
    const int most = p->y ? tokens : PART_FLOATS / rows.rows;
    const size_t ldy = (size_t)(p->y ? p->w->rows : rows.rows);
    for (int token = p->first, some; token < tokens; token += some) {
        some = tokens - token < most ? tokens - token : most;
        float *const y = p->y ? p->y + (size_t)token * ldy + begin : own->part;
        const struct operand x = operand_of(p->x, rows.type, token);
        product_gemm(&job->model->rt->kernels, y, ldy, &rows, &x, some, own->scratch);
        if (p->finish)
            p->finish(job, p, y, ldy, token, some, begin, end);
    }
}

/* Rows per task: for floats twice as many, if there are enough, since each task prepares the vectors for itself. */
static int task_rows(const struct product *p, const struct pool *pool)
{
    const bool many = p->w->type < MAT_FLOATS && !p->w->by_column && p->w->rows >= 4 * TASK_ROWS * pool_threads(pool);
    return p->rows ? p->rows : many ? 2 * TASK_ROWS : TASK_ROWS;
}

/* All products of a phase. */
static void run_products(const struct prefill_job *job, struct pool *pool, int rank, const struct product *products,
                         int count, int tokens)
{
    int total = 0, task, next;
    for (int i = 0; i < count; i++)
        total += (products[i].w->rows + task_rows(&products[i], pool) - 1) / task_rows(&products[i], pool);
    while (pool_take(pool, total, 1, &task, &next)) {
        const struct product *p = products;
        int rows;
        for (int tasks; rows = task_rows(p, pool), task >= (tasks = (p->w->rows + rows - 1) / rows); p++)
            task -= tasks;
        const int begin = task * rows, end = p->w->rows - begin < rows ? p->w->rows : begin + rows;
        run_product(job, &job->work->own[rank], p, tokens, begin, end);
    }
    pool_barrier(pool);
}

static void finish_residual(const struct prefill_job *job, const struct product *p, float *y, size_t ldy, int token,
                            int tokens, int begin, int end)
{
    const size_t c = (size_t)p->w->rows;
    float *x = job->work->x + (size_t)token * c + begin;
    for (int t = 0; t < tokens; t++, x += c, y += ldy)
        job->model->rt->kernels.add(x, y, end - begin);
}

/* The gate of x070a for one token and rows [begin, end), which y begins with. */
static void gate_hidden(const struct prefill_job *job, float *y, int token, int begin, int end)
{
    const struct layer *l = job->work->gated;
    const struct mat rows = product_rows(&l->s2, begin, end, NULL);
    const struct operand x = operand_of(&job->work->s_turned, rows.type, token);
    float gate[QUANT_BLOCK];
    product_gemv(&job->model->rt->kernels, gate, &rows, &x, 0, rows.rows);
    deep_gate(y, gate, l->s0 + begin, end - begin);
}

/* Rows are whole blocks of integers. */
static void finish_hidden(const struct prefill_job *job, const struct product *p, float *y, size_t ldy, int token,
                          int tokens, int begin, int end)
{
    const struct kernels *k = &job->model->rt->kernels;
    for (int t = token; t < token + tokens; t++, y += ldy) {
        k->relu_square(y, end - begin);
        if (job->work->gated)
            gate_hidden(job, y, t, begin, end);
        if (p->next_type >= MAT_FLOATS) {
            const struct quants to = quants_from(p->next->quants, p->next->cols, (size_t)t);
            k->quantize(to.q + begin, to.scale + begin / QUANT_BLOCK, to.sum + begin / QUANT_GROUP, y, end - begin);
        }
    }
}

/* All rows at once, so that a vector is complete. */
static void finish_low(const struct prefill_job *job, const struct product *p, float *y, size_t ldy, int token,
                       int tokens, int begin, int end)
{
    (void)y, (void)ldy, (void)begin, (void)end;
    quantise(&job->model->rt->kernels, p->next, p->next_type, token, token + tokens);
}

static void finish_low_w(const struct prefill_job *job, const struct product *p, float *y, size_t ldy, int token,
                         int tokens, int begin, int end)
{
    job->model->rt->kernels.tanh(y, tokens * end);
    finish_low(job, p, y, ldy, token, tokens, begin, end);
}

static void finish_low_g(const struct prefill_job *job, const struct product *p, float *y, size_t ldy, int token,
                         int tokens, int begin, int end)
{
    job->model->rt->kernels.sigmoid(y, tokens * end);
    finish_low(job, p, y, ldy, token, tokens, begin, end);
}

/* ------------------------------------------------------------------------------------------------------------ phases */

/* Tokens per task: enough to spread, and few norms computed twice. */
static int token_task(const struct prefill_job *job, const struct pool *pool)
{
    const int share = job->count / (4 * pool_threads(pool));
    return share < 1 ? 1 : share < TOKENS_PER_TASK ? share : TOKENS_PER_TASK;
}

static void check(const struct prefill_job *job, int layer, int token)
{
    const struct rwkv7_model *model = job->model;
    const int c = model->shape.channels;
    if (job->work->bad[token] < 0 && model->rt->kernels.count_bad(job->work->x + (size_t)token * (size_t)c, c) > 0)
        job->work->bad[token] = layer;
}

/* A norm, and the shifted mixes that start from it. */
struct shifts {
    const float *weight, *bias; /* of the norm */
    bool time_mix;              /* or channel mix: which vector of the state is the token before */
    const float *mix[MIXES];
    int count;
};

static float *state_before(const struct piece *p, int layer, bool time_mix)
{
    const struct layer_state state = layer_state(p->session, layer);
    return time_mix ? state.att_prev : state.ffn_prev;
}

static void normalise(const struct prefill_job *job, const struct shifts *s, int token, float *u)
{
    const struct rwkv7_model *model = job->model;
    const int c = model->shape.channels;
    model->rt->kernels.layer_norm(u, job->work->x + (size_t)token * (size_t)c, s->weight, s->bias, c, model->ln_eps);
}

/* For tokens from `first` on, u[t] = LN(x[t]); mix i of t = u[t] + (u[t - 1] - u[t]) mix[i]. */
static void shift(const struct prefill_job *job, struct pool *pool, int rank, int layer, const struct shifts *s,
                  int first)
{
    const struct kernels *k = &job->model->rt->kernels;
    const int c = job->model->shape.channels;
    const struct own *own = &job->work->own[rank];
    float *u = own->u, *before = own->before;
    int begin, end;
    while (pool_take(pool, job->count - first, token_task(job, pool), &begin, &end)) {
        for (int t = first + begin; t < first + end; t++) {
            const struct piece *piece = &job->pieces[job->work->piece[t]];
            if (t == piece->first)
                memcpy(before, state_before(piece, layer, s->time_mix), (size_t)c * sizeof *before);
            else if (t == first + begin)
                normalise(job, s, t - 1, before);
            if (s->time_mix && layer > 0)
                check(job, layer - 1, t);
            normalise(job, s, t, u);
            for (int i = 0; i < s->count; i++) {
                const struct vectors *v = &job->work->mix[i];
                float *const m = v->x ? v->x + (size_t)t * (size_t)c : own->m;
                k->shift(m, u, before, s->mix[i], c);
                if (v->quants.q) {
                    const struct quants to = quants_from(v->quants, c, (size_t)t);
                    k->quantize(to.q, to.scale, to.sum, m, c);
                }
            }
            float *const other = before;
            before = u;
            u = other;
        }
    }
    pool_barrier(pool);
}

/* The last token of each piece is what its next one looks back at. Behind the barrier of shift, which reads the one before. */
static void remember(const struct prefill_job *job, int rank, int layer, const struct shifts *s)
{
    for (int i = 0; rank == 0 && i < job->piece_count; i++) {
        const struct piece *p = &job->pieces[i];
        normalise(job, s, p->first + p->count - 1, state_before(p, layer, s->time_mix));
    }
}

/*
 * The recurrence of one head over a piece; the equations are those of run_head in step.c. Nothing but the state is wanted of tokens
 * before `first`.
 */
static void scan_head(const struct prefill_job *job, const struct own *own, const struct piece *piece, int layer,
                      int head, int first)
{
    const struct rwkv7_model *model = job->model;
    const struct kernels *k = &model->rt->kernels;
    const struct layer *l = &model->layers[layer];
    struct prefill_work *work = job->work;
    const int n = model->shape.head_size, at = head * n, start = at / QUANT_ROWS * QUANT_ROWS;
    const size_t c = (size_t)model->shape.channels, ld = (size_t)at - (size_t)start + (size_t)n,
                 bytes = (size_t)n * sizeof(float);
    float *S = layer_state(piece->session, layer).wkv + (size_t)at * (size_t)n;
    const struct mat *const seconds[LOWS] = {&l->w2, &l->a2, &l->v2, &l->g2};
    float *made[LOWS]; /* results: [SCAN_TOKENS][ld] */
    const int behind = piece->first + piece->count;
    for (int token = piece->first, some; token < behind; token += some) {
        some = behind - token < SCAN_TOKENS ? behind - token : SCAN_TOKENS;
        for (int i = 0; i < LOWS; i++) {
            float *const y = own->part + (size_t)(i * SCAN_TOKENS) * ld;
            made[i] = y + (at - start);
            if ((i == LOW_V && layer == 0) || (i == LOW_G && token + some <= first))
                continue;
            const struct mat rows = product_rows(seconds[i], start, at + n, NULL);
            const struct operand x = operand_of(&work->low[i], rows.type, token);
            product_gemm(k, y, ld, &rows, &x, some, own->scratch);
        }
        for (int t = token; t < token + some; t++) {
            const size_t i = (size_t)t * c + (size_t)at, of_t = (size_t)(t - token) * ld;
            float *const w = made[LOW_W] + of_t, *const a = made[LOW_A] + of_t, *const gate = made[LOW_V] + of_t;
            k->decay(w, l->w0 + at, n);
            k->sigmoid_bias(a, l->a0 + at, n);
            if (layer == 0) {
                memcpy(own->v, work->v_first + i, bytes);
            } else {
                memcpy(own->v, work->v + i, bytes);
                k->sigmoid_bias(gate, l->v0 + at, n);
                k->lerp(own->v, work->v_first + i, gate, n);
            }
            memcpy(own->k, work->k + i, bytes);
            k->key(own->kk, own->b, own->k, a, l->k_k + at, l->k_a + at, n);
            const struct head_in in = {work->r + i, w, own->k, own->v, own->kk, own->b};
            k->wkv(own->out, S, &in, n);
            if (t < first)
                continue;
            k->head_out(own->out, own->out, in.r, own->k, l->r_k + at, own->v, made[LOW_G] + of_t, l->ln_x_weight + at,
                        l->ln_x_bias + at, n, model->head_eps);
            memcpy(work->r + i, own->out, bytes);
        }
    }
}

/* s_turned of x070a for tokens from `first` on; the second mix is u. */
static void run_deep(const struct prefill_job *job, struct pool *pool, int rank, const struct layer *l, int first)
{
    const struct kernels *k = &job->model->rt->kernels;
    struct prefill_work *work = job->work;
    const size_t side = (size_t)job->model->shape.deep;
    const struct product products[] = {
        {&l->s_emb_x, &work->e, work->s_row, first, 0, NULL, NULL, 0},
        {&l->s1, &work->mix[1], work->s_low, first, 0, NULL, NULL, 0},
    };
    int begin, end;
    if (rank == 0)
        work->gated = l;
    run_products(job, pool, rank, products, 2, job->count);
    while (pool_take(pool, job->count - first, token_task(job, pool), &begin, &end)) {
        for (int t = first + begin; t < first + end; t++) {
            const struct piece *p = &job->pieces[work->piece[t]];
            deep_turn(k, work->s_turned.x + (size_t)t * side, &l->s_emb, p->tokens[t - p->first],
                      work->s_row + (size_t)t * side * side, work->s_low + (size_t)t * side, (int)side,
                      work->own[rank].deep);
        }
        quantise(k, &work->s_turned, l->s2.type, first + begin, first + end);
    }
    pool_barrier(pool);
}

/* --------------------------------------------------------------------------------------------------- a few tokens */

/*
 * Between them a few tokens leave columns of ffn.value alone, as one does in step.c; and even those that several read cost less
 * than turning all of them into rows.
 */
#define SPARSE_TOKENS 32
#define SPARSE_READINGS 6 /* of the whole matrix */

static void find_active(struct own *own, const struct mat *w, const struct operand *x)
{
    if (w->type < MAT_FLOATS)
        active_floats(&own->active, x->x, w->cols);
    else
        active_quants(&own->active, &x->quants, w->cols);
}

/* Every thread comes to the same answer. */
static bool columns_pay(struct own *own, const struct mat *w, const struct vectors *x, int first, int tokens)
{
    if (!w->by_column || tokens - first > SPARSE_TOKENS)
        return false;
    size_t columns = 0;
    for (int t = first; t < tokens; t++) {
        const struct operand one = operand_of(x, w->type, t);
        find_active(own, w, &one);
        columns += (size_t)own->active.first[16];
    }
    return columns <= SPARSE_READINGS * (size_t)w->cols;
}

/* x += W hidden, of the columns that count. Chunks are those of step.c. */
static void add_columns(const struct prefill_job *job, struct pool *pool, int rank, const struct mat *w,
                        const struct vectors *x, int first)
{
    const struct kernels *k = &job->model->rt->kernels;
    struct own *own = &job->work->own[rank];
    const int threads = pool_threads(pool), sections = (w->rows + QUANT_SECTION - 1) / QUANT_SECTION;
    int begin, end;
    while (pool_share(pool, rank, w->rows, (sections + threads - 1) / threads * QUANT_SECTION, &begin, &end))
        for (int t = first; t < job->count; t++) {
            const struct operand one = operand_of(x, w->type, t);
            find_active(own, w, &one);
            if (w->type < MAT_FLOATS)
                k->column_gemv[w->type](own->part, w, one.x, &own->active, begin, end);
            else
                k->quant_column_gemv[w->type](own->part, w, &one.quants, &own->active, begin, end);
            k->add(job->work->x + (size_t)t * (size_t)w->rows + begin, own->part + begin, end - begin);
        }
    pool_barrier(pool);
}

static void run_layer(const struct prefill_job *job, struct pool *pool, int rank, int layer)
{
    const struct rwkv7_shape *s = &job->model->shape;
    const struct layer *l = &job->model->layers[layer];
    struct prefill_work *work = job->work;
    const int count = job->count;
    int begin, end;
    /*
     * Of a piece that has no company and of which not all logits are wanted, the last layer gives its state, which needs the time mix
     * of the last token, and the output of the last token, whose channel mix also needs that of the token before.
     */
    const bool last = layer == s->layers - 1 && job->piece_count == 1 && job->wanted <= 1;
    const int ffn_first = last ? count - 1 : 0, att_first = last && count > 1 ? count - 2 : 0;

    const struct shifts att = {
        l->ln1_weight, l->ln1_bias, true, {l->x_r, l->x_w, l->x_k, l->x_v, l->x_a, l->x_g}, MIXES};
    shift(job, pool, rank, layer, &att, 0);
    remember(job, rank, layer, &att);

    struct vectors *mix = work->mix, *low = work->low;
    float *const v = layer == 0 ? work->v_first : work->v;
    const struct product firsts[] = {
        {&l->g1, &mix[MIX_G], low[LOW_G].x, att_first, s->rank_g, finish_low_g, &low[LOW_G], l->g2.type},
        {&l->w1, &mix[MIX_W], low[LOW_W].x, 0, s->rank_w, finish_low_w, &low[LOW_W], l->w2.type},
        {&l->a1, &mix[MIX_A], low[LOW_A].x, 0, s->rank_a, finish_low, &low[LOW_A], l->a2.type},
        {&l->receptance, &mix[MIX_R], work->r, att_first, 0, NULL, NULL, 0},
        {&l->key, &mix[MIX_K], work->k, 0, 0, NULL, NULL, 0},
        {&l->value, &mix[MIX_V], v, 0, 0, NULL, NULL, 0},
        {&l->v1, &mix[MIX_V], low[LOW_V].x, 0, s->rank_v, finish_low, &low[LOW_V], l->v2.type}, /* not in layer 0 */
    };
    run_products(job, pool, rank, firsts, layer == 0 ? 6 : 7, count);

    while (pool_take(pool, s->heads * job->piece_count, 1, &begin, &end))
        scan_head(job, &work->own[rank], &job->pieces[begin / s->heads], layer, begin % s->heads, att_first);
    pool_barrier(pool);

    if (l->output.type >= MAT_FLOATS) {
        while (pool_take(pool, count - att_first, token_task(job, pool), &begin, &end))
            quantise(&job->model->rt->kernels, &work->out, l->output.type, att_first + begin, att_first + end);
        pool_barrier(pool);
    }
    const struct product output = {&l->output, &work->out, NULL, att_first, 0, finish_residual, NULL, 0};
    run_products(job, pool, rank, &output, 1, count);

    const struct shifts ffn = {l->ln2_weight, l->ln2_bias, false, {l->ffn_x_k, work->no_shift}, s->deep ? 2 : 1};
    shift(job, pool, rank, layer, &ffn, ffn_first);
    remember(job, rank, layer, &ffn);

    if (s->deep)
        run_deep(job, pool, rank, l, ffn_first);

    const bool floats = l->ffn_value.type < MAT_FLOATS;
    const struct product key = {&l->ffn_key,
                                &mix[0],
                                floats ? work->hidden.x : NULL,
                                ffn_first,
                                floats ? 0 : QUANT_BLOCK,
                                finish_hidden,
                                &work->hidden,
                                l->ffn_value.type};
    run_products(job, pool, rank, &key, 1, count);
    const struct product value = {&l->ffn_value, &work->hidden, NULL, ffn_first, 0, finish_residual, NULL, 0};
    if (columns_pay(&work->own[rank], value.w, value.x, ffn_first, count))
        add_columns(job, pool, rank, value.w, value.x, ffn_first);
    else
        run_products(job, pool, rank, &value, 1, count);
    if (layer == s->layers - 1) {
        while (pool_take(pool, count - ffn_first, token_task(job, pool), &begin, &end))
            for (int t = ffn_first + begin; t < ffn_first + end; t++)
                check(job, layer, t);
        pool_barrier(pool);
    }
}

static void run_logits(const struct prefill_job *job, struct pool *pool, int rank)
{
    const struct rwkv7_model *model = job->model;
    const struct kernels *k = &model->rt->kernels;
    const struct outer *outer = &model->outer;
    struct prefill_work *work = job->work;
    const int c = model->shape.channels;
    const struct vectors u = {c, work->r, work->mix[0].quants};
    const struct operand one = operand_of(&u, outer->head.type, 0);
    int begin, end;

    while (pool_take(pool, job->wanted, 1, &begin, &end)) {
        k->layer_norm(u.x + (size_t)begin * (size_t)c, work->x + (size_t)work->wanted[begin] * (size_t)c,
                      outer->ln_out_weight, outer->ln_out_bias, c, model->ln_eps);
        quantise(k, &u, outer->head.type, begin, end);
    }
    pool_barrier(pool);
    const struct product head = {&outer->head, &u, job->logits, 0, 0, NULL, NULL, 0};
    if (job->wanted > 1)
        run_products(job, pool, rank, &head, 1, job->wanted);
    else if (job->wanted == 1)
        while (pool_take(pool, outer->head.rows, 8 * TASK_ROWS, &begin, &end))
            product_gemv(k, job->logits, &outer->head, &one, begin, end);
}

static void prefill_worker(void *arg, struct pool *pool, int rank)
{
    struct prefill_job *job = arg;
    const struct rwkv7_model *model = job->model;
    const struct kernels *k = &model->rt->kernels;
    const struct outer *outer = &model->outer;
    const int c = model->shape.channels;
    int begin, end;

    while (pool_take(pool, job->count, token_task(job, pool), &begin, &end))
        for (int t = begin; t < end; t++) {
            const struct piece *p = &job->pieces[job->work->piece[t]];
            float *x = job->work->x + (size_t)t * (size_t)c;
            mat_rows(k, &outer->emb, p->tokens[t - p->first], 1, x);
            if (outer->ln0_weight)
                k->layer_norm(x, x, outer->ln0_weight, outer->ln0_bias, c, model->ln_eps);
            if (model->shape.deep) {
                const struct vectors *e = &job->work->e;
                memcpy(e->x + (size_t)t * (size_t)c, x, (size_t)c * sizeof *x);
                if (e->quants.q)
                    quantise(k, e, MAT_Q8, t, t + 1);
            }
        }
    pool_barrier(pool);
    for (int layer = 0; layer < model->shape.layers; layer++)
        run_layer(job, pool, rank, layer);
    run_logits(job, pool, rank);
}

enum rwkv7_status prefill_pieces(struct prefill_work **own, struct pool *pool, struct piece *pieces, int piece_count,
                                 float *logits, struct rwkv7_error *err)
{
    const struct rwkv7_model *model = pieces[0].session->model;
    struct prefill_job job = {.model = model, .pieces = pieces, .piece_count = piece_count, .logits = logits};
    for (int i = 0; i < piece_count; i++) {
        pieces[i].first = job.count;
        pieces[i].bad_layer = -1;
        job.count += pieces[i].count;
    }
    if (*own && (*own)->room < job.count) {
        prefill_work_free(*own);
        *own = NULL;
    }
    if (!*own)
        *own = prefill_work_new(model, job.count, pool_threads(model->rt->pool));
    if (!*own)
        return fail_memory(err, "the buffers of a prompt");
    if (model->rt->math == RWKV7_MATH_BLAS && !kernels_blas_fits(pool_threads(model->rt->pool)))
        return fail_memory(err, "the buffers of OpenBLAS");

    struct prefill_work *work = job.work = *own;
    memset(work->bad, -1, (size_t)job.count * sizeof *work->bad);
    for (int i = 0, t = 0; i < piece_count; i++)
        for (int j = 0; j < pieces[i].count; j++, t++) {
            const bool last = j == pieces[i].count - 1;
            work->piece[t] = i;
            if (pieces[i].which == RWKV7_LOGITS_ALL || (pieces[i].which == RWKV7_LOGITS_LAST && last))
                work->wanted[job.wanted++] = t;
        }
    pool_run(pool, prefill_worker, &job);

    for (int t = 0; t < job.count; t++) {
        struct piece *p = &pieces[work->piece[t]];
        if (work->bad[t] >= 0 && p->bad_layer < 0) { /* the first token, as step.c would say */
            p->bad_layer = work->bad[t];
            p->bad_token = t - p->first;
        }
    }
    const int vocab = model->shape.vocab;
    for (int i = 0; i < job.wanted; i++) {
        struct piece *p = &pieces[work->piece[work->wanted[i]]];
        const int token = work->wanted[i] - p->first;
        if ((p->bad_layer < 0 || token < p->bad_token) &&
            model->rt->kernels.count_bad(logits + (size_t)i * (size_t)vocab, vocab) > 0) {
            p->bad_layer = model->shape.layers;
            p->bad_token = token;
        }
    }
    return RWKV7_OK;
}

enum rwkv7_status prefill_tokens(struct rwkv7_session *s, struct pool *pool, const uint32_t *tokens, int count,
                                 enum rwkv7_logits which, float *logits, struct rwkv7_error *err)
{
    struct piece p = {.session = s, .tokens = tokens, .count = count, .which = which};
    const enum rwkv7_status status = prefill_pieces(&s->prefill, pool, &p, 1, logits, err);
    if (status != RWKV7_OK || p.bad_layer < 0)
        return status;
    return fail_numeric(s, p.bad_layer, s->tokens + (uint64_t)p.bad_token, err);
}
