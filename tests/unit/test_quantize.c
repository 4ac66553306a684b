/*
 * test_quantize.c - matrices of floats become integers: how far each number may move, that 4 bits beat plain rounding, that the
 * result does not depend on threads, and that a NaN in a weight is not rounded away.
 */
#include <math.h>
#include <stdlib.h>

#include "arch/rwkv7.h"
#include "test.h"

static const struct rwkv7_shape shape = {.vocab = 61,
                                         .layers = 2,
                                         .channels = 320,
                                         .heads = 5,
                                         .head_size = 64,
                                         .ffn = 600,
                                         .rank_w = 8,
                                         .rank_a = 8,
                                         .rank_v = 8,
                                         .rank_g = 24};

static struct rwkv7_runtime *runtime(int threads)
{
    struct rwkv7_runtime *rt = NULL;
    const struct rwkv7_runtime_options opt = {.threads = threads};
    CHECK(rwkv7_runtime_create(&opt, &rt, NULL) == RWKV7_OK);
    return rt;
}

static struct rwkv7_model *random_model(struct rwkv7_runtime *rt, enum rwkv7_type type)
{
    struct rwkv7_model *model = NULL;
    const struct rwkv7_random_options opt = {.type = type, .sparse = RWKV7_SPARSE_OFF, .seed = 3};
    CHECK(rwkv7_model_random(rt, &shape, &opt, &model, NULL) == RWKV7_OK);
    return model;
}

