/*
 * test_kernels.c - every slot of every tier of this machine against ref.c: the same bits, and no byte touched outside the arrays.
 *
 * Arrays lie against unreadable pages, at their end or at their start, so that a read or write past either side is a crash; lengths
 * are odd, addresses unaligned, numbers ordinary or wild (denormals, huge ones, infinities, NaNs). The seed is printed and may
 * be given as an argument. `test_kernels --bench` measures instead: GB/s and GFLOP/s of each tier.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench_kernels.h"
#include "guarded.h"
#include "kernels/kernels.h"
#include "test.h"

static struct kernels ref;

/* ----------------------------------------------------------------------------------------------------- vector kernels */

#define EPS 1e-5f

/* A slot that takes vectors of n numbers, all in one list. */
struct vector_slot {
    const char *name;
    int arrays;
    void (*run)(const struct kernels *k, float *const a[], int n);
};

static void run_layer_norm(const struct kernels *k, float *const a[], int n)
{
    k->layer_norm(a[0], a[1], a[2], a[3], n, EPS);
}
static void run_layer_norm_in_place(const struct kernels *k, float *const a[], int n)
{
    k->layer_norm(a[0], a[0], a[1], a[2], n, EPS);
}
static void run_shift(const struct kernels *k, float *const a[], int n)
{
    k->shift(a[0], a[1], a[2], a[3], n);
}
static void run_add(const struct kernels *k, float *const a[], int n)
{
    k->add(a[0], a[1], n);
}
static void run_tanh(const struct kernels *k, float *const a[], int n)
{
    k->tanh(a[0], n);
}
static void run_sigmoid(const struct kernels *k, float *const a[], int n)
{
    k->sigmoid(a[0], n);
}
static void run_sigmoid_bias(const struct kernels *k, float *const a[], int n)
{
    k->sigmoid_bias(a[0], a[1], n);
}
static void run_decay(const struct kernels *k, float *const a[], int n)
{
    k->decay(a[0], a[1], n);
}
static void run_lerp(const struct kernels *k, float *const a[], int n)
{
    k->lerp(a[0], a[1], a[2], n);
}
static void run_relu_square(const struct kernels *k, float *const a[], int n)
{
    k->relu_square(a[0], n);
}
static void run_key(const struct kernels *k, float *const a[], int n)
{
    k->key(a[0], a[1], a[2], a[3], a[4], a[5], n);
}
static void run_head_out(const struct kernels *k, float *const a[], int n)
{
    k->head_out(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], n, EPS);
}
static void run_count_bad(const struct kernels *k, float *const a[], int n)
{
    const int bad = k->count_bad(a[0], n);
    if (n > 0)
        a[1][0] = (float)bad;
}

static const struct vector_slot vector_slots[] = {
    {"layer_norm", 4, run_layer_norm},
    {"layer_norm in place", 3, run_layer_norm_in_place},
    {"shift", 4, run_shift},
    {"add", 2, run_add},
    {"tanh", 1, run_tanh},
    {"sigmoid", 1, run_sigmoid},
    {"sigmoid_bias", 2, run_sigmoid_bias},
    {"decay", 2, run_decay},
    {"lerp", 3, run_lerp},
    {"relu_square", 1, run_relu_square},
    {"key", 6, run_key},
    {"head_out", 9, run_head_out},
    {"count_bad", 2, run_count_bad},
};

static int vector_length(int i)
{
    return i <= 70 ? i : i == 71 ? 128 : i == 72 ? 257 : 768 + random_below(300);
}

static void check_vectors(const struct kernels *tier)
{
    for (size_t s = 0; s < sizeof vector_slots / sizeof vector_slots[0]; s++) {
        const struct vector_slot *slot = &vector_slots[s];
        for (int i = 0; i <= 75; i++)
            for (int variant = 0; variant < 4; variant++) {
                const int n = vector_length(i);
                float *want[10], *got[10];
                for (int a = 0; a < slot->arrays; a++) {
                    const size_t bytes = (size_t)n * sizeof(float);
                    want[a] = guarded(2 * a, bytes, variant & 1);
                    got[a] = guarded(2 * a + 1, bytes, variant & 1);
                    random_fill(want[a], (size_t)n, variant & 2);
                    memcpy(got[a], want[a], bytes);
                }
                slot->run(&ref, want, n);
                slot->run(tier, got, n);
                for (int a = 0; a < slot->arrays; a++)
                    CHECK_MSG(same_floats(want[a], got[a], (size_t)n), "%s: %s, n = %d, array %d, variant %d",
                              tier->name, slot->name, n, a, variant);
            }
    }
}

