/*
 * fingerprint.c - computes a hash of everything that determines a model's results. State files
 * carry it, because a state is meaningless for other weights.
 *
 * The hash is a tree of two levels, so that threads can share the work and the value does not
 * depend on their number:
 *
 *     slab    64 rows of a matrix, row by row: floats as float32 (add_floats), integers as the
 *             bytes of their tiles (kernels/quants.h). Column-major matrices are transposed first.
 *             A vector is one slab of float32.
 *     model   a text with everything that is not a weight (architecture, sizes, epsilons, ...);
 *             then for each weight a text with name, form and size, and the hashes of its slabs.
 *
 * The hash depends only on the numbers, not on the file format, the names in the file, or the
 * layout in memory.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/float_env.h"
#include "base/fork_lock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "weights/weights.h"

enum { SLAB_ROWS = QUANT_SECTION, PIECE = 2048 /* floats converted at a time */ };

struct identity {
    struct fork_lock lock; /* held while the fingerprint is computed */
    bool known;
    struct rwkv7_fingerprint value;
};

struct identity *identity_new(void)
{
    struct identity *identity = mem_alloc(1, sizeof *identity);
    if (identity)
        fork_lock_init(&identity->lock);
    return identity;
}

void identity_free(struct identity *identity)
{
    if (identity)
        fork_lock_destroy(&identity->lock);
    mem_free(identity);
}

/* One weight of the model. */
struct part {
    struct weight weight;
    const struct mat *mat; /* NULL for a vector */
    const float *vector;   /* [floats]; NULL for a matrix */
    size_t floats;
    int first, slabs; /* first: index of its first slab among all slabs */
};

struct job {
    const struct rwkv7_model *model;
    struct part *parts;
    int count, slabs;
    struct hash_value *hashes; /* [slabs] */
    void **memory;             /* [threads]: scratch for transposing or converting a slab */
    size_t room;               /* bytes of scratch per thread */
};

/* ---------------------------------------------------------------------------------------- slabs */

/*
 * Hashes floats as float32, so that the hash does not depend on the stored type. First come the
 * upper 16 bits of all floats, which are the stored bits of bfloat16. Then comes a hash of the
 * lower 16 bits, unless all of them are zero.
 */
static void add_floats(struct hash *h, const struct kernels *k, enum mat_type type, const void *data, size_t count)
{
    const size_t element = (size_t)weight_types[type].bits / 8;
    struct hash lower;
    uint32_t any = 0;
    if (type == MAT_BF16) {
        hash_add(h, data, count * element);
        return;
    }
    hash_begin(&lower);
    for (size_t at = 0; at < count; at += PIECE) {
        const size_t n = count - at < PIECE ? count - at : PIECE;
        float piece[PIECE];
        uint32_t bits[PIECE];
        uint16_t high[PIECE], low[PIECE];
        k->widen[type](piece, (const char *)data + at * element, (int)n);
        memcpy(bits, piece, n * sizeof *bits);
        for (size_t i = 0; i < n; i++) {
            high[i] = (uint16_t)(bits[i] >> 16);
            low[i] = (uint16_t)bits[i];
            any |= low[i];
        }
        hash_add(h, high, n * sizeof *high);
        hash_add(&lower, low, n * sizeof *low);
    }
    if (any) {
        const struct hash_value value = hash_end(&lower);
        hash_add(h, &value, sizeof value);
    }
}

/*
 * Returns the bytes of rows [first, first + count) of a row-major matrix; `first` is a multiple of
 * SLAB_ROWS.
 */
static const uint8_t *stored_rows(const struct mat *m, int first, int count, size_t *size)
{
    const bool is_ggml = m->type == MAT_GGML;
    const uint8_t *data = is_ggml ? ((const struct tensor *)m->data)->data : m->data;
    if (is_ggml || m->type < MAT_FLOATS) {
        const size_t row = mat_bytes(m) / (size_t)m->rows;
        *size = (size_t)count * row;
        return data + (size_t)first * row;
    }
    const size_t tile = quant_tile_bytes(m->type, m->cols);
    *size = (size_t)quant_tiles(count) * tile;
    return data + (size_t)(first / QUANT_ROWS) * tile;
}

