/*
 * test_quants.c - quantized matrices and vectors: every tier of this machine against ref.c. The
 * bits must be equal, and no byte outside the arrays may be touched. Checksums pin the results of
 * ref.c. The seed is printed and may be given as an argument.
 *
 * Matrices are random bytes within the ranges of quants.h, or its extremes. Q8 weights include
 * -128, which files may contain although quantization never makes it.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "guarded.h"
#include "kernels/quants.h"
#include "test.h"

static struct kernels ref;

/* WILD: scales of any bits, including infinities and NaNs */
enum kind { ORDINARY, EXTREME, WILD, KINDS };

static uint16_t random_scale(enum kind kind)
{
    const uint16_t bits = (uint16_t)random_bits();
    return kind == WILD ? bits : (uint16_t)((bits & 0x00ff) | 0x3b80); /* 0.004 to 0.03 */
}

static int random_between(int low, int high, enum kind kind)
{
    return kind == EXTREME ? (random_below(2) ? high : low) : low + random_below(high - low + 1);
}

/*
 * Returns a matrix in region 0. Its padding is random, too: rows past the end are not used, and
 * padded columns are multiplied by 0.
 */
static struct mat random_matrix(enum mat_type type, int rows, int cols, enum kind kind)
{
    const struct weight_type *const row = &weight_types[type];
    const size_t tile = quant_tile_bytes(type, cols), bytes = (size_t)quant_tiles(rows) * tile;
    uint8_t *data = guarded(0, bytes, 1, random_below(2) ? AT_START : AT_END);
    for (size_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)random_bits();
    for (uint8_t *at = data, *end = data; at < data + bytes;) {
        end += tile;
        for (int i = 0; i < QUANT_ROWS * quant_blocks(cols); i++, at += sizeof(uint16_t))
            memcpy(at, &(uint16_t){random_scale(kind)}, sizeof(uint16_t));
        for (int g = 0; g < quant_groups(cols); g++, at += quant_s_bytes(type)) {
            int8_t s[QUANT_ROWS];
            for (int r = 0; r < QUANT_ROWS; r++)
                s[r] = (int8_t)random_between(row->s_low, row->s_high, kind);
            quant_pack_s(type, at, s);
        }
        at = data + (size_t)(end - data) - (size_t)quant_groups(cols) * quant_group_bytes(type);
        for (; kind == EXTREME && at < end; at += quant_group_bytes(type)) {
            const int limit = (1 << (row->bits - 1)) - 1;
            quant_group q;
            for (size_t i = 0; i < sizeof q; i++)
                q[i] = (int8_t)(random_below(3) ? random_between(-limit - 1, limit, kind) : -limit);
            row->pack_group(at, q);
        }
        at = end;
    }
    return (struct mat){.type = type, .rows = rows, .cols = cols, .data = data};
}

/* Returns vectors in regions 1 to 3. WILD: some blocks have a NaN as scale, with q = 0. */
static struct quants random_quants(int cols, int tokens, enum kind kind)
{
    const size_t n = (size_t)tokens, padded = (size_t)quant_cols(cols), blocks = (size_t)quant_blocks(cols);
    const size_t groups = (size_t)quant_groups(cols);
    const enum place place = random_below(2) ? AT_START : AT_END;
    const struct quants x = {guarded(1, n * padded, 1, place), guarded(2, n * blocks, sizeof(float), AT_END),
                             guarded(3, n * groups, sizeof(int16_t), AT_END)};
    const bool one_sign = random_below(4) == 0; /* gives the largest sums */
    memset(x.q, 0, n * padded);
    for (size_t t = 0; t < n; t++) {
        int8_t *q = x.q + t * padded;
        for (size_t b = 0; b < blocks; b++) {
            const bool bad = kind == WILD && random_below(3) == 0;
            x.scale[t * blocks + b] = bad ? NAN : (float)(1 + random_below(1000)) * 0x1p-12f;
            for (size_t i = b * QUANT_BLOCK; !bad && i < (size_t)cols && i < (b + 1) * QUANT_BLOCK; i++)
                q[i] = (int8_t)(one_sign ? -127 : random_between(-127, 127, kind));
        }
        for (size_t g = 0; g < groups; g++) {
            int sum = 0;
            for (int i = 0; i < QUANT_GROUP; i++)
                sum += q[g * QUANT_GROUP + (size_t)i];
            x.sum[t * groups + g] = (int16_t)sum;
        }
    }
    return x;
}

