/*
 * random.c - creates a model of any shape with random weights, for benchmarks without a download.
 *
 * The scales keep all values in a realistic range: decays over most of (0.55, 1), rates and gates
 * over (0, 1), a bounded state, and logits of a few units. Each number depends only on the seed,
 * the weight and its position, not on the number of threads.
 */
#include <stdio.h>
#include <string.h>

#include "base/cpus.h"
#include "base/half.h"
#include "base/mem.h"
#include "base/splitmix.h"
#include "base/sys.h"
#include "weights/weights.h"

/* Returns the n-th output of the generator, so that a thread can start at any position. */
static uint64_t nth(uint64_t seed, uint64_t n)
{
    return splitmix_hash(seed + (n + 1) * SPLITMIX_STEP);
}

/* Returns the uniform range of a vector by the end of its name; the default is (-0.15, 0.15). */
static void vector_range(const char *name, float *low, float *high)
{
    static const struct {
        const char *end;
        float low, high;
    } ranges[] = {
        {".weight", 0.75f, 1.25f}, {".w0", -5.0f, 3.0f}, {".a0", -2.0f, 2.0f},  {".v0", -1.5f, 1.5f},
        {".k_k", 0.4f, 1.1f},      {".k_a", 0.6f, 1.3f}, {".r_k", -0.3f, 0.3f}, {".x_r", 0.0f, 1.0f},
        {".x_w", 0.0f, 1.0f},      {".x_k", 0.0f, 1.0f}, {".x_v", 0.0f, 1.0f},  {".x_a", 0.0f, 1.0f},
        {".x_g", 0.0f, 1.0f},      {".s0", 0.5f, 1.5f},
    };
    const size_t n = strlen(name);
    *low = -0.15f;
    *high = 0.15f;
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        const size_t e = strlen(ranges[i].end);
        if (n >= e && strcmp(name + n - e, ranges[i].end) == 0) {
            *low = ranges[i].low;
            *high = ranges[i].high;
        }
    }
}

struct fill {
    enum mat_type type;
    void *to;
    size_t count;
    float spread; /* uniform in (-spread, spread) */
    uint64_t seed;
    int cols;
    float density; /* see row_offset; 0: no offset */
};

/*
 * Returns the offset added to the numbers of a row of ffn.key. It sets how many channels are zero
 * after ReLU. With a bias of 1 in the preceding norm, it shifts the output of the row by 8 standard
 * deviations: up for the fraction `density` of the rows, down for the others.
 */
static float row_offset(const struct fill *f, size_t row)
{
    const float place = (float)(nth(~f->seed, row) >> 40) * 0x1p-24f;
    return f->density == 0 ? 0.0f : (place < f->density ? 8.0f : -8.0f) / (float)f->cols;
}

/* Fills four numbers from each 64-bit output. */
static void fill_range(const struct fill *f, size_t begin, size_t end)
{
    float *f32 = f->to;
    uint16_t *half = f->to;
    const float scale = f->spread / 32768.0f;
    const size_t cols = (size_t)f->cols;
    uint64_t bits = 0;
    float offset = 0;
    for (size_t i = begin; i < end; i++) {
        bits = i % 4 == 0 ? nth(f->seed, i / 4) : bits >> 16;
        if (i == begin || i % cols == 0)
            offset = row_offset(f, i / cols);
        const float x = ((float)(int)(bits & 0xffff) - 32767.5f) * scale + offset;
        if (f->type == MAT_F32)
            f32[i] = x;
        else
            half[i] = f->type == MAT_BF16 ? f32_to_bf16(x) : f32_to_f16(x);
    }
}

static void fill_worker(void *arg, struct pool *pool, int rank)
{
    (void)rank;
    const struct fill *f = arg;
    const int tasks = (int)((f->count + RANDOM_TASK_NUMBERS - 1) / RANDOM_TASK_NUMBERS);
    int begin, end;
    while (pool_take(pool, tasks, 1, &begin, &end)) {
        const size_t to = (size_t)end * RANDOM_TASK_NUMBERS;
        fill_range(f, (size_t)begin * RANDOM_TASK_NUMBERS, to < f->count ? to : f->count);
    }
}

/*
 * Computes 1 / sqrt(n) without libm, whose last bits differ between systems: two Newton steps,
 * accurate enough for a scale.
 */
static float inverse_root(int n)
{
    float y = 1.0f;
    while (y * y * (float)n > 1.0f)
        y *= 0.5f;
    for (int i = 0; i < 4; i++)
        y = y * (1.5f - 0.5f * (float)n * y * y);
    return y;
}

static void fill_vector(const struct rwkv7_shape *s, const struct weight *w, float *x, uint64_t seed, float density)
{
    const size_t count = (size_t)shape_axis(s, w->spec->rows);
    float low, high;
    vector_range(w->spec->blinkdl, &low, &high);
    if (density > 0 && strcmp(w->spec->blinkdl, "ln2.bias") == 0)
        low = high = 1.0f;
    for (size_t i = 0; i < count; i++)
        x[i] = low + (high - low) * ((float)(nth(seed, i) >> 40) * 0x1p-24f);
    weight_transform(s, w->spec, x);
}

