/*
 * test_kernels.c - every kernel of every tier of this machine against ref.c: the bits must be
 * equal, and no byte outside the arrays may be touched.
 *
 * Arrays touch guard pages (guarded.h) or have odd addresses; lengths are odd; numbers are ordinary
 * or wild (denormals, huge numbers, infinities, NaNs). The seed is printed and may be given as an
 * argument. Checksums pin the results of ref.c, so that machines can be compared. `test_kernels
 * --bench [SLOT] [THREADS]` measures speed instead.
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

static size_t element_size(enum mat_type type)
{
    return type == MAT_F32 ? sizeof(float) : sizeof(uint16_t);
}

static float *floats(int region, size_t count, enum place place)
{
    return guarded(region, count, sizeof(float), place);
}

/* ------------------------------------------------------------------------------- vector kernels */

#define EPS 1e-5f

/* A kernel that takes vectors of n numbers; all such kernels are in one list. */
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
static void run_shift_over_u(const struct kernels *k, float *const a[], int n)
{
    k->shift(a[0], a[0], a[1], a[2], n);
}
static void run_shift_over_prev(const struct kernels *k, float *const a[], int n)
{
    k->shift(a[0], a[1], a[0], a[2], n);
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
static void run_head_out_in_place(const struct kernels *k, float *const a[], int n)
{
    k->head_out(a[0], a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], n, EPS);
}
static void run_multiply(const struct kernels *k, float *const a[], int n)
{
    k->multiply(a[0], a[1], n);
}
static void run_silu(const struct kernels *k, float *const a[], int n)
{
    k->silu(a[0], n);
}
static void run_decay6(const struct kernels *k, float *const a[], int n)
{
    k->decay6(a[0], a[1], n);
}
static void run_wkv4(const struct kernels *k, float *const a[], int n)
{
    k->wkv4(a[0], &(struct wkv4_state){a[1], a[2], a[3]}, a[4], a[5], a[6], a[7], n);
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
    {"shift over u", 3, run_shift_over_u},
    {"shift over prev", 3, run_shift_over_prev},
    {"add", 2, run_add},
    {"tanh", 1, run_tanh},
    {"sigmoid", 1, run_sigmoid},
    {"sigmoid_bias", 2, run_sigmoid_bias},
    {"decay", 2, run_decay},
    {"lerp", 3, run_lerp},
    {"relu_square", 1, run_relu_square},
    {"key", 6, run_key},
    {"head_out", 9, run_head_out},
    {"head_out in place", 8, run_head_out_in_place},
    {"count_bad", 2, run_count_bad},
    {"multiply", 2, run_multiply},
    {"silu", 1, run_silu},
    {"decay6", 2, run_decay6},
    {"wkv4", 8, run_wkv4},
};
#define VECTOR_SLOTS (sizeof vector_slots / sizeof vector_slots[0])
#define FIRST_SLOTS 16 /* test_pinned hashes these first; later kernels come at the end */

static void check_vector(const struct kernels *tier, const struct vector_slot *slot, int n, enum place place, bool wild)
{
    const size_t count = (size_t)n;
    float *want[9], *got[9];
    for (int a = 0; a < slot->arrays; a++) {
        want[a] = floats(2 * a, count, place);
        got[a] = floats(2 * a + 1, count, place);
        random_fill(want[a], count, wild);
        memcpy(got[a], want[a], count * sizeof(float));
    }
    slot->run(&ref, want, n);
    slot->run(tier, got, n);
    for (int a = 0; a < slot->arrays; a++)
        CHECK_MSG(same_floats(want[a], got[a], count), "%s: %s, n = %d, array %d, place %d, wild %d", tier->name,
                  slot->name, n, a, place, wild);
}

static void check_vectors(const struct kernels *tier)
{
    for (size_t s = 0; s < VECTOR_SLOTS; s++)
        for (int place = 0; place < PLACES; place++)
            for (int wild = 0; wild < 2; wild++) {
                for (int n = 0; n <= 150; n += n < 70 ? 1 : 7)
                    check_vector(tier, &vector_slots[s], n, (enum place)place, wild);
                check_vector(tier, &vector_slots[s], 768 + random_below(300), (enum place)place, wild);
                check_vector(tier, &vector_slots[s], 2048, (enum place)place, wild);
            }
}

