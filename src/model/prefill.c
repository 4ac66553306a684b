/*
 * prefill.c - many tokens through the model at once.
 *
 * Only the token shifts and the state couple neighbouring tokens, so a chunk of T tokens goes through layer by layer: the
 * products become matrix-matrix products in which each weight is read once for all T tokens, and the recurrence is scanned over
 * the chunk head by head. The operations on a token and their order are those of step.c; in exact math the bits are the same.
 *
 * Activations are [T][C], one row per token. Like a step, a layer is a sequence of phases with barriers, whose work (rows of
 * matrices, tokens or heads) is taken in chunks.
 */
#include <string.h>

#include "base/mem.h"
#include "model/model.h"
#include "model/product.h"

struct prefill_work {
    int room; /* tokens that fit */
    void *memory;
    float *x; /* [T][C] residual stream */
    float *u; /* [1 + T][C] normalised; row 0 is the token before the chunk */
    float *m; /* [T][C] a shifted mix; the value gate; products on their way to the residual stream */
    float *r, *w, *k, *v, *a, *g; /* [T][C]; out (the gated heads) takes the place of w */
    float *v_first;               /* [T][C] values of layer 0 */
    float *low;                   /* [T][Rw], [T][Ra], [T][Rv], [T][Rg] one after the other */
    float *hidden;                /* [T][F] */
    struct quants many;           /* integers of the vectors [T][C] or [T][F] that are multiplied next */
    struct quants few[4];         /* integers of the parts of low */
    float **scratch;              /* [threads] -> product_scratch floats each */
    float **turned;               /* [threads] -> rows of ffn.value, if that is by column */
    float *head;                  /* [threads][3][N]: kk, b, y of one head and token */
};

struct prefill_job {
    struct rwkv7_session *s;
    struct prefill_work *work;
    const uint32_t *tokens;
    int count;
    enum rwkv7_logits which;
    float *logits;
    int bad_layer; /* as in step.c */
    int bad_token; /* in the chunk */
};

void prefill_work_free(struct prefill_work *work)
{
    if (!work)
        return;
    mem_free(work->memory);
    mem_free(work->scratch);
    mem_free(work->turned);
    mem_free(work);
}

static size_t lines(size_t floats)
{
    return (floats + 15) / 16 * 16;
}

static struct prefill_work *work_new(const struct rwkv7_model *model, int room, int threads)
{
    const struct rwkv7_shape *s = &model->shape;
    struct prefill_work *work = mem_alloc(1, sizeof *work);
    if (!work)
        return NULL;
    const size_t t = (size_t)room, row = lines(t * (size_t)s->channels), team = (size_t)threads;
    const size_t low = lines(t * (size_t)(s->rank_w + s->rank_a + s->rank_v + s->rank_g));
    const size_t hidden = lines(t * (size_t)s->ffn), head = lines(3 * (size_t)s->head_size);
    const int widest = s->ffn > s->channels ? s->ffn : s->channels;
    const int ranks[] = {s->rank_w, s->rank_a, s->rank_v, s->rank_g};
    const struct mat *value = &model->layers[0].ffn_value;
    const size_t turned = value->by_column ? lines(rows_of_columns_bytes(value, COLUMN_ROWS) / sizeof(float) + 1) : 0;
    const size_t shift = lines((size_t)s->channels);

    int lengths[SHAPE_LENGTHS];
    size_t scratch = 0; /* more columns do not always need more of it */
    shape_lengths(s, lengths);
    for (int i = 0; i < SHAPE_LENGTHS; i++)
        scratch = product_scratch(lengths[i]) > scratch ? product_scratch(lengths[i]) : scratch;

    size_t quants = quants_floats(widest, t);
    for (int i = 0; i < 4; i++)
        quants += quants_floats(ranks[i], t);

    work->room = room;
    work->memory =
        mem_alloc(10 * row + shift + low + hidden + quants + team * (scratch + turned + head), sizeof(float));
    work->scratch = mem_alloc(team, sizeof *work->scratch);
    work->turned = mem_alloc(team, sizeof *work->turned);
    if (!work->memory || !work->scratch || !work->turned) {
        prefill_work_free(work);
        return NULL;
    }
    float *at = work->memory;
    float **const wide[] = {&work->x, &work->m, &work->r, &work->w,       &work->k,
                            &work->v, &work->a, &work->g, &work->v_first, &work->u};
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
        *wide[i] = at, at += row;
    at += shift; /* u has one row more */
    work->low = at, at += low;
    work->hidden = at, at += hidden;
    work->many = quants_at(at, widest, t), at += quants_floats(widest, t);
    for (int i = 0; i < 4; i++)
        work->few[i] = quants_at(at, ranks[i], t), at += quants_floats(ranks[i], t);
    for (int rank = 0; rank < threads; rank++) {
        work->scratch[rank] = at, at += scratch;
        work->turned[rank] = at, at += turned;
    }
    work->head = at;
    return work;
}