/*
 * Makes two equal copies of random numbers, so that memory that must not be written can be
 * compared.
 */
static void twins(float **want, float **got, size_t count)
{
    *want = guarded(4, count, sizeof(float), AT_END);
    *got = guarded(5, count, sizeof(float), (enum place)random_below(PLACES));
    random_fill(*want, count, false);
    memcpy(*got, *want, count * sizeof(float));
}

/* ------------------------------------------------------------------------------------- products */

static void check_gemv(const struct kernels *tier, enum mat_type type, int rows, int cols, enum kind kind)
{
    const int begin = random_below(rows), end = begin + random_below(rows - begin + 1);
    const struct mat w = random_matrix(type, rows, cols, kind);
    const struct quants x = random_quants(cols, 1, kind);
    float *want, *got;
    twins(&want, &got, (size_t)rows);
    ref.quant_gemv[type](want, &w, &x, begin, end, &ref.tuning);
    tier->quant_gemv[type](got, &w, &x, begin, end, &tier->tuning);
    CHECK_MSG(same_floats(want, got, (size_t)rows), "%s: quant_gemv type %d, %d x %d, rows %d to %d, kind %d",
              tier->name, type, rows, cols, begin, end, kind);
}

/*
 * quant_gemm, or quant_few if `few` is set. Fills the scratch memory with NaNs, next to a guard
 * page, and compares with the reference.
 */
static void check_vectors_of(const struct kernels *tier, bool few, enum mat_type type, int tokens, int rows, int cols,
                             enum kind kind)
{
    const int begin = random_below(rows), end = random_below(2) ? rows : begin + random_below(rows - begin + 1);
    const size_t ldy = (size_t)rows + (size_t)random_below(3), count = (size_t)(tokens - 1) * ldy + (size_t)rows;
    const struct mat w = random_matrix(type, rows, cols, kind);
    const struct quants x = random_quants(cols, tokens, kind);
    const size_t size = (quant_scratch(cols) + 63) / 64 * 64;
    uint8_t *scratch = guarded(6, size, 1, AT_END);
    float *want, *got;
    memset(scratch, 0xff, size);
    twins(&want, &got, count);
    ref.quant_gemm[type](want, ldy, &w, &x, tokens, begin, end, NULL);
    (few ? tier->quant_few : tier->quant_gemm)[type](got, ldy, &w, &x, tokens, begin, end, scratch);
    CHECK_MSG(same_floats(want, got, count), "%s: %s type %d, %d tokens, %d x %d, rows %d to %d, kind %d", tier->name,
              few ? "quant_few" : "quant_gemm", type, tokens, rows, cols, begin, end, kind);
}

static void check_gemm(const struct kernels *tier, enum mat_type type, int tokens, int rows, int cols, enum kind kind)
{
    check_vectors_of(tier, false, type, tokens, rows, cols, kind);
    check_vectors_of(tier, true, type, tokens, rows, cols, kind);
}

static void check_products(const struct kernels *tier, enum mat_type type)
{
    for (int i = 0; i < 200; i++)
        check_gemv(tier, type, 1 + random_below(150), 1 + random_below(600), (enum kind)(i % KINDS));
    check_gemv(tier, type, 100 + random_below(60), 2048, ORDINARY);
    check_gemv(tier, type, 100 + random_below(60), 4097 + random_below(500), EXTREME);
    for (int tokens = 1; tokens <= 40; tokens++)
        check_gemm(tier, type, tokens, 1 + random_below(100), 1 + random_below(300), (enum kind)(tokens % KINDS));
    check_gemm(tier, type, 70, 1 + random_below(150), 1 + random_below(600), ORDINARY);
    check_gemm(tier, type, 64, 128, 256 + random_below(400), EXTREME);
    check_gemm(tier, type, 5, 70, 4097 + random_below(500), WILD);
}

/* -------------------------------------------------------------------------------------- vectors */

