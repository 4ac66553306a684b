/*
 * quantize.c - matrices of floats, or of ggml's integers, to the integers of kernels/quants.h, while loading.
 *
 * Which integers stand for a matrix is part of the numeric promise, so everything here is defined down to the bit: single float32
 * operations, sums in the order of the columns. The sixteen rows of a tile are worked on side by side, and the loops that take most
 * of the time are kernels.
 *
 * Q8: the scale makes the largest number of a block 127. Q4: for each group, a few factors are tried that map its largest number
 * near -8; for the integers that each gives, the best factor is a quotient of two sums (least squares), and the trial with the
 * smallest squared error wins. The block's scale lets the largest of its factors be 15; the others are rounded to integers of it.
 */
#include <math.h>
#include <string.h>

#include "base/half.h"
#include "base/mem.h"
#include "kernels/quants.h"
#include "weights/weights.h"

enum { ROWS = QUANT_ROWS, GROUP = QUANT_GROUP, BLOCK = QUANT_BLOCK, GROUPS = QUANT_BLOCK / QUANT_GROUP };

/* To the nearest integer, ties to even, for |x| < 2^22. */
static inline float nearest(float x)
{
    return (x + 0x1.8p23f) - 0x1.8p23f;
}

static inline float clamp(float x, float low, float high)
{
    x = x < low ? low : x;
    return x > high ? high : x;
}

/* The upper half of a float32, rounded away from zero. */
static uint16_t scale_up(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (uint16_t)((bits + 0xffff) >> 16);
}

#define SCALE_NAN 0x7fc0

/* One block of a tile: w [columns][16], columns <= 256, a multiple of 32. scale [16]. q: the integers [columns][16]. */
static void quantise_q8(const struct kernels *k, const float (*w)[ROWS], int columns, uint16_t *scale,
                        int8_t (*q)[ROWS])
{
    float most[ROWS] = {0}, inverse[ROWS];
    for (int c = 0; c < columns; c++)
        for (int r = 0; r < ROWS; r++)
            most[r] = fabsf(w[c][r]) > most[r] ? fabsf(w[c][r]) : most[r];
    for (int r = 0; r < ROWS; r++) {
        scale[r] = most[r] < QUANT_LEAST ? 0 : scale_up(most[r] / 127.0f);
        inverse[r] = scale[r] ? 1.0f / bf16_to_f32(scale[r]) : 0.0f;
    }
    k->round_rows(q[0], w[0], inverse, columns, -127.0f, 127.0f);
}

/* The same for Q4; s [groups][16]. */
static void quantise_q4(const struct kernels *k, const float (*w)[ROWS], int columns, uint16_t *scale, int8_t *s,
                        int8_t (*q)[ROWS])
{
    float factor[GROUPS][ROWS], most[ROWS] = {0};
    for (int g = 0; g < columns / GROUP; g++) {
        k->fit_rows(factor[g], w[g * GROUP]);
        for (int r = 0; r < ROWS; r++)
            most[r] = fabsf(factor[g][r]) > most[r] ? fabsf(factor[g][r]) : most[r];
    }
    for (int r = 0; r < ROWS; r++)
        scale[r] = most[r] < QUANT_LEAST ? 0 : most[r] < INFINITY ? scale_up(most[r] / 15.0f) : SCALE_NAN;
    for (int g = 0; g < columns / GROUP; g++) {
        float inverse[ROWS];
        for (int r = 0; r < ROWS; r++) {
            const float unit = bf16_to_f32(scale[r]);
            const bool usable =
                scale[r] != 0 && scale[r] != SCALE_NAN; /* numbers of 1e36 make sums of squares overflow */
            const float whole = usable ? clamp(nearest(factor[g][r] / unit), -15.0f, 15.0f) : 0.0f;
            s[g * ROWS + r] = (int8_t)whole;
            inverse[r] = whole == 0.0f ? 0.0f : 1.0f / (whole * unit);
        }
        k->round_rows(q[g * GROUP], w[g * GROUP], inverse, GROUP, -8.0f, 7.0f);
    }
}

/* The integers of one group in the order of the tile. */
static void store_group(enum mat_type type, const int8_t (*q)[ROWS], uint8_t *to)
{
    for (int c = 0; c < GROUP; c++)
        for (int r = 0; r < ROWS; r++) {
            const int vector = c / 4, lane = 4 * r + c % 4;
            if (type == MAT_Q8)
                to[64 * vector + lane] = (uint8_t)q[c][r];
            else if (vector < 4)
                to[64 * vector + lane] = (uint8_t)(q[c][r] + 8);
            else
                to[64 * (vector - 4) + lane] |= (uint8_t)((q[c][r] + 8) << 4);
        }
}

