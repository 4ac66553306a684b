/*
 * random.c - a model of any shape with random weights, for benchmarks without a download.
 *
 * The scales keep everything in a healthy range: decays over most of (0.55, 1), rates and gates over (0, 1), a bounded state and
 * logits of a few units. Every number depends only on the seed, the weight and its position, never on the number of threads.
 */
#include <stdio.h>
#include <string.h>

#include "base/half.h"
#include "base/mem.h"
#include "base/splitmix.h"
#include "base/sys.h"
#include "weights/model.h"

/* The n-th number of the generator, so that any thread can start anywhere. */
static uint64_t nth(uint64_t seed, uint64_t n)
{
    return splitmix_hash(seed + (n + 1) * SPLITMIX_STEP);
}

/* Uniform ranges of the vectors, by the end of their name; anything else is (-0.15, 0.15). */
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
    float density; /* see row_offset; 0: without */
};

/*
 * Added to the numbers of a row of ffn.key: with a bias of 1 in the norm before it, this moves the sum by 8 standard deviations up
 * (for the part `density` of the rows) or down.
 */
static float row_offset(const struct fill *f, size_t row)
{
    const float place = (float)(nth(~f->seed, row) >> 40) * 0x1p-24f;
    return f->density == 0 ? 0.0f : (place < f->density ? 8.0f : -8.0f) / (float)f->cols;
}

/* Columns cost more than rows where most of them are read; this density is where both take as long. */
#define SPARSE_DENSITY 0.7f

#define NUMBERS_PER_TASK (1 << 16)

/* Four numbers from each 64-bit output. */
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
    const int tasks = (int)((f->count + NUMBERS_PER_TASK - 1) / NUMBERS_PER_TASK);
    int begin, end;
    while (pool_take(pool, tasks, 16, &begin, &end)) {
        const size_t to = (size_t)end * NUMBERS_PER_TASK;
        fill_range(f, (size_t)begin * NUMBERS_PER_TASK, to < f->count ? to : f->count);
    }
}

/* 1 / sqrt(n) without the last bits of anybody's libm: two steps of Newton from a guess that is good enough for a scale. */
static float inverse_root(int n)
{
    float y = 1.0f;
    while (y * y * (float)n > 1.0f)
        y *= 0.5f;
    for (int i = 0; i < 4; i++)
        y = y * (1.5f - 0.5f * (float)n * y * y);
    return y;
}

static enum rwkv7_status fill_record(struct rwkv7_model *model, const struct weight_spec *specs, size_t count,
                                     int layer, void *record, enum rwkv7_type type,
                                     const struct rwkv7_random_options *opt, struct rwkv7_error *err)
{
    const struct rwkv7_shape *s = &model->shape;
    for (size_t i = 0; i < count; i++) {
        if (layer >= 0 && !weight_exists(s, &specs[i], layer))
            continue;
        const int rows = shape_axis(s, specs[i].rows), cols = shape_axis(s, specs[i].cols);
        const size_t n = (size_t)rows * (size_t)(specs[i].kind == WEIGHT_VECTOR ? 1 : cols);
        const bool vector = specs[i].kind == WEIGHT_VECTOR;
        void *data = model_block(model, n * (vector || type == RWKV7_F32 ? 4 : 2));
        if (!data)
            return fail_memory(err, "random weights");
        model->info.tensors++;
        const uint64_t own = splitmix_hash(opt->seed ^ splitmix_hash((uint64_t)(layer + 1) << 32 | i));
        if (vector) {
            float low, high, *x = data;
            vector_range(specs[i].blinkdl, &low, &high);
            if (opt->ffn_density > 0 && strcmp(specs[i].blinkdl, "ln2.bias") == 0)
                low = high = 1.0f;
            for (size_t j = 0; j < n; j++)
                x[j] = low + (high - low) * ((float)(nth(own, j) >> 40) * 0x1p-24f);
            *(const float **)(void *)((char *)record + specs[i].offset) = x;
            model->info.type_parameters[RWKV7_F32] += n;
            continue;
        }
        const bool is_key = strcmp(specs[i].blinkdl, "ffn.key.weight") == 0;
        /* A uniform number of standard deviation 1 / sqrt(cols) keeps the length of what it multiplies. */
        struct fill f = {(enum mat_type)type,          data, n, 1.7f * inverse_root(cols), own, cols,
                         is_key ? opt->ffn_density : 0};
        pool_run(model->rt->pool, fill_worker, &f);
        *(struct mat *)(void *)((char *)record + specs[i].offset) =
            (struct mat){.type = (enum mat_type)type, .rows = rows, .cols = cols, .data = data};
        model->info.type_parameters[type] += n;
    }
    return RWKV7_OK;
}

