/*
 * rwkv5.c - RWKV-5 ("Eagle"): weights, recognition, and the forward pass for one token and for
 * several.
 *
 * Supports version 5.2 and the rare earlier versions 5.1 and 5.0. 5.2 has a decay and a bonus per
 * channel. 5.1 and 5.0 have one of each per head, which is copied to its N channels when loaded.
 * 5.0 has no gate. Namings: BlinkDL (.pth; .st files call the bonus time_first), and for 5.2 the
 * Hugging Face folders of that time, whose names begin with "rwkv.". With u = LN1(x), and att_prev
 * = u of the previous token:
 *
 *     x_c = u + (att_prev - u) (1 - mix_c)              c = k v r g; files store mix_c
 *     r = R x_r    k = K x_k    v = V x_v    g = silu(G x_g)        5.0: g = 1
 *     per head     y = S^T r + v sum(r bonus k)         with the old state S [key][value]
 *                  S = diag(w) S + k v^T                w = exp(-exp(decay)), for all tokens
 *     x += O (norm(y) g)                                a norm per head
 *
 * channel_mix.h computes the channel mix.
 */
#include <string.h>

#include "arch/channel_mix.h"

struct layer {
    const float *ln1_weight, *ln1_bias;              /* [C] */
    const float *x_k, *x_v, *x_r, *x_g;              /* [C] 1 - mix_c */
    const float *decay, *bonus;                      /* [H][N] */
    const float *ln_x_weight, *ln_x_bias;            /* [C] */
    struct mat receptance, key, value, gate, output; /* [C][C]; 5.0 has no gate and no x_g */
    struct channel_mix ffn;                          /* its shifts are 1 - mix_c, too */
};

static const struct layer *layers(const struct rwkv7_model *model)
{
    return model->layers;
}

/* -------------------------------------------------------------------------------------- weights */

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
    /*
     * 5.0 and 5.1. Training wrote the bonus under either name; under time_first it is a logarithm.
     */
    {"att.time_decay", NULL, NULL, NULL, WEIGHT_HEAD_DECAY, 'h', 0, EVERYWHERE, offsetof(struct layer, decay)},
    {"att.time_faaaa", NULL, NULL, NULL, WEIGHT_HEAD, 'h', 0, IF_PRESENT, offsetof(struct layer, bonus)},
    {"att.time_first", NULL, NULL, NULL, WEIGHT_HEAD_EXP, 'h', 0, IF_PRESENT, offsetof(struct layer, bonus)},
    /* All versions. */
    VECTOR("ln1.weight", "ln1.weight", VECTOR, ln1_weight),
    VECTOR("ln1.bias", "ln1.bias", VECTOR, ln1_bias),
    VECTOR("ln2.weight", "ln2.weight", VECTOR, ffn.ln_weight),
    VECTOR("ln2.bias", "ln2.bias", VECTOR, ffn.ln_bias),
    VECTOR("att.time_mix_k", "attention.time_mix_key", COMPLEMENT, x_k),
    VECTOR("att.time_mix_v", "attention.time_mix_value", COMPLEMENT, x_v),
    VECTOR("att.time_mix_r", "attention.time_mix_receptance", COMPLEMENT, x_r),
    MATRIX("att.receptance.weight", "attention.receptance.weight", MATRIX, 'C', 'C', receptance),
    MATRIX("att.key.weight", "attention.key.weight", MATRIX, 'C', 'C', key),
    MATRIX("att.value.weight", "attention.value.weight", MATRIX, 'C', 'C', value),
    MATRIX("att.output.weight", "attention.output.weight", MATRIX, 'C', 'C', output),
    VECTOR("att.ln_x.weight", "attention.ln_x.weight", VECTOR, ln_x_weight),
    VECTOR("att.ln_x.bias", "attention.ln_x.bias", VECTOR, ln_x_bias),
    VECTOR("ffn.time_mix_k", "feed_forward.time_mix_key", COMPLEMENT, ffn.shift_k),
    VECTOR("ffn.time_mix_r", "feed_forward.time_mix_receptance", COMPLEMENT, ffn.shift_r),
    MATRIX("ffn.key.weight", "feed_forward.key.weight", MATRIX, 'F', 'C', ffn.key),
    MATRIX("ffn.receptance.weight", "feed_forward.receptance.weight", MATRIX, 'C', 'C', ffn.receptance),
    MATRIX("ffn.value.weight", "feed_forward.value.weight", SPARSE, 'C', 'F', ffn.value),
    /* 5.1 and 5.2. */
    VECTOR("att.time_mix_g", "attention.time_mix_gate", COMPLEMENT, x_g),
    MATRIX("att.gate.weight", "attention.gate.weight", MATRIX, 'C', 'C', gate),
    /* 5.2. */
    HEADS("att.time_decay", "attention.time_decay", DECAY, decay),
    HEADS("att.time_faaaa|att.time_first", "attention.time_faaaa", VECTOR, bonus),
};
#define LAYER_WEIGHTS (sizeof layer_weights / sizeof layer_weights[0])
enum {
    PER_HEAD_WEIGHTS = 3,
    GATE_WEIGHTS = 2,
    PER_CHANNEL_WEIGHTS = 2
}; /* number of rows: first part, last but one, last */