static void check_widen(const struct kernels *tier)
{
    for (int type = 0; type < MAT_FLOATS; type++)
        for (int n = 0; n <= 70; n++)
            for (int place = 0; place < PLACES; place++) {
                const size_t size = element_size((enum mat_type)type), count = (size_t)n;
                uint8_t *in = guarded(0, count, size, (enum place)place);
                float *want = floats(1, count, AT_END), *got = floats(2, count, (enum place)place);
                for (size_t i = 0; i < count * size; i++)
                    in[i] = (uint8_t)random_bits();
                ref.widen[type](want, in, n);
                tier->widen[type](got, in, n);
                CHECK_MSG(same_floats(want, got, count), "%s: widen type %d, n = %d", tier->name, type, n);
            }
    static uint16_t every[65536];
    static float want[65536], got[65536];
    for (int i = 0; i < 65536; i++)
        every[i] = (uint16_t)i;
    for (int type = MAT_F16; type <= MAT_BF16; type++) {
        ref.widen[type](want, every, 65536);
        tier->widen[type](got, every, 65536);
        CHECK_MSG(same_floats(want, got, 65536), "%s: widen all 65536 values of type %d", tier->name, type);
    }
}

/* Runs wkv (RWKV-7), or wkv6 if is_older. in: [N] each, the last one is the bonus. */
static void run_wkv(const struct kernels *k, bool is_older, float *y, float *S, float *const in[7], int n)
{
    const struct head_in head = {in[0], in[1], in[2], in[3], in[4], in[5]};
    if (is_older)
        k->wkv6(y, S, &head, in[6], n);
    else
        k->wkv(y, S, &head, n);
}

static void check_wkv(const struct kernels *tier, bool is_older)
{
    static const int sizes[] = {1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 48, 64, 65, 80, 127, 128, 257};
    const char *name = is_older ? "wkv6" : "wkv";
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int place = 0; place < PLACES; place++)
            for (int wild = 0; wild < 2; wild++) {
                const size_t n = (size_t)sizes[i];
                float *in[7], *want = floats(7, n, AT_END), *got = floats(8, n, (enum place)place);
                float *S_want = floats(9, n * n, AT_END), *S_got = floats(10, n * n, (enum place)place);
                for (int a = 0; a < 7; a++) {
                    in[a] = floats(a, n, (enum place)place);
                    random_fill(in[a], n, wild);
                }
                random_fill(S_want, n * n, wild);
                memcpy(S_got, S_want, n * n * sizeof(float));
                run_wkv(&ref, is_older, want, S_want, in, sizes[i]);
                run_wkv(tier, is_older, got, S_got, in, sizes[i]);
                CHECK_MSG(same_floats(want, got, n), "%s: %s, n = %zu, place %d, wild %d", tier->name, name, n, place,
                          wild);
                CHECK_MSG(same_floats(S_want, S_got, n * n), "%s: %s state, n = %zu, place %d, wild %d", tier->name,
                          name, n, place, wild);
            }
}

/* ------------------------------------------------------------------------------------- products */

/* Returns a matrix in region 0 with random bits (wild) or ordinary numbers. */
static struct mat random_matrix(enum mat_type type, int rows, int cols, bool wild, enum place place)
{
    const size_t n = (size_t)rows * (size_t)cols;
    void *data = guarded(0, n, element_size(type), place);
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
    return (struct mat){.type = type, .rows = rows, .cols = cols, .data = data};
}

/*
 * Makes two equal copies of random numbers, so that memory that must not be written can be
 * compared.
 */
static void twins(float **want, float **got, size_t count, enum place place)
{
    *want = floats(2, count, AT_END);
    *got = floats(3, count, place);
    random_fill(*want, count, false);
    memcpy(*got, *want, count * sizeof(float));
}

static void check_gemv(const struct kernels *tier, enum mat_type type)
{
    for (int i = 0; i < 180; i++) {
        const int rows = 1 + random_below(21), cols = i < 150 ? i : 500 + random_below(100);
        const int begin = random_below(rows), end = begin + random_below(rows - begin + 1);
        const enum place place = (enum place)(i % PLACES);
        const bool wild = random_below(3) == 0;
        const struct mat w = random_matrix(type, rows, cols, wild, place);
        float *x = floats(1, (size_t)cols, place), *want, *got;
        random_fill(x, (size_t)cols, wild);
        twins(&want, &got, (size_t)rows, place);
        ref.gemv[type](want, &w, x, begin, end, &ref.tuning);
        tier->gemv[type](got, &w, x, begin, end, &tier->tuning);
        CHECK_MSG(same_floats(want, got, (size_t)rows), "%s: gemv type %d, %d x %d, rows %d to %d", tier->name, type,
                  rows, cols, begin, end);
    }
}

