/*
 * names.c - the tensors that an RWKV-7 checkpoint (x070, x070a) must have, under each of the names they are known by.
 *
 * Four spellings: BlinkDL (the author's), fla (flash-linear-attention, Hugging Face folders), an older Hugging Face export,
 * and llama.cpp's (GGUF). Sizes are never taken from a configuration file, only from the shapes of the tensors; but llama.cpp
 * makes a vector of r_k, so that the size of a head is only in its metadata. x070a is known under BlinkDL's names alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/packed.h"
#include "weights/model.h"

#define LAYER(field) offsetof(struct layer, field)
#define OUTER(field) offsetof(struct outer, field)

const struct weight_spec layer_weights[] = {
    {"ln1.weight", "attn_norm.weight", "ln1.weight", "attn_norm.weight", WEIGHT_VECTOR, 'C', 0, EVERYWHERE,
     LAYER(ln1_weight)},
    {"ln1.bias", "attn_norm.bias", "ln1.bias", "attn_norm.bias", WEIGHT_VECTOR, 'C', 0, EVERYWHERE, LAYER(ln1_bias)},
    {"ln2.weight", "ffn_norm.weight", "ln2.weight", "attn_norm_2.weight", WEIGHT_VECTOR, 'C', 0, EVERYWHERE,
     LAYER(ln2_weight)},
    {"ln2.bias", "ffn_norm.bias", "ln2.bias", "attn_norm_2.bias", WEIGHT_VECTOR, 'C', 0, EVERYWHERE, LAYER(ln2_bias)},
    {"att.x_r", "attn.x_r", "attention.x_r", "time_mix_lerp_fused.weight", WEIGHT_VECTOR, 'C', 0, EVERYWHERE,
     LAYER(x_r)},
    {"att.x_w", "attn.x_w", "attention.x_w", "time_mix_lerp_fused.weight", WEIGHT_VECTOR, 'C', 0, EVERYWHERE,
     LAYER(x_w)},
    {"att.x_k", "attn.x_k", "attention.x_k", "time_mix_lerp_fused.weight", WEIGHT_VECTOR, 'C', 0, EVERYWHERE,
     LAYER(x_k)},
    {"att.x_v", "attn.x_v", "attention.x_v", "time_mix_lerp_fused.weight", WEIGHT_VECTOR, 'C', 0, EVERYWHERE,
     LAYER(x_v)},
    {"att.x_a", "attn.x_a", "attention.x_a", "time_mix_lerp_fused.weight", WEIGHT_VECTOR, 'C', 0, EVERYWHERE,
     LAYER(x_a)},
    {"att.x_g", "attn.x_g", "attention.x_g", "time_mix_lerp_fused.weight", WEIGHT_VECTOR, 'C', 0, EVERYWHERE,
     LAYER(x_g)},
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
    {"ffn.value.weight", "ffn.value.weight", "feed_forward.value.weight", "channel_mix_value.weight", WEIGHT_MATRIX,
     'C', 'F', EVERYWHERE, LAYER(ffn_value)},
    {"ffn.s_emb.weight", "ffn.s_emb.weight", "ffn.s_emb.weight", "ffn.s_emb.weight", WEIGHT_TABLE, 'V', 'E', DEEP,
     LAYER(s_emb)},
    {"ffn.s_emb_x.weight", "ffn.s_emb_x.weight", "ffn.s_emb_x.weight", "ffn.s_emb_x.weight", WEIGHT_MATRIX, 'E', 'C',
     DEEP, LAYER(s_emb_x)},
    {"ffn.s1", "ffn.s1", "ffn.s1", "ffn.s1", WEIGHT_TURNED, 'e', 'C', DEEP, LAYER(s1)},
    {"ffn.s2", "ffn.s2", "ffn.s2", "ffn.s2", WEIGHT_TURNED, 'F', 'e', DEEP, LAYER(s2)},
    {"ffn.s0", "ffn.s0", "ffn.s0", "ffn.s0", WEIGHT_VECTOR, 'F', 0, DEEP, LAYER(s0)},
};
const size_t layer_weight_count = sizeof layer_weights / sizeof layer_weights[0];

const struct weight_spec outer_weights[] = {
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
const size_t outer_weight_count = sizeof outer_weights / sizeof outer_weights[0];

int shape_axis(const struct rwkv7_shape *s, char letter)
{
    switch (letter) {
    case 'V':
        return s->vocab;
    case 'C':
    case 'H': /* r_k: one number per channel, stored as [H][N] */
        return s->channels;
    case 'F':
        return s->ffn;
    case 'w':
        return s->rank_w;
    case 'a':
        return s->rank_a;
    case 'v':
        return s->rank_v;
    case 'g':
        return s->rank_g;
    case 'e':
        return s->deep;
    case 'E':
        return s->deep * s->deep;
    default:
        return 1;
    }
}

