/*
 * rwkv6.c - RWKV-6 (x060, "Finch"): weights, recognition, forward passes for one token and several.
 *
 * RWKV-6 is RWKV-5.2 with token-shift weights and a decay that depend on the token. With u =
 * LN1(x), att_prev = u of the previous token, and five branches c = w k v r g:
 *
 *     z_c = tanh(W1_c (u + (att_prev - u) maa_x))       low-rank, Rm elements
 *     m_c = maa_c + W2_c z_c
 *     x_c = u + (att_prev - u) m_c
 *     r = R x_r    k = K x_k    v = V x_v    g = silu(G x_g)
 *     w = exp(-exp(decay + D2 tanh(D1 x_w)))            low-rank, Rd elements
 *     per head     y = S^T r + v sum(r bonus k)         with the old state S [key][value]
 *                  S = diag(w) S + k v^T
 *     x += O (norm(y) g)                                a norm per head
 *
 * channel_mix.h computes the channel mix. Namings:
 *  * BlinkDL (.pth; .st files call maa mix and the bonus time_first)
 *  * the Hugging Face folders of that time
 *  * fla, whose branches are in the order r w k v g. fla sets the epsilon of the head norm to
 *    1e-5, but its files are converted from models that were trained with the usual one, which is
 *    used here
 *  * llama.cpp. Its files may hold O and Vf of layer i divided by 2^(i / n), a power of two;
 *    multiplying the results by it is exact
 */
#include <stdlib.h>
#include <string.h>

#include "arch/channel_mix.h"

enum { BRANCH_W, BRANCH_K, BRANCH_V, BRANCH_R, BRANCH_G, BRANCHES };

struct layer {
    const float *ln1_weight, *ln1_bias;              /* [C] */
    const float *maa_x, *maa[BRANCHES];              /* [C] */
    struct mat maa_w1[BRANCHES], maa_w2[BRANCHES];   /* [Rm][C], [C][Rm] */
    const float *decay;                              /* [C] */
    struct mat decay_w1, decay_w2;                   /* [Rd][C], [C][Rd] */
    const float *bonus;                              /* [H][N] */
    const float *ln_x_weight, *ln_x_bias;            /* [C] */
    struct mat receptance, key, value, gate, output; /* [C][C] */
    struct channel_mix ffn;
};

static const struct layer *layers(const struct rwkv7_model *model)
{
    return model->layers;
}

/* -------------------------------------------------------------------------------------- weights */

#define LAYER(field) EVERYWHERE, offsetof(struct layer, field)
#define OUTER(field) EVERYWHERE, offsetof(struct outer, field)
/* The weights of branch c: number n here, number f in the order of fla. */
#define BRANCH(n, c, f)                                                                                                \
    {"att.time_maa_" c "|att.time_mix_" c,                                                                             \
     "attn.x_bias#" #f "/5",                                                                                           \
     "attention.time_maa_" c,                                                                                          \
     "time_mix_lerp_fused.weight#" #n "/5|time_mix_lerp_" c ".weight",                                                 \
     WEIGHT_VECTOR,                                                                                                    \
     'C',                                                                                                              \
     0,                                                                                                                \
     LAYER(maa[n])},                                                                                                   \
        {"att.time_maa_w1_" c "|att.time_maa_w1#" #n "/5|att.time_mix_w1#" #n "/5",                                    \
         "attn.x_proj.0.linear.weight#" #f "/5",                                                                       \
         "attention.time_maa_w1#" #n "/5",                                                                             \
         "time_mix_w1.weight#" #n "/5",                                                                                \
         WEIGHT_FACTOR,                                                                                                \
         'm',                                                                                                          \
         'C',                                                                                                          \
         LAYER(maa_w1[n])},                                                                                            \
    {                                                                                                                  \
        "att.time_maa_w2_" c "|att.time_maa_w2#" #n "/5|att.time_mix_w2#" #n "/5", "attn.x_proj.2.weight#" #f "/5",    \
            "attention.time_maa_w2#" #n "/5", "time_mix_w2.weight#" #n "/5", WEIGHT_FACTOR, 'C', 'm', LAYER(maa_w2[n]) \
    }

