/*
 * quantize.c - quantizes matrices of floats or of ggml's blocks to the layouts of kernels/quants.h
 * during loading.
 *
 * kernels/types.c quantizes sixteen rows of a block at a time. The integers depend only on the
 * weights and the type, not on the number of threads or the order of the work.
 */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/transpose.h"
#include "kernels/quants.h"
#include "weights/weights.h"

enum { ROWS = QUANT_ROWS, GROUP = QUANT_GROUP, BLOCK = QUANT_BLOCK, GROUPS = QUANT_BLOCK / QUANT_GROUP };

static void store_tile(const struct mat *to, int tile, int block, const struct quant_block *from)
{
    const struct weight_type *const type = &weight_types[to->type];
    const struct quant_tile t = quant_tile(to, tile);
    memcpy((uint16_t *)t.scale + block * ROWS, from->scale, sizeof from->scale);
    for (int g = 0; g < quant_groups_of(to->cols, block); g++) {
        const size_t at = (size_t)block * GROUPS + (size_t)g;
        quant_group q; /* [column / 4][row][column % 4]: four columns of a row stay together */
        transpose(q, ROWS, from->q[0] + g * GROUP, BLOCK / 4, ROWS, GROUP / 4, 4);
        type->pack_group((uint8_t *)t.q + at * quant_group_bytes(to->type), q);
        quant_pack_s(to->type, (uint8_t *)t.s + at * quant_s_bytes(to->type), from->s[g]);
    }
}

/*
 * Stores a block of a column-major matrix. Tiles share no bytes, so threads may store neighbouring
 * tiles concurrently.
 */
static void store_columns(const struct mat *to, int tile, int block, const struct quant_block *from)
{
    const struct weight_type *const type = &weight_types[to->type];
    const struct quant_columns columns = quant_columns(to);
    const size_t padded = quant_padded_rows(to->rows), stride = quant_column_bytes(to->type, to->rows);
    const size_t row = (size_t)tile * ROWS, section = row / QUANT_SECTION;
    const int part = tile % (QUANT_SECTION / ROWS);
    memcpy((uint16_t *)columns.scale + (size_t)block * padded + row, from->scale, sizeof from->scale);
    for (int g = 0; g < quant_groups_of(to->cols, block); g++)
        quant_pack_s(to->type,
                     (uint8_t *)columns.s +
                         ((size_t)(block * GROUPS + g) * padded + row) / ROWS * quant_s_bytes(to->type),
                     from->s[g]);
    for (int c = 0; c < BLOCK && block * BLOCK + c < to->cols; c += 4) {
        int8_t four[ROWS][4], q[4][ROWS];
        for (int r = 0; r < ROWS; r++)
            memcpy(four[r], from->q[r] + c, sizeof four[r]);
        for (int i = 0; i < 4; i++)
            for (int r = 0; r < ROWS; r++)
                q[i][r] = four[r][i];
        for (int i = 0; i < 4 && block * BLOCK + c + i < to->cols; i++)
            type->pack_rows((uint8_t *)columns.q + (size_t)(block * BLOCK + c + i) * stride +
                                section * (QUANT_SECTION / 8) * (size_t)type->bits,
                            part, q[i]);
    }
}

/*
 * w [16][BLOCK] = the block at `rows`, padded with zeroes. Numbers that are not finite become 0;
 * bad[r] tells whether row r has any.
 */
static void copy_block(float (*w)[BLOCK], bool bad[ROWS], const float *rows, int cols, int columns, int count)
{
    memset(w, 0, (size_t)ROWS * sizeof *w);
    for (int r = 0; r < count; r++)
        for (int c = 0; c < columns; c++) {
            const float x = rows[(size_t)r * (size_t)cols + (size_t)c];
            w[r][c] = isfinite(x) ? x : 0.0f;
            bad[r] = bad[r] || !isfinite(x);
        }
}

/*
 * Finds the largest magnitude of each row. Returns false if a number is not finite.
 */
static bool find_peaks(const struct kernels *k, float peaks[ROWS], const float *w, size_t stride, int columns)
{
    bool finite = true;
    for (int r = 0; r < ROWS; r++) {
        peaks[r] = k->peak(w + (size_t)r * stride, columns);
        finite = finite && peaks[r] < INFINITY;
    }
    return finite;
}

