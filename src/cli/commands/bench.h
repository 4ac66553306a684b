/* bench.h - what `rwkv7 bench` measures (bench.c) and how it is shown (bench_report.c). */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include "cli/common.h"

struct spread {
    double median, least, most;
};

/* One line of the result. */
struct measurement {
    bool decode;
    int threads;
    int tokens;         /* per repetition */
    double density;     /* decode: part of ffn.value that was read */
    double bytes;       /* decode: read per token */
    struct spread rate; /* tokens per second */
    struct spread read; /* decode: bytes per second that the machine could read between the repetitions */
};

enum bench_format { BENCH_TABLE, BENCH_JSON, BENCH_CSV };

struct bench_report {
    const struct args *args;
    enum bench_format format;
    bool begun;
    struct json_tree json;
    cJSON *results; /* in it */
    /* Of the model that is being measured. */
    const struct rwkv7_model_info *info;
    const char *cpu;
};

/* Begin, for every model; add, for every measurement; end. Lines appear as they are measured, JSON at the end. */
int bench_report_begin(struct bench_report *r);
int bench_report_add(struct bench_report *r, const struct measurement *m);
/* `code` is how it went; nothing is shown that is not whole. */
int bench_report_end(struct bench_report *r, int code);

/* The median and the ends of [count] values, which it sorts. */
struct spread bench_spread(double *values, int count);
/* Fills tokens [count] with ids below `vocab`: the same in every run, and far from each other. */
void bench_tokens(uint32_t *tokens, size_t count, int vocab);

#endif
