/*
 * rwkv7.c - RWKV-7 (x070): the table of its weights with their names in each naming, and the
 * recognition of a checkpoint.
 *
 * Four namings: BlinkDL (the author), fla (flash-linear-attention, Hugging Face folders), an older
 * Hugging Face export, and llama.cpp (GGUF). x070a exists under BlinkDL's names only. The forward
 * pass is in rwkv7_step.c (one token) and rwkv7_chunk.c (several).
 */
#include "arch/rwkv7.h"

#include <cjson/cJSON.h>

#define LAYER(field) offsetof(struct rwkv7_layer, field)
#define OUTER(field) offsetof(struct outer, field)

static const struct weight_spec layer_weights[] = {
    {"ln1.weight", "attn_norm.weight", "ln1.weight", "attn_norm.weight", WEIGHT_VECTOR, 'C', 0, EVERYWHERE,
     LAYER(ln1_weight)},
    {"ln1.bias", "attn_norm.bias", "ln1.bias", "attn_norm.bias", WEIGHT_VECTOR, 'C', 0, EVERYWHERE, LAYER(ln1_bias)},
    {"ln2.weight", "ffn_norm.weight", "ln2.weight", "attn_norm_2.weight", WEIGHT_VECTOR, 'C', 0, EVERYWHERE,
     LAYER(ln2_weight)},
    {"ln2.bias", "ffn_norm.bias", "ln2.bias", "attn_norm_2.bias", WEIGHT_VECTOR, 'C', 0, EVERYWHERE, LAYER(ln2_bias)},
    {"att.x_r", "attn.x_x#0/6|attn.x_r", "attention.x_r", "time_mix_lerp_fused.weight#0/6", WEIGHT_VECTOR, 'C', 0,
     EVERYWHERE, LAYER(x_r)},
    {"att.x_w", "attn.x_x#1/6|attn.x_w", "attention.x_w", "time_mix_lerp_fused.weight#1/6", WEIGHT_VECTOR, 'C', 0,
     EVERYWHERE, LAYER(x_w)},
    {"att.x_k", "attn.x_x#2/6|attn.x_k", "attention.x_k", "time_mix_lerp_fused.weight#2/6", WEIGHT_VECTOR, 'C', 0,
     EVERYWHERE, LAYER(x_k)},
    {"att.x_v", "attn.x_x#3/6|attn.x_v", "attention.x_v", "time_mix_lerp_fused.weight#3/6", WEIGHT_VECTOR, 'C', 0,
     EVERYWHERE, LAYER(x_v)},
    {"att.x_a", "attn.x_x#4/6|attn.x_a", "attention.x_a", "time_mix_lerp_fused.weight#4/6", WEIGHT_VECTOR, 'C', 0,
     EVERYWHERE, LAYER(x_a)},
    {"att.x_g", "attn.x_x#5/6|attn.x_g", "attention.x_g", "time_mix_lerp_fused.weight#5/6", WEIGHT_VECTOR, 'C', 0,
     EVERYWHERE, LAYER(x_g)},
    {"att.w0", "attn.w_lora.lora.2.bias", "attention.w0", "time_mix_w0.weight", WEIGHT_VECTOR, 'C', 0, EVERYWHERE,
     LAYER(w0)},
    {"att.w1", "attn.w_lora.lora.0.weight", "attention.w1", "time_mix_w1.weight", WEIGHT_FACTOR, 'w', 'C', EVERYWHERE,
     LAYER(w1)},
    {"att.w2", "attn.w_lora.lora.2.weight", "attention.w2", "time_mix_w2.weight", WEIGHT_FACTOR, 'C', 'w', EVERYWHERE,
     LAYER(w2)},
    {"att.a0", "attn.a_lora.lora.2.bias", "attention.a0", "time_mix_a0.weight", WEIGHT_VECTOR, 'C', 0, EVERYWHERE,
     LAYER(a0)},
    {"att.a1", "attn.a_lora.lora.0.weight", "attention.a1", "time_mix_a1.weight", WEIGHT_FACTOR, 'a', 'C', EVERYWHERE,
     LAYER(a1)},
    {"att.a2", "attn.a_lora.lora.2.weight", "attention.a2", "time_mix_a2.weight", WEIGHT_FACTOR, 'C', 'a', EVERYWHERE,
     LAYER(a2)},
    {"att.v0", "attn.v_lora.lora.2.bias", "attention.v0", "time_mix_v0.weight", WEIGHT_VECTOR, 'C', 0, NOT_FIRST,
     LAYER(v0)},
    {"att.v1", "attn.v_lora.lora.0.weight", "attention.v1", "time_mix_v1.weight", WEIGHT_FACTOR, 'v', 'C', NOT_FIRST,
     LAYER(v1)},
    {"att.v2", "attn.v_lora.lora.2.weight", "attention.v2", "time_mix_v2.weight", WEIGHT_FACTOR, 'C', 'v', NOT_FIRST,
     LAYER(v2)},
    {"att.g1", "attn.g_lora.lora.0.weight", "attention.g1", "time_mix_g1.weight", WEIGHT_FACTOR, 'g', 'C', EVERYWHERE,
     LAYER(g1)},
    {"att.g2", "attn.g_lora.lora.2.weight", "attention.g2", "time_mix_g2.weight", WEIGHT_FACTOR, 'C', 'g', EVERYWHERE,
     LAYER(g2)},
    {"att.k_k", "attn.k_k", "attention.k_k", "time_mix_k_k.weight", WEIGHT_VECTOR, 'C', 0, EVERYWHERE, LAYER(k_k)},
    {"att.k_a", "attn.k_a", "attention.k_a", "time_mix_k_a.weight", WEIGHT_VECTOR, 'C', 0, EVERYWHERE, LAYER(k_a)},
    {"att.r_k", "attn.r_k", "attention.r_k", "time_mix_r_k.weight", WEIGHT_VECTOR, 'H', 0, EVERYWHERE, LAYER(r_k)},
    {"att.receptance.weight", "attn.r_proj.weight", "attention.receptance.weight", "time_mix_receptance.weight",
     WEIGHT_MATRIX, 'C', 'C', EVERYWHERE, LAYER(receptance)},
    {"att.key.weight", "attn.k_proj.weight", "attention.key.weight", "time_mix_key.weight", WEIGHT_MATRIX, 'C', 'C',
     EVERYWHERE, LAYER(key)},
    {"att.value.weight", "attn.v_proj.weight", "attention.value.weight", "time_mix_value.weight", WEIGHT_MATRIX, 'C',
     'C', EVERYWHERE, LAYER(value)},
    {"att.output.weight", "attn.o_proj.weight", "attention.output.weight", "time_mix_output.weight", WEIGHT_MATRIX, 'C',
     'C', EVERYWHERE, LAYER(output)},
    {"att.ln_x.weight", "attn.g_norm.weight", "attention.ln_x.weight", "time_mix_ln.weight", WEIGHT_VECTOR, 'C', 0,
     EVERYWHERE, LAYER(ln_x_weight)},
    {"att.ln_x.bias", "attn.g_norm.bias", "attention.ln_x.bias", "time_mix_ln.bias", WEIGHT_VECTOR, 'C', 0, EVERYWHERE,
     LAYER(ln_x_bias)},
    {"ffn.x_k", "ffn.x_k", "feed_forward.x_k", "channel_mix_lerp_k.weight", WEIGHT_VECTOR, 'C', 0, EVERYWHERE,
     LAYER(ffn_x_k)},
    {"ffn.key.weight", "ffn.key.weight", "feed_forward.key.weight", "channel_mix_key.weight", WEIGHT_MATRIX, 'F', 'C',
     EVERYWHERE, LAYER(ffn_key)},
    {"ffn.value.weight", "ffn.value.weight", "feed_forward.value.weight", "channel_mix_value.weight", WEIGHT_SPARSE,
     'C', 'F', EVERYWHERE, LAYER(ffn_value)},
    {"ffn.s_emb.weight", NULL, NULL, NULL, WEIGHT_TABLE, 'V', 'E', EVERYWHERE, LAYER(s_emb)},
    {"ffn.s_emb_x.weight", NULL, NULL, NULL, WEIGHT_MATRIX, 'E', 'C', EVERYWHERE, LAYER(s_emb_x)},
    {"ffn.s1", NULL, NULL, NULL, WEIGHT_ORIENTED, 'e', 'C', EVERYWHERE, LAYER(s1)},
    {"ffn.s2", NULL, NULL, NULL, WEIGHT_ORIENTED, 'F', 'e', EVERYWHERE, LAYER(s2)},
    {"ffn.s0", NULL, NULL, NULL, WEIGHT_VECTOR, 'F', 0, EVERYWHERE, LAYER(s0)},
};
static const struct weight_spec outer_weights[] = {
    {"emb.weight", "model.embeddings.weight", "model.embeddings.weight", "token_embd.weight", WEIGHT_TABLE, 'V', 'C',
     EVERYWHERE, OUTER(emb)},
    {"blocks.0.ln0.weight", "model.layers.0.pre_norm.weight", "model.layers.0.pre_ln.weight", "token_embd_norm.weight",
     WEIGHT_VECTOR, 'C', 0, EVERYWHERE, OUTER(ln0_weight)},
    {"blocks.0.ln0.bias", "model.layers.0.pre_norm.bias", "model.layers.0.pre_ln.bias", "token_embd_norm.bias",
     WEIGHT_VECTOR, 'C', 0, EVERYWHERE, OUTER(ln0_bias)},
    {"ln_out.weight", "model.norm.weight", "model.ln_out.weight", "output_norm.weight", WEIGHT_VECTOR, 'C', 0,
     EVERYWHERE, OUTER(ln_out_weight)},
    {"ln_out.bias", "model.norm.bias", "model.ln_out.bias", "output_norm.bias", WEIGHT_VECTOR, 'C', 0, EVERYWHERE,
     OUTER(ln_out_bias)},
    {"head.weight", "lm_head.weight", "lm_head.weight", "output.weight", WEIGHT_MATRIX, 'V', 'C', EVERYWHERE,
     OUTER(head)},
};

