/* bench_pace.c - how long measurements take on this machine. See bench_measure.h. */
#include "cli/commands/bench_measure.h"
#include "cli/io/messages.h"
#include "cli/io/signals.h"
#include "cli/io/terminal.h"

enum { LAYERS_PREFILL = 512 }; /* maximum number of tokens to measure two layers with */

/* Share of the budget for two layers of a wide size, of all types together. */
static const double wide_part = 0.15;

/*
 * Returns the number of parameters that a prefill multiplies by: all but the embedding and the
 * head.
 */
static double multiplied(const struct cell *c)
{
    return c->parameters - 2.0 * c->shape.vocab * c->shape.channels;
}

static double layer_channels(const struct cell *c)
{
    return (double)c->shape.layers * c->shape.channels;
}

double pace_prefill(const struct pace *pace, const struct cell *c)
{
    return pace->weight * multiplied(c) + pace->channel * layer_channels(c);
}

double pace_measuring(const struct pace *pace, const struct cell *c, int tokens)
{
    const double once = (double)tokens * pace_prefill(pace, c);
    return once < PREFILL_SECONDS ? once + PREFILL_SECONDS : once;
}

void pace_correct(struct pace *pace, const struct cell *c, double making, double prefill)
{
    const double expected = pace_prefill(pace, c);
    pace->making = making / c->parameters;
    if (prefill <= 0)
        return;
    if (expected <= 0) { /* there was no memory for a few layers */
        pace->weight = 1 / prefill / multiplied(c);
        return;
    }
    const double ratio = 1 / prefill / expected;
    pace->weight *= ratio;
    pace->channel *= ratio;
}

/*
 * Measures two layers of the size in `row`: the seconds to create them, and the rate of a prefill
 * in tokens per second (0: none). *c receives their description.
 */
static int measure_layers(const struct measuring *m, size_t row, size_t type, struct cell *c, double *making,
                          double *prefill)
{
    const struct sizes *const s = m->sizes;
    const struct rwkv7_random_options options = measure_options(s->args, s->types[type]);
    const int tokens = s->prefill < LAYERS_PREFILL ? s->prefill : LAYERS_PREFILL;
    struct rwkv7_model_info info = RWKV7_OPTIONS(info);
    struct subject u = {0};
    struct rwkv7_error err;
    *prefill = 0;
    *c = *sizes_cell(s, row, type);
    c->shape.layers = 2;
    c->shape.vocab = 1024;
    if (rwkv7_model_random_info(m->runtime, &c->shape, &options, &info, &err) != RWKV7_OK)
        return report(&err);
    c->parameters = (double)info.parameters;
    const double begin = seconds();
    const enum rwkv7_status status = subject_open(&u, m, &c->shape, c->type, &err);
    *making = seconds() - begin;
    int code = measure_outcome(status, &err);
    if (status == RWKV7_OK && tokens > 0)
        code = subject_prefill(&u, (size_t)tokens, prefill);
    subject_close(&u);
    return code;
}

/*
 * Finds the widest size of the RWKV version of row 0 that is cheap to measure: two of its layers
 * take little of the budget.
 */
static size_t wide_row(const struct measuring *m, size_t type)
{
    const struct sizes *const s = m->sizes;
    const struct cell *const first = sizes_cell(s, 0, type);
    const double limit = wide_part * s->args->budget / (double)s->type_count;
    size_t best = 0;
    for (size_t row = 1; row < s->row_count; row++) {
        struct cell c = *sizes_cell(s, row, type);
        c.parameters = 2 * multiplied(&c) / c.shape.layers;
        c.shape.layers = 2;
        c.shape.vocab = 0;
        const double time = m->pace[type].making * c.parameters + pace_measuring(&m->pace[type], &c, LAYERS_PREFILL);
        if (c.arch == first->arch && c.shape.channels > sizes_cell(s, best, type)->shape.channels && time <= limit &&
            c.parameters * sizeof(float) < 0.9 * s->machine.available)
            best = row;
    }
    return best;
}

/*
 * Measures the pace of a type with two layers of the first size, which is small, and of a wide one:
 * two equations for the times per weight and per channel.
 */
static int learn_pace(struct measuring *m, size_t type)
{
    struct pace *const pace = &m->pace[type];
    struct cell small, wide;
    double making, first, second;
    int code = measure_layers(m, 0, type, &small, &making, &first);
    if (code != DONE)
        return code;
    pace->making = making / small.parameters;
    pace->weight = first > 0 ? 1 / first / multiplied(&small) : 0;
    const size_t row = wide_row(m, type);
    if (first <= 0 || row == 0 || interrupted)
        return DONE;
    code = measure_layers(m, row, type, &wide, &making, &second);
    if (code != DONE || second <= 0)
        return code;
    const double scale = layer_channels(&wide) / layer_channels(&small);
    const double weight = (1 / second - scale / first) / (multiplied(&wide) - scale * multiplied(&small));
    const double channel = (1 / first - weight * multiplied(&small)) / layer_channels(&small);
    pace->making = making / wide.parameters;
    pace->weight = weight > 0 && channel > 0 ? weight : 1 / second / multiplied(&wide);
    pace->channel = weight > 0 && channel > 0 ? channel : 0;
    return DONE;
}

int pace_learn_all(struct measuring *m)
{
    int code = DONE;
    progress_text("measuring the speed of this machine");
    for (size_t t = 0; t < m->sizes->type_count && code == DONE && !interrupted; t++)
        code = learn_pace(m, t);
    return code;
}
