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
    float *u; /* [T][C] normalised */
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
    int *piece;                   /* [T] which piece a token belongs to */
    int *wanted;                  /* [T] tokens of which the logits are wanted, rising */
};

struct prefill_job {
    const struct rwkv7_model *model;
    struct prefill_work *work;
    struct piece *pieces;
    int piece_count;
    int count;  /* tokens of all pieces */
    int wanted; /* rows of logits */
    float *logits;
};

void prefill_work_free(struct prefill_work *work)
{
    if (!work)
        return;
    mem_free(work->memory);
    mem_free(work->scratch);
    mem_free(work->turned);
    mem_free(work->piece);
    mem_free(work->wanted);
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
    size_t turned = 0;
    for (int i = 0; i < s->layers; i++) {
        const struct mat *value = &model->layers[i].ffn_value;
        const size_t floats = lines(rows_of_columns_bytes(value, COLUMN_ROWS) / sizeof(float) + 1);
        turned = value->by_column && floats > turned ? floats : turned;
    }
    int lengths[SHAPE_LENGTHS];
    size_t scratch = 0; /* more columns do not always need more of it */
    shape_lengths(s, lengths);
    for (int i = 0; i < SHAPE_LENGTHS; i++)
        scratch = product_scratch(lengths[i]) > scratch ? product_scratch(lengths[i]) : scratch;

    size_t quants = quants_floats(widest, t);
    for (int i = 0; i < 4; i++)
        quants += quants_floats(ranks[i], t);

    work->room = room;
    work->memory = mem_alloc(10 * row + low + hidden + quants + team * (scratch + turned + head), sizeof(float));
    work->scratch = mem_alloc(team, sizeof *work->scratch);
    work->turned = mem_alloc(team, sizeof *work->turned);
    work->piece = mem_alloc(t, sizeof *work->piece);
    work->wanted = mem_alloc(t, sizeof *work->wanted);
    if (!work->memory || !work->scratch || !work->turned || !work->piece || !work->wanted) {
        prefill_work_free(work);
        return NULL;
    }
    float *at = work->memory;
    float **const wide[] = {&work->x, &work->m, &work->r, &work->w,       &work->k,
                            &work->v, &work->a, &work->g, &work->v_first, &work->u};
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
        *wide[i] = at, at += row;
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

/* All products of a phase, for `tokens` vectors; `after` (may be NULL) is called for the rows that were just made. */
static void multiply(const struct prefill_job *job, struct pool *pool, int rank, const struct product *products,
                     int count, int tokens, after_fn *after)
{
    const struct kernels *k = &job->model->rt->kernels;
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
            product_gemm_columns(k, p->y, p->w, &p->x, tokens, from, to, scratch, job->work->turned[rank]);
        else
            product_gemm(k, p->y, p->w, &p->x, tokens, from, to, scratch);
        if (after)
            after(job, p, from, to);
    }
    pool_barrier(pool);
}

static void run_products(const struct prefill_job *job, struct pool *pool, int rank, const struct product *products,
                         int count, after_fn *after)
{
    multiply(job, pool, rank, products, count, job->count, after);
}

static void add_to_residual(const struct prefill_job *job, const struct product *p, int begin, int end)
{
    const size_t c = (size_t)job->model->shape.channels;
    for (size_t t = 0; t < (size_t)job->count; t++)
        job->model->rt->kernels.add(job->work->x + t * c + begin, p->y + t * c + begin, end - begin);
}

static void square_hidden(const struct prefill_job *job, const struct product *p, int begin, int end)
{
    const size_t f = (size_t)job->model->shape.ffn;
    for (size_t t = 0; t < (size_t)job->count; t++)
        job->model->rt->kernels.relu_square(p->y + t * f + begin, end - begin);
}

/* ------------------------------------------------------------------------------------------------------------ phases */

/* u[t] = LN(x[t]) */
static void normalise(const struct prefill_job *job, struct pool *pool, const float *weight, const float *bias)
{
    const struct rwkv7_model *model = job->model;
    const size_t c = (size_t)model->shape.channels;
    int begin, end;
    while (pool_take(pool, job->count, TOKENS_PER_CHUNK, &begin, &end))
        for (size_t t = (size_t)begin; t < (size_t)end; t++)
            model->rt->kernels.layer_norm(job->work->u + t * c, job->work->x + t * c, weight, bias, (int)c,
                                          model->ln_eps);
    pool_barrier(pool);
}

/* Which of the two vectors of a layer's state a shift looks back at. */
enum before { BEFORE_TIME_MIX, BEFORE_CHANNEL_MIX };