/* Hashes one slab of a matrix. memory: scratch of the calling thread. */
static void hash_rows(struct hash *h, const struct job *job, const struct part *part, int first, void *memory)
{
    const struct kernels *const k = &job->model->compute->kernels;
    const struct mat *m = part->mat;
    const int count = m->rows - first < SLAB_ROWS ? m->rows - first : SLAB_ROWS;
    struct mat rows = *m;
    size_t size;
    if (m->by_column) {
        memset(memory, 0, rows_of_columns_bytes(m, count)); /* tiles may have gaps, which must be zero */
        rows = rows_of_columns(m, first, first + count, memory);
        first = 0;
    }
    const uint8_t *const data = stored_rows(&rows, first, count, &size);
    const bool is_mapped = !m->by_column && model_maps(job->model, data);
    if (is_mapped)
        file_map_wanted(data, size);
    if (m->type == MAT_GGML) {
        mat_rows(k, m, (size_t)first, count, memory);
        add_floats(h, k, MAT_F32, memory, (size_t)count * (size_t)m->cols);
    } else if (m->type < MAT_FLOATS) {
        add_floats(h, k, m->type, data, (size_t)count * (size_t)m->cols);
    } else {
        hash_add(h, data, size);
    }
    if (is_mapped && part->weight.spec->kind ==
                         WEIGHT_TABLE) /* evaluations read only single rows of it, so its pages are released */
        file_map_release(data, size);
}

static void hash_worker(void *arg, struct pool *pool, int rank)
{
    struct job *job = arg;
    int begin, end, at = 0;
    while (pool_take(pool, job->slabs, 1, &begin, &end)) {
        struct hash h;
        while (at + 1 < job->count && job->parts[at + 1].first <= begin)
            at++;
        const struct part *part = &job->parts[at];
        hash_begin(&h);
        if (part->vector)
            hash_add(&h, part->vector, part->floats * sizeof *part->vector);
        else
            hash_rows(&h, job, part, (begin - part->first) * SLAB_ROWS, job->memory[rank]);
        job->hashes[begin] = hash_end(&h);
    }
}

/* ---------------------------------------------------------------------------------------- model */

/* Collects the weights as parts. */
static enum rwkv7_status plan(struct job *job, struct rwkv7_error *err)
{
    const struct rwkv7_model *model = job->model;
    struct weight w = WEIGHT_BEFORE_FIRST;
    while (weight_next(model->weights, &model->shape, &w)) {
        struct part part = {.weight = w, .first = job->slabs, .slabs = 1};
        if (kind_is_vector(w.spec->kind)) {
            part.vector = *weight_vector(model, &w);
            part.floats = vector_floats(&model->shape, w.spec);
        } else {
            const struct mat *m = part.mat = weight_mat(model, &w);
            const size_t room = m->by_column          ? rows_of_columns_bytes(m, SLAB_ROWS)
                                : m->type == MAT_GGML ? SLAB_ROWS * (size_t)m->cols * sizeof(float)
                                                      : 0;
            job->room = room > job->room ? room : job->room;
            part.slabs = (m->rows + SLAB_ROWS - 1) / SLAB_ROWS;
        }
        if (!part.vector && (!part.mat || !part.mat->data)) /* an optional weight that the checkpoint does not have */
            continue;
        if (part.slabs > INT_MAX - job->slabs)
            return fail(err, RWKV7_ERR_MODEL, "%s: the matrices have too many rows for a fingerprint", model->path);
        job->slabs += part.slabs;
        job->parts[job->count++] = part;
    }
    return RWKV7_OK;
}

static void add_text(struct hash *h, const char *text)
{
    hash_add(h, text, strlen(text) + 1);
}