static const struct weight_spec layer_weights[] = {
    {"ln1.weight", "attn_norm.weight", "ln1.weight", "attn_norm.weight", WEIGHT_VECTOR, 'C', 0, LAYER(ln1_weight)},
    {"ln1.bias", "attn_norm.bias", "ln1.bias", "attn_norm.bias", WEIGHT_VECTOR, 'C', 0, LAYER(ln1_bias)},
    {"ln2.weight", "ffn_norm.weight", "ln2.weight", "attn_norm_2.weight", WEIGHT_VECTOR, 'C', 0, LAYER(ffn.ln_weight)},
    {"ln2.bias", "ffn_norm.bias", "ln2.bias", "attn_norm_2.bias", WEIGHT_VECTOR, 'C', 0, LAYER(ffn.ln_bias)},
    {"att.time_maa_x|att.time_mix_x", "attn.x_proj.0.mu", "attention.time_maa_x", "time_mix_lerp_x.weight",
     WEIGHT_VECTOR, 'C', 0, LAYER(maa_x)},
    BRANCH(0, "w", 1),
    BRANCH(1, "k", 2),
    BRANCH(2, "v", 3),
    BRANCH(3, "r", 0),
    BRANCH(4, "g", 4),
    {"att.time_decay", "attn.w_proj.linear.lora.2.bias", "attention.time_decay", "time_mix_decay.weight", WEIGHT_VECTOR,
     'C', 0, LAYER(decay)},
    {"att.time_decay_w1", "attn.w_proj.linear.lora.0.weight", "attention.time_decay_w1", "time_mix_decay_w1.weight",
     WEIGHT_FACTOR, 'w', 'C', LAYER(decay_w1)},
    {"att.time_decay_w2", "attn.w_proj.linear.lora.2.weight", "attention.time_decay_w2", "time_mix_decay_w2.weight",
     WEIGHT_FACTOR, 'C', 'w', LAYER(decay_w2)},
    {"att.time_faaaa|att.time_first", "attn.bonus", "attention.time_faaaa", "time_mix_first.weight", WEIGHT_VECTOR, 'H',
     0, LAYER(bonus)},
    {"att.receptance.weight", "attn.r_proj.linear.weight", "attention.receptance.weight", "time_mix_receptance.weight",
     WEIGHT_MATRIX, 'C', 'C', LAYER(receptance)},
    {"att.key.weight", "attn.k_proj.linear.weight", "attention.key.weight", "time_mix_key.weight", WEIGHT_MATRIX, 'C',
     'C', LAYER(key)},
    {"att.value.weight", "attn.v_proj.linear.weight", "attention.value.weight", "time_mix_value.weight", WEIGHT_MATRIX,
     'C', 'C', LAYER(value)},
    {"att.gate.weight", "attn.g_proj.linear.weight", "attention.gate.weight", "time_mix_gate.weight", WEIGHT_MATRIX,
     'C', 'C', LAYER(gate)},
    {"att.output.weight", "attn.o_proj.weight", "attention.output.weight", "time_mix_output.weight", WEIGHT_MATRIX, 'C',
     'C', LAYER(output)},
    {"att.ln_x.weight", "attn.g_norm.weight", "attention.ln_x.weight", "time_mix_ln.weight", WEIGHT_VECTOR, 'C', 0,
     LAYER(ln_x_weight)},
    {"att.ln_x.bias", "attn.g_norm.bias", "attention.ln_x.bias", "time_mix_ln.bias", WEIGHT_VECTOR, 'C', 0,
     LAYER(ln_x_bias)},
    {"ffn.time_maa_k|ffn.time_mix_k", "ffn.key.mu", "feed_forward.time_maa_k", "channel_mix_lerp_k.weight",
     WEIGHT_VECTOR, 'C', 0, LAYER(ffn.shift_k)},
    {"ffn.time_maa_r|ffn.time_mix_r", "ffn.receptance.mu", "feed_forward.time_maa_r", "channel_mix_lerp_r.weight",
     WEIGHT_VECTOR, 'C', 0, LAYER(ffn.shift_r)},
    {"ffn.key.weight", "ffn.key.linear.weight", "feed_forward.key.weight", "channel_mix_key.weight", WEIGHT_MATRIX, 'F',
     'C', LAYER(ffn.key)},
    {"ffn.receptance.weight", "ffn.receptance.linear.weight", "feed_forward.receptance.weight",
     "channel_mix_receptance.weight", WEIGHT_MATRIX, 'C', 'C', LAYER(ffn.receptance)},
    {"ffn.value.weight", "ffn.value.weight", "feed_forward.value.weight", "channel_mix_value.weight", WEIGHT_SPARSE,
     'C', 'F', LAYER(ffn.value)},
};