static void store_tile(const struct mat *to, int tile, int block, const uint16_t *scale, const int8_t *s,
                       const int8_t (*q)[ROWS])
{
    const struct quant_tile t = quant_tile(to, tile);
    const int groups = quant_groups_of(to->cols, block);
    memcpy((uint16_t *)t.scale + block * ROWS, scale, ROWS * sizeof *scale);
    if (to->type == MAT_Q4)
        memcpy((int8_t *)t.s + block * GROUPS * ROWS, s, (size_t)groups * ROWS);
    for (int g = 0; g < groups; g++)
        store_group(to->type, q + g * GROUP,
                    (uint8_t *)t.q + (size_t)(block * GROUPS + g) * quant_group_bytes(to->type));
}

/* The same in a matrix by column. */
static void store_columns(const struct mat *to, int tile, int block, const uint16_t *scale, const int8_t *s,
                          const int8_t (*q)[ROWS])
{
    const struct quant_columns columns = quant_columns(to);
    const size_t padded = quant_padded_rows(to->rows), stride = quant_column_bytes(to->type, to->rows);
    const size_t row = (size_t)tile * ROWS;
    memcpy((uint16_t *)columns.scale + (size_t)block * padded + row, scale, ROWS * sizeof *scale);
    for (int g = 0; to->type == MAT_Q4 && g < quant_groups_of(to->cols, block); g++)
        memcpy((int8_t *)columns.s + (size_t)(block * GROUPS + g) * padded + row, s + g * ROWS, ROWS);
    for (int c = 0; c < BLOCK && block * BLOCK + c < to->cols; c++) {
        uint8_t *at = (uint8_t *)columns.q + (size_t)(block * BLOCK + c) * stride;
        if (to->type == MAT_Q8)
            memcpy(at + row, q[c], ROWS);
        else
            for (int r = 0; r < ROWS / 2; r++)
                at[row / 2 + (size_t)r] = (uint8_t)((q[c][r] + 8) | (q[c][r + ROWS / 2] + 8) << 4);
    }
}

/* Row r of w [columns][16]. A number that is not finite becomes 0, and the answer false. */
static bool turn_row(float (*w)[ROWS], int r, const float *row, int columns)
{
    bool finite = true;
    for (int c = 0; c < columns; c++)
        finite &= fabsf(row[c]) < INFINITY;
    for (int c = 0; c < columns; c++)
        w[c][r] = finite || isfinite(row[c]) ? row[c] : 0.0f;
    return finite;
}

/* rows: floats [16][cols] of the tile, of which `count` exist. The memory of `to` was zero. */
void quantise_tile(const struct kernels *k, const struct mat *to, int tile, const float *rows, int count)
{
    const int cols = to->cols;
    float w[BLOCK][ROWS];
    int8_t q[BLOCK][ROWS];
    for (int b = 0; b < quant_blocks(cols); b++) {
        const int first = b * BLOCK, groups = quant_groups_of(cols, b);
        const int columns = cols - first < BLOCK ? cols - first : BLOCK;
        bool bad[ROWS] = {false};
        uint16_t scale[ROWS];
        int8_t s[GROUPS * ROWS];
        memset(w, 0, sizeof w);
        for (int r = 0; r < count; r++)
            bad[r] = !turn_row(w, r, rows + (size_t)r * (size_t)cols + first, columns);
        if (to->type == MAT_Q8)
            quantise_q8(k, (const float(*)[ROWS])w, groups * GROUP, scale, q);
        else
            quantise_q4(k, (const float(*)[ROWS])w, groups * GROUP, scale, s, q);
        for (int r = 0; r < ROWS; r++)
            scale[r] = bad[r] ? SCALE_NAN : scale[r];
        (to->by_column ? store_columns : store_tile)(to, tile, b, scale, s, (const int8_t(*)[ROWS])q);
    }
}

/* --- a whole model, all threads over the tiles of all matrices --- */

struct task {
    struct mat *mat; /* as it was, until its replacement is complete */
    struct mat made;
    int first; /* its first tile in the numbering of all */
};

struct job {
    struct rwkv7_model *model;
    const struct rwkv7_model_options *opt;
    struct task *tasks;
    int count, tiles;
    int cols;       /* of the widest matrix */
    float **rows;   /* [threads] -> [16][cols] */
    uint64_t total; /* bytes read */
    _Atomic(uint64_t) finished;
};

static void quantise_worker(void *arg, struct pool *pool, int rank)
{
    struct job *job = arg;
    int begin, end, at = 0;
    while (pool_take(pool, job->tiles, 4, &begin, &end)) {
        for (int tile = begin; tile < end; tile++) {
            while (at + 1 < job->count && job->tasks[at + 1].first <= tile)
                at++;
            const struct task *task = &job->tasks[at];
            const struct mat *from = task->mat;
            const int row = (tile - task->first) * ROWS, count = from->rows - row < ROWS ? from->rows - row : ROWS;
            const size_t bytes = mat_bytes(from) / (size_t)from->rows;
            const uint8_t *source = from->type == MAT_GGML ? ((const struct tensor *)from->data)->data : from->data;
            mat_rows(&job->model->rt->kernels, from, (size_t)row, count, job->rows[rank]);
            quantise_tile(&job->model->rt->kernels, &task->made, tile - task->first, job->rows[rank], count);
            model_release(job->model, source + (size_t)row * bytes, (size_t)count * bytes);
            job->finished += (uint64_t)count * bytes;
        }
        if (rank == 0 && job->opt->progress)
            job->opt->progress(job->opt->progress_arg, job->finished, job->total);
    }
}

