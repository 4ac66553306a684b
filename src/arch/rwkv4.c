/*
 * rwkv4.c - RWKV-4 ("Dove"): weights, recognition, and the forward pass for one token and for
 * several.
 *
 * RWKV-4 is the only version without heads. The state is a running weighted mean per channel:
 * numerator aa exp(pp), denominator bb exp(pp), exponent pp, which starts far below any key. With u
 * = LN1(x), and att_prev = u of the previous token:
 *
 *     x_c = u + (att_prev - u) (1 - mix_c)              c = k v r; files store mix_c
 *     r = sig(R x_r)    k = K x_k    v = V x_v
 *     y = (aa exp(pp) + v exp(first + k)) / (bb exp(pp) + exp(first + k))
 *     aa exp(pp) = aa exp(pp) exp(-exp(decay)) + v exp(k)
 *     bb exp(pp) = bb exp(pp) exp(-exp(decay)) + exp(k)
 *     x += O (r y)
 *
 * The kernel wkv4 computes the recurrence and channel_mix.h the channel mix. Namings: BlinkDL, and
 * the Hugging Face folders of that time, whose names begin with "rwkv.".
 */
#include <string.h>

#include "arch/channel_mix.h"

struct layer {
    const float *ln1_weight, *ln1_bias;        /* [C] */
    const float *x_k, *x_v, *x_r;              /* [C] 1 - mix_c */
    const float *decay, *first;                /* [C]; decay: exp of the stored value */
    struct mat receptance, key, value, output; /* [C][C] */
    struct channel_mix ffn;                    /* its shifts are 1 - mix_c, too */
};

static const struct layer *layers(const struct rwkv7_model *model)
{
    return model->layers;
}

/* ---------------------------------------------------------------------------- weights and state */

#define VECTOR(blinkdl, hf, kind, field)                                                          \
    {                                                                                             \
        blinkdl, NULL, hf, NULL, WEIGHT_##kind, 'C', 0, EVERYWHERE, offsetof(struct layer, field) \
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
    VECTOR("ln2.weight", "ln2.weight", VECTOR, ffn.ln_weight),
    VECTOR("ln2.bias", "ln2.bias", VECTOR, ffn.ln_bias),
    VECTOR("att.time_mix_k", "attention.time_mix_key", COMPLEMENT, x_k),
    VECTOR("att.time_mix_v", "attention.time_mix_value", COMPLEMENT, x_v),
    VECTOR("att.time_mix_r", "attention.time_mix_receptance", COMPLEMENT, x_r),
    VECTOR("att.time_decay", "attention.time_decay", EXP, decay),
    VECTOR("att.time_first", "attention.time_first", VECTOR, first),
    MATRIX("att.receptance.weight", "attention.receptance.weight", MATRIX, 'C', 'C', receptance),
    MATRIX("att.key.weight", "attention.key.weight", MATRIX, 'C', 'C', key),
    MATRIX("att.value.weight", "attention.value.weight", MATRIX, 'C', 'C', value),
    MATRIX("att.output.weight", "attention.output.weight", MATRIX, 'C', 'C', output),
    VECTOR("ffn.time_mix_k", "feed_forward.time_mix_key", COMPLEMENT, ffn.shift_k),
    VECTOR("ffn.time_mix_r", "feed_forward.time_mix_receptance", COMPLEMENT, ffn.shift_r),
    MATRIX("ffn.key.weight", "feed_forward.key.weight", MATRIX, 'F', 'C', ffn.key),
    MATRIX("ffn.receptance.weight", "feed_forward.receptance.weight", MATRIX, 'C', 'C', ffn.receptance),
    MATRIX("ffn.value.weight", "feed_forward.value.weight", SPARSE, 'C', 'F', ffn.value),
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
    .model = "RWKV-4",
    .layers = layer_weights,
    .layer_count = sizeof layer_weights / sizeof layer_weights[0],
    .outer = outer_weights,
    .outer_count = sizeof outer_weights / sizeof outer_weights[0],
    .layer_prefix = {[NAMING_BLINKDL] = "blocks.", [NAMING_HF] = "rwkv.blocks."},
    .layer_size = sizeof(struct layer),
};

enum { ATT_PREV, AA, BB, PP, FFN_PREV, STATES };

