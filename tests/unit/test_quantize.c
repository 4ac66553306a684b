/*
 * test_quantize.c - quantization: the integers, bit for bit, against a naive definition and by
 * hand; their layout; error bounds; 4 bits against plain rounding; independence of threads; a NaN
 * in a weight is not rounded away.
 */
#include <math.h>
#include <stdlib.h>

#include "arch/rwkv7.h"
#include "naive_types.h"
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

/*
 * Returns element (row, col) of a quantized matrix; *step is the distance between the numbers that
 * its group can express.
 */
static float number(const struct mat *m, int row, int col, float *step)
{
    const struct quant_tile tile = quant_tile(m, row / QUANT_ROWS);
    const int lane = row % QUANT_ROWS, group = col / QUANT_GROUP;
    quant_group q;
    int8_t s[QUANT_ROWS];
    weight_types[m->type].unpack_group(q, tile.q + (size_t)group * quant_group_bytes(m->type));
    quant_unpack_s(m->type, s, tile.s + (size_t)group * quant_s_bytes(m->type));
    *step = half_float(tile.scale[col / QUANT_BLOCK * QUANT_ROWS + lane]) * (float)s[lane];
    return *step * (float)q[quant_group_at(lane, col % QUANT_GROUP)];
}

static float bf16_at(const struct mat *m, int row, int col)
{
    return half_float(((const uint16_t *)m->data)[(size_t)row * (size_t)m->cols + (size_t)col]);
}

/* ------------------------------------------------------------------------ integers, bit for bit */

/* One row as the naive implementation stores it. */
enum { MOST_COLS = 700, BLOCKS = (MOST_COLS + QUANT_BLOCK - 1) / QUANT_BLOCK };
struct row {
    uint16_t scale[BLOCKS];
    int s[BLOCKS * GROUPS];
    int q[BLOCKS * QUANT_BLOCK];
};

/*
 * A block with a NaN or infinity: its scale is NaN, the number itself becomes 0, the others are
 * quantized.
 */
static void naive_row(enum mat_type type, const float *w, int cols, struct row *out)
{
    for (int b = 0; b < quant_blocks(cols); b++) {
        float block[QUANT_BLOCK] = {0};
        bool bad = false;
        for (int i = 0; i < QUANT_BLOCK && b * QUANT_BLOCK + i < cols; i++) {
            bad |= !isfinite(w[b * QUANT_BLOCK + i]);
            block[i] = isfinite(w[b * QUANT_BLOCK + i]) ? w[b * QUANT_BLOCK + i] : 0;
        }
        naive[type].quantize(block, quant_groups_of(cols, b), &out->scale[b], out->s + b * GROUPS,
                             out->q + b * QUANT_BLOCK);
        out->scale[b] = bad ? 0x7fc0 : out->scale[b];
    }
}

/*
 * Returns the sub-block scale of a row among those of 16: 8 bits unchanged; fewer bits are stored
 * minus the lowest valid scale.
 */
static int sub_scale(const struct mat *m, const uint8_t *s, int lane)
{
    const int bits = weight_types[m->type].s_bits, low = weight_types[m->type].s_low;
    if (bits == 0 || bits == 8)
        return bits == 0 ? 1 : (int8_t)s[lane];
    return low + s[lane * bits / 8] / (1 << lane * bits % 8) % (1 << bits);
}
/* Reads a row from the positions that docs/FORMATS.md defines. */
static void stored_row(const struct mat *m, int row, struct row *out)
{
    const int bits = weight_types[m->type].bits, s_bytes = 2 * weight_types[m->type].s_bits; /* bytes for 16 rows */
    const int blocks = (m->cols + 255) / 256, groups = (m->cols + 63) / 64 * 2, padded = (m->rows + 63) / 64 * 64;
    const int tile = row / 16, lane = row % 16;
    const uint8_t *at = m->data;
    if (!m->by_column) {
        const int head = (32 * blocks + groups * s_bytes + 63) / 64 * 64;
        at += (size_t)tile * (size_t)(head + groups * 64 * bits);
        for (int c = 0; c < groups * 32; c++)
            out->q[c] = naive[m->type].tile(at + head, lane, c);
    }
    const int rows = m->by_column ? padded : 16, in = m->by_column ? row : lane;
    for (int b = 0; b < blocks; b++)
        memcpy(&out->scale[b], at + 2 * (rows * b + in), 2);
    at += 2 * rows * blocks;
    for (int g = 0; g < groups; g++)
        out->s[g] = sub_scale(m, at + (rows / 16 * g + in / 16) * s_bytes, lane);
    at += rows / 16 * groups * s_bytes;
    for (int c = 0; m->by_column && c < groups * 32; c++)
        out->q[c] = c < m->cols ? naive[m->type].column(at + padded / 8 * bits * c, row) : 0;
}