/*
 * Compares gemm with gemv of the reference, token by token. The scratch memory is filled with NaNs
 * and touches a guard page.
 */
static void check_gemm_case(const struct kernels *tier, enum mat_type type, int tokens, int rows, int cols, bool wild,
                            enum place place)
{
    const int begin = random_below(rows), end = random_below(2) ? rows : begin + random_below(rows - begin + 1);
    const size_t ldx = (size_t)cols + (size_t)random_below(3), ldy = (size_t)rows + (size_t)random_below(3);
    const size_t x_count = (size_t)(tokens - 1) * ldx + (size_t)cols,
                 y_count = (size_t)(tokens - 1) * ldy + (size_t)rows;
    const struct mat w = random_matrix(type, rows, cols, wild, place);
    float *x = floats(1, x_count, place), *scratch = floats(4, gemm_scratch(cols), AT_END), *want, *got;
    random_fill(x, x_count, wild);
    memset(scratch, 0xff, gemm_scratch(cols) * sizeof *scratch);
    twins(&want, &got, y_count, place);
    for (size_t t = 0; t < (size_t)tokens; t++)
        ref.gemv[type](want + t * ldy, &w, x + t * ldx, begin, end, &ref.tuning);
    const struct caches caches = {(size_t)1 << (9 + random_below(9)), (size_t)1 << (12 + random_below(12)), 0};
    struct tuning tuning; /* derived from random cache sizes */
    tuning_derive(&tuning, &caches);
    tier->gemm[type](got, ldy, &w, x, ldx, tokens, begin, end, &tuning, scratch);
    CHECK_MSG(same_floats(want, got, y_count), "%s: gemm type %d, %d tokens, %d x %d, rows %d to %d, place %d, wild %d",
              tier->name, type, tokens, rows, cols, begin, end, place, wild);
}

static void check_gemm(const struct kernels *tier, enum mat_type type)
{
    for (int tokens = 1; tokens <= 13; tokens++)
        for (int place = 0; place < PLACES; place++) {
            check_gemm_case(tier, type, tokens, 1 + random_below(40), random_below(70), false, (enum place)place);
            check_gemm_case(tier, type, tokens, 1 + random_below(40), 1 + random_below(70), true, (enum place)place);
        }
    check_gemm_case(tier, type, 64, 70, 130 + random_below(20), false, AT_END);
    check_gemm_case(tier, type, 7, 100 + random_below(60), 1030 + random_below(30), false,
                    AT_END);                                                      /* two blocks of columns */
    check_gemm_case(tier, type, 4, 40, 5000 + random_below(30), false, AT_START); /* slabs of columns */
    check_gemm_case(tier, type, GEMM_SLAB_TOKENS + 3, 9, 5000 + random_below(30), false, AT_END);
}

/* Compares gemm with another order of additions with gemv of the reference, within `tolerance`. */
static void check_other_order(const struct kernels *k, enum mat_type type, int tokens, int rows, int cols,
                              enum place place, float tolerance)
{
    const int begin = random_below(rows);
    const size_t x_count = (size_t)tokens * (size_t)cols, y_count = (size_t)tokens * (size_t)rows;
    const struct mat w = random_matrix(type, rows, cols, false, place);
    float *x = floats(1, x_count, place), *scratch = floats(4, gemm_scratch(cols), AT_END), *want, *got, worst = 0;
    random_fill(x, x_count, false);
    memset(scratch, 0xff, gemm_scratch(cols) * sizeof *scratch);
    twins(&want, &got, y_count, place);
    k->gemm[type](got, (size_t)rows, &w, x, (size_t)cols, tokens, begin, rows, &k->tuning, scratch);
    for (size_t t = 0; t < (size_t)tokens; t++)
        ref.gemv[type](want + t * (size_t)rows, &w, x + t * (size_t)cols, begin, rows, &ref.tuning);
    for (size_t j = 0; j < y_count; j++)
        worst = fmaxf(worst, fabsf(want[j] - got[j]));
    CHECK_MSG(worst < tolerance, "type %d, %d x %d, %d tokens, rows from %d: error %g", type, rows, cols, tokens, begin,
              (double)worst);
}

/*
 * For up to 1060 products of magnitude up to 4 (f16 and bf16: 2, times 2); float32 stays within it.
 */
#define BLAS_TOLERANCE 1e-3f

