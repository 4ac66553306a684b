/*
 * bench.c - `rwkv7 bench`: the throughput of a model on this machine, and its share of the limit.
 *
 * Decoding reads every weight once per token, so memory bandwidth limits it. The bandwidth varies
 * with the load of other programs and virtual machines. So it is measured between the repetitions
 * of the decode, with the same threads.
 */
#include "cli/commands/bench.h"

#include <stdlib.h>
#include <string.h>

#include "cli/commands/bench_sizes.h"
#include "cli/commands/commands.h"
#include "cli/commands/engine.h"
#include "cli/io/messages.h"
#include "cli/io/terminal.h"
#include "cli/options/args.h"

enum {
    PROBE_LEAST = 64 << 20, /* bytes: less may fit into the caches and is too short to time */
    PROBE_MOST = 1 << 30,   /* bytes: larger than any cache; takes about 0.1 s */
    WARM_UP = 4,            /* tokens decoded before the measurement */
};

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct spread bench_spread(double *values, int count)
{
    const size_t n = (size_t)count;
    qsort(values, n, sizeof *values, compare);
    return (struct spread){(values[(n - 1) / 2] + values[n / 2]) / 2, values[0], values[n - 1]};
}

/* Spreads the ids over the vocabulary: multiples of 2^32 / golden ratio (Fibonacci hashing). */
void bench_tokens(uint32_t *tokens, size_t count, int vocab)
{
    for (size_t i = 0; i < count; i++)
        tokens[i] = (uint32_t)((uint64_t)i * 2654435761u % (uint64_t)vocab);
}

/* The buffers and sessions to measure one model with one number of threads. */
struct bench {
    const struct bench_args *args;
    float density; /* share of nonzero hidden units, for random weights */
    struct engine *engine;
    struct rwkv7_session *session, *start; /* start: the state before decoding */
    uint32_t *tokens;                      /* random ids, enough for the longest measurement */
    float *logits;                         /* [V] */
    double *rates, *reads;                 /* [repetitions] */
};

static int feed(struct bench *b, size_t count, enum rwkv7_logits which)
{
    struct rwkv7_error err;
    float *const logits = which == RWKV7_LOGITS_NONE ? NULL : b->logits;
    return rwkv7_session_eval(b->session, b->tokens, count, which, logits, &err) == RWKV7_OK ? DONE : report(&err);
}

static int measure_prefill(struct bench *b, int tokens, struct measurement *m)
{
    for (int i = -1; i < b->args->repetitions; i++) { /* -1: the warm-up */
        rwkv7_session_reset(b->session);
        const double begin = seconds();
        const int code = feed(b, (size_t)tokens, RWKV7_LOGITS_LAST);
        if (code != DONE)
            return code;
        if (i >= 0)
            b->rates[i] = tokens / (seconds() - begin);
    }
    m->rate = bench_spread(b->rates, b->args->repetitions);
    return DONE;
}

static int decode(struct bench *b, int tokens)
{
    struct rwkv7_error err;
    rwkv7_session_copy(b->session, b->start);
    for (int i = 0; i < tokens; i++)
        if (rwkv7_session_eval(b->session, &b->tokens[i], 1, RWKV7_LOGITS_LAST, b->logits, &err) != RWKV7_OK)
            return report(&err);
    return DONE;
}

static int measure_decode(struct bench *b, int tokens, struct measurement *m)
{
    const uint64_t step = rwkv7_model_info(b->engine->model)->step_bytes;
    const size_t probe = step < PROBE_LEAST ? PROBE_LEAST : step > PROBE_MOST ? PROBE_MOST : (size_t)step;
    struct rwkv7_error err;

    rwkv7_session_reset(b->session);
    int code = feed(b, (size_t)b->args->context, RWKV7_LOGITS_NONE);
    rwkv7_session_copy(b->start, b->session);
    if (code == DONE)
        code = decode(b, tokens < WARM_UP ? tokens : WARM_UP);
    for (int i = 0; i < b->args->repetitions && code == DONE; i++) {
        const double begin = seconds();
        code = decode(b, tokens);
        b->rates[i] = tokens / (seconds() - begin);
        if (code == DONE && rwkv7_runtime_bandwidth(b->engine->runtime, probe, &b->reads[i], &err) != RWKV7_OK)
            code = report(&err);
    }
    if (code != DONE)
        return code;
    const struct rwkv7_model_info *const info = rwkv7_model_info(b->engine->model);
    m->rate = bench_spread(b->rates, b->args->repetitions);
    m->read = bench_spread(b->reads, b->args->repetitions);
    m->density = rwkv7_session_density(b->session);
    m->bytes = (double)info->step_bytes - (1 - m->density) * (double)info->skipped_bytes;
    return DONE;
}

static int measure_all(struct bench *b, struct bench_report *r)
{
    const struct bench_args *const args = b->args;
    const int threads = rwkv7_runtime_threads(b->engine->runtime);
    int code = DONE;
    for (size_t i = 0; i <= args->prompts.count && code == DONE; i++) {
        struct measurement m = {.threads = threads, .decode = i == args->prompts.count};
        m.tokens = m.decode ? args->tokens : args->prompts.at[i];
        if (m.tokens == 0 || (!m.decode && b->density < 1)) /* density does not affect prefill */
            continue;
        code = m.decode ? measure_decode(b, m.tokens, &m) : measure_prefill(b, m.tokens, &m);
        if (code == DONE)
            code = bench_report_add(r, &m);
    }
    return code;
}