static const struct weight_spec outer_weights[] = {
    {"emb.weight", "model.embeddings.weight", "rwkv.embeddings.weight", "token_embd.weight", WEIGHT_TABLE, 'V', 'C',
     OUTER(emb)},
    {"blocks.0.ln0.weight", "model.layers.0.pre_norm.weight", "rwkv.blocks.0.pre_ln.weight", "token_embd_norm.weight",
     WEIGHT_VECTOR, 'C', 0, OUTER(ln0_weight)},
    {"blocks.0.ln0.bias", "model.layers.0.pre_norm.bias", "rwkv.blocks.0.pre_ln.bias", "token_embd_norm.bias",
     WEIGHT_VECTOR, 'C', 0, OUTER(ln0_bias)},
    {"ln_out.weight", "model.norm.weight", "rwkv.ln_out.weight", "output_norm.weight", WEIGHT_VECTOR, 'C', 0,
     OUTER(ln_out_weight)},
    {"ln_out.bias", "model.norm.bias", "rwkv.ln_out.bias", "output_norm.bias", WEIGHT_VECTOR, 'C', 0,
     OUTER(ln_out_bias)},
    {"head.weight", "lm_head.weight", "head.weight", "output.weight", WEIGHT_MATRIX, 'V', 'C', OUTER(head)},
};

static const struct weight_table weights = {
    .model = "RWKV-6",
    .layers = layer_weights,
    .layer_count = sizeof layer_weights / sizeof layer_weights[0],
    .outer = outer_weights,
    .outer_count = sizeof outer_weights / sizeof outer_weights[0],
    .layer_prefix = {"blocks.", "model.layers.", "rwkv.blocks.", "blk."},
    .layer_size = sizeof(struct layer),
};

/* ---------------------------------------------------------------------------------- recognition */

#define RESCALE_KEY "rwkv6.rescale_every_n_layers"

static bool claims(const struct candidate *c)
{
    static const char *const only[NAMINGS] = {"blocks.0.att.time_maa_x", "model.layers.0.attn.x_proj.0.mu",
                                              "rwkv.blocks.0.attention.time_maa_x", "blk.0.time_mix_lerp_x.weight"};
    const bool is_st = c->naming == NAMING_BLINKDL && tensors_find(c->index, "blocks.0.att.time_mix_x");
    return (tensors_find(c->index, only[c->naming]) || is_st) && !tensors_find(c->index, "blocks.0.att.r_k") &&
           !tensors_find(c->index, "blocks.0.att.gate_w1"); /* x060a */
}

static enum rwkv7_status measure(const struct candidate *c, struct recognized *out, struct rwkv7_error *err)
{
    struct rwkv7_shape *s = &out->shape;
    bool is_known = factors_known(c);
    enum rwkv7_status status;
    if ((status = measure_common(c, out->weights, s, err)) ||
        (status = measure_axes(c, out->weights, "att.time_faaaa", 0, &s->heads, &s->head_size, err)) ||
        (status = check_heads(c, "time_faaaa", s, err)) ||
        (status = measure_rank(c, out, &is_known, "att.time_decay_w1", 0, &s->rank_w, err)) ||
        (status = measure_rank(c, out, &is_known, "att.time_maa_w1_w", 0, &s->rank_m, err)))
        return status;
    const char *rescale = tensors_metadata(c->index, RESCALE_KEY);
    const long every = rescale ? metadata_whole(c->index, RESCALE_KEY) : 0;
    if (every < 0 || every > MAX_LAYERS)
        return fail(err, RWKV7_ERR_MODEL, "%s: metadata '%s': expected a number of layers, found %.40s", c->path,
                    RESCALE_KEY, rescale);
    out->rescale_every = (int)every;
    return is_known ? RWKV7_OK : fail_orientation(c, s, err);
}

