/*
 * config.c - reads the config.json next to a checkpoint. Supported settings are applied. Any other
 * setting that changes the results is refused by name.
 *
 * Three programs write such files: fla (norm_eps, head_dim, hidden_act, norm_first), the older
 * Transformers classes for RWKV-4 to RWKV-6 (layer_norm_epsilon, head_size_divisor), and the
 * Transformers class of 2026 for RWKV-7 (layer_norm_epsilon, group_norm_epsilon). Sizes come from
 * the tensors; the file must agree with them. The number of heads is ignored: several published
 * files have a wrong one, which those programs do not use either.
 */
#include <cjson/cJSON.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "arch/arch.h"
#include "formats/packed.h"

struct config {
    const struct candidate *c;
    struct recognized *out;
    struct rwkv7_error *err;
};

/* Returns the value of a key, or NULL if it is missing or null. */
static const cJSON *value_of(const struct config *f, const char *key)
{
    const cJSON *const value = cJSON_GetObjectItemCaseSensitive(f->c->index->config, key);
    return value && !cJSON_IsNull(value) ? value : NULL;
}

static enum rwkv7_status disagree(const struct config *f, const char *key, const char *expected)
{
    const cJSON *const value = value_of(f, key);
    char *const found = cJSON_PrintUnformatted(value);
    const enum rwkv7_status status = found ? fail(f->err, RWKV7_ERR_MODEL, "%s: '%s': expected %s, found %.60s",
                                                  f->c->index->config_path, key, expected, found)
                                           : fail_memory(f->err, "a message");
    cJSON_free(found);
    return status;
}

/*
 * Compares the sizes in the file with those of the tensors. Sizes that the architecture does not
 * have are 0.
 */
static enum rwkv7_status check_sizes(const struct config *f)
{
    const struct rwkv7_shape *s = &f->out->shape;
    const struct {
        const char *key;
        int size;
    } sizes[] = {
        {"vocab_size", s->vocab},      {"hidden_size", s->channels}, {"num_hidden_layers", s->layers},
        {"intermediate_size", s->ffn}, {"head_dim", s->head_size},   {"head_size", s->head_size},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const cJSON *const value = value_of(f, sizes[i].key);
        char expected[64];
        if (!value || sizes[i].size == 0 || (cJSON_IsNumber(value) && value->valuedouble == (double)sizes[i].size))
            continue;
        snprintf(expected, sizeof expected, "%d as in the tensors", sizes[i].size);
        return disagree(f, sizes[i].key, expected);
    }
    return RWKV7_OK;
}

/* Checks the architecture that a key names: "rwkv7" for example, or "rwkv" for any version. */
static enum rwkv7_status check_version(const struct config *f, const char *key)
{
    const cJSON *const value = value_of(f, key);
    const char version = f->out->arch->version[2]; /* the 7 of "x070" */
    char expected[16];
    snprintf(expected, sizeof expected, "\"rwkv%c\"", version);
    if (!value)
        return RWKV7_OK;
    const char *const text = cJSON_IsString(value) ? value->valuestring : "";
    const bool is_rwkv = strncmp(text, "rwkv", 4) == 0, has_digit = is_rwkv && text[4] >= '0' && text[4] <= '9';
    return is_rwkv && (!has_digit || text[4] == version) ? RWKV7_OK : disagree(f, key, expected);
}

/* Reads an epsilon between 0 and 1. *eps stays unchanged if the key is missing. */
static enum rwkv7_status read_epsilon(const struct config *f, const char *key, float *eps)
{
    const cJSON *const value = value_of(f, key);
    if (!value)
        return RWKV7_OK;
    if (!cJSON_IsNumber(value) || !(value->valuedouble >= FLT_MIN) || !(value->valuedouble < 1))
        return disagree(f, key, "a number between 0 and 1");
    *eps = (float)value->valuedouble;
    return RWKV7_OK;
}

