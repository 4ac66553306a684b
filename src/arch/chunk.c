/*
 * chunk.c - token shifts and products shared by the forward passes for several tokens; see chunk.h.
 */
#include "arch/chunk.h"

#include <string.h>

struct vectors cut_vectors(struct scratch *s, int cols, size_t tokens, bool floats, bool integers)
{
    struct vectors v = {.cols = cols};
    if (floats)
        v.x = scratch_floats(s, tokens * (size_t)cols);
    if (integers)
        v.quants = cut_quants(s, cols, tokens);
    return v;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

struct product_needs product_needs(const struct rwkv7_model *model)
{
    struct product_needs needs = {0};
    struct weight w = WEIGHT_BEFORE_FIRST;
    while (weight_next(model->weights, &model->shape, &w)) {
        if (kind_is_vector(w.spec->kind) || w.spec->kind == WEIGHT_TABLE)
            continue;
        const struct mat *m = weight_mat(model, &w);
        needs.floats |= m->type < MAT_FLOATS;
        needs.integers |= m->type >= MAT_FLOATS;
        /* The widest matrix does not always need the most memory: its panels have fewer rows. */
        needs.scratch = larger(needs.scratch, product_scratch(m->cols));
        if (m->by_column)
            needs.rows = larger(needs.rows, rows_of_columns_bytes(m, COLUMN_ROWS));
    }
    return needs;
}

void cut_mixes(struct scratch *s, const struct rwkv7_model *model, size_t tokens, struct vectors *mix, int count,
               int kept, struct vectors *hidden)
{
    const struct product_needs *needs = &model->needs;
    const struct rwkv7_shape *shape = &model->shape;
    for (int i = 0; i < kept; i++)
        mix[i] = cut_vectors(s, shape->channels, tokens, needs->floats, needs->integers);
    struct scratch other = *s; /* starts at the same memory: hidden overlaps the mixes */
    for (int i = kept; i < count; i++)
        mix[i] = cut_vectors(s, shape->channels, tokens, needs->floats, needs->integers);
    *hidden = cut_vectors(&other, shape->ffn, tokens, needs->floats, needs->integers);
    s->used = other.used > s->used ? other.used : s->used;
}

struct operand vectors_operand(const struct vectors *v, enum mat_type type, int token)
{
    struct operand o = {0};
    if (type < MAT_FLOATS)
        o.x = v->x + (size_t)token * (size_t)v->cols;
    else
        o.quants = quants_from(v->quants, v->cols, (size_t)token);
    return o;
}

void vectors_quantize(const struct kernels *k, const struct vectors *v, enum mat_type type, int begin, int end)
{
    const struct operand o = {v->x, v->quants};
    operand_quantize(k, &o, type, v->cols, begin, end);
}

void chunk_needed(const struct chunk *c, int layer, int *time_mix, int *channel_mix)
{
    const bool only_last =
        layer == c->model->shape.layers - 1 && c->piece_count == 1 && c->wanted_count <= 1 && !c->pieces[0].replay;
    *channel_mix = only_last ? c->count - 1 : 0;
    *time_mix = only_last && c->count > 1 ? c->count - 2 : 0;
}

int chunk_token_task(const struct chunk *c, const struct pool *pool)
{
    const int share = c->count / (4 * pool_threads(pool));
    return share < 1 ? 1 : share < TOKENS_PER_TASK ? share : TOKENS_PER_TASK;
}

void chunk_check(const struct chunk *c, int layer, int token)
{
    const int channels = c->model->shape.channels;
    if (c->bad[token] < 0 &&
        c->model->compute->kernels.count_bad(c->x + (size_t)token * (size_t)channels, channels) > 0)
        c->bad[token] = layer;
}

/* --------------------------------------------------------------------------------- token shifts */

void chunk_normalize(const struct chunk *c, const struct shifts *s, int token, float *u)
{
    const struct rwkv7_model *model = c->model;
    const int channels = model->shape.channels;
    model->compute->kernels.layer_norm(u, c->x + (size_t)token * (size_t)channels, s->weight, s->bias, channels,
                                       model->ln_eps);
}

void chunk_store_mix(const struct chunk *c, const struct vectors *to, int token, const float *m)
{
    const int channels = c->model->shape.channels;
    float *const x = to->x ? to->x + (size_t)token * (size_t)channels : NULL;
    if (x && x != m)
        memcpy(x, m, (size_t)channels * sizeof *x);
    if (to->quants.q) {
        const struct quants q = quants_from(to->quants, channels, (size_t)token);
        c->model->compute->kernels.quantize(q.q, q.scale, q.sum, m, channels);
    }
}

/* Computes all shifted mixes of one token. */
static void make_mixes(const struct chunk *c, const struct chunk_thread *local, const struct shifts *s, int token,
                       const float *u, const float *prev)
{
    const int channels = c->model->shape.channels;
    for (int i = 0; i < s->count; i++) {
        const struct vectors *to = &s->to[i];
        float *const m = to->x ? to->x + (size_t)token * (size_t)channels : local->m;
        c->model->compute->kernels.shift(m, u, prev, s->mix[i], channels);
        chunk_store_mix(c, to, token, m);
    }
}

void chunk_shift(const struct chunk *c, struct pool *pool, int rank, int layer, const struct shifts *s, int first)
{
    const size_t bytes = (size_t)c->model->shape.channels * sizeof(float);
    const struct chunk_thread *local = &c->threads[rank];
    float *u = local->u, *prev = local->before;
    int begin, end;
    while (pool_take(pool, c->count - first, chunk_token_task(c, pool), &begin, &end)) {
        for (int t = first + begin; t < first + end; t++) {
            const struct piece *piece = &c->pieces[c->piece[t]];
            if (t == piece->first)
                memcpy(prev, state_at(c->model, piece->state, layer, s->state), bytes);
            else if (t == first + begin)
                chunk_normalize(c, s, t - 1, prev);
            if (s->state == STATE_ATT_PREV && layer > 0)
                chunk_check(c, layer - 1, t);
            chunk_normalize(c, s, t, u);
            make_mixes(c, local, s, t, u, prev);
            float *const other = prev;
            prev = u;
            u = other;
        }
    }
    pool_barrier(pool);
}

void chunk_remember(const struct chunk *c, int rank, int layer, const struct shifts *s)
{
    for (int i = 0; rank == 0 && i < c->piece_count; i++) {
        const struct piece *p = &c->pieces[i];
        const int number = s->state == STATE_ATT_PREV ? RECORD_ATT : RECORD_FFN;
        for (int j = 0; p->replay && j < p->count; j++)
            chunk_normalize(c, s, p->first + j, replay_at(c->model, p->replay, layer, j, number, 0));
        if (!p->replay)
            chunk_normalize(c, s, p->first + p->count - 1, state_at(c->model, p->state, layer, s->state));
    }
}

/* ----------------------------------------------------------------------------------- recurrence */

float *chunk_state(const struct piece *p, float *state, size_t floats, float *copy)
{
    return p->replay ? memcpy(copy, state, floats * sizeof *state) : state;
}

float *chunk_head_state(const struct chunk *c, int rank, const struct piece *p, int layer, int head)
{
    const size_t n = (size_t)c->model->shape.head_size;
    return chunk_state(p, layer_state(c->model, p->state, layer).wkv + (size_t)head * n * n, n * n,
                       c->threads[rank].state);
}

void chunk_record(const struct chunk *c, const struct piece *p, int layer, int token, int channel, int n,
                  const float *const inputs[])
{
    for (int i = 0; p->replay && i < c->model->arch->forward->inputs; i++)
        memcpy(replay_at(c->model, p->replay, layer, token - p->first, RECORD_INPUT + i, channel), inputs[i],
               (size_t)n * sizeof *inputs[i]);
}

void chunk_replay_wkv6(const struct rwkv7_model *model, float *state, const struct replay *replay, int layer, int begin,
                       int end, int count)
{
    const int n = end - begin;
    float *const S = layer_state(model, state, layer).wkv + (size_t)begin * (size_t)n;
    float y[WKV_MAX_N]; /* not used, so r and bonus may have any values */
    for (int t = 0; t < count; t++) {
        const float *const w = replay_at(model, replay, layer, t, RECORD_INPUT, begin);
        const struct head_in in = {.r = w,
                                   .w = w,
                                   .k = replay_at(model, replay, layer, t, RECORD_INPUT + 1, begin),
                                   .v = replay_at(model, replay, layer, t, RECORD_INPUT + 2, begin)};
        model->compute->kernels.wkv6(y, S, &in, w, n);
    }
}

/* ------------------------------------------------------------------------------------- products */

static void run_product(const struct chunk *c, const struct chunk_thread *local, const struct chunk_product *p,
                        int tokens, int begin, int end)
{
    const struct mat rows = product_rows(p->w, begin, end, local->rows);
    const int limit = p->y ? tokens : c->model->compute->kernels.tuning.part_floats / rows.rows;
    const size_t ldy = (size_t)(p->y ? p->w->rows : rows.rows);
    for (int token = p->first, batch; token < tokens; token += batch) {
        batch = tokens - token < limit ? tokens - token : limit;
        float *const y = p->y ? p->y + (size_t)token * ldy + begin : local->part;
        const struct operand x = vectors_operand(p->x, rows.type, token);
        product_gemm(&c->model->compute->kernels, y, ldy, &rows, &x, batch, local->scratch);
        if (p->finish)
            p->finish(c, p, y, ldy, token, batch, begin, end);
    }
}

/*
 * Returns the rows per task. If the matrix has enough rows, a task has twice as many in two cases:
 * floats, because each task reads all vectors; and few quantized vectors, because the first tiles
 * of a task are not prefetched.
 */
static int task_rows(const struct chunk *c, const struct chunk_product *p, int tokens, const struct pool *pool)
{
    const struct kernels *k = &c->model->compute->kernels;
    const bool gains = p->w->type < MAT_FLOATS || tokens - p->first <= k->few_tokens[p->w->type];
    const bool has_enough_rows = !p->w->by_column && p->w->rows >= 4 * CHUNK_TASK_ROWS * pool_threads(pool);
    return p->rows ? p->rows : gains && has_enough_rows ? 2 * CHUNK_TASK_ROWS : CHUNK_TASK_ROWS;
}

static int task_count(const struct chunk *c, const struct chunk_product *p, int tokens, const struct pool *pool)
{
    const int rows = task_rows(c, p, tokens, pool);
    return (p->w->rows + rows - 1) / rows;
}

void chunk_products(const struct chunk *c, struct pool *pool, int rank, const struct chunk_product *products, int count,
                    int tokens)
{
    int total = 0, task, next;
    for (int i = 0; i < count; i++)
        total += task_count(c, &products[i], tokens, pool);
    while (pool_take(pool, total, 1, &task, &next)) {
        const struct chunk_product *p = products; /* the product that the task belongs to */
        while (task >= task_count(c, p, tokens, pool))
            task -= task_count(c, p++, tokens, pool);
        const int rows = task_rows(c, p, tokens, pool), begin = task * rows;
        run_product(c, &c->threads[rank], p, tokens, begin, p->w->rows - begin < rows ? p->w->rows : begin + rows);
    }
    pool_barrier(pool);
}

/* Adds `count` elements at y to the residual stream of a token, from channel `begin` on. */
static void add_to_residual(const struct chunk *c, const struct chunk_product *p, float *y, int token, int begin,
                            int count)
{
    const struct kernels *k = &c->model->compute->kernels;
    const size_t offset = (size_t)token * (size_t)p->w->rows + (size_t)begin;
    if (p->gate)
        k->multiply(y, p->gate + offset, count);
    k->add(c->x + offset, y, count);
}

void chunk_finish_residual(const struct chunk *c, const struct chunk_product *p, float *y, size_t ldy, int token,
                           int tokens, int begin, int end)
{
    for (int t = token; t < token + tokens; t++, y += ldy)
        add_to_residual(c, p, y, t, begin, end - begin);
}

void chunk_finish_low(const struct chunk *c, const struct chunk_product *p, float *y, size_t ldy, int token, int tokens,
                      int begin, int end)
{
    (void)y, (void)ldy, (void)begin, (void)end;
    vectors_quantize(&c->model->compute->kernels, p->next, p->next_type, token, token + tokens);
}

struct chunk_product chunk_low_product(const struct mat *w, const struct vectors *x, struct vectors *z,
                                       const struct mat *next, chunk_finish *finish, int first)
{
    return (struct chunk_product){.w = w,
                                  .x = x,
                                  .y = z->x,
                                  .first = first,
                                  .rows = w->rows,
                                  .finish = finish,
                                  .next = z,
                                  .next_type = next->type};
}

void chunk_quantize_rows(const struct chunk *c, const struct chunk_product *p, const float *y, int token, int begin,
                         int end)
{
    if (p->next_type < MAT_FLOATS)
        return;
    const struct quants to = quants_from(p->next->quants, p->next->cols, (size_t)token);
    c->model->compute->kernels.quantize(to.q + begin, to.scale + begin / QUANT_BLOCK, to.sum + begin / QUANT_GROUP, y,
                                        end - begin);
}

void chunk_finish_relu_square(const struct chunk *c, const struct chunk_product *p, float *y, size_t ldy, int token,
                              int tokens, int begin, int end)
{
    for (int t = token; t < token + tokens; t++, y += ldy) {
        c->model->compute->kernels.relu_square(y, end - begin);
        chunk_quantize_rows(c, p, y, t, begin, end);
    }
}

void chunk_finish_sigmoid(const struct chunk *c, const struct chunk_product *p, float *y, size_t ldy, int token,
                          int tokens, int begin, int end)
{
    (void)token;
    for (int t = 0; t < tokens; t++, y += ldy) {
        c->model->compute->kernels.sigmoid(y, end - begin);
        for (int i = 0; p->scale != 0 && i < end - begin; i++)
            y[i] *= p->scale;
    }
}

struct chunk_product chunk_hidden_product(const struct mat *key, const struct vectors *x, int first,
                                          struct vectors *hidden, const struct mat *value)
{
    const bool floats = value->type < MAT_FLOATS;
    return (struct chunk_product){.w = key,
                                  .x = x,
                                  .y = floats ? hidden->x : NULL,
                                  .first = first,
                                  .rows = floats ? 0 : QUANT_BLOCK,
                                  .finish = chunk_finish_relu_square,
                                  .next = hidden,
                                  .next_type = value->type};
}

void chunk_add_output(const struct chunk *c, struct pool *pool, int rank, const struct mat *w,
                      const struct vectors *out, int first)
{
    const struct chunk_product product = {.w = w, .x = out, .first = first, .finish = chunk_finish_residual};
    int begin, end;
    if (w->type >= MAT_FLOATS) {
        while (pool_take(pool, c->count - first, chunk_token_task(c, pool), &begin, &end))
            vectors_quantize(&c->model->compute->kernels, out, w->type, first + begin, first + end);
        pool_barrier(pool);
    }
    chunk_products(c, pool, rank, &product, 1, c->count);
}

/*
 * Returns whether a sparse product per token is cheaper than transposing the matrix to rows for one
 * GEMM (tuning_sparse_readings). Every thread counts the active columns of all tokens, so all come
 * to the same answer.
 */
static bool columns_pay(struct chunk_thread *local, const struct chunk_product *p, int tokens)
{
    if (!p->w->by_column || tokens - p->first > SPARSE_TOKENS)
        return false;
    size_t columns = 0;
    for (int t = p->first; t < tokens; t++) {
        const struct operand single = vectors_operand(p->x, p->w->type, t);
        product_active(&local->active, p->w, &single);
        columns += (size_t)local->active.first[16];
    }
    const int readings = tuning_sparse_readings(p->w->type < MAT_FLOATS, tokens - p->first);
    return columns <= (size_t)readings * (size_t)p->w->cols;
}

void chunk_add_sparse(const struct chunk *c, struct pool *pool, int rank, const struct chunk_product *p)
{
    struct chunk_thread *local = &c->threads[rank];
    int begin, end;
    if (!columns_pay(local, p, c->count)) {
        chunk_products(c, pool, rank, p, 1, c->count);
        return;
    }
    while (pool_share(pool, rank, p->w->rows, product_column_rows(p->w, pool_threads(pool)), &begin, &end))
        for (int t = p->first; t < c->count; t++) {
            const struct operand single = vectors_operand(p->x, p->w->type, t);
            product_active(&local->active, p->w, &single);
            product_columns(&c->model->compute->kernels, local->part, p->w, &single, &local->active, begin, end);
            add_to_residual(c, p, local->part + begin, t, begin, end - begin);
        }
    pool_barrier(pool);
}
