/*
 * rwkv5.c - RWKV-5.2 ("Eagle"), the whole architecture: weights, recognition, and the forward pass for one token and for many.
 *
 * Three namings: BlinkDL (.pth, and .st files, which call the bonus time_first), and the Hugging Face folders of its time, whose names
 * begin with "rwkv.". With u = LN1(x), and the vector before, att_prev:
 *
 *     x_c = u + (att_prev - u) (1 - mix_c)              c = k v r g; mix_c is the weight of the present token
 *     r = R x_r    k = K x_k    v = V x_v    g = silu(G x_g)
 *     per head     y = S^T r + v sum(r bonus k)         of the old state S [key][value]
 *                  S = diag(w) S + k v^T                w = exp(-exp(decay)), the same for every token
 *     x += O (norm(y) g)                                the norm of each head
 *
 * and with u = LN2(x), ffn_prev, mixes of its own:
 *
 *     x += sig(Rf x_r) Vf relu(Kf x_k)^2
 */
#include <stdio.h>
#include <string.h>

#include "arch/chunk.h"
#include "arch/step.h"

struct layer {
    const float *ln1_weight, *ln1_bias, *ln2_weight, *ln2_bias; /* [C] */
    const float *x_k, *x_v, *x_r, *x_g;                         /* [C] 1 - mix */
    const float *decay, *bonus;                                 /* [H][N] */
    const float *ln_x_weight, *ln_x_bias;                       /* [C] */
    struct mat receptance, key, value, gate, output;            /* [C][C] */
    const float *ffn_x_k, *ffn_x_r;                             /* [C] 1 - mix */
    struct mat ffn_key, ffn_receptance, ffn_value;              /* [F][C], [C][C], [C][F] */
};

/* ---------------------------------------------------------------------------------------------------------- weights */

#define VECTOR(blinkdl, hf, kind, field)                                                          \
    {                                                                                             \
        blinkdl, NULL, hf, NULL, WEIGHT_##kind, 'C', 0, EVERYWHERE, offsetof(struct layer, field) \
    }
#define HEADS(blinkdl, hf, kind, field)                                                           \
    {                                                                                             \
        blinkdl, NULL, hf, NULL, WEIGHT_##kind, 'H', 0, EVERYWHERE, offsetof(struct layer, field) \
    }
#define MATRIX(blinkdl, hf, kind, rows, cols, field)                                                  \
    {                                                                                                 \
        blinkdl, NULL, hf, NULL, WEIGHT_##kind, rows, cols, EVERYWHERE, offsetof(struct layer, field) \
    }
#define OUTER(blinkdl, hf, kind, rows, cols, field)                                                   \
    {                                                                                                 \
        blinkdl, NULL, hf, NULL, WEIGHT_##kind, rows, cols, EVERYWHERE, offsetof(struct outer, field) \
    }

static const struct weight_spec layer_weights[] = {
    VECTOR("ln1.weight", "ln1.weight", VECTOR, ln1_weight),
    VECTOR("ln1.bias", "ln1.bias", VECTOR, ln1_bias),
    VECTOR("ln2.weight", "ln2.weight", VECTOR, ln2_weight),
    VECTOR("ln2.bias", "ln2.bias", VECTOR, ln2_bias),
    VECTOR("att.time_mix_k", "attention.time_mix_key", COMPLEMENT, x_k),
    VECTOR("att.time_mix_v", "attention.time_mix_value", COMPLEMENT, x_v),
    VECTOR("att.time_mix_r", "attention.time_mix_receptance", COMPLEMENT, x_r),
    VECTOR("att.time_mix_g", "attention.time_mix_gate", COMPLEMENT, x_g),
    HEADS("att.time_decay", "attention.time_decay", DECAY, decay),
    HEADS("att.time_faaaa|att.time_first", "attention.time_faaaa", VECTOR, bonus),
    MATRIX("att.receptance.weight", "attention.receptance.weight", MATRIX, 'C', 'C', receptance),
    MATRIX("att.key.weight", "attention.key.weight", MATRIX, 'C', 'C', key),
    MATRIX("att.value.weight", "attention.value.weight", MATRIX, 'C', 'C', value),
    MATRIX("att.gate.weight", "attention.gate.weight", MATRIX, 'C', 'C', gate),
    MATRIX("att.output.weight", "attention.output.weight", MATRIX, 'C', 'C', output),
    VECTOR("att.ln_x.weight", "attention.ln_x.weight", VECTOR, ln_x_weight),
    VECTOR("att.ln_x.bias", "attention.ln_x.bias", VECTOR, ln_x_bias),
    VECTOR("ffn.time_mix_k", "feed_forward.time_mix_key", COMPLEMENT, ffn_x_k),
    VECTOR("ffn.time_mix_r", "feed_forward.time_mix_receptance", COMPLEMENT, ffn_x_r),
    MATRIX("ffn.key.weight", "feed_forward.key.weight", MATRIX, 'F', 'C', ffn_key),
    MATRIX("ffn.receptance.weight", "feed_forward.receptance.weight", MATRIX, 'C', 'C', ffn_receptance),
    MATRIX("ffn.value.weight", "feed_forward.value.weight", SPARSE, 'C', 'F', ffn_value),
};