static enum rwkv7_status read_epsilons(const struct config *f)
{
    const bool is_x070 = f->out->arch->id == RWKV7_ARCH_X070, is_fla = f->c->naming == NAMING_FLA;
    const char *const key = value_of(f, "norm_eps") ? "norm_eps" : "layer_norm_epsilon";
    float eps = f->out->ln_eps;
    enum rwkv7_status status = read_epsilon(f, key, &eps);
    if (status != RWKV7_OK)
        return status;
    float other = eps;
    if ((status = read_epsilon(f, "layer_norm_epsilon", &other)) != RWKV7_OK)
        return status;
    if (other != eps)
        return disagree(f, "layer_norm_epsilon", "the value of 'norm_eps'");
    /*
     * Before RWKV-7, programs disagree about the norms that use this epsilon: the older classes use
     * it in some and 1e-5 in the others, and fla's RWKV-6 uses it in the heads as well. Only 1e-5
     * is unambiguous.
     */
    if (!is_x070 && eps != f->out->ln_eps)
        return disagree(f, key, "1e-05 (versions before RWKV-7)");
    f->out->ln_eps = eps;
    if (is_x070 && is_fla)
        f->out->head_eps = eps * (float)f->out->shape.head_size;
    if ((status = read_epsilon(f, "group_norm_epsilon", &f->out->head_eps)) != RWKV7_OK)
        return status;
    /*
     * The models divide the output of a head by head_size_divisor before a norm with epsilon 1e-5.
     * Multiplying the epsilon by the square of the divisor has the same effect.
     */
    const cJSON *const divisor = value_of(f, "head_size_divisor");
    if (!divisor || (cJSON_IsNumber(divisor) && divisor->valuedouble == 8))
        return RWKV7_OK;
    if (!cJSON_IsNumber(divisor) || !(divisor->valuedouble >= 1) || !(divisor->valuedouble <= 128))
        return disagree(f, "head_size_divisor", "a number from 1 to 128");
    f->out->head_eps = (float)(1e-5 * divisor->valuedouble * divisor->valuedouble);
    return RWKV7_OK;
}

/*
 * Fails unless a switch is missing or has the required value. expected: the value and the reason,
 * for the message.
 */
static enum rwkv7_status check_switch(const struct config *f, const char *key, bool required, const char *expected)
{
    const cJSON *const value = value_of(f, key);
    return !value || (cJSON_IsBool(value) && cJSON_IsTrue(value) == required) ? RWKV7_OK : disagree(f, key, expected);
}

static const struct tensor *outer_tensor(const struct config *f, const char *blinkdl)
{
    const struct weight_table *const table = f->out->weights;
    return weight_tensor(f->c->index, table, f->c->naming, find_weight(table, blinkdl, -1), -1, NULL);
}

/* Compares the head and the norm of the embedding with the tensors. */
static enum rwkv7_status check_outer(const struct config *f)
{
    const struct tensor *const head = outer_tensor(f, "head.weight"), *const emb = outer_tensor(f, "emb.weight");
    const bool has_ln0 = outer_tensor(f, "blocks.0.ln0.weight") != NULL;
    const bool is_equal = head && emb && head->type == emb->type && head->bytes == emb->bytes &&
                          (head->data == emb->data || (cJSON_IsTrue(value_of(f, "tie_word_embeddings")) &&
                                                       memcmp(head->data, emb->data, (size_t)emb->bytes) == 0));
    enum rwkv7_status status = RWKV7_OK;
    if (!head)
        status = check_switch(f, "tie_word_embeddings", true, "true because the checkpoint has no head");
    else if (!is_equal)
        status = check_switch(f, "tie_word_embeddings", false, "false because head and embedding differ");
    if (status == RWKV7_OK)
        status =
            check_switch(f, "norm_first", has_ln0,
                         has_ln0 ? "true because the embedding has a norm" : "false because the embedding has no norm");
    return status == RWKV7_OK && has_ln0
               ? check_switch(f, "embedding_layer_norm_fused", false, "false because the embedding has a norm")
               : status;
}

enum rwkv7_status config_obey(const struct candidate *c, struct recognized *out, struct rwkv7_error *err)
{
    const struct config f = {c, out, err};
    enum rwkv7_status status;
    /* GGUF files and the output of `convert` are complete without a config.json. */
    if (!c->index->config || c->naming == NAMING_GGUF || tensors_metadata(c->index, PACKED_LAYOUT_KEY))
        return RWKV7_OK;
    if ((status = check_version(&f, "model_type")) || (status = check_version(&f, "architecture_version")) ||
        (status = check_sizes(&f)) || (status = read_epsilons(&f)) || (status = check_outer(&f)) ||
        (status = check_switch(&f, "norm_bias", true, "true (norms without a bias are not supported)")))
        return status;
    const cJSON *const act = value_of(&f, "hidden_act");
    if (act && (!cJSON_IsString(act) || strcmp(act->valuestring, "sqrelu") != 0))
        return disagree(&f, "hidden_act", "\"sqrelu\"");
    return value_of(&f, "attn") ? disagree(&f, "attn", "null (attention layers are not supported)") : RWKV7_OK;
}