/* ---------------------------------------------------------------------------------------------------------- products */

/* Y = X W^T as one of several products of a phase. Rows of Y and X belong to tokens. */
struct product {
    float *y;
    const struct mat *w;
    struct operand x;
};

/* Rows of a matrix per chunk: a multiple of what gemm widens at a time. */
#define ROWS_PER_CHUNK 64
_Static_assert(ROWS_PER_CHUNK <= COLUMN_ROWS, "one call for a chunk");
#define TOKENS_PER_CHUNK 8

typedef void after_fn(const struct prefill_job *job, const struct product *p, int begin, int end);

/* All products of a phase; `after` (may be NULL) is called for the rows that were just made. */
static void run_products(const struct prefill_job *job, struct pool *pool, int rank, const struct product *products,
                         int count, after_fn *after)
{
    const struct kernels *k = &job->s->model->rt->kernels;
    int total = 0, begin, end; /* in chunks, so that one never spans two matrices */
    for (int i = 0; i < count; i++)
        total += (products[i].w->rows + ROWS_PER_CHUNK - 1) / ROWS_PER_CHUNK;
    while (pool_take(pool, total, 1, &begin, &end)) {
        const struct product *p = products;
        for (int chunks; begin >= (chunks = (p->w->rows + ROWS_PER_CHUNK - 1) / ROWS_PER_CHUNK); p++)
            begin -= chunks;
        const int from = begin * ROWS_PER_CHUNK;
        const int to = p->w->rows - from < ROWS_PER_CHUNK ? p->w->rows : from + ROWS_PER_CHUNK;
        float *scratch = job->work->scratch[rank];
        if (p->w->by_column)
            product_gemm_columns(k, p->y, p->w, &p->x, job->count, from, to, scratch, job->work->turned[rank]);
        else
            product_gemm(k, p->y, p->w, &p->x, job->count, from, to, scratch);
        if (after)
            after(job, p, from, to);
    }
    pool_barrier(pool);
}

static void add_to_residual(const struct prefill_job *job, const struct product *p, int begin, int end)
{
    const size_t c = (size_t)job->s->model->shape.channels;
    for (size_t t = 0; t < (size_t)job->count; t++)
        job->s->model->rt->kernels.add(job->work->x + t * c + begin, p->y + t * c + begin, end - begin);
}

static void square_hidden(const struct prefill_job *job, const struct product *p, int begin, int end)
{
    const size_t f = (size_t)job->s->model->shape.ffn;
    for (size_t t = 0; t < (size_t)job->count; t++)
        job->s->model->rt->kernels.relu_square(p->y + t * f + begin, end - begin);
}

/* ------------------------------------------------------------------------------------------------------------ phases */

/* u[1 + t] = LN(x[t]), and row 0 from the state. */
static void normalise(const struct prefill_job *job, struct pool *pool, int rank, const float *weight,
                      const float *bias, const float *prev)
{
    const struct rwkv7_model *model = job->s->model;
    const size_t c = (size_t)model->shape.channels;
    int begin, end;
    if (rank == 0)
        memcpy(job->work->u, prev, c * sizeof *prev);
    while (pool_take(pool, job->count, TOKENS_PER_CHUNK, &begin, &end))
        for (int t = begin; t < end; t++)
            model->rt->kernels.layer_norm(job->work->u + (size_t)(t + 1) * c, job->work->x + (size_t)t * c, weight,
                                          bias, (int)c, model->ln_eps);
    pool_barrier(pool);
}

/* m[t] = u[1 + t] + (u[t] - u[1 + t]) mix, to be multiplied by matrices of type `type`. */
static void shift(const struct prefill_job *job, struct pool *pool, const float *mix, enum mat_type type)
{
    const struct rwkv7_model *model = job->s->model;
    const size_t c = (size_t)model->shape.channels;
    const struct operand m = {job->work->m, job->work->many};
    int begin, end;
    while (pool_take(pool, job->count, TOKENS_PER_CHUNK, &begin, &end)) {
        for (size_t t = (size_t)begin; t < (size_t)end; t++)
            model->rt->kernels.shift(job->work->m + t * c, job->work->u + (t + 1) * c, job->work->u + t * c, mix,
                                     (int)c);
        operand_quantise(&model->rt->kernels, &m, type, (int)c, begin, end);
    }
    pool_barrier(pool);
}

/* What was made by rows or heads is quantised by tokens; nothing to do, and no barrier, for matrices of floats. */
static void quantise(const struct prefill_job *job, struct pool *pool, const struct operand *o, const struct mat *w)
{
    int begin, end;
    if (w->type < MAT_FLOATS)
        return;
    while (pool_take(pool, job->count, TOKENS_PER_CHUNK, &begin, &end))
        operand_quantise(&job->s->model->rt->kernels, o, w->type, w->cols, begin, end);
    pool_barrier(pool);
}