static const struct weight_spec outer_weights[] = {
    OUTER("emb.weight", "rwkv.embeddings.weight", TABLE, 'V', 'C', emb),
    OUTER("blocks.0.ln0.weight", "rwkv.blocks.0.pre_ln.weight", VECTOR, 'C', 0, ln0_weight),
    OUTER("blocks.0.ln0.bias", "rwkv.blocks.0.pre_ln.bias", VECTOR, 'C', 0, ln0_bias),
    OUTER("ln_out.weight", "rwkv.ln_out.weight", VECTOR, 'C', 0, ln_out_weight),
    OUTER("ln_out.bias", "rwkv.ln_out.bias", VECTOR, 'C', 0, ln_out_bias),
    OUTER("head.weight", "head.weight", MATRIX, 'V', 'C', head),
};

static const struct weight_table weights = {
    .model = "RWKV-5.2",
    .layers = layer_weights,
    .layer_count = sizeof layer_weights / sizeof layer_weights[0],
    .outer = outer_weights,
    .outer_count = sizeof outer_weights / sizeof outer_weights[0],
    .layer_prefix = {[NAMING_BLINKDL] = "blocks.", [NAMING_HF] = "rwkv.blocks."},
    .layer_size = sizeof(struct layer),
};

/* ------------------------------------------------------------------------------------------------------ recognition */

/* A gate, which 5.0 and RWKV-4 lack, and a decay for every channel, where 5.1 has one for each head. RWKV-6 has no time_mix_k. */
static bool claims(const struct candidate *c)
{
    const bool hf = c->naming == NAMING_HF;
    const char *prefix = hf ? "rwkv.blocks.0.attention." : "blocks.0.att.";
    static const char *const needed[] = {"gate.weight", "ln_x.weight"};
    char name[NAME_ROOM];
    if (c->naming != NAMING_BLINKDL && !hf)
        return false;
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        snprintf(name, sizeof name, "%s%s", prefix, needed[i]);
        if (!tensors_find(c->index, name))
            return false;
    }
    snprintf(name, sizeof name, "%stime_mix_x", prefix);
    if (tensors_find(c->index, name)) /* an RWKV-6 of the .st spelling */
        return false;
    snprintf(name, sizeof name, "%stime_decay", prefix);
    const struct tensor *decay = tensors_find(c->index, name);
    return decay && decay->rank == 2 && decay->shape[1] > 1;
}

static enum rwkv7_status measure(const struct candidate *c, struct recognized *out, struct rwkv7_error *err)
{
    struct rwkv7_shape *s = &out->shape;
    enum rwkv7_status status;
    if ((status = measure_common(c, out->weights, s, err)) ||
        (status = measure_axes(c, out->weights, "att.time_decay", 0, &s->heads, &s->head_size, err)))
        return status;
    return check_heads(c, "time_decay", s, err);
}

static bool is_possible(const struct rwkv7_shape *s)
{
    return s->rank_w == 0 && s->rank_a == 0 && s->rank_v == 0 && s->rank_g == 0;
}

/* ---------------------------------------------------------------------------------------------------------- buffers */

enum { MIX_K, MIX_V, MIX_R, MIX_G, MIXES };

/* Private to a thread. */
struct own {
    float *mix[MIXES];         /* [C] */
    struct quants many[MIXES]; /* their integers */
    float *y;                  /* [N] of one head */
};

/* Shared by all threads. */
struct work {
    float *r, *k, *v, *g; /* [C]; the gated heads take the place of r, sig(Rf x_r) that of g */
    float *hidden;        /* [F] */
    float *no_bonus;      /* [N] zeroes: RWKV-7's bonus after the norm */
    struct own *own;      /* [threads] */
};

