/*
 * bench_kernels.c - measures the speed of every kernel on every tier of this machine.
 *
 * On a shared machine the speed changes within seconds. The tiers therefore take turns, ROUNDS
 * times, and medians are printed. For each product that reads memory, the table also shows the
 * median of its speed relative to read_memory of the widest tier in the same round; this ratio is
 * stable even if the machine is not.
 */
#include "bench_kernels.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "base/sys.h"
#include "kernels/quants.h"

#define ROUNDS 9
#define SAMPLE 0.02 /* shortest sample in seconds */
#define MAX_TIERS 8
#define MEMORY ((size_t)1 << 31)
#define MAX_COLS 8192
#define MAX_TOKENS 512
#define MAX_ROWS 2048 /* of a matrix that is multiplied by several tokens */
#define SCRATCH ((size_t)GEMM_MAX_PANEL * (MAX_COLS + 16 * GEMM_MAX_TOKENS)) /* floats per thread */
#define VECTORS 10 /* of MAX_COLS floats, for the elementwise kernels */
#define HEADS 64   /* states of 64 x 64: 1 MB, more than an L1 cache */

struct bench {
    const struct kernels *kernels;
    const struct bench_case *what;
    struct pool *pool;
    uint8_t *memory;         /* [MEMORY] */
    float *x, *y;            /* [MAX_TOKENS][MAX_COLS] each */
    struct quants quants;    /* [MAX_TOKENS][MAX_COLS] */
    float *scratch[64];      /* per thread */
    float *vectors[VECTORS]; /* [MAX_COLS] each */
    uint64_t sum;            /* keeps the compiler from removing read_memory */
};

struct bench_case {
    const char *slot;
    enum mat_type type;
    int rows, cols, tokens;
    /* Runs the kernel once and returns the work done, in bytes or floating-point operations. */
    double (*run)(struct bench *b);
};

static size_t element_size(enum mat_type type)
{
    return type == MAT_F32 ? 4 : 2;
}

/* ------------------------------------------------------------------------------------- products */

#define PAGE ((size_t)4096)

static void read_share(void *arg, struct pool *pool, int rank)
{
    struct bench *b = arg;
    const size_t share = MEMORY / PAGE / (size_t)pool_threads(pool) * PAGE;
    const uint64_t sum = b->kernels->read_memory(b->memory + (size_t)rank * share, share);
    if (rank == 0)
        b->sum += sum;
}

static double run_read_memory(struct bench *b)
{
    pool_run(b->pool, read_share, b);
    return (double)(MEMORY / PAGE / (size_t)pool_threads(b->pool) * PAGE * (size_t)pool_threads(b->pool));
}

static void gemv_share(void *arg, struct pool *pool, int rank)
{
    const struct bench *b = arg;
    const struct bench_case *c = b->what;
    const struct mat w = {.type = c->type, .rows = c->rows, .cols = c->cols, .from_memory = true, .data = b->memory};
    int begin, end;
    (void)rank;
    while (pool_take(pool, c->rows, 256, &begin, &end))
        b->kernels->gemv[c->type](b->y, &w, b->x, begin, end, &b->kernels->tuning);
}

static double run_gemv(struct bench *b)
{
    pool_run(b->pool, gemv_share, b);
    return (double)b->what->rows * b->what->cols * (double)element_size(b->what->type);
}

static void gemm_share(void *arg, struct pool *pool, int rank)
{
    const struct bench *b = arg;
    const struct bench_case *c = b->what;
    const struct mat w = {.type = c->type, .rows = c->rows, .cols = c->cols, .data = b->memory};
    int begin, end;
    while (pool_take(pool, c->rows, 2 * GEMM_MAX_PANEL, &begin, &end))
        b->kernels->gemm[c->type](b->y, MAX_ROWS, &w, b->x, (size_t)c->cols, c->tokens, begin, end, &b->kernels->tuning,
                                  b->scratch[rank]);
}

static double run_gemm(struct bench *b)
{
    pool_run(b->pool, gemm_share, b);
    return 2.0 * b->what->rows * b->what->cols * b->what->tokens;
}

static void quant_gemv_share(void *arg, struct pool *pool, int rank)
{
    const struct bench *b = arg;
    const struct bench_case *c = b->what;
    const struct mat w = {.type = c->type, .rows = c->rows, .cols = c->cols, .from_memory = true, .data = b->memory};
    int begin, end;
    (void)rank;
    while (pool_take(pool, c->rows, 256, &begin, &end))
        b->kernels->quant_gemv[c->type](b->y, &w, &b->quants, begin, end, &b->kernels->tuning);
}

