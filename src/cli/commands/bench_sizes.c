/*
 * bench_sizes.c - `rwkv7 bench` without a model: the speed of every published size on this machine.
 *
 * Sizes are measured with random weights within the time of --budget: first the largest of each
 * type for which large_part of the time is enough, then the others, smallest first. The rest is
 * computed: decode speed = memory bandwidth / bytes per token * share of the bandwidth that the
 * largest measured size of the same type reached. The time of a prefill is that of the same
 * measured size, times the ratio of what struct pace expects of both.
 */
#include "cli/commands/bench_sizes.h"

#include <stdlib.h>
#include <string.h>

#include "cli/commands/bench.h"
#include "cli/commands/bench_measure.h"
#include "cli/commands/engine.h"
#include "cli/io/messages.h"
#include "cli/io/output.h"
#include "cli/io/signals.h"
#include "cli/io/terminal.h"
#include "cli/options/args.h"

enum {
    PROBE_LEAST = 64 << 20, /* bytes */
    PROBE_MOST = 1 << 30,
    PROBE_PART = 20, /* a probe larger than PROBE_LEAST takes at most 1/20 of the budget */
};

static const double large_part = 0.6; /* share of the budget for the largest size of each type */

static double left(const struct measuring *m)
{
    return m->sizes->args->budget - (seconds() - m->begin);
}

/* ---------------------------------------------------------------------------------------- cells */

static bool is_wanted(int sizes, enum rwkv7_arch arch)
{
    switch (arch) {
    case RWKV7_ARCH_X070:
        return sizes == SIZES_AUTO || sizes == SIZES_RWKV7 || sizes == SIZES_ALL;
    case RWKV7_ARCH_X060:
        return sizes == SIZES_RWKV6 || sizes == SIZES_ALL;
    case RWKV7_ARCH_X052:
    case RWKV7_ARCH_X051:
    case RWKV7_ARCH_X050:
        return sizes == SIZES_RWKV5 || sizes == SIZES_ALL;
    case RWKV7_ARCH_X040:
        return sizes == SIZES_RWKV4 || sizes == SIZES_ALL;
    }
    return false;
}

static int describe(const struct measuring *m, struct cell *c, const char *name, enum rwkv7_type type)
{
    const struct bench_args *const args = m->sizes->args;
    const struct rwkv7_random_options options = measure_options(args, type), floats = measure_options(args, RWKV7_BF16);
    struct rwkv7_model_info info = RWKV7_OPTIONS(info), made = RWKV7_OPTIONS(made);
    struct rwkv7_error err;
    memset(c, 0, sizeof *c);
    c->name = name;
    c->type = type;
    rwkv7_shape_named(name, &c->shape);
    if (rwkv7_model_random_info(m->runtime, &c->shape, &options, &info, &err) != RWKV7_OK ||
        rwkv7_model_random_info(m->runtime, &c->shape, &floats, &made, &err) != RWKV7_OK)
        return report(&err);
    c->arch = c->shape.arch;
    c->architecture = info.architecture;
    c->version = info.version;
    c->parameters = (double)info.parameters;
    c->bytes = (double)info.step_bytes - (1 - (double)args->ffn_density) * (double)info.skipped_bytes;
    c->memory = (double)(info.weight_bytes + info.session_bytes + info.work_bytes);
    c->making = c->memory + (type >= RWKV7_Q8 || info.skipped_bytes > 0 ? (double)made.weight_bytes : 0);
    c->fits = m->sizes->machine.memory == 0 || c->memory < m->sizes->machine.memory;
    return DONE;
}