static const struct weight_spec outer_weights[] = {
    OUTER("emb.weight", "rwkv.embeddings.weight", TABLE, 'V', 'C', emb),
    OUTER("blocks.0.ln0.weight", "rwkv.blocks.0.pre_ln.weight", VECTOR, 'C', 0, ln0_weight),
    OUTER("blocks.0.ln0.bias", "rwkv.blocks.0.pre_ln.bias", VECTOR, 'C', 0, ln0_bias),
    OUTER("ln_out.weight", "rwkv.ln_out.weight", VECTOR, 'C', 0, ln_out_weight),
    OUTER("ln_out.bias", "rwkv.ln_out.bias", VECTOR, 'C', 0, ln_out_bias),
    OUTER("head.weight", "head.weight", MATRIX, 'V', 'C', head),
};

static const struct weight_table x050_weights = {
    .model = "RWKV-5.0",
    .layers = layer_weights,
    .layer_count = LAYER_WEIGHTS - PER_CHANNEL_WEIGHTS - GATE_WEIGHTS,
    .outer = outer_weights,
    .outer_count = sizeof outer_weights / sizeof outer_weights[0],
    .layer_prefix = {[NAMING_BLINKDL] = "blocks."},
    .layer_size = sizeof(struct layer),
};

static const struct weight_table x051_weights = {
    .model = "RWKV-5.1",
    .layers = layer_weights,
    .layer_count = LAYER_WEIGHTS - PER_CHANNEL_WEIGHTS,
    .outer = outer_weights,
    .outer_count = sizeof outer_weights / sizeof outer_weights[0],
    .layer_prefix = {[NAMING_BLINKDL] = "blocks."},
    .layer_size = sizeof(struct layer),
};

static const struct weight_table x052_weights = {
    .model = "RWKV-5.2",
    .layers = layer_weights + PER_HEAD_WEIGHTS,
    .layer_count = LAYER_WEIGHTS - PER_HEAD_WEIGHTS,
    .outer = outer_weights,
    .outer_count = sizeof outer_weights / sizeof outer_weights[0],
    .layer_prefix = {[NAMING_BLINKDL] = "blocks.", [NAMING_HF] = "rwkv.blocks."},
    .layer_size = sizeof(struct layer),
};

/* ---------------------------------------------------------------------------------- recognition */

/*
 * Returns whether the checkpoint is RWKV-5: it has a norm after the heads (RWKV-4 has none), and
 * token-shift weights that do not depend on the token (those of RWKV-6 do).
 */
static bool is_rwkv5(const struct candidate *c)
{
    return time_mix_tensor(c, "ln_x.weight") && time_mix_tensor(c, "time_decay") &&
           (time_mix_tensor(c, "time_mix_k") || time_mix_tensor(c, "time_mix_key")) &&
           !time_mix_tensor(c, "time_mix_x");
}