static void check_widen(const struct kernels *tier)
{
    for (int type = 0; type < MAT_TYPES; type++)
        for (int n = 0; n <= 70; n++) {
            const size_t bytes = (size_t)n * (type == MAT_F32 ? 4 : 2);
            uint8_t *in = guarded(0, bytes, n & 1);
            float *want = guarded(1, (size_t)n * 4, true), *got = guarded(2, (size_t)n * 4, n & 1);
            for (size_t i = 0; i < bytes; i++)
                in[i] = (uint8_t)random_bits();
            ref.widen[type](want, in, n);
            tier->widen[type](got, in, n);
            CHECK_MSG(same_floats(want, got, (size_t)n), "%s: widen type %d, n = %d", tier->name, type, n);
        }
    /* All half-precision numbers. */
    static uint16_t all[65536];
    static float want[65536], got[65536];
    for (int i = 0; i < 65536; i++)
        all[i] = (uint16_t)i;
    for (int type = MAT_F16; type <= MAT_BF16; type++) {
        ref.widen[type](want, all, 65536);
        tier->widen[type](got, all, 65536);
        CHECK_MSG(same_floats(want, got, 65536), "%s: widen all of type %d", tier->name, type);
    }
    CHECK(want[0x3f80] == 1.0f); /* bf16, the last type */
    ref.widen[MAT_F16](want, all, 65536);
    CHECK(want[0x3c00] == 1.0f && want[1] == 0x1p-24f && want[0x7bff] == 65504.0f && isinf(want[0x7c00]));
}

static void check_wkv(const struct kernels *tier)
{
    static const int sizes[] = {1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 48, 64, 65, 80, 127, 128};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int variant = 0; variant < 4; variant++) {
            const int n = sizes[i];
            const size_t bytes = (size_t)n * sizeof(float);
            float *in[6];
            for (int a = 0; a < 6; a++) {
                in[a] = guarded(a, bytes, variant & 1);
                random_fill(in[a], (size_t)n, variant & 2);
            }
            float *S_want = guarded(6, bytes * (size_t)n, variant & 1),
                  *S_got = guarded(7, bytes * (size_t)n, variant & 1);
            float *want = guarded(8, bytes, variant & 1), *got = guarded(9, bytes, variant & 1);
            random_fill(S_want, (size_t)n * (size_t)n, variant & 2);
            memcpy(S_got, S_want, bytes * (size_t)n);
            const struct head_in head = {in[0], in[1], in[2], in[3], in[4], in[5]};
            ref.wkv(want, S_want, &head, n);
            tier->wkv(got, S_got, &head, n);
            CHECK_MSG(same_floats(want, got, (size_t)n), "%s: wkv, n = %d, variant %d", tier->name, n, variant);
            CHECK_MSG(same_floats(S_want, S_got, (size_t)n * (size_t)n), "%s: wkv state, n = %d", tier->name, n);
        }
}

/* ---------------------------------------------------------------------------------------------------------- products */

/* A matrix of random bits (wild) or ordinary numbers in region 0. */
static struct mat random_matrix(enum mat_type type, int rows, int cols, bool wild, bool at_end)
{
    const size_t n = (size_t)rows * (size_t)cols;
    void *data = guarded(0, n * (type == MAT_F32 ? 4 : 2), at_end);
    if (type == MAT_F32) {
        random_fill(data, n, wild);
    } else {
        uint16_t *half = data;
        for (size_t i = 0; i < n; i++) {
            const uint16_t bits = (uint16_t)random_bits();
            const uint16_t tame =
                type == MAT_BF16 ? (uint16_t)((bits & 0x80ff) | 0x3f00) : (uint16_t)((bits & 0x83ff) | 0x3800);
            half[i] = wild ? bits : tame;
        }
    }
    return (struct mat){type, rows, cols, data};
}

static void check_gemv(const struct kernels *tier, enum mat_type type)
{
    for (int i = 0; i < 120; i++) {
        const int rows = 1 + random_below(21), cols = i < 80 ? i : 500 + random_below(100);
        const int begin = random_below(rows), end = begin + random_below(rows - begin + 1);
        const struct mat w = random_matrix(type, rows, cols, i % 3 == 2, i & 1);
        float *x = guarded(1, (size_t)cols * 4, i & 1);
        float *want = guarded(2, (size_t)rows * 4, true), *got = guarded(3, (size_t)rows * 4, i & 1);
        random_fill(x, (size_t)cols, i % 3 == 2);
        random_fill(want, (size_t)rows, false);
        memcpy(got, want, (size_t)rows * 4);
        ref.gemv[type](want, &w, x, begin, end);
        tier->gemv[type](got, &w, x, begin, end);
        CHECK_MSG(same_floats(want, got, (size_t)rows), "%s: gemv type %d, %d x %d, rows %d to %d", tier->name, type,
                  rows, cols, begin, end);
    }
}