/* One cell for each wanted size and type. */
static int make_cells(struct measuring *m)
{
    static const enum rwkv7_type usual[BENCH_TYPES] = {RWKV7_BF16, RWKV7_Q8, RWKV7_Q6, RWKV7_Q4};
    struct sizes *const s = m->sizes;
    const enum rwkv7_type chosen = chosen_type(&s->args->model);
    struct rwkv7_shape shape;
    const char *name;
    size_t shapes = 0;

    memcpy(s->types, usual, sizeof usual);
    s->type_count = BENCH_TYPES;
    if (chosen != RWKV7_TYPES) {
        s->types[0] = chosen;
        s->type_count = 1;
    }
    while (rwkv7_shape_name(shapes))
        shapes++;
    s->cells = malloc((shapes * s->type_count + 1) * sizeof *s->cells);
    if (!s->cells)
        return complain(FAILED, "out of memory for the table");
    for (size_t i = 0; (name = rwkv7_shape_name(i)) != NULL; i++) {
        if (!rwkv7_shape_named(name, &shape) || !is_wanted(s->args->sizes, shape.arch))
            continue;
        for (size_t t = 0; t < s->type_count; t++) {
            const int code = describe(m, &s->cells[s->row_count * s->type_count + t], name, s->types[t]);
            if (code != DONE)
                return code;
        }
        s->row_count++;
    }
    return DONE;
}

/* ------------------------------------------------------------------------------------ measuring */

/* Measures the memory bandwidth once: sets *read and adds it to the values of the median. */
static enum rwkv7_status probe(struct measuring *m, double *read, struct rwkv7_error *err)
{
    const double begin = seconds();
    const enum rwkv7_status status = rwkv7_runtime_bandwidth(m->runtime, m->probe, read, err);
    if (status != RWKV7_OK)
        return status;
    m->probe_cost = seconds() - begin;
    if (m->read_count < READS_MOST)
        m->reads[m->read_count++] = *read;
    return RWKV7_OK;
}

/* Chooses the size of the probes: twice the caches, or less if budget or memory are too small. */
static int choose_probe(struct measuring *m)
{
    struct sizes *const s = m->sizes;
    const double limit = (double)PROBE_MOST, cached = 2 * s->machine.cache, wanted = cached < limit ? cached : limit;
    const double room = s->machine.available / 4;
    struct rwkv7_error err;
    double read;
    m->probe = PROBE_LEAST;
    if (probe(m, &s->read, &err) != RWKV7_OK)
        return report(&err);
    const double allowed = (double)PROBE_LEAST * s->args->budget / ((double)PROBE_PART * m->probe_cost);
    const double timely = wanted < allowed ? wanted : allowed, size = timely < room ? timely : room;
    if (!(size > (double)PROBE_LEAST))
        return DONE;
    m->probe = (size_t)size;
    m->read_count = 0; /* drop the first probe: it may have been served from the caches */
    const enum rwkv7_status status = probe(m, &read, &err);
    if (status == RWKV7_OK)
        s->read = read;
    if (status != RWKV7_ERR_MEMORY)
        return status == RWKV7_OK ? DONE : report(&err);
    m->probe = PROBE_LEAST; /* less memory than the system reports: ulimit -v */
    return probe(m, &s->read, &err) == RWKV7_OK ? DONE : report(&err);
}

/* Measures a cell. Without enough memory, or after ^C, the cell is left unchanged. */
static int measure_cell(struct measuring *m, size_t row, size_t type)
{
    struct sizes *const s = m->sizes;
    struct cell *const c = &s->cells[row * s->type_count + type];
    struct subject u = {0};
    struct rwkv7_error err;
    double before, after, decode = 0, prefill = 0;
    char text[96];

    snprintf(text, sizeof text, "measuring %s %s: %zu of %zu measured, %.0f of %.0f s", c->name,
             rwkv7_type_name(c->type), s->measured_count, s->row_count * s->type_count, seconds() - m->begin,
             (double)s->args->budget);
    progress_text(text);
    const double begin = seconds();
    enum rwkv7_status status = subject_open(&u, m, &c->shape, c->type, &err);
    int code = measure_outcome(status, &err);
    const double making = seconds() - begin;
    if (status == RWKV7_OK && !interrupted) {
        if (s->prefill > 0)
            code = subject_prefill(&u, (size_t)s->prefill, &prefill);
        if (code == DONE && !interrupted)
            code = measure_outcome(status = probe(m, &before, &err), &err);
        if (code == DONE && status == RWKV7_OK && !interrupted)
            code = subject_decode(&u, s->args, &decode);
        if (code == DONE && status == RWKV7_OK && !interrupted)
            code = measure_outcome(status = probe(m, &after, &err), &err);
        if (code == DONE && status == RWKV7_OK && !interrupted) {
            c->measured = true;
            c->decode = decode;
            c->prefill = prefill;
            c->share = decode * c->bytes / ((before + after) / 2);
            s->measured_count++;
            pace_correct(&m->pace[type], c, making, prefill);
        }
    }
    subject_close(&u);
    return code;
}

