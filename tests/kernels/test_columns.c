/*
 * test_columns.c - column-major matrices: every tier against ref.c, ref.c against the row-major
 * product, and the transposition to rows.
 *
 * Arrays touch guard pages (guarded.h). The seed is printed and may be given as an argument.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "guarded.h"
#include "kernels/columns.h"
#include "kernels/kernels.h"
#include "kernels/quants.h"
#include "test.h"

static struct kernels ref;

static void random_bytes(void *to, size_t n)
{
    uint8_t *bytes = to;
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)random_bits();
}

static size_t column_bytes(const struct mat *w)
{
    if (w->type >= MAT_FLOATS)
        return quant_bytes(w);
    return (size_t)w->rows * (size_t)w->cols * (w->type == MAT_F32 ? 4 : 2);
}

/*
 * Fills a matrix with numbers whose sums do not overflow, sub-block scales and scales in their
 * valid ranges, and random padding, since files may contain any.
 */
static void fill_matrix(struct mat *w, int region)
{
    uint8_t *data =
        guarded(region, column_bytes(w), 1, column_bytes(w) % 64 == 0 || w->type < MAT_FLOATS ? AT_END : AT_START);
    random_bytes(data, column_bytes(w));
    w->data = data;
    const size_t count = (size_t)w->rows * (size_t)w->cols;
    for (size_t i = 0; w->type == MAT_F32 && i < count; i++)
        ((float *)(void *)data)[i] = (float)(int32_t)random_bits() * 0x1p-30f;
    for (size_t i = 0; (w->type == MAT_F16 || w->type == MAT_BF16) && i < count; i++)
        ((uint16_t *)(void *)data)[i] = (uint16_t)((random_bits() & 0x83ff) + (w->type == MAT_F16 ? 0x3000u : 0x3c00u));
    if (w->type < MAT_FLOATS)
        return;
    const struct quant_columns columns = quant_columns(w);
    const size_t padded = quant_padded_rows(w->rows);
    for (size_t i = 0; i < padded * (size_t)quant_blocks(w->cols); i++)
        ((uint16_t *)columns.scale)[i] = (uint16_t)(0x3c00 + (random_bits() & 0xff));
    for (size_t i = 0; i < padded / QUANT_ROWS * (size_t)quant_groups(w->cols); i++) {
        const struct weight_type *const type = &weight_types[w->type];
        int8_t s[QUANT_ROWS];
        for (int r = 0; r < QUANT_ROWS; r++)
            s[r] = (int8_t)(type->s_low + random_below(type->s_high - type->s_low + 1));
        quant_pack_s(w->type, (uint8_t *)columns.s + i * quant_s_bytes(w->type), s);
    }
}

struct vector {
    float *x;
    struct quants q;
    struct active floats, quants;
};

/*
 * Returns a random vector of which the share `density` is not 0. huge: quantized elements have the
 * largest magnitude.
 */
static struct vector make_vector(int cols, double density, bool huge)
{
    struct vector v;
    v.x = guarded(4, (size_t)cols, sizeof(float), AT_END);
    v.q.q = guarded(5, (size_t)quant_cols(cols), 1, AT_START);
    v.q.scale = guarded(6, (size_t)quant_blocks(cols), sizeof(float), AT_END);
    v.q.sum = guarded(7, (size_t)quant_groups(cols), sizeof(int16_t), AT_END);
    v.floats.column = guarded(8, (size_t)cols, sizeof(int32_t), AT_END);
    v.quants.column = guarded(9, (size_t)cols, sizeof(int32_t), AT_END);
    for (int i = 0; i < cols; i++) {
        const float sign = random_bits() & 64 ? 1.0f : -1.0f;
        const bool zero = (double)random_below(1000) >= 1000 * density;
        v.x[i] = zero ? 0.0f : huge ? sign : (float)(int32_t)random_bits() * 0x1p-28f;
    }
    ref.quantize(v.q.q, v.q.scale, v.q.sum, v.x, cols);
    active_floats(&v.floats, v.x, cols);
    active_quants(&v.quants, &v.q, cols);
    return v;
}

static void run(const struct kernels *k, float *y, const struct mat *w, const struct vector *v, int begin, int end)
{
    if (w->type < MAT_FLOATS)
        k->column_gemv[w->type](y, w, v->x, &v->floats, begin, end);
    else
        k->quant_column_gemv[w->type](y, w, &v->q, &v->quants, begin, end);
}

static bool same(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!(a[i] == b[i] || (isnan(a[i]) && isnan(b[i])))) /* -0 equals +0 */
            return false;
    return true;
}