static uint64_t record_bytes(const struct rwkv7_shape *s, const struct weight_spec *specs, size_t count,
                             enum rwkv7_type type)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const uint64_t rows = (uint64_t)shape_axis(s, specs[i].rows), cols = (uint64_t)shape_axis(s, specs[i].cols);
        bytes += specs[i].kind == WEIGHT_VECTOR ? rows * 4 : rows * cols * (type == RWKV7_F32 ? 4 : 2);
    }
    return bytes;
}

/* Pages are only backed when they are filled: without this, a model that is too large ends in the hands of the OOM killer. */
static enum rwkv7_status check_memory(const struct rwkv7_shape *s, enum rwkv7_type type, struct rwkv7_error *err)
{
    const uint64_t have = sys_physical_memory();
    const uint64_t need = record_bytes(s, outer_weights, outer_weight_count, type) +
                          (uint64_t)s->layers * record_bytes(s, layer_weights, layer_weight_count, type);
    if (have == 0 || need < have)
        return RWKV7_OK;
    return fail(err, RWKV7_ERR_MEMORY, "random model: its weights need %.1f GB, this machine has %.1f GB of memory",
                1e-9 * (double)need, 1e-9 * (double)have);
}

/* The limits are those of files (names.c). */
static bool is_possible(const struct rwkv7_shape *s)
{
    const int axes[] = {s->vocab, s->heads, s->head_size, s->ffn, s->rank_w, s->rank_a, s->rank_g};
    bool possible = s->layers >= 1 && s->layers <= MAX_LAYERS && s->rank_v >= (s->layers > 1) && s->rank_v <= MAX_AXIS;
    for (size_t i = 0; i < sizeof axes / sizeof axes[0]; i++)
        possible = possible && axes[i] >= 1 && axes[i] <= MAX_AXIS;
    return possible && s->head_size <= WKV_MAX_N && s->channels <= MAX_AXIS &&
           (int64_t)s->heads * s->head_size == s->channels && s->deep >= 0 && s->deep <= DEEP_MAX;
}

enum rwkv7_status rwkv7_model_random(struct rwkv7_runtime *rt, const struct rwkv7_shape *shape,
                                     const struct rwkv7_random_options *opt, struct rwkv7_model **out,
                                     struct rwkv7_error *err)
{
    struct rwkv7_model *model = NULL;
    enum rwkv7_status status;
    *out = NULL;
    if ((unsigned)opt->type > RWKV7_Q4)
        return fail(err, RWKV7_ERR_USAGE, "random model: unknown weight type %d", (int)opt->type);
    if (!(opt->ffn_density >= 0 && opt->ffn_density <= 1))
        return fail(err, RWKV7_ERR_USAGE, "random model: density: expected 0 to 1, found %g", (double)opt->ffn_density);
    if (!is_possible(shape))
        return fail(err, RWKV7_ERR_USAGE, "random model: impossible shape");
    const enum rwkv7_type made = opt->type < RWKV7_Q8 ? opt->type : RWKV7_BF16; /* packed afterwards */
    struct rwkv7_model_options packing = {.sparse = opt->sparse};
    if (opt->type >= RWKV7_Q8)
        packing.weights = opt->type == RWKV7_Q8 ? RWKV7_WEIGHTS_Q8 : RWKV7_WEIGHTS_Q4;
    if (opt->sparse == RWKV7_SPARSE_AUTO)
        packing.sparse = opt->ffn_density > 0 && opt->ffn_density < SPARSE_DENSITY ? RWKV7_SPARSE_ON : RWKV7_SPARSE_OFF;
    if ((status = check_memory(shape, made, err)) || (status = model_new(rt, "(random)", &model, err)))
        return status;
    model->shape = *shape;
    model->layers = mem_alloc((size_t)shape->layers, sizeof *model->layers);
    if (!model->layers) {
        status = fail_memory(err, "the model");
        goto fail;
    }
    if ((status = fill_record(model, outer_weights, outer_weight_count, -1, &model->outer, made, opt, err)))
        goto fail;
    for (int i = 0; i < shape->layers; i++)
        if ((status = fill_record(model, layer_weights, layer_weight_count, i, &model->layers[i], made, opt, err)))
            goto fail;
    if ((status = model_pack(model, &packing, err)))
        goto fail;
    model->info.container = "memory";
    model->info.naming = "none";
    model_count(model);
    model->info.copied_bytes = model->info.weight_bytes;
    *out = model;
    return RWKV7_OK;
fail:
    rwkv7_model_close(model);
    return status;
}
