/*
 * channel_mix.h - the channel mix of RWKV-4 to RWKV-6, whose output is gated. With u = LN(x), and
 * ffn_prev = u of the previous token:
 *
 *     x_c = u + (ffn_prev - u) shift_c                  c = k r
 *     x += layer_scale sig(Rf x_r) Vf relu(Kf x_k)^2
 *
 * ffn_prev is the last tensor of the state.
 */
#ifndef ARCH_CHANNEL_MIX_H
#define ARCH_CHANNEL_MIX_H

#include "arch/chunk.h"
#include "arch/step.h"

/* The weights of one layer, including those of its LN. Part of the struct of a layer. */
struct channel_mix {
    const float *ln_weight, *ln_bias;  /* [C] */
    const float *shift_k, *shift_r;    /* [C] */
    struct mat key, receptance, value; /* [F][C], [C][C], [C][F] */
};

/* Buffers of a step. The first struct is private to a thread, the second is shared by all. */
struct channel_mix_local {
    float *mix[2];          /* [C] */
    struct quants mix_q[2]; /* mix, quantized */
};
struct channel_mix_step {
    float *gate;                     /* [C] sig(Rf x_r) */
    float *hidden;                   /* [F] */
    struct channel_mix_local *local; /* [threads] */
};
struct channel_mix_step cut_channel_mix_step(struct scratch *s, const struct rwkv7_model *model, int threads);
/* Runs one token through the channel mix. Ends with a barrier. */
void step_channel_mix(struct step *step, struct pool *pool, int rank, int layer, const struct channel_mix *m,
                      const struct channel_mix_step *work);

/*
 * Runs the tokens from `first` on through the channel mix. Ends with a barrier. mix: two mixes of C
 * elements per token. gate: [T][C]. hidden: F elements per token; must not overlap mix or gate.
 */
void chunk_channel_mix(const struct chunk *c, struct pool *pool, int rank, int layer, const struct channel_mix *m,
                       struct vectors *mix, float *gate, struct vectors *hidden, int first);

#endif