/*
 * Any initial pp gives the same results if it is below all keys. This one is so low that
 * subtracting a decay does not change it in float32.
 */
static const struct state_tensor state[STATES] = {
    [ATT_PREV] = {"att_prev", 'C', 0, 0.0f, false},
    [AA] = {"aa", 'C', 0, 0.0f, false},
    [BB] = {"bb", 'C', 0, 0.0f, false},
    [PP] = {"pp", 'C', 0, -1e38f, false},
    [FFN_PREV] = {"ffn_prev", 'C', 0, 0.0f, false},
};

/* ---------------------------------------------------------------------------------- recognition */

/* RWKV-4 has no norm after the recurrence; later versions have one. */
static bool claims(const struct candidate *c)
{
    return (time_mix_tensor(c, "time_mix_k") || time_mix_tensor(c, "time_mix_key")) &&
           time_mix_tensor(c, "time_first") && !time_mix_tensor(c, "ln_x.weight");
}

static enum rwkv7_status measure(const struct candidate *c, struct recognized *out, struct rwkv7_error *err)
{
    return measure_common(c, out->weights, &out->shape, err);
}

static bool is_possible(const struct rwkv7_shape *s)
{
    return s->deep == 0 && s->heads == 0 && s->head_size == 0 && s->rank_w == 0 && s->rank_a == 0 && s->rank_v == 0 &&
           s->rank_g == 0 && s->rank_m == 0;
}

/* The Pile and Raven sizes (World models have 65536 tokens and end at 7b). F = 4 C. */
#define PUBLISHED(size, l, c)                                              \
    {                                                                      \
        "rwkv4-" size,                                                     \
        {                                                                  \
            .vocab = 50277, .layers = (l), .channels = (c), .ffn = 4 * (c) \
        }                                                                  \
    }
static const struct published published[] = {
    PUBLISHED("169m", 12, 768), PUBLISHED("430m", 24, 1024), PUBLISHED("1b5", 24, 2048),
    PUBLISHED("3b", 32, 2560),  PUBLISHED("7b", 32, 4096),   PUBLISHED("14b", 40, 5120),
};

/* Returns the state of a layer from `channel` on. */
static struct wkv4_state channels_state(const struct rwkv7_model *model, float *all, int layer, int channel)
{
    return (struct wkv4_state){state_at(model, all, layer, AA) + channel, state_at(model, all, layer, BB) + channel,
                               state_at(model, all, layer, PP) + channel};
}

/* Runs channels [begin, end) of one token, with their state: r = sig(r) y. */
static void run_channels(const struct rwkv7_model *model, const struct layer *l, const struct wkv4_state *s, float *r,
                         const float *k, const float *v, float *y, int begin, int end)
{
    const struct kernels *kernels = &model->compute->kernels;
    const size_t channel = (size_t)begin;
    kernels->wkv4(y + channel, s, k + channel, v + channel, l->first + channel, l->decay + channel, end - begin);
    kernels->sigmoid(r + channel, end - begin);
    kernels->multiply(r + channel, y + channel, end - begin);
}

/* ------------------------------------------------------------------------------------ one token */

enum { MIX_K, MIX_V, MIX_R, MIXES };

/* Buffers private to a thread. */
struct local {
    float *mix[MIXES];          /* [C] */
    struct quants mix_q[MIXES]; /* mix, quantized */
};

/* Buffers shared by all threads. */
struct work {
    float *r, *k, *v, *y; /* [C] */
    struct channel_mix_step channel_mix;
    struct local *local; /* [threads] */
};

static void *cut_step(struct scratch *s, const struct rwkv7_model *model, int threads)
{
    const struct rwkv7_shape *shape = &model->shape;
    const size_t channels = (size_t)shape->channels;
    struct work *const place = scratch_cut(s, sizeof *place);
    struct work work = {0};
    float **const wide[] = {&work.r, &work.k, &work.v, &work.y};
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
        *wide[i] = scratch_floats(s, channels);
    work.channel_mix = cut_channel_mix_step(s, model, threads);
    work.local = scratch_cut(s, (size_t)threads * sizeof *work.local);
    for (int rank = 0; rank < threads; rank++) {
        struct local local;
        for (int i = 0; i < MIXES; i++) {
            local.mix[i] = scratch_floats(s, channels);
            local.mix_q[i] = cut_quants(s, shape->channels, 1);
        }
        if (work.local)
            work.local[rank] = local;
    }
    if (place)
        *place = work;
    return place;
}