static float half_float(uint16_t half)
{
    const uint32_t bits = (uint32_t)half << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Number (row, col) of a matrix of integers, and the distance between the numbers that its group can express. */
static float number(const struct mat *m, int row, int col, float *step)
{
    const struct quant_tile tile = quant_tile(m, row / QUANT_ROWS);
    const int lane = row % QUANT_ROWS, group = col / QUANT_GROUP;
    quant_group q;
    int8_t s[QUANT_ROWS];
    weight_types[m->type].unpack_group(q, tile.q + (size_t)group * quant_group_bytes(m->type));
    weight_types[m->type].unpack_s(s, tile.s + (size_t)group * quant_s_bytes(m->type));
    *step = half_float(tile.scale[col / QUANT_BLOCK * QUANT_ROWS + lane]) * (float)s[lane];
    return *step * (float)q[quant_group_at(lane, col % QUANT_GROUP)];
}

static float bf16_at(const struct mat *m, int row, int col)
{
    return half_float(((const uint16_t *)m->data)[(size_t)row * (size_t)m->cols + (size_t)col]);
}

static void test_q8(void)
{
    struct rwkv7_runtime *rt = runtime(2);
    struct rwkv7_model *plain = random_model(rt, RWKV7_BF16), *q8 = random_model(rt, RWKV7_Q8);
    const struct mat *const pairs[][2] = {{&rwkv7_layers(plain)[1].key, &rwkv7_layers(q8)[1].key},
                                          {&rwkv7_layers(plain)[0].ffn_value, &rwkv7_layers(q8)[0].ffn_value},
                                          {&rwkv7_layers(plain)[1].g2, &rwkv7_layers(q8)[1].g2},
                                          {&plain->outer.head, &q8->outer.head}};
    for (size_t i = 0; i < 4; i++) {
        const struct mat *from = pairs[i][0], *to = pairs[i][1];
        CHECK(to->type == MAT_Q8 && to->rows == from->rows && to->cols == from->cols);
        int wrong = 0;
        for (int r = 0; r < to->rows; r++)
            for (int c = 0; c < to->cols; c++) {
                float step;
                const float x = number(to, r, c, &step);
                wrong += !(fabsf(x - bf16_at(from, r, c)) <= 0.5001f * step);
            }
        CHECK_MSG(wrong == 0, "matrix %zu: %d numbers further off than half a step", i, wrong);
    }
    CHECK(q8->outer.emb.type == MAT_BF16);
    CHECK(rwkv7_model_info(q8)->weight_bytes < rwkv7_model_info(plain)->weight_bytes);
    rwkv7_model_close(plain);
    rwkv7_model_close(q8);
    rwkv7_runtime_close(rt);
}

/* The squared error of plain rounding of one group, with a scale of its own at full precision: largest number to -8. */
static double plain_error(const struct mat *m, int row, int group)
{
    float most = 0;
    double error = 0;
    for (int c = 0; c < QUANT_GROUP; c++) {
        const float x = bf16_at(m, row, group * QUANT_GROUP + c);
        most = fabsf(x) > fabsf(most) ? x : most;
    }
    for (int c = 0; c < QUANT_GROUP; c++) {
        const float x = bf16_at(m, row, group * QUANT_GROUP + c), step = most / -8.0f;
        const float q = fminf(nearbyintf(x / step), 7.0f);
        error += (double)((x - q * step) * (x - q * step));
    }
    return error;
}

static void test_q4(void)
{
    struct rwkv7_runtime *rt = runtime(2);
    struct rwkv7_model *plain = random_model(rt, RWKV7_BF16), *q4 = random_model(rt, RWKV7_Q4);
    const struct mat *from = &rwkv7_layers(plain)[1].value, *to = &rwkv7_layers(q4)[1].value;
    CHECK(to->type == MAT_Q4 && q4->outer.head.type == MAT_Q8 && rwkv7_layers(q4)[1].w1.type == MAT_Q8);
    double error = 0, simple = 0;
    for (int r = 0; r < to->rows; r++)
        for (int g = 0; g < to->cols / QUANT_GROUP; g++) {
            simple += plain_error(from, r, g);
            for (int c = g * QUANT_GROUP; c < (g + 1) * QUANT_GROUP; c++) {
                float step;
                const float off = number(to, r, c, &step) - bf16_at(from, r, c);
                error += (double)(off * off);
            }
        }
    CHECK_MSG(error < simple, "error %g, of plain rounding %g", error, simple);
    printf("     squared error %.3f of that of plain rounding\n", error / simple);
    rwkv7_model_close(plain);
    rwkv7_model_close(q4);
    rwkv7_runtime_close(rt);
}

static void test_threads(void)
{
    struct rwkv7_runtime *one = runtime(1), *three = runtime(3);
    struct rwkv7_model *a = random_model(one, RWKV7_Q4), *b = random_model(three, RWKV7_Q4);
    CHECK(memcmp(rwkv7_layers(a)[1].ffn_key.data, rwkv7_layers(b)[1].ffn_key.data, mat_bytes(&rwkv7_layers(a)[1].ffn_key)) == 0);
    CHECK(memcmp(a->outer.head.data, b->outer.head.data, mat_bytes(&a->outer.head)) == 0);
    rwkv7_model_close(a);
    rwkv7_model_close(b);
    rwkv7_runtime_close(one);
    rwkv7_runtime_close(three);
}

/* Integers have no NaN: the scale of the block becomes one, and so does every logit that it reaches. */
static void test_nan(void)
{
    struct rwkv7_runtime *rt = runtime(1);
    for (enum mat_type type = MAT_FLOATS; type < MAT_TYPES; type++) {
        struct rwkv7_model *model = random_model(rt, RWKV7_BF16);
        ((uint16_t *)rwkv7_layers(model)[1].output.data)[5] = 0x7fc0;
        const struct rwkv7_model_options opt = {.sparse = RWKV7_SPARSE_ON};
        CHECK(model_quantize(model, type, &opt, NULL) == RWKV7_OK);
        struct rwkv7_session *s = NULL;
        CHECK(rwkv7_session_create(model, &s, NULL) == RWKV7_OK);
        struct rwkv7_error err = {0};
        float logits[61];
        const uint32_t id = 7;
        CHECK(rwkv7_session_eval(s, &id, 1, RWKV7_LOGITS_LAST, logits, &err) == RWKV7_ERR_NUMERIC);
        CHECK_MSG(strstr(err.message, "layer 1"), "%s", err.message);
        rwkv7_session_close(s);
        rwkv7_model_close(model);
    }
    rwkv7_runtime_close(rt);
}

/* Numbers whose squares overflow are refused the same way on every tier; smaller ones are not. */
static void test_huge(void)
{
    static const struct rwkv7_model_options opt = {.sparse = RWKV7_SPARSE_OFF};
    static const uint16_t huge[] = {0x7e00 /* 4.3e37 */, 0x7f7f /* 3.4e38 */};
    const char *cpu;
    for (size_t i = 0; i < sizeof huge / sizeof huge[0]; i++) {
        void *want = NULL;
        for (int tier = 0; (cpu = kernels_supported(tier)) != NULL; tier++) {
            const struct rwkv7_runtime_options machine = {.threads = 1, .cpu = cpu};
            struct rwkv7_runtime *rt = NULL;
            CHECK(rwkv7_runtime_create(&machine, &rt, NULL) == RWKV7_OK);
            struct rwkv7_model *model = random_model(rt, RWKV7_BF16);
            for (int c = 0; c < 64; c++)
                ((uint16_t *)rwkv7_layers(model)[0].key.data)[c] = huge[i];
            CHECK(model_quantize(model, MAT_Q4, &opt, NULL) == RWKV7_OK);
            const struct mat *key = &rwkv7_layers(model)[0].key;
            if (!want && (want = malloc(mat_bytes(key))) != NULL)
                memcpy(want, key->data, mat_bytes(key));
            CHECK_MSG(want && memcmp(want, key->data, mat_bytes(key)) == 0, "number %zu on %s", i, cpu);
            rwkv7_model_close(model);
            rwkv7_runtime_close(rt);
        }
        free(want);
    }
}

int main(void)
{
    RUN(test_q8);
    RUN(test_q4);
    RUN(test_threads);
    RUN(test_nan);
    RUN(test_huge);
    return test_end();
}