static float *state_before(const struct piece *p, int layer, enum before before)
{
    const struct layer_state state = layer_state(p->session, layer);
    return before == BEFORE_TIME_MIX ? state.att_prev : state.ffn_prev;
}

/* m[t] = u[t] + (u before t - u[t]) mix, to be multiplied by matrices of type `type`. */
static void shift(const struct prefill_job *job, struct pool *pool, int layer, enum before before, const float *mix,
                  enum mat_type type)
{
    const struct rwkv7_model *model = job->model;
    const size_t c = (size_t)model->shape.channels;
    const struct operand m = {job->work->m, job->work->many};
    int begin, end;
    while (pool_take(pool, job->count, TOKENS_PER_CHUNK, &begin, &end)) {
        for (int t = begin; t < end; t++) {
            const struct piece *p = &job->pieces[job->work->piece[t]];
            const float *u = job->work->u + (size_t)t * c,
                        *prev = t == p->first ? state_before(p, layer, before) : u - c;
            model->rt->kernels.shift(job->work->m + (size_t)t * c, u, prev, mix, (int)c);
        }
        operand_quantise(&model->rt->kernels, &m, type, (int)c, begin, end);
    }
    pool_barrier(pool);
}

/* The last token of each piece is what its next one looks back at. Behind a barrier, since shift reads the one before. */
static void remember(const struct prefill_job *job, int layer, enum before before)
{
    const size_t c = (size_t)job->model->shape.channels;
    for (int i = 0; i < job->piece_count; i++) {
        const struct piece *p = &job->pieces[i];
        memcpy(state_before(p, layer, before), job->work->u + (size_t)(p->first + p->count - 1) * c, c * sizeof(float));
    }
}

/* What was made by rows or heads is quantised by tokens; nothing to do, and no barrier, for matrices of floats. */
static void quantise(const struct prefill_job *job, struct pool *pool, const struct operand *o, const struct mat *w)
{
    int begin, end;
    if (w->type < MAT_FLOATS)
        return;
    while (pool_take(pool, job->count, TOKENS_PER_CHUNK, &begin, &end))
        operand_quantise(&job->model->rt->kernels, o, w->type, w->cols, begin, end);
    pool_barrier(pool);
}

/* The recurrence of one head over a piece; the equations are those of run_head in step.c. */
static void scan_head(const struct prefill_job *job, const struct piece *p, int rank, int layer, int head)
{
    const struct rwkv7_model *model = job->model;
    const struct kernels *k = &model->rt->kernels;
    const struct layer *l = &model->layers[layer];
    struct prefill_work *work = job->work;
    const int n = model->shape.head_size, at = head * n;
    const size_t c = (size_t)model->shape.channels;
    float *S = layer_state(p->session, layer).wkv + (size_t)at * (size_t)n;
    float *kk = work->head + (size_t)rank * lines(3 * (size_t)n), *b = kk + n, *y = b + n;

    for (size_t t = (size_t)p->first; t < (size_t)(p->first + p->count); t++) {
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
    const struct rwkv7_model *model = job->model;
    const struct rwkv7_shape *s = &model->shape;
    const struct kernels *k = &model->rt->kernels;
    const struct layer *l = &model->layers[layer];
    struct prefill_work *work = job->work;
    const size_t count = (size_t)job->count, c = (size_t)s->channels;
    float *low_w = work->low, *low_a = low_w + count * (size_t)s->rank_w, *low_v = low_a + count * (size_t)s->rank_a,
          *low_g = low_v + count * (size_t)s->rank_v;
    int begin, end;

    /* Time mix: one shifted mix at a time, and the products that start from it. */
    normalise(job, pool, l->ln1_weight, l->ln1_bias);
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
        const struct product *p = starts[i].products;
        shift(job, pool, layer, BEFORE_TIME_MIX, starts[i].mix,
              starts[i].count == 1 ? p[0].w->type : operand_type(p[0].w, p[1].w));
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
        k->tanh(low_w + (size_t)begin * (size_t)s->rank_w, (end - begin) * s->rank_w);
        k->sigmoid(low_g + (size_t)begin * (size_t)s->rank_g, (end - begin) * s->rank_g);
        for (int i = 0; i < second_count; i++)
            operand_quantise(k, &seconds[i].x, seconds[i].w->type, seconds[i].w->cols, begin, end);
    }
    if (rank == 0)
        remember(job, layer, BEFORE_TIME_MIX);
    pool_barrier(pool);
    run_products(job, pool, rank, seconds, second_count, NULL);

    while (pool_take(pool, s->heads * job->piece_count, 1, &begin, &end))
        scan_head(job, &job->pieces[begin / s->heads], rank, layer, begin % s->heads);
    pool_barrier(pool);
    const struct product output = {work->m, &l->output, {work->w, work->many}};
    quantise(job, pool, &output.x, &l->output);
    run_products(job, pool, rank, &output, 1, add_to_residual);

    /* Channel mix. */
    normalise(job, pool, l->ln2_weight, l->ln2_bias);
    shift(job, pool, layer, BEFORE_CHANNEL_MIX, l->ffn_x_k, l->ffn_key.type);
    const struct product key = {work->hidden, &l->ffn_key, m};
    run_products(job, pool, rank, &key, 1, square_hidden);
    if (rank == 0)
        remember(job, layer, BEFORE_CHANNEL_MIX);
    const struct product value = {work->m, &l->ffn_value, {work->hidden, work->many}};
    quantise(job, pool, &value.x, &l->ffn_value);
    run_products(job, pool, rank, &value, 1, add_to_residual);

    for (int t = 0; rank == 0 && t < job->count; t++) {
        struct piece *p = &job->pieces[work->piece[t]];
        if (p->bad_layer < 0 && k->count_bad(work->x + (size_t)t * c, s->channels) > 0) {
            p->bad_layer = layer;
            p->bad_token = t - p->first;
        }
    }
}