/* The recurrence of one head over the chunk; the equations are those of run_head in step.c. */
static void scan_head(const struct prefill_job *job, int rank, int layer, int head)
{
    const struct rwkv7_model *model = job->s->model;
    const struct kernels *k = &model->rt->kernels;
    const struct layer *l = &model->layers[layer];
    struct prefill_work *work = job->work;
    const int n = model->shape.head_size, at = head * n;
    const size_t c = (size_t)model->shape.channels;
    float *S = layer_state(job->s, layer).wkv + (size_t)at * (size_t)n;
    float *kk = work->head + (size_t)rank * lines(3 * (size_t)n), *b = kk + n, *y = b + n;

    for (size_t t = 0; t < (size_t)job->count; t++) {
        const size_t i = t * c + (size_t)at;
        float *v = work->v + i;
        k->decay(work->w + i, l->w0 + at, n);
        k->sigmoid_bias(work->a + i, l->a0 + at, n);
        if (layer == 0) {
            memcpy(work->v_first + i, v, (size_t)n * sizeof *v);
        } else {
            k->sigmoid_bias(work->m + i, l->v0 + at, n);
            k->lerp(v, work->v_first + i, work->m + i, n);
        }
        k->key(kk, b, work->k + i, work->a + i, l->k_k + at, l->k_a + at, n);
        const struct head_in in = {work->r + i, work->w + i, work->k + i, v, kk, b};
        k->wkv(y, S, &in, n);
        k->head_out(work->w + i, y, work->r + i, work->k + i, l->r_k + at, v, work->g + i, l->ln_x_weight + at,
                    l->ln_x_bias + at, n, model->head_eps);
    }
}

static void run_layer(struct prefill_job *job, struct pool *pool, int rank, int layer)
{
    const struct rwkv7_model *model = job->s->model;
    const struct rwkv7_shape *s = &model->shape;
    const struct kernels *k = &model->rt->kernels;
    const struct layer *l = &model->layers[layer];
    const struct layer_state state = layer_state(job->s, layer);
    struct prefill_work *work = job->work;
    const size_t count = (size_t)job->count, c = (size_t)s->channels;
    float *low_w = work->low, *low_a = low_w + count * (size_t)s->rank_w, *low_v = low_a + count * (size_t)s->rank_a,
          *low_g = low_v + count * (size_t)s->rank_v;
    int begin, end;

    /* Time mix: one shifted mix at a time, and the products that start from it. */
    normalise(job, pool, rank, l->ln1_weight, l->ln1_bias, state.att_prev);
    const struct operand m = {work->m, work->many};
    const struct {
        const float *mix;
        struct product products[2];
        int count;
    } starts[] = {
        {l->x_r, {{work->r, &l->receptance, m}}, 1},
        {l->x_w, {{low_w, &l->w1, m}}, 1},
        {l->x_k, {{work->k, &l->key, m}}, 1},
        {l->x_v, {{work->v, &l->value, m}, {low_v, &l->v1, m}}, layer == 0 ? 1 : 2},
        {l->x_a, {{low_a, &l->a1, m}}, 1},
        {l->x_g, {{low_g, &l->g1, m}}, 1},
    };
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        shift(job, pool, starts[i].mix, starts[i].products[0].w->type);
        run_products(job, pool, rank, starts[i].products, starts[i].count, NULL);
    }

    /* Second halves of the low-rank products. The mix is no longer needed: its place takes the value gate. */
    const struct product seconds[] = {
        {work->w, &l->w2, {low_w, work->few[0]}},
        {work->a, &l->a2, {low_a, work->few[1]}},
        {work->g, &l->g2, {low_g, work->few[3]}},
        {work->m, &l->v2, {low_v, work->few[2]}}, /* last: absent in layer 0 */
    };
    const int second_count = layer == 0 ? 3 : 4;
    while (pool_take(pool, job->count, TOKENS_PER_CHUNK, &begin, &end)) {
        k->tanh(low_w + begin * s->rank_w, (end - begin) * s->rank_w);
        k->sigmoid(low_g + begin * s->rank_g, (end - begin) * s->rank_g);
        for (int i = 0; i < second_count; i++)
            operand_quantise(k, &seconds[i].x, seconds[i].w->type, seconds[i].w->cols, begin, end);
    }
    if (rank == 0)
        memcpy(state.att_prev, work->u + count * c, c * sizeof(float));
    pool_barrier(pool);
    run_products(job, pool, rank, seconds, second_count, NULL);

    while (pool_take(pool, s->heads, 1, &begin, &end))
        scan_head(job, rank, layer, begin);
    pool_barrier(pool);
    const struct product output = {work->m, &l->output, {work->w, work->many}};
    quantise(job, pool, &output.x, &l->output);
    run_products(job, pool, rank, &output, 1, add_to_residual);

    /* Channel mix. */
    normalise(job, pool, rank, l->ln2_weight, l->ln2_bias, state.ffn_prev);
    shift(job, pool, l->ffn_x_k, l->ffn_key.type);
    const struct product key = {work->hidden, &l->ffn_key, m};
    run_products(job, pool, rank, &key, 1, square_hidden);
    if (rank == 0)
        memcpy(state.ffn_prev, work->u + count * c, c * sizeof(float));
    const struct product value = {work->m, &l->ffn_value, {work->hidden, work->many}};
    quantise(job, pool, &value.x, &l->ffn_value);
    run_products(job, pool, rank, &value, 1, add_to_residual);

    for (int t = 0; rank == 0 && job->bad_layer < 0 && t < job->count; t++)
        if (k->count_bad(work->x + (size_t)t * c, s->channels) > 0) {
            job->bad_layer = layer;
            job->bad_token = t;
        }
}