#define COUNT(table) (sizeof(table) / sizeof(table)[0])
#define DEEP_WEIGHTS 5 /* the last rows of layer_weights, for x070a only */

static enum rwkv7_status measure_ranks(const struct candidate *c, struct recognized *out, struct rwkv7_error *err)
{
    struct rwkv7_shape *s = &out->shape;
    bool is_known = factors_known(c);
    enum rwkv7_status status;
    if ((status = measure_rank(c, out, &is_known, "att.w1", 0, &s->rank_w, err)) ||
        (status = measure_rank(c, out, &is_known, "att.a1", 0, &s->rank_a, err)) ||
        (status = measure_rank(c, out, &is_known, "att.g1", 0, &s->rank_g, err)) ||
        (s->layers > 1 && (status = measure_rank(c, out, &is_known, "att.v1", 1, &s->rank_v, err))))
        return status;
    return is_known ? RWKV7_OK : fail_orientation(c, s, err);
}

enum { USUAL_HEAD = 64 }; /* of every published RWKV-7 */

/* Returns the head size that the config.json states; 0 if it states none. */
static long configured_head_size(const struct candidate *c)
{
    static const char *const keys[] = {"head_dim", "head_size"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const cJSON *const value = cJSON_GetObjectItemCaseSensitive(c->index->config, keys[i]);
        if (cJSON_IsNumber(value) && value->valuedouble >= 1 && value->valuedouble <= MAX_AXIS)
            return (long)value->valuedouble;
    }
    return 0;
}