/* Returns whether there is one decay per channel. */
static bool is_per_channel(const struct candidate *c)
{
    const struct tensor *decay = time_mix_tensor(c, "time_decay");
    int wide = 0;
    for (int i = 0; i < decay->rank; i++)
        wide += decay->shape[i] != 1;
    return wide > 1;
}

static bool claims_x050(const struct candidate *c)
{
    return is_rwkv5(c) && !time_mix_tensor(c, "gate.weight");
}

static bool claims_x051(const struct candidate *c)
{
    return is_rwkv5(c) && time_mix_tensor(c, "gate.weight") && !is_per_channel(c);
}

static bool claims_x052(const struct candidate *c)
{
    return is_rwkv5(c) && time_mix_tensor(c, "gate.weight") && is_per_channel(c);
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

/* Measures 5.0 and 5.1, whose decay shows only the number of heads. */
static enum rwkv7_status measure_per_head(const struct candidate *c, struct recognized *out, struct rwkv7_error *err)
{
    struct rwkv7_shape *s = &out->shape;
    const struct tensor *decay = time_mix_tensor(c, "time_decay");
    const enum rwkv7_status status = measure_common(c, out->weights, s, err);
    if (status != RWKV7_OK)
        return status;
    const uint64_t heads = decay->bytes * 8 / dtype_bits(decay->type);
    if (heads < 1 || heads > (uint64_t)s->channels || (uint64_t)s->channels % heads != 0)
        return fail(err, RWKV7_ERR_MODEL, "%s: tensor '%s': expected a number for each head of %d channels, found %llu",
                    decay->file, decay->name, s->channels, (unsigned long long)heads);
    if (!time_mix_tensor(c, "time_faaaa") == !time_mix_tensor(c, "time_first"))
        return fail(err, RWKV7_ERR_MODEL, "%s: expected one of 'blocks.0.att.time_faaaa' and 'blocks.0.att.time_first'",
                    c->path);
    s->heads = (int)heads;
    s->head_size = s->channels / s->heads;
    return check_heads(c, "time_decay", s, err);
}

static bool is_possible(const struct rwkv7_shape *s)
{
    return heads_fit(s) && s->deep == 0 && s->rank_w == 0 && s->rank_a == 0 && s->rank_v == 0 && s->rank_g == 0 &&
           s->rank_m == 0;
}

/* World vocabulary, heads of 64 channels. */
#define PUBLISHED(size, l, c, f)                                                                           \
    {                                                                                                      \
        "rwkv5-" size,                                                                                     \
        {                                                                                                  \
            .vocab = 65536, .layers = (l), .channels = (c), .heads = (c) / 64, .head_size = 64, .ffn = (f) \
        }                                                                                                  \
    }
static const struct published x050_published[] = {PUBLISHED("0.1b", 12, 768, 3072)};
static const struct published x052_published[] = {
    PUBLISHED("0.4b", 24, 1024, 3584),
    PUBLISHED("1.5b", 24, 2048, 7168),
    PUBLISHED("3b", 32, 2560, 8960),
    PUBLISHED("7b", 32, 4096, 14336),
};

/* Number of products of the time mix. The gate is the last one, because 5.0 has none. */
static int time_mix_products(const struct layer *l)
{
    return l->gate.data ? 4 : 3;
}

/* -------------------------------------------------------------------------------------- buffers */

enum { MIX_K, MIX_V, MIX_R, MIX_G, MIXES };

/* Buffers private to a thread. */
struct local {
    float *mix[MIXES];          /* [C] */
    struct quants mix_q[MIXES]; /* mix, quantized */
    float *y;                   /* [N] of one head */
};

/* Buffers shared by all threads. */
struct work {
    float *r, *k, *v, *g; /* [C]; the gated heads overwrite r */
    float *no_bonus;      /* [N] zeroes: r_k of head_out, which only RWKV-7 has */
    struct channel_mix_step channel_mix;
    struct local *local; /* [threads] */
};

/* Version 5.0 has no gate; its heads are multiplied by ones. */
static void fill_ones(float *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        x[i] = 1.0f;
}

static void *cut_step(struct scratch *s, const struct rwkv7_model *model, int threads)
{
    const struct rwkv7_shape *shape = &model->shape;
    const size_t channels = (size_t)shape->channels, n = (size_t)shape->head_size;
    struct work *const place = scratch_cut(s, sizeof *place);
    struct work work = {0};
    float **const wide[] = {&work.r, &work.k, &work.v, &work.g};
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
        *wide[i] = scratch_floats(s, channels);
    work.no_bonus = scratch_floats(s, n);
    work.channel_mix = cut_channel_mix_step(s, model, threads);
    work.local = scratch_cut(s, (size_t)threads * sizeof *work.local);
    for (int rank = 0; rank < threads; rank++) {
        struct local local;
        for (int i = 0; i < MIXES; i++) {
            local.mix[i] = scratch_floats(s, channels);
            local.mix_q[i] = cut_quants(s, shape->channels, 1);
        }
        local.y = scratch_floats(s, n);
        if (work.local)
            work.local[rank] = local;
    }
    if (!place)
        return NULL;
    memset(work.no_bonus, 0, n * sizeof *work.no_bonus);
    fill_ones(work.g, channels);
    *place = work;
    return place;
}

/* ------------------------------------------------------------------------------------ one token */

/* Computes mix i of u, as the operand of a matrix of this type. */
static struct operand make_mix(const struct step *step, const struct local *local, int i, const float *u,
                               const float *prev, const float *prev_weights, enum mat_type type)
{
    const struct kernels *k = &step->model->compute->kernels;
    const int channels = step->model->shape.channels;
    const struct operand mix = {local->mix[i], local->mix_q[i]};
    k->shift(local->mix[i], u, prev, prev_weights, channels);
    operand_quantize(k, &mix, type, channels, 0, 1);
    return mix;
}

/* Runs one head, from r, k, v and g to its gated output, which overwrites r. */
static void run_head(const struct step *step, const struct local *local, const struct layer *l, float *wkv, int head)
{
    const struct kernels *k = &step->model->compute->kernels;
    const struct work *work = step->work;
    const int n = step->model->shape.head_size, channel = head * n;
    const struct head_in in = {
        .r = work->r + channel, .w = l->decay + channel, .k = work->k + channel, .v = work->v + channel};
    k->wkv6(local->y, wkv + (size_t)channel * (size_t)n, &in, l->bonus + channel, n);
    if (l->gate.data)
        k->silu(work->g + channel, n);
    k->head_out(local->y, local->y, in.r, in.k, work->no_bonus, in.v, work->g + channel, l->ln_x_weight + channel,
                l->ln_x_bias + channel, n, step->model->head_eps);
    memcpy(work->r + channel, local->y, (size_t)n * sizeof *local->y);
}

static void time_mix(const struct step *step, struct pool *pool, int rank, const struct layer *l,
                     struct layer_state state)
{
    const struct rwkv7_model *model = step->model;
    const struct kernels *k = &model->compute->kernels;
    const struct work *work = step->work;
    const struct local *local = &work->local[rank];
    const int channels = model->shape.channels;
    float *const u = step->threads[rank].u, *const prev = state.att_prev;
    int begin, end;

    /* 1. u = LN1(x); x_c = u + (att_prev - u) (1 - mix_c) for k, v, r and g; their products. */
    k->layer_norm(u, step->x, l->ln1_weight, l->ln1_bias, channels, model->ln_eps);
    const struct operand x_k = make_mix(step, local, MIX_K, u, prev, l->x_k, l->key.type);
    const struct operand x_v = make_mix(step, local, MIX_V, u, prev, l->x_v, l->value.type);
    const struct operand x_r = make_mix(step, local, MIX_R, u, prev, l->x_r, l->receptance.type);
    const int count = time_mix_products(l);
    const struct operand x_g = count > 3 ? make_mix(step, local, MIX_G, u, prev, l->x_g, l->gate.type) : x_r;
    const struct step_product products[] = {{work->r, &l->receptance, &x_r},
                                            {work->k, &l->key, &x_k},
                                            {work->v, &l->value, &x_v},
                                            {work->g, &l->gate, &x_g}};
    step_products(step, pool, rank, products, count);
    pool_barrier(pool);

    /* 2. att_prev = u, now that all threads have read it; the heads. */
    step_share(channels, rank, pool, &begin, &end);
    memcpy(prev + begin, u + begin, (size_t)(end - begin) * sizeof *u);
    while (pool_share(pool, rank, model->shape.heads, 1, &begin, &end))
        run_head(step, local, l, state.wkv, begin);
    pool_barrier(pool);

    /* 3. x += O (norm(y) g). */
    step_add_product(step, pool, rank, &l->output, work->r, NULL);
    pool_barrier(pool);
}

static void step_layer(struct step *step, struct pool *pool, int rank, int layer)
{
    const struct layer *l = &layers(step->model)[layer];
    const struct layer_state state = layer_state(step->model, step->state, layer);
    const struct work *work = step->work;
    time_mix(step, pool, rank, l, state);
    step_channel_mix(step, pool, rank, layer, &l->ffn, &work->channel_mix);
}

/* ------------------------------------------------------------------------------- several tokens */

/* Buffers shared by all threads; see struct work. */
struct chunk_work {
    float *r, *k, *v, *g;      /* [T][C]; the gate of the channel mix reuses g */
    float *ones;               /* [N] the gate of 5.0 */
    struct vectors mix[MIXES]; /* of C elements */
    struct vectors out;        /* the gated heads in r, whose quantized form reuses a mix */
    struct vectors hidden;     /* of F elements; overlaps mixes of the time mix */
    float *no_bonus;           /* [N] zeroes */
    float **y;                 /* [threads] -> [N] */
};

static void *cut_chunk(struct scratch *s, const struct rwkv7_model *model, int tokens, int threads)
{
    const struct rwkv7_shape *shape = &model->shape;
    const size_t t = (size_t)tokens, channels = (size_t)shape->channels, n = (size_t)shape->head_size;
    struct chunk_work *const place = scratch_cut(s, sizeof *place);
    struct chunk_work work = {0};
    float **const wide[] = {&work.r, &work.k, &work.v, &work.g};
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
        *wide[i] = scratch_floats(s, t * channels);
    cut_mixes(s, model, t, work.mix, MIXES, 2, &work.hidden);
    work.out = (struct vectors){shape->channels, work.r, work.mix[0].quants};
    work.no_bonus = scratch_floats(s, n);
    work.ones = scratch_floats(s, n);
    work.y = scratch_cut(s, (size_t)threads * sizeof *work.y);
    for (int rank = 0; rank < threads; rank++) {
        float *const y = scratch_floats(s, n);
        if (work.y)
            work.y[rank] = y;
    }
    if (!place)
        return NULL;
    memset(work.no_bonus, 0, n * sizeof *work.no_bonus);
    fill_ones(work.ones, n);
    *place = work;
    return place;
}

/* Runs one head over a piece. Tokens before `first` only update the state. */
static void scan_head(const struct chunk *c, int rank, const struct piece *piece, int layer, int head, int first)
{
    const struct rwkv7_model *model = c->model;
    const struct kernels *k = &model->compute->kernels;
    const struct layer *l = &layers(model)[layer];
    const struct chunk_work *work = c->work;
    const int n = model->shape.head_size, channel = head * n;
    float *const y = work->y[rank];
    float *const S = chunk_head_state(c, rank, piece, layer, head);
    for (int t = piece->first; t < piece->first + piece->count; t++) {
        const size_t i = (size_t)t * (size_t)model->shape.channels + (size_t)channel;
        const struct head_in in = {.r = work->r + i, .w = l->decay + channel, .k = work->k + i, .v = work->v + i};
        chunk_record(c, piece, layer, t, channel, n, (const float *const[]){in.w, in.k, in.v});
        k->wkv6(y, S, &in, l->bonus + channel, n);
        if (t < first)
            continue;
        const float *const gate = l->gate.data ? work->g + i : work->ones;
        if (l->gate.data)
            k->silu(work->g + i, n);
        k->head_out(y, y, in.r, in.k, work->no_bonus, in.v, gate, l->ln_x_weight + channel, l->ln_x_bias + channel, n,
                    model->head_eps);
        memcpy(work->r + i, y, (size_t)n * sizeof *y);
    }
}

static void chunk_time_mix(const struct chunk *c, struct pool *pool, int rank, int layer, int first)
{
    const struct layer *l = &layers(c->model)[layer];
    const int heads = c->model->shape.heads, count = time_mix_products(l);
    struct chunk_work *work = c->work;
    struct vectors *mix = work->mix;
    int begin, end;

    /* x_k, x_v, x_r and x_g of all tokens; att_prev = u of the last token of each piece. */
    const struct shifts shifts = {l->ln1_weight, l->ln1_bias, STATE_ATT_PREV, {l->x_k, l->x_v, l->x_r, l->x_g},
                                  mix,           count};
    chunk_shift(c, pool, rank, layer, &shifts, 0);
    chunk_remember(c, rank, layer, &shifts);
    /* r = R x_r, k = K x_k, v = V x_v, G x_g. */
    const struct chunk_product products[] = {
        {.w = &l->receptance, .x = &mix[MIX_R], .y = work->r, .first = first},
        {.w = &l->key, .x = &mix[MIX_K], .y = work->k},
        {.w = &l->value, .x = &mix[MIX_V], .y = work->v},
        {.w = &l->gate, .x = &mix[MIX_G], .y = work->g, .first = first},
    };
    chunk_products(c, pool, rank, products, count, c->count);

    /* The recurrence: one task is a head of one piece. */
    while (pool_take(pool, heads * c->piece_count, 1, &begin, &end))
        scan_head(c, rank, &c->pieces[begin / heads], layer, begin % heads, first);
    pool_barrier(pool);

    /* x += O (norm(y) g). */
    chunk_add_output(c, pool, rank, &l->output, &work->out, first);
}

static void chunk_layer(struct chunk *c, struct pool *pool, int rank, int layer)
{
    struct chunk_work *work = c->work;
    int att_first, ffn_first;
    chunk_needed(c, layer, &att_first, &ffn_first);
    chunk_time_mix(c, pool, rank, layer, att_first);
    chunk_channel_mix(c, pool, rank, layer, &layers(c->model)[layer].ffn, work->mix, work->g, &work->hidden, ffn_first);
}

static const struct forward forward = {cut_step, step_layer, cut_chunk, chunk_layer, chunk_replay_wkv6, 3};

const struct arch arch_x050 = {
    .id = RWKV7_ARCH_X050,
    .version = "x050",
    .weights = &x050_weights,
    .claims = claims_x050,
    .measure = measure_per_head,
    .state = matrix_state,
    .state_count = STATE_TENSORS,
    .is_possible = is_possible,
    .published = x050_published,
    .published_count = sizeof x050_published / sizeof x050_published[0],
    .forward = &forward,
};

const struct arch arch_x051 = {
    .id = RWKV7_ARCH_X051,
    .version = "x051",
    .weights = &x051_weights,
    .claims = claims_x051,
    .measure = measure_per_head,
    .state = matrix_state,
    .state_count = STATE_TENSORS,
    .is_possible = is_possible,
    .forward = &forward,
};

const struct arch arch_x052 = {
    .id = RWKV7_ARCH_X052,
    .version = "x052",
    .weights = &x052_weights,
    .claims = claims_x052,
    .measure = measure,
    .state = matrix_state,
    .state_count = STATE_TENSORS,
    .is_possible = is_possible,
    .published = x052_published,
    .published_count = sizeof x052_published / sizeof x052_published[0],
    .forward = &forward,
};