static double run_quant_gemv(struct bench *b)
{
    const struct bench_case *c = b->what;
    pool_run(b->pool, quant_gemv_share, b);
    return (double)quant_bytes(&(struct mat){.type = c->type, .rows = c->rows, .cols = c->cols});
}

static void quant_gemm_share(void *arg, struct pool *pool, int rank)
{
    const struct bench *b = arg;
    const struct bench_case *c = b->what;
    const struct mat w = {.type = c->type, .rows = c->rows, .cols = c->cols, .data = b->memory};
    int begin, end;
    while (pool_take(pool, c->rows, QUANT_PANEL, &begin, &end))
        b->kernels->quant_gemm[c->type](b->y, MAX_ROWS, &w, &b->quants, c->tokens, begin, end, b->scratch[rank]);
}

static double run_quant_gemm(struct bench *b)
{
    pool_run(b->pool, quant_gemm_share, b);
    return 2.0 * b->what->rows * b->what->cols * b->what->tokens;
}

/* -------------------------------------------------------------------------------------- vectors */

/*
 * An elementwise kernel over vectors of `cols` floats, `streams` of which are read or written,
 * repeated often enough to be measured.
 */
#define VECTOR_CASE(name, streams, call)            \
    static double run_##name(struct bench *b)       \
    {                                               \
        const struct kernels *k = b->kernels;       \
        float *const *v = b->vectors;               \
        const int n = b->what->cols;                \
        for (int i = 0; i < 100; i++)               \
            call;                                   \
        return 100.0 * (streams)*n * sizeof(float); \
    }

VECTOR_CASE(widen, 1.5, k->widen[b->what->type](v[0], v[1], n))
VECTOR_CASE(layer_norm, 4, k->layer_norm(v[0], v[1], v[2], v[3], n, 1e-5f))
VECTOR_CASE(shift, 4, k->shift(v[0], v[1], v[2], v[3], n))
VECTOR_CASE(add, 3, k->add(v[0], v[1], n))
VECTOR_CASE(multiply, 3, k->multiply(v[0], v[1], n))
VECTOR_CASE(silu, 2, k->silu(v[0], n))
VECTOR_CASE(tanh, 2, k->tanh(v[0], n))
VECTOR_CASE(sigmoid, 2, k->sigmoid(v[0], n))
VECTOR_CASE(sigmoid_bias, 3, k->sigmoid_bias(v[0], v[1], n))
VECTOR_CASE(decay, 3, k->decay(v[0], v[1], n))
VECTOR_CASE(decay6, 3, k->decay6(v[0], v[1], n))
VECTOR_CASE(lerp, 4, k->lerp(v[0], v[1], v[2], n))
VECTOR_CASE(relu_square, 2, k->relu_square(v[0], n))
VECTOR_CASE(key, 7, k->key(v[0], v[1], v[2], v[3], v[4], v[5], n))
VECTOR_CASE(head_out, 9, k->head_out(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], n, 1e-5f))
VECTOR_CASE(wkv4, 11, k->wkv4(v[0], &(struct wkv4_state){v[1], v[2], v[3]}, v[4], v[5], v[6], v[7], n))
VECTOR_CASE(quantize, 1.25, k->quantize(b->quants.q, b->quants.scale, b->quants.sum, v[4], n))
VECTOR_CASE(count_bad, 1, b->sum += (uint64_t)k->count_bad(v[0], n))

/* Counts the state as one read and one write. */
static double run_wkv(struct bench *b)
{
    const int n = b->what->cols;
    const size_t state = (size_t)n * (size_t)n;
    float *const *v = b->vectors;
    const struct head_in in = {v[0], v[1], v[2], v[3], v[4], v[5]};
    for (size_t head = 0; head < HEADS; head++)
        b->kernels->wkv(v[6], b->x + head * state, &in, n);
    return (double)HEADS * 2 * (double)state * sizeof(float);
}