static bool is_possible(const struct rwkv7_shape *s)
{
    return heads_fit(s) && s->deep == 0 && s->rank_w > 0 && s->rank_m > 0 && s->rank_a == 0 && s->rank_v == 0 &&
           s->rank_g == 0;
}

/* World vocabulary, heads of 64 channels. */
#define PUBLISHED(size, l, c, f, m, d)                                                                      \
    {                                                                                                       \
        "rwkv6-" size,                                                                                      \
        {                                                                                                   \
            .vocab = 65536, .layers = (l), .channels = (c), .heads = (c) / 64, .head_size = 64, .ffn = (f), \
            .rank_m = (m), .rank_w = (d)                                                                    \
        }                                                                                                   \
    }
static const struct published published[] = {
    PUBLISHED("1.6b", 24, 2048, 7168, 32, 64),
    PUBLISHED("3b", 32, 2560, 8960, 32, 64),
    PUBLISHED("7b", 32, 4096, 14336, 64, 128),
    PUBLISHED("14b", 61, 4096, 14336, 64, 128),
};

/* Finishes a head: norm, gate silu(g), and the scale of the layer. Overwrites g. out may be y. */
static void finish_head(const struct rwkv7_model *model, const struct layer *l, const struct head_in *in, float *out,
                        const float *y, float *g, const float *no_bonus, int channel, float scale)
{
    const struct kernels *k = &model->compute->kernels;
    const int n = model->shape.head_size;
    k->silu(g, n);
    k->head_out(out, y, in->r, in->k, no_bonus, in->v, g, l->ln_x_weight + channel, l->ln_x_bias + channel, n,
                model->head_eps);
    for (int i = 0; i < n; i++)
        out[i] *= scale;
}

/* ------------------------------------------------------------------------------------ one token */

/* Buffers private to a thread. */
struct local {
    float *m;                      /* [C] token-shift weights of a branch */
    float *mix[BRANCHES];          /* [C] */
    struct quants mix_q[BRANCHES]; /* mix, quantized */
    float *z;                      /* [BRANCHES][Rm], then [Rd]: tanh of work.low */
    struct quants z_q[BRANCHES + 1];
    float *y; /* [N] of one head */
};

/* Buffers shared by all threads. */
struct work {
    float *low;               /* [BRANCHES][Rm], then [Rd]: results of the first low-rank factors */
    float *shift[BRANCHES];   /* [C] W2_c z_c */
    float *r, *k, *v, *g, *w; /* [C]; the gated heads overwrite r */
    float *no_bonus;          /* [N] zeroes: r_k of head_out, which only RWKV-7 has */
    struct channel_mix_step channel_mix;
    struct local *local; /* [threads] */
};

static size_t low_floats(const struct rwkv7_shape *s)
{
    return BRANCHES * (size_t)s->rank_m + (size_t)s->rank_w;
}

static struct local cut_local(struct scratch *s, const struct rwkv7_shape *shape)
{
    struct local local;
    local.m = scratch_floats(s, (size_t)shape->channels);
    local.z = scratch_floats(s, low_floats(shape));
    for (int i = 0; i < BRANCHES; i++) {
        local.mix[i] = scratch_floats(s, (size_t)shape->channels);
        local.mix_q[i] = cut_quants(s, shape->channels, 1);
        local.z_q[i] = cut_quants(s, shape->rank_m, 1);
    }
    local.z_q[BRANCHES] = cut_quants(s, shape->rank_w, 1);
    local.y = scratch_floats(s, (size_t)shape->head_size);
    return local;
}