/*
 * rows: floats [16][cols] of the tile; only `count` rows exist. The memory of `to` must be zeroed.
 * Almost all blocks are complete and finite; these are quantized without a copy.
 */
void quantize_tile(const struct kernels *k, const struct mat *to, int tile, const float *rows, int count)
{
    const int cols = to->cols;
    float copy[ROWS][BLOCK], peaks[ROWS];
    struct quant_block made;
    for (int b = 0; b < quant_blocks(cols); b++) {
        const float *w = rows + b * BLOCK;
        size_t stride = (size_t)cols;
        const int left = cols - b * BLOCK, columns = left < BLOCK ? left : BLOCK;
        const int padded = quant_groups_of(cols, b) * GROUP;
        bool bad[ROWS] = {false};
        if (count < ROWS || columns < padded || !find_peaks(k, peaks, w, stride, columns)) {
            copy_block(copy, bad, w, cols, columns, count);
            w = copy[0];
            stride = BLOCK;
            find_peaks(k, peaks, w, stride, padded);
        }
        weight_types[to->type].quantize(k, w, stride, padded, peaks, &made);
        for (int r = 0; r < ROWS; r++)
            made.scale[r] = bad[r] ? QUANT_SCALE_NAN : made.scale[r];
        (to->by_column ? store_columns : store_tile)(to, tile, b, &made);
    }
}

/* --- all matrices of a model; the threads share the tiles --- */

struct task {
    struct mat *mat; /* the original; replaced after all threads have finished */
    struct mat made;
    int first; /* index of its first tile among all tiles */
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
    _Atomic(bool) cancelled; /* by the progress callback */
};

/*
 * Quantizes tiles [begin, end) of a matrix and releases the pages that were read. rows [16][cols]:
 * scratch.
 */
static void quantize_tiles(struct job *job, const struct task *task, int begin, int end, float *rows)
{
    const struct kernels *k = &job->model->compute->kernels;
    const struct mat *from = task->mat;
    const size_t bytes = mat_bytes(from) / (size_t)from->rows;
    const uint8_t *source = from->type == MAT_GGML ? ((const struct tensor *)from->data)->data : from->data;
    int row = begin * ROWS;
    for (int tile = begin; tile < end; tile++) {
        const int count = from->rows - row < ROWS ? from->rows - row : ROWS;
        mat_rows(k, from, (size_t)row, count, rows);
        quantize_tile(k, &task->made, tile, rows, count);
        row += count;
    }
    const size_t first = (size_t)begin * ROWS, read = ((size_t)row - first) * bytes;
    model_release(job->model, source + first * bytes, read);
    job->finished += read;
}

static void quantize_worker(void *arg, struct pool *pool, int rank)
{
    struct job *job = arg;
    int begin, end, at = 0;
    while (!job->cancelled && pool_take(pool, job->tiles, QUANTIZE_TASK_TILES, &begin, &end)) {
        for (int tile = begin, next; tile < end; tile = next) {
            while (at + 1 < job->count && job->tasks[at + 1].first <= tile)
                at++;
            const struct task *task = &job->tasks[at];
            next = at + 1 < job->count && job->tasks[at + 1].first < end ? job->tasks[at + 1].first : end;
            quantize_tiles(job, task, tile - task->first, next - task->first, job->rows[rank]);
        }
        if (rank == 0 && job->opt->progress && !job->opt->progress(job->opt->progress_arg, job->finished, job->total))
            job->cancelled = true;
    }
}

bool quantize_form(const struct weight *w, enum mat_type type, struct mat *out)
{
    const enum weight_kind kind = w->spec->kind;
    if (kind_is_vector(kind) || kind == WEIGHT_TABLE)
        return false;
    /*
     * The head and the low-rank factors stay at 8 bits: fewer bits would cost the most accuracy
     * there and save the least memory.
     */
    const bool fine = type == MAT_GGML || kind == WEIGHT_FACTOR || kind == WEIGHT_ORIENTED || w->layer < 0;
    out->type = fine ? MAT_FINE : type;
    out->by_column = kind == WEIGHT_SPARSE;
    return true;
}