/* Estimates the time to measure a cell, in seconds. */
static double expected(const struct measuring *m, const struct cell *c, size_t type)
{
    const struct sizes *const s = m->sizes;
    const double token = s->read > 0 ? c->bytes / s->read : 0;
    const double prefill = pace_measuring(&m->pace[type], c, s->prefill);
    const double decode = DECODE_SECONDS + (WARM_UP + 1) * token;
    return m->pace[type].making * c->parameters + (s->prefill > 0 ? prefill : 0) + decode + 2 * m->probe_cost;
}

static bool has_room(const struct measuring *m, const struct cell *c)
{
    return c->fits && c->making < 0.9 * m->sizes->machine.available;
}

/*
 * Returns the row of the largest size of a type that can be measured in `time` seconds; row_count:
 * none.
 */
static size_t largest(const struct measuring *m, size_t type, double time)
{
    const struct sizes *const s = m->sizes;
    size_t best = s->row_count;
    for (size_t row = 0; row < s->row_count; row++) {
        const struct cell *const c = sizes_cell(s, row, type);
        if (has_room(m, c) && expected(m, c, type) <= time &&
            (best == s->row_count || c->bytes > sizes_cell(s, best, type)->bytes))
            best = row;
    }
    return best;
}

/* Returns whether no cell of this type has been measured. */
static bool is_unknown(const struct sizes *s, size_t type)
{
    for (size_t row = 0; row < s->row_count; row++)
        if (sizes_cell(s, row, type)->measured)
            return false;
    return true;
}

/* Finds the smallest cell not tried yet, in unmeasured types first; false: none. */
static bool smallest(const struct measuring *m, const bool *tried, size_t *row, size_t *type)
{
    const struct sizes *const s = m->sizes;
    double least = 0;
    bool found = false, unknown = false;
    for (size_t i = 0; i < s->row_count * s->type_count; i++) {
        const struct cell *const c = &s->cells[i];
        if (tried[i] || !has_room(m, c))
            continue;
        const bool is_new = is_unknown(s, i % s->type_count);
        if (found && (is_new < unknown || (is_new == unknown && c->bytes >= least)))
            continue;
        least = c->bytes;
        unknown = is_new;
        *row = i / s->type_count;
        *type = i % s->type_count;
        found = true;
    }
    return found;
}

static int measure_cells(struct measuring *m)
{
    struct sizes *const s = m->sizes;
    bool *const tried = calloc(s->row_count * s->type_count + 1, sizeof *tried);
    size_t row = 0, type = 0;
    if (!tried)
        return complain(FAILED, "out of memory for the table");
    int code = pace_learn_all(m);
    /* Seconds for the largest sizes. */
    const double large = left(m) - (1 - large_part) * s->args->budget;
    for (size_t t = 0; t < s->type_count && code == DONE && !interrupted; t++) {
        const double now = left(m) - (1 - large_part) * s->args->budget;
        const double part = large > 0 ? now / (double)(s->type_count - t) : 0;
        row = largest(m, t, part);
        if (row == s->row_count)
            continue;
        tried[row * s->type_count + t] = true;
        code = measure_cell(m, row, t);
    }
    while (code == DONE && !interrupted && smallest(m, tried, &row, &type)) {
        tried[row * s->type_count + type] = true;
        if (expected(m, sizes_cell(s, row, type), type) <= left(m))
            code = measure_cell(m, row, type);
    }
    free(tried);
    return code;
}

/* ------------------------------------------------------------------------------------ computing */

/*
 * Returns the measured cell to compute `c` from: the largest of its type, of the same RWKV version
 * if possible. NULL: none.
 */