static void *cut_step(struct scratch *s, const struct rwkv7_model *model, int threads)
{
    const struct rwkv7_shape *shape = &model->shape;
    const size_t channels = (size_t)shape->channels, n = (size_t)shape->head_size;
    struct work *const place = scratch_cut(s, sizeof *place);
    struct work work = {0};
    float **const wide[] = {&work.r, &work.k, &work.v, &work.g, &work.w};
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
        *wide[i] = scratch_floats(s, channels);
    for (int i = 0; i < BRANCHES; i++)
        work.shift[i] = scratch_floats(s, channels);
    work.low = scratch_floats(s, low_floats(shape));
    work.no_bonus = scratch_floats(s, n);
    work.channel_mix = cut_channel_mix_step(s, model, threads);
    work.local = scratch_cut(s, (size_t)threads * sizeof *work.local);
    for (int rank = 0; rank < threads; rank++) {
        const struct local local = cut_local(s, shape);
        if (work.local)
            work.local[rank] = local;
    }
    if (!place)
        return NULL;
    memset(work.no_bonus, 0, n * sizeof *work.no_bonus);
    *place = work;
    return place;
}

static struct operand quantized(const struct step *step, const float *x, const struct quants *quants, int count,
                                enum mat_type type)
{
    const struct operand o = {x, *quants};
    operand_quantize(&step->model->compute->kernels, &o, type, count, 0, 1);
    return o;
}

/* Computes the five mixes of u, each in the form that its matrix needs. */
static void make_mixes(const struct step *step, struct pool *pool, int rank, const struct layer *l, const float *u,
                       const float *prev, const struct mat *const matrices[BRANCHES], struct operand mixes[BRANCHES])
{
    const struct rwkv7_shape *s = &step->model->shape;
    const struct kernels *k = &step->model->compute->kernels;
    const struct work *work = step->work;
    const struct local *local = &work->local[rank];
    const size_t rank_m = (size_t)s->rank_m;
    struct step_product products[BRANCHES];
    struct operand z[BRANCHES];

    /* W1_c (u + (att_prev - u) maa_x). */
    k->shift(local->mix[0], u, prev, l->maa_x, s->channels);
    const struct operand x = quantized(step, local->mix[0], &local->mix_q[0], s->channels, l->maa_w1[0].type);
    for (size_t i = 0; i < BRANCHES; i++)
        products[i] = (struct step_product){work->low + i * rank_m, &l->maa_w1[i], &x};
    step_products(step, pool, rank, products, BRANCHES);
    pool_barrier(pool);

    /* z_c = tanh(...); W2_c z_c. */
    memcpy(local->z, work->low, BRANCHES * rank_m * sizeof *local->z);
    k->tanh(local->z, BRANCHES * s->rank_m);
    for (size_t i = 0; i < BRANCHES; i++) {
        z[i] = quantized(step, local->z + i * rank_m, &local->z_q[i], s->rank_m, l->maa_w2[i].type);
        products[i] = (struct step_product){work->shift[i], &l->maa_w2[i], &z[i]};
    }
    step_products(step, pool, rank, products, BRANCHES);
    pool_barrier(pool);

    /* m_c = maa_c + W2_c z_c; x_c = u + (att_prev - u) m_c. */
    for (int i = 0; i < BRANCHES; i++) {
        memcpy(local->m, work->shift[i], (size_t)s->channels * sizeof *local->m);
        k->add(local->m, l->maa[i], s->channels);
        k->shift(local->mix[i], u, prev, local->m, s->channels);
        mixes[i] = quantized(step, local->mix[i], &local->mix_q[i], s->channels, matrices[i]->type);
    }
}

/*
 * Runs one head, from r, k, v, g to its gated output, which overwrites r. decay: tanh(D1 x_w).
 */