/* Collects the matrices to quantize as tasks and allocates memory for their integers. */
static enum rwkv7_status plan(struct job *job, enum mat_type type, struct rwkv7_error *err)
{
    struct rwkv7_model *model = job->model;
    struct weight w = WEIGHT_BEFORE_FIRST;
    while (weight_next(model->weights, &model->shape, &w)) {
        struct mat *m = weight_mat(model, &w), made = {0};
        if (!quantize_form(&w, type, &made) || !m->data)
            continue;
        if (m->type != MAT_GGML && (m->type >= MAT_FLOATS || type == MAT_GGML))
            continue;
        if (quant_tiles(m->rows) > INT_MAX - job->tiles)
            return fail(err, RWKV7_ERR_MODEL, "%s: its matrices have more than %d rows in total", model->path, INT_MAX);
        made.rows = m->rows;
        made.cols = m->cols;
        made.by_column = made.by_column && job->opt->sparse != RWKV7_SPARSE_OFF;
        if (!(made.data = model_block(model, mat_bytes(&made))))
            return fail_memory(err, "the quantized weights");
        job->tasks[job->count++] = (struct task){m, made, job->tiles};
        job->tiles += quant_tiles(m->rows);
        job->total += mat_bytes(m);
        job->cols = m->cols > job->cols ? m->cols : job->cols;
    }
    return RWKV7_OK;
}

enum rwkv7_status model_quantize(struct rwkv7_model *model, enum mat_type type, const struct rwkv7_model_options *opt,
                                 struct rwkv7_error *err)
{
    const int threads = pool_threads(model->compute->pool);
    const size_t layers = (size_t)model->shape.layers;
    struct job job = {.model = model, .opt = opt};
    enum rwkv7_status status = RWKV7_OK;

    job.tasks = mem_alloc(layers * model->weights->layer_count + model->weights->outer_count, sizeof *job.tasks);
    job.rows = mem_alloc((size_t)threads, sizeof *job.rows);
    if (!job.tasks || !job.rows) {
        status = fail_memory(err, "the quantized weights");
        goto done;
    }
    if ((status = plan(&job, type, err)) != RWKV7_OK)
        goto done;
    for (int i = 0; i < threads; i++)
        if (!(job.rows[i] = mem_alloc((size_t)job.cols, ROWS * sizeof(float)))) {
            status = fail_memory(err, "the quantized weights");
            goto done;
        }
    pool_run(model->compute->pool, quantize_worker, &job);
    if (job.cancelled) {
        status = fail(err, RWKV7_ERR_STOPPED, "%s: loading was cancelled", model->path);
        goto done;
    }
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

/*
 * Returns the integer type that a file was quantized to; MAT_TYPES if none. Every such file has
 * matrices of MAT_FINE, so any other integer type takes precedence.
 */
static enum mat_type stored_integers(const struct rwkv7_model_info *info)
{
    for (enum mat_type type = MAT_FLOATS; type < MAT_TYPES; type++)
        if (type != MAT_FINE && info->type_parameters[type] > 0)
            return type;
    return info->type_parameters[MAT_FINE] > 0 ? MAT_FINE : MAT_TYPES;
}

enum rwkv7_status model_pack(struct rwkv7_model *model, const struct rwkv7_model_options *opt, struct rwkv7_error *err)
{
    if (opt->weights != RWKV7_WEIGHTS_STORED) {
        const enum mat_type type = weights_type(opt->weights), stored = stored_integers(&model->info);
        if (stored != MAT_TYPES && stored != type)
            return fail(err, RWKV7_ERR_USAGE, "%s: already quantized to %s; convert from the original", model->path,
                        weight_types[stored].name);
        return model_quantize(model, type, opt, err);
    }
    enum rwkv7_status status = RWKV7_OK;
    if (model->info.type_parameters[MAT_GGML] > 0)
        status = model_quantize(model, MAT_GGML, opt, err);
    if (status == RWKV7_OK && opt->sparse == RWKV7_SPARSE_ON)
        status = model_store_columns(model, opt, err);
    return status;
}