static const struct cell *reference(const struct sizes *s, const struct cell *c)
{
    const struct cell *best = NULL;
    for (size_t i = 0; i < s->row_count * s->type_count; i++) {
        const struct cell *const other = &s->cells[i];
        if (!other->measured || other->type != c->type)
            continue;
        const bool is_near = other->arch == c->arch, best_is_near = best && best->arch == c->arch;
        if (!best || is_near > best_is_near || (is_near == best_is_near && other->bytes > best->bytes))
            best = other;
    }
    return best;
}

static void compute_rest(const struct measuring *m)
{
    struct sizes *const s = m->sizes;
    for (size_t i = 0; i < s->row_count * s->type_count; i++) {
        struct cell *const c = &s->cells[i];
        const struct pace *const pace = &m->pace[i % s->type_count];
        if (c->measured || !c->fits || s->read <= 0)
            continue;
        c->from = reference(s, c);
        c->share = c->from ? c->from->share : 1;
        if (c->share > 1) /* the small model ran from the caches; a larger one does not */
            c->share = 1;
        c->decode = c->share * s->read / c->bytes;
        if (c->from && c->from->prefill > 0)
            c->prefill = c->from->prefill * pace_prefill(pace, c->from) / pace_prefill(pace, c);
    }
}

/* -------------------------------------------------------------------------------------- command */

static int check_options(const struct bench_args *args)
{
    if (args->team.count != 1)
        return complain_usage(args->common.command,
                              "--threads: expected one number for the table of all sizes, found %zu", args->team.count);
    if (args->tokens == 0)
        return complain_usage(args->common.command,
                              "--tokens: expected at least 1 for the table of all sizes, found 0");
    if (args->context > 0)
        return complain_usage(args->common.command,
                              "--context needs -m or --shape: the table of all sizes has no context");
    return DONE;
}

static int measure(struct measuring *m)
{
    struct sizes *const s = m->sizes;
    m->begin = seconds();
    progress_text("measuring how fast memory is read");
    int code = choose_probe(m);
    const struct cpu_time before = cpu_time_now();
    if (code == DONE && s->args->budget > 0)
        code = measure_cells(m);
    const struct cpu_time after = cpu_time_now();
    s->others = cpu_time_others(&before, &after);
    s->read = m->read_count > 0 ? bench_spread(m->reads, m->read_count).median : 0;
    progress_clear();
    return code;
}

/*
 * Prints the table, then writes the plot. The caller opened the plot early, to report errors early.
 */
static int show(const struct sizes *s, struct rwkv7_output *plot)
{
    int code = bench_sizes_report(s);
    if (code == DONE && plot && !interrupted)
        code = bench_plot(s, plot);
    if (code == DONE && interrupted) {
        out_flush();
        code = plot ? complain(INTERRUPTED, "interrupted; plot not written") : INTERRUPTED;
    }
    return code;
}

int bench_sizes(const struct bench_args *args)
{
    struct sizes s = {.args = args};
    struct machine_args machine = args->machine;
    struct measuring *const m = calloc(1, sizeof *m);
    struct engine engine = {0};
    struct rwkv7_output *plot = NULL;
    struct rwkv7_error err;
    int code = m ? check_options(args) : complain(FAILED, "out of memory for the table");
    if (code != DONE)
        goto done;
    m->sizes = &s;
    for (size_t i = 0; i < args->prompts.count; i++)
        s.prefill = args->prompts.at[i] > s.prefill ? args->prompts.at[i] : s.prefill;
    machine_read(&s.machine);
    machine.threads = args->team.at[0];
    if ((code = engine_open_runtime(&engine, &machine)) != DONE)
        goto done;
    m->runtime = engine.runtime;
    s.kernels = rwkv7_runtime_cpu(engine.runtime);
    s.threads = rwkv7_runtime_threads(engine.runtime);
    if ((code = make_cells(m)) != DONE)
        goto done;
    if (args->plot && rwkv7_output_open(args->plot, &plot, &err) != RWKV7_OK) {
        code = report(&err);
        goto done;
    }
    interrupt_catch();
    code = measure(m);
    compute_rest(m);
    if (code == DONE)
        code = show(&s, plot);
done:
    progress_clear();
    rwkv7_output_close(plot);
    engine_close(&engine);
    free(s.cells);
    free(m);
    return code;
}
