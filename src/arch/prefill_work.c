/* prefill_work.c - see prefill_work.h: one allocation, cut into pieces, some of which take the place of others that are no longer needed. */
#include "arch/prefill_work.h"

#include "base/mem.h"
#include "arch/deep.h"

void prefill_work_free(struct prefill_work *work)
{
    if (!work)
        return;
    mem_free(work->memory);
    mem_free(work->piece);
    mem_free(work->wanted);
    mem_free(work->bad);
    mem_free(work->own);
    mem_free(work);
}

/* Memory cut into pieces; without memory, only their sizes are added up. */
struct cutter {
    float *memory;
    size_t used; /* floats */
};

/* Whole cache lines. */
static float *cut(struct cutter *c, size_t floats)
{
    float *const piece = c->memory ? c->memory + c->used : NULL;
    c->used += (floats + 15) / 16 * 16;
    return piece;
}

static struct vectors cut_vectors(struct cutter *c, int cols, size_t tokens, bool floats, bool integers)
{
    struct vectors v = {.cols = cols};
    if (floats)
        v.x = cut(c, tokens * (size_t)cols);
    if (integers) {
        float *const piece = cut(c, quants_floats(cols, tokens));
        if (piece)
            v.quants = quants_at(piece, cols, tokens);
    }
    return v;
}

/* What all threads share. */
static void cut_shared(struct prefill_work *work, struct cutter *c, const struct rwkv7_model *model, bool floats,
                       bool integers)
{
    const struct rwkv7_shape *s = &model->shape;
    const size_t t = (size_t)work->room, channels = (size_t)s->channels, row = t * channels;
    const int ranks[LOWS] = {s->rank_w, s->rank_a, s->rank_v, s->rank_g};

    float **const wide[] = {&work->x, &work->r, &work->k, &work->v, &work->v_first};
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
        *wide[i] = cut(c, row);
    for (int i = 0; i < LOWS; i++)
        work->low[i] = cut_vectors(c, ranks[i], t, true, integers);
    work->mix[0] = cut_vectors(c, s->channels, t, floats, integers);
    const size_t before = c->used;
    work->hidden = cut_vectors(c, s->ffn, t, floats, integers);
    const size_t behind = c->used;
    c->used = before;
    for (int i = 1; i < MIXES; i++)
        work->mix[i] = cut_vectors(c, s->channels, t, floats, integers);
    c->used = c->used > behind ? c->used : behind;
    work->out = (struct vectors){s->channels, work->r, work->mix[1].quants};

    if (s->deep) {
        const size_t side = (size_t)s->deep;
        work->e = cut_vectors(c, s->channels, t, true, integers);
        work->s_row = cut(c, t * side * side);
        work->s_low = cut(c, t * side);
        work->s_turned = cut_vectors(c, s->deep, t, true, integers);
        work->no_shift = cut(c, channels);
    }
}

/* What one thread has for itself. */
static void cut_own(struct own *own, struct cutter *c, const struct rwkv7_model *model)
{
    const struct rwkv7_shape *s = &model->shape;
    const size_t channels = (size_t)s->channels, n = (size_t)s->head_size;
    const size_t scan = LOWS * SCAN_TOKENS * (n + QUANT_ROWS);

    int lengths[SHAPE_LENGTHS];
    size_t scratch = 0; /* more columns do not always need more of it */
    shape_lengths(s, lengths);
    for (int i = 0; i < SHAPE_LENGTHS; i++)
        scratch = product_scratch(lengths[i]) > scratch ? product_scratch(lengths[i]) : scratch;

    size_t turned = 0; /* bytes */
    for (int i = 0; i < s->layers; i++) {
        const struct mat *value = &model->layers[i].ffn_value;
        const size_t bytes = value->by_column ? rows_of_columns_bytes(value, COLUMN_ROWS) : 0;
        turned = bytes > turned ? bytes : turned;
    }

    own->deep = cut(c, deep_floats(s->deep));
    own->scratch = cut(c, scratch);
    own->turned = cut(c, turned / sizeof(float) + 1);
    own->active.column = turned > 0 ? (int32_t *)(void *)cut(c, (size_t)s->ffn) : NULL;
    size_t part = scan > PART_FLOATS ? scan : PART_FLOATS;
    part = channels > part ? channels : part;
    own->part = cut(c, part);
    float **const channel_wide[] = {&own->u, &own->before, &own->m};
    for (size_t i = 0; i < sizeof channel_wide / sizeof channel_wide[0]; i++)
        *channel_wide[i] = cut(c, channels);
    float **const head_wide[] = {&own->k, &own->v, &own->kk, &own->b, &own->out};
    for (size_t i = 0; i < sizeof head_wide / sizeof head_wide[0]; i++)
        *head_wide[i] = cut(c, n);
}

/* Whether any matrix is of floats, and of integers. */
static void kinds_of(const struct rwkv7_model *model, bool *floats, bool *integers)
{
    *floats = model->outer.head.type < MAT_FLOATS;
    *integers = !*floats;
    for (int i = 0; i < model->shape.layers; i++) {
        const struct layer *l = &model->layers[i];
        const struct mat *const all[] = {&l->w1,      &l->w2,        &l->a1,         &l->a2,  &l->v1,     &l->v2,
                                         &l->g1,      &l->g2,        &l->receptance, &l->key, &l->value,  &l->output,
                                         &l->ffn_key, &l->ffn_value, &l->s1,         &l->s2,  &l->s_emb_x};
        for (size_t m = 0; m < sizeof all / sizeof all[0]; m++)
            if (all[m]->rows > 0)
                *(all[m]->type < MAT_FLOATS ? floats : integers) = true;
    }
}

/* Cuts c's memory, or adds up how much of it there has to be. Without work->own, the pieces of threads are counted only. */
static void cut_all(struct prefill_work *work, struct cutter *c, const struct rwkv7_model *model, int threads)
{
    bool floats, integers;
    kinds_of(model, &floats, &integers);
    cut_shared(work, c, model, floats, integers);
    for (int rank = 0; rank < threads; rank++) {
        struct own counted;
        cut_own(work->own ? &work->own[rank] : &counted, c, model);
    }
}

size_t prefill_work_bytes(const struct rwkv7_model *model, int room, int threads)
{
    struct prefill_work work = {.room = room};
    struct cutter c = {0};
    cut_all(&work, &c, model, threads);
    return c.used * sizeof(float);
}

struct prefill_work *prefill_work_new(const struct rwkv7_model *model, int room, int threads)
{
    struct prefill_work *work = mem_alloc(1, sizeof *work);
    if (!work)
        return NULL;
    work->room = room;
    work->piece = mem_alloc((size_t)room, sizeof *work->piece);
    work->wanted = mem_alloc((size_t)room, sizeof *work->wanted);
    work->bad = mem_alloc((size_t)room, sizeof *work->bad);
    work->own = mem_alloc((size_t)threads, sizeof *work->own);
    if (!work->piece || !work->wanted || !work->bad || !work->own)
        goto fail;
    struct cutter c = {0};
    cut_all(work, &c, model, threads);
    c.memory = work->memory = mem_alloc(c.used, sizeof(float));
    if (!work->memory)
        goto fail;
    c.used = 0;
    cut_all(work, &c, model, threads);
    return work;
fail:
    prefill_work_free(work);
    return NULL;
}