bool weight_exists(const struct rwkv7_shape *s, const struct weight_spec *spec, int layer)
{
    return spec->place == DEEP ? s->deep > 0 : spec->place == EVERYWHERE || layer > 0;
}

static const char *layer_prefix(enum naming naming)
{
    return naming == NAMING_BLINKDL ? "blocks." : naming == NAMING_GGUF ? "blk." : "model.layers.";
}

void names_full(char *out, size_t room, const struct spelling *spelling, const struct weight_spec *spec, int layer)
{
    const char *name = spelling->naming == NAMING_BLINKDL ? spec->blinkdl
                       : spelling->naming == NAMING_FLA   ? spec->fla
                       : spelling->naming == NAMING_GGUF  ? spec->gguf
                                                          : spec->hf;
    if (layer < 0)
        snprintf(out, room, "%s", name);
    else
        snprintf(out, room, "%s%d.%s", layer_prefix(spelling->naming), layer, name);
}

const char *names_describe(const struct spelling *spelling)
{
    switch (spelling->naming) {
    case NAMING_BLINKDL:
        return spelling->factors_transposed ? "BlinkDL (.pth orientation)" : "BlinkDL (.st orientation)";
    case NAMING_FLA:
        return "fla / Hugging Face";
    case NAMING_GGUF:
        return "llama.cpp";
    default:
        return "Hugging Face, older spelling";
    }
}

/* ----------------------------------------------------------------------------------------------------- recognition */

static bool any_with(const struct tensor_index *index, const char *part)
{
    for (size_t i = 0; i < index->count; i++)
        if (strstr(index->tensors[i].name, part))
            return true;
    return false;
}

