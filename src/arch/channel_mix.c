/* channel_mix.c - the channel mix of RWKV-4 to RWKV-6; the equations are in channel_mix.h. */
#include "arch/channel_mix.h"

#include <string.h>

static int last_state(const struct rwkv7_model *model)
{
    return model->arch->state_count - 1;
}

struct channel_mix_step cut_channel_mix_step(struct scratch *s, const struct rwkv7_model *model, int threads)
{
    const struct rwkv7_shape *shape = &model->shape;
    struct channel_mix_step work;
    work.gate = scratch_floats(s, (size_t)shape->channels);
    work.hidden = scratch_floats(s, (size_t)shape->ffn);
    work.local = scratch_cut(s, (size_t)threads * sizeof *work.local);
    for (int rank = 0; rank < threads; rank++) {
        struct channel_mix_local local;
        for (int i = 0; i < 2; i++) {
            local.mix[i] = scratch_floats(s, (size_t)shape->channels);
            local.mix_q[i] = cut_quants(s, shape->channels, 1);
        }
        if (work.local)
            work.local[rank] = local;
    }
    return work;
}

void step_channel_mix(struct step *step, struct pool *pool, int rank, int layer, const struct channel_mix *m,
                      const struct channel_mix_step *work)
{
    const struct rwkv7_model *model = step->model;
    const struct kernels *k = &model->compute->kernels;
    const struct channel_mix_local *local = &work->local[rank];
    const int channels = model->shape.channels;
    float *const u = step->threads[rank].u, *const prev = state_at(model, step->state, layer, last_state(model));
    const float *const shifts[2] = {m->shift_k, m->shift_r};
    const struct mat *const matrices[2] = {&m->key, &m->receptance};
    const float scale = layer_scale(model, layer);
    struct operand mixes[2];
    int begin, end;

    /* 1. u = LN(x); x_c = u + (ffn_prev - u) shift_c for k and r; Kf x_k and Rf x_r. */
    k->layer_norm(u, step->x, m->ln_weight, m->ln_bias, channels, model->ln_eps);
    for (int i = 0; i < 2; i++) {
        k->shift(local->mix[i], u, prev, shifts[i], channels);
        mixes[i] = (struct operand){local->mix[i], local->mix_q[i]};
        operand_quantize(k, &mixes[i], matrices[i]->type, channels, 0, 1);
    }
    const struct step_product products[] = {{work->hidden, &m->key, &mixes[0]},
                                            {work->gate, &m->receptance, &mixes[1]}};
    step_products(step, pool, rank, products, 2);
    pool_barrier(pool);

    /*
     * 2. ffn_prev = u, now that all threads have read it; gate = layer_scale sig(Rf x_r);
     * hidden = relu(Kf x_k)^2.
     */
    step_share(channels, rank, pool, &begin, &end);
    memcpy(prev + begin, u + begin, (size_t)(end - begin) * sizeof *u);
    k->sigmoid(work->gate + begin, end - begin);
    for (int i = begin; i < end; i++)
        work->gate[i] *= scale;
    step_share(model->shape.ffn, rank, pool, &begin, &end);
    k->relu_square(work->hidden + begin, end - begin);
    pool_barrier(pool);

    /* 3. x += gate Vf hidden. */
    step_add_sparse(step, pool, rank, &m->value, work->hidden, work->gate);
    pool_barrier(pool);
}

void chunk_channel_mix(const struct chunk *c, struct pool *pool, int rank, int layer, const struct channel_mix *m,
                       struct vectors *mix, float *gate, struct vectors *hidden, int first)
{
    /* x_k and x_r of all tokens; ffn_prev = u of the last token of each piece. */
    const struct shifts shifts = {m->ln_weight, m->ln_bias, last_state(c->model), {m->shift_k, m->shift_r}, mix, 2};
    chunk_shift(c, pool, rank, layer, &shifts, first);
    chunk_remember(c, rank, layer, &shifts);
    /* hidden = relu(Kf x_k)^2; gate = layer_scale sig(Rf x_r). */
    const struct chunk_product products[] = {
        chunk_hidden_product(&m->key, &mix[0], first, hidden, &m->value),
        {.w = &m->receptance,
         .x = &mix[1],
         .y = gate,
         .first = first,
         .finish = chunk_finish_sigmoid,
         .scale = layer_scale(c->model, layer)},
    };
    chunk_products(c, pool, rank, products, 2, c->count);
    /* x += gate Vf hidden. */
    const struct chunk_product value = {
        .w = &m->value, .x = hidden, .first = first, .finish = chunk_finish_residual, .gate = gate};
    chunk_add_sparse(c, pool, rank, &value);
}