static void check_quantize(const struct kernels *tier, const float *numbers, int n, enum place place)
{
    const size_t count = (size_t)n, padded = (size_t)quant_cols(n), blocks = (size_t)quant_blocks(n);
    const size_t groups = (size_t)quant_groups(n);
    float *x = guarded(0, count, sizeof(float), place);
    int8_t *q_want = guarded(1, padded, 1, AT_END), *q_got = guarded(2, padded, 1, place == ODD ? AT_START : place);
    float *scale_want = guarded(3, blocks, sizeof(float), AT_END),
          *scale_got = guarded(4, blocks, sizeof(float), place);
    int16_t *sum_want = guarded(5, groups, sizeof(int16_t), AT_END);
    int16_t *sum_got = guarded(6, groups, sizeof(int16_t), place);
    memcpy(x, numbers, count * sizeof(float));
    ref.quantize(q_want, scale_want, sum_want, x, n);
    tier->quantize(q_got, scale_got, sum_got, x, n);
    CHECK_MSG(memcmp(q_want, q_got, padded) == 0, "%s: quantize %d elements: q differs", tier->name, n);
    CHECK_MSG(same_floats(scale_want, scale_got, blocks), "%s: quantize %d elements: scale differs", tier->name, n);
    CHECK_MSG(memcmp(sum_want, sum_got, groups * sizeof(int16_t)) == 0, "%s: quantize %d elements: sum differs",
              tier->name, n);
}

/*
 * Each of the sixteen rows has its own kind of numbers: ordinary, tiny, halves that tie in
 * rounding, or zero.
 */
static void check_making(const struct kernels *tier)
{
    enum { COLUMNS = 64, NUMBERS = COLUMNS * QUANT_ROWS };
    for (int round = 0; round < 200; round++) {
        float *w = guarded(0, NUMBERS, sizeof(float), (enum place)(round % PLACES)), want[QUANT_ROWS], got[QUANT_ROWS];
        int8_t *q_want = guarded(1, NUMBERS, 1, AT_END), *q_got = guarded(2, NUMBERS, 1, (enum place)(round % PLACES));
        random_fill(w, NUMBERS, false);
        for (int i = 0; i < NUMBERS; i++)
            switch ((i + round) % QUANT_ROWS % 5) {
            case 0:
                w[i] *= 0x1p-101f;
                break;
            case 1:
                w[i] = (float)(random_below(33) - 16) / 2.0f;
                break;
            case 2:
                w[i] *= (float)(random_below(100) == 0);
                break;
            default:
                break;
            }
        ref.fit_rows(want, w);
        tier->fit_rows(got, w);
        CHECK_MSG(same_floats(want, got, QUANT_ROWS), "%s: fit_rows, round %d", tier->name, round);
        const float inverse = round % 3 ? (float)(1 + random_below(64)) / 8.0f : 0x1p100f;
        const int n = 32 * random_below(NUMBERS / 32 + 1), from = round % 3 ? NUMBERS - n : 0;
        for (int i = 0; i < n && round % 3 == 0; i++)
            w[from + i] *= 0x1p-100f; /* as large as a scale can make a number */
        ref.round_row(q_want, w + from, inverse, n, -8.0f, 7.0f);
        tier->round_row(q_got, w + from, inverse, n, -8.0f, 7.0f);
        CHECK_MSG(memcmp(q_want, q_got, (size_t)n) == 0, "%s: round_row, round %d", tier->name, round);
        const int m = 16 * random_below(NUMBERS / 16 + 1);
        if (m > 0 && round % 4 == 0)
            w[NUMBERS - 1 - random_below(m)] = random_below(2) ? NAN : -INFINITY;
        want[0] = ref.peak(w + NUMBERS - m, m);
        got[0] = tier->peak(w + NUMBERS - m, m);
        CHECK_MSG(same_floats(want, got, 1), "%s: peak of %d, round %d", tier->name, m, round);
        CHECK((want[0] == INFINITY) == (m > 0 && round % 4 == 0));
    }
}

