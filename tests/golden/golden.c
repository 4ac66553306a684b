/* golden.c - loads golden models and the results of the oracle; see golden.h. */
#include "golden.h"

#include "base/sys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const local_models[] = {"f32_n32",   "bf16_n64", "f16_n128", "bf16_fla",  "bf16_fla_fused",
                                           "f32_n16",   "f16_deep", "x052_f32", "x060_bf16", "x060_f16_fla",
                                           "x051_bf16", "x050_f32", "x040_f32", "f32_rate2"};
static const char *const shared[] = {"rand_a_L2_D128_V300_f32",
                                     "rand_b_L3_D192_V257_bf16",
                                     "rand_c_L2_D256_V501_f16",
                                     "rand_d_L2_D64_V96_bf16_fla",
                                     "rand_e_L2_D64_V24_f16_x070a",
                                     "older/v4_a_L3_D96_V200_f32",
                                     "older/v4_b_L2_D128_V250_bf16",
                                     "older/v4_c_L2_D96_V131_bf16_hf",
                                     "older/v50_a_L2_D96_H3_V160_f32",
                                     "older/v51_a_L2_D128_H2_V160_bf16",
                                     "older/v52_a_L2_D96_H3_V190_f32",
                                     "older/v52_b_L2_D128_H2_V257_bf16",
                                     "older/v52_c_L2_D128_H2_V140_bf16_hf",
                                     "older/v52_d_L2_D128_H2_V110_f16_st",
                                     "older/v6_a_L3_D128_H2_V257_bf16",
                                     "older/v6_b_L2_D128_H2_V211_f16",
                                     "older/v6_c_L2_D96_H6_V100_f32",
                                     "older/v6_d_L2_D128_H2_V120_bf16_hf",
                                     "older/v6_e_L2_D128_H2_V120_bf16_fla",
                                     "older/v6_f_L2_D128_H2_V110_f16_st",
                                     "older/v6_g_L7_D64_H2_V60_f32",
                                     "older/v6_h_L2_D128_H2_V90_f16"};

const void *golden_tensor(const struct golden *g, const char *name, uint64_t *elements)
{
    const struct tensor *t = tensors_find(g->index, name);
    if (!t)
        return NULL;
    if ((uintptr_t)t->data % 4 != 0) {
        fprintf(stderr, "golden: tensor '%s' is not aligned\n", name);
        exit(1);
    }
    if (elements)
        *elements = t->bytes / 4;
    return t->data;
}

/* Joins aa, bb and pp of RWKV-4, [L][C] each, to one array [L][3][C]. */
static float *join_state(const struct golden *g)
{
    static const char *const names[] = {"aa", "bb", "pp"};
    const struct tensor *aa = tensors_find(g->index, "aa");
    const size_t layers = (size_t)aa->shape[0], channels = (size_t)aa->shape[1];
    float *joined = malloc(3 * layers * channels * sizeof *joined);
    for (size_t i = 0; joined && i < 3; i++) {
        const float *from = golden_tensor(g, names[i], NULL);
        for (size_t layer = 0; layer < layers; layer++)
            memcpy(joined + (3 * layer + i) * channels, from + layer * channels, channels * sizeof *from);
    }
    return joined;
}

bool golden_open(int i, struct golden *g)
{
    static char model[512];
    char expected[512];
    struct rwkv7_error err;
    const int local_count = (int)(sizeof local_models / sizeof local_models[0]),
              shared_count = (int)(sizeof shared / sizeof shared[0]);

    memset(g, 0, sizeof *g);
    if (i >= local_count + shared_count)
        return false;
    const char *folder = i < local_count ? TEST_DIR "/golden/data" : SHARED_DIR "/vectors";
    const char *name = i < local_count ? local_models[i] : shared[i - local_count];
    snprintf(model, sizeof model, "%s/%s.safetensors", folder, name);
    if (!path_exists(model))
        snprintf(model, sizeof model, "%s/%s.pth", folder, name);
    if (!path_exists(model))
        snprintf(model, sizeof model, "%s/%s.gguf", folder, name);
    snprintf(expected, sizeof expected, "%s/%s.expected.safetensors", folder, name);
    if (i >= local_count) {
        FILE *f = fopen(expected, "rb");
        if (!f) {
            printf("SKIP: %s: no such file\n", expected);
            return false;
        }
        fclose(f);
    }
    if (tensors_open(expected, &g->index, &err) != RWKV7_OK) {
        fprintf(stderr, "golden: %s\n", err.message);
        exit(1);
    }
    uint64_t n = 0;
    g->model = model;
    g->tokens = golden_tensor(g, "tokens", &n);
    g->count = (int)n;
    g->logits = golden_tensor(g, "logits", NULL);
    g->att_prev = golden_tensor(g, "att_x_prev", NULL);
    g->wkv = golden_tensor(g, "wkv", NULL);
    if (!g->wkv)
        g->wkv = g->joined = join_state(g);
    g->ffn_prev = golden_tensor(g, "ffn_x_prev", NULL);
    g->greedy = golden_tensor(g, "greedy", &n);
    g->greedy_count = (int)n;
    return true;
}

void golden_close(struct golden *g)
{
    tensors_close(g->index);
    free(g->joined);
}