/*
 * H and N are the axes of r_k that are longer than 1. GGUF files and checkpoints converted by the
 * author's Python package store r_k as one vector. N is then taken from the metadata or
 * config.json, or is 64.
 */
static enum rwkv7_status measure_heads(const struct candidate *c, struct recognized *out, struct rwkv7_error *err)
{
    static const char key[] = "rwkv7.wkv.head_size";
    struct rwkv7_shape *s = &out->shape;
    const struct weight_spec *spec = find_weight(out->weights, "att.r_k", 0);
    const struct tensor *t = weight_tensor(c->index, out->weights, c->naming, spec, 0, NULL);
    uint64_t axes[TENSOR_MAX_RANK];
    int rank = 0;
    for (int i = 0; t && i < t->rank; i++)
        if (t->shape[i] != 1)
            axes[rank++] = t->shape[i];
    const bool is_flat = t && t->rank != 2 && rank == 1 && axes[0] == (uint64_t)s->channels;
    if (t && t->rank > 2 && rank == 2 && axes[0] <= MAX_AXIS && axes[1] <= MAX_AXIS) {
        s->heads = (int)axes[0];
        s->head_size = (int)axes[1];
        return RWKV7_OK;
    }
    if (c->naming != NAMING_GGUF && !is_flat)
        return measure_axes(c, out->weights, "att.r_k", 0, &s->heads, &s->head_size, err);
    const char *text = tensors_metadata(c->index, key);
    long size = metadata_whole(c->index, key);
    const long configured = !text && c->naming != NAMING_GGUF ? configured_head_size(c) : 0;
    if (configured > 0 && s->channels % configured != 0)
        return fail(err, RWKV7_ERR_MODEL, "%s: the size of a head: expected a divisor of %d channels, found %ld",
                    c->index->config_path, s->channels, configured);
    if (configured > 0) {
        size = configured;
    } else if (!text && c->naming != NAMING_GGUF && s->channels % USUAL_HEAD == 0) {
        size = USUAL_HEAD;
        const enum rwkv7_status status =
            note(c->index->notes, err,
                 "%s: r_k is flat and the metadata do not tell the size of a head: it is taken to be %ld",
                 snippet_path(c->path).text, size);
        if (status != RWKV7_OK)
            return status;
    }
    if (size < 1 || s->channels % size != 0)
        return fail(err, RWKV7_ERR_MODEL, "%s: metadata '%s': expected a divisor of %d channels, found %.40s", c->path,
                    key, s->channels, text ? text : "nothing");
    s->heads = (int)(s->channels / size);
    s->head_size = (int)size;
    return RWKV7_OK;
}

