/* prefill.c - the driver for several tokens, of one session or more; see arch/chunk.h. */
#include <string.h>

#include "base/mem.h"
#include "engine/engine.h"

/* The current chunk, and the driver's own buffers. */
struct prefill {
    struct chunk chunk;
    struct vectors normalized; /* [wanted_count] of C elements, input of the head */
};

static struct chunk_thread cut_thread(struct scratch *s, const struct rwkv7_model *model)
{
    const size_t channels = (size_t)model->shape.channels, part = (size_t)model->compute->kernels.tuning.part_floats;
    struct chunk_thread own = {0};
    own.scratch = scratch_floats(s, model->needs.scratch);
    own.rows = scratch_cut(s, model->needs.rows);
    own.active.column = scratch_cut(s, (size_t)model->shape.ffn * sizeof *own.active.column);
    own.part = scratch_floats(s, channels > part ? channels : part);
    own.u = scratch_floats(s, channels);
    own.before = scratch_floats(s, channels);
    own.m = scratch_floats(s, channels);
    own.state = scratch_floats(s, WKV_MAX_N * WKV_MAX_N);
    return own;
}

/* Allocates the buffers for `tokens` tokens. Without memory in `s`, only counts the size. */
static void cut_prefill(struct scratch *s, const struct rwkv7_model *model, int tokens, struct prefill *p)
{
    const int threads = pool_threads(model->compute->pool);
    const size_t count = (size_t)tokens;
    struct chunk *c = &p->chunk;
    c->x = scratch_floats(s, count * (size_t)model->shape.channels);
    c->piece = scratch_cut(s, count * sizeof *c->piece);
    c->wanted = scratch_cut(s, count * sizeof *c->wanted);
    c->bad = scratch_cut(s, count * sizeof *c->bad);
    c->threads = scratch_cut(s, (size_t)threads * sizeof *c->threads);
    for (int rank = 0; rank < threads; rank++) {
        const struct chunk_thread own = cut_thread(s, model);
        if (c->threads)
            c->threads[rank] = own;
    }
    c->work = model->arch->forward->cut_chunk(s, model, tokens, threads);
    p->normalized = cut_vectors(s, model->shape.channels, count, true, model->outer.head.type >= MAT_FLOATS);
}

size_t prefill_scratch(const struct rwkv7_model *model)
{
    struct scratch s = {0};
    struct prefill p;
    cut_prefill(&s, model, RWKV7_CHUNK, &p);
    return s.used;
}

static void embed(const struct chunk *c, struct pool *pool)
{
    const struct rwkv7_model *model = c->model;
    const struct kernels *k = &model->compute->kernels;
    const struct outer *outer = &model->outer;
    const int channels = model->shape.channels;
    int begin, end;
    while (pool_take(pool, c->count, chunk_token_task(c, pool), &begin, &end))
        for (int t = begin; t < end; t++) {
            const struct piece *p = &c->pieces[c->piece[t]];
            float *x = c->x + (size_t)t * (size_t)channels;
            mat_rows(k, &outer->emb, p->tokens[t - p->first], 1, x);
            if (outer->ln0_weight)
                k->layer_norm(x, x, outer->ln0_weight, outer->ln0_bias, channels, model->ln_eps);
        }
    pool_barrier(pool);
}

static void check_last_layer(const struct chunk *c, struct pool *pool)
{
    const int last = c->model->shape.layers - 1;
    int att_first, first, begin, end;
    chunk_needed(c, last, &att_first, &first);
    while (pool_take(pool, c->count - first, chunk_token_task(c, pool), &begin, &end))
        for (int t = first + begin; t < first + end; t++)
            chunk_check(c, last, t);
    pool_barrier(pool);
}

static void make_logits(const struct prefill *p, struct pool *pool, int rank)
{
    const struct chunk *c = &p->chunk;
    const struct rwkv7_model *model = c->model;
    const struct kernels *k = &model->compute->kernels;
    const struct outer *outer = &model->outer;
    const struct vectors *u = &p->normalized;
    const int channels = model->shape.channels;
    int begin, end;

    while (pool_take(pool, c->wanted_count, 1, &begin, &end)) {
        k->layer_norm(u->x + (size_t)begin * (size_t)channels, c->x + (size_t)c->wanted[begin] * (size_t)channels,
                      outer->ln_out_weight, outer->ln_out_bias, channels, model->ln_eps);
        vectors_quantize(k, u, outer->head.type, begin, end);
    }
    pool_barrier(pool);
    const struct chunk_product head = {.w = &outer->head, .x = u, .y = c->logits};
    const struct operand one = vectors_operand(u, outer->head.type, 0);
    if (c->wanted_count > 1)
        chunk_products(c, pool, rank, &head, 1, c->wanted_count);
    else if (c->wanted_count == 1)
        while (pool_take(pool, outer->head.rows, HEAD_TASK_ROWS, &begin, &end))
            product_gemv(k, c->logits, &outer->head, &one, begin, end);
}