static void run_logits(struct prefill_job *job, struct pool *pool, int rank)
{
    const struct rwkv7_model *model = job->s->model;
    const struct kernels *k = &model->rt->kernels;
    const struct outer *outer = &model->outer;
    struct prefill_work *work = job->work;
    const int c = model->shape.channels, last = job->count - 1;
    int begin, end;

    if (job->which == RWKV7_LOGITS_ALL) {
        normalise(job, pool, rank, outer->ln_out_weight, outer->ln_out_bias, work->x);
        const struct product head = {job->logits, &outer->head, {work->u + c, work->many}};
        quantise(job, pool, &head.x, &outer->head);
        run_products(job, pool, rank, &head, 1, NULL);
    } else if (job->which == RWKV7_LOGITS_LAST) {
        const struct operand u = {work->u, work->many};
        if (rank == 0) {
            k->layer_norm(work->u, work->x + (size_t)last * (size_t)c, outer->ln_out_weight, outer->ln_out_bias, c,
                          model->ln_eps);
            operand_quantise(k, &u, outer->head.type, c, 0, 1);
        }
        pool_barrier(pool);
        while (pool_take(pool, outer->head.rows, 8 * ROWS_PER_CHUNK, &begin, &end))
            product_gemv(k, job->logits, &outer->head, &u, begin, end);
    }
}

static void prefill_worker(void *arg, struct pool *pool, int rank)
{
    struct prefill_job *job = arg;
    const struct rwkv7_model *model = job->s->model;
    const struct kernels *k = &model->rt->kernels;
    const struct outer *outer = &model->outer;
    const int c = model->shape.channels;
    const size_t row = mat_bytes(&outer->emb) / (size_t)outer->emb.rows;
    int begin, end;

    while (pool_take(pool, job->count, TOKENS_PER_CHUNK, &begin, &end))
        for (int t = begin; t < end; t++) {
            float *x = job->work->x + (size_t)t * (size_t)c;
            k->widen[outer->emb.type](x, (const char *)outer->emb.data + job->tokens[t] * row, c);
            if (outer->ln0_weight)
                k->layer_norm(x, x, outer->ln0_weight, outer->ln0_bias, c, model->ln_eps);
        }
    pool_barrier(pool);
    for (int layer = 0; layer < model->shape.layers; layer++)
        run_layer(job, pool, rank, layer);
    run_logits(job, pool, rank);
}

enum rwkv7_status prefill_tokens(struct rwkv7_session *s, struct pool *pool, const uint32_t *tokens, int count,
                                 enum rwkv7_logits which, float *logits, struct rwkv7_error *err)
{
    const struct rwkv7_model *model = s->model;
    if (s->prefill && s->prefill->room < count) {
        prefill_work_free(s->prefill);
        s->prefill = NULL;
    }
    if (!s->prefill)
        s->prefill = work_new(model, count, pool_threads(model->rt->pool));
    if (!s->prefill)
        return fail_memory(err, "the buffers of a prompt");

    struct prefill_job job = {s, s->prefill, tokens, count, which, logits, -1, 0};
    pool_run(pool, prefill_worker, &job);
    const int rows = which == RWKV7_LOGITS_ALL ? count : which == RWKV7_LOGITS_LAST ? 1 : 0;
    for (int t = 0; job.bad_layer < 0 && t < rows; t++)
        if (model->rt->kernels.count_bad(logits + (size_t)t * (size_t)model->shape.vocab, model->shape.vocab) > 0) {
            job.bad_layer = model->shape.layers;
            job.bad_token = count - rows + t;
        }
    return job.bad_layer < 0 ? RWKV7_OK : fail_numeric(s, job.bad_layer, s->tokens + (uint64_t)job.bad_token, err);
}