static int prepare(struct bench *b)
{
    const struct bench_args *const args = b->args;
    const int vocab = rwkv7_model_info(b->engine->model)->shape.vocab;
    struct rwkv7_error err;
    int longest = args->tokens > args->context ? args->tokens : args->context;
    for (size_t i = 0; i < args->prompts.count; i++)
        if (args->prompts.at[i] > longest)
            longest = args->prompts.at[i];
    if (rwkv7_session_create(b->engine->model, &b->session, &err) != RWKV7_OK ||
        rwkv7_session_create(b->engine->model, &b->start, &err) != RWKV7_OK)
        return report(&err);
    b->tokens = malloc(((size_t)longest + 1) * sizeof *b->tokens);
    b->logits = malloc((size_t)vocab * sizeof *b->logits);
    b->rates = malloc((size_t)args->repetitions * sizeof *b->rates);
    b->reads = malloc((size_t)args->repetitions * sizeof *b->reads);
    if (!b->tokens || !b->logits || !b->rates || !b->reads)
        return complain(FAILED, "out of memory for the measurement");
    bench_tokens(b->tokens, (size_t)longest, vocab);
    return DONE;
}

static int open_model(struct engine *e, const struct bench_args *args, float density)
{
    struct rwkv7_shape shape;
    struct rwkv7_error err;
    if (!args->shape && args->model.type >= RWKV7_WEIGHTS_COUNT)
        return complain_usage(args->common.command,
                              "--type: expected one of " WEIGHTS " for a checkpoint; other types need --shape");
    if (!args->shape)
        return engine_open_model(e, &args->model);
    rwkv7_shape_named(args->shape, &shape); /* cannot fail: the option parser checked the name */
    const struct rwkv7_random_options random = {
        .type = args->model.type == RWKV7_WEIGHTS_STORED ? RWKV7_BF16 : chosen_type(&args->model),
        .sparse = (enum rwkv7_sparse)args->model.sparse,
        .ffn_density = density,
        .seed = 1,
    };
    if (rwkv7_model_random(e->runtime, &shape, &random, &e->model, &err) != RWKV7_OK)
        return report(&err);
    return DONE;
}

static int bench_team(const struct bench_args *args, int threads, float density, struct bench_report *r)
{
    struct machine_args machine = args->machine;
    struct engine engine = {0};
    struct bench b = {.args = args, .density = density, .engine = &engine};
    machine.threads = threads;
    int code = engine_open_runtime(&engine, &machine);
    if (code == DONE)
        code = open_model(&engine, args, density);
    if (code == DONE)
        code = prepare(&b);
    if (code == DONE) {
        r->info = rwkv7_model_info(engine.model);
        r->cpu = rwkv7_runtime_cpu(engine.runtime);
        code = bench_report_begin(r);
    }
    if (code == DONE)
        code = args->draft_acceptance > 0 ? bench_drafts(args, engine.model) : measure_all(&b, r);
    free(b.tokens);
    free(b.logits);
    free(b.rates);
    free(b.reads);
    rwkv7_session_close(b.session);
    rwkv7_session_close(b.start);
    engine_close(&engine);
    return code;
}

/*
 * Returns whether to print the table of all sizes (bench_sizes.c): if one of its options is given,
 * or if there is no model. A model in RWKV7_MODEL is ignored if an option of the table is given.
 */
static bool is_table(const struct bench_args *args)
{
    const bool has_table_option = args->plot || args->sizes != SIZES_AUTO;
    return !args->shape && (has_table_option || !args->model.model);
}

int bench_command(const void *command_args)
{
    const struct bench_args *const args = command_args;
    struct bench_report r = {.args = args,
                             .format = args->print.json ? BENCH_JSON
                                       : args->csv      ? BENCH_CSV
                                                        : BENCH_TABLE};
    int code = DONE;
    if (args->print.json && args->csv)
        return complain_usage(args->common.command, "--json and --csv exclude each other");
    if (args->draft_acceptance > 0 && (args->print.json || args->csv))
        return complain_usage(args->common.command, "--draft-acceptance prints a table: leave out --json and --csv");
    if (args->draft_acceptance > 0 && is_table(args))
        return complain_usage(args->common.command,
                              "--draft-acceptance measures one model: use -m or --shape, without --sizes and --plot");
    if (args->draft_acceptance > 0 && args->tokens == 0)
        return complain_usage(args->common.command, "--draft-acceptance decodes --tokens N, found 0");
    if (args->plot && args->shape)
        return complain_usage(args->common.command, "--plot draws the table of all sizes: leave out --shape");
    if (args->plot && strcmp(args->plot, "-") == 0)
        return complain_usage(args->common.command,
                              "cannot write the plot to '-': use /dev/stdout, or ./- for a file of that name");
    if (args->sizes != SIZES_AUTO && args->shape)
        return complain_usage(args->common.command, "two things to measure: --sizes and --shape %s", args->shape);
    if (is_table(args))
        return bench_sizes(args);
    if (args->ffn_density < 1 && !args->shape)
        return complain_usage(args->common.command,
                              "--ffn-density needs --shape: a checkpoint has a density of its own");
    for (size_t i = 0; i < args->team.count && code == DONE; i++) {
        code = bench_team(args, args->team.at[i], 1, &r);
        if (code == DONE && args->ffn_density < 1)
            code = bench_team(args, args->team.at[i], args->ffn_density, &r);
    }
    return bench_report_end(&r, code);
}