static double run_wkv6(struct bench *b)
{
    const int n = b->what->cols;
    const size_t state = (size_t)n * (size_t)n;
    float *const *v = b->vectors;
    const struct head_in in = {.r = v[0], .w = v[1], .k = v[2], .v = v[3]};
    for (size_t head = 0; head < HEADS; head++)
        b->kernels->wkv6(v[6], b->x + head * state, &in, v[5], n);
    return (double)HEADS * 2 * (double)state * sizeof(float);
}

/* ---------------------------------------------------------------------------------------- table */

/* In `cases`: a row that is repeated for each quantized type. */
#define INTEGERS MAT_TYPES

static const struct bench_case cases[] = {
    {"read_memory", MAT_F32, 0, 0, 0, run_read_memory},
    {"gemv", MAT_F32, 1 << 18, 2048, 0, run_gemv},
    {"gemv", MAT_F16, 1 << 19, 2048, 0, run_gemv},
    {"gemv", MAT_BF16, 1 << 19, 2048, 0, run_gemv},
    {"gemv", MAT_BF16, 1 << 17, 8192, 0, run_gemv},
    {"gemv", MAT_BF16, 1 << 24, 64, 0, run_gemv},
    {"gemm", MAT_F32, 2048, 2048, 512, run_gemm},
    {"gemm", MAT_F16, 2048, 2048, 512, run_gemm},
    {"gemm", MAT_BF16, 2048, 2048, 512, run_gemm},
    {"gemm", MAT_BF16, 2048, 8192, 512, run_gemm},
    {"gemm", MAT_BF16, 2048, 2048, 64, run_gemm},
    {"gemm", MAT_BF16, 2048, 2048, 7, run_gemm},
    {"quant_gemv", INTEGERS, 1 << 20, 768, 0, run_quant_gemv},
    {"quant_gemv", INTEGERS, 1 << 19, 2048, 0, run_quant_gemv},
    {"quant_gemv", INTEGERS, 1 << 17, 8192, 0, run_quant_gemv},
    {"quant_gemm", INTEGERS, 2048, 2048, 512, run_quant_gemm},
    {"quant_gemm", INTEGERS, 2048, 8192, 512, run_quant_gemm},
    {"quant_gemm", INTEGERS, 2048, 2048, 64, run_quant_gemm},
    {"quant_gemm", INTEGERS, 2048, 2048, 7, run_quant_gemm},
    {"widen", MAT_F16, 0, 2048, 0, run_widen},
    {"widen", MAT_BF16, 0, 2048, 0, run_widen},
    {"layer_norm", MAT_F32, 0, 2048, 0, run_layer_norm},
    {"shift", MAT_F32, 0, 2048, 0, run_shift},
    {"add", MAT_F32, 0, 2048, 0, run_add},
    {"multiply", MAT_F32, 0, 2048, 0, run_multiply},
    {"silu", MAT_F32, 0, 2048, 0, run_silu},
    {"tanh", MAT_F32, 0, 2048, 0, run_tanh},
    {"sigmoid", MAT_F32, 0, 2048, 0, run_sigmoid},
    {"sigmoid_bias", MAT_F32, 0, 2048, 0, run_sigmoid_bias},
    {"decay", MAT_F32, 0, 2048, 0, run_decay},
    {"decay6", MAT_F32, 0, 2048, 0, run_decay6},
    {"lerp", MAT_F32, 0, 2048, 0, run_lerp},
    {"relu_square", MAT_F32, 0, 2048, 0, run_relu_square},
    {"key", MAT_F32, 0, 64, 0, run_key},
    {"wkv", MAT_F32, 0, 64, 0, run_wkv},
    {"wkv6", MAT_F32, 0, 64, 0, run_wkv6},
    {"wkv4", MAT_F32, 0, 2048, 0, run_wkv4},
    {"head_out", MAT_F32, 0, 64, 0, run_head_out},
    {"quantize", MAT_F32, 0, 2048, 0, run_quantize},
    {"count_bad", MAT_F32, 0, 2048, 0, run_count_bad},
};

/* Returns the speed in units of 10^9 per second. */
static double measure(struct bench *b, const struct kernels *k, const struct bench_case *c)
{
    double work = 0, elapsed;
    b->kernels = k;
    b->what = c;
    const double begin = sys_seconds();
    do {
        work += c->run(b);
        elapsed = sys_seconds() - begin;
    } while (elapsed < SAMPLE);
    return work / elapsed / 1e9;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof *values, compare);
    return values[ROUNDS / 2];
}