static void *cut_step(struct scratch *s, const struct rwkv7_model *model, int threads)
{
    const struct rwkv7_shape *shape = &model->shape;
    const size_t channels = (size_t)shape->channels, n = (size_t)shape->head_size;
    struct work *const place = scratch_cut(s, sizeof *place);
    struct work work = {0};
    float **const wide[] = {&work.r, &work.k, &work.v, &work.g};
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
        *wide[i] = scratch_floats(s, channels);
    work.hidden = scratch_floats(s, (size_t)shape->ffn);
    work.no_bonus = scratch_floats(s, n);
    work.own = scratch_cut(s, (size_t)threads * sizeof *work.own);
    for (int rank = 0; rank < threads; rank++) {
        struct own own;
        for (int i = 0; i < MIXES; i++) {
            own.mix[i] = scratch_floats(s, channels);
            own.many[i] = cut_quants(s, shape->channels, 1);
        }
        own.y = scratch_floats(s, n);
        if (work.own)
            work.own[rank] = own;
    }
    if (!place)
        return NULL;
    memset(work.no_bonus, 0, n * sizeof *work.no_bonus);
    *place = work;
    return place;
}

/* -------------------------------------------------------------------------------------------------------- one token */

/* Mix `i` of u, ready for a matrix of this type. */
static struct operand make_mix(const struct step *step, const struct own *own, int i, const float *u,
                               const float *before, const float *weights_of_before, enum mat_type type)
{
    const struct kernels *k = &step->model->rt->kernels;
    const int channels = step->model->shape.channels;
    const struct operand mix = {own->mix[i], own->many[i]};
    k->shift(own->mix[i], u, before, weights_of_before, channels);
    operand_quantise(k, &mix, type, channels, 0, 1);
    return mix;
}

/* One head, from r, k, v and g to its gated output, in the place of r. */
static void run_head(const struct step *step, const struct own *own, const struct layer *l, float *wkv, int head)
{
    const struct kernels *k = &step->model->rt->kernels;
    const struct work *work = step->work;
    const int n = step->model->shape.head_size, at = head * n;
    const struct head_in in = {.r = work->r + at, .w = l->decay + at, .k = work->k + at, .v = work->v + at};
    k->wkv6(own->y, wkv + (size_t)at * (size_t)n, &in, l->bonus + at, n);
    k->silu(work->g + at, n);
    k->head_out(own->y, own->y, in.r, in.k, work->no_bonus, in.v, work->g + at, l->ln_x_weight + at, l->ln_x_bias + at,
                n, step->model->head_eps);
    memcpy(work->r + at, own->y, (size_t)n * sizeof *own->y);
}

static void time_mix(const struct step *step, struct pool *pool, int rank, const struct layer *l,
                     struct layer_state state)
{
    const struct rwkv7_model *model = step->model;
    const struct kernels *k = &model->rt->kernels;
    const struct work *work = step->work;
    const struct own *own = &work->own[rank];
    const int channels = model->shape.channels;
    float *const u = step->threads[rank].u, *const before = state.att_prev;
    int begin, end;

    k->layer_norm(u, step->x, l->ln1_weight, l->ln1_bias, channels, model->ln_eps);
    const struct operand x_k = make_mix(step, own, MIX_K, u, before, l->x_k, l->key.type);
    const struct operand x_v = make_mix(step, own, MIX_V, u, before, l->x_v, l->value.type);
    const struct operand x_r = make_mix(step, own, MIX_R, u, before, l->x_r, l->receptance.type);
    const struct operand x_g = make_mix(step, own, MIX_G, u, before, l->x_g, l->gate.type);
    const struct step_product products[] = {{work->r, &l->receptance, &x_r},
                                            {work->k, &l->key, &x_k},
                                            {work->v, &l->value, &x_v},
                                            {work->g, &l->gate, &x_g}};
    step_products(step, pool, rank, products, 4);
    pool_barrier(pool);

    step_share(channels, rank, pool, &begin, &end);
    memcpy(before + begin, u + begin, (size_t)(end - begin) * sizeof *u);
    while (pool_share(pool, rank, model->shape.heads, 1, &begin, &end))
        run_head(step, own, l, state.wkv, begin);
    pool_barrier(pool);