static void test_blas(void)
{
    struct kernels blas;
    struct rwkv7_error err;
    CHECK(kernels_init(&blas, NULL));
    setenv("OPENBLAS_NUM_THREADS", "3", 1); /* the program's setting, which must be restored */
    const enum rwkv7_status status = kernels_use_blas(&blas, &err);
    CHECK(status == RWKV7_OK || status == RWKV7_ERR_USAGE);
    CHECK(strcmp(getenv("OPENBLAS_NUM_THREADS"), "3") == 0);
    if (status != RWKV7_OK) {
        printf("SKIP: %s\n", err.message);
        return;
    }
    /* Not next to guard pages: emulators read the masked-out elements, too */
    for (int i = 0; i < 8 * MAT_FLOATS; i++)
        check_other_order(&blas, (enum mat_type)(i % MAT_FLOATS), 1 + random_below(9), 1 + random_below(80),
                          1 + random_below(1060), AT_START, BLAS_TOLERANCE);
}

/*
 * For vectors of 16 bits: up to 2100 products, each with an error of up to 4 / 2^18 in either
 * direction.
 */
#define FAST_TOLERANCE 2e-3f

static void test_fast(void)
{
    struct kernels fast, same;
    for (int i = 0; kernels_supported(i); i++) {
        CHECK(kernels_init(&fast, kernels_supported(i)) && kernels_init(&same, kernels_supported(i)));
        if (kernels_use_fast(&fast))
            for (int j = 0; j < 24; j++)
                check_other_order(&fast, MAT_BF16, 1 + random_below(70), 1 + random_below(300),
                                  random_below(j % 4 ? 200 : 2100), (enum place)(j % PLACES), FAST_TOLERANCE);
        else
            CHECK(memcmp(&fast, &same, sizeof same) == 0);
    }
}

/* read_memory must read every byte: changing any of them must change the result. */
static void check_read_memory(const struct kernels *tier)
{
    for (int pages = 1; pages <= 3; pages++)
        for (int place = AT_START; place <= AT_END; place++) {
            const size_t size = (size_t)pages * 4096;
            uint8_t *p = guarded(0, size, 1, (enum place)place);
            for (size_t i = 0; i < size; i++)
                p[i] = (uint8_t)random_bits();
            const uint64_t before = tier->read_memory(p, size);
            for (int i = 0; i < 100; i++) {
                uint8_t *byte = &p[random_below((int)size)];
                *byte ^= 16;
                CHECK_MSG(tier->read_memory(p, size) != before, "%s: read_memory ignores byte %td of %zu", tier->name,
                          byte - p, size);
                *byte ^= 16;
            }
            CHECK(tier->read_memory(p, size) == before);
        }
}

/* ---------------------------------------------------------------------------------------- tiers */

static void test_tiers(void)
{
    for (int i = 0; kernels_supported(i); i++) {
        struct kernels tier;
        CHECK(kernels_init(&tier, kernels_supported(i)));
        check_vectors(&tier);
        check_widen(&tier);
        check_wkv(&tier, false);
        check_wkv(&tier, true);
        for (int type = 0; type < MAT_FLOATS; type++) {
            check_gemv(&tier, (enum mat_type)type);
            check_gemm(&tier, (enum mat_type)type);
        }
        check_read_memory(&tier);
        printf("     %s\n", tier.name);
    }
}

static void test_names(void)
{
    struct kernels k, narrower;
    CHECK(!kernels_init(&k, "nonsense"));
    CHECK(!kernels_init(&k, "REF"));
    CHECK(!kernels_init(&k, "ref "));
    CHECK_STR(kernels_supported(0), "ref");
    for (int i = 0; kernels_supported(i); i++) {
        CHECK(kernels_init(&k, kernels_supported(i)));
        CHECK_STR(k.name, kernels_supported(i));
        if (i > 0) { /* the named tier must be the one that runs */
            CHECK(kernels_init(&narrower, kernels_supported(i - 1)));
            CHECK(k.quant_gemm[MAT_Q8] != narrower.quant_gemm[MAT_Q8] || k.gemv[MAT_BF16] != narrower.gemv[MAT_BF16]);
        }
    }
    CHECK(kernels_init(&narrower, NULL) && memcmp(&narrower, &k, sizeof k) == 0); /* NULL: the widest */
    CHECK(kernels_init(&narrower, "") && memcmp(&narrower, &k, sizeof k) == 0);
}