static bool from_memory(const struct bench_case *c)
{
    return c->run == run_gemv || c->run == run_quant_gemv;
}
static bool by_arithmetic(const struct bench_case *c)
{
    return c->run == run_gemm || c->run == run_quant_gemm;
}

/* Reduces large products for the reference tier, which is too slow for all their rows. */
static struct bench_case for_reference(struct bench_case c)
{
    if (from_memory(&c))
        c.rows /= 128;
    if (by_arithmetic(&c))
        c.rows /= 64;
    return c;
}

static void run_case(struct bench *b, const struct bench_case *c, const struct kernels *tiers, int count)
{
    static double speed[MAX_TIERS][ROUNDS], share[MAX_TIERS][ROUNDS];
    const struct bench_case small = for_reference(*c);
    char size[64] = "";
    if (c->tokens > 0)
        snprintf(size, sizeof size, "%s %dx%d, %d tokens", weight_types[c->type].name, c->rows, c->cols, c->tokens);
    else if (c->rows > 0)
        snprintf(size, sizeof size, "%s %dx%d", weight_types[c->type].name, c->rows, c->cols);
    else if (c->cols > 0)
        snprintf(size, sizeof size, "%s %d", weight_types[c->type].name, c->cols);
    for (int round = 0; round < ROUNDS; round++) {
        const double probe = from_memory(c) ? measure(b, &tiers[count - 2], &cases[0]) : 1;
        for (int i = 0; i < count; i++) {
            speed[i][round] = measure(b, &tiers[i], i == 0 ? &small : c);
            share[i][round] = speed[i][round] / probe;
        }
    }
    printf("%-13s %-28s", c->slot, size);
    for (int i = 0; i < count - (c->run == run_gemm ? 0 : 1); i++) {
        printf(" %8.2f", median(speed[i]));
        if (from_memory(c))
            printf(" %3.0f%%", 100 * median(share[i]));
    }
    printf("  %s\n", by_arithmetic(c) ? "Gop/s" : "GB/s");
    fflush(stdout);
}

/*
 * Prints the speed of gemv for several prefetch distances (kernels/tuning.h), as a share of
 * read_memory, for every tier that has its own kernel.
 */
static void sweep_prefetch(struct bench *b, const struct kernels *tiers, int count)
{
    static const struct bench_case products[] = {{"gemv", MAT_BF16, 1 << 17, 2048, 0, run_gemv},
                                                 {"gemv", MAT_BF16, 1 << 22, 64, 0, run_gemv},
                                                 {"quant_gemv", MAT_Q8, 1 << 18, 2048, 0, run_quant_gemv},
                                                 {"quant_gemv", MAT_Q4, 1 << 18, 2048, 0, run_quant_gemv}};
    static const size_t nears[] = {2048, 4096, 8192, 16384}, fars[] = {0, 1024, 2048, 4096};
    enum { NEARS = sizeof nears / sizeof nears[0], FARS = sizeof fars / sizeof fars[0] };
    static double share[NEARS][FARS][ROUNDS];
    printf("Percent of the speed of read_memory. Rows: bytes of all streams prefetched into the L1 cache;\n"
           "columns: bytes of a stream prefetched further ahead into the L2 cache. [ ]: what is used.\n");
    for (size_t p = 0; p < sizeof products / sizeof products[0]; p++)
        for (int i = 1; i < count; i++) {
            const struct bench_case *c = &products[p];
            struct kernels tier = tiers[i];
            double read[ROUNDS];
            if (tier.gemv[MAT_BF16] == tiers[i - 1].gemv[MAT_BF16] &&
                (c->type < MAT_FLOATS || tier.quant_gemv[c->type] == tiers[i - 1].quant_gemv[c->type]))
                continue;
            for (int round = 0; round < ROUNDS; round++) {
                read[round] = measure(b, &tiers[count - 1], &cases[0]);
                for (int n = 0; n < NEARS; n++)
                    for (int f = 0; f < FARS; f++) {
                        tier.tuning.near = nears[n];
                        tier.tuning.far = fars[f];
                        share[n][f][round] = measure(b, &tier, c) / read[round];
                    }
            }
            printf("\n%s, %s %dx%d, read_memory %.1f GB/s\n%8s", tier.name, weight_types[c->type].name, c->rows,
                   c->cols, median(read), "");
            for (int f = 0; f < FARS; f++)
                printf(" %6zu ", fars[f]);
            for (int n = 0; n < NEARS; n++) {
                printf("\n%8zu", nears[n]);
                for (int f = 0; f < FARS; f++) {
                    const bool used = nears[n] == tiers[i].tuning.near && fars[f] == tiers[i].tuning.far;
                    printf(used ? " [%4.0f%%]" : "  %4.0f%% ", 100 * median(share[n][f]));
                }
            }
            printf("\n");
            fflush(stdout);
        }
}