bool quantise_form(const struct weight *w, enum mat_type type, struct mat *out)
{
    const enum weight_kind kind = w->spec->kind;
    if (kind_is_vector(kind) || kind == WEIGHT_TABLE)
        return false;
    /* What 4 bits would hurt most and gain least stays at 8: the head and the low-rank factors. */
    const bool fine = type == MAT_GGML || kind == WEIGHT_FACTOR || kind == WEIGHT_ORIENTED || w->layer < 0;
    out->type = fine ? MAT_Q8 : type;
    out->by_column = kind == WEIGHT_SPARSE;
    return true;
}

/* The matrices that the request concerns become tasks; their integers get memory. */
static enum rwkv7_status plan(struct job *job, enum mat_type type, struct rwkv7_error *err)
{
    struct rwkv7_model *model = job->model;
    struct weight w = WEIGHT_BEFORE_FIRST;
    while (weight_next(model->weights, &model->shape, &w)) {
        struct mat *m = weight_mat(model, &w), made = {0};
        if (!quantise_form(&w, type, &made) || !m->data)
            continue;
        if (m->type != MAT_GGML && (m->type >= MAT_FLOATS || type == MAT_GGML))
            continue;
        made.rows = m->rows;
        made.cols = m->cols;
        made.by_column = made.by_column && job->opt->sparse != RWKV7_SPARSE_OFF;
        if (!(made.data = model_block(model, mat_bytes(&made))))
            return fail_memory(err, "the quantised weights");
        job->tasks[job->count++] = (struct task){m, made, job->tiles};
        job->tiles += quant_tiles(m->rows);
        job->total += mat_bytes(m);
        job->cols = m->cols > job->cols ? m->cols : job->cols;
    }
    return RWKV7_OK;
}

enum rwkv7_status model_quantise(struct rwkv7_model *model, enum mat_type type, const struct rwkv7_model_options *opt,
                                 struct rwkv7_error *err)
{
    const int threads = pool_threads(model->rt->pool);
    const size_t layers = (size_t)model->shape.layers;
    struct job job = {.model = model, .opt = opt};
    enum rwkv7_status status = RWKV7_OK;

    job.tasks = mem_alloc(layers * model->weights->layer_count + model->weights->outer_count, sizeof *job.tasks);
    job.rows = mem_alloc((size_t)threads, sizeof *job.rows);
    if (!job.tasks || !job.rows) {
        status = fail_memory(err, "the quantised weights");
        goto done;
    }
    if ((status = plan(&job, type, err)) != RWKV7_OK)
        goto done;
    for (int i = 0; i < threads; i++)
        if (!(job.rows[i] = mem_alloc((size_t)job.cols, ROWS * sizeof(float)))) {
            status = fail_memory(err, "the quantised weights");
            goto done;
        }
    pool_run(model->rt->pool, quantise_worker, &job);
    for (int i = 0; i < job.count; i++) {
        struct task *t = &job.tasks[i];
        const uint64_t numbers = (uint64_t)t->made.rows * (uint64_t)t->made.cols;
        model->info.type_parameters[t->mat->type] -= numbers;
        model->info.type_parameters[t->made.type] += numbers;
        model->info.copied_bytes += mat_bytes(&t->made);
        if (model_block_free(model, t->mat->data))
            model->info.copied_bytes -= mat_bytes(t->mat);
        *t->mat = t->made;
    }
done:
    for (int i = 0; job.rows && i < threads; i++)
        mem_free(job.rows[i]);
    mem_free(job.rows);
    mem_free(job.tasks);
    return status;
}

enum rwkv7_status model_pack(struct rwkv7_model *model, const struct rwkv7_model_options *opt, struct rwkv7_error *err)
{
    static const struct rwkv7_model_options defaults;
    if (!opt)
        opt = &defaults;
    const uint64_t q8 = model->info.type_parameters[RWKV7_Q8], q4 = model->info.type_parameters[RWKV7_Q4];
    if ((opt->weights == RWKV7_WEIGHTS_Q8 && q4 > 0) || (opt->weights == RWKV7_WEIGHTS_Q4 && q8 > 0 && q4 == 0))
        return fail(err, RWKV7_ERR_USAGE, "%s: its weights are %s already; others are made of the original",
                    model->path, q4 > 0 ? "q4" : "q8");
    if (opt->weights != RWKV7_WEIGHTS_STORED)
        return model_quantise(model, opt->weights == RWKV7_WEIGHTS_Q8 ? MAT_Q8 : MAT_Q4, opt, err);
    enum rwkv7_status status = RWKV7_OK;
    if (model->info.type_parameters[MAT_GGML] > 0)
        status = model_quantise(model, MAT_GGML, opt, err);
    if (status == RWKV7_OK && opt->sparse == RWKV7_SPARSE_ON)
        status = model_store_columns(model, opt, err);
    return status;
}