/* Other models that people try, by a tensor that only they have. */
static enum rwkv7_status refuse_others(const struct tensor_index *index, const char *path, struct rwkv7_error *err)
{
    static const struct {
        const char *part, *what;
    } others[] = {
        {".qkv.", "an RWKV-7 x070b checkpoint (DeepEmbed attention), an experiment that is not supported"},
        {"rosa", "an RWKV-8 experiment (\"rosa\" tensors), not RWKV-7"},
        {".att.time_maa", "an RWKV-6 checkpoint; only RWKV-7 is supported"},
        {".att.time_mix", "an RWKV-4 or RWKV-5 checkpoint; only RWKV-7 is supported"},
        {".self_attn.", "a transformer, not RWKV-7"},
        {".lora_A", "a LoRA adapter, not a whole model"},
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (any_with(index, others[i].part))
            return fail(err, RWKV7_ERR_MODEL, "%s: this is %s", path, others[i].what);
    return RWKV7_OK;
}

/* What a GGUF file says of itself, which covers all families. */
static enum rwkv7_status check_architecture(const struct tensor_index *index, const char *path, struct rwkv7_error *err)
{
    const char *found = tensors_metadata(index, "general.architecture");
    if (!found || strcmp(found, "rwkv7") == 0)
        return RWKV7_OK;
    return fail(err, RWKV7_ERR_MODEL, "%s: this is a model of architecture '%.40s'; only rwkv7 is supported", path,
                found);
}

static enum rwkv7_status missing(const char *path, const char *name, struct rwkv7_error *err)
{
    return fail(err, RWKV7_ERR_MODEL, "%s: tensor '%s' is missing", path, name);
}

/* The two axes of the tensor that reveals a size. */
static enum rwkv7_status axes(const struct tensor_index *index, const char *path, const struct spelling *spelling,
                              size_t field, bool outer, int layer, int *rows, int *cols, struct rwkv7_error *err)
{
    const struct weight_spec *spec = outer ? outer_weights : layer_weights;
    char name[160];
    while (spec->offset != field)
        spec++;
    names_full(name, sizeof name, spelling, spec, layer);
    const struct tensor *t = tensors_find(index, name);
    if (!t)
        return missing(path, name, err);
    if (t->rank != 2)
        return fail(err, RWKV7_ERR_MODEL, "%s: tensor '%s': expected 2 axes, found %d", t->file, name, t->rank);
    for (int i = 0; i < 2; i++)
        if (t->shape[i] < 1 || t->shape[i] > MAX_AXIS)
            return fail(err, RWKV7_ERR_MODEL, "%s: tensor '%s': axis %d has impossible size %llu", t->file, name, i,
                        (unsigned long long)t->shape[i]);
    *rows = (int)t->shape[0];
    *cols = (int)t->shape[1];
    return RWKV7_OK;
}

/* A whole number in the metadata; -1: there is none, or it is something else. */
static long metadata_whole(const struct tensor_index *index, const char *key)
{
    const char *text = tensors_metadata(index, key);
    char *end;
    if (!text || text[0] < '0' || text[0] > '9')
        return -1;
    const long value = strtol(text, &end, 10);
    return *end == '\0' ? value : -1;
}

/* H and N, which are the axes of r_k or in the metadata. */
static enum rwkv7_status head_axes(const struct tensor_index *index, const char *path, const struct spelling *spelling,
                                   struct rwkv7_shape *shape, struct rwkv7_error *err)
{
    static const char key[] = "rwkv7.wkv.head_size";
    if (spelling->naming != NAMING_GGUF)
        return axes(index, path, spelling, LAYER(r_k), false, 0, &shape->heads, &shape->head_size, err);
    const char *text = tensors_metadata(index, key);
    const long size = metadata_whole(index, key);
    if (size < 1 || shape->channels % size != 0)
        return fail(err, RWKV7_ERR_MODEL, "%s: metadata '%s': expected a divisor of %d channels, found %.40s", path,
                    key, shape->channels, text ? text : "nothing");
    shape->heads = (int)(shape->channels / size);
    shape->head_size = (int)size;
    return RWKV7_OK;
}

static int count_layers(const struct tensor_index *index, enum naming naming)
{
    const char *prefix = layer_prefix(naming);
    const size_t n = strlen(prefix);
    long most = -1;
    for (size_t i = 0; i < index->count; i++) {
        const char *name = index->tensors[i].name;
        if (strncmp(name, prefix, n) != 0 || name[n] < '0' || name[n] > '9')
            continue;
        const long layer = strtol(name + n, NULL, 10);
        if (layer > most)
            most = layer;
    }
    return most >= MAX_LAYERS ? MAX_LAYERS + 1 : (int)most + 1;
}

/* Rank of a low-rank pair from its first factor, and with the first unambiguous one the orientation of all. */
static enum rwkv7_status rank_of(const struct tensor_index *index, const char *path, struct spelling *spelling,
                                 bool *known, size_t field, int layer, int channels, int *rank, struct rwkv7_error *err)
{
    int rows = 0, cols = 0;
    const enum rwkv7_status status = axes(index, path, spelling, field, false, layer, &rows, &cols, err);
    if (status != RWKV7_OK)
        return status;
    if (rows != channels && cols != channels)
        return fail(err, RWKV7_ERR_MODEL, "%s: low-rank factors of layer %d: shape [%d,%d] has no axis of %d channels",
                    path, layer, rows, cols, channels);
    if (!*known && rows != cols) {
        spelling->factors_transposed = rows == channels;
        *known = true;
    }
    *rank = rows == channels ? cols : rows;
    return RWKV7_OK;
}

enum rwkv7_status names_recognise(const struct tensor_index *index, const char *path, struct spelling *spelling,
                                  struct rwkv7_shape *shape, struct rwkv7_error *err)
{
    enum rwkv7_status status = refuse_others(index, path, err);
    if (status != RWKV7_OK || (status = check_architecture(index, path, err)) != RWKV7_OK)
        return status;

    memset(shape, 0, sizeof *shape);
    spelling->factors_transposed = false;
    if (tensors_find(index, "emb.weight")) {
        spelling->naming = NAMING_BLINKDL;
    } else if (tensors_find(index, "model.embeddings.weight")) {
        spelling->naming = any_with(index, ".attention.") ? NAMING_HF : NAMING_FLA;
    } else if (tensors_find(index, "token_embd.weight")) {
        spelling->naming = NAMING_GGUF;
    } else {
        return fail(
            err, RWKV7_ERR_MODEL,
            "%s: not an RWKV-7 model: neither 'emb.weight' nor 'model.embeddings.weight' nor 'token_embd.weight' is "
            "among its %zu tensors",
            path, index->count);
    }

