/*
 * unsupported.c - recognizes unsupported checkpoints by their tensors, so that the message can name
 * what they are: experimental RWKV versions, models derived from RWKV, transformers, quantized
 * files of other programs, adapters.
 */
#include <stdio.h>
#include <string.h>

#include "arch/arch.h"

bool any_tensor_with(const struct tensor_index *index, const char *part)
{
    for (size_t i = 0; i < index->count; i++)
        if (strstr(index->tensors[i].name, part))
            return true;
    return false;
}

static bool ends_with(const char *name, const char *end)
{
    const size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

/* Returns the tensor named like `name` with its last part replaced by `end`, or NULL. */
static const struct tensor *find_beside(const struct tensor_index *index, const char *name, const char *end)
{
    char beside[NAME_ROOM];
    const char *dot = strrchr(name, '.');
    const int stem = dot ? (int)(dot - name) : 0;
    if (snprintf(beside, sizeof beside, "%.*s%s", stem, name, end) >= (int)sizeof beside)
        return NULL;
    return tensors_find(index, beside);
}

/*
 * Returns the number of bits per weight of an MLX model, or 0 if unknown. MLX packs several weights
 * into each U32. The matrices of a time mix are square before packing, so the ratio of their packed
 * axes gives the number.
 */
static int mlx_bits(const struct tensor_index *index)
{
    for (size_t i = 0; i < index->count; i++) {
        const struct tensor *t = &index->tensors[i];
        const bool is_square = ends_with(t->name, ".r_proj.weight") || ends_with(t->name, ".receptance.weight");
        if (is_square && t->type == DT_U32 && t->rank == 2 && t->shape[0] > 0 && t->shape[1] <= t->shape[0])
            return (int)(32 * t->shape[1] / t->shape[0]);
    }
    return 0;
}

/* Refuses quantized files of other programs; the message says to use the original checkpoint. */
static enum rwkv7_status refuse_quantized(const struct tensor_index *index, const char *path, struct rwkv7_error *err)
{
    for (size_t i = 0; i < index->count; i++) {
        const char *name = index->tensors[i].name;
        const struct tensor *weight = ends_with(name, ".scales") ? find_beside(index, name, ".weight") : NULL;
        const char *program = weight && weight->type == DT_U32                        ? "MLX"
                              : ends_with(name, ".qweight")                           ? "GPTQ or AWQ"
                              : ends_with(name, ".absmax") || ends_with(name, ".SCB") ? "bitsandbytes"
                                                                                      : NULL;
        char bits[24] = "";
        if (!program)
            continue;
        if (weight && mlx_bits(index) > 0)
            snprintf(bits, sizeof bits, " to %d bits", mlx_bits(index));
        return fail(err, RWKV7_ERR_MODEL, "%s: quantized%s by %s, which is not supported; use the original checkpoint",
                    path, bits, program);
    }
    return RWKV7_OK;
}

/*
 * Returns whether the file is a LoRA adapter: it has matrices, and all of them are LoRA factors. A
 * model may contain some such names as well.
 */
static bool is_adapter(const struct tensor_index *index)
{
    size_t factors = 0, matrices = 0;
    for (size_t i = 0; i < index->count; i++) {
        const char *name = index->tensors[i].name;
        const bool is_factor = strstr(name, ".lora_A") || strstr(name, ".lora_B") || strstr(name, ".lora_embedding_");
        int axes = 0;
        for (int k = 0; k < index->tensors[i].rank; k++)
            axes += index->tensors[i].shape[k] > 1;
        factors += is_factor;
        matrices += is_factor || axes > 1;
    }
    return factors > 0 && factors == matrices;
}

/*
 * Other models, recognized by parts of their tensor names. The first row whose parts (part, and
 * also if given) all occur is reported.
 */
static const struct {
    const char *part, *also; /* also: part of another name, or NULL */
    const char *what;
} others[] = {
    {"rosa", NULL, "an RWKV-8 experiment with ROSA (\"rosa\" tensors)"},
    {".ffn.enn", ".qkv.", "an RWKV-8 experiment with attention (rc00-hybrid)"},
    {".qkv.kkup", NULL, "an RWKV-8 experiment with attention (rc00-hybrid)"},
    {".ffn.enn", NULL, "an RWKV-8 experiment (rc00)"},
    {".qkv.", NULL, "an RWKV-7 x070b checkpoint (DeepEmbed attention)"},
    {".att.gate_w1", NULL, "an RWKV-6 experiment (x060a)"},
    {".att.time_maa_rkvw_w1", NULL, "an RWKV-6 experiment (x060b or x060c)"},
    {".att.time_maa", ".att.r_k", "an experiment between RWKV-6 and RWKV-7"},
    {".tiny_", NULL, "an experiment with RWKV-4 (\"tiny\" attention)"},
    {"head_q.", NULL, "an experiment with RWKV-4 (\"head_q\", \"head_k\")"},
    {"pos_emb_", NULL, "an experiment with RWKV-4 (\"pos_emb\")"},
    {".ffnPre.", NULL, "an experiment with RWKV-4 (\"ffnPre\")"},
    {".self_attn.time_maa", NULL, "QRWKV6, a Qwen model with the RWKV-6 time mix"},
    {".self_attn.time_mixer.", NULL, "ARWKV, a Qwen model with the RWKV-7 time mix"},
    {"moba.", NULL, "RWKV-X, RWKV-7 with layers of sparse attention"},
    {".attn.q_proj.", ".attn.r_proj.", "a hybrid of RWKV and attention"},
    {".self_attn.", NULL, "a transformer, not RWKV"},
    {".mlp.gate_proj.", NULL, "a transformer variant, not RWKV"},
};

/* GGUF files of other models name their architecture. */
static const struct {
    const char *name, *what;
} relatives[] = {
    {"rwkv6qwen2", "QRWKV6, a Qwen model with the RWKV-6 time mix"},
    {"arwkv7", "ARWKV, a Qwen model with the RWKV-7 time mix"},
};

static enum rwkv7_status fail_unsupported(const char *path, const char *what, struct rwkv7_error *err)
{
    return fail(err, RWKV7_ERR_MODEL, "%s: this is %s, which is not supported", path, what);
}

enum rwkv7_status refuse_unsupported(const struct tensor_index *index, const char *path, struct rwkv7_error *err)
{
    const enum rwkv7_status status = refuse_quantized(index, path, err);
    if (status != RWKV7_OK)
        return status;
    if (is_adapter(index))
        return fail(err, RWKV7_ERR_MODEL,
                    "%s: this is a LoRA adapter, not a complete model; merge it with `rwkv7 convert --lora`", path);
    const char *said = tensors_metadata(index, "general.architecture");
    for (size_t i = 0; said && i < sizeof relatives / sizeof relatives[0]; i++)
        if (strcmp(said, relatives[i].name) == 0)
            return fail_unsupported(path, relatives[i].what, err);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (any_tensor_with(index, others[i].part) && (!others[i].also || any_tensor_with(index, others[i].also)))
            return fail_unsupported(path, others[i].what, err);
    return RWKV7_OK;
}