    step_add_product(step, pool, rank, &l->output, work->r, NULL);
    pool_barrier(pool);
}

static void channel_mix(struct step *step, struct pool *pool, int rank, const struct layer *l, struct layer_state state)
{
    const struct rwkv7_model *model = step->model;
    const struct kernels *k = &model->rt->kernels;
    const struct work *work = step->work;
    const struct own *own = &work->own[rank];
    const int channels = model->shape.channels;
    float *const u = step->threads[rank].u, *const before = state.ffn_prev;
    int begin, end;

    k->layer_norm(u, step->x, l->ln2_weight, l->ln2_bias, channels, model->ln_eps);
    const struct operand x_k = make_mix(step, own, MIX_K, u, before, l->ffn_x_k, l->ffn_key.type);
    const struct operand x_r = make_mix(step, own, MIX_R, u, before, l->ffn_x_r, l->ffn_receptance.type);
    const struct step_product products[] = {{work->hidden, &l->ffn_key, &x_k}, {work->g, &l->ffn_receptance, &x_r}};
    step_products(step, pool, rank, products, 2);
    pool_barrier(pool);

    step_share(channels, rank, pool, &begin, &end);
    memcpy(before + begin, u + begin, (size_t)(end - begin) * sizeof *u);
    k->sigmoid(work->g + begin, end - begin);
    step_share(model->shape.ffn, rank, pool, &begin, &end);
    k->relu_square(work->hidden + begin, end - begin);
    pool_barrier(pool);

    step_add_sparse(step, pool, rank, &l->ffn_value, work->hidden, work->g);
    pool_barrier(pool);
}

static void step_layer(struct step *step, struct pool *pool, int rank, int layer)
{
    const struct layer *l = (const struct layer *)step->model->layers + layer;
    const struct layer_state state = layer_state(step->model, step->state, layer);
    time_mix(step, pool, rank, l, state);
    channel_mix(step, pool, rank, l, state);
}

/* ---------------------------------------------------------------------------------------------------- several tokens */

/* Shared by all threads; see struct work. */
struct chunk_work {
    float *r, *k, *v, *g;      /* [T][C] */
    struct vectors mix[MIXES]; /* of C numbers */
    struct vectors out;        /* the gated heads: r as floats; integers in the place of a mix */
    struct vectors hidden;     /* of F numbers; in the place of the mixes that the channel mix does not have */
    float *no_bonus;           /* [N] zeroes */
    float **y;                 /* [threads] -> [N] */
};

static void *cut_chunk(struct scratch *s, const struct rwkv7_model *model, int tokens, int threads)
{
    const struct rwkv7_shape *shape = &model->shape;
    const struct operand_forms forms = operand_forms(model);
    const size_t t = (size_t)tokens, channels = (size_t)shape->channels, n = (size_t)shape->head_size;
    struct chunk_work *const place = scratch_cut(s, sizeof *place);
    struct chunk_work work = {0};
    float **const wide[] = {&work.r, &work.k, &work.v, &work.g};
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
        *wide[i] = scratch_floats(s, t * channels);
    for (int i = 0; i < 2; i++)
        work.mix[i] = cut_vectors(s, shape->channels, t, forms.floats, forms.integers);
    const size_t before = s->used;
    work.hidden = cut_vectors(s, shape->ffn, t, forms.floats, forms.integers);
    const size_t behind = s->used;
    s->used = before;
    for (int i = 2; i < MIXES; i++)
        work.mix[i] = cut_vectors(s, shape->channels, t, forms.floats, forms.integers);
    s->used = s->used > behind ? s->used : behind;
    work.out = (struct vectors){shape->channels, work.r, work.mix[0].quants};
    work.no_bonus = scratch_floats(s, n);
    work.y = scratch_cut(s, (size_t)threads * sizeof *work.y);
    for (int rank = 0; rank < threads; rank++) {
        float *const y = scratch_floats(s, n);
        if (work.y)
            work.y[rank] = y;
    }
    if (!place)
        return NULL;
    memset(work.no_bonus, 0, n * sizeof *work.no_bonus);
    *place = work;
    return place;
}

