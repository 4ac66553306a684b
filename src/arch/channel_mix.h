/*
 * channel_mix.h - the channel mix of RWKV-4 to 6, which gates what it adds. With u = LN(x) and the vector before, ffn_prev:
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

/* The weights of one layer, a part of the struct of a layer; those of LN too. */
struct channel_mix {
    const float *ln_weight, *ln_bias;  /* [C] */
    const float *shift_k, *shift_r;    /* [C] */
    struct mat key, receptance, value; /* [F][C], [C][C], [C][F] */
};

/* Buffers of a step. */
struct channel_mix_own {   /* private to a thread */
    float *mix[2];         /* [C] */
    struct quants many[2]; /* their integers */
};
struct channel_mix_step {
    float *gate;                 /* [C] sig(Rf x_r) */
    float *hidden;               /* [F] */
    struct channel_mix_own *own; /* [threads] */
};
struct channel_mix_step cut_channel_mix_step(struct scratch *s, const struct rwkv7_model *model, int threads);
/* One token; ends with a barrier. */
void step_channel_mix(struct step *step, struct pool *pool, int rank, int layer, const struct channel_mix *m,
                      const struct channel_mix_step *work);

/*
 * Several tokens, from `first` on; ends with a barrier. mix: two, of C numbers. gate [T][C]. hidden: of F numbers; it may overlap with
 * neither.
 */
void chunk_channel_mix(const struct chunk *c, struct pool *pool, int rank, int layer, const struct channel_mix *m,
                       struct vectors *mix, float *gate, struct vectors *hidden, int first);

#endif