static enum rwkv7_status measure(const struct candidate *c, struct recognized *out, struct rwkv7_error *err)
{
    enum rwkv7_status status;
    if ((status = measure_common(c, out->weights, &out->shape, err)) || (status = measure_heads(c, out, err)) ||
        (status = check_heads(c, "r_k", &out->shape, err)))
        return status;
    if (c->naming == NAMING_FLA) /* fla multiplies it by N; others always use N = 64 */
        out->head_eps = LN_EPS * (float)out->shape.head_size;
    return measure_ranks(c, out, err);
}

static bool claims_deep(const struct candidate *c)
{
    return c->naming == NAMING_BLINKDL && tensors_find(c->index, "blocks.0.ffn.s_emb.weight");
}

static enum rwkv7_status measure_deep(const struct candidate *c, struct recognized *out, struct rwkv7_error *err)
{
    struct rwkv7_shape *s = &out->shape;
    int rows = 0, cols = 0;
    enum rwkv7_status status;
    if ((status = measure(c, out, err)) || (status = measure_axes(c, out->weights, "ffn.s1", 0, &rows, &cols, err)))
        return status;
    s->deep = rows == s->channels ? cols : rows;
    if (s->deep > DEEP_MAX)
        return fail(err, RWKV7_ERR_MODEL, "%s: side of the token matrices: found %d, expected at most %d", c->path,
                    s->deep, DEEP_MAX);
    return RWKV7_OK;
}

static bool has_ranks(const struct rwkv7_shape *s)
{
    return heads_fit(s) && s->rank_w > 0 && s->rank_a > 0 && s->rank_g > 0 && s->rank_v >= (s->layers > 1) &&
           s->rank_m == 0;
}

static bool is_possible(const struct rwkv7_shape *s)
{
    return has_ranks(s) && s->deep == 0;
}

static bool is_possible_deep(const struct rwkv7_shape *s)
{
    return has_ranks(s) && s->deep > 0 && s->deep <= DEEP_MAX;
}

/* World vocabulary, heads of 64 channels, F = 4 C. */
#define PUBLISHED(size, l, c, w, a, v, g)                                                                       \
    {                                                                                                           \
        size,                                                                                                   \
        {                                                                                                       \
            .vocab = 65536, .layers = (l), .channels = (c), .heads = (c) / USUAL_HEAD, .head_size = USUAL_HEAD, \
            .ffn = 4 * (c), .rank_w = (w), .rank_a = (a), .rank_v = (v), .rank_g = (g)                          \
        }                                                                                                       \
    }
static const struct published published[] = {
    PUBLISHED("0.1b", 12, 768, 64, 64, 32, 128),    PUBLISHED("0.4b", 24, 1024, 64, 64, 32, 128),
    PUBLISHED("1.5b", 24, 2048, 96, 96, 64, 256),   PUBLISHED("2.9b", 32, 2560, 96, 96, 64, 320),
    PUBLISHED("7.2b", 32, 4096, 128, 128, 96, 480),
};

static const struct weight_table x070_weights = {
    .model = "RWKV-7 (x070)",
    .layers = layer_weights,
    .layer_count = COUNT(layer_weights) - DEEP_WEIGHTS,
    .outer = outer_weights,
    .outer_count = COUNT(outer_weights),
    .layer_prefix = {"blocks.", "model.layers.", "model.layers.", "blk."},
    .layer_size = sizeof(struct rwkv7_layer),
};

static const struct weight_table x070a_weights = {
    .model = "RWKV-7 (x070a)",
    .layers = layer_weights,
    .layer_count = COUNT(layer_weights),
    .outer = outer_weights,
    .outer_count = COUNT(outer_weights),
    .layer_prefix = {[NAMING_BLINKDL] = "blocks."},
    .layer_size = sizeof(struct rwkv7_layer),
};

static const struct forward forward = {rwkv7_cut_step, rwkv7_step,   rwkv7_cut_chunk,
                                       rwkv7_chunk,    rwkv7_replay, RWKV7_INPUTS};

const struct arch arch_x070 = {
    .id = RWKV7_ARCH_X070,
    .version = "x070",
    .gguf = "rwkv7",
    .weights = &x070_weights,
    .state = matrix_state,
    .state_count = STATE_TENSORS,
    .measure = measure,
    .is_possible = is_possible,
    .published = published,
    .published_count = COUNT(published),
    .forward = &forward,
};

const struct arch arch_x070a = {
    .id = RWKV7_ARCH_X070,
    .version = "x070a",
    .weights = &x070a_weights,
    .state = matrix_state,
    .state_count = STATE_TENSORS,
    .claims = claims_deep,
    .measure = measure_deep,
    .is_possible = is_possible_deep,
    .forward = &forward,
};