/* Continues an FNV-1a hash over the bits; all NaNs hash alike. */
static uint32_t checksum(uint32_t sum, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = 0x7fc00000;
        if (!isnan(x[i]))
            memcpy(&bits, &x[i], sizeof bits);
        for (int byte = 0; byte < 4; byte++)
            sum = (sum ^ (bits >> 8 * byte & 255)) * 16777619u;
    }
    return sum;
}

static void pin_vector(uint32_t *sum, const struct vector_slot *slot)
{
    for (int wild = 0; wild < 2; wild++) {
        float *a[9];
        for (int i = 0; i < slot->arrays; i++) {
            a[i] = floats(i, 1003, AT_START);
            random_fill(a[i], 1003, wild);
        }
        slot->run(&ref, a, 1003);
        for (int i = 0; i < slot->arrays; i++)
            *sum = checksum(*sum, a[i], 1003);
    }
}

/*
 * Pins the results of the reference for fixed random numbers. A new value means that the numeric
 * contract changed, and with it the generated texts.
 */
static void test_pinned(void)
{
    uint32_t vectors = 2166136261u, later = vectors, products = vectors, heads = vectors, older = vectors;
    random_seed(7);
    for (size_t s = 0; s < FIRST_SLOTS; s++)
        pin_vector(&vectors, &vector_slots[s]);
    for (int type = 0; type < MAT_FLOATS; type++) {
        const struct mat w = random_matrix((enum mat_type)type, 19, 333, false, AT_START);
        float *x = floats(1, 333, AT_START), *y = floats(2, 19, AT_START);
        random_fill(x, 333, false);
        ref.gemv[type](y, &w, x, 0, 19, &ref.tuning);
        products = checksum(products, y, 19);
    }
    float *in[6], *S = floats(6, 64 * 64, AT_START), *y = floats(7, 64, AT_START);
    for (int i = 0; i < 6; i++) {
        in[i] = floats(i, 64, AT_START);
        random_fill(in[i], 64, false);
    }
    random_fill(S, 64 * 64, false);
    ref.wkv(y, S, &(struct head_in){in[0], in[1], in[2], in[3], in[4], in[5]}, 64);
    heads = checksum(checksum(heads, y, 64), S, 64 * 64);
    for (size_t s = FIRST_SLOTS; s < VECTOR_SLOTS; s++)
        pin_vector(&later, &vector_slots[s]);
    ref.wkv6(y, S, &(struct head_in){in[0], in[1], in[2], in[3], NULL, NULL}, in[5], 64);
    older = checksum(checksum(older, y, 64), S, 64 * 64);
    CHECK_MSG(later == 0x7788b78c, "checksum of later kernels: 0x%08x", later);
    CHECK_MSG(older == 0x71193f8f, "checksum of older recurrences: 0x%08x", older);
    CHECK_MSG(vectors == 0x6263bb26, "checksum of vector kernels: 0x%08x", vectors);
    CHECK_MSG(products == 0x988ac533, "checksum of products: 0x%08x", products);
    CHECK_MSG(heads == 0xfe55100e, "checksum of head kernels: 0x%08x", heads);

    static const uint16_t half[] = {0x3c00, 0x0001, 0x83ff, 0x7bff, 0x7c00, 0x8000};
    static const float half_want[] = {1.0f, 0x1p-24f, -0x3ffp-24f, 65504.0f, INFINITY, -0.0f};
    static const uint16_t brain[] = {0x3f80, 0x0001, 0xc2f7, 0x7f7f, 0xff80};
    static const float brain_want[] = {1.0f, 0x1p-133f, -123.5f, 0x1.fep127f, -INFINITY};
    float wide[6];
    ref.widen[MAT_F16](wide, half, 6);
    CHECK(same_floats(wide, half_want, 6));
    ref.widen[MAT_BF16](wide, brain, 5);
    CHECK(same_floats(wide, brain_want, 5));
}

/* Arguments: [SEED] | --bench [SLOT] [THREADS] */
int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--bench") == 0)
        return bench_kernels(argc > 2 ? argv[2] : NULL, argc > 3 ? atoi(argv[3]) : 1);
    const uint64_t seed = argc > 1 ? (uint64_t)strtoull(argv[1], NULL, 10) : (uint64_t)getpid();
    printf("seed %llu\n", (unsigned long long)seed);
    if (!guarded_open() || !kernels_init(&ref, "ref"))
        return 1;
    RUN(test_names);
    RUN(test_pinned);
    random_seed(seed);
    RUN(test_tiers);
    RUN(test_blas);
    RUN(test_fast);
    return test_end();
}
