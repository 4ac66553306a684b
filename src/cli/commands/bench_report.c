/* bench_report.c - the results of `rwkv7 bench` as a table, as CSV or as JSON. See bench.h. */
#include <stdio.h>

#include "base/json_tree.h"
#include "cli/commands/bench.h"
#include "cli/commands/engine.h"
#include "cli/io/messages.h"
#include "cli/io/output.h"

static const char *model_name(const struct bench_report *r)
{
    return r->args->shape ? r->args->shape : r->info->path;
}

static const char *math_name(const struct bench_report *r)
{
    static const char *const names[] = {
        [RWKV7_MATH_EXACT] = "exact", [RWKV7_MATH_FAST] = "fast", [RWKV7_MATH_BLAS] = "blas"};
    return names[r->args->machine.math];
}

/* Bytes per second read by decoding. */
static double read_rate(const struct measurement *m)
{
    return m->rate.median * m->bytes;
}

/* ---------------------------------------------------------------------------------------- table */

/* Where the weights are and how ffn.value is stored: the speed of decoding depends on both. */
static void print_layout(const struct bench_report *r)
{
    const bool copied = 2 * r->info->copied_bytes > r->info->weight_bytes;
    printf("weights  %s; ffn.value by %s%s\n", copied ? "in memory" : "in the mapped file",
           r->info->skipped_bytes > 0 ? "column" : "row", r->args->ffn_density < 1 ? " at density 1" : "");
}

static void table_begin(const struct bench_report *r)
{
    char types[TYPES_ROOM], step[16];
    printf("model    ");
    print_plain(stdout, model_name(r));
    printf("%s: %s\n", r->args->shape ? ", random weights" : "", types_text(r->info, types));
    printf("kernels  %s, %s math; %s read per token\n", r->cpu, math_name(r),
           scaled_text((double)r->info->step_bytes, "B", step));
    print_layout(r);
    printf("runs     %d of each: median, least, most; decoding after %d tokens\n\n", r->args->repetitions,
           r->args->context);
    printf("threads  test            tok/s    least     most  ms/tok  density    GB/s  share of read GB/s (most)\n");
}

static void table_add(const struct measurement *m)
{
    printf("%7d  %-7s %5d %8.1f %8.1f %8.1f %7.2f", m->threads, m->decode ? "decode" : "prefill", m->tokens,
           m->rate.median, m->rate.least, m->rate.most, 1000 / m->rate.median);
    if (m->decode)
        printf("  %7.2f %7.1f  %4.0f%% of %.1f (%.1f)", m->density, 1e-9 * read_rate(m),
               100 * read_rate(m) / m->read.median, 1e-9 * m->read.median, 1e-9 * m->read.most);
    putchar('\n');
}

/* ------------------------------------------------------------------------------------------ CSV */

/* Writes a quoted field; quotes inside are doubled (RFC 4180). */
static void csv_text(const char *text)
{
    putchar('"');
    for (; *text; text++)
        printf(*text == '"' ? "\"%c" : "%c", *text);
    putchar('"');
}

static void csv_begin(void)
{
    printf("model,types,parameters,kernels,math,threads,test,tokens,context,repetitions,tok_s,tok_s_least,tok_s_most,"
           "density,bytes_per_token,bytes_s,read_bytes_s,read_bytes_s_most,read_share\n");
}

static void csv_add(const struct bench_report *r, const struct measurement *m)
{
    char types[TYPES_ROOM];
    csv_text(model_name(r));
    putchar(',');
    csv_text(types_text(r->info, types));
    printf(",%llu,%s,%s,%d,%s,%d,%d,%d,%.4f,%.4f,%.4f", (unsigned long long)r->info->parameters, r->cpu, math_name(r),
           m->threads, m->decode ? "decode" : "prefill", m->tokens, m->decode ? r->args->context : 0,
           r->args->repetitions, m->rate.median, m->rate.least, m->rate.most);
    if (m->decode)
        printf(",%.4f,%.0f,%.0f,%.0f,%.0f,%.4f\n", m->density, m->bytes, read_rate(m), m->read.median, m->read.most,
               read_rate(m) / m->read.median);
    else
        printf(",,,,,,\n");
}

/* ----------------------------------------------------------------------------------------- JSON */

static void json_begin(struct bench_report *r)
{
    char types[TYPES_ROOM];
    struct json_tree *const t = &r->json;
    cJSON *const o = json_tree_object(t);
    json_add_string(t, o, "version", rwkv7_version());
    json_add_string(t, o, "model", model_name(r));
    json_add_bool(t, o, "random_weights", r->args->shape != NULL);
    json_add_string(t, o, "types", types_text(r->info, types));
    json_add_number(t, o, "parameters", (double)r->info->parameters);
    json_add_number(t, o, "bytes_per_token", (double)r->info->step_bytes);
    json_add_string(t, o, "kernels", r->cpu);
    json_add_string(t, o, "math", math_name(r));
    json_add_number(t, o, "repetitions", r->args->repetitions);
    r->results = json_add_array(t, o, "results");
}

static void json_spread(struct json_tree *t, cJSON *to, const char *name, const struct spread *s)
{
    cJSON *const o = json_add_object(t, to, name);
    json_add_number(t, o, "median", s->median);
    json_add_number(t, o, "least", s->least);
    json_add_number(t, o, "most", s->most);
}

static void json_add(struct bench_report *r, const struct measurement *m)
{
    struct json_tree *const t = &r->json;
    cJSON *const o = json_add_object(t, r->results, NULL);
    json_add_string(t, o, "test", m->decode ? "decode" : "prefill");
    json_add_number(t, o, "threads", m->threads);
    json_add_number(t, o, "tokens", m->tokens);
    json_spread(t, o, "tokens_per_second", &m->rate);
    if (m->decode) {
        json_add_number(t, o, "context", r->args->context);
        json_add_number(t, o, "density", m->density);
        json_add_number(t, o, "bytes_per_token", m->bytes);
        json_add_number(t, o, "bytes_per_second", read_rate(m));
        json_spread(t, o, "machine_bytes_per_second", &m->read);
        json_add_number(t, o, "read_share", read_rate(m) / m->read.median);
    }
}

/* --------------------------------------------------------------------------------------- public */

int bench_report_begin(struct bench_report *r)
{
    if (r->begun)
        return DONE;
    r->begun = true;
    switch (r->format) {
    case BENCH_TABLE:
        table_begin(r);
        break;
    case BENCH_CSV:
        csv_begin();
        break;
    case BENCH_JSON:
        json_begin(r);
        break;
    }
    return out_flush();
}

int bench_report_add(struct bench_report *r, const struct measurement *m)
{
    switch (r->format) {
    case BENCH_TABLE:
        table_add(m);
        break;
    case BENCH_CSV:
        csv_add(r, m);
        break;
    case BENCH_JSON:
        json_add(r, m);
        break;
    }
    return out_flush();
}

int bench_report_end(struct bench_report *r, int code)
{
    if (r->format == BENCH_JSON && r->begun && code == DONE)
        return out_json(&r->json, true);
    json_tree_free(&r->json);
    return code;
}