static void fill_matrix(struct rwkv7_model *model, const struct weight *w, const struct mat *m, uint64_t seed,
                        float density)
{
    const bool is_key = strcmp(w->spec->blinkdl, "ffn.key.weight") == 0;
    /*
     * Uniform numbers with standard deviation 1 / sqrt(cols) preserve the norm of the vector that
     * they multiply.
     */
    struct fill f = {
        m->type, (void *)m->data,     (size_t)m->rows * (size_t)m->cols, 1.7f * inverse_root(m->cols), seed,
        m->cols, is_key ? density : 0};
    pool_run(model->compute->pool, fill_worker, &f);
}

enum rwkv7_status weights_random(struct rwkv7_model *model, const struct rwkv7_random_options *opt,
                                 struct rwkv7_error *err)
{
    const struct rwkv7_shape *s = &model->shape;
    struct weight w = WEIGHT_BEFORE_FIRST;
    while (weight_next(model->weights, s, &w)) {
        const bool is_vector = kind_is_vector(w.spec->kind);
        const enum rwkv7_type type = is_vector ? RWKV7_F32 : opt->type;
        struct mat m = {.type = (enum mat_type)type,
                        .rows = is_vector ? (int)vector_floats(s, w.spec) : shape_axis(s, w.spec->rows),
                        .cols = is_vector ? 1 : shape_axis(s, w.spec->cols)};
        const uint64_t seed = splitmix_hash(opt->seed ^ splitmix_hash((uint64_t)(w.layer + 1) << 32 | w.number));
        if (!(m.data = model_block(model, mat_bytes(&m))))
            return fail_memory(err, "random weights");
        model->info.tensors++;
        model->info.type_parameters[type] += (uint64_t)m.rows * (uint64_t)m.cols;
        if (is_vector) {
            fill_vector(s, &w, (float *)m.data, seed, opt->ffn_density);
            *weight_vector(model, &w) = m.data;
        } else {
            fill_matrix(model, &w, &m, seed, opt->ffn_density);
            *weight_mat(model, &w) = m;
        }
    }
    return RWKV7_OK;
}

void weights_random_outline(struct rwkv7_model *model, enum rwkv7_type type, const struct rwkv7_model_options *opt)
{
    /*
     * model_count counts only weights with data. The head gets another address than the embedding,
     * because equal addresses would mean that they are tied.
     */
    static const char placeholder[2];
    const struct rwkv7_shape *s = &model->shape;
    struct weight w = WEIGHT_BEFORE_FIRST;
    while (weight_next(model->weights, s, &w)) {
        const bool is_vector = kind_is_vector(w.spec->kind), is_sparse = w.spec->kind == WEIGHT_SPARSE;
        struct mat m = {.type = is_vector ? MAT_F32 : (enum mat_type)type};
        m.data = placeholder + (w.spec->kind == WEIGHT_TABLE);
        m.rows = is_vector ? (int)vector_floats(s, w.spec) : shape_axis(s, w.spec->rows);
        m.cols = is_vector ? 1 : shape_axis(s, w.spec->cols);
        if (opt->weights != RWKV7_WEIGHTS_STORED)
            quantize_form(&w, weights_type(opt->weights), &m);
        m.by_column = is_sparse && (opt->weights != RWKV7_WEIGHTS_STORED ? opt->sparse != RWKV7_SPARSE_OFF
                                                                         : opt->sparse == RWKV7_SPARSE_ON);
        model->info.tensors++;
        model->info.type_parameters[m.type] += (uint64_t)m.rows * (uint64_t)m.cols;
        if (is_vector)
            *weight_vector(model, &w) = (const float *)(const void *)placeholder;
        else
            *weight_mat(model, &w) = m;
    }
}

/*
 * Pages are backed only when they are written. Without this check, the OOM killer would end the
 * process while it fills a model that is too large.
 */
enum rwkv7_status weights_random_fit(const struct weight_table *table, const struct rwkv7_shape *s,
                                     enum rwkv7_type type, struct rwkv7_error *err)
{
    const uint64_t physical = sys_physical_memory(), size = type == RWKV7_F32 ? 4 : 2;
    struct memory_limit memory = {physical, physical};
    struct weight w = WEIGHT_BEFORE_FIRST;
    uint64_t need = 0;
    while (weight_next(table, s, &w)) {
        const uint64_t rows = (uint64_t)shape_axis(s, w.spec->rows), cols = (uint64_t)shape_axis(s, w.spec->cols);
        need += kind_is_vector(w.spec->kind) ? vector_floats(s, w.spec) * 4 : rows * cols * size;
    }
    cgroup_limit_memory("", &memory);
    if (memory.total == 0 || need < memory.total)
        return RWKV7_OK;
    return fail(err, RWKV7_ERR_MEMORY, "random model: needs %.1f GB for its weights, this %s %.1f GB of memory",
                1e-9 * (double)need, memory.total < physical ? "process may use" : "machine has",
                1e-9 * (double)memory.total);
}