static uint32_t float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* Hashes everything that is not a weight. */
static void add_facts(struct hash *h, const struct rwkv7_model *model)
{
    const struct rwkv7_shape *s = &model->shape;
    char text[512];
    snprintf(text, sizeof text, "%s V %d L %d C %d H %d N %d F %d ranks %d %d %d %d %d deep %d", model->info.version,
             s->vocab, s->layers, s->channels, s->heads, s->head_size, s->ffn, s->rank_w, s->rank_a, s->rank_v,
             s->rank_g, s->rank_m, s->deep);
    add_text(h, text);
    snprintf(text, sizeof text, "epsilon %08x, of heads %08x, rescaled every %d, rate %08x", float_bits(model->ln_eps),
             float_bits(model->head_eps), model->rescale_every, float_bits(model->rate_scale));
    add_text(h, text);
}

static void add_part(struct hash *h, const struct job *job, const struct part *part)
{
    const struct rwkv7_model *model = job->model;
    char name[NAME_ROOM] = "", text[NAME_ROOM + 80];
    weight_name(name, model->weights, NAMING_BLINKDL, part->weight.spec, part->weight.layer);
    if (part->vector)
        snprintf(text, sizeof text, "%s %zu", name, part->floats);
    else
        snprintf(text, sizeof text, "%s %s %d %d", name,
                 part->mat->type >= MAT_FLOATS && part->mat->type < MAT_TYPES ? weight_types[part->mat->type].name
                                                                              : "floats",
                 part->mat->rows, part->mat->cols);
    add_text(h, text);
    hash_add(h, job->hashes + part->first, (size_t)part->slabs * sizeof *job->hashes);
}

/* Computes the fingerprint. */
static enum rwkv7_status make(const struct rwkv7_model *model, struct rwkv7_fingerprint *out, struct rwkv7_error *err)
{
    const int threads = pool_threads(model->compute->pool);
    struct job job = {.model = model};
    struct hash h;
    enum rwkv7_status status = RWKV7_OK;
    job.parts = mem_alloc(model->weights->outer_count + (size_t)model->shape.layers * model->weights->layer_count,
                          sizeof *job.parts);
    job.memory = mem_alloc((size_t)threads, sizeof *job.memory);
    if (!job.parts || !job.memory) {
        status = fail_memory(err, "the fingerprint of the model");
        goto done;
    }
    if ((status = plan(&job, err)) != RWKV7_OK)
        goto done;
    bool has_memory = (job.hashes = mem_alloc((size_t)job.slabs, sizeof *job.hashes)) != NULL;
    for (int i = 0; i < threads && has_memory; i++)
        has_memory = (job.memory[i] = mem_alloc(job.room, 1)) != NULL;
    if (!has_memory) {
        status = fail_memory(err, "the fingerprint of the model");
        goto done;
    }
    pool_run(model->compute->pool, hash_worker, &job);
    hash_begin(&h);
    add_facts(&h, model);
    for (int i = 0; i < job.count; i++)
        add_part(&h, &job, &job.parts[i]);
    const struct hash_value value = hash_end(&h);
    memcpy(out->bytes, &value, sizeof out->bytes);
done:
    for (int i = 0; job.memory && i < threads; i++)
        mem_free(job.memory[i]);
    mem_free(job.memory);
    mem_free(job.hashes);
    mem_free(job.parts);
    return status;
}

enum rwkv7_status rwkv7_model_fingerprint(const struct rwkv7_model *model, struct rwkv7_fingerprint *out,
                                          struct rwkv7_error *err)
{
    DEFAULT_FLOAT_ENV;
    struct identity *const identity = model->identity;
    enum rwkv7_status status = RWKV7_OK;
    *out = (struct rwkv7_fingerprint){{0}};
    fork_lock_take(&identity->lock);
    if (!identity->known) {
        status = make(model, &identity->value, err);
        identity->known = status == RWKV7_OK;
    }
    if (identity->known)
        *out = identity->value;
    fork_lock_give(&identity->lock);
    return status;
}
