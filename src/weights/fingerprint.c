/*
 * fingerprint.c - a number that tells the weights of one model from those of another. A state file carries it, because a state means
 * nothing to other weights. It depends on the numbers alone: not on the container, the naming, the order in memory, or the threads.
 */
#include "base/float_env.h"
#include "base/half.h"
#include "formats/ggml_blocks.h"
#include "weights/weights.h"

/* FNV-1a: not against malice. */
static uint64_t hash_bytes(uint64_t hash, const void *data, size_t n)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

static float quant_number(const struct mat *m, size_t row, size_t col)
{
    const struct weight_type *const type = &weight_types[m->type];
    const size_t block = col / QUANT_BLOCK, group = col / QUANT_GROUP, lane = row % QUANT_ROWS;
    int8_t s[QUANT_ROWS], section[QUANT_SECTION];
    quant_group q;
    if (m->by_column) {
        const struct quant_columns c = quant_columns(m);
        const size_t padded = quant_padded_rows(m->rows);
        quant_unpack_s(m->type, s, c.s + (group * padded + row) / QUANT_ROWS * quant_s_bytes(m->type));
        type->unpack_section(section, c.q + col * quant_column_bytes(m->type, m->rows) +
                                          row / QUANT_SECTION * (QUANT_SECTION / 8) * (size_t)type->bits);
        return bf16_to_f32(c.scale[block * padded + row]) * (float)s[lane] * (float)section[row % QUANT_SECTION];
    }
    const struct quant_tile t = quant_tile(m, (int)(row / QUANT_ROWS));
    quant_unpack_s(m->type, s, t.s + group * quant_s_bytes(m->type));
    type->unpack_group(q, t.q + group * quant_group_bytes(m->type));
    return bf16_to_f32(t.scale[block * QUANT_ROWS + lane]) * (float)s[lane] *
           (float)q[quant_group_at((int)lane, (int)(col % QUANT_GROUP))];
}

static float tensor_number(const struct tensor *t, size_t row, size_t col)
{
    float block[GGML_MAX_BLOCK];
    const size_t n = dtype_block(t->type), blocks = (size_t)t->shape[1] / n;
    ggml_blocks_floats(t->type, t->data + (row * blocks + col / n) * (dtype_bits(t->type) / 8), 1, block);
    return block[col % n];
}

/* Number [row][col] of a matrix, as a float32. */
static float mat_number(const struct rwkv7_model *model, const struct mat *m, size_t row, size_t col)
{
    float x;
    if (m->type == MAT_GGML)
        return tensor_number(m->data, row, col);
    if (m->type >= MAT_FLOATS)
        return quant_number(m, row, col);
    const size_t at = m->by_column ? col * (size_t)m->rows + row : row * (size_t)m->cols + col;
    model->compute->kernels.widen[m->type](&x, (const char *)m->data + at * (m->type == MAT_F32 ? 4 : 2), 1);
    return x;
}

/* The head of the first, middle and last row. */
static uint64_t hash_matrix(uint64_t hash, const struct rwkv7_model *model, const struct mat *m)
{
    enum { SAMPLE = 16 };
    const size_t cols = m->cols < SAMPLE ? (size_t)m->cols : SAMPLE;
    for (size_t k = 0; k < 3; k++)
        for (size_t col = 0; col < cols; col++) {
            const float x = mat_number(model, m, (size_t)(m->rows - 1) * k / 2, col);
            hash = hash_bytes(hash, &x, sizeof x);
        }
    return hash;
}

uint64_t rwkv7_model_fingerprint(const struct rwkv7_model *model)
{
    DEFAULT_FLOAT_ENV;
    const struct rwkv7_shape *s = &model->shape;
    uint64_t hash = hash_bytes(0xcbf29ce484222325u, s, offsetof(struct rwkv7_shape, arch));
    struct weight w = WEIGHT_BEFORE_FIRST;
    if (s->arch != RWKV7_ARCH_X070) /* that of RWKV-7 is older than the field */
        hash = hash_bytes(hash, &s->arch, sizeof s->arch);
    if (model->rescale_every > 0)
        hash = hash_bytes(hash, &model->rescale_every, sizeof model->rescale_every);
    while (weight_next(model->weights, s, &w)) {
        const struct mat *m = weight_mat(model, &w);
        const float *vector = kind_is_vector(w.spec->kind) ? *weight_vector(model, &w) : NULL;
        if (vector)
            hash = hash_bytes(hash, vector, vector_floats(s, w.spec) * sizeof *vector);
        else if (!kind_is_vector(w.spec->kind) && m->data)
            hash = hash_matrix(hash, model, m);
    }
    return hash;
}
