/* bench.h - the measurements of `rwkv7 bench` (bench.c) and their output (bench_report.c). */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include "base/json_tree.h"
#include "cli/options/command_args.h"

struct spread {
    double median, least, most;
};

/* One measurement: a line of the table. */
struct measurement {
    bool decode;
    int threads;
    int tokens;         /* per repetition */
    double density;     /* decode: share of ffn.value that was read */
    double bytes;       /* decode: bytes read per token */
    struct spread rate; /* tokens per second */
    struct spread read; /* decode: memory bandwidth between the repetitions, bytes per second */
};

enum bench_format { BENCH_TABLE, BENCH_JSON, BENCH_CSV };

struct bench_report {
    const struct bench_args *args;
    enum bench_format format;
    bool begun;
    struct json_tree json;
    cJSON *results; /* the array of measurements in `json` */
    /* Of the model that is measured: */
    const struct rwkv7_model_info *info;
    const char *cpu;
};

/*
 * Call begin for every model, add for every measurement, end once. Lines are printed as they are
 * measured, JSON at the end. Exit codes.
 */
int bench_report_begin(struct bench_report *r);
int bench_report_add(struct bench_report *r, const struct measurement *m);
/* `code`: the result so far; after a failure no JSON is printed. */
int bench_report_end(struct bench_report *r, int code);

/* Median, minimum and maximum of values [count]; sorts them. */
struct spread bench_spread(double *values, int count);
/* Measures decoding with guesses (--draft-acceptance); prints the table. Exit codes. */
int bench_drafts(const struct bench_args *args, const struct rwkv7_model *model);
/* Fills tokens [count] with ids below `vocab`, spread out and the same in every run. */
void bench_tokens(uint32_t *tokens, size_t count, int vocab);

#endif