static void check_vectors(const struct kernels *tier)
{
    static const float limits[] = {127.0f, 1.0f, 0x1p-100f, 0x1.fffffep-101f, 3e38f, 1e-40f};
    static float x[3 * QUANT_BLOCK];
    for (int place = 0; place < PLACES; place++)
        for (int n = 0; n <= 3 * QUANT_BLOCK; n += n < 70 ? 1 : 13) {
            random_fill(x, (size_t)n, false);
            check_quantize(tier, x, n, (enum place)place);
            random_fill(x, (size_t)n, true); /* almost every block has a NaN or an infinity */
            check_quantize(tier, x, n, (enum place)place);
            for (int i = 0; i < n; i++) /* ties in rounding */
                x[i] = (float)(random_below(508) - 254) / 2.0f;
            check_quantize(tier, x, n, (enum place)place);
        }
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) { /* the limits of the ranges */
        random_fill(x, QUANT_BLOCK, false);
        for (int j = 0; j < QUANT_BLOCK; j++)
            x[j] *= limits[i] / 2.0f;
        x[random_below(QUANT_BLOCK)] = random_below(2) ? limits[i] : -limits[i];
        check_quantize(tier, x, QUANT_BLOCK, AT_END);
    }
    for (int i = 0; i < 64; i++) { /* one NaN or infinity at any position of the second block */
        random_fill(x, 3 * QUANT_BLOCK, false);
        x[QUANT_BLOCK + random_below(QUANT_BLOCK)] = (float[]){NAN, INFINITY, -INFINITY}[i % 3];
        check_quantize(tier, x, 3 * QUANT_BLOCK, AT_START);
    }
}

/* ---------------------------------------------------------------------------------------- tiers */

static void test_tiers(void)
{
    for (int i = 0; kernels_supported(i); i++) {
        struct kernels tier;
        CHECK(kernels_init(&tier, kernels_supported(i)));
        for (int type = MAT_FLOATS; type < MAT_TYPES; type++)
            check_products(&tier, (enum mat_type)type);
        check_vectors(&tier);
        check_making(&tier);
        printf("     %s\n", tier.name);
    }
}

/* Continues an FNV-1a hash. */
static uint32_t checksum(uint32_t sum, const void *data, size_t n)
{
    const uint8_t *byte = data;
    for (size_t i = 0; i < n; i++)
        sum = (sum ^ byte[i]) * 16777619u;
    return sum;
}

/*
 * Pins the results of the reference for fixed random numbers. A new value means that the numeric
 * contract changed, and with it the generated texts.
 */
static void test_pinned(void)
{
    enum { ROWS = 37, COLS = 700, GROUPS = (COLS + QUANT_PAD - 1) / QUANT_PAD * QUANT_PAD / QUANT_GROUP };
    static const uint32_t products[MAT_TYPES] = {[MAT_Q8] = 0xac4785b4, [MAT_Q4] = 0xce10dec5, [MAT_Q6] = 0xf6941c4f};
    const uint32_t start = 2166136261u;
    float y[ROWS], numbers[COLS], scale[3];
    int8_t q[GROUPS * QUANT_GROUP];
    int16_t sum[GROUPS];
    for (int type = MAT_FLOATS; type < MAT_TYPES; type++) {
        uint32_t found = start;
        random_seed(7);
        for (int kind = 0; kind < WILD; kind++) {
            const struct mat w = random_matrix((enum mat_type)type, ROWS, COLS, (enum kind)kind);
            const struct quants x = random_quants(COLS, 1, (enum kind)kind);
            ref.quant_gemv[type](y, &w, &x, 0, ROWS, &ref.tuning);
            found = checksum(found, y, sizeof y);
        }
        CHECK_MSG(found == products[type], "checksum of %s: 0x%08x", weight_types[type].name, found);
    }
    random_seed(8);
    random_fill(numbers, COLS, false);
    ref.quantize(q, scale, sum, numbers, COLS);
    const uint32_t vectors = checksum(checksum(checksum(start, q, sizeof q), scale, sizeof scale), sum, sizeof sum);
    CHECK_MSG(vectors == 0x8d86d0a2, "checksum of vectors: 0x%08x", vectors);
}

/* Arguments: [SEED] */
int main(int argc, char **argv)
{
    const uint64_t seed = argc > 1 ? (uint64_t)strtoull(argv[1], NULL, 10) : (uint64_t)getpid();
    printf("seed %llu\n", (unsigned long long)seed);
    if (!guarded_open() || !kernels_init(&ref, "ref"))
        return 1;
    RUN(test_pinned);
    random_seed(seed);
    RUN(test_tiers);
    return test_end();
}
