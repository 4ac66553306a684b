/* rwkv7.h - a layer of RWKV-7 (x070), and of x070a, which adds DeepEmbed (rwkv7_deep.h). */
#ifndef ARCH_RWKV7_H
#define ARCH_RWKV7_H

#include "arch/arch.h"

/*
 * Matrices are [out][in] and applied as y = W x, including the low-rank factors, which a .pth
 * stores transposed. Vectors are float32, whatever the type in the file.
 */
struct rwkv7_layer {
    const float *ln1_weight, *ln1_bias, *ln2_weight, *ln2_bias; /* [C] */
    const float *x_r, *x_w, *x_k, *x_v, *x_a, *x_g;             /* [C] token shift, time mix */
    const float *w0, *a0, *v0;                                  /* [C] biases of w, a, v; no v0 in layer 0 */
    const float *k_k, *k_a, *r_k;                               /* [C]; r_k is [H][N] */
    const float *ln_x_weight, *ln_x_bias;                       /* [C] */
    struct mat w1, w2;                                          /* [Rw][C], [C][Rw] */
    struct mat a1, a2;                                          /* [Ra][C], [C][Ra] */
    struct mat v1, v2;                                          /* [Rv][C], [C][Rv]; not in layer 0 */
    struct mat g1, g2;                                          /* [Rg][C], [C][Rg] */
    struct mat receptance, key, value, output;                  /* [C][C] */
    const float *ffn_x_k;                                       /* [C] token shift, channel mix */
    struct mat ffn_key, ffn_value;                              /* [F][C], [C][F] */
    struct mat s_emb;                                           /* [V][E*E]; from here on: x070a only */
    struct mat s_emb_x;                                         /* [E*E][C] */
    struct mat s1, s2;                                          /* [E][C], [F][E] */
    const float *s0;                                            /* [F] */
};

#define DEEP_MAX 256 /* largest side E of the token matrices of x070a; a thread holds two */

static inline struct rwkv7_layer *rwkv7_layers(const struct rwkv7_model *model)
{
    return model->layers;
}

/* a [n] = scale sig(a0 + a): the in-context learning rate. */
static inline void rwkv7_rate(const struct kernels *k, float *a, const float *a0, int n, float scale)
{
    k->sigmoid_bias(a, a0, n);
    for (int i = 0; scale != 1.0f && i < n; i++)
        a[i] *= scale;
}

void *rwkv7_cut_step(struct scratch *s, const struct rwkv7_model *model, int threads);
void rwkv7_step(struct step *step, struct pool *pool, int rank, int layer);
void *rwkv7_cut_chunk(struct scratch *s, const struct rwkv7_model *model, int tokens, int threads);
void rwkv7_chunk(struct chunk *chunk, struct pool *pool, int rank, int layer);
#define RWKV7_INPUTS 5 /* of the recurrence: w, k, v, kk, b */
void rwkv7_replay(const struct rwkv7_model *model, float *state, const struct replay *replay, int layer, int begin,
                  int end, int count);

#endif