static void time_mix(const struct step *step, struct pool *pool, int rank, int layer)
{
    const struct rwkv7_model *model = step->model;
    const struct kernels *k = &model->compute->kernels;
    const struct layer *l = &layers(model)[layer];
    const struct work *work = step->work;
    const struct local *local = &work->local[rank];
    const int channels = model->shape.channels;
    float *const u = step->threads[rank].u, *const prev = state_at(model, step->state, layer, ATT_PREV);
    const float *const shifts[MIXES] = {l->x_k, l->x_v, l->x_r};
    const struct mat *const matrices[MIXES] = {&l->key, &l->value, &l->receptance};
    float *const results[MIXES] = {work->k, work->v, work->r};
    struct operand mixes[MIXES];
    struct step_product products[MIXES];
    int begin, end;

    /* 1. u = LN1(x); x_c = u + (att_prev - u) (1 - mix_c) for k, v and r; their products. */
    k->layer_norm(u, step->x, l->ln1_weight, l->ln1_bias, channels, model->ln_eps);
    for (int i = 0; i < MIXES; i++) {
        k->shift(local->mix[i], u, prev, shifts[i], channels);
        mixes[i] = (struct operand){local->mix[i], local->mix_q[i]};
        operand_quantize(k, &mixes[i], matrices[i]->type, channels, 0, 1);
        products[i] = (struct step_product){results[i], matrices[i], &mixes[i]};
    }
    step_products(step, pool, rank, products, MIXES);
    pool_barrier(pool);

    /* 2. att_prev = u, now that all threads have read it; the recurrence: r = sig(r) y. */
    step_share(channels, rank, pool, &begin, &end);
    memcpy(prev + begin, u + begin, (size_t)(end - begin) * sizeof *u);
    const struct wkv4_state wkv = channels_state(model, step->state, layer, begin);
    run_channels(model, l, &wkv, work->r, work->k, work->v, work->y, begin, end);
    pool_barrier(pool);

    /* 3. x += O (r y). */
    step_add_product(step, pool, rank, &l->output, work->r, NULL);
    pool_barrier(pool);
}

static void step_layer(struct step *step, struct pool *pool, int rank, int layer)
{
    const struct work *work = step->work;
    time_mix(step, pool, rank, layer);
    step_channel_mix(step, pool, rank, layer, &layers(step->model)[layer].ffn, &work->channel_mix);
}

/* ------------------------------------------------------------------------------- several tokens */

/* Buffers shared by all threads. */
struct chunk_work {
    float *r, *k, *v;          /* [T][C]; the gate of the channel mix reuses k */
    struct vectors mix[MIXES]; /* of C elements */
    struct vectors out;        /* r, whose quantized form reuses a mix */
    struct vectors hidden;     /* of F elements; overlaps a mix of the time mix */
    float *y;                  /* [C], each thread writes its channels */
};

static void *cut_chunk(struct scratch *s, const struct rwkv7_model *model, int tokens, int threads)
{
    const struct rwkv7_shape *shape = &model->shape;
    const size_t t = (size_t)tokens, channels = (size_t)shape->channels;
    struct chunk_work *const place = scratch_cut(s, sizeof *place);
    struct chunk_work work = {0};
    (void)threads;
    float **const wide[] = {&work.r, &work.k, &work.v};
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
        *wide[i] = scratch_floats(s, t * channels);
    cut_mixes(s, model, t, work.mix, MIXES, 2, &work.hidden);
    work.out = (struct vectors){shape->channels, work.r, work.mix[0].quants};
    work.y = scratch_floats(s, channels);
    if (place)
        *place = work;
    return place;
}