static bool same_row(const struct row *a, const struct row *b, int cols)
{
    return memcmp(a->scale, b->scale, sizeof *a->scale * (size_t)quant_blocks(cols)) == 0 &&
           memcmp(a->s, b->s, sizeof *a->s * (size_t)quant_groups(cols)) == 0 &&
           memcmp(a->q, b->q, sizeof *a->q * (size_t)quant_cols(cols)) == 0;
}

/* Quantizes `rows` rows to either layout on every tier; row `row` must equal `want`. */
static void check_row(enum mat_type type, const float *w, int rows, int cols, int row, const struct row *want,
                      const char *what)
{
    const char *cpu;
    for (int tier = 0; (cpu = kernels_supported(tier)) != NULL; tier++)
        for (int by_column = 0; by_column < 2; by_column++) {
            struct kernels k;
            struct row found = {0};
            struct mat m = {.type = type, .rows = rows, .cols = cols, .by_column = by_column};
            void *data = aligned_alloc(64, (quant_bytes(&m) + 63) / 64 * 64);
            CHECK(data && kernels_init(&k, cpu));
            m.data = memset(data, 0, quant_bytes(&m));
            for (int t = 0; t < quant_tiles(rows); t++)
                quantize_tile(&k, &m, t, w + t * QUANT_ROWS * cols, rows - t * 16 < 16 ? rows - t * 16 : 16);
            stored_row(&m, row, &found);
            CHECK_MSG(same_row(want, &found, cols), "%s, %s, %s, %s: scale %04x %04x, s %d %d, q %d %d %d %d", what,
                      weight_types[type].name, cpu, by_column ? "columns" : "tiles", want->scale[0], found.scale[0],
                      want->s[0], found.s[0], want->q[0], found.q[0], want->q[1], found.q[1]);
            free(data);
        }
}

static uint64_t state = 5;
static float uniform(void) /* -1 .. 1 */
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (float)(int32_t)(state >> 32) * 0x1p-31f;
}

/* Kinds of rows, each of which detects other errors in a quantizer. */
static void fill_row(float *w, int cols, int kind)
{
    for (int c = 0; c < cols; c++) {
        const float x = uniform(), whole = rintf(x * 20) / 2;
        switch (kind % 12) {
        case 0: /* halves: ties, where the largest makes the scale a power of two */
            w[c] = c % 32 ? whole : 127;
            break;
        case 1:
            w[c] = (c % 256 ? whole : 124) / 64;
            break;
        case 2: /* a few different numbers: equal gains */
            w[c] = c % 7 ? 0 : x < 0 ? -7.0f : 7.0f;
            break;
        case 3: /* groups of different magnitude */
            w[c] = x * ldexpf(1, -(c / 32 % 8));
            break;
        case 4: /* near the limit below which a block is zero */
            w[c] = x * 0x1p-100f;
            break;
        case 5:
            w[c] = x * (c / 256 == 1 ? 3e38f : 1e19f);
            break;
        case 6:
            w[c] = c == 300 ? NAN : x;
            break;
        case 7:
            w[c] = c == 5 ? -INFINITY : c == 6 ? 100 : x;
            break;
        case 8: /* complete groups of zeros */
            w[c] = c / 32 % 2 ? 0 : x * x * x;
            break;
        case 9:
            w[c] = c % 32 == 31 ? 1 : 0;
            break;
        case 10: /* denormals */
            w[c] = x * 1e-39f;
            break;
        default:
            w[c] = x;
        }
    }
}

static void test_definition(void)
{
    static const int sizes[][2] = {{16, 256}, {20, 700}, {70, 321}, {1, 1}, {33, 33}};
    static float w[70 * MOST_COLS];
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int round = 0; round < 12; round++) {
            const int rows = sizes[i][0], cols = sizes[i][1], row = round * 7 % rows;
            for (int r = 0; r < rows; r++)
                fill_row(w + r * cols, cols, r + round);
            for (enum mat_type type = MAT_FLOATS; type < MAT_TYPES; type++) {
                struct row want = {0};
                CHECK(naive[type].quantize != NULL);
                naive_row(type, w + row * cols, cols, &want);
                check_row(type, w, rows, cols, row, &want, "naive");
            }
        }
}

