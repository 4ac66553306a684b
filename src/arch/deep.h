/*
 * deep.h - the gate of the hidden units in x070a models (DeepEmbed): in every layer each token has a matrix of its own.
 *
 *     row  = s_emb[token] + s_emb_x e        e = ln0(emb[token])
 *     gate = s2 G^T s1 u + s0                G = row as an E x E matrix, row-major; u = LN_ln2(x), not shifted
 *     hidden = relu(Kf m)^2 gate
 *
 * The products with s_emb_x, s1 and s2 are made like all others in step.c and prefill.c; here is what lies between them. Of the
 * table s_emb, the largest tensor of such a model, only the rows of the tokens at hand are read from the file.
 */
#ifndef ARCH_DEEP_H
#define ARCH_DEEP_H

#include "weights/model.h"

/* Memory for deep_turn. */
static inline size_t deep_floats(int side)
{
    return 2 * (size_t)side * (size_t)side;
}

/* out = G^T low, both [E]. row_x [E*E]: s_emb_x e. */
static inline void deep_turn(const struct kernels *k, float *out, const struct mat *s_emb, uint32_t token,
                             const float *row_x, const float *low, int side, float *memory)
{
    const size_t n = (size_t)side;
    float *row = memory, *turned = memory + n * n;
    mat_rows(k, s_emb, token, 1, row);
    k->add(row, row_x, side * side);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            turned[j * n + i] = row[i * n + j];
    const struct mat g = {.type = MAT_F32, .rows = side, .cols = side, .data = turned};
    k->gemv[MAT_F32](out, &g, low, 0, side);
}

/* hidden = hidden (gate + s0) */
static inline void deep_gate(float *hidden, const float *gate, const float *s0, int n)
{
    for (int i = 0; i < n; i++)
        hidden[i] *= gate[i] + s0[i];
}

#endif