/* Multiplies by the row-major matrix that rows_of_columns makes. */
static void check_rows(const struct mat *w, const struct vector *v, const float *want)
{
    const size_t rows = (size_t)w->rows;
    void *memory = guarded(10, rows_of_columns_bytes(w, w->rows), 1, AT_END);
    float *y = guarded(11, rows, sizeof(float), AT_END);
    memset(memory, 0xa5, rows_of_columns_bytes(w, w->rows));
    const struct mat by_row = rows_of_columns(w, 0, w->rows, memory);
    CHECK(by_row.type == w->type && by_row.rows == w->rows && by_row.cols == w->cols && !by_row.by_column);
    if (w->type < MAT_FLOATS)
        ref.gemv[w->type](y, &by_row, v->x, 0, w->rows, &ref.tuning);
    else
        ref.quant_gemv[w->type](y, &by_row, &v->q, 0, w->rows, &ref.tuning);
    CHECK_MSG(same(want, y, rows), "type %d, %d x %d: column-major and row-major products differ", w->type, w->rows,
              w->cols);

    /* The last rows alone must equal those of the whole matrix. */
    const int begin = (w->rows - 1) / QUANT_SECTION * QUANT_SECTION, last = w->rows - begin;
    const size_t bytes = rows_of_columns_bytes(w, last);
    void *end = guarded(12, bytes, 1, AT_END);
    memset(end, 0xa5, bytes);
    rows_of_columns(w, begin, w->rows, end);
    CHECK_MSG(memcmp(end, (char *)memory + rows_of_columns_bytes(w, w->rows) - bytes, bytes) == 0,
              "type %d, %d x %d: rows from %d on", w->type, w->rows, w->cols, begin);
}

static void check_size(enum mat_type type, int rows, int cols)
{
    static const double densities[] = {0, 0.05, 0.15, 0.5, 1};
    struct mat w = {.type = type, .rows = rows, .cols = cols, .by_column = true};
    fill_matrix(&w, 0);
    for (size_t d = 0; d < sizeof densities / sizeof densities[0]; d++) {
        struct vector v = make_vector(cols, densities[d], d % 2 == 0);
        if (d == 1) { /* vector with a NaN */
            v.x[cols / 2] = NAN;
            ref.quantize(v.q.q, v.q.scale, v.q.sum, v.x, cols);
            active_floats(&v.floats, v.x, cols);
            active_quants(&v.quants, &v.q, cols);
        }
        const size_t n = (size_t)rows;
        float *want = guarded(2, n, sizeof(float), AT_END), *got = guarded(3, n, sizeof(float), AT_END);
        run(&ref, want, &w, &v, 0, rows);
        check_rows(&w, &v, want);
        for (int i = 0; kernels_supported(i); i++) {
            struct kernels tier;
            CHECK(kernels_init(&tier, kernels_supported(i)));
            const int cut = rows > 64 ? rows / 2 / 64 * 64 : 0;
            memset(got, 0xff, n * sizeof *got);
            run(&tier, got, &w, &v, cut, rows);
            run(&tier, got, &w, &v, 0, cut);
            CHECK_MSG(same(want, got, n), "%s: type %d, %d x %d, density %g", tier.name, type, rows, cols,
                      densities[d]);
        }
    }
}

static void test_sizes(void)
{
    static const int sizes[][2] = {{1, 1},    {3, 31},    {16, 32},   {17, 33},   {63, 65},   {64, 64},  {65, 100},
                                   {130, 95}, {128, 256}, {200, 257}, {513, 300}, {600, 520}, {7, 1030}, {2113, 70}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (enum mat_type type = 0; type < MAT_TYPES; type++)
            check_size(type, sizes[i][0], sizes[i][1]);
}

/* The generic transpose_group_any must give the same groups as the functions written for a type. */
static void test_any_type(void)
{
    enum { GROUPS = 4, COLS = GROUPS * QUANT_GROUP };
    for (enum mat_type type = MAT_FLOATS; type < MAT_TYPES; type++)
        for (int tiles = 1; tiles <= QUANT_SECTION / QUANT_ROWS; tiles++) {
            struct mat w = {.type = type, .rows = tiles * QUANT_ROWS, .cols = COLS, .by_column = true};
            fill_matrix(&w, 0);
            const struct mat by_row =
                rows_of_columns(&w, 0, w.rows, guarded(1, rows_of_columns_bytes(&w, w.rows), 1, AT_END));
            const size_t bytes = quant_group_bytes(type), next = bytes + 3;
            for (int g = 0; g < GROUPS; g++) {
                uint8_t *to = guarded(2, (size_t)(tiles - 1) * next + bytes, 1, AT_END);
                const uint8_t *columns[QUANT_GROUP];
                for (int c = 0; c < QUANT_GROUP; c++)
                    columns[c] = quant_columns(&w).q + (size_t)(g * QUANT_GROUP + c) * quant_column_bytes(type, w.rows);
                transpose_group_any(type, to, next, tiles, columns);
                for (int t = 0; t < tiles; t++)
                    CHECK_MSG(memcmp(to + (size_t)t * next, quant_tile(&by_row, t).q + (size_t)g * bytes, bytes) == 0,
                              "%s, tile %d of %d, group %d", weight_types[type].name, t, tiles, g);
            }
        }
}

int main(int argc, char **argv)
{
    const unsigned seed = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : (unsigned)getpid();
    printf("seed %u\n", seed);
    random_seed(seed);
    CHECK(guarded_open());
    CHECK(kernels_init(&ref, "ref"));
    RUN(test_sizes);
    RUN(test_any_type);
    return test_end();
}