/*
 * Numbers as close as floats allow to the midpoint between two expressible ones: each rounding step
 * becomes visible.
 */
static void test_middles(void)
{
    for (enum mat_type type = MAT_FLOATS; type < MAT_TYPES; type++)
        for (int round = 0; round < 64; round++) {
            float w[QUANT_BLOCK];
            struct row made = {0}, want = {0};
            for (int c = 0; c < QUANT_BLOCK; c++)
                w[c] = uniform() * (float)(64 + round) / (float)(1 + c / QUANT_GROUP);
            /*
             * The first group determines the scale and stays; changed numbers of the others may
             * change their sub-block scales slightly.
             */
            for (int again = 0; again < 3; again++) {
                naive_row(type, w, QUANT_BLOCK, &made);
                for (int c = QUANT_GROUP; c < QUANT_BLOCK; c++) {
                    const int s = made.s[c / QUANT_GROUP];
                    if (fabsf(w[c]) < 0.9f * largest(w + c / QUANT_GROUP * QUANT_GROUP, QUANT_GROUP))
                        w[c] = ((float)made.q[c] + 0.5f) * ((float)s * half_float(made.scale[0]));
                }
            }
            naive_row(type, w, QUANT_BLOCK, &want);
            check_row(type, w, 1, QUANT_BLOCK, 0, &want, "middles");
        }
}

/* Expected results computed by hand. Groups follow each other; omitted values are zero. */
struct by_hand {
    const char *what;
    enum mat_type type;
    struct {
        float w[8];
    } groups[8];
    uint16_t scale;
    int s[8];
    int q[8][8];
};
#define UNIT 0x1p-4f /* 0x3d80 as a bfloat16 */
static const struct by_hand cases[] = {
    {"ties go to the even integer",
     MAT_Q8,
     {{{127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 126.5f, -127}}},
     0x3f80,
     {1, 1, 1, 1, 1, 1, 1, 1},
     {{127, 0, 2, 2, 0, -2, 126, -127}}},
    /* 1 / 127 = 0x3c010204: 0x3c01 would be nearer; 1 / 0x3c02 = 126.03 */
    {"the scale is rounded up", MAT_Q8, {{{1, -1, 0.5f}}}, 0x3c02, {1, 1, 1, 1, 1, 1, 1, 1}, {{126, -126, 63}}},
    {"a scale that fits stays", MAT_Q8, {{{-254, 3}}}, 0x4000, {1, 1, 1, 1, 1, 1, 1, 1}, {{-127, 2}}},
    {"the smallest block", MAT_Q8, {{{0x1p-100f}}}, 0x0a02, {1, 1, 1, 1, 1, 1, 1, 1}, {{126}}},
    {"a smaller block is zero", MAT_Q8, {{{0x1.fffffep-101f}}}, 0, {1, 1, 1, 1, 1, 1, 1, 1}, {{0}}},
    {"infinity", MAT_Q8, {{{INFINITY, 127, 1.5f}}}, 0x7fc0, {1, 1, 1, 1, 1, 1, 1, 1}, {{0, 127, 2}}},
    {"NaN", MAT_Q8, {{{NAN, 127, 2.5f}}}, 0x7fc0, {1, 1, 1, 1, 1, 1, 1, 1}, {{0, 127, 2}}},
    /*
     * -8 and 1 times f are fitted by f. 15, 2.5, 3.5, 0.5, 1.5 and -2.5 units: ties of s go to the
     * even integer.
     */
    {"sub-block scales",
     MAT_Q4,
     {{{-7.5f, 0.9375f}},
      {{-1.25f, 0.15625f}},
      {{-1.75f, 0.21875f}},
      {{-0.25f, 0.03125f}},
      {{-0.75f, 0.09375f}},
      {{1.25f, -0.15625f}}},
     0x3d80,
     {15, 2, 4, 0, 2, -2},
     {{-8, 1}, {-8, 1}, {-7, 1}, {0}, {-6, 1}, {-8, 1}}},
    /*
     * -7.3 gives the integer -7 and the factor -1, -8 the factor -0.875, both a gain of 49: the
     * first stays. 1 / 15 = 0x3d888889
     */
    {"the first of equal trials wins", MAT_Q4, {{{7}}}, 0x3d89, {-15}, {{-7}}},
    /*
     * The first of the largest size decides the sign. -7 and 7 fit exactly: the factor is 8 / 7,
     * and 8 / 7 / 15 = 0x3d9c09c1.
     */
    {"the first of equal numbers", MAT_Q4, {{{8, -8}}}, 0x3d9d, {-15}, {{-7, 7}}},
    {"the other way round", MAT_Q4, {{{-8, 8}}}, 0x3d9d, {15}, {{-7, 7}}},
    {"the largest numbers", MAT_Q4, {{{3e38f}}}, 0x7fc0, {0}, {{0}}},
    {"a smaller block is zero", MAT_Q4, {{{0x1.fffffep-101f}}}, 0, {0}, {{0}}},
    /* 124 units; 96, a little more, 64, a little more, 32, and ties in units */
    {"sub-block scales",
     MAT_Q6,
     {{{7.75f, -7.75f}},
      {{6, -6}},
      {{0x1.800002p2f}},
      {{4, -4}},
      {{0x1.000002p2f}},
      {{2, -2}},
      {{0x1.000002p1f}},
      {{0.5f * UNIT, 1.5f * UNIT, 2.5f * UNIT, -0.5f * UNIT, -1.5f * UNIT, 31.5f * UNIT, -31.5f * UNIT}}},
     0x3d80,
     {4, 3, 4, 2, 3, 1, 2, 1},
     {{31, -31}, {31, -32}, {24}, {31, -32}, {21}, {31, -32}, {16}, {0, 2, 2, 0, -2, 31, -32}}},
    /* 1 / 124 = 0x3c042108: rounded to 0x3c05, 4 * 0x3c05 goes 30.8 times into 1 */
    {"the scale is rounded up", MAT_Q6, {{{1, 0.5f}}}, 0x3c05, {4, 1, 1, 1, 1, 1, 1, 1}, {{31, 15}}},
    {"the smallest block", MAT_Q6, {{{0x1p-100f}}}, 0x0a05, {4, 1, 1, 1, 1, 1, 1, 1}, {{31}}},
    {"a smaller block is zero", MAT_Q6, {{{0x1.fffffep-101f}}}, 0, {1, 1, 1, 1, 1, 1, 1, 1}, {{0}}},
    {"NaN", MAT_Q6, {{{NAN, 7.75f}}, {{1, 1}}}, 0x7fc0, {4, 1, 1, 1, 1, 1, 1, 1}, {{0, 31}, {16, 16}}},
};

