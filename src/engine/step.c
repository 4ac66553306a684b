/* step.c - the driver for one token: embedding, layers, logits. */
#include "arch/step.h"

#include "engine/engine.h"

/* Allocates the buffers of a step. Without memory in `s`, only counts the size. */
static void cut_step(struct scratch *s, const struct rwkv7_model *model, struct step *step)
{
    const struct rwkv7_shape *shape = &model->shape;
    const int threads = pool_threads(model->compute->pool);
    const int widest = shape->ffn > shape->channels ? shape->ffn : shape->channels;
    step->x = scratch_floats(s, (size_t)shape->channels);
    step->y = scratch_floats(s, (size_t)shape->channels);
    step->threads = scratch_cut(s, (size_t)threads * sizeof *step->threads);
    for (int rank = 0; rank < threads; rank++) {
        struct step_thread own;
        own.u = scratch_floats(s, (size_t)shape->channels);
        own.quants = cut_quants(s, widest, 1);
        own.active.column = scratch_cut(s, (size_t)shape->ffn * sizeof *own.active.column);
        if (step->threads)
            step->threads[rank] = own;
    }
    step->work = model->arch->forward->cut_step(s, model, threads);
}

size_t step_scratch(const struct rwkv7_model *model)
{
    struct scratch s = {0};
    struct step step;
    cut_step(&s, model, &step);
    return s.used;
}

static void step_worker(void *arg, struct pool *pool, int rank)
{
    struct step *step = arg;
    const struct rwkv7_model *model = step->model;
    const struct rwkv7_shape *s = &model->shape;
    const struct kernels *k = &model->compute->kernels;
    const struct outer *outer = &model->outer;

    if (rank == 0) {
        mat_rows(k, &outer->emb, step->token, 1, step->x);
        if (outer->ln0_weight)
            k->layer_norm(step->x, step->x, outer->ln0_weight, outer->ln0_bias, s->channels, model->ln_eps);
    }
    pool_barrier(pool);
    for (int layer = 0; layer < s->layers; layer++) {
        model->arch->forward->step(step, pool, rank, layer);
        if (rank == 0 && step->bad_layer < 0 && k->count_bad(step->x, s->channels) > 0)
            step->bad_layer = layer;
    }
    if (!step->logits)
        return;
    const struct operand u = {step->threads[rank].u, step->threads[rank].quants};
    k->layer_norm(step->threads[rank].u, step->x, outer->ln_out_weight, outer->ln_out_bias, s->channels, model->ln_eps);
    operand_quantize(k, &u, outer->head.type, s->channels, 0, 1);
    const struct step_product head = {step->logits, &outer->head, &u};
    step_products(step, pool, rank, &head, 1);
}

enum rwkv7_status step_token(struct rwkv7_session *s, uint32_t token, float *logits, struct rwkv7_error *err)
{
    const struct rwkv7_model *model = s->model;
    struct rwkv7_runtime *rt = runtime_of(model);
    struct step step = {.model = model, .state = s->state, .token = token, .logits = logits, .bad_layer = -1};
    fork_lock_take(&rt->turn);
    struct scratch scratch = {.memory = rt->scratch};
    cut_step(&scratch, model, &step);
    pool_run(pool_for(model, 1), step_worker, &step);
    fork_lock_give(&rt->turn);
    s->columns += step.columns;
    s->columns_read += step.columns_read;
    if (step.bad_layer < 0 && logits && rt->compute.kernels.count_bad(logits, model->shape.vocab) > 0)
        step.bad_layer = model->shape.layers;
    return step.bad_layer < 0 ? RWKV7_OK : fail_numeric(model, step.bad_layer, s->tokens, err);
}