/* Runs channels [begin, end), at most SCAN_CHANNELS, of all tokens of a piece. */
static void scan_channels(const struct chunk *c, int rank, const struct piece *piece, int layer, int begin, int end)
{
    const struct rwkv7_model *model = c->model;
    const struct layer *l = &layers(model)[layer];
    const struct chunk_work *work = c->work;
    const size_t channels = (size_t)model->shape.channels;
    const size_t count = (size_t)(end - begin);
    float *const copy = c->threads[rank].state;
    struct wkv4_state wkv = channels_state(model, piece->state, layer, begin);
    wkv.aa = chunk_state(piece, wkv.aa, count, copy);
    wkv.bb = chunk_state(piece, wkv.bb, count, copy + SCAN_CHANNELS);
    wkv.pp = chunk_state(piece, wkv.pp, count, copy + (size_t)2 * SCAN_CHANNELS);
    for (int t = piece->first; t < piece->first + piece->count; t++) {
        const size_t i = (size_t)t * channels;
        chunk_record(c, piece, layer, t, begin, end - begin,
                     (const float *const[]){work->k + i + begin, work->v + i + begin});
        run_channels(model, l, &wkv, work->r + i, work->k + i, work->v + i, work->y, begin, end);
    }
}

static void replay_channels(const struct rwkv7_model *model, float *all, const struct replay *replay, int layer,
                            int begin, int end, int count)
{
    const struct layer *l = &layers(model)[layer];
    const struct wkv4_state wkv = channels_state(model, all, layer, begin);
    float y[SCAN_CHANNELS]; /* not needed */
    for (int t = 0; t < count; t++)
        model->compute->kernels.wkv4(y, &wkv, replay_at(model, replay, layer, t, RECORD_INPUT, begin),
                                     replay_at(model, replay, layer, t, RECORD_INPUT + 1, begin), l->first + begin,
                                     l->decay + begin, end - begin);
}

static void chunk_time_mix(const struct chunk *c, struct pool *pool, int rank, int layer, int first)
{
    const struct layer *l = &layers(c->model)[layer];
    const int channels = c->model->shape.channels, blocks = (channels + SCAN_CHANNELS - 1) / SCAN_CHANNELS;
    struct chunk_work *work = c->work;
    struct vectors *mix = work->mix;
    int begin, end;

    /* x_k, x_v and x_r of all tokens; att_prev = u of the last token of each piece. */
    const struct shifts shifts = {.weight = l->ln1_weight,
                                  .bias = l->ln1_bias,
                                  .state = ATT_PREV,
                                  .mix = {l->x_k, l->x_v, l->x_r},
                                  .to = mix,
                                  .count = MIXES};
    chunk_shift(c, pool, rank, layer, &shifts, 0);
    chunk_remember(c, rank, layer, &shifts);
    /* r = R x_r, k = K x_k, v = V x_v. */
    const struct chunk_product products[] = {
        {.w = &l->receptance, .x = &mix[MIX_R], .y = work->r, .first = first},
        {.w = &l->key, .x = &mix[MIX_K], .y = work->k},
        {.w = &l->value, .x = &mix[MIX_V], .y = work->v},
    };
    chunk_products(c, pool, rank, products, MIXES, c->count);

    /*
     * A thread runs its block of channels through all pieces. No other thread writes these channels
     * of y.
     */
    while (pool_take(pool, blocks, 1, &begin, &end)) {
        const int from = begin * SCAN_CHANNELS, to = from + SCAN_CHANNELS < channels ? from + SCAN_CHANNELS : channels;
        for (int i = 0; i < c->piece_count; i++)
            scan_channels(c, rank, &c->pieces[i], layer, from, to);
    }
    pool_barrier(pool);

    /* x += O (r y). */
    chunk_add_output(c, pool, rank, &l->output, &work->out, first);
}

static void chunk_layer(struct chunk *c, struct pool *pool, int rank, int layer)
{
    struct chunk_work *work = c->work;
    int att_first, ffn_first;
    chunk_needed(c, layer, &att_first, &ffn_first);
    chunk_time_mix(c, pool, rank, layer, att_first);
    chunk_channel_mix(c, pool, rank, layer, &layers(c->model)[layer].ffn, work->mix, work->k, &work->hidden, ffn_first);
}

static const struct forward forward = {cut_step, step_layer, cut_chunk, chunk_layer, replay_channels, 2};

const struct arch arch_x040 = {
    .id = RWKV7_ARCH_X040,
    .version = "x040",
    .weights = &weights,
    .state = state,
    .state_count = STATES,
    .claims = claims,
    .measure = measure,
    .is_possible = is_possible,
    .published = published,
    .published_count = sizeof published / sizeof published[0],
    .forward = &forward,
};