static void test_by_hand(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        float w[QUANT_BLOCK] = {0};
        struct row want = {.scale = {cases[i].scale}};
        for (int g = 0; g < GROUPS; g++) {
            want.s[g] = cases[i].s[g];
            for (int c = 0; c < 8; c++) {
                w[g * QUANT_GROUP + 4 * c] = cases[i].groups[g].w[c];
                want.q[g * QUANT_GROUP + 4 * c] = cases[i].q[g][c];
            }
        }
        check_row(cases[i].type, w, 1, QUANT_BLOCK, 0, &want, cases[i].what);
    }
}

/* --------------------------------------------------------------------------------- whole models */

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

/*
 * Squared error of plain rounding of one group with its own full-precision scale, which maps the
 * largest number to -8.
 */
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
    CHECK(memcmp(rwkv7_layers(a)[1].ffn_key.data, rwkv7_layers(b)[1].ffn_key.data,
                 mat_bytes(&rwkv7_layers(a)[1].ffn_key)) == 0);
    CHECK(memcmp(a->outer.head.data, b->outer.head.data, mat_bytes(&a->outer.head)) == 0);
    rwkv7_model_close(a);
    rwkv7_model_close(b);
    rwkv7_runtime_close(one);
    rwkv7_runtime_close(three);
}

/*
 * Integers have no NaN: the scale of the block becomes NaN, and so does every logit that depends on
 * it.
 */
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

/*
 * Numbers whose squares overflow are rejected with the same message on every tier; smaller ones are
 * accepted.
 */
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
    RUN(test_definition);
    RUN(test_middles);
    RUN(test_by_hand);
    RUN(test_q8);
    RUN(test_q4);
    RUN(test_threads);
    RUN(test_nan);
    RUN(test_huge);
    return test_end();
}