static bool bench_open(struct bench *b, int threads)
{
    bool ok = pool_create(threads, &b->pool, NULL) == RWKV7_OK;
    ok = (b->memory = sys_pages_alloc(MEMORY)) && ok;
    ok = (b->x = mem_alloc((size_t)MAX_TOKENS * MAX_COLS, sizeof(float))) && ok;
    ok = (b->y = mem_alloc((size_t)1 << 24, sizeof(float))) && ok;
    ok = (b->quants.q = mem_alloc((size_t)MAX_TOKENS * MAX_COLS, 1)) && ok;
    ok = (b->quants.scale = mem_alloc((size_t)MAX_TOKENS * MAX_COLS / QUANT_BLOCK, sizeof(float))) && ok;
    ok = (b->quants.sum = mem_alloc((size_t)MAX_TOKENS * MAX_COLS / QUANT_GROUP, sizeof(int16_t))) && ok;
    for (int i = 0; i < threads; i++)
        ok = (b->scratch[i] = mem_alloc(SCRATCH, sizeof(float))) && ok;
    for (int i = 0; i < VECTORS; i++)
        ok = (b->vectors[i] = mem_alloc(MAX_COLS, sizeof(float))) && ok;
    return ok;
}

static void bench_close(struct bench *b)
{
    pool_destroy(b->pool);
    sys_pages_free(b->memory, MEMORY);
    mem_free(b->x);
    mem_free(b->y);
    mem_free(b->quants.q);
    mem_free(b->quants.scale);
    mem_free(b->quants.sum);
    for (int i = 0; i < 64; i++)
        mem_free(b->scratch[i]);
    for (int i = 0; i < VECTORS; i++)
        mem_free(b->vectors[i]);
}

int bench_kernels(const char *slot, int threads)
{
    struct bench b = {0};
    struct kernels tiers[MAX_TIERS];
    int count = 0, found = 0;
    if (threads < 1 || threads > 64 || !bench_open(&b, threads)) {
        fprintf(stderr, "bench_kernels: needs 1 to 64 threads and %zu MB of memory\n", MEMORY >> 20);
        bench_close(&b);
        return 1;
    }
    memset(b.memory, 0x3c, MEMORY); /* untouched pages share one page of zeroes */
    memset(b.x, 0x3c, (size_t)MAX_TOKENS * MAX_COLS * sizeof(float));
    for (int i = 0; i < VECTORS; i++)
        for (int j = 0; j < MAX_COLS; j++)
            b.vectors[i][j] = i == 3 ? 1.0f : 0.05f; /* avoids denormals */

    printf("%d thread%s for products and read_memory, medians of %d rounds\n", threads, threads > 1 ? "s" : "", ROUNDS);
    for (; kernels_supported(count) && count < MAX_TIERS - 1; count++)
        kernels_init(&tiers[count], kernels_supported(count));
    if (slot && strcmp(slot, "prefetch") == 0) {
        sweep_prefetch(&b, tiers, count);
        bench_close(&b);
        return 0;
    }
    printf("%-42s", "");
    for (int i = 0; i < count; i++)
        printf(" %8s", tiers[i].name);
    struct rwkv7_error err;
    tiers[count] = tiers[count - 1];
    if (kernels_use_blas(&tiers[count], &err) == RWKV7_OK) {
        count++;
        printf(" (gemm: OpenBLAS last)\n");
    } else {
        printf(" (%s)\n", err.message);
    }
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (!slot || strcmp(slot, cases[i].slot) == 0) {
            struct bench_case one = cases[i];
            found++;
            if (one.type != INTEGERS)
                run_case(&b, &one, tiers, count);
            else
                for (one.type = MAT_FLOATS; one.type < MAT_TYPES; one.type++)
                    run_case(&b, &one, tiers, count);
        }
    if (!found)
        fprintf(stderr, "bench_kernels: no kernel named '%s'\n", slot);
    bench_close(&b);
    return found ? 0 : 1;
}