/* gemm against gemv of the reference, token by token. */
static void check_gemm(const struct kernels *tier, enum mat_type type)
{
    static const int counts[] = {1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 33};
    float *scratch = NULL;
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++)
        for (int i = 0; i < 6; i++) {
            const int tokens = counts[c], rows = 1 + random_below(i == 5 ? 90 : 40);
            const int cols = i == 4 ? 510 + random_below(20) : i == 5 ? 1000 + random_below(60) : 1 + random_below(70);
            const int begin = random_below(rows), end = i & 1 ? rows : begin + random_below(rows - begin + 1);
            const size_t ldx = (size_t)cols + (size_t)random_below(3), ldy = (size_t)rows + (size_t)random_below(3);
            const struct mat w = random_matrix(type, rows, cols, i == 3, i & 1);
            const size_t x_floats = (size_t)(tokens - 1) * ldx + (size_t)cols;
            const size_t y_floats = (size_t)(tokens - 1) * ldy + (size_t)rows;
            float *x = guarded(1, x_floats * 4, i & 1);
            float *want = guarded(2, y_floats * 4, true), *got = guarded(3, y_floats * 4, i & 1);
            random_fill(x, x_floats, i == 3);
            random_fill(want, y_floats, false);
            memcpy(got, want, y_floats * 4);
            if (posix_memalign((void **)&scratch, 64, gemm_scratch(cols) * sizeof *scratch) != 0)
                exit(1);
            for (size_t t = 0; t < (size_t)tokens; t++)
                ref.gemv[type](want + t * ldy, &w, x + t * ldx, begin, end);
            tier->gemm[type](got, ldy, &w, x, ldx, tokens, begin, end, scratch);
            CHECK_MSG(same_floats(want, got, y_floats), "%s: gemm type %d, %d tokens, %d x %d, rows %d to %d",
                      tier->name, type, tokens, rows, cols, begin, end);
            free(scratch);
        }
}

/* OpenBLAS adds in its own order: with sums of up to 1,060 products of size 4 float32 stays within this. */
static void test_blas(void)
{
    struct kernels blas;
    CHECK(kernels_init(&blas, NULL));
    kernels_use_blas(&blas);
    for (int type = 0; type < MAT_TYPES; type++)
        for (int i = 0; i < 8; i++) {
            const int rows = 1 + random_below(80), cols = 1 + random_below(1060), tokens = 1 + random_below(9);
            const struct mat w = random_matrix((enum mat_type)type, rows, cols, false, true);
            float *x = guarded(1, (size_t)cols * (size_t)tokens * 4, true), *scratch = NULL;
            float *want = guarded(2, (size_t)rows * 4, true),
                  *got = guarded(3, (size_t)rows * (size_t)tokens * 4, true);
            random_fill(x, (size_t)cols * (size_t)tokens, false);
            if (posix_memalign((void **)&scratch, 64, gemm_scratch(cols) * sizeof *scratch) != 0)
                exit(1);
            blas.gemm[type](got, (size_t)rows, &w, x, (size_t)cols, tokens, 0, rows, scratch);
            for (int t = 0; t < tokens; t++) {
                ref.gemv[type](want, &w, x + t * cols, 0, rows);
                for (int r = 0; r < rows; r++)
                    CHECK_MSG(fabsf(want[r] - got[t * rows + r]) < 1e-3f, "blas: type %d, %d x %d: %g and %g", type,
                              rows, cols, (double)want[r], (double)got[t * rows + r]);
            }
            free(scratch);
        }
}

static void test_tiers(void)
{
    for (int i = 0; kernels_supported(i); i++) {
        struct kernels tier;
        CHECK(kernels_init(&tier, kernels_supported(i)));
        CHECK_STR(tier.name, kernels_supported(i));
        if (i == 0)
            CHECK_STR(tier.name, "ref");
        check_vectors(&tier);
        check_widen(&tier);
        check_wkv(&tier);
        for (int type = 0; type < MAT_TYPES; type++) {
            check_gemv(&tier, (enum mat_type)type);
            check_gemm(&tier, (enum mat_type)type);
        }
        uint8_t *memory = guarded(0, 8 * 4096, true);
        tier.read_memory(memory, 8 * 4096);
        printf("     %s\n", tier.name);
    }
}

static void test_names(void)
{
    struct kernels k;
    CHECK(!kernels_init(&k, "nonsense"));
    CHECK(!kernels_init(&k, "AVX2"));
    CHECK(kernels_init(&k, NULL) && kernels_init(&k, ""));
    int last = 0;
    while (kernels_supported(last + 1))
        last++;
    CHECK_STR(k.name, kernels_supported(last));
}

/* [SEED] | --bench [SLOT] [THREADS] */
int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--bench") == 0)
        return bench_kernels(argc > 2 ? argv[2] : NULL, argc > 3 ? atoi(argv[3]) : 1);
    const uint64_t seed = argc > 1 ? (uint64_t)strtoull(argv[1], NULL, 10) : (uint64_t)getpid();
    printf("seed %llu\n", (unsigned long long)seed);
    random_seed(seed);
    if (!guarded_open() || !kernels_init(&ref, "ref"))
        return 1;
    RUN(test_names);
    RUN(test_tiers);
    RUN(test_blas);
    return test_end();
}