/* One head over a piece. Nothing but the state is wanted of tokens before `first`. */
static void scan_head(const struct chunk *c, float *y, const struct piece *piece, int layer, int head, int first)
{
    const struct rwkv7_model *model = c->model;
    const struct kernels *k = &model->rt->kernels;
    const struct layer *l = (const struct layer *)model->layers + layer;
    const struct chunk_work *work = c->work;
    const int n = model->shape.head_size, at = head * n;
    float *const S = layer_state(model, piece->state, layer).wkv + (size_t)at * (size_t)n;
    for (int t = piece->first; t < piece->first + piece->count; t++) {
        const size_t i = (size_t)t * (size_t)model->shape.channels + (size_t)at;
        const struct head_in in = {.r = work->r + i, .w = l->decay + at, .k = work->k + i, .v = work->v + i};
        k->wkv6(y, S, &in, l->bonus + at, n);
        if (t < first)
            continue;
        k->silu(work->g + i, n);
        k->head_out(y, y, in.r, in.k, work->no_bonus, in.v, work->g + i, l->ln_x_weight + at, l->ln_x_bias + at, n,
                    model->head_eps);
        memcpy(work->r + i, y, (size_t)n * sizeof *y);
    }
}

static void chunk_time_mix(const struct chunk *c, struct pool *pool, int rank, int layer, int first)
{
    const struct layer *l = (const struct layer *)c->model->layers + layer;
    const int heads = c->model->shape.heads;
    struct chunk_work *work = c->work;
    struct vectors *mix = work->mix;
    int begin, end;

    const struct shifts shifts = {l->ln1_weight, l->ln1_bias, STATE_ATT_PREV, {l->x_k, l->x_v, l->x_r, l->x_g},
                                  mix,           MIXES};
    chunk_shift(c, pool, rank, layer, &shifts, 0);
    const struct chunk_product products[] = {
        {.w = &l->receptance, .x = &mix[MIX_R], .y = work->r, .first = first},
        {.w = &l->gate, .x = &mix[MIX_G], .y = work->g, .first = first},
        {.w = &l->key, .x = &mix[MIX_K], .y = work->k},
        {.w = &l->value, .x = &mix[MIX_V], .y = work->v},
    };
    chunk_products(c, pool, rank, products, 4, c->count);

    while (pool_take(pool, heads * c->piece_count, 1, &begin, &end))
        scan_head(c, work->y[rank], &c->pieces[begin / heads], layer, begin % heads, first);
    pool_barrier(pool);

    while (pool_take(pool, c->count - first, chunk_token_task(c, pool), &begin, &end))
        vectors_quantize(&c->model->rt->kernels, &work->out, l->output.type, first + begin, first + end);
    pool_barrier(pool);
    const struct chunk_product output = {
        .w = &l->output, .x = &work->out, .first = first, .finish = chunk_finish_residual};
    chunk_products(c, pool, rank, &output, 1, c->count);
}

static void chunk_channel_mix(const struct chunk *c, struct pool *pool, int rank, int layer, int first)
{
    const struct layer *l = (const struct layer *)c->model->layers + layer;
    struct chunk_work *work = c->work;
    const struct shifts shifts = {l->ln2_weight, l->ln2_bias, STATE_FFN_PREV, {l->ffn_x_k, l->ffn_x_r}, work->mix, 2};
    chunk_shift(c, pool, rank, layer, &shifts, first);
    const struct chunk_product products[] = {
        chunk_hidden_product(&l->ffn_key, &work->mix[0], first, &work->hidden, &l->ffn_value),
        {.w = &l->ffn_receptance, .x = &work->mix[1], .y = work->g, .first = first, .finish = chunk_finish_sigmoid},
    };
    chunk_products(c, pool, rank, products, 2, c->count);
    const struct chunk_product value = {
        .w = &l->ffn_value, .x = &work->hidden, .first = first, .finish = chunk_finish_residual, .gate = work->g};
    chunk_add_sparse(c, pool, rank, &value);
}

static void chunk_layer(struct chunk *c, struct pool *pool, int rank, int layer)
{
    int att_first, ffn_first;
    chunk_needed(c, layer, &att_first, &ffn_first);
    chunk_time_mix(c, pool, rank, layer, att_first);
    chunk_channel_mix(c, pool, rank, layer, ffn_first);
}

const struct arch arch_x052 = {
    .id = RWKV7_ARCH_X052,
    .version = "x052",
    .weights = &weights,
    .state = matrix_state,
    .state_count = STATE_TENSORS,
    .claims = claims,
    .measure = measure,
    .is_possible = is_possible,
    .cut_step = cut_step,
    .step = step_layer,
    .cut_chunk = cut_chunk,
    .chunk = chunk_layer,
};