static void run_head(const struct step *step, const struct local *local, int layer, int head,
                     const struct operand *decay)
{
    const struct rwkv7_model *model = step->model;
    const struct layer *l = &layers(model)[layer];
    const struct kernels *k = &model->compute->kernels;
    const struct work *work = step->work;
    const int n = model->shape.head_size, channel = head * n;
    float *const S = layer_state(model, step->state, layer).wkv + (size_t)channel * (size_t)n;
    const struct head_in in = {
        .r = work->r + channel, .w = work->w + channel, .k = work->k + channel, .v = work->v + channel};
    product_gemv(k, work->w, &l->decay_w2, decay, channel, channel + n);
    k->decay6(work->w + channel, l->decay + channel, n);
    k->wkv6(local->y, S, &in, l->bonus + channel, n);
    finish_head(model, l, &in, local->y, local->y, work->g + channel, work->no_bonus, channel,
                layer_scale(model, layer));
    memcpy(work->r + channel, local->y, (size_t)n * sizeof *local->y);
}

static void time_mix(const struct step *step, struct pool *pool, int rank, int layer)
{
    const struct rwkv7_model *model = step->model;
    const struct rwkv7_shape *s = &model->shape;
    const struct kernels *k = &model->compute->kernels;
    const struct layer *l = &layers(model)[layer];
    const struct work *work = step->work;
    const struct local *local = &work->local[rank];
    float *const u = step->threads[rank].u, *const prev = layer_state(model, step->state, layer).att_prev;
    float *const low = work->low + BRANCHES * (size_t)s->rank_m, *const z = local->z + BRANCHES * (size_t)s->rank_m;
    const struct mat *const matrices[BRANCHES] = {&l->decay_w1, &l->key, &l->value, &l->receptance, &l->gate};
    float *const results[BRANCHES] = {low, work->k, work->v, work->r, work->g};
    struct operand mixes[BRANCHES];
    struct step_product products[BRANCHES];
    int begin, end;

    /* 1 to 3. u = LN1(x), the mixes x_c in two low-rank phases, and the products that take them. */
    k->layer_norm(u, step->x, l->ln1_weight, l->ln1_bias, s->channels, model->ln_eps);
    make_mixes(step, pool, rank, l, u, prev, matrices, mixes);
    for (int i = 0; i < BRANCHES; i++)
        products[i] = (struct step_product){results[i], matrices[i], &mixes[i]};
    step_products(step, pool, rank, products, BRANCHES);
    pool_barrier(pool);

    /* 4. att_prev = u, now that all threads have read it; tanh(D1 x_w); the heads. */
    step_share(s->channels, rank, pool, &begin, &end);
    memcpy(prev + begin, u + begin, (size_t)(end - begin) * sizeof *u);
    memcpy(z, low, (size_t)s->rank_w * sizeof *z);
    k->tanh(z, s->rank_w);
    const struct operand decay = quantized(step, z, &local->z_q[BRANCHES], s->rank_w, l->decay_w2.type);
    while (pool_share(pool, rank, s->heads, 1, &begin, &end))
        run_head(step, local, layer, begin, &decay);
    pool_barrier(pool);

    /* 5. x += O (norm(y) g). */
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

/* Buffers private to a thread. */
struct chunk_local {
    float *u;     /* [1 + MIX_TOKENS][C] LN1(x), the previous token first */
    float *m;     /* [MIX_TOKENS][C] token-shift weights of a branch */
    float *mix;   /* [C] */
    float *decay; /* [tuning.scan_tokens][N or more] */
    float *y;     /* [N] */
};

/* Buffers shared by all threads. */
struct chunk_work {
    float *r, *k, *v, *g;         /* [T][C]; heads overwrite r, the channel mix g */
    struct vectors z[BRANCHES];   /* of Rm elements */
    struct vectors z_decay;       /* of Rd elements */
    struct vectors mix[BRANCHES]; /* of C elements; mix[0] first holds the mix with maa_x */
    struct vectors out;           /* the gated heads in r, whose quantized form reuses a mix */
    struct vectors hidden;        /* of F elements; overlaps mixes of the time mix */
    float *no_bonus;              /* [N] zeroes */
    struct chunk_local *local;    /* [threads] */
};

static struct chunk_local cut_chunk_own(struct scratch *s, const struct rwkv7_model *model)
{
    const struct rwkv7_shape *shape = &model->shape;
    const size_t channels = (size_t)shape->channels, n = (size_t)shape->head_size;
    struct chunk_local local;
    local.u = scratch_floats(s, (1 + MIX_TOKENS) * channels);
    local.m = scratch_floats(s, MIX_TOKENS * channels);
    local.mix = scratch_floats(s, channels);
    local.decay = scratch_floats(s, (size_t)model->compute->kernels.tuning.scan_tokens * (n + QUANT_ROWS));
    local.y = scratch_floats(s, n);
    return local;
}

static void *cut_chunk(struct scratch *s, const struct rwkv7_model *model, int tokens, int threads)
{
    const struct rwkv7_shape *shape = &model->shape;
    const bool integers = model->needs.integers;
    const size_t t = (size_t)tokens, channels = (size_t)shape->channels, n = (size_t)shape->head_size;
    struct chunk_work *const place = scratch_cut(s, sizeof *place);
    struct chunk_work work = {0};
    float **const wide[] = {&work.r, &work.k, &work.v, &work.g};
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
        *wide[i] = scratch_floats(s, t * channels);
    for (int i = 0; i < BRANCHES; i++)
        work.z[i] = cut_vectors(s, shape->rank_m, t, true, integers);
    work.z_decay = cut_vectors(s, shape->rank_w, t, true, integers);
    cut_mixes(s, model, t, work.mix, BRANCHES, 2, &work.hidden);
    work.out = (struct vectors){shape->channels, work.r, work.mix[0].quants};
    work.no_bonus = scratch_floats(s, n);
    work.local = scratch_cut(s, (size_t)threads * sizeof *work.local);
    for (int rank = 0; rank < threads; rank++) {
        const struct chunk_local local = cut_chunk_own(s, model);
        if (work.local)
            work.local[rank] = local;
    }
    if (!place)
        return NULL;
    memset(work.no_bonus, 0, n * sizeof *work.no_bonus);
    *place = work;
    return place;
}

/* z = tanh(y) */
static void finish_tanh(const struct chunk *c, const struct chunk_product *p, float *y, size_t ldy, int token,
                        int tokens, int begin, int end)
{
    c->model->compute->kernels.tanh(y, tokens * end);
    chunk_finish_low(c, p, y, ldy, token, tokens, begin, end);
}

/* Computes the five mixes of tokens [begin, end), at most MIX_TOKENS. */
static void mix_tokens(const struct chunk *c, int rank, int layer, const struct shifts *shifts, int begin, int end)
{
    const struct rwkv7_model *model = c->model;
    const struct kernels *k = &model->compute->kernels;
    const struct layer *l = &layers(model)[layer];
    struct chunk_work *work = c->work;
    const struct chunk_local *local = &work->local[rank];
    const int channels = model->shape.channels;
    const size_t width = (size_t)channels;

    for (int t = c->pieces[c->piece[begin]].first == begin ? begin : begin - 1; t < end; t++)
        chunk_normalize(c, shifts, t, local->u + (size_t)(1 + t - begin) * width);
    for (int i = 0; i < BRANCHES; i++) {
        const struct operand z = vectors_operand(&work->z[i], l->maa_w2[i].type, begin);
        product_gemm(k, local->m, width, &l->maa_w2[i], &z, end - begin, c->threads[rank].scratch);
        for (int t = begin; t < end; t++) {
            const struct piece *p = &c->pieces[c->piece[t]];
            float *const m = local->m + (size_t)(t - begin) * width;
            const float *const u = local->u + (size_t)(1 + t - begin) * width;
            const float *const prev = t == p->first ? layer_state(model, p->state, layer).att_prev : u - width;
            k->add(m, l->maa[i], channels);
            k->shift(local->mix, u, prev, m, channels);
            chunk_store_mix(c, &work->mix[i], t, local->mix);
        }
    }
}

/* Runs one head over a piece. Tokens before `first` only update the state. */
static void scan_head(const struct chunk *c, int rank, const struct piece *piece, int layer, int head, int first)
{
    const struct rwkv7_model *model = c->model;
    const struct kernels *k = &model->compute->kernels;
    const struct layer *l = &layers(model)[layer];
    const struct chunk_work *work = c->work;
    const struct chunk_local *local = &work->local[rank];
    const int n = model->shape.head_size, channel = head * n, start = channel / QUANT_ROWS * QUANT_ROWS;
    const int piece_end = piece->first + piece->count, max_batch = k->tuning.scan_tokens;
    const size_t ld = (size_t)channel - (size_t)start + (size_t)n;
    const struct mat rows = product_rows(&l->decay_w2, start, channel + n, NULL);
    const float scale = layer_scale(model, layer);
    float *const S = chunk_head_state(c, rank, piece, layer, head);
    for (int token = piece->first, batch; token < piece_end; token += batch) {
        batch = piece_end - token < max_batch ? piece_end - token : max_batch;
        const struct operand z = vectors_operand(&work->z_decay, rows.type, token);
        product_gemm(k, local->decay, ld, &rows, &z, batch, c->threads[rank].scratch);
        for (int t = token; t < token + batch; t++) {
            const size_t i = (size_t)t * (size_t)model->shape.channels + (size_t)channel;
            float *const w = local->decay + (size_t)(t - token) * ld + (channel - start);
            const struct head_in in = {.r = work->r + i, .w = w, .k = work->k + i, .v = work->v + i};
            k->decay6(w, l->decay + channel, n);
            chunk_record(c, piece, layer, t, channel, n, (const float *const[]){in.w, in.k, in.v});
            k->wkv6(local->y, S, &in, l->bonus + channel, n);
            if (t < first)
                continue;
            finish_head(model, l, &in, local->y, local->y, work->g + i, work->no_bonus, channel, scale);
            memcpy(work->r + i, local->y, (size_t)n * sizeof *local->y);
        }
    }
}

static void chunk_time_mix(const struct chunk *c, struct pool *pool, int rank, int layer, int first)
{
    const struct layer *l = &layers(c->model)[layer];
    const int heads = c->model->shape.heads;
    struct chunk_work *work = c->work;
    struct vectors *mix = work->mix;
    int begin, end;

    /* z_c = tanh(W1_c (u + (att_prev - u) maa_x)); x_c of all tokens; att_prev = the last u. */
    const struct shifts shifts = {.weight = l->ln1_weight,
                                  .bias = l->ln1_bias,
                                  .state = STATE_ATT_PREV,
                                  .mix = {l->maa_x},
                                  .to = mix,
                                  .count = 1};
    chunk_shift(c, pool, rank, layer, &shifts, 0);
    struct chunk_product low_products[BRANCHES];
    for (int i = 0; i < BRANCHES; i++)
        low_products[i] = chunk_low_product(&l->maa_w1[i], &mix[0], &work->z[i], &l->maa_w2[i], finish_tanh, 0);
    chunk_products(c, pool, rank, low_products, BRANCHES, c->count);
    while (pool_take(pool, c->count, MIX_TOKENS, &begin, &end))
        mix_tokens(c, rank, layer, &shifts, begin, end);
    pool_barrier(pool);
    chunk_remember(c, rank, layer, &shifts);

    /* tanh(D1 x_w), r = R x_r, k = K x_k, v = V x_v, G x_g. */
    const struct chunk_product products[] = {
        chunk_low_product(&l->decay_w1, &mix[BRANCH_W], &work->z_decay, &l->decay_w2, finish_tanh, 0),
        {.w = &l->receptance, .x = &mix[BRANCH_R], .y = work->r, .first = first},
        {.w = &l->key, .x = &mix[BRANCH_K], .y = work->k},
        {.w = &l->value, .x = &mix[BRANCH_V], .y = work->v},
        {.w = &l->gate, .x = &mix[BRANCH_G], .y = work->g, .first = first},
    };
    chunk_products(c, pool, rank, products, 5, c->count);

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

const struct arch arch_x060 = {
    .id = RWKV7_ARCH_X060,
    .version = "x060",
    .gguf = "rwkv6",
    .weights = &weights,
    .state = matrix_state,
    .state_count = STATE_TENSORS,
    .claims = claims,
    .measure = measure,
    .is_possible = is_possible,
    .published = published,
    .published_count = sizeof published / sizeof published[0],
    .forward = &forward,
};