static void prefill_worker(void *arg, struct pool *pool, int rank)
{
    struct prefill *p = arg;
    struct chunk *c = &p->chunk;
    embed(c, pool);
    for (int layer = 0; layer < c->model->shape.layers; layer++)
        c->model->arch->forward->chunk(c, pool, rank, layer);
    check_last_layer(c, pool);
    make_logits(p, pool, rank);
}

/* Lists the piece of each token, and the tokens whose logits are wanted. */
static void list_tokens(struct chunk *c)
{
    memset(c->bad, -1, (size_t)c->count * sizeof *c->bad);
    for (int i = 0, t = 0; i < c->piece_count; i++)
        for (int j = 0; j < c->pieces[i].count; j++, t++) {
            const enum rwkv7_logits which = c->pieces[i].which;
            c->piece[t] = i;
            if (which == RWKV7_LOGITS_ALL || (which == RWKV7_LOGITS_LAST && j == c->pieces[i].count - 1))
                c->wanted[c->wanted_count++] = t;
        }
}

/*
 * Stores in each piece the position of its first NaN or infinity: the one that single steps would
 * report.
 */
static void report_bad(const struct chunk *c)
{
    const size_t vocab = (size_t)c->model->shape.vocab;
    for (int t = 0; t < c->count; t++) {
        struct piece *p = &c->pieces[c->piece[t]];
        if (c->bad[t] >= 0 && p->bad_layer < 0) {
            p->bad_layer = c->bad[t];
            p->bad_token = t - p->first;
        }
    }
    for (int i = 0; i < c->wanted_count; i++) {
        struct piece *p = &c->pieces[c->piece[c->wanted[i]]];
        const int token = c->wanted[i] - p->first;
        if ((p->bad_layer < 0 || token < p->bad_token) &&
            c->model->compute->kernels.count_bad(c->logits + (size_t)i * vocab, (int)vocab) > 0) {
            p->bad_layer = c->model->shape.layers;
            p->bad_token = token;
        }
    }
}

enum rwkv7_status prefill_pieces(const struct rwkv7_model *model, struct piece *pieces, int piece_count, float *logits,
                                 struct rwkv7_error *err)
{
    struct rwkv7_runtime *rt = runtime_of(model);
    struct prefill p = {.chunk = {.model = model, .pieces = pieces, .piece_count = piece_count, .logits = logits}};
    struct chunk *c = &p.chunk;
    for (int i = 0; i < piece_count; i++) {
        pieces[i].first = c->count;
        pieces[i].bad_layer = -1;
        c->count += pieces[i].count;
    }
    if (rt->math == RWKV7_MATH_BLAS && !kernels_blas_fits(pool_threads(rt->compute.pool)))
        return fail_memory(err, "the buffers of OpenBLAS");
    fork_lock_take(&rt->turn);
    struct scratch scratch = {.memory = rt->scratch};
    cut_prefill(&scratch, model, c->count, &p);
    list_tokens(c);
    pool_run(pool_for(model, (size_t)c->count), prefill_worker, &p);
    report_bad(c);
    fork_lock_give(&rt->turn);
    return RWKV7_OK;
}

enum rwkv7_status prefill_tokens(struct rwkv7_session *s, const uint32_t *tokens, int count, enum rwkv7_logits which,
                                 float *logits, struct rwkv7_error *err)
{
    struct piece p = {.state = s->state, .tokens = tokens, .count = count, .which = which};
    const enum rwkv7_status status = prefill_pieces(s->model, &p, 1, logits, err);
    if (status != RWKV7_OK || p.bad_layer < 0)
        return status;
    return fail_numeric(s->model, p.bad_layer, s->tokens + (uint64_t)p.bad_token, err);
}