static void run_logits(struct prefill_job *job, struct pool *pool, int rank)
{
    const struct rwkv7_model *model = job->model;
    const struct kernels *k = &model->rt->kernels;
    const struct outer *outer = &model->outer;
    struct prefill_work *work = job->work;
    const int c = model->shape.channels;
    const struct operand u = {work->u, work->many};
    int begin, end;

    while (pool_take(pool, job->wanted, 1, &begin, &end)) {
        k->layer_norm(work->u + (size_t)begin * (size_t)c, work->x + (size_t)work->wanted[begin] * (size_t)c,
                      outer->ln_out_weight, outer->ln_out_bias, c, model->ln_eps);
        operand_quantise(k, &u, outer->head.type, c, begin, end);
    }
    pool_barrier(pool);
    const struct product head = {job->logits, &outer->head, u};
    if (job->wanted > 1)
        multiply(job, pool, rank, &head, 1, job->wanted, NULL);
    else if (job->wanted == 1)
        while (pool_take(pool, outer->head.rows, 8 * ROWS_PER_CHUNK, &begin, &end))
            product_gemv(k, job->logits, &outer->head, &u, begin, end);
}

static void prefill_worker(void *arg, struct pool *pool, int rank)
{
    struct prefill_job *job = arg;
    const struct rwkv7_model *model = job->model;
    const struct kernels *k = &model->rt->kernels;
    const struct outer *outer = &model->outer;
    const int c = model->shape.channels;
    int begin, end;

    while (pool_take(pool, job->count, TOKENS_PER_CHUNK, &begin, &end))
        for (int t = begin; t < end; t++) {
            const struct piece *p = &job->pieces[job->work->piece[t]];
            float *x = job->work->x + (size_t)t * (size_t)c;
            mat_rows(k, &outer->emb, p->tokens[t - p->first], 1, x);
            if (outer->ln0_weight)
                k->layer_norm(x, x, outer->ln0_weight, outer->ln0_bias, c, model->ln_eps);
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
        *own = work_new(model, job.count, pool_threads(model->rt->pool));
    if (!*own)
        return fail_memory(err, "the buffers of a prompt");

    struct prefill_work *work = job.work = *own;
    for (int i = 0, t = 0; i < piece_count; i++)
        for (int j = 0; j < pieces[i].count; j++, t++) {
            const bool last = j == pieces[i].count - 1;
            work->piece[t] = i;
            if (pieces[i].which == RWKV7_LOGITS_ALL || (pieces[i].which == RWKV7_LOGITS_LAST && last))
                work->wanted[job.wanted++] = t;
        }
    pool_run(pool, prefill_worker, &job);

    const int vocab = model->shape.vocab;
    for (int i = 0; i < job.wanted; i++) {
        struct piece *p = &pieces[work->piece[work->wanted[i]]];
        if (p->bad_layer < 0 && model->rt->kernels.count_bad(logits + (size_t)i * (size_t)vocab, vocab) > 0) {
            p->bad_layer = model->shape.layers;
            p->bad_token = work->wanted[i] - p->first;
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