    int cols = 0;
    if ((status = axes(index, path, spelling, OUTER(emb), true, -1, &shape->vocab, &shape->channels, err)) ||
        (status = head_axes(index, path, spelling, shape, err)) ||
        (status = axes(index, path, spelling, LAYER(ffn_key), false, 0, &shape->ffn, &cols, err)))
        return status;
    if ((int64_t)shape->heads * shape->head_size != shape->channels)
        return fail(err, RWKV7_ERR_MODEL, "%s: r_k of layer 0 has shape [%d,%d], expected a product of %d channels",
                    path, shape->heads, shape->head_size, shape->channels);
    if (shape->head_size > WKV_MAX_N)
        return fail(err, RWKV7_ERR_MODEL, "%s: head size %d is larger than %d", path, shape->head_size, WKV_MAX_N);
    if (tensors_find(index, "blocks.0.ffn.s_emb.weight")) {
        int rows = 0;
        if ((status = axes(index, path, spelling, LAYER(s1), false, 0, &rows, &cols, err)))
            return status;
        shape->deep = rows == shape->channels ? cols : rows;
    }
    if (shape->deep > DEEP_MAX)
        return fail(err, RWKV7_ERR_MODEL, "%s: token matrices of side %d are larger than %d", path, shape->deep,
                    DEEP_MAX);
    shape->layers = count_layers(index, spelling->naming);
    if (shape->layers > MAX_LAYERS)
        return fail(err, RWKV7_ERR_MODEL, "%s: more than %d layers", path, MAX_LAYERS);
    const char *blocks = tensors_metadata(index, "rwkv7.block_count");
    if (blocks && metadata_whole(index, "rwkv7.block_count") != shape->layers)
        return fail(err, RWKV7_ERR_MODEL,
                    "%s: metadata 'rwkv7.block_count' says %.40s, but there are tensors of %d layers", path, blocks,
                    shape->layers);

    /* Always stored as we want them, by those programs and by this one. */
    bool known =
        spelling->naming == NAMING_FLA || spelling->naming == NAMING_GGUF || tensors_metadata(index, PACKED_LAYOUT_KEY);
    const int channels = shape->channels;
    if ((status = rank_of(index, path, spelling, &known, LAYER(w1), 0, channels, &shape->rank_w, err)) ||
        (status = rank_of(index, path, spelling, &known, LAYER(a1), 0, channels, &shape->rank_a, err)) ||
        (status = rank_of(index, path, spelling, &known, LAYER(g1), 0, channels, &shape->rank_g, err)) ||
        (shape->layers > 1 &&
         (status = rank_of(index, path, spelling, &known, LAYER(v1), 1, channels, &shape->rank_v, err))))
        return status;
    if (!known)
        return fail(err, RWKV7_ERR_MODEL,
                    "%s: all low-rank factors are square [%d,%d]: their orientation cannot be told from the shapes",
                    path, channels, channels);
    return RWKV7_OK;
}

/* A number between 0 and 1 in the metadata; `preset` when it is not there. */
static enum rwkv7_status read_epsilon(const struct tensor_index *index, const char *path, const char *key, float preset,
                                      float *eps, struct rwkv7_error *err)
{
    const char *text = tensors_metadata(index, key);
    char *end;
    *eps = preset;
    if (!text)
        return RWKV7_OK;
    *eps = strtof(text, &end);
    if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && *eps > 0.0f && *eps < 1.0f)
        return RWKV7_OK;
    return fail(err, RWKV7_ERR_MODEL, "%s: metadata '%s': expected a number between 0 and 1, found %.40s", path, key,
                text);
}

enum rwkv7_status names_epsilons(const struct tensor_index *index, const char *path, const struct spelling *spelling,
                                 const struct rwkv7_shape *shape, float *ln_eps, float *head_eps,
                                 struct rwkv7_error *err)
{
    const float head = spelling->naming == NAMING_FLA ? LN_EPS * (float)shape->head_size : HEAD_EPS;
    const enum rwkv7_status status = read_epsilon(index, path, LN_EPS_KEY, LN_EPS, ln_eps, err);
    return status == RWKV7_OK ? read_epsilon(index, path, HEAD_EPS_KEY, head, head_eps, err) : status;
}
