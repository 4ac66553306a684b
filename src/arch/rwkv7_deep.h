/*
 * rwkv7_deep.h - DeepEmbed of x070a: a gate of the hidden units, computed with a matrix that each
 * token has in every layer.
 *
 *     row  = s_emb[token] + s_emb_x e        e = ln0(emb[token])
 *     gate = s2 G^T s1 u + s0                G = row as an E x E matrix, row-major; u = LN_ln2(x)
 *     hidden = relu(Kf m)^2 gate             m: the shifted mix of u
 *
 * rwkv7_step.c and rwkv7_chunk.c compute the products with s_emb_x, s1 and s2; this file computes
 * G^T and the sums between them. s_emb is the largest tensor of such a model. The file is mapped,
 * so only the rows of the current tokens are read.
 */
#ifndef ARCH_RWKV7_DEEP_H
#define ARCH_RWKV7_DEEP_H

#include "base/transpose.h"
#include "weights/model.h"

/* Floats of scratch memory for deep_apply. */
static inline size_t deep_floats(int side)
{
    return 2 * (size_t)side * (size_t)side;
}

/* out = G^T low, both [E]. row_x [E*E]: s_emb_x e. */
static inline void deep_apply(const struct kernels *k, float *out, const struct mat *s_emb, uint32_t token,
                              const float *row_x, const float *low, int side, float *memory)
{
    const size_t n = (size_t)side;
    float *row = memory, *transposed = memory + n * n;
    mat_rows(k, s_emb, token, 1, row);
    k->add(row, row_x, side * side);
    transpose(transposed, n, row, n, n, n, sizeof *row);
    const struct mat g = {.type = MAT_F32, .rows = side, .cols = side, .data = transposed};
    k->gemv[MAT_F32](out, &g, low, 0, side, &k->tuning);
}

/* hidden = hidden (gate + s0) */
static inline void deep_gate(float *hidden, const float *gate, const float *s0, int n)
{
    for (int i = 0; i < n; i++)
        hidden[i] *= gate[i] + s0[i];
}

#endif
